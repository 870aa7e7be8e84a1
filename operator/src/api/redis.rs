//! `spec.redis` and `spec.tokenKeys`: where the directory is, and by which secrets. No I/O.

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
    /// Managed: the operator runs a Valkey for this deployment. External: one that is there already, described in `external`.
    /// A change of where the directory is ends all rooms: the operator stops all pods, changes it, and starts them again.
    #[serde(rename = "type")]
    pub type_: RedisType,

    /// What stands before each key. Deployments that share a Redis need different ones.
    #[schemars(length(min = 1, max = 63))]
    pub key_prefix: String,

    /// The Valkey that the operator runs. Only with `type: Managed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed: Option<Managed>,

    /// A Redis or Valkey that is there already. Only with `type: External`.
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
    /// The image of Valkey. Unset: the one that the operator was installed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub image: Option<String>,

    /// CPU and memory of Valkey. Unset: 100m CPU and 64Mi memory are requested, and 256Mi memory is the limit. Three quarters of a
    /// memory limit may hold data; a room takes less than 1 kB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// Keeps the data on a volume. Unset: a Valkey that restarts is empty, and the pods write their living rooms again within 35 s.
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
    /// The size of the volume, such as `1Gi`.
    pub size: Quantity,

    /// The StorageClass. Unset: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,

    /// What becomes of the volume when the ChatDeployment is deleted, or its Redis becomes External.
    #[serde(default)]
    pub when_deleted: WhenDeleted,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct External {
    /// Where it is: `redis://host:6379`, with a database `redis://host:6379/3`, `rediss://` for TLS, or a Cluster,
    /// `redis+cluster://host:6379,host:6379`. No user and no password: those are in `auth`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2000))]
    pub url: Option<String>,

    /// Sentinels that know where the master is. Instead of `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<Sentinel>,

    /// As whom the pods log in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,

    /// Certificates for TLS. With `sentinel`, `tls: {}` turns TLS on; with `url` the scheme `rediss` does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sentinel {
    /// The name under which the Sentinels watch the master.
    #[schemars(length(min = 1, max = 253))]
    pub master_name: String,

    /// The Sentinels, each `host:port`.
    #[schemars(length(min = 1, max = 9), inner(length(min = 1, max = 260)))]
    pub addresses: Vec<String>,

    /// The password of the Sentinels themselves, if they have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<SecretKey>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// A user of Redis' access control lists. Unset: its default user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub username: Option<String>,

    /// The password. The pods read it again when the Secret changes; the operator never reads it.
    pub password_secret_ref: SecretKey,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKey {
    /// The name of a Secret in the namespace of the ChatDeployment.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// The key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// PEM certificates that may sign the server's. Unset: those that the chatd image trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKey>,

    /// A Secret of type `kubernetes.io/tls` (keys `tls.crt`, `tls.key`) with the certificate that the pods show, where Redis asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_secret_ref: Option<LocalSecret>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenKeys {
    /// A Secret of this namespace with keys by id, each 32 random bytes or more in base64 or hex; the greatest id signs. Unset: the
    /// operator makes one, once, and never changes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalSecret>,
}
