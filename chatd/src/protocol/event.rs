//! What the server says to a client. Pure: no I/O.

use super::{ErrorCode, PlayerName, RoomId, Timeline};

/// Why a player is no longer in the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ExitReason {
    Left,
    Disconnected,
    Timeout,
    Slow,
    Moved,
}

impl ExitReason {
    pub const ALL: [ExitReason; 5] =
        [ExitReason::Left, ExitReason::Disconnected, ExitReason::Timeout, ExitReason::Slow, ExitReason::Moved];

    pub const fn as_str(self) -> &'static str {
        match self {
            ExitReason::Left => "left",
            ExitReason::Disconnected => "disconnected",
            ExitReason::Timeout => "timeout",
            ExitReason::Slow => "slow",
            ExitReason::Moved => "moved",
        }
    }
}

/// A player as the others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PlayerView {
    pub name: PlayerName,
    /// The seat is held after a dropped connection.
    pub away: bool,
}

/// The answer to JOIN and RESUME.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined<'a> {
    pub room: RoomId,
    pub name: PlayerName,
    pub players: &'a [PlayerView],
    pub max_players: u32,
    pub timeline: Timeline,
    /// The seq of the room's last message before this.
    pub seq: u64,
    pub resumed: bool,
    /// Messages that could not be replayed; `None`: unknown, the room was taken over in between.
    pub missed: Option<u64>,
    /// For resumable seats. In lines it follows as `TOKEN <token>`.
    pub token: Option<&'a str>,
    /// How long a dropped seat is held, in milliseconds; with `token`.
    pub hold_ms: Option<u64>,
}

/// One thing that a client is told: a reply or an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    Room {
        room: RoomId,
    },
    Joined(Joined<'a>),
    Left {
        room: RoomId,
    },
    /// `at`: Unix milliseconds. `replay`: missed before a resume.
    Message {
        from: PlayerName,
        text: &'a str,
        seq: u64,
        at: u64,
        replay: bool,
    },
    Entered {
        name: PlayerName,
    },
    Exited {
        name: PlayerName,
        reason: ExitReason,
    },
    Away {
        name: PlayerName,
    },
    Back {
        name: PlayerName,
    },
    Players {
        players: &'a [PlayerView],
        max_players: u32,
    },
    Moved {
        room: RoomId,
        timeline: Timeline,
        seq: u64,
    },
    /// Messages that a relayed session could not be given; `None`: unknown. Lines only: JSON has `joined`'s `missed`; in JSON
    /// it is `{"type":"missed","count":n or null}`.
    Missed {
        count: Option<u64>,
    },
    Redirect {
        room: RoomId,
        tcp: &'a str,
        web: &'a str,
    },
    Pong,
    /// Lines that start with `# `; in JSON an empty `help`.
    Help,
    Error {
        code: ErrorCode,
        retry_after_ms: Option<u64>,
    },
    /// `BYE <code>`: the last word before a close. `None` is `quit`.
    Bye {
        code: Option<ErrorCode>,
    },
}
