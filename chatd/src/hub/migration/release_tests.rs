//! Tests of what a release comes to, without a hub.
#![allow(clippy::unwrap_used)]

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::ids::RelayId;
use crate::join_token::{Role, SeatAuth, Subject};
use crate::protocol::{PlayerName, SeatId, Timeline};
use crate::room::{Connection, Newcomer, Rate, SeatLimits};

const ME: PodBoot = PodBoot(1);
const ENTRY: PodBoot = PodBoot(2);
const HERE: SessionId = SessionId { index: 5, generation: 1 };
const THERE: SessionRef = SessionRef { boot: ENTRY, relay: RelayId(6) };

fn name(text: &str) -> PlayerName {
    text.parse().unwrap()
}

fn nothing() -> Unfinished {
    Unfinished { answers: Vec::new(), resumes: Vec::new(), waiters: Vec::new(), frames: Vec::new(), claims: Vec::new() }
}

fn empty() -> Room {
    Room::new("abc12def".parse().unwrap(), &mut StdRng::seed_from_u64(1))
}

/// A room with a client of this pod, one of another, one whose connection ended at this pod, and one who is held.
fn room() -> Room {
    let mut room = empty();
    let limits = SeatLimits { players: 4, rate: Rate { per_second: 10, burst: 20 }, hold: 9 };
    let ended = SessionRef { boot: ME, relay: RelayId(7) };
    let players = [
        ("alice", Reach::Local(HERE), None),
        ("bob", Reach::Remote(THERE), Some(THERE)),
        ("carol", Reach::Local(HERE), Some(ended)),
        ("dave", Reach::Local(HERE), Some(ended)),
    ];
    for (number, (player, reach, session)) in (0..).zip(players) {
        let who = Newcomer { name: name(player), resumable: true, key: None, auth: None };
        room.join(SeatId(number), who, Connection { reach, session, number: 40 + number }, limits, 0);
        room.join_answered(SeatId(number));
    }
    room.detach(SeatId(2), Delivered::UpTo(3), 0);
    room.disconnect(SeatId(3), Disconnect::Lost, Delivered::UpTo(3), true, limits.hold, 0);
    room
}

fn person() -> SeatAuth {
    SeatAuth { sub: Subject::new("abc12def".parse().unwrap(), "user-1"), expires: 7, role: Role::Viewer }
}

fn plan(room: &Room, unfinished: Unfinished) -> Vec<ReleaseStep> {
    let erin = LeavingSeat { name: name("erin"), seat: SeatId(8), resumable: true, auth: Some(person()) };
    let leaving = |session| (session == HERE).then_some(erin);
    Release::plan(100, Ownership { epoch: 7, boot: ME }, room, unfinished, leaving)
}

/// The steps, one line for each.
fn lines(steps: &[ReleaseStep]) -> Vec<String> {
    let line = |step: &ReleaseStep| match step {
        ReleaseStep::InDoubt(asked) => format!("in doubt {:?}", asked.id),
        ReleaseStep::Relay { session, membership, command } => {
            format!("relay {} as {} {:?}", session.index, membership.name, command.as_ref().map(|(id, _)| id))
        }
        ReleaseStep::SendAway { to, processed } => format!("send {} away after {processed}", to.relay.0),
        ReleaseStep::PassOn(Frame::Closed { relay, entry, .. }) => {
            format!("pass on the end of {} at {entry:?}", relay.0)
        }
        ReleaseStep::PassOn(other) => panic!("{other:?}"),
        ReleaseStep::LookFor(waiter) => format!("look for {} until {}", waiter.session.index, waiter.deadline),
        ReleaseStep::Follow(session) => format!("follow {}", session.index),
        ReleaseStep::Refuse(frames) => format!("refuse {}", frames.len()),
    };
    steps.iter().map(line).collect()
}

#[test]
fn local_members_are_relayed_and_remote_ones_are_sent_to_the_new_owner() {
    let room = room();
    let steps = plan(&room, nothing());
    let ended = format!("pass on the end of 7 at {:?}", Some(ME));
    let expected = ["relay 5 as alice None", "send 6 away after 41", ended.as_str(), "follow 5", "refuse 0"];
    assert_eq!(lines(&steps), expected);
    let ReleaseStep::Relay { membership, .. } = &steps[0] else { panic!("{steps:?}") };
    assert_eq!((membership.seat, membership.timeline, membership.seq), (SeatId(0), room.timeline(), room.seq()));
}

#[test]
fn commands_that_were_not_answered_go_along() {
    let room = empty();
    let (here, there) = (Asked::here(HERE, Some(3)), Asked { by: Reach::Remote(THERE), number: 9, id: None });
    let left = |asked| PendingAnswer::Left { asked, quit: false };
    let answers = vec![left(here), left(there), left(Asked::here(SessionId { index: 6, generation: 1 }, None))];
    let steps = plan(&room, Unfinished { answers, ..nothing() });
    assert_eq!(lines(&steps), ["relay 5 as erin Some(Some(3))", "send 6 away after 8", "follow 5", "refuse 0"]);
    let ReleaseStep::Relay { membership, .. } = &steps[0] else { panic!("{steps:?}") };
    assert_eq!(membership.auth, Some(person()), "else the person has two seats there, or a viewer a player's");
}

#[test]
fn who_waits_to_enter_asks_the_new_owner() {
    let room = room();
    let entry = Entry::Join { name: name("frank"), resumable: false, key: None, auth: None };
    let asked = Asked::here(SessionId { index: 9, generation: 1 }, None);
    let joined =
        |seat| PendingAnswer::Joined { asked, seat, entry: entry.clone(), counts: true, since: 50, once: None };
    // The second one's seat is gone: it has been answered.
    let answers = vec![joined(SeatId(3)), joined(SeatId(99))];
    let resume = PendingResume {
        seat: SeatId(0),
        asked: Asked { by: Reach::Remote(THERE), number: 1, id: None },
        entry,
        since: 0,
        until: 0,
    };
    let waiters = vec![Waiter::attaching(SessionId { index: 10, generation: 1 }, 0, 777)];
    let steps = plan(&room, Unfinished { answers, resumes: vec![resume], waiters, ..nothing() });
    let expected = ["look for 9 until 2100", "send 6 away after 0", "look for 10 until 777"];
    assert_eq!(lines(&steps)[3..6], expected);
}

#[test]
fn ends_of_relayed_sessions_that_waited_are_passed_on_and_other_frames_refused() {
    let room = empty();
    let (id, heard) = (room.id, Some(Heard { timeline: Timeline(1), last_seq: 2 }));
    let closed = |entry| Frame::Closed { room: id, relay: RelayId(11), disconnect: Disconnect::Lost, heard, entry };
    let credit = Frame::Credit { room: id, relay: RelayId(12), bytes: 1 };
    let frames = vec![(ENTRY, closed(None)), (ENTRY, credit), (ENTRY, closed(Some(ME)))];
    let steps = plan(&room, Unfinished { frames, ..nothing() });
    let end = |boot: PodBoot| format!("pass on the end of 11 at {:?}", Some(boot));
    assert_eq!(lines(&steps), [end(ENTRY), end(ME), "refuse 1".into()]);
}

#[test]
fn who_came_with_a_join_token_and_attached_keeps_it_on_the_way_to_the_new_owner() {
    for (auth, expected) in [(Some(person()), "relay 5 as frank None"), (None, "look for 5 until")] {
        let mut room = empty();
        let limits = SeatLimits { players: 4, rate: Rate { per_second: 10, burst: 20 }, hold: 9 };
        let by = Connection { reach: Reach::Local(HERE), session: None, number: 0 };
        room.join(SeatId(1), Newcomer { name: name("frank"), resumable: true, key: None, auth }, by, limits, 0);
        let entry = Entry::Join { name: name("frank"), resumable: true, key: None, auth: None };
        let asked = Asked::here(HERE, None);
        let answers =
            vec![PendingAnswer::Joined { asked, seat: SeatId(1), entry, counts: false, since: 50, once: None }];
        let steps = plan(&room, Unfinished { answers, ..nothing() });
        assert!(lines(&steps)[0].starts_with(expected), "{steps:?}");
        if let ReleaseStep::Relay { membership, .. } = &steps[0] {
            assert_eq!(membership.auth, auth);
        }
    }
}
