//! What integration tests share. Each test file uses a part of it.
#![allow(dead_code)]

pub mod certificates;
pub mod client;
pub mod directory;
pub mod fake;
pub mod pod;
pub mod ports;
pub mod proxy;
pub mod redis;

use std::future::Future;
use std::time::{Duration, Instant};

/// Asks again and again until there is something, at most for `limit`.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// As [`eventually`], for tests without a runtime.
#[track_caller]
pub fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
