//! Events of applications between a page and lines clients, directly and by relay.

use std::net::TcpStream;

use serde_json::{Value, json};
use tungstenite::client::client_with_config;
use tungstenite::{Message, WebSocket};

use crate::support::client::PATIENCE;
use crate::support::pod::Pod;
use crate::town::Town;

struct Page(WebSocket<TcpStream>);

impl Page {
    /// A page that has joined the room.
    fn join(pod: &Pod, room: &str, name: &str) -> Self {
        let stream = TcpStream::connect(pod.web).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = client_with_config(format!("ws://{}/ws", pod.web), stream, None).unwrap();
        let mut page = Self(socket);
        let joined = page.ask(&json!({"type": "join", "room": room, "name": name}));
        assert_eq!(joined["type"], "joined", "{joined}");
        page
    }

    fn send(&mut self, text: &str) {
        self.0.send(Message::text(text.to_owned())).unwrap();
    }

    fn read(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.0.read().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    fn ask(&mut self, message: &Value) -> Value {
        self.send(&message.to_string());
        self.read()
    }
}

#[test]
fn events_reach_whom_they_are_to_by_every_way() {
    let town = Town::start_with(2, &["--max-players", "5"]);
    let (room, mut alice, mut bob) = town.room_of_two();
    let mut eve = town.client(1);
    eve.join(&room, "eve", "RELAY EVENTS");
    let mut page = Page::join(&town.pods[1], &room, "pat");
    let mut other = Page::join(&town.pods[0], &room, "pam");
    assert_eq!(page.read()["name"], "pam");

    // White space and line feeds in it, as a client may write it.
    page.send("{\"type\":\"send\",\"kind\":\"app.move\",\n \"data\":{\"x\": 1.50,\n\"y\":\"\u{2028}\"},\"id\":1}");
    let moved = page.read();
    assert_eq!((&moved["kind"], &moved["seq"], &moved["id"]), (&json!("app.move"), &json!(1), &json!(1)), "{moved}");
    assert_eq!(other.read(), moved);
    eve.until("EVENT pat app.move {\"x\": 1.50, \"y\":\"\\u2028\"}", PATIENCE);

    let to_eve = page.ask(&json!({"type": "send", "kind": "card", "data": "Q", "to": ["eve", "bob", "nobody"]}));
    assert_eq!((&to_eve["reached"], to_eve.get("seq")), (&json!(["eve"]), None), "{to_eve}");
    let volatile = page.ask(&json!({"type": "send", "kind": "cursor", "data": [1, 2], "volatile": true}));
    assert_eq!(volatile.get("seq"), None, "{volatile}");
    assert_eq!(page.ask(&json!({"type": "say", "text": "first\nsecond"}))["seq"], 2);
    eve.expect("EVENT pat card \"Q\"");
    eve.expect("EVENT pat cursor [1,2]");
    eve.expect("MSG pat first\u{2424}second");
    // Who has not asked hears messages alone.
    for client in [&mut alice, &mut bob] {
        let heard = client.until("MSG pat first\u{2424}second", PATIENCE);
        assert!(heard.iter().all(|line| !line.starts_with("EVENT")), "{heard:?}");
    }
    assert_eq!(other.read(), volatile, "and nothing that is to others");
    assert_eq!(other.read()["text"], "first\nsecond");
    for wrong in [r#"{"a":1,"a":2}"#, "NaN", r#""\ud83d""#, &"[".repeat(10_000)] {
        page.send(&format!(r#"{{"type":"send","kind":"k","data":{wrong}}}"#));
        assert_eq!(page.read()["code"], "bad_command", "{wrong:.20}");
    }
}
