//! The operator against a real cluster, from apply to delete. Needs KUBECONFIG, the installed CRD, and the images
//! `CHATD_TEST_IMAGE` (chatd.local/chatd:dev) and `VALKEY_TEST_IMAGE` (chatd.local/redis:7) on its nodes:
//! `cargo test -p operator --test lifecycle -- --ignored`. Where pods cannot be reached from here, CHATD_TEST_ENTER holds what to
//! run the operator with, such as `nsenter --net=/run/netns/chatd-test-1`.
#![allow(clippy::unwrap_used)]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use operator::api::ChatDeployment;
use serde_json::{Value, json};

/// Ends the operator by its id, however the test ends.
struct Operator(Child);

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct World {
    client: kube::Client,
    namespace: String,
    _operator: Operator,
}

impl World {
    async fn new(name: &str) -> Self {
        let client = kube::Client::try_default().await.expect("a cluster: set KUBECONFIG");
        let namespace = format!("operator-{name}-{}", std::process::id());
        let object: Namespace = serde_json::from_value(json!({
            "metadata": { "name": namespace, "labels": { "pod-security.kubernetes.io/enforce": "restricted" } },
        }))
        .unwrap();
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &object).await.unwrap();
        let variable = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        let enter = variable("CHATD_TEST_ENTER", "env");
        let mut words = enter.split_whitespace();
        let operator = Command::new(words.next().unwrap())
            .args(words)
            .arg(env!("CARGO_BIN_EXE_chatd-operator"))
            .args(["run", "--admin-listen", "127.0.0.1:0", "--watch-namespace", &namespace])
            .args(["--chatd-image", &variable("CHATD_TEST_IMAGE", "chatd.local/chatd:dev")])
            .args(["--valkey-image", &variable("VALKEY_TEST_IMAGE", "chatd.local/redis:7")])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { client, namespace, _operator: Operator(operator) }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn apply(&self, spec: Value) {
        let object = json!({
            "apiVersion": "chatd.dev/v1alpha1", "kind": "ChatDeployment", "metadata": { "name": "chat" }, "spec": spec,
        });
        let parameters = PatchParams::apply("test").force();
        self.api::<ChatDeployment>().patch("chat", &parameters, &Patch::Apply(object)).await.unwrap();
    }

    /// `Status/Reason` of a condition, if it is about the present spec.
    async fn condition(&self, type_: &str) -> String {
        let deployment = self.api::<ChatDeployment>().get("chat").await.unwrap();
        let conditions = deployment.status.unwrap_or_default().conditions;
        let current = conditions.iter().find(|condition| {
            condition.type_ == type_ && condition.observed_generation == deployment.metadata.generation
        });
        current.map(|condition| format!("{}/{}", condition.status, condition.reason)).unwrap_or_default()
    }

    async fn ready(&self) {
        eventually("Ready", async || self.condition("Ready").await == "True/AllReady").await;
    }

    /// Name, revision and uid of each chat pod.
    async fn pods(&self) -> Vec<(String, String, String)> {
        let chat = ListParams::default().labels("app.kubernetes.io/component=chat");
        let pods = self.api::<Pod>().list(&chat).await.unwrap().items;
        let of = |pod: Pod| {
            let revision = pod.metadata.labels.unwrap()["controller-revision-hash"].clone();
            (pod.metadata.name.unwrap(), revision, pod.metadata.uid.unwrap())
        };
        pods.into_iter().map(of).collect()
    }

    async fn end(self) {
        Api::<Namespace>::all(self.client.clone()).delete(&self.namespace, &DeleteParams::background()).await.unwrap();
    }
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(2);
    while !holds().await {
        assert!(Instant::now() < deadline, "not within two minutes: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_deployment_lives_from_apply_to_delete() {
    let world = World::new("life").await;
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
    let after = services.get("chat").await.unwrap();
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version);
    services.delete("chat", &DeleteParams::default()).await.unwrap();
    world.ready().await;
    world.end().await;
}
