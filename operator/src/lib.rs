//! The operator of chatd: it creates and maintains the pods, Services and other children of each `ChatDeployment`. The map of its
//! modules is operator/README.md.

#![warn(missing_docs)]

pub mod admin;
#[allow(missing_docs)] // a doc comment there becomes a description in the definition, for users
pub mod api;
pub mod backoff;
pub mod cache;
pub mod client;
pub mod death;
pub mod desired;
pub mod docs;
pub mod hash;
pub mod leader;
pub mod metrics;
pub mod monitoring;
pub mod neighbour;
pub mod plan;
pub mod poll;
pub mod queue;
pub mod reconcile;
pub mod record;
pub mod rollout;
pub mod run;
pub mod scale;
pub mod scopes;
pub mod settings;
pub mod status;
pub mod storage;
pub mod trimmed;
pub mod watch;
pub mod yaml;
