//! The HorizontalPodAutoscaler. It scales the ChatDeployment, not the StatefulSet, so that two never write one field. Pure: no I/O.

use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricSource, CrossVersionObjectReference, HPAScalingPolicy, HPAScalingRules,
    HorizontalPodAutoscaler, HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget,
};

use super::{CHAT, CONTAINER, Child, Context, KEPT_API_VERSION, KIND, Kind};
use crate::api::ScalingRules;

pub fn chat(context: &Context<'_>) -> Option<Child> {
    let settings = context.spec.autoscaling.as_ref()?;
    let target = settings.cpu_target()?;
    let (least, most) = settings.bounds();
    // Its controller obeys the least before it looks at metrics, and then knows the number of pods that there are.
    let floor = context.facts.seats_floor.map_or(least, |floor| floor.clamp(least, most));
    let autoscaler = HorizontalPodAutoscaler {
        metadata: context.metadata(context.names().chat(), CHAT),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some(KEPT_API_VERSION.to_owned()),
                kind: KIND.to_owned(),
                name: context.owner.name.clone(),
            },
            min_replicas: Some(floor),
            max_replicas: settings.max_replicas,
            metrics: Some(vec![MetricSpec {
                type_: "ContainerResource".to_owned(),
                // Of the container, so that a sidecar of a service mesh does not count.
                container_resource: Some(ContainerResourceMetricSource {
                    container: CONTAINER.to_owned(),
                    name: "cpu".to_owned(),
                    target: MetricTarget {
                        type_: "Utilization".to_owned(),
                        average_utilization: Some(target),
                        ..MetricTarget::default()
                    },
                }),
                ..MetricSpec::default()
            }]),
            behavior: settings.behavior.as_ref().map(|behavior| HorizontalPodAutoscalerBehavior {
                scale_up: behavior.scale_up.as_ref().map(rules),
                scale_down: behavior.scale_down.as_ref().map(rules),
            }),
        }),
        ..HorizontalPodAutoscaler::default()
    };
    Some(super::child(Kind::HorizontalPodAutoscaler, &autoscaler))
}

fn rules(rules: &ScalingRules) -> HPAScalingRules {
    let policies = rules.policies.iter().map(|policy| HPAScalingPolicy {
        type_: format!("{:?}", policy.type_),
        value: policy.value,
        period_seconds: policy.period_seconds,
    });
    HPAScalingRules {
        stabilization_window_seconds: rules.stabilization_window_seconds,
        select_policy: rules.select_policy.map(|policy| format!("{policy:?}")),
        policies: (!rules.policies.is_empty()).then(|| policies.collect()),
        ..HPAScalingRules::default()
    }
}
