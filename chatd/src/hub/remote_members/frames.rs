//! Sessions of other pods whose room is here: what they send is carried out, what they are to hear goes back over the peer link.
//! Pure: no I/O.

use std::borrow::Cow;

use super::{Delivery, RemoteMember};
use crate::hub::Hub;
use crate::hub::request::{Asked, Entry};
use crate::ids::{Reach, SessionRef, Time};
use crate::peer_protocol::{After, Attach, Drop, Frame};
use crate::protocol::{Command, Encoding, ErrorCode, Event, Heard, PodBoot, RoomId};
use crate::room::{Delivered, Seat, SeatState};

impl Hub {
    /// Encodes an event for a relayed session and delivers it; as the reply to what was asked, if that has a number.
    pub(in crate::hub) fn deliver_event(
        &mut self,
        to: SessionRef,
        asked: Asked,
        event: &Event<'_>,
        place: (u64, u64),
        after: Option<After>,
    ) {
        if let Some(member) = self.remote_members.get(to) {
            let mut bytes = Vec::new();
            member.encoding.encode(event, asked.id, &mut bytes);
            self.deliver_bytes(to, asked.replies(), place, &bytes, after);
        }
    }

    /// `place`: the position and seq up to which the session then has everything; zeroes: as before.
    pub(in crate::hub) fn deliver_bytes(
        &mut self,
        to: SessionRef,
        replies: Option<u64>,
        place: (u64, u64),
        bytes: &[u8],
        after: Option<After>,
    ) {
        self.remote_members.deliver(
            &mut self.context.peers,
            to,
            Delivery { replies, place, bytes: Cow::Borrowed(bytes), after },
        );
    }

    /// Ends a relayed session for which too much waits.
    pub(in crate::hub) fn remote_is_too_slow(&mut self, time: Time, to: SessionRef) {
        self.context.counters.slow_consumers += 1;
        self.remote_dropped(time, to, Drop::Slow, None);
        self.end_remote(to, ErrorCode::SlowConsumer);
    }

    /// All of the pod's connections hold too much, and this one the most.
    pub(in crate::hub) fn remote_is_shed(&mut self, time: Time, to: SessionRef) {
        self.context.counters.connections_shed += 1;
        self.remote_dropped(time, to, Drop::Slow, None);
        self.end_remote(to, ErrorCode::Overloaded);
    }

    /// Ends a relayed session with an error: what is queued is dropped for one that takes too little, sent otherwise.
    pub(in crate::hub) fn end_remote(&mut self, to: SessionRef, code: ErrorCode) {
        self.end_remote_saying(to, code, true);
    }

    /// `error`: the error has not been said yet.
    pub(in crate::hub) fn end_remote_saying(&mut self, to: SessionRef, code: ErrorCode, error: bool) {
        let Some(mut member) = self.remote_members.remove(to) else {
            return;
        };
        if matches!(code, ErrorCode::SlowConsumer | ErrorCode::Overloaded) {
            member.forget_queue();
        }
        member.flush(&mut self.context.peers, to, true);
        let mut bytes = Vec::new();
        if error {
            member.encoding.encode(&Event::Error { code, retry_after_ms: None }, None, &mut bytes);
        }
        member.encoding.encode(&Event::Bye { code: Some(code) }, None, &mut bytes);
        let after = Some(After::Close { code: Some(code) });
        member.send(&mut self.context.peers, to, Delivery { replies: None, place: (0, 0), bytes: bytes.into(), after });
    }

    /// Hands a relayed session to its room's new owner; everything that it was to hear goes before that.
    pub(in crate::hub) fn send_away(&mut self, to: SessionRef, owner: crate::record::Owner, processed: u64) {
        if let Some(mut member) = self.remote_members.remove(to) {
            member.flush(&mut self.context.peers, to, true);
            let room = member.room;
            self.context.peers.send(to.boot, &Frame::Yielded { room, relay: to.relay, owner, processed });
        }
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
            return self.refuse_remote(to, room);
        };
        let entry = match command {
            Command::Join { name, resumable, key, .. } => Entry::Join { name, resumable, key },
            Command::Resume { token, heard, .. } => Entry::Resume { token: token.into_owned(), heard },
            _ => return,
        };
        self.remote_members.insert(to, RemoteMember::new(encoding, room, self.context.settings.limits.window));
        self.admit(time, key, asked, &entry, time.now);
    }

    /// The room is not here.
    pub(in crate::hub) fn refuse_remote(&mut self, to: SessionRef, room: RoomId) {
        let seen = self.context.known_owners.get(room).cloned();
        self.context.peers.send(to.boot, &Frame::Refused { room, relay: to.relay, seen });
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
        let (Some(key), Some(seat)) = (self.rooms.key(member.room), member.seat) else {
            return;
        };
        let processed = self.rooms.get(key).and_then(|owned| owned.room.seat(seat)).map_or(0, |seat| seat.processed);
        if number <= processed && self.context.settings.rules.number_commands {
            return;
        }
        let asked = Asked { by: Reach::Remote(to), number, id };
        self.command_in_room(time, key, seat, asked, command);
    }

    pub(in crate::hub) fn remote_credits(&mut self, to: SessionRef, bytes: u32) {
        self.remote_members.credit(&mut self.context.peers, to, bytes, self.context.settings.limits.window);
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
        let delivered = self.rooms.get(key).map(|owned| match heard {
            Some(heard) if heard.timeline == owned.room.timeline => Delivered::UpTo(heard.last_seq.min(owned.room.seq)),
            Some(_) => Delivered::Nothing,
            None => Delivered::Unknown(owned.room.seq),
        });
        if self.remote_members.get(to).is_some() {
            self.remote_dropped(time, to, drop, delivered);
            self.remote_members.remove(to);
            return;
        }
        // It was on its way here, or on its way back, or somebody resumes its seat.
        let its = |seat: &&mut Seat| seat.holder == Some(to) && matches!(seat.state, SeatState::Detached { .. });
        let Some(found) = self.rooms.get_mut(key).and_then(|owned| owned.room.seats.iter_mut().find(its)) else {
            return;
        };
        if let Some(delivered) = delivered.filter(|_| heard.is_some()) {
            found.delivered = delivered;
        }
        let (seat, delivered) = (found.id, found.delivered);
        match self.end_asking(key, seat) {
            Some(resuming) => self.take_seat(time, key, seat, resuming.asked, None),
            None => self.seat_dropped(time, key, seat, drop, delivered),
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
        let (room, seat) = (member.room, member.seat);
        self.remote_members.set_seat(to, None);
        self.forget_joining(time, Some(room), Reach::Remote(to));
        if let (Some(key), Some(seat)) = (self.rooms.key(room), seat) {
            let delivered = delivered.unwrap_or_else(|| self.delivered_all(key, drop));
            self.seat_dropped(time, key, seat, drop, delivered);
        }
    }

    pub(in crate::hub) fn remote_attaches(&mut self, time: Time, to: SessionRef, room: RoomId, attach: &Attach) {
        let Some(key) = self.rooms.key(room) else {
            return self.refuse_remote(to, room);
        };
        let joining = |seat: &Seat| seat.reach == Some(Reach::Remote(to)) && seat.state == SeatState::Joining;
        if self.rooms.get(key).is_some_and(|owned| owned.room.seats.iter().any(joining)) {
            // Asked twice. The first time it was given a new seat: that is answered once it is written.
            return;
        }
        let leaving = self.rooms.get(key).is_some_and(|owned| owned.is_leaving(Reach::Remote(to)));
        self.remote_members.insert(to, RemoteMember::new(attach.encoding, room, self.context.settings.limits.window));
        if leaving {
            // Its LEAVE or QUIT was carried out before the link broke, and is answered once that is written. A new seat would stay
            // behind, since that answer ends the session.
            return;
        }
        self.reinstate(time, key, attach.name, attach.seat);
        let asked = Asked { by: Reach::Remote(to), number: 0, id: None };
        self.attach(time, key, asked, to, attach);
    }

    /// What waited for a room that is not here any more: those who sent it are told.
    pub(in crate::hub) fn refuse_frames(&mut self, frames: Vec<(PodBoot, Frame<'static>)>) {
        for (boot, frame) in frames {
            if let Frame::Open { room, relay, .. } | Frame::Attach { room, relay, .. } = frame {
                self.refuse_remote(SessionRef { boot, relay }, room);
            }
        }
    }
}
