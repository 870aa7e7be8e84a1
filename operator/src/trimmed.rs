//! Objects decoded from lists and watches: only the fields that decisions need. The decoder skips the rest, above all
//! `managedFields` and the pods' specs, most of every object: it allocates nothing for them, so no fragmentation remains. Pure.
//!
//! Fields have the names and meanings of Kubernetes' own API.
#![allow(missing_docs)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ContainerStatus, LoadBalancerStatus, Pod, PodCondition, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::Resource;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

/// An object of kind `K`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(bound(deserialize = "Spec: Deserialize<'de> + Default, Status: Deserialize<'de> + Default"))]
pub struct Trimmed<K, Spec = IgnoredAny, Status = IgnoredAny> {
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: Spec,
    #[serde(default)]
    pub status: Status,
    #[serde(skip)]
    kind: PhantomData<K>,
}

impl<K: Resource, Spec, Status> Resource for Trimmed<K, Spec, Status> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(of: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &Self::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &Self::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        generation: Option<i64>,
        deletion_timestamp: Option<Time>,
        labels: Option<BTreeMap<String, String>>,
        annotations: Option<BTreeMap<String, String>>,
        owner_references: Option<Vec<OwnerReference>>,
    }
    Metadata::deserialize(deserializer).map(|read| ObjectMeta {
        name: read.name,
        namespace: read.namespace,
        uid: read.uid,
        resource_version: read.resource_version,
        generation: read.generation,
        deletion_timestamp: read.deletion_timestamp,
        labels: read.labels,
        annotations: read.annotations,
        owner_references: read.owner_references,
        ..ObjectMeta::default()
    })
}

pub type TrimmedSet = Trimmed<StatefulSet, SetSpec, SetStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SetSpec {
    pub replicas: Option<i32>,
    pub template: PodTemplate,
    pub update_strategy: UpdateStrategy,
    pub volume_claim_templates: Option<Vec<ClaimTemplate>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClaimTemplate {
    pub spec: ClaimSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimSpec {
    pub storage_class_name: Option<String>,
    pub resources: ClaimResources,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClaimResources {
    pub requests: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateStrategy {
    pub rolling_update: Option<RollingUpdate>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RollingUpdate {
    pub partition: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodTemplate {
    pub metadata: TemplateMetadata,
    pub spec: PodSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TemplateMetadata {
    pub annotations: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodSpec {
    pub containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Container {
    pub env: Option<Vec<Variable>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Variable {
    pub name: String,
    pub value: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SetStatus {
    pub observed_generation: Option<i64>,
    pub current_revision: Option<String>,
    pub update_revision: Option<String>,
}

pub type TrimmedService = Trimmed<Service, ServiceSpec, ServiceStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ServiceSpec {
    pub ports: Option<Vec<ServicePort>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    pub load_balancer: Option<LoadBalancerStatus>,
}

pub type TrimmedPod = Trimmed<Pod, PlacedSpec, PodStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PlacedSpec {
    pub node_name: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    pub phase: Option<String>,
    pub conditions: Option<Vec<PodCondition>>,
    pub container_statuses: Option<Vec<ContainerStatus>>,
    #[serde(rename = "podIP")]
    pub pod_ip: Option<String>,
    #[serde(rename = "hostIP")]
    pub host_ip: Option<String>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_decisions_need_is_kept_and_the_rest_is_skipped() {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "chat-0", "uid": "u", "creationTimestamp": null, "managedFields": [{ "manager": "m" }] },
            "spec": { "containers": [{ "name": "chatd" }] },
            "status": { "podIP": "10.0.0.1", "hostIP": "10.0.0.2", "conditions": null, "phase": "Running" },
        });
        let pod: TrimmedPod = serde_json::from_value(pod).unwrap();
        assert_eq!((pod.metadata.name.as_deref(), pod.metadata.uid.as_deref()), (Some("chat-0"), Some("u")));
        assert_eq!(pod.metadata.managed_fields, None);
        let addresses = (pod.status.pod_ip.as_deref(), pod.status.host_ip.as_deref());
        assert_eq!(addresses, (Some("10.0.0.1"), Some("10.0.0.2")));
    }

    #[test]
    fn an_object_without_a_status_is_one_all_the_same() {
        let claim = json!({ "metadata": { "creationTimestamp": null }, "spec": { "resources": { "requests": null } } });
        let spec = json!({ "replicas": 2, "template": {}, "volumeClaimTemplates": [claim] });
        let set = json!({ "metadata": { "name": "chat" }, "spec": spec });
        let set: TrimmedSet = serde_json::from_value(set).unwrap();
        assert_eq!((set.spec.replicas, set.status.update_revision), (Some(2), None));
        assert_eq!(TrimmedSet::url_path(&(), Some("games")), "/apis/apps/v1/namespaces/games/statefulsets");
    }
}
