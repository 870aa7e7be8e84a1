//! The ports that clients see, on real sockets: shards with real hubs, the memory directory, no peers.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, clippy::format_push_string, clippy::format_collect)]

mod client;
mod http;
mod limits;
mod lines;
mod origins;
mod pod;
mod proxy;
mod websocket;
