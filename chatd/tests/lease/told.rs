//! What is said of the directory: its state, its losses, and what the log hears of them.

use bytes::Bytes;
use chatd::directory::NoAnswer;
use chatd::lease::{DirectoryState, LeaseEffect, LeaseNotice, LeaseRecord};

use crate::world::World;

#[test]
fn without_the_directory_it_is_not_settled_and_says_why() {
    let mut world = World::new();
    world.pass(3_000);
    world.silent = Some(false);
    world.pass(11_000);
    assert!(!world.view().settled);
    assert_eq!(world.lease.status().state, Some(DirectoryState::Away(NoAnswer::Timeout)));
    assert!(world.lease.status().ready, "rooms go on talking");
}

#[test]
fn a_directory_that_may_still_reply_is_not_logged() {
    let mut world = World::new();
    let time = world.time();
    world.lease.tick(time);
    assert_eq!(world.lease.status().state, None);
    world.serve();
    assert_eq!(world.lease.status().state, Some(DirectoryState::Ok));
}

#[test]
fn the_state_dates_from_its_last_change_of_any_kind() {
    let mut world = World::new();
    world.pass(3_000);
    world.silent = Some(false);
    world.pass(3_000);
    let timeouts = world.lease.status().since;
    world.pass(20_000);
    assert_eq!(world.lease.status().since, timeouts);
    world.why = NoAnswer::Refused;
    world.pass(3_000);
    assert_eq!(world.lease.status().state, Some(DirectoryState::Away(NoAnswer::Refused)));
    assert!(world.lease.status().since > timeouts + 19_000);
    let log = world.log();
    let told: Vec<_> = [NoAnswer::Timeout, NoAnswer::Refused].map(|why| LeaseNotice::DirectoryAway { why }).into();
    assert_eq!(log[log.len() - 2..], told);
}

#[test]
fn a_directory_that_comes_and_goes_does_not_fill_the_log() {
    let mut world = World::new();
    world.pass(3_000);
    let before = world.log().len();
    for round in 0..60 {
        world.silent = (round % 2 == 0).then_some(false);
        let time = world.time();
        world.lease.reset(time);
        world.pass(1_000);
    }
    world.silent = None;
    world.pass(15_000);
    let told = world.log().split_off(before);
    assert!((2..=8).contains(&told.len()), "{told:?}");
    assert_eq!(told.last(), Some(&LeaseNotice::DirectoryBack), "what it has come to is told");
}

#[test]
fn one_loss_of_the_directory_is_logged_once_for_all_its_records() {
    let mut world = World::new();
    world.pass(3_000);
    let mine = world.stored.clone();
    for _ in 0..100 {
        let time = world.time();
        world.lease.went_back(time);
        world.pass(100);
    }
    assert_eq!(world.went_back(), 1);
    assert!(world.heard(&LeaseEffect::CheckRecords));
    world.pass(30_000);
    // The store was rolled back: the lease is an older one of mine.
    let mut older = LeaseRecord::parse(mine.as_ref().unwrap()).unwrap();
    older.rooms = 99;
    world.stored = Some(serde_json::to_vec(&older).unwrap().into());
    world.pass(2_100);
    assert_eq!(world.went_back(), 2);
    // Or emptied: the lease is gone before its time.
    world.pass(30_000);
    world.stored = None;
    world.pass(2_100);
    assert_eq!(world.went_back(), 3);
}

#[test]
fn a_lease_that_ran_out_is_no_loss_of_the_directory() {
    let mut world = World::new();
    world.pass(3_000);
    world.now += 20_000;
    world.stored = None;
    world.pass(2_100);
    assert!(world.heard(&LeaseEffect::Lost));
    assert_eq!(world.went_back(), 0);
}

#[test]
fn an_unreadable_lease_is_logged_once() {
    let mut world = World::new();
    world.others = vec![("chat-1".into(), Bytes::from_static(b"{}"))];
    world.pass(3_000);
    let time = world.time();
    world.lease.drain(time);
    world.pass(10_000);
    let told = world.log().into_iter().filter(|notice| matches!(notice, LeaseNotice::Unreadable { .. }));
    assert_eq!(told.collect::<Vec<_>>(), [LeaseNotice::Unreadable { pod_id: "chat-1".into() }]);
}
