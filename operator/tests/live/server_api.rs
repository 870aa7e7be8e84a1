//! The server API's children, as they come, change and go. Does I/O. No pod has to run chatd for it.

use std::collections::BTreeMap;
use std::time::Instant;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Container, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::DeleteParams;
use operator::api::ChatDeployment;
use serde_json::{Value, json};

use super::world::{World, eventually};

fn spec(api: Value) -> Value {
    let redis = json!({ "type": "External", "external": { "url": "redis://nowhere:6379" } });
    let mut spec = json!({ "replicas": 0, "redis": redis });
    if !api.is_null() {
        spec["api"] = api;
    }
    spec
}

impl World {
    async fn keys(&self) -> Option<BTreeMap<String, ByteString>> {
        self.api::<Secret>().get_opt("chat-api").await.unwrap()?.data
    }

    /// The container of the chat pods, and the Secret that it gets keys from.
    async fn container(&self) -> (Container, Option<String>) {
        let set = self.api::<StatefulSet>().get("chat").await.unwrap();
        let mut pod = set.spec.unwrap().template.spec.unwrap();
        let volume = pod.volumes.into_iter().flatten().find(|volume| volume.name == "api-keys");
        (pod.containers.remove(0), volume.and_then(|volume| volume.secret?.secret_name))
    }

    /// Whose keys the status names, once it is about the present spec.
    async fn told_keys(&self, expected: Option<&str>) {
        eventually(&format!("the status names {expected:?}"), async || {
            let api = self.status_of("chat").await.api;
            assert!(api.iter().all(|api| api.url == format!("http://chat-api.{}.svc:8082", self.namespace)), "{api:?}");
            self.condition("Ready").await == "True/ScaledToZero"
                && api.map(|api| api.secret_name).as_deref() == expected
        })
        .await;
    }

    /// Who may reach the port of the API.
    async fn callers(&self) -> Option<Value> {
        let policy = self.api::<NetworkPolicy>().get("chat").await.unwrap().spec.unwrap();
        let api = Some(IntOrString::String("api".to_owned()));
        let mut rules = policy.ingress.into_iter().flatten();
        let rule = rules.find(|rule| rule.ports.iter().flatten().any(|port| port.port == api))?;
        Some(serde_json::to_value(rule.from).unwrap())
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_api_comes_changes_and_goes() {
    let mut world = World::new("api").await;
    world.apply(spec(json!(null))).await;
    world.told_keys(None).await;
    let services = world.api::<Service>();
    assert!(services.get_opt("chat-api").await.unwrap().is_none() && world.keys().await.is_none());
    let before = world.container().await;

    world.apply(spec(json!({ "type": "ClusterIP" }))).await;
    world.told_keys(Some("chat-api")).await;
    let service = services.get("chat-api").await.unwrap().spec.unwrap();
    assert_eq!(service.type_.as_deref(), Some("ClusterIP"));
    assert_eq!(service.ports.unwrap().iter().map(|port| port.port).collect::<Vec<_>>(), [8082]);
    let public = services.get("chat").await.unwrap().spec.unwrap().ports.unwrap();
    assert!(public.iter().all(|port| port.port != 8082), "never on the Service for clients");
    let (container, secret) = world.container().await;
    assert_eq!(secret.as_deref(), Some("chat-api"));
    let arguments = container.args.unwrap();
    assert!(arguments.iter().any(|argument| argument == "--api-listen=0.0.0.0:8082"), "{arguments:?}");
    assert!(container.ports.unwrap().iter().any(|port| port.container_port == 8082));
    assert_eq!(world.callers().await, Some(json!([{ "podSelector": {} }])));
    let keys = world.keys().await.expect("a Secret");
    assert_eq!(keys.keys().map(String::as_str).collect::<Vec<_>>(), ["key", "keys.json"]);

    // Another operator finds it there; deleted ones are put back; other sources are let in.
    world.restart_operator();
    let mut other = spec(json!({ "type": "ClusterIP" }));
    let backend = json!({ "namespaceSelector": { "matchLabels": { "name": "backend" } } });
    other["networkPolicy"] = json!({ "apiFrom": [backend] });
    world.apply(other).await;
    services.delete("chat-api", &DeleteParams::default()).await.unwrap();
    eventually("the Service is back", async || services.get_opt("chat-api").await.unwrap().is_some()).await;
    let callers = Some(json!([{ "podSelector": {} }, backend]));
    eventually("the backend is let in", async || world.callers().await == callers).await;
    assert_eq!(world.keys().await.as_ref(), Some(&keys), "never written again");

    // Keys of the user's own.
    world.apply(spec(json!({ "type": "ClusterIP", "secretRef": { "name": "mine" } }))).await;
    world.told_keys(Some("mine")).await;
    assert_eq!(world.container().await.1.as_deref(), Some("mine"));

    // An empty object says what none at all says, also where there was something in it.
    world.apply(spec(json!({}))).await;
    world.told_keys(None).await;
    eventually("the Service goes", async || services.get_opt("chat-api").await.unwrap().is_none()).await;
    assert_eq!(world.container().await, before, "the pods are as they were");
    assert_eq!((world.callers().await, world.keys().await), (None, Some(keys.clone())), "callers keep their key");

    world.apply(spec(json!({ "type": "ClusterIP" }))).await;
    world.told_keys(Some("chat-api")).await;
    assert_eq!(world.keys().await, Some(keys));
    world.api::<ChatDeployment>().delete("chat", &DeleteParams::background()).await.unwrap();
    eventually("all of it goes with its owner", async || {
        services.get_opt("chat-api").await.unwrap().is_none() && world.keys().await.is_none()
    })
    .await;
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_secret_of_api_keys_that_is_missing_is_told() {
    let world = World::new("api-keys").await;
    let since = Instant::now();
    let mut spec = spec(json!({ "type": "ClusterIP", "secretRef": { "name": "mine" } }));
    spec["replicas"] = 1.into();
    world.apply(spec).await;
    world.told("chat", since, "MountFailed", "secret \"mine\" not found").await;
    world.end().await;
}
