//! Rooms with a descriptor: where it comes from, where it stays, and what each of its fields does. No I/O.

use chatd::directory::Key;
use chatd::join_token::RoomAccess;
use chatd::peer_protocol::Disconnect;
use chatd::protocol::ErrorCode;
use chatd::record::Record;
use chatd::room_call::{DescriptorPatch, RoomCall};
use serde_json::{Value, json};

use crate::join_tokens::{SECRET, refused, seconds, signed, token, world};
use crate::world::{Client, World};

pub const ROOM: &str = "match-42";

/// A token that makes [`ROOM`] with this descriptor, or enters it.
pub fn maker(world: &World, sub: &str, role: &str, create: &Value) -> String {
    let exp = seconds(world) + 3_600;
    signed(SECRET, &json!({"sub": sub, "room": "*", "exp": exp, "role": role, "create": create}))
}

/// [`ROOM`] with this descriptor, made by way of pod `entry`, with mia in it, who is a moderator.
pub fn made(world: &mut World, entry: usize, descriptor: &Value) -> Client {
    let mia = world.open(entry);
    let auth = maker(world, "mia", "moderator", descriptor);
    world.say(mia, &format!("JOIN {ROOM} mia AUTH={auth} RELAY RESUMABLE\n"));
    world.pass(1_000);
    let joined = world.hear(mia);
    assert!(joined.starts_with(&format!("JOINED {ROOM} mia mia\n")), "{joined}");
    mia
}

pub fn record(world: &World) -> Record {
    Record::parse(&world.store[&Key::Room(ROOM.parse().unwrap())]).unwrap()
}

/// What the room's record says that differs from the settings.
pub fn described(world: &World) -> Value {
    record(world).descriptor.map_or(Value::Null, |descriptor| serde_json::to_value(descriptor).unwrap())
}

/// Somebody comes in by way of pod `entry` with a token, or is refused.
pub fn join(world: &mut World, entry: usize, name: &str) -> (Client, String) {
    let client = world.open(entry);
    let auth = token(world, name, ROOM, 3_600);
    let answer = world.ask(client, &format!("JOIN {ROOM} {name} AUTH={auth} RELAY RESUMABLE\n"));
    (client, answer)
}

#[test]
fn a_descriptor_stays_with_its_room_and_what_it_does_not_say_costs_nothing() {
    for planned in [true, false] {
        let mut world = world(2, RoomAccess::Link);
        let descriptor = json!({"max_players": 2, "kind": "duel", "labels": ["a", "b"], "webhook": true});
        let mia = made(&mut world, 0, &descriptor);
        assert_eq!(described(&world), descriptor);
        // Who comes later with another one changes nothing.
        let bob = world.open(1);
        let auth = maker(&world, "bob", "member", &json!({"max_players": 8}));
        assert!(world.ask(bob, &format!("JOIN {ROOM} bob AUTH={auth} RELAY\n")).starts_with("JOINED "));
        world.leave_pod(0, 1, planned);
        let late = world.open_json(1);
        world.send(late, &json!({"type": "join", "room": ROOM, "name": "late"}));
        world.pass(1_000);
        let heard = world.events(late);
        assert_eq!(heard.last().unwrap()["code"], "room_full", "planned: {planned}: {heard:?}");
        assert_eq!(described(&world), descriptor, "planned: {planned}");
        assert_eq!(
            world.pods[1].inspect(world.time(), ROOM.parse().unwrap()).unwrap().descriptor.unwrap().kind.as_deref(),
            Some("duel")
        );
        world.hear(mia);
        assert!(world.pods.iter().all(|pod| pod.over_bounds().is_none()));
    }
    let mut world = world(1, RoomAccess::Link);
    made(&mut world, 0, &json!({}));
    assert!(!String::from_utf8_lossy(&world.store[&Key::Room(ROOM.parse().unwrap())]).contains("descriptor"));
}

#[test]
fn rooms_of_any_id_are_made_with_a_descriptor_too_and_at_a_pod_that_has_place() {
    let mut world = world(2, RoomAccess::Link);
    let auth = maker(&world, "host", "member", &json!({"max_players": 7}));
    let host = world.open(0);
    let answer = world.ask(host, &format!("CREATE_ROOM AUTH={auth}\n"));
    let room = answer.trim().strip_prefix("ROOM ").unwrap();
    let stored = |world: &World, room: &str| Record::parse(&world.store[&Key::Room(room.parse().unwrap())]).unwrap();
    assert_eq!(stored(&world, room).descriptor.unwrap().max_players, Some(7));
    let time = world.time();
    world.pods[0].create_room(time, 7, Some(&auth));
    world.run();
    let room = world.made.pop().unwrap().unwrap();
    assert_eq!(stored(&world, room.as_str()).descriptor.unwrap().max_players, Some(7));

    let mut world = World::with(2, |settings| settings.slots = chatd::hub::RoomSlots::new(1));
    world.pods.iter_mut().for_each(|pod| pod.set_join_keys(Some(crate::join_tokens::verifier(SECRET))));
    world.lease_all();
    let host = world.open(0);
    let first = world.create(host);
    world.ask(host, &format!("JOIN {first} host\n"));
    let guest = world.open(0);
    world.say(guest, &format!("CREATE_ROOM AUTH={auth}\n"));
    world.pass(1_000);
    let answer = world.hear(guest);
    let room = answer.trim().strip_prefix("ROOM ").unwrap();
    assert_eq!(stored(&world, room).boot, crate::world::boot(1));
    assert_eq!(stored(&world, room).descriptor.unwrap().max_players, Some(7));
}

#[test]
fn a_wrong_descriptor_is_a_token_that_is_not_accepted() {
    let mut world = world(1, RoomAccess::Link);
    let mia = world.open(0);
    let auth = maker(&world, "mia", "member", &json!({"max_players": 65}));
    refused(&world.ask(mia, &format!("JOIN {ROOM} mia AUTH={auth}\n")), "auth_invalid");
    refused(&world.ask(mia, &format!("CREATE_ROOM AUTH={auth}\n")), "auth_invalid");
    assert!(world.store.is_empty());
}

#[test]
fn seats_and_their_hold_are_the_rooms_own() {
    let mut world = world(2, RoomAccess::Link);
    let mia = made(&mut world, 1, &json!({"max_players": 6, "seat_hold": 120}));
    for name in ["a", "b", "c", "d", "e"] {
        assert!(join(&mut world, 0, name).1.starts_with("JOINED "), "{name}");
    }
    refused(&join(&mut world, 0, "f").1, "room_full");
    let time = world.time();
    world.pods[1].disconnected(time, mia.1, Disconnect::Lost);
    world.pass(100_000);
    refused(&join(&mut world, 0, "f").1, "room_full");
    world.pass(25_000);
    assert!(join(&mut world, 0, "f").1.starts_with("JOINED "));
    assert!(world.pods.iter().all(|pod| pod.over_bounds().is_none()));
}

#[test]
fn an_empty_room_stays_as_long_as_it_says() {
    let mut world = world(1, RoomAccess::Link);
    let mia = made(&mut world, 0, &json!({"empty_ttl": 5}));
    world.ask(mia, "LEAVE\n");
    world.pass(4_000);
    assert!(!world.store.is_empty());
    world.pass(2_000);
    assert!(world.store.is_empty());
}

#[test]
fn more_messages_are_replayed_where_the_room_keeps_more_and_their_bytes_are_counted() {
    let mut world = world(1, RoomAccess::Link);
    made(&mut world, 0, &json!({"replay_messages": 100, "replay_bytes": 100_000}));
    let bob = world.open_json(0);
    world.send(bob, &json!({"type": "join", "room": ROOM, "name": "bob", "resumable": true}));
    let joined = world.events(bob).remove(0);
    let time = world.time();
    world.pods[0].disconnected(time, bob.1, Disconnect::Lost);
    let ann = world.open(0);
    world.ask(ann, &format!("JOIN {ROOM} ann\n"));
    for number in 0..90 {
        world.ask(ann, &format!("{number:0>200}\n"));
        world.pass(200);
    }
    let again = world.open_json(0);
    let [timeline, seat] = ["timeline", "token"].map(|field| joined[field].clone());
    let resume = json!({"type": "resume", "room": ROOM, "token": seat, "timeline": timeline, "last_seq": 0});
    world.send(again, &resume);
    let heard = world.events(again);
    assert_eq!((&heard[0]["type"], &heard[0]["missed"]), (&json!("joined"), &json!(0)), "{:?}", heard[0]);
    assert_eq!(heard.len(), 91);
    assert_eq!(world.pods[0].over_bounds(), None);
}

#[test]
fn a_stranger_cannot_tell_a_room_that_needs_a_token_from_one_that_does_not_exist() {
    let mut world = world(3, RoomAccess::Link);
    let mia = made(&mut world, 0, &json!({"access": "token", "max_players": 1}));
    world.pass(200);
    for pod in [0, 1, 2] {
        for (ask, code) in [
            ("JOIN {room} bob", "auth_required"),
            ("JOIN {room} mia REDIRECT", "auth_required"),
            ("JOIN {room} bob KEY=0123456789abcdefghijkl", "auth_required"),
            ("RESUME {room} AQ7fKxSz0mEAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "room_not_found"),
        ] {
            let [there, nowhere] = [ROOM, "zzzzzzz3"].map(|room| {
                let stranger = world.open(pod);
                let before = world.requests;
                let answer = world.ask(stranger, &format!("{}\n", ask.replace("{room}", room)));
                (answer, world.requests - before)
            });
            refused(&there.0, code);
            assert_eq!(there, nowhere, "{ask} at {pod}");
        }
        let forged = signed([8; 32], &json!({"sub": "user-2", "room": "*", "exp": 9_999_999_999_u64}));
        for auth in [None, Some(forged.as_str())] {
            for room in [ROOM, "zzzzzzz3"] {
                let before = world.requests;
                assert_eq!(world.look_up_with(pod, room, auth), Some(Err(ErrorCode::RoomNotFound)), "{room} at {pod}");
                assert_eq!(world.requests - before, 1, "{room} at {pod}");
            }
        }
        let auth = token(&world, "user-9", ROOM, 60);
        assert_eq!(world.look_up_with(pod, ROOM, Some(&auth)), Some(Ok(1)));
    }
    // Its record is missing, and pods know its owner.
    let (friend, answer) = join(&mut world, 1, "friend");
    refused(&answer, "room_full");
    let record = world.store.remove(&Key::Room(ROOM.parse().unwrap())).unwrap();
    for ask in ["JOIN {room} bob", "JOIN {room} bob REDIRECT", "RESUME {room} AQ7fKxSz0mEAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
    {
        let [there, nowhere] = [ROOM, "zzzzzzz3"].map(|room| {
            let stranger = world.open(1);
            let before = world.requests;
            let answer = world.ask(stranger, &format!("{}\n", ask.replace("{room}", room)));
            (answer, world.requests - before)
        });
        assert!(there.0.starts_with("ERR "), "{there:?}");
        assert_eq!(there, nowhere, "{ask}");
    }
    assert_eq!(world.look_up_with(1, ROOM, None), Some(Err(ErrorCode::RoomNotFound)));
    let auth = token(&world, "friend", ROOM, 3_600);
    refused(&world.ask(friend, &format!("JOIN {ROOM} friend AUTH={auth} RELAY\n")), "room_full");
    world.store.insert(Key::Room(ROOM.parse().unwrap()), record);
    // Nobody asked for a takeover in vain, and the room goes on.
    assert_eq!(world.ask(mia, "hi\n"), "MSG mia hi\n");
    // Its owner is gone: who is nobody brings it back to nobody.
    world.kill(0);
    let stranger = world.open(1);
    refused(&world.ask(stranger, &format!("JOIN {ROOM} bob\n")), "auth_required");
    world.pass(8_000);
    assert!(world.pods[1].rooms().next().is_none());
}

/// It is no secret that it is there.
#[test]
fn while_the_record_of_an_open_room_is_missing_strangers_come_in_where_it_is_known() {
    for access in [RoomAccess::Link, RoomAccess::Token] {
        let mut world = world(2, access);
        made(&mut world, 0, &json!({"access": "link"}));
        let visitor = world.open(1);
        assert!(world.ask(visitor, &format!("JOIN {ROOM} visitor RELAY\n")).starts_with("JOINED "));
        world.store.remove(&Key::Room(ROOM.parse().unwrap())).unwrap();
        let bob = world.open(1);
        let joined = world.ask(bob, &format!("JOIN {ROOM} bob RELAY RESUMABLE\n"));
        assert!(joined.starts_with(&format!("JOINED {ROOM} bob ")), "{access:?}: {joined}");
        // One that has become a secret meanwhile lets nobody in who shows nothing.
        let patch = DescriptorPatch::parse(r#"{"access":"token"}"#).unwrap();
        world.call(1, ROOM, RoomCall::Patch(patch)).unwrap();
        world.store.remove(&Key::Room(ROOM.parse().unwrap()));
        let eve = world.open(1);
        refused(&world.ask(eve, &format!("JOIN {ROOM} eve RELAY\n")), "auth_required");
    }
}

#[test]
fn where_rooms_need_a_token_one_may_be_open_to_all() {
    for entry in [0, 1] {
        let mut world = world(2, RoomAccess::Token);
        made(&mut world, 0, &json!({"access": "link"}));
        let bob = world.open(entry);
        let joined = world.ask(bob, &format!("JOIN {ROOM} bob RELAY RESUMABLE\n"));
        assert!(joined.starts_with(&format!("JOINED {ROOM} bob mia,bob\n")), "{joined}");
        assert_eq!(world.look_up_with(entry, ROOM, None), Some(Ok(2)));
        assert_eq!(world.look_up_with(entry, "zzzzzzz3", None), Some(Err(ErrorCode::AuthRequired)));
        world.ask(bob, "LEAVE\n");
        refused(&world.ask(bob, "JOIN zzzzzzz3 bob\n"), "auth_required");
        // A guess is a guess here too.
        let mallory = world.open(entry);
        let mut heard = String::new();
        for _ in 0..10 {
            heard += &world.ask(mallory, "JOIN zzzzzzz3 bob\n");
        }
        assert!(heard.ends_with("BYE rate_limited\n"), "{heard}");
    }
}

#[test]
fn a_room_ends_at_its_time_for_everyone_and_does_not_come_back() {
    for planned in [None, Some(true), Some(false)] {
        let mut world = world(2, RoomAccess::Link);
        let ends = seconds(&world) + 60;
        let mia = made(&mut world, 0, &json!({"expires_at": ends}));
        let (bob, joined) = join(&mut world, 1, "bob");
        let seat = joined.lines().nth(1).unwrap().strip_prefix("TOKEN ").unwrap().to_owned();
        if let Some(planned) = planned {
            world.leave_pod(0, 1, planned);
        }
        world.pass(50_000);
        let heard = world.hear(bob);
        assert!(!heard.contains("BYE"), "{planned:?}: {heard}");
        world.pass(12_000);
        assert!(world.hear(bob).ends_with("ERR closed The room has ended.\nBYE closed\n"), "{planned:?}");
        if planned.is_none() {
            assert!(world.hear(mia).ends_with("BYE closed\n"));
        }
        assert!(record(&world).ended && world.pods[1].room_count() == 0, "{planned:?}");
        let again = world.open(1);
        refused(&world.ask(again, &format!("RESUME {ROOM} {seat} RELAY\n")), "room_not_found");
        // A token that would make a room which has ended makes none.
        let auth = maker(&world, "mia", "member", &json!({"expires_at": ends}));
        refused(&world.ask(again, &format!("JOIN {ROOM} mia AUTH={auth} RELAY\n")), "room_not_found");
        refused(&world.ask(again, &format!("CREATE_ROOM AUTH={auth}\n")), "forbidden");
        assert!(world.pods.iter().all(|pod| pod.over_bounds().is_none()));
    }
}

#[test]
fn a_room_whose_time_came_while_nobody_had_it_lets_nobody_in() {
    let mut world = world(2, RoomAccess::Link);
    let ends = seconds(&world) + 10;
    made(&mut world, 0, &json!({"expires_at": ends}));
    world.kill(0);
    world.pass(11_000);
    let bob = world.open(1);
    let auth = token(&world, "bob", ROOM, 60);
    world.say(bob, &format!("JOIN {ROOM} bob AUTH={auth} RELAY\n"));
    world.pass(6_000);
    refused(&world.hear(bob), "room_not_found");
    assert!(record(&world).ended && world.pods[1].room_count() == 0);
}

#[test]
fn who_may_make_the_room_waits_for_the_end_of_one_whose_time_is_over() {
    for entry in [0, 1] {
        let mut world = world(2, RoomAccess::Link);
        let descriptor = json!({"expires_at": seconds(&world) + 60, "kind": "old"});
        let mia = made(&mut world, 0, &descriptor);
        // The room is over by the clock, and no pod has looked at it yet.
        world.ahead += 61_000;
        let (ana, bob) = (world.open(entry), world.open(entry));
        let auth = maker(&world, "ana", "member", &json!({"kind": "new"}));
        world.say(ana, &format!("JOIN {ROOM} ana AUTH={auth} RELAY\n"));
        let other = token(&world, "bob", ROOM, 60);
        world.say(bob, &format!("JOIN {ROOM} bob AUTH={other} RELAY\n"));
        world.pass(1_000);
        assert_eq!(world.hear(ana), format!("JOINED {ROOM} ana ana\n"), "by pod {entry}");
        assert!(world.hear(mia).ends_with("BYE closed\n"));
        assert_eq!(described(&world), json!({"kind": "new"}));
        refused(&world.hear(bob), "room_not_found");
        assert!(world.pods.iter().all(|pod| pod.over_bounds().is_none()));
    }
}

#[test]
fn without_the_directory_it_waits_no_longer_than_for_any_other_room() {
    for entry in [0, 1] {
        let mut world = world(2, RoomAccess::Link);
        let descriptor = json!({"expires_at": seconds(&world) + 60});
        let mia = made(&mut world, 0, &descriptor);
        join(&mut world, entry, "bob");
        world.slow = true;
        world.pass(60_500);
        assert!(world.hear(mia).ends_with("BYE closed\n"));
        let ana = world.open(entry);
        let auth = maker(&world, "ana", "member", &json!({}));
        let join = format!("JOIN {ROOM} ana AUTH={auth} RELAY\n");
        world.say(ana, &join);
        world.pass(1_500);
        assert_eq!(world.hear(ana), "");
        world.pass(600);
        refused(&world.hear(ana), "unavailable");
        world.slow = false;
        world.pass(5_000);
        assert_eq!(world.ask(ana, &join), format!("JOINED {ROOM} ana ana\n"));
    }
}
