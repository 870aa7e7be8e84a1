//! The names of metrics and their format. No I/O.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;

fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn figures_come_out_under_their_names() {
    let mut snapshot =
        Snapshot { ready: true, directory: Some(DirectoryState::Away(NoAnswer::Timeout)), ..Snapshot::default() };
    snapshot.drain_age = 17;
    snapshot.counters.joined(Err(crate::protocol::ErrorCode::RoomFull), 3_000);
    snapshot.counters.messages_out = u64::MAX;
    snapshot.gauges.connections_web = 3;
    snapshot.process.cpu = Duration::from_millis(1500);
    snapshot.directory_counters.asked(Duration::from_micros(300), None);
    snapshot.directory_counters.asked(Duration::from_secs(2), Some(NoAnswer::Timeout));
    let text = snapshot.encode().unwrap();
    for (series, expected) in [
        ("chatd_ready", 1.0),
        ("chatd_draining", 0.0),
        ("chatd_drain_age_seconds", 17.0),
        ("chatd_connections{kind=\"web\"}", 3.0),
        ("chatd_joins_total{result=\"room_full\"}", 1.0),
        ("chatd_joins_total{result=\"joined\"}", 0.0),
        ("chatd_join_seconds_bucket{le=\"2.0\"}", 0.0),
        ("chatd_join_seconds_bucket{le=\"5.0\"}", 1.0),
        ("chatd_join_seconds_sum", 3.0),
        ("chatd_directory_state{state=\"timeout\"}", 1.0),
        ("chatd_directory_state{state=\"ok\"}", 0.0),
        ("chatd_prefix_in_use", 0.0),
        ("chatd_directory_errors_total{kind=\"timeout\"}", 1.0),
        ("chatd_directory_request_seconds_bucket{le=\"0.00025\"}", 0.0),
        ("chatd_directory_request_seconds_bucket{le=\"0.0005\"}", 1.0),
        ("chatd_directory_request_seconds_bucket{le=\"+Inf\"}", 2.0),
        ("chatd_directory_request_seconds_count", 2.0),
        ("chatd_directory_request_seconds_sum", 2.0003),
        ("process_cpu_seconds_total", 1.5),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series} in\n{text}");
    }
    assert!(text.contains("chatd_messages_out_total 18446744073709551615\n"));
    assert!(text.contains(&format!("chatd_build_info{{version=\"{}\"}} 1\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn the_text_is_open_metrics() {
    let text = Snapshot::default().encode().unwrap();
    assert!(text.ends_with("# EOF\n"));
    let mut seen = std::collections::HashSet::new();
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        let name = line.split(' ').nth(2).unwrap();
        assert!(seen.insert(name.to_owned()), "twice: {name}");
        assert!(name.starts_with("chatd_") || name.starts_with("process_"), "{name}");
        assert!(!name.ends_with("_total"), "{name}: the suffix is the encoding's");
    }
    assert!(seen.len() > 40);
}
