//! What was stored under the last release's CustomResourceDefinition is the same under this one. Does I/O.

use serde_json::Value;

use crate::world::{apply, forget, get, kubectl, make_namespace, repository};

const CRD: &str = "customresourcedefinition/chatdeployments.chatd.dev";
const STORED: &str = "stored";

fn define(file: &str) {
    apply(&[], &std::fs::read_to_string(repository().join(file)).unwrap());
    kubectl(&["wait", "--for=condition=Established", "--timeout=60s", CRD]);
}

/// What must not change, by name.
fn stored() -> Vec<Value> {
    let list = get(&["chatdeployments", "--namespace", STORED]);
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
    let before = stored();
    assert_eq!(before.len(), 4);
    define("crds/chatdeployments.yaml");
    assert_eq!(stored(), before);
    // They can be written, and what was written before is no change.
    assert_eq!(apply(&flags, &objects), "");
    kubectl(&["annotate", "chatdeployments", "--all", "touched=yes", "--namespace", STORED]);
    assert_eq!(stored(), before);
    forget(STORED);
}
