//! The server API of real processes: every call through a pod that has not the room; keys that are wrong, missing, and changed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use chatd::api::answers::{Closed, Kicked, Pods, Rooms, Said, Sent};
use serde_json::{Value, json};

use crate::support::client::{Client, PATIENCE};
use crate::support::pod::{Pod, get};
use crate::support::ports::free_port;
use crate::support::redis::Server;
use crate::support::wait_for;

pub const BACKEND: &str = "backend-0123456789abcdef0123456789";
const BOARD: &str = "board-0123456789abcdef0123456789ab";

/// A pod with the API, and where that is.
pub fn pod(name: &str, redis: Option<&str>, keys: &std::path::Path) -> (Pod, SocketAddr) {
    pod_with(name, redis, keys, &[])
}

fn pod_with(name: &str, redis: Option<&str>, keys: &std::path::Path, join_keys: &[&str]) -> (Pod, SocketAddr) {
    let api = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let (listen, keys) = (api.to_string(), keys.to_str().unwrap());
    let mut more = vec!["--api-listen", &listen, "--api-keys-file", keys, "--balance", "off"];
    more.extend(join_keys);
    let mut pod = Pod::launch(name, redis, &more);
    pod.ready();
    (pod, api)
}

pub fn key(id: &str, secret: &str, scopes: &[&str]) -> Value {
    json!({ "id": id, "secret": secret, "scopes": scopes })
}

pub fn write_keys(file: &std::path::Path, keys: &[Value]) {
    std::fs::write(file, json!({ "keys": keys }).to_string()).unwrap();
}

/// A caller with a key, and with headers that a call has beside it.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub at: SocketAddr,
    pub secret: Option<&'a str>,
    pub header: &'a str,
}

impl Caller<'_> {
    pub fn call(self, call: &str, body: impl AsRef<[u8]>) -> (u16, Value) {
        let body = body.as_ref();
        let (method, path) = call.split_once(' ').unwrap();
        let mut stream = TcpStream::connect(self.at).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let key = self.secret.map(|secret| format!("Authorization: Bearer {secret}\r\n")).unwrap_or_default();
        let (host, header, length) = (self.at, self.header, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{key}{header}Content-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        // One that refuses a long body may close before it has all of it.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{call}: {answer}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("{call}: {answer}")))
    }

    #[track_caller]
    fn ok(self, call: &str, body: &Value) -> Value {
        let (status, answer) = self.call(call, if body.is_null() { String::new() } else { body.to_string() });
        assert_eq!(status, 200, "{call}: {answer}");
        answer
    }

    #[track_caller]
    fn fails(self, call: &str, body: impl AsRef<[u8]>, status: u16, code: &str) {
        let answer = self.call(call, body);
        assert_eq!((answer.0, answer.1["error"]["code"].as_str()), (status, Some(code)), "{call}: {}", answer.1);
        assert!(answer.1["error"]["message"].as_str().unwrap().ends_with('.'), "{}", answer.1);
    }
}

fn read<T: serde::de::DeserializeOwned>(answer: Value) -> T {
    serde_json::from_value(answer).unwrap()
}

#[test]
fn every_call_is_carried_out_through_a_pod_that_has_not_the_room() {
    let redis = Server::start(&[]);
    let files = tempfile::tempdir().unwrap();
    let keys = files.path().join("keys.json");
    write_keys(&keys, &[key("backend", BACKEND, &["read", "write"])]);
    let (first, first_api) = pod("chat-0", Some(&redis.url()), &keys);
    let (second, second_api) = pod("chat-1", Some(&redis.url()), &keys);
    let here = Caller { at: first_api, secret: Some(BACKEND), header: "" };
    let there = Caller { at: second_api, ..here };

    let wanted = json!({ "room": "match-42", "descriptor": { "max_players": 3, "kind": "duel", "labels": null } });
    let (status, room) = here.call("POST /v1/rooms", wanted.to_string());
    assert_eq!((status, &room["created"], &room["pod"]), (201, &true.into(), &"chat-0".into()), "{room}");
    let room = there.ok("POST /v1/rooms", &wanted);
    assert_eq!((&room["created"], &room["pod"]), (&Value::Null, &"chat-0".into()), "{room}");
    there.fails("POST /v1/rooms", r#"{"room":"match-42"}"#, 409, "room_exists");

    let mut ana = Client::connect(first.tcp);
    ana.join("match-42", "Ana", "EVENTS");
    let room = there.ok("GET /v1/rooms/match-42", &Value::Null);
    assert_eq!(room["players"], json!([{ "name": "Ana", "role": "member" }]), "{room}");
    assert_eq!(room["descriptor"], json!({ "max_players": 3, "kind": "duel" }), "{room}");

    let other = json!({ "room": "quiz-7", "descriptor": { "kind": "quiz", "listed": true } });
    assert_eq!(there.call("POST /v1/rooms", other.to_string()).0, 201);
    for caller in [here, there] {
        let all: Rooms = read(caller.ok("GET /v1/rooms", &Value::Null));
        let found: Vec<_> = all.rooms.iter().map(|room| (room.room.as_str(), &*room.pod, room.players)).collect();
        assert_eq!(found, [("match-42", "chat-0", 1), ("quiz-7", "chat-1", 0)]);
        assert_eq!((all.next, all.incomplete.len()), (None, 0));
        let first: Rooms = read(caller.ok("GET /v1/rooms?limit=1", &Value::Null));
        assert_eq!(first.next.as_deref(), Some("match-42"));
        for query in ["kind=quiz", "listed=true", "listed=true&free=true", "limit=1&cursor=match-42"] {
            let found: Rooms = read(caller.ok(&format!("GET /v1/rooms?{query}"), &Value::Null));
            assert_eq!(found.rooms.iter().map(|room| room.room.as_str()).collect::<Vec<_>>(), ["quiz-7"], "{query}");
        }
    }

    // Everyone sees what is listed and open, at either pod, and no more of it.
    let open = |pod: &Pod| serde_json::from_str::<Value>(&get(pod.web, "/api/rooms").unwrap().body).unwrap();
    for pod in [&first, &second] {
        let expected = json!({ "rooms": [{ "room": "quiz-7", "kind": "quiz", "players": 0, "max_players": 4 }], "incomplete": [] });
        assert_eq!(open(pod), expected);
    }
    there.ok("PATCH /v1/rooms/quiz-7", &json!({ "access": "token" }));
    for pod in [&first, &second] {
        wait_for("nobody sees it any more", PATIENCE, || (open(pod)["rooms"] == json!([])).then_some(()));
    }

    let said: Said = read(there.ok("POST /v1/rooms/match-42/messages", &json!({ "text": "hello" })));
    ana.expect("MSG * hello");
    let once = Caller { header: "Idempotency-Key: order-1\r\n", ..there };
    let text = json!({ "text": "only once", "from": "referee" });
    let first_time: Said = read(once.ok("POST /v1/rooms/match-42/messages", &text));
    assert_eq!(first_time.seq, said.seq + 1);
    let again = Caller { at: first_api, ..once };
    assert_eq!(read::<Said>(again.ok("POST /v1/rooms/match-42/messages", &text)), first_time);
    ana.expect("MSG *referee only once");
    let event = json!({ "kind": "score", "data": { "ana": 1 } });
    let sent: Sent = read(there.ok("POST /v1/rooms/match-42/events", &event));
    assert_eq!(sent.seq, Some(first_time.seq + 1));
    ana.expect(r#"EVENT * score {"ana":1}"#);
    let event = json!({ "kind": "hint", "data": null, "to": ["ana", "Ben"], "from": "*" });
    let sent: Sent = read(there.ok("POST /v1/rooms/match-42/events", &event));
    assert_eq!((sent.seq, sent.reached), (None, Some(vec!["Ana".to_owned()])));
    ana.expect("EVENT * hint null");

    let room = there.ok("PATCH /v1/rooms/match-42", &json!({ "locked": true, "max_players": null }));
    assert_eq!(room["descriptor"], json!({ "locked": true, "kind": "duel" }), "{room}");
    ana.expect_start("LOCKED");
    there.fails("DELETE /v1/rooms/match-42/players/ben", "", 404, "player_not_found");
    let kicked: Kicked = read(there.ok("DELETE /v1/rooms/match-42/players/ana?ban_s=60", &Value::Null));
    assert_eq!(kicked.kicked.to_lowercase(), "ana");
    ana.until("BYE kicked", PATIENCE);
    let closed: Closed = read(there.ok("DELETE /v1/rooms/match-42", &Value::Null));
    assert_eq!(closed.closed, "match-42");
    wait_for("the room has ended", PATIENCE, || (there.call("GET /v1/rooms/match-42", "").0 == 404).then_some(()));
    // What is left of it keeps no pod from making another one of that name.
    let left = || redis.run::<String>("GET chat:room:match-42");
    wait_for("the tombstone", PATIENCE, || left().contains(r#""ended":true"#).then_some(()));
    let life: i64 = redis.run("TTL chat:room:match-42");
    assert!((3_500..=3_600).contains(&life), "{life}");
    assert_eq!(there.call("POST /v1/rooms", r#"{"room":"match-42"}"#).1["pod"], "chat-1");
    assert!(!left().contains("ended"), "{}", left());
    assert_eq!(here.ok("DELETE /v1/rooms/match-42", &Value::Null)["closed"], "match-42");

    // Without an id: one room for one Idempotency-Key, and a room of its own for each call without.
    let made: Vec<Value> = [once, again, there, there].map(|caller| caller.call("POST /v1/rooms", "{}").1).into();
    let ids: Vec<_> = made.iter().map(|room| room["room"].as_str().unwrap()).collect();
    assert!(ids[0] == ids[1] && ids[1] != ids[2] && ids[2] != ids[3], "{ids:?}");
    assert_eq!(made.iter().map(|room| room["created"] == true).collect::<Vec<_>>(), [true, false, true, true]);
    let Pods { pods } = read(there.ok("GET /v1/pods", &Value::Null));
    assert_eq!(
        pods.iter().map(|pod| (pod.pod.as_str(), pod.draining)).collect::<Vec<_>>(),
        [("chat-0", false), ("chat-1", false)]
    );
    assert!(pods.iter().all(|pod| pod.free_rooms > 0));

    // Only of a call that changes something nobody knows whether it was carried out.
    redis.freeze();
    let unknown = |(status, answer): (u16, Value)| {
        assert_eq!((status, &answer["error"]["code"]), (503, &"unavailable".into()), "{answer}");
        answer["error"]["message"].as_str().unwrap().contains("carried out")
    };
    assert!(!unknown(here.call("GET /v1/rooms/quiz-7", "")));
    assert!(unknown(here.call("PATCH /v1/rooms/quiz-7", r#"{"locked":true}"#)));
}

/// Whether this pod has handed all of its rooms over.
fn drained(caller: Caller<'_>, pod: &str) -> bool {
    let Pods { pods } = read(caller.ok("GET /v1/pods", &Value::Null));
    pods.iter().any(|info| info.pod == pod && info.draining && info.rooms == 0 && info.free_rooms == 0)
}

#[test]
fn a_quick_join_finds_a_place_and_a_pod_hands_its_rooms_over_and_goes_on() {
    let redis = Server::start(&[]);
    let files = tempfile::tempdir().unwrap();
    let (keys, join_keys) = (files.path().join("keys.json"), files.path().join("join"));
    write_keys(&keys, &[key("backend", BACKEND, &["read", "write"])]);
    std::fs::create_dir(&join_keys).unwrap();
    std::fs::write(join_keys.join("app-1"), "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=").unwrap();
    let join_keys = ["--join-keys-file", join_keys.to_str().unwrap()];
    let (first, first_api) = pod_with("chat-0", Some(&redis.url()), &keys, &join_keys);
    let (second, second_api) = pod_with("chat-1", Some(&redis.url()), &keys, &join_keys);
    let here = Caller { at: first_api, secret: Some(BACKEND), header: "" };
    let there = Caller { at: second_api, ..here };

    let person = |sub: &str| json!({ "sub": sub, "kind": "duel", "labels": ["eu"], "descriptor": { "max_players": 2, "access": "token" } });
    let (status, place) = here.call("POST /v1/join", person("user-1").to_string());
    assert_eq!((status, &place["created"], &place["kept_for"]), (201, &true.into(), &10.into()), "{place}");
    let room = place["room"].as_str().unwrap().to_owned();
    let again = there.ok("POST /v1/join", &person("user-2"));
    assert_eq!((&again["room"], &again["created"]), (&place["room"], &Value::Null), "the other place of that room");
    // Who asks again has no second place, though the room is full for others.
    for caller in [there, here] {
        assert_eq!(caller.ok("POST /v1/join", &person("user-1"))["room"], place["room"]);
    }
    // Both are kept, so that the next one needs a room of its own: one for each key, though it is sent twice.
    let once = Caller { header: "Idempotency-Key: order-1\r\n", ..there };
    let made = once.call("POST /v1/join", person("user-3").to_string());
    let twice = Caller { at: first_api, ..once }.call("POST /v1/join", person("user-3").to_string());
    assert_eq!((made.0, twice.0, &made.1["room"]), (201, 200, &twice.1["room"]), "{made:?} {twice:?}");
    assert_ne!(made.1["room"], place["room"]);
    let mut players = [(first.tcp, "ana", &place), (first.tcp, "ben", &again)].map(|(at, name, place)| {
        let mut player = Client::connect(at);
        player.send(&format!("JOIN {room} {name} AUTH={} RELAY", place["token"].as_str().unwrap()));
        player.expect_start(&format!("JOINED {room} {name} "));
        player
    });
    for (body, code) in [
        (json!({}), "bad_request"),
        (json!({ "sub": "" }), "bad_request"),
        (json!({ "sub": "a", "expires_in": 59 }), "bad_request"),
        (json!({ "sub": "a", "labels": ["a b"] }), "bad_request"),
        (json!({ "sub": "a", "descriptor": { "kind": "duel" } }), "bad_request"),
        (json!({ "sub": "a", "descriptor": { "listed": false } }), "bad_request"),
        (json!({ "sub": "a", "name": "a b" }), "bad_name"),
    ] {
        here.fails("POST /v1/join", body.to_string(), 400, code);
    }

    there.fails("POST /v1/pods/chat-7/drain", "", 404, "not_found");
    for caller in [there, here, there] {
        let (status, pod) = caller.call("POST /v1/pods/chat-0/drain", "");
        assert_eq!((status, &pod["pod"], &pod["draining"]), (202, &"chat-0".into(), &true.into()), "{pod}");
    }
    wait_for("its rooms have left", PATIENCE, || drained(there, "chat-0").then_some(()));
    assert_eq!(there.ok(&format!("GET /v1/rooms/{room}"), &Value::Null)["pod"], "chat-1");
    // Its clients are where they were, and so is the pod for new ones; what it makes is elsewhere.
    let [ana, ben] = &mut players;
    ana.until("MOVED", PATIENCE);
    ana.send("hi");
    ben.until("MSG ana hi", PATIENCE);
    assert_eq!((first.probe("/readyz"), first.metric("chatd_draining")), (200, 1));
    let (status, made) = here.call("POST /v1/rooms", "");
    assert_eq!((status, &made["pod"]), (201, &"chat-1".into()), "{made}");
    // The last pod keeps its rooms.
    here.fails("POST /v1/pods/chat-1/drain", "", 503, "unavailable");
    assert_eq!(second.metric("chatd_draining"), 0);
    first.terminate();
    ana.until("BYE moved", PATIENCE);
}

#[test]
fn keys_decide_who_may_call_what_and_change_without_a_restart() {
    let files = tempfile::tempdir().unwrap();
    let keys = files.path().join("keys.json");
    write_keys(&keys, &[key("backend", BACKEND, &["read", "write"]), key("board", BOARD, &["read"])]);
    let (pod, at) = pod("chat-0", None, &keys);
    let with = |secret| Caller { at, secret, header: "" };
    let (backend, board) = (with(Some(BACKEND)), with(Some(BOARD)));
    with(None).fails("GET /v1/pods", "", 401, "auth_required");
    with(Some("wrong")).fails("GET /v1/pods", "", 401, "auth_invalid");
    let basic = Caller { header: "Authorization: Basic YTpi\r\n", ..with(None) };
    basic.fails("GET /v1/pods", "", 401, "auth_required");
    board.ok("GET /v1/pods", &Value::Null);
    board.fails("POST /v1/rooms", "{}", 403, "forbidden");
    board.fails("POST /v1/join", r#"{"sub":"a"}"#, 403, "forbidden");
    board.fails("POST /v1/pods/chat-0/drain", "", 403, "forbidden");
    // Without join keys: a room, and nothing that is kept.
    let (status, place) = backend.call("POST /v1/join", r#"{"sub":"a"}"#);
    assert_eq!((status, &place), (201, &json!({ "room": place["room"], "created": true })));
    backend.fails("POST /v1/pods/chat-0/drain", "", 503, "unavailable");
    let room = backend.call("POST /v1/rooms", "").1["room"].as_str().unwrap().to_owned();
    board.ok(&format!("GET /v1/rooms/{room}"), &Value::Null);
    for call in ["PATCH /v1/rooms/a", "DELETE /v1/rooms/a", "POST /v1/rooms/a/messages", "POST /v1/rooms/a/events"] {
        board.fails(call, "{}", 403, "forbidden");
    }
    assert_eq!(with(None).call("GET /v1/openapi.json", "").1["openapi"], "3.1.0");

    // What is wrong with a call is said before any room is asked.
    let messages = format!("POST /v1/rooms/{room}/messages");
    let events = format!("POST /v1/rooms/{room}/events");
    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(4_001));
    let huge = "x".repeat(33_000);
    let deep = format!(r#"{{"kind":"a","data":{}1{}}}"#, "[".repeat(40), "]".repeat(40));
    for (call, body, status, code) in [
        ("POST /v1/rooms", &b"{\"rom\":\"a\"}"[..], 400, "bad_request"),
        ("POST /v1/rooms", b"{\"room\":\"a\",\"room\":\"b\"}", 400, "bad_request"),
        ("POST /v1/rooms", b"{\"room\":7}", 400, "bad_request"),
        ("POST /v1/rooms", b"{\"room\":\"A b\"}", 400, "bad_room"),
        ("POST /v1/rooms", b"{\"descriptor\":{\"max_players\":65}}", 400, "bad_request"),
        ("POST /v1/rooms", b"{\"descriptor\":[]}", 400, "bad_request"),
        ("POST /v1/rooms", b"{\"descriptor\":{\"expires_at\":1}}", 400, "bad_request"),
        ("POST /v1/join", b"{\"sub\":\"a\",\"descriptor\":{\"expires_at\":1}}", 400, "bad_request"),
        ("POST /v1/rooms", b"\xff", 400, "bad_request"),
        ("POST /v1/rooms", b"[]", 400, "bad_request"),
        ("GET /v1/rooms/A%20b", b"", 400, "bad_room"),
        ("GET /v1/rooms/%ff", b"", 400, "bad_room"),
        ("GET /v1/rooms/nowhere", b"", 404, "room_not_found"),
        ("PATCH /v1/rooms/nowhere", b"{\"more\":1}", 400, "bad_request"),
        ("GET /v1/rooms?limit=0", b"", 400, "bad_request"),
        ("GET /v1/rooms?kind=a&kind=b", b"", 400, "bad_request"),
        ("GET /v1/rooms?listed=yes", b"", 400, "bad_request"),
        ("GET /v1/rooms?free=false", b"", 400, "bad_request"),
        ("GET /v1/rooms?label=a&label=", b"", 400, "bad_request"),
        ("GET /v1/rooms?cursor=A%20b", b"", 400, "bad_request"),
        ("GET /v1/rooms?token=a", b"", 400, "bad_request"),
        (&messages, b"{}", 400, "bad_request"),
        (&messages, b"{\"text\":\"\"}", 400, "bad_text"),
        (&messages, b"{\"text\":\"a\\u0007\"}", 400, "bad_text"),
        (&messages, b"{\"text\":\"a\",\"from\":\"a b\"}", 400, "bad_name"),
        (&messages, long.as_bytes(), 400, "line_too_long"),
        (&messages, huge.as_bytes(), 413, "too_large"),
        (&events, b"{\"kind\":\"A\",\"data\":1}", 400, "bad_request"),
        (&events, b"{\"kind\":\"a\"}", 400, "bad_request"),
        (&events, b"{\"kind\":\"a\",\"data\":{\"a\":1,\"a\":2}}", 400, "bad_request"),
        (&events, deep.as_bytes(), 400, "bad_request"),
        ("DELETE /v1/rooms/a/players/b?ban_s=0", b"", 400, "bad_request"),
        ("DELETE /v1/rooms/a/players/b?token=1", b"", 400, "bad_request"),
        ("PUT /v1/rooms", b"", 405, "method_not_allowed"),
        ("GET /v1/nothing", b"", 404, "not_found"),
    ] {
        backend.fails(call, body, status, code);
    }
    let twice = Caller { header: "Idempotency-Key: a\r\nIdempotency-Key: b\r\n", ..backend };
    twice.fails(&messages, r#"{"text":"a"}"#, 400, "bad_request");

    // Unusable content changes nothing; a key that is taken out is good for nothing.
    std::fs::write(&keys, "{").unwrap();
    pod.metric_becomes("chatd_file_reload_failures_total", 1);
    backend.ok("GET /v1/pods", &Value::Null);
    write_keys(&keys, &[key("board", BOARD, &["read"])]);
    wait_for("the key is taken back", PATIENCE, || (backend.call("GET /v1/pods", "").0 == 401).then_some(()));
    board.ok("GET /v1/pods", &Value::Null);
    assert!(pod.metric(r#"chatd_api_calls_total{call="pods",status="401"}"#) >= 4);
    let log = pod.log();
    assert!(!log.contains(BACKEND) && !log.contains(BOARD), "{log}");
}
