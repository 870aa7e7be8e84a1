//! What a player does in a room, and how its commands go out.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::player::{Pending, Player, What};
use super::socket::Socket;

/// Between two things that a player does, in ms.
const PACE: u64 = 120;
/// So many long lines are more than may be queued for one player.
const FLOOD: usize = 150;
const LONG: usize = 3_500;

impl Player {
    pub fn live(&mut self) {
        // Before these are answered nobody knows what the next ones come to.
        let waits = self
            .pending
            .iter()
            .any(|asked| matches!(asked.what, What::Join | What::Resume { .. } | What::Leave | What::Quit));
        if !self.seated || waits || self.pending.len() >= 40 || Instant::now() < self.act_at {
            return;
        }
        self.act_at = Instant::now() + Duration::from_millis(self.rng.range(PACE / 4, PACE * 2));
        match self.rng.below(100) {
            0..62 => self.say(0),
            62..70 => {
                let (count, long) = (self.rng.range(2, 12), self.rng.below(1_500));
                (0..count).for_each(|_| self.say(long));
            }
            70..75 => self.command(What::Who, "WHO", json!({"type": "who"})),
            75..79 => self.command(What::Ping, "PING", json!({"type": "ping"})),
            79..84 => self.say_malformed(),
            84..86 => self.say_nothing(),
            86..88 => self.leave_and_join_in_one_packet(),
            88..89 => self.command(What::Leave, "LEAVE", json!({"type": "leave"})),
            89..90 => self.command(What::Quit, "QUIT", json!({"type": "quit"})),
            90..92 => {
                self.note("drops");
                self.hang_up();
            }
            92..93 => {
                self.note("opens another connection, and leaves this one open");
                self.former = self.socket.take();
                self.disconnected();
            }
            93..95 => {
                self.note("does not read");
                self.deaf_until = Some(Instant::now() + Duration::from_millis(self.rng.range(300, 3_000)));
                if self.rng.chance(15) {
                    (0..FLOOD).for_each(|_| self.say(LONG));
                }
            }
            _ => {}
        }
    }

    pub fn say(&mut self, long: usize) {
        self.said += 1;
        let more = self.rng.pick(&["", "", " \\u0041 \\n \"quoted\"", " Grüße, 日本語, 🎉", " <b>&amp;</b>\ttab"]);
        self.say_this(&format!("{}{}/{}{more}{}", self.prefix, self.name, self.said, "-".repeat(long)));
    }

    pub fn say_this(&mut self, text: &str) {
        self.command(What::Say(text.to_owned()), &format!("SAY {text}"), json!({"type": "say", "text": text}));
    }

    fn say_nothing(&mut self) {
        if !self.socket.as_mut().is_some_and(Socket::send_nothing) {
            self.hang_up();
        }
    }

    pub fn say_malformed(&mut self) {
        let (code, text) = match self.rng.below(4) {
            0 => ("line_too_long", "x".repeat(5_000)),
            1 => ("bad_text", "a bell \u{7}".to_owned()),
            2 => ("bad_text", " \u{200b} ".to_owned()),
            _ => {
                let (line, json) = ("CREATE_ROOM", json!({"type": "create_room"}));
                return self.command(What::Wrong("already_in_room"), line, json);
            }
        };
        self.command(What::Wrong(code), &format!("SAY {text}"), json!({"type": "say", "text": text}));
    }

    pub fn leave_and_join_in_one_packet(&mut self) {
        let (line, json) = self.join_words("RELAY", "relay");
        let leave = || (What::Leave, "LEAVE".to_owned(), json!({"type": "leave"}));
        let join = || (What::Join, line.clone(), json.clone());
        self.commands(vec![leave(), join(), leave(), join()]);
    }

    pub fn command(&mut self, what: What, line: &str, json: Value) {
        self.commands(vec![(what, line.to_owned(), json)]);
    }

    /// In either encoding, of which it speaks one.
    pub fn commands(&mut self, commands: Vec<(What, String, Value)>) {
        let mut texts = Vec::new();
        for (what, line, mut json) in commands {
            self.last_id += 1;
            json["id"] = json!(self.last_id);
            self.note(&format!("says {what:?} #{}", self.last_id));
            self.pending.push_back(Pending { what, id: self.last_id, turn: Instant::now() });
            texts.push(if self.json { json.to_string() } else { line });
        }
        if !self.socket.as_mut().is_some_and(|socket| socket.send(&texts)) {
            self.note("cannot send");
            self.hang_up();
        }
    }
}
