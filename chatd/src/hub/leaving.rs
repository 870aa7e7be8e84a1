//! How a seat is left in a room that is owned here: given up, held for a while, or waiting for its session. Pure: no I/O.

use super::Hub;
use super::ownership::PendingAnswer;
use super::request::{Asked, DETACHED};
use super::session::Place;
use crate::ids::{Reach, SessionId, SessionRef, Time};
use crate::peer_protocol::{After, Drop};
use crate::protocol::{Event, ExitReason, RoomId, SeatId};
use crate::room::{Delivered, RoomEvent, SeatState};

/// How long a seat is held whose tab was closed or loaded again (ms; docs/protocol.md, Seats, tokens and coming back).
const GOING_AWAY_HOLD: u64 = 10_000;

impl Hub {
    pub(super) fn leave(&mut self, time: Time, key: usize, seat: SeatId, asked: Asked, quit: bool) {
        let Some(left) = self.rooms.get_mut(key).and_then(|owned| owned.room.remove(seat)) else {
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
                    return self.goodbye(time, id, asked.id, None);
                }
                self.now_outside(time, id);
                self.reply(time, asked, &Event::Left { room });
                self.sessions.wake(id);
            }
            Reach::Remote(connection) => {
                let (event, after) = if quit {
                    (Event::Bye { code: None }, After::Close { code: None })
                } else {
                    (Event::Left { room }, After::Outside { miss: false })
                };
                self.remote_members.part_with(&mut self.context.peers, connection, asked, &event, after);
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
                let delivered = self.delivered_all(key, drop);
                self.seat_dropped(time, key, seat, drop, delivered);
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
        let before = owned.room.seats.len();
        owned.room.seats.retain(|seat| !(seat.state == SeatState::Joining && seat.reach == Some(reach)));
        if owned.room.seats.len() < before {
            owned.changed();
            self.write(time, key);
            self.arm_room(time, key);
        }
    }

    /// What a connection that ends now has been given: everything, but what is dropped of a slow reader's queue.
    pub(super) fn delivered_all(&self, key: usize, drop: Drop) -> Delivered {
        let last = self.rooms.get(key).map_or(0, |owned| owned.room.seq);
        if drop == Drop::Slow { Delivered::Unknown(last) } else { Delivered::UpTo(last) }
    }

    /// A seated client's connection is gone.
    pub(super) fn seat_dropped(&mut self, time: Time, key: usize, seat: SeatId, drop: Drop, delivered: Delivered) {
        let hold = if drop == Drop::GoingAway {
            GOING_AWAY_HOLD.min(self.context.settings.seat_hold)
        } else {
            self.context.settings.seat_hold
        };
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let ready = owned.ready();
        let Some(found) = owned.room.seat_mut(seat) else {
            return;
        };
        found.reach = None;
        found.delivered = delivered;
        if !ready {
            // The room is on its way to another pod, or it is not sure that it is here: nobody is told now.
            found.state = SeatState::Detached { until: time.now };
            return self.arm_room(time, key);
        }
        if found.resumable {
            found.state = SeatState::Away { until: time.now + hold };
            let name = found.name;
            self.announce_to_others(time, key, seat, RoomEvent::Away(name));
        } else {
            let reason = match drop {
                Drop::Slow => ExitReason::Slow,
                Drop::Moved => ExitReason::Moved,
                Drop::Lost | Drop::GoingAway | Drop::Limit => ExitReason::Disconnected,
            };
            self.end_seat(time, key, seat, reason);
        }
        self.arm_room(time, key);
    }

    fn end_seat(&mut self, time: Time, key: usize, seat: SeatId, reason: ExitReason) {
        if let Some(ended) = self.rooms.get_mut(key).and_then(|owned| owned.room.remove(seat)) {
            self.answer_after_write(time, key, PendingAnswer::Exited { name: ended.name, reason });
        }
    }

    /// Ends the seats whose time is over.
    pub(super) fn seats_due(&mut self, time: Time, key: usize) {
        let Some(owned) = self.rooms.get(key).filter(|owned| owned.ready()) else {
            return;
        };
        let due: Vec<_> = owned.room.seats.iter().map(|seat| (seat.id, seat.state, seat.delivered)).collect();
        for (seat, state, delivered) in due {
            match state {
                SeatState::Away { until } if until <= time.now => self.end_seat(time, key, seat, ExitReason::Timeout),
                SeatState::Detached { until } if until <= time.now => {
                    self.seat_dropped(time, key, seat, Drop::Lost, delivered);
                }
                _ => {}
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
        if self.rooms.get(key).and_then(|owned| owned.room.seat(seat)).is_some_and(|seat| seat.reach == Some(reach)) {
            let delivered = self.delivered_all(key, Drop::Lost);
            self.detach_seat(time, key, seat, delivered);
        }
    }

    /// The seat's connection is not there, and may come back. Nobody is told.
    pub(super) fn detach_seat(&mut self, time: Time, key: usize, seat: SeatId, delivered: Delivered) {
        if let Some(found) = self.rooms.get_mut(key).and_then(|owned| owned.room.seat_mut(seat)) {
            found.reach = None;
            found.state = SeatState::Detached { until: time.now + DETACHED };
            found.delivered = delivered;
        }
        self.arm_room(time, key);
    }
}
