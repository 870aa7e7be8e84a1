//! Every row of the JSON protocol, read back by another reader of JSON and of WebSocket frames.
#![allow(clippy::unwrap_used, clippy::unnecessary_wraps)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::protocol::Custom;
use crate::protocol::testing::{any_name, any_parts, any_room, clean_text};
use crate::protocol::{
    Event, Joined, MAX_DATA, MAX_STATE, MAX_TEXT, PlayerView, Profile, Role, StateView, StateViews, Timeline,
};

const ROOM: &str = "abc12def";

fn command(text: &str) -> Result<Command<'_>, ErrorCode> {
    parse(text).1
}

fn say(text: &str) -> Result<Command<'_>, ErrorCode> {
    Ok(Command::Say { text: Cow::Borrowed(text) })
}

#[test]
fn commands_without_fields_are_their_type() {
    for (word, expected) in [
        ("create_room", Command::CreateRoom { auth: None }),
        ("who", Command::Who),
        ("leave", Command::Leave),
        ("ping", Command::Ping),
        ("quit", Command::Quit),
    ] {
        assert_eq!(command(&format!(r#"{{"type":"{word}"}}"#)), Ok(expected));
    }
    for word in ["help", "WHO", "", "message", "say "] {
        assert_eq!(command(&format!(r#"{{"type":"{word}"}}"#)), Err(ErrorCode::BadCommand), "{word}");
    }
}

#[test]
fn join_tokens_are_taken_as_they_are() {
    let text = format!(r#"{{"type":"join","room":"{ROOM}","name":"alice","auth":"a.b\u002ec"}}"#);
    assert!(matches!(command(&text), Ok(Command::Join { auth: Some(auth), .. }) if auth == "a.b.c"));
    let create = Ok(Command::CreateRoom { auth: Some("a.b.c".into()) });
    assert_eq!(command(r#"{"type":"create_room","auth":"a.b.c"}"#), create);
    let long = "a".repeat(3_001);
    for wrong in ["7", &format!("{long:?}")] {
        assert_eq!(command(&format!(r#"{{"type":"create_room","auth":{wrong}}}"#)), Err(ErrorCode::AuthInvalid));
    }
    assert_eq!(command(r#"{"type":"refresh","auth":"a.b.c"}"#), Ok(Command::Refresh { auth: "a.b.c".into() }));
    let name = "bob".parse().unwrap();
    for (ban, expected) in [
        ("", Ok(None)),
        (r#","ban_s":null"#, Ok(None)),
        (r#","ban_s":1"#, Ok(Some(1))),
        (r#","ban_s":2592000"#, Ok(Some(2_592_000))),
        (r#","ban_s":0"#, Err(ErrorCode::BadCommand)),
        (r#","ban_s":2592001"#, Err(ErrorCode::BadCommand)),
        (r#","ban_s":4294967297"#, Err(ErrorCode::BadCommand)),
        (r#","ban_s":-1"#, Err(ErrorCode::BadCommand)),
        (r#","ban_s":"60""#, Err(ErrorCode::BadCommand)),
    ] {
        let kick = format!(r#"{{"type":"kick","name":"bob"{ban}}}"#);
        assert_eq!(parse(&kick).1, expected.map(|ban_s| Command::Kick { name, ban_s }), "{kick}");
    }
    assert_eq!(command(r#"{"type":"kick","name":"b b"}"#), Err(ErrorCode::BadName));
    for wrong in [r#"{"type":"refresh"}"#, r#"{"type":"refresh","auth":7}"#, r#"{"type":"refresh","auth":null}"#] {
        assert_eq!(command(wrong), Err(ErrorCode::AuthInvalid), "{wrong}");
    }
}

#[test]
fn join_reads_its_fields() {
    let join = |resumable, wrong| Command::Join {
        room: ROOM.parse().unwrap(),
        name: "alice".parse().unwrap(),
        resumable,
        key: None,
        auth: None,
        on_wrong_pod: Some(wrong),
        events: true,
    };
    let relay = OnWrongPod::Relay;
    for (more, expected) in [
        ("", Ok(join(false, relay))),
        (r#","resumable":true"#, Ok(join(true, relay))),
        (r#","resumable":false,"on_wrong_pod":"redirect""#, Ok(join(false, OnWrongPod::Redirect))),
        (r#","resumable":null,"on_wrong_pod":null"#, Ok(join(false, relay))),
        (r#","on_wrong_pod":"relay","future":{"a":[1,2,"]"]}"#, Ok(join(false, relay))),
        (r#","resumable":1"#, Err(ErrorCode::BadCommand)),
        (r#","resumable":"true""#, Err(ErrorCode::BadCommand)),
        (r#","on_wrong_pod":"RELAY""#, Err(ErrorCode::BadCommand)),
        (r#","on_wrong_pod":false"#, Err(ErrorCode::BadCommand)),
        (r#","name":"bob""#, Err(ErrorCode::BadCommand)),
        (r#","key":null"#, Ok(join(false, relay))),
        (r#","auth":null"#, Ok(join(false, relay))),
        (r#","auth":7"#, Err(ErrorCode::AuthInvalid)),
        (r#","auth":"a","auth":"b""#, Err(ErrorCode::BadCommand)),
        (r#","key":7"#, Err(ErrorCode::BadCommand)),
        (r#","key":"0123456789012345678901"}"#, Err(ErrorCode::BadCommand)),
        (r#","key":"012345678901234567890""#, Err(ErrorCode::BadCommand)),
        (r#","key":"0123456789 0123456789012""#, Err(ErrorCode::BadCommand)),
    ] {
        let text = format!(r#"{{"type":"join","room":"abc12def","name":"alice"{more}}}"#);
        assert_eq!(command(&text), expected, "{text}");
    }
}

#[test]
fn a_missing_or_wrong_field_has_its_own_error() {
    for (text, code) in [
        (r#"{"type":"join","name":"alice"}"#, ErrorCode::BadRoom),
        (r#"{"type":"join","room":5,"name":"alice"}"#, ErrorCode::BadRoom),
        (r#"{"type":"join","room":"ABC12DEF","name":"alice"}"#, ErrorCode::BadRoom),
        (r#"{"type":"join","room":"abc12def"}"#, ErrorCode::BadName),
        (r#"{"type":"join","room":"abc12def","name":""}"#, ErrorCode::BadName),
        (r#"{"type":"join","room":"abc12def","name":["alice"]}"#, ErrorCode::BadName),
        (r#"{"type":"resume","token":"t"}"#, ErrorCode::BadRoom),
        (r#"{"type":"resume","room":"abc12def"}"#, ErrorCode::BadToken),
        (r#"{"type":"resume","room":"abc12def","token":7}"#, ErrorCode::BadToken),
        (r#"{"type":"resume","room":"abc12def","token":"t","last_seq":-1}"#, ErrorCode::BadCommand),
        (r#"{"type":"resume","room":"abc12def","token":"t","last_seq":"1"}"#, ErrorCode::BadCommand),
        (r#"{"type":"resume","room":"abc12def","token":"t","timeline":1}"#, ErrorCode::BadCommand),
        (r#"{"type":"say"}"#, ErrorCode::BadText),
        (r#"{"type":"say","text":null}"#, ErrorCode::BadText),
        (r#"{"type":"say","text":5}"#, ErrorCode::BadText),
        (r#"{"type":"say","text":""}"#, ErrorCode::BadText),
        (r#"{"type":"say","text":"a\r\nMSG bob b"}"#, ErrorCode::BadText),
        (r#"{"type":"say","text":"\u001b[2J"}"#, ErrorCode::BadText),
        (r#"{"type":"say","text":"\u2028x"}"#, ErrorCode::BadText),
        (r#"{"type":"say","text":"half of a pair: \ud83d"}"#, ErrorCode::BadText),
        (r#"{"type":5}"#, ErrorCode::BadCommand),
        (r#"{"type":null}"#, ErrorCode::BadCommand),
        (r"{}", ErrorCode::BadCommand),
    ] {
        assert_eq!(parse(text), (None, Err(code)), "{text}");
        let with_id = text.replacen('{', r#"{"id":7,"#, 1).replace(",}", "}");
        assert_eq!(parse(&with_id), (Some(7), Err(code)), "{with_id}");
    }
}

#[test]
fn what_is_no_json_object_is_a_bad_command_without_id() {
    for text in
        ["", " ", "hi", "null", "7", r#""who""#, r#"["who"]"#, r#"{"id":7,"type":"who""#, r#"{"id":7,"type":"who"} x"#]
    {
        assert_eq!(parse(text), (None, Err(ErrorCode::BadCommand)), "{text}");
    }
    let deep = format!(r#"{{"type":"who","x":{}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert!(matches!(parse(&deep), (None, Ok(Command::Who) | Err(ErrorCode::BadCommand))), "no overflow of the stack");
}

#[test]
fn fields_that_a_command_does_not_use_are_not_looked_into() {
    assert_eq!(command(r#"{"type":"who","room":5,"text":{"a":"\ud83d"},"resumable":"x"}"#), Ok(Command::Who));
    assert_eq!(command(r#"{"type":"ping","unknown":1,"unknown":2}"#), Ok(Command::Ping));
    assert_eq!(command(" { \"type\" : \"say\" ,\n \"text\" : \"hi\" } "), say("hi"));
}

#[test]
fn an_id_is_an_integer_up_to_two_to_the_53() {
    for (id, expected) in [("0", 0), ("7", 7), (" 7 ", 7), ("9007199254740991", MAX_ID)] {
        assert_eq!(parse(&format!(r#"{{"type":"ping","id":{id}}}"#)), (Some(expected), Ok(Command::Ping)));
    }
    assert_eq!(parse(r#"{"type":"ping","id":null}"#), (None, Ok(Command::Ping)));
    for id in ["9007199254740992", "18446744073709551616", "-1", "-0", "1.0", "1e3", r#""7""#, "true", "[7]", "{}"] {
        assert_eq!(parse(&format!(r#"{{"type":"ping","id":{id}}}"#)), (None, Err(ErrorCode::BadCommand)), "{id}");
    }
    assert_eq!(parse(r#"{"type":"ping","id":1,"id":2}"#), (None, Err(ErrorCode::BadCommand)));
    assert_eq!(parse(r#"{"type":"ping","id":1,"type":"quit"}"#), (Some(1), Err(ErrorCode::BadCommand)));
}

#[test]
fn resume_says_what_was_heard_where_both_halves_are_known() {
    let heard = |more: &str| match command(&format!(r#"{{"type":"resume","room":"{ROOM}","token":"t0k3n"{more}}}"#)) {
        Ok(Command::Resume { token, heard, on_wrong_pod: Some(OnWrongPod::Relay), .. }) if token == "t0k3n" => heard,
        other => panic!("{more}: {other:?}"),
    };
    let full = r#","timeline":"00000000000000ab","last_seq":12"#;
    assert_eq!(heard(full), Some(Heard { timeline: Timeline(0xab), last_seq: 12 }));
    for less in ["", r#","timeline":"00000000000000ab""#, r#","last_seq":12"#, r#","timeline":"v2:x","last_seq":1"#] {
        assert_eq!(heard(less), None, "{less}");
    }
}

#[test]
fn text_is_borrowed_unless_it_has_escapes_or_needs_cleaning() {
    let borrowed = |text| match command(text) {
        Ok(Command::Say { text }) => (matches!(text, Cow::Borrowed(_)), text.into_owned()),
        other => panic!("{other:?}"),
    };
    assert_eq!(borrowed(r#"{"type":"say","text":"grüß dich"}"#), (true, "grüß dich".to_owned()));
    assert_eq!(borrowed(r#"{"type":"say","text":"a \"b\" \ud83d\ude00"}"#), (false, "a \"b\" 😀".to_owned()));
    assert_eq!(borrowed("{\"type\":\"say\",\"text\":\"a\u{202e}b\"}"), (false, "ab".to_owned()));
    assert_eq!(borrowed(r#"{"type":"say","text":"a\u202eb"}"#), (false, "ab".to_owned()));
    assert_eq!(borrowed(r#"{"\u0074ype":"s\u0061y","text":"key"}"#), (true, "key".to_owned()));
}

#[test]
fn text_is_measured_in_bytes_after_its_escapes_are_read() {
    let longest = "\\\"".repeat(MAX_TEXT);
    assert_eq!(command(&format!(r#"{{"type":"say","text":"{longest}"}}"#)).map(|_| ()), Ok(()));
    assert_eq!(command(&format!(r#"{{"type":"say","text":"{longest}x"}}"#)), Err(ErrorCode::LineTooLong));
    let long = "x".repeat(MAX_TEXT + 1);
    assert_eq!(command(&format!(r#"{{"type":"say","text":"{long}"}}"#)), Err(ErrorCode::LineTooLong));
}

#[test]
fn an_event_is_taken_as_it_is_written() {
    let sent = |more: &str| match command(&format!(r#"{{"type":"send","kind":"app.move-1"{more}}}"#)) {
        Ok(Command::Send(event)) => {
            assert_eq!(event.kind.as_str(), "app.move-1");
            let to = event.to.map(|to| to.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>());
            Ok((event.data.into_owned(), to, event.volatile))
        }
        Ok(other) => panic!("{other:?}"),
        Err(code) => Err(code),
    };
    let plain = |data: &str| Ok((data.to_owned(), None, false));
    let data = "{\"x\" : 1.50,\n \"y\":\"\\u0061\"}";
    assert_eq!(sent(&format!(r#","data": {data} "#)), plain(data));
    assert_eq!(sent(r#","data":null,"to":null,"volatile":null"#), plain("null"));
    let to = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(sent(r#","data":1,"to":["ann","B\u006fb"]"#), Ok(("1".into(), to(&["ann", "Bob"]), false)));
    assert_eq!(sent(r#","data":1,"to":[],"volatile":true"#), Ok(("1".into(), to(&[]), true)));
    for (wrong, code) in [
        ("", ErrorCode::BadCommand),
        (r#","data":NaN"#, ErrorCode::BadCommand),
        (r#","data":1e400"#, ErrorCode::BadCommand),
        (r#","data":{"a":1,"a":2}"#, ErrorCode::BadCommand),
        (r#","data":"\ud83d""#, ErrorCode::BadCommand),
        (r#","data":1,"data":2"#, ErrorCode::BadCommand),
        (r#","data":1,"to":"ann""#, ErrorCode::BadCommand),
        (r#","data":1,"to":[5]"#, ErrorCode::BadCommand),
        (r#","data":1,"to":["no name"]"#, ErrorCode::BadName),
        (r#","data":1,"volatile":1"#, ErrorCode::BadCommand),
    ] {
        assert_eq!(sent(wrong), Err(code), "{wrong}");
    }
    let many = |count: usize| format!(r#","data":1,"to":[{}]"#, vec![r#""a""#; count].join(","));
    assert!(sent(&many(64)).is_ok());
    assert_eq!(sent(&many(65)), Err(ErrorCode::BadCommand));
    let deep = format!(r#","data":{}{}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert!(sent(&deep).is_err(), "no overflow of the stack");
    assert_eq!(sent(&format!(r#","data":"{}""#, "x".repeat(MAX_DATA - 1))), Err(ErrorCode::LineTooLong));
    for kind in ["", "A", "a b", "é"] {
        assert_eq!(command(&format!(r#"{{"type":"send","kind":"{kind}","data":1}}"#)), Err(ErrorCode::BadCommand));
    }
}

#[test]
fn a_change_of_the_state_is_a_key_and_compact_json() {
    let set = |fields: &str| command(&format!(r#"{{"type":"state_set"{fields}}}"#)).map(Command::into_owned);
    let expected = |value: Option<&str>, if_version| {
        let value = value.map(|value| Cow::Owned(value.to_owned()));
        Ok(Command::StateSet(Box::new(StateSet { key: "a.b".parse().unwrap(), value, if_version })))
    };
    assert_eq!(set(r#","key":"a.b","value":{ "x": [1, 2] }"#), expected(Some(r#"{"x":[1,2]}"#), None));
    assert_eq!(set(r#","key":"a.b","value": null ,"if_version":7"#), expected(None, Some(7)));
    assert_eq!(set(r#","key":"a.b","value":"","if_version":null"#), expected(Some("\"\""), None));
    let no_change =
        [r#","key":"a.b""#, r#","value":1"#, r#","key":"A","value":1"#, r#","key":"a.b","value":1,"if_version":-1"#];
    for fields in no_change {
        assert_eq!(set(fields), Err(ErrorCode::BadCommand), "{fields}");
    }
    assert_eq!(set(r#","key":"a.b","value":{"a":1,"a":2}"#), Err(ErrorCode::BadCommand));
    let long = |bytes: usize| format!(r#","key":"a.b","value":"{}""#, "x".repeat(bytes - 2));
    assert!(set(&long(MAX_STATE)).is_ok());
    assert_eq!(set(&long(MAX_STATE + 1)), Err(ErrorCode::LineTooLong));
}

#[test]
fn what_a_player_says_of_itself_is_short_json() {
    let set = |data: &str| command(&format!(r#"{{"type":"set","data":{data}}}"#)).map(|command| format!("{command:?}"));
    let shown = |data: Option<&str>| Ok(format!("{:?}", Command::Set { data: data.map(Cow::Borrowed) }));
    assert_eq!(set(r#"{"typing": true}"#), shown(Some(r#"{"typing": true}"#)));
    assert_eq!(set("null"), shown(None));
    assert!(set(&format!("\"{}\"", "x".repeat(510))).is_ok());
    assert_eq!(set(&format!("\"{}\"", "x".repeat(511))), Err(ErrorCode::LineTooLong));
    assert_eq!(set(r#"{"a":1,"a":2}"#), Err(ErrorCode::BadCommand));
    assert_eq!(command(r#"{"type":"set"}"#), Err(ErrorCode::BadCommand));
}

/// Opcode and payload of the one whole frame that `frame` is.
fn unframed(frame: &[u8]) -> (u8, Vec<u8>) {
    assert_eq!(frame[0] & 0xf0, 0x80, "FIN and nothing reserved");
    let (length, header) = match frame[1] {
        126 => (u64::from(u16::from_be_bytes([frame[2], frame[3]])), 4),
        127 => (u64::from_be_bytes(frame[2..10].try_into().unwrap()), 10),
        length => (u64::from(length), 2),
    };
    assert!(frame[1] & 0x80 == 0 && (header == 2 || length > 125) && (header < 10 || length > 0xffff), "shortest form");
    assert_eq!(frame.len() as u64, header as u64 + length);
    (frame[0] & 0xf, frame[header..].to_vec())
}

/// The text of the one frame that is appended.
pub(super) fn encoded(event: &Event<'_>, id: Option<u64>) -> String {
    let mut out = b"before".to_vec();
    encode_frame(event, id, &mut out);
    let (opcode, payload) = unframed(out.strip_prefix(b"before").unwrap());
    assert_eq!(opcode, 1);
    String::from_utf8(payload).unwrap()
}

fn players_json(players: &[PlayerView]) -> Value {
    let view = |player: &PlayerView| {
        let mut view = json!({"name": player.name.as_str(), "away": player.away});
        if let Some(presence) = &player.presence {
            view["data"] = serde_json::from_str(presence).unwrap();
        }
        if player.role != Role::Member {
            view["role"] = player.role.as_str().into();
        }
        with_profile(view, player.profile.as_ref())
    };
    players.iter().map(view).collect()
}

fn state_json(entries: &[StateView<'_>]) -> Vec<Value> {
    let view = |view: &StateView<'_>| {
        let value = view.value.map(|value| serde_json::from_str::<Value>(value).unwrap());
        json!({"key": view.key, "value": value, "version": view.version, "from": view.from})
    };
    entries.iter().map(view).collect()
}

fn with_profile(mut player: Value, profile: Option<&Profile>) -> Value {
    if let Some(display) = profile.and_then(|profile| profile.display.as_deref()) {
        player["display"] = display.into();
    }
    if let Some(info) = profile.and_then(|profile| profile.info.as_deref()) {
        player["info"] = serde_json::from_str(info).unwrap();
    }
    player
}

fn with_lock(mut event: Value, locked: bool) -> Value {
    if locked {
        event["locked"] = true.into();
    }
    event
}

/// The event as the table of the protocol has it.
fn expected(event: &Event<'_>) -> Value {
    match *event {
        Event::Room { room } => json!({"type": "room", "room": room}),
        Event::Joined(joined) => {
            let Joined { room, name, players, max_players, locked, timeline, seq, resumed, missed, token, .. } = joined;
            let Joined { hold_ms, state, .. } = joined;
            let mut joined = json!({"type": "joined", "room": room, "name": name, "players": players_json(players),
                "max_players": max_players, "timeline": timeline, "seq": seq, "resumed": resumed, "missed": missed});
            if locked {
                joined["locked"] = true.into();
            }
            if let Some(token) = token {
                joined["token"] = token.into();
            }
            if let Some(hold_ms) = hold_ms {
                joined["hold_ms"] = hold_ms.into();
            }
            if let Some(StateViews { version, entries }) = state {
                joined["state"] = json!({"version": version, "entries": state_json(entries)});
            }
            joined
        }
        Event::Left { room } => json!({"type": "left", "room": room}),
        Event::Message { from, text, seq, at, replay } => {
            let mut message = json!({"type": "message", "from": from, "text": text, "seq": seq, "at": at});
            if replay {
                message["replay"] = true.into();
            }
            message
        }
        Event::Custom(Custom { from, kind, data, seq, at, replay, to, reached }) => {
            let data: Value = serde_json::from_str(data).unwrap();
            let mut event = json!({"type": "event", "from": from, "kind": kind, "data": data, "at": at});
            let optional = [("seq", json!(seq)), ("to", json!(to)), ("reached", json!(reached))];
            for (field, value) in optional.into_iter().filter(|(_, value)| !value.is_null()) {
                event[field] = value;
            }
            if replay {
                event["replay"] = true.into();
            }
            event
        }
        Event::Entered { name, role: Role::Member, profile } => {
            with_profile(json!({"type": "entered", "name": name}), profile)
        }
        Event::Entered { name, role, profile } => {
            with_profile(json!({"type": "entered", "name": name, "role": role.as_str()}), profile)
        }
        Event::Exited { name, reason } => json!({"type": "exited", "name": name, "reason": reason.as_str()}),
        Event::Away { name } => json!({"type": "away", "name": name}),
        Event::Back { name } => json!({"type": "back", "name": name}),
        Event::Player { name, presence } => {
            json!({"type": "player", "name": name, "data": presence.map(|data| serde_json::from_str::<Value>(data).unwrap())})
        }
        Event::State(view) => {
            let mut event = state_json(&[view])[0].clone();
            event["type"] = "state".into();
            event
        }
        Event::StateAll(StateViews { version, entries }) => {
            json!({"type": "state_all", "version": version, "entries": state_json(entries)})
        }
        Event::StateLost => json!({"type": "state_lost"}),
        Event::VersionConflict { version } => {
            let code = ErrorCode::VersionConflict;
            json!({"type": "error", "code": code.as_str(), "message": code.sentence(), "version": version})
        }
        Event::Players { players, max_players } => {
            json!({"type": "players", "players": players_json(players), "max_players": max_players})
        }
        Event::Moved { room, timeline, seq, locked } => {
            with_lock(json!({"type": "moved", "room": room, "timeline": timeline, "seq": seq}), locked)
        }
        Event::Missed { count, locked } => with_lock(json!({"type": "missed", "count": count}), locked),
        Event::Redirect { room, tcp, web } => json!({"type": "redirect", "room": room, "tcp": tcp, "web": web}),
        Event::Expiring { seconds } => json!({"type": "expiring", "seconds": seconds}),
        Event::Refreshed { seconds } => json!({"type": "refreshed", "seconds": seconds}),
        Event::Kicked { name } => json!({"type": "kicked", "name": name}),
        Event::Locked { by, locked: true } => json!({"type": "locked", "by": by}),
        Event::Locked { by, locked: false } => json!({"type": "unlocked", "by": by}),
        Event::Pong => json!({"type": "pong"}),
        Event::Help => json!({"type": "help"}),
        Event::Error { code, retry_after_ms } => {
            let mut error = json!({"type": "error", "code": code.as_str(), "message": code.sentence()});
            if let Some(wait) = retry_after_ms {
                error["retry_after_ms"] = wait.into();
            }
            error
        }
        Event::Bye { code } => json!({"type": "bye", "code": code.map_or("quit", ErrorCode::as_str)}),
    }
}

#[test]
fn a_message_is_written_as_the_protocol_shows_it() {
    let from = "alice".parse().unwrap();
    let event = Event::Message { from, text: "hi", seq: 12, at: 1_700_000_000_000, replay: false };
    let expected = r#"{"type":"message","from":"alice","text":"hi","seq":12,"at":1700000000000,"id":7}"#;
    assert_eq!(encoded(&event, Some(7)), expected);
}

#[test]
fn frames_have_the_header_that_their_length_needs() {
    let from = "alice".parse().unwrap();
    let empty = encoded(&Event::Message { from, text: "", seq: 1, at: 1, replay: false }, None).len();
    for length in [124, 125, 126, 127, 1000, 65_535, 65_536, 70_000] {
        let text = "x".repeat(length - empty);
        let event = Event::Message { from, text: &text, seq: 1, at: 1, replay: false };
        assert_eq!(encoded(&event, None).len(), length);
    }
}

#[test]
fn a_close_frame_has_code_and_reason() {
    let mut out = Vec::new();
    encode_close(4001, "replaced", &mut out);
    let (opcode, payload) = unframed(&out);
    assert_eq!((opcode, &payload[..]), (8, &b"\x0f\xa1replaced"[..]));
    out.clear();
    encode_close(1000, &"é".repeat(100), &mut out);
    let (_, payload) = unframed(&out);
    assert_eq!(payload.len(), 124, "whole characters of at most 125 bytes");
    assert!(std::str::from_utf8(&payload[2..]).is_ok());
}

proptest! {
    #[test]
    fn what_is_encoded_is_what_another_reader_reads(parts in any_parts(), id in prop::option::of(0..=MAX_ID)) {
        for event in parts.events() {
            let text = encoded(&event, id);
            let mut expected = expected(&event);
            if let Some(id) = id {
                expected["id"] = id.into();
            }
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected, "{}", text);
        }
    }

    #[test]
    fn any_text_at_all_is_escaped(text in "[\u{0}-\u{a0}\"\\\\]{0,80}") {
        let event = Event::Redirect { room: ROOM.parse().unwrap(), tcp: &text, web: "" };
        prop_assert_eq!(&serde_json::from_str::<Value>(&encoded(&event, None)).unwrap()["tcp"], &Value::from(text));
    }

    #[test]
    fn parsing_any_text_never_panics(text in "\\PC{0,100}", tail in "[\\[\\]{}:,\"\\\\a-u0-9. ]{0,60}") {
        let _ = parse(&text);
        let _ = parse(&tail);
        let _ = parse(&format!(r#"{{"type":"say",{tail}}}"#));
        let _ = parse(&format!(r#"{{"type":"send","kind":"a","data":{tail}}}"#));
        let _ = parse(&format!(r#"{{"type":"send","kind":"a","data":1,"to":{tail}}}"#));
        let _ = parse(&format!(r#"{{"type":"resume","id":{tail}}}"#));
    }

    #[test]
    fn every_accepted_text_is_clean(text in "\\PC{0,40}|[\u{0}-\u{ff}\u{2028}-\u{202f}]{0,40}") {
        let message = json!({"type": "say", "text": text}).to_string();
        prop_assert_eq!(command(&message), text::clean_str(&text).map(|text| Command::Say { text }));
    }

    #[test]
    fn commands_written_by_another_writer_are_read(
        room in any_room(), name in any_name(), said in clean_text(), timeline: u64, last_seq: u64,
        token in "\\PC{1,40}", resumable: bool, id in prop::option::of(0..=MAX_ID),
    ) {
        let write = |mut message: Value| {
            if let Some(id) = id {
                message["id"] = id.into();
            }
            message.to_string()
        };
        let on_wrong_pod = Some(OnWrongPod::Relay);
        let text = write(json!({"type": "join", "room": room, "name": name, "resumable": resumable}));
        let join = Command::Join { room, name, resumable, key: None, auth: None, on_wrong_pod, events: true };
        prop_assert_eq!(parse(&text), (id, Ok(join)));
        let text = write(json!({"type": "say", "text": said}));
        prop_assert_eq!(parse(&text), (id, say(&said)));
        let heard = Heard { timeline: Timeline(timeline), last_seq };
        let text = write(json!({"type": "resume", "room": room, "token": token,
            "timeline": heard.timeline, "last_seq": last_seq}));
        let expected = Command::Resume { room, token: Cow::Borrowed(&token), heard: Some(heard), on_wrong_pod, events: true };
        prop_assert_eq!(parse(&text), (id, Ok(expected)));
    }
}
