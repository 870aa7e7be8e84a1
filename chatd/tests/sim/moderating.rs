//! Simulated moderators, and what has to hold from the answer to a kick on, at every owner (I14). No I/O.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chatd::join_token::{KeySet, Verifier};
use serde_json::json;

use crate::client::{Client, What};
use crate::descriptors::signed;
use crate::entering::NAMES;
use crate::expectations::Expectations;
use crate::links::{Micros, Net};
use crate::people::profile;
use crate::rng::Rng;
use crate::seats::{SPREADS, looks_like};
use crate::wire::Joined;

pub const SECRET: [u8; 32] = [9; 32];
/// Longer than a run, whatever its clocks do (seconds).
const BAN: u64 = 86_400;

/// What pods verify join tokens with.
pub fn verifier() -> Arc<Verifier> {
    let keys = KeySet::from_files([("k".to_owned(), STANDARD.encode(SECRET))]).expect("a key of 32 bytes");
    Arc::new(Verifier::new(keys, None, None))
}

/// What sets a moderator apart. It has a name of its own, since its seat is found again by its join token.
#[derive(Debug)]
pub struct Moderator {
    pub name: String,
    pub auth: String,
    /// What it has asked for last is not answered: by lines nothing else tells the answer from what is told to all.
    pub asks: bool,
    rng: Rng,
}

/// What a moderator does.
#[derive(Debug, Clone, Copy)]
pub enum Deed {
    /// Whom it kicks, and whether with a ban.
    Kick(&'static str, bool),
    Lock(bool),
}

impl Moderator {
    /// One client in ten is one.
    pub fn new(number: usize, seed: u64) -> Option<Self> {
        let mut rng = Rng::new(seed, &format!("moderator {number}"));
        rng.chance(10).then(|| {
            let name = format!("mod{number}");
            let (display, info) = profile(&name, number as u64);
            let auth = signed(&json!({
                "sub": name, "room": "*", "exp": 9_999_999_999_u64, "role": "moderator", "display": display, "info": info,
            }));
            Self { name, auth, asks: false, rng }
        })
    }

    /// What it does now. `locked`: its room is, as it knows; that does not stay so for long.
    pub fn acts(&mut self, locked: bool) -> Option<Deed> {
        let locks = if locked { 60 } else { 30 };
        self.rng.chance(15).then(|| {
            if self.rng.chance(locks) {
                Deed::Lock(!locked)
            } else {
                Deed::Kick(self.rng.pick(&NAMES), self.rng.chance(30))
            }
        })
    }
}

/// Whom moderators have kicked.
#[derive(Debug, Default)]
pub struct Kicks {
    /// Room, name and whether with a ban, as it was asked for.
    said: Vec<(String, &'static str, bool)>,
    /// Room and name of each ban that was answered, and when that was heard.
    bans: Vec<(String, String, Micros)>,
    pub answered: u64,
}

impl Kicks {
    /// Whether somebody has asked for the end of this seat.
    pub fn was_asked(&self, room: &str, name: &str) -> bool {
        self.said.iter().any(|(its, kicked, _)| its == room && kicked.eq_ignore_ascii_case(name))
    }

    /// The application asks for it.
    pub fn asked(&mut self, room: &str, name: &'static str, ban: bool) {
        self.said.push((room.to_owned(), name, ban));
    }
}

impl Client {
    pub fn kick(&mut self, net: &mut Net, expected: &mut Expectations, name: &'static str, ban: bool) {
        // By lines it would be chat in a seat of somebody else's.
        let speaks = |name: &String| self.json || self.moderator.as_ref().is_some_and(|own| own.name == *name);
        if let Some((room, _)) = self.seated.as_ref().filter(|(_, own)| speaks(own)) {
            expected.kicks.said.push((room.clone(), name, ban));
            let ban_s = ban.then_some(BAN);
            let line = format!("KICK {name} {}", ban_s.map_or(String::new(), |seconds| seconds.to_string()));
            self.command(net, What::Kick { name, ban }, &line, &json!({"type": "kick", "name": name, "ban_s": ban_s}));
        }
    }

    pub fn has_kicked(&mut self, net: &Net, expected: &mut Expectations, kicked: &str, id: Option<u64>) {
        let front = self.pending.front().map(|front| (front.what.clone(), front.at));
        if let (Some((What::Kick { name, ban }, asked)), Some((room, _))) = (front, self.seated.clone())
            && kicked.eq_ignore_ascii_case(name)
        {
            self.reply(net, expected, &What::Kick { name, ban }, id);
            return expected.kicked(net.now, &room, name, ban, asked);
        }
        expected.fail("I7", format!("client {} hears that it has kicked {kicked}, out of order", self.number));
    }

    /// It hears that a moderator has ended its seat.
    pub fn check_kicked(&self, expected: &mut Expectations) {
        let was_asked = self.seated.as_ref().is_none_or(|(room, name)| expected.kicks.was_asked(room, name));
        if !was_asked {
            expected.fail("I14", format!("client {} is kicked, and nobody has asked for that", self.number));
        }
    }
}

impl Expectations {
    /// What was said at `asked` is answered: from now on it is in force.
    pub fn kicked(&mut self, now: Micros, room: &str, name: &str, ban: bool, asked: Micros) {
        self.kicks.answered += 1;
        if self.is_excused(now, room) {
            return;
        }
        self.seat_kicked(now, room, name, asked);
        if ban {
            self.kicks.bans.push((room.to_owned(), name.to_owned(), now));
        }
    }

    /// A client is in a room. `asked`: when it said JOIN; `None`: it has come there with a seat, from another owner.
    pub fn check_bans(&mut self, now: Micros, client: usize, joined: &Joined, asked: Option<Micros>) {
        let is_sure = |since: Micros| match asked {
            Some(asked) => asked > since,
            None => since + SPREADS < now,
        };
        let keeps_out = |(room, name, since): &&(String, String, Micros)| {
            *room == joined.room && looks_like(name, &joined.name) && is_sure(*since)
        };
        let Some((room, name, since)) = self.kicks.bans.iter().find(keeps_out).cloned() else {
            return;
        };
        let excused = if asked.is_some() { self.is_excused(now, &room) } else { !self.is_certain(now, &room) };
        if !excused {
            let since = since as f64 / 1e6;
            self.fail(
                "I14",
                format!("client {client} is in {room} as {}, and {name} is banned since {since:.3}", joined.name),
            );
        }
    }

    /// JOIN is refused since a ban keeps this name out.
    pub fn check_banned(&mut self, client: usize, room: &str, name: &str) {
        let said = |(its, banned, ban): &(String, &'static str, bool)| *ban && its == room && looks_like(banned, name);
        if !self.kicks.said.iter().any(said) {
            self.fail("I14", format!("client {client} is kept out of {room} as {name}, and nobody has asked for that"));
        }
    }
}
