//! Tests of one relayed session, without a hub.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::hub::request::Entry;
use crate::ids::SessionId;
use crate::protocol::{Ownership, SeatId, Timeline};

const OLD: Timeline = Timeline(1);
const NEW: Timeline = Timeline(2);
const FIRST: PodBoot = PodBoot(1);
const SECOND: PodBoot = PodBoot(2);

fn room() -> RoomId {
    "abc12def".parse().unwrap()
}

fn owner(boot: PodBoot) -> Owner {
    let ownership = Ownership { epoch: boot.0, boot };
    Owner { ownership, pod_id: "chat".into(), tcp: String::new(), web: String::new(), peer: String::new() }
}

fn say() -> Command<'static> {
    Command::Say { text: "hello".into() }
}

/// A window of 400 bytes.
fn settings() -> HubSettings {
    let mut settings = HubSettings::default();
    settings.limits.window = 400;
    settings
}

fn seated(timeline: Timeline, joined: bool) -> After {
    let (name, seat) = ("alice".parse().unwrap(), SeatId(7));
    After::Admitted { name, seat, resumable: true, key: None, auth: None, epoch: 1, timeline, joined }
}

fn receive(relay: &mut Relay, place: (u64, u64), bytes: usize, after: Option<After>) -> Option<Received> {
    let delivery = Delivery { replies: None, place, bytes: vec![b'x'; bytes].into(), after };
    relay.receive(&delivery, &settings())
}

/// What a delivery without bytes comes to.
fn next(relay: &mut Relay, place: (u64, u64), after: Option<After>) -> Next {
    receive(relay, place, 0, after).unwrap().next
}

/// The numbers of the commands that go out now.
fn send(relay: &mut Relay) -> Vec<u64> {
    let mut numbers = Vec::new();
    relay.send_pending(|_, frame| match frame {
        Frame::Command { number, .. } => numbers.push(*number),
        other => panic!("{other:?}"),
    });
    relay.check_invariants();
    numbers
}

fn opening() -> Relay {
    let session = SessionId { index: 0, generation: 1 };
    let entry = Entry::Join { name: "alice".parse().unwrap(), resumable: true, key: None, auth: None };
    let waiter = Waiter { deadline: 2_000, ..Waiter::entering(session, Some(70), entry, 0) };
    Relay::opening(RelayId(3), room(), waiter, owner(FIRST))
}

/// A session with a seat, at the position 10 and the message 5.
fn live() -> Relay {
    let mut relay = opening();
    assert!(!relay.takes_commands(8), "its JOIN is not answered");
    assert_eq!(next(&mut relay, (10, 5), Some(seated(OLD, true))), Next::Opened);
    relay.check_invariants();
    relay
}

/// Loses its owner, and asks the pod with `boot` to take it on.
fn attach(relay: &mut Relay, now: u64, boot: PodBoot) -> Attach {
    relay.lose_owner(now).unwrap();
    match relay.attach(now, Encoding::Lines, &owner(boot)) {
        Some(Frame::Attach { attach, .. }) => attach,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reply_tells_that_earlier_ones_are_lost() {
    let mut relay = live();
    for id in 1..=3 {
        relay.push(Some(id), Ok(say()));
    }
    assert_eq!(send(&mut relay), [2, 3, 4], "JOIN was the first");
    assert!(send(&mut relay).is_empty() && !relay.takes_commands(3));
    let delivery = Delivery { replies: Some(3), place: (11, 6), bytes: b"MSG\n".into(), after: None };
    let received = relay.receive(&delivery, &settings()).unwrap();
    assert_eq!((received.lost, received.is_new, received.next), (vec![Some(1)], true, Next::Unchanged));
    assert!(relay.under_way() == 1 && relay.takes_commands(3));
}

#[test]
fn what_comes_after_leave_waits_until_it_is_refused() {
    let mut relay = live();
    relay.push(None, Ok(Command::Leave));
    assert_eq!(send(&mut relay), [2]);
    assert!(!relay.takes_commands(8) && !relay.idle());
    assert!(relay.replied(2).is_empty());
    assert!(relay.takes_commands(8) && relay.idle());
}

#[test]
fn the_same_timeline_settles_what_was_carried_out() {
    let mut relay = live();
    for id in 1..=3 {
        relay.push(Some(id), Ok(say()));
    }
    send(&mut relay);
    let asked = attach(&mut relay, 0, FIRST);
    assert_eq!((asked.member.position, asked.member.seq, asked.moved), (10, 5, false));
    assert_eq!(next(&mut relay, (0, 0), Some(seated(OLD, false))), Next::Admitted);
    assert!(send(&mut relay).is_empty(), "what was missed comes first");
    let caught_up = Some(After::CaughtUp { processed: Some(3) });
    assert_eq!(next(&mut relay, (12, 6), caught_up), Next::CaughtUp { lost: vec![Some(1), Some(2)] });
    assert_eq!(send(&mut relay), [4]);
}

#[test]
fn no_number_is_used_that_the_owner_takes_for_carried_out() {
    let mut relay = live();
    relay.push(None, Ok(say()));
    assert_eq!(send(&mut relay), [2]);
    attach(&mut relay, 0, SECOND);
    assert_eq!(next(&mut relay, (10, 5), Some(seated(OLD, false))), Next::Admitted);
    let Next::CaughtUp { lost } = next(&mut relay, (10, 5), Some(After::CaughtUp { processed: Some(50) })) else {
        panic!("no end of the replay");
    };
    assert_eq!(lost.len(), 1);
    relay.push(None, Ok(say()));
    assert_eq!(send(&mut relay), [51]);
}

#[test]
fn after_another_timeline_nobody_knows_however_often_it_attaches() {
    let mut relay = live();
    relay.push(Some(1), Ok(say()));
    relay.push(Some(2), Ok(Command::Leave));
    send(&mut relay);
    assert!(attach(&mut relay, 0, SECOND).moved);
    assert_eq!(next(&mut relay, (0, 0), Some(seated(NEW, false))), Next::Admitted);
    assert!(relay.is_in_doubt());
    // The link breaks before all has come, and the owner has the session's timeline now.
    assert!(!attach(&mut relay, 0, SECOND).moved, "the client has been told");
    assert_eq!(next(&mut relay, (0, 0), Some(seated(NEW, false))), Next::Admitted);
    let caught_up = Some(After::CaughtUp { processed: Some(0) });
    assert_eq!(next(&mut relay, (3, 1), caught_up), Next::CaughtUp { lost: vec![Some(1)] });
    assert!(!relay.is_in_doubt());
    assert_eq!(send(&mut relay), [3], "LEAVE leaves the seat that it has now");
}

#[test]
fn an_attach_that_is_answered_twice_counts_once() {
    let mut relay = live();
    relay.push(Some(1), Ok(say()));
    send(&mut relay);
    attach(&mut relay, 0, FIRST);
    assert_eq!(receive(&mut relay, (11, 6), 9, None), None, "of an earlier attach: it comes again");
    assert!(receive(&mut relay, (0, 0), 9, Some(seated(OLD, false))).unwrap().is_new);
    let again = receive(&mut relay, (0, 0), 9, Some(seated(OLD, false))).unwrap();
    assert!(!again.is_new && again.next == Next::Unchanged);
    assert!(receive(&mut relay, (11, 6), 9, None).unwrap().is_new);
    assert!(!receive(&mut relay, (11, 6), 9, None).unwrap().is_new, "the replay comes twice as well");
    let caught_up = Some(After::CaughtUp { processed: Some(1) });
    assert_eq!(next(&mut relay, (11, 6), caught_up), Next::CaughtUp { lost: vec![] });
    assert_eq!(send(&mut relay), [2]);
    assert_eq!(next(&mut relay, (11, 6), caught_up), Next::Unchanged, "it is under way");
    assert!(send(&mut relay).is_empty());
}

#[test]
fn the_owner_gets_credit_by_quarters_of_the_window() {
    let mut relay = live();
    let credit = |relay: &mut Relay, queued| match relay.credit(queued, 100) {
        Some((FIRST, Frame::Credit { bytes, .. })) => bytes,
        None => 0,
        other => panic!("{other:?}"),
    };
    assert_eq!(receive(&mut relay, (0, 0), 300, None).unwrap().brought, 0);
    assert_eq!((credit(&mut relay, 300), credit(&mut relay, 201)), (0, 0));
    assert_eq!((credit(&mut relay, 200), credit(&mut relay, 200)), (100, 0));
    assert_eq!(receive(&mut relay, (0, 0), 300, None).unwrap().brought, 100, "beyond the window");
    assert_eq!((credit(&mut relay, 0), relay.uncredited()), (500, 0));
    // Another owner has a window of its own, and is told nothing before it has taken the session on.
    receive(&mut relay, (0, 0), 200, None);
    attach(&mut relay, 0, SECOND);
    assert_eq!(relay.uncredited(), 0);
    // An event without a number, of an earlier attach, would come out of its order.
    assert!(receive(&mut relay, (0, 0), 200, None).is_none());
    let reply = Delivery { replies: Some(1), place: (0, 0), bytes: vec![b'x'; 200].into(), after: None };
    assert!(relay.receive(&reply, &settings()).is_some_and(|received| received.is_new));
    assert_eq!((credit(&mut relay, 0), relay.uncredited()), (0, 200));
}

#[test]
fn an_owner_that_releases_the_room_says_what_it_has_not_carried_out() {
    let mut relay = live();
    for id in 1..=2 {
        relay.push(Some(id), Ok(say()));
    }
    send(&mut relay);
    relay.owner_released(2, true);
    assert!(relay.is_to_redirect());
    assert!(attach(&mut relay, 0, SECOND).moved);
    // The next one releases it too: it knows nothing of them.
    relay.owner_released(0, true);
    let given_up: Vec<_> = relay.take_pending().into_iter().map(|pending| (pending.id, pending.sent)).collect();
    assert_eq!(given_up, [(Some(1), true), (Some(2), false)]);
}

#[test]
fn what_is_late_is_a_join_or_an_attach_and_no_replay() {
    let relay = opening();
    assert_eq!(relay.overdue(1_999), None);
    assert_eq!(relay.overdue(2_000), Some(Overdue::Entry { id: Some(70), since: 0 }));
    let mut relay = live();
    attach(&mut relay, 5_000, SECOND);
    assert_eq!(relay.overdue(5_000 + ATTACH - 1), None);
    assert_eq!(relay.overdue(5_000 + ATTACH), Some(Overdue::Attach));
    assert_eq!(next(&mut relay, (0, 0), Some(seated(OLD, false))), Next::Admitted);
    assert_eq!(relay.overdue(u64::MAX), None);
}

#[test]
fn the_time_to_find_an_owner_does_not_start_anew_with_each_try() {
    let mut relay = live();
    assert_eq!(relay.lose_owner(1_000).unwrap(), 1_000 + ATTACH_PATIENCE);
    assert!(relay.attach(2_000, Encoding::Lines, &owner(SECOND)).is_some());
    assert_eq!(relay.lose_owner(3_000).unwrap(), 1_000 + ATTACH_PATIENCE);
    assert!(opening().lose_owner(1_000).unwrap_err().is_entering(), "without a seat it is asked again");
}

#[test]
fn the_owner_hears_what_a_client_that_is_gone_was_given() {
    let mut relay = live();
    receive(&mut relay, (12, 6), 9, None);
    let heard = |disconnect| match relay.closed(disconnect) {
        Some((FIRST, Frame::Closed { heard, .. })) => heard,
        other => panic!("{other:?}"),
    };
    assert_eq!(heard(Disconnect::Lost), Some(Heard { timeline: OLD, last_seq: 6 }));
    assert_eq!(heard(Disconnect::Slow), None, "what was queued is dropped");
}

#[test]
fn who_wants_to_leave_a_seat_that_has_ended_has_left() {
    for leaves in [false, true] {
        let mut relay = live();
        relay.push(Some(9), Ok(if leaves { Command::Leave } else { say() }));
        assert_eq!(send(&mut relay), [2]);
        attach(&mut relay, 0, SECOND);
        let Received { is_new, next, .. } =
            receive(&mut relay, (0, 0), 10, Some(After::Outside { miss: true })).unwrap();
        let expected = if leaves { Next::Unseated } else { Next::Outside { miss: false } };
        assert_eq!((is_new, next), (!leaves, expected), "leaves: {leaves}");
        assert_eq!(relay.take_pending().len(), 1, "its reply is due");
    }
}
