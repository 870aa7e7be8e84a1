//! The facts for `up`'s choice of a cluster. Runs read-only commands; changes nothing.

use crate::builtin;
use crate::choose::{Facts, Tool, Wish};
use crate::cluster::Kind;
use programs::{SHORT, from_words};
use std::io::IsTerminal;
use std::path::Path;

/// What builtin calls, and what Debian's package of each is called.
const PROGRAMS: [(&str, &str); 11] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("containerd-shim-runc-v2", "containerd"),
    ("runc", "runc"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("setsid", "util-linux"),
    ("cc", "gcc"),
    ("go", "Go 1.21 or newer: https://go.dev/dl"),
];

pub fn observe(wish: Wish, made_before: Option<Kind>) -> Facts {
    let automatic = wish == Wish::Auto && made_before.is_none();
    let look = |kind: Kind, this: Wish| automatic || wish == this || made_before == Some(kind);
    let tool = |kind: Kind, this: Wish, words: &[&str]| if look(kind, this) { tool(words) } else { Tool::Absent };
    let kind = tool(Kind::Kind, Wish::Kind, &["kind", "version"]);
    let k3d = tool(Kind::K3d, Wish::K3d, &["k3d", "version"]);
    let minikube = tool(Kind::Minikube, Wish::Minikube, &["minikube", "version", "--short"]);
    let needs_engine = [&kind, &k3d, &minikube].iter().any(|tool| **tool != Tool::Absent);
    Facts {
        made_before,
        current: if wish == Wish::Current { current() } else { Err("nobody asked for it".to_owned()) },
        engine: if needs_engine || matches!(wish, Wish::Kind | Wish::K3d | Wish::Minikube) {
            engine()
        } else {
            Err("docker or podman".to_owned())
        },
        kubectl: programs::find("kubectl").is_some(),
        kind,
        k3d,
        minikube,
        builtin_lacks: builtin_lacks(),
    }
}

fn tool(words: &[&str]) -> Tool {
    if words.first().and_then(|program| programs::find(program)).is_none() {
        return Tool::Absent;
    }
    match programs::succeed(&mut from_words(words), SHORT) {
        Ok(_) => Tool::Works,
        Err(error) => Tool::Broken(format!("{error:#}")),
    }
}

fn engine() -> Result<String, String> {
    let mut reasons = Vec::new();
    for engine in ["docker", "podman"] {
        if programs::find(engine).is_none() {
            continue;
        }
        match programs::succeed(&mut from_words(&[engine, "info"]), SHORT) {
            Ok(_) => return Ok(engine.to_owned()),
            Err(_) => reasons.push(format!("`{engine} info` fails: is its service running, and may you use it?")),
        }
    }
    Err(if reasons.is_empty() { "docker or podman, in PATH".to_owned() } else { reasons.join("; ") })
}

fn current() -> Result<String, String> {
    let ask = |words: &[&str]| programs::succeed(&mut from_words(words), SHORT).map_err(|error| format!("{error:#}"));
    let context = ask(&["kubectl", "config", "current-context"])?;
    ask(&["kubectl", "--request-timeout=10s", "get", "--raw", "/version"])?;
    Ok(context.trim().to_owned())
}

fn builtin_lacks() -> Vec<String> {
    let mut lacks: Vec<String> = lacking_programs();
    if !cfg!(target_os = "linux") {
        lacks.push("Linux: elsewhere use kind, k3d or minikube".to_owned());
    }
    if !Path::new("/proc/self/ns/pid").exists() || !builtin::has_cgroups() {
        lacks.push("a kernel with namespaces, and cgroups mounted below /sys/fs/cgroup".to_owned());
    }
    if let Err(reason) = root() {
        lacks.push(reason);
    }
    lacks
}

/// What `hack/need cluster` can install, or has to advise on.
pub fn lacking_programs() -> Vec<String> {
    let missing = PROGRAMS.iter().filter(|(program, _)| programs::find(program).is_none());
    let mut lacks: Vec<String> = missing.map(|(program, package)| format!("{program} ({package})")).collect();
    if !builtin::has_network_plugins() {
        lacks
            .push("the network plugins ptp, host-local, portmap and loopback (containernetworking-plugins)".to_owned());
    }
    lacks
}

/// How to become root: not at all, since this is root; or by these words.
pub fn root() -> Result<Vec<String>, String> {
    if rustix::process::geteuid().is_root() {
        return Ok(Vec::new());
    }
    let advice =
        "root, for namespaces and containers: run  sudo --preserve-env=PATH,HOME,CLUSTER,CLUSTER_NAME,NODES make up";
    if programs::find("sudo").is_none() {
        return Err(
            "root, for namespaces and containers, and sudo is not installed: run  su --command 'make up'".to_owned()
        );
    }
    if std::io::stdin().is_terminal() {
        return Ok(vec!["sudo".to_owned()]);
    }
    // Without a terminal sudo could only wait for a password that nobody types.
    match programs::succeed(&mut from_words(&["sudo", "-n", "true"]), SHORT) {
        Ok(_) => Ok(vec!["sudo".to_owned(), "-n".to_owned()]),
        Err(_) => Err(advice.to_owned()),
    }
}
