//! The operator against a real cluster, with real Redis servers in pods. Needs KUBECONFIG, the installed CRD, and the images
//! `CHATD_TEST_IMAGE` (chatd.local/chatd:dev), `VALKEY_TEST_IMAGE` (chatd.local/valkey:9) and `REDIS_TEST_IMAGE` (chatd.local/redis:7)
//! on its nodes, which `hack/with-cluster NAME COMMAND` provides:
//! `cargo test -p operator --test live -- --ignored --test-threads=8`. Where pods cannot be reached from here, CHATD_TEST_ENTER holds
//! what to run programs with that do, such as `nsenter --net=/run/netns/chatd-test-1`. The tests of `election` and `rights` read the
//! API server's audit log, CHATD_TEST_AUDIT, and one needs the admission plugin OwnerReferencesPermissionEnforcement; with
//! CHATD_CLUSTER_AUDIT=1 the built-in cluster has both. Each test has a namespace and an operator of
//! its own, so they run side by side, but for those of `monitoring` and the one `without_a_metrics_server`, which change the cluster;
//! what they wait for they ask again and again, with an end.
#![allow(clippy::unwrap_used)]

mod account;
mod autoscaling;
mod chat;
mod day_two;
mod deaths;
mod election;
mod failures;
mod lifecycle;
mod monitoring;
mod neighbours;
mod outside;
mod ownership;
mod policies;
#[path = "../../../chatd/tests/support/ports.rs"]
mod ports;
mod prefix;
mod redis_external;
mod redis_managed;
mod redis_sentinels;
mod rights;
mod seats;
mod server_api;
mod servers;
mod silent_node;
mod tls;
mod world;
