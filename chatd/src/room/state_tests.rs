#![allow(clippy::unwrap_used)]

use super::*;
use crate::bans::{Bans, EndedSeat};
use crate::descriptor::{Descriptor, MAX_DESCRIPTOR, StateKeeping};
use crate::ids::{Reach, RelayId, SessionId};
use crate::peer_protocol::{After, Frame, MAX_FRAME};
use crate::protocol::{MAX_PRESENCE, Ownership, PodBoot, Profile, Timeline};
use crate::record::{Former, Record};
use crate::room::{Bucket, Connection, Newcomer, Rate, RingLimits, SeatLimits};

const SEATS: SeatLimits = SeatLimits { players: 64, rate: Rate { per_second: 10, burst: 20 }, hold: 30_000 };
const RING: RingLimits = RingLimits { messages: 4_000, bytes: 1024 * 1024, age: 90_000 };
const SEAT: SeatId = SeatId(1);

fn enter(room: &mut Room, seat: u64, name: &str) {
    let who = Newcomer { name: name.parse().unwrap(), resumable: true, key: None, auth: None };
    let reach = Reach::Local(SessionId { index: seat as u32, generation: 0 });
    let session = Some(SessionRef { boot: PodBoot(u64::MAX), relay: RelayId(u64::MAX - seat) });
    room.join(SeatId(seat), who, Connection { reach, session, number: u64::MAX }, SEATS, 0);
    room.join_answered(SeatId(seat));
}

fn room() -> Room {
    let mut room = Room::new("abcdefgh".parse().unwrap(), &mut rand::rng());
    enter(&mut room, 1, "ana");
    room
}

fn set(room: &mut Room, key: &str, json: &str) -> Result<StateChanged, StateRefusal> {
    let set = StateSet::new(key.parse().unwrap(), json, None).unwrap();
    room.set_state(SEAT, &set, None, usize::MAX)
}

fn restored(room: &Room) -> Room {
    let snapshot = room.snapshot(Ownership { epoch: 1, boot: PodBoot(1) }, b"", 0);
    assert!(!snapshot.is_nonsense());
    Room::restored(room.id, &snapshot, 0, 0, Bucket::new(10, 20, 0), RING)
}

#[test]
fn what_it_takes_of_memory_is_counted() {
    let mut room = room();
    let mut bytes = 0;
    for (key, json) in [("a", "1"), ("a", "\"longer\""), ("b", "2"), ("a", "null"), ("c", "null"), ("b", "null")] {
        bytes += set(&mut room, key, json).unwrap().grown;
        assert_eq!(room.state_bytes().cast_signed(), bytes);
        assert!(room.state_bytes() <= MAX_STATE_MEMORY);
        assert_eq!(restored(&room).state, room.state);
    }
    let too_much = StateSet::new("d".parse().unwrap(), "1", None).unwrap();
    assert_eq!(room.set_state(SEAT, &too_much, None, 20), Err(StateRefusal::Code(ErrorCode::StateFull)));
}

#[test]
fn a_refused_first_change_leaves_no_trace() {
    let mut room = room();
    let position = room.position();
    let late = StateSet::new("a".parse().unwrap(), "1", Some(3)).unwrap();
    assert_eq!(room.set_state(SEAT, &late, None, usize::MAX), Err(StateRefusal::Conflict(0)));
    assert_eq!((room.state.is_none(), room.position(), room.recorded_state()), (true, position, None));
}

#[test]
fn a_kept_state_outlives_a_takeover() {
    let mut room = room();
    let kept = Descriptor { state: Some(StateKeeping::Kept), ..Descriptor::default() };
    room.describe(Some(Box::new(kept)));
    assert!(set(&mut room, "a", "[1]").unwrap().rewrite);
    assert!(set(&mut room, "b", "\"\u{fc}\"").unwrap().rewrite);
    set(&mut room, "a", "null").unwrap();
    set(&mut room, "c", "1").unwrap();
    let full = format!("\"{}\"", "x".repeat(MAX_KEPT_STATE));
    assert_eq!(set(&mut room, "d", &full), Err(StateRefusal::Code(ErrorCode::StateFull)));
    let owner = crate::record::Owner {
        ownership: Ownership { epoch: 1, boot: PodBoot(1) },
        pod_id: String::new(),
        tcp: String::new(),
        web: String::new(),
        peer: String::new(),
    };
    let record = Record::new(&owner, std::iter::empty()).with_state(room.recorded_state());
    let read = Record::parse(&record.to_bytes()).unwrap();
    assert_eq!(read, record);
    let next_at = |read: &Record, epoch| super::tests::room().with_state(read.state.as_ref(), epoch);
    let next = |read: &Record| next_at(read, 0);
    let next_state = next(&read).state.unwrap();
    let views = |state: &State| format!("{} {:?}", state.version, state.views());
    assert_eq!(views(&next_state), views(room.state.as_ref().unwrap()));
    assert!(!next_state.lost && next_state.position == 0);
    // The former owner may have given versions that the record has not: none of them is used again.
    let mut later = next_at(&read, 1_000);
    let versions: Vec<u64> = later.state.as_ref().unwrap().entries.iter().map(|entry| entry.version).collect();
    assert_eq!((versions, set(&mut later, "e", "1").unwrap().version), (vec![2, 4], 1_001));
    // What is not kept, or is no state, is lost.
    room.describe(None);
    let record = record.with_state(room.recorded_state());
    assert!(String::from_utf8(record.to_bytes().to_vec()).unwrap().ends_with(r#","state":{}}"#));
    assert_eq!(next(&record).state.map(|state| (state.lost, state.version)), Some((true, 0)));
    for (from, to) in
        [(r#""value":"1""#, r#""value":"{""#), (r#""version":4"#, r#""version":1"#), (r#""key":"c""#, r#""key":"b""#)]
    {
        let bytes = String::from_utf8(read.to_bytes().to_vec()).unwrap();
        let other = Record::parse(bytes.replacen(from, to, 1).as_bytes()).unwrap();
        assert_ne!(other, read, "{bytes}");
        assert_eq!(next(&other).state.map(|state| (state.lost, state.entries.len())), Some((true, 0)), "{to}");
    }
    assert_eq!(
        next_at(&record, 9).state.map(|state| (state.lost, state.version, state.is_told())),
        Some((true, 9, false))
    );
    let mut without = next_at(&record.with_state(None), 9);
    assert_eq!(without.state, None);
    assert_eq!(set(&mut without, "a", "1").unwrap().version, 10);
}

#[test]
fn no_healthy_pod_sends_such_a_state() {
    let mut room = room();
    set(&mut room, "a", "1").unwrap();
    set(&mut room, "b", "2").unwrap();
    let good = room.state.unwrap();
    assert!(!good.is_nonsense(room.position) && good.is_nonsense(room.position - 1));
    let mut last = good.clone();
    last.version = MAX_EPOCH;
    assert!(!last.is_nonsense(room.position));
    let breaks: [fn(&mut State); 7] = [
        |state| state.version = 1,
        |state| state.version = MAX_EPOCH + 1,
        |state| state.version = u64::MAX,
        |state| state.entries[1].key = state.entries[0].key,
        |state| state.entries[0].value = None,
        |state| state.entries[0].value = Some("x".repeat(MAX_STATE).into()),
        |state| state.entries.reverse(),
    ];
    for (number, breaks) in breaks.into_iter().enumerate() {
        let mut state = good.clone();
        breaks(&mut state);
        assert!(state.is_nonsense(room.position), "{number}");
    }
}

/// A room with the most of everything, and messages of `text`.
fn fullest(text: &str, kept: bool) -> Room {
    let mut room = Room::new("a".repeat(64).parse().unwrap(), &mut rand::rng());
    let descriptor = Descriptor {
        max_players: Some(64),
        seat_hold: Some(600),
        empty_ttl: Some(86_400),
        replay_messages: Some(1_000),
        replay_bytes: Some(4_194_304),
        access: Some(crate::descriptor::RoomAccess::Token),
        locked: true,
        listed: true,
        kind: Some("k".repeat(32).into()),
        labels: vec!["l".repeat(28).into(); 8],
        expires_at: Some(1 << 53),
        webhook: true,
        state: kept.then_some(StateKeeping::Kept),
    };
    let length = serde_json::to_string(&descriptor).unwrap().len();
    assert!((MAX_DESCRIPTOR - 30..=MAX_DESCRIPTOR).contains(&length), "{length}");
    room.describe(Some(Box::new(Descriptor { locked: false, ..descriptor.clone() })));
    let presence = format!("\"{}\"", "x".repeat(MAX_PRESENCE - 2));
    for seat in 0..128 {
        let name = format!("{seat:03}{}", "\u{82b1}".repeat(20));
        let who = Newcomer { name: name.parse().unwrap(), resumable: true, key: None, auth: None };
        let key = crate::protocol::SeatKey::new(room.id, who.name, &"k".repeat(64)).ok();
        let role = if seat < 64 { crate::join_token::Role::Moderator } else { crate::join_token::Role::Viewer };
        let sub = crate::join_token::Subject::new(room.id, &format!("user-{seat}"));
        let auth = Some(crate::join_token::SeatAuth { sub, expires: u64::MAX, role });
        let reach = Reach::Local(SessionId { index: seat, generation: 0 });
        let session = Some(SessionRef { boot: PodBoot(u64::MAX), relay: RelayId(u64::MAX) });
        let by = Connection { reach, session, number: u64::MAX };
        let id = SeatId(u64::MAX - u64::from(seat));
        room.join(id, Newcomer { key, auth, ..who }, by, SEATS, 0);
        room.join_answered(id).unwrap();
        let profile = Profile { display: Some("\"".repeat(64).into()), info: Some(presence.clone().into()) };
        room.set_profile(id, Some(&profile));
        (room.position, room.seq) = (MAX_EPOCH / 2, MAX_EPOCH / 2);
    }
    let seats: Vec<SeatId> = room.seats.iter().map(|seat| seat.id).collect();
    let names: Vec<PlayerName> = room.seats.iter().map(Seat::name).collect();
    let session = SessionRef { boot: PodBoot(u64::MAX), relay: RelayId(u64::MAX) };
    let answers = Some(Answers { session, number: u64::MAX, id: Some(1 << 52) });
    for number in 0..4_000 {
        room.say(names[number % 128], text, 1 << 42, answers, 1 << 40, RING);
    }
    for seat in &seats {
        room.set(*seat, Some(&presence), answers, 1 << 40, RING);
    }
    for key in 0..32 {
        let key = format!("{key:02}{}", "k".repeat(30)).parse().unwrap();
        let value = format!("\"{}\"", "x".repeat(if kept { MAX_KEPT_STATE } else { MAX_STATE } / 32 - 34));
        let set = StateSet::new(key, &value, None).unwrap();
        room.set_state(seats[0], &set, answers, usize::MAX).unwrap();
    }
    let mut bans = Bans::default();
    for seat in &room.seats[..32] {
        let ended = EndedSeat { seat: seat.id, session: Some(session), name: seat.name(), auth: seat.auth() };
        // By the name, which may take more than a person's.
        bans.add(EndedSeat { auth: None, ..ended }, Some(crate::protocol::MAX_BAN), MAX_EPOCH);
    }
    room.restore_bans(bans);
    room.describe(Some(Box::new(descriptor)));
    room
}

/// A snapshot, and an answer to RESUME, are one frame each, and the record is read, whatever is in the room.
#[test]
fn the_fullest_room_fits_into_a_frame_and_its_record() {
    let texts = ["x", "\"\"\"\"\"\"\"\"\"\"", &"\"".repeat(250), &"x".repeat(4_000)];
    for (text, kept) in texts.into_iter().flat_map(|text| [(text, false), (text, true)]) {
        let room = fullest(text, kept);
        let owner = crate::record::Owner {
            ownership: Ownership { epoch: MAX_EPOCH, boot: PodBoot(u64::MAX) },
            pod_id: "p".repeat(63),
            tcp: "t".repeat(255),
            web: "w".repeat(255),
            peer: "p".repeat(255),
        };
        let former =
            |number| Former { epoch: MAX_EPOCH, boot: PodBoot(number), peer: format!("{number}{}", "p".repeat(254)) };
        let record = Record::new(&owner, room.recorded()).with_state(room.recorded_state()).numbered(u64::MAX);
        let record = record.described(room.descriptor()).naming((0..4).map(former)).banning(room.bans());
        let record = record.showing(room.profiles()).to_bytes();
        let read = Record::parse(&record).map(|record| (record.former.len(), record.bans.len(), record.seats.len()));
        assert_eq!(read, Some((4, 32, 128)), "a record of {} bytes", record.len());
        let snapshot = room.snapshot(owner.ownership, &record, 2 << 40);
        let mut bytes = Vec::new();
        Frame::MigrateOffer { room: room.id, snapshot }.encode(&mut bytes);
        assert!(bytes.len() <= MAX_FRAME, "a snapshot of {} bytes with {} of record", bytes.len(), record.len());
        let seat = &room.seats[0];
        let plan = crate::room::ReplayPlan { missed: Some(0), since: Some(0) };
        let former = crate::room::Former {
            name: seat.name(),
            reach: None,
            away: false,
            delivered: crate::room::Delivered::Nothing,
        };
        let plan = crate::room::ReplayPlan { since: room.replay_plan(&former, None).since, ..plan };
        let token = "t".repeat(122);
        let welcome = crate::room::Welcome { seat: seat.id, resumed: true, plan, token: Some(&token), limits: SEATS };
        let mut joined = Vec::new();
        room.encode_welcome(welcome, Encoding::Json, Some(1 << 52), &mut joined);
        let after = After::Admitted {
            name: seat.name(),
            seat: seat.id,
            resumable: true,
            key: seat.key,
            auth: seat.auth(),
            epoch: crate::record::MAX_EPOCH,
            timeline: Timeline(u64::MAX),
            joined: true,
        };
        bytes.clear();
        let (relay, position, seq) = (RelayId(u64::MAX), room.position, room.seq);
        let (replies, bytes_of, after) = (Some(u64::MAX), joined.into(), Some(after));
        Frame::Deliver { room: room.id, relay, replies, position, seq, bytes: bytes_of, after }.encode(&mut bytes);
        assert!(bytes.len() <= MAX_FRAME, "an answer of {} bytes", bytes.len());
    }
}
