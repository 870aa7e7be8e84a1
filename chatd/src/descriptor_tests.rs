//! Tests of descriptors: what is read, and why the rest is refused.
#![allow(clippy::unwrap_used)]

use super::*;

const WHOLE: &str = r#"{"max_players":8,"seat_hold":120,"empty_ttl":60,"replay_messages":200,"replay_bytes":65536,"access":"token","locked":true,"listed":true,"kind":"duel","labels":["ranked","region:eu"],"expires_at":1795461000,"webhook":true,"state":"kept"}"#;

#[test]
fn a_descriptor_comes_back_as_it_was_written_and_an_empty_one_says_nothing() {
    let whole = Descriptor::parse(WHOLE).unwrap();
    assert_eq!(serde_json::to_string(&whole).unwrap(), WHOLE);
    assert_eq!(serde_json::from_str::<Descriptor>(WHOLE).unwrap(), whole);
    for text in ["{}", r#"{"locked":false,"labels":[],"kind":null,"access":null}"#] {
        let empty = Descriptor::parse(text).unwrap();
        assert!(empty.is_empty(), "{text}");
        assert_eq!(serde_json::to_string(&empty).unwrap(), "{}");
    }
    assert!(!Descriptor::parse(r#"{"max_players":4}"#).unwrap().is_empty(), "it stays 4 where the setting changes");
}

#[test]
fn each_refusal_says_what_is_wrong() {
    let long = format!(r#"{{"kind":"{}"}}"#, "x".repeat(512));
    for (text, reason) in [
        (r#"{"maxPlayers":8}"#, "no descriptor has a field maxPlayers"),
        ("{\"a\\n\u{e9} b\":8}", "no descriptor has a field a????b"),
        (r#"{"locked":true,"locked":false}"#, "locked is there twice"),
        (r#"{"max_players":0}"#, "max_players must be a whole number from 1 to 64"),
        (r#"{"max_players":65}"#, "max_players must be a whole number from 1 to 64"),
        (r#"{"max_players":"8"}"#, "max_players must be a whole number from 1 to 64"),
        (r#"{"max_players":8.5}"#, "max_players must be a whole number from 1 to 64"),
        (r#"{"seat_hold":601}"#, "seat_hold must be seconds, a whole number from 0 to 600"),
        (r#"{"empty_ttl":0}"#, "empty_ttl must be seconds, a whole number from 1 to 86400"),
        (r#"{"replay_messages":1001}"#, "replay_messages must be a whole number from 0 to 1000"),
        (r#"{"replay_messages":-1}"#, "replay_messages must be a whole number from 0 to 1000"),
        (r#"{"replay_bytes":4194305}"#, "replay_bytes must be a whole number from 0 to 4194304"),
        (r#"{"access":"open"}"#, "access must be link or token"),
        (r#"{"locked":1}"#, "locked must be true or false"),
        (r#"{"listed":"yes"}"#, "listed must be true or false"),
        (r#"{"state":"lost"}"#, "state must be kept"),
        (r#"{"webhook":[]}"#, "webhook must be true or false"),
        (r#"{"kind":"two words"}"#, "kind must be 1 to 32 of a-z, A-Z, 0-9, _ . : = / and -"),
        (r#"{"kind":"123456789012345678901234567890123"}"#, "kind must be 1 to 32 of a-z, A-Z, 0-9, _ . : = / and -"),
        (r#"{"expires_at":-1}"#, "expires_at must be a time in Unix seconds (not milliseconds), a whole number"),
        (
            r#"{"expires_at":1795461000000}"#,
            "expires_at must be a time in Unix seconds (not milliseconds), a whole number",
        ),
        ("[]", "it is not a JSON object"),
        (r#"{"locked":true"#, "it is not a JSON object"),
        (&long, "it is longer than 512 bytes"),
    ] {
        assert_eq!(Descriptor::parse(text).unwrap_err().to_string(), reason, "{text}");
    }
    for labels in [r#"["a","a"]"#, r#"[""]"#, r#"["1","2","3","4","5","6","7","8","9"]"#, r#""a""#, r#"{"a":"b"}"#] {
        let refused = Descriptor::parse(&format!(r#"{{"labels":{labels}}}"#)).unwrap_err();
        assert!(refused.to_string().starts_with("labels must be at most 8 different words"), "{labels}");
    }
}

#[test]
fn what_a_later_version_says_in_a_stored_one_is_ignored() {
    let stored: Descriptor = serde_json::from_str(r#"{"max_players":8,"music":{"loud":true}}"#).unwrap();
    assert_eq!(stored, Descriptor { max_players: Some(8), ..Descriptor::default() });
}

#[test]
fn a_room_ends_when_its_time_has_come() {
    let descriptor = Descriptor { expires_at: Some(100), ..Descriptor::default() };
    assert_eq!([99_999, 100_000].map(|wall| descriptor.has_expired(wall)), [false, true]);
    assert!(!Descriptor::default().has_expired(u64::MAX));
}
