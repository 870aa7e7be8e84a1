//! The state of each ChatDeployment between two reconciles. In memory; no I/O. A restart may lose it: decisions stay correct, and
//! only take a little longer. `rollout::limiter` holds the slots.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ledger::Ledger;
use super::patience::Patience;
use super::seats::Seats;
use crate::plan::SeenSecret;
use crate::queue::Requeue;
use crate::record::Key;

/// Secrets are not watched, so that the operator needs no right to list them. They are read at least this often.
const SECRETS_WITHIN: Duration = Duration::from_mins(5);
/// If expected changes do not arrive for this long, everything is read again, in case a watch has missed an event. With backoff.
const STILL: Duration = Duration::from_secs(15);
const STILL_AT_MOST: Duration = Duration::from_mins(5);
const COUNTS_EVERY: Duration = Duration::from_secs(30);
const EVENTS_AT_ONCE: f64 = 10.0;
const SECONDS_FOR_AN_EVENT: f64 = 20.0;

/// Of one ChatDeployment.
#[derive(Debug)]
pub struct ReconcileState {
    /// Its successor of the same name starts without state.
    uid: String,
    pub patience: Patience,
    pub seats: Seats,
    pub secrets: Secrets,
    pub ledger: Ledger,
    pub watchdog: Watchdog,
    pub limits: Limits,
    /// Reconciles in a row that failed.
    pub failures: u32,
    /// Since when pods are away for no reason that their status tells.
    pub away_since: Option<Instant>,
    unsure_since: Option<Instant>,
}

impl ReconcileState {
    fn new(uid: &str, now: Instant) -> Self {
        Self {
            uid: uid.to_owned(),
            patience: Patience::new(now),
            seats: Seats::default(),
            secrets: Secrets::default(),
            ledger: Ledger::default(),
            watchdog: Watchdog::default(),
            limits: Limits::new(now),
            failures: 0,
            away_since: None,
            unsure_since: None,
        }
    }

    /// Since when the status has been uncertain.
    pub fn unsure_for(&mut self, is_unsure: bool) -> Option<Duration> {
        self.unsure_since = is_unsure.then(|| self.unsure_since.unwrap_or_else(Instant::now));
        self.unsure_since.map(|since| since.elapsed())
    }
}

/// What was read of the Secrets, and when they are to be read again; nothing means now.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    pub token_keys: Option<SeenSecret>,
    pub api_keys: Option<SeenSecret>,
    pub valkey: Option<SeenSecret>,
    due: Option<Instant>,
}

impl Secrets {
    /// Secrets were read: they are read again after a time that differs, so that not all are read at once. `random` is from 0 to 1.
    pub fn are_read(&mut self, now: Instant, random: f64) {
        self.due = Some(now + SECRETS_WITHIN.mul_f64(0.8 + random * 0.15));
    }

    /// They were written, or are expected to change.
    pub fn are_stale(&mut self) {
        self.due = None;
    }

    /// How long they need not be read.
    pub fn are_good_for(&self, now: Instant) -> Duration {
        self.due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now))
    }
}

/// Notices that something is under way and does not go on.
#[derive(Debug, Default)]
pub struct Watchdog(Option<Still>);

#[derive(Clone, Copy, Debug)]
struct Still {
    progress: u64,
    since: Instant,
    wait: Duration,
}

impl Watchdog {
    /// Whether this reconcile reads everything again.
    pub fn reads_anew(&mut self, now: Instant) -> bool {
        let due = |still: &&mut Still| now.saturating_duration_since(still.since) >= still.wait;
        let Some(still) = self.0.as_mut().filter(due) else { return false };
        still.since = now;
        still.wait = (still.wait * 2).min(STILL_AT_MOST);
        true
    }

    /// Remembers how far things are, if they are under way: `progress` is anything that changes when they go on.
    pub fn goes_on(&mut self, progress: Option<u64>, now: Instant, requeue: &mut Requeue) {
        let same = |still: &Still| progress == Some(still.progress);
        let still = self.0.filter(same);
        self.0 = progress.map(|progress| still.unwrap_or(Still { progress, since: now, wait: STILL }));
        if let Some(still) = &self.0 {
            requeue.at_most(still.wait.saturating_sub(now.saturating_duration_since(still.since)));
        }
    }
}

/// How often the status and Events are written.
#[derive(Debug)]
pub struct Limits {
    counts_written: Option<Instant>,
    events: f64,
    events_counted: Instant,
}

impl Limits {
    fn new(now: Instant) -> Self {
        Self { counts_written: None, events: EVENTS_AT_ONCE, events_counted: now }
    }

    /// How long changed rooms and players have to wait: alone they are worth a write now and then.
    pub fn counts_wait(&self, now: Instant) -> Duration {
        self.counts_written.map_or(Duration::ZERO, |at| COUNTS_EVERY.saturating_sub(now.saturating_duration_since(at)))
    }

    pub fn counts_are_written(&mut self, now: Instant) {
        self.counts_written = Some(now);
    }

    /// Whether one more Event may be published now.
    pub fn may_publish(&mut self, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.events_counted).as_secs_f64() / SECONDS_FOR_AN_EVENT;
        self.events = (self.events + gained).min(EVENTS_AT_ONCE);
        self.events_counted = now;
        let may = self.events >= 1.0;
        if may {
            self.events -= 1.0;
        }
        may
    }
}

/// The states of all; a reconcile takes its own out. Boxed, since a table that grows has room for twice as many.
#[derive(Debug, Default)]
pub struct ReconcileStates(Mutex<HashMap<Key, Box<ReconcileState>>>);

impl ReconcileStates {
    pub fn take(&self, key: &Key, uid: &str) -> Box<ReconcileState> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        state.filter(|state| state.uid == uid).unwrap_or_else(|| Box::new(ReconcileState::new(uid, Instant::now())))
    }

    pub fn put(&self, key: &Key, state: Box<ReconcileState>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), state);
    }

    pub fn forget(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_still_is_read_anew_later_and_later() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut watchdog = Watchdog::default();
        let goes_on = |watchdog: &mut Watchdog, progress, seconds| {
            let mut requeue = Requeue::within(Duration::MAX);
            watchdog.goes_on(progress, at(seconds), &mut requeue);
            requeue.time()
        };
        assert!(!watchdog.reads_anew(at(100)), "nothing is expected");
        assert_eq!(goes_on(&mut watchdog, Some(1), 100), STILL);
        assert!(!watchdog.reads_anew(at(114)));
        assert!(watchdog.reads_anew(at(115)));
        assert_eq!(goes_on(&mut watchdog, Some(1), 115), STILL * 2);
        assert!(!watchdog.reads_anew(at(130)));
        assert!(watchdog.reads_anew(at(145)));
        assert_eq!(goes_on(&mut watchdog, Some(2), 146), STILL, "it goes on");
        assert_eq!(goes_on(&mut watchdog, None, 150), Duration::MAX);
        assert!(!watchdog.reads_anew(at(999)));
    }

    #[test]
    fn secrets_are_read_within_five_minutes_whatever_chance_says() {
        let start = Instant::now();
        let mut secrets = Secrets::default();
        assert_eq!(secrets.are_good_for(start), Duration::ZERO);
        for chance in [0.0, 0.5, 1.0] {
            secrets.are_read(start, chance);
            let time = secrets.are_good_for(start);
            assert!((Duration::from_mins(4)..Duration::from_mins(5)).contains(&time), "{time:?}");
            assert_eq!(secrets.are_good_for(start + time), Duration::ZERO, "a reconcile then finds them due");
        }
        secrets.are_stale();
        assert_eq!(secrets.are_good_for(start), Duration::ZERO);
    }

    #[test]
    fn changed_counts_wait_for_what_is_left_of_half_a_minute() {
        let start = Instant::now();
        let mut limits = Limits::new(start);
        assert_eq!(limits.counts_wait(start), Duration::ZERO);
        limits.counts_are_written(start);
        assert_eq!(limits.counts_wait(start + Duration::from_secs(29)), Duration::from_secs(1));
        assert_eq!(limits.counts_wait(start + Duration::from_secs(31)), Duration::ZERO);
    }

    #[test]
    fn events_are_few() {
        let start = Instant::now();
        let mut limits = Limits::new(start);
        assert_eq!((0..50).filter(|_| limits.may_publish(start)).count(), 10);
        assert!(limits.may_publish(start + Duration::from_secs(21)));
    }

    #[test]
    fn a_successor_of_the_same_name_starts_anew() {
        let key = Key { namespace: "games".into(), name: "chat".into() };
        let book = ReconcileStates::default();
        let mut notes = book.take(&key, "u1");
        notes.secrets.are_read(Instant::now(), 0.0);
        book.put(&key, notes);
        let notes = book.take(&key, "u1");
        assert!(!notes.secrets.are_good_for(Instant::now()).is_zero());
        book.put(&key, notes);
        assert!(book.take(&key, "u2").secrets.are_good_for(Instant::now()).is_zero());
    }
}
