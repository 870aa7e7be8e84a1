//! `spec.redis` and `spec.tokenKeys`: the address of the directory, and secrets. No I/O.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LocalSecret, Quantity, Resources};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RedisType {
    #[default]
    Managed,
    External,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Redis {
    /// Managed: the operator runs a Valkey for this deployment. External: an existing Redis, described in `external`. Changing the
    /// directory closes all rooms: the operator stops all pods, changes it, and starts them again.
    #[serde(rename = "type")]
    pub type_: RedisType,

    /// Prefix of every key. Deployments that share a Redis need different prefixes.
    #[schemars(length(min = 1, max = 63))]
    pub key_prefix: String,

    /// The Valkey that the operator runs. Only with `type: Managed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed: Option<Managed>,

    /// An existing Redis or Valkey. Only with `type: External`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
}

impl Default for Redis {
    fn default() -> Self {
        Self { type_: RedisType::Managed, key_prefix: "chat:".to_owned(), managed: None, external: None }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Managed {
    /// Image of Valkey. Unset: the operator's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub image: Option<String>,

    /// CPU and memory of Valkey. Unset: requests of 100m CPU and 64Mi memory, and a memory limit of 256Mi. Data may take three
    /// quarters of the memory limit; a room takes less than 1 kB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// Keeps the data on a volume. Unset: Valkey restarts empty, and the pods rewrite the records of their rooms within 35 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhenDeleted {
    #[default]
    Delete,
    Retain,
}

impl WhenDeleted {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "Delete",
            Self::Retain => "Retain",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Persistence {
    /// Size of the volume, such as `1Gi`.
    pub size: Quantity,

    /// StorageClass of the volume. Unset: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,

    /// Whether the volume is deleted or retained when the ChatDeployment is deleted, or its Redis becomes External.
    #[serde(default)]
    pub when_deleted: WhenDeleted,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct External {
    /// URL: `redis://host:6379`, with a database `redis://host:6379/3`, `rediss://` for TLS, or a Cluster,
    /// `redis+cluster://host:6379,host:6379`. Without user and password: use `auth`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2000))]
    pub url: Option<String>,

    /// Sentinels that monitor the master. Instead of `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<Sentinel>,

    /// Credentials of the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,

    /// Certificates for TLS. With `sentinel`, `tls: {}` enables TLS; with `url` the scheme `rediss` does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sentinel {
    /// Name under which the Sentinels monitor the master.
    #[schemars(length(min = 1, max = 253))]
    pub master_name: String,

    /// Addresses of the Sentinels, each `host:port`.
    #[schemars(length(min = 1, max = 9), inner(length(min = 1, max = 260)))]
    pub addresses: Vec<String>,

    /// Password of the Sentinels themselves, if they require one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<SecretKey>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// ACL user of Redis. Unset: its default user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub username: Option<String>,

    /// Password. The pods reload it when the Secret changes; the operator never reads it.
    pub password_secret_ref: SecretKey,
}

// A name and a key of two writers would be a third Secret's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct SecretKey {
    /// Name of a Secret in the namespace of the ChatDeployment.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// Key in the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// PEM CA certificates that Redis' certificate is verified against. Unset: the trusted certificates of the chatd image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKey>,

    /// Secret of type `kubernetes.io/tls` (keys `tls.crt`, `tls.key`) with the client certificate of the pods, if Redis requires
    /// one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_secret_ref: Option<LocalSecret>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenKeys {
    /// Secret of this namespace with keys by id, each 32 random bytes or more in base64 or hex; the greatest id signs. Unset: the
    /// operator generates one once, and never changes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalSecret>,
}
