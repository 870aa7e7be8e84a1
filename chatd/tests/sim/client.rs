//! One simulated client: it speaks lines or JSON through bytes, and follows protocol.md: redirects, resumes, retries. No I/O.

use std::collections::{BTreeSet, VecDeque};

use crate::entering::SeatKey;
use crate::expectations::Expectations;
use crate::habits::Habits;
use crate::held::Held;
use crate::history::History;
use crate::links::{Cargo, End, Event, Kind, MS, Micros, Net, Node, SECOND};
use crate::moderating::Moderator;
use crate::people::Person;
use crate::rng::Rng;
use crate::wire;

/// What a command was; the reply has to fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Create,
    Join,
    /// With something heard.
    Resume {
        said: bool,
    },
    Say(String),
    /// An event without a number.
    Send(String),
    Who,
    Set,
    /// A key, and its new value.
    State(String, Option<String>),
    Ping,
    Help,
    Leave,
    Quit,
    Kick {
        name: &'static str,
        ban: bool,
    },
    /// LOCK, or UNLOCK.
    Lock(bool),
    Refresh,
    /// A line that is refused with this code.
    Wrong(&'static str),
    /// Nothing that the server knows.
    Rubbish,
}

impl What {
    fn said(self) -> Option<String> {
        match self {
            What::Say(text) => Some(text),
            _ => None,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Pending {
    pub what: What,
    pub id: u64,
    pub at: Micros,
    /// When it was asked, and all before it was answered.
    pub turn: Micros,
}

/// A token for a seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    pub room: String,
    pub name: String,
    pub token: String,
}

/// What a client is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aim {
    /// Lives as it likes.
    Live,
    /// Joins a room by way of one pod, and leaves it again.
    Probe {
        pod: usize,
        room: String,
    },
    /// Takes a held seat by way of one pod.
    Take {
        pod: usize,
    },
    Done,
}

#[derive(Debug)]
pub struct Client {
    pub number: usize,
    pub json: bool,
    pub resumable: bool,
    pub mode: &'static str,
    pub aim: Aim,
    pub pipe: Option<usize>,
    pub pod: usize,
    /// Where a redirect has sent it.
    pub next: Option<String>,
    pub redirects: u32,
    pub bytes: Vec<u8>,
    pub pending: VecDeque<Pending>,
    pub last_id: u64,
    /// Lines that have not been sent yet: more are to come into the packet.
    pub packet: Vec<u8>,
    pub gathers: bool,
    pub texts: u64,
    /// The events without a number that it has heard.
    pub passed: BTreeSet<String>,
    /// In a room, as it knows.
    pub seated: Option<(String, String)>,
    pub seat: Option<Seat>,
    pub key: Option<SeatKey>,
    /// Its seat, among those that were asked for.
    pub claim: Option<usize>,
    /// Takes the seat by JOIN with its key.
    pub by_key: bool,
    /// Says RESUME with a token that must not work any more.
    pub stale: Option<Seat>,
    pub heard: History,
    /// JSON only.
    pub state: Held,
    /// The name, in lower case, under which it has heard that.
    pub was: String,
    /// What it has said and heard nothing of, when its connection ended.
    pub under_way: Vec<String>,
    /// What it had said with a number up to this one may be among the messages that it was told to have missed.
    pub unsure: u64,
    /// The replay ends with this message: what is under way then was not delivered, and is sent again.
    pub replay_ends: Option<u64>,
    /// An error that may be a reply, or the first half of something else.
    pub error: Option<(String, Micros)>,
    pub awaits_token: bool,
    /// The seat was asked to be resumable.
    pub keeps_seat: bool,
    pub said_bye: Option<String>,
    pub half_closed: bool,
    pub reading: bool,
    pub unread: VecDeque<Cargo>,
    pub timer: u64,
    pub pace: Micros,
    /// When it last got something while expecting nothing; a silent connection is pinged.
    pub last_word: Micros,
    pub last_message: Micros,
    pub connected: Micros,
    /// When it last went on reading.
    pub read_since: Micros,
    pub retry: Micros,
    /// It was made to resume a seat, or to join a room, at the end.
    pub takes: bool,
    pub probes: bool,
    /// It left its seat behind on purpose, for somebody to take.
    pub went_away: bool,
    /// The room that it is after, and the name.
    pub wanted: String,
    /// The first answer to JOIN or RESUME that an [`Aim`] was after.
    pub outcome: Option<String>,
    /// The pod that told it so had no place for another room.
    pub met_full: bool,
    pub habits: Habits,
    pub moderator: Option<Moderator>,
    /// Its room is locked, as it was told (JSON).
    pub sees_locked: bool,
    pub person: Option<Person>,
    /// When the connection with which it was in this room last dropped, where its seat is held: with its pod, whenever it noticed.
    pub dropped: Option<(Micros, String)>,
    /// When it last heard JOINED.
    pub arrived_at: Micros,
    /// When the room ends that it is making (seconds).
    pub makes_until: Option<u64>,
    pub rng: Rng,
}

impl Client {
    pub fn new(number: usize, seed: u64, aim: Aim) -> Self {
        let mut rng = Rng::new(seed, &format!("client {number}"));
        let json = rng.chance(60);
        let probing = aim != Aim::Live;
        let mut habits = if probing { Habits::none() } else { Habits::new(number, seed) };
        let moderator = if probing { None } else { Moderator::new(number, seed) };
        let is_moderator = moderator.is_some();
        habits.hasty &= !is_moderator;
        let key = habits.keys.then(|| format!("{:016x}{:016x}", habits.rng.next(), habits.rng.next()));
        Self {
            number,
            json: json || probing,
            resumable: rng.chance(75),
            mode: if probing { "RELAY" } else { rng.pick(&["", "RELAY", "REDIRECT"]) },
            pipe: None,
            pod: 0,
            next: None,
            redirects: 0,
            bytes: Vec::new(),
            pending: VecDeque::new(),
            last_id: 0,
            packet: Vec::new(),
            gathers: false,
            texts: 0,
            passed: BTreeSet::new(),
            seated: None,
            seat: None,
            key: key.filter(|_| !is_moderator).map(|word| SeatKey { word, ..SeatKey::default() }),
            by_key: false,
            claim: None,
            stale: None,
            heard: History::default(),
            state: Held::default(),
            was: String::new(),
            under_way: Vec::new(),
            unsure: 0,
            replay_ends: None,
            error: None,
            awaits_token: false,
            keeps_seat: false,
            said_bye: None,
            half_closed: false,
            reading: true,
            unread: VecDeque::new(),
            timer: 0,
            pace: rng.pick(&[40, 150, 400]) * MS,
            last_word: 0,
            last_message: 0,
            connected: 0,
            read_since: 0,
            retry: 0,
            takes: matches!(aim, Aim::Take { .. }),
            probes: matches!(aim, Aim::Probe { .. }),
            went_away: false,
            wanted: String::new(),
            outcome: None,
            met_full: false,
            habits,
            moderator,
            sees_locked: false,
            person: None,
            dropped: None,
            arrived_at: 0,
            makes_until: None,
            aim,
            rng,
        }
    }

    pub fn arm(&mut self, net: &mut Net, wait: Micros) {
        self.timer += 1;
        net.after(wait, Event::Client { client: self.number, timer: self.timer });
    }

    // ---- connecting

    pub fn connect(&mut self, net: &mut Net, expected: &mut Expectations) {
        let aimed = match self.aim {
            Aim::Probe { pod, .. } | Aim::Take { pod } => Some(pod),
            _ => None,
        };
        let host = self.next.take();
        let host = host.as_deref().and_then(|at| at.rsplit_once(':')).and_then(|(host, _)| net.hosts.get(host));
        let Some(pod) = aimed.or(host.copied()).or_else(|| expected.entry(&mut self.rng)) else {
            return;
        };
        if net.vanished.contains(&pod) {
            self.retry = net.now + 3 * SECOND;
            return;
        }
        if net.dead.contains(&pod) {
            self.retry = net.now + self.rng.range(100, 800) * MS;
            return;
        }
        self.pod = pod;
        let kind = Kind::Client { client: self.number, pod, json: self.json };
        self.pipe = Some(net.connect(kind, [Node::Client(self.number), Node::Pod(pod)]));
        self.bytes.clear();
        self.unread.clear();
        self.said_bye = None;
        self.half_closed = false;
        self.last_word = net.now;
        self.connected = net.now;
        net.note(|| format!("client {} connects to pod {pod}", self.number));
    }

    /// The connection is over, for whatever reason.
    fn disconnected(&mut self, net: &mut Net, expected: &mut Expectations) {
        self.pipe = None;
        let pending = std::mem::take(&mut self.pending);
        // A JOIN without an answer may have created a seat again, which its key finds.
        if let Some(key) = self.key.as_mut().filter(|_| pending.iter().any(|asked| asked.what == What::Join)) {
            key.ended = None;
        }
        let leaves = pending.iter().any(|asked| matches!(asked.what, What::Leave | What::Quit));
        let unanswered = pending.into_iter().filter(|asked| self.json && asked.id > self.unsure);
        self.under_way.extend(unanswered.filter_map(|asked| asked.what.said()));
        self.replay_ends = None;
        self.error = None;
        self.bytes.clear();
        self.unread.clear();
        self.reading = true;
        self.retry = net.now + self.rng.range(20, 700) * MS;
        let seated = self.seated.as_ref().filter(|_| self.keeps_seat && self.said_bye.is_none() && !leaves);
        let at = net.gone.get(&self.pod).copied().unwrap_or(net.now);
        self.dropped = seated.map(|(room, _)| (at, room.clone())).or(self.dropped.take());
        self.leave_room(expected);
    }

    pub fn leave_room(&mut self, expected: &mut Expectations) {
        self.claim = None;
        expected.people.left(self.number);
        if self.seated.take().is_some() {
            expected.stays.push(std::mem::take(&mut self.heard.items));
        }
    }

    /// Ends the connection from this side.
    pub fn hang_up(&mut self, net: &mut Net, expected: &mut Expectations, how: End) {
        if let Some(pipe) = self.pipe {
            let going_away = self.json && !expected.calm && self.rng.chance(30);
            net.close(pipe, 0, how, going_away);
            if how == End::Vanished {
                expected.seats.vanished(self.claim);
                let wait = self.rng.range(20 * SECOND, 60 * SECOND);
                net.after(wait, Event::GiveUp { pipe, end: 1, cut: 0 });
            }
            self.disconnected(net, expected);
        }
    }

    // ---- what comes

    pub fn arrived(&mut self, net: &mut Net, expected: &mut Expectations, pipe: usize, cargo: Cargo) {
        if self.pipe != Some(pipe) {
            return;
        }
        if self.reading {
            self.read(net, expected, pipe, cargo);
        } else {
            self.unread.push_back(cargo);
        }
    }

    /// Reads again after a time of not reading.
    pub fn read_on(&mut self, net: &mut Net, expected: &mut Expectations) {
        self.reading = true;
        self.read_since = net.now;
        while let (Some(pipe), Some(cargo)) = (self.pipe, self.unread.pop_front()) {
            self.read(net, expected, pipe, cargo);
        }
    }

    fn read(&mut self, net: &mut Net, expected: &mut Expectations, pipe: usize, cargo: Cargo) {
        match cargo {
            Cargo::Bytes(bytes) => {
                net.pipes[pipe].unread = net.pipes[pipe].unread.saturating_sub(bytes.len());
                if let Kind::Client { pod, .. } = net.pipes[pipe].kind {
                    let wait = net.delay();
                    net.after(wait, Event::Pod(pod, crate::pod::Input::Writable { pipe }));
                }
                self.bytes.extend_from_slice(&bytes);
                while let Some((told, id)) = wire::take(self.json, &mut self.bytes) {
                    net.note(|| {
                        format!(
                            "client {} hears {told:?}{}",
                            self.number,
                            id.map_or(String::new(), |id| format!(" #{id}"))
                        )
                    });
                    net.trace.mix(self.number as u64 ^ 0x55);
                    self.last_word = net.now;
                    self.receive_one(net, expected, told, id);
                    if self.pipe != Some(pipe) {
                        return;
                    }
                }
            }
            Cargo::Closed { .. } => {
                self.settle_error(net, expected);
                if self.said_bye.is_none() && !self.half_closed && !expected.excuses_close(net, pipe, self.connected) {
                    expected.fail("I7", format!("client {}: its connection ended without a reason", self.number));
                }
                net.close(pipe, 0, End::Closed, false);
                self.disconnected(net, expected);
            }
            _ => {}
        }
    }

    /// The first command has its answer.
    pub fn answered(&mut self, now: Micros) -> Option<Pending> {
        let front = self.pending.pop_front();
        if let Some(next) = self.pending.front_mut() {
            next.turn = now;
        }
        front
    }

    /// An error that nothing followed was the reply to the first command.
    pub fn settle_error(&mut self, net: &mut Net, expected: &mut Expectations) {
        // In JSON a reply carries its id.
        if let Some((code, heard)) = self.error.take().filter(|_| !self.json) {
            self.refused(net, expected, &code, heard);
        }
    }
}
