//! What is asked about a room's members, and what comes of it: the arguments and results of `membership.rs`. Pure: no I/O.

use serde::{Deserialize, Serialize};

use super::{Delivered, Rate};
use crate::ids::{Reach, SessionRef};
use crate::join_token::SeatAuth;
use crate::protocol::{Epoch, ErrorCode, ExitReason, PlayerName, SeatId, SeatKey, Timeline};

/// Hold of a seat whose tab was closed or reloaded (ms; docs/protocol.md, Seats, tokens and coming back).
const GOING_AWAY_HOLD: u64 = 10_000;

/// How a client's connection ended, for its seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Disconnect {
    /// The connection broke, or ended without LEAVE or QUIT.
    Lost,
    /// WebSocket close 1001: the tab was closed, or the page reloads.
    GoingAway,
    /// The server closed it as a slow consumer.
    Slow,
    /// The server closed it at a limit.
    Limit,
    /// The client went to the room's new owner.
    Moved,
}

impl Disconnect {
    /// The hold of a resumable seat after this disconnect (ms). `hold`: the setting (ms).
    pub(super) fn hold(self, hold: u64) -> u64 {
        if self == Disconnect::GoingAway { GOING_AWAY_HOLD.min(hold) } else { hold }
    }

    /// The reason in the announcement that a seat is gone at once.
    pub(super) fn reason(self) -> ExitReason {
        match self {
            Disconnect::Slow => ExitReason::Slow,
            Disconnect::Moved => ExitReason::Moved,
            Disconnect::Lost | Disconnect::GoingAway | Disconnect::Limit => ExitReason::Disconnected,
        }
    }
}

/// The limits that this pod's settings set for the seats of a room.
#[derive(Debug, Clone, Copy)]
pub struct SeatLimits {
    /// Seats in a room.
    pub players: u32,
    /// The rate limit of each seat.
    pub rate: Rate,
    /// Hold of a seat (ms).
    pub hold: u64,
}

/// The connection that takes a seat.
#[derive(Debug, Clone, Copy)]
pub struct Connection {
    /// How the owner reaches the client.
    pub reach: Reach,
    /// Its name in the whole deployment.
    pub session: Option<SessionRef>,
    /// The number of its relayed command; 0: not relayed.
    pub number: u64,
}

/// A session's seat, and the events of the room that the session has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The player's name.
    pub name: PlayerName,
    /// The seat's number.
    pub seat: SeatId,
    /// The client has a token for the seat.
    pub resumable: bool,
    /// The join key that the client chose.
    pub key: Option<SeatKey>,
    /// Of the join token that it was taken with.
    pub auth: Option<SeatAuth>,
    /// Of the ownership by which it was seated last.
    pub epoch: Epoch,
    /// The timeline of `position` and `seq`.
    pub timeline: Timeline,
    /// The number of the last event that the session has.
    pub position: u64,
    /// The number of the last message among them.
    pub seq: u64,
}

/// A client that asks for a new seat.
#[derive(Debug, Clone, Copy)]
pub struct Newcomer {
    /// The player's name.
    pub name: PlayerName,
    /// The client asks for a token.
    pub resumable: bool,
    /// The join key that the client chose.
    pub key: Option<SeatKey>,
    /// Of the join token that the client has shown.
    pub auth: Option<SeatAuth>,
}

/// The seat that a JOIN is for whose token is good for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnceSeat {
    /// A new one: with the number of a seat of the same JOIN that the room's former owner may not have answered, if there is one.
    New(Option<SeatId>),
    /// One whose JOIN is not answered yet.
    Joining,
    /// One that this person has.
    Own {
        /// Its number.
        seat: SeatId,
        /// The JOIN may be the one that it was taken with: it shows the same key, or comes by the same connection once more.
        is_same: bool,
    },
}

/// The result of a JOIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are named by their types")]
pub enum Join {
    /// The client has a new seat. The reply follows the write of the record.
    Taken,
    /// The client has the join key of this seat, and may take it again. `rewrite`: the record has to follow.
    Own { seat: SeatId, rewrite: bool },
    /// The client has the join key of a seat whose own JOIN has no reply yet: that seat is gone, its connection is replaced, and the JOIN
    /// has to be repeated.
    Instead(Option<Reach>),
    /// The client gets this error.
    Refused(ErrorCode),
}

/// The result of a RESUME with a valid token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// The seat was not marked as held: its player has to be announced as entered.
    pub reinstated: bool,
    /// Whether the token is worth a seat.
    pub outcome: Result<(), ErrorCode>,
}

/// A seat before its player took it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Former {
    /// The player's name.
    pub name: PlayerName,
    /// The connection that is replaced.
    pub reach: Option<Reach>,
    /// The player was away: it has to be announced as back.
    pub away: bool,
    /// How much the former connection received.
    pub delivered: Delivered,
}

/// A seat that its player has taken again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// The seat before.
    pub former: Former,
    /// The record has to follow: the next owner holds the seat of a relayed session.
    pub rewrite: bool,
}

/// The result of an attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are named by their types")]
pub enum Attach {
    /// The session has its own seat. `processed`: its last command that was carried out; `None`: unknown, because another owner had it.
    Own { taken: Taken, processed: Option<u64> },
    /// The session got this seat by an earlier attach, and does not know it yet.
    Again { seat: SeatId, taken: Taken },
    /// Another connection has the seat.
    Replaced,
    /// The room has never known the seat: the session may get a new one.
    Stranger,
    /// The seat has ended: the session stays outside.
    Ended,
    /// The session gets this error, and stays outside.
    Refused(ErrorCode),
}

/// The result of a disconnect for the seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// No announcement now: the room's ownership is unconfirmed.
    Unsaid,
    /// The room holds the seat: its player has to be announced as away.
    Away(PlayerName),
    /// The seat is gone: its player has to be announced as exited once the record has that.
    Exited(PlayerName, ExitReason),
}

/// The error of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The error that the client gets.
    pub code: ErrorCode,
    /// When to retry (ms).
    pub retry_after_ms: Option<u64>,
    /// One error too many: the connection ends.
    pub enough: bool,
}
