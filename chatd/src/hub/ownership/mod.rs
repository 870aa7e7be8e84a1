//! The rooms that are owned here: their records are written, checked and claimed again. Pure: no I/O.
//!
//! One request about a room's record is in flight at a time. What changes meanwhile goes out with the next write; answers wait
//! for the write that holds what they say, or 2 s. An unanswered write is settled by reading.
//!
//! A room ([`Owned`]) decides about itself, [`super::rooms::Rooms`] about what takes a request or a timer (`upkeep.rs`); what a hub has to do then,
//! it is told by a [`RoomAction`] (`life.rs`).

mod life;
mod moves;
mod owned;
mod pending;
mod phase;
mod record_sync;
mod upkeep;

pub use super::context::RETRY;
pub use owned::Owned;
pub use pending::PendingAnswer;
pub use record_sync::LATE_SWAP_CHECK;

/// That a seat is held is written this long after its JOIN was answered (ms), if no other write takes it along before: those who
/// come together need one write.
const HOLD_WITHIN: u64 = 100;
