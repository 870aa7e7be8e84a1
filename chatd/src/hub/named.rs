//! Rooms that come into being because a client enters them: made by name if absent, then entered. Pure: no I/O.
//!
//! The search finds that there is no such room (`search/absent.rs`), while its waiters wait. The room is made here, or at another pod as with
//! CREATE_ROOM; the swap of its record decides between two pods that make it at once, and the waiters of the other one search again.

use super::Hub;
use super::capacity::RoomSlot;
use super::request::Requester;
use super::rooms::NewRoom;
use crate::ids::Time;
use crate::protocol::{ErrorCode, RoomId};

impl Hub {
    /// There is no `room`, and clients wait that may make it: it costs a creation of the first that has one left.
    pub(super) fn make_by_name(&mut self, time: Time, room: RoomId) {
        // Otherwise it comes from another pod, or is being made there.
        if self.incoming.contains(room) || self.placement.wants(room) {
            return;
        }
        let mut waits = None;
        for by in self.search.makers(room) {
            match self.sessions.get_mut(by).map(|session| session.limits.make_by_name(time.now)) {
                Some(Ok(())) => {
                    let descriptor = self.search.makes(room, by);
                    return self.create_for(time, Requester::Named { room, by }, descriptor);
                }
                Some(Err(wait)) => waits = waits.max(Some(wait)),
                None => {}
            }
        }
        let code = if waits.is_some() { ErrorCode::RateLimited } else { ErrorCode::Unavailable };
        self.search.not_made(&mut self.context, room, code);
    }

    /// Makes the room here; its waiters wait for its first write. Where it has come meanwhile, they look for it.
    pub(super) fn create_named_here(&mut self, time: Time, new: NewRoom, requester: Requester, slot: RoomSlot) {
        let room = new.room;
        if self.rooms.index_of(room).is_some() || self.incoming.contains(room) {
            return self.search.made(&mut self.context, time, room);
        }
        let waiters = self.search.end(&mut self.context, room, ErrorCode::RoomNotFound);
        self.rooms.create(&mut self.context, time, new, requester, slot);
        let Some(index) = self.rooms.index_of(room) else {
            return;
        };
        for waiter in waiters {
            if let Some(owned) = self.rooms.get_mut(index) {
                owned.add_waiter(waiter);
            }
        }
        self.arm_room(time, index);
    }

    /// What came of a room that its clients wait for.
    pub(super) fn named_room_created(&mut self, time: Time, room: RoomId, result: Result<(), ErrorCode>) {
        match result {
            Ok(()) => self.search.made(&mut self.context, time, room),
            Err(code) => self.search.not_made(&mut self.context, room, code),
        }
        self.finish_searches(time);
    }
}
