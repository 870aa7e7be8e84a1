//! `spec.autoscaling`: the fields of the HorizontalPodAutoscaler. No I/O.

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
    /// Minimum number of pods.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 500))]
    pub min_replicas: i32,

    /// Maximum number of pods.
    #[schemars(range(min = 1, max = 500))]
    pub max_replicas: i32,

    /// Target CPU utilization, in per cent of the requested CPU.
    #[serde(rename = "targetCPUUtilizationPercentage", default = "seventy")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_utilization_percentage: i32,

    /// Scaling speed. Unset: Kubernetes' defaults. Regardless of it, the operator removes one pod at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<Behavior>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Behavior {
    /// Rules for adding pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingRules>,

    /// Rules for removing pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingRules>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingRules {
    /// Period of past recommendations to consider, which prevents flapping, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub stabilization_window_seconds: Option<i32>,

    /// Which of several policies applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<SelectPolicy>,

    /// Maximum change per period.
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
    /// Unit of `value`: pods, or per cent of the pods.
    #[serde(rename = "type")]
    pub type_: ScalingPolicyType,

    /// Maximum change in one period.
    #[schemars(range(min = 1, max = 1000))]
    pub value: i32,

    /// Length of the period, in seconds.
    #[schemars(range(min = 1, max = 1800))]
    pub period_seconds: i32,
}
