//! The connections to the admin port, and which of them is closed when all places are taken. Does no I/O except to end tasks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

/// The connections of the port. None is refused: when all places are taken, the one that has been silent for longest is closed.
#[derive(Debug)]
pub(super) struct Table {
    /// Connections at a time.
    most: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Rises with each connection and each answer.
    last: u64,
    places: BTreeMap<u64, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    /// `None`: a request is being answered.
    silent_since: Option<u64>,
    connection: Option<AbortHandle>,
}

impl Table {
    /// With this many places.
    pub fn new(most: usize) -> Self {
        Self { most, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // No panic can leave it half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection. Closes the oldest one if needed.
    pub fn make_place(self: &Arc<Self>) -> Place {
        let mut inner = self.inner();
        if inner.places.len() >= self.most {
            let silent_for_longest = |(_, entry): &(&u64, &Entry)| entry.silent_since.unwrap_or(u64::MAX);
            let leaves = inner.places.iter().min_by_key(silent_for_longest).map(|(key, _)| *key);
            if let Some(Entry { connection: Some(connection), .. }) = leaves.and_then(|key| inner.places.remove(&key)) {
                connection.abort();
            }
        }
        inner.last += 1;
        let key = inner.last;
        inner.places.insert(key, Entry { silent_since: Some(key), connection: None });
        Place { key, table: Arc::clone(self) }
    }

    /// The task that serves the connection with this key.
    pub fn entered(&self, key: u64, connection: AbortHandle) {
        if let Some(entry) = self.inner().places.get_mut(&key) {
            entry.connection = Some(connection);
        }
    }
}

/// A connection's place in the table, for as long as it lasts.
#[derive(Debug)]
pub(super) struct Place {
    pub key: u64,
    table: Arc<Table>,
}

impl Place {
    /// It has asked something, which is being answered for as long as what this returns lasts.
    pub fn ask(&self) -> Asked {
        if let Some(entry) = self.table.inner().places.get_mut(&self.key) {
            entry.silent_since = None;
        }
        Asked { key: self.key, table: Arc::clone(&self.table) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table.inner().places.remove(&self.key);
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Asked {
    key: u64,
    table: Arc<Table>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut inner = self.table.inner();
        inner.last += 1;
        let now = inner.last;
        if let Some(entry) = inner.places.get_mut(&self.key) {
            entry.silent_since = Some(now);
        }
    }
}
