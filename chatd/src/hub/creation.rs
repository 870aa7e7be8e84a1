//! Making rooms: for CREATE_ROOM and for the HTTP API. Pure: no I/O.

use super::input::Asked;
use super::ownership::Released;
use super::session::Place;
use super::slots::RoomSlot;
use super::{Effect, Hub, Time};
use crate::protocol::{ErrorCode, Event, RoomId};
use crate::room::Reach;

/// A room that nobody has entered does not make way for new ones while it is this young (ms): who made it is about to enter.
const YOUNG: u64 = 10_000;

impl Hub {
    pub(super) fn create(&mut self, time: Time, asked: Asked) {
        let slot = match self.may_create(time) {
            Ok(slot) => slot,
            Err(code) => return self.refuse(time, asked, code),
        };
        if let Reach::Local(id) = asked.by
            && let Some(session) = self.session_mut(id)
        {
            session.place = Place::Busy;
            self.charge(id);
        }
        self.create_room_for(time, Released::Created(asked), slot);
    }

    pub(super) fn create_for_query(&mut self, time: Time, query: u64) {
        match self.may_create(time) {
            Ok(slot) => self.create_room_for(time, Released::Queried(query), slot),
            Err(code) => self.effects.push(Effect::Created { query, result: Err(code) }),
        }
    }

    fn may_create(&mut self, time: Time) -> Result<RoomSlot, ErrorCode> {
        if self.drain.is_some() {
            return Err(ErrorCode::ShuttingDown);
        }
        if !self.serves() {
            return Err(ErrorCode::Unavailable);
        }
        if let Some(slot) = self.settings.slots.take() {
            return Ok(slot);
        }
        let oldest = self.settings.slots.take_from_oldest(time.now.saturating_sub(YOUNG));
        let (slot, room) = oldest.ok_or(ErrorCode::TooManyRooms)?;
        let shard = room.shard(self.settings.shards);
        if shard == self.settings.shard {
            self.room_makes_way(time, room);
        } else {
            self.effects.push(Effect::MakeWay { room, shard });
        }
        Ok(slot)
    }

    /// The room's place has been given to a new one, since nobody had entered it: it is closed, if that is still so.
    pub(super) fn room_makes_way(&mut self, time: Time, room: RoomId) {
        if let Some(key) = self.owned_key(room)
            && let Some(owned) = self.rooms.get_mut(key)
            && owned.makes_way()
        {
            self.arm_room(time, key);
        }
    }

    /// A room with a new id of this shard; announced once its record is written.
    pub(super) fn create_room_for(&mut self, time: Time, whom: Released, slot: RoomSlot) {
        let room = loop {
            let room = RoomId::random(&mut self.random);
            let free = !self.index.contains_key(&room) && !self.finds.contains_key(&room);
            if free && room.shard(self.settings.shards) == self.settings.shard {
                break room;
            }
        };
        self.found_room(time, room, whom, slot);
    }

    /// The write of a new room has been answered, or not in time.
    pub(super) fn created(&mut self, time: Time, whom: Released, result: Result<RoomId, ErrorCode>) {
        match whom {
            Released::Queried(query) => self.effects.push(Effect::Created { query, result }),
            Released::Created(asked) => {
                if let Reach::Local(id) = asked.by {
                    self.now_outside(time, id);
                    self.wake(id);
                }
                match result {
                    Ok(room) => self.reply(time, asked, &Event::Room { room }),
                    Err(code) => self.refuse(time, asked, code),
                }
            }
        }
    }
}
