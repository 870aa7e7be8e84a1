//! What stays of a room that has ended for everyone: a tombstone in place of its record. No I/O.

use chatd::descriptor::{Descriptor, RoomAccess};
use chatd::directory::Key;
use chatd::protocol::{ErrorCode, RoomId};
use chatd::record::Record;
use chatd::room_call::RoomCall;
use chatd::webhook::Occurrence;
use serde_json::json;

use crate::join_tokens::refused;
use crate::world::{Client, World, boot};

pub const ROOM: &str = "match-42";

pub fn key() -> Key {
    Key::Room(ROOM.parse::<RoomId>().unwrap())
}

pub fn record(world: &World) -> Record {
    Record::parse(&world.store[&key()]).unwrap()
}

pub fn create(kind: &str) -> RoomCall {
    let descriptor = Descriptor { kind: Some(kind.into()), ..Descriptor::default() };
    RoomCall::Create { descriptor: Some(Box::new(descriptor)), made: false }
}

/// The application has made the room at the first pod, and alice is in it by way of pod `entry`.
pub fn made(pods: usize, entry: usize) -> (World, Client) {
    let mut world = World::with(pods, |settings| settings.webhook = true);
    world.call(0, ROOM, create("old")).unwrap();
    let alice = world.open(entry);
    let joined = world.ask(alice, &format!("JOIN {ROOM} alice RELAY RESUMABLE\n"));
    assert!(joined.starts_with("JOINED "), "{joined}");
    (world, alice)
}

/// Nobody has the room, and nobody comes into it.
fn has_ended(world: &mut World) {
    assert!(record(world).ended);
    assert_eq!(world.pods.iter().map(chatd::hub::Hub::room_count).sum::<usize>(), 0);
    for pod in 0..world.pods.len() {
        let client = world.open(pod);
        refused(&world.ask(client, &format!("JOIN {ROOM} eve RELAY\n")), "room_not_found");
        assert_eq!(world.look_up(pod, ROOM), Some(Err(ErrorCode::RoomNotFound)));
        assert_eq!(world.call(pod, ROOM, RoomCall::Get), Err(ErrorCode::RoomNotFound));
    }
    assert!(world.pods.iter().all(|pod| pod.over_bounds().is_none()));
}

/// It had the room before, was frozen, and knows nothing of the takeover, nor of the end.
#[test]
fn a_former_owner_that_comes_to_itself_after_the_end_ends_the_room_as_well() {
    for entry in [0, 2] {
        let (mut world, alice) = made(3, entry);
        world.kill(0);
        let bob = world.open(1);
        world.say(bob, &format!("JOIN {ROOM} bob RELAY\n"));
        world.pass(6_000);
        assert!(world.hear(bob).starts_with("JOINED "));
        assert_eq!(world.call(1, ROOM, RoomCall::End), Ok(json!({"closed": ROOM})));
        assert!(world.hear(bob).ends_with("ERR closed The room has ended.\nBYE closed\n"));
        world.pass(1_000);
        world.alive[0] = true;
        world.pass(3_000);
        let heard = world.hear(alice);
        assert!(heard.ends_with("BYE closed\n"), "alice by pod {entry}: {heard}");
        has_ended(&mut world);
        let is_closed = |what: &Occurrence| matches!(what, Occurrence::Closed(_));
        let closed = world.webhook.iter().filter(|(_, event)| is_closed(&event.what));
        let told: Vec<usize> = closed.map(|(pod, _)| *pod).collect();
        assert!(told.len() == 1 && told[0] != 0, "{told:?}");
    }
}

/// What it told the members is lost with it, and their pod finds the tombstone where it looks for the next owner.
#[test]
fn who_hears_nothing_of_the_end_hears_of_it_where_the_owner_is_looked_for() {
    let (mut world, alice) = made(2, 1);
    world.pass(200);
    world.mute = Some(0);
    world.call(0, ROOM, RoomCall::End).unwrap();
    world.pass(500);
    assert_eq!(world.hear(alice), "");
    world.mute = None;
    world.kill_at_once(0);
    world.pass(1_000);
    assert_eq!(world.hear(alice), "ERR closed The room has ended.\nBYE closed\n");
    world.alive[0] = true;
    has_ended(&mut world);
}

#[test]
fn in_place_of_a_tombstone_a_room_may_be_made_by_a_higher_epoch() {
    for (by, behind) in [(0, 0), (1, 0), (1, 5_000_000)] {
        let (mut world, _) = made(2, 0);
        world.call(0, ROOM, RoomCall::End).unwrap();
        world.pass(500);
        has_ended(&mut world);
        // Rooms that have often changed hands are ahead of the clock.
        let tombstone = Record { epoch: record(&world).epoch + behind, ..record(&world) };
        world.store.insert(key(), tombstone.to_bytes());
        let made = world.call(by, ROOM, create("new")).unwrap();
        assert_eq!((&made["created"], &made["pod"]), (&json!(true), &json!(format!("chat-{by}"))));
        let new = record(&world);
        assert!(!new.ended && new.epoch > tombstone.epoch && new.boot == boot(by), "{new:?}");
        assert_eq!(new.descriptor.unwrap().kind.as_deref(), Some("new"));
        let carol = world.open(1 - by);
        assert!(world.ask(carol, &format!("JOIN {ROOM} carol RELAY\n")).starts_with("JOINED "));
        assert_eq!(world.ask(carol, "hello\n"), "MSG carol hello\n");
    }
}

#[test]
fn two_pods_that_make_a_room_in_place_of_a_tombstone_make_one() {
    let (mut world, _) = made(2, 0);
    world.call(0, ROOM, RoomCall::End).unwrap();
    world.pass(500);
    let time = world.time();
    let calls = [0, 1].map(|pod| (pod, world.pods[pod].call(time, ROOM.parse().unwrap(), create("new"))));
    world.run();
    world.pass(500);
    let owners = calls.map(|call| world.answer_to(call).unwrap()["pod"].clone());
    assert_eq!(owners[0], owners[1]);
}

/// Only what was ended leaves something: a room by link is as if it had never been.
#[test]
fn a_room_that_was_left_empty_leaves_no_tombstone() {
    let mut world = World::with(1, |settings| settings.empty_ttl = 1_000);
    let alice = world.open(0);
    let room = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice\nLEAVE\n"));
    world.pass(2_000);
    assert!(world.store.is_empty(), "{:?}", world.store);
}

/// The room is made again before the pod of a member that heard nothing of the end looks for the owner.
#[test]
fn who_was_in_the_room_that_ended_does_not_get_into_one_that_needs_a_token() {
    let (mut world, alice) = made(2, 1);
    world.pass(200);
    world.mute = Some(0);
    world.call(0, ROOM, RoomCall::End).unwrap();
    world.pass(500);
    let descriptor = Descriptor { access: Some(RoomAccess::Token), ..Descriptor::default() };
    world.call(0, ROOM, RoomCall::Create { descriptor: Some(Box::new(descriptor)), made: false }).unwrap();
    world.mute = None;
    let time = world.time();
    world.pods[1].peer_down(time, boot(0));
    world.pods[0].peer_down(time, boot(1));
    world.pass(3_000);
    let heard = world.hear(alice);
    assert!(heard.ends_with("ERR closed The room has ended.\nBYE closed\n"), "{heard}");
    assert_eq!(world.call(1, ROOM, RoomCall::Get).unwrap()["players"], json!([]));
}
