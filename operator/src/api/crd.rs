//! The CustomResourceDefinition, generated from the types and the table of rules. No I/O.

use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use super::{ChatDeployment, RULES, Rule};
use crate::yaml::{YamlError, to_yaml};

const HEADER: &str = "# Generated from operator/src/api by `chatd-operator crd`; a test compares. Do not edit.\n";

/// The group of a ChatDeployment.
pub const GROUP: &str = "chatd.dev";
/// The version that the operator, the plugin and the documentation use.
pub const VERSION: &str = "v1beta1";
/// The version before it: deprecated, served with the same schema, and the one that etcd holds until the definition says otherwise.
pub const FORMER_VERSION: &str = "v1alpha1";

/// The CustomResourceDefinition as the API server accepts it: one schema, and two versions that need no conversion for it.
pub fn crd() -> Value {
    let mut crd = serde_json::to_value(ChatDeployment::crd()).unwrap_or_default();
    tidy(&mut crd);
    if let Some(schema) = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
        bound(schema);
        for rule in RULES {
            add_rule(schema, rule);
        }
        list_types("", schema);
        for place in WHOLE_OBJECTS {
            if let Some(object) = at(schema, place) {
                object.insert("x-kubernetes-map-type".to_owned(), json!("atomic"));
            }
        }
        allow_nulls(&mut schema["properties"]["spec"]);
        // Tools that go by conditions take an object without a status for a finished one: until the operator has looked at it, its
        // status is about no generation.
        schema["properties"]["status"]["default"] = json!({ "observedGeneration": -1 });
        // A ChatDeployment without a spec is one with the empty spec.
        schema["properties"]["spec"]["default"] = json!({});
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|field| field != "spec");
        }
    }
    crd["spec"]["conversion"] = json!({ "strategy": "None" });
    if let Some(versions) = crd.pointer_mut("/spec/versions").and_then(Value::as_array_mut) {
        let former = versions.first().cloned().map(former);
        for version in versions.iter_mut() {
            version["storage"] = false.into();
        }
        versions.extend(former);
    }
    crd
}

/// The former version with the content of the present one, which gives up being stored for it: an operator of the last release, and its
/// definition, can then be put back at any time.
fn former(mut version: Value) -> Value {
    version["name"] = FORMER_VERSION.into();
    version["deprecated"] = true.into();
    version["deprecationWarning"] = format!(
        "{GROUP}/{FORMER_VERSION} ChatDeployment is deprecated: write {GROUP}/{VERSION}, which has the same fields"
    )
    .into();
    version
}

/// The same as YAML, as crds/chatdeployments.yaml holds it.
///
/// # Errors
/// None in practice, as for [`to_yaml`].
pub fn crd_yaml() -> Result<String, YamlError> {
    Ok(format!("{HEADER}{}", to_yaml(&crd())?))
}

/// What the API server would change or refuse by itself: null marks (a null is then dropped, so that the default counts), whole
/// numbers written as decimals, and formats that it does not know.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.remove("nullable");
            if let Some(Value::String(description)) = object.get_mut("description") {
                // Line ends of the source mean nothing; paragraphs do.
                *description = description.replace("\n\n", "\0").replace('\n', " ").replace('\0', "\n\n");
            }
            if object.contains_key("x-kubernetes-int-or-string") {
                object.remove("anyOf");
            }
            if let Some(values) = object.get_mut("enum").and_then(Value::as_array_mut) {
                values.retain(|value| !value.is_null());
            }
            if object.get("format").is_some_and(|format| format == "uint32" || format == "int") {
                object.remove("format");
            }
            object.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Number(number) => {
            if let Some(float) = number.as_f64()
                && number.is_f64()
                && float.fract() == 0.0
            {
                *value = json!(float as i64);
            }
        }
        _ => {}
    }
}

/// Bounds without which the API server refuses rules as too expensive: the values of maps.
fn bound(schema: &mut Value) {
    for (place, longest) in [("spec.pod.labels", 63), ("spec.pod.nodeSelector", 63)] {
        if let Some(map) = at(schema, place)
            && let Some(values) = map.get_mut("additionalProperties").and_then(Value::as_object_mut)
        {
            values.insert("maxLength".to_owned(), json!(longest));
        }
    }
}

/// The lists whose items several writers may own, by server-side apply: with their keys, or as sets of texts. Every other one belongs to
/// one writer as a whole; so must those whose empty value means something else than none at all, since server-side apply leaves an
/// empty list behind when the last item of a shared one is taken out.
const SHARED_LISTS: [(&str, &[&str]); 5] = [
    ("spec.imagePullSecrets", &["name"]),
    ("spec.redis.external.sentinel.addresses", &[]),
    ("spec.web.allowedOrigins", &[]),
    ("spec.web.trustedProxies", &[]),
    ("status.conditions", &["type"]),
];

fn list_types(place: &str, schema: &mut Value) {
    let shared = SHARED_LISTS.iter().find(|(list, _)| *list == place).map(|(_, keys)| *keys);
    if schema["type"] == "array" {
        schema["x-kubernetes-list-type"] = match shared {
            None => "atomic",
            Some([]) => "set",
            Some(keys) => {
                schema["x-kubernetes-list-map-keys"] = json!(keys);
                "map"
            }
        }
        .into();
        list_types(&format!("{place}[]"), &mut schema["items"]);
    }
    let inner = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    for (name, field) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        list_types(&inner(name), field);
    }
}

/// The optional objects whose empty value means something else than none at all: each belongs to one writer as a whole, so that
/// server-side apply leaves it empty, and not null.
const WHOLE_OBJECTS: [&str; 3] = ["spec.pod.affinity", "spec.redis.external.tls", "spec.redis.managed.resources"];

/// Where a writer had all fields of an object or all keys of a map, and applies `{}` in its place, server-side apply leaves a null behind.
/// With a default in the schema that counts instead; without one the API server would refuse the write, unless null is allowed. It means
/// the same as none to the rules and to the operator. Objects with required fields are refused as `{}` too.
fn allow_nulls(schema: &mut Value) {
    for field in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        if field["type"] != "object" || field["x-kubernetes-map-type"] == "atomic" {
            continue;
        }
        let may_be_empty = field["required"].as_array().is_none_or(Vec::is_empty);
        if may_be_empty && field["default"].is_null() {
            field["nullable"] = true.into();
        }
        allow_nulls(field);
    }
}

fn add_rule(schema: &mut Value, rule: &Rule) {
    let Some(place) = at(schema, rule.at) else { return };
    let rules = place.entry("x-kubernetes-validations").or_insert_with(|| json!([]));
    if let Some(rules) = rules.as_array_mut() {
        let mut entry = json!({ "rule": rule.cel, "message": rule.message });
        if rule.cel.contains("oldSelf") {
            entry["reason"] = json!("FieldValueForbidden");
        }
        rules.push(entry);
    }
}

/// The schema of a place such as `spec.redis.external`.
fn at<'a>(schema: &'a mut Value, place: &str) -> Option<&'a mut Map<String, Value>> {
    let mut here = schema;
    for name in place.split('.').filter(|name| !name.is_empty()) {
        here = here.get_mut("properties")?.get_mut(name)?;
    }
    here.as_object_mut()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_at_a_place_that_exists() {
        let mut crd = crd();
        let schema = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema").unwrap();
        for rule in RULES {
            let place = at(schema, rule.at).unwrap_or_else(|| panic!("no place {}", rule.at));
            let rules = place["x-kubernetes-validations"].as_array().unwrap();
            assert!(rules.iter().any(|entry| entry["rule"] == rule.cel), "{}", rule.at);
        }
    }

    /// Server-side apply leaves it behind where the last item was.
    #[test]
    fn an_empty_shared_list_means_the_same_as_none() {
        let parsed = |spec: Value| {
            let spec: crate::api::ChatDeploymentSpec = serde_json::from_value(spec).unwrap();
            serde_json::to_value(spec).unwrap()
        };
        // A list of Sentinels must not be empty.
        for (place, _) in SHARED_LISTS.iter().filter(|(place, _)| !place.contains("sentinel")) {
            let Some(path) = place.strip_prefix("spec.") else { continue };
            let spec = path.rsplit('.').fold(json!([]), |inner, name| json!({ name: inner }));
            assert_eq!(parsed(spec), parsed(json!({})), "{place}");
        }
    }

    /// The objects of a schema whose fields several writers may own, with their places below it. Objects in lists are left out: no list that
    /// writers share has items with optional objects.
    fn shared_objects<'a>(place: &str, schema: &'a Value, found: &mut Vec<(String, &'a Value)>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            if field["type"] == "object" && field["x-kubernetes-map-type"] != "atomic" {
                let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                shared_objects(&place, field, found);
                found.push((place, field));
            }
        }
    }

    /// `value` at a place of a spec, and nothing else.
    fn spec_with(place: &str, value: Value) -> Value {
        place.rsplit('.').fold(value, |inner, name| json!({ name: inner }))
    }

    #[test]
    fn an_object_that_server_side_apply_makes_null_has_a_default_or_may_be_null() {
        let crd = crd();
        let mut objects = Vec::new();
        shared_objects(
            "",
            &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"],
            &mut objects,
        );
        let may_be_empty = |schema: &Value| schema["required"].as_array().is_none_or(Vec::is_empty);
        objects.retain(|(_, schema)| may_be_empty(schema));
        let refused: Vec<&str> = objects
            .iter()
            .filter(|(_, schema)| schema["default"].is_null() && schema["nullable"] != true)
            .map(|(place, _)| place.as_str())
            .collect();
        assert!(refused.is_empty(), "`{{}}` after something else would be refused: {refused:?}");
        let nullable: Vec<&str> =
            objects.iter().filter(|(_, schema)| schema["nullable"] == true).map(|(place, _)| place.as_str()).collect();
        assert!(nullable.contains(&"redis.managed") && nullable.contains(&"pod.labels"), "{nullable:?}");
        for place in nullable {
            // What is required beside it.
            let whole = |value: Value| {
                let mut spec = spec_with(place, value);
                if let Some(autoscaling) = spec.get_mut("autoscaling") {
                    autoscaling["maxReplicas"] = 3.into();
                }
                serde_json::from_value::<crate::api::ChatDeploymentSpec>(spec)
                    .unwrap_or_else(|error| panic!("{place}: {error}"))
            };
            let (null, empty) = (whole(Value::Null), whole(json!({})));
            assert!(null == empty || NULL_IS_NONE.contains(&place), "{place}: null means something else than {{}}");
        }
    }

    /// Where null and `{}` are read as different values, and mean the same: defaults of Kubernetes, the operator's Valkey, and what is
    /// refused as `{}`.
    const NULL_IS_NONE: [&str; 5] = [
        "autoscaling.behavior",
        "autoscaling.behavior.scaleDown",
        "autoscaling.behavior.scaleUp",
        "redis.external",
        "redis.managed",
    ];

    #[test]
    fn an_object_whose_empty_value_has_a_meaning_belongs_to_one_writer() {
        let mut crd = crd();
        let schema = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema").unwrap();
        for place in WHOLE_OBJECTS {
            let object = at(schema, place).unwrap_or_else(|| panic!("no place {place}"));
            assert_eq!(object["x-kubernetes-map-type"], "atomic", "{place}");
            assert!(!object.contains_key("nullable"), "{place}");
        }
    }

    #[test]
    fn a_client_side_apply_of_the_crd_fits_into_an_annotation() {
        assert!(serde_json::to_string(&crd()).unwrap().len() < 250 * 1024);
    }

    #[test]
    fn the_schema_has_nothing_that_the_api_server_would_not_take() {
        fn walk(value: &Value, path: &str) {
            match value {
                Value::Object(object) => {
                    let both = object.contains_key("anyOf") && !object.contains_key("x-kubernetes-int-or-string");
                    assert!(!both, "anyOf at {path}");
                    assert!(!object.contains_key("oneOf") && !object.contains_key("$ref"), "oneOf or $ref at {path}");
                    object.iter().for_each(|(key, value)| walk(value, &format!("{path}.{key}")));
                }
                Value::Array(items) => items.iter().for_each(|item| walk(item, path)),
                _ => {}
            }
        }
        walk(&crd()["spec"]["versions"], "versions");
    }
}
