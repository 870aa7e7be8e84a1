//! Commands of those who are in no room: CREATE_ROOM, JOIN, RESUME; and the owner's answer to them. Pure: no I/O.

use super::ownership::{Owned, PendingAnswer};
use super::replay::Unheard;
use super::request::{Asked, Entry, Waiter, WaiterPurpose};
use super::session::Place;
use super::{Effect, Hub};
use crate::ids::{Reach, SessionRef, Time};
use crate::peer_protocol::{After, Delivery};
use crate::protocol::{Command, Encoding, ErrorCode, Event, OnWrongPod, PlayerName, RoomId, SeatId, SeatKey};
use crate::room::{Bucket, Delivered, RoomEvent, Seat, SeatState, Strikes};

/// Somebody who is to have a new seat.
#[derive(Debug, Clone, Copy)]
pub struct Joining {
    pub name: PlayerName,
    pub resumable: bool,
    pub key: Option<SeatKey>,
    /// As a JOIN, not as an attach.
    pub counts: bool,
    /// When it was asked for.
    pub since: u64,
}

impl Hub {
    pub(super) fn command_outside(&mut self, time: Time, asked: Asked, command: Command<'_>) {
        let Reach::Local(id) = asked.by else {
            return;
        };
        if self.refuse_limited(time, id, asked, &command) {
            return;
        }
        match command {
            Command::CreateRoom => self.create(time, asked),
            Command::Join { room, name, resumable, key, on_wrong_pod } => {
                self.enter(time, asked, room, Entry::Join { name, resumable, key }, on_wrong_pod);
            }
            Command::Resume { room, token, heard, on_wrong_pod } => {
                let entry = Entry::Resume { token: token.into_owned(), heard };
                self.enter(time, asked, room, entry, on_wrong_pod);
            }
            Command::Say { .. } | Command::Who | Command::Leave => self.refuse(time, asked, ErrorCode::NotInRoom),
            Command::Ping => self.say(time, id, asked.id, &Event::Pong),
            Command::Help => self.say(time, id, asked.id, &Event::Help),
            Command::Quit => self.goodbye(time, id, asked.id, None),
        }
    }

    /// JOIN or RESUME of a client of this pod: here, if the room is here, else by way of its owner.
    fn enter(&mut self, time: Time, asked: Asked, room: RoomId, entry: Entry, mode: Option<OnWrongPod>) {
        let Reach::Local(id) = asked.by else {
            return;
        };
        if !self.context.serves() {
            self.context.counters.joined(Err(ErrorCode::Unavailable));
            return self.refuse_entry(time, asked, ErrorCode::Unavailable);
        }
        let shard = room.shard(self.context.settings.shards);
        let default = match self.encoding_of(asked.by) {
            Some(Encoding::Lines) => self.context.settings.tcp_on_wrong_pod,
            _ => OnWrongPod::Relay,
        };
        let here = self.context.settings.shard;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        session.mode = mode.unwrap_or(default);
        session.place = Place::Busy;
        if shard != here {
            let mut command = entry.command(room);
            if let Command::Join { on_wrong_pod, .. } | Command::Resume { on_wrong_pod, .. } = &mut command {
                *on_wrong_pod = mode;
            }
            session.place = Place::Outside;
            session.waiting.carried = Some((asked.id, command));
            // Until it has been taken away nothing else of it is carried out here.
            session.place = Place::Busy;
            self.context.effects.push(Effect::Migrate { session: id, shard });
            return;
        }
        session.room = Some(room);
        let relay = self.relays.next(self.context.settings.shard);
        if let Some(session) = self.sessions.get_mut(id) {
            session.relay = relay;
        }
        self.look_for(time, room, Waiter::entering(id, asked.id, entry, time.now));
    }

    /// JOIN or RESUME at the room's owner, of a client here or of one that another pod relays.
    pub(super) fn admit(&mut self, time: Time, key: usize, asked: Asked, entry: &Entry, since: u64) {
        match entry {
            Entry::Join { name, resumable, key: seat_key } => {
                let joining = Joining { name: *name, resumable: *resumable, key: *seat_key, counts: true, since };
                self.join(time, key, asked, joining);
            }
            Entry::Resume { token, heard } => self.resume(time, key, asked, token, *heard),
        }
    }

    /// Takes a new seat, which is answered once the write that holds it is done; or again the one that the same key has.
    pub(super) fn join(&mut self, time: Time, key: usize, asked: Asked, joining: Joining) {
        let Joining { name, resumable, key: seat_key, counts, since } = joining;
        let connection = self.connection(asked.by);
        let seat = self.context.new_seat();
        let bucket = Bucket::new(self.context.settings.rate, self.context.settings.burst, time.now);
        let max_players = self.context.settings.max_players;
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        // What is left of this connection's earlier try, whose answer was lost on a broken link.
        owned.room.seats.retain(|seat| {
            !(seat.name == name
                && seat.holder == connection
                && matches!(seat.state, SeatState::Joining | SeatState::Detached { .. }))
        });
        let own = owned.room.seats.iter().find(|seat| seat.name == name && seat_key.is_some() && seat.key == seat_key);
        if let Some(own) = own.map(|seat| seat.id) {
            let entry = Entry::Join { name, resumable, key: seat_key };
            return self.join_again(time, key, asked, own, entry, since);
        }
        if let Err(code) = owned.room.admits(name, max_players) {
            self.context.counters.joined(Err(code));
            return self.refuse_entry(time, asked, code);
        }
        owned.entered();
        owned.room.unanswered.retain(|(other, _)| *other != name);
        owned.room.seats.push(Seat {
            name,
            id: seat,
            resumable,
            key: seat_key,
            state: SeatState::Joining,
            reach: Some(asked.by),
            holder: connection,
            processed: asked.number,
            delivered: Delivered::UpTo(0),
            bucket,
            strikes: Strikes::default(),
        });
        let entry = Entry::Join { name, resumable, key: seat_key };
        self.answer_after_write(time, key, PendingAnswer::Joined { asked, seat, entry, counts, since });
    }

    /// The write that holds a JOIN is done: it is answered, and the others hear of it.
    pub(super) fn joined(&mut self, time: Time, key: usize, asked: Asked, seat: SeatId, counts: bool) {
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let Some(found) = owned.room.seat_mut(seat) else {
            return;
        };
        if found.state != SeatState::Joining {
            return;
        }
        let name = found.name;
        if counts {
            self.context.counters.joined(Ok(()));
        }
        self.announce_to_others(time, key, seat, RoomEvent::Entered(name));
        if let Some(owned) = self.rooms.get_mut(key)
            && let Some(found) = owned.room.seat_mut(seat)
        {
            found.state = SeatState::Live;
            if found.hold() {
                owned.seat_to_hold(time.now);
            }
        }
        // Who was in the room before, and whose seat its owner does not know, may have missed anything.
        let missed = counts.then_some(0);
        self.welcome(time, key, asked, seat, false, Unheard { missed, since: None });
    }

    /// Says `JOINED` and what was not heard before it, in one piece, and seats the session.
    pub(super) fn welcome(
        &mut self,
        time: Time,
        key: usize,
        asked: Asked,
        seat: SeatId,
        resumed: bool,
        unheard: Unheard,
    ) {
        let Some(owned) = self.rooms.get(key) else {
            return;
        };
        let room = &owned.room;
        let Some(found) = room.seat(seat) else {
            return;
        };
        let (name, resumable, seat_key, timeline) = (found.name, found.resumable, found.key, room.timeline);
        let token = resumable.then(|| self.keys.sign(room.id, name, seat));
        let players = room.players();
        let event = Event::Joined(crate::protocol::Joined {
            room: room.id,
            name,
            players: &players,
            max_players: self.context.settings.max_players,
            timeline,
            seq: room.seq,
            resumed,
            missed: unheard.missed,
            token: token.as_deref(),
            hold_ms: resumable.then_some(self.context.settings.seat_hold),
        });
        let place = (room.position, room.seq);
        self.arm_room(time, key);
        let Some(encoding) = self.encoding_of(asked.by) else {
            return;
        };
        let rest = self.encode_unheard(key, encoding, unheard);
        match asked.by {
            Reach::Local(id) => {
                if let Some(session) = self.sessions.get_mut(id) {
                    session.place = Place::Seated { key, seat };
                }
                self.say(time, id, asked.id, &event);
                self.say_bytes(time, id, &rest);
                self.sessions.wake(id);
            }
            Reach::Remote(connection) => {
                let after = After::Admitted { name, seat, resumable, key: seat_key, timeline, joined: true };
                self.remote_members.set_seat(connection, Some(seat));
                // In one frame: who has had JOINED is not told again what should have come after it.
                let mut bytes = Vec::new();
                encoding.encode(&event, asked.id, &mut bytes);
                bytes.extend_from_slice(&rest);
                let delivery = Delivery { replies: asked.replies(), place, bytes: bytes.into(), after: Some(after) };
                self.remote_members.deliver(&mut self.context.peers, connection, delivery);
            }
        }
    }

    /// The connection loses its seat to another one that resumed it.
    pub(super) fn replaced(&mut self, time: Time, old: Reach) {
        match old {
            Reach::Local(id) => {
                if let Some(session) = self.sessions.get_mut(id) {
                    session.place = Place::Outside;
                }
                self.fail(time, id, ErrorCode::Replaced);
            }
            Reach::Remote(connection) => {
                self.remote_members.end(&mut self.context.peers, connection, ErrorCode::Replaced, true);
            }
        }
    }

    /// JOIN or RESUME failed; the session is outside again.
    pub(super) fn refuse_entry(&mut self, time: Time, asked: Asked, code: ErrorCode) {
        let miss = matches!(code, ErrorCode::RoomNotFound | ErrorCode::BadToken);
        match asked.by {
            Reach::Local(id) => {
                self.now_outside(time, id);
                self.refuse(time, asked, code);
                if miss {
                    self.missed_once(time, id);
                }
                self.sessions.wake(id);
            }
            Reach::Remote(connection) => {
                self.context.counters.errors += 1;
                let event = Event::Error { code, retry_after_ms: None };
                let after = After::Outside { miss };
                self.remote_members.part_with(&mut self.context.peers, connection, asked, &event, after);
            }
        }
    }

    pub(super) fn refuse(&mut self, time: Time, asked: Asked, code: ErrorCode) {
        self.context.counters.errors += 1;
        self.reply(time, asked, &Event::Error { code, retry_after_ms: None });
    }

    pub(super) fn refuse_later(&mut self, time: Time, asked: Asked, code: ErrorCode, retry_after_ms: u64) {
        self.context.counters.errors += 1;
        self.reply(time, asked, &Event::Error { code, retry_after_ms: Some(retry_after_ms) });
    }

    /// Which connection this is, for the whole deployment.
    pub(super) fn connection(&self, by: Reach) -> Option<SessionRef> {
        match by {
            Reach::Remote(connection) => Some(connection),
            Reach::Local(id) => self
                .sessions
                .get(id)
                .map(|session| SessionRef { boot: self.context.me.ownership.boot, relay: session.relay }),
        }
    }

    /// What the waiter came for, done at the owner.
    pub(super) fn serve_waiter(&mut self, time: Time, key: usize, waiter: &Waiter) {
        let asked = Asked::here(waiter.session, waiter.id);
        // It may have been closed meanwhile, and flush its last words.
        if self.sessions.get(waiter.session).is_none_or(|session| matches!(session.place, Place::Closing)) {
            return;
        }
        if !self.rooms.get(key).is_some_and(Owned::ready) {
            if let Some(owned) = self.rooms.get_mut(key) {
                owned.waiters.push(waiter.clone());
            }
            return self.arm_room(time, key);
        }
        match &waiter.purpose {
            WaiterPurpose::Enter(entry) => self.admit(time, key, asked, entry, waiter.since),
            WaiterPurpose::Attach => self.attach_here(time, key, waiter.session),
        }
    }

    /// The waiter gets `code`; one that had a seat has lost it.
    pub(super) fn turn_away(&mut self, time: Time, waiter: &Waiter, code: ErrorCode) {
        match waiter.purpose {
            WaiterPurpose::Enter(_) => {
                if self.sessions.get(waiter.session).is_some_and(|session| matches!(session.place, Place::Busy)) {
                    self.context.counters.joined(Err(code));
                    self.refuse_entry(time, Asked::here(waiter.session, waiter.id), code);
                }
            }
            WaiterPurpose::Attach => self.lost_for_good(time, waiter.session, code),
        }
    }

    /// Those whose time is up of all who wait for a room of this pod to be ready.
    pub(super) fn waiters_due(&mut self, time: Time, key: usize) {
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let late: Vec<Waiter> = owned.waiters.extract_if(.., |waiter| waiter.deadline <= time.now).collect();
        for waiter in late {
            self.turn_away(time, &waiter, ErrorCode::Unavailable);
        }
    }
}
