//! Calls of the server API: each is a session of its own, which goes to the room's owner as one that enters does, and ends with its answer.
//! Pure: no I/O.

use bytes::Bytes;
use serde_json::{Value, json};

use super::Hub;
use super::interface::Effect;
use super::ownership::{PendingAnswer, UntoldLock};
use super::request::{Asked, Requester, Waiter};
use super::session::{Session, SessionState};
use super::sessions::Sessions;
use super::speaking::{Spoken, Voice};
use crate::descriptor::Descriptor;
use crate::ids::{Reach, RoomIndex, SessionId, Time};
use crate::join_token::Pass;
use crate::protocol::{Encoding, ErrorCode, Outgoing, PlayerName, RoomId, text};
use crate::room::{Answers, RESERVED_FOR};
use crate::room_call::{PlaceInfo, RoomCall};

/// What the application says.
enum Words {
    Text(Box<str>),
    Event(Outgoing<'static>),
}

impl Hub {
    /// Asks the owner of a room of this shard; [`Effect::Called`] with the session is the answer.
    pub fn call(&mut self, time: Time, room: RoomId, call: RoomCall) -> SessionId {
        self.begin(time);
        let deadline = time.now + self.context.settings.idle_timeout;
        let mut session = Session::new(Encoding::Call, deadline, &self.context.settings, time.now);
        (session.state, session.room) = (SessionState::Busy, room.into());
        session.relay = self.relays.next(self.context.settings.shard);
        let id = self.insert_session(session);
        if self.context.serves() {
            self.look_for(time, room, Waiter::calling(id, Box::new(call), time.now));
            self.finish_searches(time);
        } else {
            self.refuse_entry(time, Asked::here(id, None), ErrorCode::Unavailable);
        }
        self.finish(time);
        id
    }

    /// Creates a room with a new id for the server API; [`Effect::Created`] with `query` is the answer.
    pub fn make_room(&mut self, time: Time, query: u64, descriptor: Option<Box<Descriptor>>) {
        self.begin(time);
        self.create_for(time, Requester::Query(query), descriptor);
        self.finish(time);
    }

    /// Carries a call out at the room's owner.
    pub(super) fn carry_out_call(&mut self, time: Time, index: RoomIndex, asked: Asked, call: Box<RoomCall>) {
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        if owned.has_ended(time.wall) {
            return self.refuse_entry(time, asked, ErrorCode::RoomNotFound);
        }
        match *call {
            RoomCall::Get => self.show_room(time, index, asked, false),
            RoomCall::Create { ref descriptor, made } if owned.room.is_as(descriptor.as_deref()) => {
                self.show_room(time, index, asked, made);
            }
            RoomCall::Create { .. } => self.refuse_entry(time, asked, ErrorCode::RoomExists),
            RoomCall::Patch(ref patch) => match owned.room.patch(patch) {
                Ok(locked) => {
                    // The members hear of it once the record has it.
                    if let (Some(_), Ok(by)) = (locked, PlayerName::system("")) {
                        owned.note_untold_lock(Some(UntoldLock { by, answers: None }));
                    }
                    self.answer_after_write(time, index, PendingAnswer::Called { asked, call, is_written: false });
                }
                Err(code) => self.refuse_entry(time, asked, code),
            },
            RoomCall::End => {
                if self.context.settings.rules.record_ends {
                    owned.delete(time.wall);
                }
                // The record says so before it loses the seats: no owner goes on with the room.
                self.answer_after_write(time, index, PendingAnswer::Called { asked, call, is_written: false });
                self.expiry_due(time, index);
            }
            RoomCall::Kick { name, ban_s } => match self.kick(time, index, name, ban_s) {
                Ok(()) => {
                    self.answer_after_write(time, index, PendingAnswer::Called { asked, call, is_written: false });
                }
                Err(code) => self.refuse_entry(time, asked, code),
            },
            RoomCall::Reserve { ref pass, made, .. } => match self.reserve(time, index, pass, made) {
                Ok(place) => self.answer_call_with(time, asked, place),
                Err(code) => self.refuse_entry(time, asked, code),
            },
            RoomCall::Say { .. } | RoomCall::Send { .. } => match self.speak(time, index, *call) {
                Ok(answer) => self.answer_call_with(time, asked, answer.into_bytes()),
                Err(code) => self.refuse_entry(time, asked, code),
            },
        }
    }

    /// The application speaks. Returns as JSON the number of what was said, now or by the same call before, or whom it reached.
    fn speak(&mut self, time: Time, index: RoomIndex, call: RoomCall) -> Result<String, ErrorCode> {
        // A call may come from another pod: its text and data are checked here as well.
        let (from, key, words) = match call {
            RoomCall::Say { from, text, key } => (from, key, Words::Text(text::clean(text.as_bytes())?.into())),
            RoomCall::Send { from, kind, data, to, volatile, key } => {
                let event = Outgoing { kind, data: String::from(data).into(), to, volatile };
                event.check()?;
                (from, key, Words::Event(event))
            }
            _ => return Err(ErrorCode::BadCommand),
        };
        if let Some((owned, key)) = self.rooms.get(index).zip(key) {
            if let Some(answer) = owned.room.answer_to(key) {
                return Ok(answer.to_owned());
            }
            // The ring may go back further.
            if let Some(seq) = owned.room.said_before(key) {
                return Ok(json!({ "seq": seq }).to_string());
            }
        }
        let voice = Voice { from, sender: None, answers: key.map(Answers::of_call) };
        let spoken = match &words {
            Words::Text(text) => self.speaker().say(time, index, voice, text),
            Words::Event(event) => self.speaker().send(time, index, voice, event),
        };
        let answer = match spoken.ok_or(ErrorCode::RoomNotFound)? {
            Spoken::Numbered(seq) => json!({ "seq": seq }).to_string(),
            Spoken::Reached(names) => json!({ "reached": names }).to_string(),
        };
        if let Some((owned, key)) = self.rooms.get_mut(index).zip(key) {
            owned.room.note_answer(key, &answer);
        }
        Ok(answer)
    }

    /// Keeps a place in the room for somebody. Returns that as JSON.
    fn reserve(&mut self, time: Time, index: RoomIndex, pass: &Pass, created: bool) -> Result<Vec<u8>, ErrorCode> {
        let has_keys = self.authority.has_join_keys();
        let owned = self.rooms.get_mut(index).ok_or(ErrorCode::RoomNotFound)?;
        let (room, seat) = (owned.room.id, pass.seat(owned.room.id, time.wall));
        // It may have been taken from the lists meanwhile.
        if !owned.room.descriptor().is_some_and(|descriptor| descriptor.listed) {
            return Err(ErrorCode::RoomNotFound);
        }
        // Nobody is banned by the name that the application speaks with.
        let name = pass.name().map_or_else(|| PlayerName::system(""), Ok).map_err(|_| ErrorCode::BadName)?;
        if owned.room.keeps_out(name, Some(seat), time.wall) {
            return Err(ErrorCode::Banned);
        }
        let players = self.context.settings.terms(owned.room.descriptor()).max_players();
        if has_keys {
            owned.room.reserve(seat.sub, pass.name(), players, time.now)?;
            self.arm_room(time, index);
        } else {
            // Without tokens nobody could show for whom the place is kept.
            owned.room.may_reserve(None, pass.name(), players, time.now)?;
        }
        let token = self.authority.sign(room, pass, time.wall);
        let expires_in = token.as_ref().map(|_| pass.lasts());
        let kept_for = has_keys.then_some(RESERVED_FOR / 1_000);
        let place = PlaceInfo { room: room.as_str(), created, token, expires_in, kept_for };
        // Plain values can always be written.
        Ok(serde_json::to_vec(&place).unwrap_or_default())
    }

    /// What a call has changed is in the record, or that has not answered in time: then nobody knows whether the next owner hears of it.
    pub(super) fn has_called(&mut self, time: Time, index: RoomIndex, asked: Asked, call: &RoomCall, is_written: bool) {
        if !is_written && self.context.settings.rules.answer_after_write {
            return self.refuse_entry(time, asked, ErrorCode::Unavailable);
        }
        let room = self.rooms.get(index).map(|owned| owned.room.id);
        match call {
            RoomCall::End => self.answer_call(time, asked, &json!({ "closed": room })),
            RoomCall::Kick { name, .. } => self.answer_call(time, asked, &json!({ "kicked": name })),
            _ => self.show_room(time, index, asked, false),
        }
    }

    fn show_room(&mut self, time: Time, index: RoomIndex, asked: Asked, created: bool) {
        let Some(owned) = self.rooms.get(index) else {
            return;
        };
        let max_players = self.context.settings.terms(owned.room.descriptor()).max_players();
        let shown = owned.room.to_api(&self.context.me.pod_id, max_players, created);
        self.answer_call_with(time, asked, shown);
    }

    fn answer_call(&mut self, time: Time, asked: Asked, answer: &Value) {
        self.answer_call_with(time, asked, answer.to_string().into_bytes());
    }

    fn answer_call_with(&mut self, time: Time, asked: Asked, answer: Vec<u8>) {
        match asked.by {
            Reach::Local(id) => {
                self.now_outside(time, id);
                self.say_bytes(id, &answer);
                self.sessions.wake(id);
            }
            Reach::Remote(to) => self.remote_members.answer_call(&mut self.context.peers, to, asked, answer),
        }
    }

    /// Hands the answer to a call over, if it is there, and ends its session. False: it is no such session.
    pub(super) fn finish_call(&mut self, id: SessionId) -> bool {
        let Some(answer) = self.sessions.take_call(id) else {
            return false;
        };
        self.context.effects.push(Effect::Called { session: id, answer });
        true
    }
}

impl Sessions {
    /// Removes a call that has its answer.
    fn take_call(&mut self, id: SessionId) -> Option<Result<Bytes, ErrorCode>> {
        let is_call = |session: &Session| session.encoding == Encoding::Call;
        let session = self.get(id).filter(|session| is_call(session) && (session.outside() || session.is_closing()))?;
        let answer = session.output.bytes();
        let answer = match answer.strip_prefix(b"!") {
            Some(code) => Err(ErrorCode::from_word(code).unwrap_or(ErrorCode::Unavailable)),
            None if answer.is_empty() => Err(ErrorCode::Unavailable),
            None => Ok(Bytes::copy_from_slice(answer)),
        };
        self.remove(id);
        Some(answer)
    }
}
