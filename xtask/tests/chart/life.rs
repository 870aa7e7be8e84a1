//! The chart's life on a real cluster: installed, used, upgraded, restricted to one namespace, removed and reinstalled. Does I/O.

use serde_json::{Value, json};

use crate::world::{
    CHART, RELEASE, apply, find, forget, get, helm, kubectl, make_namespace, repository, try_kubectl, until,
};

const GAMES: &str = "games";
const OPERATOR: &str = "--selector=app.kubernetes.io/name=chatd-operator";
const CHAT: &str = "--selector=app.kubernetes.io/component=chat";
const CRD: &str = "customresourcedefinition/chatdeployments.chatd.dev";

/// `helm install` or `helm upgrade`, with the images that are on the nodes, until the operators are ready.
fn release(verb: &str, more: &[&str]) {
    let words = [verb, RELEASE, CHART, "--namespace", RELEASE, "--values", "deploy/operator-values.yaml"];
    helm(&[&words[..], &["--wait", "--timeout", "2m"], more].concat());
}

/// What is another when a pod was replaced or started again.
fn pods(namespace: &str, selector: &str) -> Vec<(String, String, Value)> {
    let list = get(&["pods", "--namespace", namespace, selector]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = |pod: &Value| {
        let restarts = pod["status"]["containerStatuses"][0]["restartCount"].clone();
        (text(&pod["metadata"]["name"]), text(&pod["metadata"]["uid"]), restarts)
    };
    list["items"].as_array().unwrap().iter().map(of).collect()
}

/// The chat pods with the generations of what they come from: nobody wrote those either.
fn rooms() -> (Vec<(String, String, Value)>, Vec<Value>) {
    let sets = get(&["statefulsets", "--namespace", GAMES]);
    let generation = |set: &Value| set["metadata"]["generation"].clone();
    (pods(GAMES, CHAT), sets["items"].as_array().unwrap().iter().map(generation).collect())
}

fn is_there(kind: &str, name: &str, namespace: &str) -> bool {
    find(&[kind, name, "--namespace", namespace]).is_some()
}

/// An operator manages the namespace: a deleted object is recreated.
fn is_looked_after() {
    kubectl(&["delete", "service", "chat", "--namespace", GAMES]);
    until("the Service is back", || is_there("service", "chat", GAMES));
}

fn may(verb: &str, resource: &str, namespace: &str) -> bool {
    let account = format!("--as=system:serviceaccount:{RELEASE}:{RELEASE}");
    let answer = try_kubectl(&["auth", "can-i", verb, resource, "--namespace", namespace, &account], b"");
    String::from_utf8_lossy(&answer.stdout).trim() == "yes"
}

pub fn start_over() {
    if String::from_utf8_lossy(&crate::world::try_helm(&["list", "--namespace", RELEASE, "--short"]).stdout)
        .contains(RELEASE)
    {
        helm(&["uninstall", RELEASE, "--namespace", RELEASE, "--wait"]);
    }
    for namespace in [GAMES, "elsewhere", RELEASE] {
        forget(namespace);
    }
    kubectl(&["delete", CRD, "--ignore-not-found"]);
    for namespace in [GAMES, "elsewhere", RELEASE] {
        make_namespace(namespace);
    }
}

#[test]
#[ignore = "needs helm and a cluster"]
fn rooms_outlive_every_change_of_the_operator() {
    start_over();
    release("install", &[]);
    assert_eq!(pods(RELEASE, OPERATOR).len(), 2, "two operators are ready");

    minimal_gets_ready_and_shows_its_columns();
    let before = rooms();
    let operators = pods(RELEASE, OPERATOR);
    release("upgrade", &[]);
    is_looked_after();
    assert_eq!(pods(RELEASE, OPERATOR), operators, "an upgrade with the same values rolls no operator");
    assert_eq!(rooms(), before, "nor a chat pod");

    // Removed: the definition, the ChatDeployments, and their pods stay.
    helm(&["uninstall", RELEASE, "--namespace", RELEASE, "--wait"]);
    until("the operators' end", || pods(RELEASE, OPERATOR).is_empty());
    assert!(find(&["clusterrole", "chatd-operator-chatd-operator"]).is_none());
    assert!(find(&[CRD]).is_some() && is_there("chatdeployment", "chat", GAMES));
    assert_eq!(rooms(), before);

    // Put back.
    release("install", &[]);
    is_looked_after();
    kubectl(&["wait", "--for=condition=Ready", "--timeout=60s", "chatdeployment/chat", "--namespace", GAMES]);
    assert_eq!(rooms(), before, "the new operator takes the pods over as they are");

    bound_to_one_namespace_it_works_there_alone();
    assert_eq!(rooms(), before);

    // The same by plain YAML, over what helm left.
    helm(&["uninstall", RELEASE, "--namespace", RELEASE, "--wait"]);
    until("the operators' end", || pods(RELEASE, OPERATOR).is_empty());
    for file in ["00-namespace.yaml", "operator.yaml"] {
        apply(&[], &std::fs::read_to_string(repository().join("deploy/operator").join(file)).unwrap());
    }
    kubectl(&["rollout", "status", "--timeout=120s", "deployment/chatd-operator", "--namespace", RELEASE]);
    is_looked_after();
    assert_eq!(rooms(), before);

    // The deployment goes with all that is its own, while its operator lives.
    kubectl(&["delete", "chatdeployment", "chat", "--namespace", GAMES]);
    until("the pods' end", || pods(GAMES, CHAT).is_empty());
    let plain = repository().join("deploy/operator/operator.yaml");
    kubectl(&["delete", "--filename", plain.to_str().unwrap(), "--ignore-not-found"]);
}

fn minimal_gets_ready_and_shows_its_columns() {
    let minimal = std::fs::read_to_string(repository().join("examples/minimal.yaml")).unwrap();
    assert_eq!(apply(&["--namespace", GAMES], &minimal), "", "no warning");
    kubectl(&["wait", "--for=condition=Ready", "--timeout=120s", "chatdeployment/chat", "--namespace", GAMES]);
    let columns = || {
        let table = kubectl(&["get", "chatd", "--namespace", GAMES]);
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let mut lines = table.lines();
        let (head, row) = (words(lines.next().unwrap()), words(lines.next().unwrap()));
        assert_eq!(head, ["NAME", "DESIRED", "READY", "ROOMS", "PLAYERS", "FREE", "STATUS", "VERSION", "REDIS", "AGE"]);
        row[..row.len() - 1].to_vec()
    };
    until("the columns are right", || {
        columns() == ["chat", "3", "3", "0", "0", "30000", "AllReady", env!("CARGO_PKG_VERSION"), "Reachable"]
    });
    let pods = get(&["pods", "--namespace", GAMES]);
    assert_eq!(pods["items"].as_array().unwrap().len(), 4, "three chat pods and a Valkey");
}

fn bound_to_one_namespace_it_works_there_alone() {
    release("upgrade", &["--set", &format!("watchNamespaces={{{GAMES}}}")]);
    assert!(find(&["clusterrolebinding", "chatd-operator-chatd-operator"]).is_none());
    for (verb, resource) in [("create", "statefulsets.apps"), ("list", "chatdeployments.chatd.dev"), ("get", "secrets")]
    {
        assert!(may(verb, resource, GAMES) && !may(verb, resource, "elsewhere"), "{verb} {resource}");
    }
    let minimal = std::fs::read_to_string(repository().join("examples/minimal.yaml")).unwrap();
    apply(&["--namespace=elsewhere"], &minimal);
    is_looked_after();
    let other = get(&["chatdeployment", "chat", "--namespace=elsewhere"]);
    let is_untouched = other["status"]["observedGeneration"] == -1 && other["status"]["conditions"] == json!([]);
    assert!(is_untouched && !is_there("statefulset", "chat", "elsewhere"), "{other}");
    kubectl(&["delete", "chatdeployment", "chat", "--namespace=elsewhere"]);
}
