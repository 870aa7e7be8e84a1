//! A session that looks for a room, and how long it may wait. Pure: no I/O.

use super::{PATIENCE, TAKEOVER_PATIENCE};
use crate::hub::admission::Entry;
use crate::ids::SessionId;

/// When a JOIN that came at `since` is answered at the latest, if it begins to wait for the directory now (ms).
pub fn answer_by(now: u64, since: u64) -> u64 {
    (now + PATIENCE).min(since + TAKEOVER_PATIENCE)
}

/// What a session looks for a room for.
#[derive(Debug, Clone)]
pub enum Purpose {
    Enter(Entry),
    /// It has a seat there.
    Attach,
}

/// A session that looks for a room.
#[derive(Debug, Clone)]
pub struct Waiter {
    pub session: SessionId,
    /// The client's number for its command.
    pub id: Option<u64>,
    pub wanted: Purpose,
    pub since: u64,
    pub deadline: u64,
}

impl Waiter {
    pub fn entering(session: SessionId, id: Option<u64>, entry: Entry, now: u64) -> Self {
        Self { session, id, wanted: Purpose::Enter(entry), since: now, deadline: now + PATIENCE }
    }

    /// The same, to be looked for once more.
    pub fn again(mut self, now: u64) -> Self {
        self.deadline = answer_by(now, self.since);
        self
    }

    pub fn attaching(session: SessionId, now: u64, deadline: u64) -> Self {
        Self { session, id: None, wanted: Purpose::Attach, since: now, deadline }
    }
}
