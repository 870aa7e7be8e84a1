//! The PodDisruptionBudget: a drain of nodes takes one chat pod at a time. Pure: no I/O.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{CHAT, Child, Context, Kind};

pub fn chat(context: &Context<'_>) -> Child {
    let budget = PodDisruptionBudget {
        metadata: context.metadata(context.names().chat(), CHAT),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector { match_labels: Some(context.selector(CHAT)), ..LabelSelector::default() }),
            // Pods that never became ready must not keep a node from being drained.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    };
    super::child(Kind::PodDisruptionBudget, &budget)
}
