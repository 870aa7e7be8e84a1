//! A node that falls silent with the managed Valkey on it: one without a volume starts elsewhere, one with a volume is reported
//! with the command that helps. Also `kubectl drain`. Does I/O. The node is one in name, that this test keeps alive until it does
//! not.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::account::measured;
use super::servers::small;
use super::world::{World, eventually};

const VALKEY: &str = "chat-valkey-0";
/// From when Kubernetes calls the node silent.
const ELSEWHERE_WITHIN: Duration = Duration::from_mins(1);

impl World {
    fn nodes(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }

    fn silent_node(&self) -> String {
        format!("silent-{}", self.namespace)
    }

    /// A node in name, on which nothing is scheduled.
    async fn make_node(&self) {
        let name = self.silent_node();
        let spec = json!({ "unschedulable": true, "taints": [{ "key": "example.org/test", "value": "x", "effect": "NoSchedule" }] });
        let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name }, "spec": spec });
        self.nodes().patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(node)).await.unwrap();
        self.beat().await;
    }

    async fn beat(&self) {
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let ready = json!({ "type": "Ready", "status": "True", "reason": "Test", "lastHeartbeatTime": now });
        let status = json!({ "status": { "conditions": [ready] } });
        self.nodes()
            .patch_status(&self.silent_node(), &PatchParams::default(), &Patch::Strategic(status))
            .await
            .unwrap();
    }

    async fn is_node_ready(&self) -> bool {
        let status = self.nodes().get(&self.silent_node()).await.unwrap().status.unwrap_or_default();
        status.conditions.iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True")
    }

    /// Valkey's next pod is on that node, and is said to be ready.
    async fn place_valkey(&self) {
        let node = self.silent_node();
        let expression = format!("Object{{spec: Object.spec{{nodeName: '{node}'}}}}");
        let pods =
            json!([{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] }]);
        let is_valkey = "object.metadata.?labels['app.kubernetes.io/component'].orValue('') == 'valkey'";
        let spec = json!({
            "reinvocationPolicy": "Never",
            "matchConditions": [{ "name": "valkey", "expression": is_valkey }],
            "mutations": [{ "patchType": "ApplyConfiguration", "applyConfiguration": { "expression": expression } }],
        });
        self.policy("Mutating", pods, spec).await;
        eventually("Valkey is on the node", async || {
            let pods = self.api::<Pod>();
            match pods.get_opt(VALKEY).await.unwrap() {
                Some(pod) if pod.spec.as_ref().unwrap().node_name.as_deref() == Some(&node) => true,
                Some(_) => {
                    // The policy was not yet known when it was made.
                    let _ = pods.delete(VALKEY, &DeleteParams::default().grace_period(0)).await;
                    false
                }
                None => false,
            }
        })
        .await;
        self.no_policy("Mutating").await;
        let conditions: Vec<_> = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
            .map(|type_| json!({ "type": type_, "status": "True" }))
            .into();
        let host = json!({ "phase": "Running", "conditions": conditions, "hostIP": "192.0.2.1", "hostIPs": [{ "ip": "192.0.2.1" }] });
        let patch = json!({ "status": host });
        self.api::<Pod>().patch_status(VALKEY, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        self.beat().await;
    }

    async fn node_falls_silent(&self) {
        eventually("Kubernetes calls the node silent", async || !self.is_node_ready().await).await;
    }

    async fn end_with_node(self) {
        self.nodes().delete(&self.silent_node(), &DeleteParams::default()).await.unwrap();
        self.end().await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_valkey_without_a_volume_comes_up_elsewhere_when_its_node_falls_silent() {
    let world = World::new("silent").await;
    world.make_node().await;
    world.apply(small(&json!({}))).await;
    world.place_valkey().await;
    eventually("its Service is there", async || world.api::<Service>().get_opt("chat-valkey").await.unwrap().is_some())
        .await;
    let before = (
        world.api::<Pod>().get(VALKEY).await.unwrap().metadata.uid,
        world.api::<Service>().get("chat-valkey").await.unwrap().metadata.uid,
    );
    world.node_falls_silent().await;
    measured(ELSEWHERE_WITHIN, "another Valkey is ready after its node was found silent", async || {
        let now = world.api::<Pod>().get_opt(VALKEY).await.unwrap();
        now.is_some_and(|pod| pod.metadata.uid != before.0) && world.is_pod_ready(VALKEY).await
    })
    .await;
    eventually("its Service is another one", async || {
        let service = world.api::<Service>().get_opt("chat-valkey").await.unwrap();
        service.is_some_and(|service| service.metadata.uid != before.1)
    })
    .await;
    world.ready().await;
    world.end_with_node().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_valkey_with_a_volume_stays_and_the_command_that_helps_is_told() {
    let world = World::new("held").await;
    world.make_node().await;
    world.apply(small(&json!({ "managed": { "persistence": { "size": "64Mi" } } }))).await;
    world.place_valkey().await;
    let before = world.api::<Pod>().get(VALKEY).await.unwrap().metadata.uid;
    world.node_falls_silent().await;
    let message = world.said("chat", "Degraded", "True/NodeAway").await;
    let command =
        format!("kubectl taint nodes {} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute", world.silent_node());
    assert!(message.contains(&command), "{message}");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.api::<Pod>().get(VALKEY).await.unwrap().metadata.uid, before, "it is not let go");
    world.end_with_node().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_node_with_a_managed_valkey_can_be_drained() {
    let world = World::new("drained").await;
    // A drain takes pods of all namespaces that match: none but this test's have this name.
    let (name, valkey) = ("drained", "drained-valkey-0");
    world.apply_as(name, small(&json!({}))).await;
    world.ready_as(name).await;
    let node = world.api::<Pod>().get(valkey).await.unwrap().spec.unwrap().node_name.unwrap();
    let selector = "--pod-selector=app.kubernetes.io/instance=drained";
    // Other tests' pods are on the node: so it is asked for, and not done.
    let output = world.kubectl(&["drain", &node, "--dry-run=server", selector, "--ignore-daemonsets", "--timeout=20s"]);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && !said.contains("local storage"), "{said}");
    assert!(said.contains(valkey), "{said}");
    // In that way it does go, and comes back.
    let uid = world.api::<Pod>().get(valkey).await.unwrap().metadata.uid;
    let eviction = kube::api::EvictParams::default();
    world.api::<Pod>().evict(valkey, &eviction).await.unwrap();
    eventually("another Valkey is ready", async || {
        let now = world.api::<Pod>().get_opt(valkey).await.unwrap();
        now.is_some_and(|pod| pod.metadata.uid != uid) && world.is_pod_ready(valkey).await
    })
    .await;
    world.ready_as(name).await;
    world.end().await;
}
