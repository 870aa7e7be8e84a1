//! What rooms tell the webhook: what happens in them, numbered, across moves and takeovers. No I/O.

use chatd::lease::LeaseView;
use chatd::protocol::{ExitReason, PlayerName, Timeline};
use chatd::room_call::RoomCall;
use chatd::webhook::{CloseReason, Occurrence};

use serde_json::json;

use crate::join_tokens::{SECRET, seconds, signed, verifier};
use crate::world::World;

fn world(pods: usize) -> World {
    World::with(pods, |settings| (settings.webhook, settings.empty_ttl) = (true, 60_000))
}

fn name(name: &str) -> PlayerName {
    name.parse().unwrap()
}

/// What was told since the last call: by which pod, under which number, and what.
fn told(world: &mut World) -> Vec<(usize, u64, Occurrence)> {
    let told = std::mem::take(&mut world.webhook);
    told.into_iter().map(|(pod, event)| (pod, event.number, event.what)).collect()
}

/// The timeline of all that was told and not asked for yet.
fn timeline(world: &World) -> Timeline {
    let (_, first) = world.webhook.first().unwrap();
    assert!(world.webhook.iter().all(|(_, event)| (event.room, event.timeline) == (first.room, first.timeline)));
    first.timeline
}

#[test]
fn a_room_tells_of_itself_and_of_who_comes_and_goes() {
    let mut world = world(2);
    let alice = world.open(0);
    let room = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice\n"));
    let bob = world.open(1);
    world.join_resumable(bob, &room, "bob RELAY");
    assert_eq!(world.webhook[0].1.at, world.time().wall);
    timeline(&world);
    let joined = |player| Occurrence::Joined(name(player));
    assert_eq!(told(&mut world), [(0, 1, Occurrence::Created), (0, 2, joined("alice")), (0, 3, joined("bob"))]);
    // What is said, who is away and who is back is not told.
    world.ask(alice, "hello\n");
    let time = world.time();
    world.pods[1].disconnected(time, bob.1, chatd::peer_protocol::Disconnect::Lost);
    world.run();
    assert_eq!(told(&mut world), []);
    world.ask(alice, "LEAVE\n");
    world.pass(31_000);
    world.pass(61_000);
    assert_eq!(world.pods[0].room_count(), 0);
    timeline(&world);
    let left = |player, reason| Occurrence::Left(name(player), reason);
    assert_eq!(
        told(&mut world),
        [
            (0, 4, left("alice", ExitReason::Left)),
            (0, 5, left("bob", ExitReason::Timeout)),
            (0, 6, Occurrence::Closed(CloseReason::Empty)),
        ]
    );
}

#[test]
fn the_count_moves_with_the_room() {
    let mut world = world(3);
    let (room, _, bob) = world.room_of_two(1, "");
    let before = timeline(&world);
    world.webhook.clear();
    for (from, to, number) in [(0, 1, 4), (1, 2, 5)] {
        world.drain_to(from, to);
        world.pass(500);
        assert_eq!(timeline(&world), before);
        let players = vec![name("alice"), name("bob")];
        assert_eq!(told(&mut world), [(to, number, Occurrence::Moved { players })]);
    }
    world.ask(bob, "LEAVE\n");
    let eve = world.open(2);
    world.ask(eve, &format!("JOIN {room} eve RELAY\n"));
    assert_eq!(timeline(&world), before);
    let left = Occurrence::Left(name("bob"), ExitReason::Left);
    assert_eq!(told(&mut world), [(2, 6, left), (2, 7, Occurrence::Joined(name("eve")))]);
}

#[test]
fn what_waits_in_a_suspended_room_is_answered_and_told_before_the_room_is_offered() {
    let mut world = world(2);
    let (room, _, _) = world.room_of_two(0, "");
    world.pass(500);
    world.webhook.clear();
    pass_without_lease(&mut world, 0, 9_800);
    // The record has carol, and the answer to that is on its way, as the room begins to move.
    world.waits_for_answers = Some(0);
    let carol = world.open(0);
    world.say(carol, &format!("JOIN {room} carol RELAY\n"));
    world.drain_to(0, 1);
    world.run();
    // The lease lapses, and the record is found as it was written. What the other pod hears of its swap is on its way.
    pass_without_lease(&mut world, 0, 300);
    world.waits_for_answers = Some(1);
    world.hand_over_answers(0);
    pass_without_lease(&mut world, 0, 2_500);
    world.waits_for_answers = None;
    world.hand_over_answers(1);
    world.pass(1_000);
    let players = ["alice", "bob", "carol"].map(name).to_vec();
    assert_eq!(told(&mut world), [(0, 4, Occurrence::Joined(name("carol"))), (1, 5, Occurrence::Moved { players })]);
    let heard = world.hear(carol);
    assert_eq!(heard, format!("JOINED {room} carol alice,bob,carol\nMOVED {room}\n"));
}

/// Time passes, in which this pod alone does not renew its lease.
fn pass_without_lease(world: &mut World, pod: usize, millis: u64) {
    for _ in 0..millis / 100 {
        world.now += 100;
        let time = world.time();
        for (number, hub) in world.pods.iter_mut().enumerate() {
            if number != pod {
                hub.lease(time, LeaseView { confirmed: Some(time.now), settled: true });
            }
            hub.tick(time);
        }
        world.run();
    }
}

#[test]
fn a_takeover_begins_a_count_of_its_own_with_those_whose_seats_are_held() {
    let mut world = world(2);
    let (room, _, bob) = world.room_of_two(1, " RESUMABLE");
    let before = timeline(&world);
    world.webhook.clear();
    world.kill(0);
    world.pass(20_000);
    let eve = world.open(1);
    world.ask(eve, &format!("JOIN {room} eve RELAY\n"));
    assert_ne!(timeline(&world), before);
    let taken_over = &told(&mut world)[..];
    let Some((1, 1, Occurrence::TakenOver { from, players })) = taken_over.first() else { panic!("{taken_over:?}") };
    assert_eq!((&**from, players.contains(&name("bob"))), ("chat-0", true), "{players:?}");
    let eve = (1, taken_over.len() as u64, Occurrence::Joined(name("eve")));
    assert_eq!(taken_over.last(), Some(&eve));
    world.ask(bob, "LEAVE\n");
    let next = taken_over.len() as u64 + 1;
    world.pass(31_000);
    let all = told(&mut world);
    assert!(all.contains(&(1, next, Occurrence::Left(name("bob"), ExitReason::Left))), "{all:?}");
}

#[test]
fn what_is_said_is_told_where_the_descriptor_asks_for_it_and_the_end_that_it_sets_is() {
    let mut world = world(1);
    world.pods[0].set_join_keys(Some(verifier(SECRET)));
    let (now, ana) = (seconds(&world), world.open(0));
    let descriptor = json!({"webhook": true, "expires_at": now + 60});
    let auth = signed(SECRET, &json!({"sub": "a", "room": "*", "exp": now + 3_600, "create": descriptor}));
    world.say(ana, &format!("JOIN match-42 ana AUTH={auth}\n"));
    world.pass(1_000);
    assert!(world.hear(ana).starts_with("JOINED match-42 ana ana\n"));
    world.ask(ana, "hello\n");
    let message = Occurrence::Message { from: name("ana"), text: "hello".into(), seq: 1 };
    assert_eq!(
        told(&mut world),
        [(0, 1, Occurrence::Created), (0, 2, Occurrence::Joined(name("ana"))), (0, 3, message)]
    );
    world.pass(62_000);
    assert_eq!(told(&mut world), [(0, 4, Occurrence::Closed(CloseReason::Expired))]);
}

#[test]
fn a_room_that_the_application_ends_is_told_apart_from_one_whose_time_is_over() {
    for pod in [0, 1] {
        let mut world = world(2);
        let alice = world.open(0);
        let room = world.create(alice);
        told(&mut world);
        world.call(pod, &room, RoomCall::End).unwrap();
        world.pass(1_000);
        assert_eq!(told(&mut world), [(0, 2, Occurrence::Closed(CloseReason::Deleted))]);
    }
}

#[test]
fn without_a_webhook_nothing_is_told() {
    let mut world = World::new(2);
    world.room_of_two(1, "");
    world.drain_to(0, 1);
    world.pass(500);
    assert_eq!(told(&mut world), []);
}
