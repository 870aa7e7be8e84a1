//! Join tokens by HTTP and by lines, over sockets.

use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chatd::hub::HubSettings;
use chatd::join_token::{KeySet, RoomAccess, Verifier};
use serde_json::{Value, json};

use crate::client::{Lines, http};
use crate::pod::{Options, Pod};

const SECRET: [u8; 32] = [9; 32];

fn signed(room: &str, exp: u64) -> String {
    sign(&json!({"sub": "user-1", "room": room, "exp": exp}))
}

fn sign(claims: &Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(&SECRET).unwrap();
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).unwrap()
}

#[test]
fn where_rooms_need_a_token_the_api_does_too_and_takes_it_in_no_address() {
    let keys = KeySet::from_files([("k".to_owned(), "09".repeat(32))]).unwrap();
    let hub = HubSettings { access: RoomAccess::Token, ..Options::default().hub };
    let join_keys = Some(Arc::new(Verifier::new(keys, None, None)));
    let pod = Pod::start(Options { hub, join_keys, ..Options::default() });
    let mut lines = Lines::connect(pod.tcp);
    assert!(lines.ask("CREATE_ROOM").starts_with("ERR auth_required "));
    let made = http(pod.web, "POST", "/api/rooms", &[]);
    assert_eq!((made.status, made.header("www-authenticate")), (401, Some("Bearer")));
    let host = sign(&json!({"sub": "host", "room": "*", "create": true, "exp": 9_999_999_999_u64}));
    let made = http(pod.web, "POST", "/api/rooms", &[&format!("Authorization: Bearer {host}")]);
    let made: Value = serde_json::from_str(&made.body).unwrap();
    let room = made["room"].as_str().unwrap().to_owned();
    let good = signed(&room, 9_999_999_999);
    assert!(lines.ask(&format!("JOIN {room} alice")).starts_with("ERR auth_required "));
    assert_eq!(lines.ask(&format!("JOIN {room} alice AUTH={good}")), format!("JOINED {room} alice alice"));
    for there in [room.as_str(), "zzzzzzz2"] {
        let ask = |auth: Option<String>| {
            let header = auth.map(|auth| format!("Authorization: Bearer {auth}"));
            let headers: Vec<&str> = header.iter().map(String::as_str).collect();
            let answer = http(pod.web, "GET", &format!("/api/rooms/{there}"), &headers);
            (answer.status, answer.header("www-authenticate").map(str::to_owned))
        };
        let bearer = Some("Bearer".to_owned());
        assert_eq!(ask(None), (401, bearer.clone()));
        assert_eq!(ask(Some("a.b.c".to_owned())), (401, bearer.clone()));
        assert_eq!(ask(Some(signed(there, 1))), (401, bearer));
        assert_eq!(ask(Some(signed("zzzzzzz3", 9_999_999_999))), (403, None));
        assert_eq!(ask(Some(signed(there, 9_999_999_999))).0, if there == room { 200 } else { 404 });
    }
    let two = [format!("Authorization: Bearer {good}"), "Authorization: Bearer a.b.c".to_owned()];
    for headers in [[&*two[0], &*two[1]], [&*two[1], &*two[0]]] {
        assert_eq!(http(pod.web, "GET", &format!("/api/rooms/{room}"), &headers).status, 401);
    }
    for name in ["token", "auth", "access_token", "JWT", "whatever"] {
        for path in ["/ws", "/api/rooms", "/api/rooms/zzzzzzz2", "/room", "/"] {
            let answer = http(pod.web, "GET", &format!("{path}?x=1&{name}={good}"), &[]);
            assert_eq!(answer.status, 400, "{path} {name}");
        }
    }
}

#[test]
fn the_example_of_a_backend_lets_its_people_in() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("app-1");
    std::fs::write(&secret, STANDARD.encode(SECRET)).unwrap();
    let keys = KeySet::from_files([("app-1".to_owned(), STANDARD.encode(SECRET))]).unwrap();
    let hub = HubSettings { access: RoomAccess::Token, ..Options::default().hub };
    let join_keys = Some(Arc::new(Verifier::new(keys, None, None)));
    let pod = Pod::start(Options { hub, join_keys, ..Options::default() });

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/apps/backend/join_token.py");
    let mut python = Command::new("python3");
    let output = python.arg(script).arg(&secret).args(["match-42", "user-17", "ana"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let token = String::from_utf8(output.stdout).unwrap();
    let mut lines = Lines::connect(pod.tcp);
    assert_eq!(lines.ask(&format!("JOIN match-42 ana AUTH={}", token.trim())), "JOINED match-42 ana ana");
}

#[test]
fn a_room_of_its_own_kind_has_its_own_places_and_is_hidden_from_strangers() {
    let keys = KeySet::from_files([("k".to_owned(), "09".repeat(32))]).unwrap();
    let join_keys = Some(Arc::new(Verifier::new(keys, None, None)));
    let pod = Pod::start(Options { join_keys, ..Options::default() });
    let create = json!({"max_players": 9, "access": "token"});
    let host = sign(&json!({"sub": "host", "room": "*", "create": create, "exp": 9_999_999_999_u64}));
    let made = http(pod.web, "POST", "/api/rooms", &[&format!("Authorization: Bearer {host}")]);
    let made: Value = serde_json::from_str(&made.body).unwrap();
    let room = made["room"].as_str().unwrap().to_owned();
    let look_up = |room: &str, auth: Option<&str>| {
        let header = auth.map(|auth| format!("Authorization: Bearer {auth}"));
        let headers: Vec<&str> = header.iter().map(String::as_str).collect();
        let answer = http(pod.web, "GET", &format!("/api/rooms/{room}"), &headers);
        (answer.status, answer.body.replace(room, ""))
    };
    assert_eq!(look_up(&room, None), look_up("zzzzzzz2", None));
    assert_eq!(look_up(&room, None).0, 404);
    let good = signed(&room, 9_999_999_999);
    let (status, body) = look_up(&room, Some(&good));
    let about: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &about["max_players"]), (200, &json!(9)));
    let mut stranger = Lines::connect(pod.tcp);
    let [there, nowhere] = [room.as_str(), "zzzzzzz2"].map(|room| stranger.ask(&format!("JOIN {room} eve")));
    assert!(there.starts_with("ERR auth_required ") && there == nowhere, "{there} {nowhere}");
    let mut alice = Lines::connect(pod.tcp);
    let claims = json!({"sub": "user-1", "room": room, "role": "moderator", "exp": 9_999_999_999_u64});
    assert!(alice.ask(&format!("JOIN {room} alice AUTH={}", sign(&claims))).starts_with("JOINED "));
    assert_eq!(alice.ask("LOCK"), "LOCKED alice");
    let claims = json!({"sub": "user-2", "room": room, "exp": 9_999_999_999_u64});
    let mut bob = Lines::connect(pod.tcp);
    assert!(bob.ask(&format!("JOIN {room} bob AUTH={}", sign(&claims))).starts_with("ERR room_locked "));
    assert_eq!(alice.ask("UNLOCK"), "UNLOCKED alice");
    assert!(bob.ask(&format!("JOIN {room} bob AUTH={}", sign(&claims))).starts_with("JOINED "));
}
