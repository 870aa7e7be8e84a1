//! How many rooms each pod has, as the leases said that one of this pod's threads listed last. Pure: no I/O; data that the pod's hubs
//! share, so that one list serves all of them. The lock is taken where a room is made, and where a thread looks at the balance.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::lease::{LeaseRecord, Target};
use crate::record::Owner;

/// The last list. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Loads(Arc<Mutex<Option<Arc<Listed>>>>);

/// What the leases said.
#[derive(Debug, PartialEq, Eq)]
pub struct Listed {
    /// When they were listed (ms).
    pub at: u64,
    /// Rooms of this pod, if its lease was among them.
    own: Option<u64>,
    /// The pods that rooms may go to, without this one.
    pub others: Vec<Target>,
}

impl Loads {
    fn last(&self) -> MutexGuard<'_, Option<Arc<Listed>>> {
        // No panic can leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory has listed these leases for the pod `me`.
    pub fn list(&self, now: u64, leases: Vec<(String, Bytes)>, me: &Owner) -> Arc<Listed> {
        let mine = leases.iter().find(|(pod_id, _)| *pod_id == me.pod_id);
        let mine = mine.and_then(|(_, bytes)| LeaseRecord::parse(bytes));
        let own = mine.filter(|lease| lease.boot == me.ownership.boot).map(|lease| lease.rooms);
        let listed = Arc::new(Listed { at: now, own, others: LeaseRecord::targets(leases, me) });
        *self.last() = Some(listed.clone());
        listed
    }

    /// The last list, if it is younger than `age` (ms).
    pub fn within(&self, now: u64, age: u64) -> Option<Arc<Listed>> {
        self.last().as_ref().filter(|listed| now < listed.at + age).cloned()
    }
}

impl Listed {
    /// The rooms of all pods, and the number of pods, if this one has `own` rooms.
    fn all(&self, own: u64) -> (u64, u64) {
        (own + self.others.iter().map(|other| other.rooms).sum::<u64>(), 1 + self.others.len() as u64)
    }

    /// The mean of all pods.
    pub fn mean(&self, own: u64) -> u64 {
        let (sum, pods) = self.all(own);
        sum / pods
    }

    /// Whether `own` rooms are more than so many per cent of the mean.
    pub fn is_above(&self, own: u64, per_cent: u64) -> bool {
        let (sum, pods) = self.all(own);
        100 * own * pods > per_cent * sum
    }

    /// The same, with at least `least` rooms and half as many above the mean.
    pub fn is_overloaded(&self, own: u64, per_cent: u64, least: u64) -> bool {
        self.is_above(own, per_cent) && own >= least && own - self.mean(own) >= least.div_ceil(2)
    }

    /// Rooms of this pod for comparison with the others': what its own lease said, unless it has fewer by now. What all pods have made
    /// since then is no overload.
    pub fn comparable(&self, own: u64) -> u64 {
        self.own.map_or(own, |listed| listed.min(own))
    }
}
