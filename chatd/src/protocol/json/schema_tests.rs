//! Holds docs/asyncapi.json, which is made of types that stand for messages, against what the codec writes and reads.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::tests::encoded;
use super::*;
use crate::protocol::testing::any_parts;
use crate::protocol::{Custom, Event, MAX_JOIN_TOKEN, MAX_TEXT};

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../../docs/asyncapi.json")).unwrap());

/// Whether `value` is as `schema` says: those keywords of JSON Schema draft 7 that the document uses.
fn fits(schema: &Value, value: &Value) -> bool {
    let Some(keywords) = schema.as_object() else { return schema.as_bool().unwrap() };
    let wide = |text: &str| text.chars().count() as u64;
    keywords.iter().all(|(keyword, wanted)| match keyword.as_str() {
        "$ref" => {
            assert_eq!(keywords.len(), 1, "what stands beside a reference does not count");
            fits(shared(wanted.as_str().unwrap().strip_prefix("#/components/schemas/").unwrap()), value)
        }
        "type" => match wanted {
            Value::Array(types) => types.iter().any(|wanted| is_of(wanted, value)),
            wanted => is_of(wanted, value),
        },
        "const" => value == wanted,
        "enum" => wanted.as_array().unwrap().contains(value),
        "anyOf" => wanted.as_array().unwrap().iter().any(|schema| fits(schema, value)),
        "allOf" => wanted.as_array().unwrap().iter().all(|schema| fits(schema, value)),
        "properties" => {
            let fields = wanted.as_object().unwrap();
            fields.iter().all(|(name, schema)| value.get(name).is_none_or(|value| fits(schema, value)))
        }
        "required" => !value.is_object() || words(wanted).iter().all(|name| value.get(name).is_some()),
        "items" => value.as_array().is_none_or(|values| values.iter().all(|value| fits(wanted, value))),
        "maxItems" => value.as_array().is_none_or(|values| values.len() as u64 <= wanted.as_u64().unwrap()),
        "minLength" => value.as_str().is_none_or(|text| wide(text) >= wanted.as_u64().unwrap()),
        "maxLength" => value.as_str().is_none_or(|text| wide(text) <= wanted.as_u64().unwrap()),
        "pattern" => {
            let pattern = regex::Regex::new(wanted.as_str().unwrap()).unwrap();
            value.as_str().is_none_or(|text| pattern.is_match(text))
        }
        "minimum" => value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|number| number <= wanted.as_f64().unwrap()),
        "description" | "format" | "x-enum-descriptions" => true,
        other => panic!("this test does not know the keyword {other}"),
    })
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("this test does not know the type {other}"),
    }
}

fn shared(name: &str) -> &'static Value {
    &DOCUMENT["components"]["schemas"][name]
}

fn payload(kind: &str) -> &'static Value {
    &DOCUMENT["components"]["messages"][kind]["payload"]
}

fn words(list: &Value) -> BTreeSet<&str> {
    list.as_array().into_iter().flatten().map(|word| word.as_str().unwrap()).collect()
}

fn names(object: &Value) -> BTreeSet<&str> {
    object.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

/// The types of all messages that `value` could be.
fn kinds_of(value: &Value) -> Vec<&'static str> {
    names(&DOCUMENT["components"]["messages"]).into_iter().filter(|kind| fits(payload(kind), value)).collect()
}

/// The types of messages that the server receives.
fn commands() -> BTreeSet<&'static str> {
    let operations = DOCUMENT["operations"].as_object().unwrap();
    let received = operations.iter().filter(|(_, operation)| operation["action"] == "receive");
    received.map(|(name, _)| name.as_str()).collect()
}

fn example(kind: &str) -> Value {
    DOCUMENT["components"]["messages"][kind]["examples"][0]["payload"].clone()
}

/// The variants that a source names, such as `Say` of `Command::Say`.
fn named<'a>(source: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    source.split(prefix).skip(1).map(first_word).collect()
}

fn first_word(text: &str) -> &str {
    text.split(|character: char| !character.is_alphanumeric()).next().unwrap()
}

/// Events of every variant, with and without what they may lack; always the same.
fn some_events(mut each: impl FnMut(&Event<'_>)) {
    let mut runner = TestRunner::deterministic();
    let system = crate::protocol::PlayerName::system("").unwrap();
    for _ in 0..64 {
        let parts = any_parts().new_tree(&mut runner).unwrap().current();
        for event in parts.events() {
            each(&event);
            match event {
                Event::Message { text, seq, at, replay, .. } => {
                    each(&Event::Message { from: system, text, seq, at, replay });
                }
                Event::Custom(custom) => each(&Event::Custom(Custom { from: system, ..custom })),
                _ => {}
            }
        }
    }
}

/// The fields that were there in all values of one kind, and in any.
#[derive(Default)]
struct Seen(BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>);

impl Seen {
    fn note(&mut self, kind: &str, value: &Value) {
        let fields: BTreeSet<String> = names(value).into_iter().map(str::to_owned).collect();
        let (always, ever) = self.0.entry(kind.to_owned()).or_insert_with(|| (fields.clone(), BTreeSet::new()));
        always.retain(|field| fields.contains(field));
        ever.extend(fields);
    }

    fn check(&self, kind: &str, schema: &Value) {
        let (always, ever) = &self.0[kind];
        let always: BTreeSet<&str> = always.iter().map(String::as_str).filter(|field| *field != "id").collect();
        assert_eq!(always, words(&schema["required"]), "required of {kind}");
        assert_eq!(ever.iter().map(String::as_str).collect::<BTreeSet<_>>(), names(&schema["properties"]), "{kind}");
    }
}

#[test]
fn what_the_server_writes_is_what_the_document_says() {
    let mut seen = Seen::default();
    let mut variants = BTreeSet::new();
    some_events(|event| {
        variants.insert(first_word(&format!("{event:?}")).to_owned());
        let bare: Value = serde_json::from_str(&encoded(event, None)).unwrap();
        let kind = bare["type"].as_str().unwrap();
        // The answer to a command that JSON does not have.
        if kind == "help" {
            return;
        }
        assert_eq!(kinds_of(&bare), [kind], "{bare}");
        let has_id = payload(kind)["properties"].get("id").is_some();
        let value: Value = serde_json::from_str(&encoded(event, has_id.then_some(MAX_ID))).unwrap();
        assert_eq!(kinds_of(&value), [kind], "{value}");
        seen.note(kind, &value);
        for player in value["players"].as_array().into_iter().flatten() {
            seen.note("Player", player);
        }
        let state = if kind == "joined" { &value["state"] } else { &value };
        for entry in state["entries"].as_array().into_iter().flatten() {
            seen.note("StateEntry", entry);
        }
        if kind == "joined" && state.is_object() {
            seen.note("RoomState", state);
        }
    });
    // The codec's match has all variants.
    let all = named(include_str!("write.rs"), "Event::");
    assert_eq!(variants.iter().map(String::as_str).collect::<BTreeSet<_>>(), all);
    for name in ["Player", "StateEntry", "RoomState"] {
        seen.check(name, shared(name));
        seen.0.remove(name);
    }
    let messages = names(&DOCUMENT["components"]["messages"]);
    let commands = commands();
    assert!(seen.0.keys().map(String::as_str).eq(messages.into_iter().filter(|kind| !commands.contains(kind))));
    for kind in seen.0.keys() {
        seen.check(kind, payload(kind));
    }
}

#[test]
fn the_lists_of_words_are_those_of_the_code() {
    let codes = ErrorCode::ALL.map(ErrorCode::as_str);
    assert_eq!(shared("ErrorCode")["enum"], json!(codes.as_slice()));
    for code in codes.into_iter().chain(["quit"]) {
        assert_eq!(kinds_of(&json!({"type": "bye", "code": code})), ["bye"]);
        let closes = DOCUMENT["channels"]["ws"]["x-close-codes"].as_array().unwrap();
        let close = closes.iter().find(|close| words(&close["codes"]).contains(code)).unwrap();
        assert_eq!(close["number"], crate::protocol::close_code(ErrorCode::from_word(code.as_bytes())));
    }
    for reason in crate::protocol::ExitReason::ALL.map(crate::protocol::ExitReason::as_str) {
        assert_eq!(kinds_of(&json!({"type": "exited", "name": "bob", "reason": reason})), ["exited"]);
    }
    for value in [json!({"type": "bye", "code": "x"}), json!({"type": "exited", "name": "bob", "reason": "x"})] {
        assert_eq!(kinds_of(&value), [""; 0]);
    }
}

#[test]
fn what_answers_a_command_has_an_id_and_each_event_comes_in_an_operation() {
    let operations = DOCUMENT["operations"].as_object().unwrap();
    let kinds = |messages: &'static Value| {
        let references = messages.as_array().unwrap().iter().map(|message| message["$ref"].as_str().unwrap());
        references.map(|reference| reference.strip_prefix("#/channels/ws/messages/").unwrap()).collect::<BTreeSet<_>>()
    };
    let answers: BTreeSet<_> =
        commands().iter().flat_map(|kind| kinds(&operations[*kind]["reply"]["messages"])).collect();
    let mut events = names(&DOCUMENT["components"]["messages"]);
    events.retain(|kind| !commands().contains(kind));
    assert_eq!(&answers | &kinds(&operations["tell"]["messages"]), events);
    events.retain(|kind| payload(kind)["properties"].get("id").is_some());
    assert_eq!(answers, events);
}

#[test]
fn each_message_has_an_example_of_its_type() {
    for kind in names(&DOCUMENT["components"]["messages"]) {
        assert_eq!(kinds_of(&example(kind)), [kind]);
    }
}

#[test]
fn each_command_of_the_parser_has_an_example_that_it_takes() {
    let source = include_str!("../json.rs");
    let types = source.lines().filter_map(|line| line.trim_start().strip_prefix('"')?.split_once("\" => "));
    assert_eq!(types.map(|(kind, _)| kind).collect::<BTreeSet<_>>(), commands());
    let parsed = commands().into_iter().map(|kind| {
        let text = example(kind).to_string();
        match parse(&text) {
            (Some(7), Ok(command)) => first_word(&format!("{command:?}")).to_owned(),
            other => panic!("{text}: {other:?}"),
        }
    });
    let parsed: BTreeSet<_> = parsed.collect();
    assert_eq!(parsed.iter().map(String::as_str).collect::<BTreeSet<_>>(), named(source, "Command::"));
}

/// Values of every type, and some long ones.
fn any_values() -> Vec<Value> {
    let long = [1, 22, 32, 33, 64, 65, MAX_JOIN_TOKEN, MAX_JOIN_TOKEN + 1, MAX_TEXT, MAX_TEXT + 1];
    let mut values = vec![json!(null), json!(true), json!(false), json!(-1), json!(0), json!(1.5), json!(MAX_ID + 1)];
    values.extend([
        json!(MAX_BAN + 1),
        json!(u64::MAX),
        json!([]),
        json!(["a"]),
        json!([5]),
        json!({}),
        json!({"a": 1}),
    ]);
    values.extend(["", "A", "a b", "a\n", "é", "-a", "relay"].map(Value::from));
    values.extend(long.map(|length| "a".repeat(length).into()));
    values.extend([json!(vec!["a"; 64]), json!(vec!["a"; 65])]);
    values
}

#[test]
fn what_a_schema_refuses_the_parser_refuses_too() {
    let all: BTreeSet<&str> = commands().into_iter().flat_map(|kind| names(&payload(kind)["properties"])).collect();
    assert_eq!(all.len(), Field::Unknown as usize, "the fields that the parser knows");
    for kind in commands() {
        let schema = payload(kind);
        let example = example(kind);
        let is_taken = |message: &Value| parse(&message.to_string()).1.is_ok();
        for field in &all {
            let with = |value: &Value| {
                let mut message = example.clone();
                message[*field] = value.clone();
                message
            };
            let messages: Vec<Value> = any_values().iter().map(with).collect();
            if schema["properties"].get(*field).is_none() {
                for message in messages {
                    assert_eq!(
                        parse(&message.to_string()),
                        parse(&example.to_string()),
                        "not in the schema: {message}"
                    );
                }
                continue;
            }
            for message in &messages {
                assert!(fits(schema, message) || !is_taken(message), "only the parser takes {message}");
            }
            let any_json = ["data", "value"].contains(field);
            assert_eq!(messages.iter().all(|message| fits(schema, message)), any_json, "{field} of {kind}");
            let mut without = example.clone();
            without.as_object_mut().unwrap().remove(*field);
            assert_eq!(
                is_taken(&without),
                !words(&schema["required"]).contains(field),
                "{field} of {kind} is required"
            );
            assert_eq!(is_taken(&without), fits(schema, &without), "{without}");
        }
    }
}

#[test]
fn the_limits_of_the_schemas_are_those_of_the_parser() {
    let word = |length: usize| json!("a".repeat(length));
    let names = |length: usize| json!(vec!["a"; length]);
    for (kind, field, longest, next) in [
        ("say", "text", word(4_000), word(4_001)),
        ("join", "room", word(64), word(65)),
        ("join", "name", word(24), word(25)),
        ("join", "key", word(64), word(65)),
        ("join", "key", word(22), word(21)),
        ("join", "auth", word(3_000), word(3_001)),
        ("refresh", "auth", word(3_000), word(3_001)),
        ("create_room", "auth", word(3_000), word(3_001)),
        ("resume", "room", word(64), word(65)),
        ("send", "kind", word(32), word(33)),
        ("send", "to", names(64), names(65)),
        ("state_set", "key", word(32), word(33)),
        ("kick", "name", word(24), word(25)),
        ("kick", "ban_s", json!(2_592_000), json!(2_592_001)),
        ("kick", "ban_s", json!(1), json!(0)),
        ("ping", "id", json!(MAX_ID), json!(MAX_ID + 1)),
    ] {
        for (value, expected) in [(longest, true), (next, false)] {
            let mut message = example(kind);
            message[field] = value;
            assert_eq!(fits(payload(kind), &message), expected, "{kind}: {message}");
            assert_eq!(parse(&message.to_string()).1.is_ok(), expected, "{kind}: {message}");
        }
    }
}
