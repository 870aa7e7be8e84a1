//! JOIN at the room's owner, and the replies to JOIN, RESUME and attach. Pure: no I/O.

use super::Hub;
use super::ownership::{NewClaim, PendingAnswer};
use super::request::{Asked, Entry, Waiter, WaiterPurpose};
use super::session::SessionState;
use crate::ids::{Reach, RoomIndex, Time};
use crate::peer_protocol::{After, Delivery};
use crate::protocol::{Encoding, ErrorCode, Event, Profile, RoomId, SeatId};
use crate::room::{Join, Newcomer, ReplayPlan, RoomEvent, Welcome};

/// A client that asks for a new seat.
#[derive(Debug, Clone)]
pub struct Joining {
    pub who: Newcomer,
    /// The join token that `who` was made of, should the room move before the answer.
    pub auth: Option<Box<str>>,
    /// What that says of its holder.
    pub profile: Option<Profile>,
    /// The token is good for this JOIN alone.
    pub once: Option<NewClaim>,
    /// A JOIN that the counters count, not an attach.
    pub counts: bool,
    /// When the request came (ms).
    pub since: u64,
}

impl Hub {
    /// Serves a JOIN or RESUME at the room's owner, of a local client or a relayed one.
    pub(super) fn admit(&mut self, time: Time, index: RoomIndex, asked: Asked, entry: &Entry, since: u64) {
        let Some(room) = self.rooms.get(index).map(|owned| owned.room.id) else {
            return;
        };
        // Once more, by this pod's own keys, whatever the entry pod has found.
        let grant = match self.check_entry(time, room, entry, matches!(asked.by, Reach::Remote(_))) {
            Ok(grant) => grant,
            Err(code) => {
                return self.refuse_join(time, asked, since, code);
            }
        };
        if let Some(code) = self.shuts_out(time, index, room, entry) {
            return self.refuse_join(time, asked, since, code);
        }
        match entry {
            Entry::Join { name, resumable, key: seat_key, auth } => {
                let profile = grant.as_ref().and_then(|grant| grant.profile());
                let once = grant.as_ref().and_then(|grant| grant.once());
                let once = once.filter(|_| self.context.settings.rules.claim_tokens);
                let seat_auth = grant.map(|grant| grant.seat(room));
                let who = Newcomer { name: *name, resumable: *resumable, key: *seat_key, auth: seat_auth };
                let joining = Joining { who, auth: auth.clone(), profile, once: None, counts: true, since };
                match once {
                    Some(once) => self.join_once(time, index, asked, once, joining),
                    None => self.join(time, index, asked, joining),
                }
            }
            Entry::Resume { token, heard } => self.resume(time, index, asked, token, *heard, since),
        }
    }

    /// What a client is told that may not come in, whoever it is: the room has ended, or needs a token and none was shown.
    fn shuts_out(&self, time: Time, index: RoomIndex, room: RoomId, entry: &Entry) -> Option<ErrorCode> {
        let hidden = self.authority.is_stranger(room, entry).then(|| self.unknown_to_strangers(entry));
        if self.rooms.get(index).is_some_and(|owned| owned.has_ended(time.wall)) {
            Some(hidden.unwrap_or(ErrorCode::RoomNotFound))
        } else {
            hidden.filter(|_| self.hides(index))
        }
    }

    /// Takes a new seat, and replies once the record has it; or takes the seat again that has the same join key.
    pub(super) fn join(&mut self, time: Time, index: RoomIndex, asked: Asked, joining: Joining) {
        let Joining { who, auth, profile, once, mut counts, since } = joining;
        let entry = Entry::Join { name: who.name, resumable: who.resumable, key: who.key, auth };
        let connection = self.connection(asked);
        if let Some(code) = self.rooms.get(index).and_then(|owned| owned.bars(&who, time.wall)) {
            return self.refuse_join(time, asked, since, code);
        }
        loop {
            let again = once.and_then(|once| once.again);
            let seat = again.unwrap_or_else(|| self.context.new_seat());
            let Some(owned) = self.rooms.get_mut(index) else {
                return;
            };
            let limits = self.context.settings.terms(owned.room.descriptor()).seats();
            match owned.room.join(seat, who, connection, limits, time.now) {
                Join::Taken => {
                    owned.entered();
                    owned.room.set_profile(seat, profile.as_ref());
                    return self.answer_after_write(
                        time,
                        index,
                        PendingAnswer::Joined { asked, seat, entry, counts, since, once },
                    );
                }
                Join::Own { seat, rewrite } => {
                    if owned.room.set_profile(seat, profile.as_ref()) || rewrite {
                        owned.changed();
                        self.write(time, index);
                    }
                    return self.take_back(time, index, seat, asked, entry, since);
                }
                Join::Instead(replaced) => {
                    if let Some(replaced) = replaced {
                        self.replaced(time, replaced);
                    }
                    counts = true;
                }
                Join::Refused(code) => {
                    return self.refuse_join(time, asked, since, code);
                }
            }
        }
    }

    /// The record has the seat: replies to the JOIN and announces the player to the others.
    pub(super) fn joined(
        &mut self,
        time: Time,
        index: RoomIndex,
        asked: Asked,
        seat: SeatId,
        (counts, since): (bool, u64),
    ) {
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        let Some((name, hold)) = owned.room.join_answered(seat) else {
            return;
        };
        if hold {
            owned.seat_to_hold(time.now);
        }
        if counts {
            self.context.counters.joined(Ok(()), time.now.saturating_sub(since));
        }
        self.announce_to_others(time, index, seat, RoomEvent::Entered(name.into()));
        // A former member whose seat this owner does not know may have missed any number of events.
        self.welcome(time, index, asked, seat, false, if counts { ReplayPlan::NEW } else { ReplayPlan::UNKNOWN });
    }

    /// Sends `JOINED` and the replay as one piece, and seats the session.
    pub(super) fn welcome(
        &mut self,
        time: Time,
        index: RoomIndex,
        asked: Asked,
        seat: SeatId,
        resumed: bool,
        plan: ReplayPlan,
    ) {
        self.arm_room(time, index);
        let (Some(encoding), Some(owned)) = (self.encoding_of(asked.by), self.rooms.get(index)) else {
            return;
        };
        let room = &owned.room;
        let Some(found) = room.seat(seat) else {
            return;
        };
        let (name, resumable, key, auth) = (found.name(), found.resumable, found.key, found.auth());
        let token = resumable.then(|| self.authority.keys.sign(room.id, name, seat));
        let limits = self.context.settings.terms(room.descriptor()).seats();
        let mut bytes = Vec::new();
        let welcome = Welcome { seat, resumed, plan, token: token.as_deref(), limits };
        let replayed = room.encode_welcome(welcome, encoding, asked.id, &mut bytes).unwrap_or_default();
        let (place, timeline, epoch) = (room.place(), room.timeline(), owned.ownership().epoch);
        self.context.counters.replayed += replayed;
        self.context.counters.messages_out += replayed;
        match asked.by {
            Reach::Local(id) => {
                if let Some(session) = self.sessions.get_mut(id) {
                    session.state = SessionState::Seated { index, seat };
                }
                self.say_bytes(id, &bytes);
                self.sessions.wake(id);
            }
            Reach::Remote(session) => {
                let after = After::Admitted { name, seat, resumable, key, auth, epoch, timeline, joined: true };
                self.remote_members.set_seat(session, Some(seat));
                // In one frame: a client that has JOINED must not get the replay that belongs to it again.
                let delivery = Delivery { replies: asked.replies(), place, bytes: bytes.into(), after: Some(after) };
                self.remote_members.deliver(&mut self.context.peers, session, delivery);
            }
        }
    }

    /// Another connection resumed the seat: ends this one.
    pub(super) fn replaced(&mut self, time: Time, old: Reach) {
        self.end_unseated(time, old, ErrorCode::Replaced);
    }

    /// Ends a connection that has no seat any more.
    pub(super) fn end_unseated(&mut self, time: Time, reach: Reach, code: ErrorCode) {
        match reach {
            Reach::Local(id) => {
                if let Some(session) = self.sessions.open_mut(id) {
                    session.state = SessionState::Outside;
                }
                self.fail(time, id, code);
            }
            Reach::Remote(member) => self.remote_members.end(&mut self.context.peers, member, code, true),
        }
    }

    /// Refuses a JOIN or RESUME that came at `since` (ms), and counts it.
    pub(super) fn refuse_join(&mut self, time: Time, asked: Asked, since: u64, code: ErrorCode) {
        if self.encoding_of(asked.by) != Some(Encoding::Call) {
            self.context.counters.joined(Err(code), time.now.saturating_sub(since));
        }
        self.refuse_entry(time, asked, code);
    }

    /// Refuses a JOIN or RESUME: the session is outside again.
    pub(super) fn refuse_entry(&mut self, time: Time, asked: Asked, code: ErrorCode) {
        // Who has the key of an application does not guess.
        let miss = ErrorCode::GUESSES.contains(&code) && self.encoding_of(asked.by) != Some(Encoding::Call);
        match asked.by {
            Reach::Local(id) => {
                self.now_outside(time, id);
                // Only who makes a room by its name is refused so late for being too fast.
                let limits = self.sessions.get(id).map(|session| &session.limits);
                let limits = limits.filter(|_| code == ErrorCode::RateLimited);
                let retry_after_ms = limits.and_then(|limits| limits.makes_again_in(time.now));
                self.context.counters.errors += 1;
                self.reply(asked, &Event::Error { code, retry_after_ms });
                if miss {
                    self.missed_once(time, id);
                }
                self.sessions.wake(id);
            }
            Reach::Remote(connection) => {
                self.context.counters.errors += 1;
                let event = Event::Error { code, retry_after_ms: None };
                let after = After::Outside { miss };
                self.remote_members.part_with(&mut self.context.peers, connection, asked, &[event], after);
            }
        }
    }

    /// Serves the request of a waiter, at the owner.
    pub(super) fn serve_waiter(&mut self, time: Time, index: RoomIndex, waiter: &Waiter) {
        let asked = Asked::here(waiter.session, waiter.id);
        // The session may have been closed meanwhile, and still flush its output.
        if self.sessions.get(waiter.session).is_none_or(|session| matches!(session.state, SessionState::Closing)) {
            return;
        }
        if let Some(owned) = self.rooms.get_mut(index)
            && owned.keeps_waiting(waiter, time.wall)
        {
            owned.add_waiter(waiter.clone());
            return self.arm_room(time, index);
        }
        match &waiter.purpose {
            WaiterPurpose::Enter(entry) => self.admit(time, index, asked, entry, waiter.since),
            WaiterPurpose::Call(call) => self.carry_out_call(time, index, asked, call.clone()),
            WaiterPurpose::Attach => self.attach_here(time, index, waiter.session),
        }
    }

    /// Refuses a waiter with `code`. A waiter that had a seat has lost it.
    pub(super) fn turn_away(&mut self, time: Time, waiter: &Waiter, code: ErrorCode) {
        let code = self.code_for(waiter, code);
        match waiter.purpose {
            WaiterPurpose::Enter(_) | WaiterPurpose::Call(_) => {
                if self.sessions.get(waiter.session).is_some_and(|session| matches!(session.state, SessionState::Busy))
                {
                    self.refuse_join(time, Asked::here(waiter.session, waiter.id), waiter.since, code);
                }
            }
            WaiterPurpose::Attach => self.lost_for_good(waiter.session, code),
        }
    }

    /// Refuses the JOINs that may wait no longer for a room whose ownership is unconfirmed.
    pub(super) fn joins_due(&mut self, time: Time, index: RoomIndex) {
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        let room = owned.room.id;
        for (asked, since) in owned.take_overdue_joins(time.now) {
            self.forget_joining(time, Some(room), asked.by);
            self.refuse_join(time, asked, since, ErrorCode::Unavailable);
        }
    }

    /// Refuses the waiters of a room that was not ready before their deadline.
    pub(super) fn waiters_due(&mut self, time: Time, index: RoomIndex) {
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        for waiter in owned.take_expired_waiters(time.now) {
            self.turn_away(time, &waiter, ErrorCode::Unavailable);
        }
    }
}
