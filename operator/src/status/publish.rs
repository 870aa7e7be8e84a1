//! Events: what changed and why, for `kubectl describe`. Building them is pure; their rate is limited in `reconcile::state`. No I/O.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::{DEGRADED, PROGRESSING, READY, REDIS_READY, Reason};
use crate::api::{ChatDeploymentStatus, Condition};
use crate::desired::{API_VERSION, KIND, MANAGER, Owner};

/// What is worth an Event, out of the change of the conditions: type, reason and message.
pub fn changes(before: &ChatDeploymentStatus, after: &ChatDeploymentStatus) -> Vec<(&'static str, String, String)> {
    let of = |condition: &Condition| (condition.status.clone(), condition.reason.clone());
    // Each step of scaling has an Event of its own, whatever the conditions say meanwhile.
    let is_step = |condition: &Condition| condition.reason == Reason::ScaledByFreeSeats.as_str();
    let changed = after.conditions.iter().filter(|condition| !is_step(condition)).filter(|condition| {
        let old = before.conditions.iter().find(|old| old.type_ == condition.type_);
        old.map(of) != Some(of(condition))
    });
    changed
        .filter_map(|condition| {
            let kind = match (condition.type_.as_str(), condition.status.as_str()) {
                (READY | PROGRESSING | REDIS_READY, "True") => "Normal",
                (DEGRADED, "True") | (REDIS_READY, "False") => "Warning",
                (PROGRESSING, "False") if condition.reason == Reason::FreeSeatsLimited.as_str() => "Warning",
                _ => return None,
            };
            Some((kind, condition.reason.clone(), condition.message.clone()))
        })
        .collect()
}

/// An Event about a ChatDeployment. `unique` makes its name one that no other has.
pub fn event(owner: &Owner, type_: &str, reason: &str, message: &str, now: Timestamp, unique: u64) -> Event {
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{unique:016x}", owner.name)),
            namespace: Some(owner.namespace.clone()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some(API_VERSION.to_owned()),
            kind: Some(KIND.to_owned()),
            name: Some(owner.name.clone()),
            namespace: Some(owner.namespace.clone()),
            uid: Some(owner.uid.clone()),
            ..ObjectReference::default()
        },
        type_: Some(type_.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        source: Some(EventSource { component: Some(MANAGER.to_owned()), host: None }),
        reporting_component: Some(MANAGER.to_owned()),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(type_: &str, status: &str, reason: &str) -> ChatDeploymentStatus {
        let condition = Condition {
            type_: type_.into(),
            status: status.into(),
            reason: reason.into(),
            message: "m".into(),
            last_transition_time: String::new(),
            observed_generation: None,
        };
        ChatDeploymentStatus { conditions: vec![condition], ..ChatDeploymentStatus::default() }
    }

    #[test]
    fn an_event_says_what_it_is_about_and_who_tells_it() {
        let owner = Owner { name: "chat".into(), namespace: "games".into(), uid: "u".into() };
        let event = event(&owner, "Warning", "Why", "m", Timestamp::UNIX_EPOCH, 255);
        let written = serde_json::json!(event);
        let metadata = serde_json::json!({ "name": "chat.00000000000000ff", "namespace": "games" });
        assert_eq!(written["metadata"], metadata);
        let about = serde_json::json!({
            "apiVersion": API_VERSION, "kind": KIND, "name": "chat", "namespace": "games", "uid": "u",
        });
        assert_eq!(written["involvedObject"], about);
        let words = ["type", "reason", "message", "reportingComponent", "firstTimestamp", "lastTimestamp"];
        let epoch = "1970-01-01T00:00:00Z";
        let expected = ["Warning", "Why", "m", MANAGER, epoch, epoch].map(Some);
        assert_eq!(words.map(|word| written[word].as_str()), expected);
        assert_eq!((written["source"]["component"].as_str(), written["count"].as_i64()), (Some(MANAGER), Some(1)));
    }

    #[test]
    fn only_changes_are_published() {
        let ready = status(READY, "True", "AllReady");
        assert_eq!(changes(&ChatDeploymentStatus::default(), &ready).len(), 1);
        assert_eq!(changes(&ready, &ready).len(), 0);
        assert_eq!(changes(&ready, &status(DEGRADED, "True", "CrashLooping"))[0].0, "Warning");
        assert_eq!(changes(&ready, &status(DEGRADED, "False", "AsExpected")).len(), 0);
        assert_eq!(changes(&ready, &status(PROGRESSING, "False", "Complete")).len(), 0);
        assert_eq!(changes(&ready, &status(PROGRESSING, "False", "FreeSeatsLimited"))[0].0, "Warning");
    }
}
