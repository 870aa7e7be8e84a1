//! The end: draining, and giving the lease up.

use chatd::directory::Request;
use chatd::lease::{LeaseEffect, LeaseNotice, LeaseRecord};

use crate::world::{World, record};

#[test]
fn a_draining_pod_lists_the_others_and_then_gives_its_lease_up() {
    let mut world = World::new();
    world.pass(3_000);
    world.others = vec![("chat-1".into(), record("ours", 8))];
    let time = world.time();
    world.lease.drain(time);
    world.serve();
    world.pass(2_100);
    let targets = world.effects.iter().find_map(|effect| match effect {
        LeaseEffect::Targets(targets) => Some(targets.clone()),
        _ => None,
    });
    assert_eq!(targets.unwrap()[0].pod_id, "chat-1");
    assert!(LeaseRecord::parse(world.stored.as_ref().unwrap()).unwrap().draining);
    world.end();
    assert_eq!(world.effects.last(), Some(&LeaseEffect::Ended));
    assert_eq!(world.log().last(), Some(&LeaseNotice::GivenUp));
    assert_eq!(world.stored, None);
}

#[test]
fn a_draining_pod_marks_its_lease_before_it_asks_for_the_others() {
    let mut world = World::new();
    world.pass(3_000);
    world.asked.clear();
    let time = world.time();
    world.lease.drain(time);
    world.serve();
    assert!(LeaseRecord::parse(world.stored.as_ref().unwrap()).unwrap().draining);
    world.pass(100);
    assert!(matches!(world.asked[..2], [Request::Swap { .. }, Request::Pods]), "{:?}", world.asked);
}

#[test]
fn nobody_listed_after_a_lost_connection_may_be_somebody_who_has_not_renewed_yet() {
    let mut world = World::new();
    world.pass(3_000);
    let time = world.time();
    world.lease.reset(time);
    world.lease.drain(time);
    world.serve();
    let told = |world: &World| world.effects.iter().filter(|effect| matches!(effect, LeaseEffect::Targets(_))).count();
    world.pass(9_000);
    assert_eq!(told(&world), 0);
    world.pass(2_000);
    assert!(told(&world) > 0);
}

#[test]
fn an_own_lease_that_was_not_known_of_is_given_up_too() {
    let mut world = World::new();
    world.pass(3_000);
    // As a renewal left it that was never answered.
    world.stored = Some(record("ours", 7));
    world.end();
    assert_eq!(world.stored, None);
    assert_eq!(world.log().last(), Some(&LeaseNotice::GivenUp));
    assert_eq!(world.effects.last(), Some(&LeaseEffect::Ended));
}

#[test]
fn the_lease_of_a_later_process_is_not_given_up() {
    let mut world = World::new();
    world.pass(3_000);
    world.stored = Some(record("ours", 8));
    world.end();
    assert_eq!(world.stored, Some(record("ours", 8)));
    assert_eq!(world.effects.last(), Some(&LeaseEffect::Ended));
}

#[test]
fn a_lease_that_could_not_be_released_is_logged() {
    let mut world = World::new();
    world.pass(3_000);
    world.silent = Some(false);
    world.end();
    assert_eq!(world.log().last(), Some(&LeaseNotice::NotGivenUp));
    assert_eq!(world.effects.last(), Some(&LeaseEffect::Ended));
}
