//! Tables of what is observed and what is found. No I/O.

use super::Severity::{Error, Notice, Warning};
use super::*;
use crate::metrics::Figures;
use crate::observed::{Condition, Directory};

/// Severity, subject, and how the problem begins.
type Expected = (Severity, &'static str, &'static str);

fn report(change: impl FnOnce(&mut Report)) -> Answer {
    let directory = Directory { state: "ok".into(), ..Directory::default() };
    let figures = Figures { places: 100, token_keys: 1, ..Figures::default() };
    let mut report = Report { version: "1".into(), ready: true, directory, figures, ..Report::default() };
    change(&mut report);
    Answer::Report(Box::new(report))
}

fn pod(name: &str, answer: Answer) -> Pod {
    Pod { name: name.into(), is_ready: true, answer, ..Pod::default() }
}

fn fine() -> Service {
    let condition = |kind: &str, status: &str, reason: &str| Condition {
        kind: kind.into(),
        status: status.into(),
        reason: reason.into(),
        message: format!("about {kind}"),
    };
    let conditions = vec![
        condition("Ready", "True", "AllReady"),
        condition("Progressing", "False", "Complete"),
        condition("Degraded", "False", "AsExpected"),
        condition("RedisReady", "True", "Reachable"),
    ];
    let deployment =
        Deployment { name: "chat".into(), desired: 2, is_observed: true, conditions, ..Deployment::default() };
    let pods = ["chat-0", "chat-1"].map(|name| pod(name, report(|_| {}))).to_vec();
    Service { deployment: Some(deployment), pods }
}

fn with(change: impl FnOnce(&mut Service)) -> Service {
    let mut service = fine();
    change(&mut service);
    service
}

fn set(service: &mut Service, kind: &str, status: &str, reason: &str) {
    let conditions = &mut service.deployment.as_mut().expect("is there").conditions;
    let condition = conditions.iter_mut().find(|condition| condition.kind == kind).expect("is there");
    (condition.status, condition.reason) = (status.into(), reason.into());
}

fn answers(answer: Answer) -> Service {
    with(|service| service.pods[1].answer = answer)
}

#[test]
fn each_observation_has_its_finding() {
    let table: Vec<(Service, &[Expected])> = vec![
        (fine(), &[]),
        (Service { deployment: None, pods: vec![pod("127.0.0.1:9090", report(|_| {}))] }, &[]),
        (
            with(|service| service.deployment.as_mut().expect("is there").is_observed = false),
            &[(Warning, "chat", "no operator has seen")],
        ),
        (
            with(|service| service.deployment.as_mut().expect("is there").conditions.clear()),
            &[(Warning, "chat", "no operator has seen")],
        ),
        (
            with(|service| {
                set(service, "Degraded", "True", "CrashLooping");
                set(service, "Ready", "False", "CrashLooping");
            }),
            &[(Error, "chat", "Degraded: CrashLooping")],
        ),
        (
            with(|service| {
                set(service, "Degraded", "True", "RedisNotReady");
                set(service, "RedisReady", "False", "AuthFailed");
            }),
            &[(Error, "chat", "RedisReady: AuthFailed")],
        ),
        (
            with(|service| set(service, "Ready", "False", "RollingOut")),
            &[(Warning, "chat", "Ready is False: RollingOut")],
        ),
        (
            with(|service| {
                let deployment = service.deployment.as_mut().expect("is there");
                (deployment.operator, deployment.contender) = (Some("a/x".into()), Some("b/y".into()));
            }),
            &[(Warning, "chat", "the operators a/x and b/y both claim it")],
        ),
        (
            with(|service| {
                service.pods[0].waiting = Some("CrashLoopBackOff".into());
                service.pods[0].last_end = Some("Error, exit code 2".into());
                service.pods[0].answer = Answer::NotRunning;
            }),
            &[(Error, "chat-0", "its container does not run: CrashLoopBackOff; it ended last with Error, exit code 2")],
        ),
        (with(|service| service.pods[0].waiting = Some("ContainerCreating".into())), &[]),
        (
            with(|service| {
                (service.pods[0].restarts, service.pods[0].last_end) = (2, Some("OOMKilled, exit code 137".into()));
            }),
            &[(Notice, "chat-0", "its container has restarted 2 times, last after OOMKilled, exit code 137")],
        ),
        (
            answers(Answer::Silent("timed out".into())),
            &[(Warning, "chat-1", "its admin port does not answer: timed out")],
        ),
        (
            with(|service| {
                service.pods[1].answer = Answer::Silent("timed out".into());
                service.pods[1].is_terminating = true;
            }),
            &[],
        ),
        (
            with(|service| service.pods.iter_mut().for_each(|pod| pod.answer = Answer::Forbidden("no".into()))),
            &[(Warning, "pods", "this user may not ask them: no")],
        ),
        (
            answers(report(|report| report.version = "2".into())),
            &[(Warning, "pods", "have different versions: 1 (chat-0); 2 (chat-1)")],
        ),
        (
            with(|service| {
                service.pods[1].answer = report(|report| report.version = "2".into());
                set(service, "Progressing", "True", "RollingOut");
            }),
            &[],
        ),
        (
            answers(report(|report| report.figures.token_keys = 2)),
            &[(Warning, "pods", "have different token keys: 1 key (chat-0); 2 keys (chat-1)")],
        ),
        (answers(report(|report| report.figures.places_used = 89)), &[]),
        (
            answers(report(|report| report.figures.places_used = 90)),
            &[(Warning, "chat-1", "90 of 100 connection places are in use")],
        ),
        (
            answers(report(|report| report.figures.places_used = 100)),
            &[(Error, "chat-1", "100 of 100 connection places are in use")],
        ),
        (answers(report(|report| report.figures.places = 0)), &[]),
        (
            answers(report(|report| report.figures.links_refused = vec![("key".into(), 3), ("process".into(), 9)])),
            &[(Warning, "chat-1", "refused 3 links to other pods since its start, by key")],
        ),
        (
            answers(report(|report| report.figures.reload_failures = 1)),
            &[(Warning, "chat-1", "could not use a changed file 1 time")],
        ),
        (
            answers(report(|report| report.figures.takeovers = 4)),
            &[(Notice, "chat-1", "took over rooms of dead pods (4 since its start)")],
        ),
        (
            answers(report(|report| report.directory = Directory { state: "timeout".into(), ..Directory::default() })),
            &[(Error, "Redis", "timeout for chat-1")],
        ),
        (
            with(|service| {
                for pod in &mut service.pods {
                    let directory = Directory { state: "auth".into(), since: 1, detail: "wrong password".into() };
                    pod.answer = report(|report| report.directory = directory);
                }
            }),
            &[(Error, "Redis", "auth: wrong password")],
        ),
    ];
    for (service, expected) in table {
        let found = findings(&service);
        let matches = |(found, expected): (&Finding, &Expected)| {
            found.severity == expected.0 && found.subject == expected.1 && found.problem.starts_with(expected.2)
        };
        assert!(found.len() == expected.len() && found.iter().zip(expected).all(matches), "{found:#?}\n{expected:?}");
        assert!(found.iter().all(|finding| !finding.remedy.is_empty()), "{found:?}");
    }
}

#[test]
fn the_worst_comes_first() {
    let service = answers(report(|report| {
        report.figures.takeovers = 1;
        report.figures.reload_failures = 1;
        report.directory.state = "full".into();
    }));
    let order: Vec<Severity> = findings(&service).into_iter().map(|finding| finding.severity).collect();
    assert_eq!(order, [Error, Warning, Notice]);
}

#[test]
fn every_state_of_the_directory_has_a_remedy_of_its_own() {
    let states = ["refused", "unknown_host", "timeout", "auth", "tls", "read_only", "full", "prefix_in_use"];
    let remedies: std::collections::BTreeSet<&str> = states.into_iter().map(redis_remedy).collect();
    assert_eq!(remedies.len(), states.len());
    assert!(!remedies.contains(redis_remedy("a later one")));
}

#[test]
fn what_moves_is_told() {
    let mut service = answers(report(|report| {
        (report.draining, report.rooms, report.figures.moved_out) = (true, 1, 7);
    }));
    assert_eq!(moving(&service), ["chat-1 drains: 1 room left, 7 rooms moved"]);
    set(&mut service, "Progressing", "True", "RollingOut");
    service.pods[0].is_terminating = true;
    let expected =
        ["RollingOut: about Progressing", "chat-0 is being deleted", "chat-1 drains: 1 room left, 7 rooms moved"];
    assert_eq!(moving(&service), expected);
    assert_eq!(moving(&fine()), Vec::<String>::new());
}
