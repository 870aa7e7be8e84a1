//! What the players of a load run share: its phase, their rooms, and what they counted. No I/O.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::ledger::Ledger;

/// What all players do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Enter,
    Talk,
    /// Players send nothing more, and read what is in flight.
    Listen,
    End,
}

/// A room of the run.
pub struct Room {
    /// Once its first player has created it.
    pub id: watch::Sender<Option<String>>,
    pub ledger: Mutex<Ledger>,
    /// The number of its first player among all.
    pub first_player: usize,
}

/// What all players together met.
#[derive(Default)]
pub struct Tally(Mutex<Figures>);

/// Round trips by their length in tenths of a millisecond: a run of hours takes no more memory than one of minutes.
#[derive(Clone, Debug, Default)]
pub struct Trips(BTreeMap<u32, u64>);

impl Trips {
    pub fn add(&mut self, trip: Duration) {
        let tenths = (trip.as_micros() + 50) / 100;
        *self.0.entry(u32::try_from(tenths).unwrap_or(u32::MAX)).or_default() += 1;
    }

    /// The median, the 99th percentile and the longest, in milliseconds.
    pub fn percentiles(&self) -> [f64; 3] {
        let all: u64 = self.0.values().sum();
        [50, 99, 100].map(|percent| {
            let rank = (all * percent).div_ceil(100);
            let mut passed = 0;
            let found = self.0.iter().find(|(_, count)| {
                passed += **count;
                passed >= rank
            });
            found.map_or(0.0, |(tenths, _)| f64::from(*tenths) / 10.0)
        })
    }
}

/// What was counted so far.
#[derive(Clone, Default)]
pub struct Figures {
    pub inside: Vec<bool>,
    pub said: u64,
    pub heard: u64,
    pub resumed: u64,
    pub moved: u64,
    pub lost_seats: u64,
    pub trips: Trips,
    pub notes: BTreeMap<String, u64>,
}

impl Tally {
    /// The counts, to read or to set up.
    pub fn figures(&self) -> MutexGuard<'_, Figures> {
        // No panic can leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn enters(&self, player: usize) {
        self.figures().inside[player] = true;
    }

    pub fn leaves(&self, player: usize) {
        self.figures().inside[player] = false;
    }

    pub fn said(&self) {
        self.figures().said += 1;
    }

    pub fn heard(&self) {
        self.figures().heard += 1;
    }

    pub fn answered(&self, trip: Duration) {
        self.figures().trips.add(trip);
    }

    pub fn resumed(&self) {
        self.figures().resumed += 1;
    }

    pub fn moved(&self) {
        self.figures().moved += 1;
    }

    pub fn lost_seat(&self) {
        self.figures().lost_seats += 1;
    }

    /// Why a connection ended, or what was refused.
    pub fn note(&self, what: &str) {
        *self.figures().notes.entry(what.to_owned()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let percentiles = |trips: &mut dyn Iterator<Item = u64>| {
            let mut all = Trips::default();
            trips.for_each(|trip| all.add(Duration::from_micros(trip)));
            all.percentiles().map(|trip| format!("{trip}"))
        };
        assert_eq!(percentiles(&mut (1..=200).map(|trip| trip * 1000)), ["100", "198", "200"]);
        assert_eq!(percentiles(&mut [3_000, 3_000, 4_160].into_iter()), ["3", "4.2", "4.2"]);
        assert_eq!(percentiles(&mut std::iter::empty()), ["0", "0", "0"]);
    }
}
