//! Progress output: each step with its time, and a line from time to time during a long one. Prints.

use anyhow::Result;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub struct Steps {
    started: Instant,
}

#[allow(clippy::unused_self, reason = "steps are said by who began them")]
impl Steps {
    pub fn begin() -> Self {
        Self { started: Instant::now() }
    }

    pub fn note(&self, text: impl AsRef<str>) {
        println!("    {}", text.as_ref());
    }

    /// Does one step and says how long it took, also when it failed.
    pub fn step<T>(&self, text: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let started = Instant::now();
        let done = work();
        let word = if done.is_ok() { "" } else { "  FAILED" };
        println!("==> {text}  ({}){word}", seconds(started.elapsed()));
        done
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// `0.4 s`, `75 s`.
pub fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(20) {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} s", duration.as_secs())
    }
}

/// Asks again and again until there is an answer, for at most `limit`. The last reason why not is part of the error.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    pause: Duration,
    mut ask: impl FnMut() -> Result<Result<T, String>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match ask()? {
            Ok(found) => return Ok(found),
            Err(reason) if Instant::now() >= deadline => {
                anyhow::bail!("{what}: not within {}; last: {}", seconds(limit), reason.trim())
            }
            Err(_) => std::thread::sleep(pause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_at_its_limit_with_the_last_reason() {
        let mut asked = 0;
        let waited: Result<()> = wait_for("tea", Duration::from_millis(20), Duration::from_millis(1), || {
            asked += 1;
            Ok(Err(format!("cold {asked}")))
        });
        let message = waited.map_err(|error| error.to_string()).expect_err("it never came");
        assert!(asked > 1 && message.starts_with("tea: not within") && message.ends_with(&format!("cold {asked}")));
    }

    #[test]
    fn waiting_ends_at_once_when_there_is_no_hope() {
        let waited: Result<()> =
            wait_for("tea", Duration::from_mins(1), Duration::from_mins(1), || anyhow::bail!("no kettle"));
        assert_eq!(waited.map_err(|error| error.to_string()), Err("no kettle".to_owned()));
    }
}
