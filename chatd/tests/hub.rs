//! Some pods' hubs and a directory in one thread, with instant answers: the ordinary course of things. No I/O.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use chatd::directory::{Answer, Key, Request};
use chatd::frame::{self, Drop, Frame, RelayId};
use chatd::hub::{Effect, Hub, HubSettings, LeaseView, Rules, SessionId, Target, Time};
use chatd::protocol::token::Keyring;
use chatd::protocol::{Command, Encoding, ErrorCode, OnWrongPod, Ownership, PodBoot, RoomId};
use chatd::record::{Owner, Record};
use chatd::room::RingLimits;

fn settings() -> HubSettings {
    HubSettings {
        max_players: 4,
        seat_hold: 30_000,
        record_ttl: 3_600_000,
        empty_ttl: 600_000,
        max_rooms: 100,
        rate: 10,
        burst: 20,
        max_misses: 10,
        first_line_timeout: 10_000,
        idle_timeout: 120_000,
        send_queue: 256 * 1024,
        ring: RingLimits { messages: 32, bytes: 8192, age: 90_000 },
        ring_total: 32 << 20,
        tcp_on_wrong_pod: OnWrongPod::Redirect,
        shard: 0,
        shards: 1,
        rules: Rules::ALL,
    }
}

/// A pod's number and one of its sessions.
type Client = (usize, SessionId);

struct World {
    pods: Vec<Hub>,
    store: HashMap<Key, Bytes>,
    alive: Vec<bool>,
    now: u64,
}

fn boot(pod: usize) -> PodBoot {
    PodBoot(pod as u64 + 1)
}

impl World {
    fn new(pods: usize) -> Self {
        let keys = Arc::new(Keyring::new(vec![("k".into(), vec![7; 32])], "k").unwrap());
        let hub = |index: usize| {
            let me = Owner {
                ownership: Ownership { epoch: 0, boot: boot(index) },
                pod_id: format!("chat-{index}"),
                tcp: format!("pod{index}:7654"),
                web: format!("pod{index}:8081"),
                peer: format!("{index}"),
            };
            let mut hub = Hub::new(settings(), me, keys.clone(), [index as u8; 32]);
            hub.lease(Time { now: 1000, wall: 1_000_000 }, LeaseView { confirmed: Some(1000), settled: true });
            hub
        };
        Self { pods: (0..pods).map(hub).collect(), store: HashMap::new(), alive: vec![true; pods], now: 1000 }
    }

    fn time(&self) -> Time {
        Time { now: self.now, wall: 1_000_000 + self.now }
    }

    fn answer(&mut self, request: Request) -> Answer {
        let (key, expected) = match &request {
            Request::Get { key } => return Answer::Found(self.store.get(key).cloned()),
            Request::Pods => return Answer::Pods(Vec::new()),
            Request::Swap { key, expected, .. } => (key.clone(), expected.clone()),
            Request::Renew { key, expected, .. } | Request::Delete { key, expected } => {
                (key.clone(), Some(expected.clone()))
            }
        };
        if self.store.get(&key) != expected.as_ref() {
            return Answer::Found(self.store.get(&key).cloned());
        }
        match request {
            Request::Swap { new, .. } => drop(self.store.insert(key, new)),
            Request::Delete { .. } => drop(self.store.remove(&key)),
            _ => {}
        }
        Answer::Done
    }

    fn carry_out(&mut self, pod: usize, effect: Effect) {
        let time = self.time();
        match effect {
            Effect::Directory { ticket, request } => {
                let answer = self.answer(request);
                self.pods[pod].answered(time, ticket, Ok(answer));
            }
            Effect::Dial { address } => {
                let other: usize = address.parse().unwrap();
                if self.alive[other] && other != pod {
                    self.pods[pod].peer_up(time, boot(other), Some(&address));
                    self.pods[other].peer_up(time, boot(pod), None);
                } else {
                    self.pods[pod].peer_unreachable(time, &address);
                }
            }
            other => println!("{} {pod}: {other:?}", self.now),
        }
    }

    /// Carries out everything that the pods ask for, until they ask for nothing.
    fn run(&mut self) {
        for _ in 0..1000 {
            let mut idle = true;
            for pod in (0..self.pods.len()).filter(|pod| self.alive[*pod]).collect::<Vec<_>>() {
                let mut effects = Vec::new();
                self.pods[pod].take_effects(&mut effects);
                for effect in effects {
                    idle = false;
                    self.carry_out(pod, effect);
                }
                let mut sent = Vec::new();
                self.pods[pod].take_frames(|to, bytes| sent.push((to, bytes)));
                for (to, bytes) in sent {
                    idle = false;
                    let other = to.0 as usize - 1;
                    let mut rest = &bytes[..];
                    while let Some((payload, next)) = frame::split(rest).unwrap() {
                        let frame = Frame::decode(payload).unwrap();
                        println!("{} {pod}>{other}: {frame:?}", self.now);
                        let time = self.time();
                        self.pods[other].frame(time, boot(pod), frame);
                        rest = next;
                    }
                }
            }
            if idle {
                return;
            }
        }
        panic!("does not come to rest");
    }

    fn pass(&mut self, millis: u64) {
        let end = self.now + millis;
        while self.now < end {
            self.now = (self.now + 100).min(end);
            let time = self.time();
            for pod in 0..self.pods.len() {
                if self.alive[pod] {
                    self.pods[pod].lease(time, LeaseView { confirmed: Some(time.now), settled: true });
                    self.pods[pod].tick(time);
                }
            }
            self.run();
        }
    }

    fn kill(&mut self, pod: usize) {
        self.alive[pod] = false;
        let time = self.time();
        for other in (0..self.pods.len()).filter(|other| self.alive[*other]).collect::<Vec<_>>() {
            self.pods[other].peer_down(time, boot(pod));
        }
    }

    fn open(&mut self, pod: usize) -> Client {
        let time = self.time();
        (pod, self.pods[pod].open(time, Encoding::Lines))
    }

    fn say(&mut self, (pod, id): Client, text: &str) {
        let time = self.time();
        self.pods[pod].receive(time, id, text.as_bytes());
        self.run();
    }

    fn hear(&mut self, (pod, id): Client) -> String {
        let time = self.time();
        let text = String::from_utf8(self.pods[pod].output(id).to_vec()).unwrap();
        self.pods[pod].wrote(time, id, text.len());
        self.run();
        text
    }

    fn ask(&mut self, client: Client, text: &str) -> String {
        self.say(client, text);
        self.hear(client)
    }

    fn create(&mut self, client: Client) -> String {
        self.ask(client, "CREATE_ROOM\n").trim().strip_prefix("ROOM ").unwrap().to_owned()
    }
}

#[test]
fn a_session_as_the_protocol_tells_it() {
    let mut world = World::new(1);
    let alice = world.open(0);
    let room = world.create(alice);
    assert_eq!(world.ask(alice, &format!("JOIN {room} alice\n")), format!("JOINED {room} alice alice\n"));
    let bob = world.open(0);
    assert_eq!(world.ask(bob, &format!("JOIN {room} bob\r\n")), format!("JOINED {room} bob alice,bob\n"));
    assert_eq!(world.hear(alice), "ENTERED bob\n");
    assert_eq!(world.ask(bob, "hello\nPING\nWHO\n"), "MSG bob hello\nPONG\nPLAYERS alice,bob\n");
    assert_eq!(world.hear(alice), "MSG bob hello\n");
    assert_eq!(world.ask(alice, "LEAVE\n"), format!("LEFT {room}\n"));
    assert_eq!(world.hear(bob), "EXITED alice left\n");
    assert_eq!(world.ask(alice, &format!("JOIN {room} BOB\n")).split(' ').nth(1), Some("name_taken"));
    assert_eq!(world.ask(bob, "QUIT\n"), "BYE quit\n");
}

#[test]
fn a_dropped_seat_is_held_and_resumed() {
    let mut world = World::new(1);
    let alice = world.open(0);
    let room = world.create(alice);
    let joined = world.ask(alice, &format!("JOIN {room} alice RESUMABLE\n"));
    let token = joined.lines().nth(1).unwrap().strip_prefix("TOKEN ").unwrap().to_owned();
    let bob = world.open(0);
    world.ask(bob, &format!("JOIN {room} bob\n"));
    let time = world.time();
    world.pods[0].dropped(time, alice.1, Drop::Lost);
    assert_eq!(world.ask(bob, "are you there?\n"), "AWAY alice\nMSG bob are you there?\n");
    let alice = world.open(0);
    let answer = world.ask(alice, &format!("RESUME {room} {token}\n"));
    assert_eq!(answer, format!("JOINED {room} alice alice,bob\nTOKEN {token}\nMSG bob are you there?\n"));
    assert_eq!(world.hear(bob), "BACK alice\n");
    let time = world.time();
    world.pods[0].dropped(time, alice.1, Drop::Lost);
    world.pass(31_000);
    assert_eq!(world.hear(bob), "AWAY alice\nEXITED alice timeout\n");
}

#[test]
fn the_wrong_pod_redirects_or_relays() {
    let mut world = World::new(2);
    let alice = world.open(0);
    let room = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice\n"));
    let bob = world.open(1);
    assert_eq!(world.ask(bob, &format!("JOIN {room} bob\n")), format!("REDIRECT pod0:7654 {room}\n"));
    assert_eq!(world.ask(bob, &format!("JOIN {room} bob RELAY\n")), format!("JOINED {room} bob alice,bob\n"));
    assert_eq!(world.hear(alice), "ENTERED bob\n");
    assert_eq!(world.ask(bob, "one\ntwo\nPING\n"), "MSG bob one\nMSG bob two\nPONG\n");
    assert_eq!(world.ask(alice, "three\n"), "MSG bob one\nMSG bob two\nMSG alice three\n");
    assert_eq!(world.hear(bob), "MSG alice three\n");
    assert_eq!(world.ask(bob, "LEAVE\nPING\n"), format!("LEFT {room}\nPONG\n"));
    assert_eq!(world.hear(alice), "EXITED bob left\n");
}

#[test]
fn a_dead_owner_s_room_is_taken_over() {
    let mut world = World::new(2);
    let alice = world.open(0);
    let room = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice\n"));
    let bob = world.open(1);
    world.ask(bob, &format!("JOIN {room} bob RELAY RESUMABLE\n"));
    world.kill(0);
    world.say(bob, "anyone?\n");
    world.pass(3_000);
    let heard = world.hear(bob);
    assert_eq!(heard, format!("MOVED {room}\nMISSED ?\nMSG bob anyone?\n"));
    let carol = world.open(1);
    assert_eq!(world.ask(carol, &format!("JOIN {room} carol\n")), format!("JOINED {room} carol bob,carol\n"));
}

#[test]
fn a_drained_pod_hands_its_rooms_over() {
    let mut world = World::new(2);
    let alice = world.open(0);
    let room = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice RELAY\n"));
    let bob = world.open(1);
    world.ask(bob, &format!("JOIN {room} bob RELAY\n"));
    world.hear(alice);
    let time = world.time();
    world.pods[0].drain(time, time.now + 25_000);
    let target = Target { pod_id: "chat-1".into(), boot: boot(1), peer: "1".into(), rooms: 0 };
    world.pods[0].targets(time, vec![target]);
    world.say(alice, "still here\n");
    world.pass(1_000);
    assert_eq!(world.hear(alice), format!("MOVED {room}\nMSG alice still here\n"));
    assert_eq!(world.hear(bob), format!("MOVED {room}\nMSG alice still here\n"));
    assert_eq!(world.pods[0].room_count(), 0);
    assert_eq!(world.pods[1].room_count(), 1);
    world.pass(6_000);
    assert_eq!(world.hear(alice), "BYE moved\n");
}

#[test]
fn a_room_that_comes_to_its_client_and_goes_again_answers_every_line() {
    let mut world = World::new(3);
    let alice = world.open(1);
    let room = world.create(alice);
    world.ask(alice, &format!("JOIN {room} alice RELAY\n"));
    let bob = world.open(0);
    world.ask(bob, &format!("JOIN {room} bob RELAY\n"));
    world.ask(bob, "one\ntwo\nthree\n");
    // To the pod that bob is connected to, and on to a third.
    for (from, to) in [(1, 0), (0, 2)] {
        let time = world.time();
        world.pods[from].drain(time, time.now + 25_000);
        let target = Target { pod_id: format!("chat-{to}"), boot: boot(to), peer: to.to_string(), rooms: 0 };
        world.pods[from].targets(time, vec![target]);
        world.pass(500);
        assert_eq!(world.pods[to].room_count(), 1);
        assert_eq!(world.hear(bob), format!("MOVED {room}\n"));
    }
    assert_eq!(world.ask(bob, "four\nPING\n"), "MSG bob four\nPONG\n");
}

#[test]
fn an_empty_room_that_another_pod_has_taken_keeps_its_record() {
    let mut world = World::new(1);
    let alice = world.open(0);
    let room: RoomId = world.create(alice).parse().unwrap();
    world.pass(599_950);
    let key = Key::Room(room);
    let mut record = Record::parse(&world.store[&key]).unwrap();
    (record.epoch, record.boot) = (record.epoch + 1000, boot(7));
    world.store.insert(key.clone(), record.to_bytes());
    world.pass(1_000);
    assert_eq!(world.pods[0].room_count(), 0);
    assert_eq!(world.store.get(&key), Some(&record.to_bytes()));
}

#[test]
fn a_session_that_ends_before_it_goes_to_another_thread_is_closed_where_it_is() {
    let mut world = World::new(1);
    let time = world.time();
    let me = Owner {
        ownership: Ownership { epoch: 0, boot: boot(0) },
        pod_id: "chat-0".into(),
        tcp: "h:1".into(),
        web: "h:2".into(),
        peer: "h:3".into(),
    };
    let keys = Arc::new(Keyring::new(vec![("k".into(), vec![7; 32])], "k").unwrap());
    world.pods[0] = Hub::new(HubSettings { shards: 2, ..settings() }, me, keys, [0; 32]);
    let hub = &mut world.pods[0];
    let other = ["aaaaaaaa", "aaaaaaab", "aaaaaaac", "aaaaaaad", "aaaaaaae", "aaaaaaaf", "aaaaaaag", "aaaaaaah"]
        .into_iter()
        .find(|room| room.parse::<RoomId>().unwrap().shard(2) == 1)
        .unwrap();
    let session = hub.open(time, Encoding::Lines);
    // All in one batch: the driver carries out nothing in between.
    hub.receive(time, session, format!("JOIN {other} alice\n").as_bytes());
    for _ in 0..3 {
        hub.receive(time, session, &b"x".repeat(30_000));
    }
    let mut effects = Vec::new();
    hub.take_effects(&mut effects);
    assert_eq!(effects, [Effect::Close { session, code: Some(ErrorCode::LineTooLong) }]);
}

#[test]
fn a_join_over_a_link_that_breaks_while_the_room_waits_takes_no_seat() {
    let mut world = World::new(2);
    let alice = world.open(0);
    let room = world.create(alice);
    // Frozen for longer than its lease: the room waits for its record.
    let frozen = Time { now: world.now + 20_000, wall: 1_000_000 };
    world.pods[0].peer_up(frozen, boot(1), None);
    let command = Command::Join {
        room: room.parse().unwrap(),
        name: "bob".parse().unwrap(),
        resumable: true,
        on_wrong_pod: None,
    };
    let (room_id, relay, encoding) = (room.parse().unwrap(), RelayId(1), Encoding::Lines);
    let open = Frame::Open { room: room_id, relay, encoding, number: 1, id: None, command };
    world.pods[0].frame(frozen, boot(1), open);
    world.pods[0].peer_down(frozen, boot(1));
    world.now = frozen.now;
    world.run();
    assert_eq!((world.pods[0].guest_count(), world.pods[0].player_count()), (0, 0));
    assert_eq!(world.ask(alice, &format!("JOIN {room} bob\n")), format!("JOINED {room} bob bob\n"));
}

#[test]
fn time_alone_sets_no_more_and_more_timers() {
    let mut world = World::new(3);
    let client = world.open(0);
    let rooms: Vec<String> = (0..8).map(|_| world.create(client)).collect();
    world.pass(1_000);
    world.kill(0);
    for room in &rooms {
        // One takeover a millisecond or so; the former owner never answers.
        world.now += 1;
        let client = world.open(1);
        world.say(client, &format!("JOIN {room} alice RELAY\n"));
        let other = world.open(2);
        world.say(other, &format!("JOIN {room} bob RELAY\n"));
    }
    // The directory is away, and something comes every 7 ms.
    let time = world.time();
    let id = world.pods[1].open(time, Encoding::Lines);
    world.pods[1].dropped(time, id, Drop::Lost);
    let end = world.now + 60_000;
    let mut late = 0;
    while world.now < end {
        world.now += 7;
        let time = world.time();
        world.pods[1].receive(time, id, b"");
        let due = world.pods[1].next_deadline().is_some_and(|at| at <= world.now);
        late += u32::from(due);
        world.pods[1].tick(time);
        world.pods[1].take_effects(&mut Vec::new());
    }
    assert!(late < 1_000, "{late} of {} batches had a timer to look at", 60_000 / 7);
}

#[test]
fn who_resumes_over_another_pod_than_the_one_that_was_lost_hears_what_came_meanwhile() {
    let mut world = World::new(2);
    let bob = world.open(0);
    let room = world.create(bob);
    world.ask(bob, &format!("JOIN {room} bob\n"));
    let alice = world.open(1);
    let joined = world.ask(alice, &format!("JOIN {room} alice RELAY RESUMABLE\n"));
    let token = joined.lines().nth(1).unwrap().strip_prefix("TOKEN ").unwrap().to_owned();
    world.ask(bob, "heard\n");
    world.kill(1);
    world.say(bob, "not heard\n");
    let alice = world.open(0);
    let answer = world.ask(alice, &format!("RESUME {room} {token}\n"));
    assert_eq!(answer, format!("JOINED {room} alice bob,alice\nTOKEN {token}\nMSG bob not heard\n"));
}

#[test]
fn who_asks_often_is_closed_for_silence_all_the_same_and_sets_one_timer() {
    let mut world = World::new(1);
    let bob = world.open(0);
    let room = world.create(bob);
    world.ask(bob, &format!("JOIN {room} bob\n"));
    let other = world.open(0);
    for _ in 0..50 {
        assert!(world.ask(other, &format!("JOIN {room} bob\n")).starts_with("ERR name_taken"));
        world.pass(100);
    }
    let mut due = 0;
    for _ in 0..1_190 {
        due += u32::from(world.pods[0].next_deadline().is_some_and(|at| at <= world.now + 100));
        world.pass(100);
    }
    assert_eq!(world.hear(other), "");
    assert!(due < 30, "{due}");
    world.pass(1_100);
    assert!(world.hear(other).ends_with("BYE timeout\n"));
}

#[test]
fn numbers_that_nobody_can_go_above_are_not_believed() {
    let mut world = World::new(2);
    let alice = world.open(0);
    let room = world.create(alice);
    let room_id: RoomId = room.parse().unwrap();
    let time = world.time();
    world.pods[0].peer_up(time, boot(1), None);
    let highest = Ownership { epoch: u64::MAX, boot: boot(1) };
    world.pods[0].frame(time, boot(1), Frame::Ask { room: room_id, ticket: 0, dead: Some(highest) });
    let owner =
        Owner { ownership: highest, pod_id: "chat-1".into(), tcp: String::new(), web: String::new(), peer: "1".into() };
    world.pods[0].frame(time, boot(1), Frame::Tell { room: room_id, owner });
    let mut record = Record::parse(&world.store[&Key::Room(room_id)]).unwrap();
    record.epoch = u64::MAX;
    world.store.insert(Key::Room(room_id), record.to_bytes());
    world.pass(31_000);
    let time = world.time();
    world.pods[0].lease_lost(time);
    world.run();
    assert!(world.ask(alice, &format!("JOIN {room} alice\n")).starts_with("JOINED"));
    assert!(Record::parse(&world.store[&Key::Room(room_id)]).is_some_and(|record| record.epoch < 1 << 53));
}

#[test]
fn leaving_and_joining_again_brings_no_new_burst() {
    for pods in [1, 2] {
        let mut world = World::new(pods);
        let host = world.open(0);
        let room = world.create(host);
        let alice = world.open(pods - 1);
        let join = format!("JOIN {room} alice RELAY\n");
        assert!(world.ask(alice, &join).starts_with("JOINED"));
        let said = world.ask(alice, &"hi\n".repeat(18));
        assert_eq!(said, "MSG alice hi\n".repeat(18));
        assert_eq!(world.ask(alice, "LEAVE\n"), format!("LEFT {room}\n"));
        assert_eq!(world.ask(alice, &join).split(' ').nth(1), Some("rate_limited"));
        world.pass(200);
        assert!(world.ask(alice, &join).starts_with("JOINED"));
    }
}
