//! `spec.autoscaling`: what becomes a HorizontalPodAutoscaler. No I/O.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

fn three() -> i32 {
    3
}

fn seventy() -> i32 {
    70
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// Never fewer pods than this.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 500))]
    pub min_replicas: i32,

    /// Never more pods than this.
    #[schemars(range(min = 1, max = 500))]
    pub max_replicas: i32,

    /// The CPU use that is aimed at, in per cent of what the pods request.
    #[serde(rename = "targetCPUUtilizationPercentage", default = "seventy")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_utilization_percentage: i32,

    /// How fast it scales. Unset: Kubernetes' own defaults. Whatever is said here, the operator takes away one pod at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<Behavior>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Behavior {
    /// How pods are added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingRules>,

    /// How pods are taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingRules>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingRules {
    /// For how long the past is looked at, so that the number does not swing, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub stabilization_window_seconds: Option<i32>,

    /// Which of several policies counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<SelectPolicy>,

    /// How much may change in which time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub policies: Vec<ScalingPolicy>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectPolicy {
    Max,
    Min,
    Disabled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScalingPolicyType {
    Pods,
    Percent,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicy {
    /// Whether `value` counts pods or per cent of the pods.
    #[serde(rename = "type")]
    pub type_: ScalingPolicyType,

    /// How many.
    #[schemars(range(min = 1, max = 1000))]
    pub value: i32,

    /// In which time, in seconds.
    #[schemars(range(min = 1, max = 1800))]
    pub period_seconds: i32,
}
