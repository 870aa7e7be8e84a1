//! Network access to the pods: the Service for all, the Services per pod, and NetworkPolicies. No I/O.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::null_is_empty;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    #[default]
    ClusterIP,
    NodePort,
    LoadBalancer,
}

impl ServiceType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExternalTrafficPolicy {
    Cluster,
    Local,
}

impl ExternalTrafficPolicy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Local => "Local",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PerPodType {
    #[default]
    None,
    NodePort,
    LoadBalancer,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NetworkPolicyType {
    #[default]
    Managed,
    None,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// Reachable from the cluster only (ClusterIP), through a port of each node (NodePort), or through a load balancer.
    #[serde(rename = "type")]
    pub type_: ServiceType,

    /// Port for raw TCP clients.
    #[schemars(range(min = 1, max = 65535))]
    pub tcp_port: i32,

    /// Port for browsers.
    #[schemars(range(min = 1, max = 65535))]
    pub web_port: i32,

    /// Annotations of the Service: they configure most load balancers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,

    /// Class of the load balancer, if the cluster has several. Only with `type: LoadBalancer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub load_balancer_class: Option<String>,

    /// Local: the pods see the clients' own addresses, and only nodes with a pod accept connections. Only with NodePort or
    /// LoadBalancer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<ExternalTrafficPolicy>,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            type_: ServiceType::ClusterIP,
            tcp_port: 7654,
            web_port: 8081,
            annotations: BTreeMap::new(),
            load_balancer_class: None,
            external_traffic_policy: None,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PerPod {
    /// Type of each pod's Service. None: pods have no address outside the cluster. Pods then relay the sessions of browsers, and
    /// treat raw TCP clients according to `tcp.remoteRoomPolicy`: if unset and with `service.type: ClusterIP`, they get a REDIRECT.
    #[serde(rename = "type")]
    pub type_: PerPodType,

    /// Public host name of a pod, with `{ordinal}` for the pod's number: `chat-{ordinal}.example.org`. Unset: the address of the
    /// load balancer, or of the pod's node.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub hostname_template: Option<String>,

    /// Annotations of each pod's Service. `{ordinal}` in a value is replaced by the pod's number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicy {
    /// Managed: clients can reach only the client ports, pods can reach each other, and only chat pods can reach the managed
    /// Valkey. The server API, if there is one, can be reached from this namespace.
    #[serde(rename = "type")]
    pub type_: NetworkPolicyType,

    /// Additional sources that may read metrics on the admin port 9090, such as the namespace of Prometheus.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub monitoring_from: Vec<NetworkPolicyPeer>,

    /// Sources beside this namespace that may call the server API on port 8082, such as the namespace of the backend. Only with
    /// `api.type: ClusterIP`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub api_from: Vec<NetworkPolicyPeer>,
}
