//! Some pods' hubs and a directory in one thread, with instant answers: what clients, records and peers see. No I/O.

#![allow(clippy::unwrap_used)]

mod calls;
mod crashes;
mod descriptors;
mod drains;
mod events;
mod figures;
mod freezes;
mod hand_overs;
mod idle_links;
mod join_tokens;
mod keys;
mod kicks;
mod limits;
mod lists;
mod locks;
mod names;
mod once;
mod open_names;
mod ordinary;
mod placement;
mod quick_joins;
mod reassertions;
mod relays;
mod remade;
mod replays;
mod silent;
mod slow;
mod states;
mod strange;
mod takeovers;
mod tombstones;
mod unanswered;
mod webhooks;
mod world;
