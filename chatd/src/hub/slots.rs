//! How many rooms the pod has, over all its threads. Pure: no I/O; a number that the pod's hubs share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// As many rooms as the pod may have. Clones count together.
#[derive(Debug, Clone)]
pub struct RoomSlots {
    most: usize,
    taken: Arc<AtomicUsize>,
}

/// A slot for one room, from the wish to have it to its end.
#[derive(Debug)]
pub struct RoomSlot(Arc<AtomicUsize>);

impl RoomSlots {
    pub fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
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
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(RoomSlot(self.taken.clone()))
    }
}

impl Drop for RoomSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
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
}
