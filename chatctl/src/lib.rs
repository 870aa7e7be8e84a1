//! `kubectl chatd` and `chatctl`: what people who run chatd look at and do. Two programs of one library: the first finds the pods of
//! a ChatDeployment through the API server, the second is given the address of one process. Observed data become findings by pure
//! functions (`findings`, `metrics`, `load/ledger`); the other modules do I/O.

#![warn(missing_docs)]

mod admin;
mod balance;
mod bundle;
mod cluster;
mod commands;
mod drain;
mod findings;
mod inspected;
mod keys;
mod load;
mod logs;
mod metrics;
mod observed;
mod output;
mod rooms;
mod status;

pub use commands::{chatctl, kubectl_chatd};
