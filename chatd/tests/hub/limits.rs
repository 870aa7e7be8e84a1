//! What is refused, bounded or given up. No I/O.

use std::sync::Arc;

use chatd::directory::Key;
use chatd::hub::{Effect, Hub, HubSettings};
use chatd::ids::{RelayId, Time};
use chatd::peer_protocol::Frame;
use chatd::protocol::token::Keyring;
use chatd::protocol::{Command, Encoding, ErrorCode, Ownership, RoomId};
use chatd::record::{Owner, Record};
use serde_json::json;

use crate::world::{World, boot, settings};

#[test]
fn a_session_that_ends_before_it_goes_to_another_thread_is_closed_where_it_is() {
    let mut world = World::new(1);
    let time = world.time();
    let me = Owner {
        ownership: Ownership { epoch: 0, boot: boot(0) },
        pod_id: "chat-0".into(),
        tcp: "h:1".into(),
        web: "h:2".into(),
        peer: "h:3".into(),
    };
    let keys = Arc::new(Keyring::new(vec![("k".into(), vec![7; 32])], "k").unwrap());
    world.pods[0] = Hub::new(HubSettings { shards: 2, ..settings() }, me, keys, [0; 32]);
    let hub = &mut world.pods[0];
    let other = ["aaaaaaaa", "aaaaaaab", "aaaaaaac", "aaaaaaad", "aaaaaaae", "aaaaaaaf", "aaaaaaag", "aaaaaaah"]
        .into_iter()
        .find(|room| room.parse::<RoomId>().unwrap().shard(2) == 1)
        .unwrap();
    let session = hub.open(time, Encoding::Lines);
    // All in one batch: the driver carries out nothing in between.
    hub.receive(time, session, format!("JOIN {other} alice\n").as_bytes());
    for _ in 0..3 {
        hub.receive(time, session, &b"x".repeat(30_000));
    }
    let mut effects = Vec::new();
    hub.take_effects(&mut effects);
    assert_eq!(effects, [Effect::Close { session, code: Some(ErrorCode::LineTooLong) }]);
}

#[test]
fn a_join_over_a_link_that_breaks_while_the_room_waits_takes_no_seat() {
    let mut world = World::new(2);
    let alice = world.open(0);
    let room = world.create(alice);
    // Frozen for longer than its lease: the room waits for its record.
    let frozen = Time { now: world.now + 20_000, wall: 1_000_000 };
    world.pods[0].peer_up(frozen, boot(1));
    let command = Command::Join {
        room: room.parse().unwrap(),
        name: "bob".parse().unwrap(),
        resumable: true,
        key: None,
        auth: None,
        on_wrong_pod: None,
        events: false,
    };
    let (room_id, relay, encoding) = (room.parse().unwrap(), RelayId(1), Encoding::Lines);
    let open = Frame::Open { room: room_id, relay, encoding, number: 1, id: None, command };
    world.pods[0].frame(frozen, boot(1), open);
    world.pods[0].peer_down(frozen, boot(1));
    world.now = frozen.now;
    world.pass(100);
    assert_eq!((world.pods[0].remote_member_count(), world.pods[0].player_count()), (0, 0));
    assert_eq!(world.ask(alice, &format!("JOIN {room} bob\n")), format!("JOINED {room} bob bob\n"));
}

#[test]
fn who_asks_often_is_closed_for_silence_all_the_same_and_sets_one_timer() {
    let mut world = World::new(1);
    let bob = world.open(0);
    let room = world.create(bob);
    world.ask(bob, &format!("JOIN {room} bob\n"));
    let other = world.open(0);
    for _ in 0..50 {
        assert!(world.ask(other, &format!("JOIN {room} bob\n")).starts_with("ERR name_taken"));
        world.pass(100);
    }
    let mut due = 0;
    for _ in 0..1_190 {
        due += u32::from(world.pods[0].next_deadline().is_some_and(|at| at <= world.now + 100));
        world.pass(100);
    }
    assert_eq!(world.hear(other), "");
    assert!(due < 30, "{due}");
    world.pass(1_100);
    assert!(world.hear(other).ends_with("BYE timeout\n"));
}

#[test]
fn numbers_that_nobody_can_go_above_are_not_believed() {
    let mut world = World::new(2);
    let alice = world.open(0);
    let room = world.create(alice);
    let room_id: RoomId = room.parse().unwrap();
    let time = world.time();
    world.pods[0].peer_up(time, boot(1));
    let highest = Ownership { epoch: u64::MAX, boot: boot(1) };
    world.pods[0].frame(time, boot(1), Frame::Ask { room: room_id, ticket: 0, dead: Some(highest) });
    let owner =
        Owner { ownership: highest, pod_id: "chat-1".into(), tcp: String::new(), web: String::new(), peer: "1".into() };
    world.pods[0].frame(time, boot(1), Frame::OwnerChanged { room: room_id, owner });
    let mut record = Record::parse(&world.store[&Key::Room(room_id)]).unwrap();
    record.epoch = u64::MAX;
    world.store.insert(Key::Room(room_id), record.to_bytes());
    world.pass(31_000);
    let time = world.time();
    world.pods[0].lease_lost(time);
    world.run();
    assert!(world.ask(alice, &format!("JOIN {room} alice\n")).starts_with("JOINED"));
    assert!(Record::parse(&world.store[&Key::Room(room_id)]).is_some_and(|record| record.epoch < 1 << 53));
}

#[test]
fn leaving_and_joining_again_brings_no_new_burst() {
    for pods in [1, 2] {
        let mut world = World::new(pods);
        let host = world.open(0);
        let room = world.create(host);
        let alice = world.open(pods - 1);
        let join = format!("JOIN {room} alice RELAY\n");
        assert!(world.ask(alice, &join).starts_with("JOINED"));
        let said = world.ask(alice, &"hi\n".repeat(18));
        assert_eq!(said, "MSG alice hi\n".repeat(18));
        assert_eq!(world.ask(alice, "LEAVE\n"), format!("LEFT {room}\n"));
        assert_eq!(world.ask(alice, &join).split(' ').nth(1), Some("rate_limited"));
        world.pass(200);
        assert!(world.ask(alice, &join).starts_with("JOINED"));
    }
}

#[test]
fn what_waits_for_another_pods_client_is_counted_and_goes_when_it_has_to() {
    let mut world = World::new(2);
    let (_, alice, bob) = world.room_of_two(1, "");
    assert_eq!(world.pods[0].remote_members_hold(), 0);
    let text = world.say_much(alice, 20);
    let held = world.pods[0].remote_members_hold();
    assert!(held > text.len(), "{held}");
    assert_eq!(world.pods[0].remote_members_that_hold().map(|(bytes, _)| bytes).sum::<usize>(), held);
    assert_eq!(world.hear_all(bob).matches(&text).count(), 20);
    assert_eq!(world.pods[0].remote_members_hold(), 0);

    world.say_much(alice, 20);
    let (_, member) = world.pods[0].remote_members_that_hold().next().unwrap();
    let time = world.time();
    world.pods[0].shed_remote_member(time, member);
    world.run();
    assert_eq!((world.pods[0].remote_members_hold(), world.pods[0].remote_member_count()), (0, 0));
    let heard = world.hear_all(bob);
    assert!(heard.contains("\nERR overloaded ") && heard.ends_with("\nBYE overloaded\n"), "{heard}");
    assert!(world.hear(alice).ends_with("EXITED bob slow\n"));
    assert_eq!(world.pods[0].counters().connections_shed, 1);
}

#[test]
fn a_pod_that_is_full_of_new_rooms_takes_those_with_people_all_the_same() {
    for planned in [true, false] {
        let mut world = World::with_places(2, 2);
        let other = world.open(1);
        let empty = [world.create(other), world.create(other)];
        let (room, alice, bob) = world.room_of_two(1, "");
        if planned {
            world.drain_to(0, 1);
        } else {
            world.kill(0);
        }
        world.pass(6_000);
        let heard = world.hear(bob);
        assert!(heard.starts_with(&format!("MOVED {room}\n")), "planned: {planned}: {heard}");
        if planned {
            assert_eq!(world.hear(alice), format!("MOVED {room}\nBYE moved\n"));
        }
        assert_eq!(world.ask(bob, "hi\n"), "MSG bob hi\n");
        assert_eq!(world.pods[1].room_count(), 3);
        for room in empty {
            assert!(world.ask(other, &format!("JOIN {room} carol\n")).starts_with("JOINED "));
            world.ask(other, "LEAVE\n");
        }
    }
}

#[test]
fn an_empty_room_that_nobody_has_entered_makes_way_for_a_new_one_the_oldest_first() {
    let mut world = World::with_places(1, 4);
    let alice = world.open(0);
    let entered = world.create(alice);
    world.ask(alice, &format!("JOIN {entered} alice\n"));
    world.ask(alice, "LEAVE\n");
    let mut rooms = Vec::new();
    for _ in 0..3 {
        world.pass(1_000);
        rooms.push(world.create(alice));
    }
    world.pass(7_900);
    assert!(world.ask(alice, "CREATE_ROOM\n").starts_with("ERR too_many_rooms "), "the oldest has come 9.9 s ago");
    world.pass(1_000);
    rooms.push(world.create(alice));
    world.pass(100);
    assert_eq!(world.pods[0].room_count(), 4);
    // The next one is entered before it would be closed.
    let bob = world.open(0);
    world.pass(1_000);
    rooms.push(world.create(alice));
    assert!(world.ask(bob, &format!("JOIN {} bob\n", rooms[1])).starts_with("JOINED "));
    world.ask(bob, "LEAVE\n");
    world.pass(1_000);
    let there: Vec<bool> = rooms
        .iter()
        .chain([&entered])
        .map(|room| world.ask(bob, &format!("JOIN {room} bob\nLEAVE\n")).starts_with("JOINED "))
        .collect();
    assert_eq!(there, [false, true, true, true, true, true]);
    assert_eq!(world.store.len(), 5, "a record each");
}

/// Takes one of the pod's places for rooms for good.
fn talk_at(world: &mut World, pod: usize) {
    let client = world.open(pod);
    let room = world.create(client);
    assert!(world.ask(client, &format!("JOIN {room} alice\n")).starts_with("JOINED "));
}

#[test]
fn a_full_pod_makes_new_rooms_at_another_one_that_has_place() {
    let mut world = World::with_places(3, 2);
    for pod in [0, 0, 2] {
        talk_at(&mut world, pod);
    }
    let bob = world.open(0);
    let room = world.create(bob);
    assert_eq!([0, 1, 2].map(|pod| world.pods[pod].room_count()), [2, 1, 1], "where there are the fewest");
    assert_eq!(world.ask(bob, &format!("JOIN {room} bob\n")), format!("REDIRECT pod1:7654 {room}\n"));
    assert_eq!(world.ask(bob, &format!("JOIN {room} bob RELAY\n")), format!("JOINED {room} bob bob\n"));
    let time = world.time();
    world.pods[0].create_room(time, 7, None);
    world.run();
    assert!(world.made.pop().unwrap().is_ok(), "by POST");
    let carol = world.open(0);
    world.create(carol);
    assert_eq!([0, 1, 2].map(|pod| world.pods[pod].room_count()), [2, 2, 2]);
    assert!(world.ask(carol, "CREATE_ROOM\n").starts_with("ERR too_many_rooms "));
    world.away = true;
    world.pass(2_000);
    assert!(world.ask(carol, "CREATE_ROOM\n").starts_with("ERR unavailable "), "which pods there are is not known");
    assert_eq!(world.ask(carol, "PING\n"), "PONG\n");
}

#[test]
fn a_full_pod_asks_the_next_one_where_one_is_gone_or_ends() {
    let mut world = World::with_places(4, 1);
    talk_at(&mut world, 0);
    world.alive[1] = false;
    world.drain(2);
    let bob = world.open(0);
    let room = world.create(bob);
    assert_eq!(world.ask(bob, &format!("JOIN {room} bob\n")), format!("REDIRECT pod3:7654 {room}\n"));
    assert!(world.ask(bob, "CREATE_ROOM\n").starts_with("ERR too_many_rooms "));
}

#[test]
fn where_no_place_is_left_at_all_a_room_with_people_takes_that_of_an_empty_one() {
    let mut world = World::with_places(3, 1);
    let keeper = world.open(1);
    let empty = world.create(keeper);
    let mut talks = Vec::new();
    for pod in [0, 2] {
        let alice = world.open(pod);
        let room = world.create(alice);
        world.ask(alice, &format!("JOIN {room} alice\n"));
        let bob = world.open(1);
        world.ask(bob, &format!("JOIN {room} bob RELAY\n"));
        talks.push((room, bob));
    }
    world.kill(0);
    world.kill(2);
    world.pass(6_000);
    for (room, bob) in talks {
        let heard = world.hear(bob);
        assert!(heard.starts_with(&format!("MOVED {room}\n")), "{heard}");
    }
    assert!(world.ask(keeper, &format!("JOIN {empty} carol\n")).starts_with("ERR room_not_found "));
    assert_eq!(world.pods[1].room_count(), 2);
}

#[test]
fn an_empty_line_costs_as_much_as_any_other() {
    for in_room in [false, true] {
        let mut world = World::new(1);
        let alice = world.open(0);
        if in_room {
            let room = world.create(alice);
            assert!(world.ask(alice, &format!("JOIN {room} alice\n")).starts_with("JOINED"));
        }
        world.pass(5_000);
        // The burst, then a hundred that are too many.
        assert_eq!(world.ask(alice, &"\n".repeat(119)), "");
        let last = world.ask(alice, &"\r\n".repeat(50_000));
        let [error, bye] = last.lines().collect::<Vec<_>>()[..] else { panic!("{last}") };
        assert!(error.starts_with("ERR rate_limited "), "{error}");
        assert_eq!(bye, "BYE rate_limited");
        assert!(world.pods[0].counters().commands_in < 150);
    }
}

#[test]
fn who_comes_from_a_limited_address_makes_and_enters_no_room_for_a_while() {
    let mut world = World::new(1);
    let alice = world.open(0);
    let room = world.create(alice);
    let until = world.now + 5_000;
    world.pods[0].limit(alice.1, until);
    let refused = "ERR rate_limited ";
    for command in ["CREATE_ROOM".to_owned(), format!("JOIN {room} alice"), format!("RESUME {room} x")] {
        assert!(world.ask(alice, &format!("{command}\n")).starts_with(refused), "{command}");
    }
    assert_eq!(world.ask(alice, "PING\n"), "PONG\n");
    world.pass(4_900);
    assert!(world.ask(alice, "CREATE_ROOM\n").starts_with(refused));
    world.pass(100);
    assert_eq!(world.ask(alice, &format!("JOIN {room} alice\n")), format!("JOINED {room} alice alice\n"));
}

#[test]
fn misses_and_new_rooms_are_charged_to_the_address_of_who_is_metered() {
    let mut world = World::new(1);
    let [alice, bob] = [world.open(0), world.open(0)];
    world.pods[0].meter(alice.1);
    for client in [alice, bob] {
        world.create(client);
        assert!(world.ask(client, "JOIN 22222222 x\n").starts_with("ERR room_not_found "));
    }
    let mut charges = Vec::new();
    world.pods[0].take_charges(&mut charges);
    assert_eq!(charges, [alice.1, alice.1]);
    world.pods[0].take_charges(&mut charges);
    assert_eq!(charges.len(), 2);
}

#[test]
fn so_many_frames_wait_for_a_dial_and_no_more() {
    let mut world = World::with(2, |settings| settings.limits.dialled = 3);
    let host = world.open(1);
    let rooms: Vec<String> = (0..5).map(|_| world.create(host)).collect();
    for room in &rooms {
        let client = world.open(0);
        world.say_later(client, &format!("JOIN {room} alice\n"));
    }
    // The records are read, and the dial is under way.
    let mut effects = Vec::new();
    world.pods[0].take_effects(&mut effects);
    for effect in effects {
        world.carry_out(0, effect);
    }
    let time = world.time();
    world.pods[0].peer_up(time, boot(1));
    let mut asked = 0;
    world.pods[0].take_frames(|_, bytes| {
        let mut rest = &bytes[..];
        while let Some((_, next)) = chatd::peer_protocol::split(rest).unwrap() {
            (asked, rest) = (asked + 1, next);
        }
    });
    assert_eq!(asked, 3);
}

#[test]
fn what_is_wrong_in_a_row_is_counted_on_each_connection_anew() {
    for entry in [0, 1] {
        let mut world = World::new(2);
        let maker = world.open(0);
        let room = world.create(maker);
        let first = world.open_json(entry);
        let join = json!({"type": "join", "room": room, "name": "alice", "resumable": true, "on_wrong_pod": "relay"});
        world.send(first, &join);
        let token = world.events(first)[0]["token"].clone();
        assert!(token.is_string());
        let mut client = first;
        for _ in 0..3 {
            for _ in 0..9 {
                world.send(client, &json!({"type": "nothing"}));
            }
            let heard = world.events(client);
            assert!(heard.len() == 9 && heard.iter().all(|it| it["code"] == "bad_command"), "{heard:?}");
            world.send(client, &json!({"type": "nothing"}));
            let ended = world.events(client).pop().unwrap();
            assert_eq!((&ended["type"], &ended["code"]), (&json!("bye"), &json!("bad_command")));
            // Until there is enough of its rate again.
            world.pass(2_000);
            client = world.open_json(entry);
            world.send(client, &json!({"type": "resume", "room": room, "token": token, "on_wrong_pod": "relay"}));
            assert_eq!(world.events(client)[0]["type"], "joined");
        }
    }
}
