//! The values that messages of several types hold, as schemas. Pure: no I/O.

use chatd::protocol::{MAX_JOIN_TOKEN, MAX_TEXT, json::MAX_ID};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;

/// The client's number of a command. The answer has it too.
#[derive(JsonSchema, Serialize)]
pub struct Id(#[schemars(range(max = MAX_ID))] pub u64);

/// A room's id.
#[derive(JsonSchema, Serialize)]
pub struct RoomId(
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"))] pub &'static str,
);

/// A player's name, as everyone is shown it: normalised, at most 64 bytes of UTF-8.
#[derive(JsonSchema, Serialize)]
pub struct PlayerName(#[schemars(length(min = 1, max = 64))] pub &'static str);

/// A player's name, as a client writes it: 1 to 24 letters, digits and marks of any script, `_`, `-`, `.` and `'`, without spaces.
#[derive(JsonSchema, Serialize)]
pub struct WrittenName(
    #[schemars(length(min = 1), regex(pattern = r"^([A-Za-z0-9_.'-]{1,24}|.*[^\x00-\x7f].*)$"))] pub &'static str,
);

/// The sender: a player's name, or, for the application, the name that it has chosen, or `*`.
#[derive(JsonSchema, Serialize)]
pub struct Speaker(#[schemars(length(min = 1, max = 64))] pub &'static str);

/// At most 4,000 bytes of UTF-8, with up to 30 line feeds and no other control character but tab.
#[derive(JsonSchema, Serialize)]
pub struct Text(#[schemars(length(min = 1, max = MAX_TEXT))] pub &'static str);

/// A JWT that the application's backend has signed, at most 3,000 bytes.
#[derive(JsonSchema, Serialize)]
pub struct JoinToken(#[schemars(length(max = MAX_JOIN_TOKEN))] pub &'static str);

/// The kind of an application's event.
#[derive(JsonSchema, Serialize)]
pub struct Kind(#[schemars(length(min = 1, max = 32), regex(pattern = r"^[a-z0-9_.-]{1,32}$"))] pub &'static str);

/// A key of the room's state.
#[derive(JsonSchema, Serialize)]
pub struct StateKey(#[schemars(length(min = 1, max = 32), regex(pattern = r"^[a-z0-9_.-]{1,32}$"))] pub &'static str);

/// Identifies one count of a room's messages: an opaque string to compare and to send back.
#[derive(JsonSchema, Serialize)]
pub struct Timeline(pub &'static str);

/// Any JSON of at most 4,000 bytes and 32 levels, without a key twice in one object or a number beyond 64-bit floats.
#[derive(JsonSchema, Serialize)]
pub struct EventData(pub Value);

/// The `info` of the join token: any JSON of at most 512 bytes.
#[derive(JsonSchema, Serialize)]
pub struct Info(pub Value);

/// Proves that a seat belongs to the client. Keep it like a password.
#[derive(JsonSchema, Serialize)]
pub struct Token(#[schemars(length(min = 1, max = 122), regex(pattern = r"^[A-Za-z0-9_-]{1,122}$"))] pub &'static str);

/// Any JSON of at most 512 bytes, with the same checks as the data of an event.
#[derive(JsonSchema, Serialize)]
pub struct Presence(pub Value);

/// Any JSON, with the same checks as the data of an event. All keys and values of a room have at most 8 KiB.
#[derive(JsonSchema, Serialize)]
pub struct StateValue(pub Value);

/// What the server does when the room is at another pod.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnWrongPod {
    Relay,
    Redirect,
}

/// From the code's own list.
#[derive(Serialize)]
#[serde(transparent)]
pub struct ErrorCode(pub &'static str);

impl JsonSchema for ErrorCode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ErrorCode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let all = chatd::protocol::ErrorCode::ALL;
        let sentences: serde_json::Map<_, _> =
            all.iter().map(|code| (code.as_str().to_owned(), code.sentence().into())).collect();
        json_schema!({
            "description": "An error code. Later versions may have more; `room_exists` is of the server API alone.",
            "type": "string",
            "enum": all.map(chatd::protocol::ErrorCode::as_str).as_slice(),
            "x-enum-descriptions": sentences,
        })
    }
}

/// `quit`, or from the code's own list.
#[derive(Serialize)]
#[serde(transparent)]
pub struct ByeCode(pub &'static str);

impl JsonSchema for ByeCode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ByeCode".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Why the server closes the connection: `quit` or an error code. The close frame has the error code as its reason.",
            "anyOf": [{ "const": "quit" }, generator.subschema_for::<ErrorCode>()],
        })
    }
}

/// From the code's own list.
#[derive(Serialize)]
#[serde(transparent)]
pub struct ExitReason(pub &'static str);

impl JsonSchema for ExitReason {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ExitReason".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Why a player is no longer in the room.",
            "type": "string",
            "enum": chatd::protocol::ExitReason::ALL.map(chatd::protocol::ExitReason::as_str),
        })
    }
}
