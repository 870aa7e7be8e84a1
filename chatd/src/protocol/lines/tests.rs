//! Every row of the line protocol, and what must never get through it.
#![allow(clippy::unwrap_used, clippy::unnecessary_wraps)]

use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::protocol::testing::{any_name, any_parts, any_room, clean_text};
use crate::protocol::{ExitReason, Joined, MAX_LINE_FEEDS, MAX_PLAYERS, MAX_TEXT, PlayerName, Role, RoomId, Timeline};

const ROOM: &str = "abc12def";

fn outside(line: &str) -> Result<Command<'_>, ErrorCode> {
    parse(line.as_bytes(), false).unwrap()
}

fn inside(line: &str) -> Result<Command<'_>, ErrorCode> {
    parse(line.as_bytes(), true).unwrap()
}

fn chat(text: &str) -> Result<Command<'_>, ErrorCode> {
    Ok(Command::Say { text: Cow::Borrowed(text) })
}

fn join(resumable: bool, on_wrong_pod: Option<OnWrongPod>) -> Result<Command<'static>, ErrorCode> {
    Ok(Command::Join {
        room: ROOM.parse().unwrap(),
        name: "alice".parse().unwrap(),
        resumable,
        key: None,
        auth: None,
        on_wrong_pod,
        events: false,
    })
}

#[test]
fn a_key_is_the_same_in_both_encodings_and_another_for_each_room_and_name() {
    let key = |line: &str| match outside(line) {
        Ok(Command::Join { key, .. }) => key.unwrap(),
        other => panic!("{line}: {other:?}"),
    };
    let word = "0123456789abcdefABCDEF_-";
    let first = key(&format!("JOIN {ROOM} alice KEY={word} RESUMABLE"));
    assert_eq!(key(&format!("JOIN {ROOM} Alice RELAY KEY={word}")), first);
    let text = format!(r#"{{"type":"join","room":"{ROOM}","name":"alice","key":"{word}"}}"#);
    assert!(matches!(crate::protocol::json::parse(&text).1, Ok(Command::Join { key, .. }) if key == Some(first)));
    for other in [
        format!("JOIN {ROOM} bob KEY={word}"),
        format!("JOIN zzzzzzzz alice KEY={word}"),
        format!("JOIN {ROOM} alice KEY={word}0"),
    ] {
        assert_ne!(key(&other), first, "{other}");
    }
    assert_eq!(first.to_string().parse(), Ok(first));
    for wrong in ["", "short", "0123456789 0123456789", "0123456789+0123456789abc", &"x".repeat(65)] {
        assert_eq!(outside(&format!("JOIN {ROOM} alice KEY={wrong}")), Err(ErrorCode::BadCommand), "{wrong}");
    }
}

#[test]
fn a_join_token_is_taken_as_it_is_and_the_longest_fits_into_a_line() {
    let auth = |line: &str| match outside(line) {
        Ok(Command::Join { auth, .. }) => auth.map(Cow::into_owned),
        other => panic!("{line}: {other:?}"),
    };
    let longest = "x".repeat(3_000);
    let key = "k".repeat(64);
    for token in ["a.b.c", "", "AUTH=a", &longest] {
        let name = "n".repeat(24);
        let line = format!("JOIN {ROOM} {name} RESUMABLE KEY={key} AUTH={token} REDIRECT");
        assert_eq!(auth(&line).as_deref(), Some(token));
    }
    assert_eq!(auth(&format!("JOIN {ROOM} alice auth=a")), None, "a word that is not known");
    assert_eq!(
        parse(format!("JOIN {ROOM} alice AUTH=\u{e9}").as_bytes(), false).map(|parsed| parsed.is_ok()),
        Some(true)
    );
    assert_eq!(
        parse(&[b"JOIN abc12def alice AUTH=".as_slice(), b"\xff"].concat(), false),
        Some(Err(ErrorCode::AuthInvalid))
    );
}

#[test]
fn refresh_is_a_command_only_of_those_who_have_a_token() {
    let auth = |line: &'static str| refresh(line.as_bytes());
    assert_eq!(auth("REFRESH a.b.c\r\n"), Some(Ok(Command::Refresh { auth: "a.b.c".into() })));
    assert_eq!(auth("REFRESH  a.b.c more"), Some(Ok(Command::Refresh { auth: "a.b.c".into() })));
    assert_eq!(auth("REFRESH"), Some(Err(ErrorCode::AuthInvalid)));
    for chat in ["REFRESHED", "refresh a", " REFRESH a", "hello", ""] {
        assert_eq!(auth(chat), None, "{chat}");
    }
    assert_eq!(inside("REFRESH a.b.c"), chat("REFRESH a.b.c"), "as it has always been for all others");
    assert_eq!(outside("REFRESH a.b.c"), Err(ErrorCode::NotInRoom));
}

#[test]
fn kick_is_a_command_only_of_those_who_have_a_token() {
    let name = "bob".parse().unwrap();
    for (line, expected) in [
        ("KICK bob\r\n", Some(Ok(None))),
        ("KICK  bob 60 and more", Some(Ok(Some(60)))),
        ("KICK bob 0", Some(Err(ErrorCode::BadCommand))),
        ("KICK bob 2592001", Some(Err(ErrorCode::BadCommand))),
        ("KICK bob soon", Some(Err(ErrorCode::BadCommand))),
        ("KICK", Some(Err(ErrorCode::BadName))),
        ("KICK b,b", Some(Err(ErrorCode::BadName))),
        ("KICKS bob", None),
        ("kick bob", None),
        (" KICK bob", None),
    ] {
        let expected = expected.map(|ban_s| ban_s.map(|ban_s| Command::Kick { name, ban_s }));
        assert_eq!(kick(line.as_bytes()), expected, "{line}");
    }
    assert_eq!(inside("KICK bob"), chat("KICK bob"));
    assert_eq!(outside("KICK bob"), Err(ErrorCode::NotInRoom));
}

fn resume(token: &str, on_wrong_pod: Option<OnWrongPod>) -> Result<Command<'_>, ErrorCode> {
    Ok(Command::Resume { room: ROOM.parse().unwrap(), token: token.into(), heard: None, on_wrong_pod, events: false })
}

#[test]
fn join_takes_its_options_in_any_order_and_ignores_words_it_does_not_know() {
    for (line, resumable, on_wrong_pod) in [
        ("JOIN abc12def alice", false, None),
        ("JOIN  abc12def   alice ", false, None),
        ("JOIN abc12def alice RESUMABLE", true, None),
        ("JOIN abc12def alice RELAY", false, Some(OnWrongPod::Relay)),
        ("JOIN abc12def alice RESUMABLE REDIRECT", true, Some(OnWrongPod::Redirect)),
        ("JOIN abc12def alice REDIRECT RESUMABLE", true, Some(OnWrongPod::Redirect)),
        ("JOIN abc12def alice relay resumable later", false, None),
        ("JOIN abc12def alice RELAY REDIRECT", false, Some(OnWrongPod::Relay)),
    ] {
        assert_eq!(outside(line), join(resumable, on_wrong_pod), "{line}");
        assert_eq!(inside(line), join(resumable, on_wrong_pod), "in a room: {line}");
    }
}

#[test]
fn join_and_resume_say_which_word_is_wrong() {
    for (line, code) in [
        ("JOIN", ErrorCode::BadRoom),
        ("JOIN ", ErrorCode::BadRoom),
        ("JOIN ABC12DEF alice", ErrorCode::BadRoom),
        ("JOIN alice_ abc12def", ErrorCode::BadRoom),
        ("JOIN abc12def", ErrorCode::BadName),
        ("JOIN abc12def al,ice", ErrorCode::BadName),
        ("JOIN abc12def al\u{200d}ice", ErrorCode::BadName),
        ("JOIN abc12def aaaaaaaaaaaaaaaaaaaaaaaaa", ErrorCode::BadName),
        ("RESUME", ErrorCode::BadRoom),
        ("RESUME abc- token", ErrorCode::BadRoom),
        ("RESUME abc12def", ErrorCode::BadToken),
        ("RESUME abc12def  ", ErrorCode::BadToken),
    ] {
        assert_eq!(outside(line), Err(code), "{line}");
        assert_eq!(inside(line), Err(ErrorCode::AlreadyInRoom), "in a room: {line}");
    }
    assert_eq!(parse(b"JOIN abc12def \xff", false), Some(Err(ErrorCode::BadName)));
    assert_eq!(parse(b"RESUME abc12def \xff", false), Some(Err(ErrorCode::BadToken)));
    assert_eq!(parse(b"JOIN \xff alice", true), Some(Err(ErrorCode::AlreadyInRoom)));
}

#[test]
fn resume_takes_a_token_as_it_is() {
    assert_eq!(outside("RESUME abc12def t0k3n"), resume("t0k3n", None));
    assert_eq!(outside("RESUME abc12def t0k3n now RELAY"), resume("t0k3n", Some(OnWrongPod::Relay)));
    assert_eq!(inside("RESUME abc12def t0k3n REDIRECT"), resume("t0k3n", Some(OnWrongPod::Redirect)));
}

const BARE: [(&str, Command<'static>); 6] = [
    ("CREATE_ROOM", Command::CreateRoom { auth: None }),
    ("WHO", Command::Who),
    ("PING", Command::Ping),
    ("HELP", Command::Help),
    ("LEAVE", Command::Leave),
    ("QUIT", Command::Quit),
];

#[test]
fn one_word_commands_are_exact_in_a_room_and_may_have_extra_words_outside() {
    for (word, command) in BARE {
        assert_eq!(outside(word), Ok(command.clone()));
        assert_eq!(inside(word), Ok(command.clone()));
        let spaces = format!("{word}   ");
        assert_eq!(outside(&spaces), Ok(command.clone()));
        assert_eq!(inside(&spaces), Ok(command.clone()));
        let extra = format!("{word} is this?");
        assert_eq!(outside(&extra), Ok(command));
        assert_eq!(inside(&extra), chat(&extra));
        for other in [word.to_lowercase(), format!(" {word}"), format!("{word}\t"), format!("{word}S")] {
            assert_eq!(outside(&other), Err(ErrorCode::BadCommand), "{other:?}");
            assert_eq!(inside(&other), chat(&other), "{other:?}");
        }
    }
}

#[test]
fn create_room_takes_a_join_token_outside_of_a_room() {
    let create = Ok(Command::CreateRoom { auth: Some("a.b.c".into()) });
    assert_eq!(outside("CREATE_ROOM AUTH=a.b.c"), create);
    assert_eq!(outside("CREATE_ROOM please AUTH=a.b.c now"), create);
    assert_eq!(parse(b"CREATE_ROOM AUTH=\xff", false), Some(Err(ErrorCode::AuthInvalid)));
    assert_eq!(inside("CREATE_ROOM AUTH=a.b.c"), chat("CREATE_ROOM AUTH=a.b.c"));
}

#[test]
fn in_a_room_any_other_line_is_chat_as_written() {
    for line in ["hi", "  hi  ", "say hi", "SAYING", "JOINT", "RESUMED it", "MSG bob hi", "# hi", "BYE quit", "a\tb"] {
        assert_eq!(inside(line), chat(line), "{line:?}");
    }
    for line in ["hi", "SAYING", " JOIN abc12def alice", "   ", "MSG bob hi"] {
        assert_eq!(outside(line), Err(ErrorCode::BadCommand), "{line:?}");
    }
}

#[test]
fn say_takes_everything_after_one_space() {
    assert_eq!(inside("SAY hi"), chat("hi"));
    assert_eq!(inside("SAY  LEAVE "), chat(" LEAVE "));
    assert_eq!(inside("SAY SAY x"), chat("SAY x"));
    assert_eq!(inside("SAY"), Err(ErrorCode::BadText));
    assert_eq!(inside("SAY   "), Err(ErrorCode::BadText));
    assert_eq!(inside("   "), Err(ErrorCode::BadText));
    for line in ["SAY hi", "SAY", "SAY \u{1b}"] {
        assert_eq!(outside(line), Err(ErrorCode::NotInRoom), "{line:?}");
    }
}

#[test]
fn text_is_cleaned_on_its_way_in() {
    assert_eq!(inside("a\u{202e}b"), Ok(Command::Say { text: Cow::Owned("ab".to_owned()) }));
    assert_eq!(inside("SAY a\u{1b}[2Jb"), Err(ErrorCode::BadText));
    assert_eq!(parse(b"caf\xe9", true), Some(Err(ErrorCode::BadText)));
    assert_eq!(parse(b"a\rMSG bob b", true), Some(Err(ErrorCode::BadText)));
}

#[test]
fn line_ends_are_taken_off_and_empty_lines_ignored() {
    for in_room in [false, true] {
        for empty in [&b""[..], b"\r", b"\n", b"\r\n"] {
            assert_eq!(parse(empty, in_room), None);
        }
        for ping in [&b"PING"[..], b"PING\r", b"PING\n", b"PING\r\n"] {
            assert_eq!(parse(ping, in_room), Some(Ok(Command::Ping)));
        }
    }
}

#[test]
fn the_longest_text_and_line_pass_and_one_byte_more_does_not() {
    let text = "x".repeat(MAX_TEXT);
    assert_eq!(inside(&text), chat(&text));
    assert_eq!(inside(&format!("SAY {text}")), chat(&text));
    assert_eq!(inside(&format!("{text}x")), Err(ErrorCode::LineTooLong));
    assert_eq!(inside(&format!("SAY {text}x")), Err(ErrorCode::LineTooLong));
    let padded = |length: usize| format!("PING{}", " ".repeat(length - 4));
    assert_eq!(outside(&padded(MAX_LINE - 1)), Ok(Command::Ping));
    assert_eq!(outside(&padded(MAX_LINE)), Err(ErrorCode::LineTooLong));
}

#[test]
fn other_protocols_are_known_by_their_first_line() {
    let foreign: [&[u8]; 10] = [
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/1.1\r\n",
        b"GET /",
        b"POST /x HTTP/1.0",
        b"QUIT HTTP/1.1\n",
        b"PRI * HTTP/2.0",
        b"DESCRIBE rtsp://a RTSP/1.0\r",
        b"SSH-2.0-x",
        b"EHLO a",
        b"PI\0NG",
    ];
    for line in foreign {
        assert!(is_foreign(line), "{line:?}");
    }
    for own in
        [&b""[..], b"PING", b"JOIN abc12def alice", b"GETTING on", b"HTTP/1.1", b"and/or 1/2", b"a HTTP/", b"\thi\r"]
    {
        assert!(!is_foreign(own), "{own:?}");
    }
}

#[test]
fn what_terminals_put_before_the_first_line_is_no_part_of_it() {
    let table: [(&[u8], &[u8]); 9] = [
        (b"PING", b"PING"),
        (b"\xff\xfb\x1f\xff\xfe\x03PING", b"PING"),
        (b"\xff\xfa\x1f\0\xff\xff\0\xff\xf0PING\r", b"PING\r"),
        (b"\xff\xf1PING", b"PING"),
        (b"\xff\xfd\x01\xef\xbb\xbfPING", b"PING"),
        (b"\xef\xbb\xbf\xef\xbb\xbfPING", b"\xef\xbb\xbfPING"),
        (b"\xff\xfa\x1fPING", b""),
        (b"\xff\xffPING", b"\xff\xffPING"),
        (b"\xff", b"\xff"),
    ];
    for (bytes, line) in table {
        assert_eq!(without_preamble(bytes), line, "{bytes:?}");
    }
}

fn encoded(event: &Event<'_>) -> String {
    let mut out = Vec::new();
    encode(event, &mut out);
    String::from_utf8(out).unwrap()
}

fn room() -> RoomId {
    ROOM.parse().unwrap()
}

fn name(text: &str) -> PlayerName {
    text.parse().unwrap()
}

#[test]
fn every_event_is_written_as_the_protocol_says() {
    let players = [
        PlayerView { name: name("alice"), away: false, role: Role::Member, presence: None, profile: None },
        PlayerView { name: name("Bob"), away: true, role: Role::Moderator, presence: Some("1".into()), profile: None },
    ];
    let joined = |token| {
        Event::Joined(Joined {
            room: room(),
            name: name("Bob"),
            players: &players,
            max_players: 4,
            locked: true,
            timeline: Timeline(1),
            seq: 2,
            resumed: false,
            missed: Some(0),
            token,
            hold_ms: None,
            state: None,
        })
    };
    let alice = name("alice");
    for (event, expected) in [
        (Event::Room { room: room() }, "ROOM abc12def\n"),
        (joined(None), "JOINED abc12def Bob alice,Bob\nLOCKED *\n"),
        (joined(Some("t0k3n")), "JOINED abc12def Bob alice,Bob\nTOKEN t0k3n\nLOCKED *\n"),
        (Event::Left { room: room() }, "LEFT abc12def\n"),
        (Event::Message { from: alice, text: "hi  you ", seq: 1, at: 2, replay: true }, "MSG alice hi  you \n"),
        (
            Event::Message { from: alice, text: "\na\n\nMSG eve b", seq: 1, at: 2, replay: false },
            "MSG alice \u{2424}a\u{2424}\u{2424}MSG eve b\n",
        ),
        (Event::Entered { name: alice, role: Role::Moderator, profile: None }, "ENTERED alice\n"),
        (Event::Exited { name: alice, reason: ExitReason::Slow }, "EXITED alice slow\n"),
        (Event::Away { name: alice }, "AWAY alice\n"),
        (Event::Back { name: alice }, "BACK alice\n"),
        (Event::Players { players: &players, max_players: 4 }, "PLAYERS alice,Bob\n"),
        (Event::Moved { room: room(), timeline: Timeline(1), seq: 2, locked: true }, "MOVED abc12def\n"),
        (Event::Missed { count: Some(12), locked: false }, "MISSED 12\n"),
        (Event::Missed { count: None, locked: true }, "MISSED ?\nLOCKED *\n"),
        (Event::Redirect { room: room(), tcp: "[::1]:7654", web: "x:1" }, "REDIRECT [::1]:7654 abc12def\n"),
        (Event::Expiring { seconds: 60 }, "EXPIRING 60\n"),
        (Event::Refreshed { seconds: 3_600 }, "REFRESHED 3600\n"),
        (Event::Kicked { name: alice }, "KICKED alice\n"),
        (Event::Locked { by: alice, locked: true }, "LOCKED alice\n"),
        (Event::Locked { by: alice, locked: false }, "UNLOCKED alice\n"),
        (Event::Pong, "PONG\n"),
        (Event::Error { code: ErrorCode::RoomFull, retry_after_ms: Some(5) }, "ERR room_full The room is full.\n"),
        (Event::Bye { code: None }, "BYE quit\n"),
        (Event::Bye { code: Some(ErrorCode::Moved) }, "BYE moved\n"),
    ] {
        assert_eq!(encoded(&event), expected);
    }
}

#[test]
fn help_teaches_every_command_and_is_all_comments() {
    let help = encoded(&Event::Help);
    assert!(help.lines().all(|line| line.starts_with("# ") && line.len() < MAX_LINE));
    for word in
        BARE.iter().map(|(word, _)| *word).chain(["JOIN", "RESUME", "SAY", "RESUMABLE", "EVENTS", "RELAY", "REDIRECT"])
    {
        assert!(help.contains(word), "{word}");
    }
}

#[test]
fn an_address_or_a_token_cannot_start_a_line_or_a_word() {
    let event = Event::Redirect { room: room(), tcp: "h:1\nMSG bob x", web: "" };
    assert_eq!(encoded(&event), "REDIRECT h:1?MSG?bob?x abc12def\n");
}

#[test]
fn the_longest_lines_fit() {
    let longest = name(&"n".repeat(24));
    let text = "x".repeat(MAX_TEXT);
    let message = encoded(&Event::Message { from: longest, text: &text, seq: u64::MAX, at: u64::MAX, replay: false });
    assert!(message.len() <= MAX_LINE, "{}", message.len());
    // Each line feed takes three bytes here.
    let text = format!("{}{}", "x".repeat(MAX_TEXT - MAX_LINE_FEEDS), "\n".repeat(MAX_LINE_FEEDS));
    let message = encoded(&Event::Message { from: longest, text: &text, seq: 1, at: 1, replay: false });
    assert!(message.len() <= MAX_LINE && message.lines().count() == 1, "{}", message.len());
    let players = vec![
        PlayerView { name: longest, away: false, role: Role::Member, presence: None, profile: None };
        MAX_PLAYERS as usize
    ];
    let joined = encoded(&Event::Joined(Joined {
        room: room(),
        name: longest,
        players: &players,
        max_players: MAX_PLAYERS,
        locked: false,
        timeline: Timeline(1),
        seq: 2,
        resumed: false,
        missed: None,
        token: None,
        hold_ms: None,
        state: None,
    }));
    assert!(joined.len() <= MAX_LINE, "{}", joined.len());
}

/// What a client reads out of the lines of one event: all that lines can say of it.
fn decode(lines: &str) -> String {
    let mut seen = Vec::new();
    for line in lines.strip_suffix('\n').unwrap().split('\n') {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let told = match word {
            "MSG" => rest.split_once(' ').map(|(from, text)| format!("{from:?} says {text:?}")).unwrap(),
            "ERR" => rest.split(' ').next().unwrap().to_owned(),
            "#" => continue,
            _ => rest.to_owned(),
        };
        seen.push(format!("{word}: {told};"));
    }
    seen.concat()
}

/// The same, straight from the event.
fn expected(event: &Event<'_>) -> String {
    let list = |players: &[PlayerView]| players.iter().map(|player| player.name.as_str()).collect::<Vec<_>>().join(",");
    let lock = |locked| if locked { "LOCKED: *;" } else { "" };
    match *event {
        Event::Room { room } => format!("ROOM: {room};"),
        Event::Joined(joined) => {
            let token = joined.token.map(|token| format!("TOKEN: {token};")).unwrap_or_default();
            let lock = lock(joined.locked);
            format!("JOINED: {} {} {};{token}{lock}", joined.room, joined.name, list(joined.players))
        }
        Event::Left { room } => format!("LEFT: {room};"),
        Event::Message { from, text, .. } => {
            format!("MSG: {:?} says {:?};", from.as_str(), text.replace('\n', "\u{2424}"))
        }
        Event::Entered { name, .. } => format!("ENTERED: {name};"),
        Event::Exited { name, reason } => format!("EXITED: {name} {};", reason.as_str()),
        Event::Away { name } => format!("AWAY: {name};"),
        Event::Back { name } => format!("BACK: {name};"),
        Event::Players { players, .. } => format!("PLAYERS: {};", list(players)),
        Event::Moved { room, .. } => format!("MOVED: {room};"),
        Event::Missed { count, locked } => {
            format!("MISSED: {};{}", count.map_or("?".to_owned(), |count| count.to_string()), lock(locked))
        }
        Event::Redirect { room, tcp, .. } => format!("REDIRECT: {tcp} {room};"),
        Event::Expiring { seconds } => format!("EXPIRING: {seconds};"),
        Event::Refreshed { seconds } => format!("REFRESHED: {seconds};"),
        Event::Kicked { name } => format!("KICKED: {name};"),
        Event::Locked { by, locked } => format!("{}: {by};", if locked { "LOCKED" } else { "UNLOCKED" }),
        Event::Pong => "PONG: ;".to_owned(),
        Event::Help
        | Event::Custom(_)
        | Event::Player { .. }
        | Event::State(_)
        | Event::StateAll(_)
        | Event::StateLost => String::new(),
        Event::Error { code, .. } => format!("ERR: {code};"),
        Event::VersionConflict { .. } => format!("ERR: {};", ErrorCode::VersionConflict),
        Event::Bye { code } => format!("BYE: {};", code.map_or("quit", ErrorCode::as_str)),
    }
}

proptest! {
    #[test]
    fn parsing_any_bytes_never_panics(line in prop::collection::vec(any::<u8>(), 0..200), in_room: bool) {
        if let Some(Ok(Command::Say { text })) = parse(&line, in_room) {
            prop_assert!(in_room && text::clean(text.as_bytes()) == Ok(text.clone()));
        }
    }

    #[test]
    fn parsing_anything_like_a_command_never_panics(
        line in "(SAY|JOIN|RESUME|LEAVE|WHO|PING|HELP|QUIT|CREATE_ROOM|)( |\t|\r|[a-z0-9]{8}| RELAY| RESUMABLE|\\PC){0,12}",
    ) {
        for in_room in [false, true] {
            prop_assert_eq!(parse(line.as_bytes(), in_room).is_none(), line.is_empty() || line == "\r");
        }
    }

    #[test]
    fn what_is_encoded_is_what_is_read(parts in any_parts()) {
        for event in parts.events() {
            let lines = encoded(&event);
            if expected(&event).is_empty() && event != Event::Help {
                prop_assert_eq!(lines, "");
                continue;
            }
            prop_assert!(lines.ends_with('\n'));
            prop_assert!(lines.split_inclusive('\n').all(|line| line.len() <= MAX_LINE));
            prop_assert_eq!(decode(&lines), expected(&event));
        }
    }

    #[test]
    fn what_anyone_says_is_one_line_of_theirs(line in "\\PC{0,60}|[\u{0}-\u{ff}\u{2028}-\u{202f}]{0,60}", from in any_name()) {
        if let Some(Ok(Command::Say { text })) = parse(line.as_bytes(), true) {
            let line = encoded(&Event::Message { from, text: &text, seq: 1, at: 2, replay: false });
            prop_assert_eq!(line.bytes().filter(|byte| *byte == b'\n' || *byte == b'\r').count(), 1);
            prop_assert_eq!(line, format!("MSG {from} {text}\n"));
        }
    }

    #[test]
    fn programs_can_say_any_clean_text(text in clean_text()) {
        let line = format!("SAY {text}");
        prop_assert_eq!(inside(&line), chat(&text));
    }

    #[test]
    fn join_gives_back_room_and_name(room in any_room(), name in any_name()) {
        let line = format!("JOIN {room} {name} RESUMABLE RELAY");
        let on_wrong_pod = Some(OnWrongPod::Relay);
        let join = Command::Join { room, name, resumable: true, key: None, auth: None, on_wrong_pod, events: false };
        prop_assert_eq!(outside(&line), Ok(join));
    }
}
