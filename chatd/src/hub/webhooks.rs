//! What rooms of this hub tell the application's webhook. Pure: no I/O. Without a webhook nothing is counted and nothing allocated.

use super::Hub;
use super::context::Context;
use super::interface::Effect;
use super::ownership::Owned;
use crate::ids::{RoomIndex, Time};
use crate::protocol::PlayerName;
use crate::room::{Room, RoomEvent, Said, Seat, SeatState};
use crate::webhook::{CloseReason, Occurrence, WebhookEvent};

impl Context {
    /// Tells the webhook what happened in the room, under its next number.
    pub fn tell_webhook(&mut self, time: Time, owned: &mut Owned, what: impl FnOnce(&Room) -> Occurrence) {
        if self.settings.webhook {
            let what = what(&owned.room);
            let number = owned.room.next_webhook_number();
            let (room, timeline, epoch) = (owned.room.id, owned.room.timeline(), owned.ownership().epoch);
            let event = WebhookEvent { room, epoch, timeline, number, at: time.wall, what };
            self.effects.push(Effect::Webhook(Box::new(event)));
        }
    }

    /// The same of a room that has ended here; one whose beginning was not told has not been there.
    pub fn tell_webhook_closed(&mut self, time: Time, owned: &mut Owned) {
        if owned.room.webhook_number() > 0 {
            let reason = match (owned.is_over(), owned.is_deleted(), owned.has_made_way()) {
                (true, true, _) => CloseReason::Deleted,
                (true, false, _) => CloseReason::Expired,
                (false, _, true) => CloseReason::MadeWay,
                (false, _, false) => CloseReason::Empty,
            };
            self.tell_webhook(time, owned, |_| Occurrence::Closed(reason));
        }
    }

    /// Tells the webhook of an event that the members hear, if it is one for it.
    pub fn tell_webhook_of(&mut self, time: Time, owned: &mut Owned, event: &RoomEvent) {
        if self.settings.webhook
            && let Some(what) = occurrence(event)
        {
            self.tell_webhook(time, owned, |_| what);
        }
    }

    /// Tells the webhook what was said, where the room's descriptor asks for it.
    pub fn tell_webhook_of_message(&mut self, time: Time, owned: &mut Owned, said: Said, text: &str) {
        if self.settings.webhook && owned.room.descriptor().is_some_and(|descriptor| descriptor.webhook) {
            let Said { from, seq, .. } = said;
            self.tell_webhook(time, owned, |_| Occurrence::Message { from, text: text.into(), seq });
        }
    }
}

/// What the webhook hears of an event that the members hear.
fn occurrence(event: &RoomEvent) -> Option<Occurrence> {
    match event {
        RoomEvent::Entered(name) => Some(Occurrence::Joined(name.get())),
        RoomEvent::Exited(name, reason) => Some(Occurrence::Left(name.get(), *reason)),
        RoomEvent::Message { .. }
        | RoomEvent::Custom { .. }
        | RoomEvent::Set { .. }
        | RoomEvent::Locked { .. }
        | RoomEvent::Away(_)
        | RoomEvent::Back(_) => None,
    }
}

impl Hub {
    pub(super) fn tell_webhook(&mut self, time: Time, index: RoomIndex, what: impl FnOnce(&Room) -> Occurrence) {
        if let Some(owned) = self.rooms.get_mut(index) {
            self.context.tell_webhook(time, owned, what);
        }
    }
}

/// The names of everyone who has a seat.
pub(super) fn names(room: &Room) -> Vec<PlayerName> {
    room.seats().iter().filter(|seat| seat.state != SeatState::Joining).map(Seat::name).collect()
}
