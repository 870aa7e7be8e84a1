//! A pod that is to end while the directory is away: rooms go on, and move when it is back.

use crate::world::World;

#[test]
fn a_room_goes_on_until_the_directory_is_back_and_then_it_moves() {
    let mut world = World::new(2);
    let (room, alice, bob) = world.room_of_two(1, "");
    world.away = true;
    world.drain(0);
    world.pass(8_000);
    assert_eq!(world.ask(bob, "still here\n"), "MSG bob still here\n");
    assert_eq!(world.hear(alice), "MSG bob still here\n");
    world.away = false;
    world.drain_to(0, 1);
    world.pass(500);
    assert_eq!(world.hear(bob), format!("MOVED {room}\nEXITED alice moved\n"));
    // Her own pod is about to end, and this is later than balancers need.
    assert_eq!(world.hear(alice), format!("MOVED {room}\nBYE moved\n"));
    assert_eq!([0, 1].map(|pod| world.pods[pod].room_count()), [0, 1]);
}

#[test]
fn a_room_whose_last_write_is_not_answered_goes_on_and_moves_later() {
    let mut world = World::new(2);
    let (room, alice, bob) = world.room_of_two(1, "");
    let carol = world.open(0);
    world.slow = true;
    world.say(carol, &format!("JOIN {room} carol RELAY\n"));
    // The targets are known, and the directory has stopped to answer since.
    world.drain_to(0, 1);
    world.pass(4_000);
    assert_eq!(world.hear(carol), format!("JOINED {room} carol alice,bob,carol\n"));
    assert_eq!(world.ask(bob, "still here\n"), "ENTERED carol\nMSG bob still here\n");
    assert_eq!(world.hear(alice), "ENTERED carol\nMSG bob still here\n");
    world.slow = false;
    world.drain_to(0, 1);
    world.pass(1_000);
    for (client, before) in [(alice, ""), (bob, ""), (carol, "MSG bob still here\n")] {
        let heard = world.hear(client);
        assert!(heard.starts_with(&format!("{before}MOVED {room}\n")), "{heard}");
    }
    assert_eq!([0, 1].map(|pod| world.pods[pod].room_count()), [0, 1]);
}

#[test]
fn what_could_not_be_moved_by_the_deadline_is_given_up() {
    let mut world = World::new(2);
    let (_, alice, bob) = world.room_of_two(1, "");
    world.away = true;
    world.drain(0);
    world.pass(24_900);
    assert_eq!((world.hear(alice), world.hear(bob)), (String::new(), String::new()));
    world.pass(200);
    for client in [alice, bob] {
        assert!(world.hear(client).ends_with("BYE shutting_down\n"));
    }
    assert_eq!(world.pods[0].room_count(), 0);
}
