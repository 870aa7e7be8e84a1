//! Seats whose JOIN was not answered, or only just, when their owner died; and what it costs to know that. No I/O.

use chatd::directory::Key;
use chatd::record::Record;

use crate::world::World;

fn held(world: &World, room: &str) -> Vec<String> {
    let record = Record::parse(&world.store[&Key::Room(room.parse().unwrap())]).unwrap();
    record.held_seats(64).into_iter().map(|(name, _)| name.as_str().to_owned()).collect()
}

#[test]
fn a_seat_that_was_never_answered_is_not_held_when_its_owner_dies() {
    for words in ["RESUMABLE", "RESUMABLE KEY=0123456789abcdefghijkl"] {
        let mut world = World::new(2);
        let host = world.open(0);
        let room = world.create(host);
        let bob = world.open(1);
        world.ask(bob, &format!("JOIN {room} bob RELAY RESUMABLE\n"));
        world.pass(100);
        // The write is carried out, and the owner dies before it hears so.
        world.waits_for_answers = Some(0);
        let alice = world.open(0);
        world.say(alice, &format!("JOIN {room} alice {words}\n"));
        world.kill_at_once(0);
        world.pass(6_000);
        let again = world.open(1);
        let joined = world.ask(again, &format!("JOIN {room} alice RELAY\n"));
        assert_eq!(joined, format!("JOINED {room} alice bob,alice\n"));
    }
}

#[test]
fn a_seat_that_was_only_just_answered_is_had_again_with_its_token_and_without_it_by_nobody_else() {
    let mut world = World::new(2);
    let host = world.open(0);
    let room = world.create(host);
    let token = world.join_resumable(host, &room, "alice");
    world.kill_at_once(0);
    let again = world.open(1);
    let mut forged = token.clone();
    let first = forged.remove(2);
    forged.insert(2, if first == 'A' { 'B' } else { 'A' });
    world.say(again, &format!("RESUME {room} {forged}\n"));
    world.pass(6_000);
    assert!(world.hear(again).starts_with("ERR bad_token "));
    let joined = world.ask(again, &format!("RESUME {room} {token}\n"));
    // What it may have heard from the last owner is not known here.
    assert_eq!(joined, format!("JOINED {room} alice alice\nTOKEN {token}\nMISSED ?\n"));
    world.pass(100);
    assert_eq!(held(&world, &room), ["alice"]);
}

#[test]
fn the_token_of_a_seat_that_was_only_just_answered_is_worth_nothing_once_somebody_has_the_name() {
    let mut world = World::new(2);
    let host = world.open(0);
    let room = world.create(host);
    let token = world.join_resumable(host, &room, "alice");
    world.kill_at_once(0);
    let other = world.open(1);
    world.say(other, &format!("JOIN {room} Alice\n"));
    world.pass(6_000);
    assert_eq!(world.hear(other), format!("JOINED {room} Alice Alice\n"));
    world.ask(other, "LEAVE\n");
    let again = world.open(1);
    assert!(world.ask(again, &format!("RESUME {room} {token}\n")).starts_with("ERR bad_token "));
}

#[test]
fn an_old_token_brings_nobody_else_back_into_a_seat_that_was_only_just_answered() {
    let mut world = World::new(2);
    let host = world.open(0);
    let room = world.create(host);
    let bob = world.open(1);
    world.ask(bob, &format!("JOIN {room} bob RELAY\n"));
    let old = world.join_resumable(host, &room, "alice");
    world.ask(host, "LEAVE\n");
    world.join_resumable(host, &room, "alice");
    world.kill_at_once(0);
    world.pass(6_000);
    let again = world.open(1);
    assert!(world.ask(again, &format!("RESUME {room} {old}\n")).starts_with("ERR bad_token "));
    assert_eq!((world.pods[1].room_count(), world.pods[1].player_count()), (1, 1));
}

#[test]
fn a_seat_that_was_only_just_answered_is_had_again_only_while_there_is_place_and_time() {
    for full in [true, false] {
        let mut world = World::new(2);
        let host = world.open(0);
        let room = world.create(host);
        let token = world.join_resumable(host, &room, "alice");
        world.kill_at_once(0);
        let first = world.open(1);
        world.say(first, &format!("JOIN {room} first\n"));
        world.pass(6_000);
        assert!(world.hear(first).starts_with("JOINED "));
        for name in ["b", "c", "d"].iter().filter(|_| full) {
            let other = world.open(1);
            assert!(world.ask(other, &format!("JOIN {room} {name}\n")).starts_with("JOINED "));
        }
        world.pass(if full { 100 } else { 31_000 });
        let again = world.open(1);
        let heard = world.ask(again, &format!("RESUME {room} {token}\n"));
        assert!(heard.starts_with("ERR bad_token "), "full: {full}: {heard}");
        assert_eq!(world.pods[1].player_count(), if full { 4 } else { 1 });
    }
}

#[test]
fn that_seats_are_held_costs_one_write_for_all_who_come_together_and_none_where_none_is_held() {
    for (words, most) in [("", 0), ("RESUMABLE", 1)] {
        let mut world = World::new(1);
        let host = world.open(0);
        let room = world.create(host);
        let before = world.swaps;
        for name in ["a", "b", "c"] {
            let client = world.open(0);
            world.ask(client, &format!("JOIN {room} {name} {words}\n"));
        }
        world.pass(1_000);
        assert_eq!(world.swaps - before, 3 + most, "{words}");
        assert_eq!(held(&world, &room).len(), 3 * most);
    }
}

#[test]
fn a_write_that_is_due_anyway_takes_along_that_a_seat_is_held() {
    let mut world = World::new(1);
    let host = world.open(0);
    let room = world.create(host);
    world.join_resumable(host, &room, "alice");
    let bob = world.open(0);
    world.ask(bob, &format!("JOIN {room} bob\n"));
    let before = world.swaps;
    assert_eq!(held(&world, &room), ["alice"]);
    world.pass(1_000);
    assert_eq!(world.swaps, before);
}

#[test]
fn a_relayed_client_that_was_only_just_answered_keeps_its_seat_and_hears_of_what_was_in_flight() {
    for pods in [2, 3] {
        let mut world = World::new(pods);
        let host = world.open(0);
        let room = world.create(host);
        // With a third pod, another one than the entry pod takes the room over.
        let other = world.open(pods - 1);
        let bob = world.open(1);
        world.ask(bob, &format!("JOIN {room} bob RELAY\n"));
        world.kill_at_once(0);
        world.say(bob, "hello\n");
        world.say(other, &format!("JOIN {room} carol RELAY\n"));
        world.pass(6_000);
        let heard = world.hear(bob);
        assert!(heard.contains(&format!("MOVED {room}\nMISSED ?\n")), "{heard}");
        assert!(heard.contains("MSG bob hello\n") || heard.contains("ERR unavailable "), "{heard}");
        assert!(world.hear(other).starts_with(&format!("JOINED {room} carol ")));
        world.hear(bob);
        assert_eq!(world.ask(bob, "again\n"), "MSG bob again\n");
        assert!(world.hear(other).ends_with("MSG bob again\n"));
    }
}
