//! Two deployments on one Redis, each under its own prefix: three pods that reach each other and Redis through proxies, and two others.

use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::QUIET;
use crate::support::client::{Client, Got};
use crate::support::pod::Pod;
use crate::support::ports::free_port;
use crate::support::proxy::Proxy;
use crate::support::redis::Server;
use crate::support::wait_for;
use crate::town::{TALKATIVE, until_answered};

/// Pods of the first deployment; those behind them are the other's.
pub const FIRST: usize = 3;
pub const PODS: usize = 5;
const PREFIXES: [&str; 2] = ["chat:", "other:"];
/// Gauges of what must be gone once everybody has left.
const LEFT_OVER: [&str; 11] = [
    "chatd_connections{kind=\"tcp\"}",
    "chatd_connections{kind=\"web\"}",
    "chatd_relayed_sessions",
    "chatd_remote_members",
    "chatd_players",
    "chatd_held_seats",
    "chatd_queued_bytes",
    "chatd_buffered_bytes",
    "chatd_connection_places_used",
    "chatd_rooms",
    "chatd_replay_bytes",
];

pub struct Stage {
    // In this order: pods end before what they use.
    pub pods: Vec<Pod>,
    /// On the way to each of the first deployment's pods, and from it to Redis.
    pub links: Vec<Proxy>,
    pub stores: Vec<Proxy>,
    pub redis: Server,
    pub keys: Keys,
}

/// The first deployment's keys.
pub struct Keys {
    directory: TempDir,
    last: u32,
}

impl Keys {
    fn path(&self, number: u32) -> std::path::PathBuf {
        self.directory.path().join(format!("{number:04}"))
    }

    fn write(&self, number: u32) {
        fs::write(self.path(number), format!("{number:064x}")).unwrap();
    }

    /// Another key, and the one before goes after a time.
    pub fn rotate(&mut self, time: Duration) {
        self.last += 1;
        self.write(self.last);
        thread::sleep(time);
        fs::remove_file(self.path(self.last - 1)).unwrap();
    }
}

impl Stage {
    pub fn start(empty_ttl: u32) -> Self {
        let redis = Server::start(&[]);
        let keys = Keys { directory: tempfile::tempdir().unwrap(), last: 1 };
        keys.write(1);
        let (url, empty_ttl) = (redis.url(), empty_ttl.to_string());
        let common = [&TALKATIVE[..], &["--seat-hold", "6", "--empty-ttl", &empty_ttl]].concat();
        let (mut pods, mut links, mut stores) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..FIRST {
            let store = Proxy::to(([127, 0, 0, 1], redis.port).into());
            let link = SocketAddr::from(([127, 0, 0, 1], free_port()));
            let (address, keys) = (link.to_string(), keys.directory.path().to_str().unwrap());
            let own = ["--advertise-peer", &address, "--token-key-file", keys, "--deployment-uid", "first"];
            let url = format!("redis://{}", store.address);
            let pod = Pod::launch(&format!("chat-{number}"), Some(&url), &[&common[..], &own].concat());
            links.push(Proxy::at(link, pod.peer));
            stores.push(store);
            pods.push(pod);
        }
        for number in 0..PODS - FIRST {
            let own = ["--redis-key-prefix", PREFIXES[1], "--deployment-uid", "other"];
            pods.push(Pod::launch(&format!("other-{number}"), Some(&url), &[&common[..], &own].concat()));
        }
        for pod in &mut pods {
            pod.ready();
        }
        Self { pods, links, stores, redis, keys }
    }

    /// The pods of one deployment.
    pub fn of(&self, deployment: usize) -> &[Pod] {
        if deployment == 0 { &self.pods[..FIRST] } else { &self.pods[FIRST..] }
    }

    /// Whether a pod that lives owns the room, as Redis has it.
    fn is_owned(&self, deployment: usize, room: &str) -> bool {
        let read = |key: String| -> Value {
            let text: Option<String> = self.redis.run(&format!("GET {}{key}", PREFIXES[deployment]));
            serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default()
        };
        let record = read(format!("room:{room}"));
        let lease = read(format!("pod:{}", record["pod_id"].as_str().unwrap_or_default()));
        !record["boot"].is_null() && record["boot"] == lease["boot"]
    }

    /// A room that stands in one place alone is lost with it, as the contract says. So before Redis loses everything each room needs an
    /// owner that lives: one whose owner has died is taken over by a settled pod, 10 s after the last reset connection. And before an owner
    /// ends, Redis needs its rooms again, which it gets with the next renewal of its lease.
    pub fn wait_until_owned(&mut self, rooms: &[(usize, String)]) {
        for pod in &mut self.pods {
            pod.ready();
        }
        wait_for("a living owner for each room", QUIET, || {
            rooms.iter().all(|(deployment, room)| self.is_owned(*deployment, room)).then_some(())
        });
    }

    /// JOIN works by each pod of the room's deployment, and by none of the other's.
    pub fn guests_may_join(&self, rooms: &[(usize, String)], since: Instant) {
        for (deployment, room) in rooms {
            for pod in self.of(*deployment) {
                let command = format!("JOIN {room} guest RELAY");
                let left = QUIET.saturating_sub(since.elapsed());
                let (mut guest, _) = until_answered(pod.tcp, &command, "JOINED ", left);
                guest.send("LEAVE");
                guest.until("LEFT ", Duration::from_secs(10));
            }
            for pod in self.of(1 - *deployment) {
                // Until it is settled it says that it does not know.
                let left = QUIET.saturating_sub(since.elapsed());
                until_answered(pod.tcp, &format!("JOIN {room} guest RELAY"), "ERR room_not_found ", left);
            }
        }
    }

    /// One try to come into a room of the other deployment.
    pub fn intrude(pod: SocketAddr, room: &str) {
        let Ok(mut intruder) = Client::try_connect(pod, Duration::from_millis(500)) else { return };
        if intruder.try_send(&format!("JOIN {room} intruder RELAY")).is_ok()
            && let Got::Line(line) = intruder.next(Duration::from_secs(6))
        {
            assert!(line.starts_with("ERR "), "{room} lets in who is of another deployment: {line}");
        }
    }

    /// Rooms that the pods of a deployment have, if all can say.
    pub fn owned(&self, deployment: usize) -> Option<u64> {
        self.of(deployment).iter().map(|pod| pod.try_metric("chatd_rooms")).sum()
    }

    /// Who has what, for a failure.
    pub fn describe(&self, rooms: &[(usize, String)]) -> String {
        let records = rooms.iter().map(|(deployment, room)| {
            let text: Option<String> = self.redis.run(&format!("GET {}room:{room}", PREFIXES[*deployment]));
            format!("{room}: {}\n", text.unwrap_or_default())
        });
        let gauges = self.pods.iter().map(|pod| {
            let values = LEFT_OVER.map(|series| format!("{series} {:?}", pod.try_metric(series)));
            format!("{}: {}\n", pod.name, values.join(", "))
        });
        records.chain(gauges).collect()
    }

    /// Everybody has left: nothing of them is left in any pod.
    pub fn nothing_is_left(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        for (pod, series) in self.pods.iter().flat_map(|pod| LEFT_OVER.map(|series| (pod, series))) {
            loop {
                let value = pod.try_metric(series);
                if value == Some(0) {
                    break;
                }
                assert!(Instant::now() < deadline, "{series} of {} is {value:?} after {limit:?}", pod.name);
                thread::sleep(Duration::from_millis(100));
            }
        }
    }

    /// All end in order, and nothing has panicked.
    pub fn end(&mut self) {
        for pod in &mut self.pods {
            assert!(pod.is_running(), "{} has ended:\n{}", pod.name, pod.log());
            pod.terminate();
        }
        for pod in &mut self.pods {
            assert_eq!(pod.exit_code(Duration::from_secs(40)), 0, "{}", pod.name);
            assert!(!pod.log().contains("panicked"), "{}", pod.log());
        }
    }
}
