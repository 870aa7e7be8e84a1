//! Grafana's dashboards as JSON. Pure: no I/O.

use serde_json::{Value, json};

use super::panels::{OPERATOR, Panel, SERVICE};
use super::query;

/// One dashboard.
#[derive(Clone, Copy, Debug)]
pub struct Dashboard {
    /// Its `uid`, and the name of its file without `.json`.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Its variables: the name of each, and the query of its values. Each is a label of the same name.
    pub variables: &'static [(&'static str, &'static str)],
    /// Its graphs, two in a row.
    pub panels: &'static [Panel],
}

/// All dashboards.
pub const DASHBOARDS: [Dashboard; 2] = [
    Dashboard {
        name: "chatd-service",
        title: "chatd: service",
        variables: &[
            ("namespace", "label_values(chatd_build_info, namespace)"),
            ("chatdeployment", r#"label_values(chatd_build_info{namespace=~"$namespace"}, chatdeployment)"#),
        ],
        panels: &SERVICE,
    },
    Dashboard {
        name: "chatd-operator",
        title: "chatd: operator",
        variables: &[("namespace", "label_values(chatd_operator_leader, namespace)")],
        panels: &OPERATOR,
    },
];

const WIDTH: usize = 12;
const HEIGHT: usize = 8;

impl Dashboard {
    /// The matchers by which its variables select series.
    pub fn matchers(&self) -> String {
        let matchers: Vec<String> = self.variables.iter().map(|(name, _)| format!("{name}=~\"${name}\"")).collect();
        matchers.join(",")
    }
}

/// The dashboard in Grafana's form.
pub fn dashboard(dashboard: &Dashboard) -> Value {
    let source = json!({ "type": "prometheus", "uid": "${datasource}" });
    let matchers = dashboard.matchers();
    let panel = |(index, panel): (usize, &Panel)| {
        let targets: Vec<Value> = panel
            .lines
            .iter()
            .zip('A'..='Z')
            .map(|((legend, expr), id)| {
                json!({
                    "datasource": source, "refId": id.to_string(), "legendFormat": legend,
                    "expr": query(expr, &matchers),
                })
            })
            .collect();
        let place = json!({ "x": index % 2 * WIDTH, "y": index / 2 * HEIGHT, "w": WIDTH, "h": HEIGHT });
        json!({
            "id": index + 1, "type": "timeseries", "title": panel.title, "gridPos": place, "datasource": source,
            "fieldConfig": { "defaults": { "unit": panel.unit.as_str(), "min": 0 }, "overrides": [] },
            "options": { "legend": { "showLegend": true }, "tooltip": { "mode": "multi" } },
            "targets": targets,
        })
    };
    let variable = |(name, values): &(&str, &str)| {
        json!({
            "name": name, "label": name, "type": "query", "datasource": source, "query": values, "refresh": 2,
            "includeAll": true, "allValue": ".*", "multi": true, "current": { "text": "All", "value": "$__all" },
        })
    };
    let sources = json!({ "name": "datasource", "label": "data source", "type": "datasource", "query": "prometheus" });
    let variables: Vec<Value> = std::iter::once(sources).chain(dashboard.variables.iter().map(variable)).collect();
    json!({
        "uid": dashboard.name, "title": dashboard.title, "tags": ["chatd"], "schemaVersion": 39, "editable": true,
        "time": { "from": "now-3h", "to": "now" }, "refresh": "30s", "templating": { "list": variables },
        "panels": dashboard.panels.iter().enumerate().map(panel).collect::<Vec<_>>(),
    })
}
