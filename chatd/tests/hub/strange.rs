//! Records and snapshots of pods with other limits, or full of rubbish; clients at awkward moments. No I/O.

use chatd::directory::{Key, Request};
use chatd::ids::RelayId;
use chatd::peer_protocol::{Attach, Frame};
use chatd::protocol::{Encoding, Ownership, RoomId, SeatId, Timeline};
use chatd::record::{Owner, Record, RecordedSeat};
use chatd::room::{AnsweredCalls, Delivered, Membership, Reservations, SeatSnapshot, Snapshot};
use serde_json::json;

use crate::world::{World, boot};

fn seat(name: &str, number: u64, away_for: Option<u64>) -> SeatSnapshot {
    let (name, seat) = (name.parse().unwrap(), SeatId(number));
    SeatSnapshot {
        presence: None,
        name,
        seat,
        resumable: true,
        key: None,
        entered: 0,
        auth: None,
        away_for,
        holder: None,
        processed: 0,
        delivered: Delivered::UpTo(0),
    }
}

fn another_pod() -> Owner {
    let ownership = Ownership { epoch: 5, boot: boot(1) };
    Owner { ownership, pod_id: "chat-1".into(), tcp: String::new(), web: String::new(), peer: "1".into() }
}

/// Offers pod 0 a room of another pod with these seats; the room's record then.
fn offer(world: &mut World, seats: Vec<SeatSnapshot>) -> Record {
    let room: RoomId = "abcd1234".parse().unwrap();
    let owner = another_pod();
    let record = Record::new(&owner, std::iter::empty()).to_bytes();
    world.store.insert(Key::Room(room), record.clone());
    let (timeline, ring) = (Timeline(1), Vec::new());
    let snapshot = Snapshot {
        ownership: owner.ownership,
        record: record.to_vec(),
        timeline,
        forked_from: None,
        seq: 0,
        position: 0,
        descriptor: None,
        seats,
        ring,
        webhook_number: 0,
        state: None,
        reservations: Reservations::default(),
        answered: AnsweredCalls::default(),
    };
    let time = world.time();
    world.pods[0].peer_up(time, boot(1));
    world.pods[0].frame(time, boot(1), Frame::MigrateOffer { room, snapshot });
    world.run();
    Record::parse(&world.store[&Key::Room(room)]).unwrap()
}

#[test]
fn a_room_that_comes_with_more_than_is_allowed_here_is_cut_to_the_limits() {
    let mut world = World::new(2);
    let names = ["a", "b", "c", "d", "e", "f"];
    let seats = names.iter().zip(0..).map(|(name, number)| seat(name, number, (number < 2).then_some(u64::MAX)));
    let record = offer(&mut world, seats.collect());
    assert_eq!((record.boot, record.players.len()), (boot(0), 4));
    // Those who are connected first.
    assert_eq!(record.players, ["c", "d", "e", "f"].map(|name| name.parse().unwrap()));
    // Nobody is away for longer than seats are held here.
    let mut world = World::new(2);
    offer(&mut world, vec![seat("a", 1, Some(u64::MAX))]);
    assert_eq!(world.pods[0].player_count(), 1);
    world.pass(30_100);
    assert_eq!(world.pods[0].player_count(), 0);
}

#[test]
fn a_room_that_comes_with_a_player_twice_is_refused() {
    for (name, number) in [("ALICE", 2), ("bob", 1)] {
        let mut world = World::new(2);
        let record = offer(&mut world, vec![seat("alice", 1, None), seat(name, number, None)]);
        assert_eq!((record.boot, world.pods[0].room_count()), (boot(1), 0));
    }
}

#[test]
fn a_record_with_more_seats_than_are_allowed_is_taken_over_with_as_many_as_are() {
    let mut world = World::new(2);
    let room: RoomId = "abcd1234".parse().unwrap();
    let owner = another_pod();
    let names = ["Bob", "bob", "c", "d", "e", "f", "g"];
    let seats = names.map(|name| {
        (
            name.parse().unwrap(),
            RecordedSeat { seat: SeatId(name.len() as u64), hold: true, joining: false, key: None, auth: None },
        )
    });
    let mut record = Record::new(&owner, seats.into_iter());
    record.seats = names
        .iter()
        .zip(0..)
        .map(|(name, seat)| {
            ((*name).into(), RecordedSeat { seat: SeatId(seat), hold: true, joining: false, key: None, auth: None })
        })
        .collect();
    world.store.insert(Key::Room(room), record.to_bytes());
    world.kill(1);
    let client = world.open(0);
    world.say(client, &format!("JOIN {room} alice\n"));
    world.pass(3_000);
    assert_eq!(world.hear(client).split(' ').nth(1), Some("room_full"));
    let record = Record::parse(&world.store[&Key::Room(room)]).unwrap();
    assert_eq!(record.players, ["Bob", "c", "d", "e"].map(|name| name.parse().unwrap()));
    assert_eq!(world.pods[0].player_count(), 4);
}

#[test]
fn a_resume_over_a_live_connection_reports_possibly_missed_messages() {
    let mut world = World::new(1);
    let alice = world.open(0);
    let room = world.create(alice);
    let token = world.join_resumable(alice, &room, "alice");
    let again = world.open(0);
    let answer = world.ask(again, &format!("RESUME {room} {token}\n"));
    assert_eq!(answer, format!("JOINED {room} alice alice\nTOKEN {token}\nMISSED ?\n"));
    assert!(world.hear(alice).ends_with("BYE replaced\n"));
}

#[test]
fn frames_that_are_no_messages_cost_as_much() {
    let mut world = World::new(1);
    let time = world.time();
    let id = world.pods[0].open(time, Encoding::Json);
    let frames = |world: &mut World| (0..200).filter(|_| world.pods[0].receive_idle_frame(time, id)).count();
    assert_eq!(frames(&mut world), 20);
    let said = world.pods[0].output(id);
    let bye = br#"{"type":"bye","code":"rate_limited"}"#;
    assert!(said.windows(bye.len()).any(|part| part == bye), "{}", String::from_utf8_lossy(said));
}

#[test]
fn who_guesses_the_id_of_a_room_that_comes_to_nothing_is_answered() {
    let mut world = World::new(1);
    let alice = world.open(0);
    world.slow = true;
    world.say(alice, "CREATE_ROOM\n");
    let Some(Request::Swap { key: Key::Room(room), .. }) = world.late.first().cloned() else {
        panic!("{:?}", world.late);
    };
    world.pass(500);
    let bob = world.open(0);
    world.say(bob, &format!("JOIN {room} bob\n"));
    world.pass(1_700);
    assert!(world.hear(alice).starts_with("ERR unavailable"));
    assert!(world.hear(bob).starts_with("ERR unavailable"));
}

#[test]
fn an_unfinished_line_keeps_nobody_on_a_pod_that_is_to_end() {
    let mut world = World::new(1);
    let client = world.open(0);
    world.ask(client, "PING\n");
    world.say(client, "JOIN abcd");
    let time = world.time();
    world.drain(0);
    world.pods[0].targets(time, Vec::new());
    world.pass(5_500);
    assert_eq!(world.hear(client), "");
    world.pass(1_000);
    assert_eq!(world.hear(client), "BYE shutting_down\n");
}

#[test]
fn a_player_whose_leave_has_no_reply_does_not_return() {
    for (word, answer) in [("LEAVE", "LEFT "), ("QUIT", "BYE quit\n")] {
        let mut world = World::new(2);
        let (_, alice, bob) = world.room_of_two(1, "");
        world.mute = Some(0);
        assert_eq!(world.ask(bob, &format!("{word}\n")), "");
        assert_eq!(world.hear(alice), "EXITED bob left\n");
        world.mute = None;
        world.break_link(0, 1);
        world.pass(2_000);
        let heard = world.hear(bob);
        assert!(
            heard.lines().last().is_some_and(|line| answer.starts_with(line) || line.starts_with(answer)),
            "{heard}"
        );
        assert_eq!(world.ask(alice, "WHO\n").lines().last(), Some("PLAYERS alice"));
    }
}

#[test]
fn an_attach_that_comes_twice_to_an_owner_that_does_not_know_the_seat_takes_one_seat() {
    let mut world = World::new(2);
    let alice = world.open(0);
    let room: RoomId = world.create(alice).parse().unwrap();
    world.ask(alice, &format!("JOIN {room} alice\n"));
    let member = Membership {
        name: "bob".parse().unwrap(),
        seat: SeatId(7),
        resumable: false,
        key: None,
        auth: None,
        epoch: 1,
        timeline: Timeline(7),
        position: 5,
        seq: 5,
    };
    let attach = Attach { encoding: Encoding::Lines, member, moved: true };
    world.mute = Some(0);
    // The owner was frozen: both arrive in one go, or the second when the first has been answered.
    for wait in [false, true] {
        let time = world.time();
        world.pods[0].peer_up(time, boot(1));
        for _ in 0..2 {
            let frame = Frame::Attach { room, relay: RelayId(1), attach: attach.clone() };
            world.pods[0].frame(time, boot(1), frame);
            if wait {
                world.run();
            }
        }
        world.run();
        assert_eq!((world.pods[0].player_count(), world.pods[0].remote_member_count()), (2, 1));
        assert_eq!(world.hear(alice), "ENTERED bob\n");
        let time = world.time();
        world.pods[0].peer_down(time, boot(1));
        world.pass(16_000);
        assert_eq!(world.hear(alice), "EXITED bob disconnected\n");
    }
}

#[test]
fn a_player_whose_leave_has_no_reply_stays_out_after_a_takeover_by_its_entry_pod() {
    for (word, answer) in [("LEAVE", "LEFT "), ("QUIT", "BYE quit")] {
        let mut world = World::new(2);
        let (_, _, bob) = world.room_of_two(1, " RESUMABLE");
        world.mute = Some(0);
        assert_eq!(world.ask(bob, &format!("{word}\n")), "");
        world.kill(0);
        world.pass(3_000);
        let heard = world.hear(bob);
        assert!(heard.starts_with(answer) && heard.lines().count() == 1, "{heard}");
        assert_eq!(world.pods[1].player_count(), 0);
    }
}

#[test]
fn what_was_sent_while_earlier_messages_wait_keeps_its_turn() {
    let mut world = World::new(2);
    let alice = world.open_json(0);
    world.slow = true;
    // Its answer waits for the directory, and what follows waits for that.
    let time = world.time();
    for message in [json!({"type": "create_room"}), json!({"type": "ping", "id": 1}), json!({"type": "ping", "id": 2})]
    {
        world.pods[0].receive_message(time, alice.1, &message.to_string());
    }
    world.run();
    assert_eq!(world.events(alice), Vec::<serde_json::Value>::new());
    world.slow = false;
    world.pass(1_000);
    let types: Vec<_> =
        world.events(alice).into_iter().map(|event| (event["type"].clone(), event["id"].clone())).collect();
    assert_eq!(types, [(json!("room"), json!(null)), (json!("pong"), json!(1)), (json!("pong"), json!(2))]);
}

#[test]
fn a_record_of_the_largest_room_is_read_and_what_is_longer_than_any_is_not() {
    let recorded = |number: u64| {
        let name = format!("player-with-long-name{number}").parse().unwrap();
        (name, RecordedSeat { seat: SeatId(number), hold: true, joining: false, key: None, auth: None })
    };
    let bytes = Record::new(&another_pod(), (0..64).map(recorded)).to_bytes();
    assert_eq!(Record::parse(&bytes).map(|record| record.seats().count()), Some(64));
    let padded = |length: usize| [&bytes[..], &b" ".repeat(length - bytes.len())].concat();
    assert!(Record::parse(&padded(64 * 1024)).is_some() && Record::parse(&padded(64 * 1024 + 1)).is_none());
}

#[test]
fn a_new_room_whose_id_another_pod_has_given_away_gets_another_one() {
    let taken = {
        let mut same = World::new(1);
        let client = same.open(0);
        same.create(client)
    };
    let mut world = World::new(1);
    let key = Key::Room(taken.parse().unwrap());
    let theirs = Record::new(&another_pod(), std::iter::empty()).to_bytes();
    world.store.insert(key.clone(), theirs.clone());
    let client = world.open(0);
    let room = world.create(client);
    assert_ne!(room, taken);
    assert_eq!((world.store.len(), &world.store[&key]), (2, &theirs));
    assert_eq!(world.pods[0].room_count(), 1);
}
