//! What rooms of this hub tell the application's webhook. Pure: no I/O. Without a webhook nothing is counted and nothing allocated.

use super::Hub;
use super::context::Context;
use super::interface::Effect;
use super::ownership::Owned;
use crate::ids::{RoomIndex, Time};
use crate::protocol::PlayerName;
use crate::room::{Room, RoomEvent, SeatState};
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
            let reason = if owned.has_made_way() { CloseReason::MadeWay } else { CloseReason::Empty };
            self.tell_webhook(time, owned, |_| Occurrence::Closed(reason));
        }
    }
}

/// What the webhook hears of an event that the members hear.
fn occurrence(event: &RoomEvent) -> Option<Occurrence> {
    match event {
        RoomEvent::Entered(name) => Some(Occurrence::Joined(*name)),
        RoomEvent::Exited(name, reason) => Some(Occurrence::Left(*name, *reason)),
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

    /// Tells the webhook of an event that the members hear, if it is one for it.
    pub(super) fn tell_webhook_of(&mut self, time: Time, index: RoomIndex, event: &RoomEvent) {
        if self.context.settings.webhook
            && let Some(what) = occurrence(event)
        {
            self.tell_webhook(time, index, |_| what);
        }
    }
}

/// The names of everyone who has a seat.
pub(super) fn names(room: &Room) -> Vec<PlayerName> {
    room.seats().iter().filter(|seat| seat.state != SeatState::Joining).map(|seat| seat.name).collect()
}
