//! The limits of one client: commands, created and missed rooms, successive errors (docs/protocol.md, Limits). Pure: no I/O.

use crate::protocol::{Command, ErrorCode};
use crate::room::{Bucket, Strikes};

/// The reason why a command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub code: ErrorCode,
    /// When to retry (ms).
    pub retry_after: Option<u64>,
}

/// The verdict on a command; whether it was the client's last error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub refusal: Option<Refusal>,
    pub ends: bool,
}

/// What few clients have: most create no room and do nothing wrong.
#[derive(Debug, Default)]
struct Rare {
    /// `None`: it has created none.
    creations: Option<Bucket>,
    strikes: Strikes,
    misses: u32,
    /// The end of its address's rate limit (ms).
    limited_until: u64,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct ClientLimits {
    /// Applies until a seat's own bucket does.
    commands: Bucket,
    rare: Option<Box<Rare>>,
    /// Its misses and creations count for its address.
    pub metered: bool,
}

impl ClientLimits {
    pub fn new(commands: Bucket) -> Self {
        Self { commands, rare: None, metered: false }
    }

    /// The rate limit of its address ends at `until` (ms); 0: there is none.
    pub fn limited(&mut self, until: u64) {
        self.rare.get_or_insert_default().limited_until = until;
    }

    /// Notes the outcome of a command. True: it was one error too many.
    fn note(&mut self, outcome: Result<(), ErrorCode>, now: u64) -> bool {
        if let Some(rare) = &mut self.rare {
            return rare.strikes.note(outcome, now);
        }
        let (strikes, ends) = Strikes::first(outcome, now);
        self.rare = strikes.map(|strikes| Box::new(Rare { strikes, ..Rare::default() }));
        ends
    }

    /// In a room the seat's bucket decides. This one keeps counting, so that leaving and joining brings no new burst. `command`: if it is one.
    pub fn count(&mut self, now: u64, command: Option<&Command<'_>>) {
        if !command.is_some_and(Command::is_volatile) {
            let _ = self.commands.take(now);
        }
    }

    /// Charges a command outside a room. `command`: its error, if it has one.
    pub fn command(&mut self, now: u64, command: Result<(), ErrorCode>) -> Verdict {
        let outcome = match self.commands.take(now) {
            Ok(()) => command.map_err(|code| Refusal { code, retry_after: None }),
            Err(wait) => Err(Refusal { code: ErrorCode::RateLimited, retry_after: Some(wait) }),
        };
        let ends = self.note(outcome.map_err(|refusal| refusal.code), now);
        Verdict { refusal: outcome.err(), ends }
    }

    /// An empty line, or a frame without a message, costs as much as a command; over the limit it is ignored.
    pub fn frame(&mut self, now: u64) -> Verdict {
        let refusal = self.commands.take(now).err();
        let refusal = refusal.map(|wait| Refusal { code: ErrorCode::RateLimited, retry_after: Some(wait) });
        let ends = refusal.is_some_and(|refusal| self.note(Err(refusal.code), now));
        Verdict { refusal, ends }
    }

    /// Charges a command that creates or enters a room.
    pub fn entry(&mut self, now: u64, command: &Command<'_>) -> Verdict {
        let refused = |wait, ends| {
            let refusal = Refusal { code: ErrorCode::RateLimited, retry_after: Some(wait) };
            Verdict { refusal: Some(refusal), ends }
        };
        let by_address = self.rare.as_ref().map_or(0, |rare| rare.limited_until).saturating_sub(now);
        match command {
            Command::CreateRoom { .. } | Command::Join { .. } | Command::Resume { .. } if by_address > 0 => {
                refused(by_address, false)
            }
            Command::CreateRoom { .. } => match self.make_by_name(now) {
                Ok(()) => Verdict { refusal: None, ends: false },
                Err(wait) => refused(wait, self.note(Err(ErrorCode::RateLimited), now)),
            },
            _ => Verdict { refusal: None, ends: false },
        }
    }

    /// Charges the creation of a room that the client enters by name. `Err`: when it has one again (ms).
    pub fn make_by_name(&mut self, now: u64) -> Result<(), u64> {
        let rare = self.rare.get_or_insert_default();
        rare.creations.get_or_insert_with(|| crate::limits::creations(now)).take(now)
    }

    /// When the client may make a room again (ms); `None`: now.
    pub fn makes_again_in(&self, now: u64) -> Option<u64> {
        let mut creations = self.rare.as_ref()?.creations?;
        creations.take(now).err()
    }

    /// Counts a JOIN or RESUME of an unknown room. True: one too many.
    pub fn miss(&mut self, most: u32) -> bool {
        let rare = self.rare.get_or_insert_default();
        rare.misses += 1;
        rare.misses >= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(burst: u32) -> ClientLimits {
        ClientLimits::new(Bucket::new(1, burst, 0))
    }

    #[test]
    fn commands_beyond_the_burst_get_a_retry_time() {
        let mut limits = limits(2);
        limits.count(0, None);
        assert_eq!(limits.command(0, Ok(())), Verdict { refusal: None, ends: false });
        let refusal = Refusal { code: ErrorCode::RateLimited, retry_after: Some(1_000) };
        assert_eq!(limits.command(0, Ok(())).refusal, Some(refusal));
        assert_eq!(limits.frame(0).refusal, Some(refusal));
        assert_eq!(limits.command(1_000, Ok(())).refusal, None);
    }

    #[test]
    fn mistakes_in_a_row_end_a_connection_and_a_right_command_forgives_them() {
        let wrong = Err(ErrorCode::BadCommand);
        let until_end = |limits: &mut ClientLimits| (1..100).find(|_| limits.command(0, wrong).ends);
        let most = until_end(&mut limits(100));
        assert!(most.is_some_and(|most| most > 2), "{most:?}");
        let mut limits = limits(100);
        for _ in 1..most.unwrap_or_default() {
            assert!(!limits.command(0, wrong).ends);
        }
        limits.command(0, Ok(()));
        assert_eq!(until_end(&mut limits), most);
    }

    #[test]
    fn an_address_that_is_limited_enters_no_room_and_may_do_all_else() {
        let mut limits = limits(100);
        limits.limited(500);
        let refused = |limits: &mut ClientLimits, now, command| limits.entry(now, &command).refusal;
        let wait =
            refused(&mut limits, 100, Command::CreateRoom { auth: None }).and_then(|refusal| refusal.retry_after);
        assert_eq!(wait, Some(400));
        assert_eq!(refused(&mut limits, 100, Command::Ping), None);
        assert_eq!(refused(&mut limits, 500, Command::CreateRoom { auth: None }), None);
    }

    #[test]
    fn the_last_miss_is_one_too_many() {
        let mut limits = limits(100);
        assert_eq!([(); 3].map(|()| limits.miss(3)), [false, false, true]);
    }
}
