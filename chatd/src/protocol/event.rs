//! Replies and events from the server to a client. Pure: no I/O.

use super::{Custom, ErrorCode, PlayerName, Role, RoomId, StateView, StateViews, Timeline};

/// Why a player is no longer in the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ExitReason {
    /// LEAVE or QUIT.
    Left,
    /// The connection dropped, and the seat is not held.
    Disconnected,
    /// The held seat was not resumed in time.
    Timeout,
    /// The player read too slowly.
    Slow,
    /// The player was sent to the pod that has the room now, and did not come.
    Moved,
    /// A moderator has ended the seat.
    Kicked,
}

impl ExitReason {
    /// Every reason, as documented.
    pub const ALL: [ExitReason; 6] = [
        ExitReason::Left,
        ExitReason::Disconnected,
        ExitReason::Timeout,
        ExitReason::Slow,
        ExitReason::Moved,
        ExitReason::Kicked,
    ];

    /// The word in both encodings.
    pub const fn as_str(self) -> &'static str {
        match self {
            ExitReason::Left => "left",
            ExitReason::Disconnected => "disconnected",
            ExitReason::Timeout => "timeout",
            ExitReason::Slow => "slow",
            ExitReason::Moved => "moved",
            ExitReason::Kicked => "kicked",
        }
    }
}

/// A player as the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayerView {
    /// As the player joined.
    pub name: PlayerName,
    /// The seat is held after a dropped connection.
    pub away: bool,
    /// What the player's join token says.
    pub role: Role,
    /// What the player says of itself: JSON.
    pub presence: Option<Box<str>>,
    /// What the player's join token says.
    pub profile: Option<Profile>,
}

/// What a join token says of its holder for others to see.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Shown beside the name.
    pub display: Option<Box<str>>,
    /// JSON.
    pub info: Option<Box<str>>,
}

/// The answer to JOIN and RESUME.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined<'a> {
    /// The room that was joined.
    pub room: RoomId,
    /// The player's own name.
    pub name: PlayerName,
    /// Everyone in the room, oneself and those who are away too.
    pub players: &'a [PlayerView],
    /// Seats that the room has at most.
    pub max_players: u32,
    /// Nobody new comes in. In lines it follows as `LOCKED *`.
    pub locked: bool,
    /// Within it seq counts messages.
    pub timeline: Timeline,
    /// The seq of the room's last message before this.
    pub seq: u64,
    /// A seat was taken back: by RESUME, or by JOIN with the seat's key.
    pub resumed: bool,
    /// Messages that could not be replayed; `None`: unknown, the room was taken over in between.
    pub missed: Option<u64>,
    /// For resumable seats. In lines it follows as `TOKEN <token>`.
    pub token: Option<&'a str>,
    /// How long a dropped seat is held, in milliseconds; with `token`.
    pub hold_ms: Option<u64>,
    /// JSON only; `None`: nobody has changed it in this timeline.
    pub state: Option<StateViews<'a>>,
}

/// One message to a client: a reply or an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are named by their types, and docs/protocol.md has them")]
pub enum Event<'a> {
    /// The answer to CREATE_ROOM.
    Room { room: RoomId },
    /// The answer to JOIN and RESUME.
    Joined(Joined<'a>),
    /// The answer to LEAVE.
    Left { room: RoomId },
    /// `at`: Unix milliseconds. `replay`: missed before a resume.
    Message { from: PlayerName, text: &'a str, seq: u64, at: u64, replay: bool },
    /// An application's event.
    Custom(Custom<'a>),
    /// Another player has joined. `role` and `profile`: what its join token says.
    Entered { name: PlayerName, role: Role, profile: Option<&'a Profile> },
    /// Another player has lost its seat.
    Exited { name: PlayerName, reason: ExitReason },
    /// Another player's connection dropped; the seat is held.
    Away { name: PlayerName },
    /// Another player took its held seat back.
    Back { name: PlayerName },
    /// A player says something of itself: JSON; `None`: nothing any more.
    Player { name: PlayerName, presence: Option<&'a str> },
    /// A key of the room's state has changed. This and the next two: JSON only.
    State(StateView<'a>),
    /// All of the room's state, in place of what the client has.
    StateAll(StateViews<'a>),
    /// The room was taken over, and what state it had is gone.
    StateLost,
    /// A change of the state asked for another version than the key has: nothing has changed. JSON: an `error` with `version`.
    VersionConflict { version: u64 },
    /// The answer to WHO.
    Players { players: &'a [PlayerView], max_players: u32 },
    /// The room goes on at another pod. `locked`: nobody new comes in; JSON only.
    Moved { room: RoomId, timeline: Timeline, seq: u64, locked: bool },
    /// Messages that a relayed session could not be given; `None`: unknown. Lines only: JSON has `joined`'s `missed`; in JSON
    /// it is `{"type":"missed","count":n or null}`. `locked`: as it is now, whatever was missed; in lines it follows as `LOCKED *`.
    Missed { count: Option<u64>, locked: bool },
    /// JOIN or RESUME again at that address.
    Redirect { room: RoomId, tcp: &'a str, web: &'a str },
    /// The seat's join token ends in so many seconds: REFRESH, or the connection ends.
    Expiring { seconds: u64 },
    /// The answer to REFRESH: so many seconds are left.
    Refreshed { seconds: u64 },
    /// The answer to KICK: the record has it.
    Kicked { name: PlayerName },
    /// A moderator has locked the room, or unlocked it.
    Locked { by: PlayerName, locked: bool },
    /// The answer to PING.
    Pong,
    /// Lines that start with `# `; in JSON an empty `help`.
    Help,
    /// A command failed.
    Error { code: ErrorCode, retry_after_ms: Option<u64> },
    /// `BYE <code>`: the last word before a close. `None` is `quit`.
    Bye { code: Option<ErrorCode> },
}
