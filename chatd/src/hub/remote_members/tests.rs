//! Tests of remote members and their windows, without a hub.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::ids::{Reach, RelayId};
use crate::peer_protocol::split;
use crate::protocol::Ownership;

const ENTRY: PodBoot = PodBoot(2);
const WINDOW: usize = 100;

fn room() -> RoomId {
    "abc12def".parse().unwrap()
}

fn member(relay: u64) -> SessionRef {
    SessionRef { boot: ENTRY, relay: RelayId(relay) }
}

struct World {
    members: RemoteMembers,
    peers: Peers,
}

impl World {
    /// One member, by lines.
    fn new() -> Self {
        let (mut members, mut peers) = (RemoteMembers::new(WINDOW), Peers::new(0));
        peers.link_is_up(ENTRY);
        members.insert(member(1), Encoding::Lines, room());
        Self { members, peers }
    }

    /// Delivers so many bytes, and returns how many are queued.
    fn deliver(&mut self, bytes: usize) -> usize {
        let delivery = Delivery { replies: None, place: (1, 1), bytes: vec![b'x'; bytes].into(), after: None };
        let queued = self.members.deliver(&mut self.peers, member(1), delivery).unwrap();
        self.members.check_invariants();
        queued
    }

    fn credit(&mut self, bytes: u32) {
        self.members.credit(&mut self.peers, member(1), bytes);
        self.members.check_invariants();
    }

    /// The last word of the member.
    fn part(&mut self) {
        let asked = Asked { by: Reach::Remote(member(1)), number: 4, id: None };
        let (event, after) = (Event::Left { room: room() }, After::Outside { miss: false });
        self.members.part_with(&mut self.peers, member(1), asked, &[event], after);
        self.members.check_invariants();
    }

    /// What was sent since the last time: of deliveries the bytes.
    fn sent(&mut self) -> Vec<String> {
        let mut sent = Vec::new();
        self.peers.take_frames(|boot, bytes| {
            assert_eq!(boot, ENTRY);
            let mut rest = &bytes[..];
            while let Some((frame, after)) = split(rest).unwrap() {
                sent.push(match Frame::decode(frame).unwrap() {
                    Frame::Deliver { bytes, after: None, .. } => bytes.len().to_string(),
                    Frame::Deliver { bytes, .. } => String::from_utf8(bytes.into_owned()).unwrap(),
                    Frame::Released { processed, .. } => format!("released {processed}"),
                    other => panic!("{other:?}"),
                });
                rest = after;
            }
        });
        sent
    }
}

#[test]
fn what_is_beyond_the_window_waits_until_the_client_has_read() {
    let mut world = World::new();
    assert_eq!([world.deliver(60), world.deliver(60)], [0, 0], "the window is not full before the second");
    assert_eq!([world.deliver(10), world.deliver(30)], [10, 40]);
    assert_eq!(world.sent(), ["60", "60"]);
    assert_eq!(world.members.holders().map(|(bytes, _)| bytes).sum::<usize>(), world.members.held());
    world.credit(20);
    assert!(world.sent().is_empty(), "it has read what was too much");
    world.credit(1);
    assert_eq!(world.sent(), ["10"]);
    world.credit(1_000);
    assert_eq!(world.sent(), ["30"]);
    assert_eq!(world.members.held(), 0);
    // No more than a window, however much the client claims to have read.
    assert_eq!([world.deliver(WINDOW), world.deliver(1)], [0, 1]);
}

#[test]
fn the_last_word_waits_its_turn_and_then_the_member_is_forgotten() {
    let mut world = World::new();
    world.deliver(120);
    world.deliver(10);
    world.part();
    assert_eq!((world.sent(), world.members.len()), (vec!["120".to_owned()], 1));
    world.credit(100);
    assert_eq!((world.sent(), world.members.len()), (vec!["10".to_owned(), format!("LEFT {}\n", room())], 0));
    let mut world = World::new();
    world.part();
    assert_eq!(world.members.len(), 0, "nothing is in its way");
}

#[test]
fn an_end_drops_what_a_slow_reader_waits_for_and_nothing_of_others() {
    let end = |code| {
        let mut world = World::new();
        world.deliver(120);
        world.deliver(10);
        world.sent();
        world.members.end(&mut world.peers, member(1), code, true);
        world.members.check_invariants();
        assert_eq!(world.members.len(), 0);
        world.sent()
    };
    assert_eq!(end(ErrorCode::SlowConsumer).len(), 1);
    let sent = end(ErrorCode::Replaced);
    assert_eq!((sent.len(), sent[0].as_str()), (2, "10"));
    assert!(sent[1].starts_with("ERR replaced") && sent[1].ends_with("BYE replaced\n"), "{sent:?}");
}

#[test]
fn what_a_member_was_to_hear_goes_before_the_word_of_the_new_owner() {
    let mut world = World::new();
    world.deliver(120);
    world.deliver(10);
    let ownership = Ownership { epoch: 9, boot: PodBoot(3) };
    let owner = Owner { ownership, pod_id: "chat".into(), tcp: String::new(), web: String::new(), peer: String::new() };
    world.members.send_away(&mut world.peers, member(1), owner, 7);
    assert_eq!(world.sent(), ["120", "10", "released 7"]);
    assert_eq!((world.members.len(), world.members.held()), (0, 0));
}

#[test]
fn who_comes_again_has_a_window_of_its_own_and_no_queue() {
    let mut world = World::new();
    world.deliver(120);
    world.deliver(10);
    world.sent();
    world.members.insert(member(1), Encoding::Lines, room());
    world.members.check_invariants();
    assert_eq!((world.deliver(10), world.sent()), (0, vec!["10".to_owned()]));
}

#[test]
fn the_members_of_a_pod_are_found_in_order() {
    let mut world = World::new();
    for relay in [9, 4] {
        world.members.insert(member(relay), Encoding::Json, room());
    }
    world.members.insert(SessionRef { boot: PodBoot(5), relay: RelayId(2) }, Encoding::Json, room());
    assert_eq!(world.members.of_pod(ENTRY), [member(1), member(4), member(9)]);
}
