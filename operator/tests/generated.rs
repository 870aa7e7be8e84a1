//! Generated files are committed, and a stale one fails here. `UPDATE_GENERATED=1 cargo test -p operator --test generated` writes them.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use operator::monitoring::Part;

fn check(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let stored = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(stored == text, "{path} is stale: run  UPDATE_GENERATED=1 cargo test -p operator --test generated");
}

#[test]
fn the_crd_is_what_the_types_say() {
    check("crds/chatdeployments.yaml", &operator::api::crd_yaml().unwrap());
}

#[test]
fn the_charts_crd_is_the_same() {
    let crd = operator::api::crd_yaml().unwrap();
    let (head, rest) = crd.split_once("metadata:\n").unwrap();
    // Braces of the rules and docs are no template.
    assert!(!crd.contains("{{"));
    let keep = "{{- if .Values.crds.keep }}\n  annotations:\n    helm.sh/resource-policy: keep\n{{- end }}\n";
    let mut rest = rest.to_owned();
    for (version, stored) in [(operator::api::VERSION, false), (operator::api::FORMER_VERSION, true)] {
        let flag = format!("\n    storage: {stored}\n");
        assert_eq!(rest.matches(&flag).count(), 1, "{flag}");
        rest = rest.replace(&flag, &format!("\n    storage: {{{{ eq .Values.crds.storageVersion \"{version}\" }}}}\n"));
    }
    let text = format!("{{{{- if .Values.crds.enabled }}}}\n{head}metadata:\n{keep}{rest}{{{{- end }}}}\n");
    check("charts/chatd-operator/templates/crd.yaml", &text);
}

#[test]
fn the_rules_of_alerts_are_what_the_table_says() {
    let remedy = "# Generated from operator/src/monitoring/alerts.rs; a test compares. Do not edit.\n";
    let text = operator::yaml::to_yaml(&operator::monitoring::rule_file()).unwrap();
    check("deploy/prometheus/rules.yaml", &format!("{remedy}{text}"));
}

#[test]
fn the_charts_rules_are_those_of_the_operator() {
    let spec = operator::monitoring::prometheus_rule_spec(Part::Operator, r#"namespace="RELEASE_NAMESPACE""#);
    check("charts/chatd-operator/rules/operator.yaml", &operator::yaml::to_yaml(&spec).unwrap());
}

#[test]
fn the_dashboards_are_what_the_tables_say() {
    for dashboard in &operator::monitoring::DASHBOARDS {
        let mut json = operator::monitoring::dashboard(dashboard);
        json.sort_all_objects();
        let text = serde_json::to_string_pretty(&json).unwrap() + "\n";
        check(&format!("charts/chatd-operator/dashboards/{}.json", dashboard.name), &text);
    }
}

#[test]
fn the_page_of_the_fields_is_what_the_types_say() {
    check("docs/chatdeployment.md", &operator::docs::chatdeployment());
}
