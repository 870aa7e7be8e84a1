//! What is kept of each ChatDeployment between two looks. In memory; no I/O.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::ledger::Ledger;
use crate::memory::Memory;
use crate::reconcile::observe::Secrets;
use crate::record::Key;

#[derive(Debug)]
pub struct Notes {
    /// Of this ChatDeployment; its successor of the same name starts anew.
    uid: String,
    pub memory: Memory,
    pub secrets: Secrets,
    pub ledger: Ledger,
    pub away_since: Option<Instant>,
    unsure_since: Option<Instant>,
}

impl Notes {
    fn new(uid: &str) -> Self {
        Self {
            uid: uid.to_owned(),
            memory: Memory::new(Instant::now()),
            secrets: Secrets::default(),
            ledger: Ledger::default(),
            away_since: None,
            unsure_since: None,
        }
    }

    /// For how long it has not been sure what is to be said.
    pub fn unsure_for(&mut self, is_unsure: bool) -> Option<Duration> {
        self.unsure_since = is_unsure.then(|| self.unsure_since.unwrap_or_else(Instant::now));
        self.unsure_since.map(|since| since.elapsed())
    }
}

/// The notes of all; whoever looks at one takes them out. Boxed, since a table that grows has room for twice as many.
#[derive(Debug, Default)]
pub struct Notebook(Mutex<HashMap<Key, Box<Notes>>>);

impl Notebook {
    pub fn take(&self, key: &Key, uid: &str) -> Box<Notes> {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        notes.filter(|notes| notes.uid == uid).unwrap_or_else(|| Box::new(Notes::new(uid)))
    }

    pub fn put(&self, key: &Key, notes: Box<Notes>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), notes);
    }

    pub fn forget(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_of_the_same_name_starts_anew() {
        let key = Key { namespace: "games".into(), name: "chat".into() };
        let book = Notebook::default();
        let mut notes = book.take(&key, "u1");
        notes.memory.secrets_are_read(Instant::now(), 0.0);
        book.put(&key, notes);
        let notes = book.take(&key, "u1");
        assert!(!notes.memory.secrets_are_good_for(Instant::now()).is_zero());
        book.put(&key, notes);
        assert!(book.take(&key, "u2").memory.secrets_are_good_for(Instant::now()).is_zero());
    }
}
