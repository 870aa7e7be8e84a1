//! Releases the allocator's thread caches, which hold freed memory, when a thread is idle. Does no I/O; calls the allocator.

use std::time::Duration;

use tikv_jemalloc_ctl::{Access, AsName};

use crate::shrink::SHRINK_EVERY;

/// Gives up what is kept for this thread. A kept piece holds the pages around it, and a thread at rest would keep its own for good.
pub fn forget_kept() {
    let kept = "thread.tcache.enabled\0".name();
    // Switched off it is emptied. Without it, or with another allocator, there is nothing to do.
    if let Ok(true) = kept.update(false) {
        let _: Result<(), _> = kept.write(true);
    }
}

/// Does so now and then, for a thread of tasks.
pub async fn stay_small() {
    let mut looks = tokio::time::interval(Duration::from_millis(SHRINK_EVERY));
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        forget_kept();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_kept_again_afterwards() {
        let kept = "thread.tcache.enabled\0".name();
        forget_kept();
        let on: bool = kept.read().unwrap();
        assert!(on);
        // Somebody may have switched it off.
        kept.write(false).unwrap();
        forget_kept();
        let on: bool = kept.read().unwrap();
        assert!(!on);
    }
}
