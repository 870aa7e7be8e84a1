//! All that a cluster could leave on a machine, as lines to compare before and after. Other clusters may run beside it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Machine-wide settings that kubelet and kube-proxy like to change.
const SETTINGS: [&str; 9] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
    "net/netfilter/nf_conntrack_max",
];

/// Where container programs like to leave something.
const FOLDERS: [&str; 14] = [
    "/run",
    "/run/netns",
    "/run/containerd",
    "/run/containerd/s",
    "/run/runc",
    "/var/lib",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/lib/containerd",
    "/var/lib/chatd-cluster",
    "/var/log",
    "/etc/cni",
    "/opt/cni",
    "/usr/libexec/kubernetes",
];

#[derive(Debug)]
pub struct Machine {
    name: String,
    lines: BTreeSet<String>,
}

impl Machine {
    /// Looks at everything that could be the cluster's of this name, or nobody's.
    pub fn look(name: &str) -> Self {
        let mut lines = BTreeSet::new();
        for line in read("/proc/self/mounts").lines() {
            lines.insert(format!("mount {line}"));
        }
        for folder in FOLDERS {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                lines.insert(format!("file {}", entry.path().display()));
            }
        }
        for setting in SETTINGS {
            lines.insert(format!("setting {setting} {}", read(format!("/proc/sys/{setting}")).trim()));
        }
        for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            for group in fs::read_dir(hierarchy.path()).into_iter().flatten().flatten() {
                if group.path().is_dir() {
                    lines.insert(format!("cgroup {}", group.path().display()));
                }
            }
        }
        for (what, words) in [
            ("link", &["ip", "-oneline", "-brief", "link"][..]),
            ("address", &["ip", "-oneline", "-brief", "address"]),
            ("route", &["ip", "route", "show", "table", "all"]),
            ("rule", &["iptables-save"]),
        ] {
            for line in said(words).lines().filter(|line| !line.starts_with('#')) {
                lines.insert(format!("{what} {line}"));
            }
        }
        processes(name, &mut lines);
        lines.retain(|line| !is_of_another(name, line));
        Self { name: name.to_owned(), lines }
    }

    /// Fails with every difference that does not go away by itself; the kernel and the first process need a moment.
    pub fn assert_unchanged(&self) {
        let deadline = Instant::now() + Duration::from_secs(6);
        loop {
            let now = Self::look(&self.name);
            let mut differences: Vec<String> =
                now.lines.difference(&self.lines).map(|line| format!("+ {line}")).collect();
            // A process that was there before and has ended is no concern of the cluster.
            let gone = self.lines.difference(&now.lines).filter(|line| !line.starts_with("process"));
            differences.extend(gone.map(|line| format!("- {line}")));
            if differences.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "the machine is not as it was:\n{}", differences.join("\n"));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// How many lines show that a cluster is there: what the comparison would find.
    pub fn traces(&self) -> usize {
        let name = &self.name;
        let words = [format!("chatd-{name}"), format!("chv-{name}"), format!("chatd-cluster/{name}")];
        self.lines.iter().filter(|line| words.iter().any(|word| line.contains(word.as_str()))).count()
    }
}

fn read(file: impl AsRef<Path>) -> String {
    fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn said(words: &[&str]) -> String {
    let output = Command::new(words[0]).args(&words[1..]).output().expect("iproute2 and iptables are installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Processes by what ties them to the cluster, and every zombie that nobody has reaped.
fn processes(name: &str, lines: &mut BTreeSet<String>) {
    let own = std::process::id().to_string();
    for entry in fs::read_dir("/proc").expect("/proc is there").flatten() {
        let file_name = entry.file_name();
        let Some(pid) = file_name.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())) else {
            continue;
        };
        let text = |file: &str| read(format!("/proc/{pid}/{file}")).replace('\0', " ");
        let (arguments, cgroup, stat) = (text("cmdline"), text("cgroup"), text("stat"));
        let ours = arguments.contains(&format!("/chatd-cluster/{name}"))
            || arguments.contains(&format!("--name {name} "))
            || cgroup.contains(&format!("/chatd-{name}-"));
        let after_name: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let zombie = after_name.first() == Some(&"Z")
            && matches!(after_name.get(1), Some(parent) if **parent == *"1" || **parent == *own);
        if ours || zombie {
            lines.insert(format!("process {pid} {} {arguments}", stat.split(')').next().unwrap_or_default()));
        }
    }
}

/// Another cluster's interfaces, groups, mounts and folders come and go as they like.
fn is_of_another(name: &str, line: &str) -> bool {
    let own = [format!("chatd-{name}"), format!("chv-{name}-"), format!("chatd-cluster/{name}")];
    if own.iter().any(|word| line.contains(word.as_str())) {
        return false;
    }
    let others = ["chatd-", "chv-", "chatd-cluster/", "10.201."];
    // A cgroup that the session's own supervisor makes for a command.
    others.iter().any(|word| line.contains(word)) || line.starts_with("cgroup /sys/fs/cgroup/memory/process")
}
