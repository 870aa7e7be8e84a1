//! What people look at: alerts and dashboards, each one table, and the objects and files made from them. Pure: no I/O.
//!
//! A query is written once, with two places to fill: `$in`, the matchers that select some deployments, and `$by`, the labels that
//! tell deployments apart.

mod alerts;
mod dashboards;
mod panels;
mod rules;

pub use alerts::{ALERTS, Alert, Part, Severity};
pub use dashboards::{DASHBOARDS, Dashboard, dashboard};
pub use panels::{Panel, Unit};
pub use rules::{prometheus_rule_spec, rule_file, table};

/// The label that names the ChatDeployment, on the metrics of its pods and on those that the operator has of it.
pub const LABEL: &str = "chatdeployment";

/// A query of the tables with its places filled. `matchers`: PromQL's, such as `namespace="games"`; may be empty.
pub fn query(template: &str, matchers: &str) -> String {
    let filled = template.replace("$by", "by (namespace, chatdeployment)").replace("$in", matchers);
    filled.replace(",}", "}").replace("{}", "")
}

#[cfg(test)]
mod tests {
    use super::query;

    #[test]
    fn a_query_is_one_of_some_deployments_or_of_all() {
        let template = r#"sum $by (a{x="1",$in}) / sum $by (b{$in})"#;
        let all = r#"sum by (namespace, chatdeployment) (a{x="1"}) / sum by (namespace, chatdeployment) (b)"#;
        assert_eq!(query(template, ""), all);
        let some = query(template, r#"namespace="games""#);
        assert!(
            some.contains(r#"(a{x="1",namespace="games"})"#) && some.contains(r#"(b{namespace="games"})"#),
            "{some}"
        );
    }
}
