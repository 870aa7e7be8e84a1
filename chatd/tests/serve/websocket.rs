//! `/ws` on real sockets: sessions, control frames, and every way to close.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{ClientRequestBuilder, Error, Message, WebSocket};

use crate::client::{Lines, PATIENCE, http, http_over, wait_until};
use crate::pod::{Options, Pod};

/// A client that keeps the rules.
pub struct Browser(WebSocket<TcpStream>);

impl Browser {
    pub fn connect(pod: &Pod) -> Self {
        let stream = TcpStream::connect(pod.web).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let address = format!("ws://{}/ws", pod.web).parse().unwrap();
        let request = ClientRequestBuilder::new(address).with_sub_protocol("chatd.v1");
        Self(tungstenite::client(request, stream).unwrap().0)
    }

    pub fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    pub fn text(&mut self) -> String {
        loop {
            match self.0.read().unwrap() {
                Message::Text(text) => return text.as_str().to_owned(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub fn event(&mut self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }

    pub fn ask(&mut self, text: &str) -> String {
        self.send(text);
        self.text()
    }

    /// The server closes, with this.
    #[track_caller]
    fn expect_close(&mut self, code: u16, reason: &str) {
        match self.0.read().unwrap() {
            Message::Close(Some(frame)) => assert_eq!((u16::from(frame.code), frame.reason.as_str()), (code, reason)),
            other => panic!("{other:?}"),
        }
        assert!(matches!(self.0.read(), Err(Error::ConnectionClosed)));
    }
}

/// The texts of the last frames, and the close's code and reason.
type Ended = (Vec<String>, Option<(u16, String)>);

/// A client that breaks the rules: bytes as they are.
struct Raw(TcpStream);

impl Raw {
    fn connect(pod: &Pod) -> Self {
        let mut stream = TcpStream::connect(pod.web).unwrap();
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            pod.web
        );
        let answer = http_over(&mut stream, &request);
        assert_eq!(answer.status, 101);
        assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(answer.header("sec-websocket-protocol"), None);
        Self(stream)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// The next (unmasked) frame: its first byte and payload. `None`: closed.
    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut header = [0; 2];
        self.0.read_exact(&mut header).ok()?;
        let length = match header[1] {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length).unwrap();
                usize::from(u16::from_be_bytes(length))
            }
            length => usize::from(length),
        };
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).unwrap();
        Some((header[0], payload))
    }

    /// As [`Raw::until_closed`]; `None`: the connection stays open.
    fn try_until_closed(self) -> Option<Ended> {
        let waits = self.0.peek(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        (!waits).then(|| self.until_closed())
    }

    /// The frames up to the close: their texts, and the close's code and reason.
    fn until_closed(mut self) -> Ended {
        let mut texts = Vec::new();
        while let Some((first, payload)) = self.frame() {
            if first == 0x88 {
                let code = u16::from_be_bytes([payload[0], payload[1]]);
                let reason = String::from_utf8(payload[2..].to_vec()).unwrap();
                assert_eq!(self.frame(), None, "something after the close");
                return (texts, Some((code, reason)));
            }
            texts.push(String::from_utf8(payload).unwrap());
        }
        (texts, None)
    }
}

/// A frame as clients send it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..0x1_0000 => {
            bytes.push(0x80 | 0x7e);
            bytes.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 0x7f);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

#[test]
fn browsers_and_raw_players_share_a_room() {
    let pod = Pod::start(Options { shards: 3, ..Options::default() });
    for _ in 0..4 {
        let mut alice = Browser::connect(&pod);
        alice.send(r#"{"type":"create_room","id":1}"#);
        let made = alice.event();
        let room = made["room"].as_str().unwrap().to_owned();
        assert_eq!(made, json!({"type": "room", "room": room, "id": 1}));
        alice.send(&format!(r#"{{"type":"join","room":"{room}","name":"alice","resumable":true}}"#));
        let joined = alice.event();
        assert_eq!((&joined["type"], &joined["name"]), (&json!("joined"), &json!("alice")), "{joined}");
        let mut bob = Lines::connect(pod.tcp);
        bob.join(&room, "bob");
        assert_eq!(alice.event(), json!({"type": "entered", "name": "bob"}));
        alice.send(r#"{"type":"say","text":"hi \u00e4","id":7}"#);
        bob.expect("MSG alice hi ä");
        let message = alice.event();
        assert_eq!((&message["from"], &message["text"], &message["id"]), (&json!("alice"), &json!("hi ä"), &json!(7)));
        bob.send("hello\n");
        assert_eq!(alice.event()["text"], "hello");
        assert_eq!(alice.ask(r#"{"type":"quit"}"#), r#"{"type":"bye","code":"quit"}"#);
        alice.expect_close(1000, "");
        bob.expect("MSG bob hello");
        bob.expect("EXITED alice left");
    }
}

#[test]
fn what_comes_with_the_upgrade_request_is_not_lost() {
    let pod = Pod::start(Options::default());
    let mut stream = TcpStream::connect(pod.web).unwrap();
    let mut bytes = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        pod.web
    )
    .into_bytes();
    bytes.extend(frame(0x81, br#"{"type":"ping","id":1}"#));
    bytes.extend(frame(0x88, &1000_u16.to_be_bytes()));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&bytes).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let expected = [&b"\x81\x16"[..], br#"{"type":"pong","id":1}"#, &[0x88, 2, 3, 232]].concat();
    assert_eq!(all[end..], expected);
}

#[test]
fn frames_in_pieces_and_pings_between_them() {
    let pod = Pod::start(Options::default());
    let mut raw = Raw::connect(&pod);
    let text = br#"{"type":"ping","id":5}"#;
    let mut bytes = frame(0x01, &text[..5]);
    bytes.extend(frame(0x89, b"are you there?"));
    bytes.extend(frame(0x00, &text[5..9]));
    bytes.extend(frame(0x8a, b"nobody asked"));
    bytes.extend(frame(0x80, &text[9..]));
    for byte in bytes {
        raw.send(&[byte]);
    }
    assert_eq!(raw.frame(), Some((0x8a, b"are you there?".to_vec())));
    assert_eq!(raw.frame(), Some((0x81, br#"{"type":"pong","id":5}"#.to_vec())));
}

#[test]
fn every_violation_has_its_close_code() {
    let pod = Pod::start(Options::default());
    let masked = |mut bytes: Vec<u8>, change: fn(&mut Vec<u8>)| {
        change(&mut bytes);
        bytes
    };
    let table: Vec<(&str, Vec<u8>, u16)> = vec![
        ("binary", frame(0x82, b"x"), 1003),
        ("bad UTF-8", frame(0x81, b"\xff\xfe"), 1007),
        ("bad UTF-8 in pieces", [frame(0x01, b"\xc3"), frame(0x80, b"\x28")].concat(), 1007),
        ("bad UTF-8 in a close's reason", frame(0x88, b"\x03\xe8\xff"), 1007),
        ("not masked", vec![0x81, 1, b'x'], 1002),
        ("reserved bit", frame(0xc1, b"x"), 1002),
        ("unknown opcode", frame(0x83, b"x"), 1002),
        ("continuation of nothing", frame(0x80, b"x"), 1002),
        ("text within a text", [frame(0x01, b"x"), frame(0x81, b"x")].concat(), 1002),
        ("ping in pieces", frame(0x09, b"x"), 1002),
        ("long ping", frame(0x89, &[b'x'; 126]), 1002),
        ("close with half a code", frame(0x88, b"x"), 1002),
        ("close with a code that is not for the wire", frame(0x88, &1005_u16.to_be_bytes()), 1002),
        (
            "a length that is too long for itself",
            masked(frame(0x81, &[b'x'; 126]), |bytes| {
                bytes.splice(2..4, [0, 5]);
            }),
            1002,
        ),
    ];
    for (what, bytes, code) in table {
        let mut raw = Raw::connect(&pod);
        raw.send(&bytes);
        assert_eq!(raw.until_closed(), (Vec::new(), Some((code, String::new()))), "{what}");
    }
    wait_until("the sessions end", || pod.sessions() == 0);
}

#[test]
fn a_message_over_the_limit_gets_an_error() {
    let pod = Pod::start(Options::default());
    let longest = format!(r#"{{"type":"ping","x":"{}"}}"#, "x".repeat(32 * 1024 - 22));
    assert_eq!(longest.len(), 32 * 1024);
    let mut raw = Raw::connect(&pod);
    raw.send(&frame(0x81, longest.as_bytes()));
    assert_eq!(raw.frame(), Some((0x81, br#"{"type":"pong"}"#.to_vec())));
    let whole = frame(0x81, format!("{longest} ").as_bytes());
    let pieces = [frame(0x01, longest.as_bytes()), frame(0x80, b" ")].concat();
    for bytes in [whole, pieces] {
        let mut raw = Raw::connect(&pod);
        // Refused by its header: nobody has to read the rest.
        let _ = raw.0.write_all(&bytes);
        let (texts, close) = raw.until_closed();
        let error: Value = serde_json::from_str(&texts[0]).unwrap();
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("line_too_long")));
        assert_eq!(texts[1], r#"{"type":"bye","code":"line_too_long"}"#);
        assert_eq!(close, Some((1009, "line_too_long".to_owned())));
    }
}

#[test]
fn the_client_closes_and_is_answered() {
    let pod = Pod::start(Options::default());
    for code in [Some(1000), Some(1001), Some(4999), None] {
        let mut browser = Browser::connect(&pod);
        let frame = code.map(|code| CloseFrame { code: CloseCode::from(code), reason: "bye".into() });
        browser.0.close(frame).unwrap();
        match browser.0.read().unwrap() {
            Message::Close(answer) => assert_eq!(answer.map(|frame| u16::from(frame.code)), code),
            other => panic!("{other:?}"),
        }
        assert!(matches!(browser.0.read(), Err(Error::ConnectionClosed)));
    }
    wait_until("the sessions end", || pod.sessions() == 0);
}

#[test]
fn errors_close_with_their_codes() {
    let hub = chatd::hub::HubSettings { idle_timeout: 300, ..Options::default().hub };
    let pod = Pod::start(Options { hub, ..Options::default() });
    let mut idle = Browser::connect(&pod);
    assert_eq!(idle.event()["code"], "timeout");
    assert_eq!(idle.event(), json!({"type": "bye", "code": "timeout"}));
    idle.expect_close(1008, "timeout");
    let mut alice = Browser::connect(&pod);
    alice.send(r#"{"type":"create_room"}"#);
    let room = alice.event()["room"].as_str().unwrap().to_owned();
    alice.send(&format!(r#"{{"type":"join","room":"{room}","name":"alice","resumable":true}}"#));
    let token = alice.event()["token"].as_str().unwrap().to_owned();
    let mut again = Browser::connect(&pod);
    again.send(&format!(r#"{{"type":"resume","room":"{room}","token":"{token}"}}"#));
    assert_eq!(again.event()["resumed"], true);
    let words = [alice.event(), alice.event()];
    assert_eq!((&words[0]["code"], &words[1]), (&json!("replaced"), &json!({"type": "bye", "code": "replaced"})));
    alice.expect_close(4001, "replaced");
}

#[test]
fn who_stops_reading_is_closed_and_gets_whole_frames() {
    let hub = chatd::hub::HubSettings { send_queue: 64 * 1024, ..Options::default().hub };
    let pod = Pod::start(Options { hub, ..Options::default() });
    let mut alice = Lines::connect(pod.tcp);
    let room = alice.create_room();
    alice.join(&room, "alice");
    let mut slow = Raw::connect(&pod);
    slow.send(&frame(0x81, format!(r#"{{"type":"join","room":"{room}","name":"slow"}}"#).as_bytes()));
    alice.expect("ENTERED slow");
    // Pings that nobody reads the answers of are answered between frames, or not at all.
    let text = "x".repeat(3000);
    loop {
        let _ = slow.0.write_all(&frame(0x89, b"ping"));
        alice.send(format!("SAY {text}\n"));
        let line = alice.line();
        if line == "EXITED slow slow" {
            break;
        }
        assert_eq!(line, format!("MSG alice {text}"));
    }
    let mut last = Value::Null;
    let mut pongs = 0;
    let close = loop {
        match slow.frame() {
            Some((0x81, payload)) => last = serde_json::from_slice(&payload).unwrap(),
            Some((0x8a, payload)) => {
                assert_eq!(payload, b"ping");
                pongs += 1;
            }
            Some((0x88, payload)) => break Some(payload),
            Some(other) => panic!("{other:?}"),
            None => break None,
        }
    };
    assert_eq!(last, json!({"type": "bye", "code": "slow_consumer"}));
    assert_eq!(close.as_deref(), Some(&b"\x03\xf0slow_consumer"[..]));
    assert!(pongs > 0);
}

#[test]
fn only_the_right_handshake_is_taken() {
    let allowed_origins = vec!["https://chat.example".parse().unwrap()];
    let pod = Pod::start(Options { allowed_origins, ..Options::default() });
    let shake = |lines: &[&str]| {
        let mut all = vec![
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        all.extend(lines);
        http(pod.web, "GET", "/ws", &all).status
    };
    assert_eq!(shake(&[]), 101);
    assert_eq!(shake(&[&format!("Origin: http://{}", pod.web)]), 101);
    assert_eq!(shake(&["Origin: https://chat.example"]), 101);
    assert_eq!(shake(&["Origin: null"]), 403);
    assert_eq!(shake(&["Host: evil.example", "Origin: http://evil.example"]), 421);
    assert_eq!(shake(&["Sec-WebSocket-Protocol: chatd.v2, chatd.v1"]), 101);
    assert_eq!(shake(&["Sec-WebSocket-Protocol: chatd.v2"]), 400);
}

#[test]
fn when_all_connections_hold_too_much_memory_the_largest_get_the_reason_and_close() {
    let pod = Pod::start(Options { buffer_bytes: 1 << 20, ..Options::default() });
    let mut small = Browser::connect(&pod);
    assert_eq!(small.ask(r#"{"type":"ping"}"#), r#"{"type":"pong"}"#);
    // Each a message of 32 KiB that lacks its end, in one frame or in two.
    let part = "x".repeat(31 * 1024);
    let whole = frame(0x81, part.as_bytes());
    let mut raws: Vec<Raw> = (0..60).map(|_| Raw::connect(&pod)).collect();
    for (number, raw) in raws.iter_mut().enumerate() {
        if number % 2 == 0 {
            raw.send(&whole[..whole.len() - 1]);
        } else {
            raw.send(&frame(0x01, part.as_bytes()));
        }
    }
    wait_until("the largest go", || pod.report().counters.connections_shed >= 60 - (1 << 20) / (31 * 1024));
    wait_until("the rest is inside the limit", || pod.budget.held() <= 1 << 20);
    let shed = pod.report().counters.connections_shed;
    assert!(shed < 60, "{shed} went");
    assert_eq!(small.ask(r#"{"type":"ping"}"#), r#"{"type":"pong"}"#);
    for raw in &raws {
        raw.0.set_read_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
    }
    let ended = raws.into_iter().filter_map(Raw::try_until_closed).collect::<Vec<_>>();
    assert_eq!(ended.len() as u64, shed);
    for (texts, close) in ended {
        assert!(texts[0].contains(r#""code":"overloaded""#), "{texts:?}");
        assert_eq!(close, Some((1013, "overloaded".to_owned())));
    }
    drop(small);
    wait_until("nothing is held any more", || pod.budget.held() == 0);
}
