//! Two processes of one name that put each other out. Pure: no I/O.
//!
//! A start replaces the lease of its name at once, since most often the process before it is dead. Where it lives on and is started
//! again by somebody, the two would replace each other without end:
//!
//! - Where pods have a uid (Kubernetes), the order of their first claims decides: a lease names the pods that it was taken from, and
//!   one of those does not take it back. No clock and no creation time is compared: a container is not told when its pod was made,
//!   and the store sees every claim in one order anyway.
//! - Elsewhere a process is only known to be a later one. The one that put another out, and is put out itself within a minute, says
//!   so and ends with a code of its own, by which a supervisor can be told not to start it again.

use super::state::{LeaseIdentity, LeaseRecord};
use crate::ids::Time;

/// Being put out so soon after putting another out (ms) is no restart.
const AGAIN: u64 = 60_000;
/// Earlier pods that are remembered.
const MOST_EARLIER: usize = 8;

/// What is known of other processes of this name.
#[derive(Debug, Default)]
pub(super) struct Twins {
    /// See [`super::LeaseRecord::earlier`].
    pub earlier: Vec<String>,
    /// When the lease of another process was replaced.
    replaced: Option<u64>,
    ended: bool,
}

impl Twins {
    /// A later pod of this name has put this one out.
    pub fn has_to_end(&self) -> bool {
        self.ended
    }

    /// Looks at the lease of an earlier process of this name, before it is replaced. False: it may not be, and this process has to end.
    pub fn may_replace(&mut self, time: Time, me: &LeaseIdentity, lease: &LeaseRecord) -> bool {
        if lease.boot == me.boot {
            return true;
        }
        if !me.pod_uid.is_empty() && lease.earlier.contains(&me.pod_uid) {
            self.ended = true;
            return false;
        }
        self.replaced = Some(time.now);
        self.earlier.clone_from(&lease.earlier);
        if !lease.pod_uid.is_empty() && lease.pod_uid != me.pod_uid && !self.earlier.contains(&lease.pod_uid) {
            self.earlier.push(lease.pod_uid.clone());
            let surplus = self.earlier.len().saturating_sub(MOST_EARLIER);
            self.earlier.drain(..surplus);
        }
        true
    }

    /// A newer process has replaced the lease of this one: whether so soon after this one replaced another's that it is no restart.
    pub fn is_replaced_again(&self, time: Time) -> bool {
        self.replaced.is_some_and(|at| time.now < at + AGAIN)
    }
}
