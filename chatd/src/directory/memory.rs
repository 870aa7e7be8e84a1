//! The directory of a single process: its own memory. Does no I/O, but reads tokio's clock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{Answer, Directory, DirectoryConnection, Key, NoAnswer, Request};
use crate::shrink::Shrink;

/// Values of this process only. They end with it, so it never loses a connection and always answers.
#[derive(Debug, Clone, Default)]
pub struct MemoryDirectory {
    values: Arc<Mutex<Values>>,
}

#[derive(Debug, Default)]
struct Values {
    by_key: HashMap<Key, Stored>,
    /// Expired values are swept out when there are this many, so that they never outnumber the living for long.
    sweep_at: usize,
}

#[derive(Debug)]
struct Stored {
    value: Bytes,
    ends: Instant,
}

/// With fewer values than this a sweep is not worth its time.
const SMALLEST_SWEEP: usize = 1_024;

impl MemoryDirectory {
    /// An empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    fn values(&self) -> MutexGuard<'_, Values> {
        // No panic can leave the map half changed.
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Directory for MemoryDirectory {
    async fn ask(&self, request: Request) -> Result<Answer, NoAnswer> {
        Ok(self.values().answer(request, Instant::now()))
    }

    fn words(&self, _: NoAnswer) -> Option<Arc<str>> {
        None
    }

    fn resets(&self) -> u64 {
        0
    }

    fn connection(&self, _: &Key) -> Option<DirectoryConnection> {
        None
    }

    async fn changed(&self) {
        std::future::pending::<()>().await;
    }
}

impl Values {
    fn answer(&mut self, request: Request, now: Instant) -> Answer {
        match request {
            Request::Get { key } => Answer::Found(self.living(&key, now)),
            Request::Swap { key, expected, new, ttl } => match self.living(&key, now) {
                found if found == expected => {
                    self.put(key, new, now + ttl, now);
                    Answer::Done
                }
                found => Answer::Found(found),
            },
            Request::Renew { key, expected, ttl } => match self.living(&key, now) {
                Some(found) if found == expected => {
                    self.put(key, found, now + ttl, now);
                    Answer::Done
                }
                found => Answer::Found(found),
            },
            Request::Delete { key, expected } => match self.living(&key, now) {
                Some(found) if found == expected => {
                    self.by_key.remove(&key);
                    self.by_key.shrink();
                    Answer::Done
                }
                found => Answer::Found(found),
            },
            Request::Connected { .. } => Answer::Connected(None),
            Request::Pods => Answer::Pods(
                self.by_key
                    .iter()
                    .filter(|(_, stored)| stored.ends > now)
                    .filter_map(|(key, stored)| match key {
                        Key::Pod(pod) => Some((pod.clone(), stored.value.clone())),
                        Key::Room(_) | Key::JoinToken(_) => None,
                    })
                    .collect(),
            ),
        }
    }

    fn living(&self, key: &Key, now: Instant) -> Option<Bytes> {
        self.by_key.get(key).filter(|stored| stored.ends > now).map(|stored| stored.value.clone())
    }

    fn put(&mut self, key: Key, value: Bytes, ends: Instant, now: Instant) {
        // As in Redis: a value always lives a moment, so that `Done` is never a lie.
        let ends = ends.max(now + Duration::from_millis(1));
        self.by_key.insert(key, Stored { value, ends });
        if self.by_key.len() >= self.sweep_at.max(SMALLEST_SWEEP) {
            self.by_key.retain(|_, stored| stored.ends > now);
            self.sweep_at = self.by_key.len() * 2;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_when_its_time_is_up() {
        let mut values = Values::default();
        let start = Instant::now();
        let key = Key::Pod("chat-0".to_owned());
        let value = Bytes::from_static(b"v");
        let ttl = Duration::from_secs(10);
        let swap = Request::Swap { key: key.clone(), expected: None, new: value.clone(), ttl };
        assert_eq!(values.answer(swap, start), Answer::Done);
        let mut get = |after| values.answer(Request::Get { key: key.clone() }, start + after);
        assert_eq!(get(Duration::from_millis(9_999)), Answer::Found(Some(value)));
        assert_eq!(get(ttl), Answer::Found(None));
        assert_eq!(values.answer(Request::Pods, start + ttl), Answer::Pods(Vec::new()));
    }

    #[test]
    fn expired_values_are_swept_out() {
        let mut values = Values::default();
        let start = Instant::now();
        for number in 0..100_000_u64 {
            let now = start + Duration::from_millis(number);
            let key = Key::Pod(number.to_string());
            let swap =
                Request::Swap { key, expected: None, new: Bytes::from_static(b"v"), ttl: Duration::from_millis(100) };
            assert_eq!(values.answer(swap, now), Answer::Done);
            assert!(values.by_key.len() <= SMALLEST_SWEEP, "{} values at {number}", values.by_key.len());
        }
    }
}
