//! Generators for this module's tests: every kind of event, with every kind of content that it may have. Pure: no I/O.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::{
    Custom, ErrorCode, Event, ExitReason, Joined, PlayerName, PlayerView, Profile, Role, RoomId, StateView, StateViews,
    Timeline, text,
};

/// The parts of an event that it only borrows.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) name: PlayerName,
    pub(super) room: RoomId,
    pub(super) text: String,
    pub(super) data: String,
    pub(super) to: Option<Vec<PlayerName>>,
    pub(super) players: Vec<PlayerView>,
    pub(super) token: Option<String>,
    pub(super) address: String,
    pub(super) numbers: [u64; 3],
    pub(super) missed: Option<u64>,
    pub(super) flag: bool,
    pub(super) code: ErrorCode,
    pub(super) reason: ExitReason,
}

impl Parts {
    /// One event of each kind, made of these parts.
    pub(super) fn events(&self) -> Vec<Event<'_>> {
        let Parts { name, room, missed, code, reason, .. } = *self;
        let [first, second, third] = self.numbers;
        vec![
            Event::Room { room },
            Event::Joined(Joined {
                room,
                name,
                players: &self.players,
                max_players: first as u32,
                locked: !self.flag,
                timeline: Timeline(second),
                seq: third,
                resumed: self.flag,
                missed,
                token: self.token.as_deref(),
                hold_ms: self.token.is_some().then_some(30_000),
                state: self.flag.then_some(StateViews { version: first, entries: some_state() }),
            }),
            Event::Left { room },
            Event::Message { from: name, text: &self.text, seq: first, at: second, replay: self.flag },
            Event::Custom(Custom {
                from: name,
                kind: "app.kind",
                data: &self.data,
                seq: missed,
                at: second,
                replay: self.flag,
                to: self.to.as_deref(),
                reached: self.to.as_deref(),
            }),
            Event::Player { name, presence: self.flag.then_some("[ 1 ]") },
            Event::State(StateView {
                key: "a.key".parse().unwrap(),
                value: self.flag.then_some("[1]"),
                version: third,
                from: name,
            }),
            Event::StateAll(StateViews { version: first, entries: &some_state()[..second as usize % 3] }),
            Event::StateLost,
            Event::VersionConflict { version: third },
            Event::Entered {
                name,
                role: if self.flag { Role::Moderator } else { Role::Member },
                profile: self.players.first().and_then(|player| player.profile.as_ref()),
            },
            Event::Exited { name, reason },
            Event::Away { name },
            Event::Back { name },
            Event::Players { players: &self.players, max_players: first as u32 },
            Event::Moved { room, timeline: Timeline(second), seq: third, locked: self.flag },
            Event::Missed { count: missed, locked: self.flag },
            Event::Redirect { room, tcp: &self.address, web: &self.address },
            Event::Expiring { seconds: first },
            Event::Refreshed { seconds: second },
            Event::Kicked { name },
            Event::Locked { by: name, locked: self.flag },
            Event::Pong,
            Event::Help,
            Event::Error { code, retry_after_ms: missed },
            Event::Bye { code: self.flag.then_some(code) },
        ]
    }
}

/// Two keys.
fn some_state() -> &'static [StateView<'static>] {
    static STATE: std::sync::OnceLock<[StateView<'static>; 2]> = std::sync::OnceLock::new();
    STATE.get_or_init(|| {
        let view = |key: &str, value, version| StateView {
            key: key.parse().unwrap(),
            value: Some(value),
            version,
            from: "alice".parse().unwrap(),
        };
        [view("a", r#"{"x":"\u00fc"}"#, 3), view("b-2", "0.5", u64::MAX)]
    })
}

pub(super) fn any_room() -> impl Strategy<Value = RoomId> {
    "[a-z0-9]{8}|[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?".prop_map(|room| room.parse().unwrap())
}

pub(super) fn any_name() -> impl Strategy<Value = PlayerName> {
    let plain = "[A-Za-z0-9_-]{1,24}".prop_map(|name| name.parse().unwrap());
    let others = r"[\p{L}\p{N}_.'-]{1,12}".prop_filter_map("no name", |name| name.parse().ok());
    prop_oneof![plain, others]
}

/// Text as it is after cleaning; with what JSON has to escape, and up to the longest.
pub(super) fn clean_text() -> impl Strategy<Value = String> {
    let some = prop_oneof![
        "[ -~\t]{1,80}",
        "[\"\\\\/\t a<>&'{}]{1,40}",
        "\\PC{1,60}",
        (1..super::MAX_TEXT).prop_map(|length| "\"".repeat(length)),
        "[A-Z_]{2,11} [a-z0-9]{1,12} \\PC{0,20}",
    ];
    some.prop_filter_map("unclean", |some| text::clean_str(&some).ok().map(std::borrow::Cow::into_owned))
}

/// Clean text of one line or several, as JSON may say it.
pub(super) fn several_lines() -> impl Strategy<Value = String> {
    prop_oneof![4 => clean_text(), 1 => prop::collection::vec("[ -~]{1,9}", 2..=31).prop_map(|lines| lines.join("\n"))]
        .prop_filter("unclean", |text| text::clean_str(text).as_deref() == Ok(text))
}

pub(super) fn any_parts() -> impl Strategy<Value = Parts> {
    let player = (any_name(), any::<bool>()).prop_map(|(name, away)| PlayerView {
        name,
        away,
        role: if away { Role::Viewer } else { Role::Member },
        presence: away.then(|| "{\"a\": 1}".into()),
        profile: (!away).then(|| Profile { display: Some("\"A\" B".into()), info: Some("[1]".into()) }),
    });
    let who = (any_name(), any_room(), several_lines(), prop::collection::vec(player, 1..9));
    let edge =
        prop_oneof![Just("127.0.0.1:7654".to_owned()), Just("[::1]:80".to_owned()), "[a-z0-9.-]{1,60}:[0-9]{1,5}"];
    let given = (prop::option::of("[A-Za-z0-9_-]{38,122}"), edge, prop::option::of(any_number()));
    let data = prop_oneof![
        (1..5_u32, several_lines())
            .prop_map(|(number, text)| serde_json::json!({"a": [number, null], "b": text}).to_string()),
        "\\PC{0,30}|[\u{7f}-\u{a0}\u{2028}-\u{202f}]{0,30}"
            .prop_map(|text| format!("[\n\t{}\r\n]", serde_json::json!(text))),
    ];
    let given = (given, data, prop::option::of(prop::collection::vec(any_name(), 0..4)));
    let picked = (any::<bool>(), 0..ErrorCode::ALL.len(), 0..ExitReason::ALL.len());
    (who, given, [any_number(), any_number(), any_number()], picked).prop_map(
        |((name, room, text, players), ((token, address, missed), data, to), numbers, (flag, code, reason))| Parts {
            data,
            to,
            name,
            room,
            text,
            players,
            token,
            address,
            numbers,
            missed,
            flag,
            code: ErrorCode::ALL[code],
            reason: ExitReason::ALL[reason],
        },
    )
}

/// Numbers of every length.
fn any_number() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64_u32).prop_map(|(number, shift)| number >> shift)
}

proptest! {
    #[test]
    fn numbers_are_written_as_everyone_writes_them(number in any_number()) {
        let mut out = Vec::new();
        super::push_number(number, &mut out);
        prop_assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
    }
}

#[test]
fn the_ends_of_the_numbers_are_written_too() {
    for number in [0, 9, 10, 99, 100, 999, 1000, u64::MAX] {
        let mut out = Vec::new();
        super::push_number(number, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
    }
}
