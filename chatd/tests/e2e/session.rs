//! The session that the README tells, by hand, over two pods.

use crate::support::client::{Client, PATIENCE};
use crate::support::pod::Pod;
use crate::town::{Town, redirected};

#[test]
fn a_room_is_created_joined_talked_in_and_left() {
    let town = Town::start_with(3, &[]);
    let mut alice = town.client(0);
    let room = alice.create_room();
    assert_eq!(alice.ask(&format!("JOIN {room} alice")), format!("JOINED {room} alice alice"));
    assert_eq!(town.record(&room)["players"], serde_json::json!(["alice"]));

    let mut bob = town.client(1);
    let answer = bob.ask(&format!("JOIN {room} bob"));
    assert_eq!(answer, format!("REDIRECT {} {room}", town.pods[0].tcp));
    let mut bob = redirected(&answer, &room);
    assert_eq!(bob.ask(&format!("JOIN {room} bob")), format!("JOINED {room} bob alice,bob"));
    alice.expect("ENTERED bob");
    bob.send("hello, alice");
    bob.expect("MSG bob hello, alice");
    alice.expect("MSG bob hello, alice");

    let record = town.record(&room);
    assert_eq!(record["pod_id"], "chat-0");
    assert_eq!(record["players"], serde_json::json!(["alice", "bob"]));
    assert_eq!(record["addr"], town.pods[0].tcp.to_string());
    assert!(!record.to_string().contains("hello"), "chat text is stored nowhere: {record}");
    let life: i64 = town.redis.run(&format!("TTL chat:room:{room}"));
    assert!((3_500..=3_600).contains(&life), "{life}");

    assert_eq!(bob.ask("LEAVE"), format!("LEFT {room}"));
    alice.expect("EXITED bob left");
    assert_eq!(town.record(&room)["players"], serde_json::json!(["alice"]));
    assert_eq!(bob.ask("PING"), "PONG");
    assert_eq!(alice.ask("QUIT"), "BYE quit");
    alice.expect_closed();
    assert_eq!(town.record(&room)["players"], serde_json::json!([]));
}

#[test]
fn a_pod_alone_needs_no_redis() {
    // Ctrl-C and the end of the terminal end it as SIGTERM does.
    for end in [Pod::interrupt, Pod::hang_up] {
        let mut pod = Pod::launch("alone", None, &[]);
        pod.ready();
        talk_until(&mut pod, end);
    }
}

fn talk_until(pod: &mut Pod, end: fn(&Pod)) {
    let mut alice = Client::connect(pod.tcp);
    let room = alice.create_room();
    assert_eq!(alice.ask(&format!("JOIN {room} alice")), format!("JOINED {room} alice alice"));
    assert_eq!(alice.ask("hello"), "MSG alice hello");
    assert_eq!(alice.ask("LEAVE"), format!("LEFT {room}"));
    let unknown = alice.ask("JOIN zzzzzzzz alice");
    assert!(unknown.starts_with("ERR room_not_found "), "{unknown}");
    end(pod);
    let words = alice.rest(PATIENCE);
    assert_eq!(words.last().unwrap(), "BYE shutting_down", "{words:?}");
    assert_eq!(pod.exit_code(PATIENCE), 0);
    assert!(pod.log().contains("lease released"), "{}", pod.log());
}
