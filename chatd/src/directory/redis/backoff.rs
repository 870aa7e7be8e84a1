//! The delay before the next connection attempt, and how long a request waits for a connection. Pure: randomness is an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::directory::{ANSWER_TIME, NoAnswer};

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// The pause after `failures` failures in a row: it doubles from 50 ms to 2 s, and `random` (0 to 1) takes up to half of it away,
/// so that the clients of a server that comes back do not all come at once.
pub fn pause(failures: u32, random: f64) -> Duration {
    let longest = SHORTEST.saturating_mul(1 << failures.min(10)).min(LONGEST);
    longest.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0)
}

/// Until when a request waits for a server that has been away `since` then; `None`: it is refused at once. A short absence is
/// waited for; what only a person can change is not.
pub fn patience(since: Instant, reason: Option<NoAnswer>, now: Instant, deadline: Instant) -> Option<Instant> {
    let hopeless = matches!(reason, Some(NoAnswer::Auth | NoAnswer::Tls | NoAnswer::UnknownHost));
    let until = deadline.min(since + ANSWER_TIME);
    (until > now && !hopeless).then_some(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_two_seconds() {
        let longest = |failures| pause(failures, 0.0).as_millis();
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 40].map(longest), [50, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
    }

    #[test]
    fn randomness_takes_up_to_half_away() {
        assert_eq!(pause(6, 1.0), Duration::from_secs(1));
        assert_eq!(pause(6, 0.5), Duration::from_millis(1_500));
        assert_eq!(pause(6, f64::INFINITY), Duration::from_secs(1));
    }

    #[test]
    fn a_short_absence_is_waited_for() {
        let start = Instant::now();
        let after = |seconds: f64| start + Duration::from_secs_f64(seconds);
        // A request that comes 0.5 s into an absence waits for its first 2 s only, and never past its own deadline.
        assert_eq!(patience(start, Some(NoAnswer::Refused), after(0.5), after(2.5)), Some(after(2.0)));
        assert_eq!(patience(start, None, after(0.5), after(1.0)), Some(after(1.0)));
        assert_eq!(patience(start, Some(NoAnswer::Refused), after(2.0), after(4.0)), None);
        for hopeless in [NoAnswer::Auth, NoAnswer::Tls, NoAnswer::UnknownHost] {
            assert_eq!(patience(start, Some(hopeless), after(0.5), after(2.5)), None);
        }
    }
}
