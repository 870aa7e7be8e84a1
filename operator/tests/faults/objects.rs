//! All that there is in a namespace, in a form in which two namespaces can be compared: what Kubernetes or chance fills in is taken
//! out. The form is pure; reading is I/O.

use std::collections::BTreeMap;

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use operator::desired::{DEPLOYMENT_UID, Kind};
use serde_json::{Map, Value, json};

/// By `Kind/name`.
pub type Objects = BTreeMap<String, Value>;

/// The ChatDeployment that all tests of this folder use, one a namespace.
pub const NAME: &str = "chat";

/// Filled in by Kubernetes, or the time of something.
const NOT_COMPARED: [&str; 17] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "managedFields",
    "clusterIP",
    "clusterIPs",
    "nodePort",
    "healthCheckNodePort",
    "lastTransitionTime",
    "observedGeneration",
    "message",
    "rooms",
    "players",
    // Hashes over names and uids of this namespace.
    "chatd.dev/applied",
    "chatd.dev/template",
    "chatd.dev/directory",
];

pub async fn list(
    client: &kube::Client,
    namespace: &str,
    api_version: &str,
    kind: &str,
    plural: &str,
) -> Vec<DynamicObject> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    api.list(&ListParams::default()).await.unwrap().items
}

/// The children of the ChatDeployment and whatever else of those kinds is there.
pub async fn children(client: &kube::Client, namespace: &str) -> Objects {
    let mut children = Objects::new();
    for kind in Kind::ALL {
        for object in list(client, namespace, kind.api_version(), kind.as_str(), kind.plural()).await {
            let name = object.metadata.name.clone().unwrap();
            let is_of_kubernetes = name == "default" || name == "kube-root-ca.crt";
            if !is_of_kubernetes {
                let object = comparable(kind.as_str(), serde_json::to_value(object).unwrap(), namespace);
                children.insert(format!("{}/{name}", kind.as_str()), object);
            }
        }
    }
    children
}

/// What the pods are and whether they are ready, not which they are.
pub async fn pods(client: &kube::Client, namespace: &str) -> Objects {
    let pods = list(client, namespace, "v1", "Pod", "pods").await.into_iter().map(|pod| {
        let name = pod.metadata.name.clone().unwrap();
        let is_ending = pod.metadata.deletion_timestamp.is_some();
        let pod = comparable("Pod", serde_json::to_value(pod).unwrap(), namespace);
        let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ready = conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        let containers = &pod["spec"]["containers"];
        let environment = json!({ "image": containers[0]["image"], "env": containers[0]["env"] });
        (format!("Pod/{name}"), json!({ "ready": ready, "ending": is_ending, "container": environment }))
    });
    pods.collect()
}

/// What a list holds does not say its kind.
fn comparable(kind: &str, mut object: Value, namespace: &str) -> Value {
    if kind != "Pod" && kind != "ChatDeployment" {
        object["status"] = Value::Null;
    }
    if kind == "Secret"
        && let Some(data) = object["data"].as_object_mut()
    {
        // The id of a token key is the time at which it was made.
        let lengths: Vec<Value> = data.values().map(|value| value.as_str().unwrap_or_default().len().into()).collect();
        object["data"] = lengths.into();
    }
    let owners = object.pointer("/metadata/ownerReferences/0/uid").and_then(Value::as_str).map(str::to_owned);
    neutral(&mut object, namespace, owners.as_deref().unwrap_or("no owner"));
    object
}

fn neutral(value: &mut Value, namespace: &str, owner: &str) {
    match value {
        Value::Object(fields) => {
            *fields = std::mem::take(fields)
                .into_iter()
                .filter(|(key, value)| !NOT_COMPARED.contains(&key.as_str()) && !value.is_null())
                .collect::<Map<_, _>>();
            if let Some(secret) = fields.get_mut("chatd.dev/secret") {
                *secret = "a uid".into();
            }
            if fields.get("name").is_some_and(|name| name == DEPLOYMENT_UID) {
                fields.insert("value".to_owned(), "a uid".into());
            }
            fields.values_mut().for_each(|value| neutral(value, namespace, owner));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| neutral(item, namespace, owner)),
        Value::String(text) => {
            *text = without_node_ports(&text.replace(namespace, "NAMESPACE").replace(owner, "OWNER"));
        }
        _ => {}
    }
}

/// `host:30000` and above become `host:N`, in the ConfigMap of addresses.
fn without_node_ports(text: &str) -> String {
    let mut parts = text.split(':');
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.chars().take_while(char::is_ascii_digit).count();
        let is_node_port = digits == 5 && part.starts_with('3');
        result.push(':');
        result.push_str(if is_node_port { "N" } else { &part[..digits] });
        result.push_str(&part[digits..]);
    }
    result
}

/// What the ChatDeployment says of itself, without what nobody can know: rooms and players.
pub fn said(deployment: &operator::api::ChatDeployment, namespace: &str) -> Value {
    comparable("ChatDeployment", json!({ "status": deployment.status }), namespace)
}

/// The places at which two differ, for a message.
pub fn differences(expected: &Objects, actual: &Objects) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = expected.keys().chain(actual.keys()).collect();
    let mut found = Vec::new();
    for name in names {
        match (expected.get(name), actual.get(name)) {
            (Some(expected), Some(actual)) => places(name, expected, actual, &mut found),
            (Some(_), None) => found.push(format!("{name} is missing")),
            (None, _) => found.push(format!("{name} is too much")),
        }
    }
    found
}

fn places(place: &str, expected: &Value, actual: &Value, found: &mut Vec<String>) {
    match (expected, actual) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let of = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                places(&format!("{place}.{key}"), &of(one), &of(other), found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                places(&format!("{place}[{index}]"), one, other, found);
            }
        }
        (expected, actual) if expected != actual => {
            found.push(format!("{place}: {expected} expected, {actual} is there"));
        }
        _ => {}
    }
}

#[test]
fn two_namespaces_are_compared_without_what_chance_fills_in() {
    let service = |namespace: &str, uid: &str, port: i32, class: &str| {
        let owner = json!({ "name": "chat", "uid": uid });
        json!({
            "kind": "Service", "metadata": { "namespace": namespace, "uid": "x", "ownerReferences": [owner] },
            "spec": { "type": class, "host": format!("chat.{namespace}.svc"), "ports": [{ "port": 1, "nodePort": port }] },
            "data": { "a": format!("{{\"tcp\": \"192.0.2.1:{port}\", \"web\": \"h:7654\"}}") }, "status": { "a": port },
        })
    };
    let one = comparable("Service", service("one", "u1", 30001, "NodePort"), "one");
    let objects = |value: Value| Objects::from([("a".to_owned(), value)]);
    let same = comparable("Service", service("two", "u2", 31234, "NodePort"), "two");
    assert_eq!(differences(&objects(one.clone()), &objects(same)), Vec::<String>::new());
    let other = comparable("Service", service("two", "u2", 31234, "ClusterIP"), "two");
    let expected = ["a.spec.type: \"NodePort\" expected, \"ClusterIP\" is there"];
    assert_eq!(differences(&objects(one.clone()), &objects(other)), expected);
    assert_eq!(differences(&objects(one), &Objects::new()), ["a is missing"]);
}
