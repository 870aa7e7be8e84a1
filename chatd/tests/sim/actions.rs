//! What a simulated client does next. No I/O.

use std::collections::BTreeSet;

use crate::client::{Aim, Client, Pending, What};
use crate::entering::NAMES;
use crate::expectations::{Expectations, Passing};
use crate::links::{Cargo, End, MS, Micros, Net, SECOND};
use crate::moderating::Deed;
use crate::wire::ALL;

/// A client that waits this long for a reply hangs up.
const PATIENCE: Micros = 26 * SECOND;

impl Client {
    /// Its timer has run out.
    pub fn think(&mut self, net: &mut Net, expected: &mut Expectations, timer: u64) {
        if timer != self.timer || self.aim == Aim::Done {
            return;
        }
        // While it does not read, what follows the error is there and not heard.
        if self.reading && self.error.as_ref().is_some_and(|(_, at)| at + 100 * MS <= net.now) {
            self.settle_error(net, expected);
        }
        if self.pipe.is_none() {
            if net.now >= self.retry {
                self.connect(net, expected);
                if self.pipe.is_some() {
                    self.enter(net, expected);
                }
            }
        } else if self.reading && self.error.is_none() {
            self.act(net, expected);
        } else if !self.reading && self.habits.deaf && self.seated.is_some() && self.aim == Aim::Live && !expected.calm
        {
            self.live(net, expected);
        }
        if self.aim != Aim::Done {
            let wait = self.rng.range(self.pace / 4, self.pace * 2);
            self.arm(net, wait);
        }
    }

    fn act(&mut self, net: &mut Net, expected: &mut Expectations) {
        let waiting = self.pending.front().map(|front| front.turn);
        if waiting.is_some_and(|since| since + PATIENCE < net.now) {
            net.note(|| format!("client {} is out of patience", self.number));
            if let Some(front) = self.pending.front().cloned() {
                self.check_wait(net, expected, &front, 0);
            }
            return self.hang_up(net, expected, End::Closed);
        }
        if self.seated.is_none() {
            if waiting.is_none() && net.now >= self.retry {
                self.enter(net, expected);
            }
            return;
        }
        match self.aim {
            Aim::Live if !expected.calm => self.live(net, expected),
            Aim::Live | Aim::Take { .. } => {
                let silent = waiting.is_none() && self.last_word + self.habits.silence < net.now;
                if silent && expected.talks && self.aim == Aim::Live {
                    self.say(net, expected);
                } else if silent {
                    self.command(net, What::Ping, "PING", &serde_json::json!({"type": "ping"}));
                }
            }
            Aim::Probe { .. } if waiting.is_none() => {
                self.command(net, What::Leave, "LEAVE", &serde_json::json!({"type": "leave"}));
            }
            _ => {}
        }
    }

    fn live(&mut self, net: &mut Net, expected: &mut Expectations) {
        let free = self.habits.most.saturating_sub(self.pending.len()) as u64;
        // Before JOIN is answered it is not known who speaks.
        if free == 0 || self.pending.iter().any(|pending| pending.what == What::Join) {
            return;
        }
        let locked = self.sees_locked;
        match self.moderator.as_mut().and_then(|moderator| moderator.acts(locked)) {
            Some(Deed::Kick(name, ban)) => return self.kick(net, expected, name, ban),
            Some(Deed::Lock(locked)) => return self.lock(net, expected, locked),
            None => {}
        }
        if self.refresh(net, expected) {
            return;
        }
        if self.json && self.habits.sends && self.habits.rng.chance(25) {
            return match self.habits.rng.below(100) {
                0..60 => self.send_event(net, expected),
                60..80 => self.set_state(net, expected),
                _ => self.set(net, expected),
            };
        }
        match self.rng.below(100) {
            0..60 => self.say(net, expected),
            60..64 if self.habits.odd => self.say_malformed(net, expected),
            60..68 => (0..self.rng.range(2, 6).max(free / 2)).for_each(|_| self.say(net, expected)),
            68..74 => self.command(net, What::Who, "WHO", &serde_json::json!({"type": "who"})),
            74..78 => self.command(net, What::Ping, "PING", &serde_json::json!({"type": "ping"})),
            // Where one HELP ends and the next begins cannot be seen.
            78..79 if self.pending.iter().all(|pending| pending.what != What::Help) => {
                self.command(net, What::Help, "HELP", &serde_json::json!({"type": "nonsense"}));
            }
            79..81 => self.command(net, What::Rubbish, "CREATE_ROOM", &serde_json::json!({"type": "create_room"})),
            81..84 => self.command(net, What::Leave, "LEAVE", &serde_json::json!({"type": "leave"})),
            84..85 => self.command(net, What::Quit, "QUIT", &serde_json::json!({"type": "quit"})),
            85..86 if !self.json => {
                if let Some(pipe) = self.pipe {
                    net.note(|| format!("client {} ends its input", self.number));
                    net.send(pipe, 0, Cargo::End);
                    self.half_closed = true;
                }
            }
            86..88 => {
                net.note(|| format!("client {} drops", self.number));
                self.hang_up(net, expected, End::Closed);
            }
            _ => {}
        }
    }

    pub fn say(&mut self, net: &mut Net, expected: &mut Expectations) {
        self.texts += 1;
        let long = if self.rng.chance(3) { self.rng.below(1_500) } else { 0 };
        let text = format!("{}.{}{}", self.number, self.texts, "-".repeat(long));
        self.say_this(net, expected, text);
    }

    /// Something of itself.
    fn set(&mut self, net: &mut Net, expected: &mut Expectations) {
        let Some((_, name)) = self.seated.clone() else {
            return;
        };
        self.texts += 1;
        let data = format!("{}.{}{}", self.number, self.texts, "x".repeat(self.habits.rng.below(480)));
        expected.presence.insert(data.clone(), name);
        self.command(net, What::Set, "", &serde_json::json!({"type": "set", "data": data}));
    }

    /// An event instead of a message: for all, for some, or one that may be lost.
    fn send_event(&mut self, net: &mut Net, expected: &mut Expectations) {
        let Some((room, name)) = self.seated.clone() else {
            return;
        };
        self.texts += 1;
        let text = format!("{}.{}", self.number, self.texts);
        let rng = &mut self.habits.rng;
        let (some, volatile) = (rng.chance(50), rng.chance(30));
        let to: Option<Vec<_>> = some
            .then(|| (0..rng.below(4)).map(|_| rng.pick(&NAMES).to_owned()).collect::<BTreeSet<_>>())
            .map(|names| names.into_iter().collect());
        let for_all = to.is_none() && !volatile;
        expected.sent(net.now, &text, &name);
        expected.ids.insert(text.clone(), self.last_id + 1);
        if for_all {
            expected.said.events.insert(text.clone());
        } else {
            expected.passing.insert(text.clone(), Passing { room, to: to.clone() });
        }
        let kind = if for_all { ALL } else { "for-some" };
        let mut json = serde_json::json!({"type": "send", "kind": kind, "data": {"text": text}, "to": to});
        if volatile {
            json["volatile"] = serde_json::json!(true);
        }
        let what = if for_all { What::Say(text) } else { What::Send(text) };
        self.command(net, what, "", &json);
    }

    /// The replay was whole and is over: what it has not brought back was not delivered.
    pub fn send_again(&mut self, net: &mut Net, expected: &mut Expectations) {
        let place = self.heard.place.as_ref().and_then(|place| place.seq);
        if self.replay_ends.is_some_and(|end| place.is_some_and(|seq| seq >= end)) {
            self.replay_ends = None;
            for text in std::mem::take(&mut self.under_way) {
                expected.sent_again += 1;
                self.say_this(net, expected, text);
            }
        }
    }

    pub fn say_this(&mut self, net: &mut Net, expected: &mut Expectations, text: String) {
        if let Some((_, name)) = &self.seated {
            expected.sent(net.now, &text, name);
        }
        let json = serde_json::json!({"type": "say", "text": text});
        let line = if self.rng.chance(50) { format!("SAY {text}") } else { text.clone() };
        if self.json {
            expected.ids.insert(text.clone(), self.last_id + 1);
        }
        self.command(net, What::Say(text), &line, &json);
    }

    /// `line` and `json`: the same in either encoding, of which it speaks one.
    pub fn command(&mut self, net: &mut Net, what: What, line: &str, json: &serde_json::Value) {
        let what = if self.json && what == What::Help { What::Rubbish } else { what };
        if self.json {
            let mut json = json.clone();
            json["id"] = serde_json::json!(self.last_id + 1);
            if let Some(fields) = json.as_object_mut() {
                fields.retain(|_, value| !value.is_null());
            }
            self.command_in(net, what, json.to_string().as_bytes());
        } else {
            self.command_in(net, what, line.trim_end().as_bytes());
        }
    }

    /// In its own encoding: a line without its end, or a JSON object with its number.
    pub fn command_in(&mut self, net: &mut Net, what: What, words: &[u8]) {
        let Some(pipe) = self.pipe else {
            return;
        };
        self.last_id += 1;
        net.note(|| format!("client {} says {} #{}", self.number, String::from_utf8_lossy(words), self.last_id));
        self.pending.push_back(Pending { what, id: self.last_id, at: net.now, turn: net.now });
        if self.json {
            net.send(pipe, 0, Cargo::Message(String::from_utf8_lossy(words).into_owned()));
        } else {
            let end: &[u8] = if self.habits.odd { self.habits.rng.pick(&[b"\n", b"\r\n"]) } else { b"\n" };
            self.packet.extend_from_slice(words);
            self.packet.extend_from_slice(end);
            self.flush(net);
        }
    }

    /// Sends the lines that are ready, in one packet or two, unless more are to come.
    pub fn flush(&mut self, net: &mut Net) {
        let Some(pipe) = self.pipe.filter(|_| !self.gathers) else {
            return;
        };
        let bytes = std::mem::take(&mut self.packet);
        let cut = if self.rng.chance(30) { self.rng.below(bytes.len()) } else { 0 };
        for part in [&bytes[..cut], &bytes[cut..]] {
            if !part.is_empty() {
                net.send(pipe, 0, Cargo::Bytes(part.to_vec()));
            }
        }
    }
}
