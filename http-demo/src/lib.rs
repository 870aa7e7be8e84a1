//! A small HTTP service: values in Redis by key, and a check of the way to Postgres. No I/O in this file.
//!
//! `settings` -> `run` puts an `App` together and gives it to `serve`. `backend` knows Redis and Postgres, `api` knows HTTP.

mod api;
mod backend;
pub mod logging;
pub mod metrics;
pub mod run;
mod serve;
pub mod settings;
