//! Rooms as the admin port of a pod tells of them. Plain data: no I/O.

use serde::{Deserialize, Serialize};

/// A page of `/rooms`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Page {
    /// The rooms, in the order of their ids.
    pub rooms: Vec<Room>,
    /// The last of them, if there are more.
    pub next: Option<String>,
}

/// A room in its owner's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Room {
    /// Its id.
    #[serde(rename = "room")]
    pub id: String,
    /// `creating`, `serving`, `paused`, `moving` or `closing`.
    pub state: String,
    /// The epoch of the ownership: about when it began (Unix ms).
    pub epoch: u64,
    /// The process that owns it.
    pub boot: String,
    /// Messages so far, in this timeline.
    pub seq: u64,
    /// Whether Redis has its whole state.
    pub written: bool,
    /// Milliseconds since the last event, if it is kept.
    pub quiet_ms: Option<u64>,
    /// Its seats.
    pub players: Vec<Seat>,
}

/// A seat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Seat {
    /// The player's name.
    pub name: String,
    /// `joining`, `connected`, `detached` or `away`.
    pub state: String,
    /// Connected by way of another pod.
    pub relayed: bool,
    /// For how much longer the seat is held (ms).
    pub held_ms: Option<u64>,
}

/// What a pod tells of one room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Told {
    /// The pod that was asked.
    pub pod: String,
    /// The room, if the pod owns it.
    pub here: Option<Room>,
    /// Its record in Redis.
    pub record: Option<Stored<Record>>,
    /// The lease of the pod that the record names.
    pub lease: Option<Stored<Lease>>,
}

/// What was read of Redis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Stored<T> {
    /// Nothing: why.
    Unread {
        /// A state of `/status`, or `unreadable`.
        error: String,
    },
    /// The value.
    Value(T),
}

impl<T> Stored<T> {
    /// The value, if it was read.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Unread { .. } => None,
        }
    }
}

/// A room's record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Record {
    /// The pod that owns the room.
    pub pod: String,
    /// Its process.
    pub boot: String,
    /// The epoch of the ownership.
    pub epoch: u64,
    /// Writes of this ownership.
    pub serial: u64,
    /// The owner's address for raw TCP clients.
    pub tcp: String,
    /// The owner's address for browsers.
    pub web: String,
    /// The owner's address for pods.
    pub peer: String,
    /// The seats that it has.
    pub seats: Vec<RecordedSeat>,
    /// Owners before, who have not acknowledged yet that they are none.
    pub former: Vec<Former>,
    /// The room has ended: this is its tombstone.
    pub ended: bool,
}

/// A seat in the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordedSeat {
    /// The player's name.
    pub name: String,
    /// Whether a next owner holds it.
    pub held: bool,
    /// Written before its JOIN was answered.
    pub joining: bool,
}

/// A former owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Former {
    /// Its address for pods.
    pub peer: String,
}

/// A pod's lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lease {
    /// The process that holds it.
    pub boot: String,
    /// Rooms that the pod had when it was written.
    pub rooms: u64,
    /// Seats in them.
    pub players: u64,
    /// The pod is ending.
    pub draining: bool,
}
