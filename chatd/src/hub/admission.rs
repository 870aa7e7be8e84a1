//! JOIN at the room's owner, and what is said to who has got a seat or not. Pure: no I/O.

use super::Hub;
use super::ownership::{Owned, PendingAnswer};
use super::request::{Asked, Entry, Waiter, WaiterPurpose};
use super::session::Place;
use crate::ids::{Reach, Time};
use crate::peer_protocol::{After, Delivery};
use crate::protocol::{ErrorCode, Event, SeatId};
use crate::room::{Join, Newcomer, ReplayPlan, RoomEvent, Seat, Welcome};

/// Somebody who is to have a new seat.
#[derive(Debug, Clone, Copy)]
pub struct Joining {
    pub who: Newcomer,
    /// As a JOIN, not as an attach.
    pub counts: bool,
    /// When it was asked for.
    pub since: u64,
}

impl Hub {
    /// JOIN or RESUME at the room's owner, of a client here or of one that another pod relays.
    pub(super) fn admit(&mut self, time: Time, key: usize, asked: Asked, entry: &Entry, since: u64) {
        match entry {
            Entry::Join { name, resumable, key: seat_key } => {
                let who = Newcomer { name: *name, resumable: *resumable, key: *seat_key };
                self.join(time, key, asked, Joining { who, counts: true, since });
            }
            Entry::Resume { token, heard } => self.resume(time, key, asked, token, *heard),
        }
    }

    /// Takes a new seat, which is answered once the write that holds it is done; or again the one that the same key has.
    pub(super) fn join(&mut self, time: Time, key: usize, asked: Asked, joining: Joining) {
        let Joining { who, mut counts, since } = joining;
        let entry = Entry::Join { name: who.name, resumable: who.resumable, key: who.key };
        let (connection, limits) = (self.connection(asked), self.context.settings.seat_limits());
        loop {
            let seat = self.context.new_seat();
            let Some(owned) = self.rooms.get_mut(key) else {
                return;
            };
            match owned.room.join(seat, who, connection, limits, time.now) {
                Join::Taken => {
                    owned.entered();
                    return self.answer_after_write(
                        time,
                        key,
                        PendingAnswer::Joined { asked, seat, entry, counts, since },
                    );
                }
                Join::Own { seat, rewrite } => {
                    if rewrite {
                        owned.changed();
                        self.write(time, key);
                    }
                    return self.take_back(time, key, seat, asked, entry);
                }
                Join::Instead(replaced) => {
                    if let Some(replaced) = replaced {
                        self.replaced(time, replaced);
                    }
                    counts = true;
                }
                Join::Refused(code) => {
                    self.context.counters.joined(Err(code));
                    return self.refuse_entry(time, asked, code);
                }
            }
        }
    }

    /// The write that holds a JOIN is done: it is answered, and the others hear of it.
    pub(super) fn joined(&mut self, time: Time, key: usize, asked: Asked, seat: SeatId, counts: bool) {
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let Some((name, hold)) = owned.room.join_answered(seat) else {
            return;
        };
        if hold {
            owned.seat_to_hold(time.now);
        }
        if counts {
            self.context.counters.joined(Ok(()));
        }
        self.announce_to_others(time, key, seat, RoomEvent::Entered(name));
        // Who was in the room before, and whose seat its owner does not know, may have missed anything.
        self.welcome(time, key, asked, seat, false, if counts { ReplayPlan::NEW } else { ReplayPlan::UNKNOWN });
    }

    /// Says `JOINED` and what was not heard before it, in one piece, and seats the session.
    pub(super) fn welcome(
        &mut self,
        time: Time,
        key: usize,
        asked: Asked,
        seat: SeatId,
        resumed: bool,
        plan: ReplayPlan,
    ) {
        self.arm_room(time, key);
        let (Some(encoding), Some(owned)) = (self.encoding_of(asked.by), self.rooms.get(key)) else {
            return;
        };
        let room = &owned.room;
        let Some(&Seat { name, resumable, key: seat_key, .. }) = room.seat(seat) else {
            return;
        };
        let token = resumable.then(|| self.keys.sign(room.id, name, seat));
        let limits = self.context.settings.seat_limits();
        let mut bytes = Vec::new();
        let welcome = Welcome { seat, resumed, plan, token: token.as_deref(), limits };
        let replayed = room.encode_welcome(welcome, encoding, asked.id, &mut bytes).unwrap_or_default();
        let (place, timeline) = (room.place(), room.timeline());
        self.context.counters.replayed += replayed;
        self.context.counters.messages_out += replayed;
        match asked.by {
            Reach::Local(id) => {
                if let Some(session) = self.sessions.get_mut(id) {
                    session.place = Place::Seated { key, seat };
                }
                self.say_bytes(id, &bytes);
                self.sessions.wake(id);
            }
            Reach::Remote(session) => {
                let after = After::Admitted { name, seat, resumable, key: seat_key, timeline, joined: true };
                self.remote_members.set_seat(session, Some(seat));
                // In one frame: who has had JOINED is not told again what should have come after it.
                let delivery = Delivery { replies: asked.replies(), place, bytes: bytes.into(), after: Some(after) };
                self.remote_members.deliver(&mut self.context.peers, session, delivery);
            }
        }
    }

    /// The connection loses its seat to another one that resumed it.
    pub(super) fn replaced(&mut self, time: Time, old: Reach) {
        self.end_unseated(time, old, ErrorCode::Replaced);
    }

    /// Ends a connection that has no seat any more.
    pub(super) fn end_unseated(&mut self, time: Time, reach: Reach, code: ErrorCode) {
        match reach {
            Reach::Local(id) => {
                if let Some(session) = self.sessions.open_mut(id) {
                    session.place = Place::Outside;
                }
                self.fail(time, id, code);
            }
            Reach::Remote(member) => self.remote_members.end(&mut self.context.peers, member, code, true),
        }
    }

    /// JOIN or RESUME failed; the session is outside again.
    pub(super) fn refuse_entry(&mut self, time: Time, asked: Asked, code: ErrorCode) {
        let miss = matches!(code, ErrorCode::RoomNotFound | ErrorCode::BadToken);
        match asked.by {
            Reach::Local(id) => {
                self.now_outside(time, id);
                self.refuse(asked, code);
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
            WaiterPurpose::Attach => self.lost_for_good(waiter.session, code),
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
