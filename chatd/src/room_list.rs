//! Lists of rooms for the server API: which rooms are meant, and what is said of each. Plain data: no I/O.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::descriptor::Descriptor;
use crate::protocol::RoomId;

/// The most rooms of one answer.
pub const MAX_LISTED: u16 = 100;

/// Which rooms are meant: all that fit, behind `after` in the order of their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListFilter {
    /// Of this kind.
    pub kind: Option<Box<str>>,
    /// With all of these labels.
    pub labels: Vec<Box<str>>,
    /// Whether they may be shown in lists; `None`: either.
    pub listed: Option<bool>,
    /// Only those that a stranger may enter now: open by link, not locked, with a free seat.
    pub open: bool,
    /// Only those that somebody new may enter, if need be with a token: not locked, with a seat that is free and kept for nobody.
    pub free: bool,
    /// Those behind this one.
    pub after: Option<RoomId>,
    /// So many at most, [`MAX_LISTED`] in any case.
    pub limit: u16,
}

impl ListFilter {
    /// Whether a room with this descriptor is meant.
    pub fn fits(&self, room: RoomId, descriptor: Option<&Descriptor>) -> bool {
        let kind = descriptor.and_then(|descriptor| descriptor.kind.as_ref());
        let labels = descriptor.map(|descriptor| descriptor.labels.as_slice()).unwrap_or_default();
        self.after.is_none_or(|after| room > after)
            && self.kind.as_ref().is_none_or(|wanted| kind == Some(wanted))
            && self.labels.iter().all(|wanted| labels.contains(wanted))
            && self.listed.is_none_or(|wanted| descriptor.is_some_and(|descriptor| descriptor.listed) == wanted)
    }

    /// The first ones of these, in their order, each once.
    pub fn first(&self, mut rooms: Vec<ListedRoom>) -> Vec<ListedRoom> {
        rooms.sort_by_key(|listed| listed.room);
        rooms.dedup_by_key(|listed| listed.room);
        rooms.truncate(self.limit.min(MAX_LISTED).into());
        rooms
    }
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

/// What the other pods have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomList {
    /// In no order.
    pub rooms: Vec<ListedRoom>,
    /// The pods that have not answered in time.
    pub incomplete: Vec<String>,
}
