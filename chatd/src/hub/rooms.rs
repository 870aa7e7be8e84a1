//! The rooms that a hub owns: where each is, the memory that their last messages take, and whose record is to be checked. Pure: no I/O.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use slab::Slab;

use super::capacity::RoomSlot;
use super::context::{Context, Purpose};
use super::interface::Effect;
use super::ownership::Owned;
use super::request::Requester;
use crate::ids::Time;
use crate::protocol::{Ownership, RoomId};
use crate::record::next_epoch;
use crate::room::{RingLimits, Room};
use crate::shrink::Shrink;

/// The part of the budget of all rings that is freed when it is passed.
const BUDGET_STEP: usize = 16;
/// A room that nobody has entered does not make way for new ones while it is this young (ms): who made it is about to enter.
const YOUNG: u64 = 10_000;

/// See the module's documentation. A room's key is an index that is used again once the room is gone.
#[derive(Debug, Default)]
pub struct Rooms {
    table: Slab<Owned>,
    index: HashMap<RoomId, usize>,
    /// Rooms whose record is to be checked, a few at a time.
    checks: VecDeque<RoomId>,
    ring_bytes: usize,
}

impl Rooms {
    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub fn key(&self, room: RoomId) -> Option<usize> {
        self.index.get(&room).copied()
    }

    pub fn keys(&self) -> Vec<usize> {
        self.table.iter().map(|(key, _)| key).collect()
    }

    pub fn get(&self, key: usize) -> Option<&Owned> {
        self.table.get(key)
    }

    pub fn get_mut(&mut self, key: usize) -> Option<&mut Owned> {
        self.table.get_mut(key)
    }

    pub fn of(&self, room: RoomId) -> Option<&Owned> {
        self.get(self.key(room)?)
    }

    pub fn iter(&self) -> impl Iterator<Item = (usize, &Owned)> {
        self.table.iter()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Owned)> {
        self.table.iter_mut()
    }

    // ---- rooms come and go

    /// A room that is new in the world; its first write is sent.
    pub fn create(&mut self, context: &mut Context, time: Time, room: RoomId, requester: Requester, slot: RoomSlot) {
        let known = context.known_owners.get(room).map(|owner| owner.ownership.epoch);
        let ownership = Ownership { epoch: next_epoch(None, known, time.wall), boot: context.me.ownership.boot };
        let room = Room::new(room, &mut context.random);
        let key = self.own(context, Owned::created(room, ownership, requester, time.now, slot));
        let action = self.write(context, key);
        debug_assert!(action.is_none(), "a new room's record was there: {action:?}");
        self.arm(context, time, key);
    }

    /// The room is owned here from now on.
    pub fn own(&mut self, context: &mut Context, owned: Owned) -> usize {
        let room = owned.room.id;
        debug_assert!(self.key(room).is_none(), "{room} is owned twice");
        let key = self.insert(owned);
        self.keep_to_the_budget(context.settings.ring_total);
        context.known_owners.remove(room);
        key
    }

    fn insert(&mut self, owned: Owned) -> usize {
        let room = owned.room.id;
        self.ring_bytes += owned.room.ring().bytes();
        let key = self.table.insert(owned);
        self.index.insert(room, key);
        key
    }

    pub fn remove(&mut self, key: usize) -> Option<Owned> {
        let owned = self.table.try_remove(key)?;
        self.index.remove(&owned.room.id);
        self.ring_bytes -= owned.room.ring().bytes();
        Some(owned)
    }

    // ---- places for rooms

    /// A place for a new room: if all are taken, that of the oldest room that nobody has entered.
    pub fn slot_for_new(&mut self, context: &mut Context, time: Time) -> Option<RoomSlot> {
        let slot = context.settings.slots.take();
        slot.or_else(|| self.slot_of_oldest(context, time, time.now.saturating_sub(YOUNG)))
    }

    /// A place for a room with people in it that comes from another pod.
    pub fn slot_for_people(&mut self, context: &mut Context, time: Time) -> Option<RoomSlot> {
        let slot = context.settings.slots.take_for_people();
        slot.or_else(|| self.slot_of_oldest(context, time, u64::MAX))
    }

    /// The place of the oldest room that nobody has entered, if it came before `before` (ms).
    fn slot_of_oldest(&mut self, context: &mut Context, time: Time, before: u64) -> Option<RoomSlot> {
        let (slot, room) = context.settings.slots.take_from_oldest(before)?;
        let shard = room.shard(context.settings.shards);
        if shard == context.settings.shard {
            self.make_way(context, time, room);
        } else {
            context.effects.push(Effect::MakeWay { room, shard });
        }
        Some(slot)
    }

    /// The room's place has been given to a new one, since nobody had entered it: it is closed, if that is still so.
    pub fn make_way(&mut self, context: &mut Context, time: Time, room: RoomId) {
        if let Some(key) = self.key(room)
            && self.get_mut(key).is_some_and(Owned::makes_way)
        {
            self.arm(context, time, key);
        }
    }

    // ---- records to be checked

    pub fn checks_waiting(&self) -> usize {
        self.checks.len()
    }

    pub fn next_check(&mut self) -> Option<RoomId> {
        self.checks.pop_front()
    }

    /// The room's record is checked before those that wait.
    pub fn check_first(&mut self, room: RoomId) {
        self.checks.push_front(room);
    }

    /// The rooms' records are checked after those that wait.
    pub fn check_last(&mut self, rooms: impl IntoIterator<Item = RoomId>) {
        self.checks.extend(rooms);
    }

    /// Every record is checked once.
    pub fn check_all(&mut self) {
        self.checks = self.table.iter().map(|(_, owned)| owned.room.id).collect();
    }

    // ---- memory

    /// Bytes of all rings, as they were counted.
    pub fn ring_bytes(&self) -> usize {
        self.ring_bytes
    }

    /// A ring has grown or shrunk.
    pub fn count_ring(&mut self, by: isize) {
        self.ring_bytes = self.ring_bytes.saturating_add_signed(by);
    }

    /// Nobody is given what is too old.
    pub fn forget_old(&mut self, now: u64, key: usize, limits: RingLimits) {
        if let Some(owned) = self.table.get_mut(key) {
            let shrunk = owned.room.forget_old(now, limits);
            self.count_ring(shrunk);
        }
    }

    /// Over `most` bytes of rings the oldest events of all rooms go, whoever speaks: some at once, since each look goes over all
    /// rooms.
    pub fn keep_to_the_budget(&mut self, most: usize) {
        if self.ring_bytes <= most {
            return;
        }
        let of_room = |(key, owned): (usize, &Owned)| Some(Reverse((owned.room.ring().oldest()?, key)));
        let mut oldest: BinaryHeap<_> = self.table.iter().filter_map(of_room).collect();
        while self.ring_bytes > most - most / BUDGET_STEP
            && let Some(Reverse((_, key))) = oldest.pop()
            && let Some(owned) = self.table.get_mut(key)
        {
            self.ring_bytes -= owned.room.forget_oldest();
            oldest.extend(owned.room.ring().oldest().map(|next| Reverse((next, key))));
        }
    }

    pub fn shrink(&mut self) {
        self.table.shrink();
        self.index.shrink();
        self.checks.shrink();
    }

    /// What must hold between calls; panics where it does not.
    pub fn check_invariants(&self, context: &Context) {
        assert_eq!(self.index.len(), self.table.len(), "rooms that have a key, and rooms");
        for (key, owned) in &self.table {
            assert_eq!(self.key(owned.room.id), Some(key), "the key of {}", owned.room.id);
            owned.check_invariants();
        }
        let ring_bytes: usize = self.table.iter().map(|(_, owned)| owned.room.ring().bytes()).sum();
        assert_eq!(self.ring_bytes, ring_bytes, "bytes of rings");
        let is_own = |purpose: &&Purpose| matches!(purpose, Purpose::Own(_));
        assert_eq!(
            context.requests.own,
            context.requests.tickets.values().filter(is_own).count(),
            "requests about records"
        );
        let may_check = context.requests.own < context.settings.limits.checks;
        assert!(!may_check || self.checks.is_empty(), "a check waits for nothing: {:?}", self.checks);
    }
}
