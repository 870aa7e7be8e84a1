//! An autoscaler that follows real work. It takes longest of all, so its name has it begin among the first. Does I/O.

use std::time::Duration;

use serde_json::json;

use super::chat::Flood;
use super::servers::small;
use super::world::{World, stays, within};

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_autoscaler_follows_real_work_up_and_down() {
    let world = World::new("hpa").await;
    let mut spec = small(&json!({}));
    spec["pod"]["resources"]["requests"]["cpu"] = "30m".into();
    spec["limits"] = json!({ "messagesPerSecond": 10_000, "burst": 10_000 });
    // As fast as an autoscaler goes; the defaults look back at five minutes. Down, it looks back at three measurements, so that one
    // of a moment in which other programs had the processors takes nothing back.
    let rules = |window: i32| {
        let policies = json!([{ "type": "Pods", "value": 5, "periodSeconds": 1 }]);
        json!({ "stabilizationWindowSeconds": window, "policies": policies })
    };
    spec["autoscaling"] = json!({
        "minReplicas": 1, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50,
        "behavior": { "scaleDown": rules(45), "scaleUp": rules(0) },
    });
    world.apply(spec.clone()).await;
    world.ready().await;
    let pod = world.pods().await.remove(0);
    let replicas = async || world.status_of("chat").await.replicas;
    assert_eq!(replicas().await, 1);
    // Measured on two processors at a load of 6: the pod takes 83m to 100m, of one of these alone 50m. Three pods need 33m.
    let floods = [Flood::start(&pod.ip, 7654), Flood::start(&pod.ip, 7654)];
    let most = Duration::from_mins(4);
    within(most, "scaled to the most", async || replicas().await == 3).await;
    // A tool that applies the manifest again does not take it back. The number has no place in there by then: it is the autoscaler's.
    spec.as_object_mut().unwrap().remove("replicas");
    world.apply(spec).await;
    stays(Duration::from_secs(5), "what the autoscaler asked for", replicas).await;
    within(most, "all of them serve", async || world.status_of("chat").await.ready_replicas == 3).await;
    drop(floods);
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
