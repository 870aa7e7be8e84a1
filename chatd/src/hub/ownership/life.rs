//! An owned room's beginning and end, and what is due in between. Pure: no I/O.

use super::{ErrorCode, Notice, Ownership, Place, Timer, next_epoch};
use super::{Hub, Owned, PATIENCE, Phase, Released, Room, RoomId, RoomSlot};
use crate::hub::remote_members::refuse_frames;
use crate::hub::session::Session;
use crate::ids::{SessionId, Time};

impl Hub {
    // ---- beginning and end

    /// A room that is new in the world.
    pub(in crate::hub) fn found_room(&mut self, time: Time, room: RoomId, whom: Released, slot: RoomSlot) {
        let epoch = next_epoch(None, self.context.known_owners.get(room).map(|seen| seen.ownership.epoch), time.wall);
        let ownership = Ownership { epoch, boot: self.context.me.ownership.boot };
        let phase = Phase::Founding { whom, until: time.now + PATIENCE };
        let room = Room::new(room, &mut self.context.random);
        let key = self.own(Owned::new(room, ownership, phase, None, time.now, slot));
        self.write(time, key);
        self.arm_room(time, key);
    }

    pub(super) fn refound(&mut self, time: Time, key: usize) {
        let Some(owned) = self.disown(key) else {
            return;
        };
        // Whoever has guessed the id means the room of the pod that has it.
        for waiter in owned.waiters {
            self.look_for(time, owned.room.id, waiter);
        }
        refuse_frames(&mut self.context, owned.frames);
        match owned.phase {
            // Who asked has said which id it is to have.
            Phase::Founding { whom: whom @ Released::Elsewhere { .. }, .. } => {
                self.created(time, whom, Err(ErrorCode::Unavailable));
            }
            Phase::Founding { whom, .. } => self.create_room_for(time, whom, owned.slot),
            _ => {}
        }
    }

    pub(in crate::hub) fn own(&mut self, owned: Owned) -> usize {
        let room = owned.room.id;
        let key = self.rooms.insert(owned);
        self.rooms.keep_to_the_budget(self.context.settings.ring_total);
        self.context.known_owners.remove(room);
        key
    }

    pub(in crate::hub) fn disown(&mut self, key: usize) -> Option<Owned> {
        let owned = self.rooms.remove(key)?;
        self.outgoing.is_over(owned.room.id);
        Some(owned)
    }

    pub(super) fn delete(&mut self, time: Time, key: usize) {
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        owned.phase = Phase::Closing { until: time.now + 2 * PATIENCE };
        let room = owned.room.id;
        match owned.record.delete(room) {
            Some(request) => {
                self.send(key, request);
                self.arm_room(time, key);
            }
            None => self.room_closed(time, key),
        }
    }

    pub(super) fn room_closed(&mut self, time: Time, key: usize) {
        if let Some(owned) = self.disown(key) {
            self.context.counters.rooms_closed += 1;
            self.context.counters.rooms_made_way += u64::from(owned.makes_way);
            self.context.log(Notice::Closed { room: owned.room.id });
            for waiter in owned.waiters {
                self.look_for(time, owned.room.id, waiter);
            }
            refuse_frames(&mut self.context, owned.frames);
        }
    }

    // ---- time

    pub(in crate::hub) fn arm_room(&mut self, time: Time, key: usize) {
        if let Some(owned) = self.rooms.get(key) {
            let at = owned.next_due(&self.context.settings).max(time.now + 1);
            let room = owned.room.id;
            self.context.arm(at, Timer::Room(room));
        }
    }

    pub(in crate::hub) fn room_due(&mut self, time: Time, room: RoomId) {
        let Some(key) = self.rooms.key(room) else {
            return;
        };
        let now = time.now;
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        match owned.phase {
            Phase::Founding { whom, until } if until <= now => {
                if let Some(owned) = self.disown(key) {
                    for waiter in owned.waiters {
                        self.turn_away(time, &waiter, ErrorCode::Unavailable);
                    }
                    refuse_frames(&mut self.context, owned.frames);
                }
                return self.created(time, whom, Err(ErrorCode::Unavailable));
            }
            Phase::Closing { until } if until <= now => return self.room_closed(time, key),
            _ => {}
        }
        if owned.unconfirmed.is_some_and(|until| until <= now) {
            owned.unconfirmed = None;
            self.ready_again(time, key);
        }
        self.release(time, key);
        self.waiters_due(time, key);
        self.resuming_due(time, key);
        self.seats_due(time, key);
        self.move_due(time, key);
        let Some(owned) = self.rooms.get_mut(key).filter(|owned| owned.room.id == room) else {
            return;
        };
        owned.note_empty(now);
        self.rooms.forget_old(now, key, self.context.settings.ring);
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        if owned.closes_at(self.context.settings.empty_ttl).is_some_and(|at| at <= now) {
            return self.delete(time, key);
        }
        if owned.ready() && owned.holds_at.take_if(|at| *at <= now).is_some() {
            owned.changed();
            self.write(time, key);
        }
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        if owned.record.take_retry(now) {
            self.check(time, key);
        } else if owned.record.take_check(now) {
            self.rooms.checks.push_back(room);
            self.pump_checks(time);
        }
        self.arm_room(time, key);
    }

    /// Whether what is queued for a session has to wait: its room's owner is not sure that it still is.
    pub(in crate::hub) fn output_waits(&self, session: &Session) -> bool {
        let key = match session.place {
            Place::Seated { key, .. } => Some(key),
            // What it was told before it wanted to leave.
            Place::Leaving { .. } => session.room.and_then(|room| self.rooms.key(room)),
            _ => None,
        };
        key.and_then(|key| self.rooms.get(key)).is_some_and(|owned| owned.unconfirmed.is_some())
    }

    /// Commands that waited are carried out, and output that waited goes out.
    pub(in crate::hub) fn ready_again(&mut self, time: Time, key: usize) {
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let local: Vec<SessionId> = owned
            .room
            .seats
            .iter()
            .filter_map(|seat| match seat.reach {
                Some(crate::ids::Reach::Local(id)) => Some(id),
                _ => None,
            })
            .collect();
        // What has been said goes out, even if the room is on its way to another pod and takes no commands.
        for id in &local {
            self.sessions.mark_dirty(*id);
        }
        let Some(owned) = self.rooms.get_mut(key).filter(|owned| owned.ready()) else {
            return;
        };
        let frames = std::mem::take(&mut owned.frames);
        let waiters = std::mem::take(&mut owned.waiters);
        for (from, frame) in frames {
            self.frame_came(time, from, frame);
        }
        for waiter in waiters {
            self.serve_waiter(time, key, &waiter);
        }
        for id in local {
            self.sessions.wake(id);
        }
    }
}
