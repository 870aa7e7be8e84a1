//! Every alert fires when it should and not otherwise, by `promtool test rules` over the rules that the tables make. Runs promtool,
//! which Debian has in its package `prometheus`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use operator::monitoring::{ALERTS, rule_file};
use operator::yaml::to_yaml;
use serde_json::{Value, json};

/// Series as promtool writes them, one sample a minute: a metric, its labels, its values. Pods' labels are added.
type Series = &'static [(&'static str, &'static str)];

struct Case {
    alert: &'static str,
    fires: Series,
    quiet: Series,
}

const fn case(alert: &'static str, fires: Series, quiet: Series) -> Case {
    Case { alert, fires, quiet }
}

/// Judged 40 minutes after the first sample.
const CASES: [Case; ALERTS.len()] = [
    case(
        "ChatdNoReadyPods",
        &[("chatd_operator_deployment_ready_pods{}", "0x60"), ("chatd_operator_deployment_desired_pods{}", "3x60")],
        // It is scaled to zero.
        &[("chatd_operator_deployment_ready_pods{}", "0x60"), ("chatd_operator_deployment_desired_pods{}", "0x60")],
    ),
    case(
        "ChatdNotReady",
        &[
            (r#"chatd_operator_deployment_condition{condition="Ready"}"#, "1x5 0x60"),
            ("chatd_operator_deployment_waits{}", "0x5 1x3 0x50"),
            // The rollout began, and stopped at its third pod.
            ("chatd_operator_deployment_updated_pods{}", "9x8 0+1x3 3x50"),
        ],
        // One of a hundred that an upgrade changes: it waited for its turn until ten minutes ago; and one whose rollout of many pods goes
        // on for half an hour, one pod in five minutes.
        &[
            (r#"chatd_operator_deployment_condition{condition="Ready"}"#, "1x5 0x60"),
            ("chatd_operator_deployment_waits{}", "0x5 1x24 0x40"),
            ("chatd_operator_deployment_updated_pods{}", "0x60"),
            (r#"chatd_operator_deployment_condition{condition="Ready",chatdeployment="large"}"#, "1x5 0x60"),
            (r#"chatd_operator_deployment_waits{chatdeployment="large"}"#, "0x60"),
            (
                r#"chatd_operator_deployment_updated_pods{chatdeployment="large"}"#,
                "50x5 0x5 1x5 2x5 3x5 4x5 5x5 6x5 7x5 8x5",
            ),
        ],
    ),
    case(
        "ChatdDegraded",
        &[(r#"chatd_operator_deployment_condition{condition="Degraded"}"#, "0x30 1x40")],
        &[(r#"chatd_operator_deployment_condition{condition="Degraded"}"#, "0x38 1x40")],
    ),
    case(
        "ChatdCrashLooping",
        &[("process_start_time_seconds{}", "0+100x60")],
        // One restart; and processes that are not ours restart all the time.
        &[
            ("process_start_time_seconds{}", "100x30 200x30"),
            (r#"process_start_time_seconds{chatdeployment=""}"#, "0+100x60"),
        ],
    ),
    case(
        "ChatdRedisUnreachable",
        &[(r#"chatd_directory_state{state="timeout"}"#, "1x60"), (r#"chatd_directory_state{state="ok"}"#, "0x60")],
        &[(r#"chatd_directory_state{state="timeout"}"#, "0x60"), (r#"chatd_directory_state{state="ok"}"#, "1x60")],
    ),
    case(
        "ChatdRedisErrors",
        &[
            (r#"chatd_directory_errors_total{kind="timeout"}"#, "0+5x60"),
            ("chatd_directory_request_seconds_count{}", "0+100x60"),
        ],
        &[
            (r#"chatd_directory_errors_total{kind="timeout"}"#, "0+1x60"),
            ("chatd_directory_request_seconds_count{}", "0+100x60"),
        ],
    ),
    case(
        "ChatdRedisSlow",
        &[
            (r#"chatd_directory_request_seconds_bucket{le="0.1"}"#, "0+90x60"),
            (r#"chatd_directory_request_seconds_bucket{le="+Inf"}"#, "0+100x60"),
            (r#"chatd_directory_request_seconds_bucket{le="0.5"}"#, "0+100x60"),
        ],
        &[
            (r#"chatd_directory_request_seconds_bucket{le="0.1"}"#, "0+100x60"),
            (r#"chatd_directory_request_seconds_bucket{le="+Inf"}"#, "0+100x60"),
        ],
    ),
    case(
        "ChatdRedisDataLost",
        &[("chatd_directory_went_back_total{}", "0x35 1x20")],
        &[("chatd_directory_went_back_total{}", "0x10 1x40")],
    ),
    case("ChatdKeyPrefixInUse", &[("chatd_prefix_in_use{}", "1x60")], &[("chatd_prefix_in_use{}", "0x60")]),
    case(
        "ChatdRoomsUnavailable",
        &[
            (r#"chatd_joins_total{result="unavailable"}"#, "0+10x60"),
            (r#"chatd_joins_total{result="joined"}"#, "0+90x60"),
        ],
        &[
            (r#"chatd_joins_total{result="unavailable"}"#, "0+1x60"),
            (r#"chatd_joins_total{result="room_full"}"#, "0+50x60"),
            (r#"chatd_joins_total{result="joined"}"#, "0+90x60"),
        ],
    ),
    case(
        "ChatdJoinsSlow",
        &[
            (r#"chatd_join_seconds_bucket{le="1.0"}"#, "0+97x60"),
            (r#"chatd_join_seconds_bucket{le="2.0"}"#, "0+100x60"),
            (r#"chatd_join_seconds_bucket{le="+Inf"}"#, "0+100x60"),
        ],
        &[
            (r#"chatd_join_seconds_bucket{le="1.0"}"#, "0+100x60"),
            (r#"chatd_join_seconds_bucket{le="2.0"}"#, "0+100x60"),
            (r#"chatd_join_seconds_bucket{le="+Inf"}"#, "0+100x60"),
        ],
    ),
    case(
        "ChatdDeliverySlow",
        &[
            (r#"chatd_delivery_seconds_bucket{le="0.1"}"#, "0+90x60"),
            (r#"chatd_delivery_seconds_bucket{le="0.25"}"#, "0+100x60"),
            (r#"chatd_delivery_seconds_bucket{le="+Inf"}"#, "0+100x60"),
        ],
        &[
            (r#"chatd_delivery_seconds_bucket{le="0.025"}"#, "0+100x60"),
            (r#"chatd_delivery_seconds_bucket{le="+Inf"}"#, "0+100x60"),
        ],
    ),
    case("ChatdLeaseLapses", &[("chatd_lease_lapses_total{}", "0x35 1x20")], &[("chatd_lease_lapses_total{}", "1x60")]),
    case(
        "ChatdTakeovers",
        &[("chatd_takeovers_total{}", "0x30 50x20"), ("chatd_rooms{}", "100x60")],
        &[("chatd_takeovers_total{}", "0x30 5x20"), ("chatd_rooms{}", "100x60")],
    ),
    case(
        "ChatdRoomsDisputed",
        &[("chatd_releases_total{}", "0x30 30x20"), ("chatd_outgoing_migrations_total{}", "0x60")],
        // A drain: all that was released had been migrated.
        &[("chatd_releases_total{}", "0x30 30x20"), ("chatd_outgoing_migrations_total{}", "0x30 30x20")],
    ),
    case(
        "ChatdDrainSlow",
        &[
            (r#"chatd_drain_room_seconds_bucket{le="10.0"}"#, "0x30 2x20"),
            (r#"chatd_drain_room_seconds_bucket{le="25.0"}"#, "0x30 10x20"),
            (r#"chatd_drain_room_seconds_bucket{le="+Inf"}"#, "0x30 10x20"),
            ("chatd_drain_age_seconds{}", "0x60"),
        ],
        // One pod drains in time; another one was drained half an hour before, and of its rooms the last left in time.
        &[
            (r#"chatd_drain_room_seconds_bucket{le="10.0"}"#, "0x30 10x20"),
            (r#"chatd_drain_room_seconds_bucket{le="25.0"}"#, "0x30 10x20"),
            (r#"chatd_drain_room_seconds_bucket{le="+Inf"}"#, "0x30 10x20"),
            ("chatd_drain_age_seconds{}", "0x30 4 0x20"),
            (r#"chatd_drain_age_seconds{pod="chat-1"}"#, "0 14 0x60"),
            (r#"chatd_drain_age_seconds{chatdeployment="of-one-pod"}"#, "0x35 25 0x20"),
            (r#"chatd_operator_deployment_desired_pods{chatdeployment="of-one-pod"}"#, "1x60"),
        ],
    ),
    case(
        "ChatdRoomsNearlyFull",
        &[("chatd_rooms{}", "900x60"), ("chatd_room_places{}", "1000x60")],
        &[("chatd_rooms{}", "800x60"), ("chatd_room_places{}", "1000x60")],
    ),
    case(
        "ChatdConnectionsNearlyFull",
        &[("chatd_connection_places_used{}", "900x60"), ("chatd_connection_places{}", "1000x60")],
        &[("chatd_connection_places_used{}", "800x60"), ("chatd_connection_places{}", "1000x60")],
    ),
    case(
        "ChatdSlowConsumers",
        &[
            ("chatd_slow_consumers_total{}", "0+10x60"),
            ("chatd_connections_shed_total{}", "0x60"),
            ("chatd_connections{}", "1000x60"),
        ],
        &[
            ("chatd_slow_consumers_total{}", "0+1x60"),
            ("chatd_connections_shed_total{}", "0x60"),
            ("chatd_connections{}", "1000x60"),
        ],
    ),
    case(
        "ChatdFileReloadFailed",
        &[("chatd_file_reload_failures_total{}", "0x35 1x20")],
        &[("chatd_file_reload_failures_total{}", "1x60")],
    ),
    case(
        "ChatdWebhookDropped",
        &[(r#"chatd_webhook_dropped_total{reason="expired"}"#, "0x35 3x20")],
        &[(r#"chatd_webhook_dropped_total{reason="expired"}"#, "3x60")],
    ),
    // The first sample is of 1970-01-01. A certificate of 90 days with 6 days left.
    case(
        "ChatdCertificateExpires",
        &[
            ("chatd_tls_certificate_expiry_timestamp_seconds{}", "518400x60"),
            ("chatd_tls_certificate_not_before_timestamp_seconds{}", "-7257600x60"),
        ],
        // One of 90 days with 29 days left, and one of a day with 8 hours left.
        &[
            ("chatd_tls_certificate_expiry_timestamp_seconds{}", "2505600x60"),
            ("chatd_tls_certificate_not_before_timestamp_seconds{}", "-5270400x60"),
            (r#"chatd_tls_certificate_expiry_timestamp_seconds{pod="chat-1"}"#, "31200x60"),
            (r#"chatd_tls_certificate_not_before_timestamp_seconds{pod="chat-1"}"#, "-55200x60"),
        ],
    ),
    case(
        "ChatdCertificateExpired",
        // One of two pods has not got the next one.
        &[
            ("chatd_tls_certificate_expiry_timestamp_seconds{}", "9000000x60"),
            (r#"chatd_tls_certificate_expiry_timestamp_seconds{pod="chat-1"}"#, "2340x60"),
        ],
        &[("chatd_tls_certificate_expiry_timestamp_seconds{}", "2460x60")],
    ),
    case("ChatdOperatorNoLeader", &[("chatd_operator_leader{}", "0x60")], &[("chatd_operator_leader{}", "1x60")]),
    case(
        "ChatdOperatorReconcileErrors",
        &[
            (r#"chatd_operator_reconciles_total{result="error"}"#, "0+2x60"),
            (r#"chatd_operator_reconciles_total{result="ok"}"#, "0+10x60"),
        ],
        &[
            (r#"chatd_operator_reconciles_total{result="error"}"#, "0x60"),
            (r#"chatd_operator_reconciles_total{result="ok"}"#, "0+10x60"),
        ],
    ),
    case(
        "ChatdOperatorQueueLong",
        &[("chatd_operator_queue_depth{}", "150x60")],
        &[("chatd_operator_queue_depth{}", "0x20 150x5 0x40")],
    ),
    case(
        "ChatdOperatorWritesMuch",
        &[("chatd_operator_api_writes_total{}", "0+300x90")],
        &[("chatd_operator_api_writes_total{}", "0+1x90")],
    ),
];

/// What else an alert tells of, beside the first series of its case: each is seen by itself alone.
const ALSO: [(&str, Series); 3] = [
    // No room leaves: a drain of an hour at most, seen for ten minutes.
    (
        "ChatdDrainSlow",
        &[
            (r#"chatd_drain_room_seconds_bucket{le="+Inf"}"#, "0x60"),
            ("chatd_drain_age_seconds{}", "0x30 0+60x20"),
            ("chatd_operator_deployment_desired_pods{}", "2x60"),
            (r#"chatd_drain_age_seconds{pod="chat-1"}"#, "0x60"),
        ],
    ),
    // One of 25 s, of which one scrape has come, 20 minutes ago; then the pod was gone.
    (
        "ChatdDrainSlow",
        &[("chatd_drain_age_seconds{}", "0x19 18 _x40"), ("chatd_drain_age_seconds{pod=\"chat-1\"}", "0x60")],
    ),
    // Of two pods one is to go: its rooms had the other one to move to.
    (
        "ChatdDrainSlow",
        &[
            ("chatd_drain_age_seconds{}", "0x30 0+60x20"),
            ("chatd_operator_deployment_desired_pods{}", "2x30 1x30"),
            (r#"chatd_drain_age_seconds{pod="chat-1"}"#, "0x60"),
        ],
    ),
];

/// As a scrape of a pod would label it.
fn series((series, values): &(&str, &str)) -> Value {
    let (name, labels) = series.strip_suffix('}').unwrap().split_once('{').unwrap();
    let own = [r#"namespace="games""#, r#"chatdeployment="chat""#, r#"pod="chat-0""#];
    let given =
        own.iter().filter(|label| !labels.contains(label.split('=').next().unwrap())).map(|label| (*label).to_owned());
    let all: Vec<String> =
        labels.split(',').filter(|label| !label.is_empty()).map(str::to_owned).chain(given).collect();
    json!({ "series": format!("{name}{{{}}}", all.join(",")), "values": values })
}

fn test(alert: &str, given: Series, fires: bool) -> Value {
    let expected = if fires { json!([{ "value": 1 }]) } else { json!([]) };
    json!({
        "name": format!("{alert} {}", if fires { "fires" } else { "does not fire" }),
        "interval": "1m",
        "input_series": given.iter().map(series).collect::<Vec<_>>(),
        "promql_expr_test": [{
            "expr": format!("count(ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}})"),
            "eval_time": if alert == "ChatdOperatorWritesMuch" { "70m" } else { "40m" },
            "exp_samples": expected,
        }],
    })
}

#[test]
fn every_alert_has_a_case_and_a_section_of_the_runbooks() {
    let names: Vec<&str> = ALERTS.iter().map(|alert| alert.name).collect();
    assert_eq!(CASES.iter().map(|case| case.alert).collect::<Vec<_>>(), names);
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbooks.md")).unwrap();
    let sections: Vec<(&str, &str)> =
        page.split("\n## ").skip(1).map(|section| section.split_once('\n').unwrap()).collect();
    assert_eq!(sections.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
    for (name, text) in sections {
        for part in ["**Meaning.**", "**Impact.**", "**Check.**", "**Do.**"] {
            assert_eq!(text.matches(part).count(), 1, "{name}: {part}");
        }
    }
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}

#[test]
#[ignore = "needs promtool"]
fn every_alert_fires_when_it_should_and_not_otherwise() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("alerts");
    std::fs::create_dir_all(&folder).unwrap();
    let both = |case: &Case| [test(case.alert, case.fires, true), test(case.alert, case.quiet, false)];
    let also = ALSO.iter().map(|(alert, series)| test(alert, series, true));
    let tests: Vec<Value> = CASES.iter().flat_map(both).chain(also).collect();
    let file = json!({ "rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests });
    std::fs::write(folder.join("rules.yaml"), to_yaml(&rule_file()).unwrap()).unwrap();
    std::fs::write(folder.join("tests.yaml"), to_yaml(&file).unwrap()).unwrap();
    for words in [["check", "rules", "rules.yaml"], ["test", "rules", "tests.yaml"]] {
        let output = Command::new("promtool").args(words).current_dir(&folder).output();
        let output = output.expect("promtool is missing: apt-get install prometheus");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}");
    }
}
