//! Some pods' hubs and a directory in one thread, with instant answers. No I/O.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use chatd::directory::{Answer, Key, NoAnswer, Request};
use chatd::hub::{Effect, Hub, HubLimits, HubSettings, RoomSlots};
use chatd::ids::{RelayId, SessionId, Ticket, Time};
use chatd::lease::LeaseRecord;
use chatd::lease::{LeaseView, Target};
use chatd::peer_protocol::{self, Frame};
use chatd::protocol::token::Keyring;
use chatd::protocol::{Encoding, ErrorCode, Ownership, PodBoot, RoomId};
use chatd::record::Owner;
use chatd::room::RingLimits;
use chatd::room_call::RoomCall;
use chatd::room_list::RoomList;
use chatd::webhook::WebhookEvent;
use serde_json::Value;

pub fn settings() -> HubSettings {
    HubSettings { slots: RoomSlots::new(100), limits: HubLimits::USUAL, ..HubSettings::default() }
}

/// A pod's number and one of its sessions.
pub type Client = (usize, SessionId);

pub struct World {
    pub pods: Vec<Hub>,
    pub store: HashMap<Key, Bytes>,
    pub alive: Vec<bool>,
    pub now: u64,
    /// How far the wall clock is ahead (ms).
    pub ahead: u64,
    /// The directory cannot be reached.
    pub away: bool,
    /// The directory answers no swap, and carries none out yet.
    pub slow: bool,
    /// The same, only of this pod.
    pub slow_at: Option<usize>,
    /// The swaps that it was asked for meanwhile.
    pub late: Vec<Request>,
    /// The directory carries out what this pod asks for, and its answers are on their way until they are handed over.
    pub waits_for_answers: Option<usize>,
    /// How many swaps the directory was asked for.
    pub swaps: usize,
    pub answers: Vec<(Ticket, Answer)>,
    /// What this pod delivers to others' clients is lost on the way.
    pub mute: Option<usize>,
    /// But for so many of its deliveries.
    pub before_mute: usize,
    /// What pods have delivered to others' clients, also what was lost on the way.
    pub deliveries: Vec<Frame<'static>>,
    /// The session that last attached to an owner.
    pub last_attach: Option<RelayId>,
    /// What the HTTP API was told of new rooms.
    pub made: Vec<Result<RoomId, ErrorCode>>,
    /// How often the directory was asked for something.
    pub requests: usize,
    /// What the HTTP API was told of rooms.
    pub looked_up: Vec<Result<u32, ErrorCode>>,
    /// What each pod has told the webhook.
    pub webhook: Vec<(usize, WebhookEvent)>,
    /// What lists of other pods' rooms have come to.
    pub lists: Vec<Result<RoomList, ErrorCode>>,
    /// What pods that were asked to hand their rooms over have answered.
    pub handed_over: Vec<Result<(), ErrorCode>>,
    /// What calls of the server API were answered, at whatever pod.
    pub called: Vec<(Client, Result<Bytes, ErrorCode>)>,
}

pub fn boot(pod: usize) -> PodBoot {
    PodBoot(pod as u64 + 1)
}

/// A pod that knows of no lease yet.
fn hub(index: usize, settings: HubSettings) -> Hub {
    let keys = Arc::new(Keyring::new(vec![("k".into(), vec![7; 32])], "k").unwrap());
    let me = Owner {
        ownership: Ownership { epoch: 0, boot: boot(index) },
        pod_id: format!("chat-{index}"),
        tcp: format!("pod{index}:7654"),
        web: format!("pod{index}:8081"),
        peer: format!("{index}"),
    };
    Hub::new(settings, me, keys, [index as u8; 32])
}

impl World {
    pub fn new(pods: usize) -> Self {
        Self::with(pods, |_| {})
    }

    pub fn with_ring(pods: usize, ring: RingLimits) -> Self {
        Self::with(pods, |settings| settings.ring = ring)
    }

    /// Pods that have places for so many rooms each.
    pub fn with_places(pods: usize, rooms: usize) -> Self {
        Self::with(pods, |settings| settings.slots = RoomSlots::new(rooms))
    }

    pub fn with(pods: usize, change: impl Fn(&mut HubSettings)) -> Self {
        let hub = |index: usize| {
            let mut settings = settings();
            change(&mut settings);
            let mut hub = hub(index, settings);
            hub.lease(Time { now: 1000, wall: 1_000_000 }, LeaseView { confirmed: Some(1000), settled: true });
            hub
        };
        Self {
            pods: (0..pods).map(hub).collect(),
            store: HashMap::new(),
            alive: vec![true; pods],
            now: 1000,
            ahead: 0,
            away: false,
            slow: false,
            slow_at: None,
            late: Vec::new(),
            waits_for_answers: None,
            swaps: 0,
            answers: Vec::new(),
            mute: None,
            before_mute: 0,
            deliveries: Vec::new(),
            last_attach: None,
            made: Vec::new(),
            requests: 0,
            looked_up: Vec::new(),
            webhook: Vec::new(),
            lists: Vec::new(),
            handed_over: Vec::new(),
            called: Vec::new(),
        }
    }

    pub fn time(&self) -> Time {
        Time { now: self.now, wall: 1_000_000 + self.now + self.ahead }
    }

    /// The leases are in the directory, until the test takes them away.
    pub fn lease_all(&mut self) {
        for (pod, lease) in self.leases() {
            self.store.insert(Key::Pod(pod), lease);
        }
    }

    pub fn answer(&mut self, request: Request) -> Answer {
        let (key, expected) = match &request {
            Request::Get { key } => return Answer::Found(self.store.get(key).cloned()),
            Request::Pods => return Answer::Pods(self.leases()),
            Request::Connected { .. } => return Answer::Connected(None),
            Request::Swap { key, expected, .. } => {
                self.swaps += 1;
                (key.clone(), expected.clone())
            }
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

    /// What the pods' leases say; those of pods that died a moment ago are there yet, if the test has not put them there itself.
    fn leases(&self) -> Vec<(String, Bytes)> {
        let stored = self.store.iter().filter_map(|(key, bytes)| match key {
            Key::Pod(pod) => Some((pod.clone(), bytes.clone())),
            Key::Room(_) | Key::JoinToken(_) => None,
        });
        let stored: Vec<_> = stored.collect();
        if !stored.is_empty() {
            return stored;
        }
        let lease = |pod: usize| {
            let (uid, addr, web) = Default::default();
            let (boot, peer, rooms) = (boot(pod), pod.to_string(), self.pods[pod].room_count() as u64);
            LeaseRecord {
                uid,
                boot,
                addr,
                peer,
                web,
                rooms,
                players: 0,
                draining: false,
                pod_uid: String::new(),
                earlier: Vec::new(),
                connection: None,
                renewals: 0,
            }
        };
        let pods = 0..self.pods.len();
        pods.map(|pod| (format!("chat-{pod}"), serde_json::to_vec(&lease(pod)).unwrap().into())).collect()
    }

    pub fn carry_out(&mut self, pod: usize, effect: Effect) {
        let time = self.time();
        match effect {
            Effect::Directory { ticket, request } => {
                self.requests += 1;
                let answer = if self.away {
                    Err(NoAnswer::Refused)
                } else if (self.slow || self.slow_at == Some(pod)) && matches!(request, Request::Swap { .. }) {
                    self.late.push(request);
                    Err(NoAnswer::Timeout)
                } else {
                    Ok(self.answer(request))
                };
                if self.waits_for_answers == Some(pod) {
                    return self.answers.extend(answer.ok().map(|answer| (ticket, answer)));
                }
                self.pods[pod].answered(time, ticket, answer);
            }
            Effect::Dial { boot: wanted, address } => {
                let other: usize = address.parse().unwrap();
                if self.alive[other] && boot(other) == wanted {
                    self.pods[pod].peer_up(time, boot(other));
                    self.pods[other].peer_up(time, boot(pod));
                } else {
                    self.pods[pod].peer_unreachable(time, wanted, self.alive[other]);
                }
            }
            Effect::LookedUp { result, .. } => self.looked_up.push(result.map(|summary| summary.players.len() as u32)),
            Effect::Created { result, .. } => self.made.push(result),
            Effect::Listed { result, .. } => self.lists.push(result),
            Effect::HandsOver { result, .. } => self.handed_over.push(result),
            Effect::HandOver => self.pods[pod].hand_over(time),
            Effect::Called { session, answer } => self.called.push(((pod, session), answer)),
            Effect::Webhook(event) => self.webhook.push((pod, *event)),
            other => println!("{} {pod}: {other:?}", self.now),
        }
    }

    /// How many players the HTTP API of a pod says that the room has; `None`: it does not say at once.
    pub fn look_up(&mut self, pod: usize, room: &str) -> Option<Result<u32, ErrorCode>> {
        self.look_up_with(pod, room, None)
    }

    /// The same, for who shows this join token.
    pub fn look_up_with(&mut self, pod: usize, room: &str, auth: Option<&str>) -> Option<Result<u32, ErrorCode>> {
        let time = self.time();
        self.pods[pod].look_up(time, 1, room.parse().unwrap(), auth);
        self.run();
        self.looked_up.pop()
    }

    /// A call of the server API by this pod, which is answered within a second.
    pub fn call(&mut self, pod: usize, room: &str, call: RoomCall) -> Result<Value, ErrorCode> {
        let call = self.begin_call(pod, room, call);
        if self.answers_to(call).is_none() {
            self.pass(1_000);
        }
        self.answer_to(call)
    }

    /// The same, which may take longer.
    pub fn begin_call(&mut self, pod: usize, room: &str, call: RoomCall) -> Client {
        let time = self.time();
        let session = self.pods[pod].call(time, room.parse().unwrap(), call);
        self.run();
        (pod, session)
    }

    /// The answer to a call, if it is there.
    pub fn answers_to(&self, call: Client) -> Option<&Result<Bytes, ErrorCode>> {
        self.called.iter().find(|(other, _)| *other == call).map(|(_, answer)| answer)
    }

    /// Takes the answer to a call, which is there.
    pub fn answer_to(&mut self, call: Client) -> Result<Value, ErrorCode> {
        let at = self.called.iter().position(|(other, _)| *other == call).expect("an answer");
        self.called.swap_remove(at).1.map(|body| serde_json::from_slice(&body).unwrap())
    }

    /// What the directory answered to a pod that waits for it.
    pub fn hand_over_answers(&mut self, pod: usize) {
        let time = self.time();
        for (ticket, answer) in std::mem::take(&mut self.answers) {
            self.pods[pod].answered(time, ticket, Ok(answer));
        }
        self.run();
    }

    /// Carries out everything that the pods ask for, until they ask for nothing.
    pub fn run(&mut self) {
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
                    while let Some((payload, next)) = peer_protocol::split(rest).unwrap() {
                        let frame = Frame::decode(payload).unwrap();
                        println!("{} {pod}>{other}: {frame:?}", self.now);
                        let time = self.time();
                        rest = next;
                        if matches!(frame, Frame::Deliver { .. }) {
                            self.deliveries.extend(Frame::decode(payload).map(Frame::into_owned));
                        }
                        if self.mute == Some(pod) && matches!(frame, Frame::Deliver { .. }) {
                            if self.before_mute == 0 {
                                continue;
                            }
                            self.before_mute -= 1;
                        }
                        if self.mute == Some(pod) && matches!(frame, Frame::Listed { .. } | Frame::HandsOver { .. }) {
                            continue;
                        }
                        if let Frame::Attach { relay, .. } = &frame {
                            self.last_attach = Some(*relay);
                        }
                        self.pods[other].frame(time, boot(pod), frame);
                    }
                }
            }
            if idle {
                return;
            }
        }
        panic!("does not come to rest");
    }

    pub fn pass(&mut self, millis: u64) {
        let end = self.now + millis;
        while self.now < end {
            self.now = (self.now + 100).min(end);
            let time = self.time();
            for pod in 0..self.pods.len() {
                if self.alive[pod] {
                    if !self.away {
                        self.pods[pod].lease(time, LeaseView { confirmed: Some(time.now), settled: true });
                    }
                    self.pods[pod].tick(time);
                }
            }
            self.run();
        }
    }

    /// Ends a process, once the directory knows which seats are held (100 ms after JOINED).
    pub fn kill(&mut self, pod: usize) {
        self.pass(100);
        self.kill_at_once(pod);
    }

    pub fn kill_at_once(&mut self, pod: usize) {
        self.alive[pod] = false;
        let time = self.time();
        for other in (0..self.pods.len()).filter(|other| self.alive[*other]).collect::<Vec<_>>() {
            self.pods[other].peer_down(time, boot(pod));
        }
    }

    /// A room of the first pod with alice, who is connected there, and bob by way of pod `entry`; `words` go on with bob's JOIN.
    pub fn room_of_two(&mut self, entry: usize, words: &str) -> (String, Client, Client) {
        let alice = self.open(0);
        let room = self.create(alice);
        self.ask(alice, &format!("JOIN {room} alice RELAY\n"));
        let bob = self.open(entry);
        self.ask(bob, &format!("JOIN {room} bob RELAY{words}\n"));
        self.hear(alice);
        (room, alice, bob)
    }

    /// The pod has just started: others may have seen its lease already.
    pub fn start_without_lease(&mut self, pod: usize) {
        self.pods[pod] = hub(pod, settings());
    }

    /// A link breaks, and both sides notice.
    pub fn break_link(&mut self, one: usize, other: usize) {
        let time = self.time();
        self.pods[one].peer_down(time, boot(other));
        self.pods[other].peer_down(time, boot(one));
        self.run();
    }

    pub fn open(&mut self, pod: usize) -> Client {
        let time = self.time();
        (pod, self.pods[pod].open(time, Encoding::Lines))
    }

    /// A client that speaks JSON: [`World::send`] and [`World::events`].
    pub fn open_json(&mut self, pod: usize) -> Client {
        let time = self.time();
        (pod, self.pods[pod].open(time, Encoding::Json))
    }

    pub fn send(&mut self, (pod, id): Client, message: &Value) {
        let time = self.time();
        self.pods[pod].receive_message(time, id, &message.to_string());
        self.run();
    }

    pub fn events(&mut self, (pod, id): Client) -> Vec<Value> {
        let bytes = self.pods[pod].output(id).to_vec();
        self.pods[pod].wrote(id, bytes.len());
        self.run();
        let mut events = Vec::new();
        let mut rest = &bytes[..];
        while let [0x81, short, ..] = rest {
            let (start, length) = match short {
                126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
                short => (2, usize::from(*short)),
            };
            events.push(serde_json::from_slice(&rest[start..start + length]).unwrap());
            rest = &rest[start + length..];
        }
        events
    }

    /// The same, but what comes of it is not carried out yet.
    pub fn say_later(&mut self, (pod, id): Client, text: &str) {
        let time = self.time();
        self.pods[pod].receive(time, id, text.as_bytes());
    }

    /// Says so many lines of about 4,000 bytes, as fast as it may. The text of each.
    pub fn say_much(&mut self, client: Client, lines: usize) -> String {
        let text = "x".repeat(3_990);
        for line in 0..lines {
            if line % 20 == 0 {
                self.pass(2_000);
            }
            self.ask(client, &format!("{text}\n"));
        }
        text
    }

    /// Reads until nothing comes any more, without any time passing.
    pub fn hear_all(&mut self, client: Client) -> String {
        let mut all = String::new();
        loop {
            let heard = self.hear(client);
            if heard.is_empty() {
                return all;
            }
            all += &heard;
        }
    }

    pub fn say(&mut self, (pod, id): Client, text: &str) {
        let time = self.time();
        self.pods[pod].receive(time, id, text.as_bytes());
        self.run();
    }

    pub fn hear(&mut self, (pod, id): Client) -> String {
        let text = String::from_utf8(self.pods[pod].output(id).to_vec()).unwrap();
        self.pods[pod].wrote(id, text.len());
        self.run();
        text
    }

    pub fn ask(&mut self, client: Client, text: &str) -> String {
        self.say(client, text);
        self.hear(client)
    }

    /// A pod drains, and knows of no other yet.
    pub fn drain(&mut self, pod: usize) {
        let time = self.time();
        self.pods[pod].drain(time, time.now + 25_000);
    }

    /// A pod drains, and knows of one other that takes its rooms.
    pub fn drain_to(&mut self, from: usize, to: usize) {
        let time = self.time();
        self.drain(from);
        let target = Target { pod_id: format!("chat-{to}"), boot: boot(to), peer: to.to_string(), rooms: 0 };
        self.pods[from].targets(time, vec![target]);
    }

    /// Rooms go from one pod to another: by a planned move, or since theirs dies.
    pub fn leave_pod(&mut self, from: usize, to: usize, planned: bool) {
        if planned {
            self.drain_to(from, to);
            self.pass(500);
        } else {
            self.kill(from);
            self.pass(6_000);
        }
    }

    /// Joins a room with a seat that can be resumed; returns its token.
    pub fn join_resumable(&mut self, client: Client, room: &str, name: &str) -> String {
        let joined = self.ask(client, &format!("JOIN {room} {name} RESUMABLE\n"));
        joined.lines().nth(1).unwrap().strip_prefix("TOKEN ").unwrap().to_owned()
    }

    pub fn create(&mut self, client: Client) -> String {
        self.ask(client, "CREATE_ROOM\n").trim().strip_prefix("ROOM ").unwrap().to_owned()
    }
}
