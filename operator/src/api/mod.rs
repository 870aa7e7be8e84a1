//! The API that users write: the `ChatDeployment` of `chatd.dev/v1beta1`, and of `v1alpha1`, which is the same. No I/O. The doc comments of the fields become `kubectl
//! explain` and docs/chatdeployment.md; checks that a type cannot express are in `rules.rs`.

mod autoscaling;
mod crd;
mod monitoring;
mod network;
mod pod;
mod quantity;
mod redis;
mod rooms;
mod rules;
mod server_api;
mod status;
mod tls;
mod webhooks;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

pub use autoscaling::{Autoscaling, Behavior, FreeSeats, ScalingPolicy, ScalingRules};
pub use crd::{FORMER_VERSION, GROUP, VERSION, crd, crd_yaml};
pub use monitoring::{Monitoring, MonitoringType};
pub use network::{ExternalTrafficPolicy, NetworkPolicy, NetworkPolicyType, PerPod, PerPodType, Service, ServiceType};
pub use pod::{ImagePullPolicy, LocalSecret, Pod, Resources};
pub use quantity::{Quantity, thousandths as quantity_value};
pub use redis::{
    Auth, External, Managed, Persistence, Redis, RedisType, SecretKey, Sentinel, Tls, TokenKeys, WhenDeleted,
};
pub use rooms::{Access, Drain, JoinKeys, Limits, RemoteRoomPolicy, Requirement, Rollout, Rooms, Switch, Tcp, Web};
pub use rules::{RULES, Rule};
pub use server_api::{ServerApi, ServerApiType};
pub use status::{ApiStatus, ChatDeploymentStatus, Condition, Endpoints, RedisStatus};
pub use tls::{ClientTls, TcpTls};
pub use webhooks::Webhooks;

/// The desired state of a chat deployment. Every field has a default: `{}` gives three chat pods that share a Valkey run by the
/// operator.
// The derived root object repeats attributes, which is not ours to change.
#[allow(clippy::duplicated_attributes)]
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "chatd.dev",
    version = "v1beta1",
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
    printcolumn(
        name = "Desired",
        type_ = "integer",
        json_path = ".status.desiredReplicas",
        description = "Desired chat pods"
    ),
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
        name = "Free",
        type_ = "integer",
        json_path = ".status.freeSeats",
        description = "Places for more players"
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it is ready or not"
    ),
    printcolumn(
        name = "Version",
        type_ = "string",
        json_path = ".status.version",
        description = "Version of chatd in the pods"
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
    /// repeatedly while `autoscaling` is set. With `autoscaling` the operator keeps the number between its bounds; if only
    /// `freeSeats` is set, `replicas` counts for the first pods alone.
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

    /// TLS with clients. Unset: both ports are plaintext.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientTls>,

    /// Events of rooms for an application's backend, signed as Standard Webhooks say. Unset: none are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhooks: Option<Webhooks>,

    /// The API for an application's backend. Clients never reach it: it is not on the Service for clients.
    pub api: ServerApi,

    /// The Service through which clients connect.
    pub service: Service,

    /// A Service for each pod, so that clients outside the cluster can follow a REDIRECT to the owner of their room.
    pub per_pod: PerPod,

    /// The directory of rooms and their owners. It never holds chat text.
    pub redis: Redis,

    /// The keys that sign the tokens with which clients resume their seats, and that authenticate links between pods.
    pub token_keys: TokenKeys,

    /// Scales the number of pods by their CPU utilization, by their free seats, or by both. Unset: `replicas` alone decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// Termination of pods.
    pub drain: Drain,

    /// Rollout of changes: one pod at a time, which first moves its rooms, and only while all others are ready.
    pub rollout: Rollout,

    /// Sources that may connect to the pods. Effective only if the cluster's network plugin enforces NetworkPolicies.
    pub network_policy: NetworkPolicy,

    /// Objects for Prometheus.
    pub monitoring: Monitoring,
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
            api: ServerApi::default(),
            service: Service::default(),
            per_pod: PerPod::default(),
            redis: Redis::default(),
            tls: None,
            webhooks: None,
            token_keys: TokenKeys::default(),
            autoscaling: None,
            drain: Drain::default(),
            rollout: Rollout::default(),
            network_policy: NetworkPolicy::default(),
            monitoring: Monitoring::default(),
        }
    }
}

/// A map that may be stored as null: see `crd.rs`.
fn null_is_empty<'de, D, Map>(deserializer: D) -> Result<Map, D::Error>
where
    D: Deserializer<'de>,
    Map: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl ChatDeployment {
    /// The desired number of pods. With free seats it is what the operator last decided.
    pub fn desired_replicas(&self) -> i32 {
        let decided = self.status.as_ref().filter(|_| self.spec.scales_by_free_seats());
        self.spec.effective_replicas(decided.and_then(|status| status.desired_replicas))
    }
}

impl ChatDeploymentSpec {
    /// The desired number of pods: `replicas`, which an autoscaler by CPU writes, or what `by_free_seats` asks for, or the greater of
    /// both, clamped to the bounds of `autoscaling`.
    pub fn effective_replicas(&self, by_free_seats: Option<i32>) -> i32 {
        let Some(autoscaling) = &self.autoscaling else { return self.replicas.max(0) };
        let by_cpu = autoscaling.cpu_target().map(|_| self.replicas);
        let (least, most) = autoscaling.bounds();
        by_cpu.max(by_free_seats).unwrap_or(self.replicas).clamp(least, most)
    }

    /// Whether free seats ask for a number of pods.
    pub fn scales_by_free_seats(&self) -> bool {
        self.autoscaling.as_ref().is_some_and(|autoscaling| autoscaling.free_seats.is_some())
    }

    /// The answer to a raw TCP client that joins at a pod other than the owner: as configured, or a redirect if the client can
    /// follow it.
    pub fn remote_room_policy(&self) -> RemoteRoomPolicy {
        let can_follow = self.service.type_ == ServiceType::ClusterIP || self.per_pod.type_ != PerPodType::None;
        let fitting = if can_follow { RemoteRoomPolicy::Redirect } else { RemoteRoomPolicy::Relay };
        self.tcp.remote_room_policy.or(self.tcp.on_wrong_pod).unwrap_or(fitting)
    }
}
