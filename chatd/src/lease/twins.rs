//! Two processes of one name that replace each other. Pure: no I/O.
//!
//! A starting process replaces the lease of its name at once, since its predecessor is usually dead. If the predecessor lives and a
//! supervisor restarts it, the two would replace each other endlessly:
//!
//! - If pods have a uid (Kubernetes), the order of their first claims decides: a lease names the pods that it was taken from, and
//!   those do not take it back. No clock and no creation time is compared: a container does not know its pod's creation time, and
//!   the store sees every claim in one order anyway.
//! - Otherwise only the order of starts is known. A process that replaced another one and is replaced itself within a minute logs
//!   that and exits with its own code, so that a supervisor can be configured not to restart it.

use super::state::{LeaseIdentity, LeaseRecord};
use crate::ids::Time;

/// A process replaced this soon after replacing another one (ms) has a living twin.
const AGAIN: u64 = 60_000;
/// The number of earlier pods that a lease names.
const MOST_EARLIER: usize = 8;

/// The known other processes of this name.
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
