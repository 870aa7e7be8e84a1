//! The client protocol: commands, events and error codes, and their two encodings. Pure: no I/O.
//!
//! `bytes -> Command` by [`lines::parse`] and [`json::parse`]; `Event -> bytes` by [`Encoding::encode`].

mod custom;
mod error;
mod event;
mod names;
mod role;
mod state;

pub mod json;
pub mod lines;
pub mod text;
pub mod token;

use std::borrow::Cow;

pub use custom::{Custom, EventKind, MAX_DATA, MAX_DEPTH, MAX_PRESENCE, Outgoing, check_data, check_presence};
pub use error::{ErrorCode, close_code};
pub use event::{Event, ExitReason, Joined, PlayerView, Profile};
pub use names::{
    Epoch, KeptName, NameError, Ownership, PlayerName, PodBoot, RoomId, SeatId, SeatKey, Timeline, speaker,
};
pub use role::Role;
pub use state::{MAX_KEPT_STATE, MAX_STATE, MAX_STATE_KEYS, StateKey, StateSet, StateView, StateViews};

/// Chat text is at most this many bytes, in both encodings.
pub const MAX_TEXT: usize = 4_000;
/// Line feeds that a text may hold at most; lines clients get another character for each, and still no line over [`MAX_LINE`].
pub const MAX_LINE_FEEDS: usize = 30;
/// A join token is at most this many bytes: with the rest of JOIN it fits into a line.
pub const MAX_JOIN_TOKEN: usize = 3_000;
/// A line with its end is at most this many bytes, both ways.
pub const MAX_LINE: usize = 4_096;
/// An unfinished line that has grown past this many bytes closes the connection.
pub const MAX_UNFINISHED_LINE: usize = 64 * 1024;
/// The longest ban, in seconds: 30 days.
pub const MAX_BAN: u32 = 2_592_000;
/// A WebSocket message is at most this many bytes.
pub const MAX_JSON: usize = 32 * 1024;

/// The most players that a room may be set to have. Each costs a message one more write; JOINED (65 bytes a player at most) and the room's
/// record fit into their limits.
pub const MAX_PLAYERS: u32 = 64;

/// How a client's bytes are read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Encoding {
    /// UTF-8 lines over TCP.
    Lines,
    /// JSON in WebSocket text frames (`chatd.v1`).
    Json,
    /// Lines, for a client that has joined with EVENTS.
    LinesWithEvents,
    /// The answer to a call of the server API: a text of JSON, or `!` and the code of an error.
    Call,
}

impl Encoding {
    /// Appends `event` as the client is to receive it: a line (or several) with its end, or one whole WebSocket text frame.
    ///
    /// `id` is the client's own number for the command that this answers; lines have no place for it.
    pub fn encode(self, event: &Event<'_>, id: Option<u64>, out: &mut Vec<u8>) {
        match self {
            Encoding::Lines => lines::encode(event, out),
            Encoding::Json => json::encode_frame(event, id, out),
            Encoding::LinesWithEvents => lines::encode_with_events(event, out),
            Encoding::Call => {
                if let Event::Error { code, .. } = event {
                    out.push(b'!');
                    out.extend_from_slice(code.as_str().as_bytes());
                }
            }
        }
    }

    /// Whether it is made of lines.
    pub fn is_lines(self) -> bool {
        matches!(self, Encoding::Lines | Encoding::LinesWithEvents)
    }

    /// Whether its client gets the events of applications. JSON clients always do.
    pub fn has_events(self) -> bool {
        self != Encoding::Lines
    }

    /// The encoding of a client that joins with EVENTS, or without.
    #[must_use]
    pub fn with_events(self, events: bool) -> Self {
        match self {
            Encoding::Json | Encoding::Call => self,
            _ if events => Encoding::LinesWithEvents,
            _ => Encoding::Lines,
        }
    }
}

/// What a client that reached the wrong pod wants; without a word the server's setting decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum OnWrongPod {
    /// Be told the owner's address and go there.
    Redirect,
    /// Be carried to the owner by the pod that was reached.
    Relay,
}

/// One thing that a client asks for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[allow(missing_docs, reason = "fields are named by their types, and docs/protocol.md has them")]
pub enum Command<'a> {
    /// A new room, with nobody in it.
    CreateRoom {
        /// A join token: not verified yet.
        #[serde(borrow)]
        auth: Option<Cow<'a, str>>,
    },
    /// A seat in a room.
    Join {
        room: RoomId,
        name: PlayerName,
        resumable: bool,
        /// A repeated JOIN with the same key, name and room is for the same seat.
        key: Option<SeatKey>,
        /// A join token: not verified yet.
        #[serde(borrow)]
        auth: Option<Cow<'a, str>>,
        on_wrong_pod: Option<OnWrongPod>,
        /// A lines client wants the events of applications.
        events: bool,
    },
    /// A held seat, or one whose connection is to be replaced.
    Resume {
        room: RoomId,
        /// As the client sent it: not verified yet.
        #[serde(borrow)]
        token: Cow<'a, str>,
        /// What the client last heard of which timeline; `None` from lines, or where the client says nothing.
        heard: Option<Heard>,
        on_wrong_pod: Option<OnWrongPod>,
        /// As in JOIN.
        events: bool,
    },
    /// Chat. The text has been through [`text::clean`].
    Say {
        #[serde(borrow)]
        text: Cow<'a, str>,
    },
    /// The names in the room.
    Who,
    /// A sign of life.
    Ping,
    /// The commands there are.
    Help,
    /// Out of the room, and stay connected.
    Leave,
    /// Out of the room, and disconnect.
    Quit,
    /// An event of an application. In a box, so that it makes no other command larger.
    #[serde(borrow)]
    Send(Box<Outgoing<'a>>),
    /// What the player says of itself, until its seat ends: checked JSON; `None`: nothing any more.
    Set {
        #[serde(borrow)]
        data: Option<Cow<'a, str>>,
    },
    /// Another join token for the seat, which ends later.
    Refresh {
        #[serde(borrow)]
        auth: Cow<'a, str>,
    },
    /// A change of the room's state. In a box, so that it makes no other command larger.
    #[serde(borrow)]
    StateSet(Box<StateSet<'a>>),
    /// By a moderator: ends a player's seat, and keeps the player out for `ban_s` seconds, 1 to [`MAX_BAN`].
    Kick { name: PlayerName, ban_s: Option<u32> },
    /// A moderator lets nobody new in from now on, or lets them in again.
    Lock { locked: bool },
}

/// The last message that a client has of a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Heard {
    /// The timeline that it was heard in.
    pub timeline: Timeline,
    /// Its number there.
    pub last_seq: u64,
}

impl Command<'_> {
    /// An event that may be lost.
    pub fn is_volatile(&self) -> bool {
        matches!(self, Command::Send(event) if event.volatile)
    }

    /// Its answer waits for the record: later commands of its client wait for that.
    pub fn waits_for_record(&self) -> bool {
        matches!(self, Command::Kick { .. } | Command::Refresh { .. } | Command::Lock { .. })
    }

    /// Bytes of memory that it takes besides its own.
    pub fn holds(&self) -> usize {
        match self {
            Command::Say { text } => text.len(),
            Command::Refresh { auth }
            | Command::CreateRoom { auth: Some(auth) }
            | Command::Join { auth: Some(auth), .. } => auth.len(),
            Command::Resume { token, .. } => token.len(),
            Command::Set { data: Some(data) } => data.len(),
            Command::StateSet(set) => size_of::<StateSet<'_>>() + set.value.as_ref().map_or(0, |value| value.len()),
            Command::Send(event) => {
                let to = event.to.as_ref().map_or(0, |to| to.len() * size_of::<PlayerName>());
                size_of::<Outgoing<'_>>() + event.data.len() + to
            }
            _ => 0,
        }
    }

    /// The same command, owning its texts.
    pub fn into_owned(self) -> Command<'static> {
        match self {
            Command::Resume { room, token, heard, on_wrong_pod, events } => {
                Command::Resume { room, token: Cow::Owned(token.into_owned()), heard, on_wrong_pod, events }
            }
            Command::Send(event) => Command::Send(Box::new(event.into_owned())),
            Command::StateSet(set) => Command::StateSet(Box::new(set.into_owned())),
            Command::Set { data } => Command::Set { data: data.map(|data| Cow::Owned(data.into_owned())) },
            Command::Say { text } => Command::Say { text: Cow::Owned(text.into_owned()) },
            Command::CreateRoom { auth } => {
                Command::CreateRoom { auth: auth.map(|auth| Cow::Owned(auth.into_owned())) }
            }
            Command::Join { room, name, resumable, key, auth, on_wrong_pod, events } => {
                let auth = auth.map(|auth| Cow::Owned(auth.into_owned()));
                Command::Join { room, name, resumable, key, auth, on_wrong_pod, events }
            }
            Command::Refresh { auth } => Command::Refresh { auth: Cow::Owned(auth.into_owned()) },
            Command::Kick { name, ban_s } => Command::Kick { name, ban_s },
            Command::Lock { locked } => Command::Lock { locked },
            Command::Who => Command::Who,
            Command::Ping => Command::Ping,
            Command::Help => Command::Help,
            Command::Leave => Command::Leave,
            Command::Quit => Command::Quit,
        }
    }
}

/// Appends `number` in decimal. Two digits a step: a message's time has 13.
fn push_number(mut number: u64, out: &mut Vec<u8>) {
    // u64::MAX has 20 digits.
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    while number >= 10 {
        let pair = (number % 100) as u8;
        number /= 100;
        start -= 2;
        digits[start] = b'0' + pair / 10;
        digits[start + 1] = b'0' + pair % 10;
    }
    if number > 0 || start == digits.len() {
        start -= 1;
        digits[start] = b'0' + number as u8;
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod testing;
