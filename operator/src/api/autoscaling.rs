//! `spec.autoscaling`: scaling by CPU, for which a HorizontalPodAutoscaler is made, and by free seats. No I/O.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::scale::Wanted;

fn three() -> i32 {
    3
}

/// Where neither a target nor free seats are set.
const DEFAULT_CPU_TARGET: i32 = 70;

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

    /// Target CPU utilization, in per cent of the requested CPU. Requires a metrics server. Unset: 70 without `freeSeats`; with
    /// `freeSeats`, CPU does not count. With both, the greater number of pods counts.
    #[serde(rename = "targetCPUUtilizationPercentage", default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_utilization_percentage: Option<i32>,

    /// Seats to keep free: a number, or a share of all seats such as `20%`. A seat is a place for one more player; of all pods
    /// together it is whichever is less: connections that fit, or rooms that fit times `rooms.maxPlayers`. Connections that a held
    /// seat awaits count as used. Draining pods count nothing. Requires no metrics server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_seats: Option<FreeSeats>,

    /// For how long fewer pods must have been enough for `freeSeats` before the operator removes one, in seconds. It adds pods at
    /// once. Unset: 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub stabilization_seconds: Option<i32>,

    /// Speed of scaling by CPU. Unset: Kubernetes' defaults. Regardless of it, the operator removes one pod at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<Behavior>,
}

impl Autoscaling {
    /// The target of scaling by CPU, if that counts.
    pub fn cpu_target(&self) -> Option<i32> {
        let default = || self.free_seats.is_none().then_some(DEFAULT_CPU_TARGET);
        self.target_cpu_utilization_percentage.or_else(default)
    }

    /// `minReplicas` and `maxReplicas`. The API server refuses min > max; an object from before that rule must still not panic.
    pub fn bounds(&self) -> (i32, i32) {
        let most = self.max_replicas.max(1);
        (self.min_replicas.clamp(1, most), most)
    }
}

/// A number of seats, or a share of all such as `20%`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FreeSeats {
    Seats(i64),
    Share(String),
}

impl FreeSeats {
    /// As the decision takes it. The API server refuses other texts; one from elsewhere asks for nothing.
    pub fn wanted(&self) -> Wanted {
        match self {
            Self::Seats(seats) => Wanted::Seats(*seats),
            Self::Share(text) => {
                let share = text.strip_suffix('%').and_then(|share| share.parse().ok());
                Wanted::Percent(share.filter(|share| (1..=99).contains(share)).unwrap_or_default())
            }
        }
    }
}

impl JsonSchema for FreeSeats {
    fn schema_name() -> Cow<'static, str> {
        "FreeSeats".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{ "type": "integer" }, { "type": "string" }],
            "maxLength": 3,
        })
    }
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
