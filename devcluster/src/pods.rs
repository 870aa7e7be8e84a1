//! Summarizes the state of pods, and decides whether they have failed for good: pure functions of kubectl's output.

use serde_json::Value;

/// One pod at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    pub name: String,
    pub uid: String,
    /// For people: `Ready`, `running, not ready yet`, `waiting: ContainerCreating`.
    pub state: String,
    pub ready: bool,
    pub ending: bool,
    /// It will not get ready by waiting.
    pub failed: bool,
    pub node: String,
}

/// Reasons to wait that do not pass by themselves, or only after somebody has changed something.
const HOPELESS: &[&str] = &[
    "CrashLoopBackOff",
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// From a list of pods.
pub fn pods(list: &Value) -> Vec<Pod> {
    list["items"].as_array().map(|items| items.iter().map(pod).collect()).unwrap_or_default()
}

/// From one pod.
pub fn pod(object: &Value) -> Pod {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let condition = |kind: &str| {
        object["status"]["conditions"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["type"] == kind && one["status"] == "True"))
    };
    let waiting = object["status"]["containerStatuses"]
        .as_array()
        .and_then(|all| all.iter().find_map(|container| container["state"]["waiting"]["reason"].as_str()));
    let ending = object["metadata"]["deletionTimestamp"].is_string();
    let ready = condition("Ready") && !ending;
    let phase = object["status"]["phase"].as_str().unwrap_or("unknown");
    let state = match (ending, ready, waiting) {
        (true, ..) => "ending".to_owned(),
        (_, true, _) => "Ready".to_owned(),
        (_, _, Some(reason)) => format!("waiting: {reason}"),
        _ if phase == "Running" => "running, not ready yet".to_owned(),
        _ if condition("PodScheduled") => phase.to_lowercase(),
        _ => "waiting for a node".to_owned(),
    };
    Pod {
        name: text(&object["metadata"]["name"]),
        uid: text(&object["metadata"]["uid"]),
        state,
        ready,
        ending,
        failed: !ending && (phase == "Failed" || waiting.is_some_and(|reason| HOPELESS.contains(&reason))),
        node: text(&object["spec"]["nodeName"]),
    }
}

/// Whether a StatefulSet or Deployment is what its manifest says: all pods of this version, and ready.
pub fn rolled_out(workload: &Value) -> bool {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let status = &workload["status"];
    let wanted = number(&workload["spec"]["replicas"]);
    let seen = number(&status["observedGeneration"]) >= number(&workload["metadata"]["generation"]);
    let same_revision = status["updateRevision"].is_null()
        || status["currentRevision"] == status["updateRevision"]
        || number(&status["updatedReplicas"]) == wanted;
    seen && same_revision
        && number(&status["readyReplicas"]) == wanted
        && number(&status["updatedReplicas"]) == wanted
        && number(&status["replicas"]) == wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(status: Value) -> Value {
        json!({"metadata": {"name": "chat-0", "uid": "u"}, "spec": {"nodeName": "one"}, "status": status})
    }

    #[test]
    fn a_pod_s_way_to_readiness_in_words() {
        let scheduled = json!([{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}]);
        let ready = json!([{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}]);
        let waiting = |reason: &str| json!([{"state": {"waiting": {"reason": reason}}}]);
        let cases = [
            (json!({"phase": "Pending"}), "waiting for a node", false, false),
            (json!({"phase": "Pending", "conditions": scheduled}), "pending", false, false),
            (
                json!({"phase": "Pending", "conditions": scheduled, "containerStatuses": waiting("ContainerCreating")}),
                "waiting: ContainerCreating",
                false,
                false,
            ),
            (
                json!({"phase": "Running", "conditions": scheduled, "containerStatuses": waiting("CrashLoopBackOff")}),
                "waiting: CrashLoopBackOff",
                false,
                true,
            ),
            (json!({"phase": "Running", "conditions": scheduled}), "running, not ready yet", false, false),
            (json!({"phase": "Running", "conditions": ready}), "Ready", true, false),
        ];
        for (status, state, ready, failed) in cases {
            let pod = pod(&object(status));
            assert_eq!((pod.state.as_str(), pod.ready, pod.failed), (state, ready, failed));
        }
    }

    #[test]
    fn a_pod_that_is_being_deleted_is_not_ready_whatever_it_says() {
        let mut object = object(json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}));
        object["metadata"]["deletionTimestamp"] = "2026-11-23T00:00:00Z".into();
        let pod = pod(&object);
        assert!(pod.ending && !pod.ready && !pod.failed);
    }

    #[test]
    fn rolled_out_is_when_every_pod_is_of_this_version_and_ready() {
        let workload = |seen: u64, updated: u64, ready: u64, all: u64| {
            json!({"metadata": {"generation": 2}, "spec": {"replicas": 3},
                "status": {"observedGeneration": seen, "updatedReplicas": updated, "readyReplicas": ready, "replicas": all}})
        };
        assert!(rolled_out(&workload(2, 3, 3, 3)));
        for other in [workload(1, 3, 3, 3), workload(2, 2, 3, 3), workload(2, 3, 2, 3), workload(2, 3, 3, 4)] {
            assert!(!rolled_out(&other));
        }
    }
}
