//! Known owners: the highest ownership that this pod has seen of each room in another pod. Pure: no I/O.
//!
//! A second index by last use finds the oldest entries without a scan.

use std::collections::{BTreeSet, HashMap};

use super::interface::HubLimits;
use crate::protocol::{Ownership, RoomId};
use crate::record::Owner;
use crate::shrink::Shrink;

/// The resolution of the last use (ms): a frequent use does not move the entry each time.
const GRAIN: u64 = 1_000;

#[derive(Debug)]
struct Known {
    owner: Owner,
    used: u64,
    /// The room's record, when this pod last read it, let those in who show no token.
    is_open: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct KnownOwners {
    /// The limit of entries, and how long an entry stays after its last use (ms).
    most: usize,
    kept_for: u64,
    rooms: HashMap<RoomId, Known>,
    by_use: BTreeSet<(u64, RoomId)>,
}

impl KnownOwners {
    pub fn new(limits: HubLimits) -> Self {
        let (most, kept_for) = (limits.owners, limits.owner_for);
        Self { most, kept_for, rooms: HashMap::new(), by_use: BTreeSet::new() }
    }

    pub fn get(&self, room: RoomId) -> Option<&Owner> {
        self.rooms.get(&room).map(|known| &known.owner)
    }

    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Returns the known owner, and counts as a use.
    pub fn used(&mut self, now: u64, room: RoomId) -> Option<&Owner> {
        let known = self.rooms.get_mut(&room)?;
        if now >= known.used + GRAIN {
            self.by_use.remove(&(known.used, room));
            self.by_use.insert((now, room));
            known.used = now;
        }
        Some(&known.owner)
    }

    /// Remembers `owner`, unless a higher one is known. False: the table is full.
    pub fn learn(&mut self, now: u64, room: RoomId, owner: &Owner) -> bool {
        if self.used(now, room).is_some() {
            if let Some(known) = self.rooms.get_mut(&room).filter(|known| owner.ownership > known.owner.ownership) {
                known.owner = owner.clone();
            }
            return true;
        }
        if self.rooms.len() >= self.most {
            self.forget_old(now);
        }
        if self.rooms.len() >= self.most {
            return false;
        }
        self.rooms.insert(room, Known { owner: owner.clone(), used: now, is_open: false });
        self.by_use.insert((now, room));
        true
    }

    pub fn remove(&mut self, room: RoomId) {
        if let Some(known) = self.rooms.remove(&room) {
            self.by_use.remove(&(known.used, room));
        }
    }

    /// The room's record has been read. `is_open`: it lets those in who show no token.
    pub fn note_open(&mut self, room: RoomId, is_open: bool) {
        if let Some(known) = self.rooms.get_mut(&room) {
            known.is_open = is_open;
        }
    }

    /// Whether the room let those in who show no token, as far as this pod knows: then it is no secret.
    pub fn is_open(&self, room: RoomId) -> bool {
        self.rooms.get(&room).is_some_and(|known| known.is_open)
    }

    /// The room has ended, and `last` was its last ownership: who had it until then has it no more.
    pub fn has_ended(&mut self, room: RoomId, last: Ownership) {
        if self.get(room).is_some_and(|owner| owner.ownership <= last) {
            self.remove(room);
        }
    }

    /// Forgets the owners that nothing has used for a long time.
    pub fn forget_old(&mut self, now: u64) {
        while let Some((used, room)) = self.by_use.first().copied()
            && used + self.kept_for <= now
        {
            self.by_use.pop_first();
            self.rooms.remove(&room);
        }
    }

    pub fn shrink(&mut self) {
        self.rooms.shrink();
    }

    /// What must hold between calls; panics where it does not.
    pub fn check_invariants(&self) {
        assert!(self.rooms.len() <= self.most, "{} owners are known", self.rooms.len());
        assert_eq!(self.rooms.len(), self.by_use.len(), "owners by room, and by use");
    }

    /// When the next entry expires at the latest (ms), rounded up, so that one timer serves all.
    pub fn next_look(&self, now: u64) -> u64 {
        let step = (self.kept_for / 10).max(1);
        (now / step + 1) * step
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::protocol::PodBoot;

    const USUAL: HubLimits = HubLimits::USUAL;

    fn owner(epoch: u64) -> Owner {
        let (pod_id, tcp, web, peer) = ("chat-0".into(), String::new(), String::new(), String::new());
        Owner { ownership: Ownership { epoch, boot: PodBoot(1) }, pod_id, tcp, web, peer }
    }

    fn room(number: usize) -> RoomId {
        format!("r{number:07}").parse().unwrap()
    }

    #[test]
    fn the_higher_owner_is_remembered_for_as_long_as_it_is_used() {
        let mut known = KnownOwners::new(USUAL);
        for epoch in [5, 7, 6] {
            assert!(known.learn(0, room(1), &owner(epoch)));
        }
        assert!(known.learn(0, room(2), &owner(1)));
        assert_eq!(known.used(500_000, room(1)), Some(&owner(7)));
        known.forget_old(USUAL.owner_for);
        assert_eq!((known.get(room(1)), known.get(room(2))), (Some(&owner(7)), None));
        known.forget_old(500_000 + USUAL.owner_for);
        assert!(known.is_empty() && known.by_use.is_empty());
    }

    #[test]
    fn a_full_memory_looks_at_the_oldest_only() {
        let mut known = KnownOwners::new(USUAL);
        for number in 0..USUAL.owners {
            assert!(known.learn(number as u64, room(number), &owner(1)));
        }
        // Each of these would look through all rooms, were they not in order: that would take minutes.
        for number in 0..20_000 {
            assert!(!known.learn(USUAL.owners as u64, room(USUAL.owners + number), &owner(1)));
        }
        let later = USUAL.owner_for + 10;
        assert!(known.learn(later, room(USUAL.owners), &owner(1)));
        assert_eq!((known.get(room(10)), known.rooms.len()), (None, USUAL.owners - 10));
        known.remove(room(USUAL.owners));
        assert_eq!((known.rooms.len(), known.by_use.len()), (USUAL.owners - 11, USUAL.owners - 11));
    }
}
