//! A pod's end and planned moves: a room is handed to another pod, or goes on here until it can be. Pure: no I/O.
//!
//! The source freezes the room, settles its record, offers a snapshot; the target swaps the record in and then serves; the
//! source releases the room (docs/architecture.md, Ownership).
//!
//! `outgoing.rs`, `pace.rs`, `moving.rs` and `incoming.rs` decide, and know no hub; `source.rs` and `target.rs` carry that out. `release.rs` is
//! how a room leaves a living pod, planned or not.

mod incoming;
mod moving;
mod outgoing;
mod pace;
mod release;
mod source;
mod target;

pub use incoming::IncomingMoves;
pub use moving::Move;
pub use outgoing::Outgoing;
