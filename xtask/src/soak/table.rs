//! What came of a soak run, as Markdown. Pure: no I/O.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::judgement::Trend;
use super::sample::{LINKS, Sample, ZERO_AT_THE_END};

/// Everything that a run has seen.
pub struct Run<'a> {
    /// In one line: how long, how much, on what.
    pub about: &'a str,
    pub start: &'a Sample,
    pub load: &'a [Sample],
    pub end: &'a Sample,
    pub trends: &'a [Trend],
    /// What each load counted.
    pub verdicts: &'a [Value],
    pub findings: &'a [String],
}

/// Counts of a load, which are added up.
const COUNTS: &[(&str, &str)] = &[
    ("linesSaid", "lines said"),
    ("linesHeard", "lines heard"),
    ("lost", "lost"),
    ("doubled", "doubled"),
    ("disordered", "out of order"),
    ("missed", "missed at a killed pod, as the server told"),
    ("cutOff", "cut off with raw TCP connections"),
    ("seatsLost", "seats lost with a killed pod"),
    ("resumed", "resumed"),
    ("moved", "told that the room moved"),
];
/// Times of a load, of which the longest counts.
const TIMES: &[(&str, &str)] = &[
    ("p50Ms", "round trip p50 of the slowest round, ms"),
    ("p99Ms", "round trip p99 of the slowest round, ms"),
    ("longestMs", "longest round trip, ms"),
];

/// The whole document.
pub fn markdown(run: &Run) -> String {
    let mut judgement = match run.findings {
        [] => "Flat: everything is as it was before the load.\n".to_owned(),
        _ => "**Not flat:**\n\n".to_owned(),
    };
    judgement.extend(run.findings.iter().map(|finding| format!("- {finding}\n")));
    let count = |name: &str| run.verdicts.iter().filter_map(|verdict| verdict[name].as_u64()).sum::<u64>();
    let longest = |name: &str| run.verdicts.iter().filter_map(|verdict| verdict[name].as_f64()).fold(0.0, f64::max);
    let counts_of_load = COUNTS.iter().map(|(name, words)| vec![(*words).to_owned(), count(name).to_string()]);
    let times_of_load = TIMES.iter().map(|(name, words)| vec![(*words).to_owned(), longest(name).to_string()]);
    let trends =
        run.trends.iter().map(|trend| vec![trend.what.clone(), trend.early.to_string(), trend.late.to_string()]);
    [
        format!("# Soak\n\n{}\n\n{judgement}", run.about),
        table(&["load", ""], counts_of_load.chain(times_of_load)),
        table(&["resident memory under load, KiB", "second fifth", "last fifth"], trends),
        table(&["all pods together", "before", "most", "after"], counts(run).into_iter()),
        table(
            &["process", "descriptors before", "after", "threads before", "after", "memory before, KiB", "after"],
            processes(run).into_iter(),
        ),
    ]
    .join("\n")
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let head = [head.join(" | "), vec!["---"; head.len()].join(" | ")];
    let mut text = String::new();
    for row in head.into_iter().chain(rows.map(|cells| cells.join(" | "))) {
        let _ = writeln!(text, "| {row} |");
    }
    text
}

fn counts(run: &Run) -> Vec<Vec<String>> {
    let row = |words: &str, count: &dyn Fn(&Sample) -> u64| {
        let most = run.load.iter().map(count).max().unwrap_or(0);
        let figures = [count(run.start), most, count(run.end)].map(|figure| figure.to_string());
        [vec![words.to_owned()], figures.to_vec()].concat()
    };
    let gauges = ZERO_AT_THE_END.iter().chain([&LINKS]);
    let gauges = gauges.map(|(gauge, words)| row(words, &|sample| sample.sum(gauge)));
    gauges.chain([row("keys in Redis", &|sample| sample.redis.map_or(0, |redis| redis.keys))]).collect()
}

fn processes(run: &Run) -> Vec<Vec<String>> {
    let pods: BTreeSet<&String> = run.start.usage.keys().map(|process| &process.pod).collect();
    let row = |pod: &String| {
        let [before, after] = [run.start, run.end].map(|sample| sample.of_pod(pod).unwrap_or_default());
        let figures = [
            (before.descriptors, after.descriptors),
            (before.threads, after.threads),
            (before.resident_kib, after.resident_kib),
        ];
        let figures = figures.iter().flat_map(|(before, after)| [before.to_string(), after.to_string()]);
        [pod.clone()].into_iter().chain(figures).collect()
    };
    pods.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::soak::sample::Redis;

    #[test]
    fn what_was_not_flat_stands_first() {
        let with_keys = |keys| Sample { redis: Some(Redis { keys, memory_kib: 9 }), ..Sample::default() };
        let findings = ["chat-0 still has 1 rooms".to_owned()];
        let trends = [Trend { what: "chat-0".to_owned(), early: 1, late: 2 }];
        let (start, load, end) = (with_keys(4), [with_keys(64), with_keys(63)], with_keys(5));
        let run = Run {
            about: "30 minutes.",
            start: &start,
            load: &load,
            end: &end,
            trends: &trends,
            verdicts: &[json!({"lost": 3, "p99Ms": 1.5}), json!({"lost": 4, "p99Ms": 2.5})],
            findings: &findings,
        };
        let text = markdown(&run);
        for part in [
            "30 minutes.\n\n**Not flat:**\n\n- chat-0 still has 1 rooms\n\n| load |  |\n| --- | --- |\n",
            "\n| lost | 7 |\n",
            "\n| round trip p99 of the slowest round, ms | 2.5 |\n",
            "\n| chat-0 | 1 | 2 |\n",
            "\n| keys in Redis | 4 | 64 | 5 |\n",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(markdown(&Run { findings: &[], ..run }).contains("Flat: "));
    }
}
