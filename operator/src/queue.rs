//! The queue of due ChatDeployments. One worker at a time reconciles each. No I/O.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::record::Key;

/// Changes come in bursts; they are reconciled together.
const GATHER: Duration = Duration::from_millis(20);

/// Within which time a ChatDeployment is to be reconciled again, if nothing calls before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requeue(Duration);

impl Requeue {
    /// At the latest after this time.
    pub fn within(most: Duration) -> Self {
        Self(most)
    }

    /// Sooner, if it would be later.
    pub fn at_most(&mut self, most: Duration) {
        self.0 = self.0.min(most);
    }

    /// The time from now.
    pub fn time(self) -> Duration {
        self.0
    }
}

/// Each ChatDeployment is in it once at most, and by one worker at a time.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    by_time: BTreeSet<(Instant, Key)>,
    by_key: HashMap<Key, Instant>,
    running: HashSet<Key>,
    /// Asked for while it was being reconciled.
    again: HashMap<Key, Instant>,
}

impl State {
    fn put(&mut self, key: &Key, at: Instant) {
        if self.running.contains(key) {
            let again = self.again.entry(key.clone()).or_insert(at);
            *again = at.min(*again);
            return;
        }
        if let Some(before) = self.by_key.get(key).copied() {
            if before <= at {
                return;
            }
            self.by_time.remove(&(before, key.clone()));
        }
        self.by_key.insert(key.clone(), at);
        self.by_time.insert((at, key.clone()));
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Soon.
    pub fn add(&self, key: &Key) {
        self.add_after(key, GATHER);
    }

    /// Not later than in `delay`; something sooner that was asked for stays.
    pub fn add_after(&self, key: &Key, delay: Duration) {
        self.state().put(key, Instant::now() + delay);
        self.changed.notify_one();
    }

    /// How many are due and wait.
    pub fn depth(&self) -> usize {
        let now = Instant::now();
        self.state().by_time.iter().take_while(|(at, _)| *at <= now).count()
    }

    /// The next one that is due. It has to be given back by [`Queue::done`].
    pub async fn next(&self) -> Key {
        loop {
            let changed = self.changed.notified();
            let next = {
                let mut state = self.state();
                match state.by_time.first().cloned() {
                    Some((at, key)) if at <= Instant::now() => {
                        state.by_time.remove(&(at, key.clone()));
                        state.by_key.remove(&key);
                        state.running.insert(key.clone());
                        // Another worker may take what is due beside it.
                        self.changed.notify_one();
                        return key;
                    }
                    next => next.map(|(at, _)| at),
                }
            };
            match next {
                Some(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = changed => {}
                },
                None => changed.await,
            }
        }
    }

    /// A worker has done with it: what was added meanwhile is due.
    pub fn done(&self, key: &Key) {
        let mut state = self.state();
        state.running.remove(key);
        if let Some(at) = state.again.remove(key) {
            state.put(key, at);
        }
        drop(state);
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key { namespace: "n".into(), name: name.into() }
    }

    #[tokio::test(start_paused = true)]
    async fn the_sooner_time_counts_and_nothing_is_reconciled_twice_at_once() {
        let queue = Queue::default();
        queue.add_after(&key("a"), Duration::from_mins(1));
        queue.add(&key("a"));
        queue.add_after(&key("b"), Duration::from_secs(1));
        let start = Instant::now();
        assert_eq!(queue.next().await, key("a"));
        queue.add(&key("a"));
        assert_eq!(queue.next().await, key("b"));
        assert!(start.elapsed() < Duration::from_secs(2));
        queue.done(&key("a"));
        assert_eq!(queue.next().await, key("a"));
        queue.done(&key("a"));
        queue.done(&key("b"));
        let nothing = tokio::time::timeout(Duration::from_secs(100), queue.next()).await;
        assert!(nothing.is_err());
    }
}
