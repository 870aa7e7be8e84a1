//! Join tokens that end while their people are in a room, and REFRESH: who has given a later one in time stays until the end of that one, at
//! every owner, and no longer (I21). No I/O.

use std::collections::BTreeMap;

use serde_json::json;

use crate::client::{Client, Pending, What};
use crate::descriptors::signed;
use crate::expectations::Expectations;
use crate::expiring::{BEGAN, CLOCKS, LATE};
use crate::links::{Micros, Net, SECOND};
use crate::locking::LINGERS;
use crate::people::{Person, WRITTEN, role, sub_of};
use crate::seats::SPREADS;
use crate::wire::Joined;

/// A token lets in for so long after its `exp` (seconds).
const LEEWAY: u64 = 30;
/// The end of a token that ends in no run.
pub const NEVER: Micros = Micros::MAX;

/// The `exp` of a token that lets in until then.
pub fn expires(ends: Micros) -> u64 {
    if ends == NEVER { 9_999_999_999 } else { BEGAN + ends / SECOND - LEEWAY }
}

/// A token that was shown with JOIN or REFRESH.
#[derive(Debug)]
struct Show {
    client: usize,
    asked: Micros,
    ends: Micros,
    answered: Option<Micros>,
    /// Whether the record has it. `None`: too early to say.
    is_written: Option<bool>,
}

/// By room and `sub`: the tokens that may count for the seat.
#[derive(Debug, Default)]
pub struct TokenEnds(BTreeMap<(String, String), Vec<Show>>);

impl TokenEnds {
    pub fn shown(&mut self, now: Micros, client: usize, room: &str, sub: &str, ends: Micros) {
        let show = Show { client, asked: now, ends, answered: None, is_written: None };
        self.0.entry((room.to_owned(), sub.to_owned())).or_default().push(show);
    }

    /// What this client asked for then is answered.
    pub fn answered(&mut self, now: Micros, client: usize, asked: Micros) {
        let mut all = self.0.values_mut().flatten();
        if let Some(show) = all.find(|show| show.client == client && show.asked == asked) {
            show.answered = Some(now);
        }
    }

    pub fn refused(&mut self, client: usize, asked: Micros, code: &str) {
        // What was not answered in time may have been carried out.
        if !matches!(code, "unavailable" | "shutting_down") {
            let its = |show: &Show| show.client == client && show.asked == asked;
            self.0.values_mut().for_each(|shows| shows.retain(|show| !its(show)));
        }
    }

    /// The seat was made again by an owner that did not know of it.
    pub fn forgets(&mut self, room: &str, sub: &str) {
        let shows = self.0.get_mut(&(room.to_owned(), sub.to_owned()));
        shows.into_iter().flatten().for_each(|show| show.is_written = Some(false));
    }

    /// Whether it may end in this run.
    pub fn may_end(&self, room: &str, sub: &str) -> bool {
        let shows = self.0.get(&(room.to_owned(), sub.to_owned()));
        shows.is_some_and(|shows| shows.iter().any(|show| show.ends != NEVER))
    }

    /// From when to when the seat's token may end. `calm`: since when nothing stands in between. `None`: nobody can know.
    fn range(&mut self, now: Micros, calm: Option<Micros>, room: &str, sub: &str) -> Option<(Micros, Micros)> {
        let shows = self.0.get_mut(&(room.to_owned(), sub.to_owned()))?;
        for show in shows.iter_mut().filter(|show| show.is_written.is_none()) {
            if show.answered.is_some_and(|at| at + WRITTEN < now) {
                show.is_written = Some(calm.is_some_and(|since| since <= show.asked));
            }
        }
        let last = shows.iter().filter(|show| show.is_written == Some(true)).max_by_key(|show| show.asked)?;
        let may_count = |show: &&Show| match show.answered {
            _ if show.asked >= last.asked => true,
            Some(answered) => answered > last.asked,
            None => show.asked + LINGERS > last.asked,
        };
        let ends = || shows.iter().filter(may_count).map(|show| show.ends);
        Some((ends().min()?, ends().max()?))
    }
}

impl Person {
    /// When a token ends that it is given now.
    pub fn draw_end(&mut self, now: Micros, calm: bool) -> Micros {
        if self.hurries && !calm && self.rng.chance(70) {
            (now / SECOND + self.rng.range(3, 40)) * SECOND
        } else {
            NEVER
        }
    }
}

impl Client {
    /// Shows a later token, or one that ends sooner. False: not now.
    pub fn refresh(&mut self, net: &mut Net, expected: &mut Expectations) -> bool {
        let (Some((room, name)), Some(person)) = (self.seated.clone(), self.person.as_mut()) else {
            return false;
        };
        if sub_of(&name) != Some(&person.sub) || !person.hurries || !person.rng.chance(6) {
            return false;
        }
        let (sub, ends) = (person.sub.clone(), person.draw_end(net.now, false));
        // What it says for others to see is nowhere shown.
        let claims = json!({
            "sub": sub, "room": "*", "exp": expires(ends), "role": role(&sub), "display": "never seen",
        });
        expected.token_ends.shown(net.now, self.number, &room, &sub, ends);
        self.command(net, What::Refresh, "", &json!({"type": "refresh", "auth": signed(&claims)}));
        true
    }

    pub fn has_refreshed(&mut self, net: &Net, expected: &mut Expectations, id: Option<u64>) {
        let asked = self.pending.front().map(|front| front.at);
        self.reply(net, expected, &What::Refresh, id);
        if let Some(asked) = asked {
            expected.token_ends.answered(net.now, self.number, asked);
        }
    }

    /// It comes into a room: by a JOIN that it said at `asked.0`, or (`asked.1` is false) by RESUME. `None`: at another owner.
    pub fn check_token(
        &self,
        now: Micros,
        expected: &mut Expectations,
        joined: &Joined,
        asked: Option<(Micros, bool)>,
    ) {
        let Some(sub) = sub_of(&joined.name) else {
            return;
        };
        match asked {
            Some((asked, true)) => {
                expected.token_ends.answered(now, self.number, asked);
                let ends = self.person.as_ref().and_then(|person| person.token.as_ref()).map(|token| token.ends);
                if !expected.ends.clocks_moved && ends.is_some_and(|ends| asked > ends.saturating_add(LATE)) {
                    let detail = format!("client {} comes into {} by a token that has ended", self.number, joined.room);
                    expected.fail("I21", detail);
                }
            }
            Some((asked, false)) => self.check_token_over(now, expected, (&joined.room, &joined.name), asked),
            None => expected.token_ends.forgets(&joined.room, sub),
        }
    }

    /// What it has asked in its seat, or for its seat, is answered.
    fn check_token_over(&self, now: Micros, expected: &mut Expectations, (room, name): (&str, &str), asked: Micros) {
        let is_calm = expected.certain_since().is_some_and(|since| since + SPREADS < asked);
        let ends = expected.token_ends_of(now, room, name).filter(|_| is_calm);
        if let Some((_, until)) = ends.filter(|(_, until)| asked > until.saturating_add(LATE)) {
            let (asked, until) = (asked as f64 / 1e6, until as f64 / 1e6);
            let detail = format!(
                "client {} is answered in {room} as {name} what it asked at {asked:.3}, and the token ended at {until:.3}",
                self.number
            );
            expected.fail("I21", detail);
        }
    }

    pub fn check_token_of_member(&self, now: Micros, expected: &mut Expectations, asked: &Pending) {
        if let Some((room, name)) = self.seated.as_ref().filter(|_| asked.what.is_of_members()) {
            self.check_token_over(now, expected, (room, name), asked.at);
        }
    }

    /// It is sent out of this seat, or cannot resume it, since the token has ended.
    pub fn check_token_ended(&self, now: Micros, expected: &mut Expectations, (room, name): (&str, &str)) {
        if let Some((from, _)) = expected.token_ends_of(now, room, name).filter(|(from, _)| now + CLOCKS < *from) {
            let from = if from == NEVER { "never".into() } else { format!("at {:.3}", from as f64 / 1e6) };
            let detail = format!("client {} is sent out of {room} as {name}, whose token ends {from}", self.number);
            expected.fail("I21", detail);
        }
    }

    /// JOIN is refused since its token has ended.
    pub fn token_expired(&mut self, now: Micros, expected: &mut Expectations) {
        let client = self.number;
        let token = self.person.as_mut().and_then(|person| person.token.as_mut());
        if token.as_ref().is_none_or(|token| now.saturating_add(CLOCKS) < token.ends) && !expected.ends.clocks_moved {
            expected.fail("I21", format!("client {client} is refused for the end of its token: {token:?}"));
        }
        self.spend_token();
    }
}

impl Expectations {
    /// Whether the token of this seat, by its name and its room, may end in this run.
    pub fn may_expire(&self, (name, room): (&str, &str)) -> bool {
        sub_of(name).is_some_and(|sub| self.token_ends.may_end(room, sub))
    }

    fn token_ends_of(&mut self, now: Micros, room: &str, name: &str) -> Option<(Micros, Micros)> {
        let sub = sub_of(name).filter(|_| !self.ends.clocks_moved && !self.is_excused(now, room))?;
        let calm = self.certain_since();
        self.token_ends.range(now, calm, room, sub)
    }
}
