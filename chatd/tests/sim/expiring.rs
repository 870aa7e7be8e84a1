//! Rooms that end at a time of their own: nobody is in them after it (I21). No I/O.

use std::collections::BTreeMap;

use crate::client::{Client, Pending, What};
use crate::expectations::Expectations;
use crate::links::{MS, Micros, SECOND};
use crate::rng::Rng;
use crate::seats::SPREADS;

/// The clocks of pods are so far apart at most, where none is moved.
pub const CLOCKS: Micros = 2 * SECOND;
/// What comes so late is late for a pod whose clock is behind.
pub const LATE: Micros = CLOCKS + 100 * MS;
/// Unix seconds at the simulation's zero.
pub const BEGAN: u64 = 1_767_225_600;

/// When rooms end.
#[derive(Debug, Default)]
pub struct Ends {
    rooms: BTreeMap<String, Micros>,
    /// A pod's clock was moved.
    pub clocks_moved: bool,
}

impl Ends {
    /// When a room ends that is made now (whole seconds).
    pub fn draw(rng: &mut Rng, now: Micros) -> u64 {
        now / SECOND + rng.range(5, 45)
    }

    /// What is wrong with a stay that began, or went on, with what was asked then. `since`: when it was over.
    fn over(&self, room: &str, asked: Micros) -> bool {
        !self.clocks_moved && self.rooms.get(room).is_some_and(|end| asked > end + LATE)
    }

    /// Whether the room has such an end, and may have ended.
    pub fn may_have_ended(&self, room: &str, now: Micros) -> bool {
        self.rooms.get(room).is_some_and(|end| self.clocks_moved || now + CLOCKS >= *end)
    }

    pub fn has(&self, room: &str) -> bool {
        self.rooms.contains_key(room)
    }
}

impl Client {
    /// It has made this room. `ends`: when that ends (seconds). From then on nobody may know of it at all.
    pub fn has_made(&mut self, now: Micros, expected: &mut Expectations, room: &str) {
        if let Some(end) = self.makes_until.take() {
            expected.ends.rooms.insert(room.to_owned(), end * SECOND);
            expected.closed.entry(room.to_owned()).or_insert(now);
        }
    }

    /// It comes into a room by something that it asked then.
    pub fn check_end(&self, expected: &mut Expectations, room: &str, asked: Micros) {
        if expected.ends.over(room, asked) {
            expected.fail("I21", format!("client {} comes into {room}, whose time is over", self.number));
        }
    }

    /// What it has asked in its room is answered.
    pub fn check_over(&self, expected: &mut Expectations, asked: &Pending) {
        let Some((room, _)) = self.seated.as_ref().filter(|_| asked.what.is_of_members()) else {
            return;
        };
        // Who goes on after a pause hears what has waited before it looks at its clock.
        let is_calm = expected.certain_since().is_some_and(|since| since + SPREADS < asked.at);
        if is_calm && expected.ends.over(room, asked.at) {
            let detail = format!("client {}: {:?} is answered in {room}, whose time is over", self.number, asked.what);
            expected.fail("I21", detail);
        }
    }

    /// JOIN is refused.
    pub fn check_end_refused(&self, expected: &mut Expectations, asked: &Pending, code: &str) {
        let Some((room, _)) = expected.seats.asked_for(self.number, asked.id) else {
            return;
        };
        if matches!(code, "room_full" | "room_locked" | "name_taken" | "banned") && expected.ends.over(&room, asked.at)
        {
            expected.fail("I21", format!("client {} hears {code} of {room}, whose time is over", self.number));
        }
    }
}

impl What {
    /// Its answer shows that who asked is in a room.
    pub fn is_of_members(&self) -> bool {
        matches!(self, What::Say(_) | What::Send(_) | What::Who | What::Set | What::State(..))
    }
}
