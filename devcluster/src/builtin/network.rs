//! The network of a built-in cluster: a bridge on this machine with one end of each node's cable, and a network namespace for each
//! node. Nothing else of this machine's network changes. I/O by `ip`.

use super::layout::{Layout, MOST_NODES, Node, Subnet, free_subnet};
use crate::cluster::Name;
use anyhow::{Context, Result};
use programs::{SHORT, from_words, succeed_words};
use rustix::mount::UnmountFlags;
use serde_json::Value;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// A /24 that no address and no route of this machine touches.
pub fn choose_subnet(name: &Name) -> Result<Subnet> {
    let routes: Value = serde_json::from_str(&succeed_words(&["ip", "-json", "-4", "route", "show", "table", "all"])?)?;
    let used: Vec<(u32, u8)> =
        routes.as_array().into_iter().flatten().filter_map(|route| parse_destination(route["dst"].as_str()?)).collect();
    free_subnet(name, &used).context(
        "no /24 of 10.201.0.0/16 is free for the cluster's nodes: this machine has routes to all of it (see `ip route`)",
    )
}

fn parse_destination(text: &str) -> Option<(u32, u8)> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
    Some((u32::from(address.parse::<Ipv4Addr>().ok()?), prefix.parse().ok()?))
}

pub fn namespace_file(layout: &Layout, node: Node) -> PathBuf {
    Path::new(NAMESPACES).join(layout.network_namespace(node))
}

fn exists(link: &str) -> bool {
    Path::new("/sys/class/net").join(link).exists()
}

/// `ip netns` makes the file and then mounts the namespace on it: a broken-off `up` can leave the file alone.
fn is_namespace(file: &Path) -> bool {
    rustix::fs::statfs(file).is_ok_and(|stat| stat.f_type == 0x6e73_6673)
}

/// The folder of the named network namespaces; `ip netns` makes it, and a mount on it, with the first one.
const NAMESPACES: &str = "/run/netns";

/// Says that this folder was not there before the first cluster of ours.
fn folder_note() -> PathBuf {
    Path::new(Layout::STATES).join("netns-folder-is-ours")
}

/// Before the first namespace is made.
fn note_folder() -> Result<()> {
    if !Path::new(NAMESPACES).exists() {
        std::fs::write(folder_note(), "")?;
    }
    Ok(())
}

/// When no namespace is left, neither of ours nor of anyone else.
pub fn remove_folder() -> Result<()> {
    if !folder_note().exists() || std::fs::read_dir(NAMESPACES).is_ok_and(|mut entries| entries.next().is_some()) {
        return Ok(());
    }
    // Until there is no mount on it any more, which is an error.
    while rustix::mount::unmount(NAMESPACES, UnmountFlags::empty()).is_ok() {}
    if Path::new(NAMESPACES).exists() {
        std::fs::remove_dir(NAMESPACES)?;
    }
    Ok(std::fs::remove_file(folder_note())?)
}

pub fn make_bridge(layout: &Layout) -> Result<()> {
    let bridge = layout.bridge();
    if !exists(&bridge) {
        succeed_words(&["ip", "link", "add", &bridge, "type", "bridge"])?;
    }
    succeed_words(&["ip", "addr", "replace", &format!("{}/24", layout.host_address()), "dev", &bridge])?;
    succeed_words(&["ip", "link", "set", &bridge, "up"])?;
    Ok(())
}

/// Makes what is missing of one node's network. `nodes` says to how many nodes it needs ways.
pub fn make_node(layout: &Layout, node: Node, nodes: u8) -> Result<()> {
    let (namespace, veth) = (layout.network_namespace(node), layout.veth(node));
    let file = namespace_file(layout, node);
    if file.exists() && !is_namespace(&file) {
        std::fs::remove_file(&file)?;
    }
    if !file.exists() {
        note_folder()?;
        succeed_words(&["ip", "netns", "add", &namespace])?;
    }
    let inside = |words: &[&str]| -> Result<programs::Output> {
        let mut all = vec!["ip", "-n", &namespace];
        all.extend(words);
        programs::output(&mut from_words(&all), &[], SHORT)
    };
    let must = |words: &[&str]| -> Result<()> {
        let output = inside(words)?;
        anyhow::ensure!(output.status.success(), "`ip {}` in {namespace}: {}", words.join(" "), output.last_lines());
        Ok(())
    };
    must(&["link", "set", "lo", "up"])?;
    if !inside(&["link", "show", "eth0"])?.status.success() {
        if exists(&veth) {
            succeed_words(&["ip", "link", "del", &veth])?;
        }
        succeed_words(&["ip", "link", "add", &veth, "type", "veth", "peer", "name", "eth0", "netns", &namespace])?;
    }
    succeed_words(&["ip", "link", "set", &veth, "master", &layout.bridge(), "up"])?;
    must(&["addr", "replace", &format!("{}/24", layout.node_address(node)), "dev", "eth0"])?;
    must(&["link", "set", "eth0", "up"])?;
    // Service addresses need some route before kube-proxy can turn them into a pod's.
    must(&["route", "replace", "default", "via", &layout.host_address()])?;
    // The address of a pod that is gone is refused at once, and not sent on by the default route.
    must(&["route", "replace", "unreachable", &node.pod_subnet()])?;
    for other in Node::all(nodes).filter(|&other| other != node) {
        must(&["route", "replace", &other.pod_subnet(), "via", &layout.node_address(other)])?;
    }
    succeed_words(&[
        "nsenter",
        &format!("--net={}", file.display()),
        "sh",
        "-c",
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
    ])?;
    Ok(())
}

/// Removes the namespaces (with their interfaces, routes and rules) and the bridge; returns what existed.
pub fn remove(layout: &Layout) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    for node in Node::all(MOST_NODES) {
        let file = namespace_file(layout, node);
        if file.exists() {
            if is_namespace(&file) {
                succeed_words(&["ip", "netns", "del", &layout.network_namespace(node)])?;
            } else {
                std::fs::remove_file(&file)?;
            }
            removed.push(layout.network_namespace(node));
        }
        // The kernel takes a namespace apart a moment after its end, and then this end of its cable.
        delete_link(&layout.veth(node), &mut removed)?;
    }
    delete_link(&layout.bridge(), &mut removed)?;
    Ok(removed)
}

fn delete_link(link: &str, removed: &mut Vec<String>) -> Result<()> {
    if exists(link) {
        let output = programs::output(&mut from_words(&["ip", "link", "del", link]), &[], SHORT)?;
        anyhow::ensure!(output.status.success() || !exists(link), "`ip link del {link}`: {}", output.last_lines());
        removed.push(link.to_owned());
    }
    Ok(())
}
