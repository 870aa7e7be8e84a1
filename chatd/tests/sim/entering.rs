//! How a made-up client comes into a room: CREATE_ROOM, JOIN, RESUME. No I/O.

use crate::client::{Aim, Client, What};
use crate::heard::Heard;
use crate::links::Net;
use crate::town::Town;

/// Few names, so that clients race for them; equal ones differ in case.
const NAMES: [&str; 8] = ["ann", "Ann", "bob", "cat", "dan", "eve", "EVE", "flo"];

impl Client {
    /// Creates, joins or resumes.
    pub fn enter(&mut self, net: &mut Net, town: &mut Town) {
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
        let line = format!("JOIN {room} {name} {resumable}{mode}");
        if !self.habits.hasty || town.calm {
            return self.command(net, What::Join, &line, &json);
        }
        // All in one packet: what is not answered yet is asked again, or left.
        self.gathers = true;
        self.command(net, What::Join, &line, &json);
        if self.habits.dice.chance(50) {
            self.seated = Some((room.clone(), name.to_owned()));
            self.say(net, town);
            self.seated = None;
        }
        if self.habits.dice.chance(80) {
            self.command(net, What::Leave, "LEAVE", &serde_json::json!({"type": "leave"}));
            let name = self.habits.dice.pick(&NAMES);
            json["name"] = serde_json::json!(name);
            self.command(net, What::Join, &format!("JOIN {room} {name} {resumable}{mode}"), &json);
        }
        self.gathers = false;
        self.flush(net);
    }
}
