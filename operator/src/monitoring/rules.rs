//! Alerts as rules of Prometheus. Pure: no I/O.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::alerts::{ALERTS, Alert, Part};
use super::query;

/// The `spec` of a PrometheusRule with the alerts of a part. `matchers`: see [`query`].
pub fn prometheus_rule_spec(part: Part, matchers: &str) -> Value {
    let name = match part {
        Part::Chat => "chatd",
        Part::Operator => "chatd-operator",
    };
    let rules: Vec<Value> =
        ALERTS.iter().filter(|alert| alert.part == part).map(|alert| rule(alert, matchers)).collect();
    json!({ "groups": [{ "name": name, "rules": rules }] })
}

/// All alerts of all deployments as a file of rules for a Prometheus without its operator.
pub fn rule_file() -> Value {
    let groups = |part| prometheus_rule_spec(part, "")["groups"][0].clone();
    json!({ "groups": [groups(Part::Chat), groups(Part::Operator)] })
}

fn rule(alert: &Alert, matchers: &str) -> Value {
    json!({
        "alert": alert.name,
        "expr": query(alert.expr, matchers),
        "for": alert.wait,
        "labels": { "severity": alert.severity.as_str() },
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook": format!("docs/runbooks.md#{}", alert.name.to_ascii_lowercase()),
        },
    })
}

/// The table of alerts of docs/operations.md.
pub fn table() -> String {
    let mut text = "\n| alert | severity | after | |\n| --- | --- | --- | --- |\n".to_owned();
    for alert in &ALERTS {
        let (name, link) = (alert.name, alert.name.to_ascii_lowercase());
        let (severity, wait, summary) = (alert.severity.as_str(), alert.wait, alert.summary);
        let _ = writeln!(text, "| [{name}](runbooks.md#{link}) | {severity} | {wait} | {summary} |");
    }
    text.push('\n');
    text
}
