//! What entry pods send for their sessions whose room is here, carried out. Pure: no I/O.

use super::refuse;
use crate::hub::Hub;
use crate::hub::request::{Asked, Entry};
use crate::ids::{Reach, SessionRef, Time};
use crate::peer_protocol::{Attach, Drop};
use crate::protocol::{Command, Encoding, ErrorCode, Heard, RoomId};
use crate::room::Delivered;

impl Hub {
    /// Ends a relayed session for which too much waits.
    pub(in crate::hub) fn remote_is_too_slow(&mut self, time: Time, to: SessionRef) {
        self.context.counters.slow_consumers += 1;
        self.remote_dropped(time, to, Drop::Slow, None);
        self.remote_members.end(&mut self.context.peers, to, ErrorCode::SlowConsumer, true);
    }

    /// All of the pod's connections hold too much, and this one the most.
    pub(in crate::hub) fn remote_is_shed(&mut self, time: Time, to: SessionRef) {
        self.context.counters.connections_shed += 1;
        self.remote_dropped(time, to, Drop::Slow, None);
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
        let Some(key) = self.rooms.key(room) else {
            return refuse(&mut self.context, to, room);
        };
        let entry = match command {
            Command::Join { name, resumable, key, .. } => Entry::Join { name, resumable, key },
            Command::Resume { token, heard, .. } => Entry::Resume { token: token.into_owned(), heard },
            _ => return,
        };
        self.remote_members.insert(to, encoding, room);
        self.admit(time, key, asked, &entry, time.now);
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
        let (Some(key), Some(seat)) = (self.rooms.key(member.room()), member.seat()) else {
            return;
        };
        let processed = self.rooms.get(key).and_then(|owned| owned.room.seat(seat)).map_or(0, |seat| seat.processed);
        if number <= processed && self.context.settings.rules.number_commands {
            return;
        }
        let asked = Asked { by: Reach::Remote(to), number, id };
        self.command_in_room(time, key, seat, asked, command);
    }

    /// The client of a relayed session is gone.
    pub(in crate::hub) fn remote_closed(
        &mut self,
        time: Time,
        to: SessionRef,
        room: RoomId,
        drop: Drop,
        heard: Option<Heard>,
    ) {
        let Some(key) = self.rooms.key(room) else {
            self.remote_members.remove(to);
            return;
        };
        let delivered = self.rooms.get(key).map(|owned| owned.room.delivered_to(heard));
        if self.remote_members.get(to).is_some() {
            self.remote_dropped(time, to, drop, delivered);
            self.remote_members.remove(to);
            return;
        }
        // It was on its way here, or on its way back, or somebody resumes its seat.
        let delivered = delivered.filter(|_| heard.is_some());
        let waiting = self.rooms.get_mut(key).and_then(|owned| owned.room.not_coming(to, delivered));
        let Some((seat, delivered)) = waiting else {
            return;
        };
        match self.end_asking(key, seat) {
            Some(resuming) => self.take_seat(time, key, seat, resuming.asked, None),
            None => self.seat_dropped(time, key, seat, drop, Some(delivered)),
        }
    }

    /// The seat of a relayed session that ends. `delivered`: what was delivered to it, if not everything.
    pub(in crate::hub) fn remote_dropped(
        &mut self,
        time: Time,
        to: SessionRef,
        drop: Drop,
        delivered: Option<Delivered>,
    ) {
        let Some(member) = self.remote_members.get(to) else {
            return;
        };
        let (room, seat) = (member.room(), member.seat());
        self.remote_members.set_seat(to, None);
        self.forget_joining(time, Some(room), Reach::Remote(to));
        if let (Some(key), Some(seat)) = (self.rooms.key(room), seat) {
            self.seat_dropped(time, key, seat, drop, delivered);
        }
    }

    pub(in crate::hub) fn remote_attaches(&mut self, time: Time, to: SessionRef, room: RoomId, attach: &Attach) {
        let Some(key) = self.rooms.key(room) else {
            return refuse(&mut self.context, to, room);
        };
        if self.rooms.get(key).is_some_and(|owned| owned.room.is_joining(Reach::Remote(to))) {
            // Asked twice. The first time it was given a new seat: that is answered once it is written.
            return;
        }
        let leaving = self.rooms.get(key).is_some_and(|owned| owned.is_leaving(Reach::Remote(to)));
        self.remote_members.insert(to, attach.encoding, room);
        if leaving {
            // Its LEAVE or QUIT was carried out before the link broke, and is answered once that is written. A new seat would stay
            // behind, since that answer ends the session.
            return;
        }
        self.reinstate(time, key, attach.member.name, attach.member.seat);
        let asked = Asked { by: Reach::Remote(to), number: 0, id: None };
        self.attach(time, key, asked, to, attach);
    }
}
