//! What clients have heard once it is quiet: all that was answered, also when nothing followed; and what a room keeps. No I/O.

use std::collections::BTreeMap;

use crate::client::{Aim, Client};
use crate::expectations::Expectations;
use crate::history::{History, Item, Transcript};
use crate::links::{Micros, SECOND};
use crate::pod::State;
use crate::world::World;

/// Who still gets messages is not looked at: with a small window it may take long.
const FLOWS: Micros = 3 * SECOND;
/// A room's last messages are kept for 90 s at its owner, which got them a little after they were sent.
const KEPT: Micros = 80 * SECOND;
/// Of all rings of a thread; below it other rooms' messages may push a room's out.
pub const AMPLE: usize = 1024 * 1024;

impl World {
    /// I2, where nothing follows: somebody who stayed has not been given what another was. `None`: all have.
    pub fn left_out(&self) -> Option<String> {
        if self.takeovers_wait() {
            return None;
        }
        let last = self.expected.said.last();
        let stays = |client: &&Client| {
            client.aim == Aim::Live
                && client.reading
                && client.seated.is_some()
                && client.last_message + FLOWS < self.net.now
                && self.pods[client.pod].state == State::Up
        };
        self.clients.iter().filter(stays).find_map(|client| {
            let lacks = client.heard.lacks(&self.expected.said, &last)?;
            Some(format!(
                "client {} has heard nothing after number {} of {}: {} was",
                client.number, lacks.0, lacks.1, lacks.2
            ))
        })
    }
}

impl History {
    /// The number after which something was not heard, of which timeline, and the last one there.
    fn lacks(&self, said: &Transcript, last: &BTreeMap<&str, u64>) -> Option<(u64, String, u64)> {
        let (timeline, heard) = if let Some(place) = &self.place {
            if self.unknown {
                return None;
            }
            (place.timeline.clone(), place.seq.unwrap_or(self.until) + self.missed)
        } else {
            if self.items.contains(&Item::NoEvents) {
                return None;
            }
            // By lines: nothing but texts that others know of came after one that has a number.
            let mut after = 0;
            let known = self.items.iter().rev().find_map(|item| match item {
                Item::Text(text) => match said.place(text) {
                    Some(place) => Some(Some(place)),
                    None => {
                        after += 1;
                        None
                    }
                },
                Item::Missed(_) | Item::Moved | Item::NoEvents => Some(None),
            });
            let (timeline, seq) = known??;
            (timeline.clone(), seq + after)
        };
        let last = *last.get(timeline.as_str())?;
        (last > heard).then_some((heard, timeline, last))
    }
}

impl Transcript {
    pub fn place(&self, text: &str) -> Option<&(String, u64)> {
        self.by_text.get(text)
    }

    /// The highest number that anybody has heard, of each timeline.
    fn last(&self) -> BTreeMap<&str, u64> {
        self.by_place.keys().map(|(timeline, seq)| (timeline.as_str(), *seq)).collect()
    }
}

impl Expectations {
    /// I6: who resumes in the same timeline is told again what its room has to have still, also after a move.
    pub fn check_kept(&mut self, client: usize, now: Micros, place: &(String, u64), heard: u64, missed: u64) {
        let (timeline, last) = place;
        if self.ring_total < AMPLE {
            return;
        }
        let (mut kept, mut bytes) = (0, 0);
        while let Some(seq) = last.checked_sub(kept).filter(|seq| *seq > heard)
            && let Some(text) = self.said.at(timeline, seq)
            && self.sent.get(text).is_some_and(|sent| sent.at + KEPT > now)
        {
            // An event has a kind, and JSON around its text.
            bytes += text.len() + if self.said.events.contains(text) { 30 } else { 0 };
            if bytes > self.ring_bytes || kept >= self.ring_messages as u64 {
                break;
            }
            kept += 1;
        }
        if heard + missed + kept > *last {
            let detail = format!(
                "client {client} resumes after {heard} of {last} in {timeline} and is told that it missed {missed}, while the last {kept} have to be there still"
            );
            self.fail("I6", detail);
        }
    }
}
