//! What all players share: the phase of the run, and what was heard of whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Instant;

use crate::history::{Item, Transcript};

/// What came to anybody, by bytes.
#[derive(Default)]
pub struct Ledger {
    pub said: Transcript,
    /// Of the players by lines: what came to each in one stay.
    pub stays: Vec<Vec<Item>>,
    /// How often what happened to players, so that a run in which nothing does is noticed.
    pub counts: BTreeMap<String, u64>,
    heard: BTreeSet<String>,
    /// What the server has said was not delivered to anyone.
    undelivered: BTreeSet<String>,
}

impl Ledger {
    pub fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    pub fn heard(&mut self, text: &str) -> Result<(), String> {
        self.heard.insert(text.to_owned());
        if self.undelivered.contains(text) { Err(format!("{text:.40} comes, and was not delivered")) } else { Ok(()) }
    }

    pub fn undelivered(&mut self, text: String) -> Result<(), String> {
        if self.heard.contains(&text) {
            return Err(format!("{text:.40} was not replayed, and others have heard it"));
        }
        self.undelivered.insert(text);
        Ok(())
    }
}

pub struct World {
    pub began: Instant,
    phase: AtomicU8,
    /// When the last fault was over.
    pub calm: OnceLock<Instant>,
    ledger: Mutex<Ledger>,
}

impl World {
    pub fn new() -> Self {
        Self { began: Instant::now(), phase: AtomicU8::new(0), calm: OnceLock::new(), ledger: Mutex::default() }
    }

    pub fn phase(&self) -> u8 {
        self.phase.load(Ordering::SeqCst)
    }

    pub fn begin(&self, phase: u8) {
        self.phase.store(phase, Ordering::SeqCst);
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // A player who has failed has said why.
        self.ledger.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
