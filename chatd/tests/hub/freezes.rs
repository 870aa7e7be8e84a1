//! Answers that come late: after a freeze, or when who waited for them has given up. No I/O.

use chatd::directory::Key;
use chatd::peer_protocol::Disconnect;
use chatd::record::Record;

use crate::world::{Client, World, boot};

/// Alice was in a room of the first pod, which was cut off; bob is in it on the second. The directory is away as the two meet again.
fn a_client_whose_room_was_taken_over() -> (World, Client) {
    let mut world = World::new(2);
    let alice = world.open(0);
    let room = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice RELAY\n"));
    world.kill(0);
    let bob = world.open(1);
    world.say(bob, &format!("JOIN {room} bob\n"));
    world.pass(500);
    world.alive[0] = true;
    world.away = true;
    for _ in 0..30 {
        world.pass(100);
        if world.pods[0].room_count() == 0 {
            assert_eq!(world.pods[1].remote_member_count(), 1, "alice is on her way");
            return (world, alice);
        }
    }
    panic!("the first pod keeps its room");
}

#[test]
fn a_client_is_taken_on_by_the_new_owner_though_the_directory_is_away() {
    let (mut world, alice) = a_client_whose_room_was_taken_over();
    world.pass(3_000);
    assert!(world.hear(alice).ends_with(" alice bob,alice\nMISSED ?\n"));
    assert_eq!(world.ask(alice, "hello\n"), "MSG alice hello\n");
}

#[test]
fn the_owner_hears_of_a_client_that_has_given_it_up() {
    let (mut world, alice) = a_client_whose_room_was_taken_over();
    // The owner is frozen, and its link stays.
    world.alive[1] = false;
    world.pass(16_000);
    assert!(world.hear(alice).ends_with("BYE unavailable\n"));
    world.alive[1] = true;
    world.away = false;
    world.pass(5_000);
    assert_eq!(world.pods[1].remote_member_count(), 0);
    assert_eq!(world.pods[1].player_count(), 1, "bob is alone");
}

/// The second pod asks for the room's record by `ask` and is frozen while the answer is on its way; the third takes the room over.
fn frozen_with_a_swap(world: &mut World, room: &str, ask: impl FnOnce(&mut World)) {
    world.waits_for_answers = Some(1);
    ask(world);
    let owner = |world: &World| Record::parse(&world.store[&Key::Room(room.parse().unwrap())]).unwrap().boot;
    while owner(world) != boot(1) {
        world.hand_over_answers(1);
        world.pass(100);
    }
    world.kill(0);
    world.alive[1] = false;
    world.pass(15_000);
    let bob = world.open(2);
    world.say(bob, &format!("JOIN {room} bob\n"));
    world.pass(5_000);
    assert!(world.hear(bob).starts_with("JOINED"));
    assert_eq!(owner(world), boot(2));
    world.alive[1] = true;
}

#[test]
fn a_room_that_came_here_before_a_freeze_is_served_only_once_its_record_is_confirmed() {
    let mut world = World::new(3);
    let alice = world.open(0);
    let room = world.create(alice);
    let carol = world.open(1);
    world.ask(carol, &format!("JOIN {room} carol RELAY\n"));
    frozen_with_a_swap(&mut world, &room, |world| {
        world.drain_to(0, 1);
        world.run();
    });
    world.hand_over_answers(1);
    assert_eq!(world.ask(carol, "hello\n"), "");
    world.waits_for_answers = None;
    world.hand_over_answers(1);
    world.pass(1_000);
    assert_eq!(
        world.hear(carol),
        format!("MOVED {room}\nMISSED ?\nENTERED bob\nMSG carol hello\n"),
        "by the third pod"
    );
}

#[test]
fn a_room_that_was_taken_over_before_a_freeze_is_served_only_once_its_record_is_confirmed() {
    let mut world = World::new(3);
    let alice = world.open(0);
    let room = world.create(alice);
    let token = world.join_resumable(alice, &room, "alice");
    world.kill(0);
    let alice = world.open(1);
    frozen_with_a_swap(&mut world, &room, |world| world.say(alice, &format!("RESUME {room} {token} RELAY\n")));
    world.hand_over_answers(1);
    assert_eq!(world.hear(alice), "");
    world.waits_for_answers = None;
    world.hand_over_answers(1);
    world.pass(1_000);
    let heard = world.hear(alice);
    assert!(heard.starts_with(&format!("JOINED {room} alice alice,bob\n")), "{heard}");
}

#[test]
fn a_pod_that_does_not_know_of_its_lease_yet_takes_no_room() {
    let mut world = World::new(2);
    let alice = world.open(0);
    let room = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice RELAY\n"));
    world.start_without_lease(1);
    world.drain_to(0, 1);
    world.run();
    assert_eq!(world.pods[1].room_count(), 0);
}

#[test]
fn a_client_that_does_not_know_its_new_seat_gets_it_again() {
    for breaks in [false, true] {
        let (mut world, alice) = a_client_whose_room_was_taken_over();
        world.away = false;
        world.mute = Some(1);
        world.pass(3_000);
        assert_eq!(world.hear(alice), "");
        world.mute = None;
        if breaks {
            world.break_link(0, 1);
        }
        world.pass(4_000);
        let heard = world.hear(alice);
        assert!(heard.ends_with(" alice bob,alice\nMISSED ?\n"), "{heard}");
        assert_eq!(world.ask(alice, "hello\n"), "MSG alice hello\n");
        assert_eq!((world.pods[1].player_count(), world.pods[1].remote_member_count()), (2, 1));
    }
}

#[test]
fn a_deadline_that_passed_during_a_freeze_waits_for_the_directory() {
    let mut world = World::new(2);
    let (room, alice, bob) = world.room_of_two(0, "");
    let carol = world.open(1);
    world.ask(carol, &format!("JOIN {room} carol RELAY\n"));
    world.hear(bob);
    world.hear(alice);
    // The write without bob is not answered, and then the pod is frozen.
    world.slow = true;
    world.say(bob, "LEAVE\n");
    world.now += 20_000;
    let time = world.time();
    world.pods[0].tick(time);
    let said = |world: &World, client: Client| world.pods[client.0].output(client.1).to_vec();
    assert_eq!((said(&world, alice), said(&world, bob)), (Vec::new(), Vec::new()));
    let mut frames = 0;
    world.pods[0].take_frames(|_, _| frames += 1);
    assert_eq!(frames, 0, "something went to the other pod's clients");
    world.slow = false;
    world.run();
    world.pass(1_000);
    assert_eq!(world.hear(bob), format!("LEFT {room}\n"));
    assert_eq!([world.hear(alice), world.hear(carol)], ["EXITED bob left\n", "EXITED bob left\n"]);
}

#[test]
fn a_join_that_was_waiting_when_its_pod_was_frozen_is_answered_soon_though_the_directory_is_away() {
    let mut world = World::new(2);
    let (room, alice, bob) = world.room_of_two(0, "");
    // The room goes on without the directory.
    world.away = true;
    world.pass(20_000);
    let carol = world.open(0);
    world.say(carol, &format!("JOIN {room} carol\n"));
    assert_eq!(world.hear(carol), "", "it waits for the directory");
    world.now += 4_900;
    world.pass(100);
    assert_eq!(world.hear(carol), "", "another pod may have taken the room over");
    world.pass(300);
    let heard = world.hear(carol);
    assert!(heard.starts_with("ERR unavailable "), "{heard}");
    // Nothing is left of it.
    world.away = false;
    world.pass(5_000);
    let joined = world.ask(carol, &format!("JOIN {room} carol\n"));
    assert_eq!(joined, format!("JOINED {room} carol alice,bob,carol\n"));
    assert_eq!([world.hear(alice), world.hear(bob)], ["ENTERED carol\n", "ENTERED carol\n"]);
}

#[test]
fn who_was_leaving_when_its_pod_was_frozen_leaves_the_room_where_it_is_now() {
    let mut world = World::new(2);
    let (room, alice, bob) = world.room_of_two(0, " RESUMABLE");
    world.hear(bob);
    world.pass(100);
    world.slow = true;
    world.say(bob, "LEAVE\n");
    // Frozen: another pod takes the room over.
    world.kill_at_once(0);
    world.slow = false;
    world.pass(12_000);
    let carol = world.open(1);
    world.say(carol, &format!("JOIN {room} carol\n"));
    world.pass(3_000);
    assert!(world.hear(carol).contains(" bob,carol\n") || world.pods[1].player_count() == 2);
    world.alive[0] = true;
    let time = world.time();
    world.pods[0].tick(time);
    assert_eq!(world.pods[0].output(bob.1), b"");
    world.pass(3_000);
    assert!(world.hear(bob).ends_with(&format!("LEFT {room}\n")));
    assert!(world.ask(carol, "WHO\n").ends_with("PLAYERS carol,alice\n"));
    world.hear(alice);
}

#[test]
fn a_seat_does_not_run_out_before_it_is_known_whose_the_room_is() {
    let mut world = World::new(1);
    let alice = world.open(0);
    let room = world.create(alice);
    let token = world.join_resumable(alice, &room, "alice");
    let time = world.time();
    world.pods[0].disconnected(time, alice.1, Disconnect::Lost);
    world.pass(20_000);
    // Frozen past the end of the hold; she comes back before the directory has answered.
    world.waits_for_answers = Some(0);
    world.now += 15_000;
    let alice = world.open(0);
    world.say(alice, &format!("RESUME {room} {token}\n"));
    world.now += 100;
    let time = world.time();
    world.pods[0].tick(time);
    world.run();
    assert_eq!(world.hear(alice), "");
    world.waits_for_answers = None;
    world.hand_over_answers(0);
    world.pass(500);
    assert_eq!(world.hear(alice), format!("JOINED {room} alice alice\nTOKEN {token}\n"));
}

#[test]
fn who_resumes_is_not_answered_before_it_is_known_whose_the_room_is() {
    let mut world = World::new(3);
    let bob = world.open(1);
    let alice = world.open(0);
    let room = world.create(alice);
    let token = world.join_resumable(bob, &room, "bob RELAY");
    world.pass(100);
    // The pod of the former connection says nothing, and the owner is frozen meanwhile.
    world.alive[1] = false;
    let bob = world.open(2);
    world.say(bob, &format!("RESUME {room} {token} RELAY\n"));
    world.now += 15_000;
    let time = world.time();
    world.pods[0].tick(time);
    let mut frames = 0;
    world.pods[0].take_frames(|_, _| frames += 1);
    assert_eq!(frames, 0, "the other pod's client was answered");
}

#[test]
fn what_waited_for_the_rooms_record_is_written_once_that_is_confirmed() {
    let mut world = World::new(1);
    let (_, alice, bob) = world.room_of_two(0, "");
    world.say(bob, "hello\n");
    let mut dirty = Vec::new();
    world.pods[0].take_dirty(&mut dirty);
    // Nothing of it had been written when the pod was frozen.
    world.now += 11_000;
    world.waits_for_answers = Some(0);
    world.pass(100);
    dirty.clear();
    world.pods[0].take_dirty(&mut dirty);
    assert_eq!(world.hear(alice), "");
    world.waits_for_answers = None;
    dirty.clear();
    world.hand_over_answers(0);
    world.pods[0].take_dirty(&mut dirty);
    assert!(dirty.contains(&alice.1), "the writer gets no notice of it");
    assert_eq!(world.hear(alice), "MSG bob hello\n");
}

#[test]
fn nobody_hears_of_who_enters_before_its_own_joined() {
    let mut world = World::new(1);
    let bob = world.open(0);
    let room = world.create(bob);
    let join = format!("JOIN {room} bob KEY={}\n", "k".repeat(32));
    world.ask(bob, &join);
    // The record has eve before the freeze, and the answer to that comes after it.
    world.waits_for_answers = Some(0);
    let eve = world.open(0);
    world.say(eve, &format!("JOIN {room} eve\n"));
    world.now += 20_000;
    let time = world.time();
    world.pods[0].tick(time);
    world.pods[0].disconnected(time, bob.1, Disconnect::Lost);
    let bob = world.open(0);
    world.say(bob, &join);
    world.run();
    world.waits_for_answers = None;
    world.hand_over_answers(0);
    // Without the lease the room waits for 2 s.
    world.now += 2_000;
    let time = world.time();
    world.pods[0].tick(time);
    world.run();
    assert_eq!(world.hear(bob), format!("JOINED {room} bob bob\nENTERED eve\n"));
    assert_eq!(world.hear(eve), format!("JOINED {room} eve bob,eve\n"));
}
