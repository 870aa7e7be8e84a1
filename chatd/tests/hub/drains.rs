//! A draining pod: its rooms move as soon as another pod can take them, and go on here until then; its clients go after them.

use chatd::directory::Key;
use chatd::peer_protocol::Disconnect;
use chatd::record::Record;

use crate::world::{Client, World};

#[test]
fn a_room_goes_on_until_the_directory_is_back_and_then_it_moves() {
    let mut world = World::new(2);
    let (room, alice, bob) = world.room_of_two(1, "");
    world.away = true;
    world.drain(0);
    world.pass(8_000);
    assert_eq!(world.ask(bob, "still here\n"), "MSG bob still here\n");
    assert_eq!(world.hear(alice), "MSG bob still here\n");
    world.away = false;
    world.drain_to(0, 1);
    world.pass(500);
    assert_eq!(world.hear(bob), format!("MOVED {room}\nEXITED alice moved\n"));
    // Her own pod is about to end, and this is later than balancers need.
    assert_eq!(world.hear(alice), format!("MOVED {room}\nBYE moved\n"));
    assert_eq!([0, 1].map(|pod| world.pods[pod].room_count()), [0, 1]);
}

#[test]
fn a_room_whose_last_write_is_not_answered_goes_on_and_moves_later() {
    let mut world = World::new(2);
    let (room, alice, bob) = world.room_of_two(1, "");
    let carol = world.open(0);
    world.slow = true;
    world.say(carol, &format!("JOIN {room} carol RELAY\n"));
    // The targets are known, and the directory has stopped to answer since.
    world.drain_to(0, 1);
    world.pass(4_000);
    assert_eq!(world.hear(carol), format!("JOINED {room} carol alice,bob,carol\n"));
    assert_eq!(world.ask(bob, "still here\n"), "ENTERED carol\nMSG bob still here\n");
    assert_eq!(world.hear(alice), "ENTERED carol\nMSG bob still here\n");
    world.slow = false;
    world.drain_to(0, 1);
    world.pass(1_000);
    for (client, before) in [(alice, ""), (bob, ""), (carol, "MSG bob still here\n")] {
        let heard = world.hear(client);
        assert!(heard.starts_with(&format!("{before}MOVED {room}\n")), "{heard}");
    }
    assert_eq!([0, 1].map(|pod| world.pods[pod].room_count()), [0, 1]);
}

#[test]
fn what_could_not_be_moved_by_the_deadline_is_given_up() {
    let mut world = World::new(2);
    let (_, alice, bob) = world.room_of_two(1, "");
    world.away = true;
    world.drain(0);
    world.pass(24_900);
    assert_eq!((world.hear(alice), world.hear(bob)), (String::new(), String::new()));
    world.pass(200);
    for client in [alice, bob] {
        assert!(world.hear(client).ends_with("BYE shutting_down\n"));
    }
    assert_eq!(world.pods[0].room_count(), 0);
}

/// A word that has to come back, though it may have to wait.
fn talk(world: &mut World, from: Client, to: Client, number: u32) {
    world.say(from, &format!("SAY {number}\n"));
    for _ in 0..25 {
        world.pass(100);
        let heard = world.hear(to);
        if heard.contains(&format!(" {number}\n")) {
            return;
        }
        assert!(heard.is_empty() || heard.starts_with("MSG "), "{heard}");
    }
    panic!("{number} is not heard");
}

#[test]
fn a_room_that_another_pod_cannot_take_yet_goes_on_and_is_offered_again() {
    let mut world = World::new(2);
    let (room, alice, bob) = world.room_of_two(1, "");
    // The directory is slow for the pod that is to take it.
    world.slow_at = Some(1);
    world.drain_to(0, 1);
    for number in 0..10 {
        talk(&mut world, bob, alice, number);
        world.hear(bob);
    }
    let failed = world.pods[0].counters().outgoing_migrations_failed;
    assert!((2..10).contains(&failed), "{failed} offers have failed in {} ms", world.now);
    world.slow_at = None;
    world.pass(4_000);
    assert_eq!(world.hear(bob), format!("MOVED {room}\nEXITED alice moved\n"));
    assert_eq!(world.hear(alice), format!("MOVED {room}\nBYE moved\n"));
    assert_eq!([0, 1].map(|pod| world.pods[pod].room_count()), [0, 1]);
}

#[test]
fn a_room_moves_to_a_linked_pod_whose_lease_is_not_there() {
    let mut world = World::new(2);
    let (room, _, bob) = world.room_of_two(1, "");
    world.drain(0);
    let time = world.time();
    // The directory came back empty, and the others have not renewed their leases yet.
    world.pods[0].targets(time, Vec::new());
    world.pass(200);
    assert_eq!(world.hear(bob), format!("MOVED {room}\n"));
    assert_eq!([0, 1].map(|pod| world.pods[pod].room_count()), [0, 1]);
}

#[test]
fn only_the_deadline_ends_a_room_with_people_in_it() {
    let mut world = World::new(1);
    let alice = world.open(0);
    let room = world.create(alice);
    let empty = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice\n"));
    world.drain(0);
    for _ in 0..24 {
        let time = world.time();
        world.pods[0].targets(time, Vec::new());
        world.pass(1_000);
    }
    // An empty one has not waited.
    let left: Vec<String> = world.pods[0].rooms().map(|view| view.room.to_string()).collect();
    assert!(left == [room] && left != [empty]);
    assert_eq!(world.ask(alice, "still here\n"), "MSG alice still here\n");
    world.pass(1_100);
    assert!(world.hear(alice).ends_with("BYE shutting_down\n"));
}

#[test]
fn rooms_are_offered_as_fast_as_they_are_taken() {
    let mut world = World::new(2);
    for _ in 0..9 {
        let client = world.open(0);
        for _ in 0..10 {
            world.create(client);
        }
    }
    world.drain_to(0, 1);
    // No time passes.
    world.run();
    assert_eq!([0, 1].map(|pod| world.pods[pod].room_count()), [0, 90]);
}

#[test]
fn clients_are_sent_away_one_after_the_other() {
    let mut world = World::new(2);
    let clients: Vec<Client> = (0..100).map(|_| world.open_json(0)).collect();
    world.drain_to(0, 1);
    world.pass(4_950);
    let mut gone = Vec::new();
    for _ in 0..19 {
        let before = gone.len();
        world.pass(1_000);
        for client in &clients {
            if !world.events(*client).is_empty() {
                gone.push(*client);
            }
        }
        assert!(gone.len() - before <= 10, "{} in one second", gone.len() - before);
    }
    assert_eq!(gone.len(), 100);
}

#[test]
fn a_move_holds_a_seat_neither_longer_nor_shorter() {
    let mut world = World::new(3);
    let (room, _, bob) = world.room_of_two(1, "");
    let carol = world.open(0);
    world.join_resumable(carol, &room, "carol");
    let time = world.time();
    world.pods[0].disconnected(time, carol.1, Disconnect::Lost);
    world.pass(20_000);
    world.drain_to(0, 2);
    world.pass(9_900);
    assert_eq!(world.pods[2].room_count(), 1);
    assert!(!world.hear(bob).contains("EXITED carol"));
    world.pass(200);
    assert_eq!(world.hear(bob), "EXITED carol timeout\n");
}

#[test]
fn a_room_whose_offer_is_not_answered_stands_still_until_its_record_has_been_read() {
    let mut world = World::new(3);
    let (room, alice, bob) = world.room_of_two(2, "");
    world.hear(bob);
    // The target's swap is carried out, and its answer is on its way.
    world.waits_for_answers = Some(1);
    world.drain_to(0, 1);
    world.run();
    world.say(alice, "hello\n");
    world.say(bob, "hi\n");
    world.pass(3_000);
    assert_eq!([world.hear(alice), world.hear(bob)], ["", ""]);
    world.waits_for_answers = None;
    world.hand_over_answers(1);
    world.pass(500);
    for client in [alice, bob] {
        let heard = world.hear(client);
        assert!(heard.starts_with(&format!("MOVED {room}\nMSG ")), "{heard}");
        assert!(["alice hello", "bob hi"].iter().all(|said| heard.matches(said).count() == 1), "{heard}");
    }
}

#[test]
fn a_room_that_was_not_taken_is_written_once_the_directory_that_lost_it_is_back() {
    let mut world = World::new(2);
    let (room, alice, _) = world.room_of_two(1, "");
    // The target is frozen with the offer, and the source notices that the record is gone.
    world.alive[1] = false;
    world.drain_to(0, 1);
    world.store.clear();
    let time = world.time();
    world.pods[0].lease_lost(time);
    world.run();
    // The offer has been given up, and the record cannot be read.
    world.away = true;
    world.pass(5_000);
    world.away = false;
    world.pass(2_500);
    assert!(world.store.contains_key(&Key::Room(room.parse().unwrap())));
    assert_eq!(world.ask(alice, "still here\n"), "MSG alice still here\n");
}

#[test]
fn what_is_given_up_at_the_deadline_stands_in_the_directory_though_that_had_lost_it() {
    let mut world = World::new(1);
    let alice = world.open(0);
    let room = world.create(alice);
    world.join_resumable(alice, &room, "alice");
    world.drain(0);
    let time = world.time();
    world.pods[0].targets(time, Vec::new());
    world.pass(15_000);
    world.store.clear();
    world.pass(10_100);
    assert!(world.hear(alice).ends_with("BYE shutting_down\n"));
    let record = Record::parse(&world.store[&Key::Room(room.parse().unwrap())]).unwrap();
    assert_eq!(record.held_seats(4).len(), 1);
}

#[test]
fn a_leave_is_not_confirmed_while_the_next_owner_would_hold_the_seat() {
    for (entry, word) in [(0, "LEAVE"), (0, "QUIT"), (1, "LEAVE"), (1, "QUIT")] {
        let mut world = World::new(3);
        let (room, alice, bob) = world.room_of_two(entry, " RESUMABLE");
        let carol = world.open(2);
        world.ask(carol, &format!("JOIN {room} carol RELAY\n"));
        world.pass(500);
        world.hear(alice);
        world.hear(bob);
        world.away = true;
        world.drain(0);
        world.pass(24_000);
        world.say(bob, &format!("{word}\n"));
        world.pass(1_100);
        let heard: Vec<String> = world.hear(bob).lines().map(str::to_owned).collect();
        let begins = ["ERR unavailable ", "ERR shutting_down ", "BYE shutting_down"];
        let fits = heard.iter().zip(begins).all(|(line, begin)| line.starts_with(begin));
        assert!(heard.len() == begins.len() && fits, "{word} by pod {entry}: {heard:?}");
        assert!(!world.hear(carol).contains("EXITED bob"));
        // The next owner goes by the record.
        world.away = false;
        world.kill_at_once(0);
        world.pass(5_000);
        let dave = world.open(2);
        assert!(
            world.ask(dave, &format!("JOIN {room} bob RELAY\n")).starts_with("ERR name_taken "),
            "{word} by pod {entry}"
        );
    }
}
