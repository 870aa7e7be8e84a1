//! The cgroups for a node's pods: created before kubelet starts, and removed with everything below them. I/O on cgroup mounts.

use super::layout::{Layout, Node};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Every mounted hierarchy: one for each controller in version 1, a single one in version 2.
pub fn hierarchies() -> Result<Vec<PathBuf>> {
    Ok(parse(&fs::read_to_string("/proc/self/mounts")?))
}

fn parse(mounts: &str) -> Vec<PathBuf> {
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mut found: Vec<PathBuf> = fields
        .filter(|fields| matches!(fields.get(2), Some(&("cgroup" | "cgroup2"))))
        .filter_map(|fields| fields.get(1).map(PathBuf::from))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// In version 1 a new cpuset has no CPUs and no memory, and nothing can run in it: it gets its parent's.
pub fn make(layout: &Layout, node: Node) -> Result<()> {
    for hierarchy in hierarchies()? {
        let group = hierarchy.join(layout.cgroup(node));
        fs::create_dir_all(&group).with_context(|| format!("making {}", group.display()))?;
        for setting in ["cpuset.cpus", "cpuset.mems"] {
            let (ours, parents) = (group.join(setting), hierarchy.join(setting));
            if let (Ok(now), Ok(all)) = (fs::read_to_string(&ours), fs::read_to_string(&parents))
                && now.trim().is_empty()
            {
                fs::write(&ours, all.trim())?;
            }
        }
    }
    Ok(())
}

/// Gives what could not be removed. The kernel may need a moment after a group's last process has ended.
pub fn remove(layout: &Layout, node: Node, limit: Duration) -> Result<Vec<PathBuf>> {
    let deadline = Instant::now() + limit;
    loop {
        let mut left = Vec::new();
        for hierarchy in hierarchies()? {
            let group = hierarchy.join(layout.cgroup(node));
            if group.exists() && remove_tree(&group).is_err() && group.exists() {
                left.push(group);
            }
        }
        if left.is_empty() || Instant::now() >= deadline {
            return Ok(left);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A cgroup's files go with it; only its folders are removed, the innermost first.
fn remove_tree(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_both_versions_are_found() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n/dev/vda / ext4 rw 0 0\n";
        assert_eq!(parse(mounts), [PathBuf::from("/sys/fs/cgroup/cpu"), "/sys/fs/cgroup/unified".into()]);
    }
}
