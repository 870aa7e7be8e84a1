//! What a pod tells its metrics of what is in it now. No I/O.

use chatd::peer_protocol::Disconnect;
use serde_json::json;

use crate::world::World;

#[test]
fn the_gauges_count_what_is_there() {
    let mut world = World::new(2);
    let (room, alice, bob) = world.room_of_two(1, "");
    let carol = world.open_json(0);
    world.send(carol, &json!({"type": "join", "room": room, "name": "carol", "resumable": true}));
    let time = world.time();
    world.pods[0].disconnected(time, carol.1, Disconnect::Lost);
    world.pass(100);
    world.open_json(0);
    world.open_json(0);
    for client in [alice, bob] {
        world.hear_all(client);
    }
    // More than bob's pod takes for him.
    let text = world.say_much(alice, 20);
    world.say(alice, "PING\n");
    let [owner, entry] = [0, 1].map(|pod| world.pods[pod].gauges());
    let connections = |gauges: &chatd::counters::Gauges| (gauges.connections_tcp, gauges.connections_web);
    assert_eq!((owner.rooms, owner.players, owner.held_seats), (1, 3, 1));
    assert_eq!((connections(&owner), owner.relayed_sessions, owner.remote_members), ((1, 2), 0, 1));
    assert_eq!((entry.rooms, entry.players, entry.held_seats), (0, 0, 0));
    assert_eq!((connections(&entry), entry.relayed_sessions, entry.remote_members), ((1, 0), 1, 0));
    let sent = 20 * format!("MSG alice {text}\n").len();
    let (here, there) = (world.pods[0].output(alice.1).len(), world.pods[1].output(bob.1).len());
    assert_eq!(entry.queued_bytes, there as u64);
    assert!(here > 0 && there < sent);
    assert_eq!(owner.queued_bytes, (here + sent - there) as u64);
}

#[test]
fn the_counters_count_what_happens() {
    let mut world = World::new(2);
    let (room, alice, bob) = world.room_of_two(1, "");
    for client in [alice, bob, alice] {
        world.ask(client, "hello\n");
    }
    for _ in 0..2 {
        let carol = world.open(1);
        assert!(world.ask(carol, &format!("JOIN {room} carol REDIRECT\n")).starts_with("REDIRECT "));
    }
    let [owner, entry] = [0, 1].map(|pod| world.pods[pod].counters());
    assert_eq!((owner.messages_in, owner.messages_out, entry.redirects), (3, 6, 2));
}
