//! The memory budget of all connections of the pod together: unfinished input, unsent output. No I/O; shared by the shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: usize,
    shards: usize,
    held: AtomicUsize,
}

impl Budget {
    /// `limit`: bytes.
    pub fn new(limit: usize, shards: usize) -> Self {
        Self(Arc::new(Inner { limit, shards: shards.max(1), held: AtomicUsize::new(0) }))
    }

    /// What a connection holds has changed.
    pub fn changed(&self, before: usize, after: usize) {
        if after > before {
            self.0.held.fetch_add(after - before, Ordering::Relaxed);
        } else if before > after {
            self.0.held.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    /// What all connections hold, in bytes.
    pub fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    /// How much a shard whose connections hold `own` has to give up now: over the limit, one shard at least has more than its share.
    pub fn excess(&self, own: usize) -> usize {
        let over = self.held().saturating_sub(self.0.limit);
        over.min(own.saturating_sub(self.0.limit / self.0.shards))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_the_limit_who_has_more_than_its_share_gives_it_up() {
        let budget = Budget::new(1_000, 4);
        budget.changed(0, 700);
        assert_eq!(budget.excess(700), 0);
        budget.changed(0, 350);
        assert_eq!((budget.held(), budget.excess(700), budget.excess(250), budget.excess(100)), (1_050, 50, 0, 0));
        budget.changed(700, 100);
        assert_eq!((budget.held(), budget.excess(350)), (450, 0));
    }
}
