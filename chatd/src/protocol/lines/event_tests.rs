//! Events of applications as lines.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::protocol::testing::any_parts;
use crate::protocol::{Custom, MAX_DATA};

#[test]
fn events_are_asked_for_with_join_and_resume() {
    for (line, wanted) in [
        ("JOIN abc12def alice EVENTS", true),
        ("JOIN abc12def alice RELAY EVENTS RESUMABLE", true),
        ("JOIN abc12def alice events", false),
        ("RESUME abc12def t0k3n EVENTS", true),
        ("RESUME abc12def t0k3n RELAY EVENTS", true),
        ("RESUME abc12def t0k3n", false),
    ] {
        match parse(line.as_bytes(), false).unwrap() {
            Ok(Command::Join { events, .. } | Command::Resume { events, .. }) => assert_eq!(events, wanted, "{line}"),
            other => panic!("{line}: {other:?}"),
        }
    }
}

fn event_line(data: &str) -> String {
    let (from, kind) = ("n".repeat(24).parse().unwrap(), "k".repeat(32));
    let custom = Custom { from, kind: &kind, data, seq: None, at: 1, replay: false, to: None, reached: None };
    let mut out = Vec::new();
    encode_with_events(&Event::Custom(custom), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn an_event_is_one_line_whatever_its_data_holds() {
    let (from, kind) = ("n".repeat(24), "k".repeat(32));
    for (data, expected) in [
        ("{\"a\":\n\t1,\r\n\"b\":[ ]}", "{\"a\":  1,  \"b\":[ ]}"),
        ("\"a\\nb\"", "\"a\\nb\""),
        ("\"\u{9b}31m \u{85}\u{2028}\u{202e}é\"", "\"\\u009b31m \\u0085\\u2028\\u202eé\""),
    ] {
        assert_eq!(event_line(data), format!("EVENT {from} {kind} {expected}\n"));
    }
    let longest = format!("\"{}\"", "\u{9b}".repeat((MAX_DATA - 2) / 2));
    assert!(event_line(&longest).len() < 3 * MAX_DATA + 100);
    let mut others = Vec::new();
    encode_with_events(&Event::Pong, &mut others);
    assert_eq!(others, b"PONG\n");
}

proptest! {
    #[test]
    fn an_event_is_read_from_its_line_as_from_its_data(parts in any_parts()) {
        let line = event_line(&parts.data);
        let controls = line.chars().filter(|character| character.is_control() && *character != '\u{7f}').count();
        prop_assert_eq!(controls, 1, "the end alone");
        let data = line.trim_end_matches('\n').splitn(4, ' ').nth(3).unwrap();
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        prop_assert_eq!(read(data), read(&parts.data));
    }
}
