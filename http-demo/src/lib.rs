//! A small HTTP service: values in Redis by key, and a check of the connection to Postgres. No I/O in this file.
//!
//! `settings` -> `run` builds an `App` and passes it to `serve`. `backend` handles Redis and Postgres, `api` handles HTTP.

mod api;
mod backend;
pub mod logging;
pub mod metrics;
pub mod run;
mod serve;
pub mod settings;
