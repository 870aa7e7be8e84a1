//! The PodMonitor, by which Prometheus' operator finds the chat pods, and the PrometheusRule with their alerts. Pure: no I/O.

use serde_json::{Value, json};

use super::{CHAT, Child, Context, Kind};
use crate::api::MonitoringType;
use crate::monitoring::{LABEL, Part, prometheus_rule_spec};

/// Those of the two whose kind the cluster has.
pub fn chat(context: &Context<'_>) -> Vec<Child> {
    if context.spec.monitoring.type_ == MonitoringType::None {
        return Vec::new();
    }
    let name = &context.owner.name;
    let pod_monitor = || {
        json!({
            "selector": { "matchLabels": context.selector(CHAT) },
            "podMetricsEndpoints": [{
                "port": "admin",
                "path": "/metrics",
                "relabelings": [{ "targetLabel": LABEL, "replacement": name }],
            }],
        })
    };
    let rule = || {
        let matchers = format!("namespace=\"{}\",{LABEL}=\"{name}\"", context.owner.namespace);
        prometheus_rule_spec(Part::Chat, &matchers)
    };
    let specs: [(Kind, &dyn Fn() -> Value); 2] = [(Kind::PodMonitor, &pod_monitor), (Kind::PrometheusRule, &rule)];
    let is_there = |(kind, _): &(Kind, _)| context.facts.optional_kinds.contains(kind);
    specs.into_iter().filter(is_there).map(|(kind, spec)| object(context, kind, &spec())).collect()
}

fn object(context: &Context<'_>, kind: Kind, spec: &Value) -> Child {
    let mut metadata = context.metadata(context.names().chat(), CHAT);
    let labels = metadata.labels.get_or_insert_default();
    for (key, value) in &context.spec.monitoring.labels {
        // Ours tell whose the object is.
        labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    super::child(kind, &json!({ "metadata": metadata, "spec": spec }))
}
