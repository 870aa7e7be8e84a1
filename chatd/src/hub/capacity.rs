//! How many rooms the pod has, over all its threads, and which of them nobody has entered. Pure: no I/O; data that the pod's hubs
//! share. The lock is taken where a room is made, is entered for the first time, or ends.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::protocol::RoomId;

/// As many rooms as the pod may have. Clones count together.
#[derive(Debug, Clone)]
pub struct RoomSlots {
    most: usize,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    taken: AtomicUsize,
    /// Rooms that nobody has entered, by when they came (ms).
    unentered: Mutex<BTreeSet<(u64, RoomId)>>,
}

impl Shared {
    fn unentered(&self) -> MutexGuard<'_, BTreeSet<(u64, RoomId)>> {
        // No panic can leave the set half changed.
        self.unentered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot for one room, from the wish to have it to its end.
#[derive(Debug)]
pub struct RoomSlot(Arc<Shared>);

/// A room's entry among those that nobody has entered, until it is dropped.
#[derive(Debug)]
pub struct Unentered {
    shared: Arc<Shared>,
    since: u64,
    room: RoomId,
}

impl RoomSlots {
    /// Capacity for `most` new rooms.
    pub fn new(most: usize) -> Self {
        Self { most, shared: Arc::default() }
    }

    /// How many places for new rooms there are.
    pub fn most(&self) -> usize {
        self.most
    }

    /// How many rooms the pod has.
    pub fn taken(&self) -> usize {
        self.shared.taken.load(Ordering::Relaxed)
    }

    /// For a new room. `None`: all are taken.
    pub fn take(&self) -> Option<RoomSlot> {
        self.take_below(self.most)
    }

    /// For a room with people in it that comes from another pod: there are twice as many, so that new rooms leave places for it.
    pub fn take_for_people(&self) -> Option<RoomSlot> {
        self.take_below(self.most.saturating_mul(2))
    }

    fn take_below(&self, most: usize) -> Option<RoomSlot> {
        let more = |taken: usize| (taken < most).then_some(taken + 1);
        self.shared.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(RoomSlot(self.shared.clone()))
    }

    /// For a new room in the place of the oldest one that nobody has entered, which has to be closed, if it came before `before`
    /// (ms). Until it is closed there is one room more.
    pub fn take_from_oldest(&self, before: u64) -> Option<(RoomSlot, RoomId)> {
        let mut unentered = self.shared.unentered();
        let &(since, room) = unentered.first().filter(|(since, _)| *since < before)?;
        unentered.remove(&(since, room));
        drop(unentered);
        self.shared.taken.fetch_add(1, Ordering::Relaxed);
        Some((RoomSlot(self.shared.clone()), room))
    }

    /// Notes that nobody has entered `room`, which came at `since` (ms).
    pub fn note_unentered(&self, since: u64, room: RoomId) -> Unentered {
        self.shared.unentered().insert((since, room));
        Unentered { shared: self.shared.clone(), since, room }
    }
}

impl Drop for RoomSlot {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Unentered {
    fn drop(&mut self) {
        self.shared.unentered().remove(&(self.since, self.room));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn clones_count_together_and_slots_come_back() {
        let slots = RoomSlots::new(2);
        let other = slots.clone();
        let first = slots.take();
        let second = other.take();
        assert!(first.is_some() && second.is_some() && slots.take().is_none());
        drop(first);
        assert!(other.take().is_some());
    }

    #[test]
    fn rooms_with_people_have_as_many_places_again() {
        let slots = RoomSlots::new(2);
        let new = [slots.take(), slots.take()];
        let come = [slots.take_for_people(), slots.take_for_people(), slots.take_for_people()];
        assert!(new.iter().all(Option::is_some) && come[1].is_some() && come[2].is_none());
        drop(new);
        assert!(slots.take().is_none(), "those that came take places, too");
        assert!(slots.take_for_people().is_some());
    }

    #[test]
    fn the_oldest_room_that_nobody_has_entered_makes_way() {
        let room = |text: &str| text.parse::<RoomId>().unwrap();
        let slots = RoomSlots::new(3);
        let held: Vec<_> = std::iter::from_fn(|| slots.take()).collect();
        let rooms = [(30, "aaaaaaaa"), (10, "bbbbbbbb"), (20, "cccccccc")];
        let mut unentered: Vec<_> =
            rooms.iter().map(|(since, name)| slots.note_unentered(*since, room(name))).collect();
        assert!(slots.take_from_oldest(10).is_none(), "it is too young");
        let (first, oldest) = slots.take_from_oldest(100).unwrap();
        assert_eq!(oldest, room("bbbbbbbb"));
        unentered.pop();
        let (second, next) = slots.clone().take_from_oldest(100).unwrap();
        assert_eq!(next, room("aaaaaaaa"), "the other one was entered");
        assert!(slots.take_from_oldest(100).is_none());
        drop((held, first));
        assert!(slots.take().is_some());
        drop(second);
    }
}
