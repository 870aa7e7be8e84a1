//! The target of a planned move: accepts or declines the room, and begins to serve it. Pure: no I/O.

use super::incoming::{Taken, refuse_offer};
use crate::directory::{Answer, NoAnswer};
use crate::hub::ownership::Owned;
use crate::hub::webhooks::names;
use crate::hub::{Hub, Notice};
use crate::ids::{Ticket, Time};
use crate::peer_protocol::Frame;
use crate::protocol::{ErrorCode, PodBoot, RoomId};
use crate::room::Snapshot;
use crate::webhook::Occurrence;

impl Hub {
    pub(in crate::hub) fn migration_offered(&mut self, time: Time, from: PodBoot, room: RoomId, snapshot: Snapshot) {
        let free = self.rooms.free_for_states(self.context.settings.ring_total);
        // Other pods may see this pod's lease before the pod itself does, and without it the pod could not notice a freeze.
        let refuse = !self.context.serves()
            || !self.context.directory_answers
            || snapshot.is_nonsense()
            // One that hands its own rooms over and goes on is asked by a pod that ends only, which has no better one.
            || self.outgoing.ends()
            || self.rooms.index_of(room).is_some()
            || self.incoming.contains(room)
            || !self.incoming.have_memory_for(&snapshot, free);
        let slot = if refuse {
            None
        } else if snapshot.seats.is_empty() {
            self.context.settings.slots.take()
        } else {
            self.rooms.slot_for_people(&mut self.context, time)
        };
        match slot {
            Some(slot) => self.incoming.take_on(time, &mut self.context, from, room, snapshot, slot),
            None => refuse_offer(&mut self.context, from, room, snapshot.ownership),
        }
    }

    pub(in crate::hub) fn incoming_answered(
        &mut self,
        time: Time,
        room: RoomId,
        ticket: Ticket,
        answer: Result<Answer, NoAnswer>,
    ) {
        let is_owned = self.rooms.index_of(room).is_some();
        let taken = self.incoming.answered(time, &mut self.context, room, ticket, answer, is_owned);
        if let Some(taken) = taken {
            self.serve_taken(time, taken);
        }
    }

    fn serve_taken(&mut self, time: Time, taken: Taken) {
        let Taken { from, basis, room: restored, slot, owner, record, asked } = taken;
        let room = restored.id;
        let mut owned = Owned::taken(restored, owner.ownership, record.clone(), time.now, slot);
        if owned.room.position() == 0 {
            owned.note_unentered(self.context.settings.slots.note_unentered(time.now, room));
        }
        let index = self.rooms.own(&mut self.context, owned);
        self.context.notify_former_owners(time, room, &record, &owner);
        self.context.counters.incoming_migrations += 1;
        self.context.log(Notice::MovedHere { room, epoch: owner.ownership.epoch });
        self.tell_webhook(time, index, |room| Occurrence::Moved { players: names(room) });
        self.suspend_if_lapsed(time, index, asked);
        self.arm_room(time, index);
        self.context.peers.send(from, &Frame::MigrateAnswer { room, from: basis, taken: Some(owner) });
        for waiter in self.search.end(&mut self.context, room, ErrorCode::Unavailable) {
            self.serve_waiter(time, index, &waiter);
        }
    }
}
