//! The API that users write: the `ChatDeployment` of `chatd.dev/v1alpha1`. No I/O. The doc comments of the fields become `kubectl
//! explain` and docs/chatdeployment.md; checks that a type cannot express are in `rules.rs`.

mod autoscaling;
mod crd;
mod network;
mod pod;
mod quantity;
mod redis;
mod rooms;
mod rules;
mod status;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use autoscaling::{Autoscaling, Behavior, ScalingPolicy, ScalingRules};
pub use crd::{crd, crd_yaml};
pub use network::{ExternalTrafficPolicy, NetworkPolicy, NetworkPolicyType, PerPod, PerPodType, Service, ServiceType};
pub use pod::{ImagePullPolicy, LocalSecret, Pod, Resources};
pub use quantity::{Quantity, thousandths as quantity_value};
pub use redis::{
    Auth, External, Managed, Persistence, Redis, RedisType, SecretKey, Sentinel, Tls, TokenKeys, WhenDeleted,
};
pub use rooms::{Drain, Limits, OnWrongPod, Requirement, Rollout, Rooms, Switch, Tcp, Web};
pub use rules::{RULES, Rule};
pub use status::{ChatDeploymentStatus, Condition, Endpoints, RedisStatus};

/// The desired state of a chat deployment. Every field has a default: `{}` gives three chat pods that share a Valkey run by the
/// operator.
// The derived root object repeats attributes, which is not ours to change.
#[allow(clippy::duplicated_attributes)]
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "chatd.dev",
    version = "v1alpha1",
    kind = "ChatDeployment",
    namespaced,
    shortname = "chatd",
    category = "all",
    status = "ChatDeploymentStatus",
    derive = "PartialEq",
    doc = "Chat rooms on this cluster: chat pods, their Services, autoscaling and the Redis that they share, created and maintained by chatd-operator.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".spec.replicas", description = "Desired chat pods"),
    printcolumn(
        name = "Ready",
        type_ = "integer",
        json_path = ".status.readyReplicas",
        description = "Ready chat pods"
    ),
    printcolumn(name = "Rooms", type_ = "integer", json_path = ".status.rooms", description = "Rooms in all pods"),
    printcolumn(
        name = "Players",
        type_ = "integer",
        json_path = ".status.players",
        description = "Players in all rooms"
    ),
    printcolumn(
        name = "Redis",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"RedisReady\")].reason",
        description = "State of Redis as the pods see it"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
pub struct ChatDeploymentSpec {
    /// Number of chat pods. `kubectl scale` and an autoscaler write it too, so omit it from manifests that a tool applies
    /// repeatedly while `autoscaling` is set. With `autoscaling` the operator keeps the number between its bounds.
    #[schemars(range(min = 0, max = 500))]
    pub replicas: i32,

    /// Image of chatd. Unset: the operator's default, which changes when the operator is upgraded. `status.image` names the image
    /// in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub image: Option<String>,

    /// When a node pulls the image. Unset: Kubernetes' default, `Always` for the tag `latest`, else `IfNotPresent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,

    /// Secrets of this namespace with credentials for private image registries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub image_pull_secrets: Vec<LocalSecret>,

    /// Metadata, resources and scheduling of the chat pods.
    pub pod: Pod,

    /// Settings of rooms.
    pub rooms: Rooms,

    /// Limits for a pod and for a player.
    pub limits: Limits,

    /// Raw TCP clients, port 7654.
    pub tcp: Tcp,

    /// Browsers, port 8081.
    pub web: Web,

    /// The Service through which clients connect.
    pub service: Service,

    /// A Service for each pod, so that clients outside the cluster can follow a REDIRECT to the owner of their room.
    pub per_pod: PerPod,

    /// The directory of rooms and their owners. It never holds chat text.
    pub redis: Redis,

    /// The keys that sign the tokens with which clients resume their seats, and that authenticate links between pods.
    pub token_keys: TokenKeys,

    /// Scales the number of pods by their CPU utilization. Requires a metrics server. Unset: `replicas` alone decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// Termination of pods.
    pub drain: Drain,

    /// Rollout of changes: one pod at a time, which first moves its rooms, and only while all others are ready.
    pub rollout: Rollout,

    /// Sources that may connect to the pods. Effective only if the cluster's network plugin enforces NetworkPolicies.
    pub network_policy: NetworkPolicy,
}

impl Default for ChatDeploymentSpec {
    fn default() -> Self {
        Self {
            replicas: 3,
            image: None,
            image_pull_policy: None,
            image_pull_secrets: Vec::new(),
            pod: Pod::default(),
            rooms: Rooms::default(),
            limits: Limits::default(),
            tcp: Tcp::default(),
            web: Web::default(),
            service: Service::default(),
            per_pod: PerPod::default(),
            redis: Redis::default(),
            token_keys: TokenKeys::default(),
            autoscaling: None,
            drain: Drain::default(),
            rollout: Rollout::default(),
            network_policy: NetworkPolicy::default(),
        }
    }
}

impl ChatDeploymentSpec {
    /// The desired number of pods: `replicas`, clamped to the bounds of `autoscaling`.
    pub fn effective_replicas(&self) -> i32 {
        match &self.autoscaling {
            Some(autoscaling) => {
                // The API server refuses min > max; an object from before that rule must still not panic.
                let most = autoscaling.max_replicas.max(1);
                self.replicas.clamp(autoscaling.min_replicas.clamp(1, most), most)
            }
            None => self.replicas.max(0),
        }
    }

    /// The answer to a raw TCP client that joins at a pod other than the owner: as configured, or a redirect if the client can
    /// follow it.
    pub fn on_wrong_pod(&self) -> OnWrongPod {
        let can_follow = self.service.type_ == ServiceType::ClusterIP || self.per_pod.type_ != PerPodType::None;
        let fitting = if can_follow { OnWrongPod::Redirect } else { OnWrongPod::Relay };
        self.tcp.on_wrong_pod.unwrap_or(fitting)
    }
}
