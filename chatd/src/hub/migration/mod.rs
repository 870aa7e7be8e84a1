//! A pod's end and planned moves: a room is handed to another pod, or goes on here until it can be. Pure: no I/O.
//!
//! The source freezes the room, settles its record, offers a snapshot; the target swaps the record in and then serves; the
//! source releases the room (docs/architecture.md, Ownership).
//!
//! `outgoing.rs`, `balance.rs`, `pace.rs`, `moving.rs`, `incoming.rs` and `release.rs` decide, and know no hub; `source.rs`, `target.rs` and
//! `departure.rs` carry that out.

mod balance;
mod departure;
mod incoming;
mod moving;
mod outgoing;
mod pace;
mod release;
mod source;
mod target;

pub use incoming::IncomingMoves;
pub use moving::{Move, Next};
pub use outgoing::Outgoing;
