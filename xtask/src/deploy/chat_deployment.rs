//! Summarizes a ChatDeployment's status, and decides whether it has failed for good: pure functions of the object.

use serde_json::Value;

/// What is wrong without any pod that would show it, and stays so until somebody changes something.
const HOPELESS: &[&str] =
    &["NameConflict", "Forbidden", "WriteRefused", "InvalidSpec", "CreateRefused", "QuotaExceeded"];

/// The conditions for people, each `Ready False, Starting: 1 of 3 pods`: those that are about the spec as it is now.
pub fn conditions(object: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |one: &Value| {
        let words = [&one["type"], &one["status"], &one["reason"], &one["message"]].map(text);
        format!("{} {}, {}: {}", words[0], words[1], words[2], words[3])
    };
    present(object).map(line).collect()
}

pub fn is_ready(object: &Value) -> bool {
    present(object).any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// Why it will not get ready by waiting.
pub fn failure(object: &Value) -> Option<String> {
    let degraded = present(object).find(|one| one["type"] == "Degraded" && one["status"] == "True")?;
    let reason = degraded["reason"].as_str()?;
    HOPELESS.contains(&reason).then(|| format!("{reason}: {}", degraded["message"].as_str().unwrap_or_default()))
}

fn present(object: &Value) -> impl Iterator<Item = &Value> {
    let generation = &object["metadata"]["generation"];
    let all = object["status"]["conditions"].as_array().into_iter().flatten();
    all.filter(move |one| one["observedGeneration"] == *generation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(generation: u64, type_: &str, status: &str, reason: &str) -> Value {
        let condition = json!({"type": type_, "status": status, "reason": reason, "message": "so it is",
            "observedGeneration": 2});
        json!({"metadata": {"generation": generation}, "status": {"conditions": [condition]}})
    }

    #[test]
    fn what_is_said_of_an_older_spec_does_not_count() {
        assert!(is_ready(&object(2, "Ready", "True", "AllReady")));
        assert!(!is_ready(&object(3, "Ready", "True", "AllReady")));
        assert!(!is_ready(&object(2, "Ready", "False", "Starting")));
        assert!(!is_ready(&json!({"metadata": {"generation": 1}})));
        assert_eq!(conditions(&object(2, "Ready", "False", "Starting")), ["Ready False, Starting: so it is"]);
        assert!(conditions(&object(3, "Ready", "False", "Starting")).is_empty());
    }

    #[test]
    fn only_what_waiting_cannot_mend_is_a_failure() {
        let degraded = |reason| failure(&object(2, "Degraded", "True", reason));
        assert_eq!(degraded("NameConflict").as_deref(), Some("NameConflict: so it is"));
        for reason in ["PodsNotReady", "RedisNotReady"] {
            assert_eq!(degraded(reason), None, "{reason}");
        }
        assert_eq!(failure(&object(2, "Degraded", "False", "NameConflict")), None);
        assert_eq!(failure(&object(1, "Degraded", "True", "NameConflict")), None);
    }
}
