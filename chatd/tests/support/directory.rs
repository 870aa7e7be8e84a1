//! A Redis directory under test, and what tests ask of it.

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chatd::directory::redis::{RedisDirectory, RedisSettings};
use chatd::directory::{Answer, Directory, Key, NoAnswer, Request};
use chatd::files::ReloadFailures;

use super::eventually;

/// For a server to be noticed as back: the longest pause between attempts, and some.
pub const BACK: Duration = Duration::from_secs(15);
/// A busy machine may answer this much late.
pub const GRACE: Duration = Duration::from_millis(800);

pub fn settings(url: &str) -> RedisSettings {
    RedisSettings::new(url.parse().unwrap())
}

pub fn start(settings: RedisSettings) -> RedisDirectory {
    RedisDirectory::start(settings, ReloadFailures::default()).unwrap()
}

pub fn get(room: &str) -> Request {
    Request::Get { key: Key::Room(room.parse().unwrap()) }
}

/// Puts something under a key of its own each time, so that it has to be written.
pub fn put(number: u64) -> Request {
    Request::Swap {
        key: Key::Room(format!("{number:08}").parse().unwrap()),
        expected: None,
        new: Bytes::from_static(b"value"),
        ttl: Duration::from_mins(10),
    }
}

pub async fn write(directory: &RedisDirectory) -> Result<Answer, NoAnswer> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    directory.ask(put(NEXT.fetch_add(1, Ordering::Relaxed))).await
}

pub async fn works(directory: &RedisDirectory) {
    eventually("a write is done", BACK, async || (write(directory).await == Ok(Answer::Done)).then_some(())).await;
}

pub async fn fails_with(directory: &RedisDirectory, reason: NoAnswer) {
    let seen = RefCell::new(Vec::new());
    eventually(&format!("a write fails with {reason:?}"), BACK, async || {
        let answer = write(directory).await;
        seen.borrow_mut().push(answer.clone());
        (answer == Err(reason)).then_some(())
    })
    .await;
}

pub async fn resets_beyond(directory: &RedisDirectory, before: u64) {
    eventually("a reset is counted", BACK, async || (directory.resets() > before).then_some(())).await;
}

/// Asks once; says what came and how long it took.
pub async fn timed(directory: &RedisDirectory) -> (Result<Answer, NoAnswer>, Duration) {
    let start = Instant::now();
    let answer = write(directory).await;
    (answer, start.elapsed())
}

pub fn file(contents: &str) -> (tempfile::NamedTempFile, PathBuf) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), contents).unwrap();
    let path = file.path().to_owned();
    (file, path)
}
