//! What a user gets wrong is refused by a real API server, in the words of the rules. Needs KUBECONFIG and the installed CRD:
//! `cargo test -p operator --test validation -- --ignored`. Objects are sent as dry runs, but for those that changes need.
#![allow(clippy::unwrap_used)]

use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use operator::api::RULES;
use serde_json::{Value, json};

/// A spec, and a part of the sentence by which it is refused.
fn refused() -> Vec<(Value, &'static str)> {
    let external = |external: Value| json!({ "redis": { "type": "External", "external": external } });
    let sentinel = |addresses: Value, master: &str| {
        external(json!({ "sentinel": { "masterName": master, "addresses": addresses } }))
    };
    let mut cases = forms().into_iter().flat_map(|form| form.refused()).collect::<Vec<_>>();
    cases.extend([
        (json!({ "replicas": 501 }), "should be less than or equal to 500"),
        (json!({ "replicas": -1 }), "should be greater than or equal to 0"),
        (json!({ "imagePullPolicy": "Sometimes" }), "supported values"),
        (
            json!({ "autoscaling": { "maxReplicas": 5 }, "pod": { "resources": { "requests": { "memory": "1Gi" } } } }),
            "set pod.resources.requests.cpu",
        ),
        (json!({ "image": "a b" }), "image must be an image's name"),
        (json!({ "pod": { "labels": { "app.kubernetes.io/name": "x" } } }), "pod.labels must not contain labels"),
        (json!({ "pod": { "labels": { "chatd.dev/x": "x" } } }), "pod.labels must not contain labels"),
        (json!({ "pod": { "labels": { "a": "-" } } }), "the values of pod.labels"),
        (json!({ "pod": { "annotations": { "chatd.dev/x": "x" } } }), "pod.annotations must not contain"),
        (json!({ "pod": { "resources": { "requests": { "cpu": "lots" } } } }), "cpu"),
        (
            json!({ "rooms": { "seatHoldSeconds": 90, "recordTTLSeconds": 60 } }),
            "rooms.seatHoldSeconds must be at most",
        ),
        (json!({ "rooms": { "access": "Token" } }), "rooms.access: Token needs rooms.joinKeys"),
        (json!({ "rooms": { "access": "Nobody" } }), "supported values"),
        (json!({ "rooms": { "maxPlayers": 65 } }), "should be less than or equal to 64"),
        (
            json!({ "webhooks": {
                "url": "http://localhost:1/", "secretRef": { "name": "w" }, "caSecretRef": { "name": "c", "key": "k" }
            } }),
            "webhooks.caSecretRef needs an https URL",
        ),
        (json!({ "webhooks": { "url": "https://a" } }), "Required value"),
        (json!({ "api": { "secretRef": { "name": "keys" } } }), "api.secretRef needs api.type: ClusterIP"),
        (json!({ "api": { "type": "LoadBalancer" } }), "supported values"),
        (json!({ "limits": { "messagesPerSecond": 30 } }), "limits.burst must be at least"),
        (json!({ "web": { "allowedOrigins": ["https://a.example/path"] } }), "web.allowedOrigins must be origins"),
        (json!({ "web": { "allowedOrigins": ["*"] } }), "web.allowedOrigins must be origins"),
        (json!({ "web": { "trustedProxies": ["10.0.0.1/8"] } }), "web.trustedProxies must be networks"),
        (json!({ "web": { "trustedProxies": ["10.0.0.1"] } }), "web.trustedProxies must be networks"),
        (json!({ "tcp": { "onWrongPod": "Relay", "remoteRoomPolicy": "Relay" } }), "set only one of them"),
        (json!({ "tcp": { "remoteRoomPolicy": "Refuse" } }), "supported values"),
        (json!({ "service": { "tcpPort": 80, "webPort": 80 } }), "must differ"),
        (json!({ "service": { "loadBalancerClass": "x" } }), "needs service.type: LoadBalancer"),
        (json!({ "service": { "externalTrafficPolicy": "Local" } }), "needs service.type: NodePort or LoadBalancer"),
        (json!({ "perPod": { "type": "NodePort", "hostnameTemplate": "chat.example.org" } }), "with {ordinal} in it"),
        (json!({ "perPod": { "hostnameTemplate": "chat-{ordinal}.example.org" } }), "needs perPod.type"),
        (
            json!({ "redis": { "type": "External", "managed": {}, "external": { "url": "redis://r:1" } } }),
            "redis.managed needs redis.type: Managed",
        ),
        (json!({ "redis": { "external": { "url": "redis://r:1" } } }), "redis.external needs redis.type: External"),
        (json!({ "redis": { "type": "External" } }), "needs redis.external with url or sentinel"),
        (json!({ "redis": { "keyPrefix": "a b" } }), "redis.keyPrefix must be printable"),
        (json!({ "redis": { "keyPrefix": "{a}" } }), "redis.keyPrefix must be printable"),
        (json!({ "redis": { "keyPrefix": "a\\" } }), "redis.keyPrefix must be printable"),
        (json!({ "redis": { "managed": { "image": "a b" } } }), "redis.managed.image must be"),
        (external(json!({})), "exactly one of url and sentinel"),
        (external(json!({ "url": "redis://u:p@r:1" })), "must not contain a user or password"),
        (external(json!({ "url": "http://r:1" })), "redis.external.url must be redis://"),
        (external(json!({ "url": "redis://r" })), "redis.external.url must be redis://"),
        (external(json!({ "url": "redis://r:1", "tls": {} })), "redis.external.tls needs TLS"),
        (sentinel(json!([]), "m"), "should have at least 1 items"),
        (sentinel(json!(["a"]), "m"), "must each be host:port"),
        (sentinel(json!(["a:1"]), "m m"), "masterName must consist of"),
        (json!({ "autoscaling": { "minReplicas": 5, "maxReplicas": 4 } }), "must be at most autoscaling.maxReplicas"),
        (json!({ "autoscaling": { "maxReplicas": 5, "freeSeats": 0 } }), "must be a number from 1 to"),
        (json!({ "autoscaling": { "maxReplicas": 5, "freeSeats": "100%" } }), "Too long"),
        (json!({ "autoscaling": { "maxReplicas": 5, "freeSeats": "0%" } }), "must be a number from 1 to"),
        (json!({ "autoscaling": { "maxReplicas": 5, "freeSeats": "20" } }), "must be a number from 1 to"),
        (json!({ "autoscaling": {} }), "Required value"),
        (json!({ "drain": { "deadlineSeconds": 5 } }), "should be greater than or equal to 6"),
    ]);
    cases
}

/// A text of one form: what chatd takes at its start is let in, and nothing else.
struct Form {
    spec: fn(&str) -> Value,
    sentence: &'static str,
    accepted: &'static [&'static str],
    refused: &'static [&'static str],
}

impl Form {
    fn refused(&self) -> Vec<(Value, &'static str)> {
        self.refused.iter().map(|text| ((self.spec)(text), self.sentence)).collect()
    }

    fn accepted(&self) -> Vec<Value> {
        self.accepted.iter().map(|text| (self.spec)(text)).collect()
    }
}

fn forms() -> [Form; 5] {
    [
        Form {
            spec: |url| json!({ "webhooks": { "url": url, "secretRef": { "name": "webhook" } } }),
            sentence: "webhooks.url must begin with https://",
            accepted: &[
                "https://app.example.org",
                "https://app.example.org:8443/events?key=a%20b&for=chat",
                "https://receiver.apps.svc/",
                "https://10.0.0.7:1/a",
                "https://[fd00::7]:65535/a",
                "http://localhost:8080/a",
                "http://127.0.0.1/a",
                "http://[::1]:9/a",
            ],
            refused: &[
                "http://receiver.apps.svc:8080/a",
                "http://localhost.example.org/",
                "http://10.0.0.7/",
                "https://user:password@app.example.org/",
                "https://app.example.org:0/",
                "https://app.example.org:65536/",
                "https://app.example.org/a b",
                "https://app.example.org/#a",
                "https:///a",
                "ftp://app.example.org/",
                "app.example.org",
            ],
        },
        Form {
            spec: |url| json!({ "redis": { "type": "External", "external": { "url": url } } }),
            sentence: "redis.external.url must be redis://",
            accepted: &[
                "redis://r:1",
                "redis://r_1.a-b.:65535/",
                "rediss://10.0.0.7:6379/15",
                "redis://[fd00::7]:6379/999999999",
                "redis://[::1]:6379",
                "redis://[1:2:3:4:5:6:7:8]:6379",
                "redis://[::ffff:10.0.0.7]:6379",
                "redis://[1:2:3:4:5:6:10.0.0.255]:6379",
                "redis://[fd00::10.0.0.7]:6379",
                "rediss+cluster://a:1,[fd00::1]:2,b:3",
            ],
            refused: &[
                "redis://r:0",
                "redis://r:65536",
                "redis://r:99999",
                "redis://r:",
                "redis://a b:1",
                "redis://fd00::7:6379",
                "redis://[fd00::7:6379",
                "redis://[10.0.0.7]:6379",
                "redis://[::ffff:10.0.0]:6379",
                "redis://[::ffff:10.0.0.256]:6379",
                "redis://[::ffff:10.0.0.07]:6379",
                "redis://[::10.0.0.7:1]:6379",
                "redis://[1]:6379",
                "redis://[1::2::3]:6379",
                "redis://r:1/9999999999",
                "redis://r:1/x",
                "redis://a:1,b:2",
                "redis+cluster://a:1,",
                "redis+cluster://a:1/0",
                "redis+cluster://a:1,b:70000",
                "redis+sentinel://a:1/m",
            ],
        },
        Form {
            spec: |address| {
                let sentinel = json!({ "masterName": "m", "addresses": ["a:1", address] });
                json!({ "redis": { "type": "External", "external": { "sentinel": sentinel } } })
            },
            sentence: "redis.external.sentinel.addresses must each be host:port",
            accepted: &["s-0.s:26379", "[fd00::7]:1", "[::ffff:10.0.0.7]:26379", "10.0.0.7:65535"],
            refused: &["a:0", "a:65536", "a b:1", "fd00::7:1", "[1]:1", "a"],
        },
        Form {
            spec: |origin| json!({ "web": { "allowedOrigins": ["https://a.example", origin] } }),
            sentence: "web.allowedOrigins must be origins",
            accepted: &[
                "http://localhost:3000",
                "https://a-b.c_d.example",
                "https://a.example.",
                "http://[fd00::7]:65535",
                "https://[::1]",
            ],
            refused: &[
                "https://a..b",
                "https://.a",
                "https://a:99999",
                "https://a:0",
                "https://[1]",
                "https://[1::2::3]",
                "https://a/",
                "https://*.a",
                "wss://a",
                "https://a b",
            ],
        },
        Form {
            spec: |template| json!({ "perPod": { "type": "NodePort", "hostnameTemplate": template } }),
            sentence: "perPod.hostnameTemplate must be a host name",
            accepted: &[
                "{ordinal}",
                "chat-{ordinal}.example.org",
                "a.{ordinal}-b.c",
                "a.b.c{ordinal}",
                "{ordinal}.",
                "chat-{ordinal}.example.org.",
            ],
            refused: &[
                "..{ordinal}",
                "a..b.{ordinal}",
                ".{ordinal}",
                "{ordinal}..",
                "-{ordinal}.a",
                "{ordinal}-.a",
                "{ordinal}.a-.b",
                "{ordinal}{ordinal}",
                "Chat-{ordinal}",
                "{ordinal}.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                "{ordinal}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            ],
        },
    ]
}

/// A spec, another one that it must not become, and a part of the sentence.
fn changes() -> Vec<(Value, Value, &'static str)> {
    let balancer =
        |class: &str| json!({ "replicas": 0, "service": { "type": "LoadBalancer", "loadBalancerClass": class } });
    let volume = |size: &str| json!({ "replicas": 0, "redis": { "managed": { "persistence": { "size": size } } } });
    vec![
        (balancer("a"), balancer("b"), "loadBalancerClass cannot change"),
        (volume("1Gi"), volume("2Gi"), "redis.managed.persistence cannot change"),
        (volume("1Gi"), json!({ "redis": { "managed": null } }), "persistence cannot be added or removed"),
    ]
}

fn object(version: &str, name: &str, spec: Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": format!("chatd.dev/{version}"), "kind": "ChatDeployment", "metadata": { "name": name }, "spec": spec,
    }))
    .unwrap()
}

/// Rules and bounds are those of both.
const VERSIONS: [&str; 2] = ["v1beta1", "v1alpha1"];

async fn api(version: &str) -> Api<DynamicObject> {
    let client = kube::Client::try_default().await.expect("a cluster: set KUBECONFIG");
    let kind = GroupVersionKind::gvk("chatd.dev", version, "ChatDeployment");
    Api::default_namespaced_with(client, &ApiResource::from_gvk(&kind))
}

fn said(result: Result<DynamicObject, kube::Error>) -> String {
    match result {
        Ok(_) => "accepted".to_owned(),
        Err(kube::Error::Api(status)) => status.message.clone(),
        Err(error) => panic!("no answer: {error}"),
    }
}

#[test]
fn every_rule_has_a_case() {
    let cases = refused();
    let changes = changes();
    for rule in RULES.iter().filter(|rule| !rule.at.is_empty()) {
        let sentences = cases.iter().map(|case| case.1).chain(changes.iter().map(|case| case.2));
        assert!(sentences.into_iter().any(|part| rule.message.contains(part)), "no case for: {}", rule.message);
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_is_wrong_is_refused_with_a_sentence() {
    for version in VERSIONS {
        are_refused_or_accepted(version).await;
    }
}

async fn are_refused_or_accepted(version: &str) {
    let api = api(version).await;
    let object = |name: &str, spec: Value| object(version, name, spec);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    for (spec, part) in refused() {
        let message = said(api.create(&dry, &object("validation", spec.clone())).await);
        assert!(message.contains(part), "{spec}\nshould be refused with: {part}\nbut: {message}");
    }
    for name in ["1chat", "chat-", "Chat", "a.b", &"a".repeat(41)] {
        let message = said(api.create(&dry, &object(name, json!({}))).await);
        assert!(message.contains("metadata.name") || message.contains("RFC 1123"), "{name}: {message}");
    }
    let accepted = forms().into_iter().flat_map(|form| form.accepted());
    for spec in accepted.chain([
        json!({ "pod": { "resources": { "requests": { "cpu": 1, "memory": "64Mi" } } } }),
        json!({ "web": { "trustedProxies": ["fd00::/8"] } }),
        json!({ "tcp": { "remoteRoomPolicy": "Redirect" } }),
        json!({ "tcp": { "onWrongPod": "Redirect" } }),
        json!({ "autoscaling": { "maxReplicas": 5, "freeSeats": "20%" } }),
        json!({
            "autoscaling": { "maxReplicas": 5, "freeSeats": 200 },
            "pod": { "resources": { "requests": { "memory": "1Gi" } } },
        }),
    ]) {
        assert_eq!(said(api.create(&dry, &object("validation", spec.clone())).await), "accepted", "{spec}");
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_cannot_change_is_refused_with_a_sentence() {
    for ((index, (before, after, part)), version) in changes().into_iter().enumerate().zip(VERSIONS.into_iter().cycle())
    {
        let api = api(version).await;
        let name = format!("change-{index}-{}", std::process::id());
        api.create(&PostParams::default(), &object(version, &name, before)).await.unwrap();
        let message = said(api.patch(&name, &PatchParams::default(), &Patch::Merge(json!({ "spec": after }))).await);
        api.delete(&name, &DeleteParams::default()).await.unwrap();
        assert!(message.contains(part), "{after}: {message}");
    }
}
