//! Players of one room over three pods, by relay, redirect, directly and from a page: one order for all, nothing lost or doubled.

use std::collections::HashMap;
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::client::client_with_config;
use tungstenite::{Message, WebSocket};

use crate::support::client::{Client, PATIENCE};
use crate::town::{Town, redirected};

const LINES: usize = 300;

/// A player who talks in a thread of its own; what it heard, when it has heard everything.
struct Talker<T> {
    heard: thread::JoinHandle<(Vec<String>, T)>,
}

/// Says `LINES` lines without waiting for their echoes, and hears those of everyone.
fn talk(mut client: Client, name: &'static str, talkers: usize) -> Talker<Client> {
    let heard = thread::spawn(move || {
        let mut writer = client.writer();
        let speaker = thread::spawn(move || {
            for number in 0..LINES {
                writer.write_all(format!("SAY {name} {number}\n").as_bytes()).unwrap();
            }
        });
        let mut heard = Vec::new();
        while heard.len() < talkers * LINES {
            let line = client.line();
            match line.strip_prefix("MSG ") {
                Some(said) => heard.push(said.to_owned()),
                None => assert!(line.starts_with("ENTERED "), "{line}"),
            }
        }
        speaker.join().unwrap();
        // Nothing is left over: the next thing is the answer to this.
        assert_eq!(client.ask("PING"), "PONG");
        (heard, client)
    });
    Talker { heard }
}

/// The same as a page does it, over a WebSocket.
fn talk_from_a_page(mut page: Page, name: &'static str, talkers: usize) -> Talker<Page> {
    let heard = thread::spawn(move || {
        let mut heard = Vec::new();
        let (mut said, mut echoes) = (0, 0);
        while heard.len() < talkers * LINES {
            // A few at a time: one thread reads and writes.
            while said < LINES && said < echoes + 16 {
                let text = format!("{name} {said}");
                page.send(Message::text(json!({"type": "say", "text": text, "id": said}).to_string())).unwrap();
                said += 1;
            }
            let message = read_json(&mut page);
            match message["type"].as_str().unwrap() {
                "message" => {
                    if message["from"] == name {
                        assert_eq!(message["id"], echoes, "{message}");
                        echoes += 1;
                    }
                    assert_eq!(message["seq"], heard.len() + 1, "{message}");
                    heard.push(format!("{} {}", message["from"].as_str().unwrap(), message["text"].as_str().unwrap()));
                }
                kind => assert_eq!(kind, "entered", "{message}"),
            }
        }
        (heard, page)
    });
    Talker { heard }
}

type Page = WebSocket<TcpStream>;

fn read_json(page: &mut Page) -> Value {
    loop {
        if let Message::Text(text) = page.read().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

#[test]
fn everyone_hears_the_same_in_the_same_order() {
    let town = Town::start(3);
    let mut alice = town.client(0);
    let room = alice.create_room();
    alice.join(&room, "alice", "");
    let mut bob = town.client(1);
    bob.join(&room, "bob", "RELAY");
    let answer = town.client(2).ask(&format!("JOIN {room} carol REDIRECT"));
    let mut carol = redirected(&answer, &room);
    carol.join(&room, "carol", "");

    let stream = TcpStream::connect(town.pods[2].web).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let url = format!("ws://{}/ws", town.pods[2].web);
    let (mut page, _) = client_with_config(url, stream, None).unwrap();
    page.send(Message::text(json!({"type": "join", "room": room, "name": "dave"}).to_string())).unwrap();
    let joined = read_json(&mut page);
    assert_eq!((&joined["type"], &joined["seq"]), (&json!("joined"), &json!(0)), "{joined}");

    let lines = [talk(alice, "alice", 4), talk(bob, "bob", 4), talk(carol, "carol", 4)];
    let page = talk_from_a_page(page, "dave", 4);
    // Nobody goes before all have heard everything.
    let lines = lines.map(|talker| talker.heard.join().unwrap());
    let page = page.heard.join().unwrap();
    let mut heard: Vec<&Vec<String>> = lines.iter().map(|(heard, _)| heard).collect();
    heard.push(&page.0);
    for other in &heard[1..] {
        assert!(*other == heard[0], "two players heard different orders");
    }
    let mut next: HashMap<&str, usize> = HashMap::new();
    for line in heard[0] {
        let words: Vec<&str> = line.split(' ').collect();
        let [from, name, number] = words[..] else { panic!("{line}") };
        assert_eq!(from, name);
        let expected = next.entry(from).or_default();
        assert_eq!(number, expected.to_string(), "{from}'s lines are lost, doubled or out of order");
        *expected += 1;
    }
    assert_eq!(next.into_values().collect::<Vec<_>>(), [LINES; 4]);

    // One link per pair, whichever pod relays: the pod in the middle has two.
    town.pods[0].metric_becomes("chatd_peer_links", 2);
    assert_eq!(town.pods[1].metric("chatd_relays_total"), 1);
    assert_eq!(town.pods[2].metric("chatd_redirects_total"), 1);
    assert_eq!(town.pods[0].metric("chatd_messages_in_total"), (4 * LINES) as u64);
}

#[test]
fn a_relayed_reader_who_stands_still_holds_up_nobody() {
    let town = Town::start(2);
    let mut alice = town.client(0);
    let room = alice.create_room();
    alice.join(&room, "alice", "");
    let mut bob = town.client(1);
    bob.join(&room, "bob", "RELAY");
    let mut slow = town.client(1);
    slow.join(&room, "slow", "RELAY");
    let text = "x".repeat(3_000);
    let limit = std::time::Instant::now() + Duration::from_mins(1);
    let (mut said, mut gone) = (0, false);
    while !gone {
        assert!(std::time::Instant::now() < limit, "nobody was too slow after {said} lines");
        alice.send(&format!("SAY {said} {text}"));
        for player in [&mut alice, &mut bob] {
            let heard = player.until(&format!("MSG alice {said} "), PATIENCE);
            gone |= heard.iter().any(|line| line == "EXITED slow slow");
        }
        said += 1;
    }
    let rest = slow.rest(PATIENCE);
    let heard = rest.iter().filter(|line| line.starts_with("MSG alice ")).count();
    for (number, line) in rest.iter().filter(|line| line.starts_with("MSG alice ")).enumerate() {
        assert!(line.starts_with(&format!("MSG alice {number} ")), "a line is missing before {}", &line[..30]);
    }
    assert!(heard < said && rest.last().unwrap() == "BYE slow_consumer", "{:?}", rest.last());
}
