//! The state of a room: changes are numbered, all members have the same, and who may have missed some is told all of it. No I/O.

use chatd::descriptor::Descriptor;
use chatd::directory::Key;
use chatd::peer_protocol::Disconnect;
use chatd::record::Record;
use chatd::room_call::RoomCall;
use serde_json::{Value, json};

use crate::world::{Client, World};

pub fn join(world: &mut World, client: Client, room: &str, name: &str) -> Value {
    let join = json!({"type": "join", "room": room, "name": name, "resumable": true, "on_wrong_pod": "relay"});
    world.send(client, &join);
    world.events(client).remove(0)
}

/// A room of pod 0 with ana, and bob who comes by way of pod `entry`, both in JSON, and cat in lines.
fn room(entry: usize) -> (World, String, Client, Client, Client) {
    let mut world = World::new(3);
    let (ana, bob, cat) = (world.open_json(0), world.open_json(entry), world.open(entry));
    let maker = world.open(0);
    let id = world.create(maker);
    for (client, name) in [(ana, "ana"), (bob, "bob")] {
        assert_eq!(join(&mut world, client, &id, name).get("state"), None, "nobody has set any");
    }
    world.ask(cat, &format!("JOIN {id} cat RELAY EVENTS\n"));
    for client in [ana, bob] {
        world.events(client);
    }
    (world, id, ana, bob, cat)
}

pub fn set(world: &mut World, client: Client, fields: &Value) -> Vec<Value> {
    let mut command = json!({"type": "state_set"});
    command.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    world.send(client, &command);
    world.events(client)
}

fn change(key: &str, value: &Value, version: u64, from: &str) -> Value {
    json!({"type": "state", "key": key, "value": value, "version": version, "from": from})
}

fn entry_of(key: &str, value: &Value, version: u64, from: &str) -> Value {
    json!({"key": key, "value": value, "version": version, "from": from})
}

#[test]
fn a_change_is_told_to_all_and_stands_in_joined() {
    for entry in [0, 1] {
        let (mut world, id, ana, bob, cat) = room(entry);
        let mut mine = change("turn", &json!({"of": "bob"}), 1, "ana");
        mine["id"] = json!(7);
        let told = set(&mut world, ana, &json!({"key": "turn", "value": {"of": "bob"}, "id": 7}));
        assert_eq!((told, world.events(bob)), (vec![mine.clone()], vec![mine]));
        assert_eq!(set(&mut world, bob, &json!({"key": "score", "value": 2}))[0], change("score", &json!(2), 2, "bob"));
        assert_eq!(
            set(&mut world, bob, &json!({"key": "turn", "value": "x"}))[0],
            change("turn", &json!("x"), 3, "bob")
        );
        assert_eq!(set(&mut world, bob, &json!({"key": "score", "value": null}))[0]["version"], 4);
        assert_eq!(world.hear(cat), "", "lines do not hear it");
        let dan = world.open_json(entry);
        let state = json!({"version": 4, "entries": [entry_of("turn", &json!("x"), 3, "bob")]});
        let joined = join(&mut world, dan, &id, "dan");
        assert_eq!((&joined["state"], &joined["seq"]), (&state, &json!(0)), "it is no message");
    }
}

#[test]
fn a_change_for_another_version_changes_nothing() {
    for entry in [0, 1] {
        let (mut world, _, ana, bob, _) = room(entry);
        let conflict = |told: &[Value]| {
            assert_eq!((told.len(), &told[0]["code"]), (1, &json!("version_conflict")), "{told:?}");
            told[0]["version"].as_u64()
        };
        assert_eq!(
            conflict(&set(&mut world, bob, &json!({"key": "a", "value": 1, "if_version": 1, "id": 5}))),
            Some(0)
        );
        assert_eq!(set(&mut world, bob, &json!({"key": "a", "value": 1, "if_version": 0}))[0]["version"], 1);
        assert_eq!(set(&mut world, bob, &json!({"key": "b", "value": 1}))[0]["version"], 2);
        assert_eq!(conflict(&set(&mut world, bob, &json!({"key": "a", "value": 2, "if_version": 0}))), Some(1));
        assert_eq!(conflict(&set(&mut world, bob, &json!({"key": "a", "value": 2, "if_version": 2}))), Some(1));
        // The version of a key is that of its own last change, whatever has changed besides.
        assert_eq!(set(&mut world, bob, &json!({"key": "a", "value": null, "if_version": 1}))[0]["version"], 3);
        assert_eq!(conflict(&set(&mut world, bob, &json!({"key": "a", "value": 2, "if_version": 1}))), Some(0));
        assert_eq!(world.events(ana).len(), 3);
    }
}

#[test]
fn a_room_has_a_limit_of_keys_and_of_bytes() {
    let (mut world, _, ana, _, _) = room(1);
    let code = |world: &mut World, key: &str, value: Value| {
        world.pass(200);
        set(world, ana, &json!({"key": key, "value": value}))[0]["code"].as_str().map(str::to_owned)
    };
    for key in 0..32 {
        assert_eq!(code(&mut world, &format!("k{key:02}"), json!(key)), None);
    }
    assert_eq!(code(&mut world, "one.more", json!(1)).as_deref(), Some("state_full"));
    assert_eq!(code(&mut world, "k00", json!(null)), None);
    assert_eq!(code(&mut world, "one.more", json!(1)), None);
    // 31 keys of 3 bytes with 53 bytes, and one of 8 bytes.
    let free = 8_192 - 31 * 3 - (9 + 22 * 2) - 8;
    assert_eq!(code(&mut world, "one.more", json!("x".repeat(free - 1))).as_deref(), Some("state_full"));
    assert_eq!(code(&mut world, "one.more", json!("x".repeat(free - 2))), None);
    assert_eq!(code(&mut world, "k01", json!(11)).as_deref(), Some("state_full"));
    assert_eq!(code(&mut world, "k01", json!(2)), None);
}

#[test]
fn states_have_half_of_the_memory_for_rings() {
    let mut world = World::with(1, |settings| settings.ring_total = 8_000);
    let (maker, ana) = (world.open(0), world.open_json(0));
    let id = world.create(maker);
    join(&mut world, ana, &id, "ana");
    assert_eq!(set(&mut world, ana, &json!({"key": "a", "value": "x".repeat(3_000)}))[0]["version"], 1);
    assert_eq!(set(&mut world, ana, &json!({"key": "b", "value": "x".repeat(1_000)}))[0]["code"], "state_full");
    let again = set(&mut world, ana, &json!({"key": "a", "value": "y".repeat(3_000)}));
    assert_eq!(again[0]["version"], 2, "it takes no more than before");
    for _ in 0..8 {
        world.send(ana, &json!({"type": "say", "text": "x".repeat(2_000)}));
        world.pass(200);
        assert_eq!(world.pods[0].over_bounds(), None);
    }
    assert!(world.pods[0].gauges().replay_bytes <= 8_000);
}

#[test]
fn it_moves_with_the_room_and_goes_on_from_there() {
    for entry in [0, 1] {
        let (mut world, id, ana, bob, _) = room(entry);
        set(&mut world, ana, &json!({"key": "a", "value": [1]}));
        set(&mut world, ana, &json!({"key": "b", "value": 2}));
        world.drain_to(0, 2);
        world.pass(1_000);
        let types = |events: Vec<Value>| events.iter().map(|event| event["type"].to_string()).collect::<Vec<_>>();
        assert_eq!(types(world.events(bob)).last().map(String::as_str), Some("\"moved\""), "nothing was missed");
        let told = set(&mut world, bob, &json!({"key": "a", "value": 3, "if_version": 1}));
        assert_eq!(told, [change("a", &json!(3), 3, "bob")]);
        let dan = world.open_json(1);
        let entries = [entry_of("b", &json!(2), 2, "ana"), entry_of("a", &json!(3), 3, "bob")];
        assert_eq!(join(&mut world, dan, &id, "dan")["state"], json!({"version": 3, "entries": entries}));
    }
}

#[test]
fn a_session_that_missed_a_change_is_told_all_and_its_own_is_carried_out_once() {
    let (mut world, id, ana, bob, _) = room(1);
    set(&mut world, ana, &json!({"key": "a", "value": 1}));
    set(&mut world, ana, &json!({"key": "b", "value": 1}));
    world.events(bob);
    world.mute = Some(0);
    world.send(bob, &json!({"type": "state_set", "key": "a", "value": 2, "id": 1}));
    world.send(bob, &json!({"type": "state_set", "key": "b", "value": null, "id": 2}));
    world.send(ana, &json!({"type": "say", "text": "hi"}));
    assert_eq!(world.events(bob), Vec::<Value>::new());
    world.mute = None;
    world.break_link(0, 1);
    world.pass(1_000);
    let told = world.events(bob);
    let mut answers = [change("a", &json!(2), 3, "bob"), change("b", &json!(null), 4, "bob")];
    (answers[0]["id"], answers[1]["id"]) = (json!(1), json!(2));
    let all = json!({"type": "state_all", "version": 4, "entries": [entry_of("a", &json!(2), 3, "bob")]});
    assert_eq!((&told[0], &told[1..3], &told[3]["text"]), (&all, &answers[..], &json!("hi")), "{told:?}");
    // Nothing is told to who has missed nothing.
    world.break_link(0, 1);
    world.pass(1_000);
    assert_eq!(world.events(bob), Vec::<Value>::new());
    let dan = world.open_json(0);
    assert_eq!(join(&mut world, dan, &id, "dan")["state"]["version"], 4);
}

#[test]
fn who_resumes_has_it_in_joined() {
    for entry in [0, 1] {
        let (mut world, id, ana, _, _) = room(entry);
        let dan = world.open_json(entry);
        let joined = join(&mut world, dan, &id, "dan");
        let time = world.time();
        world.pods[entry].disconnected(time, dan.1, Disconnect::Lost);
        world.pass(100);
        set(&mut world, ana, &json!({"key": "a", "value": 1}));
        let again = world.open_json(2);
        let resume = json!({"type": "resume", "room": id, "token": joined["token"], "timeline": joined["timeline"],
            "last_seq": 0, "on_wrong_pod": "relay"});
        world.send(again, &resume);
        let told = world.events(again);
        let state = json!({"version": 1, "entries": [entry_of("a", &json!(1), 1, "ana")]});
        assert_eq!((told.len(), &told[0]["state"]), (1, &state), "{told:?}");
    }
}

#[test]
fn after_a_takeover_it_is_gone_and_that_is_said_where_there_was_some() {
    for used in [false, true] {
        let (mut world, id, ana, bob, _) = room(1);
        let key = Key::Room(id.parse().unwrap());
        let without = world.store[&key].clone();
        if used {
            set(&mut world, ana, &json!({"key": "a", "value": 1}));
            set(&mut world, ana, &json!({"key": "a", "value": null}));
            world.events(bob);
        }
        let record = |world: &World| Record::parse(&world.store[&key]).unwrap();
        assert_eq!((record(&world).state.is_some(), world.store[&key] == without), (used, !used));
        let dan = world.open_json(2);
        let joined = join(&mut world, dan, &id, "dan");
        world.events(bob);
        let time = world.time();
        world.pods[2].disconnected(time, dan.1, Disconnect::Lost);
        world.pass(100);
        world.kill(0);
        world.pass(12_000);
        let lost = |events: &[Value]| events.iter().filter(|event| event["type"] == "state_lost").count();
        let told = world.events(bob);
        assert_eq!(
            (lost(&told), told.iter().any(|event| event["type"] == "moved")),
            (usize::from(used), true),
            "{told:?}"
        );
        for once_more in [false, true] {
            let again = world.open_json(2);
            let timeline = if once_more {
                &told.iter().find(|event| event["type"] == "moved").unwrap()["timeline"]
            } else {
                &joined["timeline"]
            };
            let resume = json!({"type": "resume", "room": id, "token": joined["token"], "timeline": timeline,
                "last_seq": 0, "on_wrong_pod": "relay"});
            world.send(again, &resume);
            let told = world.events(again);
            assert_eq!(
                (&told[0]["type"], lost(&told)),
                (&json!("joined"), usize::from(used && !once_more)),
                "{told:?}"
            );
            assert_eq!(told[0].get("state"), None);
        }
        // Who comes now has lost nothing, and the count goes on where no former owner has been.
        let eve = world.open_json(2);
        assert_eq!(join(&mut world, eve, &id, "eve").get("state"), None);
        assert_eq!(lost(&world.events(eve)), 0);
        world.events(bob);
        let version = set(&mut world, bob, &json!({"key": "a", "value": 1, "if_version": 0}))[0]["version"].clone();
        assert_eq!(version, record(&world).epoch + 1);
        assert!(record(&world).state.is_some());
    }
}

#[test]
fn changes_count_as_messages_for_the_rate() {
    let (mut world, _, ana, _, _) = room(0);
    let codes: Vec<_> =
        (0..25).map(|number| set(&mut world, ana, &json!({"key": "a", "value": number}))[0]["code"].clone()).collect();
    assert!(codes[..15].iter().all(Value::is_null) && codes.contains(&json!("rate_limited")), "{codes:?}");
}

/// For balance: what the ring does not have is said in the room all the same.
#[test]
fn a_room_is_not_quiet_while_only_events_without_a_number_and_changes_are_told() {
    let (mut world, id, ana, _, _) = room(1);
    let room = id.parse().unwrap();
    let quiet = |world: &World| world.pods[0].inspect(world.time(), room).unwrap().quiet_ms.unwrap();
    world.pass(5_000);
    assert!(quiet(&world) >= 5_000);
    world.send(ana, &json!({"type": "send", "kind": "cursor", "data": 1, "volatile": true}));
    assert_eq!(quiet(&world), 0);
    world.pass(5_000);
    set(&mut world, ana, &json!({"key": "a", "value": 1}));
    assert_eq!(quiet(&world), 0);
}

#[test]
fn what_the_record_keeps_of_it_is_there_at_the_next_owner() {
    for planned in [true, false] {
        let mut world = World::new(2);
        let descriptor = Descriptor::parse(r#"{"state":"kept"}"#).unwrap();
        world.call(0, "board", RoomCall::Create { descriptor: Some(Box::new(descriptor)), made: false }).unwrap();
        let ana = world.open_json(1);
        assert_eq!(join(&mut world, ana, "board", "ana")["type"], "joined");
        let first = set(&mut world, ana, &json!({"key": "turn", "value": "ana"}))[0]["version"].as_u64().unwrap();
        set(&mut world, ana, &json!({"key": "score", "value": [1, 2]}));
        let long = "x".repeat(2_100);
        let refused = set(&mut world, ana, &json!({"key": "long", "value": long}));
        assert_eq!(refused[0]["code"], "state_full", "what is kept takes 2 KiB at most");
        world.pass(500);
        world.leave_pod(0, 1, planned);
        world.pass(3_000);
        let heard = world.events(ana);
        assert!(heard.iter().all(|event| event["type"] != "state_lost"), "planned: {planned}: {heard:?}");
        let turn = entry_of("turn", &json!("ana"), first, "ana");
        let entries = json!([turn, entry_of("score", &json!([1, 2]), first + 1, "ana")]);
        let bob = world.open_json(1);
        assert_eq!(join(&mut world, bob, "board", "bob")["state"]["entries"], entries, "planned: {planned}");
        let told = set(&mut world, bob, &json!({"key": "turn", "value": "bob", "if_version": first}));
        let version = told[0]["version"].as_u64().unwrap();
        assert!(if planned { version == first + 2 } else { version > first + 2 }, "{told:?}");
    }
}

#[test]
fn a_change_for_a_version_of_the_former_owner_is_for_none_of_the_next() {
    // By the pod that takes the room over, or by another one.
    for (first, second) in [(1, 2), (2, 1), (1, 1), (2, 2)] {
        let mut world = World::new(3);
        let (ana, dan, eve) = (world.open_json(0), world.open_json(first), world.open_json(second));
        let maker = world.open(0);
        let id = world.create(maker);
        for (client, name) in [(ana, "ana"), (dan, "dan"), (eve, "eve")] {
            join(&mut world, client, &id, name);
        }
        world.events(ana);
        assert_eq!(set(&mut world, ana, &json!({"key": "a", "value": "ana"}))[0]["version"], 1);
        world.kill(0);
        world.events(dan);
        world.events(eve);
        set(&mut world, dan, &json!({"key": "a", "value": "dan"}));
        set(&mut world, eve, &json!({"key": "a", "value": "eve", "if_version": 1, "id": 9}));
        set(&mut world, eve, &json!({"key": "b", "value": "eve", "if_version": 0, "id": 10}));
        world.pass(12_000);
        let told = world.events(eve);
        let answer = |id: u64| told.iter().find(|event| event["id"] == id).unwrap();
        assert_eq!((&answer(9)["type"], &answer(9)["code"]), (&json!("error"), &json!("version_conflict")), "{told:?}");
        assert_eq!(answer(10)["type"], json!("state"), "{told:?}");
        assert!(world.events(dan).iter().all(|event| event["value"] != "eve" || event["key"] == "b"));
    }
}

/// It was on its way from the client while the room was taken over, or behind other commands: no pod can tell.
#[test]
fn a_change_that_was_on_its_way_at_a_takeover_overwrites_nothing_that_its_sender_has_not_seen() {
    for entry in [1, 2] {
        for kept in [false, true] {
            let mut world = World::new(3);
            let descriptor = Descriptor::parse(if kept { r#"{"state":"kept"}"# } else { r#"{"kind":"a"}"# }).unwrap();
            world.call(0, "board", RoomCall::Create { descriptor: Some(Box::new(descriptor)), made: false }).unwrap();
            let (ana, dan, eve) = (world.open_json(0), world.open_json(1), world.open_json(entry));
            for (client, name) in [(ana, "ana"), (dan, "dan"), (eve, "eve")] {
                join(&mut world, client, "board", name);
            }
            world.events(ana);
            let first = set(&mut world, ana, &json!({"key": "a", "value": 1}))[0]["version"].as_u64().unwrap();
            world.pass(200);
            let record = world.store[&Key::Room("board".parse().unwrap())].clone();
            // Of this one the next owner knows nothing: the record did not have it yet.
            set(&mut world, ana, &json!({"key": "b", "value": "ana"}));
            world.store.insert(Key::Room("board".parse().unwrap()), record);
            world.kill_at_once(0);
            world.pass(12_000);
            for change in [json!({"key": "b", "value": "dan"}), json!({"key": "a", "value": "dan"})] {
                set(&mut world, dan, &change);
            }
            world.events(eve);
            for (key, version) in [("a", 0), ("b", 1), ("a", 1), ("b", 0)].map(|(key, more)| (key, first + more)) {
                let told = set(&mut world, eve, &json!({"key": key, "value": "eve", "if_version": version}));
                assert_eq!(told[0]["code"], "version_conflict", "{key} by pod {entry}, kept: {kept}: {told:?}");
            }
        }
    }
}

#[test]
fn a_room_moves_only_to_a_pod_that_has_memory_for_its_state() {
    let mut world = World::with(2, |settings| settings.ring_total = 8_000);
    let mut rooms = Vec::new();
    for pod in [0, 1] {
        let (maker, client) = (world.open(pod), world.open_json(pod));
        let id = world.create(maker);
        join(&mut world, client, &id, "ana");
        assert_eq!(set(&mut world, client, &json!({"key": "a", "value": "x".repeat(3_000)}))[0]["version"], 1);
        rooms.push(client);
    }
    world.drain_to(0, 1);
    world.pass(2_000);
    assert_eq!([world.pods[0].room_count(), world.pods[1].room_count()], [1, 1]);
    set(&mut world, rooms[1], &json!({"key": "a", "value": null}));
    world.pass(10_000);
    assert_eq!([world.pods[0].room_count(), world.pods[1].room_count()], [0, 2]);
    assert!(world.pods[1].gauges().replay_bytes <= 8_000);
}
