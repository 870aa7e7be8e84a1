//! Removes a built-in cluster: its supervisor by its id, and with it every process and mount; then cgroups, network, files. Missing
//! parts are no error, so it also cleans up after a killed `up` or `down`. I/O.

use super::layout::{Layout, MOST_NODES, Node};
use super::{cgroups, identity::Identity, network, state};
use crate::cluster::Name;
use crate::steps::{Steps, wait_for};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The kernel's share: ending some hundred processes and taking their namespaces apart.
const END_LIMIT: Duration = Duration::from_secs(8);
const REAP_LIMIT: Duration = Duration::from_secs(3);
const CGROUP_LIMIT: Duration = Duration::from_secs(4);

/// Whether there is anything to take away.
pub fn exists(name: &Name) -> bool {
    // What cannot be looked at by this user may be there.
    Layout::state_of(name).try_exists().unwrap_or(true)
}

pub fn down(name: &Name, steps: &Steps) -> Result<()> {
    if !exists(name) {
        return Ok(());
    }
    let _lock = state::lock(name)?;
    // Without the note nothing was made yet, and no address is needed to take away what is named after the cluster.
    let noted = state::read(name)?;
    let layout = Layout::new(name, noted.as_ref().map_or([10, 201, 0], |noted| noted.subnet));
    if let Some(supervisor) = noted.and_then(|noted| noted.supervisor) {
        steps.step("processes and mounts", || end(supervisor))?;
    }
    steps.step("network and cgroups", || remove_runtime(&layout))?;
    steps.step(&format!("files in {}", layout.state.display()), || remove_files(&layout))
}

/// The process that was noted is `unshare`; its child is the first process of the cluster's process namespace. The kernel ends all
/// others of that namespace before it lets that one go, and only then does `unshare` end.
fn end(noted: Identity) -> Result<()> {
    if !noted.lives() {
        return Ok(());
    }
    let first = noted.children()?;
    for process in &first {
        process.kill()?;
    }
    if first.is_empty() {
        noted.kill()?;
    }
    wait_for("the end of the cluster's processes", END_LIMIT, Duration::from_millis(10), || {
        let mut left = first.iter().chain([&noted]).filter(|process| process.lives());
        Ok(left.next().map_or(Ok(()), |process| Err(format!("process {} still lives", process.pid))))
    })?;
    // Its parent is this machine's first process by now. Where that one is slow to reap, nothing here can hurry it.
    let reaped = || Ok(if noted.exists() { Err(String::new()) } else { Ok(()) });
    let _ = wait_for("its reaping", REAP_LIMIT, Duration::from_millis(10), reaped);
    Ok(())
}

/// Everything but files. Only to be called when the supervisor has ended.
pub fn remove_runtime(layout: &Layout) -> Result<()> {
    network::remove(layout)?;
    for node in Node::all(MOST_NODES) {
        let left = cgroups::remove(layout, node, CGROUP_LIMIT)?;
        ensure!(left.is_empty(), "cannot remove cgroups, since a process in them does not end: {left:?}");
    }
    Ok(())
}

fn remove_files(layout: &Layout) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let prefix = format!("{}/", layout.state.display());
    let inside = mounts.lines().filter_map(|line| line.split(' ').nth(1)).find(|path| path.starts_with(&prefix));
    ensure!(inside.is_none(), "something is mounted below the state folder, so it is not removed: {inside:?}");
    fs::remove_dir_all(&layout.state).with_context(|| format!("removing {}", layout.state.display()))?;
    network::remove_folder()?;
    // Other clusters may be in there.
    let _ = fs::remove_dir(Path::new(Layout::STATES));
    Ok(())
}
