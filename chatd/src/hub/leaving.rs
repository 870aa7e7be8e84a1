//! How a seat is left in a room that is owned here: given up, held for a while, or waiting for its session. Pure: no I/O.

use super::Hub;
use super::ownership::PendingAnswer;
use super::request::Asked;
use super::session::Place;
use crate::ids::{Reach, SessionId, SessionRef, Time};
use crate::peer_protocol::{After, Drop};
use crate::protocol::{Event, ExitReason, RoomId, SeatId};
use crate::room::{Delivered, Dropped, RoomEvent};

impl Hub {
    pub(super) fn leave(&mut self, time: Time, key: usize, seat: SeatId, asked: Asked, quit: bool) {
        let Some(left) = self.rooms.get_mut(key).and_then(|owned| owned.room.leave(seat)) else {
            return;
        };
        match asked.by {
            Reach::Local(id) => {
                if let Some(session) = self.sessions.get_mut(id) {
                    session.place = Place::Leaving { name: left.name, seat, resumable: left.resumable };
                }
            }
            Reach::Remote(connection) => {
                self.remote_members.set_seat(connection, None);
            }
        }
        self.answer_after_write(time, key, PendingAnswer::Left { asked, quit });
        self.answer_after_write(time, key, PendingAnswer::Exited { name: left.name, reason: ExitReason::Left });
    }

    /// The write without the seat is done: LEAVE or QUIT is answered.
    pub(super) fn has_left(&mut self, time: Time, key: usize, asked: Asked, quit: bool) {
        let Some(room) = self.rooms.get(key).map(|owned| owned.room.id) else {
            return;
        };
        match asked.by {
            Reach::Local(id) => {
                if !matches!(self.sessions.get(id).map(|session| &session.place), Some(Place::Leaving { .. })) {
                    return;
                }
                if quit {
                    return self.goodbye(id, asked.id, None);
                }
                self.left(time, asked, room);
            }
            Reach::Remote(session) if quit => {
                let after = After::Close { code: None };
                let bye = Event::Bye { code: None };
                self.remote_members.part_with(&mut self.context.peers, session, asked, &bye, after);
            }
            Reach::Remote(_) => self.left(time, asked, room),
        }
    }

    /// Says `LEFT`: the session is outside.
    pub(super) fn left(&mut self, time: Time, asked: Asked, room: RoomId) {
        match asked.by {
            Reach::Local(id) => {
                self.now_outside(time, id);
                self.reply(asked, &Event::Left { room });
                self.sessions.wake(id);
            }
            Reach::Remote(session) => {
                let after = After::Outside { miss: false };
                self.remote_members.part_with(&mut self.context.peers, session, asked, &Event::Left { room }, after);
            }
        }
    }

    /// The session's connection ends: whatever it has in a room is given up or held.
    pub(super) fn leave_seat_of(&mut self, time: Time, id: SessionId, drop: Drop) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        match &session.place {
            Place::Seated { key, seat } => {
                let (key, seat) = (*key, *seat);
                session.place = Place::Outside;
                self.seat_dropped(time, key, seat, drop, None);
            }
            Place::Relayed(_) => {
                self.relays.client_gone(&mut self.sessions, &mut self.context, id, drop);
            }
            Place::Busy => {
                let room = session.room;
                session.place = Place::Outside;
                self.forget_joining(time, room, Reach::Local(id));
            }
            Place::Outside | Place::Leaving { .. } | Place::Closing => {}
        }
    }

    /// A JOIN or RESUME whose client is gone before its answer leaves nothing behind.
    pub(super) fn forget_joining(&mut self, time: Time, room: Option<RoomId>, reach: Reach) {
        let Some(key) = room.and_then(|room| self.rooms.key(room)) else {
            return;
        };
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        owned.resuming.retain(|resuming| resuming.asked.by != reach);
        if owned.room.forget_joining(reach) {
            owned.changed();
            self.write(time, key);
            self.arm_room(time, key);
        }
    }

    /// A seated client's connection is gone. `delivered`: what was delivered to it, if not everything.
    pub(super) fn seat_dropped(
        &mut self,
        time: Time,
        key: usize,
        seat: SeatId,
        how: Drop,
        delivered: Option<Delivered>,
    ) {
        let hold = self.context.settings.seat_hold;
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let sure = owned.ready();
        let delivered = delivered.unwrap_or_else(|| owned.room.delivered_all(how));
        if let Some(dropped) = owned.room.disconnect(seat, how, delivered, sure, hold, time.now) {
            self.say_dropped(time, key, seat, dropped);
        }
    }

    fn say_dropped(&mut self, time: Time, key: usize, seat: SeatId, dropped: Dropped) {
        match dropped {
            // The room is on its way to another pod, or it is not sure that it is here.
            Dropped::Unsaid => {}
            Dropped::Away(name) => self.announce_to_others(time, key, seat, RoomEvent::Away(name)),
            Dropped::Exited(name, reason) => {
                self.answer_after_write(time, key, PendingAnswer::Exited { name, reason });
            }
        }
        self.arm_room(time, key);
    }

    /// Ends the seats whose time is over.
    pub(super) fn seats_due(&mut self, time: Time, key: usize) {
        let hold = self.context.settings.seat_hold;
        let Some(owned) = self.rooms.get(key).filter(|owned| owned.ready()) else {
            return;
        };
        for seat in owned.room.due(time.now) {
            let dropped = self.rooms.get_mut(key).and_then(|owned| owned.room.expire(seat, hold, time.now));
            if let Some(dropped) = dropped {
                self.say_dropped(time, key, seat, dropped);
            }
        }
    }

    /// A relayed session's peer link is gone: its seat waits for it to attach again.
    pub(super) fn detach(&mut self, time: Time, connection: SessionRef) {
        let Some(member) = self.remote_members.remove(connection) else {
            return;
        };
        let reach = Reach::Remote(connection);
        self.forget_joining(time, Some(member.room()), reach);
        let (Some(key), Some(seat)) = (self.rooms.key(member.room()), member.seat()) else {
            return;
        };
        let Some(owned) = self.rooms.get(key) else {
            return;
        };
        if owned.room.seat(seat).is_some_and(|seat| seat.reach == Some(reach)) {
            let delivered = owned.room.delivered_all(Drop::Lost);
            self.detach_seat(time, key, seat, delivered);
        }
    }

    /// The seat's connection is not there, and may come back. Nobody is told.
    pub(super) fn detach_seat(&mut self, time: Time, key: usize, seat: SeatId, delivered: Delivered) {
        if let Some(owned) = self.rooms.get_mut(key) {
            owned.room.detach(seat, delivered, time.now);
        }
        self.arm_room(time, key);
    }
}
