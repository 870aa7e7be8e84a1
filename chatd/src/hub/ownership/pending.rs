//! Answers that wait until the record holds what they promise, [`PATIENCE`] at most. Pure: no I/O, and knows no hub.

use std::collections::VecDeque;

use super::claims::Claim;
use super::record_sync::RecordSync;
use crate::hub::request::{Asked, Entry, PATIENCE, PendingResume, TAKEOVER_PATIENCE, Waiter, answer_by};
use crate::ids::Reach;
use crate::join_token::{Once, SeatAuth};
use crate::peer_protocol::Frame;
use crate::protocol::{ExitReason, PlayerName, PodBoot, SeatId};
use crate::room::Answers;
use crate::room_call::RoomCall;

/// A LOCK or UNLOCK that the record did not have in time: the members hear of it once it has.
#[derive(Debug)]
pub struct UntoldLock {
    pub by: PlayerName,
    /// The command, which was refused as if nobody knew. Where that reply is lost with a link, this is the reply: by lines the two could not
    /// be told apart, and there may be one.
    pub answers: Option<Answers>,
}

/// The token of a JOIN is good for one: it has to be used for the new seat before the answer.
#[derive(Debug, Clone, Copy)]
pub struct NewClaim {
    pub once: Once,
    /// The seat of the same JOIN, which the former owner of the room may not have answered.
    pub again: Option<SeatId>,
    /// The record has the seat; otherwise it did not answer in time.
    pub is_written: bool,
    /// When the JOIN is to be answered (ms).
    pub until: u64,
}

/// An answer that waits for a write.
#[derive(Debug, Clone)]
pub enum PendingAnswer {
    /// `since`: when the request came (ms).
    Joined {
        asked: Asked,
        seat: SeatId,
        entry: Entry,
        counts: bool,
        since: u64,
        once: Option<NewClaim>,
    },
    Left {
        asked: Asked,
        quit: bool,
    },
    Exited {
        name: PlayerName,
        reason: ExitReason,
    },
    /// `auth`: the token, should the room move before the answer.
    Refreshed {
        asked: Asked,
        auth: Box<str>,
        held: SeatAuth,
    },
    /// `is_written`: the record has it; otherwise it did not answer in time.
    Kicked {
        asked: Asked,
        name: PlayerName,
        is_written: bool,
    },
    /// A call of the server API has changed the room. `is_written`: as above.
    Called {
        asked: Asked,
        call: Box<RoomCall>,
        is_written: bool,
    },
    /// A moderator, `by`, has locked or unlocked the room.
    Locked {
        asked: Asked,
        seat: SeatId,
        by: PlayerName,
        locked: bool,
        is_written: bool,
    },
}

impl PendingAnswer {
    /// When the answer goes out at the latest, if it begins to wait now (ms).
    fn deadline(&self, now: u64) -> u64 {
        match self {
            PendingAnswer::Joined { since, .. } => answer_by(now, *since),
            _ => now + PATIENCE,
        }
    }

    /// The same answer, which says whether the record has what it promises where that makes another answer.
    fn released(mut self, by_record: bool) -> Self {
        if let PendingAnswer::Kicked { is_written, .. }
        | PendingAnswer::Locked { is_written, .. }
        | PendingAnswer::Called { is_written, .. }
        | PendingAnswer::Joined { once: Some(NewClaim { is_written, .. }), .. } = &mut self
        {
            *is_written = by_record;
        }
        self
    }

    /// Whether it is lost with the link to this session's pod, which then says that nobody knows what came of the command.
    fn is_lost_with(&self, by: Reach) -> bool {
        matches!(self, PendingAnswer::Kicked { asked, .. } | PendingAnswer::Refreshed { asked, .. } if asked.by == by)
    }
}

fn overdue_at(answer: &PendingAnswer) -> Option<u64> {
    if let PendingAnswer::Joined { since, .. } = answer { Some(since + TAKEOVER_PATIENCE) } else { None }
}

#[derive(Debug)]
struct Queued {
    /// The version of the record that holds what the answer promises.
    version: u64,
    deadline: u64,
    answer: PendingAnswer,
}

/// Frames of relayed sessions, each with the pod that sent it.
pub type QueuedFrames = Vec<(PodBoot, Frame<'static>)>;

/// The requests that a room has not answered.
#[derive(Debug)]
pub struct Unfinished {
    /// Answers that have waited for a write.
    pub answers: Vec<PendingAnswer>,
    pub resumes: Vec<PendingResume>,
    pub waiters: Vec<Waiter>,
    pub frames: QueuedFrames,
    /// JOINs whose tokens are being used.
    pub claims: Vec<Claim>,
}

/// The queued answers of one room, in order.
#[derive(Debug, Default)]
pub struct PendingAnswers(VecDeque<Queued>);

impl PendingAnswers {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `version`: the version of the record that holds what `answer` promises.
    pub fn push(&mut self, now: u64, version: u64, answer: PendingAnswer) {
        debug_assert!(self.0.back().is_none_or(|last| last.version <= version), "{self:?}");
        let deadline = answer.deadline(now);
        // A JOIN that has waited for a takeover has less time left than those before it, which it may not overtake.
        for before in self.0.iter_mut().rev().take_while(|before| before.deadline > deadline) {
            before.deadline = deadline;
        }
        self.0.push_back(Queued { version, deadline, answer });
    }

    /// The first answer, if its write is done or its deadline has passed. No answer overtakes another.
    pub fn next_released(&mut self, now: u64, record: &RecordSync) -> Option<PendingAnswer> {
        let first = self.0.front()?;
        let is_written = record.has_written(first.version);
        let is_released = is_written || first.deadline <= now;
        let first = if is_released { self.0.pop_front() } else { None };
        self.keep_no_empty_queue();
        first.map(|queued| queued.answer.released(is_written))
    }

    /// Most of the time a room has no answers that wait, and there are many rooms.
    fn keep_no_empty_queue(&mut self) {
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
    }

    /// The session has attached once more: its pod waits for no answer to what was carried out before.
    pub fn lose(&mut self, by: Reach) {
        self.0.retain(|queued| !queued.answer.is_lost_with(by));
        self.keep_no_empty_queue();
    }

    pub fn take_all(&mut self) -> Vec<PendingAnswer> {
        std::mem::take(&mut self.0).into_iter().map(|queued| queued.answer).collect()
    }

    /// When the first answer goes out without its write (ms).
    pub fn deadline(&self) -> Option<u64> {
        self.0.front().map(|queued| queued.deadline)
    }

    /// When the first JOIN has waited for as long as any may (ms).
    pub fn first_overdue(&self) -> Option<u64> {
        self.0.iter().filter_map(|queued| overdue_at(&queued.answer)).min()
    }

    /// Removes the JOINs that have waited for as long as any may: who asked, and since when (ms).
    pub fn take_overdue(&mut self, now: u64) -> Vec<(Asked, u64)> {
        let mut overdue = Vec::new();
        self.0.retain(|queued| match queued.answer {
            PendingAnswer::Joined { asked, since, .. } if overdue_at(&queued.answer).is_some_and(|at| at <= now) => {
                overdue.push((asked, since));
                false
            }
            _ => true,
        });
        self.keep_no_empty_queue();
        overdue
    }

    /// Whether a LEAVE or QUIT of this session was carried out and waits for its reply.
    pub fn is_leaving(&self, by: Reach) -> bool {
        self.0.iter().any(|queued| matches!(&queued.answer, PendingAnswer::Left { asked, .. } if asked.by == by))
    }

    /// Whether a LOCK or UNLOCK of this session was carried out and waits for its reply.
    pub fn is_locking(&self, by: Reach) -> bool {
        self.0.iter().any(|queued| matches!(&queued.answer, PendingAnswer::Locked { asked, .. } if asked.by == by))
    }

    /// Panics if an invariant is broken. `version`: the version that the record should have.
    pub fn check_invariants(&self, version: u64) {
        assert!(self.0.iter().is_sorted_by_key(|queued| queued.version), "answers overtake each other: {self:?}");
        assert!(self.0.back().is_none_or(|last| last.version <= version), "an answer waits for no write: {self:?}");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ids::SessionId;

    #[test]
    fn an_answer_that_is_due_takes_those_before_it_along() {
        let name: PlayerName = "bob".parse().unwrap();
        let exited = PendingAnswer::Exited { name, reason: ExitReason::Left };
        let asked = Asked::here(SessionId { index: 0, generation: 0 }, None);
        let entry = Entry::Join { name, resumable: false, key: None, auth: None };
        let joined = PendingAnswer::Joined { asked, seat: SeatId(1), entry, counts: true, since: 0, once: None };
        let mut answers = PendingAnswers::default();
        answers.push(4_300, 1, exited.clone());
        assert_eq!(answers.deadline(), Some(6_300));
        // It has waited for a takeover, and is answered within 5 s.
        answers.push(4_400, 2, joined);
        answers.push(4_500, 2, exited);
        assert_eq!(answers.0.iter().map(|queued| queued.deadline).collect::<Vec<_>>(), [5_000, 5_000, 6_500]);
    }
}
