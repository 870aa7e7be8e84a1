//! The kept fields of watched objects: a few words each, not whole objects. Pure: no I/O.

mod pod;

pub use pod::PodRecord;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::desired::{ADOPTED_UID, DEPLOYMENT_UID, DIRECTORY, Kind, VALKEY_SECRET};
use crate::hash;
use crate::trimmed::{ClaimTemplate, TrimmedService, TrimmedSet};

/// The namespace and name of a ChatDeployment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its namespace.
    pub namespace: String,
    /// Its `metadata.name`.
    pub name: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// On a StatefulSet: the hash of the pod template that was applied.
pub const TEMPLATE: &str = "chatd.dev/template";
/// On Valkey's StatefulSet: the hash of what its volume was asked to be.
pub const CLAIM: &str = "chatd.dev/claim";
/// On every child: the hash of all that was applied, so that what is no longer wanted is noticed and taken out.
pub const APPLIED: &str = "chatd.dev/applied";

const INSTANCE: &str = "app.kubernetes.io/instance";

/// Who an object belongs to. The children of one ChatDeployment share the texts (`cache.rs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// It has no controller.
    Nobody,
    /// The uid of its controller, and that controller as `Kind/name`.
    Controller {
        /// Its uid.
        uid: Arc<str>,
        /// As `Kind/name`.
        name: Arc<str>,
    },
}

/// A child, as far as it is the same for all kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// What it is.
    pub kind: Kind,
    /// Its `metadata.name`.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its controller.
    pub owner: Owner,
    /// Whether its labels say that it is managed by this operator: an orphan that has them is taken over.
    pub has_our_labels: bool,
    /// Whether it is being deleted.
    pub is_deleting: bool,
    /// Changes when the object does, but not with its status where Kubernetes tells them apart.
    pub fingerprint: u64,
    /// The order of changes: of two readings the one with the greater version counts.
    pub version: u64,
    /// What the plan needs beside that.
    pub detail: Detail,
}

/// What decisions need of some kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Most kinds: nothing.
    Nothing,
    /// Of a StatefulSet.
    Set(Box<Set>),
    /// Of a Service.
    Service(Box<ServiceDetail>),
}

/// A StatefulSet, as far as decisions need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// `spec.replicas`.
    pub replicas: i32,
    /// From which ordinal on pods are updated.
    pub partition: i32,
    /// `metadata.generation`.
    pub generation: i64,
    /// The generation that its status is about.
    pub observed_generation: i64,
    /// The revision that all pods had when the last update was complete.
    pub current_revision: String,
    /// The revision of its template.
    pub update_revision: String,
    /// The hash of the pod template that was last applied: [`TEMPLATE`].
    pub template: String,
    /// The identity of the directory that its template names.
    pub directory: String,
    /// The uid that the pods go by, if it is one that is to be kept.
    pub adopted_uid: Option<String>,
    /// The uid of the Secret that Valkey's pod took its password from.
    pub secret: String,
    /// The volume that each pod gets.
    pub claim: Option<Claim>,
    /// The hash of what it was asked to be; empty if an older version has made the set.
    pub wanted_claim: String,
}

/// What of a volume's claim the spec decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// As Kubernetes writes it, such as `1Gi`.
    pub size: String,
    /// The storage class; nothing for the default one.
    pub class: Option<String>,
}

/// A Service, as far as decisions need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceDetail {
    /// The load balancer's host name or address, once it has one.
    pub ingress: Option<String>,
    /// The node port of `tcp`, if it has one.
    pub tcp_node_port: Option<i32>,
    /// The node port of `web`, if it has one.
    pub web_node_port: Option<i32>,
}

/// The ChatDeployment that an object belongs to, by its owner, or else by its labels: those can be edited.
pub fn deployment_of(metadata: &ObjectMeta) -> Option<Key> {
    let mut owners = metadata.owner_references.iter().flatten();
    if let Some(owner) = owners.find(|owner| owner.kind == crate::desired::KIND && owner.controller == Some(true)) {
        return Some(Key { namespace: metadata.namespace.clone()?, name: owner.name.clone() });
    }
    let name = metadata.labels.as_ref()?.get(INSTANCE)?.clone();
    Some(Key { namespace: metadata.namespace.clone()?, name })
}

impl Child {
    /// What all kinds have in common.
    pub fn of_metadata(kind: Kind, metadata: &ObjectMeta) -> Self {
        let owners = metadata.owner_references.iter().flatten();
        let controller = owners.into_iter().find(|owner| owner.controller == Some(true));
        let owner = controller.map_or(Owner::Nobody, |owner| Owner::Controller {
            uid: owner.uid.as_str().into(),
            name: format!("{}/{}", owner.kind, owner.name).into(),
        });
        let labels = metadata.labels.as_ref();
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
        Self {
            kind,
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            owner,
            has_our_labels: label("app.kubernetes.io/managed-by") == Some(crate::desired::MANAGER)
                && label("app.kubernetes.io/name") == Some("chatd"),
            is_deleting: metadata.deletion_timestamp.is_some(),
            fingerprint: fingerprint(metadata),
            version: version(metadata),
            detail: Detail::Nothing,
        }
    }

    /// A StatefulSet that was read.
    pub fn of_set(set: &TrimmedSet) -> Self {
        let annotation = |annotations: Option<&BTreeMap<String, String>>, key: &str| {
            annotations.and_then(|annotations| annotations.get(key).cloned()).unwrap_or_default()
        };
        let (metadata, spec, status) = (&set.metadata, &set.spec, &set.status);
        let child = Self::of_metadata(Kind::StatefulSet, metadata);
        let kept = Some(annotation(metadata.annotations.as_ref(), ADOPTED_UID)).filter(|uid| !uid.is_empty());
        // A manual edit of the setting is reverted: it is taken over from an orphan only.
        let orphaned = || deployment_uid(set).filter(|_| child.owner == Owner::Nobody);
        let detail = Set {
            replicas: spec.replicas.unwrap_or(1),
            partition: spec.update_strategy.rolling_update.as_ref().and_then(|rolling| rolling.partition).unwrap_or(0),
            generation: metadata.generation.unwrap_or_default(),
            observed_generation: status.observed_generation.unwrap_or_default(),
            current_revision: status.current_revision.clone().unwrap_or_default(),
            update_revision: status.update_revision.clone().unwrap_or_default(),
            template: annotation(metadata.annotations.as_ref(), TEMPLATE),
            directory: annotation(spec.template.metadata.annotations.as_ref(), DIRECTORY),
            adopted_uid: kept.or_else(orphaned),
            secret: annotation(spec.template.metadata.annotations.as_ref(), VALKEY_SECRET),
            claim: spec.volume_claim_templates.iter().flatten().next().map(claim),
            wanted_claim: annotation(metadata.annotations.as_ref(), CLAIM),
        };
        Self { detail: Detail::Set(Box::new(detail)), ..child }
    }

    /// A Service that was read.
    pub fn of_service(service: &TrimmedService) -> Self {
        let node_port = |name: &str| {
            let port = service.spec.ports.iter().flatten().find(|port| port.name.as_deref() == Some(name))?;
            port.node_port.filter(|port| *port != 0)
        };
        let balancer = service.status.load_balancer.as_ref();
        let ingress = balancer.and_then(|balancer| balancer.ingress.as_ref()?.first());
        let detail = ServiceDetail {
            ingress: ingress.and_then(|ingress| ingress.hostname.clone().or_else(|| ingress.ip.clone())),
            tcp_node_port: node_port("tcp"),
            web_node_port: node_port("web"),
        };
        Self { detail: Detail::Service(Box::new(detail)), ..Self::of_metadata(Kind::Service, &service.metadata) }
    }

    /// From an object as the API server answered with.
    pub fn of_object(kind: Kind, object: &Value) -> Self {
        let plain = || {
            let metadata = object.get("metadata").and_then(|metadata| ObjectMeta::deserialize(metadata).ok());
            Self::of_metadata(kind, &metadata.unwrap_or_default())
        };
        match kind {
            Kind::StatefulSet => TrimmedSet::deserialize(object).map_or_else(|_| plain(), |set| Self::of_set(&set)),
            Kind::Service => {
                TrimmedService::deserialize(object).map_or_else(|_| plain(), |service| Self::of_service(&service))
            }
            _ => plain(),
        }
    }
}

fn claim(template: &ClaimTemplate) -> Claim {
    let size = template.spec.resources.requests.as_ref().and_then(|requests| requests.get("storage").cloned());
    Claim { size: size.unwrap_or_default(), class: template.spec.storage_class_name.clone() }
}

fn deployment_uid(set: &TrimmedSet) -> Option<String> {
    let containers = set.spec.template.spec.containers.iter();
    let mut variables = containers.flat_map(|container| container.env.iter().flatten());
    variables.find(|variable| variable.name == DEPLOYMENT_UID)?.value.clone()
}

/// Kubernetes promises that resource versions of one kind can be compared as numbers; one that is none counts as the latest.
pub fn version(metadata: &ObjectMeta) -> u64 {
    metadata.resource_version.as_ref().and_then(|version| version.parse().ok()).unwrap_or(u64::MAX)
}

/// The same for a list; one that says none is older than everything.
pub fn list_version(metadata: &ListMeta) -> u64 {
    metadata.resource_version.as_ref().and_then(|version| version.parse().ok()).unwrap_or_default()
}

/// The generation does not change with the status. Kinds that have none are taken by their resource version.
fn fingerprint(metadata: &ObjectMeta) -> u64 {
    hash::number_of(&match metadata.generation.filter(|generation| *generation > 0) {
        Some(generation) => json!([generation, metadata.labels, metadata.annotations, metadata.owner_references]),
        None => json!(metadata.resource_version),
    })
}
