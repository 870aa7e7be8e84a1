//! The ports that clients see, on real sockets: shards with real hubs, the memory directory, no peers.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, clippy::format_push_string, clippy::format_collect)]

#[path = "../support/certificates.rs"]
mod certificates;
mod client;
mod http;
mod join_tokens;
mod limits;
mod lines;
mod origins;
mod passthrough;
mod pod;
#[path = "../support/ports.rs"]
mod ports;
mod proxy;
mod sealed;
mod tls;
mod unfinished;
mod websocket;
