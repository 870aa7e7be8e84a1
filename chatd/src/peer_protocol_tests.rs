//! Tests of the frames' encoding.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::ids::SessionRef;
use crate::join_token::{Pass, Role, Subject};
use crate::protocol::{ExitReason, OnWrongPod, Outgoing, StateSet};
use crate::room::{
    AnsweredCalls, Answers, Content, Delivered, Reservations, RingItem, Room, RoomEvent, SeatSnapshot, State,
};
use crate::room_call::{CallKey, DescriptorPatch};
use crate::room_list::Standing;

fn owner(room: RoomId) -> Owner {
    let ownership = Ownership { epoch: 1 << 60, boot: crate::protocol::PodBoot(7) };
    let address = |port: &str| format!("{room}.example:{port}");
    Owner { ownership, pod_id: "chat-0".to_owned(), tcp: address("1"), web: address("2"), peer: address("3") }
}

#[allow(clippy::unnecessary_wraps, reason = "as the fields have it")]
fn described() -> Option<Box<crate::descriptor::Descriptor>> {
    let labels = vec!["ranked".into()];
    Some(Box::new(crate::descriptor::Descriptor { max_players: Some(8), labels, ..Default::default() }))
}

/// One frame of each variant.
fn every_variant(room: RoomId) -> Vec<Frame<'static>> {
    let (relay, ownership) = (RelayId(u64::MAX), owner(room).ownership);
    let (timeline, seat) = (Timeline(3), SeatId(4));
    let name: PlayerName = "alice".parse().unwrap();
    let (encoding, key) = (Encoding::Json, SeatKey::new(room, name, &"k".repeat(22)).ok());
    let auth = Some(SeatAuth { sub: Subject::new(room, "user-1"), expires: 7, role: Role::Viewer });
    let member = Membership { name, seat, resumable: true, key, auth, epoch: 300, timeline, position: 5, seq: 6 };
    let attach = Attach { encoding, member, moved: true };
    let snapshot = Snapshot {
        ownership,
        record: vec![0xff; 300],
        timeline,
        forked_from: Some(timeline),
        seq: 1,
        position: 2,
        descriptor: None,
        seats: Vec::new(),
        ring: Vec::new(),
        webhook_number: 300,
        state: None,
        reservations: Reservations::default(),
        answered: AnsweredCalls::default(),
    };
    vec![
        Frame::Ask { room, ticket: 300, dead: Some(ownership) },
        Frame::Answer { room, ticket: 300, served: Served::Here(owner(room)) },
        Frame::OwnerChanged { room, owner: owner(room) },
        Frame::OwnerChangedAck { room, heard: ownership, higher: None },
        Frame::Open { room, relay, encoding: Encoding::Lines, number: 1, id: None, command: Command::Who },
        Frame::Attach { room, relay, attach },
        Frame::Command { room, relay, number: 2, id: Some(3), command: Ok(Command::Say { text: "hi".into() }) },
        Frame::Credit { room, relay, bytes: 70_000 },
        Frame::Closed {
            room,
            relay,
            disconnect: Disconnect::GoingAway,
            heard: Some(Heard { timeline: Timeline(7), last_seq: 3 }),
            entry: None,
        },
        Frame::Deliver {
            room,
            relay,
            replies: Some(2),
            position: 9,
            seq: 8,
            bytes: b"MSG alice hi\n".as_slice().into(),
            after: Some(After::Outside { miss: true }),
        },
        Frame::Refused { room, relay, seen: Some(owner(room)) },
        Frame::Released { room, relay, owner: owner(room), processed: 4 },
        Frame::MigrateOffer { room, snapshot },
        Frame::MigrateAnswer { room, from: ownership, taken: None },
        Frame::Create { room, descriptor: described() },
        Frame::Created { room, result: Err(ErrorCode::TooManyRooms) },
        Frame::Inherited { room, seats: vec![seat] },
        Frame::Open { room, relay, encoding: Encoding::LinesWithEvents, number: 1, id: None, command: Command::Who },
        Frame::List { room, query: 1, filter: ListFilter { kind: Some("duel".into()), limit: 5, ..filter() } },
        Frame::Listed { room, query: 1, threads: 2, rooms: vec![listed(room)] },
        Frame::Call { room, relay, call: Box::new(RoomCall::Create { descriptor: described(), made: true }) },
        Frame::HandOver { room, query: 300 },
        Frame::HandsOver { room, query: 300 },
    ]
}

#[test]
fn every_frame_comes_back_and_shows_its_room() {
    let room: RoomId = "abc12def".parse().unwrap();
    let frames = every_variant(room);
    let mut bytes = Vec::new();
    for frame in &frames {
        frame.encode(&mut bytes);
    }
    let mut rest = bytes.as_slice();
    for frame in &frames {
        let (payload, after) = split(rest).unwrap().unwrap();
        assert_eq!(Frame::decode(payload).as_ref(), Some(frame));
        assert_eq!(peek_room(payload), Some(room), "{frame:?}");
        rest = after;
    }
    assert_eq!(rest, b"");
}

/// What travels inside frames: each command, each event and state of a room, each way in which a stay goes on.
fn filter() -> ListFilter {
    ListFilter {
        labels: vec!["eu".into()],
        listed: Some(true),
        after: "abc".parse().ok(),
        open: true,
        sub: Some("user-1".into()),
        ..ListFilter::default()
    }
}

fn listed(room: RoomId) -> ListedRoom {
    ListedRoom {
        room,
        pod: "chat-0".into(),
        players: 1,
        max_players: 4,
        locked: true,
        listed: false,
        kind: None,
        labels: vec!["eu".into()],
        standing: Standing::Seated,
    }
}

#[test]
fn a_question_for_all_threads_is_told_from_all_other_frames() {
    let room: RoomId = "abc12def".parse().unwrap();
    for frame in every_variant(room).iter().chain(&every_part(room)) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        assert_eq!(is_for_all(&bytes[4..]), matches!(frame, Frame::List { .. }), "{frame:?}");
    }
}

fn every_part(room: RoomId) -> Vec<Frame<'static>> {
    let (relay, timeline, seat) = (RelayId(1), Timeline(3), SeatId(4));
    let name: PlayerName = "alice".parse().unwrap();
    let key = SeatKey::new(room, name, &"k".repeat(22)).ok();
    let on_wrong_pod = Some(OnWrongPod::Relay);
    let heard = Some(Heard { timeline, last_seq: 3 });
    let kind = "kind".parse().unwrap();
    let outgoing = Outgoing { kind, data: "[1]".into(), to: Some(vec![name]), volatile: true };
    let commands = [
        Command::CreateRoom { auth: None },
        Command::Join { room, name, resumable: true, key, auth: Some("a.b.c".into()), on_wrong_pod, events: true },
        Command::Resume { room, token: "token".into(), heard, on_wrong_pod: Some(OnWrongPod::Redirect), events: false },
        Command::Say { text: "hi".into() },
        Command::Who,
        Command::Ping,
        Command::Help,
        Command::Leave,
        Command::Quit,
        Command::Send(Box::new(outgoing)),
        Command::Set { data: Some("1".into()) },
        Command::Refresh { auth: "a.b.c".into() },
        Command::StateSet(Box::new(StateSet { key: kind, value: Some("1".into()), if_version: Some(2) })),
        Command::Kick { name, ban_s: Some(60) },
        Command::Lock { locked: true },
    ];
    let session = SessionRef { boot: crate::protocol::PodBoot(7), relay };
    let answers = Some(Answers { session, number: 1, id: Some(2) });
    let mut events = vec![
        RoomEvent::Message { from: name.into(), text: "hi".into(), seq: 1, at: 2, answers },
        RoomEvent::Entered(name.into()),
        RoomEvent::Away(name.into()),
        RoomEvent::Back(name.into()),
        RoomEvent::Custom {
            from: name.into(),
            content: Box::new(Content { kind, data: "{}".into() }),
            seq: 3,
            at: 4,
            answers,
        },
        RoomEvent::Set { name: name.into(), presence: Some("3".into()), answers },
        RoomEvent::Locked { by: name.into(), locked: true, answers },
    ];
    events.extend(ExitReason::ALL.map(|reason| RoomEvent::Exited(name.into(), reason)));
    let ring = events.into_iter().map(|event| RingItem { position: 1, event, time: 2 }).collect();
    let auth = Some(SeatAuth { sub: Subject::new(room, "user-1"), expires: u64::MAX, role: Role::Moderator });
    let states = [Delivered::UpTo(1), Delivered::Nothing, Delivered::Unknown(2)];
    let seats = states.map(|delivered| SeatSnapshot {
        name,
        seat,
        resumable: true,
        key,
        auth,
        entered: 4,
        away_for: Some(5),
        holder: Some(session),
        processed: 6,
        delivered,
        presence: Some("2".into()),
    });
    let (ownership, record) = (owner(room).ownership, vec![1, 2, 3]);
    let state = Some(Box::new(State::sample(name, answers)));
    let mut kept = Room::new(room, &mut rand::rng());
    kept.reserve(Subject::new(room, "user-2"), Some(name), 4, 0).unwrap();
    kept.note_answer(CallKey(7), "{}");
    let Snapshot { reservations, answered, .. } = kept.snapshot(ownership, b"", 0);
    let snapshot = Snapshot {
        ownership,
        record,
        timeline,
        forked_from: None,
        seq: 1,
        position: 2,
        descriptor: described(),
        seats: seats.to_vec(),
        ring,
        webhook_number: 3,
        state,
        reservations,
        answered,
    };
    let disconnects = [Disconnect::Lost, Disconnect::GoingAway, Disconnect::Slow, Disconnect::Moved, Disconnect::Limit];
    let after = [
        After::Admitted { name, seat, resumable: true, key, auth, epoch: 300, timeline, joined: true },
        After::CaughtUp { processed: Some(1) },
        After::Outside { miss: true },
        After::Close { code: Some(ErrorCode::Moved) },
        After::Guessed,
    ];
    let deliver = |after| Frame::Deliver {
        room,
        relay,
        replies: None,
        position: 0,
        seq: 0,
        bytes: b"x".as_slice().into(),
        after: Some(after),
    };
    let mut frames: Vec<_> =
        commands.map(|command| Frame::Command { room, relay, number: 1, id: None, command: Ok(command) }).into();
    frames.extend(ErrorCode::ALL.map(|code| Frame::Created { room, result: Err(code) }));
    frames.extend(disconnects.map(|disconnect| Frame::Closed { room, relay, disconnect, heard, entry: None }));
    frames.extend(after.map(deliver));
    for served in [Served::Soon, Served::Not { seen: Some(owner(room)) }] {
        frames.push(Frame::Answer { room, ticket: 0, served });
    }
    frames.push(Frame::MigrateOffer { room, snapshot });
    let (from, key) = (PlayerName::system("").unwrap(), Some(CallKey(7)));
    let calls = [
        RoomCall::Get,
        RoomCall::Patch(DescriptorPatch::parse(r#"{"locked":true}"#).unwrap()),
        RoomCall::End,
        RoomCall::Say { from, text: "hi".into(), key },
        RoomCall::Send { from, kind, data: "[1]".into(), to: Some(vec![name]), volatile: true, key },
        RoomCall::Kick { name, ban_s: Some(60) },
        RoomCall::Reserve {
            pass: Box::new(Pass::new("user-1", Some(name), Some("Al"), Some("[1]"), 600).unwrap()),
            descriptor: described(),
            made: true,
        },
    ];
    frames.extend(calls.map(|call| Frame::Call { room, relay, call: Box::new(call) }));
    frames
}

/// What travels is told apart by its place in its type, so the bytes change where a variant or a field is put between others. Where
/// they are to change, pods of two versions must not link: raise `VERSION` and `OLDEST_VERSION` to it in peer/handshake.rs, and take the new
/// sum. A frame that older pods may ignore goes last, and changes the sum alone.
#[test]
fn the_bytes_of_frames_change_with_the_version_alone() {
    let room: RoomId = "abc12def".parse().unwrap();
    let mut bytes = Vec::new();
    for frame in every_variant(room).iter().chain(&every_part(room)) {
        frame.encode(&mut bytes);
    }
    // FNV-1a.
    let sum = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    assert_eq!(
        (crate::peer::handshake::OLDEST_VERSION, bytes.len(), format!("{sum:016x}").as_str()),
        (3, 4180, "65637cbcc03e2c12")
    );
}

#[test]
fn a_frame_in_parts_is_waited_for() {
    let mut bytes = Vec::new();
    Frame::Credit { room: "abc12def".parse().unwrap(), relay: RelayId(1), bytes: 2 }.encode(&mut bytes);
    for cut in 0..bytes.len() {
        assert_eq!(split(&bytes[..cut]), Ok(None), "after {cut} bytes");
    }
    assert!(split(&bytes).unwrap().is_some());
    assert_eq!(split(&u32::MAX.to_be_bytes()), Err(FrameTooLong));
    assert_eq!(split(&(MAX_FRAME as u32).to_be_bytes()), Ok(None));
}

#[test]
fn rubbish_has_no_room() {
    for payload in
        [&b""[..], b"\x00", b"\x00\x08abc12de", b"\x00\x00abc12def", b"\x80\x08abc12def", b"\x00\x08abc12dEf", &[8; 10]]
    {
        assert_eq!(peek_room(payload), None, "{payload:?}");
    }
    assert!(peek_room(b"\x00\x08abc12def and more").is_some());
    assert_eq!(peek_room(b"\x00\x07match-1 and more").unwrap().as_str(), "match-1");
}
