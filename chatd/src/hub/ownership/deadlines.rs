//! When an owned room has something to do, and what has waited for too long. Pure: no I/O, and knows no hub.

use super::owned::Owned;
use super::phase::{Phase, TimedOut};
use crate::room::SeatState;

impl Owned {
    /// What has exceeded its deadline; it ends with this call.
    pub(super) fn take_timed_out(&mut self, now: u64) -> Option<TimedOut> {
        match &self.phase {
            Phase::Creating { requester, until } if *until <= now => return Some(TimedOut::Creation(**requester)),
            Phase::Closing { until } if *until <= now => return Some(TimedOut::Closing),
            _ => {}
        }
        self.suspended_until.take_if(|until| *until <= now).map(|_| TimedOut::Confirmation)
    }

    /// When the next deadline is (ms).
    pub(super) fn next_due(&self, empty_ttl: u64) -> u64 {
        let seats = self.room.seats().iter().filter_map(|seat| match seat.state {
            SeatState::Away { until } | SeatState::Detached { until } => Some(until),
            _ => None,
        });
        let phase = match &self.phase {
            Phase::Creating { until, .. } | Phase::Closing { until } => Some(*until),
            Phase::Moving(moving) => Some(moving.until()),
            Phase::Serving => None,
        };
        // The seats' deadlines wait while the room is suspended.
        let resumes = self.pending_resumes.iter().map(|resume| resume.until);
        let seats = seats.chain(resumes).chain(self.holds_at).filter(|_| self.ready()).min();
        let claims = self.claims.iter().map(|(_, claim)| claim.until).min();
        let waiters = self.waiters.iter().map(|waiter| waiter.deadline).min();
        let empty = self.closes_at(empty_ttl);
        let answers = if self.is_suspended() { self.joins_overdue_at() } else { self.answers.deadline() };
        [phase, empty, seats, claims, waiters, answers, self.suspended_until]
            .into_iter()
            .flatten()
            .fold(self.record.due_at(), u64::min)
    }

    /// In how many ms something is due for the join token of a member, or the room ends.
    pub(super) fn wall_due_in(&self, wall: u64) -> Option<u64> {
        let ends = self.room.descriptor().and_then(|descriptor| descriptor.expires_at).filter(|_| !self.over);
        let ends = ends.map(|seconds| seconds.saturating_mul(1_000));
        let next = self.room.next_token_due().into_iter().chain(ends).min();
        next.filter(|_| self.ready()).map(|at| at.saturating_sub(wall))
    }
}
