//! What a search returns: the hub carries each event out at once. Pure: no I/O.

use bytes::Bytes;

use crate::hub::capacity::RoomSlot;
use crate::hub::context::Context;
use crate::hub::request::Waiter;
use crate::ids::Time;
use crate::protocol::{Epoch, ErrorCode, Ownership, RoomId};
use crate::record::{Owner, Record};
use crate::room::Room;

/// See the module's documentation.
#[derive(Debug)]
pub enum SearchEvent {
    /// `owner` serves the room: the waiters go there.
    Found { room: RoomId, owner: Owner, waiters: Vec<Waiter> },
    /// The waiters are refused with `code`.
    TurnedAway { waiters: Vec<Waiter>, code: ErrorCode },
    /// There is no such room, and waiters may make it. The hub answers with [`super::Search::made`], [`super::Search::not_made`] or
    /// [`super::Search::end`].
    Absent { room: RoomId },
    /// Nobody serves the room, or will. The hub answers with [`super::Search::take_over`].
    Ownerless { room: RoomId },
    /// The swap has succeeded: the room is this pod's.
    TakenOver(Box<Takeover>),
}

/// A room that this pod owns since a swap of its record.
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

impl Record {
    /// The room that this is the record of, as a new owner has it.
    /// `epoch`: of its ownership.
    pub fn room_of(&self, room: RoomId, epoch: Epoch, context: &mut Context, time: Time) -> Room {
        let settings = &context.settings;
        let bucket = settings.seat_limits().rate.full(time.now);
        let terms = settings.terms(self.descriptor.as_deref());
        let (until, most) = (time.now + terms.seat_hold(), terms.max_players());
        let (held, unanswered) = (self.held_seats(most), self.unanswered_seats(most));
        let taken = Room::taken_over(room, held, unanswered, until, bucket, &mut context.random);
        let mut taken = taken.with_state(self.state.as_ref(), epoch);
        taken.describe(self.descriptor.clone().filter(|_| context.settings.rules.keep_descriptor));
        taken.replace(self.replaces);
        taken.restore_bans(self.bans.clone());
        taken.restore_profiles(self.profiles.clone());
        taken
    }
}

/// Why this pod cannot take a room over now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The room is moving here: a takeover would throw its state away.
    Incoming,
    /// This pod drains. Another one has to take the room over: sessions with a seat in it reconnect there.
    Draining,
    /// Clients that want to enter get this code.
    Refused(ErrorCode),
}
