//! Rooms that are made again under the name of others: nothing of the room before counts in them. No I/O.

use chatd::directory::Key;
use chatd::protocol::PlayerName;
use chatd::record::Record;
use chatd::room_call::{CallKey, RoomCall};
use serde_json::json;

use crate::join_tokens::refused;
use crate::states::{join, set};
use crate::tombstones::{ROOM, create, key, made, record};
use crate::world::World;

const CLOSED: &str = "ERR closed The room has ended.\nBYE closed\n";

#[test]
fn no_version_of_the_state_is_used_again_in_a_room_made_again() {
    for (ended, by) in [(true, 0), (true, 1), (false, 0), (false, 1)] {
        let mut world = World::with(2, |settings| settings.empty_ttl = 1_000);
        world.call(0, ROOM, create("old")).unwrap();
        let ana = world.open_json(1);
        join(&mut world, ana, ROOM, "ana");
        let version = set(&mut world, ana, &json!({"key": "a", "value": "ana"}))[0]["version"].clone();
        assert!(version.is_u64(), "{version}");
        if ended {
            world.call(0, ROOM, RoomCall::End).unwrap();
        } else {
            world.send(ana, &json!({"type": "leave"}));
        }
        world.pass(2_000);
        assert_eq!(world.call(by, ROOM, create("new")).unwrap()["created"], true);
        let (bob, cat) = (world.open_json(0), world.open_json(1));
        for (client, name) in [(bob, "bob"), (cat, "cat")] {
            join(&mut world, client, ROOM, name);
        }
        set(&mut world, bob, &json!({"key": "a", "value": "bob"}));
        world.events(cat);
        let told = set(&mut world, cat, &json!({"key": "a", "value": "cat", "if_version": version}));
        assert_eq!(told[0]["code"], "version_conflict", "ended: {ended}, made by pod {by}: {told:?}");
    }
}

/// The owner dies before its record says that there is a state at all.
#[test]
fn nor_in_one_that_was_taken_over_without_its_state_and_then_moves() {
    let mut world = World::new(3);
    let (maker, ana) = (world.open(0), world.open_json(0));
    let room = world.create(maker);
    let (dan, eve) = (world.open_json(1), world.open_json(2));
    for (client, name) in [(ana, "ana"), (dan, "dan"), (eve, "eve")] {
        join(&mut world, client, &room, name);
    }
    world.pass(200);
    let key = Key::Room(room.parse().unwrap());
    let record = world.store[&key].clone();
    world.events(ana);
    let version = set(&mut world, ana, &json!({"key": "a", "value": "ana"}))[0]["version"].clone();
    assert_eq!(version, 1, "the first room of this name");
    world.store.insert(key, record);
    world.kill_at_once(0);
    world.pass(12_000);
    let (from, to) = if world.pods[1].room_count() == 1 { (1, 2) } else { (2, 1) };
    world.drain_to(from, to);
    world.pass(1_000);
    assert_eq!((world.pods[from].room_count(), world.pods[to].room_count()), (0, 1));
    world.events(dan);
    set(&mut world, dan, &json!({"key": "a", "value": "dan"}));
    world.events(eve);
    let told = set(&mut world, eve, &json!({"key": "a", "value": "eve", "if_version": version}));
    assert_eq!(told[0]["code"], "version_conflict", "{told:?}");
}

/// Its pod heard nothing of the end, and finds the room of this name that is there by then: at the same owner, or at a next one.
#[test]
fn who_was_in_a_room_that_ended_gets_no_seat_in_the_one_made_in_its_place() {
    for goes in ["nowhere", "by a move", "by a death"] {
        let (mut world, alice) = made(3, 2);
        world.pass(200);
        world.mute = Some(0);
        world.call(0, ROOM, RoomCall::End).unwrap();
        world.pass(500);
        let ended = record(&world).epoch;
        world.call(0, ROOM, create("new")).unwrap();
        world.mute = None;
        let bob = world.open(1);
        assert!(world.ask(bob, &format!("JOIN {ROOM} bob RELAY RESUMABLE\n")).starts_with("JOINED "));
        world.say(alice, "is anybody here?\n");
        match goes {
            "by a move" => world.drain_to(0, 1),
            "by a death" => world.kill(0),
            _ => {}
        }
        world.pass(500);
        assert_eq!(record(&world).replaces, Some(ended), "{goes}");
        if world.alive[0] {
            world.break_link(0, 2);
        }
        world.pass(6_000);
        let heard = world.hear(alice);
        assert!(heard.ends_with(CLOSED) && !heard.contains("JOINED"), "{goes}: {heard}");
        let answer = world.ask(bob, "WHO\n");
        assert!(answer.ends_with("PLAYERS bob\n") && !answer.contains("alice"), "{goes}: {answer}");
        assert_eq!(record(&world).replaces, Some(ended), "{goes}");
    }
}

/// It comes to itself when the next room has taken the place of the tombstone.
#[test]
fn a_former_owner_that_finds_the_next_room_has_no_seats_there_for_its_members() {
    for (entry, by) in [(0, 1), (0, 2), (2, 1)] {
        let (mut world, alice) = made(3, entry);
        world.kill(0);
        let bob = world.open(1);
        world.say(bob, &format!("JOIN {ROOM} bob RELAY\n"));
        world.pass(6_000);
        world.call(1, ROOM, RoomCall::End).unwrap();
        world.pass(1_000);
        world.call(by, ROOM, create("new")).unwrap();
        world.alive[0] = true;
        world.pass(3_000);
        let heard = world.hear(alice);
        assert!(heard.ends_with(CLOSED), "alice by pod {entry}: {heard}");
        assert_eq!(world.call(0, ROOM, RoomCall::Get).unwrap()["players"], json!([]));
    }
}

#[test]
fn who_is_in_the_next_room_stays_in_it_also_where_a_takeover_has_lost_the_seat() {
    let (mut world, _) = made(3, 0);
    world.call(0, ROOM, RoomCall::End).unwrap();
    world.pass(500);
    world.call(0, ROOM, create("new")).unwrap();
    let before = world.store[&key()].clone();
    let bob = world.open(1);
    assert!(world.ask(bob, &format!("JOIN {ROOM} bob RELAY\n")).starts_with("JOINED "));
    world.break_link(0, 1);
    world.pass(1_000);
    assert_eq!(world.ask(bob, "hello\n"), "MSG bob hello\n");
    world.store.insert(key(), before);
    world.kill_at_once(0);
    world.pass(12_000);
    let heard = world.ask(bob, "hello again\n");
    assert!(heard.ends_with("MSG bob hello again\n"), "{heard}");
}

#[test]
fn neither_tokens_nor_keys_nor_bans_nor_answers_of_the_room_before_count() {
    let say = || RoomCall::Say { from: PlayerName::system("").unwrap(), text: "hi".into(), key: Some(CallKey(7)) };
    let secret = "k".repeat(22);
    let mut world = World::new(2);
    let mut tokens = Vec::new();
    for kind in ["old", "new"] {
        world.call(0, ROOM, create(kind)).unwrap();
        let (ana, bob) = (world.open(1), world.open(0));
        let joined = world.ask(ana, &format!("JOIN {ROOM} ana RELAY RESUMABLE KEY={secret}\n"));
        let token = joined.lines().nth(1).and_then(|line| line.strip_prefix("TOKEN ")).unwrap().to_owned();
        assert!(world.ask(bob, &format!("JOIN {ROOM} bob\n")).starts_with("JOINED "), "{kind}");
        assert_eq!(world.call(1, ROOM, say()).unwrap(), json!({"seq": 1}));
        assert!(world.hear(ana).ends_with("MSG * hi\n"), "{kind}");
        for former in &tokens {
            let client = world.open(1);
            refused(&world.ask(client, &format!("RESUME {ROOM} {former} RELAY\n")), "bad_token");
        }
        tokens.push(token);
        world.call(1, ROOM, RoomCall::Kick { name: "bob".parse().unwrap(), ban_s: Some(600) }).unwrap();
        world.call(0, ROOM, RoomCall::End).unwrap();
        world.pass(500);
    }
    assert_ne!(tokens[0], tokens[1]);
}

/// What rooms have that nobody made in place of another is as it was.
#[test]
fn a_record_says_what_a_room_replaces_only_where_it_does() {
    let mut world = World::new(1);
    world.call(0, ROOM, create("old")).unwrap();
    let text = |world: &World| String::from_utf8(world.store[&key()].to_vec()).unwrap();
    assert!(!text(&world).contains("replaces"), "{}", text(&world));
    world.call(0, ROOM, RoomCall::End).unwrap();
    world.pass(500);
    assert!(!text(&world).contains("replaces"), "{}", text(&world));
    world.call(0, ROOM, create("new")).unwrap();
    assert!(text(&world).contains("replaces"), "{}", text(&world));
    let earlier = Record { replaces: None, ..record(&world) };
    assert_eq!(Record::parse(&earlier.to_bytes()), Some(earlier));
}
