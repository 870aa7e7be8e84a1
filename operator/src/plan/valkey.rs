//! The managed Valkey's StatefulSet: whether it matches the desired one, and which changes may be applied now. Pure: no I/O.

use serde_json::{Value, json};

use super::child::{Standing, standing, template};
use super::observed::{Content, Observed, Seen};
use super::write::Write;
use crate::api::{Persistence, quantity_value};
use crate::desired::{self, Child, Context, Facts, Kind, Names, VALKEY_SECRET};
use crate::hash;
use crate::record::{self, APPLIED, CLAIM, Claim, PodRecord, TEMPLATE};
use crate::rollout::Pod;
use crate::status::{Problem, Reason};

/// What of the set cannot change without another pod, and of what a new set is made.
const CHANGES_ITS_POD: [&str; 2] = ["template", "volumeClaimTemplates"];

fn record_of<'a>(context: &Context<'_>, observed: &'a Observed) -> Option<&'a record::Set> {
    observed.set_record(&context.names().valkey()).filter(|_| context.is_managed_redis())
}

/// Whether the managed Valkey, if there is one, is as the spec says and ready.
pub fn is_settled(context: &Context<'_>, observed: &Observed) -> bool {
    if !context.is_managed_redis() {
        return true;
    }
    let Some(set) = observed.set(&context.names().valkey()) else { return false };
    let Some(pod) = &observed.valkey_pod else { return false };
    let is_settled = set.is_observed && pod.ready && !pod.terminating && pod.revision == set.update_revision;
    // Without its Secret it cannot be as it should be.
    is_settled && context.facts.valkey_secret.is_some() && template(&desired::valkey_set(context)) == set.template
}

/// Whether the spec asks for another pod than the set that is there makes. A new password does not count, since the chat pods already
/// read it: nothing may hold that back.
pub fn changes(context: &Context<'_>, observed: &Observed) -> bool {
    let Some(set) = record_of(context, observed) else { return false };
    let facts = Facts { valkey_secret: Some(set.secret.clone()), ..context.facts.clone() };
    let of_this_password = desired::valkey_set(&Context { facts: &facts, ..*context });
    template(&of_this_password) != set.template || has_another_volume(context, set)
}

/// Whether there is something to lose by a change of it.
pub fn has_ready_pod(observed: &Observed) -> bool {
    observed.valkey_pod.as_ref().is_some_and(|pod| pod.ready)
}

/// Whether a ready one is to be replaced, or is of an old version still: then a slot is needed.
pub fn needs_slot(context: &Context<'_>, observed: &Observed) -> bool {
    let is_old = || {
        let (set, pod) = (record_of(context, observed)?, observed.valkey_pod.as_ref()?);
        Some(pod.revision != set.update_revision)
    };
    let is_ready = has_ready_pod(observed);
    !context.spec.rollout.paused && is_ready && (changes(context, observed) || is_old().unwrap_or_default())
}

/// Whether the new version of it is not ready yet. One that dies after Kubernetes has called the update complete is no such thing.
pub fn is_unfinished(context: &Context<'_>, observed: &Observed) -> bool {
    let Some(set) = record_of(context, observed) else { return false };
    let is_new = |pod: &Pod| pod.revision == set.update_revision;
    let is_changing = set.current_revision != set.update_revision;
    let is_awaited = observed.valkey_pod.as_ref().is_none_or(|pod| is_new(pod) && !pod.ready);
    !context.spec.rollout.paused && (set.observed_generation < set.generation || (is_changing && is_awaited))
}

/// Whether the set must be replaced by another one: its volumes cannot change.
pub fn must_make_way(context: &Context<'_>, seen: &Seen) -> bool {
    matches!(&seen.record.detail, record::Detail::Set(set) if has_another_volume(context, set))
}

/// What the spec wants of the volume, as a hash. It is kept on the set, since what the cluster holds may be what an admission policy made
/// of it.
fn wanted_claim(persistence: Option<&Persistence>) -> String {
    let size =
        |wanted: &Persistence| quantity_value(&wanted.size.0).map_or(wanted.size.0.clone(), |size| size.to_string());
    hash::of_value(&json!(persistence.map(|wanted| (size(wanted), &wanted.storage_class_name))))
}

/// Whether the set was made for another desired volume. One of an older version does not say so: it is left alone but for what
/// can only be another desired volume. More room than was asked for may be a policy's.
fn has_another_volume(context: &Context<'_>, set: &record::Set) -> bool {
    let wanted = context.spec.redis.managed.as_ref().and_then(|managed| managed.persistence.as_ref());
    if !set.wanted_claim.is_empty() {
        return set.wanted_claim != wanted_claim(wanted);
    }
    let is_another = |wanted: &Persistence, claim: &Claim| {
        let (size, asked) = (quantity_value(&claim.size), quantity_value(&wanted.size.0));
        let is_smaller = size.zip(asked).is_some_and(|(size, asked)| size < asked);
        is_smaller || (wanted.storage_class_name.is_some() && wanted.storage_class_name != claim.class)
    };
    match (wanted, &set.claim) {
        (None, None) => false,
        (Some(wanted), Some(claim)) => is_another(wanted, claim),
        _ => true,
    }
}

/// Valkey's set with the hash of the desired volume on it; any other child as it is.
pub fn marked(context: &Context<'_>, mut child: Child) -> Child {
    if (child.kind, &child.name) == (Kind::StatefulSet, &context.names().valkey()) {
        let managed = context.spec.redis.managed.as_ref();
        child.object["metadata"]["annotations"][CLAIM] =
            wanted_claim(managed.and_then(|managed| managed.persistence.as_ref())).into();
    }
    child
}

/// The set with the claim as it is there: it cannot change, and need not be what was asked for.
pub fn with_its_claim(child: &Child, seen: &Seen) -> Child {
    let mut child = child.clone();
    if let record::Detail::Set(set) = &seen.record.detail
        && let Some(claim) = &set.claim
        && let Some(wanted) = child.object.pointer_mut("/spec/volumeClaimTemplates/0/spec")
    {
        if let Some(class) = &claim.class {
            wanted["storageClassName"] = class.as_str().into();
        }
        if !claim.size.is_empty() {
            wanted["resources"]["requests"]["storage"] = claim.size.as_str().into();
        }
    }
    child
}

/// The set as it may be applied while a change of its pod is held back: with what its pods are made of as it is, but for a new password. Nothing
/// if that is not known, since it has not changed since it was applied.
pub fn held(context: &Context<'_>, child: &Child, seen: &Seen) -> Option<Child> {
    let Content::Object(object) = &seen.content else { return None };
    let mut held = child.clone();
    let spec = held.object["spec"].as_object_mut()?;
    for field in CHANGES_ITS_POD {
        spec.remove(field);
        spec.extend(object["spec"].get(field).map(|value| (field.to_owned(), value.clone())));
    }
    spec["template"]["metadata"]["annotations"][VALKEY_SECRET] = context.facts.valkey_secret.as_deref()?.into();
    for annotation in [APPLIED, TEMPLATE, CLAIM] {
        let seen = object["metadata"]["annotations"].get(annotation).and_then(Value::as_str).unwrap_or_default();
        held.object["metadata"]["annotations"][annotation] = seen.into();
    }
    Some(held)
}

/// Its pod, if it is of an old version and not ready: some versions of Kubernetes would wait for it for good.
pub fn stuck(names: &Names<'_>, observed: &Observed) -> Option<Write> {
    let set = observed.set(&names.valkey())?;
    let pod = observed.valkey_pod.as_ref()?;
    let is_stuck = set.is_observed && pod.revision != set.update_revision && !pod.ready && !pod.terminating;
    is_stuck.then(|| Write::DeletePod { name: pod.name.clone(), uid: pod.uid.clone() })
}

/// How its pod stands to a node that may be away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranded {
    /// Its `metadata.name`.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Without a volume, and with another pod elsewhere that would use it: then it can be let go.
    pub may_go: bool,
    /// What is waited for.
    pub waits: Waits,
}

/// What is waited for before it is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// Its node is silent, and may come back.
    Node,
    /// It was deleted, and its node may still end it.
    End,
}

/// The managed Valkey's pod, if it is on a node that is silent, or ends. Pods whose node is silent too say nothing of other nodes: if all
/// are, it is the API server that is cut off.
pub fn stranded(context: &Context<'_>, observed: &Observed, pods: &[PodRecord]) -> Option<Stranded> {
    let set = record_of(context, observed)?;
    let pod = pods.iter().find(|pod| pod.component == desired::VALKEY)?;
    let waits = match (pod.silent_node.is_some(), pod.is_terminating) {
        (true, _) => Waits::Node,
        (false, true) => Waits::End,
        (false, false) => return None,
    };
    let is_there = |other: &PodRecord| other.host.is_some() && other.silent_node.is_none() && !other.is_terminating;
    let is_elsewhere =
        |other: &PodRecord| other.component == desired::CHAT && is_there(other) && other.host != pod.host;
    let may_go = set.claim.is_none() && pods.iter().any(is_elsewhere);
    Some(Stranded { name: pod.name.clone(), uid: pod.uid.clone(), may_go, waits })
}

/// The message about a Valkey whose node does not respond and whose volume binds it there.
pub fn held_by_its_volume(context: &Context<'_>, observed: &Observed, pods: &[PodRecord]) -> Option<Problem> {
    record_of(context, observed)?.claim.as_ref()?;
    let pod = pods.iter().find(|pod| pod.component == desired::VALKEY)?;
    let (name, node) = (&pod.name, pod.silent_node.as_ref()?);
    let message = format!(
        "pod {name}: its node {node} does not answer, and its volume may be in use there. If the node is surely off: \
         kubectl taint nodes {node} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
    );
    Some(Problem::new(Reason::NodeAway, message))
}

/// The pod goes by force, and its Service is made again, under another address. What it left behind may run on where only Kubernetes is
/// not heard: pods that are connected to it find by the new address that they have to leave it.
pub fn let_go(context: &Context<'_>, observed: &Observed) -> Vec<Write> {
    let name = context.names().valkey();
    let service = observed
        .children
        .get(&(Kind::Service, name.clone()))
        .filter(|seen| standing(context.owner, &seen.record) == Standing::Ours);
    let service =
        service.map(|seen| Write::Delete { kind: Kind::Service, name: name.clone(), uid: seen.record.uid.clone() });
    let pod = observed.valkey_pod.as_ref().map(|pod| Write::LetPodGo { name: pod.name.clone(), uid: pod.uid.clone() });
    // In this order: a pod that is still there is let go again, with its Service.
    service.into_iter().chain(pod).collect()
}
