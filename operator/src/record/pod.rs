//! The kept fields of a pod, and what its status tells of its problems. Pure: no I/O.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition};

use super::version;
use crate::death::message;
use crate::desired::DIRECTORY;
use crate::status::Problem;
use crate::trimmed::TrimmedPod;

/// A container that has run for this long since it last ended does not end again and again.
const LOOPS_WITHIN: SignedDuration = SignedDuration::from_mins(10);
const ENDED_ONCE: SignedDuration = SignedDuration::from_mins(1);

const COMPONENT: &str = "app.kubernetes.io/component";

/// A pod of either component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRecord {
    /// Its `metadata.name`.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// [`crate::desired::CHAT`] or [`crate::desired::VALKEY`]; empty without the label.
    pub component: String,
    /// The StatefulSet's revision that it was made from.
    pub revision: String,
    /// The identity of the directory that it uses.
    pub directory: String,
    /// Whether Kubernetes calls it ready.
    pub is_ready: bool,
    /// Whether it is being deleted.
    pub is_terminating: bool,
    /// Its address in the cluster, once it has one.
    pub ip: Option<String>,
    /// The address of its node, once it is bound to one.
    pub host: Option<String>,
    /// What its own status tells, and until when that counts: a container that has run on since it last ended is no fault any more.
    pub problem: Option<Problem>,
    /// Nothing: it counts until the pod changes.
    pub problem_until: Option<Timestamp>,
    /// Its node, if Kubernetes does not hear of that any more.
    pub silent_node: Option<String>,
    /// Whether it is set up so far that its containers are made: what Events tell of before that is past.
    pub is_set_up: bool,
    /// The boot of the chat process that has ended here last, if that is proven and it did not end in order.
    pub ended: Option<Box<str>>,
    /// Its `resourceVersion`.
    pub version: u64,
}

impl PodRecord {
    /// A pod that was read.
    pub fn of(pod: &TrimmedPod) -> Self {
        let (metadata, status) = (&pod.metadata, &pod.status);
        let label = |key: &str| metadata.labels.as_ref().and_then(|labels| labels.get(key).cloned());
        let annotation = |key: &str| metadata.annotations.as_ref().and_then(|all| all.get(key).cloned());
        let condition = |type_: &str| status.conditions.iter().flatten().find(|condition| condition.type_ == type_);
        let address = |ip: &Option<String>| ip.clone().filter(|ip| !ip.is_empty());
        let is_ready = condition("Ready").is_some_and(|condition| condition.status == "True");
        let unscheduled = condition("PodScheduled").filter(|condition| condition.status == "False");
        let is_terminating = metadata.deletion_timestamp.is_some();
        // One that has failed as a whole, such as by an eviction, is replaced too.
        let is_over = is_terminating || matches!(status.phase.as_deref(), Some("Failed" | "Succeeded"));
        let containers = || status.container_statuses.iter().flatten();
        let is_cut_off = condition("Ready").is_some_and(|ready| is_cut_off(ready, condition("ContainersReady")));
        let silent_node = is_cut_off.then(|| pod.spec.node_name.clone().unwrap_or_default());
        let (problem, problem_until) = if let Some(node) = &silent_node {
            (Some(Problem::cut_off(node)), None)
        } else if is_ready || is_over {
            (None, None)
        } else if let Some(condition) = unscheduled {
            (Some(Problem::unscheduled(condition.message.as_deref().unwrap_or_default())), None)
        } else {
            containers().find_map(of_container).map_or((None, None), |(problem, until)| (Some(problem), until))
        };
        let is_made = |container: &ContainerStatus| container.container_id.is_some();
        let is_set_up = condition("PodReadyToStartContainers").is_some_and(|condition| condition.status == "True")
            || containers().any(is_made);
        Self {
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            component: label(COMPONENT).unwrap_or_default(),
            revision: label("controller-revision-hash").unwrap_or_default(),
            directory: annotation(DIRECTORY).unwrap_or_default(),
            is_ready,
            is_terminating,
            ip: address(&status.pod_ip),
            host: address(&status.host_ip),
            problem,
            problem_until,
            silent_node,
            is_set_up,
            ended: message::ended(containers()),
            version: version(metadata),
        }
    }

    /// What is wrong with it now.
    pub fn problem_at(&self, now: Timestamp) -> Option<&Problem> {
        self.problem.as_ref().filter(|_| self.problem_until.is_none_or(|until| now < until))
    }
}

/// The kubelet says that a pod is not ready together with its containers. The controller that marks a pod of a silent node unready
/// leaves what was last heard of the containers as it was. A pod's own gates are the one other thing that says so.
fn is_cut_off(ready: &PodCondition, containers: Option<&PodCondition>) -> bool {
    ready.status != "True"
        && containers.is_some_and(|containers| containers.status == "True")
        && ready.reason.as_deref() != Some("ReadinessGatesNotReady")
}

/// What a container's state tells, and until when. An end counts for a while after the container has been started again: Kubernetes
/// itself resets its back-off after 10 minutes. One end alone is less of a sign.
fn of_container(container: &ContainerStatus) -> Option<(Problem, Option<Timestamp>)> {
    let state = container.state.as_ref()?;
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let message = waiting.message.as_deref().unwrap_or_default();
        let ended = last.map(|last| {
            // For the operator, not for people.
            let said = last.message.as_deref().filter(|said| message::boot_in(said).is_none());
            (last.reason.clone().unwrap_or_default(), last.exit_code, said.unwrap_or_default().to_owned())
        });
        return Problem::of_waiting(reason, message, ended).map(|problem| (problem, None));
    }
    let ended =
        state.terminated.as_ref().or(last).filter(|_| container.restart_count > 0 || state.terminated.is_some())?;
    let counts = if container.restart_count > 1 { LOOPS_WITHIN } else { ENDED_ONCE };
    let runs_since = state.running.as_ref().map(|running| running.started_at.as_ref().map(|time| time.0));
    let until =
        runs_since.map(|since| since.map_or(Timestamp::MIN, |since| since.saturating_add(counts).unwrap_or(since)));
    Some((Problem::of_ended(ended.reason.as_deref().unwrap_or_default(), ended.exit_code), until))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::status::Reason;

    fn pod(metadata: &Value, status: &Value) -> PodRecord {
        let mut metadata = metadata.clone();
        metadata["name"] = "chat-0".into();
        PodRecord::of(&serde_json::from_value(json!({ "metadata": metadata, "status": status })).unwrap())
    }

    fn container(restarts: i32, state: &Value, last: &Value) -> Value {
        json!({ "containerStatuses": [{
            "name": "chatd", "image": "i", "imageID": "i", "ready": false, "containerID": "c", "restartCount": restarts, "state": state, "lastState": last,
        }] })
    }

    fn at(minute: i64) -> Timestamp {
        let start: Timestamp = "2026-11-28T10:00:00Z".parse().unwrap();
        start + SignedDuration::from_mins(minute)
    }

    #[test]
    fn a_pod_that_is_being_deleted_or_replaced_is_not_judged() {
        let ended =
            json!({ "terminated": { "exitCode": 0, "reason": "Completed", "finishedAt": "2026-11-28T10:00:00Z" } });
        let status = container(0, &ended, &json!({}));
        let there = pod(&json!({}), &status);
        assert_eq!(there.problem_at(at(0)).map(|problem| problem.reason), Some(Reason::CrashLooping));
        let leaving = pod(&json!({ "deletionTimestamp": "2026-11-28T10:00:30Z" }), &status);
        assert_eq!(leaving.problem_at(at(0)), None);
        let mut evicted = status;
        evicted["phase"] = "Failed".into();
        assert_eq!(pod(&json!({}), &evicted).problem_at(at(0)), None);
    }

    #[test]
    fn an_end_is_past_when_the_container_has_run_on_since() {
        let runs = json!({ "running": { "startedAt": "2026-11-28T10:00:00Z" } });
        let ended = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } });
        let table = [(0, 0, false), (1, 0, true), (1, 1, false), (2, 1, true), (2, 9, true), (2, 10, false)];
        for (restarts, minute, counts) in table {
            let pod = pod(&json!({}), &container(restarts, &runs, &ended));
            assert_eq!(pod.problem_at(at(minute)).is_some(), counts, "{restarts} restarts, minute {minute}");
        }
        let waits = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
        assert!(pod(&json!({}), &container(9, &waits, &ended)).problem_at(at(9999)).is_some(), "it is so now");
        let ended =
            json!({ "terminated": { "exitCode": 137, "reason": "Error", "message": "chatd boot 00000000000000ab" } });
        let pod = pod(&json!({}), &container(9, &waits, &ended));
        let said = pod.problem_at(at(0)).map(|problem| problem.message.as_str());
        assert_eq!(said, Some("it exited with code 137 (Error); see its log"), "its boot is for the operator");
    }

    #[test]
    fn a_pod_whose_node_is_silent_is_told_from_one_that_is_not_ready() {
        let of = |ready: &str, reason: &str, containers: &str| {
            let conditions = json!([
                { "type": "Ready", "status": ready, "reason": reason }, { "type": "ContainersReady", "status": containers },
            ]);
            pod(&json!({}), &json!({ "conditions": conditions })).silent_node.is_some()
        };
        assert!(of("False", "", "True") && of("Unknown", "", "True"));
        assert!(!of("True", "", "True") && !of("False", "ContainersNotReady", "False"));
        assert!(!of("False", "ReadinessGatesNotReady", "True"));
        assert_eq!(pod(&json!({}), &json!({})).silent_node, None);
    }

    #[test]
    fn a_pod_is_set_up_when_kubernetes_says_so_or_a_container_was_made() {
        let condition =
            |status: &str| json!({ "conditions": [{ "type": "PodReadyToStartContainers", "status": status }] });
        assert!(pod(&json!({}), &condition("True")).is_set_up);
        assert!(!pod(&json!({}), &condition("False")).is_set_up && !pod(&json!({}), &json!({})).is_set_up);
        assert!(pod(&json!({}), &container(0, &json!({}), &json!({}))).is_set_up);
    }
}
