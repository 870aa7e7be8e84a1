//! What has to be written so that the cluster is as the spec says. Pure: (owner, spec, what was seen) -> writes; no I/O.
//! With nothing to do the list is empty: planning twice over the same cluster gives nothing the second time.

mod secrets;
mod write;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::ChatDeploymentSpec;
use crate::compare;
use crate::desired::{self, Child, Context, Directory, Facts, Installed, Kind, Names, Owner};
use crate::hash;
use crate::record::{self, APPLIED, TEMPLATE};
use crate::rollout::{self, Permission, Phase, Pod, Set, Step, Wait, Wish};
use crate::valkey;

pub use write::{NewSecret, Write};

/// What is known of a child's content.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// It was the same as what was applied under this hash, and has not changed since.
    Verified(u64),
    Object(Value),
}

/// A child that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub record: record::Child,
    pub content: Content,
    /// What the API server made of what was last applied.
    pub accepted: Option<Accepted>,
}

/// Something changes a child on its way in, such as an admission policy: what was applied, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    applied: u64,
    became: u64,
}

pub fn accepted(child: &Child, object: &Value) -> Accepted {
    let became = hash::number_of(&compare::projection(&child.object, object));
    Accepted { applied: hash::number_of(&child.object), became }
}

/// A Secret of ours that is there, without its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenSecret {
    pub record: record::Child,
    /// Whether all that is needed is in it.
    pub is_whole: bool,
}

/// The cluster, as far as it is about one ChatDeployment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    pub children: BTreeMap<(Kind, String), Seen>,
    /// Chat pods by ordinal.
    pub pods: BTreeMap<i32, Pod>,
    /// The addresses of the nodes that they run on.
    pub hosts: BTreeMap<i32, String>,
    /// Valkey's pod.
    pub valkey_pod: Option<Pod>,
    pub token_keys: Option<SeenSecret>,
    pub valkey_secret: Option<SeenSecret>,
}

/// A child's name that is somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub kind: Kind,
    pub name: String,
    pub holder: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub writes: Vec<Write>,
    pub conflicts: Vec<Conflict>,
    /// Children that were read and found to be as they should be, with the hash of what that is.
    pub same: Vec<(record::Child, u64)>,
    pub wish: Wish,
    pub step: Step,
    pub facts: Facts,
    /// Whether all Secrets that are wanted are ours and whole; else they are looked at again soon.
    pub secrets_are_there: bool,
    /// Whether the cluster is expected to change by itself.
    pub is_under_way: bool,
}

/// The chat StatefulSet as the roll-out looks at it.
pub fn set_of(observed: &Observed, name: &str) -> Option<Set> {
    let seen = observed.children.get(&(Kind::StatefulSet, name.to_owned()))?;
    let record::Detail::Set(set) = &seen.record.detail else { return None };
    Some(Set {
        replicas: set.replicas,
        partition: set.partition,
        is_observed: set.observed_generation >= set.generation,
        current_revision: set.current_revision.clone(),
        update_revision: set.update_revision.clone(),
        template: set.template.clone(),
        directory: set.directory.clone(),
    })
}

/// The uid that the pods of an adopted StatefulSet go by.
fn adopted_uid(observed: &Observed, name: &str) -> Option<String> {
    let seen = observed.children.get(&(Kind::StatefulSet, name.to_owned()))?;
    let record::Detail::Set(set) = &seen.record.detail else { return None };
    set.adopted_uid.clone()
}

/// What was seen, before it is known how far the chat pods are.
pub fn facts(owner: &Owner, observed: &Observed) -> Facts {
    Facts {
        deployment_uid: adopted_uid(observed, &Names::new(&owner.name).chat()),
        valkey_secret: secrets::usable(owner, observed.valkey_secret.as_ref()),
        ..Facts::default()
    }
}

/// Where the spec wants the chat pods to go. It does not depend on how far they are: `context.facts` need not know that yet.
pub fn wish(context: &Context<'_>) -> Wish {
    Wish {
        replicas: context.spec.effective_replicas(),
        partition: context.spec.rollout.partition,
        paused: context.spec.rollout.paused,
        template: template(&desired::chat_set(context)),
        directory: Directory::of(context).identity,
    }
}

/// The hash of a StatefulSet's pod template.
pub fn template(set: &Child) -> String {
    set.object.pointer("/spec/template").map(hash::of_value).unwrap_or_default()
}

/// All that differs, in the order in which it is to be written.
pub fn plan(
    owner: &Owner,
    spec: &ChatDeploymentSpec,
    installed: &Installed,
    observed: &Observed,
    permission: Permission,
) -> Plan {
    let names = Names::new(&owner.name);
    let mut facts = facts(owner, observed);
    let context = Context { owner, spec, installed, facts: &facts };
    let wish = wish(&context);
    let redis_is_settled = permission.redis_is_settled && valkey::is_settled(&context, observed);
    let set = set_of(observed, &names.chat());
    let permission = Permission { redis_is_settled, ..permission };
    let mut step = rollout::next(set.as_ref(), &observed.pods, &wish, permission);
    let lacks_slot = !permission.slot && valkey::has_ready_pod(observed);
    let holds_valkey = (wish.paused || lacks_slot) && valkey::changes(&context, observed);
    if holds_valkey && step.phase == Phase::Settled {
        step.phase = Phase::Waiting { why: if wish.paused { Wait::Paused } else { Wait::Slot } };
    }
    let highest = observed.pods.keys().next_back().map_or(0, |ordinal| ordinal + 1);
    let addresses = desired::addresses(&context, &outside(&names, observed));
    facts.replicas = step.replicas;
    facts.partition = step.partition;
    facts.ordinals = wish.replicas.max(step.replicas).max(highest);
    facts.addresses = addresses;
    let context = Context { owner, spec, installed, facts: &facts };
    let mut writes = secrets::writes(&context, observed);
    let mut conflicts = secrets::conflicts(&context, observed);
    let mut same = Vec::new();
    let children = desired::children(&context).into_iter();
    let wanted: Vec<Child> = children.map(|child| valkey::marked(&context, sealed(child))).collect();
    for child in &wanted {
        match observed.children.get(&(child.kind, child.name.clone())) {
            None => writes.push(Write::Create(child.clone())),
            Some(seen) => match standing(owner, &seen.record) {
                Standing::Foreign(holder) => {
                    conflicts.push(Conflict { kind: child.kind, name: child.name.clone(), holder });
                }
                // Its successor is made when it is gone.
                Standing::Leaving => {}
                Standing::Ours => {
                    let is_valkey = (child.kind, &child.name) == (Kind::StatefulSet, &names.valkey());
                    let uid = seen.record.uid.clone();
                    let child = match (is_valkey, holds_valkey) {
                        (false, _) => Some(child.clone()),
                        (true, false) => Some(valkey::with_its_claim(child, seen)),
                        (true, true) => valkey::held(&context, child, seen),
                    };
                    let Some(child) = child else { continue };
                    if is_valkey && !holds_valkey && valkey::must_make_way(&context, seen) {
                        writes.push(Write::Delete { kind: child.kind, name: child.name, uid });
                    } else if let Some(why) = difference(&child, seen) {
                        writes.push(Write::Apply { child, uid, why });
                    } else if matches!(seen.content, Content::Object(_)) {
                        same.push((seen.record.clone(), seal(&child)));
                    }
                }
            },
        }
    }
    writes.extend(unwanted(&context, observed, &wanted, &step));
    if let Some((name, uid)) = &step.delete {
        writes.push(Write::DeletePod { name: name.clone(), uid: uid.clone() });
    }
    if permission.valkey_is_lost {
        writes.extend(valkey::let_go(&context, observed));
    } else {
        writes.extend(valkey::stuck(&names, observed));
    }
    let is_under_way = is_under_way(&step, observed, redis_is_settled || (holds_valkey && wish.paused));
    let secrets_are_there = secrets::are_there(&context, observed);
    Plan { writes, conflicts, same, wish, step, facts, secrets_are_there, is_under_way }
}

fn is_under_way(step: &Step, observed: &Observed, redis_is_settled: bool) -> bool {
    let ends = |(ordinal, pod): (&i32, &Pod)| pod.terminating || *ordinal >= step.replicas;
    let moves = !matches!(step.phase, Phase::Settled | Phase::Waiting { why: Wait::Paused });
    moves || !redis_is_settled || observed.pods.iter().any(ends)
}

/// Whether an object may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Ours, or nobody's with our labels: left behind by an owner that was deleted without its children.
    Ours,
    Leaving,
    Foreign(String),
}

pub fn standing(owner: &Owner, record: &record::Child) -> Standing {
    match &record.owner {
        record::Owner::Controller { uid, .. } if *uid == owner.uid => {
            if record.is_deleting {
                Standing::Leaving
            } else {
                Standing::Ours
            }
        }
        record::Owner::Controller { name, .. } if *name == format!("{}/{}", desired::KIND, owner.name) => {
            Standing::Foreign("a ChatDeployment of this name that was deleted, and goes away by itself".to_owned())
        }
        record::Owner::Controller { name, .. } => Standing::Foreign(name.clone()),
        record::Owner::Nobody if record.has_our_labels => {
            if record.is_deleting {
                Standing::Leaving
            } else {
                Standing::Ours
            }
        }
        record::Owner::Nobody => Standing::Foreign("nobody, but it lacks the operator's labels".to_owned()),
    }
}

/// With the hash of all that is applied, by which a field that is no longer wanted is noticed.
fn sealed(mut child: Child) -> Child {
    let template = (child.kind == Kind::StatefulSet).then(|| template(&child));
    let applied = hash::of_value(&child.object);
    let annotations = &mut child.object["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = json!({});
    }
    annotations[APPLIED] = applied.into();
    if let Some(template) = template {
        annotations[TEMPLATE] = template.into();
    }
    child
}

/// The hash under which a sealed child is applied.
pub fn seal(child: &Child) -> u64 {
    let annotation = child.object["metadata"]["annotations"].get(APPLIED).and_then(Value::as_str);
    annotation.and_then(|hash| u64::from_str_radix(hash, 16).ok()).unwrap_or_default()
}

fn difference(child: &Child, seen: &Seen) -> Option<String> {
    match &seen.content {
        Content::Verified(hash) => (*hash != seal(child)).then(|| "spec".to_owned()),
        Content::Object(object) => {
            let place = compare::first_difference(&child.object, object)?;
            (seen.accepted != Some(accepted(child, object))).then_some(place)
        }
    }
}

/// What was seen of the pods' own Services.
fn outside(names: &Names<'_>, observed: &Observed) -> BTreeMap<i32, desired::SeenAddress> {
    let of = |((kind, name), seen): (&(Kind, String), &Seen)| {
        let record::Detail::Service(service) = &seen.record.detail else { return None };
        let ordinal = names.ordinal(name).filter(|_| *kind == Kind::Service)?;
        let address = desired::SeenAddress {
            ingress: service.ingress.clone(),
            tcp_node_port: service.tcp_node_port,
            web_node_port: service.web_node_port,
            host: observed.hosts.get(&ordinal).cloned(),
        };
        Some((ordinal, address))
    };
    observed.children.iter().filter_map(of).collect()
}

/// Children of ours that are no longer wanted. Valkey stays until no pod of the old directory is left.
fn unwanted(context: &Context<'_>, observed: &Observed, wanted: &[Child], step: &Step) -> Vec<Write> {
    let names = context.names();
    let is_wanted = |kind: Kind, name: &str| wanted.iter().any(|child| child.kind == kind && child.name == name);
    // Valkey stays for the last pod that uses it, and while its Secret is being made again; its NetworkPolicy may go before it.
    let waits = |kind: Kind, name: &str| {
        let is_managed = context.is_managed_redis();
        name == names.valkey()
            && if is_managed { kind != Kind::NetworkPolicy } else { step.phase == Phase::ChangingDirectory }
    };
    let is_ours = |record: &record::Child| {
        matches!(&record.owner, record::Owner::Controller { uid, .. } if *uid == context.owner.uid)
            && !record.is_deleting
    };
    let mut writes = Vec::new();
    // First, since nobody looks for it any more once nothing else of Valkey is there.
    if let Some(secret) = &observed.valkey_secret
        && !context.is_managed_redis()
        && step.phase != Phase::ChangingDirectory
        && is_ours(&secret.record)
    {
        let (name, uid) = (secret.record.name.clone(), secret.record.uid.clone());
        writes.push(Write::Delete { kind: Kind::Secret, name, uid });
    }
    let children = observed.children.iter();
    let gone = children
        .filter(|((kind, name), seen)| is_ours(&seen.record) && !is_wanted(*kind, name) && !waits(*kind, name))
        .map(|((kind, name), seen)| Write::Delete { kind: *kind, name: name.clone(), uid: seen.record.uid.clone() });
    writes.extend(gone);
    writes
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
