//! What Flux (by kstatus) and Argo CD (by deploy/argocd/health.lua) make of a ChatDeployment in each situation. Needs Go, which builds
//! hack/health; a part of `make test-operator`. Runs that program, needs no cluster.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use operator::api::{ChatDeploymentStatus, Endpoints};
use operator::rollout::{Phase, Step, Wait};
use operator::status::{Input, Pod, Problem, Reason, Report, status};
use serde::Deserialize;
use serde_json::{Value, json};

const GENERATION: i64 = 7;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    kstatus: String,
    argo: String,
    argo_message: String,
}

struct Case {
    name: &'static str,
    object: Value,
    kstatus: &'static str,
    argo: &'static str,
}

/// Three pods of which so many are ready and updated, what they say of Redis, and what is wrong.
fn said(phase: Phase, ready: usize, updated: usize, redis: &str, problem: Option<Problem>) -> ChatDeploymentStatus {
    let pods: Vec<Pod> = (0..3)
        .map(|ordinal| Pod {
            name: format!("chat-{ordinal}"),
            is_ready: ordinal < ready,
            is_updated: ordinal < updated,
            is_terminating: false,
            problem: None,
        })
        .collect();
    let report = Report { state: redis.to_owned(), version: "1.0.0".to_owned(), ..Report::default() };
    let reports: BTreeMap<String, Report> =
        pods[..ready].iter().map(|pod| (pod.name.clone(), report.clone())).collect();
    let step = Step { replicas: 3, partition: 0, delete: None, phase };
    status(&Input {
        operator: "system/chatd-operator",
        generation: GENERATION,
        desired: 3,
        step: &step,
        scaled: None,
        seats_are_limited: false,
        players_per_room: 4,
        pods: &pods,
        reports: &reports,
        problems: problem.as_slice(),
        lost: &[],
        stalled: &[],
        selector: "a=b".to_owned(),
        image: "chatd:1".to_owned(),
        endpoints: Endpoints::default(),
        api: None,
        redis_endpoint: "redis:6379".to_owned(),
        counts_may_change: true,
        now: "2026-11-24T01:02:03Z",
        previous: &ChatDeploymentStatus::default(),
    })
}

fn object(generation: i64, status: &Value) -> Value {
    json!({
        "apiVersion": operator::desired::API_VERSION, "kind": operator::desired::KIND,
        "metadata": { "name": "chat", "namespace": "games", "generation": generation }, "spec": {}, "status": status,
    })
}

fn cases() -> Vec<Case> {
    let case = |name, status: ChatDeploymentStatus, kstatus, argo| {
        let object = object(GENERATION, &serde_json::to_value(status).unwrap());
        Case { name, object, kstatus, argo }
    };
    let ready = || said(Phase::Settled, 3, 3, "ok", None);
    let problem = |reason| Some(Problem::new(reason, "this is wrong"));
    let rolling = || Phase::Rolling { ordinal: 2 };
    // As the API server shows an object without a status, by the definition's default.
    let schema = &operator::api::crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let fresh = object(1, &schema["properties"]["status"]["default"]);
    let changed = object(GENERATION + 1, &serde_json::to_value(ready()).unwrap());
    vec![
        Case { name: "not looked at yet", object: fresh, kstatus: "InProgress", argo: "Progressing" },
        Case { name: "changed, not looked at yet", object: changed, kstatus: "InProgress", argo: "Progressing" },
        case("all is well", ready(), "Current", "Healthy"),
        case("starting", said(rolling(), 0, 3, "ok", None), "InProgress", "Progressing"),
        case("rolling out", said(rolling(), 2, 1, "ok", None), "InProgress", "Progressing"),
        case("scaling", said(Phase::Scaling { to: 3 }, 2, 2, "ok", None), "InProgress", "Progressing"),
        case("paused", said(Phase::Waiting { why: Wait::Paused }, 3, 0, "ok", None), "InProgress", "Suspended"),
        case("a partition", said(Phase::Settled, 3, 1, "ok", None), "InProgress", "Suspended"),
        case("Redis away", said(Phase::Settled, 3, 3, "timeout", None), "InProgress", "Degraded"),
        case("a wrong password of Redis", said(Phase::Settled, 3, 3, "auth", None), "Failed", "Degraded"),
        case("no node", said(rolling(), 2, 1, "ok", problem(Reason::Unschedulable)), "InProgress", "Degraded"),
        case("a bad image", said(rolling(), 2, 1, "ok", problem(Reason::ImagePullFailed)), "Failed", "Degraded"),
        case("a taken name", said(Phase::Settled, 3, 3, "ok", problem(Reason::NameConflict)), "Failed", "Degraded"),
    ]
}

#[test]
#[ignore = "needs Go"]
fn flux_and_argo_cd_see_what_is_so() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hack/health");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("health");
    let mut build = Command::new("go");
    build.args(["build", "-o"]).arg(&program).arg(".").current_dir(&folder);
    build.env("GOWORK", "off").env("GOFLAGS", "-mod=readonly -buildvcs=false");
    assert!(build.status().expect("Go: hack/need go").success());
    let cases = cases();
    let objects: Vec<&Value> = cases.iter().map(|case| &case.object).collect();
    let mut health = Command::new(&program)
        .arg(folder.join("../../deploy/argocd/health.lua"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    health.stdin.take().unwrap().write_all(&serde_json::to_vec(&objects).unwrap()).unwrap();
    let output = health.wait_with_output().unwrap();
    assert!(output.status.success());
    let verdicts: Vec<Verdict> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdicts.len(), cases.len());
    for (case, verdict) in cases.iter().zip(verdicts) {
        assert_eq!((verdict.kstatus.as_str(), verdict.argo.as_str()), (case.kstatus, case.argo), "{}", case.name);
        assert!(!verdict.argo_message.is_empty(), "{}", case.name);
    }
}
