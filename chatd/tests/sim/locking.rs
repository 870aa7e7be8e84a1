//! Rooms that moderators or the application lock and unlock, and what has to hold from the answer on, at every owner (I18). No I/O.

use std::collections::BTreeMap;

use chatd::protocol::RoomId;
use serde_json::json;

use crate::client::{Aim, Client, Pending, What};
use crate::expectations::Expectations;
use crate::links::{Micros, Net, SECOND};
use crate::pod::State;
use crate::wire::Joined;
use crate::world::World;

/// A command that was not answered may be carried out for so long: its session looks for the room's next owner.
pub const LINGERS: Micros = 60 * SECOND;
/// Once it is quiet, what was told so long ago is told to all.
const FLOWS: Micros = 3 * SECOND;
/// A seat is held for longer than this after each drop.
const HELD: Micros = 8 * SECOND;

/// What came of a LOCK or UNLOCK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Nobody knows yet, or ever.
    Open,
    /// It was carried out, and that was heard then. `surely`: at the only owner of the room.
    Done { at: Micros, surely: bool },
    /// It was not.
    Refused,
}

#[derive(Debug)]
struct Ask {
    by: String,
    locked: bool,
    asked: Micros,
    came: Lock,
}

/// Every LOCK and UNLOCK, by room.
#[derive(Debug, Default)]
pub struct Locks(BTreeMap<String, Vec<Ask>>);

impl Locks {
    pub fn asked(&mut self, now: Micros, room: &str, by: &str, locked: bool) {
        let ask = Ask { by: by.to_owned(), locked, asked: now, came: Lock::Open };
        self.0.entry(room.to_owned()).or_default().push(ask);
    }

    /// The first that has no answer yet, of those asked for by this one.
    fn came(&mut self, room: &str, by: &str, locked: bool, came: Lock) {
        let asks = self.0.get_mut(room).map(Vec::as_mut_slice).unwrap_or_default();
        let mut own = asks.iter_mut().filter(|ask| ask.by == by && ask.locked == locked);
        if let Some(ask) = own.find(|ask| ask.came == Lock::Open) {
            ask.came = came;
        }
    }

    /// Whether somebody has asked for it. `by`: nobody else.
    pub fn was_asked(&self, room: &str, by: Option<&str>, locked: bool) -> bool {
        let asks = self.0.get(room).map(Vec::as_slice).unwrap_or_default();
        asks.iter().any(|ask| ask.locked == locked && by.is_none_or(|by| ask.by.eq_ignore_ascii_case(by)))
    }

    /// Whether the room is locked, and since when everybody can know that. `None`: nobody can.
    fn sure(&self, room: &str) -> Option<(bool, Micros)> {
        let asks = self.0.get(room)?;
        let done = asks.iter().filter_map(|ask| match ask.came {
            Lock::Done { at, surely } => Some((at, surely, ask)),
            _ => None,
        });
        let (since, surely, last) = done.max_by_key(|(at, ..)| *at)?;
        let was_before = |other: &Ask| match other.came {
            Lock::Refused => true,
            Lock::Done { at, .. } => at <= last.asked,
            Lock::Open => other.asked + LINGERS < last.asked,
        };
        let is_last = asks.iter().filter(|other| other.locked != last.locked).all(was_before);
        (surely && is_last).then_some((last.locked, since))
    }
}

impl Client {
    /// A moderator locks its room, or unlocks it.
    pub fn lock(&mut self, net: &mut Net, expected: &mut Expectations, locked: bool) {
        let Some((room, name)) = &self.seated else {
            return;
        };
        let word = if locked { "lock" } else { "unlock" };
        if !self.json {
            // In a seat of somebody else's it would be chat.
            let own = self.moderator.as_mut().filter(|own| own.name == *name && !own.asks);
            let Some(own) = own.filter(|_| self.pending.is_empty()) else {
                return;
            };
            own.asks = true;
        }
        expected.locks.asked(net.now, room, name, locked);
        self.command(net, What::Lock(locked), &word.to_ascii_uppercase(), &json!({"type": word}));
    }

    pub fn hears_lock(&mut self, net: &Net, expected: &mut Expectations, by: &str, locked: bool, id: Option<u64>) {
        let Some((room, name)) = self.seated.clone() else {
            return;
        };
        (self.sees_locked, self.last_message) = (locked, net.now);
        // By lines, who comes is told so in the name of nobody.
        let who = Some(by).filter(|by| self.json || *by != "*");
        if !expected.locks.was_asked(&room, who, locked) {
            let detail = format!("client {} hears that {by} has made the lock {locked}, who never asked", self.number);
            expected.fail("I18", detail);
        }
        let what = What::Lock(locked);
        let is_own = by.eq_ignore_ascii_case(&name);
        let answers = |front: &Pending| front.what == what && (!self.json || id == Some(front.id));
        if is_own && self.pending.front().is_some_and(answers) {
            self.lock_answered();
            self.reply(net, expected, &what, id);
            expected.has_locked(net.now, &room, &name, locked);
        } else if is_own && self.pending.iter().any(|asked| Some(asked.id) == id) {
            expected.fail("I7", format!("client {}: the lock comes with #{id:?}, out of order", self.number));
        }
    }

    /// A LOCK or UNLOCK of its own is refused.
    pub fn lock_refused(&mut self, expected: &mut Expectations, locked: bool, code: &str) {
        if let Some((room, name)) = self.seated.as_ref().filter(|_| !matches!(code, "unavailable" | "shutting_down")) {
            expected.locks.came(room, name, locked, Lock::Refused);
            self.lock_answered();
        }
    }

    fn lock_answered(&mut self) {
        if let Some(own) = &mut self.moderator {
            own.asks = false;
        }
    }

    /// It comes into a room by a JOIN (its number) or RESUME that it said at `asked`.
    pub fn check_lock(
        &self,
        now: Micros,
        expected: &mut Expectations,
        joined: &Joined,
        asked: Micros,
        join: Option<u64>,
    ) {
        let Some((locked, since)) = expected.locks.sure(&joined.room).filter(|(_, since)| asked > *since) else {
            return;
        };
        if expected.is_excused(now, &joined.room) {
            return;
        }
        let (client, room) = (self.number, &joined.room);
        let since = since as f64 / 1e6;
        if self.json && joined.locked != locked {
            let detail = format!(
                "client {client} is told that the lock of {room} is {}; it is {locked}, {since:.3}",
                joined.locked
            );
            return expected.fail("I18", detail);
        }
        // By lines it is not said that a key has found the seat.
        let is_new = |id| {
            let identity = self.identity();
            !joined.resumed && !expected.seats.may_have((client, id), room, &joined.name, identity.as_deref(), asked)
        };
        if locked && self.moderator.is_none() && join.is_some_and(is_new) {
            let detail =
                format!("client {client} comes into {room} as {}, which is locked since {since:.3}", joined.name);
            expected.fail("I18", detail);
        }
    }

    /// It is refused since the room is locked.
    pub fn check_locked_out(&self, now: Micros, expected: &mut Expectations, asked: &Pending) {
        let client = self.number;
        let Some((room, name)) = expected.seats.asked_for(client, asked.id) else {
            return expected.fail("I18", format!("client {client}: {:?} is refused by a lock", asked.what));
        };
        if !expected.locks.was_asked(&room, None, true) || self.moderator.is_some() {
            return expected
                .fail("I18", format!("client {client} is locked out of {room}, which nobody has locked for it"));
        }
        if expected.is_excused(now, &room) {
            return;
        }
        if let Some((false, since)) = expected.locks.sure(&room).filter(|(_, since)| asked.at > *since) {
            let since = since as f64 / 1e6;
            expected.fail("I18", format!("client {client} is locked out of {room}, which is open since {since:.3}"));
        }
        if self.holds_alone(now, expected, (&room, &name), asked.at) {
            expected.fail("I18", format!("client {client} is locked out of {room}, where its seat as {name} is held"));
        }
    }

    /// When it said JOIN, at `asked`, its seat was held since its connection had dropped a moment before, and nobody else had it meanwhile.
    pub fn holds_alone(&self, now: Micros, expected: &Expectations, (room, name): (&str, &str), asked: Micros) -> bool {
        self.dropped.as_ref().is_some_and(|(at, its)| its == room && asked < at + HELD)
            && self.key.as_ref().is_some_and(|key| !key.shared)
            && !expected.kicks.was_asked(room, name)
            && expected.is_certain(now, room)
            && expected.seats.surely_has(room, name, self.identity().as_deref(), now)
            && self
                .person
                .as_ref()
                .is_none_or(|person| expected.people.has_only(&person.sub, self.number, self.arrived_at))
    }
}

impl World {
    /// I18, where nothing follows: somebody who stayed takes a room for locked that is open, or the other way round. `None`: nobody.
    pub fn misjudges_lock(&self) -> Option<String> {
        if self.takeovers_wait() {
            return None;
        }
        let stays = |client: &&Client| {
            client.aim == Aim::Live
                && client.reading
                && client.last_message + FLOWS < self.net.now
                && self.pods[client.pod].state == State::Up
        };
        self.clients.iter().filter(stays).find_map(|client| {
            let (room, _) = client.seated.as_ref().filter(|(room, _)| !self.expected.may_have_forked(room))?;
            let id: RoomId = room.parse().ok()?;
            let owner = self.pods.iter().find(|pod| pod.state == State::Up && pod.has(id))?;
            let descriptor = owner.hubs.iter().find_map(|hub| hub.descriptor_of(id));
            let locked = descriptor.is_some_and(|descriptor| descriptor.locked);
            (locked != client.sees_locked).then(|| {
                format!("client {} takes the lock of {room} for {}; it is {locked}", client.number, client.sees_locked)
            })
        })
    }
}

impl Expectations {
    /// It is answered: from now on it is in force.
    pub fn has_locked(&mut self, now: Micros, room: &str, by: &str, locked: bool) {
        let surely = !self.is_excused(now, room);
        self.locks.came(room, by, locked, Lock::Done { at: now, surely });
    }

    /// The application has been told that it is not in force.
    pub fn lock_refused(&mut self, room: &str, by: &str, locked: bool) {
        self.locks.came(room, by, locked, Lock::Refused);
    }
}
