//! `spec.api`: the server API, by which an application's backend makes, changes and lists rooms. No I/O.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LocalSecret;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServerApiType {
    ClusterIP,
    #[default]
    None,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerApi {
    /// ClusterIP: pods serve the API on port 8082, and the Service `<name>-api` leads to the ready ones, inside of the cluster only. With
    /// `networkPolicy.type: Managed` this namespace and `networkPolicy.apiFrom` can reach it. None: there is no API.
    #[serde(rename = "type")]
    pub type_: ServerApiType,

    /// Secret of this namespace with the keys that callers show, as `keys.json`:
    /// `{"keys": [{"id": "backend", "secret": "...", "scopes": ["read", "write"]}]}`. Unset: the operator generates the Secret `<name>-api`
    /// with one key once, also by itself as `key`, and never changes it. Pods take changes without a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalSecret>,
}

impl ServerApi {
    /// Whether there is to be an API.
    pub fn is_served(&self) -> bool {
        self.type_ == ServerApiType::ClusterIP
    }
}
