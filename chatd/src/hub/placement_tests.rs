//! Tests of placement, without a hub.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::hub::interface::{Effect, HubSettings};
use crate::protocol::Ownership;
use crate::record::Owner;

const BUSY: PodBoot = PodBoot(2);
const IDLE: PodBoot = PodBoot(3);

fn at(now: u64) -> Time {
    Time { now, wall: now }
}

fn room(number: u64) -> RoomId {
    format!("room000{number}").parse().unwrap()
}

fn context() -> Context {
    let ownership = Ownership { epoch: 0, boot: PodBoot(1) };
    let (pod_id, tcp, web, peer) = ("chat-1".into(), String::new(), String::new(), "peer-1".into());
    Context::new(HubSettings::default(), Owner { ownership, pod_id, tcp, web, peer }, [1; 32])
}

fn lease(boot: PodBoot, rooms: u64, draining: bool) -> (String, bytes::Bytes) {
    let text = format!(
        r#"{{"uid":"","boot":"{boot}","addr":"a","peer":"peer-{}","web":"w","rooms":{rooms},"players":0,"draining":{draining}}}"#,
        boot.0
    );
    (format!("chat-{}", boot.0), text.into())
}

/// The pods of this deployment: this one, one that ends, and two others.
fn pods() -> Answer {
    let me = lease(PodBoot(1), 0, false);
    Answer::Pods(vec![me, lease(PodBoot(4), 0, true), lease(BUSY, 9, false), lease(IDLE, 8, false)])
}

/// Room 1 has been asked for, and the pods were listed.
fn placing() -> (Context, Placement) {
    let (mut context, mut placement) = (context(), Placement::default());
    assert!(placement.place(at(0), &mut context, room(1), Requester::Query(1)).is_none());
    placement.check_invariants();
    assert!(matches!(context.effects[..], [Effect::Directory { request: Request::Pods, .. }]));
    context.effects.clear();
    assert!(placement.pods_listed(at(10), &mut context, Ok(pods())).is_empty());
    (context, placement)
}

fn dialled(context: &mut Context) -> Vec<PodBoot> {
    let dials = context.effects.drain(..).map(|effect| match effect {
        Effect::Dial { boot, .. } => boot,
        other => panic!("{other:?}"),
    });
    dials.collect()
}

fn results(placed: &[Placed]) -> Vec<(u64, Result<RoomId, ErrorCode>)> {
    let query = |placed: &Placed| match placed.requester {
        Requester::Query(query) => query,
        other => panic!("{other:?}"),
    };
    placed.iter().map(|placed| (query(placed), placed.result)).collect()
}

#[test]
fn the_pod_with_the_fewest_rooms_is_asked_first_and_counts_what_it_was_asked_for() {
    let (mut context, mut placement) = placing();
    // The list is fresh: the directory is not asked again.
    for number in [2, 3] {
        assert!(placement.place(at(20), &mut context, room(number), Requester::Query(number)).is_none());
    }
    assert_eq!(dialled(&mut context), [IDLE, BUSY]);
    let made = placement.answered(at(30), &mut context, IDLE, room(1), Ok(()));
    assert_eq!(results(&made), [(1, Ok(room(1)))]);
    assert!(placement.answered(at(30), &mut context, IDLE, room(1), Ok(())).is_empty());
    placement.check_invariants();
}

#[test]
fn a_pod_that_refuses_or_is_gone_is_followed_by_the_next_one() {
    let (mut context, mut placement) = placing();
    let no = Err(ErrorCode::TooManyRooms);
    assert!(placement.answered(at(20), &mut context, BUSY, room(1), no).is_empty(), "it was not asked");
    assert!(placement.answered(at(20), &mut context, IDLE, room(1), no).is_empty());
    assert_eq!(dialled(&mut context), [IDLE, BUSY]);
    assert_eq!(results(&placement.pod_is_gone(at(30), &mut context, BUSY)), [(1, Err(ErrorCode::TooManyRooms))]);
    placement.check_invariants();
}

#[test]
fn what_no_pod_makes_in_time_is_unavailable() {
    let (_, mut placement) = placing();
    assert!(placement.take_due(at(PATIENCE - 1)).is_empty());
    assert_eq!(results(&placement.take_due(at(PATIENCE))), [(1, Err(ErrorCode::Unavailable))]);
}

#[test]
fn while_the_directory_is_away_nothing_is_made_elsewhere() {
    let (mut context, mut placement) = (context(), Placement::default());
    for number in [1, 2] {
        assert!(placement.place(at(0), &mut context, room(number), Requester::Query(number)).is_none());
    }
    assert_eq!(context.effects.len(), 1, "one question serves both");
    let placed = placement.pods_listed(at(10), &mut context, Err(NoAnswer::Refused));
    assert_eq!(results(&placed), [(1, Err(ErrorCode::Unavailable)), (2, Err(ErrorCode::Unavailable))]);
}
