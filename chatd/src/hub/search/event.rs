//! What comes of a search for the rest of the hub, which carries it out at once. Pure: no I/O.

use bytes::Bytes;

use crate::hub::capacity::RoomSlot;
use crate::hub::request::Waiter;
use crate::protocol::{ErrorCode, Ownership, RoomId};
use crate::record::{Owner, Record};

#[derive(Debug)]
pub enum SearchEvent {
    /// `owner` serves the room: those who waited go there.
    Found { room: RoomId, owner: Owner, waiters: Vec<Waiter> },
    /// They wait no more, and get `code`.
    TurnedAway { waiters: Vec<Waiter>, code: ErrorCode },
    /// Nobody serves the room, or will. [`super::Search::take_over`] is to be called with a place for it.
    Ownerless { room: RoomId },
    /// The directory has made the room this pod's.
    TakenOver(Box<Takeover>),
}

/// A room that is this pod's by a swap of its record.
#[derive(Debug)]
pub struct Takeover {
    pub room: RoomId,
    pub ownership: Ownership,
    /// The record that the swap put in place of `basis`.
    pub stored: Bytes,
    pub basis: Record,
    pub slot: RoomSlot,
    /// When the swap was asked for.
    pub asked: u64,
    pub waiters: Vec<Waiter>,
}

/// Why this pod cannot take a room over now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The room is being moved to here: a takeover would throw away what comes with it.
    IsComing,
    /// The pod drains. Another one has to do it: sessions that have a seat in the room come by way of that one.
    Draining,
    /// Clients that want in get this code.
    Refused(ErrorCode),
}
