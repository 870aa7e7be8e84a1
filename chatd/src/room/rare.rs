//! What few seats have: most players say nothing of themselves and do nothing wrong. Pure: no I/O.

use super::bucket::{Bucket, Rate, Strikes};
use crate::protocol::ErrorCode;

/// The rate of a seat's events that may be lost (docs/protocol.md, Limits).
const VOLATILE: Rate = Rate { per_second: 20, burst: 20 };

/// See the module's documentation.
#[derive(Debug, Clone, Default)]
pub struct Rare {
    /// What the player says of itself: JSON. It is lost with the owner.
    pub presence: Option<Box<str>>,
    /// Of events that may be lost; `None`: there was none.
    volatile: Option<Bucket>,
    strikes: Strikes,
}

impl Rare {
    /// Of a player that says this of itself.
    pub fn saying(presence: Option<Box<str>>) -> Option<Box<Self>> {
        presence.map(|presence| Box::new(Self { presence: Some(presence), ..Self::default() }))
    }

    /// Of a player that has done this wrong.
    pub fn striking(strikes: Strikes) -> Self {
        Self { strikes, ..Self::default() }
    }

    /// Takes one of the events that may be lost; `Err`: when there is one again (ms).
    pub fn take_volatile(&mut self, now: u64) -> Result<(), u64> {
        self.volatile.get_or_insert_with(|| VOLATILE.full(now)).take(now)
    }

    /// Another connection has the seat.
    pub fn reconnected(&mut self) {
        self.strikes.reconnected();
    }

    /// Notes the outcome of a command. True: enough is enough.
    pub fn note(&mut self, outcome: Result<(), ErrorCode>, now: u64) -> bool {
        self.strikes.note(outcome, now)
    }
}
