//! A node that runs nothing: an admission policy binds all pods of some namespaces to it, and here they are marked ready, said to
//! be broken if their image is, and removed when they are deleted. Does I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::ResourceExt;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams, Preconditions,
};
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::eventually;

/// Of namespaces: the node that their pods are bound to.
const LABEL: &str = "chatd.dev/test-node";
const POLICY: &str = "chatd-test-nodes";
/// What images hold that cannot be pulled.
pub const BAD: &str = "is-not-there";
/// Controllers take a node for dead after 50 s without a word.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The uids of all pods that there ever were, by namespace and name.
type History = Arc<Mutex<BTreeMap<(String, String), BTreeSet<String>>>>;

pub struct Kubelet {
    client: kube::Client,
    node: String,
    history: History,
    /// Ends with it.
    _tasks: JoinSet<()>,
}

impl Kubelet {
    pub async fn start(client: kube::Client, node: &str) -> Self {
        bind_pods_by_label(&client).await;
        register(&client, node).await;
        let history = History::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(beat(client.clone(), node.to_owned()));
        tasks.spawn(run_pods(client.clone(), node.to_owned(), Arc::clone(&history)));
        Self { client, node: node.to_owned(), history, _tasks: tasks }
    }

    /// Makes a namespace whose pods are this node's.
    pub async fn namespace(&self, name: &str) {
        let object = json!({ "metadata": { "name": name, "labels": { LABEL: self.node } } });
        let object: Namespace = serde_json::from_value(object).unwrap();
        Api::<Namespace>::all(self.client.clone()).create(&PostParams::default(), &object).await.unwrap();
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), name);
        let pod = json!({ "metadata": { "name": "probe" }, "spec": { "containers": [{ "name": "c", "image": "i" }] } });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        eventually("the admission policy binds pods", async || {
            // Refused until the namespace has its ServiceAccount.
            let bound = pods.create(&dry, &pod).await;
            bound.is_ok_and(|pod| pod.spec.unwrap().node_name.as_deref() == Some(self.node.as_str()))
        })
        .await;
    }

    /// How many pods of each name there have been in a namespace.
    pub fn pods_ever(&self, namespace: &str) -> BTreeMap<String, usize> {
        let history = self.history.lock().unwrap();
        let here = history.iter().filter(|((of, _), _)| of == namespace);
        here.map(|((_, name), uids)| (name.clone(), uids.len())).collect()
    }

    pub fn forget(&self, namespace: &str) {
        self.history.lock().unwrap().retain(|(of, _), _| of != namespace);
    }

    pub async fn end(self) {
        let nodes: Api<Node> = Api::all(self.client.clone());
        nodes.delete(&self.node, &DeleteParams::default()).await.unwrap();
    }
}

/// So that no scheduler has to be kept from them. The same for all tests, and it stays with the cluster.
async fn bind_pods_by_label(client: &kube::Client) {
    let expression = format!("Object{{spec: Object.spec{{nodeName: namespaceObject.metadata.labels['{LABEL}']}}}}");
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": { "name": POLICY },
        "spec": {
            "failurePolicy": "Fail", "reinvocationPolicy": "Never",
            "matchConstraints": {
                "namespaceSelector": { "matchExpressions": [{ "key": LABEL, "operator": "Exists" }] },
                "resourceRules": [
                    { "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] },
                ],
            },
            "mutations": [
                { "patchType": "ApplyConfiguration", "applyConfiguration": { "expression": expression } },
            ],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
        "metadata": { "name": POLICY }, "spec": { "policyName": POLICY },
    });
    for (object, plural) in [(policy, "mutatingadmissionpolicies"), (binding, "mutatingadmissionpolicybindings")] {
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", object["kind"].as_str().unwrap());
        let resource = ApiResource::from_gvk_with_plural(&kind, plural);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        api.patch(POLICY, &PatchParams::apply("test").force(), &Patch::Apply(object)).await.unwrap();
    }
}

async fn register(client: &kube::Client, name: &str) {
    let nodes: Api<Node> = Api::all(client.clone());
    let taint = json!({ "key": LABEL, "value": name, "effect": "NoSchedule" });
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": name },
        "spec": { "unschedulable": true, "taints": [taint] },
    });
    nodes.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(node)).await.unwrap();
    say_ready(&nodes, name).await.unwrap();
}

async fn say_ready(nodes: &Api<Node>, name: &str) -> Result<Node, kube::Error> {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let ready = json!({ "type": "Ready", "status": "True", "reason": "Test", "lastHeartbeatTime": now });
    let status = json!({ "status": { "conditions": [ready] } });
    nodes.patch_status(name, &PatchParams::default(), &Patch::Strategic(status)).await
}

async fn beat(client: kube::Client, name: String) {
    let nodes: Api<Node> = Api::all(client);
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        let _ = say_ready(&nodes, &name).await;
    }
}

async fn run_pods(client: kube::Client, node: String, history: History) {
    let all: Api<Pod> = Api::all(client.clone());
    let config = watcher::Config::default().fields(&format!("spec.nodeName={node}"));
    let mut events = pin!(watcher(all, config));
    let mut work = JoinSet::new();
    while let Some(event) = events.next().await {
        if let Ok(Event::Apply(pod) | Event::InitApply(pod)) = event {
            let place = (pod.namespace().unwrap(), pod.name_any());
            history.lock().unwrap().entry(place).or_default().insert(pod.uid().unwrap());
            work.spawn(turn(client.clone(), pod));
        }
        while work.try_join_next().is_some() {}
    }
}

/// What a node would do next about a pod. It may have gone meanwhile.
async fn turn(client: kube::Client, pod: Pod) {
    let (name, uid) = (pod.name_any(), pod.uid().unwrap());
    let pods: Api<Pod> = Api::namespaced(client, &pod.namespace().unwrap());
    if pod.metadata.deletion_timestamp.is_some() {
        let only = Preconditions { uid: Some(uid), resource_version: None };
        let now = DeleteParams { preconditions: Some(only), ..DeleteParams::default().grace_period(0) };
        let _ = pods.delete(&name, &now).await;
        return;
    }
    let before = pod.status.clone().unwrap_or_default();
    let is_said = before.phase.as_deref() == Some("Running") || before.container_statuses.is_some();
    if !is_said {
        let patch = json!({ "metadata": { "uid": uid }, "status": status(&pod) });
        let _ = pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
    }
}

fn status(pod: &Pod) -> Value {
    let container = &pod.spec.as_ref().unwrap().containers[0];
    let image = container.image.clone().unwrap_or_default();
    if image.contains(BAD) {
        let waiting = json!({ "reason": "ImagePullBackOff", "message": "Back-off pulling image" });
        let container = json!({
            "name": container.name, "image": image, "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": waiting },
        });
        return json!({ "phase": "Pending", "containerStatuses": [container] });
    }
    let conditions: Vec<Value> = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
        .map(|type_| json!({ "type": type_, "status": "True" }))
        .into();
    json!({ "phase": "Running", "conditions": conditions, "hostIP": "192.0.2.1", "hostIPs": [{ "ip": "192.0.2.1" }] })
}
