//! The phase of an owned room. Plain data: no I/O.

use crate::hub::migration::Move;
use crate::hub::request::Requester;

/// The phase of an owned room.
#[derive(Debug)]
pub enum Phase {
    /// Its first write is under way.
    Creating {
        requester: Box<Requester>,
        until: u64,
    },
    Serving,
    Moving(Box<Move>),
    /// Its record is being deleted.
    Closing {
        until: u64,
    },
}

/// A deadline that has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimedOut {
    Creation(Requester),
    Closing,
    /// The room continues, though its record has not been confirmed since the lease lapsed.
    Confirmation,
}
