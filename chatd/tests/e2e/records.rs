//! Redis holds what no pod has written: rubbish, other versions, other types. Never trusted, never a panic, counted.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::client::{Client, PATIENCE};
use crate::support::wait_for;
use crate::town::{Town, until_answered};

/// With a wait for a takeover, and a moment for a busy machine.
const ANSWERED: Duration = Duration::from_secs(8);

fn put(town: &Town, key: &str, value: &[u8]) {
    let _: () = redis::cmd("SET").arg(key).arg(value).query(&mut town.redis.connection()).unwrap();
}

/// The answer to a JOIN, which comes in time.
#[track_caller]
fn join(town: &Town, pod: usize, room: &str) -> String {
    let mut client = town.client(pod);
    let asked = Instant::now();
    let answer = client.ask(&format!("JOIN {room} mallory RELAY"));
    assert!(asked.elapsed() <= ANSWERED, "{room}: answered after {:?}", asked.elapsed());
    answer
}

#[test]
fn rubbish_records_are_no_rooms() {
    let mut town = Town::start(2);
    let nested = "[".repeat(20_000);
    let long = format!("{{\"pod_id\":\"{}\"}}", "x".repeat(1 << 20));
    let rubbish: Vec<&[u8]> = vec![
        b"",
        b"rubbish",
        b"\0\xff\xfe\x80",
        b"null",
        b"[]",
        b"{}",
        b"{\"pod_id\":7}",
        b"{\"pod_id\":\"chat-0\",\"players\":[\"alice\"]}",
        b"{\"pod_id\":\"chat-0\",\"players\":[],\"addr\":\"h:1\",\"peer\":\"h:2\",\"web\":\"h:3\",\"epoch\":-1,\"boot\":\"00\",\"seats\":{}}",
        b"{\"pod_id\":\"chat-0\",\"players\":[],\"addr\":\"h:1\",\"peer\":\"h:2\",\"web\":\"h:3\",\"epoch\":1e99,\"boot\":\"x\",\"seats\":{}}",
        nested.as_bytes(),
        long.as_bytes(),
    ];
    for (number, value) in rubbish.iter().enumerate() {
        let room = format!("rubbish{}", (b'a' + number as u8) as char);
        put(&town, &format!("chat:room:{room}"), value);
        for pod in 0..2 {
            let before = town.pods[pod].metric("chatd_unreadable_records_total");
            let answer = join(&town, pod, &room);
            assert!(answer.starts_with("ERR room_not_found "), "{room}: {answer}");
            assert!(town.pods[pod].metric("chatd_unreadable_records_total") > before, "{room}");
        }
    }
    // Another type than text: an error of Redis, which counts as no answer.
    let _: i64 = town.redis.run("LPUSH chat:room:typeless a b");
    let answer = join(&town, 0, "typeless");
    assert!(answer.starts_with("ERR "), "{answer}");
    assert!(town.pods.iter_mut().all(crate::support::pod::Pod::is_running));
    let mut client = town.client(0);
    let room = client.create_room();
    client.join(&room, "alice", "");
}

#[test]
fn records_that_lie_harm_nobody() {
    let mut town = Town::start(2);
    let mut alice = town.client(0);
    let honest = alice.create_room();
    alice.join(&honest, "alice", "");
    let template = town.record(&honest);
    let lies = [
        ("lieepoch", json!({"epoch": u64::MAX, "boot": "00000000000000ff"})),
        ("lieboots", json!({"boot": "ffffffffffffffff", "peer": "127.0.0.1:1"})),
        ("liepeers", json!({"boot": "00000000000000ff", "peer": "not an address"})),
        (
            "lietexts",
            json!({"boot": "00000000000000ff", "players": ["\u{202e}x", "a b", "", "x\ny"], "peer": "127.0.0.1:1"}),
        ),
        (
            "liecount",
            json!({"boot": "00000000000000ff", "players": (0..1_000).map(|number| format!("p{number}")).collect::<Vec<_>>(), "peer": "127.0.0.1:1"}),
        ),
        // Says that chat-0 has it, which knows nothing of it.
        ("lieowner", json!({})),
    ];
    for (room, lie) in &lies {
        let mut record = template.clone();
        record.as_object_mut().unwrap().extend(lie.as_object().unwrap().clone());
        put(&town, &format!("chat:room:{room}"), record.to_string().as_bytes());
        for pod in 0..2 {
            let answer = join(&town, pod, room);
            let line_is_whole = ["JOINED ", "ERR ", "REDIRECT "].iter().any(|start| answer.starts_with(start));
            assert!(line_is_whole && !answer.contains('\u{202e}'), "{room} by chat-{pod}: {answer}");
        }
    }
    assert!(town.pods.iter_mut().all(crate::support::pod::Pod::is_running));
    assert_eq!(alice.ask("SAY still here"), "MSG alice still here");
}

#[test]
fn a_record_that_is_spoilt_is_written_again() {
    let town = Town::start(2);
    let mut alice = town.client(0);
    let room = alice.create_room();
    alice.join(&room, "alice", "");
    put(&town, &format!("chat:room:{room}"), b"spoilt");
    // The next change of the room meets it.
    let (mut bob, _) = until_answered(town.pods[0].tcp, &format!("JOIN {room} bob"), "JOINED ", PATIENCE);
    alice.expect("ENTERED bob");
    let expected = json!(["alice", "bob"]);
    let text = || town.redis.run::<String>(&format!("GET chat:room:{room}"));
    wait_for("the record is right", PATIENCE, || {
        let record: serde_json::Value = serde_json::from_str(&text()).ok()?;
        (record["players"] == expected).then_some(())
    });
    assert!(town.pods[0].metric("chatd_unreadable_records_total") >= 1);
    assert_eq!(bob.ask("SAY hi"), "MSG bob hi");
    let (_carol, _) = until_answered(town.pods[1].tcp, &format!("JOIN {room} carol RELAY"), "JOINED ", PATIENCE);
}

#[test]
fn rubbish_leases_are_no_pods() {
    let town = Town::start(1);
    let _: i64 = town.redis.run("ZADD chat:pods 99999999999999 rubbish 1 gone");
    put(&town, "chat:pod:rubbish", b"\xff not a lease");
    let mut pod = crate::support::pod::Pod::start("chat-1", &town.redis.url(), &[]);
    assert_eq!(pod.metric("chatd_unreadable_records_total"), 1);
    let mut alice = Client::connect(pod.tcp);
    let room = alice.create_room();
    alice.join_resumable(&room, "alice", "");
    pod.terminate();
    assert_eq!(pod.exit_code(Duration::from_secs(20)), 0);
    wait_for("chat-0 has the room", PATIENCE, || (town.owner(&room) == "chat-0").then_some(()));
}
