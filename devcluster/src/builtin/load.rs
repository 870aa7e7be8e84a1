//! Loads image archives into the nodes of a built-in cluster. I/O through `ctr`.

use super::layout::{Layout, Node};
use super::state;
use crate::cluster::Name;
use anyhow::{Context, Result};
use programs::SHORT;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const IMPORT_LIMIT: Duration = Duration::from_mins(3);

fn ctr(layout: &Layout, node: Node) -> Command {
    let mut ctr = Command::new("ctr");
    // The namespace is the one in which kubelet looks for images.
    ctr.arg("--address").arg(layout.containerd_socket(node)).args(["--namespace", "k8s.io", "images"]);
    ctr
}

pub fn load(name: &Name, archives: &[PathBuf]) -> Result<()> {
    let noted = state::read(name)?.with_context(|| format!("there is no cluster `{name}`: run `make up` first"))?;
    let layout = Layout::new(name, noted.subnet);
    for archive in archives {
        for node in Node::all(noted.nodes) {
            import(&layout, node, archive)?;
        }
    }
    Ok(())
}

fn import(layout: &Layout, node: Node, archive: &Path) -> Result<()> {
    programs::succeed(ctr(layout, node).arg("import").arg(archive), IMPORT_LIMIT)
        .with_context(|| format!("bringing {} into {}", archive.display(), node.name()))
        .map(drop)
}

pub fn import_missing(layout: &Layout, node: Node, archive: &Path, image: &str) -> Result<()> {
    let there = programs::succeed(ctr(layout, node).args(["list", "--quiet"]), SHORT)?;
    if there.lines().any(|line| line == image) { Ok(()) } else { import(layout, node, archive) }
}
