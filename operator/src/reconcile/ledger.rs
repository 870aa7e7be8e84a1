//! Failed writes of one ChatDeployment: refused, or reverted by another controller. Each is retried with backoff, regardless of
//! other causes for a reconcile; a write with another content is tried at once. In memory; no I/O.

use std::time::{Duration, Instant};

use crate::hash;
use crate::status::Problem;

const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_mins(5);
/// So often in a row the same is put back at once: people edit what they should not, and tools do in bursts.
const PUT_BACK_AT_ONCE: u32 = 8;
/// What was put back this long ago is another story.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(10);

/// A dozen entries or two for ten minutes after a deployment was made, of each of thousands that are made at once: they are small.
#[derive(Debug, Default)]
pub struct Ledger(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    /// The hash of the write's name, which is only compared.
    write: u64,
    /// The hash of what was written.
    content: u64,
    times: u32,
    last: Instant,
    next: Instant,
    /// The write's name, and why it was refused; nothing if it was written, and is to be written again.
    refusal: Option<Box<(String, Problem)>>,
}

impl Ledger {
    fn of(&self, write: &str) -> Option<&Entry> {
        let write = hash::number_of_text(write);
        self.0.iter().find(|entry| entry.write == write)
    }

    fn put(&mut self, entry: Entry) {
        match self.0.iter_mut().find(|known| known.write == entry.write) {
            Some(known) => *known = entry,
            None => self.0.push(entry),
        }
    }

    /// Whether this write has to wait. `write` says what it does to which object.
    pub fn waits(&self, write: &str, content: u64, now: Instant) -> bool {
        self.of(write).is_some_and(|entry| entry.content == content && now < entry.next)
    }

    /// How often in a row it was written, if that is why it waits: another writer reverted it each time.
    pub fn reverted(&self, write: &str) -> Option<u32> {
        self.of(write).filter(|entry| entry.refusal.is_none()).map(|entry| entry.times)
    }

    /// The API server refused it. `random` is from 0 to 1.
    pub fn refused(&mut self, write: &str, content: u64, problem: Problem, now: Instant, random: f64) {
        let before = self.of(write).filter(|entry| entry.content == content && entry.refusal.is_some());
        let times = before.map_or(1, |entry| entry.times.saturating_add(1));
        let next = now + pause(times, random);
        let refusal = Some(Box::new((write.to_owned(), problem)));
        self.put(Entry { write: hash::number_of_text(write), content, times, last: now, next, refusal });
    }

    /// It was carried out.
    pub fn done(&mut self, write: &str, content: u64, now: Instant, random: f64) {
        let is_again = |entry: &&Entry| {
            entry.content == content
                && entry.refusal.is_none()
                && now.saturating_duration_since(entry.last) < FORGOTTEN_AFTER
        };
        let times = self.of(write).filter(is_again).map_or(1, |entry| entry.times.saturating_add(1));
        let over = times.saturating_sub(PUT_BACK_AT_ONCE);
        let next = if over == 0 { now } else { now + pause(over, random) };
        self.put(Entry { write: hash::number_of_text(write), content, times, last: now, next, refusal: None });
    }

    /// Keeps what is in this plan. What it no longer has was let in by another way, or is no longer wanted.
    pub fn keep_refusals_of(&mut self, writes: &[String], now: Instant) {
        self.0.retain(|entry| match &entry.refusal {
            Some(refusal) => writes.contains(&refusal.0),
            None => now.saturating_duration_since(entry.last) < FORGOTTEN_AFTER,
        });
        // What was there keeps room, which adds up over a thousand deployments.
        self.0.shrink_to_fit();
    }

    /// Why writes are refused, by their names.
    pub fn refusals(&self) -> Vec<&Problem> {
        let mut refusals: Vec<_> = self.0.iter().filter_map(|entry| entry.refusal.as_deref()).collect();
        refusals.sort_by(|one, other| one.0.cmp(&other.0));
        refusals.into_iter().map(|(_, problem)| problem).collect()
    }

    /// When the first of those that wait may be tried.
    pub fn next_in(&self, now: Instant) -> Option<Duration> {
        let waiting = self.0.iter().filter(|entry| entry.refusal.is_some() || entry.next > now);
        waiting.map(|entry| entry.next.saturating_duration_since(now)).min()
    }
}

/// After so many times in a row.
fn pause(times: u32, random: f64) -> Duration {
    let longest = FIRST.saturating_mul(2_u32.saturating_pow(times.saturating_sub(1).min(10))).min(LONGEST);
    longest.mul_f64(0.8 + random * 0.2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Reason;

    fn no() -> Problem {
        Problem::new(Reason::Denied, "no")
    }

    #[test]
    fn what_is_refused_waits_longer_each_time_unless_it_is_another_thing() {
        let start = Instant::now();
        let mut ledger = Ledger::default();
        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert!(!ledger.waits("apply Service chat", 1, now));
            ledger.refused("apply Service chat", 1, no(), now, 1.0);
            assert!(ledger.waits("apply Service chat", 1, now) && !ledger.waits("apply Service chat", 2, now));
            let pause = ledger.next_in(now).unwrap_or_default();
            pauses.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(ledger.refusals().len(), 1, "it is told while it waits");
        ledger.refused("apply Service chat", 2, no(), now, 1.0);
        assert_eq!(ledger.next_in(now), Some(FIRST));
        ledger.done("apply Service chat", 2, now, 1.0);
        assert_eq!((ledger.refusals().len(), ledger.next_in(now)), (0, None));
        ledger.refused("apply Service chat", 2, no(), now, 1.0);
        ledger.keep_refusals_of(&[], now);
        assert_eq!(ledger.refusals().len(), 0, "it is as it should be, or not wanted any more");
    }

    #[test]
    fn what_somebody_undoes_again_and_again_is_not_fought_over_without_end() {
        let start = Instant::now();
        let mut ledger = Ledger::default();
        let mut written = 0;
        // Somebody undoes it at once, for an hour.
        for second in 0..3600 {
            let now = start + Duration::from_secs(second);
            if !ledger.waits("apply StatefulSet chat", 1, now) {
                ledger.done("apply StatefulSet chat", 1, now, 0.5);
                written += 1;
            }
        }
        assert!((15..30).contains(&written), "{written}");
        let later = start + Duration::from_hours(2);
        ledger.done("apply StatefulSet chat", 1, later, 0.5);
        assert!(!ledger.waits("apply StatefulSet chat", 1, later), "once in a while it is put back at once");
    }
}
