//! The StatefulSet of the chat pods. `crate::rollout` decides replicas and partition. Pure: no I/O.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    RollingUpdateStatefulSetStrategy, StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{ADOPTED_UID, CHAT, Child, Context, Kind, pod_template};

/// The chat pods.
pub fn chat(context: &Context<'_>) -> Child {
    let mut metadata = context.metadata(context.names().chat(), CHAT);
    metadata.annotations = context.facts.deployment_uid.as_ref().map(|uid| annotation(ADOPTED_UID, uid));
    let stateful_set = StatefulSet {
        metadata,
        spec: Some(StatefulSetSpec {
            service_name: Some(context.names().headless()),
            replicas: Some(context.facts.replicas),
            selector: LabelSelector { match_labels: Some(context.selector(CHAT)), ..LabelSelector::default() },
            template: pod_template::chat(context),
            pod_management_policy: Some("Parallel".to_owned()),
            update_strategy: Some(rolling_update(context.facts.partition)),
            revision_history_limit: Some(3),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    };
    super::child(Kind::StatefulSet, &stateful_set)
}

pub fn rolling_update(partition: i32) -> StatefulSetUpdateStrategy {
    StatefulSetUpdateStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateStatefulSetStrategy {
            partition: Some(partition),
            ..RollingUpdateStatefulSetStrategy::default()
        }),
    }
}

/// One annotation.
pub fn annotation(key: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(key.to_owned(), value.to_owned())])
}
