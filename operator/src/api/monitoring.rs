//! `spec.monitoring`: the objects for Prometheus' operator. No I/O.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::null_is_empty;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MonitoringType {
    #[default]
    Auto,
    None,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Monitoring {
    /// Auto: a PodMonitor and a PrometheusRule, as soon as the cluster has these kinds (of `monitoring.coreos.com/v1`), and with
    /// `networkPolicy.type: Managed` access to the admin port from the operator's `--monitoring-namespace`.
    #[serde(rename = "type")]
    pub type_: MonitoringType,

    /// Labels of both objects, by which a Prometheus selects them, such as `release: kube-prometheus-stack`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub labels: BTreeMap<String, String>,
}
