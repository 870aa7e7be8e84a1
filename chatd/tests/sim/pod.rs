//! One simulated pod: the real lease, hubs and links, driven as the pod's threads drive them. No I/O.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use chatd::directory::NoAnswer;
use chatd::failure_detector::{DetectorRules, Dialled, FailureDetector, LinkEnd};
use chatd::hub::{Carried, Hub, HubSettings, Loads, RoomSlots, RoomView};
use chatd::ids::{SessionId, Ticket, Time};
use chatd::lease::{Lease, LeaseIdentity};
use chatd::peer::idle::IdleRules;
use chatd::peer::links::{LinkId, Links};
use chatd::peer_protocol::Disconnect;
use chatd::protocol::token::Keyring;
use chatd::protocol::{Epoch, Ownership, PodBoot, RoomId, Timeline};
use chatd::record::Owner;
use chatd::room_call::RoomCall;

use crate::calling::Calls;
use crate::handing_over::HandOver;
use crate::links::{Cargo, Kind, MS, Micros, Net, Node, SECOND};
use crate::rng::Rng;
use crate::stalls::Stalled;

/// A pod is settled so long after it has found the directory wanting.
pub const SETTLES: Micros = 10 * SECOND;

/// What a pod is told; waits in its inbox while it is frozen.
#[derive(Debug)]
pub enum Input {
    Arrival {
        pipe: usize,
        cargo: Cargo,
    },
    GiveUp {
        pipe: usize,
    },
    Wake {
        number: u64,
    },
    AskTimeout {
        number: u64,
    },
    LinkFailed {
        link: LinkId,
    },
    Adopt {
        shard: usize,
        carried: Box<Carried>,
        pipe: usize,
    },
    /// The client has read something.
    Writable {
        pipe: usize,
    },
    CloseTimeout {
        pipe: usize,
    },
    Start,
    /// A thread goes on.
    Unstall {
        shard: usize,
    },
    Terminate,
    HandOver,
    AskToHandOver {
        boot: PodBoot,
        address: String,
    },
    /// What came of an attempt to connect.
    Dialled {
        boot: PodBoot,
        outcome: Dialled,
    },
    /// The operator says that this process is dead.
    Told {
        boot: PodBoot,
        name: String,
    },
    Create,
    LookUp {
        room: RoomId,
    },
    Call {
        room: RoomId,
        call: Box<RoomCall>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Up,
    Frozen,
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    Lease,
    Detector,
    Hub(usize),
}

/// A client's socket.
#[derive(Debug)]
pub struct Socket {
    pub shard: usize,
    pub session: SessionId,
    /// Read from the network, but the hub does not want it yet.
    pub held: VecDeque<Cargo>,
    pub closing: bool,
}

/// What a pod is made with.
#[derive(Debug, Clone)]
pub struct Setup {
    pub number: usize,
    pub name: String,
    pub host: String,
    pub shards: usize,
    pub settings: HubSettings,
    pub keys: Arc<Keyring>,
    pub detector: DetectorRules,
    pub idle: IdleRules,
}

#[derive(Debug)]
pub struct Pod {
    pub setup: Setup,
    pub boot: PodBoot,
    pub lease: Lease,
    pub detector: FailureDetector,
    /// When a link to each process was last reset.
    pub resets: BTreeMap<PodBoot, Micros>,
    /// Links that were closed since neither end needed them, counted at one end.
    pub idle_closed: u32,
    /// Leases of others that it has deleted since the operator said that they are dead.
    pub told_deleted: u32,
    /// Processes of whose death the operator has told.
    pub told: BTreeSet<PodBoot>,
    /// Its places for rooms, and when they were all taken last.
    pub slots: RoomSlots,
    pub full_at: Option<Micros>,
    /// It was declared dead, and lives.
    pub declared: bool,
    pub hubs: Vec<Hub>,
    pub stalled: Vec<Option<Stalled>>,
    pub state: State,
    /// Milliseconds that its wall clock is off.
    pub wall: i64,
    /// How long before the run its machine has started.
    pub uptime: Micros,
    pub inbox: VecDeque<Input>,
    pub thawed: Micros,
    pub frozen_since: Option<Micros>,
    pub terminating: Option<Micros>,
    pub hands_over: HandOver,
    pub ended: bool,
    pub links: Links,
    pub wires: BTreeMap<LinkId, (usize, Option<PodBoot>)>,
    pub sockets: BTreeMap<usize, Socket>,
    pub sessions: BTreeMap<(usize, SessionId), usize>,
    pub directory: Option<usize>,
    /// The store has answered over this connection.
    pub connected: bool,
    pub last_ask: u64,
    pub asks: BTreeMap<u64, (Asker, Ticket)>,
    pub wake: Option<(Micros, u64)>,
    pub last_wake: u64,
    pub queries: BTreeMap<u64, Micros>,
    pub last_query: u64,
    pub calls: Calls,
    pub rng: Rng,
    /// Whether a batch of frames travels in pieces.
    pub pieces: Rng,
    /// The rooms as they were after the last step.
    pub views: Vec<RoomView>,
    /// Each room as it last was here.
    pub last: BTreeMap<RoomId, RoomView>,
    /// What went wrong in a way that no invariant names.
    pub broken: Option<String>,
    pub takeovers: u32,
    pub moves: u32,
    /// When it last tried to swap the record of a room that it does not own; and what its thread knew of `unsettled`.
    pub tried: BTreeMap<RoomId, (Micros, Option<Micros>)>,
    /// When each room came here: by a move, or (with the name of the pod that had it) by a takeover.
    pub acquired: BTreeMap<RoomId, (Micros, Option<String>)>,
    /// When it made each room.
    pub made: BTreeMap<RoomId, Micros>,
    /// The epoch that each room was released to.
    pub released: BTreeMap<RoomId, Epoch>,
    /// Rooms that have just come by a move.
    pub arrived: Vec<RoomId>,
    /// What its hubs have told the webhook since the last look: the number in the room's timeline.
    pub webhook: Vec<(RoomId, Timeline, u64)>,
    /// A takeover by this pod while it was not settled.
    pub took_unsettled: Option<RoomId>,
    /// When it last found the directory wanting.
    pub unsettled: Option<Micros>,
    /// What each thread had been told of that before its last batch: one that stood still decides by what it knew.
    pub told_unsettled: Vec<Option<Micros>>,
}

impl Pod {
    pub fn start(setup: Setup, seed: u64, net: &mut Net) -> Self {
        let mut rng = Rng::new(seed, &format!("pod {}", setup.number));
        let boot = PodBoot(rng.next());
        let at = |port: u16| format!("{}:{port}", setup.host);
        let me = Owner {
            ownership: Ownership { epoch: 0, boot },
            pod_id: setup.name.clone(),
            tcp: at(7654),
            web: at(8081),
            peer: at(7755),
        };
        let identity = LeaseIdentity {
            pod_id: setup.name.clone(),
            uid: "uid".into(),
            pod_uid: String::new(),
            boot,
            tcp: at(7654),
            web: at(8081),
            peer: at(7755),
        };
        let (slots, loads) = (RoomSlots::new(setup.settings.slots.most()), Loads::default());
        let hubs = (0..setup.shards).map(|shard| {
            let (shards, slots) = (setup.shards, slots.clone());
            let settings = HubSettings { shard, shards, slots, loads: loads.clone(), ..setup.settings.clone() };
            let mut hub = Hub::new(settings, me.clone(), setup.keys.clone(), rng.bytes());
            hub.set_join_keys(Some(crate::moderating::verifier()));
            hub
        });
        let hubs: Vec<Hub> = hubs.collect();
        net.hosts.insert(setup.host.clone(), setup.number);
        net.names.push((setup.name.clone(), setup.host.clone()));
        net.note(|| format!("pod {}   starts as {} on {}, boot {boot}", setup.number, setup.name, setup.host));
        Self {
            boot,
            lease: Lease::new(identity),
            detector: FailureDetector::new(boot, "uid".into(), setup.detector, boot.0),
            resets: BTreeMap::new(),
            idle_closed: 0,
            told_deleted: 0,
            told: BTreeSet::new(),
            slots,
            full_at: None,
            declared: false,
            stalled: hubs.iter().map(|_| None).collect(),
            told_unsettled: vec![None; hubs.len()],
            hubs,
            state: State::Up,
            pieces: Rng::new(seed, &format!("pieces {}", setup.number)),
            uptime: Rng::new(seed, &format!("clock {}", setup.number)).range(0, 3_600 * SECOND),
            wall: rng.range(0, 4_000).cast_signed() - 2_000,
            inbox: VecDeque::new(),
            thawed: net.now,
            frozen_since: None,
            terminating: None,
            hands_over: HandOver::default(),
            ended: false,
            links: Links::new(boot, setup.shards, setup.idle),
            wires: BTreeMap::new(),
            sockets: BTreeMap::new(),
            sessions: BTreeMap::new(),
            directory: None,
            connected: false,
            last_ask: 0,
            asks: BTreeMap::new(),
            wake: None,
            last_wake: 0,
            queries: BTreeMap::new(),
            calls: Calls::default(),
            last_query: 0,
            rng,
            views: Vec::new(),
            last: BTreeMap::new(),
            broken: None,
            takeovers: 0,
            moves: 0,
            unsettled: None,
            tried: BTreeMap::new(),
            released: BTreeMap::new(),
            arrived: Vec::new(),
            webhook: Vec::new(),
            took_unsettled: None,
            acquired: BTreeMap::new(),
            made: BTreeMap::new(),
            setup,
        }
    }

    /// Whether it owns the room, or is about to, after its last step.
    pub fn has(&self, room: RoomId) -> bool {
        self.views.iter().any(|view| view.room == room)
    }

    pub fn node(&self) -> Node {
        Node::Pod(self.setup.number)
    }

    /// What its monotonic clock says then, in whole milliseconds: machines start at different times.
    pub fn clock(&self, at: Micros) -> u64 {
        (at + self.uptime) / MS
    }

    pub fn time(&self, net: &Net) -> Time {
        // Unix time of the simulation's start: 2026-01-01.
        let wall = 1_767_225_600_000 + net.now / MS;
        Time { now: self.clock(net.now), wall: wall.saturating_add_signed(self.wall) }
    }

    /// Takes one input, or puts it away while frozen.
    pub fn input(&mut self, net: &mut Net, input: Input) {
        match self.state {
            State::Gone => {}
            State::Frozen => self.inbox.push_back(input),
            State::Up => {
                self.handle(net, input);
                self.settle(net);
            }
        }
    }

    pub fn tick(&mut self, net: &mut Net) {
        let time = self.time(net);
        self.lease.tick(time);
        for (hub, stalled) in self.hubs.iter_mut().zip(&self.stalled) {
            if stalled.is_none() {
                hub.tick(time);
            }
        }
        self.links.tick(time.now);
        self.detector.tick(time);
    }

    pub fn handle(&mut self, net: &mut Net, input: Input) {
        let time = self.time(net);
        let Some(input) = self.put_away(net, input) else {
            return;
        };
        match input {
            Input::Arrival { pipe, cargo } => match net.pipes[pipe].kind {
                Kind::Store { .. } => self.store_says(net, pipe, cargo),
                Kind::Link { .. } => self.peer_says(net, pipe, cargo),
                Kind::Client { .. } => self.client_says(net, pipe, cargo),
            },
            Input::GiveUp { pipe } => match net.pipes[pipe].kind {
                Kind::Link { .. } => self.link_gone(net, pipe, LinkEnd::Other),
                Kind::Client { .. } => self.client_gone(net, pipe, Disconnect::Lost),
                Kind::Store { .. } => {}
            },
            Input::Wake { number } => {
                if self.wake.is_some_and(|(_, current)| current == number) {
                    self.wake = None;
                    self.tick(net);
                }
            }
            Input::AskTimeout { number } => {
                if self.asks.contains_key(&number) {
                    self.store_answered(time, number, Err(NoAnswer::Timeout));
                    self.store_gone(net, true);
                }
            }
            Input::LinkFailed { link } => self.links.failed(link),
            Input::Dialled { boot, outcome } => self.detector.dialled(boot, outcome),
            Input::Told { boot, name } => self.told(net, time, boot, name),
            Input::Adopt { shard, carried, pipe } => {
                let session = self.hubs[shard].adopt(time, *carried);
                if let Some(socket) = self.sockets.get_mut(&pipe) {
                    (socket.shard, socket.session) = (shard, session);
                    self.sessions.insert((shard, session), pipe);
                    self.feed(net, pipe);
                } else {
                    self.hubs[shard].disconnected(time, session, Disconnect::Lost);
                }
            }
            Input::Writable { pipe } => self.write(net, pipe),
            Input::CloseTimeout { pipe } => self.close_client(net, pipe),
            Input::Start => self.tick(net),
            Input::Unstall { shard } => self.unstall(net, shard),
            Input::Terminate => self.terminate(net),
            Input::HandOver => self.hand_over(net),
            Input::AskToHandOver { boot, address } => self.ask_to_hand_over(net, boot, address),
            Input::Create => {
                self.last_query += 1;
                self.queries.insert(self.last_query, net.now);
                let shard = self.rng.below(self.hubs.len());
                let query = self.last_query;
                self.tell(time, shard, move |hub, time| hub.create_room(time, query, None));
            }
            Input::Call { room, call } => self.call(net, room, *call),
            Input::LookUp { room } => {
                self.last_query += 1;
                self.queries.insert(self.last_query, net.now);
                let (shard, query) = (room.shard(self.setup.shards), self.last_query);
                self.tell(time, shard, move |hub, time| hub.look_up(time, query, room, None));
            }
        }
    }
}
