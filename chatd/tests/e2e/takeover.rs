//! Owners that die, stand still, or start again: their rooms go on elsewhere.

use std::time::{Duration, Instant};

use crate::support::client::{Got, PATIENCE};
use crate::support::redis::Server;
use crate::town::{TAKEOVER, Town, until_answered};

#[test]
fn a_killed_owners_room_goes_on_at_another_pod() {
    let mut town = Town::start(3);
    let mut alice = town.client(0);
    let room = alice.create_room();
    let token = alice.join_resumable(&room, "alice", "");
    let mut bob = town.client(1);
    bob.join(&room, "bob", "RELAY");
    alice.expect("ENTERED bob");
    assert_eq!(bob.ask("SAY before"), "MSG bob before");
    alice.expect("MSG bob before");
    let before = town.epoch(&room);

    town.pods[0].kill();
    let killed = Instant::now();
    assert_eq!(alice.next(PATIENCE), Got::Closed);
    let (mut alice, joined) =
        until_answered(town.pods[2].tcp, &format!("RESUME {room} {token} RELAY"), "JOINED ", TAKEOVER);
    let resumed = killed.elapsed();
    // Far below the 10 s of a lease: its death was proven.
    assert!(resumed <= Duration::from_secs(5), "{resumed:?}");
    assert!(town.pods[1].log().contains("lease deleted"), "{}", town.pods[1].log());
    assert!(joined.starts_with(&format!("JOINED {room} alice ")), "{joined}");
    alice.expect_start("TOKEN ");
    let seen = bob.until("MOVED ", TAKEOVER);
    let moved = killed.elapsed();
    println!("after kill -9: resumed in {resumed:?}, the relayed player moved in {moved:?}");
    assert!(moved <= TAKEOVER, "{moved:?}");
    assert_eq!(seen.last().unwrap(), &format!("MOVED {room}"));
    bob.send("SAY after");
    let seen = bob.until("MSG bob after", PATIENCE);
    assert!(seen.contains(&"MISSED ?".to_owned()), "{seen:#?}");
    alice.until("MSG bob after", PATIENCE);
    alice.send("SAY back");
    bob.until("MSG alice back", PATIENCE);
    alice.until("MSG alice back", PATIENCE);

    assert!(town.epoch(&room) > before);
    assert_ne!(town.owner(&room), "chat-0");
    assert_eq!(town.pods[1].metric("chatd_takeovers_total") + town.pods[2].metric("chatd_takeovers_total"), 1);
    assert_eq!(town.record(&room)["players"], serde_json::json!(["alice", "bob"]));
}

/// Nobody asks for the room: its entry pod takes it over, or has it taken over, for a player who only listens.
#[test]
fn a_relayed_player_who_does_nothing_hears_that_the_room_goes_on() {
    let mut town = Town::start(3);
    let (room, _alice, mut bob) = town.room_of_two();
    town.pods[0].kill();
    let killed = Instant::now();
    let seen = bob.until("MOVED ", TAKEOVER);
    let moved = killed.elapsed();
    println!("after kill -9: an idle relayed player moved in {moved:?}");
    assert_eq!(seen.last().unwrap(), &format!("MOVED {room}"));
    assert!(moved <= Duration::from_secs(5), "{moved:?}: its death was not proven");
    bob.send("SAY still here");
    bob.until("MSG bob still here", PATIENCE);
}

/// Redis does not say whether it has the connection, so that nothing is proven.
#[test]
fn without_the_permission_to_ask_for_connections_the_lease_decides() {
    let redis = Server::start(&[]);
    let rights = "+get +set +del +pexpire +zadd +zrem +zrange +eval +evalsha +role";
    let _: String = redis.run(&format!("ACL SETUSER chat on >secret ~chat:* -@all {rights}"));
    let files = tempfile::tempdir().unwrap();
    let password = files.path().join("password");
    std::fs::write(&password, "secret").unwrap();
    let more = ["--redis-username", "chat", "--redis-password-file", password.to_str().unwrap()];
    let mut town = Town::start_on(redis, 2, &more);
    let (room, _alice, mut bob) = town.room_of_two();
    let lease: String = town.redis.run("GET chat:pod:chat-0");
    assert!(!lease.contains("connection"), "{lease}");
    town.pods[0].kill();
    let killed = Instant::now();
    let seen = bob.until("MOVED ", TAKEOVER);
    assert_eq!(seen.last().unwrap(), &format!("MOVED {room}"));
    let took = killed.elapsed();
    assert!(took >= Duration::from_secs(6), "{took:?}: the lease had more time");
    assert!(!town.pods[1].log().contains("lease deleted"), "{}", town.pods[1].log());
}

#[test]
fn an_owner_that_stood_still_yields_when_it_goes_on() {
    let town = Town::start(3);
    let mut alice = town.client(0);
    let room = alice.create_room();
    alice.join_resumable(&room, "alice", "RELAY");
    let mut bob = town.client(1);
    bob.join(&room, "bob", "RELAY");
    alice.expect("ENTERED bob");
    let before = town.epoch(&room);

    town.pods[0].freeze();
    // What alice says meanwhile waits in the frozen owner's socket.
    alice.send("SAY said to the frozen owner");
    bob.until("MOVED ", TAKEOVER + Duration::from_secs(5));
    assert!(town.epoch(&room) > before);
    let owner = town.owner(&room);
    assert_ne!(owner, "chat-0");
    bob.send("SAY while it stands still");
    bob.until("MSG bob while it stands still", PATIENCE);
    let mut carol = town.client(2);
    carol.join(&room, "carol", "RELAY");

    let epoch = town.epoch(&room);
    town.pods[0].thaw();
    // The new owner orders what comes now, and alice is carried there.
    let heard = alice.until("MOVED ", PATIENCE);
    assert!(heard.iter().all(|line| !line.starts_with("MSG ")), "delivered as an owner after the thaw: {heard:#?}");
    bob.send("SAY to everyone");
    for player in [&mut alice, &mut bob, &mut carol] {
        player.until("MSG bob to everyone", PATIENCE);
    }
    alice.send("SAY from the pod that stood still");
    for player in [&mut alice, &mut bob, &mut carol] {
        let heard = player.until("MSG alice from the pod that stood still", PATIENCE);
        let doubled = heard.iter().filter(|line| line.ends_with("said to the frozen owner")).count();
        assert!(doubled <= 1, "{heard:#?}");
    }
    assert_eq!((town.owner(&room), town.epoch(&room)), (owner, epoch));
    assert_eq!(town.pods[0].metric("chatd_rooms"), 0);
    assert_eq!(town.pods[0].metric("chatd_releases_total"), 1);
    assert_eq!(town.pods[0].metric("chatd_takeovers_total"), 0);
}

#[test]
fn a_pod_that_starts_again_under_its_name_loses_no_time() {
    let mut town = Town::start(2);
    let mut alice = town.client(0);
    let room = alice.create_room();
    let token = alice.join_resumable(&room, "alice", "");
    let mut bob = town.client(1);
    bob.join(&room, "bob", "RELAY");
    let before = town.epoch(&room);

    town.pods[0].kill();
    let killed = Instant::now();
    town.pods[0].start_again();
    town.pods[0].ready();
    let ready = Instant::now();
    bob.until("MOVED ", PATIENCE);
    let moved = ready.elapsed();
    let (_alice, joined) =
        until_answered(town.pods[0].tcp, &format!("RESUME {room} {token} RELAY"), "JOINED ", PATIENCE);
    println!(
        "started again: ready after {:?}, the relayed player moved {moved:?} after that, resumed {:?} after the kill",
        ready - killed,
        killed.elapsed()
    );
    assert!(joined.starts_with(&format!("JOINED {room} alice ")), "{joined}");
    assert!(moved <= Duration::from_secs(2), "{moved:?} after it was ready");
    assert!(town.epoch(&room) > before);
    bob.send("SAY on we go");
    bob.until("MSG bob on we go", PATIENCE);
}

/// The pods that are left have just lost Redis for a while, so that they may not take over at once; the one that starts again may.
#[test]
fn a_pod_that_starts_again_after_trouble_takes_its_rooms() {
    let mut town = Town::start(3);
    let mut alice = town.client(0);
    let room = alice.create_room();
    let token = alice.join_resumable(&room, "alice", "RELAY");
    town.redis.freeze();
    std::thread::sleep(Duration::from_millis(3_200));
    town.redis.thaw();
    for pod in &town.pods {
        crate::support::wait_for("ok", PATIENCE, || (pod.directory_state() == "ok").then_some(()));
    }
    town.pods[0].kill();
    // Both are asked before the third is there again.
    let command = format!("RESUME {room} {token} RELAY");
    for pod in [1, 2] {
        town.client(pod).send(&command);
    }
    town.pods[0].start_again();
    town.pods[0].ready();
    let ready = Instant::now();
    let (_alice, joined) = until_answered(town.pods[0].tcp, &command, "JOINED ", PATIENCE);
    println!("taken over {:?} after it was ready again", ready.elapsed());
    assert_eq!(joined, format!("JOINED {room} alice alice"));
}
