//! What a made-up client does next. No I/O.

use crate::client::{Aim, Client, Pending, Seat, What};
use crate::heard::Heard;
use crate::links::{Cargo, End, MS, Micros, Net, SECOND};
use crate::town::Town;

/// Few names, so that clients race for them; equal ones differ in case.
const NAMES: [&str; 8] = ["ann", "Ann", "bob", "cat", "dan", "eve", "EVE", "flo"];
/// A client that waits this long for a reply hangs up.
const PATIENCE: Micros = 26 * SECOND;

impl Client {
    /// Its timer has run out.
    pub fn think(&mut self, net: &mut Net, town: &mut Town, timer: u64) {
        if timer != self.timer || self.aim == Aim::Done {
            return;
        }
        if self.error.as_ref().is_some_and(|(_, at)| at + 100 * MS <= net.now) {
            self.settle_error(net, town);
        }
        if self.pipe.is_none() {
            if net.now >= self.retry {
                self.connect(net, town);
                if self.pipe.is_some() {
                    self.enter(net, town);
                }
            }
        } else if self.reading && self.error.is_none() {
            self.act(net, town);
        }
        if self.aim != Aim::Done {
            let wait = self.dice.range(self.pace / 4, self.pace * 2);
            self.arm(net, wait);
        }
    }

    fn act(&mut self, net: &mut Net, town: &mut Town) {
        let waiting = self.pending.front().map(|front| front.at);
        if waiting.is_some_and(|since| since + PATIENCE < net.now) {
            net.note(|| format!("client {} is out of patience", self.number));
            if let Some(front) = self.pending.front().cloned() {
                self.check_wait(net, town, &front, 0);
            }
            return self.hang_up(net, town, End::Closed);
        }
        if self.seated.is_none() {
            if waiting.is_none() && net.now >= self.retry {
                self.enter(net, town);
            }
            return;
        }
        match self.aim {
            Aim::Live if !town.calm => self.live(net, town),
            Aim::Live | Aim::Take { .. } => {
                if waiting.is_none() && self.last_word + 2 * SECOND < net.now {
                    self.command(net, What::Ping, "PING", &serde_json::json!({"type": "ping"}));
                }
            }
            Aim::Probe { .. } if waiting.is_none() => {
                self.command(net, What::Leave, "LEAVE", &serde_json::json!({"type": "leave"}));
            }
            _ => {}
        }
    }

    fn live(&mut self, net: &mut Net, town: &mut Town) {
        if self.pending.len() >= 6 {
            return;
        }
        match self.dice.below(100) {
            0..60 => self.say(net, town),
            60..68 => (0..self.dice.range(2, 6)).for_each(|_| self.say(net, town)),
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
                self.hang_up(net, town, End::Closed);
            }
            _ => {}
        }
    }

    fn say(&mut self, net: &mut Net, town: &mut Town) {
        self.texts += 1;
        let long = if self.dice.chance(3) { self.dice.below(1_500) } else { 0 };
        let text = format!("{}.{}{}", self.number, self.texts, "-".repeat(long));
        self.say_this(net, town, text);
    }

    /// The replay was whole and is over: what it has not brought back was not delivered.
    pub fn send_again(&mut self, net: &mut Net, town: &mut Town) {
        let place = self.heard.place.as_ref().and_then(|place| place.seq);
        if self.replay_ends.is_some_and(|end| place.is_some_and(|seq| seq >= end)) {
            self.replay_ends = None;
            for text in std::mem::take(&mut self.under_way) {
                town.sent_again += 1;
                self.say_this(net, town, text);
            }
        }
    }

    fn say_this(&mut self, net: &mut Net, town: &mut Town, text: String) {
        if let Some((room, name)) = &self.seated {
            town.sent(&text, room, name);
        }
        let json = serde_json::json!({"type": "say", "text": text});
        let line = if self.dice.chance(50) { format!("SAY {text}") } else { text.clone() };
        if self.json {
            town.ids.insert(text.clone(), self.last_id + 1);
        }
        self.command(net, What::Say(text), &line, &json);
    }

    /// Creates, joins or resumes.
    fn enter(&mut self, net: &mut Net, town: &mut Town) {
        let mode = self.mode;
        let wrong = match mode {
            "REDIRECT" => serde_json::json!("redirect"),
            "RELAY" => serde_json::json!("relay"),
            _ => serde_json::Value::Null,
        };
        if let Aim::Probe { room, .. } = &self.aim {
            if self.outcome.is_some() {
                self.aim = Aim::Done;
                return self.command(net, What::Quit, "QUIT", &serde_json::json!({"type": "quit"}));
            }
            let name = format!("p{}", self.number);
            let json = serde_json::json!({"type": "join", "room": room, "name": name});
            self.resumable = false;
            return self.command(net, What::Join, "", &json);
        }
        if self.seat.is_none() && !town.calm && self.dice.chance(6) {
            self.stale = town.old_token(&mut self.dice);
        }
        if let Some(seat) = self.stale.clone().or(self.seat.clone()) {
            let place = self.heard.place.as_ref().filter(|_| self.stale.is_none() && self.dice.chance(85));
            let place = place.and_then(|place| Some((place.timeline.clone(), place.seq?)));
            let mut json = serde_json::json!({"type": "resume", "room": seat.room, "token": seat.token});
            if let Some((timeline, seq)) = &place {
                json["timeline"] = serde_json::json!(timeline);
                json["last_seq"] = serde_json::json!(seq);
            }
            json["on_wrong_pod"] = wrong;
            let what = What::Resume { said: self.json && place.is_some() };
            return self.command(net, what, &format!("RESUME {} {} {mode}", seat.room, seat.token), &json);
        }
        if matches!(self.aim, Aim::Take { .. }) {
            self.aim = Aim::Done;
            return;
        }
        if town.rooms.is_empty() || !town.calm && town.rooms.len() < 6 && self.dice.chance(4) {
            return self.command(net, What::Create, "CREATE_ROOM", &serde_json::json!({"type": "create_room"}));
        }
        let room = self.dice.pick(&town.rooms);
        let name = self.dice.pick(&NAMES);
        self.heard = Heard::default();
        self.under_way.clear();
        let mut json = serde_json::json!({"type": "join", "room": room, "name": name, "resumable": self.resumable});
        json["on_wrong_pod"] = wrong;
        let resumable = if self.resumable { "RESUMABLE " } else { "" };
        self.command(net, What::Join, &format!("JOIN {room} {name} {resumable}{mode}"), &json);
    }

    fn command(&mut self, net: &mut Net, what: What, line: &str, json: &serde_json::Value) {
        let Some(pipe) = self.pipe else {
            return;
        };
        self.last_id += 1;
        net.note(|| {
            format!(
                "client {} says {} #{}",
                self.number,
                if self.json { json.to_string() } else { line.to_owned() },
                self.last_id
            )
        });
        let what = if self.json && what == What::Help { What::Rubbish } else { what };
        self.pending.push_back(Pending { what, id: self.last_id, at: net.now });
        if self.json {
            let mut json = json.clone();
            json["id"] = serde_json::json!(self.last_id);
            if let Some(fields) = json.as_object_mut() {
                fields.retain(|_, value| !value.is_null());
            }
            net.send(pipe, 0, Cargo::Message(json.to_string()));
        } else {
            let bytes = format!("{}\n", line.trim_end()).into_bytes();
            let cut = if self.dice.chance(30) { self.dice.below(bytes.len()) } else { 0 };
            for part in [&bytes[..cut], &bytes[cut..]] {
                if !part.is_empty() {
                    net.send(pipe, 0, Cargo::Bytes(part.to_vec()));
                }
            }
        }
    }

    /// Takes a seat over from another client: what a second tab does.
    pub fn take_over(&mut self, seat: Seat, heard: &Heard) {
        self.seat = Some(seat);
        self.heard = heard.copy_of();
        if !self.json {
            self.heard.place = None;
        }
    }
}
