//! The health of the directory, as the answers to the lease's requests show it, and its log notices. Pure: no I/O.

use super::{DirectoryState, LeaseNotice};
use crate::directory::NoAnswer;
use crate::ids::Time;

/// The log hears of changes this often at most (ms): a directory that comes and goes each second must not fill it.
const LOG_EVERY: u64 = 10_000;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// `None`: no request has been answered yet, or has had its time to be.
    state: Option<DirectoryState>,
    /// Since when it is so (Unix ms).
    since: u64,
    /// What the log was told last, and when.
    logged: Option<NoAnswer>,
    logged_at: Option<u64>,
}

impl Health {
    /// How the directory is; `None` until it has answered once or has had its time to.
    pub fn state(&self) -> Option<DirectoryState> {
        self.state
    }

    /// Since when it is so (Unix ms).
    pub fn since(&self) -> u64 {
        self.since
    }

    /// So it is now. Returns what is to be logged: a change that came too soon after another one, if it is still so later.
    pub fn heard(&mut self, time: Time, state: DirectoryState) -> Option<LeaseNotice> {
        if self.state.replace(state) != Some(state) {
            self.since = time.wall;
        }
        let away = if let DirectoryState::Away(why) = state { Some(why) } else { None };
        if away == self.logged || self.logged_at.is_some_and(|at| time.now < at + LOG_EVERY) {
            return None;
        }
        self.logged = away;
        self.logged_at = Some(time.now);
        Some(away.map_or(LeaseNotice::DirectoryBack, |why| LeaseNotice::DirectoryAway { why }))
    }
}
