//! Counters of the operator, and their text for Prometheus. Labels have fixed values. No I/O.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Upper bounds of the buckets for durations, in seconds.
const BUCKETS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

#[derive(Debug, Default)]
pub struct Metrics(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    reconciles: BTreeMap<&'static str, u64>,
    calls: BTreeMap<(&'static str, u16), u64>,
    writes: u64,
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: f64,
}

/// What is read when the metrics are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    pub queue_depth: usize,
    pub is_leader: bool,
    pub deployments: usize,
    pub left_out: usize,
}

impl Metrics {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn reconciled(&self, result: &'static str, took: Duration) {
        let mut state = self.state();
        *state.reconciles.entry(result).or_default() += 1;
        let seconds = took.as_secs_f64();
        state.count += 1;
        state.sum += seconds;
        for (bucket, bound) in state.buckets.iter_mut().zip(BUCKETS) {
            *bucket += u64::from(seconds <= bound);
        }
    }

    /// `code` is 0 if there was no answer.
    pub fn called(&self, verb: &'static str, code: u16) {
        let mut state = self.state();
        *state.calls.entry((verb, code)).or_default() += 1;
        state.writes += u64::from(!matches!(verb, "get" | "list"));
    }

    pub fn text(&self, gauges: Gauges) -> String {
        let state = self.state();
        let mut text = String::new();
        head(
            &mut text,
            "chatd_operator_reconciles",
            "counter",
            "Reconciles of a ChatDeployment, by result; error: failed, or a write was refused",
        );
        for result in ["ok", "error", "gone"] {
            let count = state.reconciles.get(result).copied().unwrap_or_default();
            let _ = writeln!(text, "chatd_operator_reconciles_total{{result=\"{result}\"}} {count}");
        }
        head(&mut text, "chatd_operator_reconcile_seconds", "histogram", "How long they took");
        for (bound, count) in BUCKETS.iter().zip(state.buckets) {
            let _ = writeln!(text, "chatd_operator_reconcile_seconds_bucket{{le=\"{bound}\"}} {count}");
        }
        let _ = writeln!(text, "chatd_operator_reconcile_seconds_bucket{{le=\"+Inf\"}} {}", state.count);
        let _ = writeln!(text, "chatd_operator_reconcile_seconds_sum {}", state.sum);
        let _ = writeln!(text, "chatd_operator_reconcile_seconds_count {}", state.count);
        head(
            &mut text,
            "chatd_operator_api_calls",
            "counter",
            "Calls to the API server about ChatDeployments and their children, without watches and their lists and without the Lease, by verb and code; 0: no answer",
        );
        for ((verb, code), count) in &state.calls {
            let _ = writeln!(text, "chatd_operator_api_calls_total{{verb=\"{verb}\",code=\"{code}\"}} {count}");
        }
        head(&mut text, "chatd_operator_api_writes", "counter", "Those of them that write");
        let _ = writeln!(text, "chatd_operator_api_writes_total {}", state.writes);
        let gauges = [
            ("chatd_operator_queue_depth", "ChatDeployments that are due and wait", gauges.queue_depth),
            ("chatd_operator_leader", "1 if this process is the one that writes", usize::from(gauges.is_leader)),
            ("chatd_operator_deployments", "ChatDeployments that are known", gauges.deployments),
            (
                "chatd_operator_namespaces_left_out",
                "Namespaces of --watch-namespace that cannot be read and are left out",
                gauges.left_out,
            ),
        ];
        for (name, help, value) in gauges {
            head(&mut text, name, "gauge", help);
            let _ = writeln!(text, "{name} {value}");
        }
        text.push_str("# EOF\n");
        text
    }
}

fn head(text: &mut String, name: &str, type_: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} {type_}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_said() {
        let metrics = Metrics::default();
        metrics.reconciled("ok", Duration::from_millis(7));
        metrics.called("get", 404);
        metrics.called("apply", 200);
        let text = metrics.text(Gauges { queue_depth: 2, is_leader: true, deployments: 1, left_out: 0 });
        for line in [
            "chatd_operator_reconciles_total{result=\"ok\"} 1",
            "chatd_operator_reconcile_seconds_bucket{le=\"0.005\"} 0",
            "chatd_operator_reconcile_seconds_bucket{le=\"0.01\"} 1",
            "chatd_operator_api_calls_total{verb=\"get\",code=\"404\"} 1",
            "chatd_operator_api_writes_total 1",
            "chatd_operator_leader 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
