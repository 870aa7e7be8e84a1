//! `chatctl load`, while pods end in order and by a crash. Does I/O.

use std::process::Stdio;

use serde_json::Value;

use super::stage::{Stage, chatctl, run, told, wait_for};

fn verdict(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

/// Runs `load` on all pods of a stage, and does something 3 s after its start.
fn load(stage: &mut Stage, more: &[&str], act: impl FnOnce(&mut Stage)) -> (i32, Value) {
    let (lines, web) = (stage.addresses(|pod| &pod.lines), stage.addresses(|pod| &pod.web));
    let mut command = chatctl(&["load", "--lines", &lines, "--web", &web, "--output", "json"]);
    let child = command.args(more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    act(stage);
    let (code, json) = told(&child.wait_with_output().unwrap());
    (code, verdict(&json))
}

/// Each player is in, and lines have been said.
fn all_talk(stage: &Stage) {
    wait_for("all players are in and talk", || {
        let sum = |series: &str| stage.pods.iter().map(|pod| pod.metric(series)).sum::<u64>();
        sum("chatd_players") == 32 && sum("chatd_messages_in_total") > 100
    });
}

const SIZE: [&str; 8] = ["--rooms", "8", "--players", "4", "--rate", "5", "--duration", "10"];

#[test]
fn nothing_is_lost_while_a_pod_drains() {
    let mut stage = Stage::new(3);
    let (code, verdict) = load(&mut stage, &SIZE, |stage| {
        all_talk(stage);
        stage.terminate(0);
    });
    assert_eq!(code, 0, "{verdict:#}");
    assert!(verdict["linesSaid"].as_u64() > Some(800), "{verdict:#}");
    // A line whose connection ended under it may have been heard by nobody, and is never heard by some.
    let of = |name: &str| verdict[name].as_u64().unwrap();
    assert_eq!(of("linesHeard"), 4 * (of("linesSaid") - of("undelivered")), "{verdict:#}");
    assert!(verdict["resumed"].as_u64() > Some(0) && verdict["moved"].as_u64() > Some(0), "{verdict:#}");
    assert!(verdict["p50Ms"].as_f64() > Some(0.0), "{verdict:#}");
}

#[test]
fn what_a_crash_loses_is_noticed() {
    let mut stage = Stage::new(2);
    let (code, verdict) = load(&mut stage, &SIZE, |stage| {
        all_talk(stage);
        stage.kill(0);
    });
    // Players come back to their seats, and the server tells that it does not know what they missed.
    assert_eq!((verdict["lost"].as_u64(), verdict["doubled"].as_u64()), (Some(0), Some(0)), "{verdict:#}");
    assert_eq!((verdict["disordered"].as_u64(), verdict["inside"].as_u64()), (Some(0), Some(32)), "{verdict:#}");
    let wrong = verdict["missed"].as_u64() > Some(0) || verdict["seatsLost"].as_u64() > Some(0);
    assert_eq!(code, i32::from(wrong), "{verdict:#}");
    assert!(verdict["resumed"].as_u64() > Some(0), "{verdict:#}");
}

#[test]
fn a_run_that_nobody_can_enter_is_not_well() {
    assert_eq!(run(&["load", "--over", "lines"]).0, 3, "no address");
    assert_eq!(run(&["load", "--rate", "0"]).0, 2);
    assert_eq!(run(&["load", "--rooms", "0"]).0, 2);
}

#[test]
fn players_speak_tls_with_whom_they_trust() {
    let mut stage = Stage::with_tls(2);
    let file = stage.file("tls.crt");
    let small = ["--rooms", "2", "--duration", "3", "--tls"];
    for trust in [&["--ca-file", file.to_str().unwrap()][..], &["--insecure"]] {
        let (code, verdict) = load(&mut stage, &[&small, trust].concat(), |_| {});
        assert_eq!((code, &verdict["inside"]), (0, &6.into()), "{trust:?}: {verdict:#}");
    }
    for refused in [&["--tls"][..], &["--tls", "--insecure", "--ca-file", "x"], &["--insecure"]] {
        let lines = stage.addresses(|pod| &pod.lines);
        let arguments = ["load", "--lines", &lines, "--over", "lines", "--rooms", "1", "--duration", "1"];
        assert_ne!(run(&[&arguments, refused].concat()).0, 0, "{refused:?}");
    }
}

#[test]
fn players_show_a_certificate_where_one_is_asked_for() {
    let mut stage = Stage::with_client_certificates(2);
    let path = |name: &str| stage.file(name).to_str().unwrap().to_owned();
    let [authorities, client, key, other_key] = ["tls.crt", "client.crt", "client.key", "tls.key"].map(path);
    let trusting = ["--rooms", "2", "--duration", "3", "--tls", "--ca-file", &authorities];
    let showing = ["--client-cert", &client, "--client-key", &key];
    let (code, verdict) = load(&mut stage, &[&trusting[..], &showing].concat(), |_| {});
    assert_eq!((code, &verdict["inside"]), (0, &6.into()), "{verdict:#}");
    let lines = stage.addresses(|pod| &pod.lines);
    let with = |more: &[&str]| {
        let few = ["load", "--lines", &lines, "--over", "lines", "--rooms", "1", "--duration", "1"];
        run(&[&few[..], &trusting[4..], more].concat()).0
    };
    assert_eq!(with(&[]), 1, "nobody comes in without one");
    assert_eq!(with(&["--client-cert", &client, "--client-key", &other_key]), 3, "that is another key");
    assert_eq!(with(&["--client-cert", &client]), 2);
}
