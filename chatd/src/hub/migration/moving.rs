//! The outgoing move of one room: its steps at the source. Pure: no I/O, and knows no hub.
//!
//! The source settles the record, then offers the room; the target swaps the record, or declines. After any failure the record decides
//! who owns the room, and the room is paused until the source has read it. If the room stays, the source reasserts its ownership, so that
//! a late swap fails.

use crate::hub::request::PATIENCE;
use crate::lease::Target;
use crate::protocol::PodBoot;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The write in flight is being settled.
    Settling,
    /// The target has the offer.
    Offering,
    /// The target did not take the room: the source reads the record.
    Checking,
    /// The room stays: the source writes it with an epoch one higher.
    Reasserting,
}

/// The next action of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Wait for a reply or for the deadline.
    Wait,
    /// Offer the room to the target, then call [`Move::offer`].
    Offer,
    /// Read the record, then call [`Move::check`].
    Check,
    /// Raise the epoch by one, and write the record.
    Reassert,
    /// The room stays here.
    Stay,
    /// As `Stay`, because the directory has not replied in time.
    Unsettled,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Move {
    step: Step,
    target: Target,
    began: u64,
    until: u64,
    /// The target has had the offer, and may have taken the room.
    tried: bool,
}

impl Move {
    pub fn new(target: Target, now: u64) -> Self {
        Self { step: Step::Settling, target, began: now, until: now + PATIENCE, tried: false }
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    /// How long the room has been paused (ms).
    pub fn took(&self, now: u64) -> u64 {
        now.saturating_sub(self.began)
    }

    /// The deadline of the current step (ms).
    pub fn until(&self) -> u64 {
        self.until
    }

    /// Whether the source must not write the record, since the target may be swapping it. A room that stays is reasserted anyway.
    pub fn offered(&self) -> bool {
        matches!(self.step, Step::Offering | Step::Checking)
    }

    /// Whether this pod has an offer that it has not answered.
    pub fn is_offered_to(&self, boot: PodBoot) -> bool {
        self.step == Step::Offering && self.target.boot == boot
    }

    /// Whether this pod has ever had an offer of the room.
    pub fn tried(&self, boot: PodBoot) -> bool {
        self.tried && self.target.boot == boot
    }

    fn enter(&mut self, step: Step, now: u64) {
        (self.step, self.until) = (step, now + PATIENCE);
    }

    /// The source sends the offer now.
    pub fn offer(&mut self, now: u64) {
        debug_assert_eq!(self.step, Step::Settling);
        self.enter(Step::Offering, now);
        self.tried = true;
    }

    /// The target declined, or is unreachable: the source reads the record.
    pub fn check(&mut self, now: u64) {
        debug_assert_eq!(self.step, Step::Offering);
        self.enter(Step::Checking, now);
    }

    /// The record has changed state. `is_known`: no request about it is in flight; `is_written`: it equals the room's state.
    pub fn record_settled(&mut self, now: u64, is_known: bool, is_written: bool) -> Next {
        debug_assert!(is_known || !is_written);
        match self.step {
            // The target does not have the room, and cannot take it once the higher epoch is written.
            Step::Checking if is_known => {
                self.enter(Step::Reasserting, now);
                Next::Reassert
            }
            Step::Settling if is_written => Next::Offer,
            Step::Reasserting if is_written => Next::Stay,
            _ => Next::Wait,
        }
    }

    /// The record is neither the one that was offered nor the target's. True: the next write has to reassert the ownership.
    pub fn starts_over(&mut self, now: u64) -> bool {
        let checking = self.step == Step::Checking;
        if checking {
            self.enter(Step::Reasserting, now);
        }
        checking
    }

    /// The step's deadline may have passed.
    pub fn due(&mut self, now: u64) -> Next {
        if self.until > now {
            return Next::Wait;
        }
        match self.step {
            Step::Offering => Next::Check,
            Step::Settling => Next::Unsettled,
            // The target may have the room: the source reads the record until the directory replies.
            Step::Checking | Step::Reasserting => {
                self.until = now + PATIENCE;
                Next::Wait
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: PodBoot = PodBoot(2);

    fn begun() -> Move {
        Move::new(Target { pod_id: "chat-2".into(), boot: TARGET, peer: String::new(), rooms: 0 }, 0)
    }

    #[test]
    fn a_room_is_offered_once_its_record_is_written() {
        let mut moving = begun();
        assert_eq!(moving.record_settled(1, true, false), Next::Wait);
        assert_eq!(moving.record_settled(2, true, true), Next::Offer);
        assert!(!moving.offered() && !moving.tried(TARGET));
        moving.offer(2);
        assert!(moving.offered() && moving.is_offered_to(TARGET) && !moving.is_offered_to(PodBoot(3)));
        assert_eq!((moving.record_settled(3, true, true), moving.until()), (Next::Wait, 2 + PATIENCE));
    }

    #[test]
    fn a_record_that_is_not_settled_in_time_keeps_the_room_here() {
        let mut moving = begun();
        assert_eq!((moving.due(PATIENCE - 1), moving.due(PATIENCE)), (Next::Wait, Next::Unsettled));
    }

    #[test]
    fn a_room_that_was_not_taken_stands_still_until_its_record_is_read_and_stays_under_a_higher_ownership() {
        let mut moving = begun();
        moving.offer(0);
        assert_eq!(moving.due(PATIENCE), Next::Check);
        moving.check(PATIENCE);
        assert!(moving.offered() && moving.tried(TARGET) && !moving.is_offered_to(TARGET));
        // The directory stays silent for any length of time.
        for now in [2 * PATIENCE, 3 * PATIENCE] {
            assert_eq!((moving.record_settled(now, false, false), moving.due(now)), (Next::Wait, Next::Wait));
        }
        assert_eq!(moving.record_settled(4 * PATIENCE, true, false), Next::Reassert);
        assert!(!moving.offered(), "the record is to be written");
        assert_eq!(moving.record_settled(4 * PATIENCE, true, false), Next::Wait);
        assert_eq!(moving.record_settled(4 * PATIENCE, true, true), Next::Stay);
    }

    #[test]
    fn a_record_that_is_another_one_is_written_over_with_a_higher_ownership() {
        let mut moving = begun();
        assert!(!moving.starts_over(1));
        moving.offer(1);
        assert!(!moving.starts_over(2));
        moving.check(2);
        assert!(moving.starts_over(3) && !moving.starts_over(4));
        assert_eq!(moving.record_settled(5, true, true), Next::Stay);
    }
}
