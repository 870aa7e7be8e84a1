//! The target of a planned move: swaps the offered room's record, then serves the room. The source is in `outgoing.rs`. Pure: no I/O.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;

use crate::directory::{Answer, Key, NoAnswer, Request};
use crate::hub::capacity::RoomSlot;
use crate::hub::context::{Context, Purpose, RETRY, Timer};
use crate::hub::ownership::LATE_SWAP_CHECK;
use crate::ids::{Ticket, Time};
use crate::peer_protocol::Frame;
use crate::protocol::{Ownership, PodBoot, RoomId};
use crate::record::{Owner, Record, next_epoch};
use crate::room::{DETACHED, Room, Snapshot};
use crate::shrink::Shrink;

/// An incoming room: the swap of its record is in flight.
#[derive(Debug)]
struct IncomingMove {
    from: PodBoot,
    /// The source's ownership.
    basis: Ownership,
    room: Room,
    slot: RoomSlot,
    owner: Owner,
    /// The record before the swap, and after it.
    expected: Option<Bytes>,
    bytes: Bytes,
    /// The request in flight.
    ticket: Option<Ticket>,
    asked: u64,
    give_up: u64,
    /// The swap got no reply.
    unanswered: bool,
    /// This pod has declined the room, but the swap may still be applied before the source has written its record: until this time (ms)
    /// the hub reads the record once more.
    refused: Option<u64>,
}

impl IncomingMove {
    fn refuse(&self, context: &mut Context) {
        refuse_offer(context, self.from, self.room.id, self.basis);
    }
}

/// Declines the offer: the room stays with the source.
pub fn refuse_offer(context: &mut Context, to: PodBoot, room: RoomId, basis: Ownership) {
    context.peers.send(to, &Frame::MigrateAnswer { room, from: basis, taken: None });
}

/// A room whose record names this pod: the hub serves it, then answers the source ([`Taken::accept`]).
#[derive(Debug)]
pub struct Taken {
    pub from: PodBoot,
    /// The source's ownership.
    pub basis: Ownership,
    pub room: Room,
    pub slot: RoomSlot,
    pub owner: Owner,
    /// The record.
    pub record: Bytes,
    /// When this pod sent the swap (ms).
    pub asked: u64,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct IncomingMoves {
    table: HashMap<RoomId, IncomingMove>,
}

impl IncomingMoves {
    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Whether the room is incoming.
    pub fn contains(&self, room: RoomId) -> bool {
        self.table.contains_key(&room)
    }

    /// Whether a room comes from the pod with `boot`.
    pub fn has_source(&self, boot: PodBoot) -> bool {
        self.table.values().any(|incoming| incoming.from == boot)
    }

    /// Bytes of the states of the incoming rooms.
    pub fn state_bytes(&self) -> usize {
        self.table.values().map(|incoming| incoming.room.state_bytes()).sum()
    }

    /// Whether there is memory for the state of an offered room, where all states may take so many more bytes. (Of rings the oldest
    /// events are dropped instead.)
    pub fn have_memory_for(&self, snapshot: &Snapshot, free: usize) -> bool {
        let bytes = snapshot.state_bytes();
        bytes == 0 || bytes <= free.saturating_sub(self.state_bytes())
    }

    pub fn shrink(&mut self) {
        self.table.shrink();
    }

    /// Accepts the offered room: swaps its record. The room must not be owned here.
    pub fn take_on(
        &mut self,
        time: Time,
        context: &mut Context,
        from: PodBoot,
        room: RoomId,
        snapshot: Snapshot,
        slot: RoomSlot,
    ) {
        debug_assert!(!self.contains(room) && !snapshot.is_nonsense(), "{room}");
        let settings = &context.settings;
        let descriptor = snapshot.descriptor.clone();
        let terms = settings.terms(descriptor.as_deref());
        let snapshot = snapshot.limited(terms.max_players(), terms.seat_hold());
        let seen = context.known_owners.get(room).map(|seen| seen.ownership.epoch);
        let epoch = next_epoch(Some(snapshot.ownership.epoch), seen, time.wall);
        let owner = context.me_as(Ownership { epoch, boot: context.me.ownership.boot });
        debug_assert!(owner.ownership > snapshot.ownership, "{room}");
        let bucket = settings.seat_limits().rate.full(time.now);
        let mut restored = Room::restored(room, &snapshot, time.now, time.now + DETACHED, bucket, terms.ring());
        // The record is that of the room as it was offered, and says what needs no place of its own in the snapshot.
        let before = Record::parse(&snapshot.record).map(|it| (it.former, it.bans, it.profiles, it.replaces));
        let (former, bans, profiles, replaces) = before.unwrap_or_default();
        restored.replace(replaces);
        restored.restore_bans(bans);
        restored.restore_profiles(profiles);
        let bytes = restored.to_record(&owner).naming(former).to_bytes();
        let expected = Some(Bytes::from(snapshot.record));
        let request = Request::Swap {
            key: Key::Room(room),
            expected: expected.clone(),
            new: bytes.clone(),
            ttl: Duration::from_millis(settings.record_ttl),
        };
        let ticket = context.ask(Purpose::Incoming(room), request);
        let incoming = IncomingMove {
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
        self.table.insert(room, incoming);
    }

    /// The directory replied, or failed to. `is_owned`: this hub has got the room in another way. `Some`: the record names this pod.
    pub fn answered(
        &mut self,
        time: Time,
        context: &mut Context,
        room: RoomId,
        ticket: Ticket,
        answer: Result<Answer, NoAnswer>,
        is_owned: bool,
    ) -> Option<Taken> {
        let incoming = self.table.get_mut(&room)?;
        incoming.ticket.take_if(|expected| *expected == ticket)?;
        let is_mine = match answer {
            Ok(Answer::Done) => true,
            Ok(Answer::Found(found)) if found.as_ref() == Some(&incoming.bytes) => true,
            Ok(Answer::Found(found))
                if incoming.unanswered
                    && found == incoming.expected
                    && incoming.refused.is_none_or(|until| time.now < until) =>
            {
                if incoming.refused.is_none() {
                    incoming.refused = Some(time.now + LATE_SWAP_CHECK);
                    incoming.refuse(context);
                    context.arm(time.now + LATE_SWAP_CHECK, Timer::Incoming(room));
                }
                return None;
            }
            Ok(_) => false,
            Err(_) => {
                incoming.unanswered = true;
                if time.now < incoming.give_up {
                    // A directory that is away may reply at once: retry a little later.
                    context.arm(time.now + RETRY, Timer::Incoming(room));
                    return None;
                }
                false
            }
        };
        let incoming = self.table.remove(&room)?;
        if is_mine && !is_owned {
            let IncomingMove { from, basis, room, slot, owner, bytes: record, asked, .. } = incoming;
            return Some(Taken { from, basis, room, slot, owner, record, asked });
        }
        if incoming.refused.is_none() {
            incoming.refuse(context);
        }
        None
    }

    /// A client asks this pod for the room: the swap may have been applied late.
    pub fn asked_for(&mut self, context: &mut Context, room: RoomId) {
        if self.table.get(&room).is_some_and(|incoming| incoming.refused.is_some()) {
            self.due(context, room);
        }
    }

    /// The record shows whether the swap was applied.
    pub fn due(&mut self, context: &mut Context, room: RoomId) {
        if let Some(incoming) = self.table.get_mut(&room)
            && incoming.ticket.is_none()
        {
            incoming.ticket = Some(context.ask(Purpose::Incoming(room), Request::Get { key: Key::Room(room) }));
        }
    }

    /// What must hold between calls; panics where it does not.
    pub fn check_invariants(&self) {
        for (room, incoming) in &self.table {
            assert_eq!(*room, incoming.room.id);
            assert!(incoming.owner.ownership > incoming.basis, "{room} comes here without a higher ownership");
            assert!(incoming.ticket.is_some() || incoming.unanswered, "{room} waits for nothing");
            assert!(incoming.refused.is_none() || incoming.unanswered, "{room} was refused without a lost answer");
        }
    }
}

#[cfg(test)]
#[path = "incoming_tests.rs"]
mod tests;
