//! What keeps pods from being, told in the ChatDeployment's own status within 15 s. Does I/O.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{LimitRange, ResourceQuota};
use serde_json::{Value, json};

use super::servers::small;
use super::world::{World, within};

/// Refused at once: to find out that a host has no address takes a node without a network longer than all the rest.
const NOWHERE: &str = "127.0.0.1:1/is-not-there:1";
/// From the apply to the words in the status.
const TOLD_WITHIN: Duration = Duration::from_secs(15);

impl World {
    /// That all conditions say so, soon after `since`.
    pub async fn told(&self, name: &str, since: Instant, reason: &str, words: &str) {
        let left = TOLD_WITHIN.saturating_sub(since.elapsed());
        let expected = format!("True/{reason}");
        within(left, &format!("{name} says {reason}"), async || self.condition_of(name, "Degraded").await == expected)
            .await;
        println!("{name}: told after {:?}", since.elapsed());
        let message = self.whole_condition(name, "Degraded").await.unwrap().message;
        assert!(message.contains(words), "{name}: {message}");
        assert_eq!(self.condition_of(name, "Ready").await, format!("False/{reason}"));
        assert_eq!(self.condition_of(name, "Progressing").await, "False/Stalled");
    }
}

fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut spec = small(&json!({}));
    change(&mut spec);
    spec
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_keeps_a_pod_from_being_is_told_within_15_s_and_heals() {
    let world = World::new("failing").await;
    let missing_secret = json!({ "type": "External", "external": { "url": "redis://nowhere:6379", "auth": { "passwordSecretRef": { "name": "none", "key": "password" } } } });
    let cases = [
        ("image", "ImagePullFailed", "pod image-0", changed(|spec| spec["image"] = NOWHERE.into())),
        (
            "node",
            "Unschedulable",
            "pod node-0",
            changed(|spec| spec["pod"]["nodeSelector"] = json!({ "no": "such-node" })),
        ),
        (
            "volume",
            "VolumePending",
            "storageClassName",
            changed(|spec| {
                spec["redis"] = json!({ "managed": { "persistence": { "size": "1Gi", "storageClassName": "none" } } });
            }),
        ),
        (
            "priority",
            "CreateRefused",
            "PriorityClass",
            changed(|spec| spec["pod"]["priorityClassName"] = "none".into()),
        ),
        ("secret", "MountFailed", "secret \"none\" not found", small(&missing_secret)),
        (
            "valkey",
            "ImagePullFailed",
            "pod valkey-valkey-0",
            changed(|spec| spec["redis"] = json!({ "managed": { "image": NOWHERE } })),
        ),
    ];
    let since = Instant::now();
    for (name, _, _, spec) in &cases {
        world.apply_as(name, spec.clone()).await;
    }
    for (name, reason, words, _) in &cases {
        world.told(name, since, reason, words).await;
    }
    // The volume of a Valkey cannot be taken back from its deployment.
    let mended = || cases.iter().map(|(name, ..)| *name).filter(|name| *name != "volume");
    for name in mended() {
        world.apply_as(name, small(&json!({}))).await;
    }
    for name in mended() {
        world.ready_as(name).await;
    }
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_quota_and_a_limit_range_that_refuse_pods_are_told_and_heal() {
    let world = World::new("refusing").await;
    let limits = json!({ "limits": [{ "type": "Container", "max": { "memory": "64Mi" } }] });
    world.put::<LimitRange>(json!({ "metadata": { "name": "small" }, "spec": limits })).await;
    let mut since = Instant::now();
    // Valkey's own limit is above it.
    world.apply(small(&json!({}))).await;
    world.told("chat", since, "CreateRefused", "maximum memory usage").await;
    world.kubectl_ok(&["delete", "limitrange", "small"]);
    world.ready().await;

    world.put::<ResourceQuota>(json!({ "metadata": { "name": "few" }, "spec": { "hard": { "pods": "2" } } })).await;
    since = Instant::now();
    let mut spec = small(&json!({}));
    spec["replicas"] = 2.into();
    world.apply(spec).await;
    world.told("chat", since, "QuotaExceeded", "exceeded quota").await;
    world.kubectl_ok(&["delete", "resourcequota", "few"]);
    world.ready().await;
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_was_wrong_for_a_moment_is_not_told_any_more() {
    let world = World::new("moment").await;
    let reference = json!({ "name": "late", "key": "password" });
    let external = json!({ "url": "redis://nowhere:6379", "auth": { "passwordSecretRef": reference } });
    let since = Instant::now();
    world.apply(small(&json!({ "type": "External", "external": external }))).await;
    world.told("chat", since, "MountFailed", "secret \"late\" not found").await;
    world.secret("late", &[("password", "x")]).await;
    // The kubelet tries again after up to two minutes; the Event of before is kept for an hour.
    world.said("chat", "Degraded", "True/RedisNotReady").await;
    world.end().await;
}
