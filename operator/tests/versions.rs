//! Both versions of a ChatDeployment at a real API server: one object, whichever is used, and lists that several writers share. Needs
//! KUBECONFIG and the installed CRD: `cargo test -p operator --test versions -- --ignored`. Does I/O.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use operator::api::ChatDeploymentSpec;
use serde_json::{Value, json};

const VERSIONS: [&str; 2] = ["v1alpha1", "v1beta1"];

async fn api(version: &str) -> Api<DynamicObject> {
    let client = kube::Client::try_default().await.expect("a cluster: set KUBECONFIG");
    let kind = GroupVersionKind::gvk("chatd.dev", version, "ChatDeployment");
    Api::default_namespaced_with(client, &ApiResource::from_gvk(&kind))
}

/// Of one process and one test.
fn name(of: &str) -> String {
    format!("{of}-{}", std::process::id())
}

fn manifest(version: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("chatd.dev/{version}"), "kind": "ChatDeployment", "metadata": { "name": name },
        "spec": spec,
    })
}

/// Server-side apply, as kubectl and GitOps tools do it.
async fn apply(version: &str, manager: &str, name: &str, spec: &Value) -> Result<DynamicObject, kube::Error> {
    let patch = Patch::Apply(manifest(version, name, spec));
    api(version).await.patch(name, &PatchParams::apply(manager), &patch).await
}

fn refusal(result: Result<DynamicObject, kube::Error>) -> String {
    match result {
        Err(kube::Error::Api(status)) => status.message.clone(),
        other => panic!("not refused: {other:?}"),
    }
}

async fn delete(name: &str) {
    api("v1beta1").await.delete(name, &DeleteParams::default()).await.unwrap();
}

/// The specs that people of the last release may have stored.
fn released() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/released/objects.yaml");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap()).unwrap();
    objects.into_iter().map(|object| object["spec"].clone()).collect()
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_one_version_writes_the_other_reads() {
    let specs = released();
    assert!(specs.len() > 3);
    for (index, spec) in specs.iter().enumerate() {
        let name = name(&format!("both-{index}"));
        let first = apply("v1alpha1", "tool", &name, spec).await.unwrap();
        let read = async |version| api(version).await.get(&name).await.unwrap();
        let beta = read("v1beta1").await;
        assert_eq!(beta.types.as_ref().unwrap().api_version, "chatd.dev/v1beta1");
        assert_eq!((&beta.data, &beta.metadata.uid), (&read("v1alpha1").await.data, &first.metadata.uid));
        // The manifest with the new version is no change for anybody.
        let second = apply("v1beta1", "tool", &name, spec).await.unwrap();
        assert_eq!(
            (&second.data["spec"], second.metadata.generation),
            (&first.data["spec"], first.metadata.generation)
        );
        let managers = second.metadata.managed_fields.unwrap();
        assert_eq!(managers.len(), 1, "one writer, whichever version it used: {managers:?}");
        // And back, by a write of everything.
        let mut object = read("v1alpha1").await;
        object.metadata.managed_fields = None;
        let replaced = api("v1alpha1").await.replace(&name, &PostParams::default(), &object).await.unwrap();
        assert_eq!((&replaced.data, replaced.metadata.generation), (&beta.data, first.metadata.generation));
        delete(&name).await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn two_writers_share_a_list() {
    let name = name("shared");
    let spec = |word: &str| {
        json!({
            "replicas": 0, "imagePullSecrets": [{ "name": word }],
            "web": { "allowedOrigins": [format!("https://{word}.example")], "trustedProxies": ["10.0.0.0/8"] },
        })
    };
    apply("v1alpha1", "one", &name, &spec("one")).await.unwrap();
    let both = apply("v1beta1", "two", &name, &spec("two")).await.unwrap();
    assert_eq!(both.data["spec"]["imagePullSecrets"], json!([{ "name": "one" }, { "name": "two" }]));
    assert_eq!(both.data["spec"]["web"]["allowedOrigins"], json!(["https://one.example", "https://two.example"]));
    assert_eq!(both.data["spec"]["web"]["trustedProxies"], json!(["10.0.0.0/8"]));
    // Each takes back its own.
    let rest = apply("v1beta1", "one", &name, &json!({ "replicas": 0 })).await.unwrap();
    assert_eq!(rest.data["spec"]["web"]["allowedOrigins"], json!(["https://two.example"]));
    let twice = json!({ "web": { "allowedOrigins": ["https://a.example", "https://a.example"] } });
    for version in VERSIONS {
        let create = api(version).await.create(&dry(), &object(version, "twice", &twice)).await;
        assert!(refusal(create).contains("Duplicate value"), "{version}");
    }
    delete(&name).await;
}

/// What a writer had and applies as `{}` is as in an object that it makes with `{}`.
#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_a_writer_empties_is_admitted_and_empty() {
    let at = |place: &str, value: Value| place.rsplit('.').fold(value, |inner, name| json!({ name: inner }));
    let scaling = |behavior: Value| json!({ "autoscaling": { "maxReplicas": 3, "behavior": behavior } });
    let sentinel = |tls: Value| {
        let sentinel = json!({ "masterName": "m", "addresses": ["s:26379"] });
        json!({ "redis": { "type": "External", "external": { "sentinel": sentinel, "tls": tls } } })
    };
    let mut cases: Vec<(Value, Value)> = [
        ("monitoring", json!({ "type": "None" })),
        ("monitoring.labels", json!({ "a": "b" })),
        ("pod.labels", json!({ "a": "b" })),
        ("pod.annotations", json!({ "a": "b" })),
        ("pod.nodeSelector", json!({ "a": "b" })),
        ("pod.resources.requests", json!({ "cpu": "1" })),
        ("pod.affinity", json!({ "podAffinity": {} })),
        ("service.annotations", json!({ "a": "b" })),
        ("perPod.annotations", json!({ "a": "b" })),
        ("redis.managed", json!({ "image": "valkey:9" })),
        ("redis.managed.resources", json!({ "limits": { "memory": "1Gi" } })),
    ]
    .map(|(place, value)| (at(place, value), at(place, json!({}))))
    .into();
    cases.push((scaling(json!({ "scaleUp": { "selectPolicy": "Max" } })), scaling(json!({}))));
    cases.push((scaling(json!({ "scaleUp": { "selectPolicy": "Max" } })), scaling(json!({ "scaleUp": {} }))));
    cases.push((sentinel(json!({ "caSecretRef": { "name": "a", "key": "b" } })), sentinel(json!({}))));
    for (index, (before, after)) in cases.into_iter().enumerate() {
        let name = name(&format!("emptied-{index}"));
        let spec = |mut spec: Value| {
            spec["replicas"] = 0.into();
            spec
        };
        let (before, after) = (spec(before), spec(after));
        apply("v1beta1", "tool", &name, &before).await.unwrap();
        let emptied = apply("v1beta1", "tool", &name, &after).await.unwrap_or_else(|error| panic!("{after}: {error}"));
        let fresh = api("v1beta1").await.create(&dry(), &object("v1beta1", "fresh", &after)).await.unwrap();
        assert_eq!(without_empty(read(&emptied)), without_empty(read(&fresh)), "{after}");
        delete(&name).await;
    }
}

/// A spec as the operator reads it.
fn read(object: &DynamicObject) -> Value {
    let spec: ChatDeploymentSpec = serde_json::from_value(object.data["spec"].clone()).unwrap();
    serde_json::to_value(spec).unwrap()
}

/// Without objects that mean the same as none, which server-side apply makes null.
fn without_empty(mut spec: Value) -> Value {
    for (holder, field) in [("/autoscaling/behavior", "scaleUp"), ("/autoscaling", "behavior"), ("/redis", "managed")] {
        if let Some(holder) = spec.pointer_mut(holder).and_then(Value::as_object_mut)
            && holder.get(field).is_some_and(|value| value.as_object().is_some_and(serde_json::Map::is_empty))
        {
            holder.remove(field);
        }
    }
    spec
}

fn dry() -> PostParams {
    PostParams { dry_run: true, ..PostParams::default() }
}

fn object(version: &str, name: &str, spec: &Value) -> DynamicObject {
    serde_json::from_value(manifest(version, name, spec)).unwrap()
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_status_follows_the_conventions() {
    for version in VERSIONS {
        let name = name(&format!("status-{version}"));
        let api = api(version).await;
        api.create(&PostParams::default(), &object(version, &name, &json!({ "replicas": 0 }))).await.unwrap();
        let fresh = api.get(&name).await.unwrap();
        assert_eq!(fresh.data["status"]["observedGeneration"], -1, "nobody has looked at it");
        let good = json!({
            "type": "Ready", "status": "False", "reason": "Starting", "message": "",
            "lastTransitionTime": "2026-11-29T00:00:00Z", "observedGeneration": 1,
        });
        let patch = async |field: &str, value: Value| {
            let mut condition = good.clone();
            condition[field] = value;
            let status = Patch::Merge(json!({ "status": { "conditions": [condition] } }));
            let dry = PatchParams { dry_run: true, ..PatchParams::default() };
            api.patch_status(&name, &dry, &status).await
        };
        patch("type", json!("Ready")).await.unwrap();
        for (field, wrong, part) in [
            ("status", json!("Maybe"), "supported values"),
            ("reason", json!(""), "conditions[0].reason"),
            ("reason", json!("two words"), "conditions[0].reason"),
            ("lastTransitionTime", json!("today"), "date-time"),
            ("observedGeneration", json!(-1), "observedGeneration"),
            ("type", json!(""), "conditions[0].type"),
        ] {
            let message = refusal(patch(field, wrong.clone()).await);
            assert!(message.contains(part), "{field} {wrong}: {message}");
        }
        delete(&name).await;
    }
}
