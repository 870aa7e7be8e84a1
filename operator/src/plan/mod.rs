//! The writes that lead from the observed state to the desired state. Pure: (owner, spec, observed state) -> writes; no I/O. The
//! list is empty if the two match: a second plan over the same cluster is empty.

mod chat;
mod child;
pub mod compare;
mod observed;
mod secrets;
pub mod valkey;
mod write;

use crate::api::ChatDeploymentSpec;
use crate::desired::{self, Child, Context, Facts, Installed, Kind, Names, Owner};
use crate::record;
use crate::rollout::{self, Desired, Permission, Phase, Step, Wait};
use chat::{is_under_way, outside, scaled};
use child::{difference, sealed};

pub use chat::{Scaled, desired_rollout, facts};
pub use child::{Standing, seal, standing, template};
pub use compare::{Accepted, accepted};
pub use observed::{Content, Observed, Seen, SeenSecret};
pub use write::{Conflict, NewSecret, Write};

/// What is to be written, and what is known after having looked.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In the order in which they are to be made.
    pub writes: Vec<Write>,
    /// Names of children that are somebody else's: they are never written.
    pub conflicts: Vec<Conflict>,
    /// Children that were read and found to be as they should be, with the hash of what that is.
    pub same: Vec<(record::Child, u64)>,
    /// Where the roll-out is to go.
    pub desired: Desired,
    /// Its next step.
    pub step: Step,
    /// A step of scaling by free seats, if the plan takes one.
    pub scaled: Option<Scaled>,
    /// Fewer seats are free than the spec asks for, and it allows no more pods.
    pub seats_are_limited: bool,
    /// What the children were made from.
    pub facts: Facts,
    /// Whether all Secrets that are wanted are ours and whole; else they are looked at again soon.
    pub secrets_are_there: bool,
    /// Whether the cluster is expected to change by itself.
    pub is_under_way: bool,
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
    let desired = desired_rollout(&context);
    let redis_is_settled = permission.redis_is_settled && valkey::is_settled(&context, observed);
    let set = observed.set(&names.chat());
    let permission = Permission { redis_is_settled, ..permission };
    let mut step = rollout::next(set.as_ref(), &observed.pods, &desired, permission);
    let lacks_slot = !permission.slot && valkey::has_ready_pod(observed);
    let holds_valkey = (desired.paused || lacks_slot) && valkey::changes(&context, observed);
    if holds_valkey && step.phase == Phase::Settled {
        step.phase = Phase::Waiting { why: if desired.paused { Wait::Paused } else { Wait::Slot } };
    }
    let highest = observed.pods.keys().next_back().map_or(0, |ordinal| ordinal + 1);
    let addresses = desired::addresses(&context, &outside(&names, observed));
    facts.replicas = step.replicas;
    facts.partition = step.partition;
    facts.ordinals = desired.replicas.max(step.replicas).max(highest);
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
    let is_under_way = is_under_way(&step, observed, redis_is_settled || (holds_valkey && desired.paused));
    let secrets_are_there = secrets::are_there(&context, observed);
    let scaled = scaled(spec, observed, set.as_ref(), &step);
    let seats_are_limited = observed.seats.is_some_and(|decision| decision.is_limited);
    Plan { writes, conflicts, same, desired, step, scaled, seats_are_limited, facts, secrets_are_there, is_under_way }
}

/// Children of ours that the spec no longer wants. Valkey stays until no pod of the old directory is left. Those of a kind that cannot be
/// read, for a moment or for good, stay too: the spec does not say that they are to go.
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
        matches!(&record.owner, record::Owner::Controller { uid, .. } if **uid == *context.owner.uid)
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
    let children = observed.children.iter().filter(|((kind, _), _)| kind.is_served(&observed.optional_kinds));
    let gone = children
        .filter(|((kind, name), seen)| is_ours(&seen.record) && !is_wanted(*kind, name) && !waits(*kind, name))
        .map(|((kind, name), seen)| Write::Delete { kind: *kind, name: name.clone(), uid: seen.record.uid.clone() });
    writes.extend(gone);
    writes
}

#[cfg(test)]
mod tests;
