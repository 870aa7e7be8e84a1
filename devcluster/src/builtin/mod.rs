//! The cluster that is built from packages: see README.md. `up` runs its steps and skips completed ones, so that it continues after
//! an interruption. I/O.

pub mod binary;
mod cgroups;
mod commands;
mod control;
pub mod down;
mod files;
mod identity;
mod layout;
mod load;
mod network;
mod nodes;
mod pause;
mod pki;
mod processes;
mod running;
mod state;
pub mod supervisor;

pub use commands::{Arguments, Load, Named, as_root};
pub use load::load;

use crate::steps::{Steps, wait_for};
use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use control::Supervisor;
use identity::Identity;
use layout::{DNS_SERVICE, Layout, METRICS_PORT, MOST_NODES, Node};
use processes::Processes;
use programs::{from_words, tail};
use running::Running;
use serde_json::Value;
use state::Noted;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

const COMPONENTS: [&str; 10] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "coredns",
    "metrics-server",
    "provisioner",
    "kubectl",
];
const API_LIMIT: Duration = Duration::from_secs(90);

/// Makes the cluster, or what is missing of it. Needs root.
pub fn up(arguments: &Arguments, steps: &Steps) -> Result<()> {
    let name = &arguments.name;
    let _lock = state::lock(name)?;
    let before = state::read(name)?;
    let subnet = match &before {
        Some(noted) => noted.subnet,
        None => network::choose_subnet(name)?,
    };
    let layout = Layout::new(name, subnet);
    let nodes = before.as_ref().map_or(arguments.nodes, |noted| noted.nodes.max(arguments.nodes)).min(MOST_NODES);
    let mut noted = Noted { subnet, nodes, supervisor: before.and_then(|noted| noted.supervisor) };
    state::write(name, &noted)?;

    let programs = steps.step("keys, certificates and configuration", || {
        pki::make(&layout)?;
        write_configuration(&layout)?;
        install(&layout, &arguments.program)
    })?;
    let containerd = programs::find("containerd").context("containerd is not installed")?;
    let processes = Processes { layout: &layout, programs, containerd, audit: arguments.audit };

    let alive = noted.supervisor.is_some_and(Identity::lives);
    steps.step("network and supervisor", || {
        if !alive {
            // Left by a cluster that ended with the machine or was killed.
            down::remove_runtime(&layout)?;
        }
        network::make_bridge(&layout)?;
        for node in Node::all(nodes) {
            network::make_node(&layout, node, nodes)?;
            cgroups::make(&layout, node)?;
        }
        if alive { Ok(()) } else { start_supervisor(&layout, &mut noted) }
    })?;

    let running = Running { layout: &layout, supervisor: Supervisor::at(&layout.supervisor_socket()) };
    steps.step("etcd and API server", || {
        running.supervisor.keep(processes.etcd())?;
        running.supervisor.keep(processes.apiserver())?;
        for node in Node::all(nodes) {
            nodes::start_containerd(&running, &processes, node)?;
        }
        running.wait("kube-apiserver", "the API server's readiness", API_LIMIT, || {
            running.kubectl(&["get", "--raw", "/readyz"]).map(drop)
        })
    })?;
    steps.step("access rules, DNS, metrics, storage", || {
        running.supervisor.keep(processes.controller_manager())?;
        running.supervisor.keep(processes.scheduler())?;
        apply_objects(&running)?;
        fs::create_dir_all(layout.path("volumes"))?;
        running.supervisor.keep(processes.coredns())?;
        running.supervisor.keep(processes.metrics_server())?;
        running.supervisor.keep(processes.provisioner())
    })?;
    for node in Node::all(nodes) {
        steps.step(&format!("{} ready", node.name()), || nodes::start(&running, &processes, node, &arguments.pause))?;
    }
    steps.step("first service account", || {
        running.wait("kube-controller-manager", "the first service account", API_LIMIT, || {
            running.kubectl(&["get", "serviceaccount", "default", "--namespace=default", "--output=name"]).map(drop)
        })?;
        running.check_all()
    })?;
    write_user_kubeconfig(&layout, arguments)
}

/// Whether this machine has what limits and counts a pod's use.
pub fn has_cgroups() -> bool {
    cgroups::hierarchies().is_ok_and(|found| !found.is_empty())
}

pub fn has_network_plugins() -> bool {
    nodes::network_plugins().is_some()
}

pub fn pause_archive() -> Result<PathBuf> {
    pause::build(&programs::repository().join(".cache/cluster"))
}

/// The cluster's own copy of its programs: it goes on when the cache is emptied, and the supervisor's files hide none of it.
fn install(layout: &Layout, program: &Path) -> Result<PathBuf> {
    let key = program.parent().and_then(Path::file_name).context("the program's folder has no name")?;
    let folder = layout.path("programs").join(key);
    let copy = folder.join("chatd-cluster");
    if !copy.exists() {
        fs::create_dir_all(&folder)?;
        let draft = folder.join("draft");
        fs::copy(program, &draft).with_context(|| format!("copying {}", program.display()))?;
        fs::rename(&draft, &copy)?;
    }
    for component in COMPONENTS {
        let link = folder.join(component);
        if link.symlink_metadata().is_err() {
            symlink("chatd-cluster", &link)?;
        }
    }
    let bin = layout.path("bin");
    let draft = layout.path("bin.draft");
    let _ = fs::remove_file(&draft);
    symlink(&folder, &draft)?;
    fs::rename(&draft, &bin)?;
    Ok(folder)
}

fn write_configuration(layout: &Layout) -> Result<()> {
    for folder in ["config", "kubeconfig", "logs"] {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(layout.path(folder))?;
    }
    let json = |file: &str, value: &Value| pki::write(&layout.path(file), &format!("{value:#}\n"), 0o600);
    for user in [
        "bootstrap",
        "controller-manager",
        "scheduler",
        "coredns",
        "metrics-server",
        "provisioner",
        "kube-proxy",
        "kubelet-1",
        "kubelet-2",
    ] {
        json(&format!("kubeconfig/{user}"), &files::kubeconfig(layout, user))?;
    }
    json("config/admission.json", &files::admission())?;
    json("config/audit-policy.json", &files::audit_policy())?;
    if !layout.path("config/encryption.json").exists() {
        let mut key = [0_u8; 32];
        std::io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut key)?;
        json("config/encryption.draft", &files::encryption(&key))?;
        fs::rename(layout.path("config/encryption.draft"), layout.path("config/encryption.json"))?;
    }
    fs::write(layout.path("config/Corefile"), files::corefile(layout))?;
    // Pods whose policy is `Default` get this one: there is nobody to ask.
    fs::write(layout.path("resolv.conf"), "nameserver 127.0.0.1\n")?;
    Ok(())
}

/// The supervisor starts its work only when it is told to, which is after it was written down: an `up` that is killed in between
/// leaves nobody behind.
fn start_supervisor(layout: &Layout, noted: &mut Noted) -> Result<()> {
    let _ = fs::remove_file(layout.supervisor_socket());
    let log = fs::File::options().create(true).append(true).open(layout.log("supervisor"))?;
    let mut words = vec!["setsid", "unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--mount"];
    words.extend(["--propagation", "slave", "--"]);
    let mut child = from_words(&words)
        .arg(std::env::current_exe()?)
        .args(["supervise", "--name", &layout.name.to_string()])
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .current_dir("/")
        .spawn()
        .context("starting the supervisor")?;
    let identity = i32::try_from(child.id()).ok().and_then(Identity::of).context("the supervisor ended at once")?;
    noted.supervisor = Some(identity);
    state::write(&layout.name, noted)?;
    child.stdin.take().context("no pipe to the supervisor")?.write_all(b"go\n")?;
    let supervisor = Supervisor::at(&layout.supervisor_socket());
    wait_for("the supervisor", Duration::from_secs(15), Duration::from_millis(10), || {
        if let Some(status) = child.try_wait()? {
            bail!("it ended with {status}");
        }
        Ok(supervisor.list().map(drop).map_err(|error| format!("{error:#}")))
    })
    .with_context(|| {
        let text = fs::read_to_string(layout.log("supervisor")).unwrap_or_default();
        format!("starting the supervisor:\n{}\n", tail(&text, 10))
    })
}

/// Applied once for each version of the file.
fn apply_objects(running: &Running<'_>) -> Result<()> {
    let layout = running.layout;
    let authority = fs::read(layout.path("pki/ca.crt"))?;
    let objects = include_str!("objects.yaml")
        .replace("NODE_ADDRESS", &layout.api_address())
        .replace("DNS_SERVICE", DNS_SERVICE)
        .replace("METRICS_PORT", &METRICS_PORT.to_string())
        .replace("CA_BUNDLE", &STANDARD.encode(authority));
    let done = layout.path("config/objects.applied");
    let version = processes::revision(&[&objects]);
    if fs::read_to_string(&done).is_ok_and(|applied| applied == version) {
        return Ok(());
    }
    let file = layout.path("config/objects.yaml");
    fs::write(&file, objects)?;
    let file = file.to_string_lossy();
    running.wait("kube-apiserver", "the first objects", API_LIMIT, || {
        running.kubectl(&["apply", "--filename", &file]).map(drop)
    })?;
    Ok(fs::write(done, version)?)
}

fn write_user_kubeconfig(layout: &Layout, arguments: &Arguments) -> Result<()> {
    let read = |file: &str| fs::read_to_string(layout.path(file)).with_context(|| format!("reading {file}"));
    let config = files::user_kubeconfig(layout, &read("pki/ca.crt")?, &read("pki/admin.crt")?, &read("pki/admin.key")?);
    let draft = arguments.kubeconfig.with_extension("draft");
    // An old draft could have a wider mode.
    let _ = fs::remove_file(&draft);
    pki::write(&draft, &format!("{config:#}\n"), 0o600)?;
    if let Some((user, group)) = arguments.owner.as_deref().and_then(|owner| owner.split_once(':')) {
        chown(&draft, Some(user.parse()?), Some(group.parse()?))?;
    }
    fs::rename(&draft, &arguments.kubeconfig)?;
    Ok(())
}
