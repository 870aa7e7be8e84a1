//! What is found of a room, case by case. No I/O.

use super::*;
use crate::inspected::{Former, RecordedSeat};

fn room() -> Room {
    let seat = Seat { name: "alice".to_owned(), state: "connected".to_owned(), ..Seat::default() };
    let (state, boot) = ("serving".to_owned(), "b1".to_owned());
    Room { state, boot, epoch: 5, seq: 1, written: true, players: vec![seat], ..Room::default() }
}

fn record() -> Record {
    let (pod, boot) = ("chat-1".to_owned(), "b1".to_owned());
    let seats = vec![RecordedSeat { name: "alice".to_owned(), held: true, joining: false }];
    Record { pod, boot, epoch: 5, seats, ..Record::default() }
}

fn lease() -> Lease {
    Lease { boot: "b1".to_owned(), rooms: 1, players: 1, draining: false }
}

/// The owner, and a pod that does not have it.
fn well() -> Vec<Told> {
    let record = Some(Stored::Value(record()));
    let lease = Some(Stored::Value(lease()));
    let other = Told { pod: "chat-0".to_owned(), here: None, record, lease };
    vec![other.clone(), Told { pod: "chat-1".to_owned(), here: Some(room()), ..other }]
}

fn found(told: Vec<Told>) -> Vec<(Severity, String)> {
    let findings = Known::new("abc12def", told, Vec::new()).findings;
    findings.into_iter().map(|finding| (finding.severity, finding.problem)).collect()
}

/// What is found after a change of both answers.
fn after(change: impl Fn(&mut Told)) -> Vec<(Severity, String)> {
    let mut told = well();
    told.iter_mut().for_each(change);
    found(told)
}

fn assert_one(found: &[(Severity, String)], severity: Severity, part: &str) {
    assert!(found.len() == 1 && found[0].0 == severity && found[0].1.contains(part), "{part}: {found:?}");
}

#[test]
fn nothing_is_wrong_while_all_agree() {
    assert_eq!(found(well()), []);
    let text = Known::new("abc12def", well(), Vec::new()).text(65_005);
    for part in
        ["owner   chat-1, serving, 65s, 1 message", "record  chat-1, epoch 5", "1 room, 1 player", "Nothing is wrong"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_room_without_an_owner() {
    assert_one(
        &after(|told| (told.here, told.record, told.lease) = (None, None, None)),
        Severity::Error,
        "does not exist",
    );
    assert_one(&after(|told| told.here = None), Severity::Warning, "does not have the room");
    assert_one(&after(|told| (told.here, told.lease) = (None, None)), Severity::Warning, "has ended");
    let ended =
        after(|told| (told.here, told.record) = (None, Some(Stored::Value(Record { ended: true, ..record() }))));
    assert_one(&ended, Severity::Error, "has ended at chat-1");
    let mut one = well();
    one.truncate(1);
    assert_one(&found(one), Severity::Notice, "it was not asked");
    let other = Lease { boot: "b2".to_owned(), ..lease() };
    let changed = after(|told| (told.here, told.lease) = (None, Some(Stored::Value(other.clone()))));
    assert_one(&changed, Severity::Warning, "has ended");
}

#[test]
fn where_a_pod_was_not_asked_no_room_is_said_not_to_exist() {
    let told = vec![Told { pod: "chat-0".to_owned(), ..Told::default() }];
    let known = Known::new("abc12def", told, vec![("chat-1".to_owned(), "no answer within 5 s".to_owned())]);
    assert_eq!(known.findings.len(), 1);
    assert_eq!((known.findings[0].severity, known.findings[0].subject.as_str()), (Severity::Warning, "chat-1"));
}

#[test]
fn an_owner_and_a_record_that_do_not_agree() {
    let changed =
        after(|told| told.record = Some(Stored::Value(Record { epoch: 6, pod: "chat-2".to_owned(), ..record() })));
    assert_one(&changed, Severity::Error, "the record names chat-2, epoch 6");
    assert_one(&after(|told| told.record = None), Severity::Warning, "without a record");
    assert_one(&after(|told| told.lease = None), Severity::Warning, "without a lease");
    let unread = Stored::Unread { error: "timeout".to_owned() };
    let changed = after(|told| (told.record, told.lease) = (Some(unread.clone()), None));
    assert_one(&changed, Severity::Error, "timeout");
    let mut two = well();
    two[0].here = Some(Room { boot: "b0".to_owned(), epoch: 4, ..room() });
    assert_one(&found(two), Severity::Error, "2 pods have it: chat-0 (epoch 4), chat-1 (epoch 5)");
}

#[test]
fn what_is_under_way() {
    let changed = after(|told| told.lease = Some(Stored::Value(Lease { draining: true, ..lease() })));
    assert_one(&changed, Severity::Notice, "drains");
    let former = vec![Former { peer: "10.0.0.9:7755".to_owned() }];
    let changed = after(|told| told.record = Some(Stored::Value(Record { former: former.clone(), ..record() })));
    assert_one(&changed, Severity::Notice, "10.0.0.9:7755");
    let owner = |change: fn(&mut Room)| after(|told| told.here.iter_mut().for_each(change));
    assert_one(&owner(|room| room.written = false), Severity::Notice, "writing");
    assert_one(&owner(|room| room.state = "paused".to_owned()), Severity::Error, "paused");
}

#[test]
fn what_a_pod_answers_is_read() {
    let json = r#"{"pod":"chat-0","room":"abc12def","here":null,"record":{"error":"timeout"},"lease":null}"#;
    let told: Told = serde_json::from_str(json).unwrap_or_default();
    assert_eq!((told.pod.as_str(), told.record), ("chat-0", Some(Stored::Unread { error: "timeout".to_owned() })));
    let json = r#"{"record":{"pod":"chat-1","boot":"b","epoch":5,"new":1},"lease":{"boot":"b","rooms":2}}"#;
    let told: Told = serde_json::from_str(json).unwrap_or_default();
    assert_eq!(told.record.as_ref().and_then(Stored::value).map(|record| record.epoch), Some(5));
    assert_eq!(told.lease.as_ref().and_then(Stored::value).map(|lease| lease.rooms), Some(2));
}
