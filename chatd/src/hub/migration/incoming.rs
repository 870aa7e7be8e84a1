//! The target of a planned move: it swaps the offered room's record in, and then serves. The source is in `outgoing.rs`. Pure: no I/O.

use std::time::Duration;

use bytes::Bytes;

use crate::directory::{Answer, Key, NoAnswer, Request};
use crate::hub::capacity::RoomSlot;
use crate::hub::ownership::{LATE_SWAP_CHECK, Owned, Phase, RETRY};
use crate::hub::request::DETACHED;
use crate::hub::{Hub, Notice, Purpose, Timer};
use crate::ids::{Ticket, Time};
use crate::peer_protocol::Frame;
use crate::protocol::{ErrorCode, Ownership, PodBoot, RoomId};
use crate::record::{Owner, Record, next_epoch};
use crate::room::{Bucket, Room, Snapshot};

/// A room on its way to here: its record is being swapped.
#[derive(Debug)]
pub struct Incoming {
    from: PodBoot,
    basis: Ownership,
    room: Room,
    slot: RoomSlot,
    owner: Owner,
    /// The record before the swap, and after it.
    expected: Option<Bytes>,
    bytes: Bytes,
    /// The request that is under way.
    ticket: Option<Ticket>,
    asked: u64,
    give_up: u64,
    /// The swap was not answered.
    unanswered: bool,
    /// The source has been told that the room stays its own. The swap may yet be carried out before the source has written that:
    /// until then (ms) the record is looked at once more.
    refused: Option<u64>,
}

impl Hub {
    pub(in crate::hub) fn offered(&mut self, time: Time, from: PodBoot, room: RoomId, snapshot: Snapshot) {
        // Its lease may be seen by others before it knows itself that it has one, by which it would notice a freeze.
        let refuse = !self.context.serves()
            || !self.context.directory_answers
            || snapshot.is_nonsense()
            || self.drain.is_some()
            || self.rooms.key(room).is_some()
            || self.incoming.contains_key(&room);
        let place = |hub: &mut Self| {
            if snapshot.seats.is_empty() { hub.context.settings.slots.take() } else { hub.place_for_people(time) }
        };
        let slot = if refuse { None } else { place(self) };
        let Some(slot) = slot else {
            let answer = Frame::Offered { room, from: snapshot.ownership, taken: None };
            return self.context.peers.send(from, &answer);
        };
        let snapshot = snapshot.limited(self.context.settings.max_players, self.context.settings.seat_hold);
        let seen = self.context.known_owners.get(room).map(|seen| seen.ownership.epoch);
        let epoch = next_epoch(Some(snapshot.ownership.epoch), seen, time.wall);
        let owner = self.context.me_as(Ownership { epoch, boot: self.context.me.ownership.boot });
        let bucket = Bucket::new(self.context.settings.rate, self.context.settings.burst, time.now);
        let restored =
            Room::restored(room, &snapshot, time.now, time.now + DETACHED, bucket, self.context.settings.ring);
        let former = Record::parse(&snapshot.record).map(|record| record.former).unwrap_or_default();
        let bytes = Record::new(&owner, restored.recorded()).naming(former).to_bytes();
        let expected = Some(Bytes::from(snapshot.record));
        let request = Request::Swap {
            key: Key::Room(room),
            expected: expected.clone(),
            new: bytes.clone(),
            ttl: Duration::from_millis(self.context.settings.record_ttl),
        };
        let ticket = self.context.ask(Purpose::Incoming(room), request);
        let arrival = Incoming {
            from,
            basis: snapshot.ownership,
            room: restored,
            slot,
            owner,
            expected,
            bytes,
            ticket: Some(ticket),
            asked: time.now,
            give_up: time.now + DETACHED,
            unanswered: false,
            refused: None,
        };
        self.incoming.insert(room, arrival);
    }

    pub(in crate::hub) fn arrival_answered(
        &mut self,
        time: Time,
        room: RoomId,
        ticket: Ticket,
        answer: Result<Answer, NoAnswer>,
    ) {
        let Some(arrival) = self.incoming.get_mut(&room) else {
            return;
        };
        if arrival.ticket.take_if(|expected| *expected == ticket).is_none() {
            return;
        }
        let mine = match answer {
            Ok(Answer::Done) => true,
            Ok(Answer::Found(found)) if found.as_ref() == Some(&arrival.bytes) => true,
            Ok(Answer::Found(found))
                if arrival.unanswered
                    && found == arrival.expected
                    && arrival.refused.is_none_or(|until| time.now < until) =>
            {
                if arrival.refused.is_none() {
                    arrival.refused = Some(time.now + LATE_SWAP_CHECK);
                    let refusal = Frame::Offered { room, from: arrival.basis, taken: None };
                    self.context.peers.send(arrival.from, &refusal);
                    self.context.arm(time.now + LATE_SWAP_CHECK, Timer::Incoming(room));
                }
                return;
            }
            Ok(_) => false,
            Err(_) => {
                arrival.unanswered = true;
                if time.now < arrival.give_up {
                    // A directory that is away may say so at once: it is asked again a little later.
                    self.context.arm(time.now + RETRY, Timer::Incoming(room));
                    return;
                }
                false
            }
        };
        let Some(arrival) = self.incoming.remove(&room) else {
            return;
        };
        if mine && self.rooms.key(room).is_none() {
            let taken = Some(arrival.owner.clone());
            let Incoming { from, basis, room: restored, slot, owner, bytes, asked, .. } = arrival;
            let stored = Some(bytes.clone());
            let mut owned = Owned::new(restored, owner.ownership, Phase::Serving, stored, time.now, slot);
            if owned.room.position == 0 {
                owned.note_unentered(self.context.settings.slots.note_unentered(time.now, room));
            }
            let key = self.own(owned);
            self.context.notify_former_owners(time, room, &bytes, &owner);
            self.context.counters.arrivals += 1;
            self.context.log(Notice::MovedHere { room, epoch: owner.ownership.epoch });
            self.suspend_if_lapsed(time, key, asked);
            self.arm_room(time, key);
            self.context.peers.send(from, &Frame::Offered { room, from: basis, taken });
            for waiter in self.end_search(room, ErrorCode::Unavailable) {
                self.serve_waiter(time, key, &waiter);
            }
        } else if arrival.refused.is_none() {
            self.context.peers.send(arrival.from, &Frame::Offered { room, from: arrival.basis, taken: None });
        }
    }

    /// Somebody looks for the room at this pod, whose swap may have been carried out late.
    pub(in crate::hub) fn arrival_asked_for(&mut self, room: RoomId) {
        if self.incoming.get(&room).is_some_and(|arrival| arrival.refused.is_some()) {
            self.arrival_due(room);
        }
    }

    /// Whether the swap was carried out shows in the record.
    pub(in crate::hub) fn arrival_due(&mut self, room: RoomId) {
        if self.incoming.get(&room).is_some_and(|arrival| arrival.ticket.is_none()) {
            let ticket = self.context.ask(Purpose::Incoming(room), Request::Get { key: Key::Room(room) });
            if let Some(arrival) = self.incoming.get_mut(&room) {
                arrival.ticket = Some(ticket);
            }
        }
    }
}
