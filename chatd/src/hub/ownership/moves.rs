//! An owned room on its way to another pod. Pure: no I/O, and knows no hub.

use super::owned::Owned;
use super::phase::Phase;
use crate::hub::migration::{Move, Next};
use crate::lease::Target;
use crate::protocol::PodBoot;

impl Owned {
    /// It is to go to another pod.
    pub fn begin_move(&mut self, now: u64, target: Target) {
        debug_assert!(self.can_move(), "{} is not ready to move", self.room.id);
        self.phase = Phase::Moving(Box::new(Move::new(target, now)));
    }

    pub fn moving(&self) -> Option<&Move> {
        if let Phase::Moving(moving) = &self.phase { Some(moving) } else { None }
    }

    pub fn moving_mut(&mut self) -> Option<&mut Move> {
        if let Phase::Moving(moving) = &mut self.phase { Some(moving) } else { None }
    }

    /// It is on its way to this pod, which has not answered the offer.
    pub fn is_offered_to(&self, boot: PodBoot) -> bool {
        self.moving().is_some_and(|moving| moving.is_offered_to(boot))
    }

    /// Another pod may have it by now.
    pub(super) fn is_offered(&self) -> bool {
        self.moving().is_some_and(Move::offered)
    }

    /// All is told that the record holds. A JOIN that uses up its token stays here until that is done: at the target it would look like another
    /// one. What is told after the offer the target would number once more: it waits while the room is suspended, though it is written.
    pub(super) fn owes_nothing(&self) -> bool {
        self.claims.is_empty() && self.answers.is_empty() && self.untold_lock.is_none()
    }

    /// What the directory has may be known now: what the move needs next.
    pub fn move_settled(&mut self, now: u64) -> Next {
        let (is_known, is_written) = (self.is_known(), self.is_written() && self.owes_nothing());
        self.moving_mut().map_or(Next::Wait, |moving| moving.record_settled(now, is_known, is_written))
    }

    /// What the move needs at this time. What passed its time while the room was suspended has to wait for the record like all else.
    pub fn move_due(&mut self, now: u64) -> Next {
        let is_suspended = self.is_suspended();
        self.moving_mut().filter(|_| !is_suspended).map_or(Next::Wait, |moving| moving.due(now))
    }

    /// No other pod has it, nor will have: it goes on here.
    pub fn end_move(&mut self) {
        debug_assert!(self.moving().is_some(), "{} does not move", self.room.id);
        self.phase = Phase::Serving;
    }
}
