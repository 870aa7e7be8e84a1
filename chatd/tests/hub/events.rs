//! Events of applications: everyone's are numbered like messages, others are passed on once to whom they are to. No I/O.

use chatd::peer_protocol::Disconnect;
use serde_json::{Value, json};

use crate::world::{Client, World};

/// A room of pod 0 with ana, and bob who comes by way of pod `entry`, both in JSON, and cat in lines.
struct Room {
    world: World,
    id: String,
    ana: Client,
    bob: Client,
    cat: Client,
}

fn join(world: &mut World, client: Client, room: &str, name: &str) -> Value {
    let join = json!({"type": "join", "room": room, "name": name, "resumable": true, "on_wrong_pod": "relay"});
    world.send(client, &join);
    world.events(client).remove(0)
}

fn room(entry: usize, events: &str) -> Room {
    room_in(World::new(3), entry, events)
}

fn room_in(mut world: World, entry: usize, events: &str) -> Room {
    let cat = world.open(entry);
    let maker = world.open(0);
    let id = world.create(maker);
    let [ana, bob] = [0, entry].map(|pod| world.open_json(pod));
    join(&mut world, ana, &id, "ana");
    join(&mut world, bob, &id, "bob");
    let joined = world.ask(cat, &format!("JOIN {id} cat RELAY {events}\n"));
    assert!(joined.starts_with("JOINED "), "{joined}");
    for client in [ana, bob] {
        world.events(client);
    }
    Room { world, id, ana, bob, cat }
}

impl Room {
    /// What the sender, the other one and cat hear of something sent by ana.
    fn send(&mut self, event: &Value) -> (Vec<Value>, Vec<Value>, String) {
        self.world.send(self.ana, event);
        (self.world.events(self.ana), self.world.events(self.bob), self.world.hear(self.cat))
    }
}

fn timeless(mut event: Value) -> Value {
    assert!(event["at"].as_u64().is_some(), "{event}");
    event.as_object_mut().unwrap().remove("at");
    event
}

#[test]
fn an_event_is_numbered_with_the_messages_for_everyone() {
    for entry in [0, 1] {
        let mut it = room(entry, "EVENTS");
        it.send(&json!({"type": "say", "text": "one"}));
        let (mine, theirs, line) = it.send(&json!({"type": "send", "kind": "move", "data": {"x": [1, null]}, "id": 7}));
        let expected =
            json!({"type": "event", "from": "ana", "kind": "move", "data": {"x": [1, null]}, "seq": 2, "id": 7});
        assert_eq!(mine.into_iter().map(timeless).collect::<Vec<_>>(), std::slice::from_ref(&expected));
        assert_eq!(theirs.into_iter().map(timeless).collect::<Vec<_>>(), [expected]);
        assert_eq!(line, "EVENT ana move {\"x\":[1,null]}\n");
        assert_eq!(it.send(&json!({"type": "say", "text": "three"})).1[0]["seq"], 3);
    }
}

#[test]
fn a_lines_client_that_did_not_ask_hears_no_events() {
    for entry in [0, 1] {
        let mut it = room(entry, "");
        let send = json!({"type": "send", "kind": "move", "data": 1});
        assert_eq!(it.send(&send).2, "");
        assert_eq!(it.send(&json!({"type": "say", "text": "hi"})).2, "MSG ana hi\n");
        // It asks when it joins again.
        it.world.ask(it.cat, "LEAVE\n");
        let id = it.id.clone();
        it.world.ask(it.cat, &format!("JOIN {id} cat EVENTS RELAY\n"));
        assert_eq!(it.send(&send).2, "EVENT ana move 1\n");
        it.world.ask(it.cat, "LEAVE\n");
        it.world.ask(it.cat, &format!("JOIN {id} cat RELAY\n"));
        assert_eq!(it.send(&send).2, "");
    }
}

#[test]
fn a_text_of_several_lines_is_one_line_for_lines() {
    let mut it = room(1, "");
    let (mine, theirs, line) = it.send(&json!({"type": "say", "text": "a\nMSG eve b\n"}));
    assert_eq!((&mine[0]["text"], &theirs[0]["text"]), (&json!("a\nMSG eve b\n"), &json!("a\nMSG eve b\n")));
    assert_eq!(line, "MSG ana a\u{2424}MSG eve b\u{2424}\n");
    let (refused, theirs, line) = it.send(&json!({"type": "say", "text": "a\n".repeat(31)}));
    assert_eq!((refused[0]["code"].as_str(), theirs.len(), line.as_str()), (Some("bad_text"), 0, ""));
}

#[test]
fn what_is_to_some_is_heard_by_nobody_else_and_the_sender_is_told_whom_it_reached() {
    for entry in [0, 1] {
        let mut it = room(entry, "EVENTS");
        let send = json!({"type": "send", "kind": "card", "data": "Q", "to": ["BOB", "nobody"], "id": 3});
        let (mine, theirs, line) = it.send(&send);
        let event =
            json!({"type": "event", "from": "ana", "kind": "card", "data": "Q", "to": ["BOB", "nobody"], "id": 3});
        let mut answer = event.clone();
        answer["reached"] = json!(["bob"]);
        assert_eq!(mine.into_iter().map(timeless).collect::<Vec<_>>(), [answer]);
        assert_eq!(theirs.into_iter().map(timeless).collect::<Vec<_>>(), [event]);
        assert_eq!(line, "");
        let (mine, theirs, line) = it.send(&json!({"type": "send", "kind": "card", "data": 1, "to": ["cat", "ana"]}));
        assert_eq!((&mine[0]["reached"], mine.len(), theirs.len()), (&json!(["ana", "cat"]), 1, 0));
        assert_eq!(line, "EVENT ana card 1\n");
        let (mine, theirs, line) = it.send(&json!({"type": "send", "kind": "card", "data": 1, "to": []}));
        assert_eq!((&mine[0]["reached"], theirs.len(), line.as_str()), (&json!([]), 0, ""));
        // None of it had a number.
        assert_eq!(it.send(&json!({"type": "say", "text": "hi"})).0[0]["seq"], 1);
    }
    // Who cannot hear it is not reached.
    let mut it = room(1, "");
    assert_eq!(it.send(&json!({"type": "send", "kind": "a", "data": 1, "to": ["cat"]})).0[0]["reached"], json!([]));
}

#[test]
fn a_replay_has_the_events_of_everyone_and_no_others() {
    for (entry, back) in [(0, 0), (0, 1), (1, 1), (1, 2)] {
        let mut it = room(entry, "");
        let joined = it.world.open_json(entry);
        let told = join(&mut it.world, joined, &it.id, "dan");
        let time = it.world.time();
        it.world.pods[entry].disconnected(time, joined.1, Disconnect::Lost);
        it.world.pass(100);
        it.send(&json!({"type": "send", "kind": "a", "data": 1, "id": 9}));
        it.send(&json!({"type": "send", "kind": "b", "data": 2, "to": ["dan", "bob"]}));
        it.send(&json!({"type": "send", "kind": "c", "data": 3, "volatile": true}));
        it.send(&json!({"type": "say", "text": "hi"}));
        let dan = it.world.open_json(back);
        let resume = json!({"type": "resume", "room": it.id, "token": told["token"], "timeline": told["timeline"],
            "last_seq": 0, "on_wrong_pod": "relay"});
        it.world.send(dan, &resume);
        let events = it.world.events(dan);
        assert_eq!((&events[0]["type"], &events[0]["missed"]), (&json!("joined"), &json!(0)));
        let replayed =
            json!({"type": "event", "from": "ana", "kind": "a", "data": 1, "seq": 1, "id": 9, "replay": true});
        assert_eq!(timeless(events[1].clone()), replayed);
        assert_eq!((&events[2]["text"], &events[2]["seq"], events.len()), (&json!("hi"), &json!(2), 3));
    }
}

#[test]
fn nothing_from_before_a_join_is_told_again_however_much_is_set_since() {
    for entry in [0, 1] {
        let mut it = room(entry, "");
        it.send(&json!({"type": "say", "text": "before"}));
        let dan = it.world.open_json(entry);
        let told = join(&mut it.world, dan, &it.id, "dan");
        for number in 0..200 {
            it.world.send(dan, &json!({"type": "set", "data": number}));
            it.world.pass(100);
        }
        it.send(&json!({"type": "say", "text": "since"}));
        let time = it.world.time();
        it.world.pods[entry].disconnected(time, dan.1, Disconnect::Lost);
        let again = it.world.open_json(entry);
        let resume = json!({"type": "resume", "room": it.id, "token": told["token"], "timeline": told["timeline"],
            "last_seq": 0, "on_wrong_pod": "relay"});
        it.world.send(again, &resume);
        let events = it.world.events(again);
        let texts: Vec<_> = events.iter().filter_map(|event| event["text"].as_str()).collect();
        assert_eq!((&events[0]["missed"], texts), (&json!(0), vec!["since"]));
    }
}

#[test]
fn events_survive_a_move_and_go_on_from_there() {
    let mut it = room(1, "EVENTS");
    it.send(&json!({"type": "send", "kind": "a", "data": 1}));
    it.world.drain_to(0, 2);
    it.world.pass(1_000);
    for client in [it.ana, it.bob] {
        it.world.events(client);
    }
    it.world.hear(it.cat);
    it.world.send(it.bob, &json!({"type": "send", "kind": "b", "data": 2}));
    it.world.send(it.bob, &json!({"type": "send", "kind": "c", "data": 3, "to": ["cat"]}));
    let told = it.world.events(it.bob);
    assert_eq!((&told[0]["seq"], &told[1]["reached"]), (&json!(2), &json!(["cat"])), "{told:?}");
    assert_eq!(it.world.hear(it.cat), "EVENT bob b 2\nEVENT bob c 3\n");
}

#[test]
fn volatile_events_have_a_rate_of_their_own() {
    for entry in [0, 1] {
        let mut it = room(entry, "");
        let codes = |events: Vec<Value>| events.iter().filter(|event| event["code"] == "rate_limited").count();
        let mut send = |event: &Value, count: usize| {
            (0..count).for_each(|_| it.world.send(it.bob, event));
            codes(it.world.events(it.bob))
        };
        let volatile = json!({"type": "send", "kind": "cursor", "data": [1, 2], "volatile": true});
        assert_eq!(send(&volatile, 20), 0);
        assert_eq!(send(&volatile, 200), 200, "they are lost, and the connection stays");
        assert_eq!(send(&json!({"type": "send", "kind": "a", "data": 1, "to": ["ana"]}), 20), 0);
        assert_eq!(send(&json!({"type": "ping"}), 1), 1, "what is to somebody counts with all else");
    }
}

#[test]
fn a_slow_reader_loses_volatile_events_first() {
    for entry in [0, 1] {
        let mut it = room(entry, "EVENTS");
        let text = "x".repeat(3_990);
        // More than a quarter of its queue, or than the window of a relayed session.
        for _ in 0..18 {
            it.world.pass(200);
            it.world.send(it.ana, &json!({"type": "say", "text": text}));
            it.world.events(it.bob);
        }
        it.world.events(it.ana);
        it.world.send(it.ana, &json!({"type": "send", "kind": "v", "data": 1, "volatile": true, "to": ["bob", "cat"]}));
        assert_eq!(it.world.events(it.ana)[0]["reached"], json!(["bob"]), "by way of pod {entry}");
        it.world.send(it.ana, &json!({"type": "send", "kind": "t", "data": 2, "to": ["cat"]}));
        assert_eq!(it.world.events(it.ana)[0]["reached"], json!(["cat"]));
        let heard = it.world.hear_all(it.cat);
        assert!(heard.ends_with("EVENT ana t 2\n") && !heard.contains("EVENT ana v"), "{}", heard.len());
        assert_eq!(it.world.pods[0].counters().volatile_dropped, 1);
        it.world.send(it.ana, &json!({"type": "send", "kind": "v", "data": 3, "volatile": true}));
        assert_eq!(it.world.hear(it.cat), "EVENT ana v 3\n", "now it reads");
    }
}

#[test]
fn what_a_player_says_of_itself_is_told_and_stands_in_the_lists() {
    for entry in [0, 1] {
        let mut it = room(entry, "EVENTS");
        let (mine, theirs, line) = it.send(&json!({"type": "set", "data": {"mood": "fine"}, "id": 4}));
        let player = json!({"type": "player", "name": "ana", "data": {"mood": "fine"}, "id": 4});
        assert_eq!((mine, theirs, line.as_str()), (vec![player.clone()], vec![player], ""));
        let dan = it.world.open_json(entry);
        let listed = |joined: &Value| joined["players"][0].clone();
        let joined = join(&mut it.world, dan, &it.id, "dan");
        assert_eq!(listed(&joined), json!({"name": "ana", "away": false, "data": {"mood": "fine"}}));
        // It is no message.
        assert_eq!(joined["seq"], 0);
        // It moves with the room, and goes with the seat.
        it.world.drain_to(0, 2);
        it.world.pass(1_000);
        it.world.send(dan, &json!({"type": "who"}));
        let who = it.world.events(dan).into_iter().find(|event| event["type"] == "players").unwrap();
        assert_eq!(listed(&who)["data"], json!({"mood": "fine"}));
        it.send(&json!({"type": "set", "data": null}));
        it.world.send(dan, &json!({"type": "who"}));
        let told = it.world.events(dan);
        assert_eq!(told[0], json!({"type": "player", "name": "ana", "data": null}));
        assert_eq!(listed(&told[1]), json!({"name": "ana", "away": false}));
    }
}
