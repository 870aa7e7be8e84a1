//! Limits how many ChatDeployments roll at once. In memory; after a restart it is rebuilt from the cluster, except for slots of
//! deployments that had not begun. No I/O.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::record::Key;

/// A roll-out that waits for pods of the old version, and does not go on for this long, no longer keeps others from rolling.
const STALLED_AFTER: Duration = Duration::from_mins(1);
/// An operator that starts gives no slot before it has looked at all ChatDeployments for who rolls already, but for no longer than this.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// How far the roll-out of one ChatDeployment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rolling {
    /// Something of the old version is to be replaced.
    pub needs_slot: bool,
    /// The new version has reached pods that are not ready with it yet.
    pub is_unfinished: bool,
    /// How many chat pods there are to be at the time.
    pub replicas: i32,
    /// Anything that changes when it goes on.
    pub progress: u64,
}

/// Who holds one of the slots of `--max-rollouts`.
#[derive(Debug)]
pub struct RolloutLimiter {
    most: usize,
    held: HashMap<Key, Held>,
    /// Those that were there when the operator started and have not been looked at yet.
    unseen: HashSet<Key>,
    starts_until: Option<Instant>,
}

#[derive(Debug)]
struct Held {
    rolling: Rolling,
    /// The fewest chat pods since it took its slot: what is above was added meanwhile.
    began_with: i32,
    since: Instant,
}

impl Held {
    /// A new version that does not come up counts until it does, is corrected or is paused: else a bad image that all deployments get
    /// would go on to some more of them each minute. What hinders an old version's pods from going is no danger to others.
    fn counts(&self, now: Instant) -> bool {
        self.rolling.is_unfinished || now.saturating_duration_since(self.since) < STALLED_AFTER
    }
}

impl RolloutLimiter {
    /// `most`: how many may roll at once.
    pub fn new(most: usize) -> Self {
        Self { most, held: HashMap::new(), unseen: HashSet::new(), starts_until: None }
    }

    /// Of an operator that starts, with these ChatDeployments.
    pub fn start(&mut self, keys: Vec<Key>, now: Instant) {
        self.unseen = keys.into_iter().collect();
        self.starts_until = Some(now + STARTS_WITHIN);
    }

    /// Whether it is not known yet who rolls.
    pub fn are_starting(&self, now: Instant) -> bool {
        !self.unseen.is_empty() && self.starts_until.is_some_and(|until| now < until)
    }

    /// Whether `key` may roll. A deployment keeps its slot until all pods are ready with the new version. One that a starting
    /// operator finds half-way has had one, and counts, even if that makes more than there are.
    pub fn take(&mut self, key: &Key, rolling: Rolling, now: Instant) -> bool {
        let is_first_look = self.unseen.remove(key);
        let held = self.held.get(key);
        let goes_on = rolling.is_unfinished && (held.is_some() || is_first_look);
        if !rolling.needs_slot && !goes_on {
            self.give_back(key);
            return true;
        }
        let is_full = || self.held.values().filter(|held| held.counts(now)).count() >= self.most;
        if held.is_none() && !goes_on && (self.are_starting(now) || is_full()) {
            return false;
        }
        let since = held.filter(|held| held.rolling.progress == rolling.progress).map_or(now, |held| held.since);
        let began_with = held.map_or(rolling.replicas, |held| held.began_with.min(rolling.replicas));
        self.held.insert(key.clone(), Held { rolling, began_with, since });
        true
    }

    /// How many chat pods there were when `key` took its slot.
    pub fn began_with(&self, key: &Key) -> Option<i32> {
        self.held.get(key).map(|held| held.began_with)
    }

    /// Deployments that hold a slot without progress, by name: others wait for them.
    pub fn stalled(&self, now: Instant) -> Vec<String> {
        let is_stalled = |held: &Held| held.counts(now) && now.saturating_duration_since(held.since) >= STALLED_AFTER;
        let stalled = self.held.iter().filter(|(_, held)| is_stalled(held));
        let mut names: Vec<String> = stalled.map(|(key, _)| key.to_string()).collect();
        names.sort();
        names
    }

    /// Its ChatDeployment is gone.
    pub fn give_back(&mut self, key: &Key) {
        self.held.remove(key);
        self.unseen.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Rolling = Rolling { needs_slot: true, is_unfinished: false, replicas: 3, progress: 1 };
    const NEW: Rolling = Rolling { needs_slot: false, is_unfinished: true, replicas: 3, progress: 2 };
    const DONE: Rolling = Rolling { needs_slot: false, is_unfinished: false, replicas: 3, progress: 3 };

    fn key(name: &str) -> Key {
        Key { namespace: "n".into(), name: name.into() }
    }

    #[test]
    fn slots_are_few_and_one_that_waits_for_its_old_pods_holds_up_nobody() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut limiter = RolloutLimiter::new(1);
        assert!(limiter.take(&key("a"), OLD, start));
        assert!(!limiter.take(&key("b"), OLD, start));
        assert!(limiter.take(&key("b"), OLD, at(61)));
        assert!(limiter.take(&key("a"), Rolling { progress: 9, ..OLD }, at(62)), "it goes on beside the other");
        assert!(!limiter.take(&key("c"), OLD, at(63)));
        limiter.give_back(&key("a"));
        limiter.give_back(&key("b"));
        assert!(limiter.take(&key("c"), OLD, at(64)));
    }

    #[test]
    fn a_new_version_that_does_not_come_up_keeps_its_slot() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut limiter = RolloutLimiter::new(1);
        assert!(limiter.take(&key("a"), OLD, start));
        assert!(limiter.take(&key("a"), NEW, at(5)), "no old pod is left, and the new one is not ready");
        assert!(!limiter.take(&key("b"), OLD, at(6)));
        assert!(!limiter.take(&key("b"), OLD, at(9999)), "however long that takes");
        assert!(limiter.take(&key("a"), OLD, at(10_000)), "its correction need not wait");
        assert!(limiter.take(&key("a"), NEW, at(10_001)));
        assert!(limiter.take(&key("a"), DONE, at(10_002)));
        assert!(limiter.take(&key("b"), OLD, at(10_003)));
        assert!(limiter.take(&key("c"), NEW, at(10_004)), "pods that only start need no slot");
        limiter.give_back(&key("b"));
        assert!(limiter.take(&key("d"), OLD, at(10_005)), "and take none");
    }
    #[test]
    fn an_operator_that_starts_finds_out_who_rolls_before_it_lets_others() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let began = || {
            let mut limiter = RolloutLimiter::new(1);
            limiter.start(["a", "b", "c"].map(key).into(), start);
            limiter
        };
        let mut limiter = began();
        assert!(!limiter.take(&key("c"), OLD, at(1)), "it is not known whether another one rolls");
        assert!(limiter.take(&key("a"), Rolling { needs_slot: true, ..NEW }, at(1)), "half-way");
        assert!(limiter.are_starting(at(1)));
        assert!(limiter.take(&key("b"), NEW, at(1)), "half-way too, above the number");
        assert!(!limiter.are_starting(at(1)) && !limiter.take(&key("c"), OLD, at(2)), "both count");
        assert_eq!(limiter.stalled(at(60)), Vec::<String>::new());
        assert_eq!(limiter.stalled(at(61)), ["n/a", "n/b"]);
        limiter.give_back(&key("a"));
        assert!(limiter.take(&key("b"), DONE, at(70)) && limiter.take(&key("c"), OLD, at(70)));

        let mut limiter = began();
        assert!(
            !limiter.take(&key("c"), OLD, at(29)) && limiter.take(&key("c"), OLD, at(30)),
            "whatever the others do"
        );
        let mut limiter = began();
        limiter.give_back(&key("a"));
        assert!(limiter.take(&key("b"), DONE, start) && limiter.take(&key("c"), OLD, start), "nobody rolls");
    }

    #[test]
    fn what_is_added_during_a_roll_out_is_told_from_what_is_updated() {
        let start = Instant::now();
        let mut limiter = RolloutLimiter::new(1);
        let mut began_with = |replicas| {
            assert!(limiter.take(&key("a"), Rolling { replicas, ..OLD }, start));
            limiter.began_with(&key("a"))
        };
        assert_eq!([3, 5, 2, 5].map(&mut began_with), [Some(3), Some(3), Some(2), Some(2)]);
        limiter.give_back(&key("a"));
        assert_eq!(limiter.began_with(&key("a")), None);
    }
}
