//! What the chart makes of its values, as a whole. Runs helm, needs no cluster.

use serde_json::{Value, json};

use crate::world::{CHART, RELEASE, helm, named, objects, rendered, repository, template};

#[test]
#[ignore = "needs helm"]
fn helm_has_nothing_to_say_against_it() {
    let said = helm(&["lint", "--strict", CHART]);
    assert!(said.contains("0 chart(s) failed") && !said.contains("[WARNING]"), "{said}");
    helm(&["lint", "--strict", CHART, "--values", "deploy/operator-values.yaml"]);
}

fn names(objects: &[Value]) -> Vec<String> {
    let name = |object: &Value| {
        format!("{} {}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap())
    };
    let mut names: Vec<String> = objects.iter().map(name).collect();
    names.sort();
    names
}

#[test]
#[ignore = "needs helm"]
fn the_default_values_make_these_objects_and_no_other() {
    let all = rendered(&[]);
    assert_eq!(
        names(&all),
        [
            "ClusterRole chatd-operator-chatd-operator",
            "ClusterRole chatd-operator-chatd-operator-edit",
            "ClusterRole chatd-operator-chatd-operator-storage",
            "ClusterRole chatd-operator-chatd-operator-view",
            "ClusterRoleBinding chatd-operator-chatd-operator",
            "ClusterRoleBinding chatd-operator-chatd-operator-storage",
            "CustomResourceDefinition chatdeployments.chatd.dev",
            "Deployment chatd-operator",
            "NetworkPolicy chatd-operator",
            "PodDisruptionBudget chatd-operator",
            "Role chatd-operator",
            "RoleBinding chatd-operator",
            "ServiceAccount chatd-operator",
        ]
    );
    let crd = named(&all, "CustomResourceDefinition", "chatdeployments.chatd.dev").unwrap();
    assert_eq!(crd["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    // What selects pods selects the Deployment's own.
    let labels = &named(&all, "Deployment", RELEASE).unwrap()["spec"]["template"]["metadata"]["labels"];
    for (kind, pointer) in [
        ("Deployment", "/spec/selector/matchLabels"),
        ("PodDisruptionBudget", "/spec/selector/matchLabels"),
        ("NetworkPolicy", "/spec/podSelector/matchLabels"),
    ] {
        let selector = named(&all, kind, RELEASE).unwrap().pointer(pointer).unwrap().as_object().unwrap();
        assert!(!selector.is_empty() && selector.iter().all(|(key, value)| labels[key] == *value), "{kind}");
    }
}

#[test]
#[ignore = "needs helm"]
fn one_operator_has_no_budget() {
    // It could never be evicted.
    assert!(named(&rendered(&["--set", "replicas=1"]), "PodDisruptionBudget", RELEASE).is_none());
}

#[test]
#[ignore = "needs helm"]
fn bound_to_namespaces_it_has_rights_there_alone() {
    let all = rendered(&["--set", "watchNamespaces={games,lobby}"]);
    assert!(!names(&all).iter().any(|name| name.starts_with("ClusterRoleBinding ")), "{:?}", names(&all));
    let bound: Vec<&Value> = all
        .iter()
        .filter(|object| object["kind"] == "RoleBinding" && object["roleRef"]["kind"] == "ClusterRole")
        .collect();
    assert_eq!(bound.iter().map(|object| &object["metadata"]["namespace"]).collect::<Vec<_>>(), ["games", "lobby"]);
    let account = json!([{ "kind": "ServiceAccount", "name": RELEASE, "namespace": RELEASE }]);
    for binding in bound {
        assert_eq!(
            (&binding["subjects"], &binding["roleRef"]["name"]),
            (&account, &json!("chatd-operator-chatd-operator"))
        );
    }
}

#[test]
#[ignore = "needs helm"]
fn two_releases_share_no_name_of_what_has_no_namespace() {
    let other =
        objects(&helm(&["template", "second", CHART, "--namespace", "elsewhere", "--set", "crds.enabled=false"]));
    let without_namespace = |objects: &[Value]| -> Vec<String> {
        names(objects).into_iter().filter(|name| name.starts_with("ClusterRole")).collect()
    };
    let (one, other) = (without_namespace(&rendered(&[])), without_namespace(&other));
    assert_eq!(one.len(), other.len());
    assert!(one.iter().all(|name| !other.contains(name)), "{one:?} {other:?}");
}

/// Each elects its own leader: with one Lease the second release would never work.
#[test]
#[ignore = "needs helm"]
fn two_releases_in_one_namespace_have_a_lease_each() {
    let lease_of = |release: &str| {
        let all = objects(&helm(&["template", release, CHART, "--namespace", RELEASE]));
        let deployment = named(&all, "Deployment", release).unwrap();
        let variables = deployment.pointer("/spec/template/spec/containers/0/env").unwrap().as_array().unwrap();
        let lease = variables.iter().find(|one| one["name"] == "CHATD_OPERATOR_LEASE_NAME").unwrap()["value"].clone();
        let rules = named(&all, "Role", release).unwrap()["rules"].as_array().unwrap().clone();
        assert!(rules.iter().any(|rule| rule["resourceNames"] == json!([lease])), "it may write it: {rules:?}");
        lease
    };
    assert_eq!((lease_of(RELEASE), lease_of("second")), (json!(RELEASE), json!("second")));
}

#[test]
#[ignore = "needs helm"]
fn monitoring_is_made_where_the_cluster_has_its_kinds() {
    let has = ["--api-versions", "monitoring.coreos.com/v1/PodMonitor"];
    let all = rendered(&has);
    let monitor = named(&all, "PodMonitor", RELEASE).unwrap();
    let template = &named(&all, "Deployment", RELEASE).unwrap()["spec"]["template"];
    let wanted = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
    assert!(wanted.iter().all(|(key, value)| template["metadata"]["labels"][key] == *value));
    let port = &template["spec"]["containers"][0]["ports"][0]["name"];
    assert_eq!(monitor["spec"]["podMetricsEndpoints"][0]["port"], *port);
    let rules = &named(&all, "PrometheusRule", RELEASE).unwrap()["spec"]["groups"][0]["rules"];
    let expr = rules[0]["expr"].as_str().unwrap();
    assert!(expr.contains(r#"namespace="chatd-operator""#), "{expr}");
    assert!(rules[0]["annotations"]["description"].as_str().unwrap().contains("{{ $labels.namespace }}"));
    let disabled = rendered(&[&has[..], &["--set", "monitoring.type=Disabled"]].concat());
    assert!(named(&disabled, "PodMonitor", RELEASE).is_none() && named(&disabled, "PrometheusRule", RELEASE).is_none());
}

/// What people without helm apply, and the demo too.
#[test]
#[ignore = "needs helm"]
fn the_plain_yaml_is_what_the_chart_makes() {
    let output = template(&["--values", "deploy/operator-values.yaml"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let remedy = "UPDATE_GENERATED=1 cargo test -p xtask --test chart -- --ignored plain_yaml";
    let head =
        format!("# The chart charts/chatd-operator with deploy/operator-values.yaml. Do not edit:\n# {remedy}\n");
    let text = head + &String::from_utf8(output.stdout).unwrap();
    let file = repository().join("deploy/operator/operator.yaml");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let stored = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(stored == text, "deploy/operator/operator.yaml is stale: run  {remedy}");
}
