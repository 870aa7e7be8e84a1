//! Every message that a client may send. Pure: no I/O.

use chatd::protocol::{MAX_BAN, MAX_PLAYERS};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::values::{
    EventData, JoinToken, Kind, OnWrongPod, Presence, RoomId, StateKey, StateValue, Text, Timeline, WrittenName,
};

/// An optional field that is null counts as absent.
#[derive(JsonSchema, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Command {
    /// Creates an empty room. The client is not in it yet.
    CreateRoom { auth: Option<JoinToken> },
    /// Takes a seat in a room.
    Join {
        room: RoomId,
        name: WrittenName,
        /// The server holds the seat after a dropped connection, and the answer has a token for it.
        resumable: Option<bool>,
        /// The client chooses it at random (128 bits). A `join` with the same room, name and key gets the same seat.
        key: Option<Key>,
        auth: Option<JoinToken>,
        /// The default is `relay`.
        on_wrong_pod: Option<OnWrongPod>,
    },
    /// Takes a held seat back, also while its old connection seems to be open.
    Resume {
        room: RoomId,
        /// The last `token` of the seat, unchanged.
        token: String,
        /// With `last_seq`: the last message that the client has, so that the server replays later ones.
        timeline: Option<Timeline>,
        last_seq: Option<u64>,
        /// The default is `relay`.
        on_wrong_pod: Option<OnWrongPod>,
    },
    /// Sends a text to the room. Everyone gets the answer.
    Say { text: Text },
    /// Sends an event of the application.
    Send {
        kind: Kind,
        data: EventData,
        /// Only these players get the event.
        #[schemars(length(max = MAX_PLAYERS))]
        to: Option<Vec<WrittenName>>,
        /// The event may be lost, and the server does not keep it.
        volatile: Option<bool>,
    },
    /// Sets the data of the client's own player, for all to see. Null removes it.
    Set { data: Presence },
    /// Changes a key of the room's state. Null removes the key.
    StateSet {
        key: StateKey,
        value: StateValue,
        /// The change is made only if the key has this version. 0: only if there is no such key.
        if_version: Option<u64>,
    },
    /// Replaces the join token of the seat with a later one.
    Refresh { auth: JoinToken },
    /// Removes a player from the room. For moderators.
    Kick {
        name: WrittenName,
        /// The player cannot join again for so many seconds.
        #[schemars(range(min = 1, max = MAX_BAN))]
        ban_s: Option<u32>,
    },
    /// Locks the room: no new player can join. For moderators.
    Lock {},
    /// Unlocks the room. For moderators.
    Unlock {},
    /// Asks for the players of the room.
    Who {},
    /// Checks that the server is alive.
    Ping {},
    /// Leaves the room. The connection stays open.
    Leave {},
    /// Leaves the room. The server closes the connection.
    Quit {},
}

/// A random word that makes `join` safe to repeat.
#[derive(JsonSchema, Serialize)]
pub struct Key(#[schemars(length(min = 22, max = 64), regex(pattern = r"^[A-Za-z0-9_-]{22,64}$"))] &'static str);

/// One command of each type, with all its fields.
pub fn examples() -> Vec<Command> {
    let auth = || JoinToken("eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c2VyLTE3In0.c2lnbmF0dXJl");
    let room = || RoomId("match-42");
    vec![
        Command::CreateRoom { auth: Some(auth()) },
        Command::Join {
            room: room(),
            name: WrittenName("alice"),
            resumable: Some(true),
            key: Some(Key("mY5bJ0nq2Vb0c7kL1xQ9Zw")),
            auth: Some(auth()),
            on_wrong_pod: Some(OnWrongPod::Relay),
        },
        Command::Resume {
            room: room(),
            token: super::TOKEN.to_owned(),
            timeline: Some(Timeline("9f1c24b6a7d05e38")),
            last_seq: Some(12),
            on_wrong_pod: Some(OnWrongPod::Redirect),
        },
        Command::Say { text: Text("hi") },
        Command::Send {
            kind: Kind("move"),
            data: EventData(json!({"x": 3, "y": 4})),
            to: Some(vec![WrittenName("bob")]),
            volatile: Some(true),
        },
        Command::Set { data: Presence(json!({"colour": "green"})) },
        Command::StateSet { key: StateKey("turn"), value: StateValue(json!("bob")), if_version: Some(3) },
        Command::Refresh { auth: auth() },
        Command::Kick { name: WrittenName("bob"), ban_s: Some(600) },
        Command::Lock {},
        Command::Unlock {},
        Command::Who {},
        Command::Ping {},
        Command::Leave {},
        Command::Quit {},
    ]
}
