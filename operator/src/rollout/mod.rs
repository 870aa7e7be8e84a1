//! The next step of a rollout: the number of chat pods, and which of them may be updated. Pure: no I/O.
//!
//! It has no state. It derives replicas and partition from the current StatefulSet and its pods, so that the next reconcile repairs a crash,
//! a lost answer or a stale read at any point. Kubernetes' own controller deletes pods from the highest
//! ordinal down to the partition without checking the others; here the partition only goes down while all the others are ready.

pub mod limiter;

use std::collections::{BTreeMap, BTreeSet};

/// A chat pod, as it counts here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its `metadata.name`.
    pub name: String,
    /// Its uid, by which it is deleted.
    pub uid: String,
    /// The StatefulSet's revision that it was made from.
    pub revision: String,
    /// The identity of the directory that it uses.
    pub directory: String,
    /// Whether Kubernetes calls it ready.
    pub ready: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
}

/// The StatefulSet, as it counts here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// `spec.replicas`.
    pub replicas: i32,
    /// From which ordinal on pods are updated.
    pub partition: i32,
    /// Whether its status is about its current spec.
    pub is_observed: bool,
    /// The revision that pods below the partition have.
    pub current_revision: String,
    /// The revision that the others get.
    pub update_revision: String,
    /// The hash of the template that was last applied.
    pub template: String,
    /// The directory that new pods would use.
    pub directory: String,
}

impl Set {
    /// Whether Kubernetes takes the new revision for the current one: it does when all pods are ready with it.
    pub fn is_renewed(&self) -> bool {
        self.current_revision == self.update_revision
    }
}

/// Where things are to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// How many chat pods there are to be in the end.
    pub replicas: i32,
    /// The lowest ordinal that the user lets through: `rollout.partition`.
    pub partition: i32,
    /// Whether the user holds all updates back: `rollout.paused`.
    pub paused: bool,
    /// The hash of the pod template that is wanted.
    pub template: String,
    /// The identity of the directory that is wanted.
    pub directory: String,
}

/// What else has to be so before a pod is taken down for an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// This deployment is among those that may roll now.
    pub slot: bool,
    /// The managed Valkey is up to date and ready, or there is none: it goes before the chat pods.
    pub redis_is_settled: bool,
    /// All pods of the old version that are unready or missing have been so for so long that waiting for them is no use.
    pub patience_is_over: bool,
    /// A pod has been ending for longer than it may.
    pub is_stuck: bool,
    /// The managed Valkey holds nothing, and its node has been silent for long enough.
    pub valkey_is_lost: bool,
}

/// What is under way, for the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing has to move.
    Settled,
    /// Kubernetes has not looked at the last change yet, which takes it an instant.
    Unseen,
    /// Pods are added or removed.
    Scaling {
        /// The replicas that are wanted.
        to: i32,
    },
    /// A pod is being updated, or just was and is not ready yet.
    Rolling {
        /// Which one.
        ordinal: i32,
    },
    /// An update waits.
    Waiting {
        /// What for.
        why: Wait,
    },
    /// All pods stop, since the directory is another one.
    ChangingDirectory,
}

/// What an update waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The user has paused it.
    Paused,
    /// Other ChatDeployments roll, as many as may at once.
    Slot,
    /// The managed Valkey is not up to date and ready yet.
    Redis,
    /// Pods are missing or not ready, and may yet come.
    OtherPods,
    /// Pods are still being removed.
    ScaleIn,
}

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `spec.replicas` as it is to be now.
    pub replicas: i32,
    /// The partition as it is to be now.
    pub partition: i32,
    /// A pod that has to be deleted by the operator: Kubernetes does not while another one is unready.
    pub delete: Option<(String, String)>,
    /// What the status says of it.
    pub phase: Phase,
}

impl Step {
    fn new(replicas: i32, partition: i32, phase: Phase) -> Self {
        Self { replicas, partition, delete: None, phase }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Missing,
    Ending,
    Old { ready: bool },
    New { ready: bool },
}

/// Whether pods wait for an update that `rollout` lets through, and there is something to lose: then a slot is needed. What is `given_up`
/// has not been ready for minutes, and cannot come to harm by an update.
pub fn needs_slot(set: Option<&Set>, pods: &BTreeMap<i32, Pod>, desired: &Desired, given_up: &BTreeSet<i32>) -> bool {
    let Some(set) = set else { return false };
    let changes = set.template != desired.template;
    let is_old = |ordinal: i32| match pods.get(&ordinal) {
        Some(pod) => changes || pod.revision != set.update_revision,
        // It comes back as the old version until it is let through.
        None => changes || !set.is_renewed(),
    };
    let mut reached = desired.partition..set.replicas.min(desired.replicas);
    !desired.paused && reached.any(|ordinal| is_old(ordinal) && !given_up.contains(&ordinal))
}

/// Whether pods that an update has reached are not ready with it yet: the deployment keeps its slot until they are. Not so once
/// Kubernetes has called the update complete, whatever becomes of pods after it, nor for pods that were added to the `began_with`
/// of before.
pub fn is_unfinished(set: Option<&Set>, pods: &BTreeMap<i32, Pod>, desired: &Desired, began_with: Option<i32>) -> bool {
    let Some(set) = set else { return false };
    let is_new = |pod: &Pod| pod.revision == set.update_revision;
    let is_awaited = |ordinal: i32| pods.get(&ordinal).is_none_or(|pod| is_new(pod) && !pod.ready);
    let replicas = set.replicas.min(desired.replicas).min(began_with.unwrap_or(i32::MAX));
    let mut reached = set.partition.max(desired.partition)..replicas;
    !desired.paused && (!set.is_observed || (!set.is_renewed() && reached.any(is_awaited)))
}

/// Pods that are missing or not ready, of whatever version: for how long is remembered, so that patience has run out for what has long
/// been broken when a roll-out begins.
pub fn away(set: Option<&Set>, pods: &BTreeMap<i32, Pod>) -> BTreeSet<i32> {
    let is_away = |ordinal: &i32| pods.get(ordinal).is_none_or(|pod| !pod.terminating && !pod.ready);
    (0..set.map_or(0, |set| set.replicas)).filter(is_away).collect()
}

/// Those of them that are missing or of the old version: patience is for them.
pub fn outdated(set: Option<&Set>, pods: &BTreeMap<i32, Pod>, desired: &Desired) -> BTreeSet<i32> {
    let Some(set) = set else { return BTreeSet::new() };
    let is_old = |pod: &Pod| set.template != desired.template || pod.revision != set.update_revision;
    away(Some(set), pods).into_iter().filter(|ordinal| pods.get(ordinal).is_none_or(is_old)).collect()
}

/// The next step, given how things are.
pub fn next(set: Option<&Set>, pods: &BTreeMap<i32, Pod>, desired: &Desired, permission: Permission) -> Step {
    if pods.values().any(|pod| pod.directory != desired.directory) {
        return Step::new(0, 0, Phase::ChangingDirectory);
    }
    let Some(set) = set else {
        return Step::new(desired.replicas, desired.partition, Phase::Scaling { to: desired.replicas });
    };
    if set.directory != desired.directory {
        return Step::new(0, 0, Phase::ChangingDirectory);
    }
    // Until Kubernetes has taken the new revision for the current one, pods below the partition would be of the one before.
    let is_renewed = set.is_observed && set.is_renewed();
    if set.replicas == 0 && desired.replicas > 0 && !is_renewed && set.template == desired.template {
        return Step::new(0, 0, Phase::ChangingDirectory);
    }
    let replicas = replicas(set, pods, desired, permission);
    let mut step = partition(set, pods, desired, permission, replicas);
    if replicas != desired.replicas || set.replicas != desired.replicas {
        step.phase = Phase::Scaling { to: desired.replicas };
    }
    step
}

/// Up at once, down by one pod, the highest, when the one before is gone.
fn replicas(set: &Set, pods: &BTreeMap<i32, Pod>, desired: &Desired, permission: Permission) -> i32 {
    if desired.replicas >= set.replicas {
        return desired.replicas;
    }
    let is_ending = pods.iter().any(|(ordinal, pod)| pod.terminating || *ordinal >= set.replicas);
    let may_step = set.is_observed && (!is_ending || permission.is_stuck);
    if may_step { set.replicas - 1 } else { set.replicas }
}

fn partition(set: &Set, pods: &BTreeMap<i32, Pod>, desired: &Desired, permission: Permission, replicas: i32) -> Step {
    let changes = set.template != desired.template;
    if !changes && !set.is_observed {
        // Which pods are old is not known yet.
        return Step::new(replicas, set.partition, Phase::Unseen);
    }
    let state = |ordinal: i32| match pods.get(&ordinal) {
        None => State::Missing,
        Some(pod) if pod.terminating => State::Ending,
        Some(pod) if changes || pod.revision != set.update_revision => State::Old { ready: pod.ready },
        Some(pod) => State::New { ready: pod.ready },
    };
    let states: Vec<State> = (0..replicas).map(state).collect();
    let has_old = states.iter().any(|state| matches!(state, State::Old { .. }));
    let lowest = desired.partition.min(replicas);
    let hold = hold(set, desired, permission, replicas);
    // What is away comes back as the old version while the new one is held back, but for what had been let through before.
    let waits = |(ordinal, state): (usize, &State)| match state {
        State::New { .. } => false,
        State::Old { .. } => true,
        State::Missing | State::Ending => {
            let ordinal = as_ordinal(ordinal);
            changes || (!set.is_renewed() && (ordinal < set.partition || ordinal >= set.replicas))
        }
    };
    let highest = states.iter().enumerate().rposition(waits);
    if !has_old && !changes && (hold.is_none() || highest.is_none()) {
        let is_new = |state: &State| matches!(state, State::New { ready: true });
        let unready = states.iter().rposition(|state| !is_new(state));
        let phase = unready.map_or(Phase::Settled, |ordinal| Phase::Rolling { ordinal: as_ordinal(ordinal) });
        return Step::new(replicas, desired.partition, phase);
    }
    if let Some(why) = hold {
        let partition = highest.map_or(lowest, |ordinal| as_ordinal(ordinal) + 1).max(lowest);
        return Step::new(replicas, partition, Phase::Waiting { why });
    }
    walk(set, pods, &states, lowest, desired, permission)
}

/// Why no pod may be updated now, whatever the others do.
fn hold(set: &Set, desired: &Desired, permission: Permission, replicas: i32) -> Option<Wait> {
    if desired.paused {
        Some(Wait::Paused)
    } else if desired.replicas < replicas.max(set.replicas) {
        Some(Wait::ScaleIn)
    } else if !permission.slot {
        // Valkey waits for it too.
        Some(Wait::Slot)
    } else if !permission.redis_is_settled {
        Some(Wait::Redis)
    } else {
        None
    }
}

/// From the highest ordinal down: what is new stays, what is missing comes back as new, and the first old one is next.
fn walk(
    set: &Set,
    pods: &BTreeMap<i32, Pod>,
    states: &[State],
    lowest: i32,
    desired: &Desired,
    permission: Permission,
) -> Step {
    let replicas = as_ordinal(states.len());
    let mut unsettled = None;
    let mut partition = replicas.max(lowest);
    for ordinal in (lowest..replicas).rev() {
        match states[usize::try_from(ordinal).unwrap_or_default()] {
            State::New { ready: true } => {}
            State::Missing | State::Ending | State::New { ready: false } => unsettled = unsettled.or(Some(ordinal)),
            State::Old { ready } => {
                if let Some(ordinal) = unsettled {
                    return Step::new(replicas, partition, Phase::Rolling { ordinal });
                }
                if !others_allow(pods, states, ordinal, permission) {
                    return Step::new(replicas, partition, Phase::Waiting { why: Wait::OtherPods });
                }
                let mut step = Step::new(replicas, ordinal, Phase::Rolling { ordinal });
                let applied = set.is_observed && set.partition <= ordinal && set.template == desired.template;
                let all_others_are_ready = others(states, ordinal)
                    .all(|state| matches!(state, State::Old { ready: true } | State::New { ready: true }));
                if applied && !(ready && all_others_are_ready) {
                    step.delete = pods.get(&ordinal).map(|pod| (pod.name.clone(), pod.uid.clone()));
                }
                return step;
            }
        }
        partition = ordinal;
    }
    let phase = unsettled.map_or(Phase::Settled, |ordinal| Phase::Rolling { ordinal });
    // What is left of the old version is below the user's partition, on purpose.
    Step::new(replicas, desired.partition, phase)
}

/// Whether all pods but `ordinal` bear that it goes away for a moment.
fn others_allow(pods: &BTreeMap<i32, Pod>, states: &[State], ordinal: i32, permission: Permission) -> bool {
    let leaving = pods.keys().any(|other| *other >= as_ordinal(states.len()));
    if leaving && !permission.is_stuck {
        return false;
    }
    others(states, ordinal).all(|state| match state {
        State::New { ready: true } | State::Old { ready: true } => true,
        // The new version does not come up: no further pod gets it.
        State::New { ready: false } => false,
        State::Old { ready: false } | State::Missing => permission.patience_is_over,
        State::Ending => permission.is_stuck,
    })
}

fn others(states: &[State], ordinal: i32) -> impl Iterator<Item = State> + '_ {
    states.iter().enumerate().filter(move |(other, _)| as_ordinal(*other) != ordinal).map(|(_, state)| *state)
}

fn as_ordinal(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
