//! What a user writes: the `ChatDeployment` of `chatd.dev/v1alpha1`. No I/O.
//! The doc comments of the fields become `kubectl explain` and docs/chatdeployment.md; checks that a type cannot express are in `rules.rs`.

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

/// What a deployment of chat rooms should be. Every field has a default: `{}` gives three chat pods that share a Valkey which the
/// operator runs.
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
    doc = "Chat rooms on this cluster: chat pods, their Services, autoscaling and the Redis that they share. Applied once, kept so by chatd-operator.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Desired",
        type_ = "integer",
        json_path = ".spec.replicas",
        description = "Chat pods asked for"
    ),
    printcolumn(
        name = "Ready",
        type_ = "integer",
        json_path = ".status.readyReplicas",
        description = "Chat pods that are ready"
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
        description = "What the pods say of Redis"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
pub struct ChatDeploymentSpec {
    /// How many chat pods there are. `kubectl scale` and an autoscaler write it too, so leave it out of manifests that a tool applies
    /// again and again while `autoscaling` is set. With `autoscaling` the number is kept between its bounds.
    #[schemars(range(min = 0, max = 500))]
    pub replicas: i32,

    /// The image of chatd. Unset: the one that the operator was installed with, which changes when the operator is upgraded.
    /// `status.image` says which is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub image: Option<String>,

    /// When a node fetches the image. Unset: Kubernetes' own default, `Always` for the tag `latest`, else `IfNotPresent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,

    /// Secrets of this namespace with the logins of private image registries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub image_pull_secrets: Vec<LocalSecret>,

    /// What the chat pods look like and where they may run.
    pub pod: Pod,

    /// What a room is.
    pub rooms: Rooms,

    /// What a pod and a player may use.
    pub limits: Limits,

    /// Raw TCP clients, port 7654.
    pub tcp: Tcp,

    /// Browsers, port 8081.
    pub web: Web,

    /// The Service that all clients come in by.
    pub service: Service,

    /// A Service for each pod, so that clients outside of the cluster can follow a REDIRECT to the pod that has their room.
    pub per_pod: PerPod,

    /// The directory that says which pod has which room. No chat text is ever in it.
    pub redis: Redis,

    /// The keys that sign the tokens by which clients take their seats back, and by which pods know each other.
    pub token_keys: TokenKeys,

    /// Lets the number of pods follow their CPU use. Needs a metrics server. Unset: `replicas` alone decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// How a pod ends.
    pub drain: Drain,

    /// How a change reaches the pods: one at a time, each handing its rooms over first, and only while all others are ready.
    pub rollout: Rollout,

    /// Who may open connections to the pods. Works only where the cluster's network plugin enforces NetworkPolicies.
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
    /// The number of pods that is worked towards: `replicas`, kept between the bounds of `autoscaling`.
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

    /// What a raw TCP client gets that asks the wrong pod: as said, or a redirect where the client can follow one.
    pub fn on_wrong_pod(&self) -> OnWrongPod {
        let can_follow = self.service.type_ == ServiceType::ClusterIP || self.per_pod.type_ != PerPodType::None;
        let fitting = if can_follow { OnWrongPod::Redirect } else { OnWrongPod::Relay };
        self.tcp.on_wrong_pod.unwrap_or(fitting)
    }
}
