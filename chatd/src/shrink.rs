//! Shrinks tables that are mostly empty. No I/O.

use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::Hash;

use slab::Slab;

/// How often tables are looked at (ms).
pub const SHRINK_EVERY: u64 = 10_000;
/// Entries that a table may always keep room for.
pub const SMALL: usize = 256;
/// A table that keeps room for so many times what it holds is too large.
pub const SPARE: usize = 4;

/// A table that keeps memory for what may come.
pub trait Shrink {
    /// Gives memory back where the table keeps room for more than [`SPARE`] times what it holds. What it then keeps is twice that, so
    /// that a table which grows again does not do so at once.
    fn shrink(&mut self);
}

/// How much room a table should keep, if that is less than it keeps.
fn target(holds: usize, keeps: usize) -> Option<usize> {
    (keeps > SMALL.max(holds * SPARE)).then_some(holds * 2)
}

impl<K: Eq + Hash, V> Shrink for HashMap<K, V> {
    fn shrink(&mut self) {
        if let Some(target) = target(self.len(), self.capacity()) {
            self.shrink_to(target);
        }
    }
}

impl<T> Shrink for VecDeque<T> {
    fn shrink(&mut self) {
        if let Some(target) = target(self.len(), self.capacity()) {
            self.shrink_to(target);
        }
    }
}

impl<T: Ord> Shrink for BinaryHeap<T> {
    fn shrink(&mut self) {
        if let Some(target) = target(self.len(), self.capacity()) {
            self.shrink_to(target);
        }
    }
}

impl<T> Shrink for Slab<T> {
    /// Entries keep their keys: what is behind the last one goes.
    fn shrink(&mut self) {
        if target(self.len(), self.capacity()).is_some() {
            self.shrink_to_fit();
        }
    }
}

/// A list that is filled and emptied again and again.
impl<T> Shrink for Vec<T> {
    fn shrink(&mut self) {
        if let Some(target) = target(self.len(), self.capacity()) {
            self.shrink_to(target);
        }
    }
}

/// The same for a table of entries by their index: what is behind the last one goes.
pub fn shrink_places<T>(places: &mut Vec<Option<T>>) {
    let used = places.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    if target(used, places.capacity()).is_some() {
        places.truncate(used);
        places.shrink();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mostly_empty_gives_memory_back_and_keeps_what_it_holds() {
        let mut map: HashMap<usize, usize> = (0..10_000).map(|key| (key, key)).collect();
        let full = map.capacity();
        map.shrink();
        assert_eq!(map.capacity(), full);
        map.retain(|key, _| *key < 1_000);
        map.shrink();
        assert!((2_000..full / 2).contains(&map.capacity()), "{}", map.capacity());
        assert_eq!(map.len(), 1_000);

        let mut slab: Slab<usize> = Slab::new();
        let keys: Vec<usize> = (0..10_000).map(|value| slab.insert(value)).collect();
        for key in &keys[500..] {
            slab.remove(*key);
        }
        slab.shrink();
        assert!(slab.capacity() < 1_000 && slab[499] == 499, "{}", slab.capacity());

        let mut places: Vec<Option<usize>> = (0..10_000).map(|value| (value < 10).then_some(value)).collect();
        shrink_places(&mut places);
        assert!(places.capacity() <= SMALL && places.len() == 10, "{}", places.capacity());
    }

    #[test]
    fn a_small_table_is_left_alone() {
        let mut heap: BinaryHeap<usize> = (0..SMALL / 2).collect();
        heap.clear();
        let keeps = heap.capacity();
        heap.shrink();
        assert_eq!(heap.capacity(), keeps);
    }
}
