//! `status`: what the operator says of a ChatDeployment. No I/O. What is said when is decided in `crate::status`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ChatDeploymentStatus {
    /// The generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The operator that looks after it, by its namespace and Lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,

    /// Another operator that would, and waits for this one to answer. The second of two stops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contender: Option<String>,

    /// Chat pods that are there.
    pub replicas: i32,

    /// Chat pods that are ready.
    pub ready_replicas: i32,

    /// Chat pods that are as the spec says.
    pub updated_replicas: i32,

    /// The label selector of the chat pods, as text, for autoscalers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// The image of chatd that is in use, or being rolled out. One that waits, as while paused, is not said before a pod has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,

    /// Where clients come in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,

    /// The directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisStatus>,

    /// Rooms in all pods. Absent when not all pods could be asked. At most 30 s old, or unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rooms: Option<i64>,

    /// Players in all rooms, held seats included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub players: Option<i64>,

    /// Ready, Progressing, Degraded and RedisReady. docs/operations.md says what to do for each reason.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoints {
    /// For raw TCP clients, `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,

    /// For browsers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RedisStatus {
    /// Where the directory is. Without user and password.
    pub endpoint: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Ready, Progressing, Degraded or RedisReady.
    #[serde(rename = "type")]
    pub type_: String,

    /// True, False or Unknown.
    pub status: String,

    /// Why, in one word of a fixed list.
    pub reason: String,

    /// Why, in a sentence, and what to do.
    pub message: String,

    /// When `status` last changed.
    pub last_transition_time: String,

    /// The generation of the spec that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
