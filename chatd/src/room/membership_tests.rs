#![allow(clippy::unwrap_used)]

use super::*;
use crate::ids::{RelayId, SessionId};
use crate::protocol::{Ownership, PodBoot, SeatKey, Timeline};
use crate::record::RecordedSeat;
use crate::room::{Former, MOST_INHERITED, Rate, RingLimits, RoomEvent};

const LIMITS: SeatLimits = SeatLimits { players: 3, rate: Rate { per_second: 10, burst: 2 }, hold: 30_000 };
const RING: RingLimits = RingLimits { messages: 32, bytes: 8192, age: 90_000 };
const NOW: u64 = 1_000_000;

fn room() -> Room {
    Room::new("abcdefgh".parse().unwrap(), &mut rand::rng())
}

fn name(name: &str) -> PlayerName {
    name.parse().unwrap()
}

fn who(player: &str, key: Option<u8>) -> Newcomer {
    let hashed =
        |key: u8| SeatKey::new("abcdefgh".parse().unwrap(), name(player), &"k".repeat(key as usize + 30)).unwrap();
    Newcomer { name: name(player), resumable: true, key: key.map(hashed), auth: None }
}

fn session(number: u64) -> SessionRef {
    SessionRef { boot: PodBoot(7), relay: RelayId(number) }
}

/// A client of this pod.
fn local(number: u32) -> Connection {
    let reach = Reach::Local(SessionId { index: number, generation: 0 });
    Connection { reach, session: Some(session(number.into())), number: 0 }
}

/// A client of another pod, and the number of its command.
fn remote(number: u64, command: u64) -> Connection {
    Connection { reach: Reach::Remote(session(number)), session: Some(session(number)), number: command }
}

/// A room with these players in the seats 0, 1, ... by the connections of the same numbers.
fn with(players: &[(&str, Option<u8>)]) -> Room {
    let mut room = room();
    for (number, (player, key)) in (0..).zip(players) {
        let seat = SeatId(number);
        let by = local(u32::try_from(number).unwrap());
        assert_eq!(room.join(seat, who(player, *key), by, LIMITS, NOW), Join::Taken);
        assert!(room.join_answered(seat).is_some());
    }
    checked(room)
}

fn checked(room: Room) -> Room {
    room.check_invariants(LIMITS);
    room
}

fn state(room: &Room, seat: u64) -> Option<SeatState> {
    room.seat(SeatId(seat)).map(|seat| seat.state)
}

/// What it takes for a connection to be gone.
fn disconnect(room: &mut Room, seat: u64, how: Disconnect, sure: bool) -> Option<Dropped> {
    let delivered = room.delivered_all(how);
    room.disconnect(SeatId(seat), how, delivered, sure, LIMITS.hold, NOW)
}

#[test]
fn a_join_takes_a_free_name_and_place() {
    type Case<'a> = (&'a [(&'a str, Option<u8>)], &'a str, Option<u8>, Join);
    let own = Join::Own { seat: SeatId(0), rewrite: false };
    let cases: [Case<'_>; 7] = [
        (&[], "ana", None, Join::Taken),
        (&[("ana", None)], "bob", None, Join::Taken),
        (&[("ana", None)], "ANA", None, Join::Refused(ErrorCode::NameTaken)),
        (&[("ana", Some(1))], "ana", Some(1), own),
        (&[("ana", Some(1))], "ana", Some(2), Join::Refused(ErrorCode::NameTaken)),
        (&[("ana", Some(1))], "bob", Some(1), Join::Taken),
        (&[("ana", None), ("bob", None), ("cid", None)], "dan", None, Join::Refused(ErrorCode::RoomFull)),
    ];
    for (players, player, key, expected) in cases {
        let mut room = with(players);
        assert_eq!(
            room.join(SeatId(9), who(player, key), local(9), LIMITS, NOW),
            expected,
            "{player} beside {players:?}"
        );
        checked(room);
    }
}

#[test]
fn a_join_that_comes_again_over_another_link_meets_no_seat_of_its_own() {
    for answered in [false, true] {
        let mut room = room();
        assert_eq!(room.join(SeatId(1), who("ana", None), remote(1, 1), LIMITS, NOW), Join::Taken);
        if answered {
            room.join_answered(SeatId(1));
            room.detach(SeatId(1), Delivered::UpTo(0), NOW);
        }
        assert_eq!(room.join(SeatId(2), who("ana", None), remote(1, 1), LIMITS, NOW), Join::Taken);
        assert_eq!((state(&room, 1), state(&room, 2)), (None, Some(SeatState::Joining)));
        assert_eq!(
            room.join(SeatId(3), who("ana", None), remote(2, 1), LIMITS, NOW),
            Join::Refused(ErrorCode::NameTaken)
        );
        checked(room);
    }
}

#[test]
fn the_key_of_a_seat_whose_join_is_not_answered_takes_its_place() {
    let mut room = room();
    room.join(SeatId(1), who("ana", Some(1)), local(1), LIMITS, NOW);
    let again = room.join(SeatId(2), who("ana", Some(1)), local(2), LIMITS, NOW);
    assert_eq!(again, Join::Instead(Some(local(1).reach)));
    assert_eq!(room.join(SeatId(2), who("ana", Some(1)), local(2), LIMITS, NOW), Join::Taken);
    assert_eq!(room.join_answered(SeatId(1)), None, "that seat is gone");
    assert_eq!(room.join_answered(SeatId(2)), Some((name("ana"), true)));
    assert_eq!(room.join_answered(SeatId(2)), None, "it is answered once");
}

#[test]
fn a_join_whose_client_is_gone_leaves_nothing_behind() {
    let mut room = with(&[("ana", None)]);
    room.join(SeatId(5), who("bob", None), local(5), LIMITS, NOW);
    assert!(room.is_joining(local(5).reach) && !room.is_joining(local(0).reach));
    assert!(!room.forget_joining(local(0).reach), "she has been answered");
    assert!(room.forget_joining(local(5).reach));
    assert_eq!(room.seats().len(), 1);
}

/// A room that is taken over, with a seat that is held (1, ana) and one whose JOIN had not been answered (2, bob).
fn taken_over() -> Room {
    let recorded =
        |seat| RecordedSeat { seat: SeatId(seat), hold: seat == 1, joining: seat == 2, key: None, auth: None };
    taken_over_with(vec![(name("ana"), recorded(1))], vec![(name("bob"), recorded(2))])
}

fn taken_over_with(held: Vec<(PlayerName, RecordedSeat)>, unanswered: Vec<(PlayerName, RecordedSeat)>) -> Room {
    let (bucket, id) = (LIMITS.rate.full(NOW), "abcdefgh".parse().unwrap());
    checked(Room::taken_over(id, held, unanswered, NOW + LIMITS.hold, bucket, &mut rand::rng()))
}

#[test]
fn a_locked_room_lets_in_who_was_perhaps_answered_and_shows_the_same_key() {
    let join = |key: Option<u8>, shown: Option<u8>, player: &str| {
        let key = who("bob", key).key;
        let recorded = RecordedSeat { seat: SeatId(2), hold: false, joining: true, key, auth: None };
        let mut room = taken_over_with(vec![], vec![(name("bob"), recorded)]);
        room.describe(Some(Box::new(crate::descriptor::Descriptor { locked: true, ..Default::default() })));
        room.join(SeatId(3), who(player, shown), local(3), LIMITS, NOW)
    };
    let locked = Join::Refused(ErrorCode::RoomLocked);
    assert_ne!(join(Some(1), Some(1), "bob"), locked);
    for (key, shown, player) in
        [(Some(1), Some(2), "bob"), (Some(1), None, "bob"), (None, None, "bob"), (None, None, "eve")]
    {
        assert_eq!(join(key, shown, player), locked, "{key:?} {shown:?} {player}");
    }
}

#[test]
fn a_token_finds_its_seat() {
    let (found, lost) = (Ok(()), Err(ErrorCode::BadToken));
    let cases = [
        ("ana", 1, false, found),
        ("ana", 2, false, lost),
        ("bob", 1, false, lost),
        // Who has a token had its answer, whatever the last owner could note.
        ("bob", 2, true, found),
        ("bob", 3, false, lost),
    ];
    for (player, seat, reinstated, outcome) in cases {
        let mut room = taken_over();
        let expected = Resume { reinstated, outcome };
        assert_eq!(room.resume(name(player), SeatId(seat), LIMITS, NOW), expected, "{player} {seat}");
        checked(room);
    }
    let mut room = room();
    room.join(SeatId(1), who("ana", None), local(1), LIMITS, NOW);
    assert_eq!(room.resume(name("ana"), SeatId(1), LIMITS, NOW).outcome, lost, "its JOIN is not answered yet");
}

#[test]
fn an_unanswered_seat_is_given_while_its_name_and_place_are_free_and_it_is_held() {
    let resumed = |room: &mut Room, now| room.reinstate(name("bob"), SeatId(2), LIMITS, now);
    assert!(resumed(&mut taken_over(), NOW + LIMITS.hold - 1));
    assert!(!resumed(&mut taken_over(), NOW + LIMITS.hold), "too late");
    let mut room = taken_over();
    room.join(SeatId(3), who("bob", None), local(3), LIMITS, NOW);
    room.leave(SeatId(3));
    assert!(!resumed(&mut room, NOW), "another bob came");
    let mut room = taken_over();
    room.join(SeatId(3), who("cid", None), local(3), LIMITS, NOW);
    room.join(SeatId(4), who("dan", None), local(4), LIMITS, NOW);
    assert!(!resumed(&mut room, NOW), "it is full");
    room.leave(SeatId(4));
    assert!(resumed(&mut room, NOW));
    assert!(!resumed(&mut room, NOW), "once");
}

#[test]
fn who_comes_back_takes_the_seat_from_its_former_connection() {
    let mut room = with(&[("ana", None)]);
    let taken = room.take_seat(SeatId(0), local(5)).unwrap();
    assert_eq!((taken.former.reach, taken.former.away), (Some(local(0).reach), false));
    disconnect(&mut room, 0, Disconnect::Lost, true);
    let taken = room.take_seat(SeatId(0), remote(6, 3)).unwrap();
    let former = Former { name: name("ana"), reach: None, away: true, delivered: Delivered::UpTo(0) };
    assert_eq!(taken, Taken { former, rewrite: false });
    let seat = room.seat(SeatId(0)).unwrap();
    assert_eq!((seat.reach, seat.holder, seat.processed), (Some(remote(6, 3).reach), Some(session(6)), 3));
    assert_eq!(room.take_seat(SeatId(9), local(5)), None);
}

#[test]
fn the_record_is_rewritten_where_the_next_owner_is_to_hold_a_seat_or_not_any_more() {
    let mut room = room();
    room.join(SeatId(1), Newcomer { resumable: false, ..who("ana", Some(1)) }, local(1), LIMITS, NOW);
    assert_eq!(room.join_answered(SeatId(1)), Some((name("ana"), false)));
    assert!(room.take_seat(SeatId(1), remote(2, 1)).unwrap().rewrite, "a relayed session's is held");
    assert!(!room.take_seat(SeatId(1), remote(3, 1)).unwrap().rewrite);
    assert!(room.take_seat(SeatId(1), local(4)).unwrap().rewrite);
    let join = room.join(SeatId(9), who("ana", Some(1)), local(5), LIMITS, NOW);
    assert_eq!(join, Join::Own { seat: SeatId(1), rewrite: true }, "now it can be resumed");
}

fn member(room: &Room, player: &str, seat: u64) -> Membership {
    let (timeline, seat) = (room.timeline(), SeatId(seat));
    let (key, auth, epoch) = (None, None, 1);
    Membership { name: name(player), seat, resumable: true, key, auth, epoch, timeline, position: 0, seq: 0 }
}

#[test]
fn a_session_attaches_to_its_own_seat() {
    let mut room = with(&[("ana", None), ("bob", None)]);
    room.take_seat(SeatId(0), remote(0, 4));
    room.detach(SeatId(0), Delivered::UpTo(0), NOW);
    let ana = member(&room, "ana", 0);
    assert_eq!(room.attach(&ana, remote(8, 0), false, 3), Attach::Replaced, "it is another connection's");
    assert_eq!(room.attach(&ana, remote(0, 0), true, 3), Attach::Replaced, "somebody resumes it");
    let Attach::Own { processed, .. } = room.attach(&ana, remote(0, 0), false, 3) else {
        panic!("her seat");
    };
    assert_eq!((processed, room.seat(SeatId(0)).unwrap().processed), (Some(4), 4));
    let elsewhere = Membership { timeline: Timeline(room.timeline().0 ^ 1), ..ana };
    let Attach::Own { processed, .. } = room.attach(&elsewhere, remote(0, 0), false, 3) else {
        panic!("her seat");
    };
    assert_eq!((processed, room.seat(SeatId(0)).unwrap().processed), (None, 0), "another owner had her commands");
    checked(room);
}

#[test]
fn a_session_whose_seat_is_not_known_gets_the_one_that_it_was_given_or_a_new_one() {
    let mut room = with(&[("ana", None), ("bob", None)]);
    let cid = Membership { timeline: Timeline(room.timeline().0 ^ 1), ..member(&room, "cid", 77) };
    assert_eq!(room.attach(&cid, remote(9, 0), false, 3), Attach::Stranger);
    assert_eq!(room.attach(&cid, remote(9, 0), false, 2), Attach::Refused(ErrorCode::RoomFull));
    let ana = member(&room, "ana", 77);
    assert_eq!(room.attach(&ana, remote(9, 0), false, 3), Attach::Refused(ErrorCode::NameTaken));
    disconnect(&mut room, 0, Disconnect::Lost, true);
    let Attach::Again { seat, taken } = room.attach(&ana, local(0), false, 3) else {
        panic!("hers");
    };
    assert_eq!((seat, taken.former.away, state(&room, 0)), (SeatId(0), true, Some(SeatState::Live)));
}

#[test]
fn a_session_does_not_come_back_to_a_seat_that_has_ended() {
    let mut room = with(&[("ana", None)]);
    let ana = member(&room, "ana", 0);
    room.take_seat(SeatId(0), local(5));
    room.leave(SeatId(0));
    assert_eq!(room.attach(&ana, remote(0, 0), false, 3), Attach::Ended, "another connection has left with it");
    // After a takeover, whether the record held the seat, or its client has shown that it was answered; a planned move follows.
    let mut room = taken_over();
    let ana = Membership { timeline: Timeline(room.timeline().0 ^ 1), ..member(&room, "ana", 1) };
    let bob = Membership { seat: SeatId(2), name: name("bob"), ..ana };
    assert_eq!(room.attach(&bob, remote(0, 0), false, 3), Attach::Stranger, "nobody had its seat here");
    assert!(room.reinstate(bob.name, bob.seat, LIMITS, NOW));
    for seat in [ana.seat, bob.seat] {
        assert!(room.leave(seat).is_some());
    }
    let (snapshot, bucket) = (room.snapshot(Ownership { epoch: 1, boot: PodBoot(1) }, b"", NOW), LIMITS.rate.full(NOW));
    let mut moved = Room::restored(room.id, &snapshot, NOW, NOW, bucket, RING);
    moved.inherit(room.inherited().to_vec());
    moved.inherit(room.inherited().to_vec());
    assert_eq!(moved.inherited(), [ana.seat, bob.seat]);
    moved.inherit((10..1_000).map(SeatId).collect());
    assert_eq!(moved.inherited().len(), MOST_INHERITED);
    for mut room in [room, moved] {
        assert_eq!(room.attach(&ana, remote(0, 0), false, 3), Attach::Ended);
        assert_eq!(room.attach(&bob, remote(0, 0), false, 3), Attach::Ended);
    }
}

#[test]
fn a_seat_whose_connection_is_gone_is_held_or_ends() {
    let hold = |ms| Some(SeatState::Away { until: NOW + ms });
    let (away, exited) = (Dropped::Away(name("ana")), |reason| Dropped::Exited(name("ana"), reason));
    let unsaid = Some(SeatState::Detached { until: NOW });
    let cases = [
        (true, true, Disconnect::Lost, away, hold(30_000)),
        (true, true, Disconnect::GoingAway, away, hold(10_000)),
        (true, true, Disconnect::Slow, away, hold(30_000)),
        (false, true, Disconnect::Slow, exited(ExitReason::Slow), None),
        (false, true, Disconnect::Moved, exited(ExitReason::Moved), None),
        (false, true, Disconnect::Limit, exited(ExitReason::Disconnected), None),
        (true, false, Disconnect::Lost, Dropped::Unsaid, unsaid),
        (false, false, Disconnect::Lost, Dropped::Unsaid, unsaid),
    ];
    for (resumable, sure, how, expected, after) in cases {
        let mut room = room();
        room.join(SeatId(0), Newcomer { resumable, ..who("ana", None) }, local(0), LIMITS, NOW);
        room.join_answered(SeatId(0));
        assert_eq!(
            disconnect(&mut room, 0, how, sure),
            Some(expected),
            "{how:?}, resumable: {resumable}, sure: {sure}"
        );
        assert_eq!(state(&room, 0), after, "{how:?}");
        assert_eq!(disconnect(&mut room, 1, how, sure), None);
        checked(room);
    }
}

#[test]
fn seats_run_out_in_their_time() {
    let mut room = with(&[("ana", None), ("bob", None), ("cid", None)]);
    disconnect(&mut room, 0, Disconnect::Lost, true);
    room.detach(SeatId(1), Delivered::UpTo(0), NOW);
    assert_eq!((room.next_due(), room.due(NOW + DETACHED - 1)), (Some(NOW + DETACHED), vec![]));
    assert_eq!(room.due(NOW + LIMITS.hold), [SeatId(0), SeatId(1)]);
    let late = NOW + LIMITS.hold;
    assert_eq!(room.expire(SeatId(0), LIMITS.hold, late), Some(Dropped::Exited(name("ana"), ExitReason::Timeout)));
    assert_eq!(room.expire(SeatId(1), LIMITS.hold, late), Some(Dropped::Away(name("bob"))), "nobody was told before");
    assert_eq!(room.expire(SeatId(1), LIMITS.hold, late), None);
    assert_eq!(room.expire(SeatId(2), LIMITS.hold, late), None, "cid is here");
    assert_eq!(room.next_due(), Some(late + LIMITS.hold));
}

#[test]
fn a_session_that_does_not_come_says_what_it_was_given() {
    let mut room = with(&[("ana", None)]);
    assert_eq!(room.not_coming(session(0), None), None, "it is here");
    room.detach(SeatId(0), Delivered::Unknown(3), NOW);
    assert_eq!(room.not_coming(session(1), None), None);
    assert_eq!(room.not_coming(session(0), None), Some((SeatId(0), Delivered::Unknown(3))));
    let delivered = Delivered::UpTo(2);
    assert_eq!(room.not_coming(session(0), Some(delivered)), Some((SeatId(0), delivered)));
}

#[test]
fn commands_are_charged_to_the_seat() {
    let mut room = with(&[("ana", None)]);
    let mut charge = |number, command, now| room.charge(SeatId(0), number, command, false, now).unwrap();
    assert_eq!(charge(1, Ok(()), NOW), Ok(()));
    let refusal = Refusal { code: ErrorCode::BadText, retry_after_ms: None, enough: false };
    assert_eq!(charge(2, Err(ErrorCode::BadText), NOW), Err(refusal));
    let refusal = Refusal { code: ErrorCode::RateLimited, retry_after_ms: Some(100), enough: false };
    assert_eq!(charge(4, Ok(()), NOW), Err(refusal), "the burst is used up");
    let bad = |now| (Err(ErrorCode::BadCommand), now);
    let wrong = (1..=10).map(|round| bad(NOW + 100 * round)).map(|(command, now)| charge(3, command, now));
    let enough: Vec<bool> = wrong.map(|outcome| outcome.unwrap_err().enough).collect();
    assert_eq!(enough.iter().position(|enough| *enough), Some(9), "ten in a row");
    assert_eq!(room.seat(SeatId(0)).unwrap().processed, 4, "numbers only rise");
    assert_eq!(room.charge(SeatId(1), 1, Ok(()), false, NOW), None);
}

#[test]
fn what_is_broken_is_found() {
    let mut room = with(&[("ana", None), ("bob", None)]);
    room.record(RoomEvent::Entered(name("ana").into()), NOW, RING);
    let broken: [fn(&mut Room); 5] = [
        |room| room.seats[1].name = name("Ana").into(),
        |room| room.seats[1].id = SeatId(0),
        |room| room.seats[1].reach = None,
        |room| room.seats.extend_from_within(..),
        |room| room.position = 0,
    ];
    assert_eq!(room.broken(LIMITS), None);
    for (number, breaks) in broken.iter().enumerate() {
        let mut room = with(&[("ana", None), ("bob", None)]);
        room.record(RoomEvent::Entered(name("ana").into()), NOW, RING);
        breaks(&mut room);
        assert!(room.broken(LIMITS).is_some(), "{number}");
    }
}
