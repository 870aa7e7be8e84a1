//! One client connection: its state, its inbox and its output. Pure: no I/O.

mod inbox;
mod limits;
mod outbox;
mod room;

use super::interface::HubSettings;
use super::relay::Relay;
use crate::ids::{RelayId, RoomIndex, SessionId};
use crate::join_token::SeatAuth;
use crate::protocol::{Encoding, OnWrongPod, PlayerName, SeatId};

pub use inbox::{Inbox, Line};
pub use limits::{ClientLimits, Refusal, Verdict};
pub use outbox::Output;
pub use room::SessionRoom;

/// The former seat of a session that leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeavingSeat {
    pub name: PlayerName,
    pub seat: SeatId,
    pub resumable: bool,
    /// Whose it was.
    pub auth: Option<SeatAuth>,
}

/// The state of a session.
#[derive(Debug)]
pub enum SessionState {
    /// In no room, and free to ask for one.
    Outside,
    /// CREATE_ROOM, JOIN or RESUME is in progress; further commands wait.
    Busy,
    /// It has a seat in a room of this hub.
    Seated { index: RoomIndex, seat: SeatId },
    /// LEAVE or QUIT waits for the write of the record; with the former seat.
    Leaving(Box<LeavingSeat>),
    /// Its room is in another pod.
    Relayed(Box<Relay>),
    /// The last output is queued; input is ignored.
    Closing,
}

/// Each connection has one: what few need is in memory of its own.
const _: () = assert!(size_of::<Session>() <= 224);

#[derive(Debug)]
pub struct Session {
    pub id: SessionId,
    pub encoding: Encoding,
    pub state: SessionState,
    pub inbox: Inbox,
    pub output: Output,
    /// The hub's list of sessions with output contains it.
    pub dirty: bool,
    /// When silence outside a room ends the connection (ms).
    pub deadline: u64,
    /// The timer for the deadline (ms). One is enough, since deadlines only rise.
    pub looked_at: Option<u64>,
    pub limits: ClientLimits,
    /// The relay id of its stay in a room.
    pub relay: RelayId,
    /// What the client wants at the wrong pod: its own choice with JOIN or RESUME, or the default of its encoding.
    pub mode: OnWrongPod,
    /// Its room, or the room that it asks for.
    pub room: SessionRoom,
    /// The answer to its last command in its room waits for the record, and later commands for that.
    pub waits_for_record: bool,
}

impl Session {
    pub fn new(encoding: Encoding, deadline: u64, settings: &HubSettings, now: u64) -> Self {
        Self {
            id: SessionId { index: 0, generation: 0 },
            encoding,
            state: SessionState::Outside,
            inbox: Inbox::new(encoding),
            output: Output::default(),
            dirty: false,
            deadline,
            looked_at: None,
            limits: ClientLimits::new(settings.seat_limits().rate.full(now)),
            relay: RelayId(0),
            mode: OnWrongPod::Relay,
            room: SessionRoom::None,
            waits_for_record: false,
        }
    }

    /// `most`: pending messages.
    pub fn wants_input(&self, most: usize) -> bool {
        !matches!(self.state, SessionState::Closing) && self.inbox.wants_input(most)
    }

    /// Bytes of memory of its inbox and output.
    pub fn holds(&self) -> usize {
        let pending = if let SessionState::Relayed(relay) = &self.state { relay.holds() } else { 0 };
        self.inbox.holds() + self.output.len() + pending
    }

    /// No input waits. `patient`: not even an unfinished line.
    pub fn quiet(&self, patient: bool) -> bool {
        self.inbox.is_quiet(patient)
    }

    /// Its last output is queued.
    pub fn is_closing(&self) -> bool {
        matches!(self.state, SessionState::Closing)
    }

    pub fn outside(&self) -> bool {
        matches!(self.state, SessionState::Outside)
    }
}
