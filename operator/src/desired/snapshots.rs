//! Every child as YAML in `operator/tests/snapshots/`: reviews show each change of an applied object. Tests only.
//! `UPDATE_SNAPSHOTS=1 cargo test -p operator --lib` regenerates them.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use serde_json::json;

use super::*;
use crate::yaml::to_yaml;

pub fn spec(value: Value) -> ChatDeploymentSpec {
    serde_json::from_value(value).unwrap()
}

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(format!("{name}.yaml"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "{name}: differs from its snapshot; if that is meant, run with UPDATE_SNAPSHOTS=1\n{text}");
}

/// An upgrade of the operator rolls every pod whose template is another than that of the last release.
fn check_templates(name: &str, children: &[Child]) {
    let released = include_str!("../../tests/released/templates.txt");
    let sets = children.iter().filter(|child| child.kind == Kind::StatefulSet);
    let lines =
        sets.map(|set| format!("{name} {} {}", set.name, crate::hash::of_value(&set.object["spec"]["template"])));
    let others: Vec<String> = lines.filter(|line| !released.lines().any(|known| known == line)).collect();
    assert!(
        others.is_empty(),
        "an upgrade would roll the pods of deployments like {name}; if that is meant, say so in docs/operations.md and change \
         tests/released/templates.txt:\n{}",
        others.join("\n")
    );
}

/// The fields that are false. Kubernetes' own types hold each by a pointer (`*bool`), so that false is stored as false. One that is
/// held plainly is left out of what is stored, and would be written again at every reconcile.
fn check_false(place: &str, value: &Value) {
    const KEPT: [&str; 3] = ["automountServiceAccountToken", "enableServiceLinks", "allowPrivilegeEscalation"];
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| check_false(name, value)),
        Value::Array(items) => items.iter().for_each(|item| check_false(place, item)),
        Value::Bool(false) => assert!(KEPT.contains(&place), "is {place} a pointer in Kubernetes' types?"),
        _ => {}
    }
}

fn snapshot(name: &str, spec: Value) {
    let spec = self::spec(spec);
    let owner = Owner { name: "chat".into(), namespace: "games".into(), uid: "uid-1".into() };
    let installed = Installed {
        chatd_image: "chatd:1".into(),
        valkey_image: "valkey:9".into(),
        operator_namespace: "chatd-system".into(),
        monitoring_namespaces: vec!["monitoring".into()],
    };
    let address = PodAddress { tcp: "203.0.113.7:7654".into(), web: "203.0.113.7:8081".into() };
    let facts = Facts {
        replicas: 3,
        partition: 0,
        addresses: [("chat-0".to_owned(), address)].into(),
        ordinals: 2,
        by_free_seats: Some(3),
        seats_floor: Some(3),
        deployment_uid: None,
        valkey_secret: Some("secret-uid".into()),
        optional_kinds: if name == "minimal" { BTreeSet::new() } else { Kind::OPTIONAL.into() },
    };
    let context = Context { owner: &owner, spec: &spec, installed: &installed, facts: &facts };
    let mut text = String::new();
    let mut children = children(&context);
    check_templates(name, &children);
    children.push(new_token_keys(&context, "20261124010203", &[7; 32]));
    if spec.api.is_served() && spec.api.secret_ref.is_none() {
        children.push(new_api_keys(&context, "20261124010203", &[9; 32]));
    }
    if context.is_managed_redis() {
        children.push(new_valkey_secret(&context, &[8; 32]));
    }
    for child in children {
        check_false("", &child.object);
        text.push_str("---\n");
        text.push_str(&to_yaml(&child.object).unwrap());
    }
    check(name, &text);
}

#[test]
fn an_empty_spec() {
    snapshot("minimal", json!({}));
}

#[test]
fn a_spec_with_every_field() {
    snapshot(
        "everything",
        json!({
            "replicas": 5, "image": "registry.example.org/chatd:2", "imagePullPolicy": "Always",
            "imagePullSecrets": [{ "name": "registry" }],
            "pod": {
                "labels": { "team": "games" }, "annotations": { "mesh": "on" },
                "resources": { "requests": { "cpu": 1 }, "limits": { "memory": "1Gi" } },
                "nodeSelector": { "disk": "ssd" }, "tolerations": [{ "key": "games", "operator": "Exists" }],
                "affinity": { "nodeAffinity": {} }, "priorityClassName": "high",
                "topologySpreadConstraints": [
                    { "maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule" }
                ],
            },
            "rooms": { "maxPlayers": 8, "seatHoldSeconds": 60, "emptyTTLSeconds": 20, "recordTTLSeconds": 90 },
            "limits": {
                "maxConnections": 1, "maxRooms": 2, "messagesPerSecond": 3, "burst": 4, "perClientIP": "Enabled"
            },
            "tcp": { "onWrongPod": "Relay", "proxyProtocol": "Required" },
            "web": { "allowedOrigins": ["https://a.example", "https://b.example"], "trustedProxies": ["10.0.0.0/8"] },
            "service": {
                "type": "LoadBalancer", "tcpPort": 7, "webPort": 8, "annotations": { "lb": "fast" },
                "loadBalancerClass": "example.org/lb", "externalTrafficPolicy": "Local"
            },
            "perPod": {
                "type": "LoadBalancer", "hostnameTemplate": "chat-{ordinal}.example.org",
                "annotations": { "dns": "chat-{ordinal}.example.org" }
            },
            "redis": {
                "keyPrefix": "games:$(HOME):",
                "managed": {
                    "image": "valkey:8", "resources": { "limits": { "memory": "1Gi" } },
                    "persistence": { "size": "1Gi", "storageClassName": "fast", "whenDeleted": "Retain" }
                },
            },
            "tokenKeys": { "secretRef": { "name": "keys" } },
            "autoscaling": {
                "minReplicas": 2, "maxReplicas": 9, "targetCPUUtilizationPercentage": 50,
                "freeSeats": "20%", "stabilizationSeconds": 60,
                "behavior": { "scaleDown": {
                    "stabilizationWindowSeconds": 60, "selectPolicy": "Min",
                    "policies": [{ "type": "Pods", "value": 1, "periodSeconds": 60 }]
                } },
            },
            "drain": { "deadlineSeconds": 60 },
            "monitoring": { "labels": { "release": "prometheus", "app.kubernetes.io/name": "not this" } },
            "networkPolicy": { "monitoringFrom": [{ "namespaceSelector": { "matchLabels": { "name": "monitoring" } } }] },
        }),
    );
}

#[test]
fn a_certificate_for_clients_and_no_balance() {
    snapshot(
        "tls",
        json!({
            "rooms": { "balance": false },
            "tls": {
                "secretRef": { "name": "chat-tls" }, "tcp": "Optional",
                "clientCASecretRef": { "name": "players", "key": "ca.crt" }
            },
        }),
    );
}

#[test]
fn rooms_of_an_application() {
    snapshot(
        "application",
        json!({
            "rooms": {
                "access": "Token", "openNames": "Enabled",
                "joinKeys": { "secretRef": { "name": "join-keys" }, "audience": "$(chat)", "issuer": "https://app.example" }
            },
            "webhooks": {
                "url": "https://app.example/events?for=$(chat)", "secretRef": { "name": "webhook" },
                "caSecretRef": { "name": "app-ca", "key": "ca.crt" }
            },
        }),
    );
}

#[test]
fn an_api_for_the_backend() {
    let backend = json!([{ "namespaceSelector": { "matchLabels": { "name": "backend" } } }]);
    snapshot("api", json!({ "api": { "type": "ClusterIP" }, "networkPolicy": { "apiFrom": backend } }));
}

#[test]
fn an_external_redis_by_url() {
    snapshot(
        "external",
        json!({
            "redis": { "type": "External", "external": {
                "url": "rediss://redis.databases:6379/3",
                "auth": { "username": "chat", "passwordSecretRef": { "name": "redis", "key": "password" } },
                "tls": {
                    "caSecretRef": { "name": "redis-ca", "key": "ca.crt" },
                    "clientCertificateSecretRef": { "name": "redis-client" }
                },
            } },
            "perPod": { "type": "NodePort" }, "service": { "type": "NodePort" },
            "networkPolicy": { "type": "None" }, "monitoring": { "type": "None" },
        }),
    );
}

#[test]
fn sentinels_with_tls() {
    snapshot(
        "sentinel",
        json!({
            "redis": { "type": "External", "external": {
                "sentinel": {
                    "masterName": "mymaster", "addresses": ["s-0.s:26379", "s-1.s:26379"],
                    "passwordSecretRef": { "name": "redis", "key": "sentinel" }
                },
                "tls": {},
            } },
        }),
    );
}
