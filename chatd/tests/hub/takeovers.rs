//! Rooms that change hands, and what is told of it. No I/O.

use chatd::directory::Key;
use chatd::lease::LeaseView;
use chatd::peer_protocol::{Disconnect, Frame};
use chatd::protocol::{Encoding, RoomId};
use chatd::record::Record;

use crate::world::{Client, World, boot};

#[test]
fn a_room_that_comes_to_its_client_and_goes_again_answers_every_line() {
    let mut world = World::new(3);
    let alice = world.open(1);
    let room = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice RELAY\n"));
    let bob = world.open(0);
    world.ask(bob, &format!("JOIN {room} bob RELAY\n"));
    world.ask(bob, "one\ntwo\nthree\n");
    // To the pod that bob is connected to, and on to a third.
    for (from, to) in [(1, 0), (0, 2)] {
        world.drain_to(from, to);
        world.pass(500);
        assert_eq!(world.pods[to].room_count(), 1);
        assert_eq!(world.hear(bob), format!("MOVED {room}\n"));
    }
    assert_eq!(world.ask(bob, "four\nPING\n"), "MSG bob four\nPONG\n");
}

#[test]
fn an_empty_room_that_another_pod_has_taken_keeps_its_record() {
    let mut world = World::new(1);
    let alice = world.open(0);
    let room: RoomId = world.create(alice).parse().unwrap();
    world.pass(599_950);
    let key = Key::Room(room);
    let mut record = Record::parse(&world.store[&key]).unwrap();
    (record.epoch, record.boot) = (record.epoch + 1000, boot(7));
    world.store.insert(key.clone(), record.to_bytes());
    world.pass(1_000);
    assert_eq!(world.pods[0].room_count(), 0);
    assert_eq!(world.store.get(&key), Some(&record.to_bytes()));
}

#[test]
fn an_empty_room_is_not_closed_before_the_directory_has_heard_that_it_is_empty() {
    for refuses in [false, true] {
        let mut world = World::with(1, |settings| settings.empty_ttl = 1_000);
        let alice = world.open(0);
        let room = world.create(alice);
        world.ask(alice, &format!("JOIN {room} alice\n"));
        (world.slow, world.away) = (!refuses, refuses);
        world.say(alice, "LEAVE\n");
        world.pass(5_000);
        assert_eq!((world.hear(alice), world.pods[0].room_count()), (format!("LEFT {room}\n"), 1));
        (world.slow, world.away) = (false, false);
        world.pass(5_000);
        assert_eq!((world.pods[0].room_count(), world.store.len()), (0, 0));
    }
}

#[test]
fn who_resumes_over_another_pod_than_the_one_that_was_lost_hears_what_came_meanwhile() {
    let mut world = World::new(2);
    let bob = world.open(0);
    let room = world.create(bob);
    world.ask(bob, &format!("JOIN {room} bob\n"));
    let alice = world.open(1);
    let joined = world.ask(alice, &format!("JOIN {room} alice RELAY RESUMABLE\n"));
    let token = joined.lines().nth(1).unwrap().strip_prefix("TOKEN ").unwrap().to_owned();
    world.ask(bob, "heard\n");
    world.kill(1);
    world.say(bob, "not heard\n");
    let alice = world.open(0);
    let answer = world.ask(alice, &format!("RESUME {room} {token}\n"));
    assert_eq!(answer, format!("JOINED {room} alice bob,alice\nTOKEN {token}\nMSG bob not heard\n"));
}

#[test]
fn a_pod_that_ends_sends_those_away_whose_rooms_owner_is_gone() {
    let mut world = World::new(2);
    let alice = world.open(0);
    let room = world.create(alice);
    let bob = world.open(1);
    world.ask(bob, &format!("JOIN {room} bob RELAY RESUMABLE\n"));
    world.drain(1);
    world.kill(0);
    world.say(bob, "hello\n");
    world.pass(3_000);
    let heard = world.hear(bob);
    assert!(heard.starts_with("ERR shutting_down ") && heard.ends_with("\nBYE shutting_down\n"), "{heard}");
}

#[test]
fn time_alone_sets_no_more_and_more_timers() {
    let mut world = World::new(3);
    let client = world.open(0);
    let rooms: Vec<String> = (0..8).map(|_| world.create(client)).collect();
    world.pass(1_000);
    world.kill(0);
    for room in &rooms {
        // One takeover a millisecond or so; the former owner never answers.
        world.now += 1;
        let client = world.open(1);
        world.say(client, &format!("JOIN {room} alice RELAY\n"));
        let other = world.open(2);
        world.say(other, &format!("JOIN {room} bob RELAY\n"));
    }
    // The directory is away, and something comes every 7 ms.
    let time = world.time();
    let id = world.pods[1].open(time, Encoding::Lines);
    world.pods[1].disconnected(time, id, Disconnect::Lost);
    let end = world.now + 60_000;
    let mut late = 0;
    while world.now < end {
        world.now += 7;
        let time = world.time();
        world.pods[1].receive(time, id, b"");
        let due = world.pods[1].next_deadline().is_some_and(|at| at <= world.now);
        late += u32::from(due);
        world.pods[1].tick(time);
        world.pods[1].take_effects(&mut Vec::new());
    }
    assert!(late < 1_000, "{late} of {} batches had a timer to look at", 60_000 / 7);
}

#[test]
fn who_takes_a_room_over_tells_all_its_former_owners() {
    let mut world = World::new(3);
    let alice = world.open(0);
    let room = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice\n"));
    let key = Key::Room(room.parse().unwrap());
    let named = |world: &World| {
        let record = Record::parse(&world.store[&key]).unwrap();
        record.former.iter().map(|former| former.boot).collect::<Vec<_>>()
    };
    // The first owner is cut off from everyone, the second ends before it could be told.
    for (dead, next) in [(0, 1), (1, 2)] {
        world.kill(dead);
        let client = world.open(next);
        world.say(client, &format!("JOIN {room} bob{next} RESUMABLE\n"));
        world.pass(500);
        assert!(world.hear(client).starts_with("JOINED"));
    }
    assert_eq!(named(&world), [boot(1), boot(0)]);
    // The cut between the first and the third heals.
    world.alive[0] = true;
    world.pass(2_500);
    assert!(world.hear(alice).ends_with(&format!("REDIRECT pod2:7654 {room}\nBYE moved\n")));
    assert_eq!([0, 2].map(|pod| world.pods[pod].room_count()), [0, 1]);
    // Who has been told needs not be named any longer than to the next write.
    let carol = world.open(2);
    world.ask(carol, &format!("JOIN {room} carol\n"));
    assert_eq!(named(&world), [boot(1)]);
}

#[test]
fn a_planned_move_carries_the_pending_takeover_notices() {
    let mut world = World::new(3);
    let alice = world.open(0);
    let room = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice RELAY\n"));
    world.kill(0);
    let bob = world.open(1);
    world.say(bob, &format!("JOIN {room} bob\n"));
    world.pass(500);
    world.drain_to(1, 2);
    world.pass(500);
    assert_eq!(world.pods[2].room_count(), 1);
    world.kill(1);
    world.alive[0] = true;
    world.pass(2_500);
    assert_eq!([0, 2].map(|pod| world.pods[pod].room_count()), [0, 1]);
}

#[test]
fn after_a_freeze_a_record_counts_once_the_lease_is_held_again() {
    let mut world = World::new(1);
    let alice = world.open(0);
    let room = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice\n"));
    // The record is unchanged, but a pod that found no lease may be about to take the room over.
    world.now += 20_000;
    assert_eq!(world.ask(alice, "hello\n"), "");
    let time = world.time();
    world.pods[0].lease(time, LeaseView { confirmed: Some(time.now), settled: true });
    world.run();
    assert_eq!(world.hear(alice), "MSG alice hello\n");
}

#[test]
fn a_freeze_is_noticed_even_if_the_lease_is_the_first_to_speak() {
    let mut world = World::new(2);
    let alice = world.open(0);
    let room = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice RELAY\n"));
    world.alive[0] = false;
    world.now += 20_000;
    let time = world.time();
    world.pods[1].lease(time, LeaseView { confirmed: Some(time.now), settled: true });
    let bob = world.open(1);
    world.say(bob, &format!("JOIN {room} bob\n"));
    world.pass(3_000);
    assert!(world.hear(bob).starts_with("JOINED"));
    world.alive[0] = true;
    let time = world.time();
    world.pods[0].lease(time, LeaseView { confirmed: Some(time.now), settled: false });
    world.pods[0].receive(time, alice.1, b"hello\n");
    assert_eq!(world.pods[0].output(alice.1), b"");
    world.run();
    assert_eq!(world.pods[0].room_count(), 0);
}

#[test]
fn a_write_that_was_given_up_does_not_come_back() {
    let mut world = World::new(1);
    let bob = world.open(0);
    let room = world.create(bob);
    world.slow = true;
    world.say(bob, &format!("JOIN {room} bob RESUMABLE\n"));
    world.pass(2_500);
    assert!(world.hear(bob).starts_with("JOINED"));
    // The room is again as the directory has it.
    world.say(bob, "LEAVE\n");
    world.slow = false;
    world.pass(1_000);
    assert_eq!(world.hear(bob), format!("LEFT {room}\n"));
    for late in std::mem::take(&mut world.late) {
        world.answer(late);
    }
    let record = Record::parse(&world.store[&Key::Room(room.parse().unwrap())]).unwrap();
    assert_eq!(record.players, []);
}

#[test]
fn a_room_is_moved_though_the_directory_has_lost_its_record() {
    let mut world = World::new(2);
    let alice = world.open(0);
    let room = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice RELAY\n"));
    world.store.clear();
    let time = world.time();
    world.pods[0].peer_up(time, boot(1));
    world.pods[1].peer_up(time, boot(0));
    world.drain_to(0, 1);
    world.pass(500);
    assert_eq!([0, 1].map(|pod| world.pods[pod].room_count()), [0, 1]);
    assert_eq!(world.ask(alice, "hello\n"), format!("MOVED {room}\nMSG alice hello\n"));
}

#[test]
fn a_room_that_nobody_takes_stands_in_the_directory_though_that_had_lost_it() {
    let mut world = World::new(1);
    let alice = world.open(0);
    let room = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice RESUMABLE\n"));
    world.store.clear();
    let time = world.time();
    world.drain(0);
    world.pods[0].targets(time, Vec::new());
    world.pass(25_100);
    assert!(world.hear(alice).ends_with("BYE shutting_down\n"));
    let record = Record::parse(&world.store[&Key::Room(room.parse().unwrap())]).unwrap();
    assert_eq!((record.players.len(), world.pods[0].room_count()), (1, 0));
}

/// A room whose owner carried a line of bob's out, and ended before it could say so to bob's pod, which is 1. Pod 2 is the first to
/// notice, and has taken the room over. The room, bob and carol, who is at pod 2.
fn taken_over_in_doubt() -> (World, String, Client, Client) {
    let mut world = World::new(3);
    let (room, alice, bob) = world.room_of_two(1, "");
    let carol = world.open(2);
    world.ask(carol, &format!("JOIN {room} carol RELAY\n"));
    world.hear(bob);
    world.mute = Some(0);
    world.say(bob, "hello\n");
    assert!(world.hear(alice).ends_with("MSG bob hello\n"));
    world.alive[1] = false;
    world.kill(0);
    world.pass(3_000);
    assert_eq!(world.pods[2].room_count(), 1);
    world.alive[1] = true;
    (world, room, bob, carol)
}

#[test]
fn what_a_dead_owner_may_have_carried_out_stays_in_doubt_until_all_that_was_missed_has_come() {
    // What comes of the first attach before the link breaks: nothing, that it is admitted, or more.
    for before in 0..4 {
        let (mut world, room, bob, carol) = taken_over_in_doubt();
        (world.mute, world.before_mute) = (Some(2), before);
        let time = world.time();
        world.pods[1].peer_down(time, boot(0));
        world.run();
        world.mute = None;
        world.break_link(1, 2);
        world.pass(3_000);
        let heard = world.hear(bob);
        let times = |what: &str| heard.matches(what).count();
        let told = [format!("MOVED {room}\n"), "MISSED ?\n".into(), "ERR unavailable ".into()];
        assert_eq!(told.map(|what| times(&what)), [1, 1, 1], "{before} came: {heard}");
        assert!(!world.hear(carol).contains("hello"), "{before} came");
        assert_eq!(world.ask(bob, "again\n"), "MSG bob again\n");
    }
}

#[test]
fn a_swap_that_the_target_of_a_move_has_given_up_and_that_comes_late_still_counts() {
    let mut world = World::new(2);
    let (room, alice, _) = world.room_of_two(0, "");
    world.break_link(0, 1);
    world.slow = true;
    world.drain_to(0, 1);
    // The target's swap is not answered and the room is the source's still, which writes that: the target's comes first.
    world.pass(400);
    let late = world.late.remove(0);
    world.answer(late);
    world.slow = false;
    world.pass(3_000);
    assert_eq!([0, 1].map(|pod| world.pods[pod].room_count()), [0, 1]);
    assert_eq!(world.ask(alice, "hello\n"), format!("MOVED {room}\nMSG alice hello\n"));
}

#[test]
fn an_owner_that_goes_before_it_took_a_session_on_says_nothing_of_what_the_dead_one_carried_out() {
    let (mut world, room, bob, carol) = taken_over_in_doubt();
    // The new owner does not know bob's seat, and hands the room on while the write of a new one is under way.
    world.mute = Some(2);
    let time = world.time();
    world.pods[1].peer_down(time, boot(0));
    world.run();
    world.mute = None;
    let room: RoomId = room.parse().unwrap();
    let record = Record::parse(&world.store[&Key::Room(room)]).unwrap();
    let relay = world.last_attach.unwrap();
    world.pods[1].frame(time, boot(2), Frame::Released { room, relay, owner: record.owner(), processed: 0 });
    world.pass(3_000);
    let heard = world.hear(bob);
    assert_eq!(heard.matches("ERR unavailable ").count(), 1, "{heard}");
    assert!(!world.hear(carol).contains("hello"));
}

#[test]
fn a_command_that_was_lost_with_the_link_is_carried_out_over_the_next_one() {
    let mut world = World::new(2);
    let (_, alice, bob) = world.room_of_two(1, "");
    for text in ["hello\n", "again\n"] {
        world.say_later(bob, text);
        world.break_link(0, 1);
        world.pass(1_000);
        let said = format!("MSG bob {text}");
        assert_eq!([world.hear(bob), world.hear(alice)], [said.clone(), said]);
    }
}

#[test]
fn who_leaves_a_seat_that_another_connection_has_resumed_is_replaced() {
    for word in ["LEAVE", "QUIT"] {
        let mut world = World::new(2);
        let carol = world.open(0);
        let room = world.create(carol);
        world.ask(carol, &format!("JOIN {room} carol RELAY\n"));
        let (later, alice) = (world.open(1), world.open(1));
        let joined = world.ask(alice, &format!("JOIN {room} alice RESUMABLE RELAY\n"));
        let token = joined.lines().nth(1).unwrap().strip_prefix("TOKEN ").unwrap().to_owned();
        world.pass(200);
        // Neither of the two hears what the owner does, and then that is gone.
        world.mute = Some(0);
        world.say(later, &format!("RESUME {room} {token} RELAY\n"));
        world.say(alice, &format!("{word}\n"));
        world.kill_at_once(0);
        world.pass(5_000);
        assert!(world.hear(later).starts_with(&format!("JOINED {room} alice ")), "{word}");
        let heard = world.hear(alice);
        assert!(heard.ends_with("BYE replaced\n") && !heard.contains("LEFT"), "{word}: {heard}");
    }
}
