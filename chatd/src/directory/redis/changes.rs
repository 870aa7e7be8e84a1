//! Counts lost connections, and wakes tasks that wait for a change of any connection. Does no I/O.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Shared by all links of a directory.
#[derive(Debug, Default)]
pub struct Changes {
    losses: AtomicU64,
    changed: Notify,
}

impl Changes {
    /// A connection was lost or replaced, or a key has another server: what was written last may be gone.
    pub fn lost(&self) {
        self.losses.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// A connection was made.
    pub fn made(&self) {
        self.changed.notify_one();
    }

    /// How often [`Changes::lost`] was called.
    pub fn losses(&self) -> u64 {
        self.losses.load(Ordering::Relaxed)
    }

    /// Waits for the next change, or for one since the last call.
    pub async fn next(&self) {
        self.changed.notified().await;
    }
}
