//! Seeded changes of a ChatDeployment and of its children. Pure: no I/O.

use operator::desired::Kind;
use serde_json::{Value, json};

use super::kubelet::BAD;
use super::rules::Chance;

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The user applies this spec.
    Spec(Value),
    /// Somebody deletes a child, `Kind/name`.
    Delete(String),
    /// Somebody edits what is the operator's.
    Edit {
        kind: Kind,
        name: String,
        patch: Value,
    },
    DeletePod(String),
}

/// A user who changes their mind.
#[derive(Debug)]
pub struct User {
    chance: Chance,
    pub spec: Value,
}

impl User {
    pub fn new(seed: u64) -> Self {
        Self { chance: Chance::new(seed), spec: json!({ "replicas": 2 }) }
    }

    /// The next change, of what there is.
    pub fn next(&mut self, children: &[String], pods: &[String]) -> Change {
        if self.holds_back() && self.chance.of(2) {
            self.let_go();
            return Change::Spec(self.spec.clone());
        }
        match self.chance.below(10) {
            0 => self.delete(children),
            1 if !pods.is_empty() => Change::DeletePod(self.chance.pick(pods).clone()),
            2 => self.edit(),
            _ => {
                let before = self.spec.clone();
                while self.spec == before {
                    self.change_field();
                }
                Change::Spec(self.spec.clone())
            }
        }
    }

    /// Whether pods are not to follow the spec, or cannot.
    pub fn holds_back(&self) -> bool {
        let rollout = &self.spec["rollout"];
        let is_partitioned = rollout["partition"].as_i64().unwrap_or_default() > 0;
        is_partitioned || rollout["paused"] == true || self.is_bad()
    }

    fn is_bad(&self) -> bool {
        self.spec["image"].as_str().is_some_and(|image| image.contains(BAD))
    }

    pub fn let_go(&mut self) {
        self.set("rollout", Value::Null);
        if self.is_bad() {
            self.set("image", Value::Null);
        }
    }

    fn set(&mut self, field: &str, value: Value) {
        let fields = self.spec.as_object_mut().unwrap();
        if value.is_null() {
            fields.remove(field);
        } else {
            fields.insert(field.to_owned(), value);
        }
    }

    fn change_field(&mut self) {
        let chance = &mut self.chance;
        let number = |chance: &mut Chance, from: u64, to: u64| from + chance.below(to - from + 1);
        let (field, value) = match chance.below(16) {
            0 | 1 => ("replicas", number(chance, 0, 4).into()),
            2 => ("rooms", json!({ "maxPlayers": number(chance, 1, 64), "seatHoldSeconds": number(chance, 0, 60) })),
            3 => ("limits", json!({ "maxConnections": number(chance, 1, 9), "burst": 40, "perClientIP": "Enabled" })),
            4 => {
                let good = json!(chance.pick(&["example.org/chatd:1", "example.org/chatd:2"]));
                ("image", chance.pick(&[good, json!(format!("example.org/{BAD}:1")), Value::Null]).clone())
            }
            5 => ("rollout", json!({ "partition": number(chance, 0, 3), "paused": chance.of(3) })),
            6 => ("service", service(chance)),
            7 => ("perPod", per_pod(chance)),
            8 => ("redis", redis(chance)),
            9 => ("autoscaling", autoscaling(chance)),
            10 => ("networkPolicy", network_policy(chance)),
            11 => ("pod", pod(chance)),
            12 => {
                let policy = *chance.pick(&["onWrongPod", "remoteRoomPolicy"]);
                ("tcp", json!({ policy: "Relay", "proxyProtocol": chance.pick(&["Required", "Disabled"]) }))
            }
            13 => ("web", json!({ "allowedOrigins": ["https://a.example"], "trustedProxies": ["192.0.2.0/24"] })),
            14 => ("drain", json!({ "deadlineSeconds": number(chance, 6, 60) })),
            _ => ("imagePullSecrets", chance.pick(&[json!([{ "name": "login" }]), Value::Null]).clone()),
        };
        // Back to the default, now and then.
        let value = if field != "replicas" && chance.of(4) { Value::Null } else { value };
        self.set(field, value);
        self.fit_replicas();
    }

    /// Outside of its bounds the autoscaler would change them at its own time.
    fn fit_replicas(&mut self) {
        if self.spec.get("autoscaling").is_some() {
            let replicas = self.spec["replicas"].as_u64().unwrap_or(3).clamp(1, 4);
            self.set("replicas", replicas.into());
            // It goes by what is requested.
            self.set("pod", Value::Null);
        }
    }

    /// Secrets are not watched: they are put back within five minutes.
    fn delete(&mut self, children: &[String]) -> Change {
        let watched: Vec<&String> = children.iter().filter(|child| !child.starts_with("Secret/")).collect();
        Change::Delete((*self.chance.pick(&watched)).clone())
    }

    fn edit(&mut self) -> Change {
        let edits = [
            (Kind::Service, "chat", json!({ "spec": { "ports": [{ "name": "tcp", "port": 1, "targetPort": 1 }] } })),
            (Kind::Service, "chat-pods", json!({ "spec": { "publishNotReadyAddresses": false } })),
            (Kind::Service, "chat", json!({ "metadata": { "labels": { "app.kubernetes.io/name": "x" } } })),
            (Kind::ServiceAccount, "chat-chatd", json!({ "automountServiceAccountToken": true })),
            (Kind::StatefulSet, "chat", json!({ "spec": { "replicas": 7 } })),
            (
                Kind::StatefulSet,
                "chat",
                json!({ "spec": { "updateStrategy": { "rollingUpdate": { "partition": 9 } } } }),
            ),
            (
                Kind::StatefulSet,
                "chat",
                json!({ "spec": { "template": { "spec": { "terminationGracePeriodSeconds": 1 } } } }),
            ),
            (Kind::PodDisruptionBudget, "chat", json!({ "spec": { "maxUnavailable": 3 } })),
            (Kind::PodDisruptionBudget, "chat", json!({ "metadata": { "ownerReferences": null } })),
        ];
        let (kind, name, patch) = self.chance.pick(&edits).clone();
        Change::Edit { kind, name: name.to_owned(), patch }
    }
}

fn service(chance: &mut Chance) -> Value {
    let type_ = *chance.pick(&["ClusterIP", "NodePort", "LoadBalancer"]);
    let mut service = json!({ "type": type_, "tcpPort": 7000 + chance.below(3), "webPort": 80 + chance.below(2) });
    if type_ != "ClusterIP" && chance.of(2) {
        service["externalTrafficPolicy"] = "Local".into();
    }
    if chance.of(2) {
        service["annotations"] = json!({ "example.org/balancer": chance.below(2).to_string() });
    }
    service
}

fn per_pod(chance: &mut Chance) -> Value {
    let mut per_pod = json!({ "type": chance.pick(&["NodePort", "LoadBalancer"]) });
    if chance.of(2) {
        per_pod["hostnameTemplate"] = "chat-{ordinal}.example.org".into();
    }
    if chance.of(2) {
        per_pod["annotations"] = json!({ "example.org/name": "{ordinal}" });
    }
    per_pod
}

fn redis(chance: &mut Chance) -> Value {
    let prefix = *chance.pick(&["chat:", "other:"]);
    let mut redis = json!({ "type": chance.pick(&["Managed", "External"]), "keyPrefix": prefix });
    if redis["type"] == "External" {
        redis["external"] = chance
            .pick(&[
                json!({ "url": "redis://redis.example.org:6379" }),
                json!({
                    "url": "rediss://redis.example.org:6379",
                    "auth": { "username": "chatd", "passwordSecretRef": { "name": "redis", "key": "password" } },
                    "tls": { "caSecretRef": { "name": "redis", "key": "ca.crt" } },
                }),
                json!({ "sentinel": { "masterName": "m", "addresses": ["s-0.example.org:26379"] } }),
            ])
            .clone();
    } else if chance.of(2) {
        redis["managed"] = json!({ "image": "example.org/valkey:1", "resources": { "limits": { "memory": "128Mi" } } });
    }
    redis
}

fn autoscaling(chance: &mut Chance) -> Value {
    let mut autoscaling = json!({ "minReplicas": 1, "maxReplicas": 4 + chance.below(3) });
    if chance.of(2) {
        let policies = json!([{ "type": "Pods", "value": 1, "periodSeconds": 60 }]);
        autoscaling["behavior"] = json!({ "scaleDown": { "stabilizationWindowSeconds": 60, "policies": policies } });
    }
    autoscaling
}

fn network_policy(chance: &mut Chance) -> Value {
    let from = json!([{ "namespaceSelector": { "matchLabels": { "name": "monitoring" } } }]);
    chance.pick(&[json!({ "type": "None" }), json!({ "monitoringFrom": from })]).clone()
}

fn pod(chance: &mut Chance) -> Value {
    chance
        .pick(&[
            json!({ "labels": { "team": "games" }, "annotations": { "example.org/mesh": "on" } }),
            json!({ "resources": { "requests": { "cpu": "0.25", "memory": "128Mi" }, "limits": { "memory": "1Gi" } } }),
            json!({ "nodeSelector": { "disk": "fast" }, "tolerations": [{ "key": "games", "operator": "Exists" }] }),
            json!({ "topologySpreadConstraints": [] }),
        ])
        .clone()
}

#[test]
fn a_seed_is_a_walk() {
    let walk = |seed| {
        let mut user = User::new(seed);
        (0..40).map(|_| user.next(&["Service/chat".to_owned()], &[])).collect::<Vec<_>>()
    };
    assert_eq!(walk(1), walk(1));
    assert_ne!(walk(1), walk(2));
}
