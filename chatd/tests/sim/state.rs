//! What clients hear of the state of their rooms: its versions rise by one and mean the same to all (I15). No I/O.

use std::collections::BTreeMap;

use crate::client::{Aim, Client, Pending, What};
use crate::expectations::Expectations;
use crate::held::{Change, Held};
use crate::history::Verdict;
use crate::links::{Micros, Net, SECOND};
use crate::pod::State as PodState;
use crate::world::World;

/// Few keys, so that clients change the same ones.
const KEYS: [&str; 4] = ["turn", "score.1", "b_o-ard", "x"];
/// Once it is quiet, what was told so long ago is told to all.
const FLOWS: Micros = 3 * SECOND;

/// Everything that was heard of states, wherever.
#[derive(Debug, Default)]
pub struct States {
    /// Who asked for a value.
    asked: BTreeMap<String, String>,
    refused: BTreeMap<String, String>,
    /// When a value was set, each once.
    made: BTreeMap<String, (String, u64)>,
    /// What the state is, by timeline and version; and when that was first heard.
    held: BTreeMap<(String, u64), (Held, Micros)>,
}

impl States {
    fn heard(&mut self, now: Micros, timeline: &str, held: &Held) -> Verdict {
        let place = (timeline.to_owned(), held.version);
        let (known, _) = self.held.entry(place).or_insert_with(|| (held.clone(), now));
        if known == held { Ok(()) } else { Err(("I15", format!("in {timeline} {held:?} is also {known:?}"))) }
    }

    fn made(&mut self, timeline: &str, change: &Change) -> Verdict {
        let Some(value) = &change.value else {
            return Ok(());
        };
        if !self.asked.get(value).is_some_and(|name| name.eq_ignore_ascii_case(&change.from)) {
            return Err(("I15", format!("{change:?} was not asked for by that player")));
        }
        if let Some(code) = self.refused.get(value) {
            return Err(("I15", format!("{change:?} was refused with {code}")));
        }
        let place = (timeline.to_owned(), change.version);
        let known = self.made.entry(value.clone()).or_insert_with(|| place.clone());
        if *known == place { Ok(()) } else { Err(("I15", format!("{change:?} was made twice, first as {known:?}"))) }
    }

    pub fn refused(&mut self, value: &str, code: &str) -> Verdict {
        self.refused.insert(value.to_owned(), code.to_owned());
        let made = self.made.get(value);
        made.map_or(Ok(()), |made| Err(("I15", format!("{value:.20} was made as {made:?}, and refused with {code}"))))
    }
}

impl Client {
    /// Changes a key, perhaps only where it is as this client knows it.
    pub fn set_state(&mut self, net: &mut Net, expected: &mut Expectations) {
        let Some((_, name)) = self.seated.clone() else {
            return;
        };
        self.texts += 1;
        let rng = &mut self.habits.rng;
        let key = rng.pick(&KEYS);
        let long = if rng.chance(20) { rng.below(4_000) } else { rng.below(40) };
        let value = (!rng.chance(20)).then(|| format!("{}.{}{}", self.number, self.texts, "=".repeat(long)));
        let known = self.state.entries.get(key).map_or(0, |change| change.version);
        let mut json = serde_json::json!({"type": "state_set", "key": key, "value": value});
        if rng.chance(40) {
            json["if_version"] = serde_json::json!(if rng.chance(90) { known } else { rng.below(9) as u64 });
        }
        if let Some(value) = &value {
            expected.states.asked.insert(value.clone(), name);
        }
        json["id"] = serde_json::json!(self.last_id + 1);
        self.command_in(net, What::State(key.to_owned(), value), json.to_string().as_bytes());
    }

    /// JOINED, or all of the state in place of what it has.
    pub fn all_state(&mut self, net: &Net, expected: &mut Expectations, held: Held) {
        self.state = held;
        self.check_state(net, expected, Ok(()));
    }

    pub fn state_changed(&mut self, net: &Net, expected: &mut Expectations, change: &Change, id: Option<u64>) {
        let mine = self.seated.as_ref().is_some_and(|(_, name)| *name == change.from);
        let asked = What::State(change.key.clone(), change.value.clone());
        let front = self.pending.front();
        let answers = mine
            && id.is_some()
            && front.is_some_and(|Pending { what, id: own, .. }| *what == asked && id == Some(*own));
        if answers {
            self.reply(net, expected, &asked, id);
        } else if mine && self.pending.iter().any(|pending| Some(pending.id) == id) {
            expected.fail("I7", format!("client {}: {change:?} comes with #{id:?}, out of order", self.number));
        }
        let verdict = self.state.apply(change, answers);
        let timeline = self.heard.place.as_ref().map(|place| place.timeline.clone()).unwrap_or_default();
        let verdict = verdict.and_then(|()| expected.states.made(&timeline, change));
        self.check_state(net, expected, verdict);
    }

    fn check_state(&mut self, net: &Net, expected: &mut Expectations, verdict: Verdict) {
        let (Some(place), Some((room, _))) = (&self.heard.place, &self.seated) else {
            return;
        };
        self.last_message = net.now;
        let verdict = verdict.and_then(|()| expected.states.heard(net.now, &place.timeline, &self.state));
        if !expected.may_have_forked(room) {
            expected.verdict(self.number, verdict);
        }
    }
}

impl World {
    /// I15, where nothing follows: somebody who stayed has another state than was told in its timeline last. `None`: nobody.
    pub fn lacks_state(&self) -> Option<String> {
        if self.takeovers_wait() {
            return None;
        }
        let mut last: BTreeMap<&str, (u64, Micros)> = BTreeMap::new();
        last.extend(
            self.expected.states.held.iter().map(|((timeline, version), (_, at))| (&**timeline, (*version, *at))),
        );
        let stays = |client: &&Client| {
            client.aim == Aim::Live
                && client.json
                && client.reading
                && client.seated.is_some()
                && client.last_message + FLOWS < self.net.now
                && self.pods[client.pod].state == PodState::Up
        };
        self.clients.iter().filter(stays).find_map(|client| {
            let timeline = &client.heard.place.as_ref()?.timeline;
            let (version, at) = *last.get(timeline.as_str())?;
            let lacks = version > client.state.version && at + FLOWS < self.net.now;
            lacks.then(|| {
                format!("client {} has {:?} of {timeline}, where {version} was told", client.number, client.state)
            })
        })
    }
}
