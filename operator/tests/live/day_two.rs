//! Changes under people who talk: roll-outs, scale-in, paused and partitioned, a broken pod in the way, new token keys, a drain of nodes.
//! Does I/O.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use kube::api::{DeleteParams, EvictParams};
use serde_json::{Value, json};

use super::chat::{Chat, Talker};
use super::servers::small;
use super::world::{ChatPod, World, eventually, stays, within};

/// What a change of this number does to the pods: a new template and nothing else.
fn spec(replicas: i32, max_players: i32, rollout: Value) -> Value {
    json!({
        "replicas": replicas, "rollout": rollout, "rooms": { "maxPlayers": max_players },
        "pod": { "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } } },
    })
}

impl World {
    /// The address of the Service that all clients come in by.
    pub async fn front_door(&self) -> String {
        self.api::<Service>().get("chat").await.unwrap().spec.unwrap().cluster_ip.unwrap()
    }

    async fn set_spec(&self) -> (i32, i32) {
        let spec = self.api::<StatefulSet>().get("chat").await.unwrap().spec.unwrap();
        (spec.replicas.unwrap(), spec.update_strategy.unwrap().rolling_update.unwrap().partition.unwrap())
    }

    /// Ordinals of pods that differ from those before.
    async fn renewed(&self, before: &[ChatPod]) -> Vec<String> {
        let is_new = |pod: &ChatPod| before.iter().all(|old| old.uid != pod.uid);
        self.pods().await.into_iter().filter(is_new).map(|pod| pod.name).collect()
    }
}

fn serving(pods: &[ChatPod]) -> usize {
    pods.iter().filter(|pod| pod.is_ready && !pod.is_terminating).count()
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_roll_out_and_a_scale_in_go_one_pod_at_a_time_and_lose_no_word() {
    let world = World::new("rolling").await;
    world.apply(spec(3, 4, json!({}))).await;
    world.ready().await;
    let before = world.pods().await;
    let door = world.front_door().await;
    let room = Chat::create(&before[2].ip, 7654);
    let talkers = [("alice", &before[2].ip), ("bob", &before[0].ip), ("carol", &door)].map(|(name, host)| {
        // Who comes back comes in by the Service: the pod's own address is gone.
        let (chat, token) = Chat::join(host, 7654, &room, name);
        Talker::of(chat, token, &door, 7654, &room, name)
    });

    world.apply(spec(3, 5, json!({}))).await;
    let started = Instant::now();
    eventually("all pods are new ones", async || {
        let pods = world.pods().await;
        assert!(serving(&pods) >= 2, "more than one pod at a time: {pods:#?}");
        world.renewed(&before).await.len() == 3 && serving(&pods) == 3
    })
    .await;
    world.ready().await;
    println!("a roll-out of three pods with rooms: {:?}", started.elapsed());
    let status = world.kubectl_ok(&["rollout", "status", "statefulset/chat", "--timeout=20s"]);
    assert!(status.contains("roll"), "{status}");

    world.kubectl_ok(&["scale", "chatd/chat", "--replicas=1"]);
    let mut seen = vec![3];
    eventually("one pod is left", async || {
        let pods = world.pods().await;
        let leaving = pods.iter().filter(|pod| pod.is_terminating).count();
        assert!(leaving <= 1, "{pods:#?}");
        let mut names: Vec<String> = pods.into_iter().map(|pod| pod.name).collect();
        names.sort();
        let rest: Vec<String> = (0..names.len()).map(|ordinal| format!("chat-{ordinal}")).collect();
        assert_eq!(names, rest, "the highest goes first");
        seen.push(names.len());
        names.len() == 1
    })
    .await;
    seen.dedup();
    assert_eq!(seen, [3, 2, 1]);
    world.ready().await;

    for told in talkers.map(Talker::end) {
        println!("{told:?}");
        assert!(told.wrong.is_empty(), "{told:?}");
        assert!(told.answered > 50, "{told:?}");
        assert!(told.longest_wait < Duration::from_secs(5), "{told:?}");
    }
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_partition_and_a_pause_hold_pods_back_until_they_are_lifted() {
    let world = World::new("held").await;
    world.apply(spec(3, 4, json!({}))).await;
    world.ready().await;
    let before = world.pods().await;

    world.apply(spec(3, 5, json!({ "partition": 2 }))).await;
    world.said("chat", "Progressing", "False/Partitioned").await;
    assert_eq!(world.condition("Ready").await, "False/Partitioned");
    assert_eq!(world.renewed(&before).await, ["chat-2"]);
    assert_eq!(world.status_of("chat").await.updated_replicas, 1);

    // A pod that is replaced meanwhile comes back as it was.
    world.api::<Pod>().delete("chat-0", &DeleteParams::default()).await.unwrap();
    eventually("chat-0 is back", async || {
        let pods = world.pods().await;
        serving(&pods) == 3 && world.renewed(&before).await.len() == 2
    })
    .await;
    let revision = |pods: &[ChatPod], name: &str| pods.iter().find(|pod| pod.name == name).unwrap().revision.clone();
    assert_eq!(revision(&world.pods().await, "chat-0"), revision(&before, "chat-0"));

    world.apply(spec(3, 5, json!({ "partition": 0, "paused": true }))).await;
    let message = world.said("chat", "Progressing", "False/Paused").await;
    assert!(message.contains("rollout.paused"), "{message}");
    stays(Duration::from_secs(3), "a pause", async || world.renewed(&before).await).await;

    world.apply(spec(3, 5, json!({ "partition": 1 }))).await;
    eventually("down to the partition", async || world.renewed(&before).await.contains(&"chat-1".to_owned())).await;
    world.said("chat", "Progressing", "False/Partitioned").await;
    world.apply(spec(3, 5, json!({}))).await;
    world.ready().await;
    let pods = world.pods().await;
    assert!(pods.iter().all(|pod| pod.revision == pods[0].revision), "{pods:#?}");
    assert_eq!(world.set_spec().await, (3, 0));
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pod_that_has_long_been_broken_holds_up_no_correction() {
    let world = World::new("broken").await;
    let key = "c2l4dGVlbiBieXRlcyBvciBtb3JlLCBvZiBub3RoaW5nIGF0IGFsbA==";
    world.secret("keys", &[("001", key)]).await;
    world.secret("better-keys", &[("001", key)]).await;
    let with_keys = |secret: &str| {
        let mut spec = spec(3, 4, json!({}));
        spec["tokenKeys"] = json!({ "secretRef": { "name": secret } });
        spec
    };
    world.apply(with_keys("keys")).await;
    world.ready().await;
    let before = world.pods().await;
    world.secret("keys", &[("001", "no key")]).await;
    world.api::<Pod>().delete("chat-0", &DeleteParams::default()).await.unwrap();
    let message = world.said("chat", "Degraded", "True/CrashLooping").await;
    assert!(message.contains("chat-0"), "{message}");
    let broken = Instant::now();
    eventually("it has been broken for a while", async || broken.elapsed() > Duration::from_secs(15)).await;

    // From the highest down, as always; the broken one is not waited for.
    world.apply(with_keys("better-keys")).await;
    let changed = Instant::now();
    within(Duration::from_secs(5), "the roll-out goes on at once", async || {
        world.pods().await.iter().any(|pod| pod.name == "chat-2" && (pod.is_terminating || pod.uid != before[2].uid))
    })
    .await;
    println!("a roll-out beside a broken pod began after {:?}", changed.elapsed());
    world.ready().await;
    assert_eq!(world.renewed(&before).await.len(), 3);
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_token_key_that_is_added_reaches_the_pods_and_the_old_ones_stay_good() {
    let mut world = World::new("keys").await;
    world.apply(spec(2, 4, json!({}))).await;
    world.ready().await;
    let pods = world.pods().await;
    let room = Chat::create(&pods[0].ip, 7654);
    let (chat, token) = Chat::join(&pods[0].ip, 7654, &room, "alice");
    world.merge::<Secret>("chat-token-keys", json!({ "stringData": { "99999999": "ab".repeat(32) } })).await;
    world.restart_operator();
    world.hurry_files().await;
    for pod in &pods {
        eventually("two keys are accepted", async || {
            Chat::page(&pod.ip, 9090, "/metrics").iter().any(|line| line == "chatd_token_keys 2")
        })
        .await;
    }
    drop(chat);
    let resume = format!("RESUME {room} {token} RELAY");
    Chat::ask_until(&pods[1].ip, 7654, &resume, &format!("JOINED {room} alice "));
    world.ready().await;
    let keys = world.api::<Secret>().get("chat-token-keys").await.unwrap().data.unwrap();
    assert_eq!(keys.len(), 2, "what the user adds stays");
    assert_eq!(world.pods().await, pods, "no pod was touched");
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_drain_gets_one_pod_at_a_time() {
    let world = World::new("drain").await;
    let mut spec = small(&json!({}));
    spec["replicas"] = 2.into();
    world.apply(spec).await;
    world.ready().await;
    let pods = world.pods().await;
    let room = Chat::create(&pods[0].ip, 7654);
    let evict = async |name: &str| world.api::<Pod>().evict(name, &EvictParams::default()).await;
    evict("chat-0").await.unwrap();
    eventually("chat-0 has gone", async || world.pods().await.iter().all(|pod| pod.uid != pods[0].uid)).await;
    Chat::join(&pods[1].ip, 7654, &room, "alice");
    // Refused with 429, on which the client asks again, until another chat-0 is in its place.
    eventually("chat-1 may go", async || evict("chat-1").await.is_ok()).await;
    assert!(world.pods().await.iter().any(|pod| pod.name == "chat-0" && pod.is_ready));
    eventually("chat-1 has gone", async || world.pods().await.iter().all(|pod| pod.uid != pods[1].uid)).await;
    world.ready().await;
    world.end().await;
}
