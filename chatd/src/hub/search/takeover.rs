//! Taking a room over from owners that are gone: the swap of its record, and its result. Pure: no I/O.

use std::time::Duration;

use super::Search;
use super::event::{Obstacle, SearchEvent, Takeover};
use super::room_search::{Attempt, RoomSearch, SearchStep};
use crate::directory::{Key, Request};
use crate::hub::capacity::RoomSlot;
use crate::hub::context::{Context, Purpose, Timer};
use crate::hub::request::PATIENCE;
use crate::ids::Time;
use crate::protocol::{ErrorCode, Ownership, RoomId};
use crate::record::{Former, Record, next_epoch};

impl Search {
    /// The answer to [`SearchEvent::Ownerless`]: a place for the room, or why this pod cannot take it over.
    pub fn take_over(&mut self, context: &mut Context, time: Time, room: RoomId, slot: Result<RoomSlot, Obstacle>) {
        let slot = match slot {
            Ok(slot) => slot,
            Err(Obstacle::Incoming) => return self.pause(context, time, room),
            Err(Obstacle::Draining) => return self.give_up(context, room, ErrorCode::ShuttingDown),
            Err(Obstacle::Refused(code)) => {
                self.give_up_entering(context, room, code);
                return self.pause(context, time, room);
            }
        };
        let Some(search) = self.searches.get_mut(&room) else {
            return;
        };
        let RoomSearch { step: SearchStep::Probing(probes), record: Some(record), .. } = &*search else {
            debug_assert!(false, "a takeover without probes or a record: {search:?}");
            return;
        };
        let known = context.known_owners.get(room).map(|owner| owner.ownership.epoch);
        let epoch = next_epoch(Some(record.epoch), known, time.wall);
        let ownership = Ownership { epoch, boot: context.me.ownership.boot };
        debug_assert!(ownership > record.ownership(), "a takeover raises the ownership: {search:?}");
        let most = context.settings.terms(record.descriptor.as_deref()).max_players();
        let held = record.held_seats(most);
        // The former owners have to hear of the takeover.
        let former = probes.iter().map(|probe| Former::from(&probe.owner)).chain(record.former.iter().cloned());
        let new = Record::new(&context.me_as(ownership), held.into_iter());
        let descriptor = record.descriptor.as_deref().filter(|_| context.settings.rules.keep_descriptor);
        let new = new.described(descriptor).naming(former).with_state(record.state.clone());
        let new = new.banning(&record.bans).showing(record.profiles.clone()).replacing(record.replaces).to_bytes();
        let basis = record.clone();
        search.attempt = Some(Attempt { bytes: new.clone(), ownership, basis, slot, asked: time.now });
        let ttl = Duration::from_millis(context.settings.record_ttl);
        let swap = Request::Swap { key: Key::Room(room), expected: search.stored.clone(), new, ttl };
        let ticket = context.ask(Purpose::Search(room), swap);
        self.wait_for_takeover(context, room);
        self.step(context, time, room, SearchStep::TakingOver(ticket), PATIENCE);
    }

    /// The room looks like one that will be taken over: its waiters may wait longer.
    pub(super) fn wait_for_takeover(&mut self, context: &mut Context, room: RoomId) {
        let Some(search) = self.searches.get_mut(&room) else {
            return;
        };
        for waiter in &mut search.waiters {
            waiter.await_takeover();
            context.arm(waiter.deadline, Timer::Search(room));
        }
    }

    /// The record names this pod as the owner since `attempt`: the search ends.
    pub(super) fn taken_over(&mut self, context: &mut Context, room: RoomId, attempt: Attempt) {
        let Attempt { bytes: stored, ownership, basis, slot, asked } = attempt;
        let me = context.me_as(ownership);
        self.tell_askers(context, room, Some(&me));
        if let Some(RoomSearch { waiters, .. }) = self.searches.remove(&room) {
            let takeover = Takeover { room, ownership, stored, basis, slot, asked, waiters };
            self.report(SearchEvent::TakenOver(Box::new(takeover)));
        }
    }
}
