//! Taken, renewed, lost, refused, superseded.

use bytes::Bytes;
use chatd::directory::{Answer, DirectoryConnection, Request};
use chatd::ids::Ticket;
use chatd::lease::{DirectoryState, LeaseEffect, LeaseNotice, LeaseRecord};
use chatd::protocol::PodBoot;

use crate::world::{World, record};

#[test]
fn a_fresh_start_is_settled_with_its_first_lease() {
    let mut world = World::new();
    assert!(!world.lease.status().ready);
    world.pass(50);
    assert!(world.lease.status().ready);
    assert!(world.view().settled);
    assert_eq!(LeaseRecord::parse(world.stored.as_ref().unwrap()).unwrap().boot, PodBoot(7));
}

#[test]
fn it_is_renewed_every_two_seconds() {
    let mut world = World::new();
    world.pass(20_000);
    let confirmed = world.view().confirmed.unwrap();
    assert!(world.now - confirmed <= 2_050, "{confirmed} at {}", world.now);
}

#[test]
fn an_earlier_process_of_the_same_name_is_replaced_at_once() {
    let mut world = World::new();
    world.stored = Some(record("ours", 1));
    world.pass(50);
    assert!(world.lease.status().ready);
    assert!(world.view().settled);
}

#[test]
fn a_lost_lease_is_acquired_again_and_every_room_reasserted() {
    let mut world = World::new();
    world.pass(3_000);
    world.stored = None;
    world.pass(2_100);
    assert!(world.heard(&LeaseEffect::Lost));
    assert!(world.stored.is_some());
    assert!(!world.view().settled);
    world.pass(10_000);
    assert!(world.view().settled);
}

#[test]
fn a_newer_process_of_the_same_name_supersedes_this_one() {
    let mut world = World::new();
    world.pass(3_000);
    world.stored = Some(record("ours", 8));
    world.pass(2_100);
    assert!(world.heard(&LeaseEffect::Superseded));
    let theirs = world.stored.clone();
    world.pass(10_000);
    assert_eq!(world.stored, theirs, "a superseded process writes nothing");
    world.end();
    assert!(world.heard(&LeaseEffect::Ended));
    assert_eq!(world.stored, theirs, "and takes nothing away");
}

#[test]
fn another_deployment_s_lease_keeps_this_pod_from_serving() {
    let mut world = World::new();
    world.others = vec![("party-0".into(), record("theirs", 1))];
    world.pass(5_000);
    assert!(!world.lease.status().ready);
    assert_eq!(world.lease.status().state, Some(DirectoryState::PrefixInUse));
    assert_eq!(world.stored, None);
    world.others.clear();
    world.pass(2_100);
    assert!(world.lease.status().ready);
    assert_eq!(world.lease.status().state, Some(DirectoryState::Ok));
}

#[test]
fn a_renewal_whose_answer_was_lost_is_no_loss() {
    let mut world = World::new();
    world.pass(3_000);
    world.silent = Some(true);
    world.pass(3_000);
    world.silent = None;
    world.pass(1_000);
    assert!(!world.heard(&LeaseEffect::Lost));
    assert!(world.view().settled);
}

#[test]
fn a_reset_connection_unsettles_for_ten_seconds() {
    let mut world = World::new();
    world.pass(3_000);
    let time = world.time();
    world.lease.reset(time);
    world.serve();
    assert!(!world.view().settled);
    world.pass(9_900);
    assert!(!world.view().settled);
    world.pass(150);
    assert!(world.view().settled);
}

#[test]
fn rubbish_is_written_over() {
    let mut world = World::new();
    world.stored = Some(Bytes::from_static(b"\xff rubbish"));
    world.pass(100);
    assert!(world.lease.status().ready);
}

#[test]
fn what_a_later_version_says_in_a_lease_is_no_rubbish() {
    let mut lease: serde_json::Value = serde_json::from_slice(&record("ours", 8)).unwrap();
    lease["zone"] = serde_json::json!({"name": "b", "nodes": [1, 2]});
    let read = LeaseRecord::parse(&serde_json::to_vec(&lease).unwrap());
    assert_eq!(read, LeaseRecord::parse(&record("ours", 8)));
}

#[test]
fn a_pod_that_served_and_lost_its_lease_to_another_deployment_says_so() {
    let mut world = World::new();
    world.pass(3_000);
    world.stored = Some(record("theirs", 1));
    world.pass(2_100);
    assert!(!world.lease.status().ready);
    assert!(!world.view().settled && world.view().confirmed.is_some(), "its rooms go on");
    assert_eq!(world.log().last(), Some(&LeaseNotice::Ousted));
    assert_eq!(world.stored, Some(record("theirs", 1)));
}

/// The renewal that is due is sent and carried out, and its answer is on its way.
fn renewal_on_its_way(world: &mut World) -> Ticket {
    world.lease.tick(world.time());
    let mut effects = Vec::new();
    world.lease.take_effects(&mut effects);
    let [LeaseEffect::Directory { ticket, request: Request::Swap { new, .. } }] = &effects[..] else {
        panic!("{effects:?}");
    };
    world.stored = Some(new.clone());
    *ticket
}

#[test]
fn an_answer_that_lay_there_during_a_freeze_leads_to_a_renewal_at_once() {
    let mut world = World::new();
    world.pass(3_000);
    world.now += 2_000;
    let ticket = renewal_on_its_way(&mut world);
    // The process is frozen, and the lease runs out.
    world.now += 11_000;
    world.stored = None;
    world.lease.answered(world.time(), ticket, Ok(Answer::Done));
    assert!(world.lease.next_deadline() <= world.now);
    world.pass(50);
    assert!(world.stored.is_some() && world.heard(&LeaseEffect::Lost));
}

#[test]
fn a_renewal_counts_from_when_it_was_sent() {
    let mut world = World::new();
    world.pass(3_000);
    world.now += 2_000;
    let sent = world.now;
    let ticket = renewal_on_its_way(&mut world);
    world.now += 1_500;
    world.lease.answered(world.time(), ticket, Ok(Answer::Done));
    world.serve();
    assert_eq!(world.view().confirmed, Some(sent));
}

#[test]
fn while_a_renewal_is_not_answered_the_lease_is_looked_at_when_it_runs_out() {
    let mut world = World::new();
    world.pass(3_000);
    let confirmed = world.view().confirmed.unwrap();
    world.now += 2_000;
    world.lease.tick(world.time());
    assert_eq!(world.lease.next_deadline(), confirmed + 10_000);
    // Then it is over.
    world.silent = Some(false);
    world.now = confirmed + 10_000;
    world.lease.tick(world.time());
    world.serve();
    assert!(!world.view().settled);
}

#[test]
fn no_two_renewals_have_the_same_bytes() {
    let mut world = World::new();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..6 {
        world.pass(2_100);
        assert!(
            seen.insert(world.stored.clone().unwrap()),
            "another pod could take this lease for one that was not renewed"
        );
    }
}

#[test]
fn a_new_connection_to_the_directory_is_written_at_once() {
    let connection = |client| DirectoryConnection { run: "run".into(), client };
    let named = |world: &World| LeaseRecord::parse(world.stored.as_ref().unwrap()).unwrap().connection;
    let mut world = World::new();
    world.pass(3_000);
    assert_eq!(named(&world), None);
    for client in [1, 2] {
        let time = world.time();
        world.lease.connected(time, Some(connection(client)));
        world.pass(50);
        assert_eq!(named(&world), Some(connection(client)));
    }
    // One that was lost is no reason to write: there is nothing to write over.
    let asked = world.asked.len();
    let time = world.time();
    world.lease.connected(time, None);
    world.pass(50);
    assert_eq!(world.asked.len(), asked);
}
