//! Chat rooms that live in one process's memory and can be joined through any of several processes.
//!
//! Decisions are pure: they take time and randomness as arguments and do no I/O. The modules with I/O surround them;
//! `docs/architecture.md` has the map.

#![warn(missing_docs)]

pub mod admin;
pub mod budget;
pub mod connection_limit;
pub mod counters;
pub mod directory;
pub mod files;
pub mod healthcheck;
mod heap;
#[allow(missing_docs)] // not all of it has them yet
pub mod hub;
pub mod ids;
pub mod lease;
pub mod limits;
pub mod logging;
pub mod metrics;
pub mod peer;
pub mod peer_protocol;
pub mod pod;
pub mod process;
pub mod protocol;
pub mod record;
#[allow(missing_docs)] // not all of it has them yet
pub mod room;
pub mod run;
pub mod settings;
pub mod shard;
mod shrink;
pub mod tcp;
pub mod web;
