//! Sessions of other pods whose room is here: what they send is carried out, what they are to hear goes back over the peer link.
//! Pure: no I/O.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::admission::Entry;
use super::input::Asked;
use super::peers::Peers;
use super::{Hub, Time};
use crate::frame::{After, Attach, Drop, Frame};
use crate::protocol::{Command, Encoding, ErrorCode, Event, Heard, PodBoot, RoomId, SeatId};
use crate::room::{Connection, Given, Reach, Seat, SeatState};

/// A delivery that waits for the session's window.
#[derive(Debug)]
struct Queued {
    replies: Option<u64>,
    position: u64,
    seq: u64,
    bytes: Vec<u8>,
    after: Option<After>,
}

/// A relayed session at its room's owner.
#[derive(Debug)]
pub struct Guest {
    pub encoding: Encoding,
    pub room: RoomId,
    /// `None`: its JOIN has not been answered, or it is leaving.
    pub seat: Option<SeatId>,
    credit: i64,
    queue: VecDeque<Queued>,
    queued: usize,
    /// Its last word waits for the window: it is forgotten once that has gone out.
    parting: bool,
}

impl Guest {
    pub fn new(encoding: Encoding, room: RoomId, window: usize) -> Self {
        Self {
            encoding,
            room,
            seat: None,
            credit: window.cast_signed() as i64,
            queue: VecDeque::new(),
            queued: 0,
            parting: false,
        }
    }

    /// Sends, or queues where the window is full. Returns how many bytes are queued.
    #[allow(clippy::too_many_arguments)]
    pub fn deliver(
        &mut self,
        peers: &mut Peers,
        room: RoomId,
        to: Connection,
        replies: Option<u64>,
        (position, seq): (u64, u64),
        bytes: &[u8],
        after: Option<After>,
    ) -> usize {
        if self.credit > 0 && self.queue.is_empty() {
            self.credit -= bytes.len().cast_signed() as i64;
            let bytes = Cow::Borrowed(bytes);
            peers.send(to.boot, &Frame::Deliver { room, relay: to.relay, replies, position, seq, bytes, after });
        } else {
            self.queued += bytes.len();
            self.queue.push_back(Queued { replies, position, seq, bytes: bytes.to_vec(), after });
        }
        self.queued
    }

    /// Bytes that wait for the window.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Sends what is queued for as long as the window allows; all of it if `all`.
    fn flush(&mut self, peers: &mut Peers, to: Connection, all: bool) {
        while (all || self.credit > 0)
            && let Some(next) = self.queue.pop_front()
        {
            self.queued -= next.bytes.len();
            self.credit -= next.bytes.len().cast_signed() as i64;
            let Queued { replies, position, seq, bytes, after } = next;
            let bytes = Cow::Owned(bytes);
            let room = self.room;
            peers.send(to.boot, &Frame::Deliver { room, relay: to.relay, replies, position, seq, bytes, after });
        }
    }
}

impl Hub {
    /// Encodes an event for a relayed session and delivers it; as the reply to what was asked, if that has a number.
    pub(super) fn deliver_event(
        &mut self,
        to: Connection,
        asked: Asked,
        event: &Event<'_>,
        place: (u64, u64),
        after: Option<After>,
    ) {
        if let Some(guest) = self.guests.get(&to) {
            let mut bytes = Vec::new();
            guest.encoding.encode(event, asked.id, &mut bytes);
            self.deliver_bytes(to, asked.replies(), place, &bytes, after);
        }
    }

    /// `place`: the position and seq up to which the session then has everything; zeroes: as before.
    pub(super) fn deliver_bytes(
        &mut self,
        to: Connection,
        replies: Option<u64>,
        place: (u64, u64),
        bytes: &[u8],
        after: Option<After>,
    ) {
        if let Some(guest) = self.guests.get_mut(&to) {
            let room = guest.room;
            guest.deliver(&mut self.peers, room, to, replies, place, bytes, after);
        }
    }

    /// The last word to a relayed session has been given to it, and keeps its place behind what waits for the window.
    pub(super) fn part_from(&mut self, to: Connection) {
        if let Some(guest) = self.guests.get_mut(&to) {
            guest.parting = true;
            self.forget_parted(to);
        }
    }

    fn forget_parted(&mut self, to: Connection) {
        if self.guests.get(&to).is_some_and(|guest| guest.parting && guest.queue.is_empty()) {
            self.guests.remove(&to);
        }
    }

    /// Ends a relayed session with an error: what is queued is dropped for a slow reader, sent otherwise.
    pub(super) fn end_guest(&mut self, to: Connection, code: ErrorCode) {
        self.end_guest_saying(to, code, true);
    }

    /// `error`: the error has not been said yet.
    pub(super) fn end_guest_saying(&mut self, to: Connection, code: ErrorCode, error: bool) {
        let Some(mut guest) = self.guests.remove(&to) else {
            return;
        };
        if code == ErrorCode::SlowConsumer {
            guest.queue.clear();
        }
        guest.flush(&mut self.peers, to, true);
        let mut bytes = Vec::new();
        if error {
            guest.encoding.encode(&Event::Error { code, retry_after_ms: None }, None, &mut bytes);
        }
        guest.encoding.encode(&Event::Bye { code: Some(code) }, None, &mut bytes);
        guest.credit = 1;
        let after = Some(After::Close { code: Some(code) });
        guest.deliver(&mut self.peers, guest.room, to, None, (0, 0), &bytes, after);
    }

    /// Hands a relayed session to its room's new owner; everything that it was to hear goes before that.
    pub(super) fn send_away(&mut self, to: Connection, owner: crate::record::Owner, processed: u64) {
        if let Some(mut guest) = self.guests.remove(&to) {
            guest.flush(&mut self.peers, to, true);
            let room = guest.room;
            self.peers.send(to.boot, &Frame::Yielded { room, relay: to.relay, owner, processed });
        }
    }

    // ---- frames from entry pods

    pub(super) fn guest_opens(
        &mut self,
        time: Time,
        to: Connection,
        room: RoomId,
        encoding: Encoding,
        asked: Asked,
        command: Command<'_>,
    ) {
        let Some(key) = self.owned_key(room) else {
            return self.refuse_guest(to, room);
        };
        let entry = match command {
            Command::Join { name, resumable, key, .. } => Entry::Join { name, resumable, key },
            Command::Resume { token, heard, .. } => Entry::Resume { token: token.into_owned(), heard },
            _ => return,
        };
        self.guests.insert(to, Guest::new(encoding, room, self.settings.limits.window));
        self.admit(time, key, asked, &entry, time.now);
    }

    /// The room is not here.
    pub(super) fn refuse_guest(&mut self, to: Connection, room: RoomId) {
        let seen = self.seen.get(room).cloned();
        self.peers.send(to.boot, &Frame::Refused { room, relay: to.relay, seen });
    }

    pub(super) fn guest_commands(
        &mut self,
        time: Time,
        to: Connection,
        number: u64,
        id: Option<u64>,
        command: Result<Command<'_>, ErrorCode>,
    ) {
        let Some(guest) = self.guests.get(&to) else {
            return;
        };
        let (Some(key), Some(seat)) = (self.owned_key(guest.room), guest.seat) else {
            return;
        };
        let processed = self.rooms.get(key).and_then(|owned| owned.room.seat(seat)).map_or(0, |seat| seat.processed);
        if number <= processed && self.settings.rules.number_commands {
            return;
        }
        let asked = Asked { by: Reach::Guest(to), number, id };
        self.command_in_room(time, key, seat, asked, command);
    }

    pub(super) fn guest_credits(&mut self, to: Connection, bytes: u32) {
        let window = self.settings.limits.window.cast_signed() as i64;
        if let Some(guest) = self.guests.get_mut(&to) {
            guest.credit = (guest.credit + i64::from(bytes)).min(window);
            guest.flush(&mut self.peers, to, false);
            self.forget_parted(to);
        }
    }

    /// The client of a relayed session is gone.
    pub(super) fn guest_closed(&mut self, time: Time, to: Connection, room: RoomId, drop: Drop, heard: Option<Heard>) {
        let Some(key) = self.owned_key(room) else {
            self.guests.remove(&to);
            return;
        };
        let given = self.rooms.get(key).map(|owned| match heard {
            Some(heard) if heard.timeline == owned.room.timeline => Given::UpTo(heard.last_seq.min(owned.room.seq)),
            Some(_) => Given::Nothing,
            None => Given::Unknown(owned.room.seq),
        });
        if self.guests.contains_key(&to) {
            self.guest_dropped(time, to, drop, given);
            self.guests.remove(&to);
            return;
        }
        // It was on its way here, or on its way back, or somebody resumes its seat.
        let its = |seat: &&mut Seat| seat.holder == Some(to) && matches!(seat.state, SeatState::Detached { .. });
        let Some(found) = self.rooms.get_mut(key).and_then(|owned| owned.room.seats.iter_mut().find(its)) else {
            return;
        };
        if let Some(given) = given.filter(|_| heard.is_some()) {
            found.given = given;
        }
        let (seat, given) = (found.id, found.given);
        match self.end_asking(key, seat) {
            Some(resuming) => self.take_seat(time, key, seat, resuming.asked, None),
            None => self.seat_dropped(time, key, seat, drop, given),
        }
    }

    /// The seat of a relayed session that ends. `given`: what it was given, if not everything.
    pub(super) fn guest_dropped(&mut self, time: Time, to: Connection, drop: Drop, given: Option<Given>) {
        let Some(guest) = self.guests.get_mut(&to) else {
            return;
        };
        let (room, seat) = (guest.room, guest.seat.take());
        self.forget_joining(time, Some(room), Reach::Guest(to));
        if let (Some(key), Some(seat)) = (self.owned_key(room), seat) {
            let given = given.unwrap_or_else(|| self.given_all(key, drop));
            self.seat_dropped(time, key, seat, drop, given);
        }
    }

    pub(super) fn guest_attaches(&mut self, time: Time, to: Connection, room: RoomId, attach: &Attach) {
        let Some(key) = self.owned_key(room) else {
            return self.refuse_guest(to, room);
        };
        let joining = |seat: &Seat| seat.reach == Some(Reach::Guest(to)) && seat.state == SeatState::Joining;
        if self.rooms.get(key).is_some_and(|owned| owned.room.seats.iter().any(joining)) {
            // Asked twice. The first time it was given a new seat: that is answered once it is written.
            return;
        }
        self.guests.insert(to, Guest::new(attach.encoding, room, self.settings.limits.window));
        self.reinstate(time, key, attach.name, attach.seat);
        let asked = Asked { by: Reach::Guest(to), number: 0, id: None };
        self.attach(time, key, asked, to, attach);
    }

    /// What waited for a room that is not here any more: those who sent it are told.
    pub(super) fn refuse_frames(&mut self, frames: Vec<(PodBoot, Frame<'static>)>) {
        for (boot, frame) in frames {
            if let Frame::Open { room, relay, .. } | Frame::Attach { room, relay, .. } = frame {
                self.refuse_guest(Connection { boot, relay }, room);
            }
        }
    }
}
