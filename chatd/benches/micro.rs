//! Micro benches of what a message passes: `make bench-micro`. They find a change of the code's own cost; what a deployment does beside its
//! peers is for `bench/run` to say. No I/O.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use chatd::directory::{Answer, Key, Request};
use chatd::hub::{Effect, Hub, HubSettings};
use chatd::ids::{SessionId, Time};
use chatd::lease::LeaseView;
use chatd::peer_protocol::{self, Frame};
use chatd::protocol::token::Keyring;
use chatd::protocol::{Encoding, Event, Ownership, PlayerName, PodBoot, json, lines};
use chatd::record::Owner;
use divan::{Bencher, black_box};

/// Between messages of one client at the default rate of 10 a second, so that none is refused (ms).
const PAUSE: u64 = 100;

fn main() {
    divan::main();
}

/// What a room of four hears of a usual message.
fn message(text: &str) -> Event<'_> {
    let from: PlayerName = "alice".parse().unwrap();
    Event::Message { from, text, seq: 1_000, at: 1_795_461_000_000, replay: false }
}

const TEXT: &str = "Shall we meet at the bridge at nine? Bring the long rope, please.";

#[divan::bench]
fn parse_line() {
    black_box(lines::parse(black_box(TEXT.as_bytes()), true).unwrap().unwrap());
}

#[divan::bench]
fn parse_json(bencher: Bencher<'_, '_>) {
    let message = format!(r#"{{"type":"say","id":7,"text":"{TEXT}"}}"#);
    json::parse(&message).1.unwrap();
    bencher.bench(|| json::parse(black_box(&message)).1.is_ok());
}

#[divan::bench(args = [Encoding::Lines, Encoding::Json])]
fn encode(bencher: Bencher<'_, '_>, encoding: Encoding) {
    let mut out = Vec::with_capacity(1024);
    bencher.bench_local(|| {
        out.clear();
        encoding.encode(black_box(&message(TEXT)), None, &mut out);
        out.len()
    });
}

/// Hubs of some pods, with a directory and links that answer at once.
struct Pods {
    hubs: Vec<Hub>,
    store: HashMap<Key, Bytes>,
    time: Time,
}

/// A session of one of them.
type Client = (usize, SessionId);

fn boot(pod: usize) -> PodBoot {
    PodBoot(pod as u64 + 1)
}

impl Pods {
    fn new(count: usize) -> Self {
        let time = Time { now: 1_000, wall: 1_795_461_000_000 };
        let hub = |pod: usize| {
            let keys = Arc::new(Keyring::new(vec![("k".into(), vec![7; 32])], "k").unwrap());
            let [tcp, web, peer] = [7654, 8081, 7755].map(|port| format!("10.0.0.{pod}:{port}"));
            let ownership = Ownership { epoch: 0, boot: boot(pod) };
            let me = Owner { ownership, pod_id: format!("chat-{pod}"), tcp, web, peer };
            let mut hub = Hub::new(HubSettings::default(), me, keys, [1; 32]);
            hub.lease(time, LeaseView { confirmed: Some(time.now), settled: true });
            hub
        };
        Self { hubs: (0..count).map(hub).collect(), store: HashMap::new(), time }
    }

    /// What a pod does every few seconds, without which it would stop serving: its lease, and what it asks the directory.
    fn renew(&mut self, pod: usize) {
        self.hubs[pod].lease(self.time, LeaseView { confirmed: Some(self.time.now), settled: true });
        self.settle();
    }

    fn open(&mut self, pod: usize) -> Client {
        (pod, self.hubs[pod].open(self.time, Encoding::Lines))
    }

    fn say(&mut self, (pod, session): Client, line: &str) {
        self.hubs[pod].receive(self.time, session, line.as_bytes());
        self.settle();
    }

    /// Until no pod asks for anything.
    fn settle(&mut self) {
        while (0..self.hubs.len()).map(|pod| self.carry_out(pod)).max() == Some(true) {}
    }

    fn ask(&mut self, (pod, session): Client, line: &str) -> String {
        self.say((pod, session), line);
        let heard = String::from_utf8(self.hubs[pod].output(session).to_vec()).unwrap();
        self.hubs[pod].wrote(session, heard.len());
        heard
    }

    /// What a pod asks for; whether there was anything.
    fn carry_out(&mut self, pod: usize) -> bool {
        let (mut effects, mut frames) = (Vec::new(), Vec::new());
        self.hubs[pod].take_effects(&mut effects);
        self.hubs[pod].take_frames(|to, bytes| frames.push((to, bytes)));
        let some = !effects.is_empty() || !frames.is_empty();
        for effect in effects {
            match effect {
                Effect::Directory { ticket, request } => {
                    let answer = self.answer(request);
                    self.hubs[pod].answered(self.time, ticket, Ok(answer));
                }
                Effect::Dial { boot: wanted, .. } => {
                    let other = wanted.0 as usize - 1;
                    self.hubs[pod].peer_up(self.time, wanted);
                    self.hubs[other].peer_up(self.time, boot(pod));
                }
                _ => {}
            }
        }
        for (to, bytes) in frames {
            let mut rest = &bytes[..];
            while let Some((payload, next)) = peer_protocol::split(rest).unwrap() {
                self.hubs[to.0 as usize - 1].frame(self.time, boot(pod), Frame::decode(payload).unwrap());
                rest = next;
            }
        }
        some
    }

    /// Every comparison holds: no two pods write here at once.
    fn answer(&mut self, request: Request) -> Answer {
        match request {
            Request::Get { key } => return Answer::Found(self.store.get(&key).cloned()),
            Request::Swap { key, new, .. } => drop(self.store.insert(key, new)),
            Request::Delete { key, .. } => drop(self.store.remove(&key)),
            Request::Renew { .. } | Request::Pods | Request::Connected { .. } => {}
        }
        Answer::Done
    }

    /// A room of the first pod with its first member.
    fn room(&mut self) -> (String, Client) {
        let alice = self.open(0);
        let room = self.ask(alice, "CREATE_ROOM\n").trim_end().strip_prefix("ROOM ").unwrap().to_owned();
        assert_eq!(self.ask(alice, &format!("JOIN {room} alice\n")), format!("JOINED {room} alice alice\n"));
        (room, alice)
    }
}

/// One line in, four out: reading, judging, the ring, encoding, four queues, four writes.
#[divan::bench]
fn say_to_a_room_of_four(bencher: Bencher<'_, '_>) {
    let mut pods = Pods::new(1);
    let (room, alice) = pods.room();
    let members = [alice, pods.open(0), pods.open(0), pods.open(0)];
    for (member, name) in members[1..].iter().zip(["bob", "carol", "dave"]) {
        assert!(pods.ask(*member, &format!("JOIN {room} {name}\n")).starts_with("JOINED "));
    }
    pods.ask(alice, "");
    let line = format!("{TEXT}\n");
    let heard = format!("MSG alice {line}");
    bencher.bench_local(|| {
        pods.time.now += PAUSE;
        if pods.time.now.is_multiple_of(20 * PAUSE) {
            pods.renew(0);
        }
        pods.hubs[0].receive(pods.time, alice.1, line.as_bytes());
        for (_, member) in members {
            let output = pods.hubs[0].output(member).len();
            pods.hubs[0].wrote(member, output);
        }
    });
    pods.time.now += PAUSE;
    assert_eq!(pods.ask(alice, &line), heard);
    assert_eq!(pods.ask(members[3], ""), heard);
}

/// JOIN at a pod that does not know the room: the record, the link to its owner, its answer, the reply.
#[divan::bench(args = ["", " RELAY"])]
fn join_a_room_elsewhere(bencher: Bencher<'_, '_>, words: &str) {
    let prepare = || {
        let mut pods = Pods::new(2);
        let (room, _) = pods.room();
        let bob = pods.open(1);
        (pods, bob, format!("JOIN {room} bob{words}\n"))
    };
    let (mut pods, bob, join) = prepare();
    let reply = pods.ask(bob, &join);
    assert!(reply.starts_with(if words.is_empty() { "REDIRECT " } else { "JOINED " }), "{reply}");
    bencher.with_inputs(prepare).bench_local_values(|(mut pods, bob, join)| {
        pods.say(bob, &join);
        pods
    });
}
