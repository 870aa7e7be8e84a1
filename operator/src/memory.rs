//! What the operator remembers between two looks at a ChatDeployment: for how long something has been so, and what was said.
//! Nothing of it that is lost with a restart is needed for a right decision; it only takes a little longer. Who rolls is in `slots`.
//! No I/O, but for random numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::hash;
use crate::plan::valkey::{Stranded, Waits};
use crate::rollout::Pod;

/// Pods of the old version that are unready or missing for this long are not waited for. A process that ends and starts again is ready
/// after some 3 s, a pod that is replaced after 10 s: in that time a roll-out would take a second pod, at two replicas the last one.
const PATIENCE: Duration = Duration::from_secs(15);
/// Beyond its grace period a pod may take this long to end before it counts as stuck.
const STUCK_AFTER: Duration = Duration::from_mins(1);
/// A pod that has served is lost when it is away for this long, and one that is missing.
const LOST_AFTER: Duration = Duration::from_mins(1);
/// A pod that has not served yet may take this long: its image may have to be fetched.
const STARTS_WITHIN: Duration = Duration::from_mins(3);
/// A node that is silent for this long, from when Kubernetes says so, is not waited for by what holds nothing.
const SILENT_FOR: Duration = Duration::from_secs(10);
/// Valkey has 30 s to end, and its node some more to say that it has.
const VALKEY_ENDS_WITHIN: Duration = Duration::from_secs(36);
/// Secrets are not watched, so that the operator needs no right to list them. They are read at least this often.
const SECRETS_WITHIN: Duration = Duration::from_mins(5);
/// While changes are expected and none come for this long, everything is read anew, lest a watch has missed something. Later and later.
const STILL: Duration = Duration::from_secs(15);
const STILL_AT_MOST: Duration = Duration::from_mins(5);
const COUNTS_EVERY: Duration = Duration::from_secs(30);
const EVENTS_AT_ONCE: f64 = 10.0;
const SECONDS_FOR_AN_EVENT: f64 = 20.0;

/// Of one ChatDeployment.
#[derive(Debug)]
pub struct Memory {
    away_since: BTreeMap<i32, Instant>,
    ending: BTreeSet<String>,
    ending_since: Instant,
    /// The pod that was last ready, by ordinal, as a hash of its uid: there are many, and they are only compared.
    served: BTreeMap<i32, u64>,
    absent: BTreeMap<i32, Absent>,
    /// The uid of a Valkey that is on a silent node or ends, what of both, and since when.
    stranded: Option<(String, Waits, Instant)>,
    /// When the Secrets are to be read again; nothing means now.
    secrets_due: Option<Instant>,
    counts_written: Option<Instant>,
    pub failures: u32,
    still: Option<Still>,
    events: f64,
    events_counted: Instant,
}

/// What is in the place of a pod that would serve, and when it counts as lost.
#[derive(Debug)]
struct Absent {
    /// Nothing if no pod is there.
    uid: Option<String>,
    is_ending: bool,
    lost_at: Instant,
}

/// Something is under way and does not go on.
#[derive(Clone, Copy, Debug)]
struct Still {
    progress: u64,
    since: Instant,
    wait: Duration,
}

impl Memory {
    pub fn new(now: Instant) -> Self {
        Self {
            away_since: BTreeMap::new(),
            ending: BTreeSet::new(),
            ending_since: now,
            served: BTreeMap::new(),
            absent: BTreeMap::new(),
            stranded: None,
            secrets_due: None,
            counts_written: None,
            failures: 0,
            still: None,
            events: EVENTS_AT_ONCE,
            events_counted: now,
        }
    }

    /// Remembers which pods are away. Whether `laggards`, some of them, have all been so for so long that waiting is no use; and else
    /// when to look again.
    pub fn patience_is_over(
        &mut self,
        away: &BTreeSet<i32>,
        laggards: &BTreeSet<i32>,
        now: Instant,
    ) -> (bool, Option<Duration>) {
        self.away_since.retain(|ordinal, _| away.contains(ordinal));
        for ordinal in away {
            self.away_since.entry(*ordinal).or_insert(now);
        }
        free_if_empty(&mut self.away_since);
        let since = laggards.iter().filter_map(|ordinal| self.away_since.get(ordinal)).max();
        let waited = since.map(|since| now.saturating_duration_since(*since));
        (waited.is_some_and(|waited| waited >= PATIENCE), waited.and_then(|waited| PATIENCE.checked_sub(waited)))
    }

    /// Pods that have been away for longer than one takes to start.
    pub fn given_up(&self, now: Instant) -> BTreeSet<i32> {
        let is_over = |since: &Instant| now.saturating_duration_since(*since) >= STARTS_WITHIN;
        self.away_since.iter().filter(|(_, since)| is_over(since)).map(|(ordinal, _)| *ordinal).collect()
    }

    /// Secrets were read: they are read again after a time that differs, so that not all are read at once. `random` is from 0 to 1.
    pub fn secrets_are_read(&mut self, now: Instant, random: f64) {
        self.secrets_due = Some(now + SECRETS_WITHIN.mul_f64(0.8 + random * 0.15));
    }

    /// They were written, or are expected to change.
    pub fn secrets_are_stale(&mut self) {
        self.secrets_due = None;
    }

    /// How long they need not be read.
    pub fn secrets_are_good_for(&self, now: Instant) -> Duration {
        self.secrets_due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now))
    }

    /// How long changed rooms and players have to wait: alone they are worth a write now and then.
    pub fn counts_wait(&self, now: Instant) -> Duration {
        self.counts_written.map_or(Duration::ZERO, |at| COUNTS_EVERY.saturating_sub(now.saturating_duration_since(at)))
    }

    pub fn counts_are_written(&mut self, now: Instant) {
        self.counts_written = Some(now);
    }

    /// Whether to read everything anew in this look.
    pub fn reads_anew(&mut self, now: Instant) -> bool {
        let due = |still: &&mut Still| now.saturating_duration_since(still.since) >= still.wait;
        let Some(still) = self.still.as_mut().filter(due) else { return false };
        still.since = now;
        still.wait = (still.wait * 2).min(STILL_AT_MOST);
        true
    }

    /// Remembers how far things are, if they are under way: `progress` is anything that changes when they go on. Says when to look
    /// again, if nothing calls before.
    pub fn goes_on(&mut self, progress: Option<u64>, now: Instant) -> Option<Duration> {
        let same = |still: &Still| progress == Some(still.progress);
        let still = self.still.filter(same);
        self.still = progress.map(|progress| still.unwrap_or(Still { progress, since: now, wait: STILL }));
        self.still.map(|still| still.wait.saturating_sub(now.saturating_duration_since(still.since)))
    }

    /// Whether a pod has been ending for longer than its grace period and a bit.
    pub fn is_stuck(&mut self, ending: BTreeSet<String>, grace: Duration, now: Instant) -> (bool, Option<Duration>) {
        if ending.is_empty() || ending.intersection(&self.ending).next().is_none() {
            self.ending_since = now;
        }
        self.ending = ending;
        let waited = now.saturating_duration_since(self.ending_since);
        let most = grace + STUCK_AFTER;
        if self.ending.is_empty() { (false, None) } else { (waited >= most, most.checked_sub(waited)) }
    }

    /// Whether a Valkey that holds nothing has been on a silent node for long enough, or has been ending for longer than it may; and else
    /// when it has.
    pub fn valkey_is_lost(&mut self, stranded: Option<Stranded>, now: Instant) -> (bool, Option<Duration>) {
        let Some(stranded) = stranded else {
            self.stranded = None;
            return (false, None);
        };
        let before = self.stranded.take().filter(|(uid, waits, _)| (uid, *waits) == (&stranded.uid, stranded.waits));
        let since = before.map_or(now, |(_, _, since)| since);
        self.stranded = Some((stranded.uid, stranded.waits, since));
        if !stranded.may_go {
            return (false, None);
        }
        let most = match stranded.waits {
            Waits::Node => SILENT_FOR,
            Waits::End => VALKEY_ENDS_WITHIN,
        };
        let waited = now.saturating_duration_since(since);
        (waited >= most, most.checked_sub(waited).filter(|left| !left.is_zero()))
    }

    /// Which of the `expected` pods have been away for so long that this is no start, no restart and no drain any more, and when the next
    /// of them has. One that is lost stays so until a pod is ready in its place. `is_known`: the status says already that some are, which
    /// an operator that has just started need not find out again.
    pub fn lost(
        &mut self,
        expected: &BTreeSet<i32>,
        pods: &BTreeMap<i32, Pod>,
        grace: Duration,
        is_known: bool,
        now: Instant,
    ) -> (BTreeSet<i32>, Option<Duration>) {
        let is_known = is_known && self.served.is_empty() && self.absent.is_empty();
        let is_ready = |ordinal: &i32| pods.get(ordinal).is_some_and(|pod| pod.ready && !pod.terminating);
        self.served.retain(|ordinal, _| expected.contains(ordinal));
        let ready = pods.iter().filter(|(ordinal, _)| expected.contains(ordinal) && is_ready(ordinal));
        self.served.extend(ready.map(|(ordinal, pod)| (*ordinal, hash::number_of_text(&pod.uid))));
        self.absent.retain(|ordinal, _| expected.contains(ordinal) && !is_ready(ordinal));
        let (mut lost, mut next) = (BTreeSet::new(), None::<Duration>);
        for ordinal in expected.iter().filter(|ordinal| !is_ready(ordinal)) {
            let pod = pods.get(ordinal);
            let uid = pod.map(|pod| pod.uid.clone());
            let is_ending = pod.is_some_and(|pod| pod.terminating);
            let starts = uid.as_deref().is_some_and(|uid| self.served.get(ordinal) != Some(&hash::number_of_text(uid)));
            let most = match (is_ending, starts) {
                _ if is_known => Duration::ZERO,
                (true, _) => grace + LOST_AFTER,
                (false, true) => STARTS_WITHIN,
                (false, false) => LOST_AFTER,
            };
            let is_same = |before: &Absent| before.uid == uid && before.is_ending == is_ending;
            let before = self.absent.remove(ordinal).filter(|before| before.lost_at <= now || is_same(before));
            let absent = before.unwrap_or(Absent { uid, is_ending, lost_at: now + most });
            let left = absent.lost_at.saturating_duration_since(now);
            if left.is_zero() {
                lost.insert(*ordinal);
            } else {
                next = Some(next.map_or(left, |next| next.min(left)));
            }
            self.absent.insert(*ordinal, absent);
        }
        free_if_empty(&mut self.absent);
        (lost, next)
    }

    /// Whether one more Event may be told now.
    pub fn may_tell(&mut self, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.events_counted).as_secs_f64() / SECONDS_FOR_AN_EVENT;
        self.events = (self.events + gained).min(EVENTS_AT_ONCE);
        self.events_counted = now;
        let may = self.events >= 1.0;
        if may {
            self.events -= 1.0;
        }
        may
    }
}

/// A map that was emptied keeps room for eleven entries, which adds up over a thousand deployments.
fn free_if_empty<K, V>(map: &mut BTreeMap<K, V>) {
    if map.is_empty() {
        *map = BTreeMap::new();
    }
}

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
    fn patience_runs_out_for_each_pod_from_when_it_went_away() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut memory = Memory::new(start);
        let mut over = |away: &[i32], laggards: &[i32], seconds| {
            let set = |ordinals: &[i32]| ordinals.iter().copied().collect();
            memory.patience_is_over(&set(away), &set(laggards), at(seconds)).0
        };
        assert!(!over(&[0], &[], 0), "nobody waits for it");
        assert!(over(&[0, 2], &[0], 16), "long broken when the roll-out begins");
        assert!(!over(&[0, 2], &[0, 2], 17), "one of them for a moment only");
        assert!(over(&[0, 2], &[0, 2], 32));
        assert!(!over(&[], &[], 33));
        assert!(!over(&[0], &[0], 34), "it was back in between");
        assert!(over(&[0, 1], &[0], 100));
        assert_eq!(memory.given_up(at(213)), [].into());
        assert_eq!(memory.given_up(at(214)), [0].into());
    }

    #[test]
    fn what_stands_still_is_read_anew_later_and_later() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut memory = Memory::new(start);
        assert!(!memory.reads_anew(at(100)), "nothing is expected");
        assert_eq!(memory.goes_on(Some(1), at(100)), Some(STILL));
        assert!(!memory.reads_anew(at(114)));
        assert!(memory.reads_anew(at(115)));
        assert_eq!(memory.goes_on(Some(1), at(115)), Some(STILL * 2));
        assert!(!memory.reads_anew(at(130)));
        assert!(memory.reads_anew(at(145)));
        assert_eq!(memory.goes_on(Some(2), at(146)), Some(STILL), "it goes on");
        assert_eq!(memory.goes_on(None, at(150)), None);
        assert!(!memory.reads_anew(at(999)));
    }

    #[test]
    fn secrets_are_read_within_five_minutes_whatever_chance_says() {
        let start = Instant::now();
        let mut memory = Memory::new(start);
        assert_eq!(memory.secrets_are_good_for(start), Duration::ZERO);
        for chance in [0.0, 0.5, 1.0] {
            memory.secrets_are_read(start, chance);
            let time = memory.secrets_are_good_for(start);
            assert!((Duration::from_mins(4)..Duration::from_mins(5)).contains(&time), "{time:?}");
            assert_eq!(memory.secrets_are_good_for(start + time), Duration::ZERO, "a look then finds them due");
        }
        memory.secrets_are_stale();
        assert_eq!(memory.secrets_are_good_for(start), Duration::ZERO);
    }

    #[test]
    fn changed_counts_wait_for_what_is_left_of_half_a_minute() {
        let start = Instant::now();
        let mut memory = Memory::new(start);
        assert_eq!(memory.counts_wait(start), Duration::ZERO);
        memory.counts_are_written(start);
        assert_eq!(memory.counts_wait(start + Duration::from_secs(29)), Duration::from_secs(1));
        assert_eq!(memory.counts_wait(start + Duration::from_secs(31)), Duration::ZERO);
    }

    #[test]
    fn a_pod_is_lost_when_it_is_away_for_longer_than_its_state_allows() {
        let start = Instant::now();
        let grace = Duration::from_secs(35);
        let pod = |uid: &str, ready, terminating| Pod {
            name: String::new(),
            uid: uid.into(),
            revision: String::new(),
            directory: String::new(),
            ready,
            terminating,
        };
        let mut memory = Memory::new(start);
        let mut lost = |seconds, second: Option<Pod>| {
            let first = pod("u0", true, false);
            let pods = [(0, Some(first)), (1, second)].into_iter().filter_map(|(at, pod)| Some((at, pod?))).collect();
            let (lost, next) = memory.lost(&[0, 1].into(), &pods, grace, false, start + Duration::from_secs(seconds));
            (!lost.is_empty(), next.map(|next| next.as_secs()))
        };
        // It starts for the first time.
        assert_eq!(lost(0, Some(pod("u1", false, false))), (false, Some(180)));
        assert_eq!(lost(179, Some(pod("u1", false, false))), (false, Some(1)));
        assert_eq!(lost(180, Some(pod("u1", false, false))), (true, None));
        assert_eq!(lost(200, Some(pod("u1", true, false))), (false, None));
        // It has served and is no longer ready.
        assert_eq!(lost(300, Some(pod("u1", false, false))), (false, Some(60)));
        assert_eq!(lost(360, Some(pod("u1", false, false))), (true, None));
        assert_eq!(lost(370, Some(pod("u1", false, true))), (true, None), "its node is given up: it is still away");
        assert_eq!(lost(380, Some(pod("u2", true, false))), (false, None));
        // It drains, and its node has died.
        assert_eq!(lost(400, Some(pod("u2", true, true))), (false, Some(95)));
        assert_eq!(lost(480, Some(pod("u2", true, true))), (false, Some(15)));
        // It is gone, and its successor fetches its image, and comes up at last.
        assert_eq!(lost(490, None), (false, Some(60)));
        assert_eq!(lost(500, Some(pod("u3", false, false))), (false, Some(180)));
        assert_eq!(lost(680, Some(pod("u3", false, false))), (true, None));
        assert_eq!(lost(681, Some(pod("u3", true, false))), (false, None));
        assert_eq!(lost(690, Some(pod("u3", false, false))), (false, Some(60)), "it has served");
        assert_eq!(lost(700, None), (false, Some(60)));
        assert_eq!(lost(760, None), (true, None));

        let mut started = Memory::new(start);
        let mut lost = |is_known| started.lost(&[0].into(), &BTreeMap::new(), grace, is_known, start).0.len();
        assert_eq!((lost(true), lost(false)), (1, 1), "the status has said it before this operator started");
        let mut started = Memory::new(start);
        assert_eq!(started.lost(&[0].into(), &BTreeMap::new(), grace, false, start).0.len(), 0);
    }

    #[test]
    fn a_valkey_is_let_go_when_its_node_has_been_silent_and_not_before() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let stranded = |uid: &str, waits, may_go| Some(Stranded { name: "v".into(), uid: uid.into(), may_go, waits });
        let mut memory = Memory::new(start);
        let mut lost = |stranded, seconds| memory.valkey_is_lost(stranded, at(seconds));
        assert_eq!(lost(stranded("u", Waits::Node, true), 0), (false, Some(SILENT_FOR)));
        assert_eq!(lost(None, 5), (false, None), "the node is back");
        assert_eq!(lost(stranded("u", Waits::Node, true), 6), (false, Some(SILENT_FOR)));
        assert_eq!(
            lost(stranded("u", Waits::Node, false), 30),
            (false, None),
            "its volume holds it, or nobody is elsewhere"
        );
        assert!(lost(stranded("u", Waits::Node, true), 30).0);
        assert!(!lost(stranded("u2", Waits::Node, true), 31).0, "its successor");
        assert!(!lost(stranded("u2", Waits::End, true), 41).0, "an orderly end may take as long as it does");
        assert!(!lost(stranded("u2", Waits::End, true), 76).0 && lost(stranded("u2", Waits::End, true), 77).0);
    }

    #[test]
    fn events_are_few() {
        let start = Instant::now();
        let mut memory = Memory::new(start);
        assert_eq!((0..50).filter(|_| memory.may_tell(start)).count(), 10);
        assert!(memory.may_tell(start + Duration::from_secs(21)));
    }

    #[test]
    fn waiting_grows_to_half_a_minute() {
        assert!(backoff(0, 0.0) >= Duration::from_millis(250));
        assert!(backoff(3, 1.0) > backoff(2, 0.0));
        assert!(backoff(99, 1.0) <= Duration::from_secs(30));
    }
}
