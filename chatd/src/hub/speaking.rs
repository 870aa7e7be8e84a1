//! Somebody speaks in a room that this hub owns, a member or the application: everyone is told, or those whom it is to. Pure: no I/O.

use super::Hub;
use super::context::Context;
use super::delivery::{Broadcast, Encoder};
use super::passing::Passing;
use super::remote_members::RemoteMembers;
use super::request::Asked;
use super::rooms::Rooms;
use super::sessions::Sessions;
use crate::ids::{RoomIndex, Time};
use crate::protocol::{Custom, Event, Outgoing, PlayerName, SeatId};
use crate::room::Answers;

/// Who speaks.
#[derive(Debug, Clone, Copy)]
pub struct Voice {
    pub from: PlayerName,
    /// The member's seat and command; `None`: the application speaks.
    pub sender: Option<(SeatId, Asked)>,
    /// By what this is known again in the ring.
    pub answers: Option<Answers>,
}

/// What became of it.
#[derive(Debug)]
pub enum Spoken {
    /// Everyone is told, and the room keeps it under this number.
    Numbered(u64),
    /// These were told, the sender included.
    Reached(Vec<PlayerName>),
}

/// The parts of the hub that it takes.
pub struct Speaker<'a> {
    rooms: &'a mut Rooms,
    sessions: &'a mut Sessions,
    members: &'a mut RemoteMembers,
    context: &'a mut Context,
    encoder: &'a mut Encoder,
}

impl Hub {
    pub(super) fn speaker(&mut self) -> Speaker<'_> {
        let Self { rooms, sessions, remote_members: members, context, encoder, .. } = self;
        Speaker { rooms, sessions, members, context, encoder }
    }

    /// A member of the room as a speaker. `None`: nobody has this seat.
    pub(super) fn voice(&self, index: RoomIndex, seat: SeatId, asked: Asked) -> Option<Voice> {
        let from = self.rooms.get(index)?.room.seat(seat)?.name();
        Some(Voice { from, sender: Some((seat, asked)), answers: self.answers(asked) })
    }
}

impl Speaker<'_> {
    /// Says a message to everyone. `None`: there is no such room.
    pub fn say(&mut self, time: Time, index: RoomIndex, voice: Voice, text: &str) -> Option<Spoken> {
        let owned = self.rooms.get_mut(index)?;
        let limits = self.context.settings.terms(owned.room.descriptor()).ring();
        let said = owned.room.say(voice.from, text, time.wall, voice.answers, time.now, limits);
        self.context.tell_webhook_of_message(time, owned, said, text);
        let event = Event::Message { from: said.from, text, seq: said.seq, at: time.wall, replay: false };
        self.tell(index, said.grown, &event, voice);
        Some(Spoken::Numbered(said.seq))
    }

    /// Sends an application's event. `None`: there is no such room.
    pub fn send(&mut self, time: Time, index: RoomIndex, voice: Voice, event: &Outgoing<'_>) -> Option<Spoken> {
        let owned = self.rooms.get_mut(index)?;
        let custom = event.to_client(voice.from, time.wall);
        if event.is_numbered() {
            let limits = self.context.settings.terms(owned.room.descriptor()).ring();
            let said = owned.room.send(voice.from, event, time.wall, voice.answers, time.now, limits);
            self.tell(index, said.grown, &Event::Custom(Custom { seq: Some(said.seq), ..custom }), voice);
            return Some(Spoken::Numbered(said.seq));
        }
        owned.room.note_activity(time.now);
        self.context.counters.messages_in += 1;
        let (sender, id) = (voice.sender.map(|(seat, _)| seat), voice.sender.and_then(|(_, asked)| asked.id));
        let passing = Passing { event: custom, sender, id, volatile: event.volatile };
        Some(Spoken::Reached(self.encoder.pass_on(&owned.room, self.sessions, self.members, self.context, passing)))
    }

    /// Tells all members what has grown the ring.
    fn tell(&mut self, index: RoomIndex, grown: isize, event: &Event<'_>, voice: Voice) {
        self.context.counters.messages_in += 1;
        self.rooms.ring_has_grown(grown, self.context.settings.ring_total);
        if let Some(owned) = self.rooms.get(index) {
            let broadcast = Broadcast { event, except: None, sender: voice.sender };
            self.encoder.broadcast(&owned.room, self.sessions, self.members, self.context, broadcast);
        }
    }
}
