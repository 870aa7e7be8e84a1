//! Lists of the rooms of all pods, for the server API. No I/O.

use chatd::descriptor::Descriptor;
use chatd::protocol::ErrorCode;
use chatd::room_call::{DescriptorPatch, RoomCall};
use chatd::room_list::{ListFilter, ListedRoom, RoomList, Standing};
use serde_json::{Value, json};

use crate::world::World;

/// Three pods, each with two rooms: `a0`, `b0`, `a1` and so on. Those with an `a` are listed.
fn world() -> World {
    let mut world = World::new(3);
    for pod in 0..3 {
        for (room, descriptor) in [
            (format!("a{pod}"), json!({"kind": "duel", "labels": ["eu", "ranked"], "listed": true})),
            (format!("b{pod}"), json!({"kind": "party", "labels": ["eu"], "max_players": 8})),
        ] {
            let descriptor = Descriptor::parse(&descriptor.to_string()).unwrap();
            let create = RoomCall::Create { descriptor: Some(Box::new(descriptor)), made: false };
            let made = world.call(pod, &room, create).unwrap();
            assert_eq!(made["pod"], format!("chat-{pod}"));
        }
    }
    world
}

fn filter(fields: &Value) -> ListFilter {
    let text = |key: &str| fields.get(key).and_then(Value::as_str).map(Into::into);
    ListFilter {
        kind: text("kind"),
        labels: text("label").into_iter().collect(),
        free: fields.get("free").is_some(),
        listed: fields.get("listed").and_then(Value::as_bool),
        open: fields.get("open").is_some(),
        sub: None,
        after: fields.get("after").map(|after| after.as_str().unwrap().parse().unwrap()),
        limit: fields.get("limit").map_or(100, |limit| limit.as_u64().unwrap() as u16),
    }
}

fn names(rooms: &[ListedRoom]) -> Vec<&str> {
    rooms.iter().map(|listed| listed.room.as_str()).collect()
}

/// All rooms that fit, as the API of a pod puts them together, and the pods that have not answered.
pub fn list(world: &mut World, pod: usize, filter: &ListFilter) -> (Vec<ListedRoom>, Vec<String>) {
    let time = world.time();
    world.pods[pod].list_elsewhere(time, 1, filter.clone());
    world.run();
    if world.lists.is_empty() {
        world.pass(2_100);
    }
    let RoomList { mut rooms, incomplete } = world.lists.pop().expect("an answer").unwrap();
    rooms.extend(world.pods[pod].list_here(time, filter));
    (filter.first(rooms), incomplete)
}

#[test]
fn a_pod_whose_link_breaks_meanwhile_is_missing_alone() {
    let mut world = world();
    let time = world.time();
    world.mute = Some(2);
    world.pods[0].list_elsewhere(time, 1, filter(&json!({})));
    world.run();
    assert!(world.lists.is_empty());
    world.break_link(0, 2);
    world.run();
    let RoomList { rooms, incomplete } = world.lists.pop().expect("an answer").unwrap();
    assert_eq!((names(&rooms), incomplete), (vec!["a1", "b1"], vec!["chat-2".to_owned()]));
}

#[test]
fn every_pod_lists_the_rooms_of_all_that_fit() {
    let mut world = world();
    for (fields, expected) in [
        (json!({}), vec!["a0", "a1", "a2", "b0", "b1", "b2"]),
        (json!({"kind": "duel"}), vec!["a0", "a1", "a2"]),
        (json!({"label": "eu", "limit": 4}), vec!["a0", "a1", "a2", "b0"]),
        (json!({"label": "eu", "limit": 4, "after": "b0"}), vec!["b1", "b2"]),
        (json!({"listed": false, "kind": "party"}), vec!["b0", "b1", "b2"]),
        (json!({"listed": true, "kind": "party"}), vec![]),
        (json!({"kind": "none"}), vec![]),
    ] {
        for pod in 0..3 {
            let (rooms, incomplete) = list(&mut world, pod, &filter(&fields));
            assert_eq!((names(&rooms), incomplete.len()), (expected.clone(), 0), "{fields} by pod {pod}");
        }
    }
}

#[test]
fn into_rooms_that_are_open_a_stranger_can_come_now() {
    let mut world = world();
    let filter = filter(&json!({"listed": true, "open": true}));
    let list = |world: &mut World| -> Vec<String> {
        list(world, 2, &filter).0.iter().map(|listed| listed.room.as_str().to_owned()).collect()
    };
    let patch = |world: &mut World, room: &str, fields: Value| {
        let patch = DescriptorPatch::parse(&fields.to_string()).unwrap();
        world.call(2, room, RoomCall::Patch(patch)).unwrap();
    };
    assert_eq!(list(&mut world), ["a0", "a1", "a2"]);
    for (closed, opened) in
        [(json!({"locked": true}), json!({"locked": false})), (json!({"access": "token"}), json!({"access": "link"}))]
    {
        patch(&mut world, "a1", closed);
        assert_eq!(list(&mut world), ["a0", "a2"]);
        patch(&mut world, "a1", opened);
        assert_eq!(list(&mut world), ["a0", "a1", "a2"]);
    }
    patch(&mut world, "a0", json!({"max_players": 1}));
    let guest = world.open(1);
    world.ask(guest, "JOIN a0 ana RELAY\n");
    assert_eq!(list(&mut world), ["a1", "a2"]);
    world.ask(guest, "LEAVE\n");
    assert_eq!(list(&mut world), ["a0", "a1", "a2"]);
}

#[test]
fn a_list_says_who_is_where() {
    let mut world = world();
    let guest = world.open(0);
    assert!(world.ask(guest, "JOIN b1 ana RELAY\n").starts_with("JOINED "));
    let (rooms, _) = list(&mut world, 2, &filter(&json!({"after": "b0", "limit": 1})));
    let expected = ListedRoom {
        room: "b1".parse().unwrap(),
        pod: "chat-1".into(),
        players: 1,
        max_players: 8,
        locked: false,
        listed: false,
        kind: Some("party".into()),
        labels: vec!["eu".into()],
        standing: Standing::Stranger,
    };
    assert_eq!(rooms, [expected]);
}

#[test]
fn pods_that_do_not_answer_in_time_are_named() {
    let mut world = world();
    // The links are there.
    list(&mut world, 0, &filter(&json!({})));
    world.mute = Some(1);
    let (rooms, incomplete) = list(&mut world, 0, &filter(&json!({})));
    assert_eq!((names(&rooms), incomplete), (vec!["a0", "a2", "b0", "b2"], vec!["chat-1".to_owned()]));
    world.mute = None;
    world.kill_at_once(2);
    let (rooms, incomplete) = list(&mut world, 0, &filter(&json!({})));
    assert_eq!((names(&rooms), incomplete), (vec!["a0", "a1", "b0", "b1"], vec!["chat-2".to_owned()]));
}

#[test]
fn without_the_directory_there_is_no_list() {
    let mut world = world();
    world.away = true;
    let time = world.time();
    world.pods[0].list_elsewhere(time, 1, filter(&json!({})));
    world.run();
    assert_eq!(world.lists.pop(), Some(Err(ErrorCode::Unavailable)));
}
