//! The operator's metrics as OpenMetrics text. Labels have fixed values. No I/O.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge as AnyGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Upper bounds of the buckets for durations, in seconds.
const BUCKETS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Results of a reconcile.
const RESULTS: [&str; 3] = ["ok", "error", "gone"];

type Gauge = AnyGauge<u64, AtomicU64>;
type ByResult = [(&'static str, &'static str); 1];

/// The labels of a call to the API server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    verb: &'static str,
    code: u16,
}

/// All metrics. Any task can update them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ByResult, Counter>,
    seconds: Histogram,
    calls: Family<Call, Counter>,
    writes: Counter,
    queue_depth: Gauge,
    leader: Gauge,
    deployments: Gauge,
    left_out: Gauge,
}

/// Values read when the metrics are encoded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    /// ChatDeployments that are due and wait.
    pub queue_depth: usize,
    /// Whether this process writes.
    pub is_leader: bool,
    /// ChatDeployments that are known.
    pub deployments: usize,
    /// Namespaces of `--watch-namespace` that cannot be read.
    pub left_out: usize,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Registry::default(),
            reconciles: Family::default(),
            seconds: Histogram::new(BUCKETS),
            calls: Family::default(),
            writes: Counter::default(),
            queue_depth: Gauge::default(),
            leader: Gauge::default(),
            deployments: Gauge::default(),
            left_out: Gauge::default(),
        };
        // A counter that appears with its first error cannot be alerted on.
        for result in RESULTS {
            drop(metrics.reconciles.get_or_create(&[("result", result)]));
        }
        metrics.registered()
    }
}

impl Metrics {
    fn registered(mut self) -> Self {
        let to = &mut self.registry;
        let help = "Reconciles of a ChatDeployment, by result; error: failed, or a write was refused";
        to.register("chatd_operator_reconciles", help, self.reconciles.clone());
        to.register("chatd_operator_reconcile_seconds", "Duration of reconciles", self.seconds.clone());
        let help = "Calls to the API server for ChatDeployments and their children, without watches, their lists and the Lease, by verb and code; 0: no answer";
        to.register("chatd_operator_api_calls", help, self.calls.clone());
        to.register(
            "chatd_operator_api_writes",
            "Writing calls to the API server, included in chatd_operator_api_calls_total",
            self.writes.clone(),
        );
        to.register("chatd_operator_queue_depth", "ChatDeployments that are due and queued", self.queue_depth.clone());
        to.register("chatd_operator_leader", "1 if this process is the leader", self.leader.clone());
        to.register("chatd_operator_deployments", "Known ChatDeployments", self.deployments.clone());
        let help = "Namespaces of --watch-namespace that are skipped since they cannot be read";
        to.register("chatd_operator_namespaces_left_out", help, self.left_out.clone());
        self
    }

    /// A reconcile ended with one of `RESULTS`.
    pub fn reconciled(&self, result: &'static str, took: Duration) {
        self.reconciles.get_or_create(&[("result", result)]).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// The API server was called. `code` is 0 if there was no answer.
    pub fn called(&self, verb: &'static str, code: u16) {
        self.calls.get_or_create(&Call { verb, code }).inc();
        self.writes.inc_by(u64::from(!matches!(verb, "get" | "list")));
    }

    /// All figures as OpenMetrics text 1.0.
    ///
    /// # Errors
    /// None in practice: writing into a string does not fail.
    pub fn encode(&self, gauges: Gauges) -> Result<String, fmt::Error> {
        self.queue_depth.set(gauges.queue_depth as u64);
        self.leader.set(u64::from(gauges.is_leader));
        self.deployments.set(gauges.deployments as u64);
        self.left_out.set(gauges.left_out as u64);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).map(|()| text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_said() {
        let metrics = Metrics::default();
        metrics.reconciled("ok", Duration::from_millis(7));
        metrics.called("get", 404);
        metrics.called("apply", 200);
        let gauges = Gauges { queue_depth: 2, is_leader: true, deployments: 1, left_out: 0 };
        let text = metrics.encode(gauges).unwrap();
        for line in [
            "# TYPE chatd_operator_reconciles counter",
            "chatd_operator_reconciles_total{result=\"ok\"} 1",
            "chatd_operator_reconciles_total{result=\"error\"} 0",
            "# TYPE chatd_operator_reconcile_seconds histogram",
            "chatd_operator_reconcile_seconds_bucket{le=\"0.005\"} 0",
            "chatd_operator_reconcile_seconds_bucket{le=\"0.01\"} 1",
            "chatd_operator_reconcile_seconds_bucket{le=\"5.0\"} 1",
            "chatd_operator_reconcile_seconds_bucket{le=\"+Inf\"} 1",
            "chatd_operator_reconcile_seconds_sum 0.007",
            "chatd_operator_reconcile_seconds_count 1",
            "chatd_operator_api_calls_total{verb=\"get\",code=\"404\"} 1",
            "chatd_operator_api_writes_total 1",
            "# TYPE chatd_operator_queue_depth gauge",
            "chatd_operator_queue_depth 2",
            "chatd_operator_leader 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
