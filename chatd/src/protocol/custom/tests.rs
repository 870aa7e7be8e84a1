//! What may be an event's kind and data.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const BAD: Result<(), ErrorCode> = Err(ErrorCode::BadCommand);

#[test]
fn a_kind_is_a_short_word() {
    for kind in ["a", "typing", "app.move-2", "_", &"k".repeat(32)] {
        let parsed: EventKind = kind.parse().unwrap();
        assert_eq!(parsed.as_str(), kind);
        let bytes = postcard::to_allocvec(&parsed).unwrap();
        assert_eq!(postcard::from_bytes::<EventKind>(&bytes), Ok(parsed));
    }
    for kind in ["", "Typing", "a b", "a/b", "é", "a\n", &"k".repeat(33)] {
        assert_eq!(kind.parse::<EventKind>(), Err(KindError), "{kind:?}");
        let bytes = postcard::to_allocvec(kind).unwrap();
        assert!(postcard::from_bytes::<EventKind>(&bytes).is_err(), "from another pod: {kind:?}");
    }
}

#[test]
fn data_is_any_json_value() {
    for data in [
        "null",
        "true",
        "-0.5e-3",
        "18446744073709551615",
        "18446744073709551616",
        r#""a \u0000 \ud83d\ude00""#,
        "[]",
        "{}",
        r#"{"a":[1,{"a":2}],"b":{"a":3}, "":0}"#,
        " [ 1 ,\n\t2\r\n] ",
    ] {
        assert_eq!(check_data(data), Ok(()), "{data}");
    }
}

#[test]
fn data_that_readers_could_take_differently_is_refused() {
    for data in [
        "",
        "NaN",
        "Infinity",
        "-",
        "01",
        "1e999",
        "'a'",
        "[1,]",
        "{a:1}",
        "1 2",
        "[",
        r#""\ud83d""#,
        r#"{"\ud83d":1}"#,
        "\"a\nb\"",
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"[{"b":{"a":1,"b":2,"a":3}}]"#,
    ] {
        assert_eq!(check_data(data), BAD, "{data}");
    }
}

#[test]
fn data_is_as_deep_and_as_long_as_the_limits_say() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(check_data(&deep(MAX_DEPTH)), Ok(()));
    assert_eq!(check_data(&deep(MAX_DEPTH + 1)), BAD);
    assert_eq!(check_data(&deep(MAX_DATA / 2)), BAD, "and no overflow of the stack");
    assert_eq!(check_data(&"{\"a\":".repeat(MAX_DEPTH + 1)), BAD);
    let long = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    assert_eq!(check_data(&long(MAX_DATA)), Ok(()));
    assert_eq!(check_data(&long(MAX_DATA + 1)), Err(ErrorCode::LineTooLong));
}

proptest! {
    #[test]
    fn whatever_is_accepted_another_reader_reads(data in "[\\[\\]{}:,\"\\\\a-u0-9. \n]{0,60}|\\PC{0,40}") {
        let read = serde_json::from_str::<Value>(&data).is_ok();
        prop_assert!(check_data(&data).is_err() || read, "{}", data);
    }
}
