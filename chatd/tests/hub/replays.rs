//! What a player who comes back is told of its own lines: protocol.md, "Was my last message delivered?". No I/O.

use chatd::peer_protocol::Disconnect;
use chatd::room::RingLimits;
use serde_json::{Value, json};

use crate::world::{Client, World, boot};

/// What is said in a replay: text and, with the sender's own number, whose it is.
fn replayed(events: &[Value]) -> Vec<(&str, Option<u64>)> {
    let replays = events.iter().filter(|event| event["replay"] == true);
    replays.map(|event| (event["text"].as_str().unwrap(), event["id"].as_u64())).collect()
}

struct Room {
    world: World,
    id: String,
    ana: Client,
    /// As `joined` gave them to ana.
    token: Value,
    timeline: Value,
}

/// Ana by way of pod `entry`, and bob, in a room of pod 0.
fn room(pods: usize, entry: usize) -> Room {
    room_in(World::new(pods), entry)
}

fn room_in(mut world: World, entry: usize) -> Room {
    let bob = world.open(0);
    let room = world.create(bob);
    world.ask(bob, &format!("JOIN {room} bob\n"));
    let ana = world.open_json(entry);
    world.send(ana, &json!({"type": "join", "room": room, "name": "ana", "resumable": true, "on_wrong_pod": "relay"}));
    let joined = world.events(ana).remove(0);
    world.send(ana, &json!({"type": "say", "text": "no number"}));
    world.send(ana, &json!({"type": "say", "text": "the fifth", "id": 5}));
    world.say(bob, "from bob\n");
    Room { world, id: room, ana, token: joined["token"].clone(), timeline: joined["timeline"].clone() }
}

impl Room {
    /// Ana comes back by way of pod `entry`, having heard nothing.
    fn resume(&mut self, entry: usize) -> Vec<Value> {
        let ana = self.come_back(entry);
        self.world.events(ana)
    }

    /// The same; what she hears then is to be read yet.
    fn come_back(&mut self, entry: usize) -> Client {
        let ana = self.world.open_json(entry);
        let (room, token, timeline) = (&self.id, &self.token, &self.timeline);
        let mut resume =
            json!({"type": "resume", "room": room, "token": token, "last_seq": 0, "on_wrong_pod": "relay"});
        resume["timeline"] = timeline.clone();
        self.world.send(ana, &resume);
        ana
    }
}

const SAID: [(&str, Option<u64>); 3] = [("no number", None), ("the fifth", Some(5)), ("from bob", None)];

#[test]
fn own_lines_come_back_with_their_number_by_whichever_pod() {
    for (before, after) in [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)] {
        let mut it = room(3, before);
        let told = it.world.pods[0].counters().messages_out;
        assert_eq!(replayed(&it.resume(after)), SAID, "by pod {before}, then {after}");
        let counters = &it.world.pods[0].counters();
        assert_eq!((counters.replayed, counters.missed, counters.messages_out - told), (3, 0, 3));
    }
}

#[test]
fn a_link_that_breaks_after_joined_loses_nothing_that_follows_it() {
    let mut it = room(2, 1);
    let time = it.world.time();
    it.world.pods[1].disconnected(time, it.ana.1, Disconnect::Lost);
    it.world.pass(100);
    (it.world.mute, it.world.before_mute) = (Some(0), 1);
    let ana = it.come_back(1);
    it.world.mute = None;
    it.world.break_link(0, 1);
    it.world.pass(3_000);
    assert_eq!(replayed(&it.world.events(ana)), SAID);
}

#[test]
fn what_does_not_fit_into_a_frame_is_missed() {
    let mut world = World::with_ring(2, RingLimits { messages: 10_000, bytes: 1 << 20, age: 90_000 });
    let bob = world.open(0);
    let room = world.create(bob);
    world.ask(bob, &format!("JOIN {room} bob\n"));
    let ana = world.open_json(1);
    world.send(ana, &json!({"type": "join", "room": room, "name": "ana", "resumable": true}));
    let joined = world.events(ana).remove(0);
    let time = world.time();
    world.pods[1].disconnected(time, ana.1, Disconnect::Lost);
    for number in 1..=250 {
        world.ask(bob, &format!("{number} {}\n", "\"".repeat(1_000)));
        world.pass(100);
    }
    let (token, timeline) = (joined["token"].clone(), joined["timeline"].clone());
    let events = Room { world, id: room, ana, token, timeline }.resume(1);
    let told = replayed(&events);
    assert_eq!(events[0]["missed"], 250 - told.len());
    assert!(told.len() > 40 && told.last().unwrap().0.starts_with("250 "), "{}", told.len());
}

#[test]
fn own_lines_come_back_with_their_number_from_the_next_owner() {
    for entry in [0, 1, 2] {
        let mut it = room(3, entry);
        it.world.drain_to(0, 1);
        it.world.pass(500);
        assert_eq!(it.world.pods[1].room_count(), 1);
        for after in [1, 2] {
            assert_eq!(replayed(&it.resume(after)), SAID, "by pod {entry}, then {after}");
        }
    }
}

#[test]
fn everyone_has_the_number_that_the_sender_gave() {
    let mut it = room(1, 0);
    let cleo = it.world.open_json(0);
    it.world.send(cleo, &json!({"type": "join", "room": it.id, "name": "cleo"}));
    it.world.send(cleo, &json!({"type": "say", "text": "from cleo", "id": 5}));
    it.world.events(it.ana);
    let numbers = [SAID.as_slice(), &[("from cleo", Some(5))]].concat();
    assert_eq!(replayed(&it.resume(0)), numbers);
}

#[test]
fn a_player_gets_no_message_from_before_its_join() {
    let mut it = room(1, 0);
    let cleo = it.world.open_json(0);
    it.world.send(cleo, &json!({"type": "join", "room": it.id, "name": "cleo", "resumable": true}));
    it.token = it.world.events(cleo)[0]["token"].clone();
    it.world.send(it.ana, &json!({"type": "say", "text": "to all"}));
    let resumed = it.resume(0);
    assert_eq!(replayed(&resumed), [("to all", None)]);
    assert_eq!(resumed[0]["missed"], 0);
}

#[test]
fn what_is_too_old_is_not_replayed() {
    let mut it = room(1, 0);
    it.world.pass(90_100);
    let resumed = it.resume(0);
    assert_eq!((replayed(&resumed), &resumed[0]["missed"]), (Vec::new(), &json!(3)));
    assert_eq!(it.world.pods[0].counters().missed, 3);
}

#[test]
fn over_the_budget_of_the_pod_the_oldest_of_all_rooms_goes() {
    const BUDGET: usize = 3_000;
    let mut world = World::with(1, |settings| settings.ring_total = BUDGET);
    let quiet = world.open(0);
    let room = world.create(quiet);
    world.ask(quiet, &format!("JOIN {room} quiet\n"));
    for number in 0..6 {
        world.say(quiet, &format!("long ago {number}\n"));
    }
    world.pass(100);
    let mut it = room_in(world, 0);
    let texts = ["one", "two", "three", "four", "five"];
    for text in texts {
        it.world.send(it.ana, &json!({"type": "say", "text": text}));
        it.world.pass(100);
    }
    assert!(it.world.pods[0].gauges().replay_bytes <= BUDGET as u64);
    let resumed = it.resume(0);
    let expected: Vec<_> = SAID.into_iter().chain(texts.map(|text| (text, None))).collect();
    assert_eq!((replayed(&resumed), &resumed[0]["missed"]), (expected, &json!(0)), "who speaks keeps what was said");
}

#[test]
fn who_resumes_after_a_takeover_hears_what_the_new_owner_has() {
    let mut it = room(2, 1);
    let time = it.world.time();
    it.world.pods[1].disconnected(time, it.ana.1, Disconnect::Lost);
    it.world.kill(0);
    let bob = it.world.open(1);
    it.world.say(bob, &format!("JOIN {} bob2\n", it.id));
    it.world.pass(3_000);
    it.world.say(bob, "anyone there?\n");
    let resumed = it.resume(1);
    assert_eq!((&resumed[0]["resumed"], &resumed[0]["missed"]), (&json!(true), &Value::Null));
    assert_eq!(replayed(&resumed), [("anyone there?", None)]);
}

#[test]
fn what_happens_is_counted_once_in_the_deployment() {
    let mut it = room(3, 1);
    let sum = |it: &Room, of: fn(&chatd::counters::Counters) -> u64| {
        it.world.pods.iter().map(|pod| of(pod.counters())).sum::<u64>()
    };
    // CREATE_ROOM, two JOINs, three lines.
    assert_eq!((sum(&it, |counters| counters.commands_in), sum(&it, |counters| counters.relays)), (6, 1));
    it.world.send(it.ana, &json!({"type": "join", "room": it.id, "name": "ana"}));
    assert_eq!(sum(&it, |counters| counters.errors), 1);
    let cleo = it.world.open_json(2);
    it.world.send(cleo, &json!({"type": "join", "room": it.id, "name": "ana", "on_wrong_pod": "relay"}));
    assert_eq!((sum(&it, |counters| counters.errors), sum(&it, |counters| counters.relays)), (2, 1), "name_taken");
    it.world.drain_to(0, 2);
    it.world.pass(500);
    let moved: [fn(&chatd::counters::Counters) -> u64; 4] = [
        |counters| counters.outgoing_migrations,
        |counters| counters.releases,
        |counters| counters.incoming_migrations,
        |counters| counters.outgoing_migrations_failed,
    ];
    assert_eq!(moved.map(|of| sum(&it, of)), [1, 1, 1, 0]);
}

#[test]
fn a_room_that_nobody_takes_is_counted_and_its_relayed_clients_look_for_it_at_once() {
    let mut it = room(2, 1);
    let time = it.world.time();
    it.world.pods[0].drain(time, time.now);
    it.world.pass(500);
    assert_eq!((it.world.pods[0].room_count(), it.world.pods[0].counters().outgoing_migrations_failed), (0, 1));
}

/// Alice in a room of pod 0, and bob's token there, whose connection to pod `entry` speaks lines.
fn bob_by_lines(entry: usize) -> (World, String, [Client; 2], String) {
    let mut world = World::new(3);
    let alice = world.open(0);
    let room = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice RELAY\n"));
    let bob = world.open(entry);
    let token = world.join_resumable(bob, &room, "bob RELAY");
    world.ask(alice, "heard\n");
    world.hear(bob);
    (world, room, [alice, bob], token)
}

#[test]
fn a_resume_replays_messages_sent_before_the_owner_learned_of_the_drop() {
    // The next connection comes after the owner has heard of it, or before.
    for soon in [false, true] {
        for entry in [0, 1, 2] {
            let (mut world, room, [alice, bob], token) = bob_by_lines(1);
            let time = world.time();
            world.pods[1].disconnected(time, bob.1, Disconnect::Lost);
            world.say_later(alice, "between\n");
            let bob = world.open(entry);
            let resume = format!("RESUME {room} {token} RELAY\n");
            if !soon {
                world.run();
            }
            world.say(bob, &resume);
            let joined = format!("JOINED {room} bob alice,bob\nTOKEN {token}\n");
            assert_eq!(world.hear(bob), joined + "MSG alice between\n", "by pod {entry}, soon: {soon}");
            assert_eq!(world.ask(bob, "hello\n"), "MSG bob hello\n");
        }
    }
}

#[test]
fn what_went_to_a_connection_that_seems_to_live_may_be_missed() {
    let (mut world, room, [alice, old], token) = bob_by_lines(1);
    world.say(alice, "on its way\n");
    let bob = world.open(2);
    let heard = world.ask(bob, &format!("RESUME {room} {token} RELAY\n"));
    assert_eq!(heard, format!("JOINED {room} bob alice,bob\nTOKEN {token}\nMISSED ?\n"));
    assert!(world.hear(old).ends_with("BYE replaced\n"));
    assert_eq!(world.hear(alice), "MSG alice on its way\n");
}

#[test]
fn who_resumes_is_answered_though_its_former_pod_says_nothing() {
    for breaks in [false, true] {
        let (mut world, room, [_, _], token) = bob_by_lines(1);
        world.alive[1] = false;
        let bob = world.open(2);
        world.say(bob, &format!("RESUME {room} {token} RELAY\n"));
        if breaks {
            let time = world.time();
            world.pods[0].peer_down(time, boot(1));
        } else {
            // It has a second.
            world.pass(900);
            assert_eq!(world.hear(bob), "");
        }
        world.pass(200);
        let heard = world.hear(bob);
        assert_eq!(heard, format!("JOINED {room} bob alice,bob\nTOKEN {token}\nMISSED ?\n"), "breaks: {breaks}");
    }
}

#[test]
fn of_two_who_resume_a_seat_at_once_the_later_one_has_it() {
    let (mut world, room, [alice, _], token) = bob_by_lines(1);
    // Its former pod says nothing for a while.
    world.alive[1] = false;
    let [first, second, third] = [world.open(0), world.open(2), world.open(0)];
    for bob in [first, second] {
        world.say(bob, &format!("RESUME {room} {token} RELAY\n"));
    }
    world.pass(1_500);
    assert!(world.hear(first).ends_with("BYE replaced\n"));
    assert!(world.hear(second).starts_with("JOINED"));
    assert_eq!(world.hear(alice), "");
    // The next one is gone again before it is answered.
    world.say(third, &format!("RESUME {room} {token}\n"));
    world.alive[2] = false;
    world.pass(100);
    let fourth = world.open(0);
    world.say(fourth, &format!("RESUME {room} {token}\n"));
    let time = world.time();
    world.pods[0].disconnected(time, fourth.1, Disconnect::Lost);
    world.pass(17_000);
    assert_eq!(world.hear(alice), "AWAY bob\n");
    world.pass(30_000);
    assert_eq!(world.hear(alice), "EXITED bob timeout\n");
}

#[test]
fn what_a_slow_reader_was_not_given_is_missed() {
    for entry in [0, 1] {
        let (mut world, room, [alice, old], token) = bob_by_lines(entry);
        world.say_much(alice, 90);
        assert!(world.hear_all(old).ends_with("BYE slow_consumer\n"));
        world.pass(2_000);
        world.ask(alice, "since then\n");
        let bob = world.open(0);
        let heard = world.ask(bob, &format!("RESUME {room} {token}\n"));
        let joined = format!("JOINED {room} bob alice,bob\nTOKEN {token}\nMISSED ?\n");
        assert!(
            heard.starts_with(&joined) && heard.ends_with("MSG alice since then\n"),
            "by pod {entry}: {heard:.300}"
        );
    }
}

#[test]
fn messages_sent_while_a_draining_pod_redirects_its_clients_are_replayed() {
    let mut world = World::new(2);
    let alice = world.open(0);
    let bob = world.open(1);
    let room = world.create(bob);
    let token = world.join_resumable(bob, &room, "bob RELAY");
    world.ask(alice, &format!("JOIN {room} alice RELAY\n"));
    world.hear(bob);
    world.drain_to(1, 0);
    world.pass(500);
    assert_eq!(world.hear(bob), format!("MOVED {room}\n"));
    // The pod lets bob go, and the room's owner hears of that a little later.
    world.pass(4_400);
    world.now += 200;
    let time = world.time();
    world.pods[1].tick(time);
    assert_eq!(world.pods[1].output(bob.1), b"BYE moved\n");
    world.say_later(alice, "between\n");
    let bob = world.open(0);
    let heard = world.ask(bob, &format!("RESUME {room} {token}\n"));
    assert_eq!(heard, format!("JOINED {room} bob bob,alice\nTOKEN {token}\nMSG alice between\n"));
}

#[test]
fn a_connection_that_ends_while_its_room_moves_has_ended_for_the_new_owner_too() {
    for entry in [0, 1] {
        let (mut world, room, [alice, bob], token) = bob_by_lines(entry);
        let carol = world.open(2);
        world.ask(carol, &format!("JOIN {room} carol RELAY\n"));
        world.hear_all(bob);
        if entry == 0 {
            world.ask(alice, "before\n");
            assert_eq!(world.hear(bob), "MSG alice before\n");
            world.drain_to(0, 2);
        }
        let time = world.time();
        world.pods[entry].disconnected(time, bob.1, Disconnect::Lost);
        if entry == 1 {
            world.say_later(alice, "between\n");
            world.drain_to(0, 2);
        }
        world.run();
        world.pass(100);
        assert_eq!(world.pods[2].room_count(), 1);
        assert!(world.hear(carol).contains("AWAY bob\n"), "entry {entry}");
        let bob = world.open(2);
        let heard = world.ask(bob, &format!("RESUME {room} {token}\n"));
        let between = if entry == 1 { "MSG alice between\n" } else { "" };
        assert_eq!(heard, format!("JOINED {room} bob alice,bob,carol\nTOKEN {token}\n{between}"), "entry {entry}");
    }
}
