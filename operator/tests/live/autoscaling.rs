//! An autoscaler that follows real work. It takes longest of all, so its name has it begin among the first. Does I/O.

use std::time::Duration;

use serde_json::json;

use super::chat::Flood;
use super::servers::small;
use super::world::{World, within};

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
