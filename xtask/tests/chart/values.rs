//! Each value of the chart has its effect, and wrong ones are refused in words. Runs helm, needs no cluster.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::world::{CHART, RELEASE, named, rendered, repository, template};

const CRD: (&str, &str) = ("CustomResourceDefinition", "chatdeployments.chatd.dev");
const DEPLOYMENT: (&str, &str) = ("Deployment", RELEASE);

/// What a value does to the object of a kind and name.
enum Effect {
    /// What is at a JSON pointer then; null is nothing.
    Is(String, Value),
    Appears,
    Vanishes,
}

struct Case {
    /// The value's path.
    value: &'static str,
    /// Something that is not its default.
    other: Value,
    object: (&'static str, &'static str),
    effect: Effect,
}

fn case(value: &'static str, other: Value, object: (&'static str, &'static str), effect: Effect) -> Case {
    Case { value, other, object, effect }
}

/// The value itself, at a pointer below the pod's template.
fn pod(value: &'static str, pointer: &str, other: Value) -> Case {
    let effect = Effect::Is(format!("/spec/template/{pointer}"), other.clone());
    case(value, other, DEPLOYMENT, effect)
}

/// A variable of the operator's container.
fn variable(value: &'static str, name: &str, other: Value, text: &str) -> Case {
    case(value, other, DEPLOYMENT, Effect::Is(format!("/variables/{name}"), json!(text)))
}

fn cases() -> Vec<Case> {
    let is = |pointer: &str, value: Value| Effect::Is(pointer.to_owned(), value);
    let switch = |value, other: bool, kind, name| {
        case(value, json!(other), (kind, name), if other { Effect::Appears } else { Effect::Vanishes })
    };
    let image = |value, other: &str, whole: &str| {
        case(value, json!(other), DEPLOYMENT, is("/spec/template/spec/containers/0/image", json!(whole)))
    };
    let annotations = json!({ "a": "b" });
    let account = ("ServiceAccount", RELEASE);
    vec![
        case("replicas", json!(3), DEPLOYMENT, is("/spec/replicas", json!(3))),
        image("image.repository", "r.example:5000/x", "r.example:5000/x:dev"),
        image("image.tag", "1.2", "chatd.local/chatd-operator:1.2"),
        pod("image.pullPolicy", "spec/containers/0/imagePullPolicy", json!("Always")),
        pod("imagePullSecrets", "spec/imagePullSecrets", json!([{ "name": "login" }])),
        variable("chatdImage", "CHATD_OPERATOR_CHATD_IMAGE", json!("r.example/chatd:1"), "r.example/chatd:1"),
        variable("valkeyImage", "CHATD_OPERATOR_VALKEY_IMAGE", json!("r.example/valkey:8"), "r.example/valkey:8"),
        variable("maxRollouts", "CHATD_OPERATOR_MAX_ROLLOUTS", json!(7), "7"),
        variable("watchNamespaces", "CHATD_OPERATOR_WATCH_NAMESPACE", json!(["a", "b"]), "a,b"),
        variable("log.format", "CHATD_OPERATOR_LOG_FORMAT", json!("text"), "text"),
        variable("log.level", "CHATD_OPERATOR_LOG_LEVEL", json!("debug"), "debug"),
        switch("crds.enabled", false, CRD.0, CRD.1),
        case("crds.keep", json!(false), CRD, is("/metadata/annotations", Value::Null)),
        case("crds.storageVersion", json!("v1beta1"), CRD, is("/spec/versions/0/storage", json!(true))),
        switch("rbac.aggregate", false, "ClusterRole", "chatd-operator-chatd-operator-view"),
        case("serviceAccount.annotations", annotations.clone(), account, is("/metadata/annotations", annotations)),
        pod("resources.requests.cpu", "spec/containers/0/resources/requests/cpu", json!("1")),
        pod("resources.requests.memory", "spec/containers/0/resources/requests/memory", json!("1Gi")),
        pod("resources.limits.memory", "spec/containers/0/resources/limits/memory", json!("2Gi")),
        case("podLabels", json!({ "a": "b" }), DEPLOYMENT, is("/spec/template/metadata/labels/a", json!("b"))),
        pod("podAnnotations", "metadata/annotations", json!({ "a": "b" })),
        pod("nodeSelector", "spec/nodeSelector", json!({ "disk": "ssd" })),
        pod("tolerations", "spec/tolerations", json!([{ "key": "a", "operator": "Exists" }])),
        pod("affinity", "spec/affinity", json!({ "podAffinity": { "a": "b" } })),
        pod("priorityClassName", "spec/priorityClassName", json!("high")),
        switch("podDisruptionBudget.enabled", false, "PodDisruptionBudget", RELEASE),
        switch("networkPolicy.enabled", false, "NetworkPolicy", RELEASE),
        case("monitoring.type", json!("Disabled"), ("PodMonitor", RELEASE), Effect::Vanishes),
        case("monitoring.labels", json!({ "a": "b" }), ("PodMonitor", RELEASE), is("/metadata/labels/a", json!("b"))),
        variable("monitoring.namespaces", "CHATD_OPERATOR_MONITORING_NAMESPACE", json!(["a", "b"]), "a,b"),
        switch("monitoring.dashboards", true, "ConfigMap", "chatd-operator-chatd-service"),
    ]
}

/// The object, with the container's variables by name.
fn object(objects: &[Value], (kind, name): (&str, &str)) -> Option<Value> {
    let mut object = named(objects, kind, name)?.clone();
    let variables = object["spec"]["template"]["spec"]["containers"][0]["env"].as_array().cloned().unwrap_or_default();
    for variable in variables {
        object["variables"][variable["name"].as_str().unwrap()] = variable["value"].clone();
    }
    Some(object)
}

#[test]
#[ignore = "needs helm"]
fn every_value_has_its_effect() {
    // In a cluster with the kinds of Prometheus' operator.
    let rendered =
        |flags: &[&str]| rendered(&[&["--api-versions", "monitoring.coreos.com/v1/PodMonitor"], flags].concat());
    let defaults = rendered(&[]);
    for Case { value, other, object: which, effect } in cases() {
        let changed = rendered(&["--set-json", &format!("{value}={other}")]);
        let (before, after) = (object(&defaults, which), object(&changed, which));
        match effect {
            Effect::Appears => assert!(before.is_none() && after.is_some(), "{value}: {which:?}"),
            Effect::Vanishes => assert!(before.is_some() && after.is_none(), "{value}: {which:?}"),
            Effect::Is(pointer, expected) => {
                let at = |object: Option<Value>| object.unwrap().pointer(&pointer).cloned().unwrap_or_default();
                assert_ne!(at(before), expected, "{value}: as before");
                assert_eq!(at(after), expected, "{value}: {pointer}");
            }
        }
    }
}

/// The paths of all that is not a map, or an empty one.
fn leaves(at: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value.as_object() {
        Some(map) if !map.is_empty() => {
            for (key, value) in map {
                leaves(&format!("{at}.{key}"), value, found);
            }
        }
        _ => {
            found.insert(at.trim_start_matches('.').to_owned());
        }
    }
}

#[test]
fn every_value_has_a_case_and_a_place_in_the_schema() {
    let chart = repository().join(CHART);
    let values = std::fs::read_to_string(chart.join("values.yaml")).unwrap();
    let mut found = BTreeSet::new();
    leaves("", &serde_saphyr::from_str::<Value>(&values).unwrap(), &mut found);
    assert_eq!(found, cases().iter().map(|case| case.value.to_owned()).collect());
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(chart.join("values.schema.json")).unwrap()).unwrap();
    for path in found.iter().filter(|path| !path.starts_with("resources.")) {
        let pointer = format!("/properties/{}", path.replace('.', "/properties/"));
        assert!(schema.pointer(&pointer).is_some(), "{path} is not in values.schema.json");
    }
}

#[test]
#[ignore = "needs helm"]
fn wrong_values_are_refused_by_their_names() {
    // What is wrong, and what the answer names beside the words of the schema.
    for (wrong, named) in [
        ("replica=3", "replica"),
        ("replicas=-1", "/replicas"),
        (r#"replicas="two""#, "/replicas"),
        ("maxRollouts=0", "/maxRollouts"),
        (r#"chatdImage="""#, "/chatdImage"),
        ("chatdImage=null", "chatdImage"),
        ("valkeyImage=null", "valkeyImage"),
        (r#"image.tag="""#, "/image/tag"),
        ("image.tag=1.2", "/image/tag"),
        (r#"image.pullPolicy="Sometimes""#, "/image/pullPolicy"),
        (r#"image.digest="x""#, "digest"),
        (r#"imagePullSecrets=["login"]"#, "/imagePullSecrets/0"),
        (r#"watchNamespaces="games""#, "/watchNamespaces"),
        (r#"watchNamespaces=["Games"]"#, "/watchNamespaces/0"),
        (r#"watchNamespaces=["a","a"]"#, "/watchNamespaces"),
        (r#"log.level="loud""#, "/log/level"),
        (r#"log.format="xml""#, "/log/format"),
        (r#"crds.enabled="no""#, "/crds/enabled"),
        (r#"crds.storageVersion="v1""#, "/crds/storageVersion"),
        (r#"monitoring.type="yes""#, "/monitoring/type"),
        (r#"monitoring.namespaces="monitoring""#, "/monitoring/namespaces"),
        (r#"podLabels=["a"]"#, "/podLabels"),
        (r#"podLabels={"a":1}"#, "/podLabels/a"),
        (r#"podAnnotations={"a":1}"#, "/podAnnotations/a"),
        ("tolerations={}", "/tolerations"),
        ("priorityClassName=1", "/priorityClassName"),
    ] {
        let output = template(&["--set-json", wrong]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{wrong} was taken");
        assert!(said.contains("specifications of the schema"), "{wrong}: {said}");
        assert!(said.contains(named), "{wrong}: {said}");
    }
    // YAML would take the label twice, and the Deployment would no longer select its pods.
    let output = template(&["--set-json", r#"podLabels={"app.kubernetes.io/name":"x"}"#]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("podLabels must not hold app.kubernetes.io/name"), "{said}");
}
