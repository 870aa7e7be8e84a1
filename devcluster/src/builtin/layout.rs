//! The layout of a built-in cluster: folders, addresses, names of interfaces and namespaces. Pure.

use crate::cluster::Name;
use std::path::{Path, PathBuf};

/// Service addresses: seen only inside the cluster's network namespaces, so each cluster can use the same.
pub const SERVICE_RANGE: &str = "10.96.0.0/16";
pub const API_SERVICE: &str = "10.96.0.1";
pub const DNS_SERVICE: &str = "10.96.0.10";
/// Pod addresses; node n has the n-th /24 of it.
pub const POD_RANGE: &str = "10.244.0.0/16";
pub const API_PORT: u16 = 6443;
pub const METRICS_PORT: u16 = 4443;
pub const MOST_NODES: u8 = 2;

/// The first three numbers of the /24 that the nodes and this machine's end of their bridge have.
pub type Subnet = [u8; 3];

#[derive(Debug, Clone)]
pub struct Layout {
    pub name: Name,
    pub state: PathBuf,
    pub subnet: Subnet,
}

/// One node, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node(pub u8);

impl Node {
    pub fn all(count: u8) -> impl Iterator<Item = Self> {
        (1..=count).map(Self)
    }

    /// What Kubernetes calls it.
    pub fn name(self) -> String {
        format!("node{}", self.0)
    }

    pub fn pod_subnet(self) -> String {
        format!("10.244.{}.0/24", self.0)
    }
}

impl Layout {
    /// The state of every built-in cluster is below this folder.
    pub const STATES: &'static str = "/var/lib/chatd-cluster";

    pub fn state_of(name: &Name) -> PathBuf {
        Path::new(Self::STATES).join(name.to_string())
    }

    pub fn new(name: &Name, subnet: Subnet) -> Self {
        Self { name: name.clone(), state: Self::state_of(name), subnet }
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.state.join(below)
    }

    /// `path` as text, for configuration files and arguments.
    pub fn text(&self, below: &str) -> String {
        self.path(below).to_string_lossy().into_owned()
    }

    pub fn pki(&self, file: &str) -> String {
        self.text(&format!("pki/{file}"))
    }

    pub fn log(&self, process: &str) -> PathBuf {
        self.path(&format!("logs/{process}.log"))
    }

    pub fn supervisor_socket(&self) -> PathBuf {
        self.path("supervisor.sock")
    }

    pub fn containerd_socket(&self, node: Node) -> PathBuf {
        self.path(&format!("node{}/containerd.sock", node.0))
    }

    pub fn host_address(&self) -> String {
        self.address(1)
    }

    pub fn node_address(&self, node: Node) -> String {
        self.address(node.0 + 1)
    }

    fn address(&self, last: u8) -> String {
        let [a, b, c] = self.subnet;
        format!("{a}.{b}.{c}.{last}")
    }

    /// The control plane is on the first node.
    pub fn api_address(&self) -> String {
        self.node_address(Node(1))
    }

    pub fn api_url(&self) -> String {
        format!("https://{}:{API_PORT}", self.api_address())
    }

    pub fn bridge(&self) -> String {
        format!("chatd-{}", self.name)
    }

    pub fn veth(&self, node: Node) -> String {
        format!("chv-{}-{}", self.name, node.0)
    }

    pub fn network_namespace(&self, node: Node) -> String {
        format!("chatd-{}-{}", self.name, node.0)
    }

    pub fn cgroup(&self, node: Node) -> String {
        format!("chatd-{}-{}", self.name, node.0)
    }
}

/// A /24 for the nodes that this machine has no other use for: the one that the name's hash gives, or the next free one.
pub fn free_subnet(name: &Name, used: &[(u32, u8)]) -> Option<Subnet> {
    let start = match name.to_string().as_str() {
        "demo" => 1,
        "test" => 2,
        other => other.bytes().fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte))) % 250,
    };
    (0..250_u32)
        .map(|step| [10, 201, u8::try_from((start + step) % 250).unwrap_or_default()])
        .find(|subnet| !used.iter().any(|&route| overlaps(*subnet, route)))
}

fn overlaps([a, b, c]: Subnet, (network, prefix): (u32, u8)) -> bool {
    let ours = u32::from_be_bytes([a, b, c, 0]);
    let shared = u32::from(prefix.min(24));
    // A default route leads everywhere and takes nothing away.
    shared != 0 && (ours ^ network) >> (32 - shared) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a good name")
    }

    #[test]
    fn the_longest_name_still_fits_the_interfaces() {
        let layout = Layout::new(&name("abcdefgh"), [10, 201, 1]);
        assert!(layout.bridge().len() <= 15 && layout.veth(Node(2)).len() <= 15);
    }

    #[test]
    fn a_subnet_avoids_what_is_in_use() {
        let ip = |a: u8, b: u8, c: u8| u32::from_be_bytes([a, b, c, 0]);
        assert_eq!(free_subnet(&name("demo"), &[]), Some([10, 201, 1]));
        assert_eq!(free_subnet(&name("demo"), &[(0, 0), (ip(10, 200, 0), 16)]), Some([10, 201, 1]));
        assert_eq!(free_subnet(&name("demo"), &[(ip(10, 201, 1), 24), (ip(10, 201, 2), 32)]), Some([10, 201, 3]));
        assert_eq!(free_subnet(&name("demo"), &[(ip(10, 0, 0), 8)]), None);
        assert!(free_subnet(&name("zzzzzzzz"), &[]).is_some());
    }
}
