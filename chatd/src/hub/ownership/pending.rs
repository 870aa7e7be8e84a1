//! Answers that wait for the write of the record that holds what they promise, or [`PATIENCE`]. Pure: no I/O, and knows no hub.

use std::collections::VecDeque;

use super::record_sync::RecordSync;
use crate::hub::request::{Asked, Entry, PATIENCE, answer_by};
use crate::ids::Reach;
use crate::protocol::{ExitReason, PlayerName, SeatId};

/// An answer that waits for a write.
#[derive(Debug, Clone)]
pub enum PendingAnswer {
    /// `since`: when it was asked for.
    Joined {
        asked: Asked,
        seat: SeatId,
        entry: Entry,
        counts: bool,
        since: u64,
    },
    Left {
        asked: Asked,
        quit: bool,
    },
    Exited {
        name: PlayerName,
        reason: ExitReason,
    },
}

impl PendingAnswer {
    /// When it is given at the latest, if it begins to wait now (ms).
    fn deadline(&self, now: u64) -> u64 {
        match self {
            PendingAnswer::Joined { since, .. } => answer_by(now, *since),
            PendingAnswer::Left { .. } | PendingAnswer::Exited { .. } => now + PATIENCE,
        }
    }
}

#[derive(Debug)]
struct Queued {
    /// The state of the record that holds what it promises.
    version: u64,
    deadline: u64,
    answer: PendingAnswer,
}

/// The answers of one room, in the order in which they are given.
#[derive(Debug, Default)]
pub struct PendingAnswers(VecDeque<Queued>);

impl PendingAnswers {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `version`: the state of the record that holds what `answer` promises.
    pub fn push(&mut self, now: u64, version: u64, answer: PendingAnswer) {
        debug_assert!(self.0.back().is_none_or(|last| last.version <= version), "{self:?}");
        self.0.push_back(Queued { version, deadline: answer.deadline(now), answer });
    }

    /// The first, if its write is done, or it has waited long enough. None overtakes another.
    pub fn next_released(&mut self, now: u64, record: &RecordSync) -> Option<PendingAnswer> {
        let first = self.0.front()?;
        let is_released = record.has_written(first.version) || first.deadline <= now;
        if is_released { self.0.pop_front().map(|queued| queued.answer) } else { None }
    }

    pub fn take_all(&mut self) -> Vec<PendingAnswer> {
        self.0.drain(..).map(|queued| queued.answer).collect()
    }

    /// When the first is given without its write (ms).
    pub fn deadline(&self) -> Option<u64> {
        self.0.front().map(|queued| queued.deadline)
    }

    /// Whether a LEAVE or QUIT of this session has been carried out and waits for its answer.
    pub fn is_leaving(&self, by: Reach) -> bool {
        self.0.iter().any(|queued| matches!(&queued.answer, PendingAnswer::Left { asked, .. } if asked.by == by))
    }

    /// What must hold between calls; panics where it does not. `version`: the state that the record should have.
    pub fn check_invariants(&self, version: u64) {
        assert!(self.0.iter().is_sorted_by_key(|queued| queued.version), "answers overtake each other: {self:?}");
        assert!(self.0.back().is_none_or(|last| last.version <= version), "an answer waits for no write: {self:?}");
    }
}
