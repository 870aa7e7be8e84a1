//! What sets one simulated client apart from the others. No I/O.

use crate::links::{Micros, SECOND};
use crate::rng::Rng;

/// Drawn apart, so that a new habit alters nothing of what else a client draws.
#[derive(Debug)]
pub struct Habits {
    /// Commands that may be under way.
    pub most: usize,
    /// Goes on speaking while it does not read.
    pub deaf: bool,
    /// Says what people rarely say.
    pub odd: bool,
    /// Joins, leaves and joins again in one packet.
    pub hasty: bool,
    /// Says that it has heard more or less than it has.
    pub liar: bool,
    /// Sends events as well.
    pub sends: bool,
    /// By lines, it wants to hear them.
    pub events: bool,
    /// Shows a key with JOIN.
    pub keys: bool,
    /// After so long a silence, in quiet, it asks whether the server is there.
    pub silence: Micros,
    pub rng: Rng,
}

impl Habits {
    pub fn new(number: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed, &format!("habits {number}"));
        Self {
            most: rng.pick(&[6, 6, 6, 6, 40]),
            deaf: rng.chance(50),
            odd: rng.chance(30),
            hasty: rng.chance(15),
            liar: rng.chance(20),
            keys: rng.chance(40),
            silence: rng.pick(&[2, 20]) * SECOND,
            sends: rng.chance(50),
            events: rng.chance(70),
            rng,
        }
    }

    /// None at all: for clients that are made to find something out.
    pub fn none() -> Self {
        Self {
            most: 6,
            deaf: false,
            odd: false,
            hasty: false,
            liar: false,
            keys: false,
            sends: false,
            events: false,
            silence: 2 * SECOND,
            rng: Rng::new(0, "none"),
        }
    }
}
