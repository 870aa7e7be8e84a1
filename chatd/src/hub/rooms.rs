//! The rooms that a hub owns: their table, the memory of their rings, and the queue of record checks. Pure: no I/O.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use slab::Slab;

use super::capacity::RoomSlot;
use super::context::{Context, Purpose};
use super::interface::{Effect, HubSettings};
use super::ownership::Owned;
use super::request::Requester;
use crate::descriptor::Descriptor;
use crate::ids::{RoomIndex, Time};
use crate::protocol::{Epoch, Ownership, RoomId};
use crate::record::next_epoch;
use crate::room::Room;
use crate::shrink::Shrink;

/// The fraction of the ring budget that is freed when the rings exceed it.
const BUDGET_STEP: usize = 16;
/// The part of the budget of rings that states may take: what a client sets is never pushed out.
const STATE_SHARE: usize = 2;
/// An empty room younger than this does not make way for new ones (ms): its creator is about to enter.
const YOUNG: u64 = 10_000;

/// A room that is to be made.
#[derive(Debug)]
pub struct NewRoom {
    pub room: RoomId,
    /// In what it differs from the settings.
    pub descriptor: Option<Box<Descriptor>>,
}

/// See the module's documentation. The hub reuses the [`RoomIndex`] of a room that has ended.
#[derive(Debug, Default)]
pub struct Rooms {
    table: Slab<Owned>,
    by_id: HashMap<RoomId, RoomIndex>,
    /// Rooms whose record check waits; a few run at a time.
    checks: VecDeque<RoomId>,
    ring_bytes: usize,
    state_bytes: usize,
    /// The highest epoch of the rooms that have ended here. A room whose name is used again begins above it, also if the clock went back.
    ended: Option<Epoch>,
}

impl Rooms {
    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub fn index_of(&self, room: RoomId) -> Option<RoomIndex> {
        self.by_id.get(&room).copied()
    }

    pub fn indexes(&self) -> Vec<RoomIndex> {
        self.iter().map(|(index, _)| index).collect()
    }

    pub fn get(&self, index: RoomIndex) -> Option<&Owned> {
        self.table.get(index.0)
    }

    pub fn get_mut(&mut self, index: RoomIndex) -> Option<&mut Owned> {
        self.table.get_mut(index.0)
    }

    pub fn of(&self, room: RoomId) -> Option<&Owned> {
        self.get(self.index_of(room)?)
    }

    pub fn iter(&self) -> impl Iterator<Item = (RoomIndex, &Owned)> {
        self.table.iter().map(|(index, owned)| (RoomIndex(index), owned))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (RoomIndex, &mut Owned)> {
        self.table.iter_mut().map(|(index, owned)| (RoomIndex(index), owned))
    }

    // ---- rooms come and go

    /// Creates a room, and sends its first write.
    pub fn create(
        &mut self,
        context: &mut Context,
        time: Time,
        NewRoom { room, descriptor }: NewRoom,
        requester: Requester,
        slot: RoomSlot,
    ) {
        let known = context.known_owners.get(room).map(|owner| owner.ownership.epoch);
        let ownership = Ownership { epoch: next_epoch(self.ended, known, time.wall), boot: context.me.ownership.boot };
        let mut room = Room::new(room, &mut context.random);
        room.describe(descriptor);
        let index = self.own(context, Owned::created(room, ownership, requester, time.now, slot));
        let action = self.write(context, index);
        debug_assert!(action.is_none(), "a new room's record was there: {action:?}");
        self.arm(context, time, index);
    }

    /// This hub owns the room from now on.
    pub fn own(&mut self, context: &mut Context, owned: Owned) -> RoomIndex {
        let room = owned.room.id;
        debug_assert!(self.index_of(room).is_none(), "{room} is owned twice");
        let index = self.insert(owned);
        self.keep_to_the_budget(context.settings.ring_total);
        context.known_owners.remove(room);
        index
    }

    fn insert(&mut self, owned: Owned) -> RoomIndex {
        let room = owned.room.id;
        self.ring_bytes += owned.room.ring().bytes();
        self.state_bytes += owned.room.state_bytes();
        let index = RoomIndex(self.table.insert(owned));
        self.by_id.insert(room, index);
        index
    }

    pub fn remove(&mut self, index: RoomIndex) -> Option<Owned> {
        let owned = self.table.try_remove(index.0)?;
        self.by_id.remove(&owned.room.id);
        self.ended = self.ended.max(Some(owned.ownership().epoch));
        self.ring_bytes -= owned.room.ring().bytes();
        self.state_bytes -= owned.room.state_bytes();
        Some(owned)
    }

    /// Up to `most` rooms that can move and have not come from another pod in the last `stay` (ms), the quietest first.
    pub fn quietest(&self, most: usize, now: u64, stay: u64) -> Vec<RoomId> {
        let may_go = |owned: &Owned| owned.can_move() && !owned.has_come_within(now, stay);
        let rooms = self.iter().filter(|(_, owned)| may_go(owned));
        let mut rooms: Vec<_> = rooms.map(|(_, owned)| (owned.room.newest_time(), owned.room.id)).collect();
        rooms.sort_unstable();
        rooms.into_iter().take(most).map(|(_, room)| room).collect()
    }

    // ---- places for rooms

    /// Capacity for a new room: a free permit, otherwise that of the oldest room that nobody has entered.
    pub fn slot_for_new(&mut self, context: &mut Context, time: Time) -> Option<RoomSlot> {
        let slot = context.settings.slots.take();
        slot.or_else(|| self.slot_of_oldest(context, time, time.now.saturating_sub(YOUNG)))
    }

    /// Capacity for an incoming room with members.
    pub fn slot_for_people(&mut self, context: &mut Context, time: Time) -> Option<RoomSlot> {
        let slot = context.settings.slots.take_for_people();
        slot.or_else(|| self.slot_of_oldest(context, time, u64::MAX))
    }

    /// The capacity of the oldest room that nobody has entered, if it was created before `before` (ms).
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

    /// A new room has this room's capacity, since nobody had entered it: closes it, if that still holds.
    pub fn make_way(&mut self, context: &mut Context, time: Time, room: RoomId) {
        if let Some(index) = self.index_of(room)
            && self.get_mut(index).is_some_and(Owned::makes_way)
        {
            self.arm(context, time, index);
        }
    }

    // ---- records to be checked

    pub fn checks_waiting(&self) -> usize {
        self.checks.len()
    }

    pub fn next_check(&mut self) -> Option<RoomId> {
        self.checks.pop_front()
    }

    /// Checks the room's record before the waiting ones.
    pub fn check_first(&mut self, room: RoomId) {
        self.checks.push_front(room);
    }

    /// Checks the rooms' records after the waiting ones.
    pub fn check_last(&mut self, rooms: impl IntoIterator<Item = RoomId>) {
        self.checks.extend(rooms);
    }

    /// Checks every record once.
    pub fn check_all(&mut self) {
        self.checks = self.table.iter().map(|(_, owned)| owned.room.id).collect();
    }

    // ---- memory

    /// Bytes of all rings, as counted.
    pub fn ring_bytes(&self) -> usize {
        self.ring_bytes
    }

    /// Bytes of the states of all rooms, as counted.
    pub fn state_bytes(&self) -> usize {
        self.state_bytes
    }

    /// Bytes that states may yet take. `most`: of all rings and states.
    pub fn free_for_states(&self, most: usize) -> usize {
        (most / STATE_SHARE).saturating_sub(self.state_bytes)
    }

    /// A room's state has changed its size.
    pub fn count_state(&mut self, by: isize) {
        self.state_bytes = self.state_bytes.saturating_add_signed(by);
    }

    /// A ring has changed its size: drops the oldest events where all exceed `most` bytes.
    pub fn ring_has_grown(&mut self, by: isize, most: usize) {
        self.count_ring(by);
        self.keep_to_the_budget(most);
    }

    fn count_ring(&mut self, by: isize) {
        self.ring_bytes = self.ring_bytes.saturating_add_signed(by);
    }

    /// Drops the events of a room that are past their time.
    pub fn forget_old(&mut self, now: u64, index: RoomIndex, settings: &HubSettings) {
        if let Some(owned) = self.table.get_mut(index.0) {
            let limits = settings.terms(owned.room.descriptor()).ring();
            let shrunk = owned.room.forget_old(now, limits);
            self.count_ring(shrunk);
        }
    }

    /// Drops the oldest events of all rooms when rings and states together exceed `most` bytes, regardless of which room grew: several at
    /// once, since each call scans all rooms.
    pub fn keep_to_the_budget(&mut self, most: usize) {
        let most = most.saturating_sub(self.state_bytes);
        if self.ring_bytes <= most {
            return;
        }
        let of_room = |(index, owned): (RoomIndex, &Owned)| Some(Reverse((owned.room.ring().oldest()?, index)));
        let mut oldest: BinaryHeap<_> = self.iter().filter_map(of_room).collect();
        while self.ring_bytes > most - most / BUDGET_STEP
            && let Some(Reverse((_, index))) = oldest.pop()
            && let Some(owned) = self.table.get_mut(index.0)
        {
            self.ring_bytes -= owned.room.forget_oldest();
            oldest.extend(owned.room.ring().oldest().map(|next| Reverse((next, index))));
        }
    }

    pub fn shrink(&mut self) {
        self.table.shrink();
        self.by_id.shrink();
        self.checks.shrink();
    }

    /// What must hold between calls; panics where it does not.
    pub fn check_invariants(&self, context: &Context) {
        assert_eq!(self.by_id.len(), self.table.len(), "rooms that have an index, and rooms");
        for (index, owned) in self.iter() {
            assert_eq!(self.index_of(owned.room.id), Some(index), "the index of {}", owned.room.id);
            owned.check_invariants();
        }
        let ring_bytes: usize = self.table.iter().map(|(_, owned)| owned.room.ring().bytes()).sum();
        assert_eq!(self.ring_bytes, ring_bytes, "bytes of rings");
        let state_bytes: usize = self.table.iter().map(|(_, owned)| owned.room.state_bytes()).sum();
        assert_eq!(self.state_bytes, state_bytes, "bytes of states");
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
