//! Random numbers, and the backoff after failures. Does I/O: reads random bytes from the system.

use std::time::Duration;

/// How long to wait after so many failures in a row. `random` is from 0 to 1, so that not all come back at once.
pub fn backoff(failures: u32, random: f64) -> Duration {
    let base = 0.5 * f64::from(2_u32.saturating_pow(failures.min(7)));
    Duration::from_secs_f64(base.min(30.0) * (0.5 + random / 2.0))
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
}
