//! What sets one made-up client apart from the others. No I/O.

use crate::dice::Dice;
use crate::links::{Micros, SECOND};

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
    /// Shows a key with JOIN.
    pub keys: bool,
    /// After so long a silence, in quiet, it asks whether the server is there.
    pub silence: Micros,
    pub dice: Dice,
}

impl Habits {
    pub fn new(number: usize, seed: u64) -> Self {
        let mut dice = Dice::new(seed, &format!("habits {number}"));
        Self {
            most: dice.pick(&[6, 6, 6, 6, 40]),
            deaf: dice.chance(50),
            odd: dice.chance(30),
            hasty: dice.chance(15),
            liar: dice.chance(20),
            keys: dice.chance(40),
            silence: dice.pick(&[2, 20]) * SECOND,
            dice,
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
            silence: 2 * SECOND,
            dice: Dice::new(0, "none"),
        }
    }
}
