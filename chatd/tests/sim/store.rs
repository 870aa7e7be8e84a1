//! The simulated directory: whole values compared and swapped, as Redis does it, with everything that can go wrong. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chatd::directory::{Answer, Key, NoAnswer, Request};
use chatd::lease::LEASE;
use chatd::protocol::{Ownership, RoomId};
use chatd::record::Record;

use crate::deaths::Declared;
use crate::descriptors::Described;
use crate::expiring::BEGAN;
use crate::links::{Cargo, End, Event, Kind, MS, Micros, Net, SECOND};
use crate::rng::Rng;

/// How far back a failover can go.
const HISTORY: Micros = 6 * SECOND;

/// What is wrong with the store now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Each request takes up to so many milliseconds.
    Slow(u64),
    /// Takes requests and forgets them.
    Silent,
    /// Takes requests, and carries them out when it comes to itself: long after those who asked have given up.
    Stuck,
    Refusing(NoAnswer),
    /// Every connection is refused.
    Down,
    /// So many answers in a hundred are lost, after the deed.
    LosesAnswers(u64),
    /// So many requests in a hundred are lost, before it.
    LosesRequests(u64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Value {
    bytes: Bytes,
    expires: Micros,
}

type Name = (u8, String);

#[derive(Debug)]
pub struct Store {
    values: BTreeMap<Name, Value>,
    /// When which value was what before.
    history: Vec<(Micros, Name, Option<Value>)>,
    troubles: Vec<Trouble>,
    stuck: Vec<(usize, u64, Request)>,
    rng: Rng,
    /// When a trouble was last over.
    pub well_since: Micros,
    /// When it was last emptied or rolled back.
    pub went_back: Option<Micros>,
    pub rolled_back: Option<Micros>,
    /// The highest ownership that each room's record has had since then.
    highest: BTreeMap<String, Ownership>,
    /// What each room was made with, and one whose record says something else.
    pub described: Described,
    pub redescribed: Option<String>,
    /// When each room was last closed.
    pub closed: BTreeMap<String, Micros>,
    /// The seats (room and name) whose JOIN was not known to be answered when another pod last took the room over, and when that was.
    pub unanswered: BTreeMap<(String, String), Micros>,
    /// A record that went to a lower ownership.
    pub fell: Option<String>,
    /// Leases that were deleted by others.
    pub declared: Vec<Declared>,
    /// Connections that have ended, as it knows.
    ended: BTreeSet<usize>,
    /// Connections before this one were made to an earlier run of it.
    run_began: usize,
}

fn name(key: &Key) -> Name {
    match key {
        Key::Room(room) => (0, room.to_string()),
        Key::Pod(pod) => (1, pod.clone()),
        Key::JoinToken(token) => (2, token.to_string()),
    }
}

impl Store {
    pub fn new(seed: u64) -> Self {
        Self {
            values: BTreeMap::new(),
            history: Vec::new(),
            troubles: Vec::new(),
            stuck: Vec::new(),
            rng: Rng::new(seed, "store"),
            well_since: 0,
            went_back: None,
            rolled_back: None,
            highest: BTreeMap::new(),
            described: Described::default(),
            redescribed: None,
            closed: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            fell: None,
            declared: Vec::new(),
            ended: BTreeSet::new(),
            run_began: 0,
        }
    }

    pub fn troubles(&self) -> Vec<Trouble> {
        self.troubles.clone()
    }

    pub fn is_well(&self) -> bool {
        self.troubles.is_empty()
    }

    pub fn record(&self, room: RoomId, now: Micros) -> Option<&Bytes> {
        self.living(&(0, room.to_string()), now).map(|value| &value.bytes)
    }

    /// The highest ownership that the room's record has had, unless it was deleted or lost.
    pub fn highest(&self, room: RoomId) -> Option<Ownership> {
        self.highest.get(room.as_str()).copied()
    }

    /// Every room that has a record which, unless renewed, is there until then; those that have ended, or whose time is over by then, are
    /// none: nobody may have heard that a room was made, and when it ends.
    pub fn rooms(&self, until: Micros) -> Vec<RoomId> {
        let rooms = self.values.iter().filter(|((kind, _), value)| *kind == 0 && value.expires > until);
        let rooms =
            rooms.filter(|(_, value)| Record::parse(&value.bytes).is_none_or(|record| !is_over(&record, until)));
        rooms.filter_map(|((_, room), _)| room.parse().ok()).collect()
    }

    // ---- requests

    /// A request arrives.
    pub fn arrived(&mut self, net: &mut Net, pipe: usize, number: u64, request: Request) {
        let slow = self.troubles.iter().find_map(|trouble| match trouble {
            Trouble::Slow(most) => Some(*most),
            _ => None,
        });
        if self.troubles.contains(&Trouble::Down) {
            net.close(pipe, 1, End::Closed, false);
        } else if self.troubles.contains(&Trouble::Silent) {
            net.note(|| "store   forgets a request".to_owned());
        } else if self.troubles.contains(&Trouble::Stuck) {
            self.stuck.push((pipe, number, request));
        } else if let Some(most) = slow {
            let wait = self.rng.range(0, most * MS);
            net.after(wait, Event::StoreLate { pipe, number, request });
        } else {
            self.execute(net, pipe, number, &request);
        }
    }

    /// A request's turn has come.
    pub fn execute(&mut self, net: &mut Net, pipe: usize, number: u64, request: &Request) {
        let mut lost = false;
        for trouble in self.troubles.clone() {
            match trouble {
                Trouble::Refusing(why) => return net.send(pipe, 1, Cargo::Reply { number, answer: Err(why) }),
                Trouble::LosesRequests(percent) if self.rng.chance(percent) => return,
                Trouble::LosesAnswers(percent) if self.rng.chance(percent) => lost = true,
                _ => {}
            }
        }
        let expires = match request {
            Request::Delete { key, .. } => self.living(&name(key), net.now).map(|value| value.expires),
            _ => None,
        };
        let answer = match request {
            Request::Connected { connection, .. } => {
                let pipe = connection.client as usize;
                Answer::Connected((pipe >= self.run_began).then(|| self.has_connection(net, pipe)))
            }
            request => self.carry_out(net.now, request),
        };
        if let (Request::Delete { key: Key::Pod(_), expected }, Answer::Done, Kind::Store { pod }) =
            (request, &answer, net.pipes[pipe].kind)
        {
            let written = expires.unwrap_or_default().saturating_sub(LEASE * MS);
            self.declared.push(Declared { by: pod, lease: expected.clone(), written });
        }
        net.note(|| {
            format!("store   {} -> {}{}", show(request), show_answer(&answer), if lost { " (lost)" } else { "" })
        });
        if !lost {
            net.send(pipe, 1, Cargo::Reply { number, answer: Ok(answer) });
        }
    }

    /// A connection has ended, and it hears of that.
    pub fn connection_ended(&mut self, pipe: usize) {
        self.ended.insert(pipe);
    }

    /// It starts again: its connections are of another run.
    pub fn starts_again(&mut self, net: &Net) {
        self.run_began = net.pipes.len();
    }

    pub fn has_connection(&self, net: &Net, pipe: usize) -> bool {
        net.pipes[pipe].ends[1] == End::Open && !self.ended.contains(&pipe)
    }

    fn living(&self, name: &Name, now: Micros) -> Option<&Value> {
        self.values.get(name).filter(|value| value.expires > now)
    }

    fn carry_out(&mut self, now: Micros, request: &Request) -> Answer {
        let current = |store: &Self, key: &Key| store.living(&name(key), now).map(|value| value.bytes.clone());
        match request {
            Request::Get { key } => Answer::Found(current(self, key)),
            Request::Swap { key, expected, new, ttl } => {
                let there = current(self, key);
                if there != *expected {
                    return Answer::Found(there);
                }
                if let Key::Room(room) = key
                    && expected.is_none()
                    && self.values.contains_key(&name(key))
                {
                    // Nobody has had it until its record expired: it is another room.
                    self.closed.insert(room.to_string(), now);
                }
                let expires = now + ttl.as_micros() as u64;
                self.put(now, name(key), Some(Value { bytes: new.clone(), expires }));
                Answer::Done
            }
            Request::Renew { key, expected, ttl } => {
                let there = current(self, key);
                if there.as_ref() != Some(expected) {
                    return Answer::Found(there);
                }
                let expires = now + ttl.as_micros() as u64;
                self.put(now, name(key), Some(Value { bytes: expected.clone(), expires }));
                Answer::Done
            }
            Request::Delete { key, expected } => {
                let there = current(self, key);
                if there.as_ref() != Some(expected) {
                    return Answer::Found(there);
                }
                self.put(now, name(key), None);
                if let Key::Room(room) = key {
                    // A former owner that comes to itself may write it again.
                    self.highest.remove(room.as_str());
                    self.closed.insert(room.to_string(), now);
                }
                Answer::Done
            }
            Request::Connected { .. } => Answer::Connected(None),
            Request::Pods => {
                let pods = self.values.iter().filter(|((kind, _), value)| *kind == 1 && value.expires > now);
                Answer::Pods(pods.map(|((_, pod), value)| (pod.clone(), value.bytes.clone())).collect())
            }
        }
    }

    fn put(&mut self, now: Micros, name: Name, value: Option<Value>) {
        let record = |value: &Value| (name.0 == 0).then(|| Record::parse(&value.bytes)).flatten();
        let new = value.as_ref().and_then(record);
        if let Some(new) = &new {
            if !new.ended {
                self.redescribed = self.redescribed.take().or(self.described.seen(&name.1, new.descriptor.as_deref()));
            }
            let held = new.ownership();
            let highest = self.highest.entry(name.1.clone()).or_insert(held);
            if held < *highest {
                self.fell = Some(format!("the record of {} fell from {highest:?} to {held:?}", name.1));
            }
            *highest = (*highest).max(held);
        }
        let before = match value {
            Some(value) => self.values.insert(name.clone(), value),
            None => self.values.remove(&name),
        };
        let taken_over = new.and_then(|new| before.as_ref().and_then(record).filter(|old| old.boot != new.boot));
        if let Some(old) = taken_over {
            let unanswered = old.seats.iter().filter(|(_, seat)| seat.joining);
            let unanswered = unanswered.map(|(player, _)| ((name.1.clone(), player.to_ascii_lowercase()), now));
            self.unanswered.extend(unanswered);
        }
        self.history.push((now, name, before));
        if self.history.len() > 512 {
            self.history.retain(|(when, _, _)| when + HISTORY > now);
        }
    }

    // ---- faults

    pub fn begin(&mut self, trouble: Trouble) {
        self.troubles.push(trouble);
    }

    pub fn end(&mut self, net: &mut Net, trouble: Trouble) {
        if let Some(at) = self.troubles.iter().position(|other| *other == trouble) {
            self.troubles.remove(at);
        }
        self.well_since = net.now;
        if trouble == Trouble::Stuck && !self.troubles.contains(&Trouble::Stuck) {
            // It reads one connection after the other, in no particular order.
            let mut waiting = std::mem::take(&mut self.stuck);
            let turn = self.rng.next();
            waiting.sort_by_key(|(pipe, number, _)| ((*pipe as u64).wrapping_mul(turn | 1), *number));
            for (pipe, number, request) in waiting {
                self.execute(net, pipe, number, &request);
            }
        }
    }

    /// Everything is lost.
    pub fn empty(&mut self, now: Micros) {
        self.values.clear();
        self.history.clear();
        self.highest.clear();
        self.went_back = Some(now);
    }

    /// What happened in the last `by` is undone.
    pub fn roll_back(&mut self, now: Micros, by: Micros) {
        while let Some((when, name, before)) = self.history.pop() {
            if when + by < now {
                self.history.push((when, name, before));
                break;
            }
            match before {
                Some(value) => self.values.insert(name, value),
                None => self.values.remove(&name),
            };
        }
        self.highest.clear();
        self.went_back = Some(now);
        self.rolled_back = Some(now);
    }
}

fn show_key(key: &Key) -> String {
    match key {
        Key::Room(room) => room.to_string(),
        Key::Pod(pod) => pod.clone(),
        Key::JoinToken(token) => token.to_string(),
    }
}

/// Whether the room has ended, or ends before `until`.
fn is_over(record: &Record, until: Micros) -> bool {
    let end = record.descriptor.as_ref().and_then(|descriptor| descriptor.expires_at);
    record.ended || end.is_some_and(|end| end.saturating_sub(BEGAN) * SECOND <= until)
}

/// A value, short: who has the room and with which seats.
pub fn show_value(bytes: &Bytes) -> String {
    match Record::parse(bytes) {
        Some(record) => {
            let seats = record.seats.iter().map(|(name, seat)| format!("{name}{}", if seat.hold { "" } else { "-" }));
            format!(
                "{}@{}.{:.4}[{}]{}",
                record.pod_id,
                record.epoch % 1_000_000_000,
                record.boot.to_string(),
                seats.collect::<Vec<_>>().join(" "),
                if record.ended { " ended" } else { "" }
            )
        }
        None => String::from_utf8_lossy(bytes).chars().take(60).collect(),
    }
}

fn show_option(value: Option<&Bytes>) -> String {
    value.map_or("nothing".to_owned(), show_value)
}

pub fn show(request: &Request) -> String {
    match request {
        Request::Get { key } => format!("get {}", show_key(key)),
        Request::Swap { key, expected, new, .. } => {
            format!("swap {}: {} for {}", show_key(key), show_option(expected.as_ref()), show_value(new))
        }
        Request::Renew { key, .. } => format!("renew {}", show_key(key)),
        Request::Delete { key, .. } => format!("delete {}", show_key(key)),
        Request::Pods => "pods".to_owned(),
        Request::Connected { key, connection } => format!("connected {} by {}", show_key(key), connection.client),
    }
}

pub fn show_answer(answer: &Answer) -> String {
    match answer {
        Answer::Done => "done".to_owned(),
        Answer::Found(value) => show_option(value.as_ref()),
        Answer::Pods(pods) => format!("{} pods", pods.len()),
        Answer::Connected(connected) => format!("{connected:?}"),
    }
}
