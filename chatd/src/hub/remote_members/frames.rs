//! Carries out the frames of entry pods for their sessions whose room is here. Pure: no I/O.

use super::refuse;
use crate::hub::Hub;
use crate::hub::request::{Asked, Entry};
use crate::ids::{Reach, SessionRef, Time};
use crate::peer_protocol::{Attach, Disconnect};
use crate::protocol::{Command, Encoding, ErrorCode, Heard, RoomId};
use crate::room::Delivered;
use crate::room_call::RoomCall;

impl Hub {
    /// Ends a remote member whose queue is over its limit.
    pub(in crate::hub) fn remote_is_too_slow(&mut self, time: Time, to: SessionRef) {
        self.context.counters.slow_consumers += 1;
        self.remote_disconnected(time, to, Disconnect::Slow, None);
        self.remote_members.end(&mut self.context.peers, to, ErrorCode::SlowConsumer, true);
    }

    /// All of the pod's connections hold too much memory, and this one the most.
    pub(in crate::hub) fn remote_is_shed(&mut self, time: Time, to: SessionRef) {
        self.context.counters.connections_shed += 1;
        self.remote_disconnected(time, to, Disconnect::Slow, None);
        self.remote_members.end(&mut self.context.peers, to, ErrorCode::Overloaded, true);
    }

    // ---- frames from entry pods

    pub(in crate::hub) fn remote_opens(
        &mut self,
        time: Time,
        to: SessionRef,
        room: RoomId,
        encoding: Encoding,
        asked: Asked,
        command: Command<'_>,
    ) {
        let Some(index) = self.rooms.index_of(room) else {
            return refuse(&mut self.context, to, room);
        };
        let entry = match command {
            Command::Join { name, resumable, key, auth, .. } => {
                Entry::Join { name, resumable, key, auth: auth.map(|auth| auth.into_owned().into()) }
            }
            Command::Resume { token, heard, .. } => Entry::Resume { token: token.into_owned(), heard },
            _ => return,
        };
        self.remote_members.insert(to, encoding, room);
        self.admit(time, index, asked, &entry, time.now);
    }

    pub(in crate::hub) fn remote_calls(&mut self, time: Time, to: SessionRef, room: RoomId, call: Box<RoomCall>) {
        let Some(index) = self.rooms.index_of(room) else {
            return refuse(&mut self.context, to, room);
        };
        self.remote_members.insert(to, Encoding::Call, room);
        self.carry_out_call(time, index, Asked { by: Reach::Remote(to), number: 1, id: None }, call);
    }

    pub(in crate::hub) fn remote_commands(
        &mut self,
        time: Time,
        to: SessionRef,
        number: u64,
        id: Option<u64>,
        command: Result<Command<'_>, ErrorCode>,
    ) {
        let Some(member) = self.remote_members.get(to) else {
            return;
        };
        let (Some(index), Some(seat)) = (self.rooms.index_of(member.room()), member.seat()) else {
            return;
        };
        let processed = self.rooms.get(index).and_then(|owned| owned.room.seat(seat)).map_or(0, |seat| seat.processed);
        if number <= processed && self.context.settings.rules.number_commands {
            return;
        }
        let asked = Asked { by: Reach::Remote(to), number, id };
        self.command_in_room(time, index, seat, asked, command);
    }

    /// The client of a remote member is gone.
    pub(in crate::hub) fn remote_closed(
        &mut self,
        time: Time,
        to: SessionRef,
        room: RoomId,
        disconnect: Disconnect,
        heard: Option<Heard>,
    ) {
        let Some(index) = self.rooms.index_of(room) else {
            self.remote_members.remove(to);
            return;
        };
        let delivered = self.rooms.get(index).map(|owned| owned.room.delivered_to(heard));
        if self.remote_members.get(to).is_some() {
            self.remote_disconnected(time, to, disconnect, delivered);
            self.remote_members.remove(to);
            return;
        }
        // The session was in transit to this owner or back, or another connection resumes its seat.
        let delivered = delivered.filter(|_| heard.is_some());
        let waiting = self.rooms.get_mut(index).and_then(|owned| owned.room.not_coming(to, delivered));
        let Some((seat, delivered)) = waiting else {
            return;
        };
        match self.take_pending_resume(index, seat) {
            Some(resuming) => self.take_seat(time, index, seat, (resuming.asked, resuming.since), None),
            None => self.seat_disconnected(time, index, seat, disconnect, Some(delivered)),
        }
    }

    /// Disconnects the seat of a remote member. `delivered`: how much it received, if not everything.
    pub(in crate::hub) fn remote_disconnected(
        &mut self,
        time: Time,
        to: SessionRef,
        disconnect: Disconnect,
        delivered: Option<Delivered>,
    ) {
        let Some(member) = self.remote_members.get(to) else {
            return;
        };
        let (room, seat) = (member.room(), member.seat());
        self.remote_members.set_seat(to, None);
        self.forget_joining(time, Some(room), Reach::Remote(to));
        if let (Some(index), Some(seat)) = (self.rooms.index_of(room), seat) {
            self.seat_disconnected(time, index, seat, disconnect, delivered);
        }
    }

    pub(in crate::hub) fn remote_attaches(&mut self, time: Time, to: SessionRef, room: RoomId, attach: &Attach) {
        let Some(index) = self.rooms.index_of(room) else {
            return refuse(&mut self.context, to, room);
        };
        if self.rooms.get(index).is_some_and(|owned| owned.room.is_joining(Reach::Remote(to))) {
            // A repeated attach. The first one got a new seat: its reply follows the write.
            return;
        }
        let leaving = self.rooms.get(index).is_some_and(|owned| owned.is_leaving(Reach::Remote(to)));
        self.remote_members.insert(to, attach.encoding, room);
        if let Some(owned) = self.rooms.get_mut(index) {
            owned.lose_answers(Reach::Remote(to));
        }
        if leaving {
            // Its LEAVE or QUIT was carried out before the link broke, and the reply follows the write. A new seat would remain,
            // since that reply ends the session.
            return;
        }
        self.reinstate(time, index, attach.member.name, attach.member.seat);
        let asked = Asked { by: Reach::Remote(to), number: 0, id: None };
        self.attach(time, index, asked, to, attach);
    }
}
