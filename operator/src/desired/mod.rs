//! The desired children of a ChatDeployment: one file per child. Pure: (spec, settings, observed facts) -> objects, no I/O.

mod addresses;
mod client_tls;
mod configuration;
mod directory;
mod horizontal_pod_autoscaler;
mod monitoring;
mod names;
mod network_policy;
mod pod_disruption_budget;
mod pod_services;
mod pod_template;
mod secrets;
mod server_api;
mod service_account;
mod services;
mod stateful_set;
mod valkey;
mod webhooks;

#[cfg(test)]
mod snapshots;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::Serialize;
use serde_json::Value;

pub use addresses::{PodAddress, Seen as SeenAddress, addresses, endpoints};
pub use configuration::DEPLOYMENT_UID;
pub use directory::{Directory, SecretFile};
pub use names::{ADOPTED_UID, DIRECTORY, Names, VALKEY_SECRET};
pub use pod_services::wanted as wanted_pod_services;
pub use secrets::{
    has_api_keys, has_token_key, hexadecimal, is_whole_valkey_secret, new_api_keys, new_token_keys, new_valkey_secret,
};
pub use server_api::status as api_status;
pub use stateful_set::chat as chat_set;
pub use valkey::stateful_set as valkey_set;

use crate::api::{ChatDeploymentSpec, NetworkPolicyType, RedisType};

/// The chat pods' container that runs chatd.
pub const CONTAINER: &str = "chatd";
/// The `component` of chat pods and of the managed Valkey: Services and policies tell them apart by it.
pub const CHAT: &str = "chat";
/// The `component` of the managed Valkey.
pub const VALKEY: &str = "valkey";

/// The `apiVersion` of a ChatDeployment.
pub const API_VERSION: &str = "chatd.dev/v1beta1";
/// The version in all that the API server keeps: owner references of children, targets of autoscalers, and the writer of a status. The last
/// release's definition must serve it: where that is put back and a status names another version, the API server refuses the next one.
pub const KEPT_API_VERSION: &str = "chatd.dev/v1alpha1";
/// The `kind` of a ChatDeployment.
pub const KIND: &str = "ChatDeployment";
/// The field manager of all applies, and the `app.kubernetes.io/managed-by` of all children.
pub const MANAGER: &str = "chatd-operator";

/// The kinds of children. A watch, a permission and a place in `apply` belongs to each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The account that chat pods run as; it has no rights.
    ServiceAccount,
    /// Token keys, keys of the server API, and the password of the managed Valkey.
    Secret,
    /// The outside addresses of single pods, as a file of theirs.
    ConfigMap,
    /// For clients, for the application's backend, for pods among themselves, for single pods, and for Valkey.
    Service,
    /// Who may reach pods.
    NetworkPolicy,
    /// How many chat pods a drained node may take away at a time.
    PodDisruptionBudget,
    /// Only with `spec.autoscaling`.
    HorizontalPodAutoscaler,
    /// The chat pods, and the managed Valkey.
    StatefulSet,
    /// By which Prometheus' operator finds the chat pods; where the cluster has that kind.
    PodMonitor,
    /// The alerts of the chat pods; where the cluster has that kind.
    PrometheusRule,
}

impl Kind {
    /// The kinds that every cluster has, in the order in which they are made.
    pub const ALL: [Self; 8] = [
        Self::ServiceAccount,
        Self::Secret,
        Self::ConfigMap,
        Self::Service,
        Self::NetworkPolicy,
        Self::PodDisruptionBudget,
        Self::HorizontalPodAutoscaler,
        Self::StatefulSet,
    ];

    /// Kinds that a cluster has or not.
    pub const OPTIONAL: [Self; 2] = [Self::PodMonitor, Self::PrometheusRule];

    /// Whether a cluster that has these of [`Kind::OPTIONAL`] has it.
    pub fn is_served(self, optional: &BTreeSet<Self>) -> bool {
        !Self::OPTIONAL.contains(&self) || optional.contains(&self)
    }

    /// The `kind` of such an object.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceAccount => "ServiceAccount",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::Service => "Service",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::HorizontalPodAutoscaler => "HorizontalPodAutoscaler",
            Self::StatefulSet => "StatefulSet",
            Self::PodMonitor => "PodMonitor",
            Self::PrometheusRule => "PrometheusRule",
        }
    }

    /// Its `apiVersion`.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::ServiceAccount | Self::Secret | Self::ConfigMap | Self::Service => "v1",
            Self::NetworkPolicy => "networking.k8s.io/v1",
            Self::PodDisruptionBudget => "policy/v1",
            Self::HorizontalPodAutoscaler => "autoscaling/v2",
            Self::StatefulSet => "apps/v1",
            Self::PodMonitor | Self::PrometheusRule => "monitoring.coreos.com/v1",
        }
    }

    /// The name in URLs and RBAC rules.
    pub fn plural(self) -> &'static str {
        match self {
            Self::ServiceAccount => "serviceaccounts",
            Self::Secret => "secrets",
            Self::ConfigMap => "configmaps",
            Self::Service => "services",
            Self::NetworkPolicy => "networkpolicies",
            Self::PodDisruptionBudget => "poddisruptionbudgets",
            Self::HorizontalPodAutoscaler => "horizontalpodautoscalers",
            Self::StatefulSet => "statefulsets",
            Self::PodMonitor => "podmonitors",
            Self::PrometheusRule => "prometheusrules",
        }
    }
}

/// An object as it is to be: only the fields that the operator cares for.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// What it is.
    pub kind: Kind,
    /// Its `metadata.name`.
    pub name: String,
    /// What is applied: `apiVersion`, `kind`, `metadata` and the rest as JSON.
    pub object: Value,
}

/// Which ChatDeployment the children are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The `metadata.name` of the ChatDeployment.
    pub name: String,
    /// Its namespace, which is that of all children.
    pub namespace: String,
    /// Its uid, by which children name it as their owner.
    pub uid: String,
}

/// What the operator was installed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The image of chat pods whose spec names none.
    pub chatd_image: String,
    /// The image of a managed Valkey whose spec names none.
    pub valkey_image: String,
    /// The namespace of the operator: from there the admin port may be asked.
    pub operator_namespace: String,
    /// Namespaces from which metrics may be read.
    pub monitoring_namespaces: Vec<String>,
}

#[cfg(test)]
impl Installed {
    /// What the tests take where it does not matter.
    pub fn sample() -> Self {
        Self {
            chatd_image: "chatd:1".into(),
            valkey_image: "valkey:9".into(),
            operator_namespace: "system".into(),
            monitoring_namespaces: Vec::new(),
        }
    }
}

/// What was seen in the cluster and decides what children hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// How many chat pods the StatefulSet is to ask for now: on the way to the effective replicas.
    pub replicas: i32,
    /// From which ordinal on pods are updated now: on the way to `rollout.partition`.
    pub partition: i32,
    /// Outside addresses of pods that have one, by pod name.
    pub addresses: BTreeMap<String, PodAddress>,
    /// Ordinals that need a Service of their own: those to be and those not gone yet.
    pub ordinals: i32,
    /// The replicas that free seats ask for now, if they count.
    pub by_free_seats: Option<i32>,
    /// What an autoscaler by CPU must not go below for them.
    pub seats_floor: Option<i32>,
    /// The uid that an adopted StatefulSet's pods go by, if it is not the owner's: pods of two would not share a directory.
    pub deployment_uid: Option<String>,
    /// The uid of the managed Valkey's Secret: a new one means a new password, which Valkey reads at its start.
    pub valkey_secret: Option<String>,
    /// Those of [`Kind::OPTIONAL`] that the cluster has.
    pub optional_kinds: BTreeSet<Kind>,
}

/// All that a child's file may look at.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Whose they are.
    pub owner: &'a Owner,
    /// What the user asks for.
    pub spec: &'a ChatDeploymentSpec,
    /// Images and namespace of the operator.
    pub installed: &'a Installed,
    /// What the cluster says.
    pub facts: &'a Facts,
}

impl Context<'_> {
    /// The names of the children.
    pub fn names(&self) -> Names<'_> {
        Names::new(&self.owner.name)
    }

    fn labels(&self, component: &str) -> BTreeMap<String, String> {
        let mut labels = self.selector(component);
        labels.insert("app.kubernetes.io/managed-by".to_owned(), MANAGER.to_owned());
        labels
    }

    /// The labels by which pods are selected. They never change under a name: a StatefulSet's selector cannot.
    fn selector(&self, component: &str) -> BTreeMap<String, String> {
        selector(&self.owner.name, component)
    }

    fn metadata(&self, name: String, component: &str) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.owner.namespace.clone()),
            labels: Some(self.labels(component)),
            owner_references: Some(vec![self.owner_reference()]),
            ..ObjectMeta::default()
        }
    }

    fn owner_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: KEPT_API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            name: self.owner.name.clone(),
            uid: self.owner.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }

    /// By which the pods know that they belong together.
    pub fn deployment_uid(&self) -> &str {
        self.facts.deployment_uid.as_ref().unwrap_or(&self.owner.uid)
    }

    /// Whether the operator runs the directory, too.
    pub fn is_managed_redis(&self) -> bool {
        self.spec.redis.type_ == RedisType::Managed
    }

    /// The image of the chat pods: that of the spec, or else the operator's.
    pub fn chatd_image(&self) -> &str {
        self.spec.image.as_deref().unwrap_or(&self.installed.chatd_image)
    }
}

/// A typed object as a child.
fn child(kind: Kind, object: &impl Serialize) -> Child {
    let mut object = serde_json::to_value(object).unwrap_or_default();
    object["apiVersion"] = kind.api_version().into();
    object["kind"] = kind.as_str().into();
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    Child { kind, name, object }
}

/// The labels by which pods of a component are selected.
pub fn selector(deployment: &str, component: &str) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", "chatd"),
        ("app.kubernetes.io/instance", deployment),
        ("app.kubernetes.io/component", component),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// All children but Secrets, which are made once and then left alone. In the order in which they are to be made: what pods need
/// comes before them.
pub fn children(context: &Context<'_>) -> Vec<Child> {
    let mut children = vec![service_account::chat(context), services::headless(context), services::client(context)];
    children.extend(services::api(context));
    if context.spec.network_policy.type_ == NetworkPolicyType::Managed {
        children.push(network_policy::chat(context));
    }
    children.extend(addresses::config_map(context));
    children.extend(pod_services::all(context));
    if context.is_managed_redis() {
        children.push(valkey::service(context));
        if context.spec.network_policy.type_ == NetworkPolicyType::Managed {
            children.push(network_policy::valkey(context));
        }
        // Without its password it would start open to all; the Secret is made in the same round.
        if context.facts.valkey_secret.is_some() {
            children.push(valkey::stateful_set(context));
        }
    }
    children.push(pod_disruption_budget::chat(context));
    children.push(stateful_set::chat(context));
    children.extend(horizontal_pod_autoscaler::chat(context));
    children.extend(monitoring::chat(context));
    children
}
