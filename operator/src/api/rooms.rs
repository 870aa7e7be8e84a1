//! The fields that become chatd's own settings: rooms, limits, clients, draining, and how changes roll out. No I/O.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LocalSecret;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Access {
    Link,
    Token,
}

/// The keys of `rooms.joinKeys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JoinKeys {
    /// Secret of this namespace with the keys that verify join tokens. Each of its keys is the id (`kid`) of one; the value is a PEM public
    /// key, or a secret of at least 32 bytes in base64 or hexadecimal digits. Pods take changes without a restart.
    pub secret_ref: LocalSecret,

    /// Audience (`aud`) that each join token must name. Unset: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub audience: Option<String>,

    /// Issuer (`iss`) that each join token must name. Unset: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub issuer: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Switch {
    Enabled,
    #[default]
    Disabled,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Requirement {
    Required,
    #[default]
    Disabled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RemoteRoomPolicy {
    Redirect,
    Relay,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Rooms {
    /// Maximum players in a room, held seats included.
    #[schemars(range(min = 1, max = 64))]
    pub max_players: i32,

    /// Time for which the seat of a dropped connection is held, in seconds.
    #[schemars(range(min = 0, max = 600))]
    pub seat_hold_seconds: i32,

    /// Time after which an empty room is closed, in seconds.
    #[serde(rename = "emptyTTLSeconds")]
    #[schemars(range(min = 10, max = 86400))]
    pub empty_ttl_seconds: i32,

    /// Lifetime of a room's record in Redis after its pod is gone, in seconds. Renewed while the room exists.
    #[serde(rename = "recordTTLSeconds")]
    #[schemars(range(min = 60, max = 86400))]
    pub record_ttl_seconds: i32,

    /// Whether a pod that holds far more rooms than the others lets them create new ones, and gives some of its own away, the
    /// quietest first. Unset: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<bool>,

    /// Admission to rooms. Link: a room's id is enough. Token: each client needs a join token that an application has signed with a key
    /// of `joinKeys`. Unset: Link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,

    /// Keys of join tokens. Unset: join tokens are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_keys: Option<JoinKeys>,

    /// Enabled: the first JOIN of a room's name that does not exist creates the room. Unset: Disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_names: Option<Switch>,
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            max_players: 4,
            seat_hold_seconds: 30,
            empty_ttl_seconds: 600,
            record_ttl_seconds: 3600,
            balance: None,
            access: None,
            join_keys: None,
            open_names: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Maximum client connections of one pod, raw TCP and browsers together.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_connections: i32,

    /// Maximum rooms in one pod.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_rooms: i32,

    /// Commands and messages per second and player.
    #[schemars(range(min = 1, max = 10_000))]
    pub messages_per_second: i32,

    /// Commands and messages that a player may send at once. At least `messagesPerSecond`.
    #[schemars(range(min = 1, max = 10_000))]
    pub burst: i32,

    /// Limits wrong rooms, wrong tokens and new rooms to 30 per minute for each client address. Useful only if the pods see the
    /// clients' own addresses: `service.externalTrafficPolicy: Local`, `tcp.proxyProtocol` or `web.trustedProxies`. The Services of
    /// `perPod` do not get that policy: clients that follow a REDIRECT through one may share the address of a node.
    #[serde(rename = "perClientIP")]
    pub per_client_ip: Switch,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_rooms: 10_000,
            messages_per_second: 10,
            burst: 20,
            per_client_ip: Switch::Disabled,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Tcp {
    /// Answer to a raw TCP client that joins a room of another pod: the owner's address, or a relayed session. Unset: Redirect if
    /// clients can reach pods (`service.type: ClusterIP`, or `perPod` is set), else Relay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_room_policy: Option<RemoteRoomPolicy>,

    /// Deprecated: the former name of `remoteRoomPolicy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_wrong_pod: Option<RemoteRoomPolicy>,

    /// Required: each raw TCP connection must start with a PROXY header (version 1 or 2), sent by a load balancer in front.
    pub proxy_protocol: Requirement,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Web {
    /// Origins, besides the pods' own, whose pages may open the WebSocket, such as `https://chat.example.org`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 255)))]
    pub allowed_origins: Vec<String>,

    /// Networks of proxies whose `X-Forwarded-For` is trusted, such as `10.0.0.0/8`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 49)))]
    pub trusted_proxies: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Drain {
    /// Time that a draining pod may take to move its rooms, in seconds. Kubernetes kills it 10 s later.
    #[schemars(range(min = 6, max = 3600))]
    pub deadline_seconds: i32,
}

impl Default for Drain {
    fn default() -> Self {
        Self { deadline_seconds: 25 }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Rollout {
    /// Pods with a number below this keep their old version: with 3 pods, 2 tries a change on pod 2 only. 0: the change reaches all
    /// pods. A change of the directory in `redis` always reaches all pods at once.
    #[schemars(range(min = 0, max = 500))]
    pub partition: i32,

    /// True: changes wait. Existing pods stay unchanged; scaling continues.
    pub paused: bool,
}
