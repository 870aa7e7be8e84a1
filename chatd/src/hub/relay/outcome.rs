//! What becomes of a relayed session when something has come from its owner, or has not come in time. Plain data: no I/O.

use super::pending::Refused;
use crate::protocol::ErrorCode;

/// What a delivery comes to, in this order.
#[derive(Debug, PartialEq, Eq)]
pub struct Received {
    /// These were carried out before, and their replies are lost.
    pub lost: Refused,
    /// The bytes have not come before, and are for the client.
    pub is_new: bool,
    /// So many of the bytes had waited at the owner, beyond the window.
    pub brought: usize,
    pub next: Next,
}

/// What becomes of a session after a delivery.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// It goes on as it was.
    Unchanged,
    /// It has got its seat: the answer to JOIN or RESUME.
    Opened,
    /// The owner has taken it on, and tells what was missed.
    Admitted,
    /// All that was missed has come. `lost`: these may have been carried out, and nobody knows. What else waits is to be sent.
    CaughtUp { lost: Refused },
    /// It is in no room any more. `miss`: that counts as one.
    Outside { miss: bool },
    /// Its connection ends.
    Closed { code: Option<ErrorCode> },
}

/// What has not come in time.
#[derive(Debug, PartialEq, Eq)]
pub enum Overdue {
    /// The answer to JOIN or RESUME, with the client's number for it.
    Entry { id: Option<u64> },
    /// The new owner's word that it has taken the session on.
    Attach,
}
