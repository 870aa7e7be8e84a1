//! One made-up client: it speaks lines or JSON through bytes, and follows protocol.md: redirects, resumes, retries. No I/O.

use std::collections::VecDeque;

use crate::dice::Dice;
use crate::heard::Heard;
use crate::links::{Cargo, End, Event, Kind, MS, Micros, Net, Node, SECOND};
use crate::town::Town;
use crate::wire::{self, Joined, Told};

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
    Who,
    Ping,
    Help,
    Leave,
    Quit,
    /// Nothing that the server knows.
    Rubbish,
}

#[derive(Debug, Clone)]
pub struct Pending {
    pub what: What,
    pub id: u64,
    pub at: Micros,
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
    next: Option<String>,
    redirects: u32,
    bytes: Vec<u8>,
    pub pending: VecDeque<Pending>,
    pub last_id: u64,
    pub texts: u64,
    /// In a room, as it knows.
    pub seated: Option<(String, String)>,
    pub seat: Option<Seat>,
    /// Says RESUME with a token that must not work any more.
    pub stale: Option<Seat>,
    pub heard: Heard,
    /// An error that may be a reply, or the first half of something else.
    pub error: Option<(String, Micros)>,
    awaits_token: bool,
    /// The seat was asked to be resumable.
    keeps_seat: bool,
    said_bye: Option<String>,
    pub half_closed: bool,
    pub reading: bool,
    unread: VecDeque<Cargo>,
    pub timer: u64,
    pub pace: Micros,
    /// When it last got something while expecting nothing; a silent connection is pinged.
    pub last_word: Micros,
    connected: Micros,
    /// When it last went on reading.
    read_since: Micros,
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
    pub dice: Dice,
}

impl Client {
    pub fn new(number: usize, seed: u64, aim: Aim) -> Self {
        let mut dice = Dice::new(seed, &format!("client {number}"));
        let json = dice.chance(60);
        let probing = aim != Aim::Live;
        Self {
            number,
            json: json || probing,
            resumable: dice.chance(75),
            mode: if probing { "RELAY" } else { dice.pick(&["", "RELAY", "REDIRECT"]) },
            pipe: None,
            pod: 0,
            next: None,
            redirects: 0,
            bytes: Vec::new(),
            pending: VecDeque::new(),
            last_id: 0,
            texts: 0,
            seated: None,
            seat: None,
            stale: None,
            heard: Heard::default(),
            error: None,
            awaits_token: false,
            keeps_seat: false,
            said_bye: None,
            half_closed: false,
            reading: true,
            unread: VecDeque::new(),
            timer: 0,
            pace: dice.pick(&[40, 150, 400]) * MS,
            last_word: 0,
            connected: 0,
            read_since: 0,
            retry: 0,
            takes: matches!(aim, Aim::Take { .. }),
            probes: matches!(aim, Aim::Probe { .. }),
            went_away: false,
            wanted: String::new(),
            outcome: None,
            aim,
            dice,
        }
    }

    pub fn arm(&mut self, net: &mut Net, wait: Micros) {
        self.timer += 1;
        net.after(wait, Event::Client { client: self.number, timer: self.timer });
    }

    // ---- connecting

    pub fn connect(&mut self, net: &mut Net, town: &mut Town) {
        let aimed = match self.aim {
            Aim::Probe { pod, .. } | Aim::Take { pod } => Some(pod),
            _ => None,
        };
        let host = self.next.take();
        let host = host.as_deref().and_then(|at| at.rsplit_once(':')).and_then(|(host, _)| net.hosts.get(host));
        let Some(pod) = aimed.or(host.copied()).or_else(|| town.entry(&mut self.dice)) else {
            return;
        };
        if net.vanished.contains(&pod) {
            self.retry = net.now + 3 * SECOND;
            return;
        }
        if net.dead.contains(&pod) {
            self.retry = net.now + self.dice.range(100, 800) * MS;
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
    fn disconnected(&mut self, net: &mut Net, town: &mut Town) {
        self.pipe = None;
        self.pending.clear();
        self.error = None;
        self.bytes.clear();
        self.unread.clear();
        self.reading = true;
        self.retry = net.now + self.dice.range(20, 700) * MS;
        self.leave_room(town);
    }

    fn leave_room(&mut self, town: &mut Town) {
        if self.seated.take().is_some() {
            town.stays.push(std::mem::take(&mut self.heard.items));
        }
    }

    /// Ends the connection from this side.
    pub fn hang_up(&mut self, net: &mut Net, town: &mut Town, how: End) {
        if let Some(pipe) = self.pipe {
            let going_away = self.json && !town.calm && self.dice.chance(30);
            net.close(pipe, 0, how, going_away);
            if how == End::Vanished {
                let wait = self.dice.range(20 * SECOND, 60 * SECOND);
                net.after(wait, Event::GiveUp { pipe, end: 1, cut: 0 });
            }
            self.disconnected(net, town);
        }
    }

    // ---- what comes

    pub fn arrived(&mut self, net: &mut Net, town: &mut Town, pipe: usize, cargo: Cargo) {
        if self.pipe != Some(pipe) {
            return;
        }
        if self.reading {
            self.read(net, town, pipe, cargo);
        } else {
            self.unread.push_back(cargo);
        }
    }

    /// Reads again after a time of not reading.
    pub fn read_on(&mut self, net: &mut Net, town: &mut Town) {
        self.reading = true;
        self.read_since = net.now;
        while let (Some(pipe), Some(cargo)) = (self.pipe, self.unread.pop_front()) {
            self.read(net, town, pipe, cargo);
        }
    }

    fn read(&mut self, net: &mut Net, town: &mut Town, pipe: usize, cargo: Cargo) {
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
                    self.told(net, town, told, id);
                    if self.pipe != Some(pipe) {
                        return;
                    }
                }
            }
            Cargo::Closed { .. } => {
                self.settle_error(net, town);
                if self.said_bye.is_none() && !self.half_closed && !town.excuses_close(net, pipe, self.connected) {
                    town.fail("I7", format!("client {}: its connection ended without a reason", self.number));
                }
                net.close(pipe, 0, End::Closed, false);
                self.disconnected(net, town);
            }
            _ => {}
        }
    }

    /// An error that nothing followed was the reply to the first command.
    pub fn settle_error(&mut self, net: &mut Net, town: &mut Town) {
        // In JSON a reply carries its id.
        if let Some((code, _)) = self.error.take().filter(|_| !self.json) {
            self.refused(net, town, &code);
        }
    }

    fn told(&mut self, net: &mut Net, town: &mut Town, told: Told, id: Option<u64>) {
        let mut lost_seat = false;
        if let Some((code, _)) = self.error.clone() {
            match &told {
                Told::Bye(reason) if *reason == code => self.error = None,
                // The seat was lost: these codes answer nothing that is asked in a room.
                Told::Left if matches!(code.as_str(), "name_taken" | "room_full") => {
                    self.error = None;
                    lost_seat = true;
                }
                _ => self.settle_error(net, town),
            }
        }
        if self.awaits_token && !matches!(told, Told::Token(_)) {
            return town.fail("I7", format!("client {}: {told:?} where TOKEN has to follow JOINED", self.number));
        }
        let ours = self.json && id.is_some();
        let inside = matches!(
            told,
            Told::Message { .. } | Told::Presence(_) | Told::Players(_) | Told::Moved { .. } | Told::Missed(_)
        );
        if inside && self.seated.is_none() {
            return town.fail("I7", format!("client {} is in no room and hears {told:?}", self.number));
        }
        let front = self.pending.front().map(|front| front.what.clone());
        match told {
            Told::Room(room) => {
                town.rooms.push(room);
                // CREATE_ROOM is wrong in a room, and right after the LEAVE before it.
                let what = front.filter(|front| *front == What::Rubbish).unwrap_or(What::Create);
                self.reply(net, town, &what, id);
            }
            Told::Joined(joined) => {
                let entering = matches!(front, Some(What::Join | What::Resume { .. })) && (!self.json || ours);
                self.joined(net, town, &joined, entering, id);
            }
            Told::Token(token) => {
                self.awaits_token = false;
                if let Some((room, name)) = self.seated.clone() {
                    self.seat = Some(Seat { room, name, token });
                }
            }
            Told::Left => {
                if front == Some(What::Leave) && (!self.json || ours) && !lost_seat {
                    self.seat_ended(net, town);
                    self.reply(net, town, &What::Leave, id);
                }
                self.seat = None;
                self.leave_room(town);
            }
            Told::Message { from, text, seq, .. } => {
                let said = What::Say(text.clone());
                let mine = self.seated.as_ref().is_some_and(|(_, name)| *name == from);
                if mine && front.as_ref() == Some(&said) && (!self.json || ours) {
                    self.reply(net, town, &said, id);
                } else if ours {
                    return town
                        .fail("I7", format!("client {}: {text:.20} comes with #{id:?}, out of order", self.number));
                }
                let verdict = self.heard.message(seq, &text);
                town.verdict(self.number, verdict);
                let place = self.heard.place.clone();
                town.message(self.number, &from, &text, seq.zip(place.map(|place| place.timeline)));
            }
            Told::Presence(_) => {}
            Told::Players(players) => {
                town.players(self.number, &players);
                self.reply(net, town, &What::Who, id);
            }
            Told::Moved { place } => {
                let verdict = self.heard.moved(place);
                town.verdict(self.number, verdict);
            }
            Told::Missed(count) => self.heard.was_told_of_missed(count),
            Told::Redirect(address) => self.redirected(net, town, address, id),
            Told::Pong => self.reply(net, town, &What::Ping, id),
            Told::Help => self.reply(net, town, &What::Help, id),
            Told::Error(code) if ours => self.refused(net, town, &code),
            Told::Error(code) => self.error = Some((code, net.now)),
            Told::Bye(code) => self.bye(net, town, &code, id),
            Told::Unknown(what) => town.fail("I7", format!("client {} cannot read {what:?}", self.number)),
        }
    }

    fn joined(&mut self, net: &mut Net, town: &mut Town, joined: &Joined, entering: bool, id: Option<u64>) {
        town.players(self.number, &joined.players);
        let resuming = entering && matches!(self.pending.front(), Some(Pending { what: What::Resume { .. }, .. }));
        let said = match self.pending.front().map(|front| &front.what) {
            Some(What::Resume { said }) if entering => {
                let said = *said;
                if let Some(stale) = self.stale.take() {
                    town.stale_worked(net.now, &stale);
                } else if self.seat.as_ref().is_some_and(|seat| !seat.name.eq_ignore_ascii_case(&joined.name)) {
                    town.fail("I5", format!("client {} resumed as {}", self.number, joined.name));
                }
                self.reply(net, town, &What::Resume { said }, id);
                said
            }
            _ if entering => {
                self.reply(net, town, &What::Join, id);
                false
            }
            // Admitted anew by a room's new owner.
            _ => false,
        };
        if !entering && self.seated.is_none() {
            return town.fail("I7", format!("client {}: JOINED, but it has not asked", self.number));
        }
        town.stays.push(std::mem::take(&mut self.heard.items));
        if !entering {
            self.heard = self.heard.copy_of();
        } else if !resuming {
            self.heard = Heard::default();
        }
        let verdict = self.heard.joined(joined, said);
        town.verdict(self.number, verdict);
        self.seated = Some((joined.room.clone(), joined.name.clone()));
        self.outcome.get_or_insert_with(|| "joined".into());
        self.redirects = 0;
        if entering {
            self.keeps_seat = resuming || self.resumable;
        }
        let seat = |token| Seat { room: joined.room.clone(), name: joined.name.clone(), token };
        self.seat = joined.token.clone().map(seat);
        self.awaits_token = !self.json && self.keeps_seat;
        if self.json && self.keeps_seat != self.seat.is_some() {
            town.fail("I7", format!("client {}: a token is missing or too many: {joined:?}", self.number));
        }
    }

    fn redirected(&mut self, net: &mut Net, town: &mut Town, address: String, id: Option<u64>) {
        if let Some(front) = self.pending.front().filter(|_| self.seated.is_none()).cloned() {
            self.reply(net, town, &front.what, id);
            self.redirects += 1;
            if self.redirects >= 3 {
                self.mode = "RELAY";
            }
            self.next = Some(address);
            self.said_bye = Some("redirect".into());
            self.hang_up(net, town, End::Closed);
            self.retry = net.now;
        } else {
            // Go there and RESUME; BYE follows.
            self.next = Some(address);
        }
    }

    fn refused(&mut self, net: &mut Net, town: &mut Town, code: &str) {
        let Some(front) = self.pending.pop_front() else {
            return town.fail("I7", format!("client {}: error {code}, and nothing was asked", self.number));
        };
        self.check_wait(net, town, &front, SECOND * 11 / 2);
        town.refused(self.number, &front.what, code);
        self.last_word = net.now;
        if matches!(front.what, What::Join | What::Resume { .. }) {
            self.outcome = self.outcome.take().or(Some(code.to_owned()));
            self.retry = net.now + self.dice.range(100, 900) * MS;
            self.stale = None;
            if code == "bad_token" || code == "room_not_found" {
                self.seat = None;
            }
        }
    }

    fn bye(&mut self, net: &mut Net, town: &mut Town, code: &str, id: Option<u64>) {
        if code == "quit" && self.pending.front().is_some_and(|front| front.what == What::Quit) {
            self.seat_ended(net, town);
            self.reply(net, town, &What::Quit, id);
            self.seat = None;
        }
        if code == "replaced" {
            self.seat = None;
        }
        self.said_bye = Some(code.to_owned());
        self.hang_up(net, town, End::Closed);
    }

    fn seat_ended(&mut self, net: &mut Net, town: &mut Town) {
        if let (Some(seat), Some(front)) = (self.seat.take(), self.pending.front()) {
            town.ended(net, seat, front.at);
        }
    }

    /// JOIN and RESUME are answered within 5 s, everything else within 15 s of the loss of a link (found within 6 s), if nothing stands between client and pod.
    pub fn check_wait(&self, net: &Net, town: &mut Town, asked: &Pending, limit: Micros) {
        let entering = matches!(asked.what, What::Join | What::Resume { .. });
        let limit = if entering { limit } else { 25 * SECOND };
        let Some(pipe) = self.pipe.filter(|_| net.now > asked.at + limit && self.read_since < asked.at) else {
            return;
        };
        if !town.excuses_close(net, pipe, asked.at) && town.frozen == 0 && town.last_thaw < asked.at {
            let detail = format!(
                "client {}: {:?} of {:.3} was not answered in time",
                self.number,
                asked.what,
                asked.at as f64 / 1e6
            );
            town.fail("I7", detail);
        }
    }

    /// The reply to the first command.
    fn reply(&mut self, net: &Net, town: &mut Town, what: &What, id: Option<u64>) {
        match self.pending.pop_front() {
            Some(front) if front.what == *what && (!self.json || id == Some(front.id)) => {
                self.check_wait(net, town, &front, SECOND * 11 / 2);
            }
            other => {
                town.fail("I7", format!("client {}: a reply to {what:?} #{id:?}, but first is {other:?}", self.number))
            }
        }
    }
}
