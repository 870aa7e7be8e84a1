//! Real chatd processes and a real Redis, through the doors that everyone has: sockets, signals, files, the admin port.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

// What a client may hear, and seeded chance, as the simulation has them.
#[allow(dead_code)]
#[path = "../sim/held.rs"]
mod held;
#[allow(dead_code)]
#[path = "../sim/history.rs"]
mod history;
#[allow(dead_code)]
#[path = "../sim/rng.rs"]
mod rng;
#[allow(clippy::option_option)]
#[path = "../sim/wire.rs"]
mod wire;

mod api;
mod api_model;
mod bot;
mod chaos;
mod cuts;
mod dashboards;
mod deaths;
mod deployment;
mod events;
mod freezes;
mod growth;
mod limits;
mod many_pods;
mod many_rooms;
mod memory;
mod mixed;
mod moving;
mod names;
mod probes;
mod receiver;
mod records;
mod redis_away;
mod redis_words;
mod session;
mod settings;
mod stores;
mod takeover;
mod town;
mod twins;
mod webhooks;
