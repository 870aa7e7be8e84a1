//! What a bundle leaves out of objects and texts: everything that may be a secret. Pure: no I/O.

use std::borrow::Cow;

use serde_json::Value;

const GONE: &str = "(left out)";
/// In the name of a variable: its value is not for others.
const SECRET_NAMES: [&str; 6] = ["PASS", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "WEBHOOK_URL"];
/// A whole copy of an object as somebody applied it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Leaves out of an object: copies of it in annotations, the values of variables with telling names, users and passwords in URLs.
pub fn object(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
                metadata.remove("managedFields");
                if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
                    annotations.remove(LAST_APPLIED);
                }
            }
            let is_secret = fields.get("name").and_then(Value::as_str).is_some_and(is_secret_name);
            if let Some(value @ Value::String(_)) = fields.get_mut("value")
                && is_secret
            {
                *value = GONE.into();
            }
            // Its path or query may be all that keeps others from calling it.
            if let Some(url @ Value::String(_)) =
                fields.get_mut("webhooks").and_then(|webhooks| webhooks.get_mut("url"))
            {
                *url = GONE.into();
            }
            fields.values_mut().for_each(object);
        }
        Value::Array(items) => items.iter_mut().for_each(object),
        Value::String(string) => *string = text(string).into_owned(),
        _ => {}
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_uppercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// Leaves out users and passwords in URLs.
pub fn text(text: &str) -> Cow<'_, str> {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(scheme) = rest.find("://") {
        let (before, authority) = rest.split_at(scheme + 3);
        let end =
            authority.find(|mark: char| mark.is_whitespace() || "/?#\"'<>\\".contains(mark)).unwrap_or(authority.len());
        kept.push_str(before);
        rest = match authority[..end].rfind('@') {
            Some(at) => {
                kept.push_str(GONE);
                &authority[at..]
            }
            None => authority,
        };
    }
    if kept.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(kept + rest) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_may_be_a_secret_is_left_out_of_objects() {
        let mut pod = json!({
            "metadata": { "name": "chat-0", "managedFields": [1],
                "annotations": { LAST_APPLIED: "hunter2", "note": "see redis://u:hunter2@redis:6379/0" } },
            "spec": { "webhooks": { "url": "https://app.example/hunter2" }, "containers": [{ "env": [
                { "name": "REDIS_PASSWORD", "value": "hunter2" },
                { "name": "api_key", "value": "hunter2" },
                { "name": "CHATD_LOG_LEVEL", "value": "info" },
                { "name": "TOKEN", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
                { "name": "CHATD_WEBHOOK_URL", "value": "https://app.example/hunter2" },
            ], "args": ["--url=redis://:hunter2@[::1]:6379"] }] },
        });
        object(&mut pod);
        assert!(!pod.to_string().contains("hunter2"), "{pod:#}");
        assert_eq!(
            pod["metadata"],
            json!({ "name": "chat-0",
            "annotations": { "note": "see redis://(left out)@redis:6379/0" } })
        );
        let env = &pod["spec"]["containers"][0]["env"];
        assert_eq!((&env[2]["value"], &env[3]["valueFrom"]["secretKeyRef"]["name"]), (&"info".into(), &"s".into()));
    }

    #[test]
    fn other_texts_stay_as_they_are() {
        for same in ["", "a@b", "http://host/path@2", "redis://redis:6379", "://", "x ://y z@w"] {
            assert_eq!(text(same), same);
        }
        assert_eq!(
            text("a http://b c redis://u@h, rediss://u:p:q@@h/"),
            "a http://b c redis://(left out)@h, rediss://(left out)@h/"
        );
    }
}
