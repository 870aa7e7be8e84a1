//! One sample of a soak run: what each process uses and what each chat pod counts. Pure: no I/O.

use std::collections::BTreeMap;
use std::time::Duration;

/// Gauges of a chat pod that are zero once all players have gone, with their names for people.
pub const ZERO_AT_THE_END: &[(&str, &str)] = &[
    ("chatd_rooms", "rooms"),
    ("chatd_players", "seats"),
    ("chatd_held_seats", "held seats"),
    ("chatd_connections", "connections"),
    ("chatd_connection_places_used", "connection places in use"),
    ("chatd_remote_members", "remote members"),
    ("chatd_relayed_sessions", "relayed sessions"),
    ("chatd_buffered_bytes", "buffered bytes"),
    ("chatd_queued_bytes", "queued bytes"),
    ("chatd_replay_bytes", "bytes kept for replay"),
    ("chatd_draining", "draining"),
];
/// Each link between pods is a descriptor, and pods have them only while they need them.
pub const LINKS: (&str, &str) = ("chatd_peer_links", "peer links");

/// The process of a pod's container: another one after a restart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    pub pod: String,
    pub id: u32,
}

/// What the kernel counts of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub resident_kib: u64,
    pub descriptors: u64,
    pub threads: u64,
}

/// What Redis counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Redis {
    pub keys: u64,
    pub memory_kib: u64,
}

/// Gauges by their names, without labels.
pub type Gauges = BTreeMap<&'static str, u64>;

/// Everything at one moment. Pods that come or go are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    pub at: Duration,
    pub usage: BTreeMap<Process, Usage>,
    /// By chat pod.
    pub gauges: BTreeMap<String, Gauges>,
    pub redis: Option<Redis>,
}

impl Sample {
    /// The sum of a gauge over all pods.
    pub fn sum(&self, gauge: &str) -> u64 {
        self.gauges.values().filter_map(|gauges| gauges.get(gauge)).sum()
    }

    /// What the process of a pod uses.
    pub fn of_pod(&self, pod: &str) -> Option<Usage> {
        self.usage.iter().find(|(process, _)| process.pod == pod).map(|(_, usage)| *usage)
    }
}

/// The gauges of a chat pod's `/metrics` that matter here; series of one name are added up.
pub fn gauges(metrics: &str) -> Gauges {
    let mut gauges = Gauges::new();
    for (series, value) in metrics.lines().filter_map(|line| line.split_once(' ')) {
        let name = series.split('{').next().unwrap_or_default();
        let known = ZERO_AT_THE_END.iter().chain([&LINKS]).find(|(gauge, _)| *gauge == name);
        if let (Some((gauge, _)), Ok(value)) = (known, value.parse::<u64>()) {
            *gauges.entry(gauge).or_default() += value;
        }
    }
    gauges
}

/// From `/proc/<process>/status`; descriptors are not in it.
pub fn usage(status: &str, descriptors: u64) -> Option<Usage> {
    let field = |name: &str| {
        let rest = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        rest.split_whitespace().next()?.parse().ok()
    };
    Some(Usage { resident_kib: field("VmRSS")?, descriptors, threads: field("Threads")? })
}

/// From INFO.
pub fn redis(info: &str) -> Option<Redis> {
    let field = |name: &str| info.lines().find_map(|line| line.trim().strip_prefix(name));
    let memory: u64 = field("used_memory:")?.parse().ok()?;
    let keys = field("db0:keys=").map_or(Some(0), |rest| rest.split(',').next()?.parse().ok())?;
    Some(Redis { keys, memory_kib: memory / 1024 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_one_gauge_are_added_up_and_others_are_left_out() {
        let text = "# TYPE chatd_connections gauge\nchatd_connections{kind=\"tcp\"} 2\nchatd_connections{kind=\"web\"} 3\n\
            chatd_rooms 4\nchatd_rooms_created_total 9\nchatd_peer_links 2\nchatd_players NaN\n# EOF\n";
        let expected = [("chatd_connections", 5), ("chatd_rooms", 4), ("chatd_peer_links", 2)];
        assert_eq!(gauges(text), expected.into());
    }

    #[test]
    fn the_kernel_s_and_redis_s_figures_are_read() {
        let status = "Name:\tchatd\nVmHWM:\t  99 kB\nVmRSS:\t   12340 kB\nThreads:\t5\n";
        assert_eq!(usage(status, 31), Some(Usage { resident_kib: 12_340, descriptors: 31, threads: 5 }));
        assert_eq!(usage("Name:\tgone\n", 0), None);
        let info =
            "# Memory\r\nused_memory:1048576\r\nused_memory_rss:9\r\n# Keyspace\r\ndb0:keys=4,expires=3,avg_ttl=1\r\n";
        assert_eq!(redis(info), Some(Redis { keys: 4, memory_kib: 1024 }));
        assert_eq!(redis("used_memory:2048\r\n"), Some(Redis { keys: 0, memory_kib: 2 }));
        assert_eq!(redis("NOPERM"), None);
    }
}
