//! Making rooms: for CREATE_ROOM, for the HTTP API, and for other pods that have no place (`placement.rs`). Pure: no I/O.

use super::capacity::RoomSlot;
use super::placement::Placed;
use super::request::{Asked, Released};
use super::session::Place;
use super::{Effect, Hub};
use crate::directory::{Answer, NoAnswer};
use crate::ids::{Reach, Time};
use crate::peer_protocol::Frame;
use crate::protocol::{ErrorCode, Event, PodBoot, RoomId};

/// A room that nobody has entered does not make way for new ones while it is this young (ms): who made it is about to enter.
const YOUNG: u64 = 10_000;

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
        self.create_with(time, Released::Created(asked), slot);
    }

    pub(super) fn create_for_query(&mut self, time: Time, query: u64) {
        let slot = self.may_create(time);
        self.create_with(time, Released::Queried(query), slot);
    }

    fn create_with(&mut self, time: Time, whom: Released, slot: Result<RoomSlot, ErrorCode>) {
        match slot {
            Ok(slot) => self.create_room_for(time, whom, slot),
            Err(ErrorCode::TooManyRooms) => self.create_elsewhere(time, whom),
            Err(code) => self.created(time, whom, Err(code)),
        }
    }

    pub(super) fn may_create(&mut self, time: Time) -> Result<RoomSlot, ErrorCode> {
        if self.outgoing.is_draining() {
            return Err(ErrorCode::ShuttingDown);
        }
        if !self.context.serves() {
            return Err(ErrorCode::Unavailable);
        }
        if let Some(slot) = self.context.settings.slots.take() {
            return Ok(slot);
        }
        self.take_from_oldest(time, time.now.saturating_sub(YOUNG)).ok_or(ErrorCode::TooManyRooms)
    }

    /// A place for a room with people in it that comes from another pod.
    pub(super) fn place_for_people(&mut self, time: Time) -> Option<RoomSlot> {
        self.context.settings.slots.take_for_people().or_else(|| self.take_from_oldest(time, u64::MAX))
    }

    /// The place of the oldest room that nobody has entered, if it came before `before` (ms).
    fn take_from_oldest(&mut self, time: Time, before: u64) -> Option<RoomSlot> {
        let (slot, room) = self.context.settings.slots.take_from_oldest(before)?;
        let shard = room.shard(self.context.settings.shards);
        if shard == self.context.settings.shard {
            self.room_makes_way(time, room);
        } else {
            self.context.effects.push(Effect::MakeWay { room, shard });
        }
        Some(slot)
    }

    /// The room's place has been given to a new one, since nobody had entered it: it is closed, if that is still so.
    pub(super) fn room_makes_way(&mut self, time: Time, room: RoomId) {
        if let Some(key) = self.rooms.key(room)
            && let Some(owned) = self.rooms.get_mut(key)
            && owned.makes_way()
        {
            self.arm_room(time, key);
        }
    }

    /// A room with a new id of this shard; announced once its record is written.
    pub(super) fn create_room_for(&mut self, time: Time, whom: Released, slot: RoomSlot) {
        let room = self.new_room();
        self.found_room(time, room, whom, slot);
    }

    /// An id of this shard that nothing here uses.
    pub(super) fn new_room(&mut self) -> RoomId {
        loop {
            let room = RoomId::random(&mut self.context.random);
            if self.is_new(room) && room.shard(self.context.settings.shards) == self.context.settings.shard {
                return room;
            }
        }
    }

    pub(super) fn is_new(&self, room: RoomId) -> bool {
        self.rooms.key(room).is_none() && !self.search.is_under_way(room) && !self.incoming.contains(room)
    }

    /// The write of a new room has been answered, or not in time.
    pub(super) fn created(&mut self, time: Time, whom: Released, result: Result<RoomId, ErrorCode>) {
        match whom {
            Released::Queried(query) => self.context.effects.push(Effect::Created { query, result }),
            Released::Elsewhere { from, room } => {
                self.context.peers.send(from, &Frame::Created { room, result: result.map(|_| ()) });
            }
            Released::Created(asked) => {
                if let Reach::Local(id) = asked.by {
                    // It may have been closed meanwhile, and flush its last words.
                    if !self.sessions.get(id).is_some_and(|session| matches!(session.place, Place::Busy)) {
                        return;
                    }
                    self.now_outside(time, id);
                    self.sessions.wake(id);
                }
                match result {
                    Ok(room) => self.reply(time, asked, &Event::Room { room }),
                    Err(code) => self.refuse(time, asked, code),
                }
            }
        }
    }

    // ---- at another pod

    fn create_elsewhere(&mut self, time: Time, whom: Released) {
        if self.placement.is_full() {
            return self.created(time, whom, Err(ErrorCode::TooManyRooms));
        }
        let room = self.new_room();
        let placed = self.placement.place(time, &mut self.context, room, whom);
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
        for Placed { whom, result } in placed {
            if let (Released::Created(Asked { by: Reach::Local(id), .. }), Ok(_)) = (whom, result) {
                self.sessions.charge(id);
            }
            self.created(time, whom, result);
        }
    }

    /// Another pod has no place for `room`, which is new.
    pub(super) fn create_for_pod(&mut self, time: Time, from: PodBoot, room: RoomId) {
        let slot = if self.is_new(room) { self.may_create(time) } else { Err(ErrorCode::Unavailable) };
        match slot {
            Ok(slot) => self.found_room(time, room, Released::Elsewhere { from, room }, slot),
            Err(code) => self.context.peers.send(from, &Frame::Created { room, result: Err(code) }),
        }
    }
}
