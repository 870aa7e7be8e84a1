//! Tests of owned rooms and what is asked of the directory for them, without a hub.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::directory::Key;
use crate::hub::capacity::RoomSlots;
use crate::hub::interface::{HubLimits, HubSettings};
use crate::hub::rooms::NewRoom;
use crate::lease::{LEASE, LeaseView};
use crate::protocol::PodBoot;
use crate::record::Record;
use crate::room::Room;

const ME: PodBoot = PodBoot(1);
const AT: Time = Time { now: 100_000, wall: 1_795_461_000_000 };

fn context(limits: HubLimits) -> Context {
    let ownership = Ownership { epoch: 0, boot: ME };
    let me = Owner { ownership, pod_id: "chat-0".into(), tcp: String::new(), web: String::new(), peer: String::new() };
    let mut context = Context::new(HubSettings { limits, ..HubSettings::default() }, me, [1; 32]);
    context.lease.view = LeaseView { confirmed: Some(AT.now), settled: true };
    context
}

fn room(number: usize) -> RoomId {
    format!("room000{number}").parse().unwrap()
}

fn record(owner: PodBoot, epoch: u64) -> Bytes {
    let ownership = Ownership { epoch, boot: owner };
    let owner =
        Owner { ownership, pod_id: "chat-9".into(), tcp: String::new(), web: String::new(), peer: String::new() };
    Record::new(&owner, std::iter::empty()).to_bytes()
}

/// Owns rooms of epoch 7, whose records are as they should be.
fn owned(context: &mut Context, count: usize) -> Rooms {
    let mut rooms = Rooms::default();
    for number in 0..count {
        let taken = Room::new(room(number), &mut context.random);
        let slot = context.settings.slots.take().unwrap();
        let ownership = Ownership { epoch: 7, boot: ME };
        rooms.own(context, Owned::taken(taken, ownership, record(ME, 7), AT.now, slot));
    }
    rooms.check_invariants(context);
    rooms
}

/// The requests that were sent since the last look.
fn sent(context: &mut Context) -> Vec<(Ticket, Request)> {
    let request = |effect| match effect {
        Effect::Directory { ticket, request } => Some((ticket, request)),
        _ => None,
    };
    context.effects.drain(..).filter_map(request).collect()
}

/// The directory answers.
fn reply(rooms: &mut Rooms, context: &mut Context, ticket: Ticket, reply: Reply) -> Option<RoomAction> {
    let Some(Purpose::Own(room)) = context.requests.tickets.remove(&ticket) else { panic!("{ticket:?}") };
    context.requests.own -= 1;
    rooms.record_replied(context, AT, room, ticket, Ok(reply))
}

#[test]
fn no_more_checks_are_in_flight_than_may_be() {
    let mut context = context(HubLimits { checks: 2, ..HubLimits::USUAL });
    let mut rooms = owned(&mut context, 5);
    rooms.check_all();
    assert_eq!(rooms.pump_checks(&mut context, AT), None);
    let first = sent(&mut context);
    assert!(first.len() == 2 && first.iter().all(|(_, request)| matches!(request, Request::Renew { .. })), "{first:?}");
    assert_eq!(rooms.pump_checks(&mut context, AT), None);
    assert!(sent(&mut context).is_empty() && rooms.checks_waiting() == 3);
    let confirm = RoomAction::Confirm { index: RoomIndex(0), version: None };
    assert_eq!(reply(&mut rooms, &mut context, first[0].0, Reply::Done), Some(confirm));
    assert_eq!(rooms.pump_checks(&mut context, AT), None);
    assert!(sent(&mut context).len() == 1 && rooms.checks_waiting() == 2);
    rooms.check_invariants(&context);
}

#[test]
fn checks_stop_at_a_record_that_needs_no_request() {
    let mut context = context(HubLimits::USUAL);
    let mut rooms = owned(&mut context, 2);
    // It is to say what it says already.
    let index = rooms.index_of(room(0)).unwrap();
    let owner = context.me_as(Ownership { epoch: 7, boot: ME });
    let stored = Record::new(&owner, std::iter::empty()).to_bytes();
    let slot = rooms.remove(index).unwrap().slot;
    let mut same = Owned::taken(Room::new(room(0), &mut context.random), owner.ownership, stored, AT.now, slot);
    same.changed();
    let index = rooms.own(&mut context, same);
    rooms.check_all();
    let confirm = RoomAction::Confirm { index, version: Some(2) };
    assert_eq!(rooms.pump_checks(&mut context, AT), Some(confirm));
    assert_eq!(rooms.confirm(&mut context, AT, index, Some(2)), Some(Confirmed { created: None, resumes: false }));
    assert_eq!(rooms.pump_checks(&mut context, AT), None);
    assert_eq!(sent(&mut context).len(), 1, "the other one is checked all the same");
}

#[test]
fn a_room_is_created_once_its_first_write_is_done() {
    let mut context = context(HubLimits::USUAL);
    let mut rooms = Rooms::default();
    let slot = rooms.slot_for_new(&mut context, AT).unwrap();
    rooms.create(&mut context, AT, NewRoom { room: room(0), descriptor: None }, Requester::Query(5), slot);
    let requests = sent(&mut context);
    let [(ticket, Request::Swap { key: Key::Room(_), expected: None, .. })] = requests.as_slice() else {
        panic!("{requests:?}")
    };
    let confirm = Some(RoomAction::Confirm { index: RoomIndex(0), version: Some(1) });
    assert_eq!(reply(&mut rooms, &mut context, *ticket, Reply::Done), confirm);
    let created = Confirmed { created: Some((Requester::Query(5), room(0))), resumes: false };
    assert_eq!(rooms.confirm(&mut context, AT, RoomIndex(0), Some(1)), Some(created));
    assert!(rooms.get(RoomIndex(0)).is_some_and(Owned::ready) && context.counters.rooms_created == 1);
    rooms.check_invariants(&context);
}

#[test]
fn a_new_room_whose_id_is_taken_gets_another_one() {
    let mut context = context(HubLimits::USUAL);
    let mut rooms = Rooms::default();
    let slot = rooms.slot_for_new(&mut context, AT).unwrap();
    rooms.create(&mut context, AT, NewRoom { room: room(0), descriptor: None }, Requester::Query(5), slot);
    let (ticket, _) = sent(&mut context).remove(0);
    let found = Reply::Found(Some(record(PodBoot(9), 3)));
    assert_eq!(
        reply(&mut rooms, &mut context, ticket, found),
        Some(RoomAction::RetryWithNewId { index: RoomIndex(0) })
    );
}

#[test]
fn a_room_is_released_to_a_higher_owner_and_written_over_a_lower_one() {
    let found = |found: Option<Bytes>| {
        let mut context = context(HubLimits::USUAL);
        let mut rooms = owned(&mut context, 1);
        rooms.check_all();
        assert_eq!(rooms.pump_checks(&mut context, AT), None);
        let (ticket, _) = sent(&mut context).remove(0);
        let action = reply(&mut rooms, &mut context, ticket, Reply::Found(found));
        (action, context.effects)
    };
    let higher = found(Some(record(PodBoot(9), 8))).0;
    assert!(
        matches!(&higher, Some(RoomAction::Release { index: RoomIndex(0), to }) if to.ownership.epoch == 8),
        "{higher:?}"
    );
    for lower in [None, Some(record(PodBoot(9), 6))] {
        let (action, effects) = found(lower.clone());
        assert_eq!(action, None);
        let [Effect::DirectoryWentBack, Effect::Directory { request: Request::Swap { expected, .. }, .. }] =
            effects.as_slice()
        else {
            panic!("{effects:?}")
        };
        assert_eq!(*expected, lower);
    }
}

#[test]
fn a_lapse_suspends_a_room_until_its_record_is_confirmed_under_a_lease() {
    let mut context = context(HubLimits { checks: 1, ..HubLimits::USUAL });
    let mut rooms = owned(&mut context, 2);
    let late = Time { now: AT.now + LEASE + 1, ..AT };
    assert!(context.notice_lapse(late) && !context.notice_lapse(late), "a pod that goes on looking is not frozen");
    for index in rooms.indexes() {
        rooms.suspend(&mut context, late, index);
    }
    assert_eq!(rooms.pump_checks(&mut context, late), None);
    let (first, _) = sent(&mut context).remove(0);
    let confirm = RoomAction::Confirm { index: RoomIndex(1), version: None };
    assert_eq!(reply(&mut rooms, &mut context, first, Reply::Done), Some(confirm));
    let confirmed = rooms.confirm(&mut context, late, RoomIndex(1), None);
    assert_eq!(confirmed, Some(Confirmed { created: None, resumes: false }), "the lease is not held again");
    context.lease.view.confirmed = Some(late.now);
    rooms.confirm_again();
    assert_eq!(rooms.checks_waiting(), 3, "both rooms are checked under the lease");
    let confirmed = rooms.confirm(&mut context, late, RoomIndex(1), None);
    assert_eq!(confirmed, Some(Confirmed { created: None, resumes: true }));
}

#[test]
fn every_room_is_reasserted_after_a_lost_lease() {
    let mut context = context(HubLimits::USUAL);
    let mut rooms = owned(&mut context, 2);
    rooms.reassert_all(&mut context);
    assert_eq!(rooms.pump_checks(&mut context, AT), None);
    let swaps = sent(&mut context);
    assert!(swaps.len() == 2 && context.counters.reassertions == 2);
    for (_, request) in swaps {
        let Request::Swap { new, .. } = request else { panic!("{request:?}") };
        assert_eq!(Record::parse(&new).unwrap().ownership().epoch, 8);
    }
}

#[test]
fn an_empty_room_is_deleted_when_its_time_has_come() {
    let mut context = context(HubLimits::USUAL);
    let mut rooms = owned(&mut context, 1);
    let over = Time { now: AT.now + context.settings.empty_ttl, ..AT };
    assert!(!rooms.is_to_close(&context, AT, RoomIndex(0)) && rooms.is_to_close(&context, over, RoomIndex(0)));
    assert_eq!(rooms.delete(&mut context, over, RoomIndex(0)), None);
    let (ticket, request) = sent(&mut context).remove(0);
    assert!(matches!(request, Request::Delete { .. }), "{request:?}");
    assert_eq!(reply(&mut rooms, &mut context, ticket, Reply::Done), Some(RoomAction::Close { index: RoomIndex(0) }));
}

#[test]
fn a_room_that_nobody_has_entered_makes_way_for_a_new_one_but_not_while_it_is_young() {
    let mut context = context(HubLimits::USUAL);
    context.settings.slots = RoomSlots::new(1);
    let mut rooms = owned(&mut context, 1);
    let unentered = context.settings.slots.note_unentered(AT.now, room(0));
    rooms.get_mut(RoomIndex(0)).unwrap().note_unentered(unentered);
    assert!(rooms.slot_for_new(&mut context, AT).is_none());
    let later = Time { now: AT.now + 10_001, ..AT };
    assert!(rooms.slot_for_new(&mut context, later).is_some());
    assert!(rooms.is_to_close(&context, later, RoomIndex(0)), "its place is another one's");
}

#[test]
fn a_pod_with_many_rooms_checks_their_records_in_turn() {
    let mut context = context(HubLimits::USUAL);
    let slots = RoomSlots::new(10_000);
    context.settings.slots = slots.clone();
    let mut taken = Vec::new();
    let mut intervals = |count: usize, ttl: u64| {
        taken.resize_with(count, || slots.take().unwrap());
        context.settings.record_ttl = ttl;
        let intervals = (0..200).map(|number| check_interval(&context, format!("{number:03}rooms").parse().unwrap()));
        let intervals: Vec<_> = intervals.collect();
        (*intervals.iter().min().unwrap(), *intervals.iter().max().unwrap())
    };
    assert_eq!(intervals(1, 3_600_000), (CHECK_SOON, CHECK_SOON));
    assert_eq!(intervals(600, 3_600_000), (CHECK_SOON, CHECK_SOON));
    let (least, most) = intervals(10_000, 3_600_000);
    assert!((500_000..520_000).contains(&least) && (980_000..1_000_000).contains(&most), "{least} to {most}");
    // In time before it expires.
    let (least, most) = intervals(10_000, 600_000);
    assert!(least >= 200_000 && most < 400_000, "{least} to {most}");
    assert_eq!(intervals(10_000, 60_000), (CHECK_SOON, CHECK_SOON));
}
