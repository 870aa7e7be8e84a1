//! One node: its container runtime, its kubelet, and the wait until it is ready. I/O.

use super::control::Supervisor;
use super::layout::{Layout, Node};
use super::processes::{Process, Processes, revision};
use super::running::Running;
use super::{files, load};
use anyhow::{Context, Result};
use programs::SHORT;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const NODE_LIMIT: Duration = Duration::from_secs(90);
/// Where distributions put the network plugins.
const PLUGIN_FOLDERS: [&str; 3] = ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];

/// The folder with the network plugins, if all that is needed is in it.
pub fn network_plugins() -> Option<&'static str> {
    let has = |folder: &str, plugin: &str| Path::new(folder).join(plugin).exists();
    PLUGIN_FOLDERS
        .into_iter()
        .find(|folder| ["ptp", "host-local", "portmap", "loopback"].iter().all(|one| has(folder, one)))
}

fn keep(supervisor: &Supervisor, mut process: Process, configuration: &[&str]) -> Result<()> {
    process.revision = revision(configuration);
    supervisor.keep(process)
}

/// kube-proxy ends when its file is written, even with what stood there already.
fn write_changed(file: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(file).is_ok_and(|now| now == text) {
        return Ok(());
    }
    fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

pub fn start_containerd(running: &Running<'_>, processes: &Processes<'_>, node: Node) -> Result<()> {
    let layout = running.layout;
    let folder = layout.path(&format!("node{}", node.0));
    fs::create_dir_all(folder.join("network"))?;
    let plugins = network_plugins().context("the network plugins are not installed (containernetworking-plugins)")?;
    let network = format!("{:#}\n", files::network(layout, node));
    let configuration = files::containerd(layout, node, plugins);
    write_changed(&folder.join("network/10-chatd.conflist"), &network)?;
    write_changed(&folder.join("containerd.toml"), &configuration)?;
    keep(&running.supervisor, processes.containerd(node), &[&configuration])
}

pub fn start(running: &Running<'_>, processes: &Processes<'_>, node: Node, pause: &Path) -> Result<()> {
    let layout = running.layout;
    let containerd = format!("containerd-{}", node.0);
    running.wait(&containerd, "containerd", NODE_LIMIT, || answers(layout, node))?;
    load::import_missing(layout, node, pause, files::PAUSE_IMAGE)?;
    let folder = layout.path(&format!("node{}", node.0));
    let kubelet = format!("{:#}\n", files::kubelet(layout, node));
    let proxy = format!("{:#}\n", files::kube_proxy(layout, node));
    write_changed(&folder.join("kubelet.json"), &kubelet)?;
    write_changed(&folder.join("kube-proxy.json"), &proxy)?;
    keep(&running.supervisor, processes.kubelet(node), &[&kubelet])?;
    keep(&running.supervisor, processes.kube_proxy(node), &[&proxy])?;
    running.wait(&format!("kubelet-{}", node.0), &format!("readiness of {}", node.name()), NODE_LIMIT, || {
        let path = r#"--output=jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].message}"#;
        let output = running.kubectl(&["get", "node", &node.name(), path])?;
        anyhow::ensure!(output.starts_with("True"), "{}", output.trim());
        Ok(())
    })
}

fn answers(layout: &Layout, node: Node) -> Result<()> {
    let mut ctr = Command::new("ctr");
    ctr.arg("--address").arg(layout.containerd_socket(node)).args(["--connect-timeout", "2s", "version"]);
    programs::succeed(&mut ctr, SHORT.min(Duration::from_secs(5))).map(drop)
}
