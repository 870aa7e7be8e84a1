//! New rooms of a pod with many more rooms than the others. No I/O.

use crate::world::World;

/// Pods of which the first has so many rooms, and all have looked at the leases since.
fn overloaded(pods: usize, rooms: usize, balance: bool) -> World {
    let mut world = World::with(pods, |settings| settings.balance = balance);
    make_rooms(&mut world, rooms);
    world.pass(11_000);
    world
}

/// New rooms at the first pod, each by a client of its own.
fn make_rooms(world: &mut World, rooms: usize) -> Vec<String> {
    let make = |_| {
        let client = world.open(0);
        world.create(client)
    };
    (0..rooms).map(make).collect()
}

fn rooms(world: &World) -> Vec<usize> {
    world.pods.iter().map(chatd::hub::Hub::room_count).collect()
}

#[test]
fn an_overloaded_pod_lets_the_others_create_its_new_rooms_until_it_is_level() {
    let mut world = overloaded(3, 30, true);
    let alice = world.open(0);
    let room = world.create(alice);
    assert_eq!(rooms(&world)[0], 30);
    assert!(world.ask(alice, &format!("JOIN {room} alice\n")).starts_with("REDIRECT pod"));
    assert_eq!(world.ask(alice, &format!("JOIN {room} alice RELAY\n")), format!("JOINED {room} alice alice\n"));
    let time = world.time();
    world.pods[0].create_room(time, 7, None);
    world.run();
    assert!(world.made.pop().unwrap().is_ok(), "by POST");
    make_rooms(&mut world, 45);
    let after = rooms(&world);
    assert_eq!((after[0], after.iter().sum::<usize>()), (30, 77));
    assert!(after[1].abs_diff(after[2]) <= 1, "{after:?}");
    assert_eq!(world.pods[0].counters().balance_creations, 47);
    world.pass(2_100);
    make_rooms(&mut world, 10);
    assert_eq!(rooms(&world)[0], 40, "level is level");
}

#[test]
fn an_overloaded_pod_creates_the_room_itself_where_no_other_one_does() {
    // Nobody answers at their addresses.
    let mut world = overloaded(3, 30, true);
    world.alive = vec![true, false, false];
    make_rooms(&mut world, 1);
    assert_eq!(rooms(&world), [31, 0, 0]);
    // They end, and their leases do not say so yet.
    let mut world = overloaded(3, 30, true);
    (1..3).for_each(|pod| world.drain(pod));
    make_rooms(&mut world, 1);
    assert_eq!(rooms(&world), [31, 0, 0]);
    // Redis refuses them alone.
    let mut world = overloaded(2, 30, true);
    world.slow_at = Some(1);
    let alice = world.open(0);
    assert_eq!(world.ask(alice, "CREATE_ROOM\n"), "");
    world.pass(1_100);
    assert!(world.hear(alice).starts_with("ROOM "));
    assert_eq!(rooms(&world)[0], 31);
}

#[test]
fn no_room_is_passed_on_while_redis_is_away_or_the_pod_ends_or_where_that_is_switched_off() {
    let mut world = overloaded(3, 30, true);
    world.away = true;
    world.pass(100);
    let alice = world.open(0);
    world.ask(alice, "CREATE_ROOM\n");
    world.pass(3_100);
    assert!(world.hear(alice).starts_with("ERR unavailable "));
    assert_eq!(rooms(&world)[1..], [0, 0]);
    let mut world = overloaded(3, 30, true);
    world.drain(0);
    let alice = world.open(0);
    assert!(world.ask(alice, "CREATE_ROOM\n").starts_with("ERR shutting_down "));
    let mut world = overloaded(3, 30, false);
    make_rooms(&mut world, 5);
    assert_eq!(rooms(&world), [35, 0, 0]);
}

#[test]
fn a_room_is_passed_on_once() {
    let mut world = overloaded(3, 30, true);
    // The first pod's list is fresh; since then the second one has got more rooms than all others.
    let crowd: Vec<_> = (0..60).map(|_| world.open(1)).collect();
    for client in crowd {
        world.create(client);
    }
    world.pass(11_000);
    assert_eq!(rooms(&world)[1], 60);
    let before = world.pods[1].counters().balance_creations;
    let time = world.time();
    let frame = chatd::peer_protocol::Frame::Create { room: "aaaaaaaa".parse().unwrap(), descriptor: None };
    world.pods[1].frame(time, crate::world::boot(0), frame);
    world.run();
    assert!(world.pods[1].rooms().any(|view| view.room.to_string() == "aaaaaaaa"));
    assert_eq!(world.pods[1].counters().balance_creations, before);
}
