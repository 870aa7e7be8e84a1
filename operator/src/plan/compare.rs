//! Compares an object in the cluster with the desired one. Pure: no I/O. Only fields that the operator sets count, and values that
//! the API server normalizes are equal.

use serde_json::Value;

use crate::api::quantity_value;
use crate::desired::Child;
use crate::hash;

/// Maps that belong to one writer as a whole: a key too many selects other pods.
const WHOLE_MAPS: [&str; 4] = ["selector", "matchLabels", "nodeSelector", "podSelector"];

/// Lists whose items have a name: others may add items to them, such as a sidecar's container.
const NAMED_LISTS: [(&str, &[&str]); 9] = [
    ("containers", &["name"]),
    ("env", &["name"]),
    ("volumes", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("volumeMounts", &["mountPath"]),
    ("ownerReferences", &["uid"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("containerPorts", &["containerPort", "protocol"]),
    ("servicePorts", &["port", "protocol"]),
];

/// Something changes a child on its way in, such as an admission policy: what was applied, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    applied: u64,
    became: u64,
}

/// `object`: what the API server answered the apply of `child` with.
pub fn accepted(child: &Child, object: &Value) -> Accepted {
    let became = hash::number_of(&projection(&child.object, object));
    Accepted { applied: hash::number_of(&child.object), became }
}

/// The first place where `observed` is not what `desired` says, for logs and events; nothing if it is.
pub fn first_difference(desired: &Value, observed: &Value) -> Option<String> {
    difference("", desired, observed)
}

fn difference(place: &str, desired: &Value, observed: &Value) -> Option<String> {
    match (desired, observed) {
        (Value::Object(desired), Value::Object(observed)) => {
            if WHOLE_MAPS.contains(&last(place)) && observed.keys().any(|key| !desired.contains_key(key)) {
                return Some(place.to_owned());
            }
            desired.iter().find_map(|(key, value)| {
                difference(&format!("{place}.{key}"), value, observed.get(key).unwrap_or(&Value::Null))
            })
        }
        (Value::Array(desired), Value::Array(observed)) => lists(place, desired, observed),
        (desired, Value::Null) => (!is_nothing(desired)).then(|| place.to_owned()),
        (Value::String(one), Value::String(other)) if one != other => {
            let quantities = [".requests.", ".limits."].iter().any(|part| place.contains(part));
            let same = quantities && quantity_value(one).is_some() && quantity_value(one) == quantity_value(other);
            (!same).then(|| place.to_owned())
        }
        (desired, observed) => (desired != observed).then(|| place.to_owned()),
    }
}

/// Of `observed` what stands where `desired` says something, as it is. Two readings with the same are alike in all that is the operator's.
pub fn projection(desired: &Value, observed: &Value) -> Value {
    project("", desired, observed)
}

fn project(place: &str, desired: &Value, observed: &Value) -> Value {
    match (desired, observed) {
        (Value::Object(_), Value::Object(_)) if WHOLE_MAPS.contains(&last(place)) => observed.clone(),
        (Value::Object(desired), Value::Object(observed)) => {
            let of = |(key, value): (&String, &Value)| {
                let seen = observed.get(key).unwrap_or(&Value::Null);
                (key.clone(), project(&format!("{place}.{key}"), value, seen))
            };
            Value::Object(desired.iter().map(of).collect())
        }
        (Value::Array(desired), Value::Array(items)) => match keys_of(place, desired) {
            None => observed.clone(),
            Some(keys) => {
                let of = |item: &Value| {
                    let same = |other: &&Value| keys.iter().all(|key| item.get(key) == other.get(key));
                    project(place, item, items.iter().find(same).unwrap_or(&Value::Null))
                };
                Value::Array(desired.iter().map(of).collect())
            }
        },
        (_, observed) => observed.clone(),
    }
}

fn lists(place: &str, desired: &[Value], observed: &[Value]) -> Option<String> {
    let Some(keys) = keys_of(place, desired) else {
        if desired.len() != observed.len() {
            return Some(place.to_owned());
        }
        let mut pairs = desired.iter().zip(observed).enumerate();
        return pairs.find_map(|(index, (one, other))| difference(&format!("{place}[{index}]"), one, other));
    };
    desired.iter().find_map(|item| {
        let same = |other: &&Value| keys.iter().all(|key| item.get(key) == other.get(key));
        match observed.iter().find(same) {
            Some(other) => {
                let name = item.get(keys[0]).map(ToString::to_string).unwrap_or_default();
                difference(&format!("{place}[{name}]"), item, other)
            }
            None => Some(place.to_owned()),
        }
    })
}

fn keys_of(place: &str, items: &[Value]) -> Option<&'static [&'static str]> {
    let list = match last(place) {
        "ports" if items.iter().any(|item| item.get("containerPort").is_some()) => "containerPorts",
        // Ports of a NetworkPolicy are a plain list.
        "ports" if items.iter().any(|item| item.get("targetPort").is_some()) => "servicePorts",
        list => list,
    };
    NAMED_LISTS.iter().find(|(name, _)| *name == list).map(|(_, keys)| *keys)
}

fn last(place: &str) -> &str {
    place.rsplit('.').next().unwrap_or(place)
}

/// What the API server leaves out when it is written. It keeps `false`: each field that we send so is a pointer in Kubernetes' types, to
/// which a test in `desired/snapshots.rs` holds them.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(_) => false,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(object) => object.values().all(is_nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn same(desired: &Value, observed: &Value) {
        assert_eq!(first_difference(desired, observed), None);
    }

    #[test]
    fn what_others_add_is_theirs() {
        let desired =
            json!({ "metadata": { "labels": { "a": "1" } }, "spec": { "containers": [{ "name": "chatd" }] } });
        let observed = json!({
            "metadata": { "labels": { "a": "1", "b": "2" }, "uid": "x" },
            "spec": { "containers": [{ "name": "sidecar" }, { "name": "chatd", "image": "x" }], "paused": true },
        });
        same(&desired, &observed);
    }

    #[test]
    fn what_the_api_server_writes_otherwise_is_the_same() {
        let desired = json!({
            "resources": { "requests": { "cpu": "1000m", "memory": "1024Mi" } },
            "emptyDir": {}, "affinity": { "nodeAffinity": {} }, "list": [],
        });
        same(&desired, &json!({ "resources": { "requests": { "cpu": "1", "memory": "1Gi" } }, "emptyDir": {} }));
    }

    #[test]
    fn two_readings_are_alike_if_they_are_where_the_operator_says_something() {
        let desired = json!({ "metadata": { "labels": { "a": "1" } }, "spec": {
            "selector": { "a": "1" }, "args": ["x"], "containers": [{ "name": "chatd", "image": "chatd:1" }],
        } });
        let reading = |image: &str, status: u32, sidecar: &str, arguments: &Value, selector: &Value| {
            json!({ "metadata": { "labels": { "a": "1" }, "resourceVersion": status.to_string() }, "status": status, "spec": {
                "selector": selector, "args": arguments,
                "containers": [{ "name": "sidecar", "image": sidecar }, { "name": "chatd", "image": image, "added": status }],
            } })
        };
        let (arguments, selector) = (json!(["y"]), json!({ "a": "1" }));
        let one = projection(&desired, &reading("mirror/chatd:1", 1, "s:1", &arguments, &selector));
        assert_eq!(one, projection(&desired, &reading("mirror/chatd:1", 2, "s:2", &arguments, &selector)));
        for other in [
            reading("chatd:2", 1, "s:1", &arguments, &selector),
            reading("mirror/chatd:1", 1, "s:1", &json!(["z"]), &selector),
            reading("mirror/chatd:1", 1, "s:1", &arguments, &json!({ "a": "1", "b": "2" })),
        ] {
            assert_ne!(one, projection(&desired, &other), "{other}");
        }
    }

    #[test]
    fn what_is_ours_is_put_back() {
        let cases = [
            (json!({ "replicas": 3 }), json!({ "replicas": 2 }), ".replicas"),
            (json!({ "replicas": 3 }), json!({}), ".replicas"),
            (json!({ "replicas": 0 }), json!({ "replicas": 1 }), ".replicas"),
            (json!({ "automount": false }), json!({}), ".automount"),
            (json!({ "security": { "escalation": false } }), json!({}), ".security"),
            (json!({ "selector": { "a": "1" } }), json!({ "selector": { "a": "1", "b": "2" } }), ".selector"),
            (json!({ "ingress": [{}] }), json!({ "ingress": [{}, {}] }), ".ingress"),
            (json!({ "args": ["a", "b"] }), json!({ "args": ["b", "a"] }), ".args[0]"),
            (
                json!({ "env": [{ "name": "A", "value": "1" }] }),
                json!({ "env": [{ "name": "A", "value": "2" }] }),
                ".env[\"A\"].value",
            ),
            (json!({ "limits": { "cpu": "1" } }), json!({ "limits": { "cpu": "2" } }), ".limits.cpu"),
            (json!({ "labels": { "version": "1" } }), json!({ "labels": { "version": "1.0" } }), ".labels.version"),
        ];
        for (desired, observed, place) in cases {
            assert_eq!(first_difference(&desired, &observed).as_deref(), Some(place));
        }
    }
}
