//! The application speaks in a room that this hub owns: a message or an event from none of its members. Pure: no I/O.

use serde_json::{Value, json};

use super::context::Context;
use super::delivery::{Broadcast, Encoder};
use super::events::Passing;
use super::remote_members::RemoteMembers;
use super::rooms::Rooms;
use super::sessions::Sessions;
use crate::ids::{RoomIndex, Time};
use crate::protocol::{Custom, ErrorCode, Event, Outgoing, PlayerName, text};
use crate::room_call::{CallKey, RoomCall};

/// The parts of the hub that it takes.
pub struct Speaker<'a> {
    pub rooms: &'a mut Rooms,
    pub sessions: &'a mut Sessions,
    pub members: &'a mut RemoteMembers,
    pub context: &'a mut Context,
    pub encoder: &'a mut Encoder,
}

impl Speaker<'_> {
    /// Says or sends what the call says. Returns the call's answer: the number of what was said, or whom it reached.
    ///
    /// # Errors
    ///
    /// A call may come from another pod: what is wrong with its text or data.
    pub fn speak(&mut self, time: Time, index: RoomIndex, call: RoomCall) -> Result<Value, ErrorCode> {
        match call {
            RoomCall::Say { from, text: words, key } => {
                let words = text::clean(words.as_bytes())?;
                self.say(time, index, (from, key), &words)
            }
            RoomCall::Send { from, kind, data, to, volatile, key } => {
                let event = Outgoing { kind, data: String::from(data).into(), to, volatile };
                event.check()?;
                self.send(time, index, (from, key), &event)
            }
            _ => Err(ErrorCode::BadCommand),
        }
    }

    /// What a call with this key has said before.
    fn said_before(&self, index: RoomIndex, key: Option<CallKey>) -> Option<Value> {
        let seq = self.rooms.get(index)?.room.said_before(key?)?;
        Some(json!({ "seq": seq }))
    }

    fn say(
        &mut self,
        time: Time,
        index: RoomIndex,
        (from, key): (PlayerName, Option<CallKey>),
        words: &str,
    ) -> Result<Value, ErrorCode> {
        if let Some(answer) = self.said_before(index, key) {
            return Ok(answer);
        }
        let owned = self.rooms.get_mut(index).ok_or(ErrorCode::RoomNotFound)?;
        let limits = self.context.settings.terms(owned.room.descriptor()).ring();
        let said = owned.room.say_as(from, words, key, time.wall, time.now, limits);
        self.context.tell_webhook_of_message(time, owned, said, words);
        self.tell(
            index,
            said.grown,
            &Event::Message { from, text: words, seq: said.seq, at: time.wall, replay: false },
        );
        Ok(json!({ "seq": said.seq }))
    }

    fn send(
        &mut self,
        time: Time,
        index: RoomIndex,
        (from, key): (PlayerName, Option<CallKey>),
        event: &Outgoing<'_>,
    ) -> Result<Value, ErrorCode> {
        if let Some(answer) = self.said_before(index, key) {
            return Ok(answer);
        }
        let owned = self.rooms.get_mut(index).ok_or(ErrorCode::RoomNotFound)?;
        let (kind, data, to) = (event.kind.as_str(), &*event.data, event.to.as_deref());
        let custom = Custom { from, kind, data, seq: None, at: time.wall, replay: false, to, reached: None };
        if event.is_numbered() {
            let limits = self.context.settings.terms(owned.room.descriptor()).ring();
            let said = owned.room.send_as(from, (event.kind, data), key, time.wall, time.now, limits);
            self.tell(index, said.grown, &Event::Custom(Custom { seq: Some(said.seq), ..custom }));
            return Ok(json!({ "seq": said.seq }));
        }
        owned.room.note_activity(time.now);
        self.context.counters.messages_in += 1;
        let passing = Passing { event: custom, sender: None, id: None, volatile: event.volatile };
        let reached = self.encoder.pass_on(&owned.room, self.sessions, self.members, self.context, passing);
        Ok(json!({ "reached": reached }))
    }

    /// Tells all members what has grown the ring.
    fn tell(&mut self, index: RoomIndex, grown: isize, event: &Event<'_>) {
        self.context.counters.messages_in += 1;
        self.rooms.count_ring(grown);
        self.rooms.keep_to_the_budget(self.context.settings.ring_total);
        if let Some(owned) = self.rooms.get(index) {
            let broadcast = Broadcast { event, except: None, sender: None };
            self.encoder.broadcast(&owned.room, self.sessions, self.members, self.context, broadcast);
        }
    }
}
