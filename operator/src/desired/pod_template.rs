//! The chat pod: one hardened container, its probes, its files. Pure: no I/O. Any change of this file's output rolls every pod of
//! every deployment when the operator is upgraded: the snapshots show it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMapVolumeSource, Container, ContainerPort, HTTPGetAction, KeyToPath,
    LocalObjectReference, PodAffinityTerm, PodAntiAffinity, PodSecurityContext, PodSpec, PodTemplateSpec, Probe,
    ProjectedVolumeSource, ResourceRequirements, SeccompProfile, SecretProjection, SecretVolumeSource, SecurityContext,
    TopologySpreadConstraint, Volume, VolumeMount, VolumeProjection, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::client_tls::{self, TLS_FILES};
use super::configuration::{self, ADDRESSES, JOIN_KEYS, REDIS_FILES, TOKEN_KEYS};
use super::server_api::{self, API_KEYS};
use super::services::{ADMIN_PORT, API_PORT, PEER_PORT, TCP_PORT, WEB_PORT};
use super::webhooks::{self, WEBHOOK_FILES, WEBHOOK_SECRETS};
use super::{CHAT, CONTAINER, Context, DIRECTORY, Directory, SecretFile, pod_services};
use crate::api::Resources;

/// What chatd may take after its own deadline before it is killed.
const AFTER_DEADLINE_SECONDS: i64 = 10;

pub fn chat(context: &Context<'_>) -> PodTemplateSpec {
    let directory = Directory::of(context);
    let settings = &context.spec.pod;
    let mut labels = settings.labels.clone();
    labels.extend(context.labels(CHAT));
    let mut annotations = settings.annotations.clone();
    annotations.insert(DIRECTORY.to_owned(), directory.identity.clone());
    let (volumes, mounts) = files(context, &directory.files);
    let grace = i64::from(context.spec.drain.deadline_seconds) + AFTER_DEADLINE_SECONDS;
    let secrets = context.spec.image_pull_secrets.iter();
    let image_pull_secrets: Vec<_> = secrets.map(|secret| LocalObjectReference { name: secret.name.clone() }).collect();
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels), annotations: Some(annotations), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            service_account_name: Some(context.names().service_account()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            termination_grace_period_seconds: Some(grace),
            security_context: Some(pod_security(None)),
            image_pull_secrets: some(image_pull_secrets),
            node_selector: (!settings.node_selector.is_empty()).then(|| settings.node_selector.clone()),
            tolerations: some(settings.tolerations.clone()),
            affinity: settings.affinity.clone().or_else(|| over_zones(context)),
            priority_class_name: settings.priority_class_name.clone(),
            topology_spread_constraints: some(
                settings.topology_spread_constraints.clone().unwrap_or_else(|| over_hosts(context)),
            ),
            containers: vec![container(context, &directory, mounts)],
            volumes: Some(volumes),
            ..PodSpec::default()
        }),
    }
}

fn container(context: &Context<'_>, directory: &Directory, mounts: Vec<VolumeMount>) -> Container {
    Container {
        name: CONTAINER.to_owned(),
        image: Some(context.chatd_image().to_owned()),
        image_pull_policy: context.spec.image_pull_policy.map(|policy| policy.as_str().to_owned()),
        args: some(configuration::arguments(context.spec)),
        env: Some(configuration::environment(context, directory)),
        ports: Some(ports(context)),
        resources: Some(resources(&context.spec.pod.resources)),
        // Often, since a roll-out waits for it pod by pod.
        readiness_probe: Some(Probe { period_seconds: Some(2), failure_threshold: Some(3), ..probe("/readyz") }),
        liveness_probe: Some(Probe {
            initial_delay_seconds: Some(10),
            period_seconds: Some(10),
            failure_threshold: Some(3),
            ..probe("/livez")
        }),
        security_context: Some(container_security()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

fn ports(context: &Context<'_>) -> Vec<ContainerPort> {
    let mut ports =
        vec![port("tcp", TCP_PORT), port("web", WEB_PORT), port("peer", PEER_PORT), port("admin", ADMIN_PORT)];
    if context.spec.api.is_served() {
        ports.push(port("api", API_PORT));
    }
    ports
}

/// The volumes with keys, passwords, certificates and addresses, and where they are seen. They are read again when they change.
fn files(context: &Context<'_>, redis: &[SecretFile]) -> (Vec<Volume>, Vec<VolumeMount>) {
    let own = context.names().token_keys();
    let keys = context.spec.token_keys.secret_ref.as_ref().map_or(own, |secret| secret.name.clone());
    let mut volumes = vec![secret("token-keys", keys)];
    let mut mounts = vec![mount("token-keys", TOKEN_KEYS)];
    if let Some(keys) = &context.spec.rooms.join_keys {
        volumes.push(secret("join-keys", keys.secret_ref.name.clone()));
        mounts.push(mount("join-keys", JOIN_KEYS));
    }
    if let Some(keys) = server_api::secret(context) {
        volumes.push(secret("api-keys", keys));
        mounts.push(mount("api-keys", API_KEYS));
    }
    if let Some(webhooks) = &context.spec.webhooks {
        volumes.push(secret("webhook", webhooks.secret_ref.name.clone()));
        mounts.push(mount("webhook", WEBHOOK_SECRETS));
    }
    let authorities = webhooks::files(context.spec);
    if !authorities.is_empty() {
        let projected = Some(projected(&authorities));
        volumes.push(Volume { name: "webhook-ca".to_owned(), projected, ..Volume::default() });
        mounts.push(mount("webhook-ca", WEBHOOK_FILES));
    }
    if !redis.is_empty() {
        volumes.push(Volume { name: "redis".to_owned(), projected: Some(projected(redis)), ..Volume::default() });
        mounts.push(mount("redis", REDIS_FILES));
    }
    let tls = client_tls::files(context.spec);
    if !tls.is_empty() {
        volumes.push(Volume { name: "tls".to_owned(), projected: Some(projected(&tls)), ..Volume::default() });
        mounts.push(mount("tls", TLS_FILES));
    }
    if pod_services::wanted(context).is_some() {
        let map = ConfigMapVolumeSource {
            name: context.names().addresses(),
            // Until it is there, sessions are relayed: no reason not to start.
            optional: Some(true),
            ..ConfigMapVolumeSource::default()
        };
        volumes.push(Volume { name: "addresses".to_owned(), config_map: Some(map), ..Volume::default() });
        mounts.push(mount("addresses", ADDRESSES));
    }
    (volumes, mounts)
}

/// A volume with all that a Secret holds.
fn secret(volume: &str, name: String) -> Volume {
    let secret = SecretVolumeSource { secret_name: Some(name), ..SecretVolumeSource::default() };
    Volume { name: volume.to_owned(), secret: Some(secret), ..Volume::default() }
}

fn projected(files: &[SecretFile]) -> ProjectedVolumeSource {
    let sources = files.iter().map(|file| VolumeProjection {
        secret: Some(SecretProjection {
            name: file.secret.clone(),
            items: Some(vec![KeyToPath { key: file.key.clone(), path: file.path.to_owned(), mode: None }]),
            optional: None,
        }),
        ..VolumeProjection::default()
    });
    ProjectedVolumeSource { sources: Some(sources.collect()), ..ProjectedVolumeSource::default() }
}

fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), read_only: Some(true), ..VolumeMount::default() }
}

fn chat_pods(context: &Context<'_>) -> LabelSelector {
    LabelSelector { match_labels: Some(context.selector(CHAT)), ..LabelSelector::default() }
}

/// Over hosts alone: the scheduler passes over all constraints of a pod on nodes that lack the label of one, and many have no zone.
fn over_hosts(context: &Context<'_>) -> Vec<TopologySpreadConstraint> {
    vec![TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(chat_pods(context)),
        ..TopologySpreadConstraint::default()
    }]
}

/// Over zones, where nodes have them.
fn over_zones(context: &Context<'_>) -> Option<Affinity> {
    let other_zone = WeightedPodAffinityTerm {
        weight: 50,
        pod_affinity_term: PodAffinityTerm {
            topology_key: "topology.kubernetes.io/zone".to_owned(),
            label_selector: Some(chat_pods(context)),
            ..PodAffinityTerm::default()
        },
    };
    let anti_affinity = PodAntiAffinity {
        preferred_during_scheduling_ignored_during_execution: Some(vec![other_zone]),
        ..PodAntiAffinity::default()
    };
    let replaced = context.spec.pod.topology_spread_constraints.is_some();
    (!replaced).then(|| Affinity { pod_anti_affinity: Some(anti_affinity), ..Affinity::default() })
}

fn probe(path: &str) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("admin".to_owned()),
            ..HTTPGetAction::default()
        }),
        timeout_seconds: Some(3),
        ..Probe::default()
    }
}

pub fn port(name: &str, port: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: port,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

/// `user`: a fixed user id, for images that would start as root. Chat pods have none, so that any id a platform picks works.
pub fn pod_security(user: Option<i64>) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: user,
        run_as_group: user,
        fs_group: user,
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

pub fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        ..SecurityContext::default()
    }
}

pub fn resources(resources: &Resources) -> ResourceRequirements {
    let map = |quantities: &BTreeMap<String, crate::api::Quantity>| {
        let quantities = quantities.iter().map(|(name, quantity)| (name.clone(), Quantity(quantity.0.clone())));
        Some(quantities.collect::<BTreeMap<_, _>>()).filter(|map| !map.is_empty())
    };
    ResourceRequirements { requests: map(&resources.requests), limits: map(&resources.limits), claims: None }
}

fn some<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}
