//! Making rooms: for CREATE_ROOM and for the HTTP API. Pure: no I/O.

use super::input::Asked;
use super::ownership::Released;
use super::session::Place;
use super::slots::RoomSlot;
use super::{Effect, Hub, Time};
use crate::protocol::{ErrorCode, Event, RoomId};
use crate::room::Reach;

impl Hub {
    pub(super) fn create(&mut self, time: Time, asked: Asked) {
        let slot = match self.may_create() {
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
        match self.may_create() {
            Ok(slot) => self.create_room_for(time, Released::Queried(query), slot),
            Err(code) => self.effects.push(Effect::Created { query, result: Err(code) }),
        }
    }

    fn may_create(&self) -> Result<RoomSlot, ErrorCode> {
        if self.drain.is_some() {
            Err(ErrorCode::ShuttingDown)
        } else if !self.serves() {
            Err(ErrorCode::Unavailable)
        } else {
            self.settings.slots.take().ok_or(ErrorCode::TooManyRooms)
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
