//! That a setting of the command line is the one that counts: values that differ from each other and from the defaults.

use std::time::{Duration, Instant};

use crate::support::client::{Client, PATIENCE};
use crate::support::pod::{self, Pod};
use crate::support::wait_for;
use crate::town::Town;

const SETTINGS: [&str; 22] = [
    "--max-players",
    "3",
    "--seat-hold",
    "2",
    "--empty-ttl",
    "1",
    "--record-ttl",
    "700",
    "--replay-messages",
    "5",
    "--rate",
    "4",
    "--burst",
    "9",
    "--first-line-timeout",
    "3",
    "--idle-timeout",
    "5",
    "--max-misses",
    "6",
    "--tcp-on-wrong-pod",
    "relay",
];

/// How long `client` waits for `line`, in seconds.
#[track_caller]
fn seconds_until(client: &mut Client, line: &str) -> f64 {
    let start = Instant::now();
    assert_eq!(client.line_within(PATIENCE), line);
    start.elapsed().as_secs_f64()
}

#[test]
fn limits_and_times_are_those_that_were_asked_for() {
    let town = Town::start_with(2, &SETTINGS);
    let mut silent = town.client(0);
    let mut idle = town.client(0);
    assert_eq!(idle.ask("PING"), "PONG");
    let asked = Instant::now();

    let mut alice = town.client(0);
    let room = alice.create_room();
    let empty = town.client(0).create_room();
    let life: i64 = town.redis.run(&format!("TTL chat:room:{room}"));
    assert!((690..=700).contains(&life), "{life}");

    // --tcp-on-wrong-pod: no word in JOIN.
    alice.join(&room, "alice", "");
    let mut bob = town.client(1);
    bob.join(&room, "bob", "");
    alice.expect("ENTERED bob");
    let mut carol = town.client(0);
    let token = carol.join_resumable(&room, "carol", "");
    assert_eq!(alice.line(), "ENTERED carol");
    assert!(town.client(0).ask(&format!("JOIN {room} dan")).starts_with("ERR room_full "));
    let found = pod::get(town.pods[0].web, &format!("/api/rooms/{room}")).unwrap();
    assert!(found.body.contains("\"max_players\":3"), "{}", found.body);

    // --burst, --rate and --replay-messages.
    drop(carol);
    alice.expect("AWAY carol");
    for number in 0..8 {
        assert_eq!(alice.ask(&format!("{number}")), format!("MSG alice {number}"));
    }
    assert_eq!(alice.ask("WHO"), "PLAYERS alice,bob,carol");
    let limited = alice.ask("too fast");
    assert!(limited.starts_with("ERR rate_limited "), "{limited}");
    let mut carol = town.client(0);
    carol.send(&format!("RESUME {room} {token}"));
    let words: Vec<String> = (0..8).map(|_| carol.line()).collect();
    assert_eq!(words[2..], ["MISSED 3", "MSG alice 3", "MSG alice 4", "MSG alice 5", "MSG alice 6", "MSG alice 7"]);
    alice.expect("BACK carol");

    // --seat-hold and --empty-ttl.
    drop(carol);
    alice.expect("AWAY carol");
    let held = seconds_until(&mut alice, "EXITED carol timeout");
    assert!((1.5..6.0).contains(&held), "{held}");
    wait_for("the empty room's record to go", PATIENCE, || {
        let there: bool = town.redis.run(&format!("EXISTS chat:room:{empty}"));
        (!there).then_some(())
    });

    // --first-line-timeout and --idle-timeout: both clients have been silent since the start.
    assert_eq!(silent.rest(PATIENCE).last().map(String::as_str), Some("BYE timeout"));
    assert_eq!(idle.rest(PATIENCE).last().map(String::as_str), Some("BYE timeout"));
    assert!(asked.elapsed() < Duration::from_mins(1), "not the default of 120 s");

    // --max-misses.
    let mut lost = town.client(0);
    (0..6).for_each(|_| lost.send("JOIN zzzzzzzz lost"));
    let words = lost.rest(PATIENCE);
    let misses = words.iter().filter(|word| word.starts_with("ERR room_not_found ")).count();
    assert_eq!((misses, words.last().map(String::as_str)), (6, Some("BYE rate_limited")), "{words:?}");
}

#[test]
fn origins_and_proxies_are_those_that_were_asked_for() {
    let mut pod = Pod::launch(
        "chat-0",
        None,
        &["--allowed-origins", "https://chat.example", "--trusted-proxies", "127.0.0.0/8", "--per-ip-limits"],
    );
    pod.ready();
    let upgrade = |origin: &str| {
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: chatd.v1\r\n\r\n",
            pod.web
        );
        let mut client = Client::connect(pod.web);
        client.send_bytes(request);
        client.line()
    };
    assert_eq!(upgrade("https://chat.example"), "HTTP/1.1 101 Switching Protocols\r");
    assert_eq!(upgrade("https://other.example"), "HTTP/1.1 403 Forbidden\r");

    // Each client behind the proxy has misses of its own.
    let miss = |client: &str| {
        let mut request = Client::connect(pod.web);
        let head = format!("GET /api/rooms/zzzzzzzz HTTP/1.1\r\nHost: {}\r\nX-Forwarded-For: {client}\r\n", pod.web);
        request.send_bytes(format!("{head}Connection: close\r\n\r\n"));
        request.line()
    };
    let answers: Vec<String> = (0..40).map(|_| miss("192.0.2.1")).collect();
    assert_eq!(answers[0], "HTTP/1.1 404 Not Found\r");
    assert_eq!(answers[39], "HTTP/1.1 429 Too Many Requests\r");
    assert_eq!(miss("192.0.2.2"), "HTTP/1.1 404 Not Found\r");
}
