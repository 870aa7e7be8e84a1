//! Clients that read slower than they are written to. No I/O.

use chatd::peer_protocol::Disconnect;
use chatd::room::RingLimits;
use serde_json::json;

use crate::world::{Client, World, boot};

#[test]
fn who_leaves_with_a_full_window_is_answered_once_it_reads() {
    for (word, answer) in [("LEAVE", "LEFT"), ("QUIT", "BYE quit")] {
        let mut world = World::new(2);
        let (_, alice, bob) = world.room_of_two(1, "");
        let text = world.say_much(alice, 20);
        world.say(bob, &format!("WHO\n{word}\n"));
        assert!(world.hear(alice).ends_with("EXITED bob left\n"));
        let heard = world.hear_all(bob);
        assert_eq!(heard.matches(&text).count(), 20);
        let rest: Vec<&str> = heard.lines().filter(|line| !line.starts_with("MSG")).collect();
        assert!(rest[0].starts_with("PLAYERS") && rest[1].starts_with(answer) && rest.len() == 2, "{rest:?}");
        assert_eq!((world.pods[0].remote_member_count(), world.pods[1].relay_count()), (0, 0));
    }
}

#[test]
fn who_leaves_with_a_full_window_and_never_reads_is_forgotten_when_its_connection_ends() {
    let mut world = World::new(2);
    let (_, alice, bob) = world.room_of_two(1, "");
    world.say_much(alice, 20);
    world.say(bob, "LEAVE\n");
    let time = world.time();
    world.pods[1].disconnected(time, bob.1, Disconnect::Lost);
    world.run();
    assert_eq!((world.pods[0].remote_member_count(), world.pods[1].relay_count()), (0, 0));
}

#[test]
fn who_is_too_slow_for_joined_itself_is_not_in_the_room_after_bye() {
    let mut world = World::with(2, |settings| settings.send_queue = 70);
    let host = world.open(0);
    let room = world.create(host);
    world.ask(host, &format!("JOIN {room} alice\n"));
    for pod in 0..2 {
        let bob = world.open(pod);
        // Of what waits, the longest answer does not count.
        world.say(bob, &format!("HELP\nJOIN {room} bob{pod} RELAY RESUMABLE\n"));
        world.say(bob, "hello\n");
        let heard = world.hear(bob);
        assert!(heard.ends_with("BYE slow_consumer\n"), "{heard}");
        assert_eq!(world.hear(host), format!("ENTERED bob{pod}\nAWAY bob{pod}\n"));
        let time = world.time();
        world.pods[pod].disconnected(time, bob.1, Disconnect::Lost);
        world.pass(31_000);
        assert_eq!(world.hear(host), format!("EXITED bob{pod} timeout\n"));
    }
}

/// A client that has just come into a room has had no time to read what it is told.
#[test]
fn what_a_client_is_told_at_once_makes_it_no_slow_reader() {
    for entry in [0, 1] {
        let mut world = World::with(2, |settings| settings.send_queue = 3_000);
        let ana = world.open_json(0);
        let maker = world.open(0);
        let room = world.create(maker);
        let join = |name: &str| json!({"type": "join", "room": room, "name": name, "on_wrong_pod": "relay"});
        world.send(ana, &join("ana"));
        for key in ["a", "b", "c", "d"] {
            world.send(ana, &json!({"type": "state_set", "key": key, "value": "x".repeat(1_500)}));
            world.events(ana);
        }
        world.send(ana, &json!({"type": "set", "data": "y".repeat(500)}));
        world.events(ana);
        let bob = world.open_json(entry);
        world.send(bob, &join("bob"));
        world.send(bob, &json!({"type": "say", "text": "z".repeat(2_000)}));
        let heard: Vec<_> = world.events(bob).iter().map(|event| event["type"].clone()).collect();
        assert_eq!(heard, ["joined", "message"], "by pod {entry}");
        // What he does not read counts as it always has.
        for _ in 0..2 {
            world.send(bob, &json!({"type": "who"}));
            world.send(ana, &json!({"type": "say", "text": "z".repeat(2_900)}));
        }
        assert_eq!(world.events(bob).last().unwrap()["code"], "slow_consumer", "by pod {entry}");
    }
}

#[test]
fn a_slow_reader_gets_its_last_error_however_short_the_queue() {
    let mut world = World::with(1, |settings| settings.send_queue = 10);
    let host = world.open(0);
    world.say(host, "HELP\nHELP\n");
    assert!(world.hear(host).ends_with("BYE slow_consumer\n"));
}

/// Alice, at the owner, says 50 lines, all alike, while the entry pod is cut off; then that one attaches again.
fn says_while_cut(world: &mut World, alice: Client) -> String {
    world.alive[1] = false;
    let time = world.time();
    world.pods[0].peer_down(time, boot(1));
    let text = world.say_much(alice, 50);
    world.alive[1] = true;
    let time = world.time();
    world.pods[1].peer_down(time, boot(0));
    world.run();
    text
}

#[test]
fn a_catch_up_that_is_longer_than_the_window_goes_as_fast_as_it_is_read() {
    let mut world = World::with_ring(2, RingLimits { messages: 100, bytes: 1 << 20, age: 90_000 });
    let (_, alice, bob) = world.room_of_two(1, "");
    let text = says_while_cut(&mut world, alice);
    let heard = world.hear_all(bob);
    assert_eq!(heard.matches(&text).count(), 50);
    assert_eq!(world.ask(bob, "PING\n"), "PONG\n");
}

/// Nobody has had the time to read what comes at once, at either pod.
#[test]
fn a_catch_up_is_one_answer_however_short_queue_and_window() {
    for window in [64 << 10, 1_000, 100] {
        let mut world = World::with(2, |settings| {
            settings.ring = RingLimits { messages: 1_000, bytes: 1 << 20, age: 900_000 };
            // The least that may be set.
            (settings.send_queue, settings.limits.window) = (32 << 10, window);
        });
        let (_, alice, bob) = world.room_of_two(1, "");
        let text = says_while_cut(&mut world, alice);
        world.ask(alice, "and more\n");
        let heard = world.hear_all(bob);
        assert_eq!(heard.matches(&text).count(), 50, "a window of {window}: {:?}", heard.lines().last());
        assert!(heard.ends_with("MSG alice and more\n"));
        let closed = |world: &World| world.pods.iter().map(|pod| pod.counters().slow_consumers).sum::<u64>();
        assert_eq!(closed(&world), 0);
        // Once it is read, what comes then counts as it always has.
        world.say_much(alice, 14);
        assert_eq!(closed(&world), 1, "a window of {window}");
    }
}

#[test]
fn a_planned_move_closes_no_slow_reader_that_is_inside_the_limits() {
    let mut world = World::new(3);
    let (room, alice, bob) = world.room_of_two(1, "");
    world.hear(bob);
    // The window and what waits for it: more than one queue may hold.
    let text = world.say_much(alice, 75);
    world.drain_to(0, 2);
    world.pass(500);
    assert_eq!(world.pods[2].room_count(), 1);
    let heard = world.hear_all(bob);
    assert_eq!((heard.matches(&text).count(), heard.lines().last()), (75, Some(&*format!("MOVED {room}"))));
    assert_eq!(world.ask(bob, "hello\n"), "MSG bob hello\n");
}

#[test]
fn of_a_slow_readers_queue_the_message_under_way_is_kept_whole() {
    for written in [0, 5, 20, 25, 40] {
        let mut world = World::with(1, |settings| settings.send_queue = 500);
        let (_, alice, bob) = world.room_of_two(0, "");
        world.hear(bob);
        for _ in 0..4 {
            world.ask(alice, "0123456\n");
        }
        world.pods[0].wrote(bob.1, written);
        let text = "x".repeat(600);
        world.ask(alice, &format!("{text}\n"));
        // Lines of 18 bytes.
        let rest = "MSG alice 0123456\n".repeat(written.div_ceil(18))[written..].to_owned();
        let heard = world.hear(bob);
        assert!(heard.starts_with(&format!("{rest}ERR slow_consumer ")), "{written} written: {heard:?}");
    }
}

#[test]
fn what_a_client_holds_is_what_it_has_not_finished_and_what_it_has_not_read() {
    let mut world = World::new(1);
    let alice = world.open(0);
    let holds = |world: &World| world.pods[0].holds(alice.1);
    let idle = holds(&world);
    world.say(alice, &"x".repeat(3_000));
    assert!((3_000..8_000).contains(&(holds(&world) - idle)), "{}", holds(&world));
    world.say(alice, "\n");
    world.hear(alice);
    world.say(alice, &"HELP\n".repeat(4));
    let unread = world.pods[0].output(alice.1).len();
    assert!(holds(&world) - idle >= unread, "{} of {unread}", holds(&world));
    world.hear(alice);
    assert!(holds(&world) < idle + 3_000);
}

#[test]
fn the_session_that_holds_the_most_memory_gets_the_reason_of_its_end() {
    let mut world = World::new(1);
    let alice = world.open(0);
    world.say(alice, "an unfinished line");
    let time = world.time();
    world.pods[0].shed(time, alice.1);
    let heard = world.hear(alice);
    assert!(heard.starts_with("ERR overloaded ") && heard.ends_with("\nBYE overloaded\n"), "{heard:?}");
    assert_eq!(world.pods[0].counters().connections_shed, 1);
}

#[test]
fn of_what_is_left_of_a_long_output_nothing_is_lost() {
    let mut world = World::new(1);
    let (_, alice, bob) = world.room_of_two(0, "");
    world.hear(bob);
    let text = world.say_much(alice, 30);
    let all = format!("MSG alice {text}\n").repeat(30);
    world.pods[0].wrote(bob.1, 70_000);
    assert_eq!(world.hear(bob), all[70_000..]);
}

#[test]
fn a_relayed_client_may_have_as_much_waiting_as_is_allowed_and_no_more() {
    let world = |most: usize| {
        let mut world = World::with(2, |settings| {
            settings.send_queue = most;
            settings.limits.window = 100;
        });
        let (_, alice, _) = world.room_of_two(1, "");
        for _ in 0..8 {
            world.ask(alice, "and so on, and so on, and so on\n");
        }
        world
    };
    let queued = world(10_000).pods[0].gauges().queued_bytes as usize;
    assert!(queued > 200);
    assert_eq!([queued, queued - 1].map(|most| world(most).pods[0].counters().slow_consumers), [0, 1]);
}

/// Each end is told to the others in its order, after what it was too slow for.
#[test]
fn the_end_of_a_slow_reader_may_be_too_much_for_the_next() {
    let line = "MSG alice 0123456789\n";
    let left = "EXITED bob slow\n";
    let mut world = World::with(1, |settings| settings.send_queue = 10 * line.len());
    let [alice, bob, carol] = [(); 3].map(|()| world.open(0));
    let room = world.create(alice);
    for (client, name) in [(alice, "alice"), (bob, "bob"), (carol, "carol")] {
        world.ask(client, &format!("JOIN {room} {name}\n"));
    }
    world.hear(alice);
    world.hear(bob);
    for _ in 0..10 {
        assert_eq!(world.ask(alice, "0123456789\n"), line);
    }
    // Carol has read the last line, and has room for one more.
    world.pods[0].wrote(carol.1, line.len());
    let heard = world.ask(alice, "0123456789\n");
    assert_eq!(heard, format!("{line}{left}EXITED carol slow\n"));
    assert_eq!(world.pods[0].counters().slow_consumers, 2);
}

#[test]
fn a_session_that_the_new_owner_refuses_is_outside_however_small_its_window() {
    let mut world = World::with(2, |settings| settings.limits.window = 20);
    let alice = world.open(0);
    let room = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice RELAY\n"));
    world.kill(0);
    let other = world.open(1);
    world.say(other, &format!("JOIN {room} alice\n"));
    world.pass(12_000);
    world.alive[0] = true;
    world.pass(2_000);
    let heard = world.hear(alice);
    assert!(heard.contains("ERR name_taken ") && heard.ends_with(&format!("\nLEFT {room}\n")), "{heard}");
    assert_eq!((world.pods[1].remote_member_count(), world.pods[0].relay_count()), (0, 0));
}
