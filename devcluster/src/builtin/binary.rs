//! The multi-call program of the built-in cluster: Kubernetes, etcd, CoreDNS and metrics-server in one. Does I/O.

use std::path::PathBuf;

use anyhow::Result;

use crate::go_program::GoProgram;
use crate::steps::Steps;

const KUBERNETES: (&str, &str) = ("1", "37");
const KUBERNETES_PATCH: &str = "2";

/// Kubernetes reports the version that it is linked with; without it kubectl and the clients find no version at all.
fn linker_flags() -> String {
    let (major, minor) = KUBERNETES;
    let set = |name: &str, value: &str| format!("-X k8s.io/component-base/version.{name}={value}");
    let version = format!("v{major}.{minor}.{KUBERNETES_PATCH}");
    ["-s -w".to_owned(), set("gitVersion", &version), set("gitMajor", major), set("gitMinor", minor)].join(" ")
}

/// A running cluster has a copy of its own.
pub fn build(steps: &Steps) -> Result<PathBuf> {
    let program = GoProgram {
        name: "chatd-cluster",
        source: "hack/cluster",
        package: ".",
        cache: "cluster/bin",
        linker_flags: linker_flags(),
        try_with: &["kubectl", "version", "--client"],
        note: "building Kubernetes, etcd, CoreDNS and metrics-server from their Go modules: about 15 minutes on 2 cores, once",
    };
    program.build(steps)
}
