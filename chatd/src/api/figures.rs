//! How often each call of the server API was answered, and with which status. Plain counters: no I/O.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is called, as metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as calls are")]
pub enum Route {
    ListRooms,
    CreateRoom,
    GetRoom,
    PatchRoom,
    DeleteRoom,
    Say,
    Send,
    Kick,
    Pods,
    DrainPod,
    Join,
    Document,
    /// There is nothing, or not with this method.
    Other,
}

/// The names of all, in their order.
pub const ROUTES: [&str; 13] = [
    "list_rooms",
    "create_room",
    "get_room",
    "patch_room",
    "delete_room",
    "say",
    "send",
    "kick",
    "pods",
    "drain_pod",
    "join",
    "openapi",
    "other",
];

/// Statuses that are counted by themselves; each other one is `other`.
pub const STATUSES: [&str; 11] = ["200", "201", "202", "400", "401", "403", "404", "409", "413", "503", "other"];

/// Answers by [`ROUTES`] and [`STATUSES`].
pub type Answers = [[u64; STATUSES.len()]; ROUTES.len()];

/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ApiFigures(Arc<[[AtomicU64; STATUSES.len()]; ROUTES.len()]>);

impl ApiFigures {
    /// One more answer.
    pub fn count(&self, route: Route, status: u16) {
        let status = status.to_string();
        let at = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len() - 1);
        self.0[route as usize][at].fetch_add(1, Ordering::Relaxed);
    }

    /// All answers since the start.
    pub fn answers(&self) -> Answers {
        std::array::from_fn(|route| std::array::from_fn(|status| self.0[route][status].load(Ordering::Relaxed)))
    }
}
