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

    /// `None`: all are taken.
    pub fn take(&self) -> Option<RoomSlot> {
        let more = |taken: usize| (taken < self.most).then_some(taken + 1);
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
}
