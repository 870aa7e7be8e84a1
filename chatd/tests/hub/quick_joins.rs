//! Places that are kept for people who are about to come in (the server API's quick join). No I/O.

use chatd::descriptor::Descriptor;
use chatd::join_token::{Pass, RoomAccess};
use chatd::protocol::ErrorCode;
use chatd::room_call::{DescriptorPatch, RoomCall};
use chatd::room_list::{ListFilter, Standing};
use serde_json::{Value, json};

use crate::join_tokens::{refused, token, world};
use crate::lists::list;
use crate::world::World;

const ROOM: &str = "arena";

fn described(descriptor: &Value) -> Descriptor {
    Descriptor::parse(&descriptor.to_string()).unwrap()
}

fn reserve(sub: &str, name: Option<&str>) -> RoomCall {
    let name = name.map(|name| name.parse().unwrap());
    let pass = Pass::new(sub, name, Some("Display"), None, 600).unwrap();
    RoomCall::Reserve { pass: Box::new(pass), descriptor: None, made: false }
}

/// Two pods, and at the first one a room for two that is listed.
fn arena(more: &Value) -> World {
    let mut world = world(2, RoomAccess::Link);
    make(&mut world, more);
    world
}

fn make(world: &mut World, more: &Value) {
    let mut like = json!({"max_players": 2, "listed": true});
    like.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made =
        world.call(0, ROOM, RoomCall::Create { descriptor: Some(Box::new(described(&like))), made: false }).unwrap();
    assert_eq!(made["pod"], "chat-0");
}

/// What a client hears that comes in by pod `pod` with this token.
fn join(world: &mut World, pod: usize, name: &str, auth: Option<&str>) -> String {
    let auth = auth.map(|auth| format!(" AUTH={auth}")).unwrap_or_default();
    let client = world.open(pod);
    world.say(client, &format!("JOIN {ROOM} {name} RELAY{auth}\n"));
    world.pass(1_000);
    world.hear(client)
}

fn is_listed_as_free(world: &World) -> bool {
    let filter = ListFilter { free: true, limit: 10, ..ListFilter::default() };
    !world.pods[0].list_here(world.time(), &filter).is_empty()
}

#[test]
fn the_last_place_is_kept_for_one_of_two_who_ask_at_once() {
    for pods in [[0, 0], [0, 1], [1, 0], [1, 1]] {
        let mut world = arena(&json!({}));
        assert!(join(&mut world, 0, "ana", None).starts_with("JOINED "));
        let (time, room) = (world.time(), ROOM.parse().unwrap());
        let ask = |(pod, sub): (usize, &str)| (pod, world.pods[pod].call(time, room, reserve(sub, None)));
        let calls: Vec<_> = [(pods[0], "user-1"), (pods[1], "user-2")].map(ask).into();
        world.run();
        let answers: Vec<_> = calls.into_iter().map(|(pod, call)| world.answer_to((pod, call))).collect();
        let place = answers.iter().find_map(|answer| answer.as_ref().ok()).expect("a place");
        assert!(answers.contains(&Err(ErrorCode::RoomFull)), "{pods:?}: {answers:?}");
        assert_eq!((&place["room"], &place["kept_for"], &place["expires_in"]), (&ROOM.into(), &10.into(), &600.into()));
        assert!(!is_listed_as_free(&world));
        refused(&join(&mut world, pods[1], "eve", None), "room_full");
        let other = token(&world, "user-3", ROOM, 600);
        refused(&join(&mut world, pods[0], "eve", Some(&other)), "room_full");
        let joined = join(&mut world, pods[1], "ben", place["token"].as_str());
        assert!(joined.starts_with(&format!("JOINED {ROOM} ben ")), "{joined}");
        refused(&join(&mut world, 0, "eve", None), "room_full");
    }
}

#[test]
fn who_asks_again_takes_one_place() {
    let mut world = arena(&json!({}));
    for sub in ["user-1", "user-1", "user-2", "user-1"] {
        world.call(1, ROOM, reserve(sub, None)).unwrap();
    }
    assert_eq!(world.call(0, ROOM, reserve("user-3", None)), Err(ErrorCode::RoomFull));
}

#[test]
fn a_place_that_nobody_takes_is_free_again_after_ten_seconds() {
    let mut world = arena(&json!({}));
    for sub in ["user-1", "user-2"] {
        world.call(1, ROOM, reserve(sub, None)).unwrap();
    }
    world.pass(5_000);
    // Once more: for as long again, and no second place.
    world.call(0, ROOM, reserve("user-2", None)).unwrap();
    assert_eq!(world.call(0, ROOM, reserve("user-3", None)), Err(ErrorCode::RoomFull));
    world.pass(5_000);
    assert!(is_listed_as_free(&world));
    assert!(join(&mut world, 0, "ana", None).starts_with("JOINED "));
    refused(&join(&mut world, 0, "eve", None), "room_full");
    world.pass(5_000);
    assert!(join(&mut world, 0, "eve", None).starts_with("JOINED "));
}

#[test]
fn a_name_is_kept_with_the_place() {
    let mut world = arena(&json!({"max_players": 8}));
    let place = world.call(0, ROOM, reserve("user-1", Some("Ana"))).unwrap();
    refused(&join(&mut world, 1, "ana", None), "name_taken");
    assert_eq!(world.call(0, ROOM, reserve("user-2", Some("ana"))), Err(ErrorCode::NameTaken));
    assert!(join(&mut world, 1, "ben", None).starts_with("JOINED "));
    assert_eq!(world.call(0, ROOM, reserve("user-2", Some("ben"))), Err(ErrorCode::NameTaken));
    let joined = join(&mut world, 1, "Ana", place["token"].as_str());
    assert!(joined.starts_with(&format!("JOINED {ROOM} Ana ")), "{joined}");
    // Who is in needs no place; the token is another one.
    assert!(world.call(0, ROOM, reserve("user-1", Some("Ana"))).is_ok());
    assert!(join(&mut world, 1, "cem", None).starts_with("JOINED "));
}

#[test]
fn a_place_goes_along_with_a_planned_move_and_is_lost_with_its_owner() {
    for planned in [true, false] {
        let mut world = arena(&json!({"max_players": 1}));
        world.call(1, ROOM, reserve("user-1", None)).unwrap();
        world.leave_pod(0, 1, planned);
        assert!(world.now < 11_000, "it is kept yet");
        let heard = join(&mut world, 1, "eve", None);
        if planned {
            refused(&heard, "room_full");
            world.pass(10_500);
            let heard = join(&mut world, 1, "eve", None);
            assert!(heard.starts_with("JOINED "), "kept for longer than it was: {heard}");
        } else {
            assert!(heard.starts_with("JOINED "), "{heard}");
        }
    }
}

#[test]
fn only_a_listed_room_that_lets_the_person_in_gives_a_place() {
    for (patch, code) in
        [(json!({"listed": false}), ErrorCode::RoomNotFound), (json!({"locked": true}), ErrorCode::RoomLocked)]
    {
        let mut world = arena(&json!({}));
        world.call(0, ROOM, RoomCall::Patch(DescriptorPatch::parse(&patch.to_string()).unwrap())).unwrap();
        assert_eq!(world.call(1, ROOM, reserve("user-1", None)), Err(code));
    }
    let mut world = arena(&json!({}));
    assert_eq!(world.call(1, "nowhere", reserve("user-1", None)), Err(ErrorCode::RoomNotFound));
    let place = world.call(1, ROOM, reserve("user-1", None)).unwrap();
    assert!(join(&mut world, 0, "ana", place["token"].as_str()).starts_with("JOINED "));
    world.call(0, ROOM, RoomCall::Kick { name: "ana".parse().unwrap(), ban_s: Some(60) }).unwrap();
    assert_eq!(world.call(1, ROOM, reserve("user-1", None)), Err(ErrorCode::Banned));
    world.call(1, ROOM, reserve("user-2", None)).unwrap();
}

#[test]
fn a_new_room_is_made_with_its_first_place_taken() {
    for pod in [0, 1] {
        let mut world = world(2, RoomAccess::Token);
        let RoomCall::Reserve { pass, .. } = reserve("user-1", None) else { unreachable!() };
        let descriptor = Some(Box::new(described(&json!({"max_players": 1, "listed": true, "empty_ttl": 1}))));
        let call = RoomCall::Reserve { pass, descriptor, made: false };
        let place = world.call(pod, ROOM, call.clone()).unwrap();
        assert_eq!((&place["created"], &place["room"]), (&true.into(), &ROOM.into()));
        assert_eq!(world.call(0, ROOM, reserve("user-2", None)), Err(ErrorCode::RoomFull));
        // Though it is to close after a second with nobody in it.
        world.pass(5_000);
        let again = world.call(1, ROOM, call.clone()).unwrap();
        assert_eq!(again.get("created"), None, "{again}");
        world.pass(9_000);
        let joined = join(&mut world, 1, "ana", place["token"].as_str());
        assert!(joined.starts_with("JOINED "), "{joined}");
        let mut world = self::world(2, RoomAccess::Token);
        world.call(pod, ROOM, call).unwrap();
        world.pass(11_500);
        assert_eq!(world.call(0, ROOM, RoomCall::Get), Err(ErrorCode::RoomNotFound));
    }
}

#[test]
fn without_keys_of_join_tokens_there_is_a_room_and_nothing_is_kept() {
    let mut world = World::new(2);
    make(&mut world, &json!({"max_players": 1}));
    for _ in 0..2 {
        assert_eq!(world.call(1, ROOM, reserve("user-1", None)), Ok(json!({"room": ROOM})));
    }
    assert!(join(&mut world, 1, "ana", None).starts_with("JOINED "));
    assert_eq!(world.call(1, ROOM, reserve("user-1", None)), Err(ErrorCode::RoomFull));
}

/// Two pods that have rooms for one each, and a third that has none.
fn many_rooms() -> World {
    let mut world = world(3, RoomAccess::Link);
    for room in 0..16 {
        let like = json!({"max_players": 1, "listed": true, "kind": "duel"});
        let call = RoomCall::Create { descriptor: Some(Box::new(described(&like))), made: false };
        let pod = room % 2;
        assert_eq!(world.call(pod, &format!("room-{room}"), call).unwrap()["pod"], format!("chat-{pod}"));
    }
    world
}

/// The first rooms that each pod's quick join finds for this person, who has something in so many of them.
fn candidates(world: &mut World, sub: &str) -> [Vec<(String, Standing)>; 3] {
    let filter = ListFilter {
        sub: Some(sub.into()),
        kind: Some("duel".into()),
        listed: Some(true),
        free: true,
        limit: 3,
        ..ListFilter::default()
    };
    [0, 1, 2].map(|pod| {
        let (rooms, incomplete) = list(world, pod, &filter);
        assert!(incomplete.is_empty());
        rooms.into_iter().map(|listed| (listed.room.to_string(), listed.standing)).collect()
    })
}

fn first_ones(world: &mut World, sub: &str) -> [(String, Standing); 3] {
    candidates(world, sub).map(|rooms| rooms[0].clone())
}

#[test]
fn each_pod_offers_one_person_the_same_rooms_and_others_other_ones() {
    let mut world = many_rooms();
    let mut offered = std::collections::BTreeSet::new();
    for person in 0..12 {
        let lists = candidates(&mut world, &format!("user-{person}"));
        assert!(lists.iter().all(|rooms| rooms.len() == 3 && *rooms == lists[0]), "{lists:?}");
        offered.insert(lists[0][0].0.clone());
    }
    assert!(offered.len() > 5, "{offered:?}");
}

#[test]
fn who_asks_again_is_shown_the_own_room_first_by_every_pod() {
    let mut world = many_rooms();
    // Neither the first nor the last of either pod, and full for all others.
    for (room, sub) in [("room-7", "user-1"), ("room-12", "user-2")] {
        let place = world.call(2, room, reserve(sub, None)).unwrap();
        let is = |standing| [(); 3].map(|()| (room.to_owned(), standing));
        assert_eq!(first_ones(&mut world, sub), is(Standing::Expected));
        for lists in candidates(&mut world, "somebody") {
            assert!(lists.iter().all(|(other, standing)| other != room && *standing == Standing::Stranger));
        }
        // As long as the place is kept.
        world.pass(11_000);
        assert!(first_ones(&mut world, sub).iter().all(|(_, standing)| *standing == Standing::Stranger));
        world.call(1, room, reserve(sub, None)).unwrap();
        // In a locked room it is good for nothing, and a seat is.
        let lock =
            |locked: bool| RoomCall::Patch(DescriptorPatch::parse(&json!({"locked": locked}).to_string()).unwrap());
        world.call(0, room, lock(true)).unwrap();
        assert!(first_ones(&mut world, sub).iter().all(|(_, standing)| *standing == Standing::Stranger));
        world.call(0, room, lock(false)).unwrap();
        let client = world.open(2);
        let auth = token(&world, sub, room, 600);
        assert_eq!(place["room"], room);
        assert!(world.ask(client, &format!("JOIN {room} {sub} RELAY RESUMABLE AUTH={auth}\n")).starts_with("JOINED "));
        world.call(0, room, lock(true)).unwrap();
        assert_eq!(first_ones(&mut world, sub), is(Standing::Seated));
        // And gives a token for the seat, through any pod.
        for pod in 0..3 {
            assert_eq!(world.call(pod, room, reserve(sub, None)).unwrap()["room"], room);
        }
        // Only where it fits what is asked for.
        world.call(0, room, RoomCall::Patch(DescriptorPatch::parse(r#"{"kind": "party"}"#).unwrap())).unwrap();
        assert!(first_ones(&mut world, sub).iter().all(|(_, standing)| *standing == Standing::Stranger));
    }
}

#[test]
fn a_room_that_moves_is_shown_to_whom_it_keeps_a_place_for() {
    let mut world = many_rooms();
    world.call(2, "room-7", reserve("user-1", None)).unwrap();
    // The next owner writes no record yet.
    world.slow_at = Some(0);
    world.drain_to(1, 0);
    let room = "room-7".parse().unwrap();
    let state = |world: &World| world.pods[1].inspect(world.time(), room).map(|room| room.state);
    for _ in 0..20 {
        if state(&world) != Some("moving") {
            world.pass(10);
        }
    }
    assert_eq!(state(&world), Some("moving"));
    assert!(first_ones(&mut world, "user-1").iter().all(|first| *first == ("room-7".into(), Standing::Expected)));
    assert!(candidates(&mut world, "user-2").iter().flatten().all(|(_, standing)| *standing == Standing::Stranger));
    world.slow_at = None;
    world.pass(3_000);
    assert_eq!(world.pods[1].room_count(), 0);
    assert!(first_ones(&mut world, "user-1").iter().all(|first| *first == ("room-7".into(), Standing::Expected)));
}

#[test]
fn a_pod_that_hangs_holds_a_person_up_for_a_second() {
    let mut world = many_rooms();
    candidates(&mut world, "user-1");
    world.mute = Some(1);
    let filter = ListFilter { sub: Some("user-1".into()), limit: 3, ..ListFilter::default() };
    let time = world.time();
    world.pods[2].list_elsewhere(time, 1, filter);
    world.run();
    world.pass(900);
    assert!(world.lists.is_empty());
    world.pass(200);
    let found = world.lists.pop().expect("an answer").unwrap();
    assert_eq!((found.rooms.len(), found.incomplete), (3, vec!["chat-1".to_owned()]));
}
