//! The operator of chatd: it turns a `ChatDeployment` into running chat pods and keeps them so.
//! The map of its modules is docs/architecture.md.

pub mod api;
pub mod compare;
pub mod desired;
pub mod hash;
pub mod plan;
pub mod record;
pub mod rollout;
pub mod status;
pub mod yaml;
