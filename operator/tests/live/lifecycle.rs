//! One deployment from apply to delete, and one whose name is taken. Does I/O.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use operator::api::ChatDeployment;
use serde_json::json;

use super::world::{World, eventually, stays, within};

/// Of each condition, since when it has been as it is.
async fn since(world: &World) -> Vec<(String, String)> {
    let conditions = world.status_of("chat").await.conditions.into_iter();
    conditions.map(|condition| (condition.type_, condition.last_transition_time)).collect()
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_deployment_lives_from_apply_to_delete() {
    let mut world = World::new("life").await;
    let started = Instant::now();
    world.apply(json!({})).await;
    world.ready().await;
    println!("apply to Ready: {:?}", started.elapsed());

    // At rest nothing is written.
    let version = async || world.api::<ChatDeployment>().get("chat").await.unwrap().metadata.resource_version;
    let before = version().await;
    world.apply(json!({})).await;
    assert_eq!(version().await, before, "applying the same again changes nothing");

    // What is deleted or edited is put back; what others add stays.
    let services = world.api::<Service>();
    services.delete("chat", &DeleteParams::default()).await.unwrap();
    let budgets = world.api::<PodDisruptionBudget>();
    let patch = json!({ "metadata": { "labels": { "mine": "yes" } }, "spec": { "maxUnavailable": 3 } });
    budgets.patch("chat", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    let started = Instant::now();
    eventually("the Service is back", async || services.get_opt("chat").await.unwrap().is_some()).await;
    eventually("the budget is back", async || {
        let budget = budgets.get("chat").await.unwrap();
        budget.metadata.labels.unwrap().contains_key("mine")
            && budget.spec.unwrap().max_unavailable
                == Some(k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(1))
    })
    .await;
    assert!(started.elapsed() < Duration::from_secs(5), "put back after {:?}", started.elapsed());

    // An operator that finds it all there says nothing else for a moment.
    let before = since(&world).await;
    world.restart_operator();
    world.apply(json!({ "rollout": { "paused": true } })).await;
    world.ready().await;
    assert_eq!(since(&world).await, before);

    // A bad image stops at one pod, and its correction heals it.
    let good = world.pods().await;
    world.apply(json!({ "image": "chatd.local/is-not-there:1", "imagePullPolicy": "Never" })).await;
    eventually("a bad image is said", async || world.condition("Degraded").await == "True/ImagePullFailed").await;
    let now = world.pods().await;
    assert_eq!(now.iter().filter(|pod| good.contains(pod)).count(), 2, "two of three pods stay: {now:?}");
    world.apply(json!({})).await;
    world.ready().await;
    let healed = world.pods().await;
    assert_eq!(healed.iter().filter(|pod| good.contains(pod)).count(), 2, "the good ones never moved: {healed:?}");

    // Another directory: no pod of the old one is left when the first of the new one is there.
    world.apply(json!({ "redis": { "keyPrefix": "other:" } })).await;
    eventually("all pods are other ones", async || {
        let now = world.pods().await;
        let old = now.iter().filter(|pod| healed.contains(pod)).count();
        assert!(old == 0 || old == now.len(), "pods of two directories side by side: {now:?}");
        old == 0 && now.len() == 3
    })
    .await;
    world.ready().await;

    // It takes its children along, and nothing else.
    let foreign = json!({ "metadata": { "name": "not-ours" }, "stringData": { "a": "b" } });
    world.api::<Secret>().create(&PostParams::default(), &serde_json::from_value(foreign).unwrap()).await.unwrap();
    world.api::<ChatDeployment>().delete("chat", &DeleteParams::background()).await.unwrap();
    eventually("all children are gone", async || {
        let ours = ListParams::default().labels("app.kubernetes.io/managed-by=chatd-operator");
        let services = world.api::<Service>().list(&ours).await.unwrap().items.len();
        let sets = world.api::<StatefulSet>().list(&ours).await.unwrap().items.len();
        let secrets = world.api::<Secret>().list(&ours).await.unwrap().items.len();
        services + sets + secrets == 0
    })
    .await;
    assert!(world.api::<Secret>().get_opt("not-ours").await.unwrap().is_some());
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_is_somebody_elses_is_left_alone_and_said() {
    let world = World::new("foreign").await;
    let service = json!({ "metadata": { "name": "chat" }, "spec": { "ports": [{ "port": 1 }] } });
    let services = world.api::<Service>();
    let before = services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
    world.apply(json!({ "replicas": 1 })).await;
    eventually("the conflict is said", async || world.condition("Degraded").await == "True/NameConflict").await;
    // However often it was reconciled meanwhile.
    for nth in 0..20 {
        let patch = json!({ "spec": { "rollout": { "partition": nth % 2 } } });
        let generation = world.merge::<ChatDeployment>("chat", patch).await.metadata.generation;
        eventually("it was reconciled", async || world.status_of("chat").await.observed_generation == generation).await;
        assert_eq!(world.condition("Degraded").await, "True/NameConflict", "reconcile {nth}");
    }
    stays(Duration::from_secs(15), "the conflict is said", async || world.condition("Degraded").await).await;
    let after = services.get("chat").await.unwrap();
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version);
    services.delete("chat", &DeleteParams::default()).await.unwrap();
    let is_made = async || services.get_opt("chat").await.unwrap().is_some();
    within(Duration::from_secs(15), "ours is made in its place", is_made).await;
    world.ready().await;
    world.end().await;
}
