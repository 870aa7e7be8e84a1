//! Random numbers, and the backoff after failures. Does I/O: reads random bytes from the system.

use std::time::{Duration, Instant};

/// How long to wait after so many failures in a row. `random` is from 0 to 1, so that not all come back at once.
pub fn backoff(failures: u32, random: f64) -> Duration {
    let base = 0.5 * f64::from(2_u32.saturating_pow(failures.min(7)));
    Duration::from_secs_f64(base.min(30.0) * (0.5 + random / 2.0))
}

/// Without a failure for this long the next one is the first: several times the longest wait, and the time that a try may take.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(2);

/// Failures in a row of something whose success may not be seen.
#[derive(Debug, Default)]
pub struct Failures {
    row: u32,
    last: Option<Instant>,
}

impl Failures {
    /// One more. Returns how long to wait. `random` is from 0 to 1.
    pub fn another(&mut self, now: Instant, random: f64) -> Duration {
        let is_recent = |last: Instant| now.saturating_duration_since(last) < FORGOTTEN_AFTER;
        self.row = if self.last.is_some_and(is_recent) { self.row.saturating_add(1) } else { 0 };
        self.last = Some(now);
        backoff(self.row, random)
    }
}

/// A number that no other is equal to.
pub fn unique() -> u64 {
    let mut bytes = [0_u8; 8];
    let _ = getrandom::fill(&mut bytes);
    u64::from_be_bytes(bytes)
}

/// From 0 to 1.
pub fn random() -> f64 {
    f64::from(u32::try_from(unique() >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_grows_to_half_a_minute() {
        assert!(backoff(0, 0.0) >= Duration::from_millis(250));
        assert!(backoff(3, 1.0) > backoff(2, 0.0));
        assert!(backoff(99, 1.0) <= Duration::from_secs(30));
    }

    #[test]
    fn an_outage_of_before_does_not_make_the_next_failure_wait() {
        let mut now = Instant::now();
        let mut failures = Failures::default();
        for row in 0..12 {
            let delay = failures.another(now, 1.0);
            assert_eq!(delay, backoff(row, 1.0), "an outage that lasts");
            now += delay + Duration::from_secs(30);
        }
        assert_eq!(failures.another(now + FORGOTTEN_AFTER, 1.0), backoff(0, 1.0));
        assert_eq!(failures.another(now + FORGOTTEN_AFTER, 1.0), backoff(1, 1.0));
    }
}
