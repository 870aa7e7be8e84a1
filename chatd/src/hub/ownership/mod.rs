//! The rooms that this hub owns: it writes, checks and reasserts their records. Pure: no I/O.
//!
//! One request about a room's record is in flight at a time. Later changes go with the next write; answers wait for the write that
//! holds what they promise, or 2 s. An unanswered write is settled by reading.
//!
//! A room ([`Owned`]) decides for itself; [`super::rooms::Rooms`] decides where a request or a timer is needed (`upkeep.rs`), and returns
//! a [`RoomAction`] that the hub carries out (`life.rs`).

mod claimed;
mod claims;
mod deadlines;
mod ending;
mod life;
mod moves;
mod owned;
mod pending;
mod phase;
mod record_sync;
mod upkeep;
mod waiting;

pub use super::context::RETRY;
pub use claimed::Claimed;
pub use claims::{Claim, ClaimedSeat};
pub use ending::Ended;
pub use owned::Owned;
pub use pending::{NewClaim, PendingAnswer, Unfinished, UntoldLock};
pub use record_sync::LATE_SWAP_CHECK;

/// Delay between the reply to JOIN and the write that marks its seat as held (ms), unless another write comes first: clients that join
/// together then share one write.
const HOLD_WITHIN: u64 = 100;
