//! That the chart's rules are enough, and none of them too many: with all of them a story that uses each is carried out, with one verb
//! less it fails with that verb's name, and the audit log shows no request that is not the operator's to make. Does I/O.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, ResourceQuota, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use operator::api::ChatDeployment;
use serde_json::json;

use super::account::{ACCOUNT, Operator, Request, Right, everything, requests_of, rights};
use super::world::{Object, PATIENCE, World, eventually};

/// How many stories run side by side.
const AT_ONCE: usize = 12;

/// The story, step by step. Its pods fit no node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A Secret, a ServiceAccount and a budget that an owner left behind are adopted, everything else is made, and it is said.
    Create,
    /// Someone edits or deletes each child; it is put back.
    PutBack,
    /// A change is to reach a ready pod while another one has not been ready for long: Kubernetes does not go on, the operator does.
    ReplacePod,
    /// No pod may be made, Redis is somebody else's, nothing optional is left: children go, and the quota is told.
    Delete,
}

const STORY: [Step; 4] = [Step::Create, Step::PutBack, Step::ReplacePod, Step::Delete];

/// A label of every child, and what someone writes over it.
const LABEL: &str = "app.kubernetes.io/component";
const EDITED: &str = "edited";
/// An annotation of pods.
const CHANGED: &str = "example.org/changed";

impl World {
    async fn act(&self, step: Step) {
        match step {
            Step::Create => {
                self.leave_behind().await;
                self.apply(everything()).await;
            }
            Step::PutBack => {
                self.edit::<StatefulSet>().await;
                self.edit::<Service>().await;
                self.edit::<ConfigMap>().await;
                self.edit::<NetworkPolicy>().await;
                self.edit::<HorizontalPodAutoscaler>().await;
                // These two were there already and have been written over.
                let whatever = DeleteParams::default();
                let _ = self.api::<ServiceAccount>().delete("chat-chatd", &whatever).await;
                let _ = self.api::<PodDisruptionBudget>().delete("chat", &whatever).await;
            }
            Step::ReplacePod => {
                for name in ["chat-1", "chat-valkey-0"] {
                    let ready = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] });
                    let patch = Patch::Merge(json!({ "status": ready }));
                    let _ = self.api::<Pod>().patch_status(name, &PatchParams::default(), &patch).await;
                }
                let mut changed = everything();
                changed["pod"]["annotations"] = json!({ CHANGED: "yes" });
                self.apply(changed).await;
            }
            Step::Delete => {
                let quota = json!({ "metadata": { "name": "none" }, "spec": { "hard": { "pods": "0" } } });
                self.put::<ResourceQuota>(quota).await;
                self.apply(json!({
                    "replicas": 1, "redis": { "type": "External", "external": { "url": "redis://nowhere:6379" } },
                    "networkPolicy": { "type": "None" },
                }))
                .await;
            }
        }
    }

    async fn is_reached(&self, step: Step) -> bool {
        match step {
            Step::Create => {
                let services = self.names::<Service>().await;
                let all = ["chat", "chat-0", "chat-1", "chat-pods", "chat-valkey"];
                all.iter().all(|name| services.iter().any(|found| found == name))
                    && self.names::<StatefulSet>().await.len() == 2
                    && self.names::<NetworkPolicy>().await.len() == 2
                    && self.names::<HorizontalPodAutoscaler>().await == ["chat"]
                    && self.ours::<ConfigMap>().await == ["chat-addresses"]
                    && self.has_owner::<Secret>("chat-token-keys").await
                    && self.has_owner::<ServiceAccount>("chat-chatd").await
                    && self.has_owner::<PodDisruptionBudget>("chat").await
                    && self.condition("Degraded").await == "True/Unschedulable"
                    && self.is_told("Unschedulable").await
            }
            Step::PutBack => {
                let edited = ListParams::default().labels(&format!("{LABEL}={EDITED}"));
                let mut count = 0;
                count += self.api::<StatefulSet>().list_metadata(&edited).await.unwrap().items.len();
                count += self.api::<Service>().list_metadata(&edited).await.unwrap().items.len();
                count += self.api::<ConfigMap>().list_metadata(&edited).await.unwrap().items.len();
                count += self.api::<NetworkPolicy>().list_metadata(&edited).await.unwrap().items.len();
                count += self.api::<HorizontalPodAutoscaler>().list_metadata(&edited).await.unwrap().items.len();
                count == 0
                    && self.has_owner::<ServiceAccount>("chat-chatd").await
                    && self.has_owner::<PodDisruptionBudget>("chat").await
            }
            Step::ReplacePod => {
                let pod = self.api::<Pod>().get_metadata_opt("chat-1").await.unwrap();
                let annotations = pod.and_then(|pod| pod.metadata.annotations).unwrap_or_default();
                annotations.contains_key(CHANGED)
            }
            Step::Delete => {
                let services = self.names::<Service>().await;
                services == ["chat", "chat-pods"]
                    && self.names::<StatefulSet>().await == ["chat"]
                    && self.names::<NetworkPolicy>().await.is_empty()
                    && self.names::<HorizontalPodAutoscaler>().await.is_empty()
                    && self.ours::<ConfigMap>().await.is_empty()
                    && self.names::<Secret>().await == ["chat-token-keys"]
                    && self.condition("Degraded").await == "True/QuotaExceeded"
            }
        }
    }

    /// What a ChatDeployment that was deleted without its children leaves: labels, and no owner.
    async fn leave_behind(&self) {
        let metadata = |name: &str| {
            let labels = json!({
                "app.kubernetes.io/name": "chatd", "app.kubernetes.io/managed-by": "chatd-operator",
                "app.kubernetes.io/instance": "chat",
            });
            json!({ "name": name, "labels": labels })
        };
        let key = json!({ "metadata": metadata("chat-token-keys"), "stringData": { "1": "00".repeat(32) } });
        self.put::<Secret>(key).await;
        self.put::<ServiceAccount>(json!({ "metadata": metadata("chat-chatd") })).await;
        let spec = json!({ "maxUnavailable": 2, "selector": { "matchLabels": { "a": "b" } } });
        self.put::<PodDisruptionBudget>(json!({ "metadata": metadata("chat"), "spec": spec })).await;
    }

    /// Writes over a label of one child of this kind.
    async fn edit<K: Object>(&self) {
        if let Some(name) = self.ours::<K>().await.first() {
            self.merge::<PartialObjectMeta<K>>(name, json!({ "metadata": { "labels": { LABEL: EDITED } } })).await;
        }
    }

    /// The names of the operator's children of this kind.
    async fn ours<K: Object>(&self) -> Vec<String> {
        let ours = ListParams::default().labels("app.kubernetes.io/managed-by=chatd-operator");
        let found = self.api::<K>().list_metadata(&ours).await.unwrap();
        found.items.into_iter().filter_map(|object| object.metadata.name).collect()
    }

    async fn has_owner<K: Object>(&self, name: &str) -> bool {
        let object = self.api::<K>().get_metadata_opt(name).await.unwrap();
        object.is_some_and(|object| object.metadata.owner_references.is_some())
    }

    async fn is_told(&self, reason: &str) -> bool {
        let ours = ListParams::default().fields(&format!("involvedObject.kind=ChatDeployment,reason={reason}"));
        !self.api::<Event>().list(&ours).await.unwrap().items.is_empty()
    }

    /// What the operator says of a right that it lacks, in its log or in the status.
    async fn complaint(&self, operator: &Operator, right: &Right) -> bool {
        let said = operator.log() + &deployment(self).await;
        right.complaints().iter().any(|words| said.contains(words))
    }
}

async fn deployment(world: &World) -> String {
    let deployment = world.api::<ChatDeployment>().get_opt("chat").await.unwrap();
    serde_json::to_string(&deployment).unwrap()
}

/// The story of an operator that lacks one right: returns what it got through without a complaint, or nothing if it complained.
async fn lacking(number: usize, all: &[Right], missing: &Right) -> Option<String> {
    let world = World::without_operator(&format!("r{number}"), json!({})).await;
    let rest: Vec<Right> = all.iter().filter(|right| *right != missing).cloned().collect();
    let kubeconfig = world.account(ACCOUNT, &rest).await;
    let operator = world.candidate(ACCOUNT, Some(&kubeconfig));
    let mut verdict = Some("the whole story was carried out".to_owned());
    'story: for step in STORY {
        world.act(step).await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if world.complaint(&operator, missing).await {
                verdict = None;
                break 'story;
            }
            if world.is_reached(step).await {
                break;
            }
            if Instant::now() > deadline {
                let deployment = self::deployment(&world).await;
                verdict =
                    Some(format!("{step:?} was not reached, and nothing was said: {deployment}\n{}", operator.log()));
                break 'story;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    drop(operator);
    world.end().await;
    verdict
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn each_verb_is_missed_when_it_is_taken_away() {
    let started = Instant::now();
    let all = rights();
    let stories = all.iter().enumerate().map(async |(number, missing)| (missing, lacking(number, &all, missing).await));
    let verdicts: Vec<_> = futures::stream::iter(stories).buffer_unordered(AT_ONCE).collect().await;
    println!("{} verbs in {:?}", verdicts.len(), started.elapsed());
    let unneeded: Vec<_> = verdicts.into_iter().filter(|(_, verdict)| verdict.is_some()).collect();
    for (right, verdict) in &unneeded {
        println!("{} {}: {}", right.verb, right.resource, verdict.as_deref().unwrap_or_default());
    }
    assert!(unneeded.is_empty(), "{} verbs are not missed", unneeded.len());
}

#[tokio::test]
#[ignore = "needs a cluster with an audit log"]
async fn the_charts_rules_in_one_namespace_are_enough_and_all_used_and_nothing_else_is_touched() {
    let world = World::without_operator("rights", json!({})).await;
    let all = rights();
    let kubeconfig = world.account(ACCOUNT, &all).await;
    let operator = world.candidate(ACCOUNT, Some(&kubeconfig));
    for step in STORY {
        world.act(step).await;
        eventually(&format!("{step:?} is reached"), async || world.is_reached(step).await).await;
    }
    assert!(!operator.log().contains("forbidden"), "{}", operator.log());
    // Its Lease is renewed.
    let version = async || world.api::<Lease>().get("chatd-operator").await.unwrap().metadata.resource_version;
    let before = version().await;
    eventually("the Lease is renewed", async || version().await != before).await;
    drop(operator);

    let requests = requests_of(&world.user(ACCOUNT));
    let strange: Vec<_> = requests.iter().filter(|request| !is_lawful(request, &world.namespace)).collect();
    assert!(strange.is_empty(), "{strange:#?}");
    let used: BTreeSet<(String, String)> =
        requests.iter().filter(|request| request.code < 300).flat_map(used).collect();
    let granted = all.iter().filter(|right| right.is_shown());
    let granted: BTreeSet<(String, String)> =
        granted.map(|right| (right.verb.clone(), right.resource.clone())).collect();
    let unused: Vec<_> = granted.difference(&used).collect();
    assert!(unused.is_empty(), "granted and never used: {unused:?}");
    world.end().await;
}

/// The verbs that a request needed: an applied patch that made its object needed two.
fn used(request: &Request) -> Vec<(String, String)> {
    let made = (request.verb == "patch" && request.code == 201).then_some("create");
    let verbs = [request.verb.as_str()].into_iter().chain(made);
    verbs.map(|verb| (verb.to_owned(), request.resource.clone())).collect()
}

/// Whether a request is the operator's to make.
fn is_lawful(request: &Request, namespace: &str) -> bool {
    // What kinds there are.
    if request.resource.is_empty() {
        return !request.writes();
    }
    let name = request.name.as_str();
    let is_named = match request.resource.as_str() {
        // The only two that it may read, and it may not look for others.
        "secrets" => {
            !matches!(request.verb.as_str(), "list" | "watch") && ["chat-token-keys", "chat-valkey"].contains(&name)
        }
        _ if !request.writes() => true,
        "chatdeployments/status"
        | "statefulsets"
        | "poddisruptionbudgets"
        | "horizontalpodautoscalers"
        | "networkpolicies" => ["chat", "chat-valkey"].contains(&name),
        "services" => ["chat", "chat-0", "chat-1", "chat-pods", "chat-valkey"].contains(&name),
        "serviceaccounts" => name == "chat-chatd",
        "configmaps" => name == "chat-addresses",
        "pods" => request.verb == "delete" && ["chat-0", "chat-1", "chat-valkey-0"].contains(&name),
        "events" => request.verb == "create" && name.starts_with("chat."),
        "leases" => name == "chatd-operator",
        _ => false,
    };
    request.namespace == namespace && is_named
}
