//! Tests of the frames' encoding.
#![allow(clippy::unwrap_used)]

use super::*;

fn owner(room: RoomId) -> Owner {
    let ownership = Ownership { epoch: 1 << 60, boot: crate::protocol::PodBoot(7) };
    let address = |port: &str| format!("{room}.example:{port}");
    Owner { ownership, pod_id: "chat-0".to_owned(), tcp: address("1"), web: address("2"), peer: address("3") }
}

/// One frame of each variant.
fn every_variant(room: RoomId) -> Vec<Frame<'static>> {
    let (relay, ownership) = (RelayId(u64::MAX), owner(room).ownership);
    let (timeline, seat) = (Timeline(3), SeatId(4));
    let name: PlayerName = "alice".parse().unwrap();
    let (encoding, key) = (Encoding::Json, SeatKey::new(room, name, &"k".repeat(22)).ok());
    let attach = Attach { encoding, name, seat, resumable: true, key, timeline, position: 5, seq: 6, moved: true };
    let snapshot = Snapshot {
        ownership,
        record: vec![0xff; 300],
        timeline,
        seq: 1,
        position: 2,
        seats: Vec::new(),
        ring: Vec::new(),
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
            drop: Drop::GoingAway,
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
        Frame::Create { room },
        Frame::Created { room, result: Err(ErrorCode::TooManyRooms) },
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
        [&b""[..], b"\x00", b"\x00\x08abc12de", b"\x00\x07abc12def", b"\x80\x08abc12def", b"\x00\x08abc12dEf", &[8; 10]]
    {
        assert_eq!(peek_room(payload), None, "{payload:?}");
    }
    assert!(peek_room(b"\x00\x08abc12def and more").is_some());
}
