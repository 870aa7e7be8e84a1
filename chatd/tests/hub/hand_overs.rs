//! A pod that the server API asks to hand its rooms over: they move, and it goes on for its clients. No I/O.

use chatd::lease::Target;
use chatd::protocol::ErrorCode;

use crate::world::{World, boot};

/// What pod `by` is answered that asks pod `pod` to hand its rooms over. `None`: nothing yet.
fn ask(world: &mut World, by: usize, pod: usize) -> Option<Result<(), ErrorCode>> {
    let time = world.time();
    world.pods[by].ask_to_hand_over(time, 1, boot(pod), &pod.to_string());
    world.run();
    world.handed_over.pop()
}

/// The directory lists these pods to one that drains, again and again for so many seconds.
fn list(world: &mut World, from: usize, to: &[usize], seconds: u64) {
    let target =
        |pod: &usize| Target { pod_id: format!("chat-{pod}"), boot: boot(*pod), peer: pod.to_string(), rooms: 0 };
    for _ in 0..seconds {
        let time = world.time();
        world.pods[from].targets(time, to.iter().map(target).collect());
        world.pass(1_000);
    }
}

fn rooms(world: &World) -> Vec<usize> {
    world.pods.iter().map(chatd::hub::Hub::room_count).collect()
}

#[test]
fn its_rooms_move_and_its_clients_stay() {
    let mut world = World::new(2);
    let (room, alice, bob) = world.room_of_two(1, "");
    for _ in 0..2 {
        assert_eq!(ask(&mut world, 1, 0), Some(Ok(())), "a second time changes nothing");
    }
    // Long after the deadline of a drain that ends.
    list(&mut world, 0, &[1], 60);
    assert_eq!(rooms(&world), [0, 1]);
    for client in [alice, bob] {
        assert_eq!(world.hear(client), format!("MOVED {room}\n"));
    }
    assert_eq!(world.ask(alice, "still here\n"), "MSG alice still here\n");
    // Who comes to this pod is served, and makes rooms at the other one.
    let carol = world.open(0);
    assert!(world.ask(carol, &format!("JOIN {room} carol RELAY\n")).starts_with("JOINED "));
    let dave = world.open(0);
    world.create(dave);
    assert_eq!(rooms(&world), [0, 2]);
    // It ends as any other one.
    world.drain_to(0, 1);
    world.pass(25_000);
    assert!(world.hear(alice).ends_with("BYE moved\n") && world.hear(carol).ends_with("BYE moved\n"));
}

#[test]
fn a_room_that_it_is_given_goes_on_to_another_pod() {
    let mut world = World::new(3);
    let (_, alice, _) = world.room_of_two(0, "");
    ask(&mut world, 0, 1);
    assert_eq!(ask(&mut world, 1, 0), Some(Ok(())));
    // Listed by a lease that was read before.
    list(&mut world, 0, &[1], 3);
    assert_eq!(rooms(&world), [0, 1, 0]);
    // Nobody lists either of the two.
    list(&mut world, 0, &[], 3);
    list(&mut world, 1, &[], 3);
    assert_eq!(rooms(&world), [0, 1, 0]);
    list(&mut world, 1, &[2], 3);
    assert_eq!(rooms(&world), [0, 0, 1]);
    assert!(world.hear(alice).contains("MOVED "));
}

#[test]
fn it_takes_the_rooms_of_a_pod_that_ends_where_no_other_one_is_left() {
    let mut world = World::new(2);
    let (room, alice, _) = world.room_of_two(1, "");
    assert_eq!(ask(&mut world, 1, 0), Some(Ok(())));
    list(&mut world, 0, &[1], 3);
    assert_eq!((rooms(&world), world.hear(alice)), (vec![0, 1], format!("MOVED {room}\n")));
    // The directory lists no pod that takes rooms.
    let time = world.time();
    world.pods[1].drain(time, time.now + 25_000);
    list(&mut world, 1, &[], 5);
    assert_eq!(rooms(&world), [1, 0]);
    assert!(world.hear(alice).starts_with(&format!("MOVED {room}\n")));
    assert_eq!(world.ask(alice, "still here\n"), "MSG alice still here\n");
}

#[test]
fn where_no_other_pod_takes_rooms_they_stay_and_new_ones_are_made_here() {
    let mut world = World::new(2);
    let (_, alice, _) = world.room_of_two(0, "");
    ask(&mut world, 1, 0);
    world.alive[1] = false;
    let time = world.time();
    world.pods[0].peer_down(time, boot(1));
    list(&mut world, 0, &[], 40);
    assert_eq!(world.ask(alice, "still here\n"), "MSG alice still here\n");
    let dave = world.open(0);
    world.say(dave, "CREATE_ROOM\n");
    world.pass(2_000);
    assert!(world.hear(dave).starts_with("ROOM "));
    assert_eq!(rooms(&world)[0], 2);
}

#[test]
fn a_room_that_it_takes_over_for_its_client_goes_on_to_another_pod() {
    let mut world = World::new(3);
    let (room, _, bob) = world.room_of_two(1, "");
    ask(&mut world, 2, 1);
    list(&mut world, 1, &[2], 1);
    world.kill(0);
    list(&mut world, 1, &[2], 10);
    assert_eq!(rooms(&world)[1..], [0, 1]);
    assert!(world.hear(bob).contains(&format!("MOVED {room}\n")));
    assert_eq!(world.ask(bob, "still here\n"), "MSG bob still here\n");
}

#[test]
fn a_pod_that_does_not_answer_in_time_may_have_heard_it_or_not() {
    let mut world = World::new(2);
    world.mute = Some(0);
    assert_eq!(ask(&mut world, 1, 0), None);
    world.pass(2_100);
    assert_eq!(world.handed_over.pop(), Some(Err(ErrorCode::Unavailable)));
    world.alive[0] = false;
    world.kill_at_once(0);
    assert_eq!(ask(&mut world, 1, 0), Some(Err(ErrorCode::Unavailable)));
    // Its link ends while it is asked.
    let mut world = World::new(2);
    world.mute = Some(0);
    assert_eq!(ask(&mut world, 1, 0), None);
    world.kill_at_once(0);
    world.run();
    assert_eq!(world.handed_over.pop(), Some(Err(ErrorCode::Unavailable)));
}

/// Each has found the others free, and knows for a while by their leases alone what they do.
#[test]
fn pods_that_are_all_asked_at_once_keep_their_rooms_between_them() {
    let mut world = World::new(3);
    let mut people = Vec::new();
    for pod in 0..3 {
        for number in 0..4 {
            let (host, guest) = (world.open(pod), world.open((pod + 1) % 3));
            let room = world.create(host);
            assert!(world.ask(host, &format!("JOIN {room} host{number} RELAY\n")).starts_with("JOINED "));
            assert!(world.ask(guest, &format!("JOIN {room} guest RELAY\n")).starts_with("JOINED "));
            people.push((host, guest));
        }
        // One that nobody has entered.
        let maker = world.open(pod);
        world.create(maker);
    }
    assert_eq!(rooms(&world), [5, 5, 5]);
    let time = world.time();
    for pod in 0..3 {
        world.pods[(pod + 1) % 3].ask_to_hand_over(time, 1, boot(pod), &pod.to_string());
    }
    world.run();
    assert_eq!(world.handed_over, [Ok(()), Ok(()), Ok(())]);
    let targets = |others: &[usize]| -> Vec<Target> {
        let target =
            |pod: &usize| Target { pod_id: format!("chat-{pod}"), boot: boot(*pod), peer: pod.to_string(), rooms: 0 };
        others.iter().map(target).collect()
    };
    let mut moved = 0;
    for second in 0..40 {
        for pod in 0..3 {
            let others = if second < 3 { [(pod + 1) % 3, (pod + 2) % 3].to_vec() } else { Vec::new() };
            let time = world.time();
            world.pods[pod].targets(time, targets(&others));
        }
        for (number, (host, _)) in people.iter().enumerate() {
            world.say(*host, &format!("{second} {number}\n"));
        }
        world.pass(1_000);
        assert_eq!(rooms(&world).iter().sum::<usize>(), 15, "after {second} s");
        for (number, (host, guest)) in people.iter().enumerate() {
            for client in [*host, *guest] {
                let heard = world.hear_all(client);
                let said = format!("MSG host{} {second} {number}\n", number % 4);
                assert_eq!(heard.matches(&said).count(), 1, "{heard}");
                assert!(!heard.contains("BYE ") && !heard.contains("MISSED"), "{heard}");
                moved += heard.matches("MOVED ").count();
                // Nobody goes on once the leases are known.
                assert!(second < 4 || !heard.contains("MOVED "), "{second}: {heard}");
            }
        }
    }
    assert!(moved > 0);
    // New rooms are made as well.
    let maker = world.open(0);
    world.say(maker, "CREATE_ROOM\n");
    world.pass(2_000);
    assert!(world.hear(maker).starts_with("ROOM "));
}
