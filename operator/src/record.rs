//! The kept fields of watched objects: a few words each, not whole objects. Pure: no I/O.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::desired::{ADOPTED_UID, DEPLOYMENT_UID, DIRECTORY, Kind, VALKEY_SECRET};
use crate::hash;
use crate::status::Problem;
use crate::trimmed::{ClaimTemplate, TrimmedPod, TrimmedService, TrimmedSet};

/// The namespace and name of a ChatDeployment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its namespace.
    pub namespace: String,
    /// Its `metadata.name`.
    pub name: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// On a StatefulSet: the hash of the pod template that was applied.
pub const TEMPLATE: &str = "chatd.dev/template";
/// On Valkey's StatefulSet: the hash of what its volume was asked to be.
pub const CLAIM: &str = "chatd.dev/claim";
/// On every child: the hash of all that was applied, so that what is no longer wanted is noticed and taken out.
pub const APPLIED: &str = "chatd.dev/applied";

/// A container that has run for this long since it last ended does not end again and again.
const LOOPS_WITHIN: SignedDuration = SignedDuration::from_mins(10);
const ENDED_ONCE: SignedDuration = SignedDuration::from_mins(1);

const INSTANCE: &str = "app.kubernetes.io/instance";
const COMPONENT: &str = "app.kubernetes.io/component";

/// Who an object belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// It has no controller.
    Nobody,
    /// The uid of its controller, and that controller as `Kind/name`.
    Controller {
        /// Its uid.
        uid: String,
        /// As `Kind/name`.
        name: String,
    },
}

/// A child, as far as it is the same for all kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// What it is.
    pub kind: Kind,
    /// Its `metadata.name`.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its controller.
    pub owner: Owner,
    /// Whether its labels say that it is managed by this operator: an orphan that has them is taken over.
    pub has_our_labels: bool,
    /// Whether it is being deleted.
    pub is_deleting: bool,
    /// Changes when the object does, but not with its status where Kubernetes tells them apart.
    pub fingerprint: u64,
    /// The order of changes: of two readings the one with the greater version counts.
    pub version: u64,
    /// What the plan needs beside that.
    pub detail: Detail,
}

/// What decisions need of some kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Most kinds: nothing.
    Nothing,
    /// Of a StatefulSet.
    Set(Box<Set>),
    /// Of a Service.
    Service(Box<ServiceDetail>),
}

/// A StatefulSet, as far as decisions need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// `spec.replicas`.
    pub replicas: i32,
    /// From which ordinal on pods are updated.
    pub partition: i32,
    /// `metadata.generation`.
    pub generation: i64,
    /// The generation that its status is about.
    pub observed_generation: i64,
    /// The revision that all pods had when the last update was complete.
    pub current_revision: String,
    /// The revision of its template.
    pub update_revision: String,
    /// The hash of the pod template that was last applied: [`TEMPLATE`].
    pub template: String,
    /// The identity of the directory that its template names.
    pub directory: String,
    /// The uid that the pods go by, if it is one that is to be kept.
    pub adopted_uid: Option<String>,
    /// The uid of the Secret that Valkey's pod took its password from.
    pub secret: String,
    /// The volume that each pod gets.
    pub claim: Option<Claim>,
    /// The hash of what it was asked to be; empty if an older version has made the set.
    pub wanted_claim: String,
}

/// What of a volume's claim the spec decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// As Kubernetes writes it, such as `1Gi`.
    pub size: String,
    /// The storage class; nothing for the default one.
    pub class: Option<String>,
}

/// A Service, as far as decisions need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceDetail {
    /// The load balancer's host name or address, once it has one.
    pub ingress: Option<String>,
    /// The node port of `tcp`, if it has one.
    pub tcp_node_port: Option<i32>,
    /// The node port of `web`, if it has one.
    pub web_node_port: Option<i32>,
}

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
    /// Its `resourceVersion`.
    pub version: u64,
}

/// The ChatDeployment that an object belongs to, by its owner, or else by its labels: those can be edited.
pub fn deployment_of(metadata: &ObjectMeta) -> Option<Key> {
    let mut owners = metadata.owner_references.iter().flatten();
    if let Some(owner) = owners.find(|owner| owner.kind == crate::desired::KIND && owner.controller == Some(true)) {
        return Some(Key { namespace: metadata.namespace.clone()?, name: owner.name.clone() });
    }
    let name = metadata.labels.as_ref()?.get(INSTANCE)?.clone();
    Some(Key { namespace: metadata.namespace.clone()?, name })
}

impl Child {
    /// What all kinds have in common.
    pub fn of_metadata(kind: Kind, metadata: &ObjectMeta) -> Self {
        let owners = metadata.owner_references.iter().flatten();
        let controller = owners.into_iter().find(|owner| owner.controller == Some(true));
        let owner = controller.map_or(Owner::Nobody, |owner| Owner::Controller {
            uid: owner.uid.clone(),
            name: format!("{}/{}", owner.kind, owner.name),
        });
        let labels = metadata.labels.as_ref();
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
        Self {
            kind,
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            owner,
            has_our_labels: label("app.kubernetes.io/managed-by") == Some(crate::desired::MANAGER)
                && label("app.kubernetes.io/name") == Some("chatd"),
            is_deleting: metadata.deletion_timestamp.is_some(),
            fingerprint: fingerprint(metadata),
            version: version(metadata),
            detail: Detail::Nothing,
        }
    }

    /// A StatefulSet that was read.
    pub fn of_set(set: &TrimmedSet) -> Self {
        let annotation = |annotations: Option<&BTreeMap<String, String>>, key: &str| {
            annotations.and_then(|annotations| annotations.get(key).cloned()).unwrap_or_default()
        };
        let (metadata, spec, status) = (&set.metadata, &set.spec, &set.status);
        let child = Self::of_metadata(Kind::StatefulSet, metadata);
        let kept = Some(annotation(metadata.annotations.as_ref(), ADOPTED_UID)).filter(|uid| !uid.is_empty());
        // A manual edit of the setting is reverted: it is taken over from an orphan only.
        let orphaned = || deployment_uid(set).filter(|_| child.owner == Owner::Nobody);
        let detail = Set {
            replicas: spec.replicas.unwrap_or(1),
            partition: spec.update_strategy.rolling_update.as_ref().and_then(|rolling| rolling.partition).unwrap_or(0),
            generation: metadata.generation.unwrap_or_default(),
            observed_generation: status.observed_generation.unwrap_or_default(),
            current_revision: status.current_revision.clone().unwrap_or_default(),
            update_revision: status.update_revision.clone().unwrap_or_default(),
            template: annotation(metadata.annotations.as_ref(), TEMPLATE),
            directory: annotation(spec.template.metadata.annotations.as_ref(), DIRECTORY),
            adopted_uid: kept.or_else(orphaned),
            secret: annotation(spec.template.metadata.annotations.as_ref(), VALKEY_SECRET),
            claim: spec.volume_claim_templates.iter().flatten().next().map(claim),
            wanted_claim: annotation(metadata.annotations.as_ref(), CLAIM),
        };
        Self { detail: Detail::Set(Box::new(detail)), ..child }
    }

    /// A Service that was read.
    pub fn of_service(service: &TrimmedService) -> Self {
        let node_port = |name: &str| {
            let port = service.spec.ports.iter().flatten().find(|port| port.name.as_deref() == Some(name))?;
            port.node_port.filter(|port| *port != 0)
        };
        let balancer = service.status.load_balancer.as_ref();
        let ingress = balancer.and_then(|balancer| balancer.ingress.as_ref()?.first());
        let detail = ServiceDetail {
            ingress: ingress.and_then(|ingress| ingress.hostname.clone().or_else(|| ingress.ip.clone())),
            tcp_node_port: node_port("tcp"),
            web_node_port: node_port("web"),
        };
        Self { detail: Detail::Service(Box::new(detail)), ..Self::of_metadata(Kind::Service, &service.metadata) }
    }

    /// From an object as the API server answered with.
    pub fn of_object(kind: Kind, object: &Value) -> Self {
        let plain = || {
            let metadata = object.get("metadata").and_then(|metadata| ObjectMeta::deserialize(metadata).ok());
            Self::of_metadata(kind, &metadata.unwrap_or_default())
        };
        match kind {
            Kind::StatefulSet => TrimmedSet::deserialize(object).map_or_else(|_| plain(), |set| Self::of_set(&set)),
            Kind::Service => {
                TrimmedService::deserialize(object).map_or_else(|_| plain(), |service| Self::of_service(&service))
            }
            _ => plain(),
        }
    }
}

fn claim(template: &ClaimTemplate) -> Claim {
    let size = template.spec.resources.requests.as_ref().and_then(|requests| requests.get("storage").cloned());
    Claim { size: size.unwrap_or_default(), class: template.spec.storage_class_name.clone() }
}

fn deployment_uid(set: &TrimmedSet) -> Option<String> {
    let containers = set.spec.template.spec.containers.iter();
    let mut variables = containers.flat_map(|container| container.env.iter().flatten());
    variables.find(|variable| variable.name == DEPLOYMENT_UID)?.value.clone()
}

/// Kubernetes promises that resource versions of one kind can be compared as numbers; one that is none counts as the latest.
pub fn version(metadata: &ObjectMeta) -> u64 {
    metadata.resource_version.as_ref().and_then(|version| version.parse().ok()).unwrap_or(u64::MAX)
}

/// The same for a list; one that says none is older than everything.
pub fn list_version(metadata: &ListMeta) -> u64 {
    metadata.resource_version.as_ref().and_then(|version| version.parse().ok()).unwrap_or_default()
}

/// The generation does not change with the status. Kinds that have none are taken by their resource version.
fn fingerprint(metadata: &ObjectMeta) -> u64 {
    hash::number_of(&match metadata.generation.filter(|generation| *generation > 0) {
        Some(generation) => json!([generation, metadata.labels, metadata.annotations, metadata.owner_references]),
        None => json!(metadata.resource_version),
    })
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
            (last.reason.clone().unwrap_or_default(), last.exit_code, last.message.clone().unwrap_or_default())
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
