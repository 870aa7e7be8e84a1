//! What the operator adds: an image that changed under its name reaches the pods, and what is deleted comes back. Does I/O.

use crate::world::{LONG, SOON, World, until};

const CHAT: &str = "app.kubernetes.io/component=chat";
const OPERATOR: &str = "app.kubernetes.io/name=chatd-operator";

/// The demo's notes are put back to those of an older image, as it would find them.
pub fn a_changed_image_under_the_same_name_makes_new_pods(world: &World) {
    world.await_chatd();
    let note = |namespace: &str, selector: &str| {
        let list = world.get(&["pods", "--namespace", namespace, "--selector", selector]);
        let pods = list["items"].as_array().unwrap().clone();
        let living = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let mut notes: Vec<String> = living
            .map(|pod| pod["metadata"]["annotations"]["chatd.local/image"].as_str().unwrap_or_default().to_owned())
            .collect();
        notes.dedup();
        notes
    };
    let (chat, operator) = (note("chatd", CHAT), note("chatd-operator", OPERATOR));
    assert_eq!((chat.len(), operator.len()), (1, 1), "{chat:?} {operator:?}");
    let before = [world.uids("chatd", CHAT), world.uids("chatd-operator", OPERATOR)];
    let older = r#"{"chatd.local/image": "older"}"#;
    let patch = |namespace: &str, object: &str, patch: &str| {
        world.kubectl(&["patch", object, "--namespace", namespace, "--type=merge", "--patch", patch]);
    };
    patch("chatd", "chatdeployment/chat", &format!(r#"{{"spec": {{"pod": {{"annotations": {older}}}}}}}"#));
    let template = format!(r#"{{"spec": {{"template": {{"metadata": {{"annotations": {older}}}}}}}}}"#);
    patch("chatd-operator", "deployment/chatd-operator", &template);
    for (namespace, selector) in [("chatd", CHAT), ("chatd-operator", OPERATOR)] {
        until(LONG, &format!("other pods in {namespace}"), || note(namespace, selector) == ["older"]);
    }
    world.xtask(&["tcp-demo", "--no-forward"]);
    assert_eq!((note("chatd", CHAT), note("chatd-operator", OPERATOR)), (chat, operator));
    for (before, now) in before.iter().zip([world.uids("chatd", CHAT), world.uids("chatd-operator", OPERATOR)]) {
        assert!(now.len() == before.len() && now.iter().all(|uid| !before.contains(uid)), "{before:?} {now:?}");
    }
}

pub fn what_is_deleted_comes_back(world: &World) {
    let uid =
        || world.try_kubectl(&["get", "service", "chat", "--namespace=chatd", "--output=jsonpath={.metadata.uid}"]);
    let before = uid();
    world.kubectl(&["delete", "service", "chat", "--namespace=chatd"]);
    until(SOON, "the Service is back", || {
        let now = uid();
        now.0 && now != before
    });
}
