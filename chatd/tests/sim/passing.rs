//! What a simulated client makes of an event without a number. No I/O.

use crate::client::{Client, What};
use crate::expectations::Expectations;
use crate::links::Net;

impl Client {
    /// An event without a number.
    pub fn passed(
        &mut self,
        net: &Net,
        expected: &mut Expectations,
        id: Option<u64>,
        (from, text): (&str, &str),
        to: Option<Vec<String>>,
        reached: Option<Vec<String>>,
    ) {
        let Some((room, name)) = self.seated.clone() else {
            return;
        };
        if self.json && id != expected.ids.get(text).copied() {
            expected.fail("I7", format!("client {}: {text} has #{id:?}, which is not its sender's", self.number));
        }
        let sent = What::Send(text.to_owned());
        let front = self.pending.front();
        if self.json && name == from && front.is_some_and(|front| front.what == sent && id == Some(front.id)) {
            self.reply(net, expected, &sent, id);
        } else if self.json && name == from && self.pending.iter().any(|asked| Some(asked.id) == id) {
            expected.fail("I7", format!("client {}: {text} comes with #{id:?}, out of order", self.number));
        }
        if !self.passed.insert(text.to_owned()) {
            expected.fail("I17", format!("client {} hears {text} twice", self.number));
        }
        let to = if self.json { Some(to) } else { None };
        expected.passed(self.number, (&room, &name), (from, text), to, reached);
    }
}
