//! The Valkey that the operator runs: with a volume and without, its pod deleted, its password rotated. Does I/O.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use kube::api::DeleteParams;
use operator::api::ChatDeployment;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::chat::{Chat, Talker};
use super::servers::small;
use super::world::{World, eventually, redis_image};

const VALKEY: &str = "chat-valkey-0";

fn with_volume(when_deleted: &str) -> Value {
    // Redis' image, for the program that asks it.
    small(
        &json!({ "managed": { "image": redis_image(), "persistence": { "size": "64Mi", "whenDeleted": when_deleted } } }),
    )
}

struct Reasons {
    task: JoinHandle<BTreeSet<String>>,
    ends: CancellationToken,
}

impl Reasons {
    async fn end(self) -> BTreeSet<String> {
        self.ends.cancel();
        self.task.await.unwrap()
    }
}

impl World {
    /// Asks the managed Valkey as chatd's own user.
    async fn ask_valkey(&self, arguments: &[&str]) -> String {
        let password = self.secret_value("chat-valkey", "password").await;
        let mut all = vec!["--no-auth-warning", "--user", "chatd", "--pass", &password];
        all.extend(arguments);
        self.redis_cli(VALKEY, &all)
    }

    async fn replace_valkey(&self) {
        let pods = self.api::<Pod>();
        let before = pods.get(VALKEY).await.unwrap().metadata.uid;
        pods.delete(VALKEY, &DeleteParams::default()).await.unwrap();
        self.valkey_is_another_than(before).await;
    }

    async fn valkey_is_another_than(&self, before: Option<String>) {
        eventually("another Valkey is ready", async || {
            let now = self.api::<Pod>().get_opt(VALKEY).await.unwrap();
            now.is_some_and(|pod| pod.metadata.uid != before) && self.is_pod_ready(VALKEY).await
        })
        .await;
    }

    /// Notes every reason of Degraded from now on.
    fn reasons_seen(&self) -> Reasons {
        let (api, ends) = (self.api::<ChatDeployment>(), CancellationToken::new());
        let ended = ends.clone();
        let task = tokio::spawn(async move {
            let mut seen = BTreeSet::new();
            while !ended.is_cancelled() {
                let status = api.get("chat").await.unwrap().status.unwrap_or_default();
                let degraded = status.conditions.into_iter().filter(|condition| condition.type_ == "Degraded");
                seen.extend(degraded.map(|condition| condition.reason));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            seen
        });
        Reasons { task, ends }
    }

    async fn delete_chat(&self) {
        self.api::<ChatDeployment>().delete("chat", &DeleteParams::background()).await.unwrap();
        eventually("all pods are gone", async || self.names::<Pod>().await.is_empty()).await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_volume_keeps_what_valkey_holds_and_stays_when_it_is_to_be_retained() {
    let world = World::new("volume").await;
    world.apply(with_volume("Retain")).await;
    world.ready().await;

    // Two writes of one script are a transaction in the append-only file, as chatd's own are.
    let script = "redis.call('set','chat:kept','one') redis.call('set','chat:too','two')";
    world.ask_valkey(&["eval", script, "0"]).await;
    world.replace_valkey().await;
    assert_eq!(world.ask_valkey(&["get", "chat:kept"]).await, "one");
    assert_eq!(world.ask_valkey(&["get", "chat:too"]).await, "two");
    world.ready().await;

    world.delete_chat().await;
    assert_eq!(world.names::<PersistentVolumeClaim>().await, [format!("data-{VALKEY}")]);
    world.apply(with_volume("Retain")).await;
    world.ready().await;
    assert_eq!(world.ask_valkey(&["get", "chat:kept"]).await, "one", "one that is made again finds its data");

    world.delete_chat().await;
    world.api::<PersistentVolumeClaim>().delete(&format!("data-{VALKEY}"), &DeleteParams::default()).await.unwrap();
    eventually("the volume is gone", async || world.names::<PersistentVolumeClaim>().await.is_empty()).await;
    world.apply(with_volume("Delete")).await;
    world.ready().await;
    world.delete_chat().await;
    eventually("the volume goes too", async || world.names::<PersistentVolumeClaim>().await.is_empty()).await;
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_valkey_gets_a_volume_by_way_of_an_external_redis_however_short_that_way() {
    let world = World::new("way").await;
    world.apply(small(&json!({}))).await;
    world.ready().await;
    let before = world.api::<StatefulSet>().get("chat-valkey").await.unwrap().metadata.uid;
    world.apply(small(&json!({ "type": "External", "external": { "url": "redis://nowhere:6379" } }))).await;
    world.apply(with_volume("Delete")).await;
    eventually("the set has made way", async || {
        let set = world.api::<StatefulSet>().get_opt("chat-valkey").await.unwrap();
        set.is_some_and(|set| set.metadata.uid != before && set.spec.unwrap().volume_claim_templates.is_some())
    })
    .await;
    // Chat pods ride out the time without Redis and stay ready: that says nothing about Valkey.
    eventually("Valkey runs on its volume", async || {
        world.names::<PersistentVolumeClaim>().await == [format!("data-{VALKEY}")] && world.is_pod_ready(VALKEY).await
    })
    .await;
    world.ready().await;
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_valkey_that_comes_back_empty_or_with_another_password_costs_no_room() {
    let mut world = World::new("rotate").await;
    let mut spec = small(&json!({}));
    spec["replicas"] = 2.into();
    world.apply(spec).await;
    world.ready().await;
    let pods = world.pods().await;
    let hosts: Vec<&str> = pods.iter().map(|pod| pod.ip.as_str()).collect();
    let room = Chat::create(hosts[0], 7654);
    let alice = Talker::start(hosts[0], 7654, &room, "alice");

    let watch = world.reasons_seen();
    world.replace_valkey().await;
    let seen = watch.end().await;
    assert!(!seen.iter().any(|reason| reason == "CrashLooping"), "it was replaced in good order: {seen:?}");
    // Through the other pod: so it is in the directory again.
    let (bob, _) = Chat::join(hosts[1], 7654, &room, "bob");

    let before = world.api::<Pod>().get(VALKEY).await.unwrap().metadata.uid;
    let password = world.secret_value("chat-valkey", "password").await;
    world.api::<Secret>().delete("chat-valkey", &DeleteParams::default()).await.unwrap();
    world.restart_operator();
    world.valkey_is_another_than(before).await;
    assert_ne!(world.secret_value("chat-valkey", "password").await, password);
    world.hurry_files().await;
    world.ready().await;
    let (carol, _) = Chat::join(hosts[1], 7654, &room, "carol");

    let told = alice.end();
    assert!(told.wrong.is_empty() && told.comebacks == 0, "{told:?}");
    assert!(told.longest_wait < Duration::from_secs(5), "{told:?}");
    assert_eq!(world.pods().await, pods, "no chat pod was touched");
    drop((bob, carol));
    world.end().await;
}
