//! One run of the simulation: the event loop, and the phases at its end. No I/O.

use std::sync::Arc;

use chatd::counters::Counters;
use chatd::hub::{HubLimits, HubSettings, RoomSlots, Rules};
use chatd::protocol::OnWrongPod;
use chatd::protocol::token::Keyring;
use chatd::room::RingLimits;

use crate::client::{Aim, Client};
use crate::dice::Dice;
use crate::faults::Plan;
use crate::links::{Cargo, End, Event, Kind, MS, Micros, Net, Phase, SECOND};
use crate::pod::{Input, Pod, Setup, State};
use crate::store::Store;
use crate::town::{Failure, Town};

/// Steps after which a run counts as running in circles: ordinary ones need a tenth of it.
const MOST_STEPS: u64 = 500_000;

/// Places for new rooms that a pod may have.
const PLACES: [usize; 4] = [24, 24, 24, 2];

/// How to run a seed.
#[derive(Debug, Clone)]
pub struct Options {
    pub rules: Rules,
    /// Which faults of the plan happen; all without it.
    pub mask: Option<Vec<bool>>,
    /// How many lines of trace to keep.
    pub keep: Option<usize>,
    /// Only this rule counts.
    pub sought: Option<&'static str>,
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
    /// Of all hubs together.
    pub counters: Counters,
}

#[derive(Debug)]
pub struct World {
    pub seed: u64,
    pub net: Net,
    pub store: Store,
    pub pods: Vec<Pod>,
    pub clients: Vec<Client>,
    pub town: Town,
    pub plan: Plan,
    pub settings: HubSettings,
    pub keys: Arc<Keyring>,
    pub dice: Dice,
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
    while !world.over && world.town.failure.is_none() {
        let Some(event) = world.net.next() else {
            break;
        };
        world.handle(event);
        if world.net.trace.steps > MOST_STEPS {
            world.town.fail("I11", "it runs in circles".into());
        }
    }
    if world.town.failure.is_none() {
        world.town.check_stays();
    }
    let mut counters = Counters::default();
    world.pods.iter().flat_map(|pod| &pod.hubs).for_each(|hub| counters += hub.counters());
    Outcome {
        counters,
        failure: world.town.failure,
        at: world.net.now,
        trace: world.net.trace.lines.iter().flatten().map(ToString::to_string).collect(),
        hash: world.net.trace.hash,
        steps: world.net.trace.steps,
        messages: world.town.messages,
        sent_again: world.town.sent_again,
        takeovers: world.takeovers,
        moves: world.moves,
    }
}

/// Limits so small that each of them is reached, in some runs.
fn small_limits(dice: &mut Dice) -> HubLimits {
    let usual = HubLimits::USUAL;
    HubLimits {
        window: dice.pick(&[usual.window, usual.window, 1024, 64]),
        commands: dice.pick(&[usual.commands, usual.commands, 2]),
        waiting: dice.pick(&[usual.waiting, usual.waiting, 1]),
        checks: dice.pick(&[usual.checks, usual.checks, 1]),
        dialled: dice.pick(&[usual.dialled, usual.dialled, 2]),
        // A former owner that is not told while it is cut off from the directory goes on (I3): there must be place for all, and
        // time until it thaws.
        takeover_notices: dice.pick(&[usual.takeover_notices, usual.takeover_notices, 200]),
        takeover_notice_for: dice.pick(&[usual.takeover_notice_for, usual.takeover_notice_for, 120_000]),
        owners: dice.pick(&[usual.owners, usual.owners, 1]),
        owner_for: dice.pick(&[usual.owner_for, usual.owner_for, 5_000]),
    }
}

impl World {
    fn new(seed: u64, options: &Options) -> Self {
        let mut dice = Dice::new(seed, "world");
        let plan = Plan::new(seed);
        let tight = dice.chance(20);
        // Apart, so that they alter nothing of what else a run draws.
        let mut limited = Dice::new(seed, "limits");
        let settings = HubSettings {
            max_players: dice.pick(&[2, 3, 4, 4, 4]),
            seat_hold: 30_000,
            record_ttl: limited.pick(&[3_600_000, 3_600_000, 70_000]),
            empty_ttl: dice.pick(&[600_000, 600_000, 6_000]),
            slots: RoomSlots::new(Dice::new(seed, "places").pick(&PLACES)),
            rate: if tight { 10 } else { 1_000 },
            burst: if tight { 20 } else { 1_000 },
            max_misses: 10,
            first_line_timeout: 10_000,
            idle_timeout: limited.pick(&[120_000, 120_000, 8_000]),
            send_queue: dice.pick(&[256, 256, 16, 8]) * 1024,
            ring: RingLimits { messages: dice.pick(&[32, 32, 4]), bytes: 8 * 1024, age: 90_000 },
            ring_total: dice.pick(&[32 * 1024 * 1024, 32 * 1024 * 1024, 2 * 1024]),
            tcp_on_wrong_pod: dice.pick(&[OnWrongPod::Redirect, OnWrongPod::Relay]),
            shard: 0,
            shards: 1,
            limits: small_limits(&mut limited),
            rules: options.rules,
        };
        let keys = Keyring::new(vec![("1".into(), vec![7; 32])], "1").expect("a key of 32 bytes");
        let town = Town {
            max_players: settings.max_players as usize,
            talks: Dice::new(seed, "quiet").chance(30),
            sought: options.sought,
            narrow: settings.limits.window < HubLimits::USUAL.window,
            ring_messages: settings.ring.messages,
            ring_bytes: settings.ring.bytes,
            ring_total: settings.ring_total,
            ..Town::default()
        };
        let mut world = Self {
            seed,
            net: Net::new(seed, options.keep),
            store: Store::new(seed),
            pods: Vec::new(),
            clients: Vec::new(),
            town,
            undo: vec![Undo::default(); plan.faults.len()],
            settings,
            keys: Arc::new(keys),
            dice,
            names: Vec::new(),
            healed: false,
            last_death: None,
            takeovers: 0,
            moves: 0,
            over: false,
            quiet: 0,
            plan,
        };
        for name in 0..world.plan.names {
            world.start_pod(name, format!("h{name}"));
        }
        for number in 0..world.plan.clients {
            world.add_client(Client::new(number, seed, Aim::Live));
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
            shards: self.dice.pick(&[1, 1, 2]),
            settings: self.settings.clone(),
            keys: self.keys.clone(),
        };
        let pod = Pod::start(setup, self.seed, &mut self.net);
        self.pods.push(pod);
        if name == self.names.len() {
            self.names.push(number);
        } else {
            self.names[name] = number;
        }
        self.town.away.was(self.net.now);
        self.town.apart.was(self.net.now);
        // The first tick of a new process.
        self.net.at(self.net.now, Event::Pod(number, Input::Start));
        self.update_entries();
    }

    pub fn update_entries(&mut self) {
        let before = self.town.entries.len();
        let up = self.pods.iter().filter(|pod| pod.state != State::Gone);
        self.town.entries = up.map(|pod| pod.setup.number).collect();
        if self.town.entries.len() < before {
            self.last_death = Some(self.net.now);
            self.town.apart.was(self.net.now);
        }
    }

    pub fn add_client(&mut self, mut client: Client) {
        let wait = self.dice.range(1, 500) * MS;
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
                    self.town.excused.insert(pipe);
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
            Event::Client { client, timer } => self.clients[client].think(&mut self.net, &mut self.town, timer),
            Event::Fault { index, begins: true } => self.begin_fault(index),
            Event::Fault { index, begins: false } => self.end_fault(index),
            Event::Phase(phase) => self.phase(phase),
        }
    }

    fn deliver(&mut self, pipe: usize, to: usize, cargo: Cargo) {
        match (self.net.pipes[pipe].kind, to) {
            (Kind::Store { .. }, 1) => {
                if let Cargo::Ask { number, request } = cargo {
                    self.store.arrived(&mut self.net, pipe, number, request);
                }
            }
            (Kind::Store { pod }, _) | (Kind::Client { pod, .. }, 1) => {
                self.pod_input(pod, Input::Arrival { pipe, cargo });
            }
            (Kind::Link { dialler, .. }, 0) => self.pod_input(dialler, Input::Arrival { pipe, cargo }),
            (Kind::Link { listener, .. }, _) => self.pod_input(listener, Input::Arrival { pipe, cargo }),
            (Kind::Client { client, .. }, _) => {
                self.clients[client].arrived(&mut self.net, &mut self.town, pipe, cargo);
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
