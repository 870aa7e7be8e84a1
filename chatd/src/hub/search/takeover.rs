//! Taking a room over from owners that are gone. Pure: no I/O.

use super::{
    Attempt, Bucket, Duration, ErrorCode, Former, Hub, Key, Notice, Owned, Ownership, PATIENCE, Phase, Record, Request,
    Room, RoomId, Step, TAKEOVER_PATIENCE, TicketPurpose, Timer, next_epoch,
};
use crate::ids::Time;

impl Hub {
    /// `former`: the pods that had the room and have to hear that they do not any more.
    pub(super) fn try_to_take_over(&mut self, time: Time, room: RoomId, former: Vec<Former>) {
        if self.incoming.contains(room) {
            // It is being moved to here: a takeover would throw away what comes with it.
            return self.pause(time, room);
        }
        if self.drain.is_some() {
            // Another pod has to do it: whoever has a seat there comes by that one.
            return self.give_up(time, room, ErrorCode::ShuttingDown);
        }
        // Whoever looks for it is in it, or is about to be.
        let slot = if self.context.settled() {
            self.place_for_people(time).ok_or(ErrorCode::TooManyRooms)
        } else {
            Err(ErrorCode::Unavailable)
        };
        let slot = match slot {
            Ok(slot) => slot,
            Err(code) => {
                self.give_up_entering(time, room, code);
                return self.pause(time, room);
            }
        };
        let seen = self.context.known_owners.get(room).map(|seen| seen.ownership.epoch);
        let Some(find) = self.search.finds.get_mut(&room) else {
            return;
        };
        let Some(record) = find.record.clone() else {
            return;
        };
        let epoch = next_epoch(Some(record.epoch), seen, time.wall);
        let ownership = Ownership { epoch, boot: self.context.me.ownership.boot };
        let expected = find.stored.clone();
        let me = self.context.me_as(ownership);
        let held = record.held_seats(self.context.settings.max_players);
        let new = Record::new(&me, held.into_iter()).naming(former).to_bytes();
        if let Some(find) = self.search.finds.get_mut(&room) {
            find.attempt = Some(Attempt { bytes: new.clone(), ownership, basis: record, slot, asked: time.now });
        }
        let ttl = Duration::from_millis(self.context.settings.record_ttl);
        let ticket =
            self.context.ask(TicketPurpose::Search(room), Request::Swap { key: Key::Room(room), expected, new, ttl });
        self.wait_for_takeover(room);
        self.step(time, room, Step::TakingOver { ticket }, PATIENCE);
    }

    /// Whoever waits for what looks like a takeover may wait longer.
    pub(super) fn wait_for_takeover(&mut self, room: RoomId) {
        let Some(find) = self.search.finds.get_mut(&room) else {
            return;
        };
        for waiter in &mut find.waiters {
            waiter.deadline = waiter.deadline.max(waiter.since + TAKEOVER_PATIENCE);
        }
        let deadlines: Vec<u64> = find.waiters.iter().map(|waiter| waiter.deadline).collect();
        for deadline in deadlines {
            self.context.arm(deadline, Timer::Search(room));
        }
    }

    /// The record says that this pod has the room: it does.
    pub(super) fn take_over(&mut self, time: Time, room: RoomId, attempt: Attempt) {
        let Attempt { bytes: stored, ownership, basis, slot, asked } = attempt;
        self.tell_askers(room, Some(self.context.me_as(ownership)));
        let Some(find) = self.search.finds.remove(&room) else {
            return;
        };
        let bucket = Bucket::new(self.context.settings.rate, self.context.settings.burst, time.now);
        let until = time.now + self.context.settings.seat_hold;
        let held = basis.held_seats(self.context.settings.max_players);
        let unanswered = basis.unanswered_seats(self.context.settings.max_players);
        let taken = Room::taken_over(room, held, unanswered, until, bucket, &mut self.context.random);
        let key = self.own(Owned::new(taken, ownership, Phase::Serving, Some(stored.clone()), time.now, slot));
        self.context.counters.takeovers += 1;
        self.context.log(Notice::TookOver { room, from: basis.pod_id.clone(), epoch: ownership.epoch });
        let me = self.context.me_as(ownership);
        self.context.notify_former_owners(time, room, &stored, &me);
        self.remember_takeover(time, key, &basis);
        self.suspend_if_lapsed(time, key, asked);
        self.arm_room(time, key);
        for waiter in find.waiters {
            self.serve_waiter(time, key, &waiter);
        }
    }
}
