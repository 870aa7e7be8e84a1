//! `status`: the operator's report on a ChatDeployment. No I/O. `crate::status` decides its values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ChatDeploymentStatus {
    /// Generation of the spec that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The operator that manages this ChatDeployment, by its namespace and Lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,

    /// Another operator that also claims this ChatDeployment and waits for the first one to respond. The second of two stops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contender: Option<String>,

    /// Desired chat pods: `replicas`, or what `autoscaling` makes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired_replicas: Option<i32>,

    /// Existing chat pods.
    pub replicas: i32,

    /// Ready chat pods.
    pub ready_replicas: i32,

    /// Chat pods that match the spec.
    pub updated_replicas: i32,

    /// Label selector of the chat pods, as text, for autoscalers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// Image of chatd in use, or being rolled out. A waiting image, as while paused, appears only when a pod has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,

    /// Versions of chatd that the pods run: one, or several during a rollout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// Addresses for clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,

    /// The server API, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiStatus>,

    /// The directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisStatus>,

    /// Rooms in all pods. Absent if a ready pod did not answer. At most 30 s old, or unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rooms: Option<i64>,

    /// Players in all rooms, held seats included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub players: Option<i64>,

    /// Free seats in all pods that do not drain: places for more players, see `autoscaling.freeSeats`. Absent if a pod did not
    /// answer, or runs a version that does not count them. At most 30 s old, or within 1 % of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_seats: Option<i64>,

    /// Ready, Progressing, Degraded and RedisReady, and Stalled while it is True. docs/chatdeployment.md lists the reasons with
    /// their remedies.
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoints {
    /// Address for raw TCP clients, `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,

    /// Address for browsers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiStatus {
    /// Its URL, for callers inside of the cluster.
    pub url: String,

    /// The Secret with its keys.
    pub secret_name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RedisStatus {
    /// Address of the directory, without user and password.
    pub endpoint: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Ready, Progressing, Degraded, RedisReady or Stalled.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316))]
    pub type_: String,

    /// True, False or Unknown.
    #[schemars(extend("enum" = ["True", "False", "Unknown"]))]
    pub status: String,

    /// Reason, one word of a fixed list.
    #[schemars(length(min = 1, max = 1024), extend("pattern" = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"))]
    pub reason: String,

    /// Explanation in a sentence, with a remedy.
    #[schemars(length(max = 32768))]
    pub message: String,

    /// Time of the last change of `status`.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,

    /// Generation of the spec that this condition describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
}
