//! Tests of takeovers by the search machine, without a hub.
#![allow(clippy::unwrap_used)]

use super::probe::LEASE_AFTER;
use super::search_tests::{Bench, ME, OTHER, OWNER, ask, lease, pod, record, room};
use super::sharing::weight;
use super::watch::LOOK;
use super::*;
use crate::hub::request::{ATTACH_PATIENCE, TAKEOVER_PATIENCE};
use crate::ids::SessionId;
use crate::peer_protocol::{Frame, Served};

/// The room falls to `boot`, of these pods.
fn falls_to(boot: u64, of: &[u64]) -> bool {
    of.iter().max_by_key(|other| weight(room(), PodBoot(**other))) == Some(&boot)
}

#[test]
fn an_owner_that_does_not_serve_the_room_loses_it_without_a_look_at_its_lease() {
    let mut bench = Bench::linked();
    bench.join();
    bench.read(Some(record(OWNER)));
    assert!(bench.events().is_empty());
    bench.hears(OWNER, Served::Not { seen: None });
    bench.ownerless(Ok(()));
    let (ticket, request) = bench.request();
    let Request::Swap { expected, new, .. } = request else { panic!("no swap: {request:?}") };
    let swapped = Record::parse(&new).unwrap();
    assert!(
        expected == Some(record(OWNER)) && swapped.boot == PodBoot(ME) && swapped.epoch > pod(OWNER).ownership.epoch
    );
    assert_eq!(swapped.former.iter().map(|former| former.boot.0).collect::<Vec<_>>(), [OWNER]);
    bench.answer(ticket, Ok(Answer::Done));
    let SearchEvent::TakenOver(takeover) = bench.event() else { panic!("not taken over") };
    assert!(takeover.stored == new && takeover.ownership == swapped.ownership() && takeover.waiters.len() == 1);
    assert_eq!(takeover.basis.to_bytes(), record(OWNER));
    assert!(!bench.search.is_under_way(room()));
}

#[test]
fn a_swap_that_was_not_answered_and_is_found_in_the_record_has_succeeded() {
    let mut bench = Bench::linked();
    bench.attach();
    bench.read(Some(record(OWNER)));
    assert!(bench.events().is_empty());
    bench.hears(OWNER, Served::Not { seen: None });
    bench.ownerless(Ok(()));
    let (ticket, request) = bench.request();
    let Request::Swap { new, .. } = request else { panic!("no swap: {request:?}") };
    bench.answer(ticket, Err(NoAnswer::Timeout));
    bench.events();
    assert!(bench.pass(PAUSE).is_empty());
    bench.read(Some(new));
    assert!(matches!(bench.event(), SearchEvent::TakenOver(_)));
}

#[test]
fn a_swap_that_finds_another_owner_asks_that_one() {
    let mut bench = Bench::linked();
    bench.context.peers.link_is_up(PodBoot(OTHER));
    bench.join();
    bench.read(Some(record(OWNER)));
    assert!(bench.events().is_empty());
    bench.hears(OWNER, Served::Not { seen: None });
    bench.ownerless(Ok(()));
    let (ticket, _) = bench.request();
    bench.frames();
    bench.answer(ticket, Ok(Answer::Found(Some(record(OTHER)))));
    assert!(bench.events().is_empty());
    assert_eq!(bench.frames(), [(OTHER, ask(None))]);
}

#[test]
fn a_silent_owner_keeps_the_room_while_it_has_its_lease() {
    let mut bench = Bench::parked();
    for _ in 0..3 {
        bench.pass(LOOK);
        bench.look(Ok(Answer::Found(Some(lease(OWNER)))));
        assert!(bench.events().is_empty());
        // With each look one record is read again: its owner may be one that gives its rooms away. It is asked again, too.
        bench.read(Some(record(OWNER)));
        bench.is_unreachable(OWNER);
        assert!(bench.events().is_empty());
    }
}

#[test]
fn a_silent_owner_whose_lease_is_gone_loses_the_room() {
    let mut bench = Bench::dead();
    bench.heirs(&[ME]);
    bench.ownerless(Ok(()));
    let (ticket, request) = bench.request();
    assert!(matches!(request, Request::Swap { .. }));
    bench.answer(ticket, Ok(Answer::Done));
    let SearchEvent::TakenOver(takeover) = bench.event() else { panic!("not taken over") };
    let [waiter] = &takeover.waiters[..] else { panic!("one waits: {takeover:?}") };
    assert_eq!(waiter.deadline, waiter.since + TAKEOVER_PATIENCE, "JOIN waits longer for what looks like a takeover");
}

#[test]
fn a_look_at_the_lease_from_before_the_record_was_read_counts_for_nothing() {
    let mut bench = Bench::new();
    bench.join();
    bench.read(Some(record(OWNER)));
    bench.is_unreachable(OWNER);
    assert!(bench.events().is_empty());
    let look = bench.asked_for(&Key::Pod(pod(OWNER).pod_id));
    // Another room of that pod: since the lookup began the pod may have renewed its lease and reasserted the room.
    let other = "zyx98wvu".parse().unwrap();
    let waiter =
        Waiter::attaching(SessionId { index: 2, generation: 1 }, bench.time.now, bench.time.now + ATTACH_PATIENCE);
    bench.search.look_for(&mut bench.context, bench.time, other, waiter);
    let ticket = bench.asked_for(&Key::Room(other));
    bench.search.answered(&mut bench.context, bench.time, other, ticket, Ok(Answer::Found(Some(record(OWNER)))));
    assert!(bench.events().is_empty());

    bench.search.lease_answered(&mut bench.context, bench.time, PodBoot(OWNER), look, Ok(Answer::Found(None)));
    assert!(bench.events().is_empty());
    bench.heirs(&[ME]);
    bench.ownerless(Ok(()));
    bench.requests();
    bench.pass(LOOK);
    bench.look(Ok(Answer::Found(None)));
    let event = bench.event();
    assert!(matches!(event, SearchEvent::Ownerless { room } if room == other), "{event:?}");
}

#[test]
fn a_linked_pod_that_answers_late_is_held_against_its_lease() {
    let mut bench = Bench::linked();
    bench.join();
    bench.read(Some(record(OWNER)));
    assert!(bench.events().is_empty() && bench.requests().is_empty());
    assert!(bench.pass(PATIENCE - LEASE_AFTER).is_empty());
    bench.look(Ok(Answer::Found(None)));
    assert!(bench.events().is_empty(), "it may answer yet");
    assert!(bench.pass(LEASE_AFTER).is_empty());
    bench.requests();
}

#[test]
fn entering_clients_get_the_obstacle_to_a_takeover() {
    let declined = || {
        let mut bench = Bench::linked();
        bench.join();
        bench.attach();
        bench.read(Some(record(OWNER)));
        assert!(bench.events().is_empty());
        bench.hears(OWNER, Served::Not { seen: None });
        bench
    };
    let mut bench = declined();
    bench.ownerless(Err(Obstacle::Refused(ErrorCode::TooManyRooms)));
    let SearchEvent::TurnedAway { waiters, code } = bench.event() else { panic!("not turned away") };
    assert!(waiters.len() == 1 && code == ErrorCode::TooManyRooms && bench.search.is_under_way(room()));

    let mut bench = declined();
    bench.ownerless(Err(Obstacle::Draining));
    let SearchEvent::TurnedAway { waiters, code } = bench.event() else { panic!("not turned away") };
    assert!(waiters.len() == 2 && code == ErrorCode::ShuttingDown && !bench.search.is_under_way(room()));

    let mut bench = declined();
    bench.ownerless(Err(Obstacle::Incoming));
    assert!(bench.events().is_empty() && bench.requests().is_empty() && bench.search.is_under_way(room()));
}

#[test]
fn a_dead_pods_room_is_left_to_its_heir_which_answers_or_declines_or_takes_too_long() {
    // Such a boot that the room falls to that pod.
    let heir = (10..100).find(|boot| falls_to(*boot, &[ME, *boot])).unwrap();
    let left = || {
        let mut bench = Bench::dead();
        bench.context.peers.link_is_up(PodBoot(heir));
        bench.heirs(&[ME, heir]);
        assert!(bench.events().is_empty(), "it is the heir's turn");
        assert_eq!(bench.frames(), [(heir, ask(Some(pod(OWNER).ownership)))]);
        bench
    };
    let mut bench = left();
    bench.hears(heir, Served::Soon);
    assert!(bench.events().is_empty());
    bench.hears(heir, Served::Here(pod(heir)));
    assert!(matches!(bench.event(), SearchEvent::Found { owner, .. } if owner == pod(heir)));

    let mut bench = left();
    bench.hears(heir, Served::Not { seen: None });
    bench.ownerless(Ok(()));

    let mut bench = left();
    bench.search.pod_is_silent(PodBoot(heir));
    bench.ownerless(Ok(()));

    let mut bench = left();
    let events = bench.pass(PATIENCE + 500);
    assert!(matches!(events[..], [SearchEvent::Ownerless { .. }]), "{events:?}");
}

#[test]
fn a_pod_that_is_asked_to_take_a_room_over_tells_who_asked_what_came_of_it() {
    let mut bench = Bench::linked();
    bench.context.peers.link_is_up(PodBoot(OTHER));
    let dead = Some(pod(OWNER).ownership);
    let served = bench.search.asked_by_pod(&mut bench.context, bench.time, room(), PodBoot(OTHER), dead);
    assert!(served == Served::Soon && bench.events().is_empty());
    bench.read(Some(record(OWNER)));
    assert!(bench.events().is_empty());
    bench.frames();
    bench.hears(OWNER, Served::Not { seen: None });
    bench.ownerless(Ok(()));
    let (ticket, _) = bench.request();
    bench.answer(ticket, Ok(Answer::Done));
    let SearchEvent::TakenOver(takeover) = bench.event() else { panic!("not taken over") };
    let served = Served::Here(bench.context.me_as(takeover.ownership));
    assert_eq!(bench.frames(), [(OTHER, Frame::Answer { room: room(), ticket: 0, served })]);
}
