//! http-demo as a process, against a real redis-server and a real Postgres. Does I/O.
#![allow(clippy::unwrap_used, clippy::format_push_string)]

mod away;
mod demo;
mod docs;
#[allow(dead_code)]
#[path = "../../../chatd/tests/support/fake.rs"]
mod fake;
mod http;
mod kv;
#[path = "../../../chatd/tests/support/ports.rs"]
mod ports;
mod postgres;
mod postgres_server;
#[allow(dead_code)]
#[path = "../../../chatd/tests/support/proxy.rs"]
mod proxy;
mod redis_server;
mod start;

use std::time::{Duration, Instant};

/// Asks again and again until there is something.
#[track_caller]
fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(10));
    }
}
