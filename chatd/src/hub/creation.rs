//! Making rooms: for CREATE_ROOM, for the HTTP API, and for other pods that have no place (`placement.rs`). Pure: no I/O.

use super::Hub;
use super::capacity::RoomSlot;
use super::interface::Effect;
use super::placement::Placed;
use super::request::{Asked, Requester};
use super::session::Place;
use crate::directory::{Answer, NoAnswer};
use crate::ids::{Reach, Time};
use crate::peer_protocol::Frame;
use crate::protocol::{ErrorCode, Event, PodBoot, RoomId};

impl Hub {
    pub(super) fn create(&mut self, time: Time, asked: Asked) {
        let Reach::Local(id) = asked.by else {
            return;
        };
        let slot = self.may_create(time);
        if let Some(session) = self.sessions.get_mut(id) {
            session.place = Place::Busy;
        }
        if slot.is_ok() {
            self.sessions.charge(id);
        }
        self.create_with(time, Requester::Client(asked), slot);
    }

    pub(super) fn create_for_query(&mut self, time: Time, query: u64) {
        let slot = self.may_create(time);
        self.create_with(time, Requester::Query(query), slot);
    }

    fn create_with(&mut self, time: Time, requester: Requester, slot: Result<RoomSlot, ErrorCode>) {
        match slot {
            Ok(slot) => self.create_room_for(time, requester, slot),
            Err(ErrorCode::TooManyRooms) => self.create_elsewhere(time, requester),
            Err(code) => self.created(time, requester, Err(code)),
        }
    }

    pub(super) fn may_create(&mut self, time: Time) -> Result<RoomSlot, ErrorCode> {
        if self.outgoing.is_draining() {
            return Err(ErrorCode::ShuttingDown);
        }
        if !self.context.serves() {
            return Err(ErrorCode::Unavailable);
        }
        self.rooms.slot_for_new(&mut self.context, time).ok_or(ErrorCode::TooManyRooms)
    }

    /// A room with a new id of this shard; announced once its record is written.
    pub(super) fn create_room_for(&mut self, time: Time, requester: Requester, slot: RoomSlot) {
        let room = self.new_room();
        self.rooms.create(&mut self.context, time, room, requester, slot);
    }

    /// An id of this shard that nothing here uses.
    pub(super) fn new_room(&mut self) -> RoomId {
        loop {
            let room = self.context.new_room_id();
            if self.is_new(room) {
                return room;
            }
        }
    }

    pub(super) fn is_new(&self, room: RoomId) -> bool {
        self.rooms.key(room).is_none() && !self.search.is_under_way(room) && !self.incoming.contains(room)
    }

    /// The write of a new room has been answered, or not in time.
    pub(super) fn created(&mut self, time: Time, requester: Requester, result: Result<RoomId, ErrorCode>) {
        match requester {
            Requester::Query(query) => self.context.effects.push(Effect::Created { query, result }),
            Requester::Pod { from, room } => {
                self.context.peers.send(from, &Frame::Created { room, result: result.map(|_| ()) });
            }
            Requester::Client(asked) => {
                if let Reach::Local(id) = asked.by {
                    // It may have been closed meanwhile, and flush its last words.
                    if !self.sessions.get(id).is_some_and(|session| matches!(session.place, Place::Busy)) {
                        return;
                    }
                    self.now_outside(time, id);
                    self.sessions.wake(id);
                }
                match result {
                    Ok(room) => self.reply(asked, &Event::Room { room }),
                    Err(code) => self.refuse(asked, code),
                }
            }
        }
    }

    // ---- at another pod

    fn create_elsewhere(&mut self, time: Time, requester: Requester) {
        if self.placement.is_full() {
            return self.created(time, requester, Err(ErrorCode::TooManyRooms));
        }
        let room = self.new_room();
        let placed = self.placement.place(time, &mut self.context, room, requester);
        self.rooms_placed(time, placed);
    }

    pub(super) fn pods_listed(&mut self, time: Time, answer: Result<Answer, NoAnswer>) {
        let placed = self.placement.pods_listed(time, &mut self.context, answer);
        self.rooms_placed(time, placed);
    }

    pub(super) fn created_elsewhere(&mut self, time: Time, from: PodBoot, room: RoomId, result: Result<(), ErrorCode>) {
        let placed = self.placement.answered(time, &mut self.context, from, room, result);
        self.rooms_placed(time, placed);
    }

    pub(super) fn placement_pod_is_gone(&mut self, time: Time, boot: PodBoot) {
        let placed = self.placement.pod_is_gone(time, &mut self.context, boot);
        self.rooms_placed(time, placed);
    }

    pub(super) fn placement_due(&mut self, time: Time) {
        let placed = self.placement.take_due(time);
        self.rooms_placed(time, placed);
    }

    fn rooms_placed(&mut self, time: Time, placed: impl IntoIterator<Item = Placed>) {
        for Placed { requester, result } in placed {
            if let (Requester::Client(Asked { by: Reach::Local(id), .. }), Ok(_)) = (requester, result) {
                self.sessions.charge(id);
            }
            self.created(time, requester, result);
        }
    }

    /// Another pod has no place for `room`, which is new.
    pub(super) fn create_for_pod(&mut self, time: Time, from: PodBoot, room: RoomId) {
        let slot = if self.is_new(room) { self.may_create(time) } else { Err(ErrorCode::Unavailable) };
        match slot {
            Ok(slot) => self.rooms.create(&mut self.context, time, room, Requester::Pod { from, room }, slot),
            Err(code) => self.context.peers.send(from, &Frame::Created { room, result: Err(code) }),
        }
    }
}
