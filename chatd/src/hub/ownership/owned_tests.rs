//! Tests of one owned room, without a hub.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;
use crate::directory::Answer;
use crate::hub::capacity::RoomSlots;
use crate::hub::migration::Next;
use crate::hub::ownership::UntoldLock;
use crate::hub::ownership::phase::TimedOut;
use crate::hub::ownership::record_sync::Write;
use crate::hub::request::Asked;
use crate::ids::{SessionId, Ticket};
use crate::lease::Target;
use crate::protocol::{ExitReason, PodBoot};
use crate::record::{Owner, Record};

const ME: PodBoot = PodBoot(1);
const EMPTY_TTL: u64 = 600_000;

fn held(epoch: u64) -> Ownership {
    Ownership { epoch, boot: ME }
}

fn room() -> Room {
    Room::new("abc12def".parse().unwrap(), &mut rand::rng())
}

fn slot() -> RoomSlot {
    RoomSlots::new(1).take().unwrap()
}

/// A room of epoch 7 that came here at 0, with its record as it should be.
fn serving() -> Owned {
    Owned::taken(room(), held(7), Bytes::from_static(b"{}"), 0, slot())
}

fn exited(name: &str) -> PendingAnswer {
    PendingAnswer::Exited { name: name.parse().unwrap(), reason: ExitReason::Left }
}

/// Who is told now to have left.
fn released(owned: &mut Owned, now: u64) -> Vec<String> {
    let name = |answer: PendingAnswer| match answer {
        PendingAnswer::Exited { name, .. } => name.to_string(),
        _ => panic!("{answer:?}"),
    };
    std::iter::from_fn(|| owned.next_released(now)).map(name).collect()
}

/// Sends the write of what the record should be now.
fn write(owned: &mut Owned, ticket: u64) {
    let owner = Owner {
        ownership: owned.ownership,
        pod_id: String::new(),
        tcp: String::new(),
        web: String::new(),
        peer: String::new(),
    };
    let record = Record::new(&owner, owned.room.recorded());
    let written = owned.record.write(owned.room.id, record, Duration::from_hours(1));
    assert!(matches!(written, Write::Send(_)), "{written:?}");
    owned.record.sent(Ticket(ticket));
}

/// That write is done.
fn written(owned: &mut Owned, ticket: u64) {
    owned.record.replied(Ticket(ticket), owned.ownership, Ok(Answer::Done));
    owned.confirm(0, Some(owned.record.version()), true);
}

#[test]
fn answers_wait_for_the_write_that_holds_them() {
    let mut owned = serving();
    owned.answer_after_write(0, exited("alice"));
    let first = owned.record.version();
    write(&mut owned, 1);
    owned.answer_after_write(0, exited("bob"));
    owned.reassert();
    assert!(released(&mut owned, 0).is_empty(), "nothing is written");
    owned.record.replied(Ticket(1), held(7), Ok(Answer::Done));
    owned.confirm(0, Some(first), true);
    assert_eq!(released(&mut owned, 0), ["alice"], "bob's end goes out with the next write");
    write(&mut owned, 2);
    owned.record.replied(Ticket(2), owned.ownership(), Ok(Answer::Done));
    owned.confirm(0, Some(owned.record.version()), true);
    assert_eq!(released(&mut owned, 0), ["bob"]);
    owned.check_invariants();
}

#[test]
fn an_answer_waits_no_longer_than_clients_do() {
    let mut owned = serving();
    owned.answer_after_write(0, exited("alice"));
    owned.answer_after_write(5, exited("bob"));
    assert_eq!(owned.next_due(EMPTY_TTL), PATIENCE);
    assert!(released(&mut owned, PATIENCE - 1).is_empty());
    assert_eq!(released(&mut owned, PATIENCE), ["alice"]);
    assert_eq!(released(&mut owned, PATIENCE + 5), ["bob"]);
}

#[test]
fn a_lapse_of_the_lease_suspends_until_the_record_is_confirmed_under_a_lease() {
    let mut owned = serving();
    owned.suspend(100);
    assert!(!owned.ready() && owned.take_ready().is_none());
    assert!(!owned.confirm(0, None, false), "another pod may have found the lease missing");
    assert!(owned.is_suspended());
    assert!(owned.confirm(0, None, true) && owned.ready());
    assert!(!owned.confirm(0, None, true), "it goes on once");
}

#[test]
fn a_suspended_room_answers_nothing_and_goes_on_in_the_end() {
    let mut owned = serving();
    owned.answer_after_write(0, exited("alice"));
    owned.suspend(10);
    assert!(released(&mut owned, PATIENCE).is_empty(), "the seat may be another owner's by now");
    assert!(!owned.confirm(0, None, true), "what alice was told is not written");
    assert_eq!(owned.take_timed_out(PATIENCE + 9), None);
    assert_eq!(owned.take_timed_out(PATIENCE + 10), Some(TimedOut::Confirmation));
    assert!(owned.ready());
    assert_eq!(released(&mut owned, PATIENCE + 10), ["alice"]);
}

#[test]
fn what_waits_in_a_suspended_room_is_told_before_the_room_is_offered() {
    for locked in [false, true] {
        let mut owned = serving();
        owned.answer_after_write(0, exited("alice"));
        if locked {
            owned.take_answers();
            owned.note_untold_lock(Some(UntoldLock { by: "mod".parse().unwrap(), answers: None }));
        }
        write(&mut owned, 1);
        owned.begin_move(0, Target { pod_id: "chat-2".into(), boot: PodBoot(2), peer: String::new(), rooms: 0 });
        owned.record.replied(Ticket(1), held(7), Ok(Answer::Done));
        owned.suspend(0);
        // The record has it, and the lease is not held.
        owned.confirm(1, Some(owned.record.version()), false);
        assert!(owned.is_written() && owned.is_suspended());
        assert_eq!(owned.move_settled(1), Next::Wait);
        assert!(owned.confirm(2, None, true));
        assert_eq!(
            (released(&mut owned, 2).len(), owned.take_untold_lock().is_some()),
            (1 - usize::from(locked), locked)
        );
        assert_eq!(owned.move_settled(2), Next::Offer);
    }
}

#[test]
fn a_room_is_reasserted_above_a_dead_owner_only() {
    let dead = |epoch| Ownership { epoch, boot: PodBoot(9) };
    let mut owned = serving();
    assert!(!owned.reassert_above(dead(6)) && !owned.reassert_above(dead(MAX_EPOCH)));
    assert_eq!(owned.ownership(), held(7));
    assert!(owned.reassert_above(dead(7)), "the higher boot is higher");
    assert_eq!(owned.ownership(), held(8));
    assert!(owned.reassert_above(dead(20)) && owned.record.wants_write());
    assert!(owned.reassert_after_loss());
    assert_eq!(owned.ownership(), held(22));
}

#[test]
fn an_empty_room_is_closed_after_its_time_once_the_directory_knows() {
    let mut owned = serving();
    assert_eq!(owned.closes_at(EMPTY_TTL), Some(EMPTY_TTL));
    owned.changed();
    assert_eq!(owned.closes_at(EMPTY_TTL), None);
    write(&mut owned, 1);
    written(&mut owned, 1);
    assert_eq!(owned.closes_at(EMPTY_TTL), Some(EMPTY_TTL));
    owned.begin_closing(EMPTY_TTL);
    assert!(!owned.may_write() && !owned.ready());
    assert_eq!(owned.take_timed_out(EMPTY_TTL + 2 * PATIENCE), Some(TimedOut::Closing));
}

#[test]
fn a_room_that_nobody_has_entered_makes_way_at_once() {
    let slots = RoomSlots::new(1);
    let mut owned = serving();
    assert!(!owned.makes_way(), "it is not known to be new");
    owned.note_unentered(slots.note_unentered(0, owned.room.id));
    assert!(owned.makes_way());
    assert_eq!(owned.closes_at(EMPTY_TTL), Some(0));
    owned.entered();
    assert_eq!(owned.closes_at(EMPTY_TTL), Some(EMPTY_TTL), "somebody was faster");
}

#[test]
fn a_new_room_begins_with_its_first_write_or_not_at_all() {
    let session = SessionId { index: 0, generation: 0 };
    let requester = Requester::Client(Asked::here(session, None));
    let created = || Owned::created(room(), held(1), requester, 0, slot());
    let mut owned = created();
    assert!(!owned.ready() && owned.may_write() && owned.record.wants_write());
    write(&mut owned, 1);
    written(&mut owned, 1);
    assert_eq!(owned.begin_serving(), Some(requester));
    assert!(owned.ready() && owned.begin_serving().is_none());
    assert_eq!(created().take_timed_out(PATIENCE), Some(TimedOut::Creation(requester)));
}

#[test]
fn that_a_seat_is_held_is_written_soon_and_once_for_all() {
    let mut owned = serving();
    owned.seat_to_hold(0);
    owned.seat_to_hold(50);
    assert!(!owned.view().written && owned.next_due(EMPTY_TTL) == HOLD_WITHIN);
    assert!(!owned.hold_seats(HOLD_WITHIN - 1));
    owned.suspend(HOLD_WITHIN - 1);
    assert!(!owned.hold_seats(HOLD_WITHIN), "the room waits for its record");
    owned.confirm(0, None, true);
    assert!(owned.hold_seats(HOLD_WITHIN) && owned.record.wants_write());
    assert!(!owned.hold_seats(HOLD_WITHIN));
}
