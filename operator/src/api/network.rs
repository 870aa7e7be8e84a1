//! How clients reach the pods: the Service for all, Services for each, and NetworkPolicies. No I/O.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Who can reach it: the cluster only, everyone by a port of each node, or everyone by a load balancer.
    #[serde(rename = "type")]
    pub type_: ServiceType,

    /// The port for raw TCP clients.
    #[schemars(range(min = 1, max = 65535))]
    pub tcp_port: i32,

    /// The port for browsers.
    #[schemars(range(min = 1, max = 65535))]
    pub web_port: i32,

    /// Annotations of the Service: most load balancers are set up by them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,

    /// Which load balancer makes it, where a cluster has several. Only with `type: LoadBalancer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub load_balancer_class: Option<String>,

    /// Local: the pods see the clients' own addresses, and only nodes with a pod take connections. Only with NodePort or LoadBalancer.
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
    /// What kind of Service each pod gets. None: pods have no address outside of the cluster. Sessions of browsers are then relayed
    /// between pods, and those of raw TCP clients as `tcp.onWrongPod` says: unset and with `service.type: ClusterIP`, they get a REDIRECT.
    #[serde(rename = "type")]
    pub type_: PerPodType,

    /// The host name by which clients reach a pod, with `{ordinal}` for the pod's number: `chat-{ordinal}.example.org`. Unset: the
    /// address of the load balancer, or of the node that the pod runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub hostname_template: Option<String>,

    /// Annotations of each pod's Service. `{ordinal}` in a value becomes the pod's number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicy {
    /// Managed: clients reach the client ports only, pods reach each other, and only chat pods reach the managed Valkey.
    #[serde(rename = "type")]
    pub type_: NetworkPolicyType,

    /// Who else may read metrics on the admin port 9090, such as the namespace of Prometheus.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub monitoring_from: Vec<NetworkPolicyPeer>,
}
