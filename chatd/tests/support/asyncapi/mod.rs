//! The AsyncAPI document of `/ws`. The codec is written by hand, so the document is made of small types that stand for its messages; a
//! test of the codec (chatd/src/protocol/json/schema_tests.rs) holds the document against it. Pure: no I/O.

use std::collections::BTreeMap;

use chatd::protocol::close_code;
use schemars::JsonSchema;
use schemars::generate::{Contract, SchemaSettings};
use schemars::transform::{RemoveRefSiblings, Transform};
use serde::Serialize;
use serde_json::{Map, Value, json};

mod commands;
mod events;
mod values;

use values::Id;

/// Of a seat, in examples.
const TOKEN: &str = "AR8vAAAAAAAAACpkX3QyVg8mC1lYk0xJYmFsaWNl";
/// The answers to each command, besides `error`.
const ANSWERS: [(&str, &[&str]); 15] = [
    ("create_room", &["room"]),
    ("join", &["joined", "redirect"]),
    ("resume", &["joined", "redirect"]),
    ("say", &["message"]),
    ("send", &["event"]),
    ("set", &["player"]),
    ("state_set", &["state"]),
    ("refresh", &["refreshed"]),
    ("kick", &["kicked"]),
    ("lock", &["locked"]),
    ("unlock", &["unlocked"]),
    ("who", &["players"]),
    ("ping", &["pong"]),
    ("leave", &["left"]),
    ("quit", &["bye"]),
];
/// What comes only as an answer.
const ONLY_ANSWERS: [&str; 6] = ["room", "joined", "refreshed", "kicked", "players", "pong"];

const ABOUT: &str = "Chat rooms over a WebSocket. Each message is one JSON object with a `type`, of at most 32 KiB, in one or \
    more text frames. Both sides ignore unknown fields, and clients ignore unknown messages. A duplicate field is `bad_command`. \
    Every command gets one answer with its `id`, and answers come in the order of the commands. docs/protocol.md explains the messages.";

/// The whole document, as JSON.
pub fn document() -> String {
    let mut schemas = Map::new();
    let mut commands = Messages::of::<commands::Command>(Contract::Deserialize, &mut schemas);
    let mut events = Messages::of::<events::Told>(Contract::Serialize, &mut schemas);
    commands.add_examples(&commands::examples());
    events.add_examples(&events::examples());
    let answers: Vec<&str> = ANSWERS.iter().flat_map(|(_, answers)| *answers).copied().chain(["error"]).collect();
    let told: Vec<&str> = events.0.keys().map(String::as_str).filter(|kind| !ONLY_ANSWERS.contains(kind)).collect();
    let operations = operations(&told);
    for command in commands.0.values_mut() {
        let id = json!({"anyOf": [schema_reference("Id"), {"type": "null"}]});
        number(command, id);
    }
    for (kind, event) in &mut events.0 {
        if answers.contains(&kind.as_str()) {
            number(event, schema_reference("Id"));
        }
    }
    let messages: Map<_, _> = commands.0.into_iter().chain(events.0).collect();
    let channel: Map<_, _> =
        messages.keys().map(|kind| (kind.clone(), reference(&["components", "messages", kind]))).collect();
    let document = json!({
        "asyncapi": "3.0.0",
        "info": {"title": "chatd", "version": "1", "description": ABOUT, "license": {"name": "MIT or Apache-2.0"}},
        "defaultContentType": "application/json",
        "servers": {"local": {
            "host": "localhost:8081",
            "protocol": "ws",
            "description": "The web port of a local pod. Deployments use TLS (wss).",
        }},
        "channels": {"ws": {
            "address": "/ws",
            "description": "A WebSocket with the subprotocol `chatd.v1`. Before the server closes it, it sends `bye`, \
                except after a violation of the WebSocket protocol. `x-close-codes` has the numbers of close frames, each with the \
                codes of `bye`.",
            "messages": channel,
            "bindings": {"ws": {
                "method": "GET",
                "headers": {
                    "type": "object",
                    "properties": {"Sec-WebSocket-Protocol": {"type": "string", "const": "chatd.v1"}},
                },
                "bindingVersion": "0.1.0",
            }},
            "x-close-codes": close_codes(),
        }},
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    });
    // Plain data can always be written.
    format!("{document:#}\n")
}

/// AsyncAPI's messages by their types.
struct Messages(BTreeMap<String, Value>);

impl Messages {
    /// One for each variant of `T`. What they share goes to `shared`.
    fn of<T: JsonSchema>(contract: Contract, shared: &mut Map<String, Value>) -> Self {
        let settings = SchemaSettings::draft07().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.contract = contract.clone();
        });
        let mut generator = settings.into_generator();
        generator.subschema_for::<Id>();
        let mut variants = T::json_schema(&mut generator);
        RemoveRefSiblings::default().transform(&mut variants);
        let sent = matches!(contract, Contract::Serialize);
        for (name, mut schema) in generator.take_definitions(true) {
            if sent {
                never_null(&mut schema);
            }
            let before = shared.insert(name.clone(), schema.clone());
            assert!(before.is_none_or(|before| before == schema), "{name} is two things");
        }
        let message = |variant: &Value| {
            let mut payload = variant.clone();
            if sent {
                never_null(&mut payload);
            }
            let kind = payload["properties"]["type"]["const"].as_str().expect("a type").to_owned();
            let summary = payload.as_object_mut().and_then(|payload| payload.remove("description"));
            (kind.clone(), json!({"name": kind, "summary": summary, "payload": payload}))
        };
        Self(variants.get("oneOf").and_then(Value::as_array).into_iter().flatten().map(message).collect())
    }

    fn add_examples(&mut self, examples: &[impl Serialize]) {
        for example in examples {
            let payload = json!(example);
            let kind = payload["type"].as_str().expect("a type");
            let message = self.0.get_mut(kind).expect("a message of this type");
            message["examples"] = json!([{"payload": payload}]);
        }
    }
}

/// Adds the `id` to a message and its example.
fn number(message: &mut Value, id: Value) {
    message["payload"]["properties"]["id"] = id;
    message["examples"][0]["payload"]["id"] = json!(7);
}

/// The server leaves out what is not there: of its messages no optional field is null.
fn never_null(schema: &mut Value) {
    let required = schema["required"].clone();
    let is_required = |name: &String| required.as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (_, property) in properties.iter_mut().filter(|(name, _)| !is_required(name)) {
        let property = property.as_object_mut().expect("a schema");
        if let Some([one, null]) = property.get("type").and_then(Value::as_array).map(Vec::as_slice) {
            assert_eq!(null, "null");
            property["type"] = one.clone();
        } else if let Some(Value::Array(mut either)) = property.remove("anyOf") {
            assert_eq!(either.pop(), Some(json!({"type": "null"})));
            property.insert("allOf".to_owned(), either.into());
        }
    }
}

/// The commands with their answers, and what the server sends unasked.
fn operations(told: &[&str]) -> Map<String, Value> {
    let channel = || reference(&["channels", "ws"]);
    let messages = |kinds: &[&str]| -> Vec<Value> {
        kinds.iter().map(|kind| reference(&["channels", "ws", "messages", kind])).collect()
    };
    let mut operations = Map::new();
    for (command, answers) in ANSWERS {
        let reply = json!({"channel": channel(), "messages": messages(&[answers, &["error"]].concat())});
        let operation =
            json!({"action": "receive", "channel": channel(), "messages": messages(&[command]), "reply": reply});
        operations.insert(command.to_owned(), operation);
    }
    let tell = json!({
        "action": "send",
        "summary": "What the server sends unasked.",
        "channel": channel(),
        "messages": messages(told),
    });
    operations.insert("tell".to_owned(), tell);
    operations
}

/// The numbers of close frames, each with the codes of `bye`.
fn close_codes() -> Vec<Value> {
    let mut byes: BTreeMap<u16, Vec<&str>> = BTreeMap::from([(close_code(None), vec!["quit"])]);
    for code in chatd::protocol::ErrorCode::ALL {
        byes.entry(close_code(Some(code))).or_default().push(code.as_str());
    }
    let mut all: Vec<_> = byes.iter().map(|(number, codes)| json!({"number": number, "codes": codes})).collect();
    let others = [(1002, "broken framing"), (1003, "a binary message"), (1007, "a text message that is not UTF-8")];
    all.extend(others.map(|(number, description)| json!({"number": number, "description": description})));
    all
}

fn schema_reference(name: &str) -> Value {
    reference(&["components", "schemas", name])
}

fn reference(path: &[&str]) -> Value {
    json!({"$ref": format!("#/{}", path.join("/"))})
}
