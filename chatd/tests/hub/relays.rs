//! Sessions that are connected to another pod than their room's owner. No I/O.

use chatd::room::RingLimits;

use crate::world::{World, boot};

#[test]
fn an_attach_that_is_answered_twice_is_told_once() {
    let mut world = World::with_ring(2, RingLimits { messages: 1, bytes: 8192, age: 90_000 });
    let (_, alice, bob) = world.room_of_two(1, "");
    world.hear(bob);
    world.mute = Some(0);
    for text in ["one\n", "two\n"] {
        world.ask(alice, text);
    }
    world.mute = None;
    world.deliveries.clear();
    world.break_link(0, 1);
    world.pass(100);
    assert_eq!(world.hear(bob), "MISSED 1\nMSG alice two\n");
    let time = world.time();
    for frame in std::mem::take(&mut world.deliveries) {
        world.pods[1].frame(time, boot(0), frame);
    }
    assert_eq!(world.hear(bob), "");
    assert_eq!(world.ask(bob, "three\n"), "MSG bob three\n");
}

#[test]
fn a_join_that_is_asked_again_over_the_next_link_meets_no_seat_of_its_own() {
    let mut world = World::new(2);
    let alice = world.open(0);
    let room = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice\n"));
    let bob = world.open(1);
    world.mute = Some(0);
    assert_eq!(world.ask(bob, &format!("JOIN {room} bob RELAY\n")), "");
    assert_eq!(world.hear(alice), "ENTERED bob\n");
    world.mute = None;
    world.break_link(0, 1);
    world.pass(500);
    assert_eq!(world.hear(bob), format!("JOINED {room} bob alice,bob\n"));
    assert_eq!(world.pods[0].player_count(), 2);
}

#[test]
fn what_an_earlier_attach_brings_while_the_next_one_is_not_answered_comes_again_but_for_replies() {
    let mut world = World::new(2);
    let (_, alice, bob) = world.room_of_two(1, "");
    world.hear(bob);
    world.mute = Some(0);
    world.deliveries.clear();
    world.ask(alice, "hello\n");
    world.ask(bob, "WHO\n");
    let earlier = std::mem::take(&mut world.deliveries);
    world.break_link(0, 1);
    let time = world.time();
    for frame in earlier {
        world.pods[1].frame(time, boot(0), frame);
    }
    assert_eq!(world.hear(bob), "PLAYERS alice,bob\n");
    world.mute = None;
    world.pass(4_000);
    assert_eq!(world.hear(bob), "MSG alice hello\n");
    assert_eq!(world.ask(bob, "PING\n"), "PONG\n");
}

#[test]
fn a_line_whose_reply_was_lost_comes_back_where_the_room_moves_to_its_clients_pod() {
    let mut world = World::new(2);
    let (room, alice, bob) = world.room_of_two(1, "");
    world.hear(bob);
    world.mute = Some(0);
    assert_eq!(world.ask(bob, "hello\n"), "");
    world.drain_to(0, 1);
    world.pass(500);
    assert_eq!(world.pods[1].room_count(), 1);
    let heard = world.hear(bob);
    assert!(heard.starts_with(&format!("MOVED {room}\nMSG bob hello\n")) && !heard.contains("ERR"), "{heard}");
    assert!(world.hear(alice).starts_with("MSG bob hello\n"));
}

#[test]
fn who_leaves_while_its_link_breaks_has_left() {
    for (words, quits) in [("LEAVE\n", false), ("QUIT\n", true)] {
        let mut world = World::new(2);
        let (room, alice, bob) = world.room_of_two(1, " RESUMABLE");
        world.pass(200);
        world.hear(bob);
        // It is carried out, and the link breaks before the write is done that it waits for.
        world.waits_for_answers = Some(0);
        world.say(bob, words);
        world.break_link(0, 1);
        world.pass(300);
        world.waits_for_answers = None;
        world.hand_over_answers(0);
        world.pass(3_000);
        let last = if quits { "BYE quit\n".to_owned() } else { format!("LEFT {room}\n") };
        assert_eq!(world.hear(bob), last);
        world.hear(alice);
        assert_eq!(world.ask(alice, "WHO\n"), "PLAYERS alice\n", "{words}");
    }
}
