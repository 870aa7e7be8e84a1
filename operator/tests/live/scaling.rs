//! Evictions, as a drain of a node asks for them, and an autoscaler that follows real work. Does I/O.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::EvictParams;
use serde_json::json;

use super::chat::{Chat, Flood};
use super::servers::small;
use super::world::{World, eventually, within};

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

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_autoscaler_follows_real_work_up_and_down() {
    let world = World::new("hpa").await;
    let mut spec = small(&json!({}));
    spec["pod"]["resources"]["requests"]["cpu"] = "30m".into();
    spec["limits"] = json!({ "messagesPerSecond": 10_000, "burst": 10_000 });
    // As fast as an autoscaler goes; the defaults look back at five minutes.
    let rules =
        json!({ "stabilizationWindowSeconds": 0, "policies": [{ "type": "Pods", "value": 5, "periodSeconds": 1 }] });
    spec["autoscaling"] = json!({
        "minReplicas": 1, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50,
        "behavior": { "scaleDown": rules, "scaleUp": rules },
    });
    world.apply(spec.clone()).await;
    world.ready().await;
    let pod = world.pods().await.remove(0);
    let flood = Flood::start(&pod.ip, 7654);
    let replicas = async || world.status_of("chat").await.replicas;
    let most = Duration::from_mins(4);
    within(most, "scaled to the most", async || replicas().await == 3).await;
    // A tool that applies the same manifest again does not take it back.
    world.apply(spec).await;
    within(most, "all of them serve", async || world.status_of("chat").await.ready_replicas == 3).await;
    drop(flood);
    let mut seen = vec![3];
    within(most, "scaled back", async || {
        let pods = world.pods().await;
        assert!(pods.iter().filter(|pod| pod.is_terminating).count() <= 1, "{pods:#?}");
        seen.push(pods.len());
        pods.len() == 1
    })
    .await;
    seen.dedup();
    assert_eq!(seen, [3, 2, 1], "one pod a step");
    world.ready().await;
    world.end().await;
}
