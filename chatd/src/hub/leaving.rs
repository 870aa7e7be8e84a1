//! How a member leaves a room of this hub: it gives its seat up, the room holds the seat, or the seat waits for its session. Pure: no I/O.

use super::Hub;
use super::ownership::PendingAnswer;
use super::request::Asked;
use super::session::{LeavingSeat, SessionState};
use crate::ids::{Reach, RoomIndex, SessionId, SessionRef, Time};
use crate::peer_protocol::{After, Disconnect};
use crate::protocol::{Event, ExitReason, RoomId, SeatId};
use crate::room::{Delivered, Dropped, RoomEvent};

impl Hub {
    pub(super) fn leave(&mut self, time: Time, index: RoomIndex, seat: SeatId, asked: Asked, quit: bool) {
        let Some(left) = self.rooms.get_mut(index).and_then(|owned| owned.room.leave(seat)) else {
            return;
        };
        match asked.by {
            Reach::Local(id) => {
                if let Some(session) = self.sessions.get_mut(id) {
                    let (name, resumable, auth) = (left.name(), left.resumable, left.auth());
                    let leaving = LeavingSeat { name, seat, resumable, auth };
                    session.state = SessionState::Leaving(Box::new(leaving));
                }
            }
            Reach::Remote(connection) => {
                self.remote_members.set_seat(connection, None);
            }
        }
        self.answer_after_write(time, index, PendingAnswer::Left { asked, quit });
        self.answer_after_write(time, index, PendingAnswer::Exited { name: left.name(), reason: ExitReason::Left });
    }

    /// The record no longer has the seat: replies to LEAVE or QUIT.
    pub(super) fn has_left(&mut self, time: Time, index: RoomIndex, asked: Asked, quit: bool) {
        let Some(room) = self.rooms.get(index).map(|owned| owned.room.id) else {
            return;
        };
        match asked.by {
            Reach::Local(id) => {
                if !matches!(self.sessions.get(id).map(|session| &session.state), Some(SessionState::Leaving(_))) {
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
                self.remote_members.part_with(&mut self.context.peers, session, asked, &[bye], after);
            }
            Reach::Remote(_) => self.left(time, asked, room),
        }
    }

    /// Sends `LEFT`: the session is outside.
    pub(super) fn left(&mut self, time: Time, asked: Asked, room: RoomId) {
        match asked.by {
            Reach::Local(id) => {
                self.now_outside(time, id);
                self.reply(asked, &Event::Left { room });
                self.sessions.wake(id);
            }
            Reach::Remote(session) => {
                let after = After::Outside { miss: false };
                self.remote_members.part_with(&mut self.context.peers, session, asked, &[Event::Left { room }], after);
            }
        }
    }

    /// The session's connection has ended: the room holds its seat or gives it up.
    pub(super) fn leave_seat_of(&mut self, time: Time, id: SessionId, disconnect: Disconnect) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        match &session.state {
            SessionState::Seated { index, seat } => {
                let (index, seat) = (*index, *seat);
                session.state = SessionState::Outside;
                self.seat_disconnected(time, index, seat, disconnect, None);
            }
            SessionState::Relayed(_) => {
                self.relays.client_gone(&mut self.sessions, &mut self.context, id, disconnect);
            }
            SessionState::Busy => {
                let room = session.room.get();
                session.state = SessionState::Outside;
                self.forget_joining(time, room, Reach::Local(id));
            }
            SessionState::Outside | SessionState::Leaving(_) | SessionState::Closing => {}
        }
    }

    /// The client is gone before the reply to its JOIN or RESUME: forgets the request.
    pub(super) fn forget_joining(&mut self, time: Time, room: Option<RoomId>, reach: Reach) {
        let Some(index) = room.and_then(|room| self.rooms.index_of(room)) else {
            return;
        };
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        owned.cancel_resumes(reach);
        let (room, claims) = (owned.room.id, owned.cancel_claims(reach));
        if owned.room.forget_joining(reach) {
            owned.changed();
            self.write(time, index);
            self.arm_room(time, index);
        }
        for claim in claims {
            self.give_token_back(room, &claim);
        }
    }

    /// A member's connection is gone. `delivered`: how much it received, if not everything.
    pub(super) fn seat_disconnected(
        &mut self,
        time: Time,
        index: RoomIndex,
        seat: SeatId,
        how: Disconnect,
        delivered: Option<Delivered>,
    ) {
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        let hold = self.context.settings.terms(owned.room.descriptor()).seat_hold();
        let sure = owned.ready();
        let delivered = delivered.unwrap_or_else(|| owned.room.delivered_all(how));
        if let Some(dropped) = owned.room.disconnect(seat, how, delivered, sure, hold, time.now) {
            self.say_dropped(time, index, seat, dropped);
        }
    }

    fn say_dropped(&mut self, time: Time, index: RoomIndex, seat: SeatId, dropped: Dropped) {
        match dropped {
            // The room is on its way to another pod, or it is not sure that it is here.
            Dropped::Unsaid => {}
            Dropped::Away(name) => self.announce_to_others(time, index, seat, RoomEvent::Away(name.into())),
            Dropped::Exited(name, reason) => {
                self.answer_after_write(time, index, PendingAnswer::Exited { name, reason });
            }
        }
        self.arm_room(time, index);
    }

    /// Ends the seats whose hold is over.
    pub(super) fn seats_due(&mut self, time: Time, index: RoomIndex) {
        let Some(owned) = self.rooms.get(index).filter(|owned| owned.ready()) else {
            return;
        };
        let hold = self.context.settings.terms(owned.room.descriptor()).seat_hold();
        for seat in owned.room.due(time.now) {
            let dropped = self.rooms.get_mut(index).and_then(|owned| owned.room.expire(seat, hold, time.now));
            if let Some(dropped) = dropped {
                self.say_dropped(time, index, seat, dropped);
            }
        }
    }

    /// The peer link of a remote member is gone: its seat waits for the session to attach again.
    pub(super) fn detach(&mut self, time: Time, connection: SessionRef) {
        let Some(member) = self.remote_members.remove(connection) else {
            return;
        };
        let reach = Reach::Remote(connection);
        self.forget_joining(time, Some(member.room()), reach);
        let (Some(index), Some(seat)) = (self.rooms.index_of(member.room()), member.seat()) else {
            return;
        };
        let Some(owned) = self.rooms.get(index) else {
            return;
        };
        if owned.room.seat(seat).is_some_and(|seat| seat.reach == Some(reach)) {
            let delivered = owned.room.delivered_all(Disconnect::Lost);
            self.detach_seat(time, index, seat, delivered);
        }
    }

    /// The seat loses its connection, which may return. The other members get no event.
    pub(super) fn detach_seat(&mut self, time: Time, index: RoomIndex, seat: SeatId, delivered: Delivered) {
        if let Some(owned) = self.rooms.get_mut(index) {
            owned.room.detach(seat, delivered, time.now);
        }
        self.arm_room(time, index);
    }
}
