#![allow(clippy::unwrap_used)]

use super::*;
use crate::ids::{Reach, RelayId, SessionId};
use crate::protocol::PodBoot;
use crate::room::{Connection, Newcomer, Rate};

const SEATS: SeatLimits = SeatLimits { players: 4, rate: Rate { per_second: 10, burst: 20 }, hold: 30_000 };
const RING: RingLimits = RingLimits { messages: 4, bytes: 8192, age: 90_000 };

fn name(name: &str) -> PlayerName {
    name.parse().unwrap()
}

fn session(number: u64) -> SessionRef {
    SessionRef { boot: PodBoot(7), relay: RelayId(number) }
}

/// Ana (seat 1) and bob (seat 2, who came when she had said `before`), and she has said `messages` in all.
fn room(before: u64, messages: u64) -> Room {
    let mut room = Room::new("abcdefgh".parse().unwrap(), &mut rand::rng());
    for (seat, player, until) in [(1, "ana", before), (2, "bob", messages)] {
        let who = Newcomer { name: name(player), resumable: true, key: None, auth: None };
        let reach = Reach::Local(SessionId { index: seat, generation: 0 });
        let by = Connection { reach, session: Some(session(seat.into())), number: 0 };
        room.join(SeatId(seat.into()), who, by, SEATS, 0);
        room.join_answered(SeatId(seat.into()));
        room.record(RoomEvent::Entered(name(player).into()), 0, RING);
        while room.seq() < until {
            let text = format!("no. {}", room.seq() + 1);
            room.say(name("ana"), &text, 0, None, 0, RING);
        }
    }
    room.check_invariants(SEATS);
    room
}

fn lines(bytes: &[u8]) -> Vec<&str> {
    std::str::from_utf8(bytes).unwrap().lines().collect()
}

#[test]
fn the_replay_begins_after_the_last_message_heard() {
    let room = room(2, 8);
    let here = |last_seq| Some(Heard { timeline: room.timeline(), last_seq });
    let elsewhere = Some(Heard { timeline: Timeline(room.timeline().0 ^ 1), last_seq: 7 });
    let plan = |missed, since| ReplayPlan { missed, since: Some(since) };
    // Four messages are kept: 5 to 8.
    let cases = [
        // Who says what it has heard is told what it has not, and how much of that is gone.
        (Delivered::UpTo(0), here(8), plan(Some(0), 8)),
        (Delivered::UpTo(0), here(6), plan(Some(0), 6)),
        (Delivered::UpTo(0), here(3), plan(Some(1), 4)),
        // What was never said here: it heard another owner of this timeline, or does not speak the truth.
        (Delivered::UpTo(6), here(99), plan(None, 6)),
        (Delivered::Nothing, here(6), plan(Some(0), 6)),
        // Who does not has heard what its connection was given.
        (Delivered::UpTo(6), None, plan(Some(0), 6)),
        (Delivered::Unknown(6), None, plan(None, 6)),
        (Delivered::Nothing, None, plan(None, 4)),
        // Of another timeline nobody knows.
        (Delivered::UpTo(6), elsewhere, plan(None, 6)),
    ];
    for (delivered, heard, expected) in cases {
        let former = Former { name: name("ana"), reach: None, away: true, delivered };
        assert_eq!(room.replay_plan(&former, heard), expected, "{delivered:?}, {heard:?}");
    }
    let reach = Some(Reach::Remote(session(1)));
    let former = Former { name: name("ana"), reach, away: false, delivered: Delivered::UpTo(0) };
    assert_eq!(room.replay_plan(&former, None), plan(None, 8), "a connection that seems to live may have read all");
}

#[test]
fn a_player_gets_no_message_from_before_its_join() {
    let room = room(6, 8);
    let former = Former { name: name("bob"), reach: None, away: true, delivered: Delivered::Nothing };
    let heard = Some(Heard { timeline: room.timeline(), last_seq: 0 });
    assert_eq!(room.replay_plan(&former, heard), ReplayPlan { missed: Some(0), since: Some(6) });
}

#[test]
fn whose_seat_is_older_than_the_timeline_gets_what_was_said_before_it_was_announced() {
    let mut room = room(6, 8);
    // His JOIN was not known to be answered when the room was taken over.
    room.seat_mut(SeatId(2)).unwrap().entered = 0;
    let former = Former { name: name("bob"), reach: None, away: true, delivered: Delivered::UpTo(5) };
    let heard = Some(Heard { timeline: room.timeline(), last_seq: 5 });
    assert_eq!(room.replay_plan(&former, heard), ReplayPlan { missed: Some(0), since: Some(5) });
}

#[test]
fn a_welcome_says_what_was_missed_and_tells_again_what_was_not() {
    let room = room(1, 6);
    let cases: [(ReplayPlan, &[&str]); 3] = [
        (ReplayPlan::NEW, &[]),
        (ReplayPlan::UNKNOWN, &["MISSED ?"]),
        (ReplayPlan { missed: Some(2), since: Some(4) }, &["MISSED 2", "MSG ana no. 5", "MSG ana no. 6"]),
    ];
    for (plan, after) in cases {
        let mut out = Vec::new();
        let welcome = Welcome { seat: SeatId(2), resumed: true, plan, token: None, limits: SEATS };
        let replayed = room.encode_welcome(welcome, Encoding::Lines, None, &mut out);
        assert_eq!(replayed, Some(after.iter().filter(|line| line.starts_with("MSG")).count() as u64));
        let lines = lines(&out);
        assert_eq!((lines[0], &lines[1..]), ("JOINED abcdefgh bob ana,bob", after));
    }
    let nobody = Welcome { seat: SeatId(3), resumed: true, plan: ReplayPlan::NEW, token: None, limits: SEATS };
    assert_eq!(room.encode_welcome(nobody, Encoding::Lines, None, &mut Vec::new()), None);
}

#[test]
fn a_session_that_attaches_catches_up() {
    let mut room = room(1, 6);
    let answers = Answers { session: session(2), number: 9, id: Some(5) };
    room.say(name("bob"), "mine", 0, Some(answers), 0, RING);
    room.record(RoomEvent::Back(name("bob").into()), 0, RING);
    let (timeline, key) = (room.timeline(), None);
    // Positions: 1 ana, 2 no. 1, 3 bob, 4 to 8 no. 2 to 6, 9 mine, 10 bob is back.
    let bob = Membership {
        name: name("bob"),
        seat: SeatId(2),
        resumable: true,
        key,
        auth: None,
        epoch: 1,
        timeline,
        position: 7,
        seq: 5,
    };
    let mut out = Vec::new();
    assert_eq!(room.encode_attached(&bob, false, Encoding::Lines, &mut out), Some(0));
    assert_eq!(out, b"");
    let events = room.catch_up(&bob, session(2), Encoding::Lines);
    let told: Vec<_> =
        events.iter().map(|event| (event.position, event.seq, event.replies, lines(&event.bytes)[0])).collect();
    assert_eq!(told, [(8, Some(6), 0, "MSG ana no. 6"), (9, Some(7), 9, "MSG bob mine")], "not what is said about it");

    assert_eq!(room.encode_attached(&Membership { seq: 1, ..bob }, true, Encoding::Lines, &mut out), Some(2));
    assert_eq!(lines(&out), ["MOVED abcdefgh", "MISSED 2"]);
    let elsewhere = Membership { timeline: Timeline(timeline.0 ^ 1), ..bob };
    out.clear();
    assert_eq!(room.encode_attached(&elsewhere, false, Encoding::Lines, &mut out), None);
    assert_eq!(lines(&out), ["MOVED abcdefgh", "MISSED ?"], "the room has been elsewhere, and has come back");
    let all = room.catch_up(&elsewhere, session(1), Encoding::Lines);
    assert_eq!(all.iter().filter_map(|event| event.seq).collect::<Vec<_>>(), [4, 5, 6, 7], "all that is there still");
    assert!(all.iter().all(|event| event.replies == 0), "another session asked");
}

#[test]
fn a_session_that_is_ahead_of_its_owner_counts_with_it_from_there() {
    let mut room = room(1, 6);
    let (timeline, key) = (room.timeline(), None);
    let bob = Membership {
        name: name("bob"),
        seat: SeatId(2),
        resumable: true,
        key,
        auth: None,
        epoch: 1,
        timeline,
        position: 12,
        seq: 9,
    };
    assert!(room.is_forked(&bob));
    room.fork(Timeline(timeline.0 ^ 1));
    let mut out = Vec::new();
    assert_eq!(room.encode_attached(&bob, true, Encoding::Json, &mut out), None);
    assert_eq!(room.starts_at(&bob), (8, 6));
    let fork = room.timeline();
    let moved = format!("{{\"type\":\"moved\",\"room\":\"abcdefgh\",\"timeline\":\"{fork}\",\"seq\":6}}");
    let missed = "{\"type\":\"missed\",\"count\":null}";
    let text = String::from_utf8_lossy(&out).into_owned();
    assert!(text.contains(&moved) && text.ends_with(missed), "{text}");
    assert!(room.catch_up(&bob, session(2), Encoding::Json).is_empty(), "it may have any of them");

    // Those who were here all the time know the former name.
    let ana = Membership { name: name("ana"), seat: SeatId(1), position: 7, seq: 5, ..bob };
    out.clear();
    assert_eq!(room.encode_attached(&ana, false, Encoding::Lines, &mut out), Some(0));
    assert_eq!(lines(&out), ["MOVED abcdefgh"]);
    assert_eq!(room.catch_up(&ana, session(1), Encoding::Lines).len(), 1);
    assert_eq!(room.delivered_to(Some(Heard { timeline, last_seq: 4 })), Delivered::UpTo(4));
}

#[test]
fn what_a_connection_elsewhere_was_given_is_known_by_what_its_pod_says() {
    let room = room(1, 6);
    let heard = |timeline, last_seq| Some(Heard { timeline, last_seq });
    assert_eq!(room.delivered_to(heard(room.timeline(), 4)), Delivered::UpTo(4));
    assert_eq!(room.delivered_to(heard(room.timeline(), 9)), Delivered::Unknown(6), "more than was said");
    assert_eq!(room.delivered_to(heard(Timeline(room.timeline().0 ^ 1), 4)), Delivered::Nothing);
    assert_eq!(room.delivered_to(None), Delivered::Unknown(6));
}

#[test]
fn a_takeover_says_who_is_away_and_who_is_gone() {
    let mut room = room(1, 1);
    let before = room.position();
    for player in ["ana", "dan"] {
        room.record_takeover(name(player), 0, RING);
    }
    let events: Vec<_> = room.ring().since(before).map(|item| item.event.clone()).collect();
    assert_eq!(
        events,
        [RoomEvent::Away(name("ana").into()), RoomEvent::Exited(name("dan").into(), ExitReason::Disconnected)]
    );
}
