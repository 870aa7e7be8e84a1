//! The operator's chart by a real helm, and against a real API server: `make test-chart`. Plain `cargo test` runs what needs neither.
//! Those that need a cluster have KUBECONFIG, kubectl in PATH, and the images of chatd, its operator and Redis on the nodes; they share
//! the cluster, so they run one after another (`--test-threads=1`). Does I/O.

#![allow(clippy::unwrap_used)] // a test that cannot go on ends there

mod dry_run;
mod life;
mod rollback;
mod templates;
mod upgrade;
mod values;
mod world;
