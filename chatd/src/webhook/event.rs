//! What a room's owner tells the application's webhook: events, numbered for each room and timeline. Plain data: no I/O.

use crate::protocol::{Epoch, ExitReason, PlayerName, RoomId, Timeline};

/// What an event takes in the queue besides its texts, in bytes: itself, its place in the queue, and the frame of its JSON.
const OVERHEAD: usize = 512;

/// An event of one room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEvent {
    /// The room.
    pub room: RoomId,
    /// Of the ownership: of two timelines that with the greater one is the later.
    pub epoch: Epoch,
    /// What the number counts in.
    pub timeline: Timeline,
    /// Rises by one with each event of the timeline, from 1 on.
    pub number: u64,
    /// When it happened (Unix ms).
    pub at: u64,
    /// What happened.
    pub what: Occurrence,
}

/// Why a room has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// It was empty for its time.
    Empty,
    /// Nobody had entered it, and a full pod needed its place.
    MadeWay,
    /// Its descriptor said until when.
    Expired,
    /// The application has called for its end.
    Deleted,
}

impl CloseReason {
    /// The word in the payload.
    pub const fn as_str(self) -> &'static str {
        match self {
            CloseReason::Empty => "empty",
            CloseReason::MadeWay => "made_way",
            CloseReason::Expired => "expired",
            CloseReason::Deleted => "deleted",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occurrence {
    /// The room is new.
    Created,
    /// The room has ended.
    Closed(CloseReason),
    /// A player has a seat.
    Joined(PlayerName),
    /// A player's seat has ended.
    Left(PlayerName, ExitReason),
    /// A planned move brought the room to this pod.
    Moved {
        /// Everyone who has a seat.
        players: Vec<PlayerName>,
    },
    /// This pod took the room over, or found that another has gone on with it; its timeline is new.
    TakenOver {
        /// The pod that had it.
        from: Box<str>,
        /// Everyone who has a seat still.
        players: Vec<PlayerName>,
    },
    /// A message, of a room whose descriptor asks for it.
    Message {
        /// Who said it.
        from: PlayerName,
        /// Its clean text.
        text: Box<str>,
        /// Its number among the messages of the timeline.
        seq: u64,
    },
}

impl Occurrence {
    /// The event's type.
    pub const fn kind(&self) -> &'static str {
        match self {
            Occurrence::Created => "room.created",
            Occurrence::Closed(_) => "room.closed",
            Occurrence::Joined(_) => "player.joined",
            Occurrence::Left(..) => "player.left",
            Occurrence::Moved { .. } => "room.moved",
            Occurrence::TakenOver { .. } => "room.taken_over",
            Occurrence::Message { .. } => "message",
        }
    }
}

impl WebhookEvent {
    /// Bytes that it takes in the queue, approximately.
    pub fn weight(&self) -> usize {
        // Once tried, it is kept as JSON as well.
        let players = |players: &[PlayerName]| 2 * std::mem::size_of_val(players);
        let texts: usize = match &self.what {
            Occurrence::Created | Occurrence::Closed(_) | Occurrence::Joined(_) | Occurrence::Left(..) => 0,
            Occurrence::Moved { players: all } => players(all),
            Occurrence::TakenOver { from, players: all } => from.len() + players(all),
            // JSON writes some characters as two.
            Occurrence::Message { text, .. } => 2 * text.len(),
        };
        OVERHEAD + texts
    }
}
