//! Which ChatDeployments roll now: no more than so many at once. In memory; no I/O.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::record::Key;

/// A roll-out that waits for pods of the old version, and does not go on for this long, no longer keeps others from rolling.
const STALLED_AFTER: Duration = Duration::from_mins(1);

/// How far the roll-out of one ChatDeployment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rolling {
    /// Something of the old version is to be replaced.
    pub needs_slot: bool,
    /// The new version has reached pods that are not ready with it yet.
    pub is_unfinished: bool,
    /// Anything that changes when it goes on.
    pub progress: u64,
}

#[derive(Debug)]
pub struct Slots {
    most: usize,
    held: HashMap<Key, Held>,
}

#[derive(Debug)]
struct Held {
    rolling: Rolling,
    since: Instant,
}

impl Held {
    /// A new version that does not come up counts until it does, is corrected or is paused: else a bad image that all deployments get
    /// would go on to some more of them each minute. What hinders an old version's pods from going is no danger to others.
    fn counts(&self, now: Instant) -> bool {
        self.rolling.is_unfinished || now.saturating_duration_since(self.since) < STALLED_AFTER
    }
}

impl Slots {
    pub fn new(most: usize) -> Self {
        Self { most, held: HashMap::new() }
    }

    /// Whether `key` may roll. Whoever has a slot keeps it until all pods are ready with the new version.
    pub fn take(&mut self, key: &Key, rolling: Rolling, now: Instant) -> bool {
        let held = self.held.get(key);
        let goes_on = held.is_some() && rolling.is_unfinished;
        if !rolling.needs_slot && !goes_on {
            self.give_back(key);
            return true;
        }
        if held.is_none() && self.held.values().filter(|held| held.counts(now)).count() >= self.most {
            return false;
        }
        let since = held.filter(|held| held.rolling.progress == rolling.progress).map_or(now, |held| held.since);
        self.held.insert(key.clone(), Held { rolling, since });
        true
    }

    pub fn give_back(&mut self, key: &Key) {
        self.held.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Rolling = Rolling { needs_slot: true, is_unfinished: false, progress: 1 };
    const NEW: Rolling = Rolling { needs_slot: false, is_unfinished: true, progress: 2 };
    const DONE: Rolling = Rolling { needs_slot: false, is_unfinished: false, progress: 3 };

    fn key(name: &str) -> Key {
        Key { namespace: "n".into(), name: name.into() }
    }

    #[test]
    fn slots_are_few_and_one_that_waits_for_its_old_pods_holds_up_nobody() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut slots = Slots::new(1);
        assert!(slots.take(&key("a"), OLD, start));
        assert!(!slots.take(&key("b"), OLD, start));
        assert!(slots.take(&key("b"), OLD, at(61)));
        assert!(slots.take(&key("a"), Rolling { progress: 9, ..OLD }, at(62)), "it goes on beside the other");
        assert!(!slots.take(&key("c"), OLD, at(63)));
        slots.give_back(&key("a"));
        slots.give_back(&key("b"));
        assert!(slots.take(&key("c"), OLD, at(64)));
    }

    #[test]
    fn a_new_version_that_does_not_come_up_keeps_its_slot() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut slots = Slots::new(1);
        assert!(slots.take(&key("a"), OLD, start));
        assert!(slots.take(&key("a"), NEW, at(5)), "no old pod is left, and the new one is not ready");
        assert!(!slots.take(&key("b"), OLD, at(6)));
        assert!(!slots.take(&key("b"), OLD, at(9999)), "however long that takes");
        assert!(slots.take(&key("a"), OLD, at(10_000)), "its correction need not wait");
        assert!(slots.take(&key("a"), NEW, at(10_001)));
        assert!(slots.take(&key("a"), DONE, at(10_002)));
        assert!(slots.take(&key("b"), OLD, at(10_003)));
        assert!(slots.take(&key("c"), NEW, at(10_004)), "pods that only start need no slot");
        slots.give_back(&key("b"));
        assert!(slots.take(&key("d"), OLD, at(10_005)), "and take none");
    }
}
