//! What a simulated client says that people rarely say: lines that are too long, empty, escaped, or no text. No I/O.

use crate::client::{Client, What};
use crate::expectations::Expectations;
use crate::links::Net;

/// What a line is refused with.
const BAD: &str = "bad_text";
const LONG: &str = "line_too_long";

impl Client {
    pub fn say_malformed(&mut self, net: &mut Net, expected: &mut Expectations) {
        self.texts += 1;
        let own = format!("{}.{}", self.number, self.texts);
        match self.habits.rng.below(12) {
            0 => self.say_as(net, expected, &own, format!("{own} caf\u{e9} \u{1f600}"), None),
            1 => self.say_as(net, expected, &own, format!("{own}\t\"quoted\" \\n \\u0041"), None),
            // Of what would turn the reading order nothing is left.
            2 => self.say_as(net, expected, &own, format!("{own} \u{202e}abc\u{2066}d"), Some(format!("{own} abcd"))),
            3 => self.say_as(net, expected, &own, format!(" {own}  LEAVE"), None),
            4 => {
                let more = if self.json { "\nMSG eve 1.1\n" } else { "" };
                self.say_as(net, expected, &own, format!("WHO {own}{more}"), None);
            }
            5 => {
                let text = format!("{own}{}", "-".repeat(4_000 - own.len()));
                self.say_as(net, expected, &own, text, None);
            }
            6 => self.say_wrong(net, BAD, format!("{own}\u{7}bell").as_bytes()),
            7 => self.say_wrong(net, BAD, format!("{own}\u{2028}next").as_bytes()),
            8 => self.say_wrong(net, BAD, "  \u{200b} ".as_bytes()),
            9 => self.say_wrong(net, BAD, b"half \xf0\x9f"),
            10 => {
                let length = self.habits.rng.pick(&[4_001, 4_090, 4_097, 9_000, 30_000]);
                self.say_wrong(net, LONG, "x".repeat(length).as_bytes());
            }
            _ if self.json => self.say_wrong(net, LONG, "y".repeat(33_000).as_bytes()),
            _ => {
                // Empty lines are no commands.
                self.packet.extend_from_slice(b"\n\r\n\n");
                self.flush(net);
            }
        }
    }

    /// `heard`: what the others hear, if that is not the same.
    fn say_as(&mut self, net: &mut Net, expected: &mut Expectations, own: &str, text: String, heard: Option<String>) {
        let heard = heard.unwrap_or_else(|| text.clone());
        if let Some((_, name)) = &self.seated {
            expected.sent(net.now, &heard, name);
        }
        net.note(|| format!("client {} says {own} in an odd way", self.number));
        if self.json {
            expected.ids.insert(heard.clone(), self.last_id + 1);
            let words = self.say_json(&escaped(&text));
            self.command_in(net, What::Say(heard), words.as_bytes());
        } else {
            let said = self.habits.rng.chance(50);
            let line = if said { format!("SAY {text}") } else { text };
            self.command_in(net, What::Say(heard), line.as_bytes());
        }
    }

    fn say_wrong(&mut self, net: &mut Net, code: &'static str, text: &[u8]) {
        if self.json {
            // What is not UTF-8 does not come so far in a WebSocket; half of a surrogate pair does.
            let text = String::from_utf8_lossy(text).replace('\u{fffd}', "\\ud83d").replace('\u{7}', "\\u0007");
            let words = self.say_json(&text);
            self.command_in(net, What::Wrong(code), words.as_bytes());
        } else {
            self.command_in(net, What::Wrong(code), &[b"SAY ", text].concat());
        }
    }

    fn say_json(&self, escaped: &str) -> String {
        format!(r#"{{"type":"say","id":{},"text":"{escaped}"}}"#, self.last_id + 1)
    }
}

/// All of it in JSON's escapes.
fn escaped(text: &str) -> String {
    text.encode_utf16().fold(String::new(), |escaped, unit| escaped + &format!("\\u{unit:04x}"))
}
