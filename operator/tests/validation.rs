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
    vec![
        (json!({ "replicas": 501 }), "should be less than or equal to 500"),
        (json!({ "replicas": -1 }), "should be greater than or equal to 0"),
        (json!({ "imagePullPolicy": "Sometimes" }), "supported values"),
        (
            json!({ "autoscaling": { "maxReplicas": 5 }, "pod": { "resources": { "requests": { "memory": "1Gi" } } } }),
            "set pod.resources.requests.cpu",
        ),
        (json!({ "image": "a b" }), "image must be an image's name"),
        (json!({ "pod": { "labels": { "app.kubernetes.io/name": "x" } } }), "pod.labels must not hold labels"),
        (json!({ "pod": { "labels": { "chatd.dev/x": "x" } } }), "pod.labels must not hold labels"),
        (json!({ "pod": { "labels": { "a": "-" } } }), "the values of pod.labels"),
        (json!({ "pod": { "annotations": { "chatd.dev/x": "x" } } }), "pod.annotations must not hold"),
        (json!({ "pod": { "resources": { "requests": { "cpu": "lots" } } } }), "cpu"),
        (
            json!({ "rooms": { "seatHoldSeconds": 90, "recordTTLSeconds": 60 } }),
            "rooms.seatHoldSeconds must be at most",
        ),
        (json!({ "rooms": { "maxPlayers": 65 } }), "should be less than or equal to 64"),
        (json!({ "limits": { "messagesPerSecond": 30 } }), "limits.burst must be at least"),
        (json!({ "web": { "allowedOrigins": ["https://a.example/path"] } }), "web.allowedOrigins must be origins"),
        (json!({ "web": { "allowedOrigins": ["*"] } }), "web.allowedOrigins must be origins"),
        (json!({ "web": { "trustedProxies": ["10.0.0.1/8"] } }), "web.trustedProxies must be networks"),
        (json!({ "web": { "trustedProxies": ["10.0.0.1"] } }), "web.trustedProxies must be networks"),
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
        (external(json!({ "url": "redis://u:p@r:1" })), "must hold no user and no password"),
        (external(json!({ "url": "http://r:1" })), "redis.external.url must be redis://"),
        (external(json!({ "url": "redis://r" })), "redis.external.url must be redis://"),
        (external(json!({ "url": "redis://r:1", "tls": {} })), "redis.external.tls needs TLS"),
        (sentinel(json!([]), "m"), "should have at least 1 items"),
        (sentinel(json!(["a"]), "m"), "must each be host:port"),
        (sentinel(json!(["a:1"]), "m m"), "masterName must be of"),
        (json!({ "autoscaling": { "minReplicas": 5, "maxReplicas": 4 } }), "must be at most autoscaling.maxReplicas"),
        (json!({ "autoscaling": {} }), "Required value"),
        (json!({ "drain": { "deadlineSeconds": 5 } }), "should be greater than or equal to 6"),
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
        (volume("1Gi"), json!({ "redis": { "managed": null } }), "persistence cannot be added or taken out"),
    ]
}

fn object(name: &str, spec: Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "chatd.dev/v1alpha1", "kind": "ChatDeployment", "metadata": { "name": name }, "spec": spec,
    }))
    .unwrap()
}

async fn api() -> Api<DynamicObject> {
    let client = kube::Client::try_default().await.expect("a cluster: set KUBECONFIG");
    let kind = GroupVersionKind::gvk("chatd.dev", "v1alpha1", "ChatDeployment");
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
    let api = api().await;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    for (spec, part) in refused() {
        let message = said(api.create(&dry, &object("validation", spec.clone())).await);
        assert!(message.contains(part), "{spec}\nshould be refused with: {part}\nbut: {message}");
    }
    for name in ["1chat", "chat-", "Chat", "a.b", &"a".repeat(41)] {
        let message = said(api.create(&dry, &object(name, json!({}))).await);
        assert!(message.contains("metadata.name") || message.contains("RFC 1123"), "{name}: {message}");
    }
    for spec in [
        json!({ "pod": { "resources": { "requests": { "cpu": 1, "memory": "64Mi" } } } }),
        json!({ "redis": { "type": "External", "external": { "url": "redis+cluster://a:1,[fd00::1]:2" } } }),
        json!({ "web": { "allowedOrigins": ["https://a.example", "http://localhost:3000"], "trustedProxies": ["fd00::/8"] } }),
    ] {
        assert_eq!(said(api.create(&dry, &object("validation", spec.clone())).await), "accepted", "{spec}");
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_cannot_change_is_refused_with_a_sentence() {
    let api = api().await;
    for (index, (before, after, part)) in changes().into_iter().enumerate() {
        let name = format!("change-{index}-{}", std::process::id());
        api.create(&PostParams::default(), &object(&name, before)).await.unwrap();
        let message = said(api.patch(&name, &PatchParams::default(), &Patch::Merge(json!({ "spec": after }))).await);
        api.delete(&name, &DeleteParams::default()).await.unwrap();
        assert!(message.contains(part), "{after}: {message}");
    }
}
