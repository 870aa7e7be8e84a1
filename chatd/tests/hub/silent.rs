//! Pods that do not answer, and when that is noticed: not before their time is over, and no later. No I/O.

use chatd::directory::Key;
use chatd::peer_protocol::{Frame, Served};
use chatd::record::Record;

use crate::world::{Client, World, boot};

/// A room of the first pod, which the second has a link to. Nothing is heard of the first any more; the link is there yet.
fn frozen() -> (World, String) {
    let mut world = World::new(2);
    let (room, _, _) = world.room_of_two(1, "");
    world.alive[0] = false;
    (world, room)
}

fn join(world: &mut World, room: &str) -> Client {
    let client = world.open(1);
    world.say(client, &format!("JOIN {room} carol RELAY\n"));
    client
}

#[test]
fn the_lease_of_a_linked_pod_that_does_not_answer_is_asked_for_while_it_has_time_left() {
    let (mut world, room) = frozen();
    // It is gone from the directory, and that is known when the pod's time to answer is over.
    let carol = join(&mut world, &room);
    world.pass(1_900);
    assert_eq!(world.hear(carol), "");
    world.pass(200);
    assert_eq!(world.hear(carol), format!("JOINED {room} carol carol\n"));
}

#[test]
fn an_owner_that_answers_in_time_gives_nobody_the_longer_time_of_a_takeover() {
    let (mut world, room) = frozen();
    let carol = join(&mut world, &room);
    // It says that it will be ready soon, and then the directory does not answer.
    world.waits_for_answers = Some(1);
    let time = world.time();
    let soon = Frame::Answer { room: room.parse().unwrap(), ticket: 0, served: Served::Soon };
    world.pods[1].frame(time, boot(0), soon);
    world.pass(2_100);
    let heard = world.hear(carol);
    assert!(heard.starts_with("ERR unavailable "), "{heard:?}");
}

/// The first pod has offered a room to the second, which does not answer.
fn offered() -> World {
    let mut world = World::new(2);
    world.room_of_two(1, "");
    world.alive[1] = false;
    world.drain_to(0, 1);
    world.run();
    world
}

#[test]
fn an_offer_that_is_not_answered_is_looked_into_when_its_time_is_over() {
    let mut world = offered();
    world.pass(1_900);
    let before = world.requests;
    world.pass(100);
    assert!(world.requests > before);
}

#[test]
fn an_offer_is_looked_into_at_once_when_its_link_is_gone() {
    let mut world = offered();
    let before = world.requests;
    let time = world.time();
    world.pods[0].peer_down(time, boot(1));
    world.run();
    assert!(world.requests > before);
}

#[test]
fn a_room_that_was_refused_since_the_directory_did_not_answer_is_waited_for_no_longer_than_a_late_swap_may_take() {
    let mut world = World::new(2);
    world.room_of_two(0, "");
    world.slow = true;
    world.drain_to(0, 1);
    world.run();
    let incoming = |world: &World| {
        let under_way = world.pods[1].under_way();
        under_way.into_iter().find(|(what, _)| *what == "incoming moves").map(|(_, count)| count)
    };
    assert_eq!(incoming(&world), Some(1));
    world.pods[1].shrink();
    // The refusal goes out with the next look.
    world.pass(300);
    world.alive[0] = false;
    world.pass(2_700);
    assert_eq!(incoming(&world), Some(1));
    world.pass(400);
    assert_eq!(incoming(&world), Some(0));
}

#[test]
fn all_rooms_of_a_silent_pod_are_looked_for_anew_once_one_of_them_is_found_to_be_elsewhere() {
    let mut world = World::new(3);
    world.lease_all();
    let host = world.open(0);
    let rooms: Vec<String> = (0..8).map(|_| world.create(host)).collect();
    world.kill(0);
    let clients: Vec<Client> = rooms.iter().map(|room| join(&mut world, room)).collect();
    world.pass(500);
    // It was only cut off, has given its rooms away, and the new owner has ended since.
    for room in &rooms {
        let key = Key::Room(room.parse().unwrap());
        let mut record = Record::parse(&world.store[&key]).unwrap();
        (record.epoch, record.boot) = (record.epoch + 1, boot(2));
        (record.pod_id, record.peer) = ("chat-2".into(), "2".into());
        world.store.insert(key, record.to_bytes());
    }
    world.pass(2_400);
    for client in clients {
        let heard = world.hear(client);
        assert!(heard.starts_with("JOINED "), "{heard:?}");
    }
}

#[test]
fn nothing_is_written_of_a_room_that_is_offered() {
    let mut world = offered();
    let before = world.swaps;
    let time = world.time();
    world.pods[0].lease_lost(time);
    world.pass(1_900);
    assert_eq!(world.swaps, before);
}

#[test]
fn an_owner_that_can_be_reached_again_has_the_usual_time_to_answer() {
    let mut world = World::new(2);
    world.lease_all();
    let host = world.open(0);
    let room = world.create(host);
    world.kill(0);
    join(&mut world, &room);
    // Not when its lease is looked at anyway.
    world.pass(1_300);
    // Its lease is gone as well, and nobody else has the room yet.
    let time = world.time();
    world.pods[1].peer_up(time, boot(0));
    world.store.remove(&Key::Pod("chat-0".into()));
    world.pass(1_900);
    assert_eq!(world.pods[1].room_count(), 0);
    world.pass(200);
    assert_eq!(world.pods[1].room_count(), 1);
}

#[test]
fn a_relayed_client_whose_owner_is_silent_is_let_go_after_fifteen_seconds() {
    let mut world = World::new(2);
    world.lease_all();
    let (_, _, bob) = world.room_of_two(1, "");
    world.kill_at_once(0);
    world.pass(14_900);
    assert_eq!(world.hear(bob), "");
    world.pass(200);
    assert!(world.hear(bob).ends_with("\nBYE unavailable\n"));
}

#[test]
fn a_room_whose_write_was_given_up_is_looked_at_again_once_it_cannot_be_carried_out_any_more() {
    let asked = |slow: bool| {
        let mut world = World::new(1);
        let host = world.open(0);
        let room = world.create(host);
        world.slow = slow;
        let alice = world.open(0);
        world.say(alice, &format!("JOIN {room} alice\n"));
        world.slow = false;
        world.pass(1_000);
        let before = world.requests;
        world.pass(3_000);
        world.requests - before
    };
    assert_eq!([false, true].map(asked), [0, 1]);
}
