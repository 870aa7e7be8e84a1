//! The ordinary course of things: sessions, relaying, a takeover, a planned move. No I/O.

use chatd::peer_protocol::Disconnect;
use chatd::protocol::ErrorCode;

use crate::world::World;

#[test]
fn a_session_as_the_protocol_tells_it() {
    let mut world = World::new(1);
    let alice = world.open(0);
    let room = world.create(alice);
    assert_eq!(world.ask(alice, &format!("JOIN {room} alice\n")), format!("JOINED {room} alice alice\n"));
    let bob = world.open(0);
    assert_eq!(world.ask(bob, &format!("JOIN {room} bob\r\n")), format!("JOINED {room} bob alice,bob\n"));
    assert_eq!(world.hear(alice), "ENTERED bob\n");
    assert_eq!(world.ask(bob, "hello\nPING\nWHO\n"), "MSG bob hello\nPONG\nPLAYERS alice,bob\n");
    assert_eq!(world.hear(alice), "MSG bob hello\n");
    assert_eq!(world.ask(alice, "LEAVE\n"), format!("LEFT {room}\n"));
    assert_eq!(world.hear(bob), "EXITED alice left\n");
    assert_eq!(world.ask(alice, &format!("JOIN {room} BOB\n")).split(' ').nth(1), Some("name_taken"));
    assert_eq!(world.ask(bob, "QUIT\n"), "BYE quit\n");
}

#[test]
fn who_says_no_more_and_still_reads_is_answered_and_leaves() {
    let mut world = World::new(1);
    let (_, alice, bob) = world.room_of_two(0, "");
    world.say(bob, "the last line\n");
    let time = world.time();
    world.pods[0].end_of_input(time, bob.1);
    world.run();
    assert_eq!(world.hear(bob), "MSG bob the last line\n");
    assert_eq!(world.hear(alice), "MSG bob the last line\nEXITED bob disconnected\n");
}

#[test]
fn a_dropped_seat_is_held_and_resumed() {
    let mut world = World::new(1);
    let alice = world.open(0);
    let room = world.create(alice);
    let token = world.join_resumable(alice, &room, "alice");
    let bob = world.open(0);
    world.ask(bob, &format!("JOIN {room} bob\n"));
    let time = world.time();
    world.pods[0].disconnected(time, alice.1, Disconnect::Lost);
    assert_eq!(world.ask(bob, "are you there?\n"), "AWAY alice\nMSG bob are you there?\n");
    let alice = world.open(0);
    let answer = world.ask(alice, &format!("RESUME {room} {token}\n"));
    assert_eq!(answer, format!("JOINED {room} alice alice,bob\nTOKEN {token}\nMSG bob are you there?\n"));
    assert_eq!(world.hear(bob), "BACK alice\n");
    let time = world.time();
    world.pods[0].disconnected(time, alice.1, Disconnect::Lost);
    world.pass(31_000);
    assert_eq!(world.hear(bob), "AWAY alice\nEXITED alice timeout\n");
}

#[test]
fn the_wrong_pod_redirects_or_relays() {
    let mut world = World::new(2);
    let alice = world.open(0);
    let room = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice\n"));
    let bob = world.open(1);
    assert_eq!(world.ask(bob, &format!("JOIN {room} bob\n")), format!("REDIRECT pod0:7654 {room}\n"));
    assert_eq!(world.ask(bob, &format!("JOIN {room} bob RELAY\n")), format!("JOINED {room} bob alice,bob\n"));
    assert_eq!(world.hear(alice), "ENTERED bob\n");
    assert_eq!(world.ask(bob, "one\ntwo\nPING\n"), "MSG bob one\nMSG bob two\nPONG\n");
    assert_eq!(world.ask(alice, "three\n"), "MSG bob one\nMSG bob two\nMSG alice three\n");
    assert_eq!(world.hear(bob), "MSG alice three\n");
    assert_eq!(world.ask(bob, "LEAVE\nPING\n"), format!("LEFT {room}\nPONG\n"));
    assert_eq!(world.hear(alice), "EXITED bob left\n");
}

#[test]
fn a_dead_owner_s_room_is_taken_over() {
    let mut world = World::new(2);
    let (room, _, bob) = world.room_of_two(1, " RESUMABLE");
    world.kill(0);
    world.say(bob, "anyone?\n");
    world.pass(3_000);
    let heard = world.hear(bob);
    assert_eq!(heard, format!("MOVED {room}\nMISSED ?\nEXITED alice disconnected\nMSG bob anyone?\n"));
    let carol = world.open(1);
    assert_eq!(world.ask(carol, &format!("JOIN {room} carol\n")), format!("JOINED {room} carol bob,carol\n"));
}

#[test]
fn a_drained_pod_hands_its_rooms_over() {
    let mut world = World::new(2);
    let (room, alice, bob) = world.room_of_two(1, "");
    world.drain_to(0, 1);
    world.say(alice, "still here\n");
    world.pass(1_000);
    assert_eq!(world.hear(alice), format!("MOVED {room}\nMSG alice still here\n"));
    assert_eq!(world.hear(bob), format!("MOVED {room}\nMSG alice still here\n"));
    assert_eq!(world.pods[0].room_count(), 0);
    assert_eq!(world.pods[1].room_count(), 1);
    world.pass(6_000);
    assert_eq!(world.hear(alice), "BYE moved\n");
}

#[test]
fn a_room_that_is_gone_is_not_found_by_who_remembers_its_owner_either() {
    let mut world = World::new(2);
    let (room, alice, bob) = world.room_of_two(1, "");
    assert_eq!([0, 1].map(|pod| world.look_up(pod, &room)), [Some(Ok(2)); 2]);
    let record = std::mem::take(&mut world.store);
    assert_eq!(world.look_up(1, &room), Some(Err(ErrorCode::Unavailable)), "it is there, and has lost its record");
    world.store = record;
    for client in [alice, bob] {
        assert!(world.ask(client, "LEAVE\n").contains("LEFT"));
    }
    assert_eq!(world.look_up(1, &room), Some(Ok(0)));
    world.pass(600_500);
    assert!(world.store.is_empty());
    assert_eq!(world.look_up(1, &room), Some(Err(ErrorCode::RoomNotFound)));
    world.away = true;
    assert_eq!(world.look_up(1, &room), Some(Err(ErrorCode::Unavailable)));
}

#[test]
fn a_room_is_counted_in_time_though_its_owner_says_nothing() {
    let mut world = World::new(2);
    let (room, ..) = world.room_of_two(1, "");
    world.store.clear();
    world.alive[0] = false;
    assert_eq!(world.look_up(1, &room), None);
    world.pass(2_100);
    assert_eq!(world.looked_up, [Err(ErrorCode::Unavailable)]);
}

#[test]
fn a_closed_tab_holds_its_seat_for_ten_seconds() {
    for entry in [0, 1] {
        let mut world = World::new(2);
        let (_, alice, bob) = world.room_of_two(entry, " RESUMABLE");
        let time = world.time();
        world.pods[entry].disconnected(time, bob.1, Disconnect::GoingAway);
        world.pass(9_900);
        assert_eq!(world.hear(alice), "AWAY bob\n", "by pod {entry}");
        world.pass(300);
        assert_eq!(world.hear(alice), "EXITED bob timeout\n", "by pod {entry}");
    }
}

#[test]
fn coming_back_brings_no_new_burst() {
    let mut world = World::new(1);
    let alice = world.open(0);
    let room = world.create(alice);
    let token = world.join_resumable(alice, &room, "alice");
    assert_eq!(world.ask(alice, &"hi\n".repeat(20)), "MSG alice hi\n".repeat(20));
    let time = world.time();
    world.pods[0].disconnected(time, alice.1, Disconnect::Lost);
    let alice = world.open(0);
    world.ask(alice, &format!("RESUME {room} {token}\n"));
    assert!(world.ask(alice, "hi\n").starts_with("ERR rate_limited"));
}

#[test]
fn who_joins_others_that_wait_for_a_record_waits_no_longer_than_that_may_take() {
    let mut world = World::new(2);
    let host = world.open(0);
    let room = world.create(host);
    world.waits_for_answers = Some(1);
    let clients = [world.open(1), world.open(1)];
    for client in clients {
        world.say(client, &format!("JOIN {room} alice RELAY\n"));
    }
    world.pass(2_100);
    for client in clients {
        let heard = world.hear(client);
        assert!(heard.starts_with("ERR unavailable "), "{heard:?}");
    }
}

#[test]
fn outside_of_a_room_a_word_is_a_command_that_is_not_known() {
    let mut world = World::new(1);
    let alice = world.open(0);
    assert!(world.ask(alice, "hello\n").starts_with("ERR bad_command "));
    assert!(world.ask(alice, "SAY hello\n").starts_with("ERR not_in_room "));
}

#[test]
fn the_records_of_many_rooms_are_renewed_in_turn() {
    let mut world = World::with_places(1, 960);
    let time = world.time();
    for query in 0..960 {
        world.pods[0].create_room(time, query, None);
    }
    world.pass(100_000);
    assert_eq!(world.pods[0].room_count(), 960);
    world.requests = 0;
    world.pass(150_000);
    // Twenty a second at most, and each record once at least.
    assert!((960..=20 * 150).contains(&world.requests), "{} requests", world.requests);
}
