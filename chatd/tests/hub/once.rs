//! JOIN with a token that is good for one: who comes in by it, at whichever pod, and what becomes of it where something fails. No I/O.

use chatd::directory::Key;
use chatd::join_token::{RoomAccess, TokenId};
use chatd::peer_protocol::Disconnect;
use serde_json::json;

use crate::join_tokens::{SECRET, refused, seated, seconds, signed, world};
use crate::world::World;

const KEY: &str = "KEY=0123456789abcdefghijkl";

/// A token of bob that is good for one JOIN of any room.
fn once(world: &World, jti: &str) -> String {
    let exp = seconds(world) + 600;
    signed(SECRET, &json!({"sub": "user-2", "room": "*", "exp": exp, "once": true, "jti": jti}))
}

fn is_used(world: &World, jti: &str) -> bool {
    world.store.contains_key(&Key::JoinToken(TokenId::new(jti)))
}

#[test]
fn one_join_gets_in_by_it_in_all_pods() {
    for (first, second) in [(0, 0), (0, 1), (1, 0), (1, 2)] {
        let mut world = world(3, RoomAccess::Token);
        let (room, alice) = seated(&mut world, 0, "");
        let auth = once(&world, "t1");
        let join = format!("JOIN {room} bob RELAY AUTH={auth}\n");
        let bob = world.open(first);
        assert_eq!(world.ask(bob, &join), format!("JOINED {room} bob alice,bob\n"));
        assert!(is_used(&world, "t1"));
        let thief = world.open(second);
        refused(&world.ask(thief, &join), "auth_invalid");
        assert_eq!(world.ask(bob, "hi\n"), "MSG bob hi\n", "his seat stays as it was");
        world.ask(bob, "LEAVE\n");
        refused(&world.ask(bob, &join), "auth_invalid");
        let other = once(&world, "t2");
        assert_eq!(
            world.ask(bob, &format!("JOIN {room} bob RELAY AUTH={other}\n")),
            format!("JOINED {room} bob alice,bob\n")
        );
        assert_eq!(
            world.hear(alice),
            "ENTERED bob\nMSG bob hi\nEXITED bob left\nENTERED bob\n",
            "the thief was never there"
        );
    }
}

#[test]
fn the_same_join_finds_its_seat_again_by_its_key() {
    for entry in [0, 1] {
        let mut world = world(2, RoomAccess::Token);
        let (room, alice) = seated(&mut world, 0, "");
        let auth = once(&world, "t1");
        let join = format!("JOIN {room} bob RESUMABLE RELAY {KEY} AUTH={auth}\n");
        let bob = world.open(entry);
        assert!(world.ask(bob, &join).starts_with("JOINED "));
        let again = world.open(entry);
        assert!(world.ask(again, &join).starts_with(&format!("JOINED {room} bob alice,bob\n")));
        assert!(world.hear(bob).ends_with("BYE replaced\n"));
        let time = world.time();
        world.pods[entry].disconnected(time, again.1, Disconnect::Lost);
        world.run();
        let third = world.open(entry);
        refused(&world.ask(third, &join.replace("0123", "9999")), "auth_invalid");
        refused(&world.ask(third, &join.replace(KEY, "")), "auth_invalid");
        assert!(world.ask(third, &join).starts_with("JOINED "), "also while it is away");
        world.ask(third, "LEAVE\n");
        refused(&world.ask(third, &join), "auth_invalid");
        assert_eq!(world.hear(alice).matches("ENTERED").count(), 1);
    }
}

#[test]
fn who_takes_the_seat_of_the_same_person_by_another_token_may_say_that_join_again() {
    for entry in [0, 1] {
        let mut world = world(2, RoomAccess::Token);
        let (room, _) = seated(&mut world, 0, "");
        let joins = ["t1", "t2"].map(|jti| format!("JOIN {room} bob RESUMABLE RELAY AUTH={}", once(&world, jti)));
        let [first, second] = [format!("{} {KEY}\n", joins[0]), format!("{} {KEY}9\n", joins[1])];
        let one = world.open(0);
        assert!(world.ask(one, &first).starts_with("JOINED "));
        let other = world.open(entry);
        assert!(world.ask(other, &second).starts_with("JOINED "));
        assert!(world.hear(one).ends_with("BYE replaced\n"));
        let again = world.open(1 - entry);
        assert!(world.ask(again, &second).starts_with("JOINED "), "its answer may have been lost");
        assert!(world.hear(other).ends_with("BYE replaced\n"));
        let former = world.open(entry);
        refused(&world.ask(former, &first), "auth_invalid");
    }
}

#[test]
fn the_seat_of_a_join_that_was_not_answered_is_had_at_the_next_owner_by_its_key() {
    let mut world = world(2, RoomAccess::Token);
    let (room, _) = seated(&mut world, 0, "RESUMABLE");
    let auth = once(&world, "t1");
    let join = format!("JOIN {room} bob RESUMABLE RELAY {KEY} AUTH={auth}\n");
    let bob = world.open(1);
    // The owner ends right after the token was used, and its answer with it.
    world.mute = Some(0);
    assert_eq!(world.ask(bob, &join), "");
    assert!(is_used(&world, "t1"));
    world.kill_at_once(0);
    world.pass(8_000);
    let heard = world.hear(bob);
    let again = world.open(1);
    let joined = if heard.starts_with("JOINED ") { heard } else { world.ask(again, &join) };
    assert!(joined.starts_with(&format!("JOINED {room} bob ")), "{joined}");
    let thief = world.open(1);
    refused(&world.ask(thief, &join.replace(KEY, "")), "auth_invalid");
}

#[test]
fn who_takes_the_own_seat_by_another_key_has_it_at_the_next_owner_before_the_record_has_that_key() {
    for entry in [0, 1] {
        let mut world = world(2, RoomAccess::Token);
        let (room, _) = seated(&mut world, 0, "RESUMABLE");
        let [first, second] = ["t1", "t2"].map(|jti| once(&world, jti));
        let join = |key: &str, auth: &str| format!("JOIN {room} bob RESUMABLE RELAY KEY={key} AUTH={auth}\n");
        let [first, second] = [join("0123456789abcdefghijkl", &first), join("another-key-of-his-22-", &second)];
        let bob = world.open(1);
        assert!(world.ask(bob, &first).starts_with("JOINED "));
        let time = world.time();
        world.pods[1].disconnected(time, bob.1, Disconnect::Lost);
        world.pass(500);
        // The owner ends when the token is used and the key not written: its answer may be lost, or on its way.
        let again = world.open(entry);
        world.waits_for_answers = Some(0);
        world.say(again, &second);
        assert!(is_used(&world, "t2"));
        world.kill_at_once(0);
        world.waits_for_answers = None;
        world.pass(8_000);
        let third = world.open(1);
        world.say(third, &second.replace("another", "foreign"));
        world.pass(8_000);
        refused(&world.hear(third), "auth_invalid");
        refused(&world.ask(third, &second.replace("KEY=another-key-of-his-22-", "")), "auth_invalid");
        // Its pod says the JOIN again.
        let joined = if entry == 1 { world.hear(again) } else { world.ask(third, &second) };
        assert!(joined.starts_with(&format!("JOINED {room} bob ")), "by pod {entry}: {joined}");
        let fourth = world.open(1);
        refused(&world.ask(fourth, &first), "auth_invalid");
    }
}

#[test]
fn without_the_directory_nobody_comes_in_and_the_token_stays_good() {
    for entry in [0, 1] {
        let mut world = world(2, RoomAccess::Token);
        let (room, alice) = seated(&mut world, 0, "");
        world.pass(200);
        let auth = once(&world, "t1");
        let join = format!("JOIN {room} bob RELAY AUTH={auth}\n");
        let bob = world.open(entry);
        world.away = true;
        world.say(bob, &join);
        world.pass(2_500);
        refused(&world.hear(bob), "unavailable");
        world.away = false;
        world.pass(1_000);
        assert!(!is_used(&world, "t1"));
        world.say(bob, &join);
        world.pass(500);
        let joined = world.hear(bob);
        assert!(joined.starts_with("JOINED "), "{joined}");
        assert_eq!(world.hear(alice), "ENTERED bob\n");
    }
}

#[test]
fn a_client_that_goes_before_the_answer_has_not_used_its_token() {
    let mut world = world(1, RoomAccess::Token);
    let (room, _) = seated(&mut world, 0, "");
    world.pass(200);
    let auth = once(&world, "t1");
    let join = format!("JOIN {room} bob AUTH={auth}\n");
    let bob = world.open(0);
    world.waits_for_answers = Some(0);
    world.say(bob, &join);
    // The record is written, and the token is used; the answer to that is on its way.
    world.hand_over_answers(0);
    assert!(is_used(&world, "t1"));
    let time = world.time();
    world.pods[0].disconnected(time, bob.1, Disconnect::Lost);
    world.waits_for_answers = None;
    world.hand_over_answers(0);
    assert!(!is_used(&world, "t1"));
    let again = world.open(0);
    assert!(world.ask(again, &join).starts_with("JOINED "));
}

#[test]
fn a_planned_move_waits_for_it() {
    let mut world = world(2, RoomAccess::Token);
    let (room, _) = seated(&mut world, 0, "RESUMABLE");
    world.pass(200);
    let auth = once(&world, "t1");
    let bob = world.open(0);
    world.waits_for_answers = Some(0);
    world.say(bob, &format!("JOIN {room} bob RESUMABLE RELAY AUTH={auth}\n"));
    world.drain_to(0, 1);
    world.hand_over_answers(0);
    world.waits_for_answers = None;
    world.hand_over_answers(0);
    world.pass(1_500);
    let heard = world.hear(bob);
    assert!(heard.starts_with(&format!("JOINED {room} bob alice,bob\n")) && !heard.contains("ERR"), "{heard}");
    assert_eq!(world.pods[1].player_count(), 2);
}

#[test]
fn a_join_that_waits_for_its_token_is_answered_when_the_room_ends() {
    for entry in [0, 1] {
        let mut world = world(2, RoomAccess::Link);
        let alice = world.open(0);
        let exp = seconds(&world) + 600;
        let create =
            json!({"sub": "user-1", "room": "match-42", "exp": exp, "create": {"expires_at": seconds(&world) + 60}});
        let joined = world.ask(alice, &format!("JOIN match-42 alice AUTH={}\n", signed(SECRET, &create)));
        assert!(joined.starts_with("JOINED "), "{joined}");
        let bob = world.open(entry);
        let first = once(&world, "t1");
        assert!(world.ask(bob, &format!("JOIN match-42 bob RELAY AUTH={first}\n")).starts_with("JOINED "));
        world.pass(59_000);
        let again = world.open(entry);
        let second = once(&world, "t2");
        world.waits_for_answers = Some(0);
        world.say(again, &format!("JOIN match-42 bob RELAY AUTH={second}\n"));
        world.pass(1_200);
        refused(&world.hear(again), "room_not_found");
        world.waits_for_answers = None;
        world.hand_over_answers(0);
        world.pass(5_000);
        assert_eq!(world.hear(again), "");
        assert_eq!(world.pods[0].room_count(), 0);
    }
}

#[test]
fn a_join_that_is_sent_again_after_its_answer_was_lost_has_its_seat() {
    let mut world = world(2, RoomAccess::Token);
    let (room, alice) = seated(&mut world, 0, "");
    let (auth, bob) = (once(&world, "t1"), world.open(1));
    let join = format!("JOIN {room} bob RELAY AUTH={auth}\n");
    world.mute = Some(0);
    assert_eq!(world.ask(bob, &join), "");
    assert!(is_used(&world, "t1"));
    world.mute = None;
    world.break_link(0, 1);
    world.pass(1_000);
    assert_eq!(world.hear(bob), format!("JOINED {room} bob alice,bob\n"));
    assert_eq!(world.hear(alice), "ENTERED bob\n");
    let thief = world.open(1);
    refused(&world.ask(thief, &join), "auth_invalid");
}

#[test]
fn the_write_and_the_token_share_the_time_of_one_join() {
    for entry in [0, 1] {
        let mut world = world(2, RoomAccess::Token);
        let (room, _) = seated(&mut world, 0, "");
        let bob = world.open(entry);
        world.ask(bob, &format!("JOIN {room} bob RELAY AUTH={}\nLEAVE\n", once(&world, "t0")));
        world.pass(500);
        world.hear(bob);
        let auth = once(&world, "t1");
        world.waits_for_answers = Some(0);
        world.say(bob, &format!("JOIN {room} bob RELAY AUTH={auth}\n"));
        world.pass(1_500);
        // The record is written; the token is asked for.
        world.hand_over_answers(0);
        world.pass(600);
        refused(&world.hear(bob), "unavailable");
        world.waits_for_answers = None;
        world.hand_over_answers(0);
        world.pass(1_000);
        assert!(!is_used(&world, "t1"));
        let joined = world.ask(bob, &format!("JOIN {room} bob RELAY AUTH={auth}\n"));
        assert!(joined.starts_with("JOINED "), "{joined}");
    }
}
