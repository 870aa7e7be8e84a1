//! The clients, frames and RESUMEs that wait for an owned room. Pure: no I/O, and knows no hub.

use super::RETRY;
use super::claims::Claim;
use super::owned::Owned;
use super::pending::{QueuedFrames, Unfinished, UntoldLock};
use crate::hub::request::{Asked, PATIENCE, PendingResume, Waiter};
use crate::ids::{Reach, Ticket};
use crate::peer_protocol::Frame;
use crate::protocol::{PodBoot, SeatId};

impl Owned {
    /// Adds a client that waits until the room is ready.
    pub fn add_waiter(&mut self, waiter: Waiter) {
        self.waiters.push(waiter);
    }

    /// Removes the waiters whose deadline has passed.
    pub fn take_expired_waiters(&mut self, now: u64) -> Vec<Waiter> {
        self.waiters.extract_if(.., |waiter| waiter.deadline <= now).collect()
    }

    /// Removes the JOINs that may wait no longer for a room whose ownership is unconfirmed: who asked, and since when (ms). At once
    /// after a freeze none is: the directory has yet to be asked.
    pub fn take_overdue_joins(&mut self, now: u64) -> Vec<(Asked, u64)> {
        if self.joins_overdue_at().is_some_and(|at| at <= now) { self.answers.take_overdue(now) } else { Vec::new() }
    }

    /// When the first JOIN may wait no longer (ms).
    pub(super) fn joins_overdue_at(&self) -> Option<u64> {
        let since = self.suspended_until?.saturating_sub(PATIENCE);
        self.answers.first_overdue().map(|at| at.max(since + RETRY))
    }

    pub fn waiter_count(&self) -> usize {
        self.waiters.len()
    }

    /// Queues a peer's frame until the room is ready.
    pub fn queue_frame(&mut self, from: PodBoot, frame: Frame<'static>) {
        self.frames.push((from, frame));
    }

    /// Drops the queued frames of a peer whose link has broken: the peer sends them again over its next link.
    pub fn drop_frames_from(&mut self, boot: PodBoot) {
        self.frames.retain(|(from, _)| *from != boot);
    }

    /// Whether a frame of the peer waits.
    pub fn has_frame_of(&self, boot: PodBoot) -> bool {
        self.frames.iter().any(|(from, _)| *from == boot)
    }

    pub fn queued_frames(&self) -> &[(PodBoot, Frame<'static>)] {
        &self.frames
    }

    /// Removes the queued frames and the waiters of a room that is ready; nothing while it is not.
    pub(super) fn take_ready(&mut self) -> Option<(QueuedFrames, Vec<Waiter>)> {
        self.ready().then(|| (std::mem::take(&mut self.frames), std::mem::take(&mut self.waiters)))
    }

    /// Removes everything that the room has not answered, since the room ends or leaves this pod.
    pub fn take_unfinished(&mut self) -> Unfinished {
        Unfinished {
            answers: self.take_answers(),
            resumes: std::mem::take(&mut self.pending_resumes),
            waiters: std::mem::take(&mut self.waiters),
            frames: std::mem::take(&mut self.frames),
            claims: std::mem::take(&mut self.claims).into_iter().map(|(_, claim)| claim).collect(),
        }
    }

    // ---- a LOCK or UNLOCK that the record did not have in time

    /// `None`: another one has been told since.
    pub fn note_untold_lock(&mut self, untold: Option<UntoldLock>) {
        self.untold_lock = untold.map(Box::new);
    }

    /// Who has locked (true) or unlocked the room, if the members are to hear of it now that the record has it.
    pub fn take_untold_lock(&mut self) -> Option<(UntoldLock, bool)> {
        // While the room is suspended, answers that tell of it are kept back, too.
        let is_due = self.is_written() && !self.is_suspended();
        let untold = if is_due { self.untold_lock.take() } else { None };
        untold.map(|untold| (*untold, self.room.is_locked()))
    }

    // ---- pending RESUMEs

    /// A RESUME waits until another pod reports what it delivered to the seat's former connection.
    pub fn add_pending_resume(&mut self, resume: PendingResume) {
        self.pending_resumes.push(resume);
    }

    pub fn pending_resumes(&self) -> &[PendingResume] {
        &self.pending_resumes
    }

    /// Whether a RESUME of `seat` is pending.
    pub fn is_resuming(&self, seat: SeatId) -> bool {
        self.pending_resumes.iter().any(|resume| resume.seat == seat)
    }

    /// Removes the pending RESUME of `seat`.
    pub fn take_pending_resume(&mut self, seat: SeatId) -> Option<PendingResume> {
        let at = self.pending_resumes.iter().position(|resume| resume.seat == seat)?;
        Some(self.pending_resumes.remove(at))
    }

    /// Removes the pending RESUMEs whose time is over.
    pub fn take_expired_resumes(&mut self, now: u64) -> Vec<PendingResume> {
        self.pending_resumes.extract_if(.., |resume| resume.until <= now).collect()
    }

    /// Drops the pending RESUMEs of a client that has gone.
    pub fn cancel_resumes(&mut self, by: Reach) {
        self.pending_resumes.retain(|resume| resume.asked.by != by);
    }

    // ---- JOINs whose tokens are being used

    pub fn add_claim(&mut self, ticket: Ticket, claim: Claim) {
        self.claims.push((ticket, claim));
    }

    /// The directory has answered.
    pub fn take_claim(&mut self, ticket: Ticket) -> Option<Claim> {
        let at = self.claims.iter().position(|(asked, _)| *asked == ticket)?;
        Some(self.claims.remove(at).1)
    }

    /// Gives up what a client that has gone waits for.
    pub fn cancel_claims(&mut self, by: Reach) -> Vec<Claim> {
        self.claims.extract_if(.., |(_, claim)| claim.asked.by == by).map(|(_, claim)| claim).collect()
    }

    /// Removes those that have waited for as long as they may.
    pub fn take_overdue_claims(&mut self, now: u64) -> Vec<Claim> {
        self.claims.extract_if(.., |(_, claim)| claim.until <= now).map(|(_, claim)| claim).collect()
    }

    pub fn claim_count(&self) -> usize {
        self.claims.len()
    }
}
