//! The rooms that a hub owns, and the memory that their last messages take. Pure: no I/O.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use slab::Slab;

use super::ownership::Owned;
use crate::protocol::RoomId;
use crate::room::RingLimits;
use crate::shrink::Shrink;

/// The part of the budget of all rings that is freed when it is passed.
const BUDGET_STEP: usize = 16;

/// See the module's documentation. A room's key is an index that is used again once the room is gone.
#[derive(Debug, Default)]
pub struct Rooms {
    table: Slab<Owned>,
    index: HashMap<RoomId, usize>,
    /// Rooms whose record is to be checked, a few at a time.
    pub checks: VecDeque<RoomId>,
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

    pub fn insert(&mut self, owned: Owned) -> usize {
        let room = owned.room.id;
        self.ring_bytes += owned.room.ring.bytes();
        let key = self.table.insert(owned);
        self.index.insert(room, key);
        key
    }

    pub fn remove(&mut self, key: usize) -> Option<Owned> {
        let owned = self.table.try_remove(key)?;
        self.index.remove(&owned.room.id);
        self.ring_bytes -= owned.room.ring.bytes();
        Some(owned)
    }

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
            let shrunk = owned.room.ring.expire(now, limits);
            self.count_ring(shrunk);
        }
    }

    /// Over `most` bytes of rings the oldest events of all rooms go, whoever speaks: some at once, since each look goes over all
    /// rooms.
    pub fn keep_to_the_budget(&mut self, most: usize) {
        if self.ring_bytes <= most {
            return;
        }
        let of_room = |(key, owned): (usize, &Owned)| Some(Reverse((owned.room.ring.oldest()?, key)));
        let mut oldest: BinaryHeap<_> = self.table.iter().filter_map(of_room).collect();
        while self.ring_bytes > most - most / BUDGET_STEP
            && let Some(Reverse((_, key))) = oldest.pop()
            && let Some(owned) = self.table.get_mut(key)
        {
            let ring = &mut owned.room.ring;
            self.ring_bytes -= ring.drop_oldest();
            oldest.extend(ring.oldest().map(|next| Reverse((next, key))));
        }
    }

    pub fn shrink(&mut self) {
        self.table.shrink();
        self.index.shrink();
        self.checks.shrink();
    }
}
