//! Sessions that are connected to another pod than their room's owner. No I/O.

use chatd::room::RingLimits;

use crate::world::{World, boot};

#[test]
fn a_repeated_attach_notifies_the_client_once() {
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

/// The client of a frozen pod has come back by another one, and is gone.
#[test]
fn a_session_whose_seat_another_connection_has_given_back_is_not_in_the_room_once_more() {
    for taken_over in [false, true] {
        let mut world = World::new(3);
        let alice = world.open(0);
        let room = world.create(alice);
        let bob = world.open(1);
        let token = world.ask(bob, &format!("JOIN {room} bob RELAY RESUMABLE\n"));
        let token = token.lines().find_map(|line| line.strip_prefix("TOKEN ")).unwrap().to_owned();
        world.pass(200);
        world.alive[1] = false;
        let time = world.time();
        world.pods[0].peer_down(time, boot(1));
        let owner = if taken_over { 2 } else { 0 };
        if taken_over {
            world.kill(0);
            world.pass(12_000);
        }
        let again = world.open(owner);
        world.say(again, &format!("RESUME {room} {token} RELAY\nQUIT\n"));
        world.pass(3_000);
        assert!(world.hear(again).ends_with("BYE quit\n"));
        if taken_over {
            // A planned move takes along what the new owner knows.
            world.alive[0] = true;
            world.start_without_lease(0);
            world.pass(200);
            world.drain_to(2, 0);
            world.pass(500);
            assert_eq!(world.pods[0].room_count(), 1);
        }
        world.alive[1] = true;
        let time = world.time();
        world.pods[1].peer_down(time, boot(0));
        world.pass(5_000);
        let heard = world.hear(bob);
        assert!(heard.contains("ERR bad_token ") && heard.ends_with(&format!("\nLEFT {room}\n")), "{heard}");
        let carol = world.open(0);
        assert_eq!(world.ask(carol, &format!("JOIN {room} carol\n")), format!("JOINED {room} carol carol\n"));
        assert_eq!((world.pods[0].remote_member_count(), world.pods[1].relay_count()), (0, 0));
    }
}

#[test]
fn who_has_left_and_lost_the_reply_with_a_link_gets_it_over_the_next_one() {
    for (word, reply) in [("LEAVE", "LEFT"), ("QUIT", "BYE quit")] {
        let mut world = World::new(2);
        let (_, alice, bob) = world.room_of_two(1, "");
        world.hear(bob);
        world.mute = Some(0);
        assert_eq!(world.ask(bob, &format!("{word}\n")), "");
        world.mute = None;
        world.break_link(0, 1);
        world.pass(100);
        let heard = world.hear(bob);
        assert!(heard.starts_with(reply) && heard.lines().count() == 1, "{heard}");
        assert_eq!(world.hear(alice), "EXITED bob left\n");
        assert_eq!((world.pods[0].remote_member_count(), world.pods[1].relay_count()), (0, 0));
    }
}
