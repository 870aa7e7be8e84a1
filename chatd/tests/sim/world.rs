//! One run of the simulation: the event loop, and the phases at its end. No I/O.

use std::sync::Arc;

use chatd::counters::Counters;
use chatd::failure_detector::DetectorRules;
use chatd::hub::{BalanceLimits, HubLimits, HubSettings, Loads, RoomSlots, Rules};
use chatd::join_token::RoomAccess;
use chatd::peer::idle::IdleRules;
use chatd::protocol::OnWrongPod;
use chatd::protocol::token::Keyring;
use chatd::room::RingLimits;

use crate::calling::Application;
use crate::client::{Aim, Client};
use crate::expectations::{Expectations, Failure};
use crate::faults::Plan;
use crate::links::{Cargo, End, Event, Kind, MS, Micros, Net, Phase, SECOND};
use crate::people::Person;
use crate::pod::{Input, Pod, Setup, State};
use crate::rng::Rng;
use crate::store::Store;

/// Steps after which a run with a few pods counts as running in circles: ordinary ones need a tenth of it.
const MOST_STEPS: u64 = 500_000;

/// Places for new rooms that a pod may have.
const PLACES: [usize; 4] = [24, 24, 24, 2];

/// When pods close idle links: as always, which no run is long enough for, or soon, down to the last one.
const IDLE: [IdleRules; 4] = [
    IdleRules::USUAL,
    IdleRules { after: 20_000, spread: 5_000, kept: 1 },
    IdleRules { after: 6_000, spread: 3_000, kept: 0 },
    IdleRules { after: 1_000, spread: 1_000, kept: 0 },
];

/// How to run a seed.
#[derive(Debug, Clone)]
pub struct Options {
    pub rules: Rules,
    pub detector: DetectorRules,
    /// Which faults of the plan happen; all without it.
    pub mask: Option<Vec<bool>>,
    /// How many lines of trace to keep.
    pub keep: Option<usize>,
    /// Only this rule counts.
    pub sought: Option<&'static str>,
    /// How many pods there are; the plan draws a few without it.
    pub pods: Option<usize>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub failure: Option<Failure>,
    pub at: Micros,
    pub trace: Vec<String>,
    pub hash: u64,
    pub steps: u64,
    pub messages: u64,
    pub sent_again: u64,
    pub takeovers: u32,
    pub moves: u32,
    /// Of these, from a pod that goes on.
    pub balanced: u32,
    /// Of all hubs together.
    pub counters: Counters,
    /// Links that were closed since neither end needed them.
    pub idle_closed: u32,
    pub told_deleted: u32,
}

#[derive(Debug)]
pub struct World {
    pub seed: u64,
    pub net: Net,
    pub store: Store,
    pub pods: Vec<Pod>,
    pub clients: Vec<Client>,
    pub expected: Expectations,
    pub plan: Plan,
    pub settings: HubSettings,
    pub detector: DetectorRules,
    pub idle: IdleRules,
    pub keys: Arc<Keyring>,
    pub rng: Rng,
    pub application: Application,
    /// The newest pod of each name.
    pub names: Vec<usize>,
    /// What each fault has to undo.
    pub undo: Vec<Undo>,
    /// No faults any more.
    pub healed: bool,
    /// When a pod last came to its end.
    pub last_death: Option<Micros>,
    pub takeovers: u32,
    pub moves: u32,
    /// Of these, from a pod that goes on.
    pub balanced: u32,
    pub over: bool,
    pub quiet: Micros,
}

/// What a fault has done.
#[derive(Debug, Clone, Default)]
pub struct Undo {
    pub pods: Vec<usize>,
    pub cuts: Vec<(crate::links::Node, crate::links::Node)>,
    pub done: bool,
    pub undone: bool,
}

pub fn run(seed: u64, options: &Options) -> Outcome {
    let mut world = World::new(seed, options);
    let most_steps = MOST_STEPS * options.pods.map_or(1, |pods| pods as u64 / 4);
    while !world.over && world.expected.failure.is_none() {
        let Some(event) = world.net.next() else {
            break;
        };
        world.handle(event);
        if world.net.trace.steps > most_steps {
            world.expected.fail("I11", "it runs in circles".into());
        }
    }
    if world.expected.failure.is_none() {
        world.expected.check_stays();
    }
    let mut counters = Counters::default();
    world.pods.iter().flat_map(|pod| &pod.hubs).for_each(|hub| counters += hub.counters());
    Outcome {
        counters,
        failure: world.expected.failure,
        at: world.net.now,
        trace: world.net.trace.lines.iter().flatten().map(ToString::to_string).collect(),
        hash: world.net.trace.hash,
        steps: world.net.trace.steps,
        messages: world.expected.messages,
        sent_again: world.expected.sent_again,
        takeovers: world.takeovers,
        moves: world.moves,
        balanced: world.balanced,
        idle_closed: world.pods.iter().map(|pod| pod.idle_closed).sum(),
        told_deleted: world.pods.iter().map(|pod| pod.told_deleted).sum(),
    }
}

/// Limits so small that each of them is reached, in some runs.
fn small_limits(rng: &mut Rng) -> HubLimits {
    let usual = HubLimits::USUAL;
    HubLimits {
        window: rng.pick(&[usual.window, usual.window, 1024, 64]),
        commands: rng.pick(&[usual.commands, usual.commands, 2]),
        waiting: rng.pick(&[usual.waiting, usual.waiting, 1]),
        checks: rng.pick(&[usual.checks, usual.checks, 1]),
        dialled: rng.pick(&[usual.dialled, usual.dialled, 2]),
        // A former owner that is not told while it is cut off from the directory goes on (I3): there must be place for all, and
        // time until it thaws.
        takeover_notices: rng.pick(&[usual.takeover_notices, usual.takeover_notices, 200]),
        takeover_notice_for: rng.pick(&[usual.takeover_notice_for, usual.takeover_notice_for, 120_000]),
        owners: rng.pick(&[usual.owners, usual.owners, 1]),
        owner_for: rng.pick(&[usual.owner_for, usual.owner_for, 5_000]),
        // A run has a few rooms and takes a minute or two.
        balance: rng.pick(&[
            usual.balance,
            BalanceLimits { least: 2, after: 3_000, per_second: 100, stay: 20_000 },
            BalanceLimits { least: 2, after: 600, per_second: 1_000, stay: 5_000 },
        ]),
    }
}

impl World {
    fn new(seed: u64, options: &Options) -> Self {
        let mut rng = Rng::new(seed, "world");
        let plan = Plan::new(seed, options.pods);
        let tight = rng.chance(20);
        // Apart, so that they alter nothing of what else a run draws.
        let mut limited = Rng::new(seed, "limits");
        let settings = HubSettings {
            access: RoomAccess::Link,
            max_players: rng.pick(&[2, 3, 4, 4, 4]),
            seat_hold: 30_000,
            record_ttl: limited.pick(&[3_600_000, 3_600_000, 70_000]),
            empty_ttl: rng.pick(&[600_000, 600_000, 6_000]),
            slots: RoomSlots::new(Rng::new(seed, "places").pick(&PLACES)),
            loads: Loads::default(),
            rate: if tight { 10 } else { 1_000 },
            burst: if tight { 20 } else { 1_000 },
            max_misses: 10,
            first_line_timeout: 10_000,
            idle_timeout: limited.pick(&[120_000, 120_000, 8_000]),
            send_queue: rng.pick(&[256, 256, 16, 8]) * 1024,
            ring: RingLimits { messages: rng.pick(&[32, 32, 4]), bytes: 8 * 1024, age: 90_000 },
            ring_total: rng.pick(&[32 * 1024 * 1024, 32 * 1024 * 1024, 2 * 1024]),
            tcp_on_wrong_pod: rng.pick(&[OnWrongPod::Redirect, OnWrongPod::Relay]),
            shard: 0,
            shards: 1,
            limits: small_limits(&mut limited),
            balance: true,
            open_names: Rng::new(seed, "open names").chance(50),
            webhook: true,
            rules: options.rules,
        };
        let keys = Keyring::new(vec![("1".into(), vec![7; 32])], "1").expect("a key of 32 bytes");
        // Where names are open, a room that has ended is made again under its name, without what it was.
        let describes = !settings.open_names && Rng::new(seed, "descriptors").chance(70);
        let expected = Expectations {
            describes,
            max_players: settings.max_players as usize,
            seat_hold: settings.seat_hold * MS,
            open_names: settings.open_names,
            talks: Rng::new(seed, "quiet").chance(30),
            sought: options.sought,
            narrow: settings.limits.window < HubLimits::USUAL.window,
            ring_messages: settings.ring.messages,
            ring_bytes: settings.ring.bytes,
            ring_total: settings.ring_total,
            ..Expectations::default()
        };
        let mut world = Self {
            seed,
            net: Net::new(seed, options.keep),
            store: Store::new(seed),
            pods: Vec::new(),
            clients: Vec::new(),
            expected,
            undo: vec![Undo::default(); plan.faults.len()],
            settings,
            detector: options.detector,
            idle: Rng::new(seed, "idle links").pick(&IDLE),
            keys: Arc::new(keys),
            rng,
            application: Application::new(seed),
            names: Vec::new(),
            healed: false,
            last_death: None,
            takeovers: 0,
            moves: 0,
            balanced: 0,
            over: false,
            quiet: 0,
            plan,
        };
        for name in 0..world.plan.names {
            world.start_pod(name, format!("h{name}"));
        }
        for number in 0..world.plan.clients {
            world.add_client(Client::new(number, seed, Aim::Live).with_person(Person::new(number, seed)));
        }
        for (index, fault) in world.plan.faults.iter().enumerate() {
            if options.mask.as_ref().is_none_or(|mask| mask[index]) {
                world.net.at(fault.begins, Event::Fault { index, begins: true });
                if fault.lasts > 0 {
                    world.net.at(fault.begins + fault.lasts, Event::Fault { index, begins: false });
                }
            }
        }
        world.net.at(world.plan.ends + SECOND, Event::Phase(Phase::Healed));
        world
    }

    pub fn start_pod(&mut self, name: usize, host: String) {
        let number = self.pods.len();
        let setup = Setup {
            number,
            name: format!("chat-{name}"),
            host,
            shards: self.rng.pick(&[1, 1, 2]),
            settings: self.settings.clone(),
            keys: self.keys.clone(),
            detector: self.detector,
            idle: self.idle,
        };
        let pod = Pod::start(setup, self.seed, &mut self.net);
        self.pods.push(pod);
        if name == self.names.len() {
            self.names.push(number);
        } else {
            self.names[name] = number;
        }
        self.expected.away.was(self.net.now);
        self.expected.apart.was(self.net.now);
        // The first tick of a new process.
        self.net.at(self.net.now, Event::Pod(number, Input::Start));
        self.update_entries();
    }

    pub fn update_entries(&mut self) {
        let before = self.expected.entries.len();
        let up = self.pods.iter().filter(|pod| pod.state != State::Gone);
        self.expected.entries = up.map(|pod| pod.setup.number).collect();
        if self.expected.entries.len() < before {
            self.last_death = Some(self.net.now);
            self.expected.apart.was(self.net.now);
        }
    }

    pub fn add_client(&mut self, mut client: Client) {
        let wait = self.rng.range(1, 500) * MS;
        client.arm(&mut self.net, wait);
        self.clients.push(client);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrival { pipe, from } => {
                if let Some(cargo) = self.net.arrive(pipe, from) {
                    self.deliver(pipe, 1 - from, cargo);
                }
            }
            Event::GiveUp { pipe, end, cut } => {
                if self.net.still_cut(pipe, cut) && self.net.pipes[pipe].ends[end] == End::Open {
                    self.expected.excused.insert(pipe);
                    let pod = match (self.net.pipes[pipe].kind, end) {
                        (Kind::Link { dialler, .. }, 0) => dialler,
                        (Kind::Link { listener, .. }, _) => listener,
                        (Kind::Client { pod, .. }, 1) => pod,
                        _ => return,
                    };
                    self.pod_input(pod, Input::GiveUp { pipe });
                }
            }
            Event::Pod(pod, input) => self.pod_input(pod, input),
            Event::Silence { pipe, frozen, since } => {
                if let Kind::Link { dialler, listener } = self.net.pipes[pipe].kind
                    && self.pods[frozen].frozen_since == Some(since)
                {
                    let other = if dialler == frozen { listener } else { dialler };
                    self.pod_input(other, Input::GiveUp { pipe });
                }
            }
            Event::StoreLate { pipe, number, request } => self.store.execute(&mut self.net, pipe, number, &request),
            Event::Client { client, timer } => {
                self.clients[client].think(&mut self.net, &mut self.expected, timer);
                self.application_acts();
            }
            Event::Fault { index, begins: true } => self.begin_fault(index),
            Event::Fault { index, begins: false } => self.end_fault(index),
            Event::Phase(phase) => self.phase(phase),
        }
        self.check_declared();
    }

    fn deliver(&mut self, pipe: usize, to: usize, cargo: Cargo) {
        match (self.net.pipes[pipe].kind, to) {
            (Kind::Store { .. }, 1) => match cargo {
                Cargo::Ask { number, request } => self.store.arrived(&mut self.net, pipe, number, request),
                Cargo::Closed { .. } => self.store.connection_ended(pipe),
                _ => {}
            },
            (Kind::Store { pod }, _) | (Kind::Client { pod, .. }, 1) => {
                self.pod_input(pod, Input::Arrival { pipe, cargo });
            }
            (Kind::Link { dialler, .. }, 0) => self.pod_input(dialler, Input::Arrival { pipe, cargo }),
            (Kind::Link { listener, .. }, _) => self.pod_input(listener, Input::Arrival { pipe, cargo }),
            (Kind::Client { client, .. }, _) => {
                self.clients[client].arrived(&mut self.net, &mut self.expected, pipe, cargo);
                self.note_full(client);
            }
        }
    }

    pub fn pod_input(&mut self, pod: usize, input: Input) {
        let before = self.pods[pod].state;
        self.net.trace.mix(pod as u64);
        self.pods[pod].input(&mut self.net, input);
        if self.pods[pod].state != before {
            self.update_entries();
        }
        self.check_pod(pod);
    }
}
