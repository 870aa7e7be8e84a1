//! One room on its way to another pod: the steps of its move at the source. Pure: no I/O, and knows no hub.
//!
//! The room's record is settled, then the room is offered; the target swaps the record in, or it does not. Whatever fails in between, the
//! record says whose the room is: until it has been read, the room stands still. If it is still this pod's, its ownership is reasserted, so
//! that a late swap fails, and the room stays.

use crate::hub::request::PATIENCE;
use crate::lease::Target;
use crate::protocol::PodBoot;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The write in flight is settled.
    Settling,
    /// The target has been offered the room.
    Offering,
    /// The target has not taken it: the record is read.
    Checking,
    /// It is still this pod's: that is written with an ownership one higher.
    Reasserting,
}

/// What a move needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing but time, or an answer.
    Wait,
    /// The room is to be offered to the target: then [`Move::offer`].
    Offer,
    /// The record is to be read: then [`Move::check`].
    Check,
    /// The room's ownership is to rise by one, and to be written.
    Reassert,
    /// The room goes on here.
    Stay,
    /// As `Stay`: the directory has not answered in time.
    Unsettled,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Move {
    step: Step,
    target: Target,
    until: u64,
    /// The target has been offered the room, and may have taken it.
    tried: bool,
}

impl Move {
    pub fn new(target: Target, now: u64) -> Self {
        Self { step: Step::Settling, target, until: now + PATIENCE, tried: false }
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    /// When it is due (ms).
    pub fn until(&self) -> u64 {
        self.until
    }

    /// The record is not to be written: the target may be swapping it. If the room stays, its ownership is reasserted anyway.
    pub fn offered(&self) -> bool {
        matches!(self.step, Step::Offering | Step::Checking)
    }

    /// This pod has been offered the room, and has not answered.
    pub fn is_offered_to(&self, boot: PodBoot) -> bool {
        self.step == Step::Offering && self.target.boot == boot
    }

    /// Whether the room was ever offered to this pod.
    pub fn tried(&self, boot: PodBoot) -> bool {
        self.tried && self.target.boot == boot
    }

    fn enter(&mut self, step: Step, now: u64) {
        (self.step, self.until) = (step, now + PATIENCE);
    }

    /// The target is being offered the room now.
    pub fn offer(&mut self, now: u64) {
        debug_assert_eq!(self.step, Step::Settling);
        self.enter(Step::Offering, now);
        self.tried = true;
    }

    /// The target does not take the room, or cannot be heard of: the record is being read now.
    pub fn check(&mut self, now: u64) {
        debug_assert_eq!(self.step, Step::Offering);
        self.enter(Step::Checking, now);
    }

    /// Something is known of the record. `is_known`: no request about it is in flight; `is_written`: it says all that it should.
    pub fn record_settled(&mut self, now: u64, is_known: bool, is_written: bool) -> Next {
        debug_assert!(is_known || !is_written);
        match self.step {
            // The target has not got it: nobody will, once the higher ownership is written.
            Step::Checking if is_known => {
                self.enter(Step::Reasserting, now);
                Next::Reassert
            }
            Step::Settling if is_written => Next::Offer,
            Step::Reasserting if is_written => Next::Stay,
            _ => Next::Wait,
        }
    }

    /// The record turned out to be another than was offered, and not the target's. True: the ownership is to be reasserted with what is
    /// written now.
    pub fn starts_over(&mut self, now: u64) -> bool {
        let checking = self.step == Step::Checking;
        if checking {
            self.enter(Step::Reasserting, now);
        }
        checking
    }

    /// Time has passed.
    pub fn due(&mut self, now: u64) -> Next {
        if self.until > now {
            return Next::Wait;
        }
        match self.step {
            Step::Offering => Next::Check,
            Step::Settling => Next::Unsettled,
            // The target may have it: the directory is asked until it says so.
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
        // The directory is silent for as long as it likes.
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
