//! Rooms that the first JOIN makes. No I/O.

use chatd::directory::Key;
use chatd::hub::RoomSlots;
use chatd::record::Record;
use serde_json::json;

use crate::world::{Client, World};

const ROOM: &str = "match-42";

fn code(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

fn open(pods: usize) -> World {
    World::with(pods, |settings| (settings.open_names, settings.burst) = (true, 1_000))
}

fn join(world: &mut World, client: Client, room: &str, name: &str) -> String {
    world.ask(client, &format!("JOIN {room} {name} RELAY\n"))
}

#[test]
fn the_first_join_makes_the_room_and_the_next_one_finds_it_by_any_pod() {
    let mut world = open(2);
    let (alice, bob) = (world.open(0), world.open(1));
    assert_eq!(join(&mut world, alice, ROOM, "alice"), "JOINED match-42 alice alice\n");
    assert_eq!(join(&mut world, bob, ROOM, "bob"), "JOINED match-42 bob alice,bob\n");
    assert_eq!([world.pods[0].room_count(), world.pods[1].room_count()], [1, 0]);
    assert_eq!(world.ask(bob, "hi\n"), "MSG bob hi\n");
    assert_eq!(world.look_up(1, ROOM), Some(Ok(2)));
    assert_eq!(world.look_up(1, "match-43"), Some(Ok(0)), "who enters it makes it");
}

#[test]
fn names_are_closed_unless_they_are_opened_and_a_resume_makes_no_room() {
    let mut world = World::new(1);
    let alice = world.open(0);
    assert_eq!(code(&join(&mut world, alice, ROOM, "alice")), "room_not_found");
    let mut world = open(1);
    let alice = world.open(0);
    assert_eq!(code(&world.ask(alice, "RESUME match-42 token\n")), "room_not_found");
    assert_eq!(world.pods[0].room_count(), 0);
}

#[test]
fn two_pods_that_make_one_room_at_once_have_one_with_both_clients() {
    for mode in ["RELAY", "REDIRECT"] {
        let mut world = open(2);
        let (alice, bob) = (world.open(0), world.open(1));
        world.say_later(alice, "JOIN match-42 alice RELAY\n");
        world.say_later(bob, &format!("JOIN match-42 bob {mode}\n"));
        world.run();
        world.pass(1_000);
        let count = world.pods[0].room_count() + world.pods[1].room_count();
        assert_eq!(count, 1, "one owner");
        let (first, second) = (world.hear(alice), world.hear(bob));
        assert!(first.starts_with("JOINED match-42 alice alice\n"), "{first}");
        if mode == "RELAY" {
            assert!(second.starts_with("JOINED match-42 bob alice,bob\n"), "{second}");
        } else {
            assert_eq!(second, "REDIRECT pod0:7654 match-42\n");
        }
        assert!(world.swaps >= 2, "both tried: {}", world.swaps);
    }
}

#[test]
fn a_room_whose_first_write_has_no_answer_yet_is_not_taken_over() {
    let mut world = open(2);
    let (alice, bob) = (world.open(0), world.open(1));
    world.waits_for_answers = Some(0);
    world.say(alice, "JOIN match-42 alice RELAY\n");
    // There is none; then the record is written, and pod 0 does not know yet.
    world.hand_over_answers(0);
    world.say(bob, "JOIN match-42 bob RELAY\n");
    assert_eq!(world.hear(bob), "", "it is about to be served");
    world.hand_over_answers(0);
    world.waits_for_answers = None;
    world.hand_over_answers(0);
    world.pass(1_000);
    assert!(world.hear(alice).starts_with("JOINED match-42 alice alice\n"));
    assert_eq!(world.hear(bob), "JOINED match-42 bob alice,bob\n");
    assert_eq!([world.pods[0].room_count(), world.pods[1].room_count()], [1, 0]);
}

#[test]
fn two_clients_of_one_pod_that_make_a_room_at_once_make_it_once() {
    let mut world = open(1);
    let (alice, bob) = (world.open(0), world.open(0));
    world.say_later(alice, "JOIN match-42 alice\n");
    world.say_later(bob, "JOIN match-42 bob\n");
    world.run();
    assert!(world.hear(alice).starts_with("JOINED match-42 alice alice"));
    assert_eq!(world.hear(bob), "JOINED match-42 bob alice,bob\n");
    assert_eq!(world.pods[0].room_count(), 1);
}

#[test]
fn a_room_by_name_costs_a_creation_and_one_that_is_there_costs_none() {
    let mut world = open(1);
    let (alice, bob) = (world.open(0), world.open(0));
    join(&mut world, bob, "there", "bob");
    for number in 0..20 {
        let joined = join(&mut world, alice, &format!("match-{number}"), "alice");
        assert!(joined.starts_with("JOINED "), "{number}: {joined}");
        world.ask(alice, "LEAVE\n");
    }
    assert_eq!(code(&join(&mut world, alice, "match-20", "alice")), "rate_limited");
    assert_eq!(code(&join(&mut world, alice, "there", "alice")), "there");
    world.ask(alice, "LEAVE\n");
    world.pass(1_000);
    assert!(join(&mut world, alice, "match-20", "alice").starts_with("JOINED "));

    let carol = world.open_json(0);
    for number in 0..21 {
        world.send(carol, &json!({"type": "join", "room": format!("other-{number}"), "name": "carol"}));
        world.send(carol, &json!({"type": "leave"}));
    }
    let refused = world.events(carol).into_iter().find(|event| event["code"] == "rate_limited").unwrap();
    assert_eq!(refused["retry_after_ms"], 1_000);
}

#[test]
fn a_full_pod_has_the_room_made_by_another_one() {
    let mut world = World::with(2, |settings| (settings.open_names, settings.slots) = (true, RoomSlots::new(1)));
    let (alice, bob) = (world.open(0), world.open(0));
    join(&mut world, alice, "there", "alice");
    assert_eq!(join(&mut world, bob, ROOM, "bob"), "JOINED match-42 bob bob\n");
    assert_eq!([world.pods[0].room_count(), world.pods[1].room_count()], [1, 1]);
    let carol = world.open(1);
    assert_eq!(code(&join(&mut world, carol, "match-43", "carol")), "too_many_rooms");
    assert_eq!(world.pods[0].room_count() + world.pods[1].room_count(), 2);
}

#[test]
fn a_client_that_is_gone_before_the_room_is_made_has_no_seat_in_it() {
    let mut world = open(1);
    world.slow = true;
    let alice = world.open(0);
    world.say(alice, "JOIN match-42 alice\n");
    let time = world.time();
    world.pods[0].disconnected(time, alice.1, chatd::peer_protocol::Disconnect::Lost);
    world.slow = false;
    world.pass(5_000);
    let bob = world.open(0);
    assert_eq!(join(&mut world, bob, ROOM, "bob"), "JOINED match-42 bob bob\n");
}

#[test]
fn a_name_that_is_used_again_begins_above_its_last_epoch_also_when_the_clock_went_back() {
    let mut world = open(1);
    world.ahead = 3_600_000;
    let mut last = 0;
    for ahead in [3_600_000, 0, 0] {
        world.ahead = ahead;
        let alice = world.open(0);
        assert_eq!(join(&mut world, alice, ROOM, "alice"), "JOINED match-42 alice alice\n");
        let record = Record::parse(&world.store[&Key::Room(ROOM.parse().unwrap())]).unwrap();
        assert!(record.epoch > last, "{} after {last}", record.epoch);
        last = record.epoch;
        assert_eq!(world.ask(alice, "LEAVE\n"), "LEFT match-42\n");
        world.pass(620_000);
        assert_eq!(world.pods[0].room_count(), 0);
    }
}
