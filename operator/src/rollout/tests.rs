//! Tests of the steps: a table, and random walks over a model of Kubernetes' StatefulSet controller.
#![allow(clippy::unwrap_used)]

#[path = "away_tests.rs"]
mod of_away;

use super::*;
use proptest::prelude::*;

const GO: Permission =
    Permission { slot: true, redis_is_settled: true, patience_is_over: false, is_stuck: false, valkey_is_lost: false };

fn desired(replicas: i32, template: &str) -> Desired {
    Desired { replicas, partition: 0, paused: false, template: template.into(), directory: "d".into() }
}

fn set(replicas: i32, partition: i32, template: &str) -> Set {
    Set {
        replicas,
        partition,
        is_observed: true,
        current_revision: "r-a".into(),
        update_revision: format!("r-{template}"),
        template: template.into(),
        directory: "d".into(),
    }
}

/// Pods from a text: a letter is the version, upper-case if ready; `.` is missing, `-` ends.
fn pods(text: &str) -> BTreeMap<i32, Pod> {
    let pod = |(ordinal, letter): (usize, char)| {
        let pod = Pod {
            name: format!("chat-{ordinal}"),
            uid: format!("u{ordinal}"),
            revision: format!("r-{}", letter.to_ascii_lowercase()),
            directory: "d".into(),
            ready: letter.is_ascii_uppercase(),
            terminating: letter == '-',
        };
        (letter != '.').then(|| (i32::try_from(ordinal).unwrap(), pod))
    };
    text.chars().enumerate().filter_map(pod).collect()
}

#[test]
fn one_pod_at_a_time_and_only_while_the_others_are_ready() {
    // set's partition and template, pods, desired_template template -> partition, ordinal that the operator deletes
    let table = [
        // At rest, and the start of a roll-out.
        ((0, "a"), "AAA", "a", 0, None),
        ((0, "a"), "AAA", "b", 2, None),
        // Kubernetes has not deleted it yet, deletes it, starts it.
        ((2, "b"), "AAA", "b", 2, None),
        ((2, "b"), "AA-", "b", 2, None),
        ((2, "b"), "AA.", "b", 2, None),
        ((2, "b"), "AAb", "b", 2, None),
        // The next ones, and the end.
        ((2, "b"), "AAB", "b", 1, None),
        ((1, "b"), "ABB", "b", 0, None),
        ((0, "b"), "BBB", "b", 0, None),
        // Another pod is away: wait.
        ((0, "a"), "A.A", "b", 3, None),
        ((2, "b"), "aAB", "b", 2, None),
        ((2, "b"), "-AB", "b", 2, None),
        // The new version does not come up, and is corrected or taken back.
        ((2, "b"), "AAb", "c", 2, None),
        ((2, "c"), "AAb", "c", 2, Some(2)),
        ((2, "b"), "AAb", "a", 2, None),
        // Someone restarted the StatefulSet by hand.
        ((0, "b"), "AAA", "b", 2, None),
    ];
    for ((partition, template), text, desired_template, expected, deleted) in table {
        let step = next(Some(&set(3, partition, template)), &pods(text), &desired(3, desired_template), GO);
        let name = format!("{partition} {template} {text} {desired_template}");
        assert_eq!(step.partition, expected, "{name}");
        assert_eq!(step.replicas, 3, "{name}");
        assert_eq!(step.delete.map(|(pod, _)| pod), deleted.map(|ordinal: i32| format!("chat-{ordinal}")), "{name}");
    }
}

#[test]
fn an_unready_pod_of_the_old_version_blocks_for_a_moment_only() {
    let patient = Permission { patience_is_over: true, ..GO };
    let step = next(Some(&set(3, 3, "b")), &pods("aAA"), &desired(3, "b"), patient);
    assert_eq!((step.partition, step.delete), (2, None));
    // Kubernetes would wait for pod 0, so the operator takes pod 2 itself.
    let step = next(Some(&set(3, 2, "b")), &pods("aAA"), &desired(3, "b"), patient);
    assert_eq!((step.partition, step.delete.unwrap().0), (2, "chat-2".to_owned()));
    // A pod of the new version that does not come up blocks for good.
    let step = next(Some(&set(3, 2, "b")), &pods("bAB"), &desired(3, "b"), patient);
    assert_eq!((step.partition, step.delete), (2, None));
}

#[test]
fn the_users_partition_and_pause_hold_and_permissions_are_needed() {
    let canary = Desired { partition: 2, ..desired(3, "b") };
    assert_eq!(next(Some(&set(3, 2, "b")), &pods("AAB"), &canary, GO).partition, 2);
    assert_eq!(next(Some(&set(3, 2, "b")), &pods("AAB"), &canary, GO).phase, Phase::Settled);
    let paused = Desired { paused: true, ..desired(3, "b") };
    let step = next(Some(&set(3, 0, "a")), &pods("AAA"), &paused, GO);
    assert_eq!((step.partition, step.phase), (3, Phase::Waiting { why: Wait::Paused }));
    let step = next(Some(&set(3, 2, "b")), &pods("AAB"), &paused, GO);
    assert_eq!(step.partition, 2);
    for (permission, why) in
        [(Permission { slot: false, ..GO }, Wait::Slot), (Permission { redis_is_settled: false, ..GO }, Wait::Redis)]
    {
        let step = next(Some(&set(3, 0, "a")), &pods("AAA"), &desired(3, "b"), permission);
        assert_eq!((step.partition, step.phase), (3, Phase::Waiting { why }));
    }
}

#[test]
fn a_slot_is_needed_for_old_pods_and_kept_for_new_ones() {
    // set's partition and template, pods, desired_template template -> needed, kept if held
    let table = [
        ((0, "a"), "A", "a", false, false),
        ((0, "a"), "A", "b", true, false),
        ((0, "b"), "A", "b", true, false),
        ((0, "b"), "-", "b", true, false),
        ((0, "b"), ".", "b", true, true),
        ((0, "a"), ".", "b", true, false),
        ((1, "b"), ".", "b", true, false),
        ((0, "b"), "b", "b", false, true),
        ((0, "b"), "B", "b", false, false),
        // What the update has not reached is of no account.
        ((2, "b"), "a.B", "b", true, false),
        ((2, "b"), "AAb", "b", true, true),
        ((2, "b"), "AAb", "c", true, true),
    ];
    for ((partition, template), text, desired_template, needed, kept) in table {
        let pods = pods(text);
        let set = set(i32::try_from(text.len()).unwrap(), partition, template);
        let desired = desired(set.replicas, desired_template);
        let name = format!("{partition} {template} {text} {desired_template}");
        let needs_slot = |desired: &Desired, given_up| needs_slot(Some(&set), &pods, desired, &given_up);
        let is_unfinished = |set: &Set, pods, desired: &Desired| is_unfinished(Some(set), pods, desired, None);
        assert_eq!(needs_slot(&desired, [].into()), needed, "{name}");
        assert!(!needs_slot(&desired, (0..3).collect()), "nothing is lost by what has long been away: {name}");
        assert_eq!(is_unfinished(&set, &pods, &desired), kept, "{name}");
        let paused = Desired { paused: true, ..desired.clone() };
        assert!(!needs_slot(&paused, [].into()) && !is_unfinished(&set, &pods, &paused), "{name}");
        let mut ending = pods.clone();
        ending.values_mut().filter(|pod| !pod.ready).for_each(|pod| pod.terminating = true);
        assert_eq!(is_unfinished(&set, &ending, &desired), kept, "one that is deleted comes back no better: {name}");
        let complete = Set { current_revision: set.update_revision.clone(), ..set.clone() };
        assert!(!is_unfinished(&complete, &pods, &desired), "what becomes of pods after it is no update: {name}");
        let unseen = Set { is_observed: false, ..set.clone() };
        assert!(is_unfinished(&unseen, &pods, &desired), "which pods are old is not known yet: {name}");
    }
}

#[test]
fn pods_that_are_added_during_a_roll_out_keep_no_slot() {
    let is_unfinished = |text: &str, partition, began_with| {
        let set = set(i32::try_from(text.len()).unwrap(), partition, "b");
        is_unfinished(Some(&set), &pods(text), &desired(set.replicas, "b"), began_with)
    };
    assert!(is_unfinished("AABb.", 2, None), "of which it is not known");
    assert!(!is_unfinished("AABb.", 2, Some(3)), "one finds no node, one exceeds the quota");
    assert!(is_unfinished("AAbB.", 2, Some(3)), "the one that is updated");
}

#[test]
fn a_pod_that_is_away_comes_back_as_the_old_version_while_the_new_one_is_held_back() {
    let complete = |set: Set| Set { current_revision: set.update_revision.clone(), ..set };
    let paused = |replicas| Desired { paused: true, ..desired(replicas, "b") };
    let without_slot = Permission { slot: false, ..GO };
    for text in [".", "-", "..."] {
        let replicas = i32::try_from(text.len()).unwrap();
        let waiting = set(replicas, replicas, "b");
        let step = next(Some(&waiting), &pods(text), &paused(replicas), GO);
        assert_eq!((step.partition, step.phase), (replicas, Phase::Waiting { why: Wait::Paused }), "{text}");
        let step = next(Some(&waiting), &pods(text), &desired(replicas, "b"), without_slot);
        assert_eq!((step.partition, step.phase), (replicas, Phase::Waiting { why: Wait::Slot }), "{text}");
        assert_eq!(next(Some(&waiting), &pods(text), &desired(replicas, "b"), GO).partition, 0, "{text}");
        let step = next(Some(&complete(waiting)), &pods(text), &paused(replicas), GO);
        assert_eq!(step.partition, 0, "no change waits: {text}");
    }
    // What the update had reached before stays with it.
    for (text, partition) in [("AA-", 2), ("AA.", 2), ("A.B", 1), ("B-.", 0), ("AB.", 1)] {
        assert_eq!(next(Some(&set(3, partition, "b")), &pods(text), &paused(3), GO).partition, partition, "{text}");
    }
    assert_eq!(next(Some(&set(3, 3, "b")), &pods("AAA"), &paused(5), GO).partition, 5, "pods are added");
    assert_eq!(next(Some(&set(5, 5, "b")), &pods("AAA"), &paused(5), GO).partition, 5);
}

#[test]
fn scaling_goes_up_at_once_and_down_one_by_one() {
    let step = |replicas, text: &str, desired_template| {
        next(Some(&set(replicas, 0, "a")), &pods(text), &desired(desired_template, "a"), GO)
    };
    assert_eq!(step(3, "AAA", 9).replicas, 9);
    assert_eq!(step(3, "AAA", 0).replicas, 2);
    assert_eq!(step(2, "AA-", 0).replicas, 2);
    assert_eq!(step(2, "AAA", 0).replicas, 2);
    assert_eq!(step(2, "AA", 0).replicas, 1);
    assert_eq!(step(0, "", 0).phase, Phase::Settled);
    let unseen = Set { is_observed: false, ..set(3, 0, "a") };
    assert_eq!(next(Some(&unseen), &pods("AAA"), &desired(0, "a"), GO).replicas, 3);
    let stuck = Permission { is_stuck: true, ..GO };
    assert_eq!(next(Some(&set(2, 0, "a")), &pods("AA-"), &desired(0, "a"), stuck).replicas, 1);
    // Growing while an update waits: the new pods are of the new version, the old ones wait for them.
    assert_eq!(next(Some(&set(3, 0, "a")), &pods("AAA"), &desired(5, "b"), GO).partition, 3);
}

#[test]
fn another_directory_means_all_pods_stop_first() {
    let moved = Desired { directory: "e".into(), ..desired(3, "b") };
    let step = next(Some(&set(3, 0, "a")), &pods("AAA"), &moved, GO);
    assert_eq!((step.replicas, step.partition, step.phase), (0, 0, Phase::ChangingDirectory));
    let applied = Set { directory: "e".into(), ..set(0, 0, "b") };
    assert_eq!(next(Some(&applied), &pods("A--"), &moved, GO).replicas, 0);
    // Kubernetes still takes the old revision for the current one.
    assert_eq!(next(Some(&applied), &pods(""), &moved, GO).replicas, 0);
    let renewed = Set { current_revision: "r-b".into(), ..applied };
    assert_eq!(next(Some(&renewed), &pods(""), &Desired { partition: 2, ..moved }, GO).replicas, 3);
}

/// A model of the StatefulSet controller and of kubelets, with the rules that matter here.
#[derive(Clone, Debug)]
struct Model {
    spec: Set,
    pods: BTreeMap<i32, Pod>,
    next_uid: u32,
}

impl Model {
    fn new() -> Self {
        Self { spec: Set { current_revision: "r-a".into(), ..set(3, 0, "a") }, pods: pods("AAA"), next_uid: 9 }
    }

    fn apply(&mut self, step: &Step, desired: &Desired) {
        let spec = &mut self.spec;
        let changes =
            (spec.replicas, spec.partition, &spec.template) != (step.replicas, step.partition, &desired.template);
        spec.is_observed &= !changes;
        spec.replicas = step.replicas;
        spec.partition = step.partition;
        spec.template.clone_from(&desired.template);
        spec.directory.clone_from(&desired.directory);
        if let Some((name, uid)) = &step.delete
            && let Some(pod) = self.pods.values_mut().find(|pod| pod.name == *name && pod.uid == *uid)
        {
            pod.terminating = true;
        }
    }

    /// One round of the controller. `waits`: as newer versions of Kubernetes, it deletes nothing ready while anything is unready.
    fn control(&mut self, waits: bool) {
        self.spec.is_observed = true;
        self.spec.update_revision = format!("r-{}", self.spec.template);
        for ordinal in 0..self.spec.replicas {
            if !self.pods.contains_key(&ordinal) {
                let is_current = ordinal < self.spec.partition;
                let revision = if is_current { &self.spec.current_revision } else { &self.spec.update_revision };
                self.next_uid += 1;
                let pod = Pod {
                    name: format!("chat-{ordinal}"),
                    uid: format!("u{}", self.next_uid),
                    revision: revision.clone(),
                    directory: "d".into(),
                    ready: false,
                    terminating: false,
                };
                self.pods.insert(ordinal, pod);
            }
        }
        let replicas = self.spec.replicas;
        self.pods.iter_mut().filter(|(ordinal, _)| **ordinal >= replicas).for_each(|(_, pod)| pod.terminating = true);
        let is_away = |pod: &Pod| pod.terminating || !pod.ready;
        let someone_is_away = self.pods.values().any(is_away);
        let update = self.spec.update_revision.clone();
        let reached = self.pods.range_mut(self.spec.partition..).rev().map(|(_, pod)| pod);
        for pod in reached {
            if pod.revision != update && !pod.terminating && !(waits && someone_is_away && pod.ready) {
                pod.terminating = true;
                break;
            }
            if is_away(pod) {
                break;
            }
        }
        if self.pods.len() == usize::try_from(replicas).unwrap()
            && self.pods.values().all(|pod| pod.ready && pod.revision == update)
        {
            self.spec.current_revision = update;
        }
    }

    /// The pod `index` goes on: an ending one is gone, a good one becomes ready. Versions of the letter x never do.
    fn turn(&mut self, index: usize) {
        let Some(ordinal) = self.pods.keys().nth(index % self.pods.len().max(1)).copied() else { return };
        let pod = self.pods.get_mut(&ordinal).unwrap();
        if pod.terminating {
            self.pods.remove(&ordinal);
        } else if pod.revision != "r-x" {
            pod.ready = true;
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Operate,
    Control,
    Turn(usize),
    Break(usize),
    Scale(i32),
    Template(char),
    Partition(i32),
    Pause(bool),
    Slot(bool),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => Just(Event::Operate),
        6 => Just(Event::Control),
        8 => any::<usize>().prop_map(Event::Turn),
        1 => any::<usize>().prop_map(Event::Break),
        1 => (0..6).prop_map(Event::Scale),
        1 => prop_oneof![Just('a'), Just('b'), Just('c'), Just('x')].prop_map(Event::Template),
        1 => (0..4).prop_map(Event::Partition),
        1 => any::<bool>().prop_map(Event::Pause),
        1 => any::<bool>().prop_map(Event::Slot),
    ];
    prop::collection::vec(event, 1..120)
}

fn operate(model: &mut Model, desired: &Desired, permission: Permission) {
    let before: Vec<_> = model.pods.iter().map(|(ordinal, pod)| (*ordinal, pod.clone())).collect();
    let (replicas, was) = (model.spec.replicas, model.spec.partition);
    let step = next(Some(&model.spec), &model.pods, desired, permission);
    assert!(step.replicas >= replicas - 1, "more than one pod removed at once: {step:?}");
    if step.replicas < replicas {
        assert!(!before.iter().any(|(ordinal, pod)| pod.terminating || *ordinal >= replicas), "{step:?} {before:?}");
    }
    // If a ready pod comes within reach of an update, all others are ready, of the new version or of the old.
    let is_old = |pod: &Pod| model.spec.template != desired.template || pod.revision != model.spec.update_revision;
    for (ordinal, pod) in &before {
        let reached = *ordinal >= step.partition && *ordinal < step.replicas;
        let newly = reached && (*ordinal < was || model.spec.template != desired.template);
        if newly && pod.ready && !pod.terminating && is_old(pod) && model.spec.is_observed {
            for (other, pod) in before.iter().filter(|(other, _)| other != ordinal) {
                assert!(
                    pod.ready && !pod.terminating,
                    "{ordinal} within reach while {other} is away: {step:?} {before:?}"
                );
            }
        }
    }
    // While it is held back, an update reaches nothing that it has not reached.
    let is_held = (desired.paused || !permission.slot) && model.spec.is_observed && !model.spec.is_renewed();
    if is_held && step.replicas > 0 && model.spec.template == desired.template {
        let has_it = |ordinal: &i32| model.pods.get(ordinal).is_some_and(|pod| !pod.terminating && !is_old(pod));
        let mut reached = (step.partition..step.replicas).filter(|ordinal| *ordinal < was || *ordinal >= replicas);
        assert!(reached.all(|ordinal| has_it(&ordinal)), "{step:?} {model:?}");
    }
    model.apply(&step, desired);
    let again = next(Some(&model.spec), &model.pods, desired, permission);
    if step.delete.is_none() {
        // Looking again at once, with nothing changed, is no other decision.
        assert!(again.replicas == step.replicas && (again.partition == step.partition), "{step:?} then {again:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_walk_takes_one_pod_at_a_time_and_ends_where_it_should(events in events(), waits: bool) {
        let mut model = Model::new();
        let (mut desired, mut permission) = (desired(3, "a"), GO);
        for event in events {
            match event {
                Event::Operate => operate(&mut model, &desired, permission),
                Event::Control => model.control(waits),
                Event::Turn(index) => model.turn(index),
                Event::Break(index) => {
                    let count = model.pods.len().max(1);
                    if let Some(pod) = model.pods.values_mut().nth(index % count) {
                        pod.ready = false;
                    }
                }
                Event::Scale(replicas) => desired.replicas = replicas,
                Event::Template(letter) => desired.template = letter.into(),
                Event::Partition(partition) => desired.partition = partition,
                Event::Pause(paused) => desired.paused = paused,
                Event::Slot(slot) => permission.slot = slot,
            }
        }
        // The user settles for a good version; everything must come true without a hand, patience included.
        desired.paused = false;
        desired.partition = 0;
        desired.template = "b".into();
        for round in 0..200 {
            let patience = Permission { patience_is_over: round > 20, ..GO };
            let step = next(Some(&model.spec), &model.pods, &desired, patience);
            model.apply(&step, &desired);
            model.control(waits);
            (0..model.pods.len()).for_each(|index| model.turn(index));
        }
        prop_assert_eq!(model.spec.replicas, desired.replicas);
        prop_assert_eq!(model.spec.partition, 0);
        prop_assert_eq!(model.pods.len(), usize::try_from(desired.replicas).unwrap());
        prop_assert!(model.pods.values().all(|pod| pod.ready && !pod.terminating && pod.revision == "r-b"), "{:?}", model);
        let step = next(Some(&model.spec), &model.pods, &desired, GO);
        prop_assert_eq!(step.phase, Phase::Settled);
    }
}
