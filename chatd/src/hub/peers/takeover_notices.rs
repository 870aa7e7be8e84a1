//! Takeover notices: the former owners that have yet to learn that this pod took their room over. Pure: no I/O.
//!
//! Each former owner gets its notice at once, and every 2 s until it acknowledges or 10 min have passed. The room's record lists those that
//! have not acknowledged, so that the next owner continues.

use std::collections::BTreeMap;

use crate::ids::Time;
use crate::protocol::{Ownership, PodBoot, RoomId};
use crate::record::{Former, Owner};

/// The interval of a notice (ms).
const AGAIN: u64 = 2_000;

/// A notice for one former owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeoverNotice {
    pub room: RoomId,
    pub to: Former,
    /// The current owner.
    pub owner: Owner,
}

#[derive(Debug)]
struct Pending {
    to: Former,
    owner: Owner,
    next: u64,
    until: u64,
}

/// Rounded up, so that one pass covers all notices.
fn next_round(now: u64) -> u64 {
    (now / AGAIN + 1) * AGAIN
}

/// See the module's documentation. At most one notice for a room and a former owner.
#[derive(Debug)]
pub struct TakeoverNotices {
    most: usize,
    /// How long a notice is repeated (ms).
    repeated_for: u64,
    pending: BTreeMap<(RoomId, PodBoot), Pending>,
}

impl TakeoverNotices {
    pub fn new(most: usize, repeated_for: u64) -> Self {
        Self { most, repeated_for, pending: BTreeMap::new() }
    }

    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Adds a notice, to be repeated until the former owner acknowledges. Returns when the next one is due (ms). `None`: there are too many;
    /// the former owner learns of the takeover from the record.
    pub fn add(&mut self, time: Time, notice: &TakeoverNotice) -> Option<u64> {
        if self.pending.len() >= self.most {
            return None;
        }
        let TakeoverNotice { room, to, owner } = notice.clone();
        debug_assert_ne!(to.boot, owner.ownership.boot, "a pod is not told that it has taken over from itself");
        let (next, until) = (next_round(time.now), time.now + self.repeated_for);
        self.pending.insert((room, to.boot), Pending { to, owner, next, until });
        Some(next)
    }

    /// When the next notice is due (ms).
    pub fn next_due(&self) -> Option<u64> {
        self.pending.values().map(|pending| pending.next).min()
    }

    /// The notices that are due now. Forgets those that were repeated for long enough.
    pub fn take_due(&mut self, time: Time) -> Vec<TakeoverNotice> {
        self.pending.retain(|_, pending| pending.until > time.now);
        let due = self.pending.iter_mut().filter(|(_, pending)| pending.next <= time.now);
        due.map(|((room, _), pending)| {
            pending.next = next_round(time.now);
            TakeoverNotice { room: *room, to: pending.to.clone(), owner: pending.owner.clone() }
        })
        .collect()
    }

    /// The pod has acknowledged the ownership `heard`.
    pub fn acknowledged(&mut self, from: PodBoot, room: RoomId, heard: Ownership) {
        if self.pending.get(&(room, from)).is_some_and(|pending| pending.owner.ownership <= heard) {
            self.pending.remove(&(room, from));
        }
    }

    /// The process is gone: it needs no notice.
    pub fn is_gone(&mut self, boot: PodBoot) {
        self.pending.retain(|_, pending| pending.to.boot != boot);
    }

    /// The room's former owners that have not acknowledged yet.
    pub fn unacknowledged(&self, room: RoomId) -> impl Iterator<Item = Former> + '_ {
        let all = (room, PodBoot(0))..=(room, PodBoot(u64::MAX));
        self.pending.range(all).map(|(_, pending)| pending.to.clone())
    }

    /// What must hold between calls; panics where it does not.
    pub fn check_invariants(&self) {
        assert!(self.pending.len() <= self.most, "{} notices of takeovers", self.pending.len());
        for ((room, boot), pending) in &self.pending {
            assert_eq!(*boot, pending.to.boot, "the notice of {room}'s takeover");
            assert_eq!(pending.next % AGAIN, 0, "{room}'s notice is not sent on a round time");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const FORMER: PodBoot = PodBoot(1);
    const OTHER: PodBoot = PodBoot(2);

    fn at(now: u64) -> Time {
        Time { now, wall: now }
    }

    fn room(number: u64) -> RoomId {
        format!("room000{number}").parse().unwrap()
    }

    fn notice(number: u64, to: PodBoot, epoch: u64) -> TakeoverNotice {
        let (pod_id, tcp, web, peer) = ("chat-9".into(), String::new(), String::new(), String::new());
        let owner = Owner { ownership: Ownership { epoch, boot: PodBoot(9) }, pod_id, tcp, web, peer };
        TakeoverNotice { room: room(number), to: Former { epoch: 1, boot: to, peer: format!("peer-{}", to.0) }, owner }
    }

    fn untold(notices: &TakeoverNotices, number: u64) -> Vec<PodBoot> {
        notices.unacknowledged(room(number)).map(|former| former.boot).collect()
    }

    #[test]
    fn a_former_owner_gets_a_notice_every_two_seconds_until_it_acknowledges() {
        let mut notices = TakeoverNotices::new(10, 600_000);
        assert_eq!(notices.add(at(4_500), &notice(1, FORMER, 7)), Some(6_000));
        assert_eq!(notices.add(at(5_000), &notice(1, OTHER, 7)), Some(6_000));
        assert_eq!((notices.next_due(), untold(&notices, 1)), (Some(6_000), vec![FORMER, OTHER]));
        assert_eq!(notices.take_due(at(5_999)), []);
        assert_eq!(notices.take_due(at(6_001)), [notice(1, FORMER, 7), notice(1, OTHER, 7)]);
        notices.acknowledged(FORMER, room(1), notice(1, FORMER, 7).owner.ownership);
        assert_eq!((notices.next_due(), untold(&notices, 1)), (Some(8_000), vec![OTHER]));
        assert_eq!(notices.take_due(at(8_000)), [notice(1, OTHER, 7)]);
        notices.check_invariants();
    }

    #[test]
    fn what_was_heard_of_an_earlier_ownership_acknowledges_nothing() {
        let mut notices = TakeoverNotices::new(10, 600_000);
        notices.add(at(0), &notice(1, FORMER, 5));
        notices.add(at(100), &notice(1, FORMER, 8));
        assert_eq!(notices.len(), 1);
        notices.acknowledged(FORMER, room(1), notice(1, FORMER, 5).owner.ownership);
        notices.acknowledged(FORMER, room(2), notice(1, FORMER, 8).owner.ownership);
        assert_eq!(untold(&notices, 1), [FORMER]);
        notices.acknowledged(FORMER, room(1), notice(1, FORMER, 8).owner.ownership);
        assert!(notices.len() == 0 && notices.next_due().is_none());
    }

    #[test]
    fn a_notice_is_given_up_after_its_time_or_when_the_process_is_gone() {
        let mut notices = TakeoverNotices::new(10, 3_000);
        for (number, to) in [(1, FORMER), (1, OTHER), (2, FORMER)] {
            assert_eq!(notices.add(at(0), &notice(number, to, 7)), Some(2_000));
        }
        notices.is_gone(FORMER);
        assert_eq!((untold(&notices, 1), untold(&notices, 2)), (vec![OTHER], Vec::new()));
        assert_eq!(notices.take_due(at(2_999)), [notice(1, OTHER, 7)]);
        assert_eq!((notices.take_due(at(4_000)), notices.len()), (Vec::new(), 0));
    }

    #[test]
    fn notices_are_bounded() {
        let mut notices = TakeoverNotices::new(1, 600_000);
        assert_eq!(notices.add(at(0), &notice(1, FORMER, 7)), Some(2_000));
        assert_eq!(notices.add(at(0), &notice(2, FORMER, 7)), None);
        assert_eq!((untold(&notices, 1), untold(&notices, 2)), (vec![FORMER], Vec::new()));
        notices.check_invariants();
    }
}
