//! Links that are given up when a hub does not need them, and what brings them back. No I/O.

use chatd::hub::Effect;

use crate::world::{Client, World, boot};

impl World {
    /// Whether this pod needs its link to the other; if not, it has none from now on.
    fn needs_link(&mut self, pod: usize, other: usize) -> bool {
        let time = self.time();
        self.pods[pod].release_link(time, boot(other), 7);
        let mut effects = Vec::new();
        self.pods[pod].take_effects(&mut effects);
        let Some(Effect::LinkAnswer { boot: asked, query: 7, needed }) = effects.pop() else {
            panic!("no answer: {effects:?}");
        };
        assert!(effects.is_empty() && asked == boot(other));
        needed
    }

    /// JOIN by way of pod 1 is not answered yet: both ends need the link.
    fn needs_link_while_join_waits(&mut self, bob: Client, room: &str) {
        self.say(bob, &format!("JOIN {room} bob RELAY\n"));
        assert_eq!(self.hear(bob), "");
        assert!(self.needs_link(0, 1) && self.needs_link(1, 0));
    }
}

#[test]
fn a_link_is_needed_by_both_ends_for_as_long_as_a_session_is_relayed() {
    let mut world = World::new(3);
    let (room, alice, bob) = world.room_of_two(1, "");
    world.hear(bob);
    world.pass(600_000);
    assert!(world.needs_link(0, 1) && world.needs_link(1, 0));
    assert!(!world.needs_link(0, 2), "there is none");
    assert_eq!(world.ask(bob, "hello\n"), "MSG bob hello\n");
    world.hear(alice);
    assert_eq!(world.ask(bob, "LEAVE\n"), format!("LEFT {room}\n"));
    assert!(!world.needs_link(0, 1) && !world.needs_link(1, 0));
    // The next one comes over a new link, and nothing is lost.
    world.hear(alice);
    assert_eq!(world.ask(bob, &format!("JOIN {room} bob RELAY\n")), format!("JOINED {room} bob alice,bob\n"));
    assert_eq!(world.ask(alice, "welcome\n"), "ENTERED bob\nMSG alice welcome\n");
    assert_eq!(world.hear(bob), "MSG alice welcome\n");
    assert!(world.needs_link(0, 1) && world.needs_link(1, 0));
}

#[test]
fn a_link_that_was_given_up_is_no_failure_when_it_ends() {
    let mut world = World::new(2);
    let (room, _, bob) = world.room_of_two(1, "");
    world.ask(bob, "LEAVE\n");
    assert!(!world.needs_link(1, 0));
    let requests = world.requests;
    world.break_link(0, 1);
    world.pass(5_000);
    assert_eq!(world.requests, requests, "a search, or a look at a lease");
    assert_eq!(world.ask(bob, &format!("JOIN {room} bob RELAY\n")), format!("JOINED {room} bob alice,bob\n"));
}

#[test]
fn a_link_is_needed_while_an_answer_is_awaited() {
    let mut world = World::new(2);
    let (room, _, bob) = world.room_of_two(1, "");
    world.ask(bob, "LEAVE\n");
    // The record is read, and the owner that it names is asked.
    let time = world.time();
    world.pods[1].receive(time, bob.1, format!("JOIN {room} bob RELAY\n").as_bytes());
    let mut effects = Vec::new();
    world.pods[1].take_effects(&mut effects);
    for effect in effects {
        world.carry_out(1, effect);
    }
    world.pods[1].take_frames(|to, frames| assert!(to == boot(0) && !frames.is_empty()));
    assert!(world.needs_link(1, 0));
    // The question is lost, and asked again over the next link.
    world.break_link(0, 1);
    world.pass(3_000);
    assert_eq!(world.hear(bob), format!("JOINED {room} bob alice,bob\n"));
}

/// A hub without a link would drop what it sends, and a link that both ends have given up for a moment brings nothing back.
#[test]
fn a_link_is_needed_while_a_room_that_stands_still_owes_an_answer() {
    let mut world = World::new(2);
    let (room, _, bob) = world.room_of_two(1, "");
    world.ask(bob, "LEAVE\n");
    // It was frozen, and its lease may have run out.
    world.now += 20_000;
    let time = world.time();
    world.pods[0].tick(time);
    world.needs_link_while_join_waits(bob, &room);
    world.pass(3_000);
    assert_eq!(world.hear(bob), format!("JOINED {room} bob alice,bob\n"));
}

/// The same for one that waits for the write of the record.
#[test]
fn a_link_is_needed_while_a_write_is_awaited() {
    let mut world = World::new(2);
    let (room, _, bob) = world.room_of_two(1, "");
    world.ask(bob, "LEAVE\n");
    world.waits_for_answers = Some(0);
    world.needs_link_while_join_waits(bob, &room);
}

#[test]
fn a_draining_pod_needs_all_its_links() {
    let mut world = World::new(2);
    let (_, _, bob) = world.room_of_two(1, "");
    world.ask(bob, "LEAVE\n");
    world.drain(0);
    assert!(world.needs_link(0, 1));
}
