//! Lists of rooms for the server API: which rooms are meant, and what is said of each. Plain data: no I/O.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::descriptor::Descriptor;
use crate::join_token::Subject;
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
    /// Those for the person with this `sub` of join tokens: first those in which the person has a place, also where nobody new comes in, and
    /// then in an order of the person's own, which is the same at all pods.
    pub sub: Option<Box<str>>,
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
        // A room that moves may be there twice.
        rooms.sort_by_key(|listed| (listed.room, Reverse(listed.standing)));
        rooms.dedup_by_key(|listed| listed.room);
        if let Some(sub) = &self.sub {
            // Rendezvous hashing: no pod has to know of the others' rooms.
            rooms.sort_by_cached_key(|listed| (Reverse(listed.standing), Subject::new(listed.room, sub)));
        }
        rooms.truncate(self.limit.min(MAX_LISTED).into());
        rooms
    }
}

/// What the person of [`ListFilter::sub`] has in a room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Standing {
    /// Nothing, or the list is for nobody.
    #[default]
    Stranger,
    /// A place that is kept.
    Expected,
    /// A player's seat.
    Seated,
}

/// A room in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedRoom {
    /// The room's id.
    pub room: RoomId,
    /// The pod that has it.
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
    pub kind: Option<Box<str>>,
    /// By what the application finds it.
    pub labels: Vec<Box<str>>,
    /// What the person has in it for whom the list is.
    pub standing: Standing,
}

/// What the other pods have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomList {
    /// In no order.
    pub rooms: Vec<ListedRoom>,
    /// The pods that have not answered in time.
    pub incomplete: Vec<String>,
}
