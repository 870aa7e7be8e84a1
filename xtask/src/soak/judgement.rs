//! Whether a soak run was flat: each sentence is something that was not. Pure: no I/O.

use std::collections::BTreeSet;

use super::sample::{LINKS, Process, Sample, Usage, ZERO_AT_THE_END};

/// Memory may grow by this share, or by this much where that is more: allocators and load are not the same at any two moments.
const GROWTH_PERCENT: u64 = 10;
const GROWTH_KIB: u64 = 2 * 1024;
/// Descriptors and threads that may be open at one end and not at the other: a request of Redis or the API server under way.
const TOLERANCE: u64 = 3;

/// Memory of something that was there for the whole load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trend {
    pub what: String,
    /// The median of the second fifth of the samples, KiB: the first is for warming up.
    pub early: u64,
    /// The median of the last fifth.
    pub late: u64,
}

impl Trend {
    fn of(what: String, samples: &[u64]) -> Option<Self> {
        let fifth = samples.len() / 5;
        let early = median(samples.get(fifth..2 * fifth)?)?;
        let late = median(samples.get(samples.len() - fifth..)?)?;
        Some(Self { what, early, late })
    }

    /// What is wrong with it.
    pub fn finding(&self) -> Option<String> {
        let allowed = self.early + (self.early * GROWTH_PERCENT / 100).max(GROWTH_KIB);
        (self.late > allowed).then(|| {
            format!(
                "{} grew from {} to {} KiB under constant load; {allowed} KiB are allowed",
                self.what, self.early, self.late
            )
        })
    }
}

fn median(samples: &[u64]) -> Option<u64> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

/// The memory of each process that was there at the first and at the last sample of the load, and of what Redis holds. None at all
/// if there are too few samples.
pub fn trends(load: &[Sample]) -> Vec<Trend> {
    let (Some(first), Some(last)) = (load.first(), load.last()) else { return Vec::new() };
    let lived = first.usage.keys().filter(|process| last.usage.contains_key(*process));
    let of_process = |process: &Process| {
        let resident: Vec<u64> =
            load.iter().filter_map(|sample| sample.usage.get(process)).map(|usage| usage.resident_kib).collect();
        Trend::of(process.pod.clone(), &resident)
    };
    let redis: Vec<u64> = load.iter().filter_map(|sample| sample.redis).map(|redis| redis.memory_kib).collect();
    lived.filter_map(of_process).chain(Trend::of("data of Redis".to_owned(), &redis)).collect()
}

/// Processes that ended during the load, but for those of pods that chaos takes away.
pub fn ended(start: &Sample, load: &[Sample], victims: &[&str]) -> Vec<String> {
    let Some(last) = load.last() else { return vec!["there is no sample of the load".to_owned()] };
    let stays = |process: &&Process| !victims.contains(&process.pod.as_str());
    let ended = start.usage.keys().filter(stays).filter(|process| !last.usage.contains_key(*process));
    ended.map(|process| format!("the process {} of {} ended during the load", process.id, process.pod)).collect()
}

/// What is not as it was before the load, when all players have gone.
pub fn at_the_end(start: &Sample, end: &Sample) -> Vec<String> {
    let mut findings = Vec::new();
    for pod in start.gauges.keys() {
        match end.gauges.get(pod) {
            None => findings.push(format!("{pod} does not answer")),
            Some(gauges) => {
                findings.extend(ZERO_AT_THE_END.iter().filter_map(|(gauge, name)| match gauges.get(gauge) {
                    Some(0) => None,
                    Some(left) => Some(format!("{pod} still has {left} {name}")),
                    None => Some(format!("{pod} does not tell its {name}")),
                }));
            }
        }
    }
    let pods: BTreeSet<&String> = start.usage.keys().map(|process| &process.pod).collect();
    for pod in pods {
        let Some((before, after)) = start.of_pod(pod).zip(end.of_pod(pod)) else {
            findings.push(format!("{pod} has no process"));
            continue;
        };
        let without_links = |sample: &Sample, usage: Usage| {
            let links = sample.gauges.get(pod).and_then(|gauges| gauges.get(LINKS.0)).copied().unwrap_or(0);
            usage.descriptors.saturating_sub(links)
        };
        for (what, before, after) in [
            ("descriptors beside peer links", without_links(start, before), without_links(end, after)),
            ("threads", before.threads, after.threads),
        ] {
            if after > before + TOLERANCE {
                findings.push(format!("{pod} has {after} {what}, and had {before} before the load"));
            }
        }
    }
    match (start.redis, end.redis) {
        (Some(before), Some(after)) if after.keys > before.keys => {
            findings.push(format!("Redis has {} keys, and had {} before the load", after.keys, before.keys));
        }
        (Some(_), Some(_)) => {}
        _ => findings.push("Redis does not answer".to_owned()),
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::sample::{Gauges, Redis};

    fn process(pod: &str, id: u32) -> Process {
        Process { pod: pod.to_owned(), id }
    }

    fn usage(resident_kib: u64, descriptors: u64) -> Usage {
        Usage { resident_kib, descriptors, threads: 4 }
    }

    /// One chat pod, as it is without players.
    fn empty() -> Sample {
        let mut gauges: Gauges = ZERO_AT_THE_END.iter().map(|(gauge, _)| (*gauge, 0)).collect();
        gauges.insert(LINKS.0, 2);
        Sample {
            usage: [(process("chat-0", 7), usage(9000, 30))].into(),
            gauges: [("chat-0".to_owned(), gauges)].into(),
            redis: Some(Redis { keys: 2, memory_kib: 1000 }),
            ..Sample::default()
        }
    }

    #[test]
    fn a_pod_that_is_as_it_was_is_well() {
        assert_eq!(at_the_end(&empty(), &empty()), Vec::<String>::new());
        let mut end = empty();
        end.usage = [(process("chat-0", 8), usage(9900, 32))].into();
        end.redis = Some(Redis { keys: 1, memory_kib: 5000 });
        assert_eq!(at_the_end(&empty(), &end), Vec::<String>::new(), "another process, a link less, a lease less");
    }

    #[test]
    fn whatever_is_left_is_told() {
        let told = |change: fn(&mut Sample)| {
            let mut end = empty();
            change(&mut end);
            at_the_end(&empty(), &end).join("; ")
        };
        assert_eq!(told(|end| end.gauges.clear()), "chat-0 does not answer");
        assert_eq!(told(|end| end.usage.clear()), "chat-0 has no process");
        assert_eq!(told(|end| end.redis = None), "Redis does not answer");
        assert_eq!(
            told(|end| end.redis = Some(Redis { keys: 3, memory_kib: 1 })),
            "Redis has 3 keys, and had 2 before the load"
        );
        let descriptors = "chat-0 has 32 descriptors beside peer links, and had 28 before the load";
        assert_eq!(told(|end| end.usage = [(process("chat-0", 7), usage(9000, 34))].into()), descriptors);
        for (name, words) in ZERO_AT_THE_END {
            let with = |value: Option<u64>| {
                let mut end = empty();
                let gauges = end.gauges.entry("chat-0".to_owned()).or_default();
                gauges.remove(name);
                gauges.extend(value.map(|value| (*name, value)));
                at_the_end(&empty(), &end)
            };
            assert_eq!(with(Some(1)), [format!("chat-0 still has 1 {words}")]);
            assert_eq!(with(None), [format!("chat-0 does not tell its {words}")]);
        }
    }

    #[test]
    fn memory_is_compared_after_warming_up_and_in_one_process() {
        let load = |resident: fn(u64) -> u64| -> Vec<Sample> {
            let sample = |at: u64| Sample {
                usage: [
                    (process("chat-0", 7), usage(resident(at), 30)),
                    (process("chat-1", u32::try_from(at).unwrap_or(0)), usage(1 << (at / 5), 30)),
                ]
                .into(),
                ..empty()
            };
            (0..50).map(sample).collect()
        };
        let findings = |resident| trends(&load(resident)).iter().filter_map(Trend::finding).collect::<Vec<_>>();
        assert_eq!(trends(&load(|at| at)).len(), 2, "chat-1 was another process each time");
        assert_eq!(findings(|at| if at < 10 { 1000 } else { 60_000 }), Vec::<String>::new());
        assert_eq!(findings(|at| 60_000 + 100 * at), Vec::<String>::new());
        assert_eq!(
            findings(|at| 60_000 + 300 * at),
            ["chat-0 grew from 64500 to 73500 KiB under constant load; 70950 KiB are allowed"]
        );
        assert_eq!(trends(&load(|_| 1)[..4]), [], "too few samples");
    }

    #[test]
    fn only_a_victim_s_process_may_end() {
        let mut last = empty();
        last.usage = [(process("chat-0", 8), usage(9000, 30))].into();
        assert_eq!(ended(&empty(), &[last.clone()], &["chat-0"]), Vec::<String>::new());
        assert_eq!(ended(&empty(), &[last], &["chat-1"]), ["the process 7 of chat-0 ended during the load"]);
        assert_eq!(ended(&empty(), &[empty()], &[]), Vec::<String>::new());
        assert_eq!(ended(&empty(), &[], &[]), ["there is no sample of the load"]);
    }
}
