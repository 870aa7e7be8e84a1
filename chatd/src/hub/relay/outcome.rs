//! The next step of a relayed session after a delivery or a missed deadline. Plain data: no I/O.

use super::pending::Refused;
use crate::protocol::ErrorCode;

/// The result of a delivery, in this order.
#[derive(Debug, PartialEq, Eq)]
pub struct Received {
    /// Commands that were carried out earlier and whose replies are lost.
    pub lost: Refused,
    /// The bytes are new and belong to the client.
    pub is_new: bool,
    /// This many of the bytes had waited at the owner, beyond the window.
    pub brought: usize,
    /// So many bytes have come that are one answer: what an attach tells. 0: these are of none.
    pub told: usize,
    pub next: Next,
}

/// The state of a session after a delivery.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Unchanged.
    Unchanged,
    /// The session has its seat: the reply to JOIN or RESUME.
    Opened,
    /// The owner has attached the session and sends the replay.
    Admitted,
    /// The replay is complete. `lost`: commands that may have been carried out. The waiting commands have to be sent.
    CaughtUp { lost: Refused },
    /// The session has left its room. `miss`: this counts as a miss.
    Outside { miss: bool },
    /// The session wants to leave a room in which it has no seat any more: it has left.
    Unseated,
    /// The connection ends.
    Closed { code: Option<ErrorCode> },
    /// It may have guessed at a token.
    Guessed,
}

/// A deadline that has passed.
#[derive(Debug, PartialEq, Eq)]
pub enum Overdue {
    /// No reply to JOIN or RESUME; with the client's id for it, and the time of the request (ms).
    Entry { id: Option<u64>, since: u64 },
    /// No reply to the attach.
    Attach,
}
