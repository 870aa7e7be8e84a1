//! Two ChatDeployments on one Redis and prefix: the second does not serve, and says why. Does I/O.

use kube::api::DeleteParams;
use operator::api::ChatDeployment;
use serde_json::json;

use super::servers::external;
use super::world::{World, eventually};

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_prefix_that_is_in_use_keeps_pods_unready_until_it_is_free_or_another() {
    let world = World::new("prefix").await;
    world.redis("shared", 6379, &["redis-server", "--save", "", "--protected-mode", "no"], None).await;
    let url = format!("redis://{}:6379", world.host("shared"));
    let spec = |prefix: &str| {
        let mut spec = external(&url, prefix, &json!({}));
        spec["replicas"] = 2.into();
        spec
    };
    world.apply_as("first", spec("chat:")).await;
    world.ready_as("first").await;
    for name in ["second", "third"] {
        world.apply_as(name, spec("chat:")).await;
    }
    for name in ["second", "third"] {
        let message = world.said(name, "RedisReady", "False/PrefixInUse").await;
        assert!(message.contains("redis.keyPrefix"), "{message}");
        world.said(name, "Degraded", "True/RedisNotReady").await;
        let pods = world.pods_of(name).await;
        assert!(pods.len() == 2 && pods.iter().all(|pod| !pod.is_ready), "{pods:?}");
    }
    assert_eq!(world.condition_of("first", "Ready").await, "True/AllReady", "the first is not harmed");

    world.apply_as("second", spec("other:")).await;
    world.ready_as("second").await;
    let waiting = world.pods_of("third").await;
    world.api::<ChatDeployment>().delete("first", &DeleteParams::background()).await.unwrap();
    world.ready_as("third").await;
    let uids = |pods: Vec<super::world::ChatPod>| pods.into_iter().map(|pod| pod.uid).collect::<Vec<_>>();
    assert_eq!(uids(world.pods_of("third").await), uids(waiting), "the waiting ones serve now");
    eventually("nothing of the first is left", async || world.pods_of("first").await.is_empty()).await;
    world.end().await;
}
