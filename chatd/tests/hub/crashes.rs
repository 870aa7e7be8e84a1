//! A pod dies with many rooms: what that costs the directory, who takes them over, and how long clients wait. No I/O.

use chatd::directory::Key;
use chatd::lease::LeaseView;
use chatd::record::Record;

use crate::world::{Client, World, boot};

/// Rooms of the first pod, which has just died. Its lease is still there.
fn crash(pods: usize, rooms: usize) -> (World, Vec<String>) {
    crash_in(World::new(pods), rooms)
}

fn crash_in(mut world: World, rooms: usize) -> (World, Vec<String>) {
    world.lease_all();
    let mut made = Vec::new();
    while made.len() < rooms {
        let client = world.open(0);
        made.extend((0..10).map(|_| world.create(client)));
    }
    world.kill(0);
    world.requests = 0;
    (world, made)
}

fn join(world: &mut World, pod: usize, room: &str) -> Client {
    let client = world.open(pod);
    world.say(client, &format!("JOIN {room} alice RELAY\n"));
    client
}

fn runs_out(world: &mut World) {
    world.store.remove(&Key::Pod("chat-0".into()));
}

#[test]
fn a_crash_costs_little_and_its_rooms_are_shared() {
    const ROOMS: usize = 90;
    let (mut world, rooms) = crash(4, ROOMS);
    // All are asked for at one pod.
    let clients: Vec<Client> = rooms.iter().map(|room| join(&mut world, 1, room)).collect();
    world.pass(3_400);
    assert!(world.requests <= ROOMS + 4 * 3, "{} requests while the lease is there", world.requests);
    runs_out(&mut world);
    world.pass(1_590);
    for client in clients {
        let heard = world.hear(client);
        assert!(heard.starts_with("JOINED "), "{heard}");
    }
    let taken = [1, 2, 3].map(|pod| world.pods[pod].room_count());
    assert_eq!(taken.iter().sum::<usize>(), ROOMS);
    assert!(taken.iter().all(|taken| *taken <= ROOMS / 3 * 3 / 2), "{taken:?}");
    // The record is read by the pod that is asked and by the one that takes the room over, and swapped once. Each JOIN is a
    // write, and that the seat of a relayed client is held is another.
    assert!(world.requests <= (3 + 2) * ROOMS + 5 * 3 + 2 * 3, "{} requests in all", world.requests);
}

/// Leases are looked at once for all threads of a pod, records are not.
#[test]
fn a_pod_of_many_threads_reads_few_records_while_it_waits() {
    let (mut world, rooms) = crash_in(World::with(2, |settings| settings.shards = 16), 20);
    for room in &rooms {
        join(&mut world, 1, room);
    }
    world.pass(900);
    world.requests = 0;
    world.pass(4_000);
    assert!(world.requests <= 4 + 1, "{} requests in 4 s", world.requests);
}

#[test]
fn a_join_for_a_dead_pods_room_is_held_for_five_seconds() {
    let (mut world, rooms) = crash(2, 10);
    let client = join(&mut world, 1, &rooms[0]);
    world.pass(4_900);
    assert_eq!(world.hear(client), "");
    world.pass(200);
    assert!(world.hear(client).starts_with("ERR unavailable "));
    // It comes back a moment later: the record needs not be read again.
    let before = world.requests;
    let client = join(&mut world, 1, &rooms[0]);
    assert_eq!(world.requests, before);
    world.pass(500);
    assert_eq!(world.hear(client), "");
    runs_out(&mut world);
    world.pass(1_500);
    assert!(world.hear(client).starts_with("JOINED "));
}

/// The dead pod's lease runs out, and pod 1, which is asked for each of its rooms, comes to own them all.
fn the_asked_pod_takes_all(world: &mut World, rooms: &[String]) {
    runs_out(world);
    let clients: Vec<Client> = rooms.iter().map(|room| join(world, 1, room)).collect();
    world.pass(1_000);
    assert!(clients.iter().all(|client| world.hear(*client).starts_with("JOINED ")));
    assert_eq!(world.pods[1].room_count(), rooms.len());
}

#[test]
fn a_room_whose_turn_another_pod_misses_is_taken_by_the_one_that_is_asked() {
    let (mut world, rooms) = crash(3, 20);
    // It has its lease, and nobody answers at its address.
    world.alive[2] = false;
    the_asked_pod_takes_all(&mut world, &rooms);
}

#[test]
fn a_pod_that_may_not_take_a_room_over_says_so_to_the_one_that_asks_it() {
    let (mut world, rooms) = crash(3, 20);
    // It is draining, and its lease does not say so yet.
    world.drain(2);
    the_asked_pod_takes_all(&mut world, &rooms);
}

#[test]
fn a_pod_that_is_only_cut_off_is_found_again_when_it_can_be_reached() {
    let (mut world, rooms) = crash(2, 10);
    let client = join(&mut world, 1, &rooms[0]);
    world.pass(2_000);
    assert_eq!(world.hear(client), "");
    world.alive[0] = true;
    world.pass(1_500);
    assert!(world.hear(client).starts_with("JOINED "));
    assert_eq!([0, 1].map(|pod| world.pods[pod].room_count()), [10, 0]);
}

#[test]
fn a_pod_that_is_not_settled_neither_takes_a_room_over_nor_says_that_there_is_none() {
    let mut world = World::new(2);
    let host = world.open(0);
    let room = world.create(host);
    world.ask(host, &format!("JOIN {room} alice\n"));
    world.kill(0);
    let unsettled = |world: &mut World| {
        let time = world.time();
        world.pods[1].lease(time, LeaseView { confirmed: Some(time.now), settled: false });
    };
    unsettled(&mut world);
    world.lease_all();
    world.store.remove(&Key::Pod("chat-0".into()));
    let [bob, carol] = [world.open(1), world.open(1)];
    world.say(bob, &format!("JOIN {room} bob\n"));
    world.say(carol, "JOIN 22222222 carol\n");
    for _ in 0..20 {
        world.now += 100;
        unsettled(&mut world);
        let time = world.time();
        world.pods[1].tick(time);
        world.run();
    }
    for client in [bob, carol] {
        assert!(world.hear(client).starts_with("ERR unavailable "));
    }
    world.pass(100);
    world.say(bob, &format!("JOIN {room} bob\n"));
    world.say(carol, "JOIN 22222222 carol\n");
    world.pass(1_500);
    assert!(world.hear(bob).starts_with("JOINED "));
    assert!(world.hear(carol).starts_with("ERR room_not_found "));
}

#[test]
fn a_pod_whose_takeover_is_under_way_is_waited_for() {
    let mut world = World::new(3);
    let host = world.open(0);
    let room = world.create(host);
    world.ask(host, &format!("JOIN {room} alice\n"));
    world.kill(0);
    world.lease_all();
    runs_out(&mut world);
    world.waits_for_answers = Some(1);
    let bob = world.open(1);
    world.say(bob, &format!("JOIN {room} bob RELAY\n"));
    let key = Key::Room(room.parse().unwrap());
    let owner = |world: &World| Record::parse(&world.store[&key]).unwrap().boot;
    while owner(&world) != boot(1) {
        world.hand_over_answers(1);
        world.pass(100);
        assert!(world.now < 10_000);
    }
    // Its swap has been carried out, and it does not know yet.
    let carol = world.open(2);
    world.say(carol, &format!("JOIN {room} carol RELAY\n"));
    world.pass(500);
    assert_eq!((world.hear(carol), owner(&world)), (String::new(), boot(1)));
    world.waits_for_answers = None;
    world.hand_over_answers(1);
    world.pass(1_000);
    assert_eq!([1, 2].map(|pod| world.pods[pod].room_count()), [1, 0]);
    assert!(world.hear(carol).starts_with("JOINED ") && world.hear(bob).starts_with("JOINED "));
}
