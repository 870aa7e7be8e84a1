//! What an attempt to deliver an event comes to, and how long to wait for the next one. Pure: no I/O.

use jiff::fmt::rfc2822::DateTimeParser;

/// The longest wait between two attempts (ms), also where the receiver asks for a longer one.
pub const LONGEST_WAIT: u64 = 60_000;
/// The wait after the first failed attempt (ms); half of it at least.
const FIRST_WAIT: u64 = 1_000;

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A status of 200 to 299.
    Delivered,
    /// Any other status, or none.
    Failed {
        /// How long the receiver asks to wait (ms).
        retry_after: Option<u64>,
        /// It concerns every room: the receiver is too busy, or not there.
        all: bool,
    },
    /// 410: the receiver wants no more events.
    Gone,
}

impl Outcome {
    /// No answer: no connection, a broken one, or a timeout.
    pub const NO_ANSWER: Self = Self::Failed { retry_after: None, all: true };

    /// Of an answer. `retry_after`: the header's value; `wall`: the time (Unix ms).
    pub fn of_answer(status: u16, retry_after: Option<&str>, wall: u64) -> Self {
        match status {
            200..=299 => Self::Delivered,
            410 => Self::Gone,
            _ => {
                let retry_after = retry_after.and_then(|value| wait(value, wall));
                Self::Failed { retry_after, all: matches!(status, 429 | 502 | 503 | 504) }
            }
        }
    }
}

/// What Retry-After asks for: seconds, or a date.
fn wait(value: &str, wall: u64) -> Option<u64> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(seconds.saturating_mul(1_000).min(LONGEST_WAIT));
    }
    let date = DateTimeParser::new().parse_timestamp(value.trim()).ok()?;
    let date = u64::try_from(date.as_millisecond()).unwrap_or(0);
    Some(date.saturating_sub(wall).min(LONGEST_WAIT))
}

/// The wait after this many failed attempts (ms): twice as long each time, from half of it on, so that rooms that failed together are not
/// tried together.
pub fn backoff(failed: u32, random: u64) -> u64 {
    let whole = FIRST_WAIT.saturating_mul(1 << failed.saturating_sub(1).min(16)).min(LONGEST_WAIT);
    whole / 2 + random % (whole / 2 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_by_their_status() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let wall = 784_111_777_000;
        let failed = |retry_after, all| Outcome::Failed { retry_after, all };
        for (status, header, outcome) in [
            (200, None, Outcome::Delivered),
            (204, Some("60"), Outcome::Delivered),
            (301, None, failed(None, false)),
            (400, None, failed(None, false)),
            (401, None, failed(None, false)),
            (404, Some("5"), failed(Some(5_000), false)),
            (408, None, failed(None, false)),
            (410, None, Outcome::Gone),
            (429, Some("7"), failed(Some(7_000), true)),
            (429, Some("nonsense"), failed(None, true)),
            (500, None, failed(None, false)),
            (502, None, failed(None, true)),
            (503, Some("99999999999"), failed(Some(LONGEST_WAIT), true)),
            (503, Some("-1"), failed(None, true)),
            (503, Some("Sun, 06 Nov 1994 08:49:47 GMT"), failed(Some(10_000), true)),
            (503, Some("Sun, 06 Nov 1994 07:49:37 GMT"), failed(Some(0), true)),
            (504, Some("Sat, 06 Nov 2094 08:49:37 GMT"), failed(Some(LONGEST_WAIT), true)),
        ] {
            assert_eq!(Outcome::of_answer(status, header, wall), outcome, "{status} {header:?}");
        }
    }

    #[test]
    fn waits_double_up_to_a_minute() {
        let range = |failed| (backoff(failed, 0), (0..100_000).map(|random| backoff(failed, random)).max());
        assert_eq!(range(1), (500, Some(1_000)));
        assert_eq!(range(2), (1_000, Some(2_000)));
        assert_eq!(range(7), (30_000, Some(60_000)));
        assert_eq!(range(u32::MAX), (30_000, Some(60_000)));
        assert_eq!(backoff(1, u64::MAX), 500 + u64::MAX % 501);
    }
}
