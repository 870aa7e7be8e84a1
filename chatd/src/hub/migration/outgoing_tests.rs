//! Tests of a drain's decisions, without a hub.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::hub::interface::{Effect, HubSettings};
use crate::protocol::Ownership;
use crate::record::Owner;

const NEAR: PodBoot = PodBoot(2);
const DEADLINE: u64 = 25_000;

fn at(now: u64) -> Time {
    Time { now, wall: now }
}

fn room(number: usize) -> RoomId {
    format!("r{number:07}").parse().unwrap()
}

fn target(boot: PodBoot) -> Target {
    Target { pod_id: format!("chat-{}", boot.0), boot, peer: format!("peer-{}", boot.0), rooms: 0 }
}

/// A pod that drains from 0 on, with `clients`, whose directory answers.
fn draining(clients: usize) -> (Context, Outgoing) {
    let (pod_id, tcp, web, peer) = ("chat-1".into(), String::new(), String::new(), "peer-1".into());
    let me = Owner { ownership: Ownership { epoch: 0, boot: PodBoot(1) }, pod_id, tcp, web, peer };
    let (mut context, mut outgoing) = (Context::new(HubSettings::default(), me, [1; 32]), Outgoing::default());
    assert!(outgoing.look(0, clients).is_none() && !outgoing.is_draining());
    outgoing.start(at(0), &mut context, Some(DEADLINE), clients);
    assert!(!context.directory_answers && outgoing.is_draining());
    context.directory_answers = true;
    (context, outgoing)
}

/// As above, with one other pod that is linked, and so many rooms.
fn moving(rooms: usize) -> (Context, Outgoing) {
    let (mut context, mut outgoing) = draining(0);
    outgoing.targets_listed(vec![target(NEAR)]);
    outgoing.link_targets(at(0), &mut context);
    assert!(matches!(&context.effects[..], [Effect::Dial { boot: NEAR, .. }]));
    context.peers.link_is_up(NEAR);
    assert!(outgoing.wants_rooms());
    outgoing.rooms_wait((0..rooms).map(room));
    (context, outgoing)
}

fn offered(outgoing: &mut Outgoing, now: u64, context: &Context) -> Vec<RoomId> {
    let offers = std::iter::from_fn(|| {
        let (room, to) = outgoing.next_offer(now, context, |_| true)?;
        assert!(outgoing.sent(now, room) && to.boot == NEAR);
        Some(room)
    });
    let rooms = offers.collect();
    outgoing.check_invariants();
    rooms
}

#[test]
fn as_many_rooms_are_offered_as_the_target_answers() {
    let (context, mut outgoing) = moving(100);
    let first = offered(&mut outgoing, 0, &context);
    assert!(first.len() < 100 && first[0] == room(0), "{first:?}");
    assert_eq!(offered(&mut outgoing, 1, &context), []);
    for room in &first {
        outgoing.taken(5, *room);
    }
    assert!(offered(&mut outgoing, 5, &context).len() > first.len(), "it answered without a queue");
}

#[test]
fn a_room_that_was_not_taken_is_offered_again_after_a_pause() {
    let (context, mut outgoing) = moving(1);
    assert_eq!(offered(&mut outgoing, 0, &context), [room(0)]);
    outgoing.failed(10, room(0));
    outgoing.stays(room(0));
    assert_eq!((offered(&mut outgoing, 20, &context), outgoing.waiting()), (Vec::new(), 1));
    assert_eq!(offered(&mut outgoing, 1_000, &context), [room(0)]);
    outgoing.is_over(room(0));
    outgoing.check_invariants();
    assert!(!outgoing.sent(1_001, room(0)), "it is not here any more");
}

#[test]
fn rooms_that_cannot_move_are_passed_over() {
    let (context, mut outgoing) = moving(3);
    let (next, _) = outgoing.next_offer(0, &context, |candidate| candidate == room(2)).unwrap();
    assert_eq!((next, outgoing.waiting()), (room(2), 0));
}

#[test]
fn nothing_is_offered_while_the_directory_is_away_or_after_the_deadline() {
    let (mut context, mut outgoing) = moving(1);
    assert_eq!(offered(&mut outgoing, DEADLINE, &context), []);
    context.directory_answers = false;
    assert_eq!(offered(&mut outgoing, 0, &context), []);
}

#[test]
fn a_pod_is_alone_where_no_other_is_listed_or_linked() {
    let (mut context, mut outgoing) = draining(0);
    assert!(!outgoing.is_alone(&context), "it has not been told yet");
    outgoing.targets_listed(Vec::new());
    assert!(outgoing.is_alone(&context));
    context.peers.link_is_up(NEAR);
    assert!(!outgoing.is_alone(&context));
}

#[test]
fn records_are_checked_once_before_the_deadline() {
    let (_, mut outgoing) = draining(0);
    let looks = [0, 22_999, 23_000, 23_100, DEADLINE].map(|now| outgoing.look(now, 0).unwrap());
    assert_eq!(looks.map(|look| look.checks_records), [false, false, true, false, false]);
    assert_eq!(looks.map(|look| look.is_over), [false, false, false, false, true]);
}

#[test]
fn clients_leave_spread_over_the_time_and_all_before_the_deadline() {
    let clients = |outgoing: &Outgoing, now| {
        let ids = (0..1_000).map(|index| SessionId { index, generation: 1 });
        let [mut away, mut redirected] = [0, 0];
        for id in ids {
            away += usize::from(outgoing.sends_away(now, id));
            redirected += usize::from(outgoing.redirects(now, id));
        }
        (away, redirected)
    };
    let (_, outgoing) = draining(1_000);
    assert_eq!(clients(&outgoing, KEEP_RELAYING - 1).0, 0);
    assert!(clients(&outgoing, 100).1 > 0, "those who can be told where to go need not wait");
    let (half, _) = clients(&outgoing, u64::midpoint(KEEP_RELAYING, DEADLINE - BEFORE_DEADLINE));
    assert!((450..=550).contains(&half), "{half}");
    assert_eq!(clients(&outgoing, DEADLINE - BEFORE_DEADLINE), (1_000, 1_000));
    // A few go at once.
    let (_, outgoing) = draining(AT_ONCE);
    assert_eq!(clients(&outgoing, KEEP_RELAYING).0, 1_000);
}
