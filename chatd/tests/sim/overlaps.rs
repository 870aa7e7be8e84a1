//! Two owners of one room that deliver at one time, as clients hear it: what was said and heard when shows the order (I3). No I/O.

use std::collections::{BTreeMap, VecDeque};

use crate::expectations::Expectations;
use crate::links::{MS, Micros, SECOND};

/// How long a pod may go on with a room after it could have known better, and what the network adds.
pub const YIELDS: Micros = 5 * SECOND + 500 * MS;
/// The same, after the store was emptied or rolled back.
pub const YIELDS_AFTER_LOSS: Micros = 35 * SECOND + 500 * MS;
/// How many messages of a timeline are remembered that came after another one had begun.
const REMEMBERED: usize = 64;

/// A message was delivered after it was said and before it was heard.
#[derive(Debug, Clone, Copy)]
struct Delivered {
    said: Micros,
    heard: Micros,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Overlaps {
    /// Of each room: when something of each of its timelines was first heard.
    begun: BTreeMap<String, BTreeMap<String, Micros>>,
    /// By two timelines of a room: what was said in the second after something of the first had been heard.
    after: BTreeMap<(String, String), VecDeque<Delivered>>,
}

impl Overlaps {
    /// The other timelines of the room in which something was delivered between two messages of this one, the second of which is
    /// heard now; each with when that was said.
    fn heard(&mut self, room: &str, timeline: &str, said: Micros, heard: Micros) -> Vec<(String, Micros)> {
        let timelines = self.begun.entry(room.to_owned()).or_default();
        timelines.entry(timeline.to_owned()).or_insert(heard);
        let mut between = Vec::new();
        for (other, begun) in timelines.iter().filter(|(other, _)| *other != timeline) {
            let since = self.after.get(&(timeline.to_owned(), other.clone()));
            let last = since.and_then(|since| since.iter().rfind(|delivered| delivered.heard < said));
            between.extend(last.map(|delivered| (other.clone(), delivered.said)));
            if *begun < said {
                let after = self.after.entry((other.clone(), timeline.to_owned())).or_default();
                after.push_back(Delivered { said, heard });
                if after.len() > REMEMBERED {
                    after.pop_front();
                }
            }
        }
        between
    }
}

impl Expectations {
    /// I3: a message of a room, as it is heard.
    pub fn delivered(&mut self, now: Micros, room: &str, timeline: &str, text: &str) {
        let Some(said) = self.sent.get(text).map(|sent| sent.at) else {
            return;
        };
        let between = self.overlaps.heard(room, timeline, said, now);
        let Some(since) = self.directory_since() else {
            return;
        };
        let until = (since + YIELDS).max(self.went_back.map_or(0, |when| since.max(when) + YIELDS_AFTER_LOSS));
        if let Some((other, at)) = between.into_iter().find(|(_, at)| said.min(*at) > until) {
            let [said, at] = [said, at].map(|at| at as f64 / 1e6);
            let detail = format!(
                "{room} has two owners: {timeline}, where {text:.20} of {said:.3} is heard, and {other}, since {at:.3}"
            );
            self.fail("I3 heard", detail);
        }
    }
}
