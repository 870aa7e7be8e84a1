//! Tests of plans for the managed Valkey.

use super::*;

fn valkey_set() -> (Kind, String) {
    (Kind::StatefulSet, "chat-valkey".to_owned())
}

#[test]
fn a_changed_valkey_waits_while_paused_and_for_a_slot() {
    let mut cluster = Cluster::default();
    cluster.converge(&spec(json!({})));
    let changed = |paused: bool| {
        spec(json!({ "redis": { "managed": { "image": "valkey:10" } }, "rollout": { "paused": paused } }))
    };
    let cases = [(changed(true), GO, Wait::Paused), (changed(false), Permission { slot: false, ..GO }, Wait::Slot)];
    for (spec, permission, why) in cases {
        let mut cluster = cluster.clone();
        let of = |cluster: &Cluster| plan(&owner(), &spec, &installed(), &cluster.observe(), permission);
        assert_eq!((of(&cluster).writes, of(&cluster).step.phase), (vec![], Phase::Waiting { why }));

        // What else is in the set is put back, with the template as it is.
        let before = cluster.objects[&valkey_set()].clone();
        cluster.objects.get_mut(&valkey_set()).unwrap()["metadata"]["labels"]["app.kubernetes.io/part-of"] = "x".into();
        cluster.objects.get_mut(&valkey_set()).unwrap()["spec"]["replicas"] = 0.into();
        let writes = of(&cluster).writes;
        let [Write::Apply { child, .. }] = &writes[..] else { panic!("{writes:?}") };
        assert_eq!(child.object["spec"]["template"], before["spec"]["template"]);
        assert_eq!(child.object["metadata"]["annotations"], before["metadata"]["annotations"]);
        assert_eq!(child.object["spec"]["replicas"], 1);
        cluster.put(child);
        assert_eq!(of(&cluster).writes, vec![]);

        let mut observed = cluster.observe();
        observed.valkey_secret.as_mut().unwrap().record.uid = "another password".into();
        let writes = plan(&owner(), &spec, &installed(), &observed, permission).writes;
        let [Write::Apply { child, .. }] = &writes[..] else { panic!("{writes:?}") };
        let template = &child.object["spec"]["template"];
        assert_eq!(template["metadata"]["annotations"][desired::VALKEY_SECRET], "another password");
        assert_eq!(template["spec"], before["spec"]["template"]["spec"], "it takes nothing else with it");
    }
    let context = Context { owner: &owner(), spec: &changed(false), installed: &installed(), facts: &Facts::default() };
    let facts = facts(context.owner, &cluster.observe());
    assert!(valkey::needs_slot(&Context { facts: &facts, ..context }, &cluster.observe()));
    assert!(!valkey::needs_slot(&Context { facts: &facts, spec: &spec(json!({})), ..context }, &cluster.observe()));
    let mut down = cluster.observe();
    down.valkey_pod.as_mut().unwrap().ready = false;
    assert!(!valkey::needs_slot(&Context { facts: &facts, ..context }, &down), "there is nothing to lose");
    let writes = |spec: &ChatDeploymentSpec, permission| plan(&owner(), spec, &installed(), &down, permission).writes;
    assert_eq!(writes(&changed(false), Permission { slot: false, ..GO }).len(), 1, "its correction does not wait");
    assert_eq!(writes(&changed(true), GO), vec![], "but while paused");
    cluster.converge(&changed(false));
    let image = cluster.objects[&valkey_set()].pointer("/spec/template/spec/containers/0/image").unwrap();
    assert_eq!(image, "valkey:10");
}

#[test]
fn a_new_valkey_that_does_not_come_up_keeps_its_slot() {
    let mut cluster = Cluster::default();
    let minimal = spec(json!({}));
    cluster.converge(&minimal);
    let is_unfinished = |change: &dyn Fn(&mut Observed)| {
        let mut observed = cluster.observe();
        change(&mut observed);
        let (owner, installed, facts) = (owner(), installed(), facts(&owner(), &observed));
        let context = Context { owner: &owner, spec: &minimal, installed: &installed, facts: &facts };
        valkey::is_unfinished(&context, &observed)
    };
    let rolls = |seen: &mut Observed| {
        let record::Detail::Set(set) = &mut seen.children.get_mut(&valkey_set()).unwrap().record.detail else {
            panic!()
        };
        set.current_revision = "of before".into();
    };
    let dies = |seen: &mut Observed| seen.valkey_pod.as_mut().unwrap().ready = false;
    assert!(!is_unfinished(&|_| {}) && !is_unfinished(&rolls));
    assert!(!is_unfinished(&dies) && !is_unfinished(&|seen| seen.valkey_pod = None), "nothing of it changes");
    assert!(is_unfinished(&|seen| {
        rolls(seen);
        seen.valkey_pod = None;
    }));
    assert!(is_unfinished(&|seen| {
        rolls(seen);
        dies(seen);
    }));
    let old = |seen: &mut Observed| {
        rolls(seen);
        let pod = seen.valkey_pod.as_mut().unwrap();
        (pod.ready, pod.revision) = (false, "of before".into());
    };
    assert!(!is_unfinished(&old), "an old one that is unready holds up nobody for long");
}

#[test]
fn a_valkey_with_other_volumes_makes_way_for_a_new_one() {
    let with = |persistence: Value| spec(json!({ "redis": { "managed": { "persistence": persistence } } }));
    let before = with(json!({ "size": "1Gi", "storageClassName": "fast" }));
    let mut cluster = Cluster::default();
    cluster.converge(&before);
    let deletes = |spec: &ChatDeploymentSpec, permission: Permission| {
        let writes = plan(&owner(), spec, &installed(), &cluster.observe(), permission).writes;
        writes.iter().any(|write| matches!(write, Write::Delete { kind: Kind::StatefulSet, .. }))
    };
    for other in [
        json!(null),
        json!({ "size": "1Gi" }),
        json!({ "size": "2Gi", "storageClassName": "fast" }),
        json!({ "size": "1Gi", "storageClassName": "slow" }),
    ] {
        let other = with(other);
        assert!(deletes(&other, GO), "{other:?}");
        assert!(!deletes(&other, Permission { slot: false, ..GO }), "it waits as other changes do");
        let mut cluster = cluster.clone();
        cluster.converge(&other);
        let mut fresh = Cluster::default();
        fresh.converge(&other);
        let claims = |cluster: &Cluster| cluster.objects[&valkey_set()]["spec"]["volumeClaimTemplates"].clone();
        assert_eq!(claims(&cluster), claims(&fresh));
    }
    assert!(!deletes(&with(json!({ "size": "1024Mi", "storageClassName": "fast" })), GO), "as much, in other words");
    assert!(!deletes(&with(json!({ "size": "1Gi", "storageClassName": "fast", "whenDeleted": "Retain" })), GO));
}

#[test]
fn a_volume_that_an_admission_policy_has_changed_is_left_alone() {
    let with = |persistence: Value, image: &str| {
        spec(json!({ "redis": { "managed": { "persistence": persistence, "image": image } } }))
    };
    let wanted = with(json!({ "size": "1.5Gi" }), "valkey:9");
    let mut cluster = Cluster::default();
    cluster.converge(&wanted);
    let set = cluster.objects.get_mut(&valkey_set()).unwrap();
    let claim = set.pointer_mut("/spec/volumeClaimTemplates/0/spec").unwrap();
    claim["storageClassName"] = "of the policy".into();
    claim["resources"]["requests"]["storage"] = "2Gi".into();
    let claim = claim.clone();
    let writes = |cluster: &Cluster, spec: &ChatDeploymentSpec| {
        plan(&owner(), spec, &installed(), &cluster.observe(), GO).writes
    };
    assert_eq!(writes(&cluster, &wanted), vec![]);
    let writes_apply = |cluster: &Cluster, spec: &ChatDeploymentSpec| {
        let writes = writes(cluster, spec);
        let [Write::Apply { child, .. }] = &writes[..] else { panic!("{writes:?}") };
        assert_eq!(child.object.pointer("/spec/volumeClaimTemplates/0/spec"), Some(&claim), "it cannot change");
    };
    writes_apply(&cluster, &with(json!({ "size": "1.5Gi" }), "valkey:10"));

    // An older version has made it.
    let set = cluster.objects.get_mut(&valkey_set()).unwrap();
    set["metadata"]["annotations"].as_object_mut().unwrap().remove(record::CLAIM);
    writes_apply(&cluster, &wanted);
    let mut marked = cluster.clone();
    marked.round(&wanted, usize::MAX);
    assert_eq!(writes(&marked, &wanted), vec![]);
    for other in [json!(null), json!({ "size": "3Gi" }), json!({ "size": "1.5Gi", "storageClassName": "fast" })] {
        let writes = writes(&cluster, &with(other, "valkey:9"));
        assert!(matches!(&writes[..], [Write::Delete { kind: Kind::StatefulSet, .. }]), "{writes:?}");
    }
}

#[test]
fn valkey_goes_only_when_no_pod_uses_it_any_more() {
    let mut cluster = Cluster::default();
    cluster.converge(&spec(json!({})));
    let external = spec(json!({ "redis": { "type": "External", "external": { "url": "redis://r:6379" } } }));
    let plan = cluster.round(&external, usize::MAX);
    assert_eq!((plan.step.phase, plan.facts.replicas), (Phase::ChangingDirectory, 0));
    assert!(!plan.writes.iter().any(|write| matches!(write, Write::Delete { .. })));
    let gone = std::iter::repeat_with(|| {
        cluster.settle();
        cluster.round(&external, usize::MAX).writes
    });
    let deletes = |writes: &Vec<Write>| writes.iter().any(|write| matches!(write, Write::Delete { .. }));
    let writes = gone.take(60).find(deletes).unwrap();
    let kinds = writes.iter().filter_map(|write| match write {
        Write::Delete { kind, .. } => Some(*kind),
        _ => None,
    });
    assert_eq!(kinds.into_iter().next(), Some(Kind::Secret), "nobody looks for it once the rest is gone: {writes:?}");
    cluster.converge(&external);
    assert!(cluster.objects.keys().all(|(_, name)| name != "chat-valkey"), "{:?}", cluster.objects.keys());
    assert_eq!(cluster.pods.len(), 3);
}

#[test]
fn a_valkey_on_a_silent_node_is_let_go_with_the_address_of_its_service() {
    let mut cluster = Cluster::default();
    let minimal = spec(json!({}));
    cluster.converge(&minimal);
    let lost = Permission { valkey_is_lost: true, ..GO };
    let writes = plan(&owner(), &minimal, &installed(), &cluster.observe(), lost).writes;
    let [Write::Delete { kind: Kind::Service, name, .. }, Write::LetPodGo { .. }] = &writes[..] else {
        panic!("{writes:?}")
    };
    assert_eq!(name, "chat-valkey", "the Service first: else a crash in between would leave pods with what was let go");
    // After a crash in between: the Service is made again, and the pod is let go with that.
    let context = Context { owner: &owner(), spec: &minimal, installed: &installed(), facts: &Facts::default() };
    cluster.carry_out(&writes[0], &context);
    let writes = plan(&owner(), &minimal, &installed(), &cluster.observe(), lost).writes;
    assert!(matches!(&writes[..], [Write::Create(service), Write::LetPodGo { .. }] if service.name == "chat-valkey"));
}

#[test]
fn only_a_valkey_without_a_volume_may_go_and_only_if_a_pod_is_elsewhere() {
    use crate::record::PodRecord;
    let pod = |component: &str, node: &str, is_silent: bool, is_terminating: bool| PodRecord {
        name: component.into(),
        uid: format!("{component}-uid"),
        component: component.into(),
        revision: String::new(),
        directory: String::new(),
        is_ready: !is_silent,
        is_terminating,
        ip: None,
        host: Some(node.into()),
        problem: None,
        problem_until: None,
        silent_node: is_silent.then(|| node.to_owned()),
        is_set_up: true,
        ended: None,
        version: 1,
    };
    let persistent = json!({ "redis": { "managed": { "persistence": { "size": "1Gi" } } } });
    let of = |given: &Value, pods: &[PodRecord]| {
        let mut cluster = Cluster::default();
        let spec = spec(given.clone());
        cluster.converge(&spec);
        let context = Context { owner: &owner(), spec: &spec, installed: &installed(), facts: &Facts::default() };
        let observed = cluster.observe();
        let stranded = valkey::stranded(&context, &observed, pods).map(|it| (it.may_go, it.waits));
        (stranded, valkey::held_by_its_volume(&context, &observed, pods).map(|problem| problem.message))
    };
    let none = || json!({});
    let (silent, alive) = (pod("valkey", "one", true, false), pod("chat", "two", false, false));
    let go = (Some((true, valkey::Waits::Node)), None);
    assert_eq!(of(&none(), &[silent.clone(), alive.clone()]), go);
    assert_eq!(
        of(&none(), &[pod("valkey", "one", true, true), alive.clone()]),
        go,
        "Kubernetes has deleted it already"
    );
    let stays = (Some((false, valkey::Waits::Node)), None);
    assert_eq!(of(&none(), &[silent.clone(), pod("chat", "one", false, false)]), stays, "nobody is elsewhere");
    assert_eq!(of(&none(), &[silent.clone(), pod("chat", "two", true, false)]), stays, "all nodes are silent");
    assert_eq!(of(&none(), &[pod("valkey", "one", false, false), alive.clone()]), (None, None));
    let ends = (Some((true, valkey::Waits::End)), None);
    assert_eq!(of(&none(), &[pod("valkey", "one", false, true), alive.clone()]), ends);
    let (stranded, told) = of(&persistent, &[silent, alive]);
    assert_eq!(stranded, Some((false, valkey::Waits::Node)));
    assert!(told.unwrap().contains("kubectl taint nodes one node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"));
}
