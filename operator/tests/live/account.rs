//! Operators that run as ServiceAccounts with the chart's rules, or with some of them, beside which nothing helps them; and what the
//! API server's audit log says that they did. Does I/O.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use super::ports::free_port;
use super::world::{World, chatd_image, eventually, redis_image, variable};

pub const ACCOUNT: &str = "operator";

/// What the chart lets the operator do, one verb on one resource each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    pub verb: String,
    pub resource: String,
    group: String,
    names: Vec<String>,
}

impl Right {
    /// Whether the right shows in a request of its verb. Others are asked for by the admission of a request: whether an owner may be
    /// kept from going first (finalizers), and whether what is adopted could be deleted as well.
    pub fn is_shown(&self) -> bool {
        let resource = self.resource.as_str();
        let adopted = ["serviceaccounts", "poddisruptionbudgets"].contains(&resource) && self.verb == "delete";
        resource != "chatdeployments/finalizers" && !adopted
    }

    /// What Kubernetes says without it, as it stands in JSON.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = vec![format!("cannot {} resource \\\"{}\\\"", self.verb, self.resource)];
        if self.verb == "update" {
            complaints.push("cannot set blockOwnerDeletion".to_owned());
        }
        if self.verb == "delete" {
            complaints.push("cannot set an ownerRef on a resource you can't delete".to_owned());
        }
        complaints
    }

    fn rule(&self) -> Value {
        let mut rule = json!({ "apiGroups": [self.group], "resources": [self.resource], "verbs": [self.verb] });
        if !self.names.is_empty() {
            rule["resourceNames"] = json!(self.names);
        }
        rule
    }
}

/// The rules in the chart's template, of the ClusterRole and of the Role for the election.
pub fn rights() -> Vec<Right> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/chatd-operator/templates/rbac.yaml");
    let text = std::fs::read_to_string(path).unwrap().replace("{{ .Release.Name }}", "chatd-operator");
    let roles = text.split("\n---\n").filter_map(|document| document.split_once("\nrules:\n"));
    let mut rights = Vec::new();
    for (_, rules) in roles {
        // What comes after is of the template's language.
        let rules: Vec<&str> = rules.lines().take_while(|line| !line.starts_with("{{")).collect();
        let rules: Vec<Value> = serde_saphyr::from_str(&rules.join("\n")).unwrap();
        let texts = |list: &Value| -> Vec<String> { serde_json::from_value(list.clone()).unwrap_or_default() };
        for rule in rules {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    let [group] = &texts(&rule["apiGroups"])[..] else { panic!("one group a rule: {rule}") };
                    let names = texts(&rule["resourceNames"]);
                    rights.push(Right { verb, resource: resource.clone(), group: group.clone(), names });
                }
            }
        }
    }
    // Of kinds that this cluster may lack: monitoring.rs makes them.
    rights.retain(|right| right.group != "monitoring.coreos.com");
    assert!(rights.len() > 40, "{rights:?}");
    rights
}

/// An operator on this machine, outside of the nodes' network: it reaches the API server and no pod.
pub struct Operator {
    process: Child,
    log: PathBuf,
    port: u16,
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Operator {
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().unwrap()
    }

    /// The status line and body of an answer of its admin port; nothing if there is none.
    pub fn ask(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    pub fn metric(&self, name: &str) -> Option<u64> {
        let answer = self.ask("/metrics")?;
        let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok())
    }

    pub fn leads(&self) -> bool {
        self.metric("chatd_operator_leader") == Some(1)
    }
}

impl World {
    /// A ServiceAccount with these rights in this namespace and nowhere else. The path of a kubeconfig for it.
    pub async fn account(&self, name: &str, rights: &[Right]) -> PathBuf {
        let rules: Vec<Value> = rights.iter().map(Right::rule).collect();
        self.put::<ServiceAccount>(json!({ "metadata": { "name": name } })).await;
        self.put::<Role>(json!({ "metadata": { "name": name }, "rules": rules })).await;
        let subject = json!({ "kind": "ServiceAccount", "name": name, "namespace": self.namespace });
        let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name });
        self.put::<RoleBinding>(json!({ "metadata": { "name": name }, "roleRef": role, "subjects": [subject] })).await;
        let reviews = Api::<SubjectAccessReview>::all(self.client.clone());
        eventually("the rights are known", async || {
            let attributes = json!({
                "namespace": self.namespace, "verb": rights[0].verb, "group": rights[0].group,
                "resource": rights[0].resource, "name": rights[0].names.first(),
            });
            let review = json!({
                "metadata": {}, "spec": { "user": self.user(name), "resourceAttributes": attributes }
            });
            let review = serde_json::from_value(review).unwrap();
            let review = reviews.create(&PostParams::default(), &review).await.unwrap();
            review.status.is_some_and(|status| status.allowed)
        })
        .await;
        let accounts = self.api::<ServiceAccount>();
        let request: TokenRequest =
            serde_json::from_value(json!({ "metadata": {}, "spec": { "audiences": [] } })).unwrap();
        let token = accounts.create_token_request(name, &PostParams::default(), &request).await.unwrap();
        self.kubeconfig(name, &token.status.unwrap().token)
    }

    fn kubeconfig(&self, name: &str, token: &str) -> PathBuf {
        static OWN: OnceLock<Value> = OnceLock::new();
        let read = || {
            let own = self.kubectl_ok(&["config", "view", "--raw", "--minify", "--output=json"]);
            serde_json::from_str(&own).unwrap()
        };
        let mut config = OWN.get_or_init(read).clone();
        let user = config["contexts"][0]["context"]["user"].clone();
        config["contexts"][0]["context"]["namespace"] = self.namespace.clone().into();
        config["users"] = json!([{ "name": user, "user": { "token": token } }]);
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}.kubeconfig", self.namespace));
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    /// The name of a ServiceAccount in logs and messages.
    pub fn user(&self, name: &str) -> String {
        format!("system:serviceaccount:{}:{name}", self.namespace)
    }

    /// An operator that takes part in the election of this namespace, as `identity`.
    pub fn candidate(&self, identity: &str, kubeconfig: Option<&Path>) -> Operator {
        self.candidate_with(identity, kubeconfig, &[])
    }

    pub fn candidate_with(&self, identity: &str, kubeconfig: Option<&Path>, arguments: &[&str]) -> Operator {
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{identity}.log", self.namespace));
        let port = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatd-operator"));
        command
            .args(["run", "--leader-elect", "--identity", identity, "--admin-listen", &format!("127.0.0.1:{port}")])
            .args(["--namespace", &self.namespace, "--watch-namespace", &self.namespace])
            .args(["--chatd-image", &chatd_image(), "--valkey-image", &redis_image()])
            .args(arguments)
            .stdout(std::fs::File::create(&log).unwrap());
        if let Some(path) = kubeconfig {
            command.env("KUBECONFIG", path);
        }
        Operator { process: command.spawn().unwrap(), log, port }
    }
}

/// One request, as the API server noted it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// When it arrived, as RFC 3339 in UTC with six decimals: texts in the order of time.
    pub at: String,
    pub verb: String,
    /// With a subresource, as `chatdeployments/status`.
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub code: u64,
}

impl Request {
    pub fn writes(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

/// All that a user asked for and got an answer to, in the order of time.
pub fn requests_of(user: &str) -> Vec<Request> {
    let path = variable("CHATD_TEST_AUDIT", "");
    assert!(
        !path.is_empty(),
        "CHATD_TEST_AUDIT is to name the API server's audit log (CHATD_CLUSTER_AUDIT=1 makes one)"
    );
    let path = PathBuf::from(path);
    // The log is turned over when it is large; the older parts stand beside it.
    let folder = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let files = folder.filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with(stem));
    let mut requests = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        let quoted = format!("\"{user}\"");
        let lines = text.lines().filter(|line| line.contains(&quoted));
        requests.extend(lines.filter_map(|line| request_of(&serde_json::from_str(line).ok()?, user)));
    }
    requests.into_iter().collect()
}

fn request_of(event: &Value, user: &str) -> Option<Request> {
    let text = |place: &str| event.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_answered = matches!(text("/stage").as_str(), "ResponseStarted" | "ResponseComplete" | "Panic");
    let resource = match text("/objectRef/subresource") {
        none if none.is_empty() => text("/objectRef/resource"),
        subresource => format!("{}/{subresource}", text("/objectRef/resource")),
    };
    (is_answered && text("/user/username") == user).then(|| Request {
        at: text("/requestReceivedTimestamp"),
        verb: text("/verb"),
        resource,
        namespace: text("/objectRef/namespace"),
        name: text("/objectRef/name"),
        code: event.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or_default(),
    })
}

/// Until something is so, for tests that measure how long it took.
pub async fn measured(limit: Duration, what: &str, holds: impl AsyncFnMut() -> bool) -> Duration {
    let started = Instant::now();
    super::world::within(limit, what, holds).await;
    let took = started.elapsed();
    println!("{what}: {took:?}");
    took
}

/// A spec with everything that is optional, whose pods fit no node: objects that cost nothing.
pub fn everything() -> Value {
    json!({
        "replicas": 2, "pod": { "nodeSelector": { "no": "such-node" } },
        "perPod": { "type": "NodePort" }, "service": { "type": "NodePort" },
        "autoscaling": { "minReplicas": 2, "maxReplicas": 2 },
        "redis": { "managed": { "resources": { "requests": { "cpu": "1000" } } } },
    })
}
