//! Real Redis servers in pods of the test's namespace, each with a Service of its name, and certificates for them. Does I/O.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use kube::api::{DeleteParams, ListParams};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use super::world::{Object, World, eventually, redis_image};

impl World {
    /// A Secret, with what it holds as text.
    pub async fn secret(&self, name: &str, content: &[(&str, &str)]) {
        let content: BTreeMap<_, _> = content.iter().copied().collect();
        self.put::<Secret>(json!({ "metadata": { "name": name }, "stringData": content })).await;
    }

    /// A Service that selects the pod of its name.
    pub async fn service(&self, name: &str, port: i32) {
        let spec = json!({ "selector": { "app": name }, "ports": [{ "port": port }] });
        self.put::<Service>(json!({ "metadata": { "name": name }, "spec": spec })).await;
    }

    /// `redis-server` with these arguments, and with the Secret `files` in /etc/redis. It is there when it answers.
    pub async fn redis(&self, name: &str, port: i32, arguments: &[&str], files: Option<&str>) {
        self.service(name, port).await;
        self.redis_pod(name, port, arguments, files).await;
    }

    pub async fn redis_pod(&self, name: &str, port: i32, arguments: &[&str], files: Option<&str>) {
        let mut volumes = vec![json!({ "name": "data", "emptyDir": {} })];
        let mut mounts = vec![json!({ "name": "data", "mountPath": "/data" })];
        if let Some(secret) = files {
            volumes.push(json!({ "name": "files", "secret": { "secretName": secret } }));
            mounts.push(json!({ "name": "files", "mountPath": "/etc/redis" }));
        }
        let container = json!({
            "name": "redis", "image": redis_image(), "imagePullPolicy": "IfNotPresent", "command": arguments,
            "workingDir": "/data", "volumeMounts": mounts,
            "env": [{ "name": "POD_IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } }],
            "readinessProbe": { "tcpSocket": { "port": port }, "periodSeconds": 1 },
            "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } },
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
        });
        let user = 999;
        let spec = json!({
            "containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": false, "enableServiceLinks": false,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": user, "runAsGroup": user, "fsGroup": user,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
        });
        self.put::<Pod>(json!({ "metadata": { "name": name, "labels": { "app": name } }, "spec": spec })).await;
        eventually(&format!("{name} is ready"), async || self.is_pod_ready(name).await).await;
    }

    pub async fn is_pod_ready(&self, name: &str) -> bool {
        let pod = self.api::<Pod>().get_opt(name).await.unwrap();
        let conditions = pod.and_then(|pod| pod.status?.conditions).unwrap_or_default();
        conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    }

    /// Ends it, and waits until it has gone.
    pub async fn end_pod(&self, name: &str) {
        let pods = self.api::<Pod>();
        let uid = pods.get(name).await.unwrap().metadata.uid;
        pods.delete(name, &DeleteParams::default().grace_period(0)).await.unwrap();
        eventually(&format!("{name} has gone"), async || {
            pods.get_opt(name).await.unwrap().is_none_or(|pod| pod.metadata.uid != uid)
        })
        .await;
    }

    /// What `redis-cli` with these arguments says, run in a pod.
    pub fn redis_cli(&self, pod: &str, arguments: &[&str]) -> String {
        let mut all = vec!["exec", pod, "--", "redis-cli"];
        all.extend(arguments);
        self.kubectl_ok(&all).trim().to_owned()
    }

    /// The value of a Secret's key, as text.
    pub async fn secret_value(&self, name: &str, key: &str) -> String {
        let secret = self.api::<Secret>().get(name).await.unwrap();
        String::from_utf8(secret.data.unwrap()[key].0.clone()).unwrap()
    }

    pub async fn names<K: Object>(&self) -> Vec<String> {
        let objects = self.api::<K>().list(&ListParams::default()).await.unwrap();
        objects.into_iter().filter_map(|object| object.meta().name.clone()).collect()
    }

    pub fn host(&self, service: &str) -> String {
        format!("{service}.{}.svc", self.namespace)
    }
}

/// An external Redis by its URL, for a ChatDeployment of one small pod.
pub fn external(url: &str, prefix: &str, more: &Value) -> Value {
    let mut external = json!({ "url": url });
    external.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    small(&json!({ "type": "External", "keyPrefix": prefix, "external": external }))
}

/// One pod that asks for little, so that many fit.
pub fn small(redis: &Value) -> Value {
    json!({ "replicas": 1, "pod": { "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } } }, "redis": redis })
}

/// An authority, and what it signed: PEM texts.
pub struct Certificates {
    pub ca: String,
    pub server: (String, String),
    pub client: (String, String),
}

impl Certificates {
    pub fn of(host: &str) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::<String>::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "test authority");
        let pem = ca.self_signed(&ca_key).unwrap().pem();
        let issuer = Issuer::new(ca, ca_key);
        let signed = |subject: &str| {
            let key = KeyPair::generate().unwrap();
            let parameters = CertificateParams::new(vec![subject.to_owned()]).unwrap();
            (parameters.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
        };
        Self { server: signed(host), client: signed("client"), ca: pem }
    }
}
