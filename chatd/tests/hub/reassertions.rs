//! Owners that reassert their rooms under an epoch one higher. No I/O.

use chatd::directory::Key;
use chatd::lease::Target;
use chatd::peer_protocol::Frame;
use chatd::protocol::{Ownership, RoomId};
use chatd::record::Record;

use crate::world::{World, boot};

#[test]
fn a_lost_lease_makes_the_owner_reassert_each_room() {
    let mut world = World::new(2);
    let (room, alice, bob) = world.room_of_two(1, "");
    let host = world.open(0);
    let empty = world.create(host);
    world.hear(bob);
    let owners = |world: &World| {
        [&room, &empty].map(|room| {
            let record = Record::parse(&world.store[&Key::Room(room.parse().unwrap())]).unwrap();
            (record.boot, record.epoch)
        })
    };
    let before = owners(&world);
    let time = world.time();
    world.pods[0].lease_lost(time);
    world.pass(100);
    assert_eq!(owners(&world), before.map(|(_, epoch)| (boot(0), epoch + 1)));
    assert_eq!(world.ask(alice, "hello\n"), "MSG alice hello\n");
    assert_eq!(world.hear(bob), "MSG alice hello\n");
}

#[test]
fn a_reassertion_does_not_delay_an_offered_room() {
    for cause in ["lease lost", "asked to reassert above a dead owner"] {
        let mut world = World::new(2);
        let alice = world.open(0);
        let room = world.create(alice);
        world.ask(alice, &format!("JOIN {room} alice RELAY\n"));
        let time = world.time();
        world.pods[0].peer_up(time, boot(1));
        world.pods[1].peer_up(time, boot(0));
        world.drain_to(0, 1);
        // The offer is on its way.
        if cause == "lease lost" {
            world.pods[0].lease_lost(time);
        } else {
            let dead = Some(Ownership { epoch: time.wall + 50_000, boot: boot(7) });
            world.pods[0].frame(time, boot(1), Frame::Ask { room: room.parse().unwrap(), ticket: 0, dead });
        }
        world.pass(100);
        assert_eq!(world.pods[1].room_count(), 1, "{cause}");
        assert_eq!(world.ask(alice, "hello\n"), format!("MOVED {room}\nMSG alice hello\n"));
    }
}

#[test]
fn a_room_that_stays_is_reasserted_too() {
    let mut world = World::new(2);
    let alice = world.open(0);
    let room = world.create(alice);
    let key = Key::Room(room.parse().unwrap());
    let before = Record::parse(&world.store[&key]).unwrap().epoch;
    let time = world.time();
    world.pods[0].peer_up(time, boot(1));
    world.pods[1].peer_up(time, boot(0));
    // Both pods drain: the target refuses, and there is no other. The room stays here, reasserted once.
    for pod in &mut world.pods {
        pod.drain(time, time.now + 25_000);
    }
    let target = Target { pod_id: "chat-1".into(), boot: boot(1), peer: "1".into(), rooms: 0 };
    world.pods[0].targets(time, vec![target]);
    world.pods[0].lease_lost(time);
    world.pass(200);
    let record = Record::parse(&world.store[&key]).unwrap();
    assert_eq!((record.boot, record.epoch, world.pods[0].room_count()), (boot(0), before + 1, 1));
}

#[test]
fn an_owner_that_hears_of_a_dead_higher_owner_reasserts_above_it() {
    let mut world = World::new(2);
    let host = world.open(0);
    let room: RoomId = world.create(host).parse().unwrap();
    let time = world.time();
    world.pods[0].peer_up(time, boot(1));
    let dead = Ownership { epoch: time.wall + 50_000, boot: boot(7) };
    world.pods[0].frame(time, boot(1), Frame::Ask { room, ticket: 0, dead: Some(dead) });
    world.run();
    let record = Record::parse(&world.store[&Key::Room(room)]).unwrap();
    assert_eq!((record.boot, record.epoch), (boot(0), dead.epoch + 1));
}
