//! The simulated network and clock: connections as two FIFO streams with latency, cuts between any two parties, and the queue of
//! what happens next. No I/O.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use chatd::directory::{Answer, NoAnswer, Request};
use chatd::peer::handshake::Nonce;
use chatd::peer::idle::Word;
use chatd::protocol::PodBoot;

use crate::deaths::Signs;
use crate::pod::Input;
use crate::rng::Rng;

/// Microseconds of simulated time.
pub type Micros = u64;
pub const MS: Micros = 1_000;
pub const SECOND: Micros = 1_000_000;

/// Who can be cut off from whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    Pod(usize),
    Store,
    Client(usize),
}

/// Something that happens at its time.
#[derive(Debug)]
pub enum Event {
    /// The next message of the pipe, towards its other end than `from`, arrives.
    Arrival {
        pipe: usize,
        from: usize,
    },
    /// A connection across a cut is given up by one end.
    GiveUp {
        pipe: usize,
        end: usize,
        cut: u64,
    },
    Pod(usize, Input),
    /// A peer hears nothing from a pod that has been frozen since then.
    Silence {
        pipe: usize,
        frozen: usize,
        since: Micros,
    },
    /// The store gets round to a request that it was slow with.
    StoreLate {
        pipe: usize,
        number: u64,
        request: Request,
    },
    Client {
        client: usize,
        timer: u64,
    },
    Fault {
        index: usize,
        begins: bool,
    },
    Phase(Phase),
}

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Healed,
    Quiet,
    Check { after: u64, tries: u32 },
    Probe,
    Resume,
    Judge,
}

/// What travels.
#[derive(Debug, Clone)]
pub enum Cargo {
    /// Pod to store and back.
    Ask {
        number: u64,
        request: Request,
    },
    Reply {
        number: u64,
        answer: Result<Answer, NoAnswer>,
    },
    /// The peer handshake: who listens; what the dialler then says; the listener's word.
    Greeting {
        boot: PodBoot,
        address: String,
    },
    Commit {
        boot: PodBoot,
        nonce: Nonce,
        last: Option<Nonce>,
    },
    Verdict {
        accepted: bool,
    },
    /// Whole frames.
    Frames(Vec<u8>),
    /// What the ends of a link say about it.
    Word(Word),
    /// Client and pod.
    Bytes(Vec<u8>),
    Message(String),
    /// The client ends its input.
    End,
    /// The connection begins (at the acceptor), or ended.
    Open,
    Closed {
        going_away: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Store { pod: usize },
    Link { dialler: usize, listener: usize },
    Client { client: usize, pod: usize, json: bool },
}

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Open,
    /// Answers what still comes with a reset.
    Closed,
    /// Answers nothing, ever: the machine is gone.
    Vanished,
}

#[derive(Debug)]
pub struct Pipe {
    pub kind: Kind,
    pub nodes: [Node; 2],
    pub ends: [End; 2],
    /// Towards the other end than the index.
    queues: [VecDeque<Cargo>; 2],
    pub last: [Micros; 2],
    /// Arrivals that a cut has held back.
    pub held: [usize; 2],
    /// Bytes of the pod that the client has not read.
    pub unread: usize,
}

/// A cut in one direction; overlapping ones count.
#[derive(Debug, Default)]
pub struct Cut {
    pub count: u32,
    /// The number of the cut with which nothing came through any more.
    pub first: u64,
    pub healed: Micros,
}

#[derive(Debug)]
pub struct Net {
    pub now: Micros,
    order: u64,
    queue: BTreeMap<(Micros, u64), Event>,
    pub rng: Rng,
    pub pipes: Vec<Pipe>,
    pub cuts: BTreeMap<(Node, Node), Cut>,
    pub last_cut: u64,
    /// Which pod listens at a host name, living or not.
    pub hosts: BTreeMap<String, usize>,
    /// Each pod's name and host.
    pub names: Vec<(String, String)>,
    pub signs: Signs,
    /// Pods whose machine is gone, and those whose process is.
    pub vanished: BTreeSet<usize>,
    pub dead: BTreeSet<usize>,
    /// When each of them went.
    pub gone: BTreeMap<usize, Micros>,
    /// A pod has begun to end.
    pub ends: bool,
    /// Slow seeds have a slow network.
    pub latency: (Micros, Micros),
    pub trace: Trace,
    /// Notes are printed at once: for runs that do not end.
    live: bool,
}

/// What happened, kept only when somebody wants to read it; and a hash of it, always.
#[derive(Debug, Default)]
pub struct Trace {
    pub lines: Option<VecDeque<Rc<str>>>,
    pub hash: u64,
    pub steps: u64,
    pub keep: usize,
}

impl Trace {
    pub fn mix(&mut self, value: u64) {
        self.hash = (self.hash.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Net {
    pub fn new(seed: u64, keep: Option<usize>) -> Self {
        let mut rng = Rng::new(seed, "network");
        let latency = rng.pick(&[(100, 800), (200, 3_000), (500, 20_000)]);
        Self {
            now: SECOND,
            order: 0,
            queue: BTreeMap::new(),
            rng,
            pipes: Vec::new(),
            cuts: BTreeMap::new(),
            last_cut: 0,
            hosts: BTreeMap::new(),
            names: Vec::new(),
            signs: Signs::default(),
            vanished: BTreeSet::new(),
            dead: BTreeSet::new(),
            gone: BTreeMap::new(),
            ends: false,
            latency,
            live: keep.is_some() && std::env::var_os("CHATD_SIM_LIVE").is_some(),
            trace: Trace { lines: keep.map(|_| VecDeque::new()), keep: keep.unwrap_or_default(), ..Trace::default() },
        }
    }

    /// Notes a step; `line` is only made when the trace is kept.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.trace.lines {
            let mut line = line();
            // Long texts are padded with these.
            while let Some(at) = line.find("----") {
                let end = line[at..].find(|letter| letter != '-').map_or(line.len(), |end| at + end);
                line.replace_range(at..end, "~");
            }
            if self.live {
                eprintln!("{:>10.3} {line}", self.now as f64 / 1e6);
            }
            lines.push_back(format!("{:>10.3} {}", self.now as f64 / 1e6, line).into());
            if lines.len() > self.trace.keep {
                lines.pop_front();
            }
        }
    }

    pub fn at(&mut self, when: Micros, event: Event) {
        self.order += 1;
        self.queue.insert((when.max(self.now), self.order), event);
    }

    pub fn after(&mut self, delay: Micros, event: Event) {
        self.at(self.now + delay, event);
    }

    /// The next thing that happens; moves the clock.
    pub fn next(&mut self) -> Option<Event> {
        let ((when, _), event) = self.queue.pop_first()?;
        self.now = when;
        self.trace.steps += 1;
        self.trace.mix(when);
        Some(event)
    }

    pub fn delay(&mut self) -> Micros {
        let (low, high) = self.latency;
        // One packet in a hundred is lost and sent again.
        if self.rng.chance(1) { self.rng.range(high, 60 * MS) } else { self.rng.range(low, high) }
    }

    // ---- connections

    pub fn connect(&mut self, kind: Kind, nodes: [Node; 2]) -> usize {
        self.pipes.push(Pipe {
            kind,
            nodes,
            ends: [End::Open; 2],
            queues: [VecDeque::new(), VecDeque::new()],
            last: [0; 2],
            held: [0; 2],
            unread: 0,
        });
        let pipe = self.pipes.len() - 1;
        self.send(pipe, 0, Cargo::Open);
        pipe
    }

    /// Sends from the end `from`, unless that end is closed.
    pub fn send(&mut self, pipe: usize, from: usize, cargo: Cargo) {
        if self.pipes[pipe].ends[from] != End::Open {
            return;
        }
        self.post(pipe, from, cargo);
    }

    fn post(&mut self, pipe: usize, from: usize, cargo: Cargo) {
        let due = self.now + self.delay();
        let found = &mut self.pipes[pipe];
        let due = due.max(found.last[from] + 1);
        found.last[from] = due;
        found.queues[from].push_back(cargo);
        self.at(due, Event::Arrival { pipe, from });
    }

    /// Ends one side. What it sent before still arrives, unless a cut holds it back: nobody sends that again.
    pub fn close(&mut self, pipe: usize, end: usize, how: End, going_away: bool) {
        let found = &mut self.pipes[pipe];
        if found.ends[end] != End::Open {
            return;
        }
        if how == End::Closed {
            self.send(pipe, end, Cargo::Closed { going_away });
        }
        let found = &mut self.pipes[pipe];
        found.ends[end] = how;
        if how == End::Closed && matches!(found.kind, Kind::Link { .. }) {
            // A peer that does not hear of it hears nothing more, and gives the link up.
            self.after(9 * SECOND / 2, Event::GiveUp { pipe, end: 1 - end, cut: 0 });
        }
        let found = &mut self.pipes[pipe];
        // A client's last words are sent again and again, as a kernel does after a close; a request's are not: it is reset.
        if how == End::Closed && matches!(found.kind, Kind::Client { .. }) {
            return;
        }
        for _ in 0..std::mem::take(&mut found.held[end]) {
            found.queues[end].pop_front();
        }
    }

    /// What arrives at the other end than `from`, if anything does.
    pub fn arrive(&mut self, pipe: usize, from: usize) -> Option<Cargo> {
        let [one, other] = self.pipes[pipe].nodes;
        let way = if from == 0 { (one, other) } else { (other, one) };
        if self.is_cut(way.0, way.1) {
            let found = &self.pipes[pipe];
            let persists = found.ends[from] == End::Closed && matches!(found.kind, Kind::Client { .. });
            if found.ends[from] == End::Open || persists {
                self.pipes[pipe].held[from] += 1;
            } else {
                self.pipes[pipe].queues[from].pop_front();
            }
            return None;
        }
        let cargo = self.pipes[pipe].queues[from].pop_front()?;
        match self.pipes[pipe].ends[1 - from] {
            End::Open => Some(cargo),
            End::Vanished => None,
            End::Closed => {
                let reset = !matches!(cargo, Cargo::Closed { .. }) && self.pipes[pipe].ends[from] == End::Open;
                if reset {
                    self.post(pipe, 1 - from, Cargo::Closed { going_away: false });
                }
                None
            }
        }
    }
}
