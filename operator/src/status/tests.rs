//! Tests of the status: a table of situations.
#![allow(clippy::unwrap_used)]

use super::*;

fn pod(ordinal: usize, is_ready: bool, is_updated: bool) -> Pod {
    Pod { name: format!("chat-{ordinal}"), is_ready, is_updated, is_terminating: false, problem: None }
}

fn report(state: &str) -> Report {
    Report { state: state.into(), rooms: 2, players: 3, version: "1.0.0".into(), ..Report::default() }
}

fn reports(states: &[&str]) -> BTreeMap<String, Report> {
    states.iter().enumerate().map(|(ordinal, state)| (format!("chat-{ordinal}"), report(state))).collect()
}

fn step(phase: Phase) -> Step {
    Step { replicas: 3, partition: 0, delete: None, phase }
}

#[derive(Clone)]
struct Case<'a> {
    phase: Phase,
    pods: Vec<Pod>,
    states: &'a [&'a str],
    problems: Vec<Problem>,
}

/// The four conditions as `status/reason`.
fn conditions(case: Case<'_>, previous: &ChatDeploymentStatus) -> (Vec<String>, ChatDeploymentStatus) {
    conditions_with(case, &[], false, previous)
}

/// The same with pods that have been away for too long, and with fewer free seats than are wanted.
fn conditions_with(
    case: Case<'_>,
    lost: &[String],
    seats_are_limited: bool,
    previous: &ChatDeploymentStatus,
) -> (Vec<String>, ChatDeploymentStatus) {
    let step = step(case.phase);
    let reports = reports(case.states);
    let input = Input {
        operator: "system/chatd-operator",
        generation: 7,
        desired: 3,
        step: &step,
        scaled: None,
        seats_are_limited,
        players_per_room: 4,
        pods: &case.pods,
        reports: &reports,
        problems: &case.problems,
        lost,
        stalled: &["games/other".to_owned(), "games/third".to_owned()],
        selector: "a=b".into(),
        image: "chatd:1".into(),
        endpoints: Endpoints::default(),
        api: None,
        redis_endpoint: "redis:6379".into(),
        counts_may_change: true,
        now: "2026-11-24T01:02:03Z",
        previous,
    };
    let status = status(&input);
    let pairs = status.conditions.iter();
    (pairs.map(|condition| format!("{}/{}", condition.status, condition.reason)).collect(), status)
}

fn all(is_ready: bool, is_updated: bool) -> Vec<Pod> {
    (0..3).map(|ordinal| pod(ordinal, is_ready, is_updated)).collect()
}

#[test]
fn endpoints_that_are_not_known_are_left_out() {
    let case = Case { phase: Phase::Settled, pods: all(true, true), states: &["ok"; 3], problems: Vec::new() };
    let (_, status) = conditions(case, &ChatDeploymentStatus::default());
    assert_eq!(status.endpoints, None);
}

#[test]
fn each_situation_has_its_words() {
    let none = ChatDeploymentStatus::default();
    let bad = Problem::new(Reason::ImagePullFailed, "no such image");
    let table: [(&str, Case<'_>, &[&str]); 8] = [
        (
            "all is well",
            Case { phase: Phase::Settled, pods: all(true, true), states: &["ok", "ok", "ok"], problems: vec![] },
            &["True/AllReady", "False/Complete", "False/AsExpected", "True/Reachable"],
        ),
        (
            "at the start",
            Case { phase: Phase::Rolling { ordinal: 2 }, pods: all(false, true), states: &[], problems: vec![] },
            &["False/Starting", "True/Starting", "False/AsExpected", "Unknown/PodsNotAnswering"],
        ),
        (
            "in a roll-out",
            Case {
                phase: Phase::Rolling { ordinal: 2 },
                pods: vec![pod(0, true, false), pod(1, true, false), pod(2, false, true)],
                states: &["ok", "ok"],
                problems: vec![],
            },
            &["False/RollingOut", "True/RollingOut", "False/AsExpected", "True/Reachable"],
        ),
        (
            "a bad image",
            Case {
                phase: Phase::Rolling { ordinal: 2 },
                pods: vec![
                    pod(0, true, false),
                    pod(1, true, false),
                    Pod { problem: Some(bad.clone()), ..pod(2, false, true) },
                ],
                states: &["ok", "ok"],
                problems: vec![],
            },
            &[
                "False/ImagePullFailed",
                "False/Stalled",
                "True/ImagePullFailed",
                "True/Reachable",
                "True/ImagePullFailed",
            ],
        ),
        (
            "paused",
            Case {
                phase: Phase::Waiting { why: Wait::Paused },
                pods: all(true, false),
                states: &["ok", "ok", "ok"],
                problems: vec![],
            },
            &["False/Paused", "False/Paused", "False/AsExpected", "True/Reachable"],
        ),
        (
            "a partition",
            Case {
                phase: Phase::Settled,
                pods: vec![pod(0, true, false), pod(1, true, false), pod(2, true, true)],
                states: &["ok", "ok", "ok"],
                problems: vec![],
            },
            &["False/Partitioned", "False/Partitioned", "False/AsExpected", "True/Reachable"],
        ),
        (
            "Redis away",
            Case { phase: Phase::Settled, pods: all(true, true), states: &["ok", "auth", "auth"], problems: vec![] },
            &["False/RedisNotReady", "False/Complete", "True/RedisNotReady", "False/AuthFailed", "True/AuthFailed"],
        ),
        (
            "a name taken",
            Case {
                phase: Phase::Settled,
                pods: all(true, true),
                states: &["ok", "ok", "ok"],
                problems: vec![Problem::new(Reason::NameConflict, "Service chat")],
            },
            &["False/NameConflict", "False/Complete", "True/NameConflict", "True/Reachable", "True/NameConflict"],
        ),
    ];
    for (name, case, expected) in table {
        assert_eq!(conditions(case, &none).0, expected, "{name}");
    }
}

#[test]
fn a_pod_that_is_away_for_too_long_is_told_by_name() {
    let none = ChatDeploymentStatus::default();
    let lost = ["chat-2".to_owned()];
    let table: [(&str, Case<'_>, [&str; 4]); 4] = [
        (
            "a pod lost after all were ready",
            Case {
                phase: Phase::Rolling { ordinal: 2 },
                pods: vec![pod(0, true, true), pod(1, true, true), pod(2, false, true)],
                states: &["ok", "ok"],
                problems: vec![],
            },
            ["False/PodsNotReady", "False/Stalled", "True/PodsNotReady", "True/Reachable"],
        ),
        (
            "one that does not end, on a node that is gone",
            Case {
                phase: Phase::Rolling { ordinal: 2 },
                pods: vec![pod(0, true, true), pod(1, true, true), Pod { is_terminating: true, ..pod(2, true, true) }],
                states: &["ok", "ok"],
                problems: vec![],
            },
            ["False/PodsNotReady", "False/Stalled", "True/PodsNotReady", "True/Reachable"],
        ),
        (
            "the new pod of a roll-out hangs",
            Case {
                phase: Phase::Rolling { ordinal: 2 },
                pods: vec![pod(0, true, false), pod(1, true, false), pod(2, false, true)],
                states: &["ok", "ok"],
                problems: vec![],
            },
            ["False/PodsNotReady", "False/Stalled", "True/PodsNotReady", "True/Reachable"],
        ),
        (
            "a pod that starts while Redis is away",
            Case {
                phase: Phase::Rolling { ordinal: 2 },
                pods: vec![pod(0, true, true), pod(1, true, true), pod(2, false, true)],
                states: &["timeout", "timeout", "timeout"],
                problems: vec![],
            },
            ["False/Starting", "True/Starting", "True/RedisNotReady", "False/Timeout"],
        ),
    ];
    for (name, case, expected) in table {
        let (pairs, status) = conditions_with(case, &lost, false, &none);
        assert_eq!(pairs, expected, "{name}");
        assert_eq!(reports_lost(&status), expected[2] == "True/PodsNotReady", "{name}");
        let message = &status.conditions[2].message;
        assert!(expected[2] != "True/PodsNotReady" || message.contains("chat-2"), "{name}: {message}");
    }
}

#[test]
fn scaling_out_is_told_from_what_is_there() {
    let pods = vec![pod(0, true, true)];
    let case = Case { phase: Phase::Scaling { to: 3 }, pods, states: &["ok"], problems: vec![] };
    let message = conditions(case, &ChatDeploymentStatus::default()).1.conditions[1].message.clone();
    assert_eq!(message, "from 1 to 3 pods");
}

#[test]
fn the_image_is_the_one_in_use_until_a_pod_has_the_next() {
    let before = ChatDeploymentStatus { image: Some("chatd:0".into()), ..ChatDeploymentStatus::default() };
    let image = |phase, pods, previous: &ChatDeploymentStatus| {
        conditions(Case { phase, pods, states: &[], problems: vec![] }, previous).1.image.unwrap()
    };
    let paused = || Phase::Waiting { why: Wait::Paused };
    assert_eq!(image(paused(), all(true, false), &before), "chatd:0");
    assert_eq!(image(paused(), all(true, false), &ChatDeploymentStatus::default()), "chatd:1", "nothing else is known");
    let some = vec![pod(0, true, false), pod(1, true, false), pod(2, false, true)];
    assert_eq!(image(Phase::Rolling { ordinal: 2 }, some, &before), "chatd:1");
    assert_eq!(image(Phase::Settled, vec![], &before), "chatd:1");
}

#[test]
fn a_spec_that_cannot_be_read_leaves_the_rest_as_it_was_said() {
    let case = Case { phase: Phase::Settled, pods: all(true, true), states: &["ok"; 3], problems: vec![] };
    let none = ChatDeploymentStatus::default();
    let before = ChatDeploymentStatus { contender: Some("a/two".into()), ..conditions(case, &none).1 };
    let problem = Problem::new(Reason::InvalidSpec, "unknown variant");
    let once = unreadable("a/two", 8, &problem, "2026-11-25T00:00:00Z", &before);
    assert_eq!((once.replicas, &once.selector, once.rooms), (3, &before.selector, before.rooms));
    assert_eq!((once.observed_generation, once.operator.as_deref(), &once.contender), (Some(8), Some("a/two"), &None));
    let pairs: Vec<_> = once.conditions.iter().map(|it| format!("{}/{}", it.status, it.reason)).collect();
    assert_eq!(pairs.join(" "), "False/InvalidSpec False/Complete True/InvalidSpec True/Reachable True/InvalidSpec");
    assert_eq!(once.conditions[0].last_transition_time, "2026-11-25T00:00:00Z");
    let again = unreadable("a/two", 8, &problem, "2026-11-26T00:00:00Z", &once);
    assert!(!differs(&once, &again), "nothing new is said, at no other time");
}

#[test]
fn a_condition_keeps_its_time_while_its_status_is_the_same() {
    let case = || Case { phase: Phase::Settled, pods: all(true, true), states: &["ok"; 3], problems: vec![] };
    let mut before = conditions(case(), &ChatDeploymentStatus::default()).1;
    before.conditions[0].last_transition_time = "long ago".into();
    before.conditions[1].last_transition_time = "long ago".into();
    before.conditions[1].status = "True".into();
    let after = conditions(case(), &before).1;
    assert_eq!(after.conditions[0].last_transition_time, "long ago");
    assert_eq!(after.conditions[1].last_transition_time, "2026-11-24T01:02:03Z");
    assert!(!differs(&after, &conditions(case(), &after).1));
}

#[test]
fn counts_are_there_only_if_every_ready_pod_was_asked() {
    let case = |states| Case { phase: Phase::Settled, pods: all(true, true), states, problems: vec![] };
    let none = ChatDeploymentStatus::default();
    assert_eq!(conditions(case(&["ok"; 3]), &none).1.rooms, Some(6));
    assert_eq!(conditions(case(&["ok"; 2]), &none).1.rooms, None);
    // The node of the third is dead; then no pod is ready.
    let dead = |dead: &[usize], states| {
        let pods = (0..3).map(|ordinal| pod(ordinal, !dead.contains(&ordinal), true)).collect();
        conditions(Case { pods, ..case(states) }, &none).1.rooms
    };
    assert_eq!([dead(&[2], &["ok"; 2]), dead(&[2], &["ok"; 3]), dead(&[0, 1, 2], &[])], [Some(4), Some(6), None]);
}

#[test]
fn a_status_of_chatd_is_read_whatever_is_added_to_it() {
    let body = br#"{"version":"9","ready":true,"draining":false,"rooms":12,"players":31,"new":[],
        "directory":{"state":"auth","since":1,"detail":"wrong password","more":1}}"#;
    let report = Report::parse(body).unwrap();
    assert_eq!((report.rooms, report.players, report.state.as_str()), (12, 31, "auth"));
    assert_eq!(Report::parse(b"{}"), None);
}

#[test]
fn what_kubernetes_says_has_a_reason() {
    let waiting = |reason: &str| Problem::of_waiting(reason, "why", None).map(|problem| problem.reason);
    assert_eq!(waiting("ImagePullBackOff"), Some(Reason::ImagePullFailed));
    assert_eq!(waiting("ContainerCreating"), None);
    assert_eq!(waiting("CrashLoopBackOff"), Some(Reason::CrashLooping));
    for reason in ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"] {
        assert_eq!(waiting(reason), Some(Reason::ContainerRefused), "{reason}");
    }
    let event = |reason: &str, message: &str| Problem::of_event(reason, message).map(|problem| problem.reason);
    assert_eq!(event("FailedCreate", "pods is forbidden: exceeded quota: q"), Some(Reason::QuotaExceeded));
    assert_eq!(event("FailedCreate", "pods is forbidden: who knows why"), Some(Reason::CreateRefused));
    assert_eq!(event("FailedMount", "secret \"x\" not found"), Some(Reason::MountFailed));
    assert_eq!(event("Pulled", ""), None);
    assert_eq!(Problem::unscheduled("unbound immediate PersistentVolumeClaims").reason, Reason::VolumePending);
    assert!(Problem::new(Reason::Full, "é".repeat(1000)).message.len() < 410);
}

#[test]
fn whoever_waits_for_a_slot_is_told_who_is_in_the_way() {
    let phase = Phase::Waiting { why: Wait::Slot };
    let case = Case { phase, pods: all(true, false), states: &["ok"; 3], problems: vec![] };
    let (pairs, status) = conditions(case, &ChatDeploymentStatus::default());
    assert_eq!(pairs[1], "True/WaitingForSlot");
    assert!(status.conditions[1].message.contains("games/other, games/third. If"), "{status:?}");
}

#[test]
fn a_roll_out_that_waits_for_other_pods_has_lost_none() {
    let phase = Phase::Waiting { why: Wait::OtherPods };
    let pods = vec![pod(0, true, false), pod(1, false, false), pod(2, true, true)];
    let case = Case { phase, pods, states: &["ok"; 3], problems: vec![] };
    let (pairs, status) = conditions(case.clone(), &ChatDeploymentStatus::default());
    assert_eq!(pairs[1..3], ["True/WaitingForPods", "True/PodsNotReady"]);
    assert!(!reports_lost(&status));
    let (_, status) = conditions_with(case, &["chat-1".to_owned()], false, &ChatDeploymentStatus::default());
    assert!(reports_lost(&status));
}

#[test]
fn where_nobody_is_away_nothing_is_lost() {
    let phase = Phase::Waiting { why: Wait::OtherPods };
    let case = Case { phase, pods: all(true, true), states: &["ok"; 3], problems: vec![] };
    assert_eq!(conditions(case, &ChatDeploymentStatus::default()).0[2], "False/AsExpected");
}

#[test]
fn each_state_that_a_pod_says_redis_is_in_has_its_reason() {
    for (state, reason) in [
        ("ok", Reason::Reachable),
        ("unknown_host", Reason::UnknownHost),
        ("timeout", Reason::Timeout),
        ("auth", Reason::AuthFailed),
        ("tls", Reason::TlsFailed),
        ("read_only", Reason::ReadOnly),
        ("full", Reason::Full),
        ("prefix_in_use", Reason::PrefixInUse),
        ("refused", Reason::Refused),
        ("of a later chatd", Reason::Refused),
    ] {
        assert_eq!(redis::redis_ready(&reports(&[state]), 1, 1).1, reason, "{state}");
    }
}

#[test]
fn where_no_pod_answers_it_is_known_whether_any_should() {
    let of = |pods, desired| redis::redis_ready(&BTreeMap::new(), pods, desired).1;
    assert_eq!([of(0, 3), of(2, 0), of(0, 0)], [Reason::NoPods; 3]);
    assert_eq!(of(1, 1), Reason::PodsNotAnswering);
}

#[test]
fn pods_that_are_ready_and_those_that_are_not_yet_are_told_apart() {
    let progress = |phase: Phase, pods: Vec<Pod>| {
        let case = Case { phase, pods, states: &["ok"], problems: vec![] };
        conditions(case, &ChatDeploymentStatus::default()).0[1].clone()
    };
    let held_back = vec![pod(0, true, false), pod(1, true, true), pod(2, true, true)];
    assert_eq!(progress(Phase::Settled, held_back), "False/Partitioned");
    assert_eq!(progress(Phase::Settled, vec![pod(0, true, true), pod(1, false, true)]), "True/Starting");
    assert_eq!(progress(Phase::Scaling { to: 3 }, vec![pod(0, false, true)]), "True/Starting");
    assert_eq!(progress(Phase::Scaling { to: 3 }, vec![pod(0, true, true)]), "True/Scaling");
}

#[test]
fn seats_that_the_most_pods_do_not_give_are_said_once_all_pods_are_ready() {
    let limited = |pods: Vec<Pod>, is_limited: bool| {
        let case = Case { phase: Phase::Settled, pods, states: &["ok"; 3], problems: vec![] };
        let (pairs, status) = conditions_with(case, &[], is_limited, &ChatDeploymentStatus::default());
        (pairs[..2].join(" "), status.desired_replicas.unwrap())
    };
    let pairs = |words: &str| (words.to_owned(), 3);
    assert_eq!(limited(all(true, true), false), pairs("True/AllReady False/Complete"));
    assert_eq!(limited(all(true, true), true), pairs("True/AllReady False/FreeSeatsLimited"));
    assert_eq!(limited(all(false, true), true), pairs("False/Starting True/Starting"));
}

#[test]
fn free_seats_are_known_only_where_every_pod_says_what_it_has_place_for() {
    let load = |rooms, connections| scale::Load { rooms, room_places: 10, connections, connection_places: 100 };
    let report = |load| Report { load, ..report("ok") };
    let free = |reports: &[Report]| free_seats(&reports.iter().collect::<Vec<_>>(), 4);
    assert_eq!([free(&[]), free(&[report(Some(load(0, 0))), report(None)])], [None; 2], "no pods, and an older one");
    assert_eq!(free(&[report(Some(load(5, 10))), report(Some(load(9, 10)))]), Some(24), "six rooms of four");
    assert_eq!(free(&[report(Some(load(0, 90))), report(Some(load(0, 95)))]), Some(15), "connections are scarcer");
    let draining = Report { is_draining: true, ..report(Some(load(0, 0))) };
    assert_eq!(free(&[report(Some(load(10, 0))), draining]), Some(0));
    assert_eq!(steady(Some(1_000), Some(995)), Some(1_000), "not worth a write");
    assert_eq!(steady(Some(1_000), Some(985)), Some(985));
    assert_eq!(steady(Some(1_000), None), None);
}
