//! Two processes of one name that put each other out.

use chatd::lease::{LeaseEffect, LeaseNotice, LeaseRecord};

use crate::world::{World, record};

/// A process starts on the store of `before`, at the time that it is there.
fn starts(boot: u64, pod_uid: &str, before: &World) -> World {
    let mut world = World::of(boot, pod_uid);
    (world.now, world.stored) = (before.now, before.stored.clone());
    world.pass(50);
    world
}

fn says(world: &World) -> LeaseRecord {
    LeaseRecord::parse(world.stored.as_ref().unwrap()).unwrap()
}

/// `world` finds what `other` has stored.
fn finds(world: &mut World, other: &World) {
    world.stored.clone_from(&other.stored);
    world.pass(2_100);
}

#[test]
fn who_is_put_out_within_a_minute_of_putting_another_out_says_so() {
    let mut world = World::of(8, "");
    world.stored = Some(record("ours", 7));
    world.pass(50_000);
    world.stored = Some(record("ours", 9));
    world.pass(2_100);
    assert!(world.heard(&LeaseEffect::Superseded), "its rooms are handed over all the same");
    assert!(world.heard(&LeaseEffect::Twin));
    assert_eq!(world.log().last(), Some(&LeaseNotice::SupersededAgain));
}

#[test]
fn a_process_that_is_replaced_once_in_a_while_is_none_of_two() {
    for (before, life) in [(None, 3_000), (Some(record("ours", 7)), 61_000)] {
        let mut world = World::of(8, "");
        world.stored = before;
        world.pass(life);
        world.stored = Some(record("ours", 9));
        world.pass(2_100);
        assert!(world.heard(&LeaseEffect::Superseded) && !world.heard(&LeaseEffect::Twin));
    }
}

#[test]
fn a_pod_that_a_later_one_of_its_name_has_put_out_does_not_come_back() {
    let mut old = World::of(1, "pod-a");
    old.pass(3_000);
    let new = starts(2, "pod-b", &old);
    assert!(new.lease.status().ready);
    finds(&mut old, &new);
    assert!(old.heard(&LeaseEffect::Superseded));
    // Its container is started again, on a node that the API server does not reach.
    let mut again = starts(3, "pod-a", &new);
    assert!(again.heard(&LeaseEffect::Twin) && !again.lease.status().ready);
    assert_eq!(again.log(), [LeaseNotice::Earlier]);
    assert_eq!(again.stored, new.stored, "it writes nothing");
    let asked = again.asked.len();
    again.pass(10_000);
    assert_eq!(again.asked.len(), asked, "and asks for nothing more");
    // The later pod's own container starts again as ever, and what it knows of the earlier pod goes on.
    let restarted = starts(4, "pod-b", &new);
    assert!(restarted.lease.status().ready);
    assert_eq!(says(&restarted).earlier, ["pod-a"]);
    assert!(starts(5, "pod-a", &restarted).heard(&LeaseEffect::Twin));
}

#[test]
fn the_last_earlier_pods_are_remembered() {
    let mut world = World::of(1, "pod-1");
    world.pass(50);
    for number in 2..20 {
        world = starts(number, &format!("pod-{number}"), &world);
    }
    let earlier = says(&world).earlier;
    assert_eq!(earlier, (11..19).map(|number| format!("pod-{number}")).collect::<Vec<_>>());
}
