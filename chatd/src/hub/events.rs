//! Applications' events in a room that this hub owns: numbered ones go the way of a message; those to some players, and volatile ones, are
//! passed on once and forgotten. Pure: no I/O.

use super::Hub;
use super::delivery::Broadcast;
use super::request::Asked;
use super::speaking::Spoken;
use crate::ids::{Reach, RoomIndex, Time};
use crate::protocol::{Custom, Event, Outgoing, SeatId, check_presence};

impl Hub {
    /// Sends an application's event; the sender gets it as its reply.
    pub(super) fn send_in_room(
        &mut self,
        time: Time,
        index: RoomIndex,
        seat: SeatId,
        asked: Asked,
        event: &Outgoing<'_>,
    ) {
        // A relayed command comes from another pod: it is checked here as well.
        if let (Reach::Remote(_), Err(code)) = (asked.by, event.check()) {
            return self.refuse(asked, code);
        }
        let Some(voice) = self.voice(index, seat, asked) else {
            return;
        };
        if let Some(Spoken::Reached(reached)) = self.speaker().send(time, index, voice, event) {
            let reached = event.to.as_ref().map(|_| &reached[..]);
            self.reply(asked, &Event::Custom(Custom { reached, ..event.to_client(voice.from, time.wall) }));
        }
    }

    /// Tells everyone what a player says of itself; the player gets that as its reply.
    pub(super) fn set_in_room(
        &mut self,
        time: Time,
        index: RoomIndex,
        seat: SeatId,
        asked: Asked,
        presence: Option<&str>,
    ) {
        if let (Reach::Remote(_), Some(Err(code))) = (asked.by, presence.map(check_presence)) {
            return self.refuse(asked, code);
        }
        let answers = self.answers(asked);
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        let limits = self.context.settings.terms(owned.room.descriptor()).ring();
        let Some((name, grown)) = owned.room.set(seat, presence, answers, time.now, limits) else {
            return;
        };
        self.ring_has_grown(grown);
        let event = Event::Player { name, presence };
        self.broadcast(index, Broadcast { event: &event, except: None, sender: Some((seat, asked)) });
    }
}
