//! Tests of one record's sync, without a hub.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::protocol::PodBoot;
use crate::record::Owner;

const TTL: Duration = Duration::from_hours(1);
const AT_LEISURE: u64 = 600_000;
const HELD: Ownership = Ownership { epoch: 7, boot: PodBoot(1) };

fn room() -> RoomId {
    "abc12def".parse().unwrap()
}

/// `state`: what tells it from other records of this ownership.
fn record(ownership: Ownership, state: u64) -> Record {
    let (peer, tcp) = (format!("p{}", ownership.boot.0), format!("t{state}"));
    let owner = Owner { ownership, pod_id: "chat-0".into(), tcp, web: String::new(), peer };
    Record::new(&owner, std::iter::empty())
}

/// Sends a write of another state under `ticket`: the bytes that it carries.
fn write(sync: &mut RecordSync, ticket: u64) -> Bytes {
    let Write::Send(Request::Swap { new, expected, .. }) = sync.write(room(), record(HELD, ticket), TTL) else {
        panic!("nothing was to be written: {sync:?}")
    };
    assert_eq!(expected.as_ref(), sync.stored());
    sync.sent(Ticket(ticket));
    new
}

/// A record that has been written once.
fn written() -> (RecordSync, Bytes) {
    let mut sync = RecordSync::new(None, 0);
    let bytes = write(&mut sync, 1);
    assert_eq!(sync.replied(Ticket(1), HELD, Ok(Reply::Done)), Outcome::Confirmed { version: Some(1) });
    assert!(sync.confirm(0, Some(1)) && sync.is_written());
    (sync, bytes)
}

#[test]
fn what_changes_during_a_write_goes_out_with_the_next_one() {
    let mut sync = RecordSync::new(None, 0);
    write(&mut sync, 1);
    sync.changed();
    assert!(!sync.wants_write() && !sync.is_known());
    assert_eq!(sync.replied(Ticket(9), HELD, Ok(Reply::Done)), Outcome::Stale);
    assert_eq!(sync.replied(Ticket(1), HELD, Ok(Reply::Done)), Outcome::Confirmed { version: Some(1) });
    assert!(!sync.confirm(0, Some(1)), "there is more to write");
    assert!(sync.has_written(1) && !sync.has_written(2) && sync.wants_write());
    write(&mut sync, 2);
    assert_eq!(sync.replied(Ticket(2), HELD, Ok(Reply::Done)), Outcome::Confirmed { version: Some(2) });
    assert!(sync.confirm(0, Some(2)) && sync.is_written());
    sync.changed();
    assert_eq!(sync.write(room(), record(HELD, 2), TTL), Write::UpToDate { version: 3 }, "the same state again");
}

#[test]
fn a_swap_without_a_reply_is_settled_by_reading() {
    let (mut sync, _) = written();
    sync.changed();
    let second = write(&mut sync, 2);
    assert_eq!(sync.replied(Ticket(2), HELD, Err(NoAnswer::Timeout)), Outcome::NoReply);
    assert!(!sync.is_settled() && !sync.wants_write());
    let check = sync.check(5, room(), TTL, AT_LEISURE);
    assert!(matches!(check, Some(Request::Get { .. })), "{check:?}");
    sync.sent(Ticket(3));
    assert_eq!(
        sync.replied(Ticket(3), HELD, Ok(Reply::Found(Some(second.clone())))),
        Outcome::Found(Some(second.clone()))
    );
    assert_eq!(sync.examine(5, HELD, false, true, Some(second)), Finding::Confirmed { version: Some(2) });
    assert!(sync.confirm(0, Some(2)) && sync.is_written());
}

#[test]
fn a_swap_that_may_come_late_is_outdone_by_other_bytes_and_looked_for_again() {
    let (mut sync, first) = written();
    sync.changed();
    let second = write(&mut sync, 2);
    sync.give_up_request();
    assert_eq!(sync.replied(Ticket(2), HELD, Ok(Reply::Done)), Outcome::Stale, "it was given up");
    assert_eq!(sync.examine(10, HELD, false, true, Some(first)), Finding::Confirmed { version: None });
    assert_eq!(sync.due_at(), 10 + LATE_SWAP_CHECK);
    sync.confirm(0, None);
    let Write::Send(Request::Swap { new, .. }) = sync.write(room(), record(HELD, 2), TTL) else { panic!("{sync:?}") };
    assert_ne!(new, second, "were they the same, the late swap could not be told from it");
}

#[test]
fn what_is_found_is_judged() {
    let higher = record(Ownership { epoch: 8, boot: PodBoot(2) }, 0);
    let lower = record(Ownership { epoch: 6, boot: PodBoot(2) }, 0).to_bytes();
    let is_higher = |found: &Finding| matches!(found, Finding::Higher(record) if record.ownership().epoch == 8);
    let examine = |creating, releases, found: Option<Bytes>| {
        let (mut sync, _) = written();
        let finding = sync.examine(0, HELD, creating, releases, found);
        (finding, sync.is_written())
    };
    assert!(is_higher(&examine(false, true, Some(higher.to_bytes())).0));
    assert_eq!(examine(true, true, Some(higher.to_bytes())).0, Finding::IdTaken);
    assert_eq!(examine(true, true, Some(lower.clone())).0, Finding::IdTaken);
    let ended = |record: Record| Some(Record { ended: true, ..record }.to_bytes());
    assert_eq!(examine(false, true, ended(higher.clone())).0, Finding::Ended);
    assert_eq!(examine(true, true, ended(higher.clone())), (Finding::Vacant { above: 8 }, false));
    let overwrite = |unreadable| (Finding::Overwrite { unreadable, lost: true }, false);
    assert_eq!(examine(false, true, Some(lower)), overwrite(false));
    assert_eq!(examine(false, true, None), overwrite(false));
    assert_eq!(examine(false, true, Some(Bytes::from_static(b"rubbish"))), overwrite(true));
    assert_eq!(examine(false, false, Some(higher.to_bytes())), overwrite(false), "the negative control");
}

#[test]
fn a_record_is_deleted_unless_another_pod_has_it() {
    let (mut sync, _) = written();
    let delete = |sync: &mut RecordSync, ticket| {
        assert!(matches!(sync.delete(room()), Some(Request::Delete { .. })));
        sync.sent(Ticket(ticket));
    };
    delete(&mut sync, 2);
    let mine = record(HELD, 0).numbered(99).to_bytes();
    assert_eq!(sync.replied(Ticket(2), HELD, Ok(Reply::Found(Some(mine)))), Outcome::DeleteAgain);
    delete(&mut sync, 3);
    let theirs = record(Ownership { epoch: 8, boot: PodBoot(2) }, 0).to_bytes();
    assert!(matches!(sync.replied(Ticket(3), HELD, Ok(Reply::Found(Some(theirs)))), Outcome::TakenOver(_)));
    delete(&mut sync, 4);
    assert_eq!(sync.replied(Ticket(4), HELD, Ok(Reply::Done)), Outcome::Deleted);
    assert_eq!(RecordSync::new(None, 0).delete(room()), None);
}

#[test]
fn it_is_checked_regularly_and_retried_when_that_was_asked_for() {
    let (mut sync, _) = written();
    assert_eq!(sync.due_at(), CHECK_SOON);
    sync.retry_by(5);
    assert_eq!(sync.due_at(), CHECK_SOON, "there is nothing to retry");
    sync.retry_at(900);
    sync.retry_by(400);
    assert!(sync.due_at() == 400 && !sync.take_retry(399) && sync.take_retry(400) && !sync.take_retry(401));
    assert!(!sync.take_check(CHECK_SOON - 1) && sync.take_check(CHECK_SOON));
    assert_eq!(sync.due_at(), 2 * CHECK_SOON);
    assert!(matches!(sync.check(7, room(), TTL, AT_LEISURE), Some(Request::Renew { .. })));
    assert_eq!((sync.check(8, room(), TTL, AT_LEISURE), sync.read(room())), (None, None), "one request at a time");
    sync.sent(Ticket(2));
    assert_eq!(sync.replied(Ticket(2), HELD, Ok(Reply::Done)), Outcome::Confirmed { version: None });
}

#[test]
fn what_nobody_writes_is_checked_at_leisure_and_what_was_written_soon() {
    let (mut sync, _) = written();
    assert!(sync.check(10, room(), TTL, AT_LEISURE).is_some());
    sync.sent(Ticket(2));
    sync.replied(Ticket(2), HELD, Ok(Reply::Done));
    sync.confirm(20, None);
    assert_eq!(sync.due_at(), 10 + AT_LEISURE);
    sync.changed();
    write(&mut sync, 3);
    assert_eq!(sync.replied(Ticket(3), HELD, Ok(Reply::Done)), Outcome::Confirmed { version: Some(2) });
    sync.confirm(1_000, Some(2));
    assert_eq!(sync.due_at(), 1_000 + CHECK_SOON);
    // Another write does not put it off.
    sync.changed();
    write(&mut sync, 4);
    sync.replied(Ticket(4), HELD, Ok(Reply::Done));
    sync.confirm(9_000, Some(3));
    assert_eq!(sync.due_at(), 1_000 + CHECK_SOON);
}
