//! The two clocks that a shard passes to its hub. Does I/O: reads the system's clocks.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::ids::Time;

/// The time now, as hubs, leases and deadlines count it.
pub fn now() -> Time {
    // Counts suspension, so that a pod that was frozen notices.
    let boot = clock_gettime(ClockId::Boottime);
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let part = |number: i64| u64::try_from(number).unwrap_or_default();
    Time { now: part(boot.tv_sec) * 1000 + part(boot.tv_nsec) / 1_000_000, wall: wall.as_millis() as u64 }
}
