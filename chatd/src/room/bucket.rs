//! How much a client may send, and how often it may be wrong. Pure: no I/O.

use crate::protocol::ErrorCode;

/// How many lines a player may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that the bucket gains a second.
    pub per_second: u32,
    /// The most tokens that the bucket holds.
    pub burst: u32,
}

impl Rate {
    /// A bucket that nothing was taken from, at `now` ms.
    pub fn full(self, now: u64) -> Bucket {
        Bucket::new(self.per_second, self.burst, now)
    }
}

/// What is left of a player's rate, in thousandths of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    rate: Rate,
    level: u64,
    filled_at: u64,
}

impl Bucket {
    /// A full one, at `now` ms.
    pub fn new(per_second: u32, burst: u32, now: u64) -> Self {
        Self { rate: Rate { per_second, burst }, level: u64::from(burst) * 1000, filled_at: now }
    }

    /// Takes one line's worth; `Err`: empty, with the milliseconds until there is one again.
    pub fn take(&mut self, now: u64) -> Result<(), u64> {
        let rate = u64::from(self.rate.per_second);
        let gained = now.saturating_sub(self.filled_at).saturating_mul(rate);
        self.level = self.level.saturating_add(gained).min(u64::from(self.rate.burst) * 1000);
        self.filled_at = self.filled_at.max(now);
        if self.level >= 1000 {
            self.level -= 1000;
            Ok(())
        } else {
            Err((1000 - self.level).div_ceil(rate.max(1)))
        }
    }
}

/// Counts what a client gets wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Strikes {
    bad_commands: u8,
    limited: u8,
    limited_since: u64,
}

/// Unknown commands in a row that close a connection (docs/protocol.md, Limits).
const BAD_COMMANDS: u8 = 10;
/// Refusals for speed within a minute that close a connection (docs/protocol.md, Limits).
const LIMITED: u8 = 100;

impl Strikes {
    /// Notes the first outcome of who has none yet. Returns what there is to keep of it, and whether enough is enough.
    pub fn first(outcome: Result<(), ErrorCode>, now: u64) -> (Option<Self>, bool) {
        let mut strikes = Self::default();
        let enough = strikes.note(outcome, now);
        ((strikes != Self::default()).then_some(strikes), enough)
    }

    /// Another connection begins: what is wrong in a row is so on one connection.
    pub fn reconnected(&mut self) {
        self.bad_commands = 0;
    }

    /// Notes the outcome of a command. True: enough is enough.
    pub fn note(&mut self, outcome: Result<(), ErrorCode>, now: u64) -> bool {
        match outcome {
            Err(ErrorCode::BadCommand) => {
                self.bad_commands = self.bad_commands.saturating_add(1);
                self.bad_commands >= BAD_COMMANDS
            }
            Err(ErrorCode::RateLimited) => {
                if now.saturating_sub(self.limited_since) > 60_000 {
                    self.limited = 0;
                    self.limited_since = now;
                }
                self.limited = self.limited.saturating_add(1);
                self.limited >= LIMITED
            }
            _ => {
                self.bad_commands = 0;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_burst_then_the_rate() {
        let mut bucket = Bucket::new(10, 20, 0);
        assert!((0..20).all(|_| bucket.take(0).is_ok()));
        assert_eq!(bucket.take(0), Err(100));
        assert_eq!(bucket.take(99), Err(1));
        assert_eq!(bucket.take(100), Ok(()));
        assert_eq!(bucket.take(100), Err(100));
    }

    #[test]
    fn never_holds_more_than_the_burst() {
        let mut bucket = Bucket::new(10, 20, 0);
        assert!((0..20).all(|_| bucket.take(1_000_000).is_ok()));
        assert!(bucket.take(1_000_000).is_err());
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = Bucket::new(10, 1, 1000);
        assert!(bucket.take(1000).is_ok());
        assert!(bucket.take(0).is_err());
        assert!(bucket.take(1000).is_err());
    }

    #[test]
    fn each_kind_of_strike_counts_for_itself() {
        let mut strikes = Strikes::default();
        let mut limited = |times: u32, now| (0..times).any(|_| strikes.note(Err(ErrorCode::RateLimited), now));
        assert!(!limited(99, 0));
        assert!(limited(1, 60_000));
        assert!(!strikes.note(Err(ErrorCode::BadText), 60_001), "what is wrong with this one closes nothing");
        assert!(!(0..9).any(|_| strikes.note(Err(ErrorCode::BadCommand), 0)));
        assert!(strikes.note(Err(ErrorCode::BadCommand), 0));
        assert!(!strikes.note(Ok(()), 0));
        assert!(!(0..99).any(|_| strikes.note(Err(ErrorCode::RateLimited), 120_001)));
    }
}
