//! Somebody who talks, behaves badly, and comes back by token or key wherever a pod takes it.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::ledger::World;
use super::socket::{Got, Socket};
use crate::history::{History, Place};
use crate::rng::Rng;

/// Who waits this long for a reply hangs up.
const PATIENCE: Duration = Duration::from_secs(26);
/// How long the rest of a connection's last words may be behind its first.
const LAST_WORDS: Duration = Duration::from_millis(150);
const LOOK: Duration = Duration::from_millis(15);
/// The last things that it did and heard, for a failure.
const TRACE: usize = 300;

/// What all players do now.
pub mod phase {
    pub const LIVE: u8 = 0;
    /// Come in, and be quiet.
    pub const CALM: u8 = 1;
    /// One last word each, which everyone else in the room has to hear.
    pub const LAST: u8 = 2;
    pub const LEAVE: u8 = 3;
    /// The run has failed: those who are not in their rooms say what they have gone through.
    pub const TELL: u8 = 4;
}

/// What a command was; the reply has to fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Join,
    /// With something heard.
    Resume {
        said: bool,
    },
    Say(String),
    Who,
    Ping,
    Leave,
    Quit,
    /// Refused with this code, or with what its room suffers from.
    Wrong(&'static str),
}

#[derive(Debug)]
pub struct Pending {
    pub what: What,
    pub id: u64,
    /// When it was asked, and all before it was answered.
    pub turn: Instant,
}

/// How far a player has come in the phase of the day.
pub mod progress {
    pub const UNDER_WAY: u8 = 0;
    pub const IN_ROOM: u8 = 1;
    pub const HEARD_ALL: u8 = 2;
}

pub struct Player {
    pub name: String,
    pub room: String,
    /// What stands before each text: nobody else's comes to this room.
    pub prefix: String,
    pub json: bool,
    pub key: Option<String>,
    /// Of each pod: the port for this client.
    addresses: Vec<SocketAddr>,
    pub world: Arc<World>,
    pub progress: Arc<AtomicU8>,
    pub rng: Rng,
    pub socket: Option<Socket>,
    /// The connection before, which still lived when this one took its seat.
    pub former: Option<Socket>,
    pub pending: VecDeque<Pending>,
    pub last_id: u64,
    pub said: u64,
    pub answered: u64,
    pub seated: bool,
    pub token: Option<String>,
    pub awaits_token: bool,
    pub heard: History,
    /// Transcript, and not answered when the connection ended.
    pub under_way: Vec<String>,
    /// It has claimed to have heard something else than it has.
    pub has_lied: bool,
    /// JSON: where it came in; what was said before is not for it.
    pub came: Option<(String, u64)>,
    /// The replay ends with this message: what is under way then was not delivered.
    pub replay_ends: Option<u64>,
    /// An error that may be a reply, or the first half of something else.
    pub error: Option<(String, Instant)>,
    pub next: Option<SocketAddr>,
    pub redirects: u32,
    pub said_bye: Option<String>,
    pub retry: Instant,
    pub connected: Instant,
    pub deaf_until: Option<Instant>,
    pub act_at: Instant,
    /// The last words that it has still to hear.
    pub wanted: BTreeSet<String>,
    pub has_left: bool,
    trace: VecDeque<String>,
}

impl Player {
    pub fn new(world: &Arc<World>, name: &str, room: &str, addresses: Vec<SocketAddr>, json: bool, rng: Rng) -> Self {
        let (mut rng, now) = (rng, Instant::now());
        let key = rng.chance(60).then(|| format!("{:016x}{:016x}", rng.next(), rng.next()));
        Self {
            name: name.to_owned(),
            room: room.to_owned(),
            prefix: format!("{room}/"),
            json,
            key,
            addresses,
            world: world.clone(),
            progress: Arc::default(),
            rng,
            socket: None,
            former: None,
            pending: VecDeque::new(),
            last_id: 0,
            said: 0,
            answered: 0,
            seated: false,
            token: None,
            awaits_token: false,
            heard: History::default(),
            under_way: Vec::new(),
            has_lied: false,
            came: None,
            replay_ends: None,
            error: None,
            next: None,
            redirects: 0,
            said_bye: None,
            retry: now,
            connected: now,
            deaf_until: None,
            act_at: now,
            wanted: BTreeSet::new(),
            has_left: false,
            trace: VecDeque::new(),
        }
    }

    /// `wanted`: the names of those whose last words it has to hear.
    pub fn run(mut self, wanted: &[String]) -> Self {
        self.wanted = wanted.iter().map(|name| format!("{}{name}/last", self.prefix)).collect();
        let mut has_spoken = false;
        while !self.has_left {
            let phase = self.world.phase();
            if phase == phase::TELL && self.progress.load(Ordering::SeqCst) == progress::UNDER_WAY {
                self.fail("it is not in its room");
            }
            self.check_patience();
            let Some(socket) = &mut self.socket else {
                self.come_in();
                continue;
            };
            if self.deaf_until.is_some_and(|until| phase == phase::LIVE && Instant::now() < until) {
                self.live();
                sleep(LOOK);
                continue;
            }
            self.deaf_until = None;
            match socket.receive(LOOK) {
                Got::Received(received, id) => {
                    self.note(&format!("hears {received:?} {id:?}"));
                    self.receive_one(received, id);
                    continue;
                }
                Got::Closed => {
                    self.closed();
                    continue;
                }
                Got::Silence => {}
            }
            if self.error.as_ref().is_some_and(|(_, at)| at.elapsed() > LAST_WORDS) {
                self.settle_error();
            }
            if self.error.is_some() || self.socket.is_none() {
                continue;
            }
            let idle = self.pending.is_empty();
            if !self.seated && idle && Instant::now() >= self.retry && phase < phase::LEAVE {
                self.enter(true);
            } else if phase == phase::LIVE {
                self.live();
            } else if self.seated && idle {
                self.former = None;
                match phase {
                    phase::LAST if !has_spoken => {
                        has_spoken = true;
                        self.say_this(&format!("{}{}/last", self.prefix, self.name));
                    }
                    phase::LEAVE => {
                        self.command(What::Leave, "LEAVE", json!({"type": "leave"}));
                        self.command(What::Quit, "QUIT", json!({"type": "quit"}));
                    }
                    _ => {}
                }
            }
            self.report(has_spoken);
        }
        self
    }

    fn report(&self, has_spoken: bool) {
        let is_idle = self.seated && self.pending.is_empty() && self.error.is_none();
        let progress = match is_idle {
            true if has_spoken && self.wanted.is_empty() => progress::HEARD_ALL,
            true => progress::IN_ROOM,
            false => progress::UNDER_WAY,
        };
        self.progress.store(progress, Ordering::SeqCst);
    }

    // ---- failures

    pub fn note(&mut self, what: &str) {
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        let text: String = what.chars().take(200).collect();
        self.trace.push_back(format!("{:>9.3} {text}", self.world.began.elapsed().as_secs_f64()));
    }

    #[track_caller]
    pub fn fail(&self, what: &str) -> ! {
        let kind = if self.json { "JSON" } else { "lines" };
        let trace: Vec<&str> = self.trace.iter().map(String::as_str).collect();
        panic!("{} in {} ({kind}): {what}\n{}\npending: {:?}", self.name, self.room, trace.join("\n"), self.pending)
    }

    /// As long as there are faults nobody knows how long an answer takes.
    fn check_patience(&mut self) {
        if self.pending.front().is_none_or(|front| front.turn.elapsed() <= PATIENCE) {
            return;
        }
        if self.world.phase() != phase::LIVE {
            self.fail("it has no answer, and all is calm");
        }
        self.note("is out of patience");
        self.hang_up();
    }

    // ---- connections

    pub fn hang_up(&mut self) {
        self.socket = None;
        self.disconnected();
    }

    fn closed(&mut self) {
        let calm = self.world.calm.get().is_some_and(|since| *since + Duration::from_secs(2) < self.connected);
        if calm && self.said_bye.is_none() {
            self.fail("its connection ended without a reason");
        }
        self.note("is disconnected");
        self.hang_up();
    }

    pub fn disconnected(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        self.under_way.extend(pending.into_iter().filter_map(|asked| match asked.what {
            What::Say(text) => Some(text),
            _ => None,
        }));
        self.error = None;
        self.replay_ends = None;
        self.awaits_token = false;
        self.deaf_until = None;
        self.retry = Instant::now() + Duration::from_millis(self.rng.range(20, 700));
        self.leave_room();
    }

    pub fn leave_room(&mut self) {
        self.seated = false;
        let items = std::mem::take(&mut self.heard.items);
        self.world.ledger().stays.push(items);
    }

    fn come_in(&mut self) {
        if Instant::now() < self.retry {
            return sleep(LOOK);
        }
        let address = self.next.take().unwrap_or_else(|| self.rng.pick(&self.addresses));
        let narrow = self.world.phase() == phase::LIVE && self.rng.chance(20);
        let seed = self.rng.next();
        self.socket = Socket::connect(address, self.json, narrow, Rng::new(seed, "socket"));
        self.connected = Instant::now();
        self.said_bye = None;
        self.retry = self.connected + Duration::from_millis(self.rng.range(50, 300));
        if self.socket.is_some() {
            self.note(&format!("connects to {address}"));
            self.enter(false);
        }
    }

    /// JOIN or RESUME. `again`: on a connection that is there.
    fn enter(&mut self, again: bool) {
        if again && self.rng.chance(50) {
            return self.hang_up();
        }
        let relay = self.redirects >= 3 || self.rng.chance(60);
        let (mode, wrong) = if relay { ("RELAY", "relay") } else { ("REDIRECT", "redirect") };
        let by_key = self.key.is_some() && self.rng.chance(30);
        let Some(token) = self.token.clone().filter(|_| !by_key) else {
            return self.join(mode, wrong);
        };
        let mut place = self.heard.place.clone().filter(|_| self.json && self.rng.chance(85));
        if let Some(Place { timeline, seq: Some(seq) }) = &mut place
            && self.world.phase() == phase::LIVE
            && self.rng.chance(15)
        {
            // So it may be told things again, or miss some.
            self.has_lied = true;
            let least = self.came.as_ref().filter(|(came, _)| came == timeline).map_or(0, |(_, seq)| *seq);
            *seq = (seq.saturating_sub(5) + self.rng.range(0, 10)).max(least);
            self.heard = History::default();
            self.heard.place = Some(Place { timeline: timeline.clone(), seq: Some(*seq) });
            self.under_way.clear();
        }
        let place = place.and_then(|place| Some((place.timeline, place.seq?)));
        let mut json = json!({"type": "resume", "room": self.room, "token": token, "on_wrong_pod": wrong});
        if let Some((timeline, seq)) = &place {
            json["timeline"] = json!(timeline);
            json["last_seq"] = json!(seq);
        }
        let line = format!("RESUME {} {token} {mode}", self.room);
        self.command(What::Resume { said: place.is_some() }, &line, json);
    }

    fn join(&mut self, mode: &str, wrong: &str) {
        let (line, json) = self.join_words(mode, wrong);
        self.command(What::Join, &line, json);
    }

    pub fn join_words(&self, mode: &str, wrong: &str) -> (String, Value) {
        let key = self.key.as_ref().map_or(String::new(), |key| format!(" KEY={key}"));
        let line = format!("JOIN {} {} RESUMABLE{key} {mode}", self.room, self.name);
        let json = json!({
            "type": "join", "room": self.room, "name": self.name, "resumable": true, "key": self.key, "on_wrong_pod": wrong
        });
        (line, json)
    }
}
