//! How long pods have been unavailable, and how long they may be. In memory; no I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::api::ChatDeploymentSpec;
use crate::hash;
use crate::plan::valkey::{Stranded, Waits};
use crate::queue::Requeue;
use crate::rollout::Pod;

/// Pods of the old version that are unready or missing for this long are not waited for. A process that ends and starts again is ready
/// after some 3 s, a pod that is replaced after 10 s: in that time a roll-out would take a second pod, at two replicas the last one.
const PATIENCE: Duration = Duration::from_secs(15);
/// Beyond its grace period a pod may take this long to end before it counts as stuck.
pub(super) const STUCK_AFTER: Duration = Duration::from_mins(1);
/// A pod that has served is lost when it is away for this long, and one that is missing.
const LOST_AFTER: Duration = Duration::from_mins(1);
/// A pod that has not served yet may take this long: its image may have to be fetched.
const STARTS_WITHIN: Duration = Duration::from_mins(3);
/// A node that is silent for this long, from when Kubernetes says so, is not waited for by what holds nothing.
const SILENT_FOR: Duration = Duration::from_secs(10);
/// Valkey has 30 s to end, and its node some more to say that it has.
const VALKEY_ENDS_WITHIN: Duration = Duration::from_secs(36);
/// How long Kubernetes lets a pod end.
pub(super) fn grace(spec: &ChatDeploymentSpec) -> Duration {
    Duration::from_secs(u64::try_from(spec.drain.deadline_seconds).unwrap_or_default() + 10)
}

/// Of the pods of one ChatDeployment.
#[derive(Debug)]
pub struct Patience {
    away_since: BTreeMap<i32, Instant>,
    ending: BTreeSet<String>,
    ending_since: Instant,
    /// The pod that was last ready, by ordinal, as a hash of its uid: there are many, and they are only compared.
    served: BTreeMap<i32, u64>,
    absent: BTreeMap<i32, Absent>,
    /// The uid of a Valkey that is on a silent node or ends, what of both, and since when.
    stranded: Option<(String, Waits, Instant)>,
}

/// What is in the place of a pod that would serve, and when it counts as lost.
#[derive(Debug)]
struct Absent {
    /// Nothing if no pod is there.
    uid: Option<String>,
    is_ending: bool,
    lost_at: Instant,
}

impl Patience {
    pub fn new(now: Instant) -> Self {
        Self {
            away_since: BTreeMap::new(),
            ending: BTreeSet::new(),
            ending_since: now,
            served: BTreeMap::new(),
            absent: BTreeMap::new(),
            stranded: None,
        }
    }

    /// Remembers which pods are away. Whether `outdated`, some of them, have all been so for so long that waiting is no use.
    pub fn is_over(
        &mut self,
        away: &BTreeSet<i32>,
        outdated: &BTreeSet<i32>,
        now: Instant,
        requeue: &mut Requeue,
    ) -> bool {
        self.away_since.retain(|ordinal, _| away.contains(ordinal));
        for ordinal in away {
            self.away_since.entry(*ordinal).or_insert(now);
        }
        free_if_empty(&mut self.away_since);
        let since = outdated.iter().filter_map(|ordinal| self.away_since.get(ordinal)).max();
        since.is_some_and(|since| has_passed(PATIENCE, *since, now, requeue))
    }

    /// Pods that have been away for longer than one takes to start.
    pub fn given_up(&self, now: Instant) -> BTreeSet<i32> {
        let is_over = |since: &Instant| now.saturating_duration_since(*since) >= STARTS_WITHIN;
        self.away_since.iter().filter(|(_, since)| is_over(since)).map(|(ordinal, _)| *ordinal).collect()
    }

    /// Whether a pod has been ending for longer than its grace period and a bit.
    pub fn is_stuck(&mut self, ending: BTreeSet<String>, grace: Duration, now: Instant, requeue: &mut Requeue) -> bool {
        if ending.is_empty() || ending.intersection(&self.ending).next().is_none() {
            self.ending_since = now;
        }
        self.ending = ending;
        !self.ending.is_empty() && has_passed(grace + STUCK_AFTER, self.ending_since, now, requeue)
    }

    /// Whether a Valkey that holds nothing has been on a silent node for long enough, or has been ending for longer than it may.
    pub fn valkey_is_lost(&mut self, stranded: Option<Stranded>, now: Instant, requeue: &mut Requeue) -> bool {
        let Some(stranded) = stranded else {
            self.stranded = None;
            return false;
        };
        let before = self.stranded.take().filter(|(uid, waits, _)| (uid, *waits) == (&stranded.uid, stranded.waits));
        let since = before.map_or(now, |(_, _, since)| since);
        self.stranded = Some((stranded.uid, stranded.waits, since));
        let most = match stranded.waits {
            Waits::Node => SILENT_FOR,
            Waits::End => VALKEY_ENDS_WITHIN,
        };
        stranded.may_go && has_passed(most, since, now, requeue)
    }

    /// Which of the `expected` pods have been away for so long that this is no start, no restart and no drain any more. One
    /// that is lost stays so until a pod is ready in its place. `is_known`: the status says already that some are, which
    /// an operator that has just started need not find out again.
    pub fn lost(
        &mut self,
        expected: &BTreeSet<i32>,
        pods: &BTreeMap<i32, Pod>,
        grace: Duration,
        is_known: bool,
        now: Instant,
        requeue: &mut Requeue,
    ) -> BTreeSet<i32> {
        let is_known = is_known && self.served.is_empty() && self.absent.is_empty();
        let is_ready = |ordinal: &i32| pods.get(ordinal).is_some_and(|pod| pod.ready && !pod.terminating);
        self.served.retain(|ordinal, _| expected.contains(ordinal));
        let ready = pods.iter().filter(|(ordinal, _)| expected.contains(ordinal) && is_ready(ordinal));
        self.served.extend(ready.map(|(ordinal, pod)| (*ordinal, hash::number_of_text(&pod.uid))));
        self.absent.retain(|ordinal, _| expected.contains(ordinal) && !is_ready(ordinal));
        let mut lost = BTreeSet::new();
        for ordinal in expected.iter().filter(|ordinal| !is_ready(ordinal)) {
            let pod = pods.get(ordinal);
            let uid = pod.map(|pod| pod.uid.clone());
            let is_ending = pod.is_some_and(|pod| pod.terminating);
            let starts = uid.as_deref().is_some_and(|uid| self.served.get(ordinal) != Some(&hash::number_of_text(uid)));
            let most = match (is_ending, starts) {
                _ if is_known => Duration::ZERO,
                (true, _) => grace + LOST_AFTER,
                (false, true) => STARTS_WITHIN,
                (false, false) => LOST_AFTER,
            };
            let is_same = |before: &Absent| before.uid == uid && before.is_ending == is_ending;
            let before = self.absent.remove(ordinal).filter(|before| before.lost_at <= now || is_same(before));
            let absent = before.unwrap_or(Absent { uid, is_ending, lost_at: now + most });
            let left = absent.lost_at.saturating_duration_since(now);
            if left.is_zero() {
                lost.insert(*ordinal);
            } else {
                requeue.at_most(left);
            }
            self.absent.insert(*ordinal, absent);
        }
        free_if_empty(&mut self.absent);
        lost
    }
}

/// Whether it is `most` since `since`; if not, that is when to reconcile again.
pub(super) fn has_passed(most: Duration, since: Instant, now: Instant, requeue: &mut Requeue) -> bool {
    let left = most.saturating_sub(now.saturating_duration_since(since));
    if !left.is_zero() {
        requeue.at_most(left);
    }
    left.is_zero()
}

/// A map that was emptied keeps room for eleven entries, which adds up over a thousand deployments.
fn free_if_empty<K, V>(map: &mut BTreeMap<K, V>) {
    if map.is_empty() {
        *map = BTreeMap::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never() -> Requeue {
        Requeue::within(Duration::MAX)
    }

    fn left(requeue: &Requeue) -> Option<Duration> {
        Some(requeue.time()).filter(|time| *time < Duration::MAX)
    }

    #[test]
    fn patience_runs_out_for_each_pod_from_when_it_went_away() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut patience = Patience::new(start);
        let mut over = |away: &[i32], outdated: &[i32], seconds| {
            let set = |ordinals: &[i32]| ordinals.iter().copied().collect();
            patience.is_over(&set(away), &set(outdated), at(seconds), &mut never())
        };
        assert!(!over(&[0], &[], 0), "nobody waits for it");
        assert!(over(&[0, 2], &[0], 16), "long broken when the roll-out begins");
        assert!(!over(&[0, 2], &[0, 2], 17), "one of them for a moment only");
        assert!(over(&[0, 2], &[0, 2], 32));
        assert!(!over(&[], &[], 33));
        assert!(!over(&[0], &[0], 34), "it was back in between");
        assert!(over(&[0, 1], &[0], 100));
        assert_eq!(patience.given_up(at(213)), [].into());
        assert_eq!(patience.given_up(at(214)), [0].into());
    }

    #[test]
    fn a_pod_is_lost_when_it_is_away_for_longer_than_its_state_allows() {
        let start = Instant::now();
        let grace = Duration::from_secs(35);
        let pod = |uid: &str, ready, terminating| Pod {
            name: String::new(),
            uid: uid.into(),
            revision: String::new(),
            directory: String::new(),
            ready,
            terminating,
        };
        let mut patience = Patience::new(start);
        let mut lost = |seconds, second: Option<Pod>| {
            let first = pod("u0", true, false);
            let pods = [(0, Some(first)), (1, second)].into_iter().filter_map(|(at, pod)| Some((at, pod?))).collect();
            let mut requeue = never();
            let lost =
                patience.lost(&[0, 1].into(), &pods, grace, false, start + Duration::from_secs(seconds), &mut requeue);
            (!lost.is_empty(), left(&requeue).map(|left| left.as_secs()))
        };
        // It starts for the first time.
        assert_eq!(lost(0, Some(pod("u1", false, false))), (false, Some(180)));
        assert_eq!(lost(179, Some(pod("u1", false, false))), (false, Some(1)));
        assert_eq!(lost(180, Some(pod("u1", false, false))), (true, None));
        assert_eq!(lost(200, Some(pod("u1", true, false))), (false, None));
        // It has served and is no longer ready.
        assert_eq!(lost(300, Some(pod("u1", false, false))), (false, Some(60)));
        assert_eq!(lost(360, Some(pod("u1", false, false))), (true, None));
        assert_eq!(lost(370, Some(pod("u1", false, true))), (true, None), "its node is given up: it is still away");
        assert_eq!(lost(380, Some(pod("u2", true, false))), (false, None));
        // It drains, and its node has died.
        assert_eq!(lost(400, Some(pod("u2", true, true))), (false, Some(95)));
        assert_eq!(lost(480, Some(pod("u2", true, true))), (false, Some(15)));
        // It is gone, and its successor fetches its image, and comes up at last.
        assert_eq!(lost(490, None), (false, Some(60)));
        assert_eq!(lost(500, Some(pod("u3", false, false))), (false, Some(180)));
        assert_eq!(lost(680, Some(pod("u3", false, false))), (true, None));
        assert_eq!(lost(681, Some(pod("u3", true, false))), (false, None));
        assert_eq!(lost(690, Some(pod("u3", false, false))), (false, Some(60)), "it has served");
        assert_eq!(lost(700, None), (false, Some(60)));
        assert_eq!(lost(760, None), (true, None));

        let mut started = Patience::new(start);
        let mut lost =
            |is_known| started.lost(&[0].into(), &BTreeMap::new(), grace, is_known, start, &mut never()).len();
        assert_eq!((lost(true), lost(false)), (1, 1), "the status has said it before this operator started");
        let mut started = Patience::new(start);
        assert_eq!(started.lost(&[0].into(), &BTreeMap::new(), grace, false, start, &mut never()).len(), 0);
    }

    #[test]
    fn a_valkey_is_let_go_when_its_node_has_been_silent_and_not_before() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let stranded = |uid: &str, waits, may_go| Some(Stranded { name: "v".into(), uid: uid.into(), may_go, waits });
        let mut patience = Patience::new(start);
        let mut lost = |stranded, seconds| {
            let mut requeue = never();
            (patience.valkey_is_lost(stranded, at(seconds), &mut requeue), left(&requeue))
        };
        assert_eq!(lost(stranded("u", Waits::Node, true), 0), (false, Some(SILENT_FOR)));
        assert_eq!(lost(None, 5), (false, None), "the node is back");
        assert_eq!(lost(stranded("u", Waits::Node, true), 6), (false, Some(SILENT_FOR)));
        assert_eq!(
            lost(stranded("u", Waits::Node, false), 30),
            (false, None),
            "its volume holds it, or nobody is elsewhere"
        );
        assert!(lost(stranded("u", Waits::Node, true), 30).0);
        assert!(!lost(stranded("u2", Waits::Node, true), 31).0, "its successor");
        assert!(!lost(stranded("u2", Waits::End, true), 41).0, "an orderly end may take as long as it does");
        assert!(!lost(stranded("u2", Waits::End, true), 76).0 && lost(stranded("u2", Waits::End, true), 77).0);
    }
}
