//! Chat rooms that live in one process's memory and can be joined through any of several processes.
//!
//! Decisions are pure: they take time and randomness as arguments and do no I/O. The modules with I/O surround them;
//! `docs/architecture.md` has the map.

#![warn(missing_docs)]

pub mod admin;
pub mod api;
pub mod bans;
pub mod budget;
pub mod connection_limit;
pub mod counters;
pub mod death_notice;
pub mod descriptor;
pub mod directory;
pub mod failure_detector;
pub mod files;
pub mod healthcheck;
mod heap;
pub mod hub;
pub mod ids;
pub mod join_token;
pub mod lease;
pub mod limits;
pub mod logging;
pub mod metrics;
pub mod peer;
pub mod peer_protocol;
pub mod pod;
pub mod process;
pub mod profile;
pub mod protocol;
pub mod record;
pub mod room;
pub mod room_call;
pub mod room_list;
pub mod run;
pub mod settings;
pub mod shard;
mod shrink;
pub mod tcp;
pub mod termination_message;
pub mod tls;
pub mod web;
pub mod webhook;
