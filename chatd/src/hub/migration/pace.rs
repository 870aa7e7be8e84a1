//! Which pod is offered the next room, and how many offers it may have open: its answers to earlier ones decide. Pure: no I/O.
//!
//! As TCP finds its window: one more with each answer that came without a queue before it, one less with each that had to wait,
//! and one alone, after a pause, once an offer has failed.

use std::collections::BTreeMap;

use crate::lease::Target;
use crate::protocol::PodBoot;

/// Offers that a pod may have open: at first, at least while it answers, and at most.
const FIRST: usize = 16;
const LEAST: usize = 4;
const MOST: usize = 1_024;
/// An answer that took half as long again as the quickest one and this had to wait (ms). Rooms stand still for as long, and their
/// clients find the new owner behind the same queue: with 3 the slowest line of 10,000 rooms met a pause of 25 to 35 ms, with 1 of 13
/// to 18, and the rooms were gone after 1.4 s instead of 1.0 (`bench/scale --only drain`).
const QUEUE: u64 = 1;
/// How long a pod is left alone after an offer has failed: doubled with each failure in a row (ms).
const PAUSE: u64 = 250;
const LONGEST_PAUSE: u64 = 2_000;

#[derive(Debug)]
struct Pace {
    target: Target,
    /// The directory has named it as one that takes rooms.
    listed: bool,
    open: usize,
    window: usize,
    /// How long the quickest answer took (ms).
    quickest: Option<u64>,
    pause: u64,
    paused_until: u64,
}

impl Pace {
    fn new(target: Target) -> Self {
        Self { target, listed: false, open: 0, window: FIRST, quickest: None, pause: PAUSE, paused_until: 0 }
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

    /// What was open together and fails together is one failure.
    fn failed(&mut self, now: u64) {
        if now >= self.paused_until {
            self.window = 1;
            self.paused_until = now + self.pause;
            self.pause = (2 * self.pause).min(LONGEST_PAUSE);
        }
    }
}

/// How an offer has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Taken, after so many milliseconds.
    Taken(u64),
    /// Not taken, which is known at this time (ms).
    Failed(u64),
    /// Something else has become of the room.
    Void,
}

/// The pods that rooms are offered to.
#[derive(Debug, Default)]
pub struct Targets(BTreeMap<PodBoot, Pace>);

impl Targets {
    /// What the directory lists now. What is known of other pods stays: they may be linked.
    pub fn listed(&mut self, targets: Vec<Target>) {
        self.0.values_mut().for_each(|pace| pace.listed = false);
        for target in targets {
            let pace = self.0.entry(target.boot).or_insert_with(|| Pace::new(target.clone()));
            // What was offered since a lease was written is not in its count.
            pace.target = Target { rooms: target.rooms.max(pace.target.rooms), ..target };
            pace.listed = true;
        }
    }

    /// Those that the directory lists.
    pub fn all_listed(&self) -> impl Iterator<Item = &Target> {
        self.0.values().filter(|pace| pace.listed).map(|pace| &pace.target)
    }

    /// A pod for the next room, among those that are linked: one with the fewest rooms of those that the directory lists. Only
    /// where each of them is left alone, and none is being linked (`dialling`), one that it does not list. The offer counts as open.
    pub fn choose(&mut self, now: u64, linked: impl Iterator<Item = PodBoot>, dialling: bool) -> Option<Target> {
        let (mut listed, mut others) = (Vec::new(), Vec::new());
        for boot in linked {
            let unknown = || Target { pod_id: boot.to_string(), boot, peer: String::new(), rooms: 0 };
            let pace = self.0.entry(boot).or_insert_with(|| Pace::new(unknown()));
            if pace.paused_until <= now {
                if pace.listed { listed.push(boot) } else { others.push(boot) }
            }
        }
        let candidates = if listed.is_empty() && !dialling { others } else { listed };
        let open = |boot: &PodBoot| self.0.get(boot).filter(|pace| pace.open < pace.window);
        let (_, boot) = candidates.iter().filter_map(|boot| Some((open(boot)?.target.rooms, *boot))).min()?;
        let pace = self.0.get_mut(&boot)?;
        pace.open += 1;
        pace.target.rooms = pace.target.rooms.saturating_add(1);
        Some(pace.target.clone())
    }

    /// Panics where the offers that count as open are not those that `offers` counts for each pod.
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
        // Answers that come after one round trip double it.
        (0..FIRST).for_each(|_| targets.ended(PodBoot(1), Ended::Taken(200)));
        assert_eq!(fill(&mut targets, 200), 2 * FIRST);
        // Those that had to wait make it smaller.
        (0..2 * FIRST).for_each(|_| targets.ended(PodBoot(1), Ended::Taken(400)));
        assert_eq!(fill(&mut targets, 600), LEAST);
    }

    /// On a quick network it is the queue that a room stands still for.
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
    fn pods_that_are_not_listed_come_after_those_that_are() {
        let mut targets = Targets::default();
        targets.listed(vec![target(2, 5), target(3, 4)]);
        assert_eq!([0; 4].map(|now| chosen(&mut targets, now).unwrap()), [3, 2, 3, 2]);
        // Each of these is full: the offer waits for an answer of theirs.
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
