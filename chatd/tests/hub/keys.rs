//! JOIN with a key of the client's choosing: the same seat again. No I/O.

use chatd::directory::Key;
use chatd::peer_protocol::Disconnect;
use chatd::record::Record;

use crate::world::{Client, World};

const KEY: &str = "KEY=0123456789abcdefghijkl";

/// A room of the first pod where alice has a seat with a key, by way of pod `entry`.
fn seated(world: &mut World, entry: usize, words: &str) -> (String, Client) {
    let host = world.open(0);
    let room = world.create(host);
    let alice = world.open(entry);
    assert!(world.ask(alice, &format!("JOIN {room} alice {KEY} RELAY {words}\n")).starts_with("JOINED "));
    (room, alice)
}

#[test]
fn the_same_key_is_the_same_seat_also_while_it_is_connected() {
    for (entry, again) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let mut world = World::new(2);
        let (room, old) = seated(&mut world, entry, "RESUMABLE");
        let bob = world.open(0);
        world.ask(bob, &format!("JOIN {room} bob\n"));
        let new = world.open(again);
        for other in ["", "KEY=0123456789abcdefghijkm"] {
            let refused = world.ask(new, &format!("JOIN {room} alice {other} RELAY\n"));
            assert!(refused.starts_with("ERR name_taken "), "{refused}");
        }
        world.say(new, &format!("JOIN {room} Alice {KEY} RELAY RESUMABLE\n"));
        world.pass(1_500);
        let joined = world.hear(new);
        assert!(joined.starts_with(&format!("JOINED {room} alice alice,bob\nTOKEN ")), "{joined}");
        assert!(world.hear(old).ends_with("BYE replaced\n"));
        assert_eq!(world.ask(new, "hi\n"), "MSG alice hi\n");
        let heard = world.hear(bob);
        assert!(
            heard.ends_with("MSG alice hi\n") && !heard.contains("EXITED") && !heard.contains("ENTERED"),
            "{heard}"
        );
        assert_eq!(world.pods[0].player_count(), 2);
    }
}

#[test]
fn nobody_is_kept_out_of_a_full_room_by_its_own_ghost() {
    let mut world = World::new(1);
    let (room, alice) = seated(&mut world, 0, "RESUMABLE");
    for name in ["b", "c", "d"] {
        let other = world.open(0);
        world.ask(other, &format!("JOIN {room} {name}\n"));
    }
    let time = world.time();
    world.pods[0].disconnected(time, alice.1, Disconnect::Lost);
    let again = world.open(0);
    assert!(world.ask(again, &format!("JOIN {room} alice\n")).starts_with("ERR "));
    assert!(world.ask(again, &format!("JOIN {room} alice {KEY}\n")).starts_with("JOINED "));
    // As it was asked for the last time: without RESUMABLE the seat ends with its connection.
    let time = world.time();
    world.pods[0].disconnected(time, again.1, Disconnect::Lost);
    world.run();
    assert_eq!(world.pods[0].player_count(), 3);
}

#[test]
fn the_key_finds_its_seat_at_the_next_owner_after_a_takeover_and_after_a_move() {
    for planned in [true, false] {
        let mut world = World::new(2);
        let (room, _) = seated(&mut world, 0, "RESUMABLE");
        let bob = world.open(1);
        world.ask(bob, &format!("JOIN {room} bob RELAY\n"));
        world.leave_pod(0, 1, planned);
        let again = world.open(1);
        assert!(world.ask(again, &format!("JOIN {room} alice\n")).starts_with("ERR name_taken "), "planned: {planned}");
        world.say(again, &format!("JOIN {room} alice {KEY} RESUMABLE\n"));
        world.pass(1_500);
        let joined = world.hear(again);
        assert!(joined.starts_with(&format!("JOINED {room} alice alice,bob\n")), "planned: {planned}: {joined}");
        assert_eq!(world.pods[1].player_count(), 2);
    }
}

#[test]
fn a_relayed_seat_that_the_next_owner_does_not_know_keeps_its_key() {
    let mut world = World::new(2);
    let (room, alice) = seated(&mut world, 1, "");
    let key = Key::Room(room.parse().unwrap());
    let mut record = Record::parse(&world.store[&key]).unwrap();
    record.seats.clear();
    world.store.insert(key, record.to_bytes());
    world.kill(0);
    world.pass(6_000);
    world.hear(alice);
    let again = world.open(1);
    assert!(world.ask(again, &format!("JOIN {room} alice\n")).starts_with("ERR name_taken "));
    assert!(world.ask(again, &format!("JOIN {room} alice {KEY}\n")).starts_with("JOINED "));
    assert!(world.hear(alice).ends_with("BYE replaced\n"));
}

#[test]
fn a_join_that_waits_for_its_write_is_answered_to_who_asked_last() {
    let mut world = World::new(1);
    let alice = world.open(0);
    let room = world.create(alice);
    world.slow = true;
    world.say(alice, &format!("JOIN {room} alice {KEY}\n"));
    let again = world.open(0);
    world.say(again, &format!("JOIN {room} alice {KEY}\n"));
    assert!(world.hear(alice).ends_with("BYE replaced\n"));
    world.slow = false;
    world.pass(4_000);
    assert_eq!(world.hear(again), format!("JOINED {room} alice alice\n"));
    assert_eq!(world.pods[0].player_count(), 1);
}

#[test]
fn the_record_says_whether_the_seat_is_held_for_its_new_connection() {
    for (entry, again) in [(0, 1), (1, 0)] {
        let mut world = World::new(2);
        let (room, _) = seated(&mut world, entry, "");
        world.pass(200);
        let key = Key::Room(room.parse().unwrap());
        let hold = |world: &World| Record::parse(&world.store[&key]).unwrap().seats["alice"].hold;
        assert_eq!(hold(&world), entry == 1);
        let new = world.open(again);
        world.say(new, &format!("JOIN {room} alice {KEY} RELAY\n"));
        world.pass(1_500);
        assert!(world.hear(new).starts_with("JOINED "));
        // A relayed session comes back to the next owner by itself.
        assert_eq!(hold(&world), again == 1, "from {entry} to {again}");
    }
}
