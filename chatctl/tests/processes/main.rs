//! `chatctl` against real chatd processes with a real Redis. Does I/O.
#![allow(clippy::unwrap_used)] // a test that cannot go on ends there

mod bundle;
mod documents;
mod krew;
mod load;
#[path = "../../../chatd/tests/support/ports.rs"]
mod ports;
mod rooms;
mod stage;
mod status;
