//! The answers of the server API, as its document describes them and as callers may read them. Plain data: no I/O.
//!
//! A room's owner writes those of calls about a room itself (`hub/calls.rs`); [`crate::room_call::RoomInfo`] is the greatest of them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::protocol::RoomId;
use crate::room_list;

/// Rooms that fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rooms {
    /// In the order of their ids.
    pub rooms: Vec<ListedRoom>,
    /// The `cursor` for more. Without it there are no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next: Option<String>,
    /// Pods that have not answered in time: their rooms are missing.
    pub incomplete: Vec<String>,
}

/// A room in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListedRoom {
    /// The room's id.
    #[schema(value_type = String)]
    pub room: RoomId,
    /// The pod that has it.
    #[schema(value_type = String)]
    pub pod: Box<str>,
    /// Players in it, held seats included, viewers not.
    pub players: u32,
    /// Seats of players.
    pub max_players: u32,
    /// Nobody new comes in.
    pub locked: bool,
    /// It may be shown in lists.
    pub listed: bool,
    /// What kind of room it is.
    #[schema(value_type = Option<String>)]
    pub kind: Option<Box<str>>,
    /// By what the application finds it.
    #[schema(value_type = Vec<String>)]
    pub labels: Vec<Box<str>>,
}

impl From<room_list::ListedRoom> for ListedRoom {
    fn from(listed: room_list::ListedRoom) -> Self {
        let room_list::ListedRoom { room, pod, players, max_players, locked, listed, kind, labels, .. } = listed;
        Self { room, pod, players, max_players, locked, listed, kind, labels }
    }
}

/// What was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// Its number among the messages and events of the room.
    pub seq: u64,
}

/// What was sent: one of the two is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// The number of an event for everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub seq: Option<u64>,
    /// The players whom an event reached that has no number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reached: Option<Vec<String>>,
}

/// Whose seat has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Kicked {
    /// The player's name.
    pub kicked: String,
}

/// Which room has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// The room's id.
    pub closed: String,
}

/// All pods of the deployment that have a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pods {
    /// By name.
    pub pods: Vec<PodInfo>,
}

/// A pod, as its lease says: that is written again within seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PodInfo {
    /// The pod's name.
    pub pod: String,
    /// Rooms that it has.
    pub rooms: u64,
    /// Rooms that it takes yet, if it may have as many as the pod that answers; 0 while it drains.
    pub free_rooms: u64,
    /// Seats in its rooms, held ones included.
    pub players: u64,
    /// It hands its rooms over.
    pub draining: bool,
}

/// An error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Error {
    /// What went wrong.
    pub error: ErrorInfo,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorInfo {
    /// A word of docs/protocol.md, Errors and closes.
    #[schema(example = "room_not_found")]
    pub code: String,
    /// A sentence for a person.
    pub message: String,
}
