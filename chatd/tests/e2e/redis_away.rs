//! Redis stands still, is gone, comes back empty, accepts and never answers, or answers with errors.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::client::{Client, PATIENCE};
use crate::support::pod::Pod;
use crate::support::proxy::Proxy;
use crate::support::redis::Server;
use crate::support::wait_for;
use crate::town::{TALKATIVE, Town, until_answered};

/// What needs the directory is refused within 2 s; a busy machine may answer a little late.
const REFUSED: Duration = Duration::from_millis(3_500);
/// After Redis is back empty, each record is there again within this (docs/architecture.md, What must hold).
const WRITTEN_AGAIN: Duration = Duration::from_secs(35);

fn talk_goes_on(alice: &mut Client, bob: &mut Client, what: &str) {
    for text in [format!("SAY {what} 1"), format!("SAY {what} 2")] {
        bob.send(&text);
        for player in [&mut *alice, &mut *bob] {
            player.expect(&text.replace("SAY", "MSG bob"));
        }
    }
}

#[track_caller]
fn refused_in_time(address: SocketAddr, command: &str) {
    let mut client = Client::connect(address);
    let asked = Instant::now();
    let answer = client.ask(command);
    assert!(answer.starts_with("ERR unavailable "), "{command}: {answer}");
    assert!(asked.elapsed() <= REFUSED, "{command}: refused after {:?}", asked.elapsed());
    // The connection stays.
    assert_eq!(client.ask("PING"), "PONG");
}

/// What is so whatever the reason that Redis does not work.
fn without_a_directory(town: &Town, room: &str, alice: &mut Client, bob: &mut Client, state: &str) {
    talk_goes_on(alice, bob, "without it");
    refused_in_time(town.pods[2].tcp, &format!("JOIN {room} carol"));
    refused_in_time(town.pods[0].tcp, "CREATE_ROOM");
    refused_in_time(town.pods[1].tcp, "JOIN zzzzzzzz carol");
    let mut carol = town.client(0);
    carol.join(room, "carol", "");
    for player in [&mut *alice, &mut *bob] {
        player.expect("ENTERED carol");
    }
    talk_goes_on(alice, bob, "with carol");
    wait_for(state, PATIENCE, || (town.pods[0].directory_state() == state).then_some(()));
    for pod in &town.pods {
        assert_eq!((pod.probe("/readyz"), pod.probe("/livez")), (200, 200));
    }
    assert_eq!(carol.ask("LEAVE"), "MSG bob with carol 1");
    carol.expect("MSG bob with carol 2");
    carol.expect(&format!("LEFT {room}"));
    for player in [&mut *alice, &mut *bob] {
        player.expect("EXITED carol left");
    }
}

fn works_again(town: &Town, room: &str, alice: &mut Client, bob: &mut Client) {
    let expected = serde_json::json!(["alice", "bob"]);
    wait_for("the record is right", WRITTEN_AGAIN, || (town.record(room)["players"] == expected).then_some(()));
    assert_eq!(town.owner(room), "chat-0");
    for pod in &town.pods {
        let (mut carol, _) = until_answered(pod.tcp, &format!("JOIN {room} carol RELAY"), "JOINED ", PATIENCE);
        for player in [&mut *alice, &mut *bob] {
            player.expect("ENTERED carol");
        }
        carol.send("LEAVE");
        carol.until("LEFT ", PATIENCE);
        for player in [&mut *alice, &mut *bob] {
            player.expect("EXITED carol left");
        }
        until_answered(pod.tcp, "CREATE_ROOM", "ROOM ", PATIENCE);
        wait_for("ok", PATIENCE, || (pod.directory_state() == "ok").then_some(()));
    }
    talk_goes_on(alice, bob, "with it");
}

#[test]
fn redis_stands_still_for_a_while() {
    let town = Town::start(3);
    let (room, mut alice, mut bob) = town.room_of_two();
    town.redis.freeze();
    without_a_directory(&town, &room, &mut alice, &mut bob, "timeout");
    town.redis.thaw();
    works_again(&town, &room, &mut alice, &mut bob);
}

#[test]
fn redis_dies_and_comes_back_empty() {
    let mut town = Town::start(3);
    let (room, mut alice, mut bob) = town.room_of_two();
    let before = town.epoch(&room);
    town.redis.kill();
    without_a_directory(&town, &room, &mut alice, &mut bob, "refused");
    town.redis.restart();
    let back = Instant::now();
    wait_for("the record is written again", WRITTEN_AGAIN, || (!town.record(&room).is_null()).then_some(()));
    println!("Redis back empty: the record is written again after {:?}", back.elapsed());
    works_again(&town, &room, &mut alice, &mut bob);
    assert!(town.epoch(&room) >= before);
    assert!(town.pods[0].metric("chatd_directory_resets_total") >= 1);
}

#[test]
fn redis_is_emptied_under_way() {
    let town = Town::start(3);
    let (room, mut alice, mut bob) = town.room_of_two();
    let more: Vec<String> = (0..5).map(|_| town.client(0).create_room()).collect();
    let _: String = town.redis.run("FLUSHALL");
    works_again(&town, &room, &mut alice, &mut bob);
    for room in &more {
        wait_for("it is written again", PATIENCE, || (town.owner(room) == "chat-0").then_some(()));
    }
    assert_eq!(town.pods[0].metric("chatd_directory_went_back_total"), 1, "once, not once a room");
}

#[test]
fn redis_accepts_and_never_answers() {
    let redis = Server::start(&[]);
    let proxy = Proxy::to(redis.address().parse().unwrap());
    let url = format!("redis://{}", proxy.address);
    let pods = (0..3).map(|index| Pod::start(&format!("chat-{index}"), &url, &TALKATIVE)).collect();
    let town = Town { pods, redis };
    let (room, mut alice, mut bob) = town.room_of_two();
    proxy.swallow();
    let mut late = Pod::launch("chat-3", Some(&url), &[]);
    without_a_directory(&town, &room, &mut alice, &mut bob, "timeout");
    wait_for("the late pod lives", PATIENCE, || {
        crate::support::pod::get(late.admin, "/livez").filter(|answer| answer.status == 200)
    });
    assert_eq!(late.probe("/readyz"), 503);
    wait_for("the late pod says why", PATIENCE, || (late.try_directory_state()? == "timeout").then_some(()));
    proxy.flow();
    late.ready();
    works_again(&town, &room, &mut alice, &mut bob);
}

/// Redis says no to what is written, and then no more.
#[track_caller]
fn errors_are_lived_through(more: &[&str], state: &str, begin: impl Fn(&Server), end: impl Fn(&Server)) {
    let redis = Server::start(&[]);
    let url = redis.url();
    let arguments: Vec<&str> = TALKATIVE.iter().chain(more).copied().collect();
    let pods = (0..3).map(|index| Pod::start(&format!("chat-{index}"), &url, &arguments)).collect();
    let town = Town { pods, redis };
    let (room, mut alice, mut bob) = town.room_of_two();
    begin(&town.redis);
    wait_for(state, PATIENCE, || (town.pods[0].directory_state() == state).then_some(()));
    talk_goes_on(&mut alice, &mut bob, "without it");
    refused_in_time(town.pods[0].tcp, "CREATE_ROOM");
    let mut carol = town.client(0);
    carol.join(&room, "carol", "");
    carol.send("QUIT");
    carol.until("BYE quit", PATIENCE);
    for player in [&mut alice, &mut bob] {
        player.expect("ENTERED carol");
        player.expect("EXITED carol left");
    }
    end(&town.redis);
    works_again(&town, &room, &mut alice, &mut bob);
}

#[test]
fn redis_is_full() {
    let set = |redis: &Server, limit: &str| {
        let _: String = redis.run(&format!("CONFIG SET maxmemory {limit}"));
    };
    errors_are_lived_through(&[], "full", |redis| set(redis, "1"), |redis| set(redis, "0"));
}

#[test]
fn redis_becomes_a_replica_and_a_master_again() {
    let role = |redis: &Server, words: &str| {
        let _: String = redis.run(&format!("REPLICAOF {words}"));
    };
    errors_are_lived_through(&[], "read_only", |redis| role(redis, "127.0.0.1 1"), |redis| role(redis, "NO ONE"));
}

#[test]
fn the_password_of_redis_changes() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("password");
    fs::write(&file, "").unwrap();
    let set = |redis: &Server| {
        // One connection does it: the next one would need the password.
        let mut connection = redis.connection();
        for words in [&["CONFIG", "SET", "requirepass", "secret"][..], &["CLIENT", "KILL", "TYPE", "normal"]] {
            let mut command = redis::cmd(words[0]);
            words[1..].iter().for_each(|word| {
                command.arg(word);
            });
            let _: redis::Value = command.query(&mut connection).unwrap();
        }
    };
    let unset = |redis: &Server| {
        let login = redis.url().replace("redis://", "redis://:secret@");
        let mut connection = redis::Client::open(login).unwrap().get_connection().unwrap();
        let _: String = redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("").query(&mut connection).unwrap();
    };
    errors_are_lived_through(&[], "auth", set, unset);
}
