//! What one client has heard of a room, and whether that can be so: invariants I1, I2 and I6 from the outside. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use crate::wire::Joined;

/// A failed check: which invariant, and what was seen.
pub type Verdict = Result<(), (&'static str, String)>;

/// One thing in a lines client's stay in a room; lines have no numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    Text(String),
    Missed(Option<u64>),
    Moved,
    /// It has not asked for events.
    NoEvents,
}

/// A JSON client's place in the room's count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub timeline: String,
    /// `None`: wherever the replay starts.
    pub seq: Option<u64>,
}

/// One client's stay in a room.
#[derive(Debug, Default)]
pub struct History {
    pub place: Option<Place>,
    /// Messages that it was told it would not get.
    pub missed: u64,
    /// Any number of messages may be missing before the next.
    pub unknown: bool,
    /// Up to here `missed` counts.
    pub until: u64,
    /// Timelines that it has left for another.
    left: BTreeSet<String>,
    /// Where it came in: what was said there up to this number is not for it.
    came: Option<(String, u64)>,
    texts: BTreeSet<String>,
    /// Lines only.
    pub items: Vec<Item>,
}

impl History {
    /// JOINED. `last`: what the client said that it had heard, if it said something.
    pub fn joined(&mut self, joined: &Joined, said: bool) -> Verdict {
        let Some((timeline, seq)) = &joined.place else {
            return Ok(());
        };
        let same = self.place.as_ref().is_some_and(|place| place.timeline == *timeline);
        self.until = *seq;
        self.unknown = false;
        self.missed = 0;
        match (joined.resumed, joined.missed.flatten()) {
            (true, Some(missed)) if said && same => {
                self.missed = missed;
                let known = self.place.as_ref().and_then(|place| place.seq);
                if known.is_some_and(|known| known + missed > *seq) {
                    return Err(("I2", format!("resumed at {seq} with {missed} missed after {known:?}")));
                }
                Ok(())
            }
            (true, Some(_)) if said => {
                Err(("I2", format!("resumed in another timeline, {timeline}, and told what was missed")))
            }
            (true, Some(_)) => {
                self.arrive(timeline, None);
                self.missed = 0;
                Ok(())
            }
            (true, None) if said && same => {
                Err(("I2", "resumed in the same timeline, and not told what was missed".into()))
            }
            (true, None) => {
                // All that the new timeline has comes next, from wherever it is kept.
                self.arrive(timeline, None);
                self.unknown = true;
                self.left.clear();
                Ok(())
            }
            _ => {
                // Another connection may reach an owner that is cut off, and its older timeline.
                self.came = Some((timeline.clone(), *seq));
                self.arrive(timeline, Some(*seq));
                self.left.clear();
                Ok(())
            }
        }
    }

    /// Whether it had left this timeline before.
    fn arrive(&mut self, timeline: &str, seq: Option<u64>) -> bool {
        if let Some(old) = self.place.take()
            && old.timeline != timeline
        {
            self.left.insert(old.timeline);
        }
        self.place = Some(Place { timeline: timeline.to_owned(), seq });
        self.left.contains(timeline)
    }

    pub fn moved(&mut self, place: Option<(String, u64)>) -> Verdict {
        let Some((timeline, seq)) = place else {
            self.items.push(Item::Moved);
            return Ok(());
        };
        if self.place.as_ref().is_some_and(|place| place.timeline == timeline) {
            self.until = seq;
            return Ok(());
        }
        self.missed = 0;
        self.unknown = false;
        if self.arrive(&timeline, Some(seq)) {
            Err(("I4", format!("moved back to timeline {timeline}")))
        } else {
            Ok(())
        }
    }

    pub fn missed(&mut self, count: Option<u64>) {
        self.items.push(Item::Missed(count));
        match count {
            Some(count) => self.missed += count,
            None => self.unknown = true,
        }
    }

    pub fn message(&mut self, seq: Option<u64>, text: &str) -> Verdict {
        if !self.texts.insert(text.to_owned()) {
            return Err(("I2", format!("{text:.20} came twice")));
        }
        let (Some(seq), Some(place)) = (seq, &mut self.place) else {
            self.items.push(Item::Text(text.to_owned()));
            return Ok(());
        };
        if let Some((timeline, came)) = self.came.as_ref().filter(|(timeline, _)| *timeline == place.timeline)
            && seq <= *came
        {
            return Err(("I2", format!("number {seq} of {timeline} was said before it came in after {came}")));
        }
        if let Some(last) = place.seq {
            if seq <= last {
                return Err(("I1", format!("{text:.20} has number {seq} and comes after number {last}")));
            }
            let gap = seq - last - 1;
            if gap > self.missed && !self.unknown {
                return Err((
                    "I2",
                    format!("number {seq} comes after number {last}, with {} told missing", self.missed),
                ));
            }
            self.missed = self.missed.saturating_sub(gap);
        } else if seq > self.until + 1 + self.missed && !self.unknown {
            return Err(("I2", format!("number {seq} comes first after JOINED at {}", self.until)));
        } else {
            self.missed = 0;
        }
        if seq > self.until && self.missed > 0 && !self.unknown {
            return Err(("I2", format!("{} more were told missing than are, before number {seq}", self.missed)));
        }
        self.unknown = false;
        place.seq = Some(seq);
        Ok(())
    }

    /// It says that it has heard something else than it has: so it is told things again.
    pub fn lies(&mut self) {
        self.texts.clear();
    }

    /// For a client that takes over from another one.
    pub fn copy_of(&self) -> Self {
        Self {
            place: self.place.clone(),
            left: self.left.clone(),
            came: self.came.clone(),
            texts: self.texts.clone(),
            ..Self::default()
        }
    }
}

/// Everything that was said, wherever: (timeline, number) and text belong to each other one to one.
#[derive(Debug, Default)]
pub struct Transcript {
    pub by_place: BTreeMap<(String, u64), String>,
    pub by_text: BTreeMap<String, (String, u64)>,
    /// What was sent as an event, which only some lines clients hear.
    pub events: BTreeSet<String>,
}

impl Transcript {
    pub fn heard(&mut self, timeline: &str, seq: u64, text: &str) -> Verdict {
        let place = (timeline.to_owned(), seq);
        let there = self.by_place.entry(place.clone()).or_insert_with(|| text.to_owned());
        if there != text {
            return Err(("I1", format!("number {seq} of {timeline} is both {there:.20} and {text:.20}")));
        }
        let known = self.by_text.entry(text.to_owned()).or_insert_with(|| place.clone());
        if *known != place {
            return Err(("I6", format!("{text:.20} was delivered twice: as {known:?} and {place:?}")));
        }
        Ok(())
    }

    pub fn at(&self, timeline: &str, seq: u64) -> Option<&str> {
        self.by_place.get(&(timeline.to_owned(), seq)).map(String::as_str)
    }

    /// Whether a lines client's stay fits what JSON clients have heard of the same messages.
    pub fn check_lines(&self, items: &[Item]) -> Verdict {
        let mut last: Option<&(String, u64)> = None;
        let (mut between, mut told, mut moved) = (0, Some(0), false);
        let hears_events = !items.contains(&Item::NoEvents);
        // What nobody has heard may have been an event.
        let unheard = |timeline: &str, seq: &u64| self.at(timeline, *seq).is_none_or(|text| self.events.contains(text));
        for item in items {
            match item {
                Item::NoEvents => {}
                Item::Moved => moved = true,
                Item::Missed(count) => told = told.zip(*count).map(|(told, count)| told + count),
                Item::Text(text) => {
                    let Some(place) = self.by_text.get(text) else {
                        between += 1;
                        continue;
                    };
                    if let Some(last) = last {
                        if last.0 != place.0 && !moved {
                            return Err(("I2", format!("{text:.20} is of another timeline, and nobody said MOVED")));
                        }
                        if last.0 == place.0 && place.1 <= last.1 {
                            return Err(("I1", format!("{text:.20} ({}) came after {}, in lines", place.1, last.1)));
                        }
                        let passed = |seq: &u64| !hears_events && unheard(&place.0, seq);
                        if last.0 == place.0
                            && let Some(told) = told
                            && (last.1 + 1..place.1).filter(|seq| !passed(seq)).count() as u64 > between + told
                        {
                            return Err(("I2", format!("lines: {text:.20} ({}) came after {}", place.1, last.1)));
                        }
                    }
                    last = Some(place);
                    (between, told, moved) = (0, Some(0), false);
                }
            }
        }
        Ok(())
    }
}
