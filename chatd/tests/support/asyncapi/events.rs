//! Every message that the server may send. Pure: no I/O.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::values::{
    ByeCode, ErrorCode, EventData, ExitReason, Info, Kind, PlayerName, Presence, RoomId, Speaker, StateKey, StateValue,
    Text, Timeline, Token,
};

/// An optional field that says nothing is left out.
#[derive(JsonSchema, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Told {
    /// The server has created the room.
    Room { room: RoomId },
    /// The client has a seat in the room. Missed messages follow as `message` and `event` with `replay`.
    Joined {
        room: RoomId,
        name: PlayerName,
        players: Vec<Player>,
        max_players: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(extend("const" = true))]
        locked: Option<bool>,
        timeline: Timeline,
        /// The number of the room's last message.
        seq: u64,
        /// The client has taken back its seat.
        resumed: bool,
        /// How many messages and events the server could not replay. Null: unknown.
        missed: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<Token>,
        /// How many milliseconds the server holds the seat after a dropped connection. It comes with `token`.
        #[serde(skip_serializing_if = "Option::is_none")]
        hold_ms: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        state: Option<RoomState>,
    },
    /// The client has left the room. The connection stays open.
    Left { room: RoomId },
    /// A player, or the application, sends a text.
    Message {
        from: Speaker,
        text: Text,
        /// Its number in the timeline.
        seq: u64,
        /// Unix time in milliseconds.
        at: u64,
        /// The application sends it.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(extend("const" = true))]
        system: Option<bool>,
        /// The client missed it, and the server replays it.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(extend("const" = true))]
        replay: Option<bool>,
    },
    /// An event of the application.
    Event {
        from: Speaker,
        kind: Kind,
        data: EventData,
        /// Its number in the timeline, if the server keeps the event.
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        /// Unix time in milliseconds.
        at: u64,
        /// Only these players get the event.
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<Vec<PlayerName>>,
        /// Which players of `to` were connected. Only the sender gets this field.
        #[serde(skip_serializing_if = "Option::is_none")]
        reached: Option<Vec<PlayerName>>,
        /// The application sends it.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(extend("const" = true))]
        system: Option<bool>,
        /// The client missed it, and the server replays it.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(extend("const" = true))]
        replay: Option<bool>,
    },
    /// A player has set its data. Null: it has removed it.
    Player { name: PlayerName, data: Presence },
    /// A key of the room's state has changed.
    State {
        key: StateKey,
        /// Null: the key is removed.
        value: StateValue,
        /// The room's count of changes at this one.
        version: u64,
        /// Who changed it.
        from: PlayerName,
    },
    /// The whole state of the room. It replaces the client's copy.
    StateAll {
        /// The room's count of changes.
        version: u64,
        /// In the order of their last changes.
        entries: Vec<StateEntry>,
    },
    /// Another pod has taken the room over, and its state is lost.
    StateLost {},
    /// A player has joined the room.
    Entered {
        name: PlayerName,
        #[serde(skip_serializing_if = "Option::is_none")]
        role: Option<Role>,
        /// The `display` of the join token: a text to show beside the name.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1, max = 64))]
        display: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        info: Option<Info>,
    },
    /// A player has lost its seat.
    Exited { name: PlayerName, reason: ExitReason },
    /// A player's connection has dropped. The server holds the seat for a while.
    Away { name: PlayerName },
    /// A player has taken back its held seat.
    Back { name: PlayerName },
    /// The players of the room.
    Players { players: Vec<Player>, max_players: u32 },
    /// The room has moved to another pod. The server relays the client to it.
    Moved {
        room: RoomId,
        timeline: Timeline,
        /// The client gets, or has got, all messages after this number.
        seq: u64,
        /// The room is locked: no new player can join.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(extend("const" = true))]
        locked: Option<bool>,
    },
    /// The client has missed messages and events for good.
    Missed {
        /// How many. Null: unknown.
        count: Option<u64>,
        /// The room is locked: no new player can join.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(extend("const" = true))]
        locked: Option<bool>,
    },
    /// The room is at another pod: connect to its address, and send `resume` or `join`.
    Redirect {
        room: RoomId,
        /// Host and port for lines.
        tcp: String,
        /// Host and port for WebSockets.
        web: String,
    },
    /// The join token of the seat expires in so many seconds.
    Expiring { seconds: u64 },
    /// The new join token expires in so many seconds.
    Refreshed { seconds: u64 },
    /// The server has removed the player from the room.
    Kicked { name: PlayerName },
    /// The room is locked: no new player can join.
    Locked {
        /// The moderator, or `*` for the application.
        by: Speaker,
    },
    /// The room is unlocked: new players can join.
    Unlocked {
        /// The moderator, or `*` for the application.
        by: Speaker,
    },
    /// The server is alive.
    Pong {},
    /// The server has refused a command, or the command has failed.
    Error {
        code: ErrorCode,
        /// A sentence for people, which may change.
        message: String,
        /// How many milliseconds to wait before the next attempt.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
        /// With `version_conflict`: the version of the key. 0: there is no such key.
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<u64>,
    },
    /// The last message before the server closes the connection.
    Bye { code: ByeCode },
}

/// A player, as the others see it.
#[derive(JsonSchema, Serialize)]
pub struct Player {
    name: PlayerName,
    /// The connection has dropped, and the server holds the seat.
    away: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    /// What the player has set.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Presence>,
    /// The `display` of the join token: a text to show beside the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    display: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<Info>,
}

/// The role of who is no member like most: a viewer hears, and takes no player's place.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Moderator,
    Viewer,
}

/// A key of the room's state.
#[derive(JsonSchema, Serialize)]
pub struct StateEntry {
    key: StateKey,
    value: StateValue,
    /// The room's count of changes at the last one of this key.
    version: u64,
    /// Who changed it last.
    from: PlayerName,
}

/// A room's state.
#[derive(JsonSchema, Serialize)]
pub struct RoomState {
    /// The room's count of changes.
    version: u64,
    /// In the order of their last changes.
    entries: Vec<StateEntry>,
}

/// One message of each type.
pub fn examples() -> Vec<Told> {
    let room = || RoomId("match-42");
    let timeline = || Timeline("9f1c24b6a7d05e38");
    let (alice, bob) = (|| PlayerName("alice"), || PlayerName("bob"));
    let entry = || StateEntry { key: StateKey("turn"), value: StateValue(json!("bob")), version: 4, from: alice() };
    let players = || {
        let info = Some(Info(json!({"level": 7})));
        let (role, display) = (Some(Role::Moderator), Some("Alice L."));
        let data = Some(Presence(json!({"colour": "green"})));
        vec![
            Player { name: alice(), away: false, role, data, display: display.map(str::to_owned), info },
            Player { name: bob(), away: true, role: None, data: None, display: None, info: None },
        ]
    };
    vec![
        Told::Room { room: room() },
        Told::Joined {
            room: room(),
            name: alice(),
            players: players(),
            max_players: 4,
            locked: None,
            timeline: timeline(),
            seq: 11,
            resumed: false,
            missed: Some(0),
            token: Some(Token(super::TOKEN)),
            hold_ms: Some(30_000),
            state: Some(RoomState { version: 4, entries: vec![entry()] }),
        },
        Told::Left { room: room() },
        Told::Message {
            from: Speaker("alice"),
            text: Text("hi"),
            seq: 12,
            at: 1_795_461_000_123,
            system: None,
            replay: None,
        },
        Told::Event {
            from: Speaker("alice"),
            kind: Kind("move"),
            data: EventData(json!({"x": 3, "y": 4})),
            seq: Some(13),
            at: 1_795_461_000_456,
            to: None,
            reached: None,
            system: None,
            replay: None,
        },
        Told::Player { name: alice(), data: Presence(json!({"colour": "green"})) },
        Told::State { key: StateKey("turn"), value: StateValue(json!("bob")), version: 4, from: alice() },
        Told::StateAll { version: 4, entries: vec![entry()] },
        Told::StateLost {},
        Told::Entered { name: bob(), role: Some(Role::Viewer), display: Some("Bob".to_owned()), info: None },
        Told::Exited { name: bob(), reason: ExitReason("timeout") },
        Told::Away { name: bob() },
        Told::Back { name: bob() },
        Told::Players { players: players(), max_players: 4 },
        Told::Moved { room: room(), timeline: timeline(), seq: 12, locked: Some(true) },
        Told::Missed { count: None, locked: None },
        Told::Redirect { room: room(), tcp: "10.0.0.7:7654".to_owned(), web: "10.0.0.7:8081".to_owned() },
        Told::Expiring { seconds: 60 },
        Told::Refreshed { seconds: 900 },
        Told::Kicked { name: bob() },
        Told::Locked { by: Speaker("alice") },
        Told::Unlocked { by: Speaker("*") },
        Told::Pong {},
        Told::Error {
            code: ErrorCode("rate_limited"),
            message: chatd::protocol::ErrorCode::RateLimited.sentence().to_owned(),
            retry_after_ms: Some(100),
            version: None,
        },
        Told::Bye { code: ByeCode("quit") },
    ]
}
