//! Scaling by free seats under people who come, talk and leave, alone and beside a real autoscaler by CPU. Does I/O.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::ListParams;
use operator::api::ChatDeployment;
use operator::desired::MANAGER;
use serde_json::{Value, json};

use super::chat::{Chat, Talker};
use super::servers::small;
use super::world::{World, eventually, stays, within};

/// The pods are asked every 8 s; the rest is what a machine with other work takes.
const AT_ONCE: Duration = Duration::from_secs(20);
/// `stabilizationSeconds`.
const WINDOW: Duration = Duration::from_secs(20);
/// The window, and two pods that end.
const DOWN: Duration = Duration::from_mins(2);

/// Pods of ten places, of which so many are to be free.
fn spec(free: &Value, more: &Value) -> Value {
    let mut spec = small(&json!({}));
    spec["limits"]["maxConnections"] = 10.into();
    spec["rooms"] = json!({ "balance": false });
    spec["autoscaling"] =
        json!({ "minReplicas": 1, "maxReplicas": 4, "freeSeats": free, "stabilizationSeconds": WINDOW.as_secs() });
    spec["autoscaling"].as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    spec
}

/// People who sit in rooms of four and are silent. They leave by ending their connections.
fn players(host: &str, count: usize) -> Vec<Chat> {
    let mut room = String::new();
    let player = |number| {
        if number % 4 == 0 {
            room = Chat::create(host, 7654);
        }
        let start = format!("JOINED {room} p{number} ");
        Chat::ask_until(host, 7654, &format!("JOIN {room} p{number}"), &start).0
    };
    (0..count).map(player).collect()
}

/// Somebody who talks in a room of this pod, and comes back by the Service.
async fn talker(world: &World, host: &str, name: &str) -> Talker {
    let room = Chat::create(host, 7654);
    let (chat, token) = Chat::join(host, 7654, &room, name);
    Talker::of(chat, token, &world.front_door().await, 7654, &room, name)
}

fn lost_nothing(talker: Talker) {
    let told = talker.end();
    println!("{told:?}");
    assert!(told.wrong.is_empty() && told.answered > 50, "{told:?}");
    assert!(told.longest_wait < Duration::from_secs(5), "{told:?}");
}

impl World {
    async fn replicas(&self) -> i32 {
        self.api::<StatefulSet>().get("chat").await.unwrap().spec.unwrap().replicas.unwrap()
    }

    /// Waits for this number and returns the ones on the way there. Meanwhile no two pods end at once.
    async fn reaches(&self, replicas: i32, limit: Duration) -> Vec<i32> {
        let mut seen = vec![self.replicas().await];
        within(limit, &format!("{replicas} pods"), async || {
            assert!(self.pods().await.iter().filter(|pod| pod.is_terminating).count() <= 1);
            seen.push(self.replicas().await);
            seen.last() == Some(&replicas)
        })
        .await;
        seen.dedup();
        seen
    }

    async fn all_serve(&self, count: usize) -> Vec<String> {
        eventually("all of them serve", async || {
            let pods = self.pods().await;
            pods.len() == count && pods.iter().all(|pod| pod.is_ready && !pod.is_terminating)
        })
        .await;
        let mut pods = self.pods().await;
        pods.sort_by(|one, other| one.name.cmp(&other.name));
        pods.into_iter().map(|pod| pod.ip).collect()
    }

    /// The messages of the Events of scaling, in order.
    async fn steps(&self) -> Vec<String> {
        let about = ListParams::default().fields("reason=ScaledByFreeSeats");
        let mut events = self.api::<Event>().list(&about).await.unwrap().items;
        events.sort_by_key(|event| event.metadata.creation_timestamp.clone());
        events.into_iter().filter_map(|event| event.message).collect()
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn free_seats_add_pods_at_once_and_take_them_away_one_by_one() {
    let mut world = World::new("seats").await;
    world.apply(spec(&json!(5), &json!({}))).await;
    world.ready().await;
    assert!(world.names::<HorizontalPodAutoscaler>().await.is_empty());
    let pods = world.all_serve(1).await;
    eventually("ten are free", async || world.status_of("chat").await.free_seats == Some(10)).await;

    let first = players(&pods[0], 8);
    let full = Instant::now();
    assert_eq!(world.reaches(2, AT_ONCE).await.last(), Some(&2));
    println!("from 1 to 2 pods {:?} after the last one came", full.elapsed());
    let pods = world.all_serve(2).await;
    let second = players(&pods[1], 8);
    world.reaches(3, AT_ONCE).await;
    let pods = world.all_serve(3).await;
    let talker = talker(&world, &pods[2], "alice").await;
    eventually("13 are free", async || world.status_of("chat").await.free_seats == Some(13)).await;
    // `spec.replicas` says 1, as at the beginning.
    let shown = world.kubectl_ok(&["get", "chatd", "chat"]);
    let (head, row) = shown.split_once('\n').unwrap();
    for (column, value) in [("DESIRED", "3"), ("READY", "3"), ("FREE", "13")] {
        let place = head.split_whitespace().position(|word| word == column).unwrap();
        assert_eq!(row.split_whitespace().nth(place), Some(value), "{shown}");
    }

    // Nine people and five free seats need two pods, however long it lasts.
    let left = Instant::now();
    drop(second);
    assert_eq!(world.reaches(2, DOWN).await, [3, 2]);
    assert!(left.elapsed() >= WINDOW, "{:?}", left.elapsed());
    println!("from 3 to 2 pods after {:?}", left.elapsed());
    world.all_serve(2).await;
    stays(WINDOW * 2, "people sit there", async || world.replicas().await).await;

    // An operator that starts knows nothing of the past: the window begins again.
    drop(first);
    stays(WINDOW / 2, "the window", async || world.replicas().await).await;
    world.restart_operator();
    let restarted = Instant::now();
    assert_eq!(world.reaches(1, DOWN).await, [2, 1]);
    assert!(restarted.elapsed() >= WINDOW, "{:?}", restarted.elapsed());
    world.all_serve(1).await;
    world.ready().await;
    lost_nothing(talker);
    let steps = world.steps().await;
    let expected = ["from 1 to 2", "from 2 to 3", "from 3 to 2", "from 2 to 1"];
    assert!(
        steps.len() == 4 && steps.iter().zip(expected).all(|(step, expected)| step.contains(expected)),
        "{steps:#?}"
    );
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn free_seats_follow_a_share_the_bounds_and_other_limits() {
    let world = World::new("share").await;
    world.apply(spec(&json!("50%"), &json!({}))).await;
    world.ready().await;
    let pods = world.all_serve(1).await;
    let mut talkers = Vec::new();
    for number in 0..6 {
        talkers.push(talker(&world, &pods[0], &format!("t{number}")).await);
    }
    // 14 of 20 are free, of which 10 are to be; with one pod 4 would be of 10.
    world.reaches(2, AT_ONCE).await;
    world.all_serve(2).await;

    // More than the bounds give.
    world.apply(spec(&json!(1000), &json!({ "maxReplicas": 3 }))).await;
    world.reaches(3, AT_ONCE).await;
    world.all_serve(3).await;
    let message = world.said("chat", "Progressing", "False/FreeSeatsLimited").await;
    assert!(message.contains("maxReplicas"), "{message}");
    assert_eq!(world.condition("Ready").await, "True/AllReady");
    let steps = world.steps().await;
    stays(WINDOW, "the most", async || (world.replicas().await, world.steps().await)).await;
    assert_eq!(steps.len(), 2, "{steps:#?}");

    // One pod of 40 would do for the seats.
    let with_places = |places: i32| {
        let mut spec = spec(&json!(5), &json!({ "minReplicas": 2 }));
        spec["limits"]["maxConnections"] = places.into();
        spec
    };
    world.apply(with_places(40)).await;
    world.reaches(2, DOWN).await;
    world.ready().await;
    stays(WINDOW * 2, "the least", async || world.replicas().await).await;

    // Six people and five free seats need three pods of five, and they are there before the first one ends.
    let before = world.pods().await;
    world.apply(with_places(5)).await;
    world.reaches(3, AT_ONCE).await;
    eventually("all have the other limit", async || {
        let pods = world.pods().await;
        let ready = pods.iter().filter(|pod| pod.is_ready && !pod.is_terminating).count();
        let is_new = pods.iter().all(|pod| !before.contains(pod));
        assert!(ready >= 2, "{pods:#?}");
        is_new && ready == 3
    })
    .await;
    world.ready().await;
    assert_eq!(world.replicas().await, 3);
    talkers.into_iter().for_each(lost_nothing);
    world.end().await;
}

/// The managers that wrote a field of the spec.
fn writers(fields: Option<Vec<ManagedFieldsEntry>>, field: &str) -> Vec<String> {
    let has = |entry: &ManagedFieldsEntry| !entry.fields_v1.as_ref().unwrap().0["f:spec"][field].is_null();
    fields.unwrap().into_iter().filter(has).filter_map(|entry| entry.manager).collect()
}

impl World {
    /// What the autoscaler must not go below, and what it wrote.
    async fn autoscaler(&self) -> (i32, i32) {
        let least = self.api::<HorizontalPodAutoscaler>().get("chat").await.unwrap().spec.unwrap().min_replicas;
        (least.unwrap(), self.api::<ChatDeployment>().get("chat").await.unwrap().spec.replicas)
    }

    async fn autoscaler_comes_to(&self, expected: (i32, i32)) {
        let limit = Duration::from_mins(2);
        within(limit, &format!("(least, written) {expected:?}"), async || self.autoscaler().await == expected).await;
    }

    /// Eight people in pods of ten, of which five are to be free, and a real autoscaler that asks for one pod by CPU.
    async fn eight_beside_cpu(&self) -> Vec<Chat> {
        let rules = json!({
            "stabilizationWindowSeconds": 0, "policies": [{ "type": "Pods", "value": 5, "periodSeconds": 1 }]
        });
        let cpu = json!({ "targetCPUUtilizationPercentage": 1000, "behavior": { "scaleDown": rules } });
        self.apply(spec(&json!(5), &cpu)).await;
        self.ready().await;
        let pods = self.all_serve(1).await;
        let people = players(&pods[0], 8);
        // By the operator at once, and not when the autoscaler next looks.
        self.reaches(2, AT_ONCE).await;
        self.autoscaler_comes_to((2, 2)).await;
        self.all_serve(2).await;
        let deployment = self.api::<ChatDeployment>().get("chat").await.unwrap();
        assert_eq!(writers(deployment.metadata.managed_fields, "f:replicas"), ["kube-controller-manager"]);
        let set = self.api::<StatefulSet>().get("chat").await.unwrap();
        assert_eq!(writers(set.metadata.managed_fields, "f:replicas"), [MANAGER]);
        people
    }

    async fn metrics_condition(&self) -> String {
        let status = self.api::<HorizontalPodAutoscaler>().get("chat").await.unwrap().status.unwrap();
        let conditions = status.conditions.unwrap_or_default();
        let active = conditions.iter().find(|condition| condition.type_ == "ScalingActive");
        active.map(|condition| condition.status.clone()).unwrap_or_default()
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn free_seats_are_the_least_of_an_autoscaler_by_cpu() {
    let world = World::new("both").await;
    let people = world.eight_beside_cpu().await;
    within(Duration::from_mins(3), "it has metrics", async || world.metrics_condition().await == "True").await;
    // The greater number counts, as if CPU asked for it; then the autoscaler goes back, but not below what seats need.
    world.kubectl_ok(&["scale", "chatd/chat", "--replicas=3"]);
    world.reaches(3, AT_ONCE).await;
    world.autoscaler_comes_to((2, 2)).await;
    assert_eq!(world.reaches(2, DOWN).await.last(), Some(&2));
    stays(WINDOW * 2, "people sit there", async || (world.replicas().await, world.autoscaler().await)).await;
    drop(people);
    world.autoscaler_comes_to((1, 1)).await;
    world.reaches(1, DOWN).await;
    world.all_serve(1).await;
    world.end().await;
}

/// A cluster without a metrics server, until this is dropped.
struct NoMetrics(PathBuf);

impl NoMetrics {
    const NAME: &str = "v1beta1.metrics.k8s.io";

    fn new(world: &World) -> Self {
        let text = world.kubectl_ok(&["get", "apiservice", Self::NAME, "--output=json"]);
        let mut service: Value = serde_json::from_str(&text).unwrap();
        service["metadata"] = json!({ "name": Self::NAME });
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("metrics.json");
        std::fs::write(&file, service.to_string()).unwrap();
        world.kubectl_ok(&["delete", "apiservice", Self::NAME]);
        Self(file)
    }
}

impl Drop for NoMetrics {
    fn drop(&mut self) {
        let created = Command::new("kubectl").arg("create").arg("--filename").arg(&self.0).output().unwrap();
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    }
}

#[tokio::test]
#[ignore = "needs a cluster, and takes its metrics server away meanwhile"]
async fn free_seats_count_without_a_metrics_server() {
    let world = World::new("unmeasured").await;
    let no_metrics = NoMetrics::new(&world);
    let people = world.eight_beside_cpu().await;
    eventually("it has no metrics", async || world.metrics_condition().await == "False").await;
    drop(people);
    // The autoscaler does not know whether CPU needs the other pod.
    world.autoscaler_comes_to((1, 2)).await;
    stays(WINDOW, "nothing is known of CPU", async || (world.replicas().await, world.autoscaler().await)).await;
    drop(no_metrics);
    world.autoscaler_comes_to((1, 1)).await;
    world.reaches(1, DOWN).await;
    world.end().await;
}
