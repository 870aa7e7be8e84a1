//! The pace of offers: which pod gets the next room, and how many offers it may have open, by its earlier answers. Pure: no I/O.
//!
//! As TCP adapts its window: one more after each answer without a queue, one less after each delayed answer, and a single one,
//! after a pause, once an offer has failed.

use std::collections::{BTreeMap, BTreeSet};

use crate::lease::Target;
use crate::protocol::PodBoot;

/// Open offers of one pod: at first, the minimum while it answers, and the maximum.
const FIRST: usize = 16;
const LEAST: usize = 4;
const MOST: usize = 1_024;
/// An answer counts as delayed if it took 1.5 times as long as the quickest one plus this (ms). Rooms are paused for that time, and their
/// clients look for the new owner behind the same queue: with 3, the slowest line of 10,000 rooms was delayed by 25 to 35 ms, with 1 by
/// 13 to 18 ms, and all rooms had left after 1.4 s instead of 1.0 (`bench/scale --only drain`).
const QUEUE: u64 = 1;
/// Pause after a failed offer, doubled with each further failure (ms).
const PAUSE: u64 = 250;
const LONGEST_PAUSE: u64 = 2_000;

#[derive(Debug)]
struct Pace {
    target: Target,
    /// The directory lists it as a pod that takes rooms.
    listed: bool,
    /// It has had offers since it was listed.
    offered: bool,
    open: usize,
    window: usize,
    /// The duration of its quickest answer (ms).
    quickest: Option<u64>,
    pause: u64,
    paused_until: u64,
}

impl Pace {
    fn new(target: Target) -> Self {
        Self {
            target,
            listed: false,
            offered: false,
            open: 0,
            window: FIRST,
            quickest: None,
            pause: PAUSE,
            paused_until: 0,
        }
    }

    fn taken(&mut self, took: u64) {
        let quickest = self.quickest.map_or(took, |quickest| quickest.min(took));
        self.quickest = Some(quickest);
        self.pause = PAUSE;
        self.window = if took <= quickest + quickest / 2 + QUEUE {
            (self.window + 1).min(MOST)
        } else {
            self.window.saturating_sub(1).max(LEAST.min(self.window))
        };
    }

    /// Offers that were open together count as one failure.
    fn failed(&mut self, now: u64) {
        if now >= self.paused_until {
            self.window = 1;
            self.paused_until = now + self.pause;
            self.pause = (2 * self.pause).min(LONGEST_PAUSE);
        }
    }
}

/// The result of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The target took the room, after this many milliseconds.
    Taken(u64),
    /// The target declined, at this time (ms).
    Failed(u64),
    /// The room left in another way.
    Void,
}

/// The pods that get offers.
#[derive(Debug, Default)]
pub struct Targets(BTreeMap<PodBoot, Pace>);

impl Targets {
    /// Updates the pods that the directory lists. Others keep their pace: they may be linked.
    pub fn listed(&mut self, targets: Vec<Target>) {
        self.0.values_mut().for_each(|pace| pace.listed = false);
        for target in targets {
            let pace = self.0.entry(target.boot).or_insert_with(|| Pace::new(target.clone()));
            // While offers are made, the lease was written before the last of them, so that its count lacks them. Else it is right:
            // the pod may have lost many of its rooms since.
            let counted = if pace.offered || pace.open > 0 { pace.target.rooms } else { 0 };
            pace.target = Target { rooms: target.rooms.max(counted), ..target };
            (pace.listed, pace.offered) = (true, false);
        }
    }

    /// The listed pods.
    pub fn all_listed(&self) -> impl Iterator<Item = &Target> {
        self.0.values().filter(|pace| pace.listed).map(|pace| &pace.target)
    }

    /// Picks a pod for the next room: the linked, listed pod with the fewest rooms. An unlisted pod only if every listed one is paused,
    /// and never if `only_listed`. Counts the offer as open.
    pub fn choose(&mut self, now: u64, linked: impl Iterator<Item = PodBoot>, only_listed: bool) -> Option<Target> {
        let (mut listed, mut others) = (Vec::new(), Vec::new());
        let linked: BTreeSet<PodBoot> = linked.collect();
        self.0.retain(|boot, pace| pace.listed || pace.open > 0 || linked.contains(boot));
        for boot in linked {
            let unknown = || Target { pod_id: boot.to_string(), boot, peer: String::new(), rooms: 0 };
            let pace = self.0.entry(boot).or_insert_with(|| Pace::new(unknown()));
            if pace.paused_until <= now {
                if pace.listed { listed.push(boot) } else { others.push(boot) }
            }
        }
        let candidates = if listed.is_empty() && !only_listed { others } else { listed };
        let open = |boot: &PodBoot| self.0.get(boot).filter(|pace| pace.open < pace.window);
        let (_, boot) = candidates.iter().filter_map(|boot| Some((open(boot)?.target.rooms, *boot))).min()?;
        let pace = self.0.get_mut(&boot)?;
        pace.open += 1;
        pace.offered = true;
        pace.target.rooms = pace.target.rooms.saturating_add(1);
        Some(pace.target.clone())
    }

    /// Panics if the open offers of a pod differ from `offers`.
    pub fn check_open(&self, offers: impl Fn(PodBoot) -> usize) {
        for (boot, pace) in &self.0 {
            assert_eq!(pace.open, offers(*boot), "open offers to {boot}");
        }
    }

    pub fn ended(&mut self, boot: PodBoot, how: Ended) {
        if let Some(pace) = self.0.get_mut(&boot) {
            pace.open = pace.open.saturating_sub(1);
            if let Ended::Taken(took) = how {
                return pace.taken(took);
            }
            pace.target.rooms = pace.target.rooms.saturating_sub(1);
            if let Ended::Failed(now) = how {
                pace.failed(now);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn target(boot: u64, rooms: u64) -> Target {
        Target { pod_id: format!("chat-{boot}"), boot: PodBoot(boot), peer: String::new(), rooms }
    }

    fn chosen(targets: &mut Targets, now: u64) -> Option<u64> {
        targets.choose(now, [1, 2, 3].map(PodBoot).into_iter(), false).map(|target| target.boot.0)
    }

    #[test]
    fn the_window_follows_the_answers() {
        let mut targets = Targets::default();
        targets.listed(vec![target(1, 0)]);
        let fill = |targets: &mut Targets, now| (0..MOST).take_while(|_| chosen(targets, now) == Some(1)).count();
        assert_eq!(fill(&mut targets, 0), FIRST);
        // Answers after one round trip double the window.
        (0..FIRST).for_each(|_| targets.ended(PodBoot(1), Ended::Taken(200)));
        assert_eq!(fill(&mut targets, 200), 2 * FIRST);
        // Delayed answers shrink it.
        (0..2 * FIRST).for_each(|_| targets.ended(PodBoot(1), Ended::Taken(400)));
        assert_eq!(fill(&mut targets, 600), LEAST);
    }

    /// On a fast network the queue is what pauses a room.
    #[test]
    fn answers_that_wait_two_milliseconds_are_a_queue() {
        let mut targets = Targets::default();
        targets.listed(vec![target(1, 0)]);
        assert_eq!(chosen(&mut targets, 0), Some(1));
        targets.ended(PodBoot(1), Ended::Taken(0));
        for _ in 0..100 {
            assert_eq!(chosen(&mut targets, 0), Some(1));
            targets.ended(PodBoot(1), Ended::Taken(2));
        }
        let open = (0..MOST).take_while(|_| chosen(&mut targets, 0) == Some(1)).count();
        assert_eq!(open, LEAST);
    }

    #[test]
    fn a_pod_that_does_not_take_rooms_is_left_alone_for_a_while_and_then_tried_with_one() {
        let mut targets = Targets::default();
        targets.listed(vec![target(1, 0)]);
        let (mut now, mut tries) = (0, Vec::new());
        while now < 20_000 {
            while let Some(boot) = targets.choose(now, std::iter::once(PodBoot(1)), false) {
                tries.push(now);
                targets.ended(boot.boot, Ended::Failed(now));
            }
            now += 50;
        }
        assert_eq!(tries[..5], [0, 250, 750, 1_750, 3_750]);
        assert!(tries.len() < 15, "{tries:?}");
    }

    #[test]
    fn a_pod_counts_by_its_lease_again_once_no_offers_are_made() {
        let mut targets = Targets::default();
        targets.listed(vec![target(1, 3), target(2, 900)]);
        assert_eq!(chosen(&mut targets, 0), Some(1));
        targets.listed(vec![target(1, 3), target(2, 10)]);
        assert_eq!(targets.0[&PodBoot(1)].target.rooms, 4, "its lease lacks the open offer");
        targets.ended(PodBoot(1), Ended::Taken(5));
        targets.listed(vec![target(1, 100), target(2, 10)]);
        assert_eq!(chosen(&mut targets, 9), Some(2), "it has had 900 once");
        // Who is gone is forgotten.
        targets.ended(PodBoot(2), Ended::Taken(5));
        targets.listed(vec![target(3, 0)]);
        assert_eq!(targets.choose(20, std::iter::once(PodBoot(3)), true).map(|target| target.boot), Some(PodBoot(3)));
        assert_eq!(targets.0.len(), 1);
    }

    #[test]
    fn pods_that_are_not_listed_come_after_those_that_are() {
        let mut targets = Targets::default();
        targets.listed(vec![target(2, 5), target(3, 4)]);
        assert_eq!([0; 4].map(|now| chosen(&mut targets, now).unwrap()), [3, 2, 3, 2]);
        // Each of these is at its limit: the offer waits for an answer.
        while chosen(&mut targets, 0).is_some() {}
        assert_eq!(targets.0[&PodBoot(1)].open, 0);
        for boot in [2, 3] {
            targets.ended(PodBoot(boot), Ended::Failed(0));
        }
        assert_eq!(chosen(&mut targets, 0), Some(1));
        targets.listed(Vec::new());
        assert_eq!(chosen(&mut targets, 1), Some(1));
    }
}
