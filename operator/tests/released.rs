//! This version against the last release's CustomResourceDefinition: fields are only ever added, so that what is stored stays as it is.
//! After a release, `cp crds/chatdeployments.yaml operator/tests/released/`. Reads files, needs no cluster.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use serde_json::Value;

fn schema(path: &str, version: &str) -> Value {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap();
    let crd: Value = serde_saphyr::from_str(&text).unwrap();
    let versions = crd["spec"]["versions"].as_array().unwrap();
    versions.iter().find(|found| found["name"] == version).unwrap()["schema"]["openAPIV3Schema"].clone()
}

/// What an object that `old` let in would lose, or be given otherwise, or be refused for, under `new`.
fn breaks(at: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    // Items of a list that gets keys, or becomes a set, may be repeated in stored objects: they stay readable and writable (chart tests).
    let list_type = "x-kubernetes-list-type";
    if old[list_type] != new[list_type] && !old[list_type].is_null() {
        found.push(format!("{at}: {list_type} was {}, is {}", old[list_type], new[list_type]));
    }
    for key in ["type", "format", "default", "x-kubernetes-int-or-string"] {
        // A schema without a default may get one; it changes what is read, so it is named all the same.
        if old[key] != new[key] {
            found.push(format!("{at}: {key} was {}, is {}", old[key], new[key]));
        }
    }
    let narrower = |key: &str, is_narrower: fn(f64, f64) -> bool| match (old[key].as_f64(), new[key].as_f64()) {
        (Some(old), Some(new)) => is_narrower(old, new),
        (old, new) => old.is_none() && new.is_some(),
    };
    for key in ["maximum", "maxLength", "maxItems", "maxProperties"] {
        if narrower(key, |old, new| new < old) {
            found.push(format!("{at}: {key} is narrower"));
        }
    }
    for key in ["minimum", "minLength", "minItems", "minProperties"] {
        if narrower(key, |old, new| new > old) {
            found.push(format!("{at}: {key} is narrower"));
        }
    }
    let list = |schema: &Value, key: &str| schema[key].as_array().cloned().unwrap_or_default();
    let (old_enum, new_enum) = (list(old, "enum"), list(new, "enum"));
    if !new_enum.is_empty() && (old_enum.is_empty() || old_enum.iter().any(|value| !new_enum.contains(value))) {
        found.push(format!("{at}: enum is narrower"));
    }
    for field in list(new, "required").iter().filter(|field| !list(old, "required").contains(field)) {
        found.push(format!("{at}: {field} is required now"));
    }
    for (name, old) in old["properties"].as_object().into_iter().flatten() {
        match new["properties"].get(name) {
            Some(new) => breaks(&format!("{at}.{name}"), old, new, found),
            None => found.push(format!("{at}.{name} is gone")),
        }
    }
    for key in ["items", "additionalProperties"] {
        if old[key].is_object() {
            breaks(&format!("{at}[]"), &old[key], &new[key], found);
        }
    }
}

/// Of the status, which only operators write: their conditions have always been so, and a status that is not there yet has a default.
fn is_of_status(found: &str) -> bool {
    found.starts_with(".status.conditions[].") || found == r#".status: default was null, is {"observedGeneration":-1}"#
}

#[test]
fn fields_are_only_added_since_the_last_release() {
    let released = schema("operator/tests/released/chatdeployments.yaml", "v1alpha1");
    let mut found = Vec::new();
    breaks("", &released, &schema("crds/chatdeployments.yaml", "v1alpha1"), &mut found);
    found.retain(|found| !is_of_status(found));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn both_versions_have_the_same_schema() {
    let both = ["v1alpha1", "v1beta1"].map(|version| schema("crds/chatdeployments.yaml", version));
    assert!(both[0] == both[1], "without a conversion, a field of one version would be lost in the other");
}

#[test]
fn what_would_break_is_noticed() {
    let old = schema("crds/chatdeployments.yaml", "v1beta1");
    let spoilt = |pointer: &str, spoil: &dyn Fn(&mut Value)| {
        let mut new = old.clone();
        spoil(new.pointer_mut(pointer).unwrap());
        let mut found = Vec::new();
        breaks("", &old, &new, &mut found);
        found.join("; ")
    };
    let spec = "/properties/spec/properties";
    let gone = spoilt(spec, &|fields| drop(fields.as_object_mut().unwrap().remove("replicas")));
    assert_eq!(gone, ".spec.replicas is gone");
    let maximum = spoilt(&format!("{spec}/replicas/maximum"), &|value| *value = 9.into());
    assert_eq!(maximum, ".spec.replicas: maximum is narrower");
    let default = spoilt(&format!("{spec}/replicas/default"), &|value| *value = 9.into());
    assert_eq!(default, ".spec.replicas: default was 3, is 9");
    let values =
        spoilt(&format!("{spec}/service/properties/type/enum"), &|value| *value = serde_json::json!(["NodePort"]));
    assert_eq!(values, ".spec.service.type: enum is narrower");
    let required = spoilt(&format!("{spec}/service"), &|value| value["required"] = serde_json::json!(["tcpPort"]));
    assert_eq!(required, ".spec.service: \"tcpPort\" is required now");
    let added = spoilt(spec, &|fields| fields["new"] = serde_json::json!({ "type": "string" }));
    assert_eq!(added, "");
}
