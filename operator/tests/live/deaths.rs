//! A chat container that is killed, and does not come back at once: the operator tells the other pods, which had no link to it. Does
//! I/O. The pods' processes are on this machine.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::chat::Chat;
use super::servers::small;
use super::world::{ChatPod, World, eventually};

/// The lease would last for 8 s at least, and the container waits for 10 s after its second end.
const LIMIT: Duration = Duration::from_secs(6);

/// The chat process of a pod.
pub fn process_of(pod: &ChatPod) -> Pid {
    let uid = format!("CHATD_POD_UID={}", pod.uid);
    let is_its = |process: &std::path::Path| {
        let read = |file: &str| std::fs::read(process.join(file)).unwrap_or_default();
        read("comm") == b"chatd\n" && read("environ").split(|byte| *byte == 0).any(|word| word == uid.as_bytes())
    };
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut found = processes.filter(|process| is_its(&process.path()));
    let process = found.find_map(|process| Pid::from_raw(process.file_name().to_str()?.parse().ok()?));
    process.unwrap_or_else(|| panic!("{}'s process is not on this machine", pod.name))
}

impl World {
    async fn pod(&self, name: &str) -> ChatPod {
        self.pods().await.into_iter().find(|pod| pod.name == name).unwrap()
    }
}

fn links(pod: &ChatPod) -> String {
    let metrics = Chat::page(&pod.ip, 9090, "/metrics");
    metrics.into_iter().find_map(|line| line.strip_prefix("chatd_peer_links ").map(str::to_owned)).unwrap()
}

/// From a kill -9 of a container with a room, which does not come back at once, to the room's player being in it again by way of a pod
/// that had no link to the dead one.
async fn resumed_after_kill(world: &World, token_keys: Value) -> Duration {
    let mut spec = small(&json!({}));
    spec["replicas"] = 3.into();
    spec["tokenKeys"] = token_keys;
    world.apply(spec).await;
    world.ready().await;
    // Kubernetes starts a container that ends for the first time again at once, with a new lease: that is not what is looked at.
    let first = world.pod("chat-2").await;
    kill_process(process_of(&first), Signal::KILL).unwrap();
    eventually("it is back", async || {
        let pod = world.pod("chat-2").await;
        pod.restarts == 1 && pod.is_ready
    })
    .await;
    let victim = world.pod("chat-2").await;
    let room = Chat::create(&victim.ip, 7654);
    let (_alice, token) = Chat::join(&victim.ip, 7654, &room, "alice");
    let others = [world.pod("chat-0").await, world.pod("chat-1").await];
    assert_eq!(others.each_ref().map(links), ["0", "0"], "nobody has a link to it");

    kill_process(process_of(&victim), Signal::KILL).unwrap();
    let killed = Instant::now();
    let line = format!("RESUME {room} {token} RELAY");
    let (mut alice, _) = Chat::ask_until(&others[0].ip, 7654, &line, &format!("JOINED {room} alice "));
    let resumed = killed.elapsed();
    alice.send("SAY back");
    // Before that come its token, and that it may have missed something.
    while alice.next().expect("the connection stays") != "MSG alice back" {}
    println!("kill -9 of a container that does not come back: resumed after {resumed:?}");
    resumed
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_room_of_a_killed_container_goes_on_before_the_lease_runs_out_without_a_link() {
    let world = World::new("deaths").await;
    let resumed = resumed_after_kill(&world, json!({})).await;
    eventually("the operator says so", async || world.log().contains("told pods that a process ended")).await;
    assert!(resumed < LIMIT, "{resumed:?}\n{}", world.log());
    world.end().await;
}

/// The operator has no key to sign with.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn with_token_keys_of_the_users_own_the_lease_decides() {
    let world = World::new("keys").await;
    let key = json!({ "metadata": { "name": "own" }, "stringData": { "1": "5a".repeat(32) } });
    world.put::<Secret>(key).await;
    let resumed = resumed_after_kill(&world, json!({ "secretRef": { "name": "own" } })).await;
    assert!(resumed >= LIMIT, "{resumed:?}\n{}", world.log());
    assert!(!world.log().contains("told pods"), "{}", world.log());
    world.end().await;
}
