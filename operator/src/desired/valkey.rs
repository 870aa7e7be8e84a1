//! The managed Valkey: its Service and StatefulSet. Its Secret is in `secrets.rs`, its NetworkPolicy in `network_policy.rs`.
//! Pure: no I/O.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    Container, KeyToPath, PersistentVolumeClaim, PersistentVolumeClaimSpec, PodSpec, PodTemplateSpec, Probe,
    SecretVolumeSource, Service, ServiceSpec, TCPSocketAction, Volume, VolumeMount, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::services::{self, VALKEY_PORT};
use super::stateful_set::{annotation, rolling_update};
use super::{Child, Context, Kind, VALKEY, VALKEY_SECRET, pod_template};
use crate::api::{Managed, Persistence, Resources};

const DATA: &str = "/data";

/// The user of Valkey's own image, which would start as root otherwise; the volume is made to fit it.
const USER: i64 = 999;

pub fn service(context: &Context<'_>) -> Child {
    let service = Service {
        metadata: context.metadata(context.names().valkey(), VALKEY),
        spec: Some(ServiceSpec {
            selector: Some(context.selector(VALKEY)),
            ports: Some(vec![services::port("redis", VALKEY_PORT, "redis")]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    };
    super::child(Kind::Service, &service)
}

/// One pod, with a volume if the spec asks for one.
pub fn stateful_set(context: &Context<'_>) -> Child {
    let managed = context.spec.redis.managed.clone().unwrap_or_default();
    let name = context.names().valkey();
    let stateful_set = StatefulSet {
        metadata: context.metadata(name.clone(), VALKEY),
        spec: Some(StatefulSetSpec {
            service_name: Some(name),
            replicas: Some(1),
            selector: LabelSelector { match_labels: Some(context.selector(VALKEY)), ..LabelSelector::default() },
            template: template(context, &managed),
            // So that a bad image does not block its own correction.
            pod_management_policy: Some("Parallel".to_owned()),
            update_strategy: Some(rolling_update(0)),
            revision_history_limit: Some(3),
            persistent_volume_claim_retention_policy: managed.persistence.as_ref().map(|persistence| {
                StatefulSetPersistentVolumeClaimRetentionPolicy {
                    when_deleted: Some(persistence.when_deleted.as_str().to_owned()),
                    when_scaled: Some("Retain".to_owned()),
                }
            }),
            volume_claim_templates: managed.persistence.as_ref().map(|persistence| vec![claim(context, persistence)]),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    };
    super::child(Kind::StatefulSet, &stateful_set)
}

fn template(context: &Context<'_>, managed: &Managed) -> PodTemplateSpec {
    let secret = context.facts.valkey_secret.clone().unwrap_or_default();
    let users = Volume {
        name: "users".to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(context.names().valkey()),
            items: Some(vec![KeyToPath { key: "users.acl".to_owned(), path: "users.acl".to_owned(), mode: None }]),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    };
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(context.labels(VALKEY)),
            // A new Secret is a new password, which Valkey reads at its start.
            annotations: Some(annotation(VALKEY_SECRET, &secret)),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            service_account_name: Some(context.names().service_account()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            termination_grace_period_seconds: Some(30),
            security_context: Some(pod_template::pod_security(Some(USER))),
            image_pull_secrets: Some(
                context
                    .spec
                    .image_pull_secrets
                    .iter()
                    .map(|secret| k8s_openapi::api::core::v1::LocalObjectReference { name: secret.name.clone() })
                    .collect::<Vec<_>>(),
            )
            .filter(|secrets| !secrets.is_empty()),
            containers: vec![container(context, managed)],
            // No emptyDir for what is never written: `kubectl drain` refuses a node with one.
            volumes: Some(vec![users]),
            ..PodSpec::default()
        }),
    }
}

fn container(context: &Context<'_>, managed: &Managed) -> Container {
    let resources = managed.resources.clone().unwrap_or_else(|| {
        let limits = BTreeMap::from([("memory".to_owned(), crate::api::Quantity::new("256Mi"))]);
        Resources { limits, ..Resources::requests("100m", "64Mi") }
    });
    let image = managed.image.as_ref().unwrap_or(&context.installed.valkey_image);
    Container {
        name: "valkey".to_owned(),
        image: Some(image.clone()),
        image_pull_policy: context.spec.image_pull_policy.map(|policy| policy.as_str().to_owned()),
        // Images of Valkey and of Redis both have a program of this name.
        command: Some(vec!["redis-server".to_owned()]),
        args: Some(arguments(managed, &resources)),
        ports: Some(vec![pod_template::port("redis", VALKEY_PORT)]),
        resources: Some(pod_template::resources(&resources)),
        readiness_probe: Some(Probe { period_seconds: Some(2), failure_threshold: Some(3), ..probe() }),
        liveness_probe: Some(Probe {
            initial_delay_seconds: Some(30),
            period_seconds: Some(10),
            failure_threshold: Some(6),
            ..probe()
        }),
        security_context: Some(pod_template::container_security()),
        volume_mounts: Some(mounts(managed)),
        ..Container::default()
    }
}

fn mounts(managed: &Managed) -> Vec<VolumeMount> {
    let data = managed.persistence.as_ref().map(|_| mount("data", DATA, false));
    [Some(mount("users", "/etc/valkey", true)), data].into_iter().flatten().collect()
}

fn arguments(managed: &Managed, resources: &Resources) -> Vec<String> {
    // Without a volume nothing is written; it is in a folder that every image has.
    let (append_only, folder) = if managed.persistence.is_some() { ("yes", DATA) } else { ("no", "/") };
    let port = VALKEY_PORT.to_string();
    let mut arguments: Vec<String> = [
        "--port",
        port.as_str(),
        "--dir",
        folder,
        "--aclfile",
        "/etc/valkey/users.acl",
        "--appendonly",
        append_only,
        // An evicted record makes its room hard to find: a full Valkey has to refuse writes.
        "--save",
        "",
        "--maxmemory-policy",
        "noeviction",
        "--tcp-keepalive",
        "30",
    ]
    .map(str::to_owned)
    .into();
    if let Some(limit) = resources.limits.get("memory").and_then(crate::api::Quantity::thousandths) {
        let bytes = limit / 1000 * 3 / 4;
        arguments.extend(["--maxmemory".to_owned(), bytes.to_string()]);
    }
    arguments
}

fn claim(context: &Context<'_>, persistence: &Persistence) -> PersistentVolumeClaim {
    let size = Quantity(persistence.size.0.clone());
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some("data".to_owned()),
            labels: Some(context.labels(VALKEY)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: persistence.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), size)])),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}

fn probe() -> Probe {
    Probe {
        tcp_socket: Some(TCPSocketAction { port: IntOrString::String("redis".to_owned()), host: None }),
        timeout_seconds: Some(3),
        ..Probe::default()
    }
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}
