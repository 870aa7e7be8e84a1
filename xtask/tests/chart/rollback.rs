//! From the chart and the operator of an earlier commit to these and back, with 200 ChatDeployments: no pod restarts, and nobody writes a
//! StatefulSet. CHATD_FORMER is the folder that hack/former-operator makes. The operators are processes on this machine that run as the
//! chart's ServiceAccount, with its rights. Does I/O.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::life::start_over;
use crate::world::{
    CHART, RELEASE, SERVED, apply, find, forget, get, helm, kubectl, make_namespace, repository, try_kubectl, until,
};

const FLEET: &str = "fleet";
const CRD: &str = "customresourcedefinition/chatdeployments.chatd.dev";
const COUNT: usize = 200;
/// Those with pods; the others ask for none, and name a Redis that is not there.
const WITH_PODS: usize = 2;

/// Ends the process by its id, however the test ends.
struct Operator {
    process: Child,
    log: PathBuf,
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A program where the pods' network is, as hack/with-cluster says.
fn inside(program: &Path) -> Command {
    let enter = std::env::var("CHATD_TEST_ENTER").unwrap_or_else(|_| "env".to_owned());
    let mut words = enter.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    command.args(words).arg(program).stdin(Stdio::null());
    command
}

impl Operator {
    fn start(program: &Path, log: &str) -> Self {
        let mut command = inside(program);
        command.args(["run", "--admin-listen", "127.0.0.1:0", "--namespace", RELEASE]);
        command.args(["--leader-elect", "--identity", log]);
        command.args(["--chatd-image", "chatd.local/chatd:dev", "--valkey-image", "chatd.local/valkey:9"]);
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("rollback-{log}.log"));
        command.env("KUBECONFIG", kubeconfig()).stdout(File::create(&log).unwrap());
        Self { process: command.spawn().unwrap(), log }
    }

    /// By its metrics: it has reconciled each ChatDeployment at least once, and none is due.
    fn has_looked_at_all(&self) -> bool {
        let log = std::fs::read_to_string(&self.log).unwrap();
        let Some(line) = log.lines().find(|line| line.contains("serves /livez")) else { return false };
        let address = line.split_once("127.0.0.1:").unwrap().1;
        let port: String = address.chars().take_while(char::is_ascii_digit).collect();
        let metrics =
            inside(Path::new("curl")).args(["--silent", &format!("http://127.0.0.1:{port}/metrics")]).output();
        let metrics = String::from_utf8(metrics.unwrap().stdout).unwrap();
        let sum = |name: &str| -> Option<usize> {
            let lines = metrics.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
            lines.map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
        };
        sum("chatd_operator_leader") == Some(1)
            && sum("chatd_operator_deployments") == Some(COUNT)
            && sum("chatd_operator_queue_depth") == Some(0)
            && sum("chatd_operator_reconciles_total") >= Some(COUNT)
    }

    /// As Kubernetes ends a pod: it gives its Lease up.
    fn stop(mut self) {
        assert!(Command::new("kill").arg(self.process.id().to_string()).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
    }
}

/// For the chart's ServiceAccount.
fn kubeconfig() -> PathBuf {
    let token = kubectl(&["create", "token", RELEASE, "--namespace", RELEASE, "--duration=1h"]);
    let own = kubectl(&["config", "view", "--raw", "--minify", "--output=json"]);
    let mut config: Value = serde_json::from_str(&own).unwrap();
    let user = config["contexts"][0]["context"]["user"].clone();
    config["users"] = json!([{ "name": user, "user": { "token": token.trim() } }]);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rollback.kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

fn manifest(version: &str, number: usize) -> Value {
    let spec = if number < WITH_PODS {
        json!({ "replicas": 2, "tcp": { "onWrongPod": "Relay" } })
    } else {
        let rollout = json!({ "paused": number.is_multiple_of(2) });
        let external = json!({ "url": "redis://nowhere.example.org:6379" });
        json!({ "replicas": 0, "redis": { "type": "External", "external": external }, "rollout": rollout })
    };
    json!({
        "apiVersion": format!("chatd.dev/{version}"), "kind": "ChatDeployment",
        "metadata": { "name": format!("chat-{number}"), "namespace": FLEET }, "spec": spec,
    })
}

/// The pods with their restarts, and the StatefulSets with all that was ever written to them, their status included.
fn pods_and_sets() -> (Vec<Value>, Vec<Value>) {
    let list = |kind: &str| get(&[kind, "--namespace", FLEET])["items"].as_array().unwrap().clone();
    let pods = list("pods").into_iter().map(|pod| {
        json!([pod["metadata"]["name"], pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]])
    });
    let sets = list("statefulsets")
        .into_iter()
        .map(|set| json!([set["metadata"]["name"], set["metadata"]["uid"], set["metadata"]["resourceVersion"]]));
    (pods.collect(), sets.collect())
}

fn are_untouched((pods, sets): &(Vec<Value>, Vec<Value>)) {
    let (pods_now, sets_now) = pods_and_sets();
    for (before, now) in [(pods, pods_now), (sets, sets_now)] {
        let changed: Vec<_> = now.iter().filter(|object| !before.contains(object)).collect();
        assert!(changed.is_empty() && now.len() == before.len(), "{} of {}: {changed:?}", changed.len(), before.len());
    }
}

fn deployments() -> Vec<Value> {
    get(&[SERVED, "--namespace", FLEET])["items"].as_array().unwrap().clone()
}

/// Of all but the one that the test changes.
fn specs() -> Vec<Value> {
    let changed = format!("chat-{}", COUNT - 1);
    let others = deployments().into_iter().filter(|object| object["metadata"]["name"] != changed.as_str());
    others.map(|object| object["spec"].clone()).collect()
}

/// The status of each is about its spec, and those with pods are ready.
fn are_settled() -> bool {
    let all = deployments();
    let condition = |object: &Value| {
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.into_iter().any(|it| it["type"] == "Ready" && it["status"] == "True")
    };
    all.len() == COUNT
        && all.iter().all(|object| object["status"]["observedGeneration"] == object["metadata"]["generation"])
        && all.iter().filter(|object| condition(object)).count() >= WITH_PODS
}

/// A change of a spec is seen, and its status written.
fn is_looked_after(number: usize, version: &str) {
    let mut changed = manifest(version, number);
    let generation = |object: Value| object["metadata"]["generation"].as_i64().unwrap();
    let name = format!("chat-{number}");
    let before = generation(get(&[SERVED, &name, "--namespace", FLEET]));
    changed["spec"]["service"] = json!({ "annotations": { "example.org/generation": before.to_string() } });
    apply(&[], &changed.to_string());
    until("its status follows a spec", || {
        let object = get(&[SERVED, &name, "--namespace", FLEET]);
        let seen = &object["status"]["observedGeneration"];
        *seen == object["metadata"]["generation"] && generation(object) > before
    });
}

fn stored_versions() -> Value {
    get(&[CRD])["status"]["storedVersions"].clone()
}

/// `helm install` or `helm upgrade`, without a pod of the operator.
fn release(verb: &str, chart: &str, more: &[&str]) {
    let words = [verb, RELEASE, chart, "--namespace", RELEASE, "--values", "deploy/operator-values.yaml"];
    helm(&[&words[..], &["--set", "replicas=0", "--wait", "--timeout", "2m"], more].concat());
}

/// The definition as helm has applied it, and the same with one version. As helm, which else finds a conflict later.
fn definitions(version: &str) -> (String, String) {
    let live = get(&[CRD]);
    let metadata = json!({ "name": live["metadata"]["name"], "annotations": live["metadata"]["annotations"], "labels": live["metadata"]["labels"] });
    let whole =
        json!({ "apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata, "spec": live["spec"] });
    let mut one = whole.clone();
    one["spec"]["versions"].as_array_mut().unwrap().retain(|known| known["name"] == version);
    (whole.to_string(), one.to_string())
}

/// The API server refuses a definition without a version that is stored, and nothing happens by that.
fn no_definition_can_be_without(stored: &str, other: &str) {
    let (_, one) = definitions(other);
    let words = ["apply", "--server-side", "--force-conflicts", "--field-manager=helm", "--filename=-"];
    let refused = try_kubectl(&words, one.as_bytes());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("storedVersions") && said.contains(stored), "{said}");
}

/// Every object can be read where the definition knows no other version than this one.
fn all_are_stored_in(version: &str) {
    let (whole, one) = definitions(version);
    apply(&["--field-manager=helm"], &one);
    until("the other version is gone", || {
        let known = kubectl(&["get", "--raw", "/apis/chatd.dev"]);
        let known: Value = serde_json::from_str(&known).unwrap();
        known["versions"].as_array().unwrap().len() == 1
    });
    let path = format!("/apis/chatd.dev/{version}/namespaces/{FLEET}/chatdeployments");
    let all: Value = serde_json::from_str(&kubectl(&["get", "--raw", &path])).unwrap();
    assert_eq!(all["items"].as_array().unwrap().len(), COUNT);
    apply(&["--field-manager=helm"], &whole);
    until("both versions are served again", || {
        try_kubectl(&["get", SERVED, "--namespace", FLEET], b"").status.success()
    });
}

#[test]
#[ignore = "needs helm, a cluster and CHATD_FORMER"]
fn upgrades_and_rollbacks_restart_no_pod_and_write_no_stateful_set() {
    let former =
        PathBuf::from(std::env::var("CHATD_FORMER").expect("CHATD_FORMER: the folder of hack/former-operator"));
    let chart = former.join("source").join(CHART);
    let (former, chart) = (former.join("chatd-operator"), chart.to_str().unwrap().to_owned());
    let present = repository().join("target/debug/chatd-operator");
    start_over();
    forget(FLEET);
    make_namespace(FLEET);

    release("install", &chart, &[]);
    let operator = Operator::start(&former, "former");
    let all: Vec<String> = (0..COUNT).map(|number| manifest("v1alpha1", number).to_string()).collect();
    apply(&[], &all.join("\n---\n"));
    until("the former operator has made everything", || pods_and_sets().1.len() == COUNT + WITH_PODS && are_settled());
    until("the controllers are done", || {
        let list = get(&["statefulsets", "--namespace", FLEET]);
        let sets = list["items"].as_array().unwrap();
        sets.iter().all(|set| set["status"]["observedGeneration"] == set["metadata"]["generation"])
    });
    let before = pods_and_sets();
    let specs_before = specs();
    assert_eq!(before.0.len(), 3 * WITH_PODS);

    // The upgrade: what is stored stays as it is.
    operator.stop();
    release("upgrade", CHART, &[]);
    let operator = Operator::start(&present, "present");
    until("the new operator has looked at all", || operator.has_looked_at_all() && are_settled());
    are_untouched(&before);
    assert_eq!(stored_versions(), json!(["v1alpha1"]));

    // Helm's rollback, definition included.
    operator.stop();
    helm(&["rollback", RELEASE, "1", "--namespace", RELEASE, "--wait"]);
    let operator = Operator::start(&former, "former-again");
    until("the former operator has looked at all", || operator.has_looked_at_all() && are_settled());
    is_looked_after(COUNT - 1, "v1alpha1");
    are_untouched(&before);

    // Up again; then what is stored moves.
    operator.stop();
    release("upgrade", CHART, &[]);
    let operator = Operator::start(&present, "present-again");
    until("the new operator has looked at all", || operator.has_looked_at_all() && are_settled());
    release("upgrade", CHART, &["--set", "crds.storageVersion=v1beta1"]);
    until("what is stored has moved", || stored_versions() == json!(["v1beta1"]));
    all_are_stored_in("v1beta1");
    is_looked_after(COUNT - 1, "v1beta1");
    are_untouched(&before);

    // The former operator runs under this definition, whatever is stored.
    no_definition_can_be_without("v1beta1", "v1alpha1");
    operator.stop();
    release("upgrade", &chart, &["--set", "crds.enabled=false"]);
    assert!(find(&[CRD]).is_some());
    let operator = Operator::start(&former, "former-under-the-new");
    until("the former operator has looked at all", || operator.has_looked_at_all() && are_settled());
    is_looked_after(COUNT - 1, "v1beta1");
    are_untouched(&before);

    // Back to where it began.
    operator.stop();
    release("upgrade", CHART, &["--set", "crds.storageVersion=v1alpha1"]);
    let operator = Operator::start(&present, "present-moves-back");
    until("what is stored has moved back", || stored_versions() == json!(["v1alpha1"]));
    all_are_stored_in("v1alpha1");
    operator.stop();
    helm(&["rollback", RELEASE, "1", "--namespace", RELEASE, "--wait"]);
    let operator = Operator::start(&former, "former-at-the-end");
    until("the former operator has looked at all", || operator.has_looked_at_all() && are_settled());
    is_looked_after(COUNT - 1, "v1alpha1");
    are_untouched(&before);
    assert_eq!(specs(), specs_before);
    operator.stop();
    start_over();
    forget(FLEET);
}
