//! What was stored under the last release's CustomResourceDefinition is the same under this one. Does I/O.

use serde_json::Value;

use crate::world::{SERVED, apply, forget, get, kubectl, make_namespace, repository};

const CRD: &str = "customresourcedefinition/chatdeployments.chatd.dev";
const STORED: &str = "stored";

fn define(file: &str) {
    apply(&[], &std::fs::read_to_string(repository().join(file)).unwrap());
    kubectl(&["wait", "--for=condition=Established", "--timeout=60s", CRD]);
}

/// Fields that this version has and the last release has not, or had without a default: an object is read with the default.
const NEW: [(&str, &str); 2] = [("api", "None"), ("monitoring", "Auto")];

/// Holds that nothing else has changed.
#[track_caller]
fn are_the_same(now: &[Value], before: &[Value]) {
    let mut now = now.to_vec();
    for (now, before) in now.iter_mut().zip(before) {
        for (field, kind) in NEW {
            let default = serde_json::json!({ "type": kind });
            if before[3].get(field).is_none() && now[3].get(field) == Some(&default) {
                now[3].as_object_mut().unwrap().remove(field);
            }
        }
    }
    assert_eq!(now, before);
}

/// What must not change, by name.
fn stored() -> Vec<Value> {
    let list = get(&[SERVED, "--namespace", STORED]);
    let of = |object: &Value| {
        let metadata = &object["metadata"];
        serde_json::json!([metadata["name"], metadata["uid"], metadata["generation"], object["spec"]])
    };
    list["items"].as_array().unwrap().iter().map(of).collect()
}

#[test]
#[ignore = "needs a cluster"]
fn stored_objects_are_the_same_under_the_new_definition() {
    forget(STORED);
    kubectl(&["delete", CRD, "--ignore-not-found"]);
    define("operator/tests/released/chatdeployments.yaml");
    make_namespace(STORED);
    let objects = std::fs::read_to_string(repository().join("operator/tests/released/objects.yaml")).unwrap();
    let flags = ["--namespace", STORED];
    assert_eq!(apply(&flags, &objects), "");
    apply(&flags, &repeating().to_string());
    let before = stored();
    assert_eq!(before.len(), 5);
    define("crds/chatdeployments.yaml");
    are_the_same(&stored(), &before);
    // They can be written, and what was written before is no change, in either version.
    let said = apply(&flags, &objects);
    assert!(
        !said.is_empty() && said.lines().all(|line| line.contains("v1alpha1 ChatDeployment is deprecated")),
        "{said}"
    );
    assert_eq!(apply(&flags, &objects.replace("chatd.dev/v1alpha1", "chatd.dev/v1beta1")), "");
    kubectl(&["annotate", SERVED, "--all", "touched=yes", "--namespace", STORED]);
    // As the operator writes its status.
    let mut status = repeating();
    status["status"] = serde_json::json!({ "rooms": 1 });
    status.as_object_mut().unwrap().remove("spec");
    apply(&["--subresource=status", "--field-manager=chatd-operator", "--namespace", STORED], &status.to_string());
    assert_eq!(get(&[SERVED, "repeating", "--namespace", STORED])["status"]["rooms"], 1);
    are_the_same(&stored(), &before);
    forget(STORED);
}

/// What lists took that have keys now, or are sets.
fn repeating() -> Value {
    let twice = |item: Value| serde_json::json!([item, item]);
    let origin = twice("https://a.example".into());
    let spec = serde_json::json!({ "web": { "allowedOrigins": origin }, "imagePullSecrets": twice(serde_json::json!({ "name": "login" })) });
    serde_json::json!({
        "apiVersion": "chatd.dev/v1alpha1", "kind": "ChatDeployment", "metadata": { "name": "repeating" }, "spec": spec,
    })
}
