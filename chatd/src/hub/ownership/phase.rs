//! What an owned room is doing. Plain data: no I/O.

use crate::hub::migration::Move;
use crate::hub::request::Requester;

/// What the room is doing.
#[derive(Debug)]
pub enum Phase {
    /// Its first write is under way.
    Creating {
        requester: Requester,
        until: u64,
    },
    Serving,
    Moving(Move),
    /// Its record is being deleted.
    Closing {
        until: u64,
    },
}

/// What has taken longer than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimedOut {
    Creation(Requester),
    Closing,
    /// The room goes on, though its record has not been confirmed since the lease lapsed.
    Confirmation,
}
