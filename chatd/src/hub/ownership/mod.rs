//! The rooms that are owned here: their records are written, checked and claimed again. Pure: no I/O.
//!
//! One request about a room's record is under way at a time. What changes meanwhile goes out with the next write; answers wait
//! for the write that holds what they say, or [`PATIENCE`]. An unanswered write is settled by reading.

mod life;
mod record_sync;
mod upkeep;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::capacity::{RoomSlot, Unentered};
use super::migration::Move;
use super::request::{Asked, Entry, Resuming, Waiter, answer_by};
use super::session::Place;
use super::{Effect, Hub, Notice, Purpose, RoomView, Timer};
use crate::directory::{Answer as Reply, NoAnswer, Request};
use crate::ids::Reach;
use crate::peer_protocol::Frame;
use crate::protocol::{ErrorCode, ExitReason, Ownership, PlayerName, PodBoot, RoomId, SeatId};
use crate::record::{MAX_EPOCH, Record, next_epoch};
use crate::room::Room;
use record_sync::{Finding, Outcome, RecordSync, Write};

pub use super::context::RETRY;
pub use super::request::PATIENCE;
pub use super::request::Released;
pub use record_sync::LATE_SWAP_CHECK;

/// That a seat is held is written this long after its JOIN was answered (ms), if no other write takes it along before: those who
/// come together need one write.
const HOLD_WITHIN: u64 = 100;
/// An answer that waits for a write.
#[derive(Debug, Clone)]
pub enum Answer {
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

/// What the room is doing.
#[derive(Debug)]
pub enum Phase {
    /// Its first write is under way.
    Founding {
        whom: Released,
        until: u64,
    },
    Serving,
    Moving(Move),
    /// Its record is being deleted.
    Closing {
        until: u64,
    },
}

#[derive(Debug)]
struct Held {
    version: u64,
    deadline: u64,
    answer: Answer,
}

/// A room with its ownership.
#[derive(Debug)]
pub struct Owned {
    pub room: Room,
    pub ownership: Ownership,
    pub phase: Phase,
    slot: RoomSlot,
    /// After a thaw: input and output wait for the record, at most until then.
    pub unconfirmed: Option<u64>,
    /// JOIN, RESUME and attaching sessions that came while the room was not ready.
    pub waiters: Vec<Waiter>,
    /// RESUMEs that wait for what another pod knows: at most one a seat.
    pub resuming: Vec<Resuming>,
    /// Frames of relayed sessions that came while the room was not ready.
    pub frames: Vec<(PodBoot, Frame<'static>)>,
    /// Its record in the directory.
    record: RecordSync,
    /// When the record is to say that the next owner holds a seat whose JOIN has been answered.
    holds_at: Option<u64>,
    empty_since: Option<u64>,
    /// `Some` while nobody has entered the room.
    unentered: Option<Unentered>,
    /// Its place has been given to a new room: it is closed as soon as it can be, unless somebody enters before.
    makes_way: bool,
    answers: VecDeque<Held>,
}

impl Owned {
    /// `stored`: the record as it is in the directory and true of `room`; `None`: it has to be written first.
    pub fn new(
        room: Room,
        ownership: Ownership,
        phase: Phase,
        stored: Option<Bytes>,
        now: u64,
        slot: RoomSlot,
    ) -> Self {
        Self {
            record: RecordSync::new(stored, now),
            empty_since: room.seats.is_empty().then_some(now),
            room,
            ownership,
            phase,
            slot,
            unconfirmed: None,
            waiters: Vec::new(),
            resuming: Vec::new(),
            frames: Vec::new(),
            holds_at: None,
            unentered: None,
            makes_way: false,
            answers: VecDeque::new(),
        }
    }

    /// Commands are carried out now.
    pub fn ready(&self) -> bool {
        matches!(self.phase, Phase::Serving) && self.unconfirmed.is_none()
    }

    pub fn view(&self) -> RoomView {
        RoomView {
            room: self.room.id,
            ownership: self.ownership,
            timeline: self.room.timeline,
            seq: self.room.seq,
            seats: self.room.seats.len(),
            ready: self.ready(),
            written: self.is_written() && self.holds_at.is_none(),
        }
    }

    /// The directory holds everything that it should.
    pub fn is_written(&self) -> bool {
        self.record.is_written()
    }

    /// It can be offered to another pod, once a write that may be under way is answered.
    pub fn can_move(&self) -> bool {
        self.ready() && self.record.is_settled()
    }

    /// It is on its way to this pod, which has not answered the offer.
    pub fn is_offered_to(&self, boot: PodBoot) -> bool {
        matches!(&self.phase, Phase::Moving(moving) if moving.is_offered_to(boot))
    }

    /// What the directory holds is known, though it may not be all that it should.
    pub fn is_known(&self) -> bool {
        self.record.is_known()
    }

    /// Nobody is connected to it or waits for anything, and the directory knows of all who may come back.
    pub fn is_deserted(&self) -> bool {
        let away = |seat: &crate::room::Seat| matches!(seat.state, crate::room::SeatState::Away { .. });
        let idle = self.answers.is_empty() && self.waiters.is_empty() && self.resuming.is_empty();
        self.ready()
            && self.is_written()
            && self.holds_at.is_none()
            && idle
            && self.frames.is_empty()
            && self.room.seats.iter().all(away)
    }

    /// Nobody is in it, nobody waits for anything, and the directory knows.
    fn may_close(&self) -> bool {
        self.ready() && self.is_written() && self.answers.is_empty() && self.room.seats.is_empty()
    }

    /// Notes since when nobody is in the room.
    fn note_empty(&mut self, now: u64) {
        if !self.room.seats.is_empty() || !self.waiters.is_empty() {
            self.empty_since = None;
        } else if self.empty_since.is_none() {
            self.empty_since = Some(now);
        }
    }

    /// When it is to be closed (ms), if nothing happens until then.
    fn closes_at(&self, empty_ttl: u64) -> Option<u64> {
        let since = self.empty_since.filter(|_| self.may_close())?;
        Some(if self.makes_way { since } else { since + empty_ttl })
    }

    /// Nobody has been in it, and it may make way for a new room.
    pub fn note_unentered(&mut self, unentered: Unentered) {
        self.unentered = Some(unentered);
    }

    /// Somebody takes a seat.
    pub fn entered(&mut self) {
        (self.unentered, self.makes_way) = (None, false);
    }

    /// It is to be closed for a new room. False: somebody has entered it.
    pub fn makes_way(&mut self) -> bool {
        self.makes_way = self.unentered.take().is_some();
        self.makes_way
    }

    pub fn stored(&self) -> Option<&Bytes> {
        self.record.stored()
    }

    /// The record is to say something else.
    pub fn changed(&mut self) {
        self.record.changed();
    }

    /// A JOIN has been answered: from now on the next owner is to hold its seat.
    pub fn seat_to_hold(&mut self, now: u64) {
        self.holds_at.get_or_insert(now + HOLD_WITHIN);
    }

    /// The ownership is claimed again, one higher.
    pub fn claim(&mut self) {
        self.ownership.epoch = self.ownership.epoch.saturating_add(1);
        self.changed();
    }

    /// The answers that wait, in order; they do not wait any more.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        self.answers.drain(..).map(|held| held.answer).collect()
    }

    pub fn answers_waiting(&self) -> usize {
        self.answers.len()
    }

    /// Whether a LEAVE or QUIT of this session has been carried out and waits for its answer.
    pub fn is_leaving(&self, by: Reach) -> bool {
        self.answers.iter().any(|held| matches!(&held.answer, Answer::Left { asked, .. } if asked.by == by))
    }

    fn next_due(&self, settings: &super::HubSettings) -> u64 {
        let seats = self.room.seats.iter().filter_map(|seat| match seat.state {
            crate::room::SeatState::Away { until } | crate::room::SeatState::Detached { until } => Some(until),
            _ => None,
        });
        let phase = match &self.phase {
            Phase::Founding { until, .. } | Phase::Closing { until } => Some(*until),
            Phase::Moving(moving) => Some(moving.until()),
            Phase::Serving => None,
        };
        let empty = self.closes_at(settings.empty_ttl);
        // While input and output wait, so do the seats' times.
        let resuming = self.resuming.iter().map(|resuming| resuming.until);
        let seats = seats.chain(resuming).chain(self.holds_at).filter(|_| self.ready()).min();
        let waiters = self.waiters.iter().map(|waiter| waiter.deadline).min();
        let answers = self.answers.front().map(|held| held.deadline);
        [phase, empty, seats, waiters, answers, self.unconfirmed]
            .into_iter()
            .flatten()
            .fold(self.record.due_at(), u64::min)
    }
}
