//! Tests of the pods that a rollout waits for.

use super::*;

fn of(ordinals: &[i32]) -> BTreeSet<i32> {
    ordinals.iter().copied().collect()
}

#[test]
fn pods_that_are_missing_or_not_ready_are_away_and_only_old_ones_are_outdated() {
    let (set, desired) = (set(4, 0, "b"), desired(4, "b"));
    let cases: [(&str, &[i32], &[i32]); 5] = [
        ("BBBB", &[], &[]),
        ("AB.b", &[2, 3], &[2]),
        ("aB-B", &[0], &[0]),
        ("BbBa", &[1, 3], &[3]),
        ("BB", &[2, 3], &[2, 3]),
    ];
    for (text, are_away, lag) in cases {
        let pods = pods(text);
        assert_eq!(away(Some(&set), &pods), of(are_away), "{text}");
        assert_eq!(outdated(Some(&set), &pods, &desired), of(lag), "{text}");
    }
    assert_eq!((away(None, &pods("a")), outdated(None, &pods("a"), &desired)), (of(&[]), of(&[])));
}

#[test]
fn a_pod_that_comes_in_while_scaling_in_holds_the_update_back() {
    let mut permission = GO;
    permission.slot = false;
    let (set, goal) = (set(3, 0, "a"), |replicas| desired(replicas, "b"));
    // The user wants fewer than there are; then nothing else keeps it back.
    let why = |replicas| match partition(&set, &pods("AAA"), &goal(replicas), permission, replicas).phase {
        Phase::Waiting { why } => why,
        other => panic!("{other:?}"),
    };
    assert_eq!([2, 3, 4].map(why), [Wait::ScaleIn, Wait::Slot, Wait::Slot]);
}

#[test]
fn what_was_let_through_comes_back_as_the_new_version_and_what_was_not_as_the_old_one() {
    let mut set = set(4, 2, "b");
    let held = Permission { slot: false, ..GO };
    // The update has reached the pods from 2 on; pod 3 is away, and then pod 1.
    for (text, expected) in [("AAB.", 2), ("A.BB", 2)] {
        let step = partition(&set, &pods(text), &desired(4, "b"), held, 4);
        assert_eq!((step.partition, step.phase), (expected, Phase::Waiting { why: Wait::Slot }), "{text}");
    }
    // Complete: whatever is missing is new.
    set.current_revision = set.update_revision.clone();
    let step = partition(&set, &pods("BBB."), &desired(4, "b"), held, 4);
    assert_eq!((step.partition, step.phase), (0, Phase::Rolling { ordinal: 3 }));
}

#[test]
fn while_there_are_fewer_or_more_pods_than_are_wanted_it_scales() {
    for (there, text) in [(2, "AA"), (4, "AAAA")] {
        let step = next(Some(&set(there, 0, "a")), &pods(text), &desired(3, "a"), GO);
        assert_eq!((step.replicas, step.phase), (3, Phase::Scaling { to: 3 }), "from {there}");
    }
}
