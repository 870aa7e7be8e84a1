//! Tests of the facts that plans derive from the observed state.

use std::collections::BTreeSet;

use super::*;

fn plan_of(cluster: &Observed, spec: &ChatDeploymentSpec) -> Plan {
    plan(&owner(), spec, &installed(), cluster, GO)
}

#[test]
fn pods_that_can_be_reached_from_outside_are_listed_by_their_own_services() {
    let mut cluster = Cluster::default();
    let per_pod = spec(json!({ "perPod": { "type": "NodePort" } }));
    cluster.converge(&per_pod);
    let mut observed = cluster.observe();
    assert_eq!(plan_of(&observed, &per_pod).facts.addresses, BTreeMap::new());
    let service = observed.children.get_mut(&(Kind::Service, "chat-1".to_owned())).unwrap();
    let record::Detail::Service(detail) = &mut service.record.detail else { panic!("no Service") };
    (detail.tcp_node_port, detail.web_node_port) = (Some(30_001), Some(30_002));
    observed.hosts = BTreeMap::from([(1, "10.0.0.7".to_owned())]);
    let address = desired::PodAddress { tcp: "10.0.0.7:30001".into(), web: "10.0.0.7:30002".into() };
    let expected = BTreeMap::from([("chat-1".to_owned(), address)]);
    assert_eq!(plan_of(&observed, &per_pod).facts.addresses, expected);
}

#[test]
fn pods_that_are_not_gone_yet_have_their_services() {
    let mut cluster = Cluster::default();
    let minimal = spec(json!({}));
    cluster.converge(&minimal);
    let mut observed = cluster.observe();
    assert_eq!(plan_of(&observed, &minimal).facts.ordinals, 3);
    observed.pods.insert(5, Pod { name: "chat-5".into(), ..observed.pods[&2].clone() });
    assert_eq!(plan_of(&observed, &minimal).facts.ordinals, 6);
}

#[test]
fn pods_of_an_adopted_set_go_by_the_uid_that_they_began_with() {
    let mut cluster = Cluster::default();
    let minimal = spec(json!({}));
    cluster.converge(&minimal);
    let mut observed = cluster.observe();
    assert_eq!(facts(&owner(), &observed).deployment_uid, None);
    let set = observed.children.get_mut(&(Kind::StatefulSet, "chat".to_owned())).unwrap();
    let record::Detail::Set(detail) = &mut set.record.detail else { panic!("no StatefulSet") };
    detail.adopted_uid = Some("uid-0".into());
    assert_eq!(facts(&owner(), &observed).deployment_uid.as_deref(), Some("uid-0"));
}

#[test]
fn while_it_is_paused_redis_is_waited_for_all_the_same() {
    let mut cluster = Cluster::default();
    let paused = spec(json!({ "rollout": { "paused": true } }));
    cluster.converge(&spec(json!({})));
    let mut observed = cluster.observe();
    assert!(!plan_of(&observed, &paused).is_under_way);
    observed.valkey_pod = None;
    assert!(plan_of(&observed, &paused).is_under_way);
}

#[test]
fn two_tries_of_a_write_have_one_name_and_differ_where_they_write_something_else() {
    let owner = owner();
    let (installed, facts, spec) = (installed(), desired::Facts::default(), spec(json!({})));
    let context = Context { owner: &owner, spec: &spec, installed: &installed, facts: &facts };
    let child = sealed(desired::children(&context).remove(0));
    let mut other = child.clone();
    other.object["spec"] = json!({ "more": 1 });
    let other = sealed(other);
    let applied = |child: &Child, uid: &str| Write::Apply { child: child.clone(), uid: uid.into(), why: String::new() };
    let tries = [
        Write::Create(child.clone()),
        Write::Create(other.clone()),
        applied(&child, "u1"),
        applied(&other, "u1"),
        applied(&child, "u2"),
    ];
    let contents: BTreeSet<u64> = tries.iter().map(Write::content).collect();
    assert_eq!(contents.len(), tries.len());
    let what = format!("{} {}", child.kind.as_str(), child.name);
    let names: Vec<String> = tries.iter().map(Write::name).collect();
    let [made, applied] = ["make", "apply"].map(|verb| format!("{verb} {what}"));
    assert_eq!(names, [&made, &made, &applied, &applied, &applied].map(Clone::clone));
    let pod = Write::DeletePod { name: "chat-1".into(), uid: "u".into() };
    assert_eq!((pod.name(), pod.content()), ("delete Pod chat-1 u".to_owned(), 0));
}

#[test]
fn it_is_known_which_writes_make_something_and_which_are_of_secrets() {
    let delete = |kind| Write::Delete { kind, name: "chat".into(), uid: "u".into() };
    let pod = Write::DeletePod { name: "chat-1".into(), uid: "u".into() };
    let of = |write: &Write| (write.makes(), write.is_of_secret());
    for (write, expected) in [
        (Write::Secret(NewSecret::Valkey), (true, true)),
        (Write::AdoptSecret(NewSecret::TokenKeys), (false, true)),
        (Write::FillSecret(NewSecret::TokenKeys), (false, true)),
        (delete(Kind::Secret), (false, true)),
        (delete(Kind::Service), (false, false)),
        (pod, (false, false)),
    ] {
        assert_eq!(of(&write), expected, "{write:?}");
    }
}

#[test]
fn whose_a_child_is_is_said_in_words() {
    let record = |uid: &str, name: &str| {
        let metadata = json!({ "metadata": { "name": "chat", "uid": "u", "ownerReferences": [{
            "apiVersion": "v1", "kind": name.split('/').next(), "name": name.split('/').next_back(), "uid": uid, "controller": true,
        }] } });
        record::Child::of_object(Kind::Service, &metadata)
    };
    let holder = |uid: &str, name: &str| match standing(&owner(), &record(uid, name)) {
        Standing::Foreign(holder) => holder,
        other => format!("{other:?}"),
    };
    assert_eq!(holder("uid-1", "ChatDeployment/chat"), "Ours");
    assert_eq!(
        holder("uid-0", "ChatDeployment/chat"),
        "a ChatDeployment of this name that was deleted, and goes away by itself"
    );
    assert_eq!(holder("uid-2", "Other/x"), "Other/x");
}

#[test]
fn annotations_that_a_child_has_stay_when_it_is_sealed() {
    let object = json!({ "metadata": { "annotations": { "cloud": "internal" } } });
    let child = Child { kind: Kind::Service, name: "chat".into(), object };
    let sealed = sealed(child);
    assert_eq!(sealed.object["metadata"]["annotations"]["cloud"], "internal");
    assert_ne!(seal(&sealed), 0);
}

#[test]
fn valkeys_pod_is_settled_when_all_is_and_let_go_when_it_is_old_and_not_ready() {
    let mut cluster = Cluster::default();
    let minimal = spec(json!({}));
    cluster.converge(&minimal);
    let at_rest = cluster.observe();
    let pod = at_rest.valkey_pod.clone().unwrap();
    let let_go = Write::DeletePod { name: pod.name.clone(), uid: pod.uid.clone() };
    let of = |pod: Pod, is_observed: bool| {
        let mut observed = Observed { valkey_pod: Some(pod), ..at_rest.clone() };
        if !is_observed {
            let set = observed.children.get_mut(&(Kind::StatefulSet, "chat-valkey".to_owned())).unwrap();
            let record::Detail::Set(set) = &mut set.record.detail else { panic!("no StatefulSet") };
            set.generation = set.observed_generation + 1;
        }
        let plan = plan_of(&observed, &minimal);
        (!plan.is_under_way, plan.writes.contains(&let_go))
    };
    let old = Pod { revision: "before".into(), ..pod.clone() };
    assert_eq!(of(pod.clone(), true), (true, false));
    assert_eq!(of(pod.clone(), false), (false, false));
    assert_eq!(of(Pod { ready: false, ..pod.clone() }, true), (false, false));
    assert_eq!(of(Pod { terminating: true, ..pod }, true), (false, false));
    assert_eq!(of(old.clone(), true), (false, false));
    assert_eq!(of(Pod { ready: false, ..old.clone() }, true), (false, true));
    assert_eq!(of(Pod { ready: false, ..old.clone() }, false), (false, false));
    assert_eq!(of(Pod { ready: false, terminating: true, ..old }, true), (false, false));
}

#[test]
fn monitors_and_rules_are_planned_where_the_cluster_has_their_kinds() {
    let mut cluster = Cluster::default();
    let (minimal, without) = (spec(json!({})), spec(json!({ "monitoring": { "type": "None" } })));
    cluster.converge(&minimal);
    let names = |cluster: &Cluster, spec: &ChatDeploymentSpec, kinds: &[Kind]| {
        let observed = Observed { optional_kinds: kinds.iter().copied().collect(), ..cluster.observe() };
        plan_of(&observed, spec).writes.iter().map(Write::name).collect::<Vec<_>>()
    };
    assert!(names(&cluster, &minimal, &[]).is_empty());
    assert_eq!(names(&cluster, &minimal, &[Kind::PodMonitor]), ["make PodMonitor chat"]);
    assert_eq!(names(&cluster, &minimal, &Kind::OPTIONAL), ["make PodMonitor chat", "make PrometheusRule chat"]);
    let observed = Observed { optional_kinds: Kind::OPTIONAL.into(), ..cluster.observe() };
    for write in plan_of(&observed, &minimal).writes {
        let Write::Create(child) = write else { panic!("{write:?}") };
        cluster.put(&child);
    }
    assert!(names(&cluster, &minimal, &Kind::OPTIONAL).is_empty(), "at rest");
    assert!(names(&cluster, &minimal, &[Kind::PodMonitor]).is_empty(), "what cannot be read stays");
    assert!(names(&cluster, &minimal, &[]).is_empty(), "what cannot be read stays");
    assert!(names(&cluster, &without, &[]).is_empty(), "it is deleted when it can be read again");
    let deletes = names(&cluster, &without, &Kind::OPTIONAL);
    assert!(deletes.len() == 2 && deletes.iter().all(|name| name.starts_with("delete P")), "{deletes:?}");
}

#[test]
fn free_seats_decide_alone_or_are_the_least_of_an_autoscaler_beside_them() {
    let decision =
        crate::scale::Decision { replicas: 5, floor: 4, free: 7, wanted: 200, is_limited: false, again_in: None };
    let autoscaler = (Kind::HorizontalPodAutoscaler, "chat".to_owned());
    let scaled = |autoscaling: Value, replicas: i32| {
        let mut cluster = Cluster::default();
        let spec = spec(json!({ "replicas": replicas, "autoscaling": autoscaling }));
        cluster.converge(&spec);
        let mut observed = cluster.observe();
        let least = cluster.objects.contains_key(&autoscaler).then(|| {
            observed.seats = Some(decision);
            let plan = plan_of(&observed, &spec);
            let context = Context { owner: &owner(), spec: &spec, installed: &installed(), facts: &plan.facts };
            let children = desired::children(&context);
            let child = children.iter().find(|child| child.kind == Kind::HorizontalPodAutoscaler).unwrap();
            child.object["spec"]["minReplicas"].as_i64().unwrap()
        });
        observed.seats = Some(decision);
        let plan = plan_of(&observed, &spec);
        (plan.step.replicas, least, plan.scaled.map(|scaled| (scaled.from, scaled.to)))
    };
    let seats = |cpu: Value| json!({ "minReplicas": 1, "maxReplicas": 9, "freeSeats": 200, "targetCPUUtilizationPercentage": cpu });
    assert_eq!(scaled(seats(Value::Null), 7), (6, None, Some((7, 6))), "one pod a step");
    assert_eq!(scaled(seats(json!(70)), 3), (5, Some(4), Some((3, 5))));
    assert_eq!(scaled(seats(json!(70)), 7), (7, Some(4), None), "CPU asks for more");
}
