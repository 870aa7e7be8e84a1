//! Tests of plans: a cluster in memory carries them out, and planning again must find nothing.
#![allow(clippy::unwrap_used)]

#[path = "facts_tests.rs"]
mod of_facts;
#[path = "server_api_tests.rs"]
mod of_server_api;
#[path = "valkey_tests.rs"]
mod of_valkey;

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::hash;
use crate::record::APPLIED;
use crate::rollout::Pod;

const GO: Permission =
    Permission { slot: true, redis_is_settled: true, patience_is_over: false, is_stuck: false, valkey_is_lost: false };

fn owner() -> Owner {
    Owner { name: "chat".into(), namespace: "games".into(), uid: "uid-1".into() }
}

fn installed() -> Installed {
    Installed::sample()
}

fn spec(value: Value) -> ChatDeploymentSpec {
    serde_json::from_value(value).unwrap()
}

/// An API server, a StatefulSet controller and kubelets that do everything at once.
#[derive(Clone, Default)]
struct Cluster {
    objects: BTreeMap<(Kind, String), Value>,
    pods: BTreeMap<i32, Pod>,
    next_uid: u32,
    accepted: BTreeMap<(Kind, String), Accepted>,
}

impl Cluster {
    fn uid(&mut self) -> String {
        self.next_uid += 1;
        format!("u{}", self.next_uid)
    }

    fn put(&mut self, child: &Child) {
        let key = (child.kind, child.name.clone());
        let uid = match self.objects.get(&key) {
            Some(object) => object["metadata"]["uid"].as_str().unwrap().to_owned(),
            None => self.uid(),
        };
        let mut object = child.object.clone();
        object["metadata"]["uid"] = uid.into();
        object["metadata"]["resourceVersion"] = self.uid().into();
        if child.kind == Kind::StatefulSet {
            let revision = hash::of_value(&object["spec"]["template"]);
            object["status"] =
                json!({ "currentRevision": revision, "updateRevision": revision, "observedGeneration": 1 });
            object["metadata"]["generation"] = 1.into();
        }
        self.objects.insert(key, object);
    }

    fn carry_out(&mut self, write: &Write, context: &Context<'_>) {
        match write {
            Write::Create(child) => self.put(child),
            Write::Apply { child, uid, .. } => {
                assert_eq!(self.objects[&(child.kind, child.name.clone())]["metadata"]["uid"], uid.as_str());
                self.put(child);
            }
            Write::Secret(NewSecret::TokenKeys) => self.put(&desired::new_token_keys(context, "1", &[1; 32])),
            Write::Secret(NewSecret::Valkey) => self.put(&desired::new_valkey_secret(context, &[2; 32])),
            Write::Secret(NewSecret::ApiKeys) => self.put(&desired::new_api_keys(context, "1", &[3; 32])),
            Write::AdoptSecret(_) | Write::FillSecret(_) => unreachable!(),
            Write::Delete { kind, name, .. } => {
                self.objects.remove(&(*kind, name.clone()));
            }
            Write::LetPodGo { .. } => {}
            Write::DeletePod { name, .. } => self.pods.retain(|_, pod| pod.name != *name),
        }
    }

    /// Pods as their StatefulSet says, one update for each call.
    fn settle(&mut self) {
        let Some(set) = self.objects.get(&(Kind::StatefulSet, "chat".to_owned())).cloned() else {
            self.pods.clear();
            return;
        };
        let revision = set["status"]["updateRevision"].as_str().unwrap();
        let replicas = i32::try_from(set["spec"]["replicas"].as_i64().unwrap()).unwrap();
        let partition = set["spec"]["updateStrategy"]["rollingUpdate"]["partition"].as_i64().unwrap();
        self.pods.retain(|ordinal, _| *ordinal < replicas);
        let old =
            self.pods.iter().rev().find(|(ordinal, pod)| i64::from(**ordinal) >= partition && pod.revision != revision);
        if let Some(ordinal) = old.map(|(ordinal, _)| *ordinal) {
            self.pods.remove(&ordinal);
        }
        for ordinal in 0..replicas {
            let directory = set["spec"]["template"]["metadata"]["annotations"][desired::DIRECTORY].as_str().unwrap();
            let pod = Pod {
                name: format!("chat-{ordinal}"),
                uid: format!("{revision}-{ordinal}"),
                revision: revision.to_owned(),
                directory: directory.to_owned(),
                ready: true,
                terminating: false,
            };
            self.pods.entry(ordinal).or_insert(pod);
        }
    }

    fn observe(&self) -> Observed {
        let mut observed = Observed { pods: self.pods.clone(), ..Observed::default() };
        for ((kind, name), object) in &self.objects {
            let record = record::Child::of_object(*kind, object);
            if *kind == Kind::Secret {
                let secret = Some(SeenSecret { record, is_whole: true });
                match name.as_str() {
                    "chat-valkey" => observed.valkey_secret = secret,
                    "chat-api" => observed.api_keys = secret,
                    _ => observed.token_keys = secret,
                }
                continue;
            }
            if *kind == Kind::StatefulSet && name == "chat-valkey" {
                let revision = object["status"]["updateRevision"].as_str().unwrap().to_owned();
                observed.valkey_pod = Some(Pod {
                    name: "chat-valkey-0".into(),
                    uid: "v".into(),
                    revision,
                    directory: String::new(),
                    ready: true,
                    terminating: false,
                });
            }
            observed.children.insert(
                (*kind, name.clone()),
                Seen {
                    record,
                    content: Content::Object(object.clone()),
                    accepted: self.accepted.get(&(*kind, name.clone())).copied(),
                },
            );
        }
        observed
    }

    fn round(&mut self, spec: &ChatDeploymentSpec, most: usize) -> Plan {
        let (owner, installed) = (owner(), installed());
        let plan = plan(&owner, spec, &installed, &self.observe(), GO);
        let context = Context { owner: &owner, spec, installed: &installed, facts: &plan.facts };
        plan.writes.iter().take(most).for_each(|write| self.carry_out(write, &context));
        plan
    }

    fn converge(&mut self, spec: &ChatDeploymentSpec) {
        for _ in 0..60 {
            let plan = self.round(spec, usize::MAX);
            self.settle();
            if plan.writes.is_empty() && plan.step.phase == Phase::Settled {
                return;
            }
        }
        panic!("does not converge: {:?}", plan(&owner(), spec, &installed(), &self.observe(), GO).writes);
    }

    /// What is there, without what the API server adds and secrets' values.
    fn content(&self) -> BTreeMap<(Kind, String), String> {
        let without = |object: &Value| {
            let mut object = object.clone();
            object["metadata"]["uid"] = json!(null);
            object["metadata"]["resourceVersion"] = json!(null);
            object["data"] = json!(null);
            let text = object.to_string();
            // The uid of Valkey's Secret is in its template, and so in its hashes.
            if text.contains("chatd.dev/secret") { String::new() } else { text }
        };
        self.objects.iter().map(|(key, object)| (key.clone(), without(object))).collect()
    }
}

#[test]
fn planning_again_finds_nothing() {
    for value in [json!({}), json!({ "perPod": { "type": "NodePort" }, "autoscaling": { "maxReplicas": 5 } })] {
        let mut cluster = Cluster::default();
        cluster.converge(&spec(value.clone()));
        assert_eq!(cluster.round(&spec(value), usize::MAX).writes, vec![]);
    }
}

#[test]
fn it_is_known_whether_anything_is_still_to_come() {
    let mut cluster = Cluster::default();
    let minimal = spec(json!({}));
    cluster.converge(&minimal);
    let at_rest = cluster.observe();
    let of = |observed: &Observed, spec: &ChatDeploymentSpec| plan(&owner(), spec, &installed(), observed, GO);
    assert!(!of(&at_rest, &minimal).is_under_way && of(&at_rest, &minimal).secrets_are_there);
    let paused = spec(json!({ "rooms": { "maxPlayers": 9 }, "rollout": { "paused": true } }));
    assert!(!of(&at_rest, &paused).is_under_way, "nobody but the user goes on");
    assert!(of(&at_rest, &spec(json!({ "rooms": { "maxPlayers": 9 } }))).is_under_way);

    let mut one_too_many = at_rest.clone();
    one_too_many.pods.insert(3, Pod { name: "chat-3".into(), ..at_rest.pods[&2].clone() });
    assert!(of(&one_too_many, &minimal).is_under_way);
    let mut without_valkey = at_rest.clone();
    without_valkey.valkey_pod = None;
    assert!(of(&without_valkey, &minimal).is_under_way);

    let mut of_the_one_before = at_rest.clone();
    let secret = of_the_one_before.valkey_secret.as_mut().unwrap();
    secret.record.owner = record::Owner::Controller { uid: "before".into(), name: "ChatDeployment/chat".into() };
    let plan = of(&of_the_one_before, &minimal);
    assert!(!plan.secrets_are_there, "it goes away, and nothing says when");
    assert_eq!(plan.conflicts.len(), 1);
}

#[test]
fn what_was_verified_is_not_looked_at_again_until_the_desired_object_changes() {
    let mut cluster = Cluster::default();
    let minimal = spec(json!({}));
    cluster.converge(&minimal);
    let mut observed = cluster.observe();
    for seen in observed.children.values_mut() {
        let Content::Object(object) = &seen.content else { panic!() };
        seen.content = Content::Verified(
            u64::from_str_radix(object["metadata"]["annotations"][APPLIED].as_str().unwrap(), 16).unwrap(),
        );
    }
    assert_eq!(plan(&owner(), &minimal, &installed(), &observed, GO).writes, vec![]);
    let scaled = plan(&owner(), &spec(json!({ "replicas": 4 })), &installed(), &observed, GO);
    assert!(matches!(&scaled.writes[..], [Write::Apply { child, .. }] if child.kind == Kind::StatefulSet));
}

#[test]
fn a_child_that_is_edited_or_deleted_is_put_back() {
    let minimal = spec(json!({}));
    let mut whole = Cluster::default();
    whole.converge(&minimal);
    for (key, object) in whole.objects.clone() {
        let mut cluster = whole.clone();
        cluster.objects.remove(&key);
        cluster.converge(&minimal);
        assert_eq!(cluster.content(), whole.content(), "{key:?} deleted");
        if key.0 != Kind::Secret {
            let mut cluster = whole.clone();
            let mut edited = object.clone();
            edited["metadata"]["labels"]["app.kubernetes.io/instance"] = "chat2".into();
            cluster.objects.insert(key.clone(), edited);
            assert_eq!(cluster.round(&minimal, usize::MAX).writes.len(), 1, "{key:?} edited");
        }
    }
}

#[test]
fn what_is_somebody_elses_is_left_alone() {
    let minimal = spec(json!({}));
    let mut cluster = Cluster::default();
    cluster.converge(&minimal);
    let key = (Kind::Service, "chat".to_owned());
    let cases = [
        (json!([{ "apiVersion": "v1", "kind": "Other", "name": "x", "uid": "z", "controller": true }]), true),
        (json!([]), false),
    ];
    for (owners, is_foreign) in cases {
        let mut cluster = cluster.clone();
        let service = cluster.objects.get_mut(&key).unwrap();
        service["metadata"]["ownerReferences"] = owners;
        service["spec"]["ports"] = json!([]);
        let plan = cluster.round(&minimal, usize::MAX);
        assert_eq!(plan.conflicts.len(), usize::from(is_foreign), "{:?}", plan.conflicts);
        assert_eq!(plan.writes.len(), usize::from(!is_foreign), "an ownerless one with our labels is adopted");
    }
    let service = cluster.objects.get_mut(&key).unwrap();
    service["metadata"]["ownerReferences"] = json!([]);
    service["metadata"]["labels"] = json!({});
    assert_eq!(cluster.round(&minimal, usize::MAX).conflicts.len(), 1);
}

#[test]
fn a_new_operator_that_changes_nothing_in_the_pods_rolls_none() {
    let minimal = spec(json!({}));
    let mut cluster = Cluster::default();
    cluster.converge(&minimal);
    // As an operator would have left it that set fewer fields outside of the template.
    let set = cluster.objects.get_mut(&(Kind::StatefulSet, "chat".to_owned())).unwrap();
    set["spec"].as_object_mut().unwrap().remove("revisionHistoryLimit");
    set["metadata"]["annotations"][APPLIED] = "of before".into();
    let before = cluster.pods.clone();
    let plan = cluster.round(&minimal, usize::MAX);
    assert_eq!((plan.writes.len(), plan.step.phase), (1, Phase::Settled));
    cluster.settle();
    assert_eq!(cluster.pods, before);
}

#[test]
fn secrets_are_made_once_and_mended_without_losing_keys() {
    let minimal = spec(json!({}));
    let mut cluster = Cluster::default();
    cluster.converge(&minimal);
    let writes = |change: &dyn Fn(&mut Observed)| {
        let mut observed = cluster.observe();
        change(&mut observed);
        let writes = plan(&owner(), &minimal, &installed(), &observed, GO).writes;
        writes.into_iter().filter(|write| !matches!(write, Write::Apply { .. })).collect::<Vec<_>>()
    };
    let orphan = |secret: &mut Option<SeenSecret>| secret.as_mut().unwrap().record.owner = record::Owner::Nobody;
    let empty = |secret: &mut Option<SeenSecret>| secret.as_mut().unwrap().is_whole = false;
    assert_eq!(writes(&|seen| seen.token_keys = None), [Write::Secret(NewSecret::TokenKeys)]);
    assert_eq!(writes(&|seen| orphan(&mut seen.token_keys)), [Write::AdoptSecret(NewSecret::TokenKeys)]);
    assert_eq!(writes(&|seen| empty(&mut seen.token_keys)), [Write::FillSecret(NewSecret::TokenKeys)]);
    let deleted = writes(&|seen| empty(&mut seen.valkey_secret));
    assert!(matches!(&deleted[..], [Write::Delete { kind: Kind::Secret, .. }]), "{deleted:?}");
    let foreign = |seen: &mut Observed| {
        orphan(&mut seen.token_keys);
        seen.token_keys.as_mut().unwrap().record.has_our_labels = false;
    };
    assert_eq!(writes(&foreign), []);
}

fn any_spec() -> impl Strategy<Value = ChatDeploymentSpec> {
    let per_pod = prop_oneof![Just("None"), Just("NodePort"), Just("LoadBalancer")];
    let redis = prop_oneof![
        Just(json!({})),
        Just(json!({ "keyPrefix": "other:" })),
        Just(json!({ "type": "External", "external": { "url": "redis://r:6379" } })),
    ];
    let policy = prop_oneof![Just("Managed"), Just("None")];
    (0..5, "[ab]", per_pod, redis, policy, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(replicas, image, per_pod, redis, policy, scales, own_keys, has_api)| {
            let mut value = json!({
                "replicas": replicas, "image": image, "perPod": { "type": per_pod }, "redis": redis,
                "networkPolicy": { "type": policy },
            });
            if scales {
                value["autoscaling"] = json!({ "minReplicas": 1, "maxReplicas": 3 });
            }
            if own_keys {
                value["tokenKeys"] = json!({ "secretRef": { "name": "mine" } });
            }
            if has_api {
                value["api"] = json!({ "type": "ClusterIP" });
            }
            spec(value)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any history, with the operator ended after any number of writes, ends as if the last spec had been applied afresh.
    #[test]
    fn any_history_ends_as_a_fresh_apply_would(
        history in prop::collection::vec((any_spec(), 0_usize..12), 1..5),
        last in any_spec(),
    ) {
        let mut cluster = Cluster::default();
        for (spec, writes) in &history {
            cluster.round(spec, *writes);
            cluster.settle();
        }
        cluster.converge(&last);
        let mut fresh = Cluster::default();
        fresh.converge(&last);
        let mut left = cluster.content();
        // Token keys that the operator made stay: tokens that they signed may still be out.
        if last.token_keys.secret_ref.is_some() {
            left.remove(&(Kind::Secret, "chat-token-keys".to_owned()));
        }
        // So do keys of the server API: callers have them.
        if !last.api.is_served() {
            left.remove(&(Kind::Secret, "chat-api".to_owned()));
        }
        prop_assert_eq!(left, fresh.content());
    }
}

#[test]
fn what_a_policy_makes_of_a_child_is_not_fought_and_what_people_make_of_it_is_put_back() {
    let mut cluster = Cluster::default();
    let minimal = spec(json!({}));
    cluster.converge(&minimal);
    let set = (Kind::StatefulSet, "chat".to_owned());
    let image = "/spec/template/spec/containers/0/image";
    let mutate = |cluster: &mut Cluster, image_is: &str| {
        let object = cluster.objects.get_mut(&set).unwrap();
        *object.pointer_mut(image).unwrap() = image_is.into();
        object["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().push(json!({ "name": "sidecar" }));
    };
    mutate(&mut cluster, "mirror.example/chatd:1");
    let applied = |cluster: &Cluster| plan(&owner(), &minimal, &installed(), &cluster.observe(), GO).writes;
    let writes = applied(&cluster);
    let [Write::Apply { child, .. }] = &writes[..] else { panic!("{writes:?}") };
    // Applied, the policy changes it again: from then on it is taken as it is.
    cluster.accepted.insert(set.clone(), accepted(child, &cluster.objects[&set]));
    assert_eq!(applied(&cluster), vec![]);
    // Its status changes, and another policy adds something: nothing of ours.
    cluster.objects.get_mut(&set).unwrap()["status"]["readyReplicas"] = 1.into();
    cluster.objects.get_mut(&set).unwrap()["metadata"]["annotations"]["cost"] = "low".into();
    assert_eq!(applied(&cluster), vec![]);
    mutate(&mut cluster, "evil.example/chatd:1");
    assert_eq!(applied(&cluster).len(), 1, "somebody has edited it");
    mutate(&mut cluster, "mirror.example/chatd:1");
    let other = spec(json!({ "image": "chatd:2" }));
    assert_eq!(
        plan(&owner(), &other, &installed(), &cluster.observe(), GO).writes.len(),
        1,
        "another desired is written"
    );
}
