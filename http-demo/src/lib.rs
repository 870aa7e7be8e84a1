//! A small HTTP service: values in Redis by key, and a check of the way to Postgres. No I/O in this file.
//!
//! `settings` -> `run` puts an [`api::App`] together and gives it to `serve`. `backend` knows Redis and Postgres, `api` knows HTTP.

pub mod api;
pub mod backend;
pub mod files;
pub mod logging;
pub mod metrics;
pub mod run;
pub mod serve;
pub mod settings;
