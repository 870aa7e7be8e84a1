//! A namespace with an operator that watches it, and what tests ask of both. Does I/O: the API server, kubectl, processes.

use std::fmt::Debug;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use operator::api::{ChatDeployment, ChatDeploymentStatus, Condition};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What has not come after this long will not come.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// Any kind of object that stands in a namespace.
pub trait Object:
    kube::Resource<DynamicType: Default, Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned
{
}

impl<K> Object for K where
    K: kube::Resource<DynamicType: Default, Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned
{
}

/// Ends the process by its id, however the test ends.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct World {
    pub client: kube::Client,
    pub namespace: String,
    operator: Option<Process>,
    log: PathBuf,
}

/// A chat pod, as tests look at it. Two readings are equal if it was not touched in between.
#[derive(Clone, Debug)]
pub struct ChatPod {
    pub name: String,
    pub revision: String,
    pub uid: String,
    pub ip: String,
    pub is_ready: bool,
    pub is_terminating: bool,
    pub restarts: i32,
}

impl PartialEq for ChatPod {
    fn eq(&self, other: &Self) -> bool {
        (&self.uid, self.restarts) == (&other.uid, other.restarts)
    }
}

pub fn variable(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

pub fn chatd_image() -> String {
    variable("CHATD_TEST_IMAGE", "chatd.local/chatd:dev")
}

/// What the operator runs for a managed Redis.
pub fn valkey_image() -> String {
    variable("VALKEY_TEST_IMAGE", "chatd.local/valkey:9")
}

/// Of the servers that tests make.
pub fn redis_image() -> String {
    variable("REDIS_TEST_IMAGE", "chatd.local/redis:7")
}

/// A program that reaches pods.
pub fn enter(program: &str) -> Command {
    let enter = variable("CHATD_TEST_ENTER", "env");
    let mut words = enter.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    command.args(words).arg(program);
    command
}

impl World {
    pub async fn new(name: &str) -> Self {
        Self::with_labels(name, json!({ "pod-security.kubernetes.io/enforce": "restricted" })).await
    }

    pub async fn with_labels(name: &str, labels: Value) -> Self {
        let mut world = Self::without_operator(name, labels).await;
        world.start_operator(&[]);
        world
    }

    pub async fn without_operator(name: &str, labels: Value) -> Self {
        // Two tests may choose the same name.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let client = kube::Client::try_default().await.expect("a cluster: set KUBECONFIG");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("operator-{name}-{}-{count}", std::process::id());
        let object = json!({ "metadata": { "name": namespace, "labels": labels } });
        let object: Namespace = serde_json::from_value(object).unwrap();
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &object).await.unwrap();
        Self { client, namespace, operator: None, log: PathBuf::new() }
    }

    /// Its log is in target/tmp, under the namespace's name.
    pub fn start_operator(&mut self, arguments: &[&str]) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{count}.log", self.namespace));
        let operator = enter(env!("CARGO_BIN_EXE_chatd-operator"))
            .args(["run", "--admin-listen", "127.0.0.1:0", "--watch-namespace", &self.namespace])
            .args(["--chatd-image", &chatd_image(), "--valkey-image", &valkey_image()])
            .args(arguments)
            .stdout(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        self.operator = Some(Process(operator));
        self.log = log;
    }

    /// What the operator has said since it was last started.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Where the operator has its admin port.
    pub fn admin_address(&self) -> Option<String> {
        let log = self.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut found = lines.filter(|line| line["message"].as_str().is_some_and(|text| text.contains("/metrics")));
        Some(found.next()?["address"].as_str()?.to_owned())
    }

    pub fn stop_operator(&mut self) {
        self.operator = None;
    }

    /// A new operator reads everything again, including Secrets, which are not watched.
    pub fn restart_operator(&mut self) {
        self.stop_operator();
        self.start_operator(&[]);
    }

    pub fn api<K: Object>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Server-side apply of the ChatDeployment `chat`.
    pub async fn apply(&self, spec: Value) {
        self.apply_as("chat", spec).await;
    }

    pub async fn apply_as(&self, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": "chatd.dev/v1beta1", "kind": "ChatDeployment", "metadata": { "name": name }, "spec": spec,
        });
        let parameters = PatchParams::apply("test").force();
        self.api::<ChatDeployment>().patch(name, &parameters, &Patch::Apply(object)).await.unwrap();
    }

    /// Makes an object, or makes it what it should be.
    pub async fn put<K: Object + Serialize>(&self, object: Value) -> K {
        let kind = K::DynamicType::default();
        let mut object = object;
        object["apiVersion"] = K::api_version(&kind).into();
        object["kind"] = K::kind(&kind).into();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let parameters = PatchParams::apply("test").force();
        self.api::<K>().patch(&name, &parameters, &Patch::Apply(object)).await.unwrap()
    }

    pub async fn merge<K: Object>(&self, name: &str, patch: Value) -> K {
        self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
    }

    pub async fn status_of(&self, name: &str) -> ChatDeploymentStatus {
        self.api::<ChatDeployment>().get(name).await.unwrap().status.unwrap_or_default()
    }

    /// A condition, if it is about the present spec.
    pub async fn whole_condition(&self, name: &str, type_: &str) -> Option<Condition> {
        let deployment = self.api::<ChatDeployment>().get(name).await.unwrap();
        let conditions = deployment.status.unwrap_or_default().conditions.into_iter();
        let is_current = |condition: &Condition| condition.observed_generation == deployment.metadata.generation;
        conditions.filter(is_current).find(|condition| condition.type_ == type_)
    }

    /// `Status/Reason` of a condition, if it is about the present spec.
    pub async fn condition_of(&self, name: &str, type_: &str) -> String {
        let condition = self.whole_condition(name, type_).await;
        condition.map(|condition| format!("{}/{}", condition.status, condition.reason)).unwrap_or_default()
    }

    pub async fn condition(&self, type_: &str) -> String {
        self.condition_of("chat", type_).await
    }

    /// Waits until a condition is `Status/Reason`, and returns its message.
    pub async fn said(&self, name: &str, type_: &str, expected: &str) -> String {
        eventually(&format!("{name}: {type_} is {expected}"), async || {
            self.condition_of(name, type_).await == expected
        })
        .await;
        self.whole_condition(name, type_).await.map(|condition| condition.message).unwrap_or_default()
    }

    pub async fn ready(&self) {
        self.ready_as("chat").await;
    }

    pub async fn ready_as(&self, name: &str) {
        self.said(name, "Ready", "True/AllReady").await;
    }

    pub async fn pods_of(&self, deployment: &str) -> Vec<ChatPod> {
        let labels = format!("app.kubernetes.io/component=chat,app.kubernetes.io/instance={deployment}");
        let pods = self.api::<Pod>().list(&ListParams::default().labels(&labels)).await.unwrap().items;
        pods.into_iter().map(chat_pod).collect()
    }

    pub async fn pods(&self) -> Vec<ChatPod> {
        self.pods_of("chat").await
    }

    /// Kubelet takes up to a minute and a half to bring a changed Secret into a pod's files, but at once when the pod itself changes.
    pub async fn hurry_files(&self) {
        for pod in self.api::<Pod>().list(&ListParams::default()).await.unwrap().items {
            let name = pod.metadata.name.unwrap();
            let now = format!("{:?}", Instant::now());
            let patch = json!({ "metadata": { "annotations": { "test/now": now } } });
            let result = self.api::<Pod>().patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
            // A connection that was lost meanwhile reloads its files.
            assert!(result.is_ok() || is_gone(&result), "{result:?}");
        }
    }

    /// Resource versions of all that the operator writes: they stand still when nothing is written. Of a ChatDeployment its content
    /// without the counts, which the operator may write up to 30 s after they changed; of an autoscaler its content without the
    /// status, which is another's and changes with each measurement.
    pub fn versions(&self) -> Vec<(String, String)> {
        let kinds = "chatdeployments,statefulsets,services,configmaps,secrets,serviceaccounts,poddisruptionbudgets,\
            networkpolicies,horizontalpodautoscalers,persistentvolumeclaims";
        let mut list: Value = serde_json::from_str(&self.kubectl_ok(&["get", kinds, "--output=json"])).unwrap();
        let of = |object: &mut Value| {
            let kind = object["kind"].as_str().unwrap().to_owned();
            let name = format!("{kind}/{}", object["metadata"]["name"].as_str().unwrap());
            let what = match kind.as_str() {
                "ChatDeployment" => "status",
                "HorizontalPodAutoscaler" => "spec",
                _ => return (name, object["metadata"]["resourceVersion"].as_str().unwrap().to_owned()),
            };
            let content = object[what].as_object_mut().unwrap();
            content.retain(|field, _| !["rooms", "players", "freeSeats"].contains(&field.as_str()));
            let content = json!(content);
            let metadata = &object["metadata"];
            (
                name,
                json!([metadata["generation"], metadata["labels"], metadata["ownerReferences"], content]).to_string(),
            )
        };
        list["items"].as_array_mut().unwrap().iter_mut().map(of).collect()
    }

    pub fn kubectl(&self, arguments: &[&str]) -> Output {
        let mut kubectl = Command::new("kubectl");
        kubectl.args(["--namespace", &self.namespace]).args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    pub fn kubectl_ok(&self, arguments: &[&str]) -> String {
        let output = self.kubectl(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "kubectl {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub async fn end(self) {
        Api::<Namespace>::all(self.client.clone()).delete(&self.namespace, &DeleteParams::background()).await.unwrap();
    }
}

pub fn is_gone<T>(result: &Result<T, kube::Error>) -> bool {
    matches!(result, Err(kube::Error::Api(status)) if status.code == 404)
}

fn chat_pod(pod: Pod) -> ChatPod {
    let status = pod.status.unwrap_or_default();
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
    ChatPod {
        name: pod.metadata.name.unwrap(),
        revision: pod.metadata.labels.unwrap()["controller-revision-hash"].clone(),
        uid: pod.metadata.uid.unwrap(),
        is_ready: ready.is_some_and(|condition| condition.status == "True"),
        ip: status.pod_ip.unwrap_or_default(),
        is_terminating: pod.metadata.deletion_timestamp.is_some(),
        restarts: status.container_statuses.iter().flatten().map(|container| container.restart_count).sum(),
    }
}

pub async fn eventually(what: &str, holds: impl AsyncFnMut() -> bool) {
    within(PATIENCE, what, holds).await;
}

pub async fn within(limit: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Watches something for a while in which it must not change.
pub async fn stays<T: PartialEq + std::fmt::Debug>(time: Duration, what: &str, mut of: impl AsyncFnMut() -> T) {
    let before = of().await;
    let end = Instant::now() + time;
    while Instant::now() < end {
        assert_eq!(of().await, before, "{what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
