//! One client connection as its hub sees it: what has come and waits, what is to go out, and where it is. Pure: no I/O.

mod inbox;
mod limits;
mod outbox;

use super::interface::HubSettings;
use super::relay::Relay;
use crate::ids::{RelayId, SessionId};
use crate::protocol::{Encoding, OnWrongPod, PlayerName, RoomId, SeatId};

pub use inbox::{Line, Waiting};
pub use limits::{ClientLimits, Refusal, Verdict};
pub use outbox::Output;

/// Where a session is.
#[derive(Debug)]
pub enum Place {
    /// In no room, free to ask for one.
    Outside,
    /// CREATE_ROOM, JOIN or RESUME is under way; what comes next waits.
    Busy,
    /// Has a seat in a room of this hub.
    Seated { key: usize, seat: SeatId },
    /// LEAVE or QUIT waits for its write; what the seat was.
    Leaving { name: PlayerName, seat: SeatId, resumable: bool },
    /// The room is elsewhere.
    Relayed(Box<Relay>),
    /// The last word is said; what is queued is flushed, what comes is ignored.
    Closing,
}

#[derive(Debug)]
pub struct Session {
    pub id: SessionId,
    pub encoding: Encoding,
    pub place: Place,
    pub waiting: Waiting,
    pub output: Output,
    /// Stands in the hub's list of sessions with something to write.
    pub dirty: bool,
    /// When silence outside a room ends the connection (ms).
    pub deadline: u64,
    /// The timer that will look at the deadline (ms). One is enough: deadlines only move on.
    pub looked_at: Option<u64>,
    pub limits: ClientLimits,
    /// The number of this stay in a room.
    pub relay: RelayId,
    /// What the client wants on the wrong pod: as it said with JOIN or RESUME, or as is the rule for its kind.
    pub mode: OnWrongPod,
    /// The room that it is in, or asks for.
    pub room: Option<RoomId>,
}

impl Session {
    pub fn new(encoding: Encoding, deadline: u64, settings: &HubSettings, now: u64) -> Self {
        Self {
            id: SessionId { index: 0, generation: 0 },
            encoding,
            place: Place::Outside,
            waiting: Waiting::new(encoding),
            output: Output::default(),
            dirty: false,
            deadline,
            looked_at: None,
            limits: ClientLimits::new(settings.seat_limits().rate.full(now), now),
            relay: RelayId(0),
            mode: OnWrongPod::Relay,
            room: None,
        }
    }

    /// `most`: messages that wait for their turn.
    pub fn wants_input(&self, most: usize) -> bool {
        !matches!(self.place, Place::Closing) && self.waiting.wants_input(most)
    }

    /// Bytes of memory that what waits and what is to be sent take.
    pub fn holds(&self) -> usize {
        let pending = if let Place::Relayed(relay) = &self.place { relay.holds() } else { 0 };
        self.waiting.holds() + self.output.len() + pending
    }

    /// Nothing that has come waits. `patient`: nor is a line unfinished.
    pub fn quiet(&self, patient: bool) -> bool {
        self.waiting.is_quiet(patient)
    }

    /// Its last word is said.
    pub fn is_closing(&self) -> bool {
        matches!(self.place, Place::Closing)
    }

    pub fn outside(&self) -> bool {
        matches!(self.place, Place::Outside)
    }
}
