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

use crate::api::Condition;
use crate::cache::Deployment;
use crate::record::Key;
use crate::status::{self, READY};

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Upper bounds of the buckets for durations, in seconds.
const BUCKETS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Results of a reconcile.
const RESULTS: [&str; 3] = ["ok", "error", "gone"];
/// What pods answer to a notice that a chat process is dead.
const ANSWERS: [&str; 4] = ["heard", "older", "refused", "failed"];

type Gauge = AnyGauge<u64, AtomicU64>;
/// One label with a fixed list of values.
type ByWord = [(&'static str, &'static str); 1];

/// The labels of a call to the API server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    verb: &'static str,
    code: u16,
}

/// Whose a metric is. The labels are those that the pods' metrics get when they are scraped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeploymentLabels {
    namespace: String,
    chatdeployment: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabels {
    namespace: String,
    chatdeployment: String,
    condition: String,
}

/// A ChatDeployment, as its metrics show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeploymentFigures {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Desired chat pods.
    pub desired: i32,
    /// Ready chat pods.
    pub ready: i32,
    /// Chat pods that match the spec.
    pub updated: i32,
    /// Its conditions, and whether each is True.
    pub conditions: Vec<(String, bool)>,
    /// It is not ready since its rollout waits as it should.
    pub waits: bool,
}

impl DeploymentFigures {
    /// What the last reading of it says.
    pub fn of(key: &Key, deployment: &Deployment) -> Self {
        let mut figures = Self { namespace: key.namespace.clone(), name: key.name.clone(), ..Self::default() };
        // Of one that cannot be read nothing is known, but that it is not as it should be.
        let Deployment::Readable(deployment) = deployment else {
            figures.conditions.push((READY.to_owned(), false));
            return figures;
        };
        figures.desired = deployment.desired_replicas();
        if let Some(status) = &deployment.status {
            figures.ready = status.ready_replicas;
            figures.updated = status.updated_replicas;
            let is_true = |condition: &Condition| (condition.type_.clone(), condition.status == "True");
            figures.conditions = status.conditions.iter().map(is_true).collect();
            figures.waits = status::waits(status);
        }
        figures
    }
}

/// All metrics. Any task can update them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ByWord, Counter>,
    seconds: Histogram,
    calls: Family<Call, Counter>,
    writes: Counter,
    death_notices: Family<ByWord, Counter>,
    queue_depth: Gauge,
    leader: Gauge,
    deployments: Gauge,
    left_out: Gauge,
    desired_pods: Family<DeploymentLabels, Gauge>,
    ready_pods: Family<DeploymentLabels, Gauge>,
    updated_pods: Family<DeploymentLabels, Gauge>,
    conditions: Family<ConditionLabels, Gauge>,
    waits: Family<DeploymentLabels, Gauge>,
}

/// Values read when the metrics are encoded.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// ChatDeployments that are due and wait.
    pub queue_depth: usize,
    /// Whether this process writes.
    pub is_leader: bool,
    /// ChatDeployments that are known.
    pub deployments: usize,
    /// The state of each; a standby has none, since the leader has them all.
    pub states: Vec<DeploymentFigures>,
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
            death_notices: Family::default(),
            queue_depth: Gauge::default(),
            leader: Gauge::default(),
            deployments: Gauge::default(),
            left_out: Gauge::default(),
            desired_pods: Family::default(),
            ready_pods: Family::default(),
            updated_pods: Family::default(),
            conditions: Family::default(),
            waits: Family::default(),
        };
        // A counter that appears with its first error cannot be alerted on.
        for result in RESULTS {
            drop(metrics.reconciles.get_or_create(&[("result", result)]));
        }
        for answer in ANSWERS {
            drop(metrics.death_notices.get_or_create(&[("answer", answer)]));
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
        let help = "Notices to pods that a chat process is dead, by answer; heard: the pod has read its lease; older: its version has no such notices; refused: the signature is wrong; failed: no answer";
        to.register("chatd_operator_death_notices", help, self.death_notices.clone());
        to.register("chatd_operator_queue_depth", "ChatDeployments that are due and queued", self.queue_depth.clone());
        to.register("chatd_operator_leader", "1 if this process is the leader", self.leader.clone());
        to.register("chatd_operator_deployments", "Known ChatDeployments", self.deployments.clone());
        let help = "Namespaces of --watch-namespace that are skipped since they cannot be read";
        to.register("chatd_operator_namespaces_left_out", help, self.left_out.clone());
        let help = "Desired pods of a ChatDeployment; the leader alone has these metrics";
        to.register("chatd_operator_deployment_desired_pods", help, self.desired_pods.clone());
        to.register("chatd_operator_deployment_ready_pods", "Ready pods of a ChatDeployment", self.ready_pods.clone());
        let help = "Pods of a ChatDeployment that match its spec";
        to.register("chatd_operator_deployment_updated_pods", help, self.updated_pods.clone());
        let help = "1 if the condition of a ChatDeployment is True";
        to.register("chatd_operator_deployment_condition", help, self.conditions.clone());
        let help = "1 while a ChatDeployment is not ready since its rollout waits as it should: paused, partitioned, or for a slot";
        to.register("chatd_operator_deployment_waits", help, self.waits.clone());
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

    /// A pod answered a notice of a death with one of `ANSWERS`.
    pub fn told_of_death(&self, answer: &'static str) {
        self.death_notices.get_or_create(&[("answer", answer)]).inc();
    }

    fn set_states(&self, states: Vec<DeploymentFigures>) {
        // Those that are gone are not reported any more.
        self.desired_pods.clear();
        self.ready_pods.clear();
        self.updated_pods.clear();
        self.conditions.clear();
        self.waits.clear();
        let number = |pods: i32| u64::try_from(pods).unwrap_or_default();
        for DeploymentFigures { namespace, name: chatdeployment, desired, ready, updated, conditions, waits } in states
        {
            for (condition, is_true) in conditions {
                let labels =
                    ConditionLabels { namespace: namespace.clone(), chatdeployment: chatdeployment.clone(), condition };
                self.conditions.get_or_create(&labels).set(u64::from(is_true));
            }
            let labels = DeploymentLabels { namespace, chatdeployment };
            self.desired_pods.get_or_create(&labels).set(number(desired));
            self.ready_pods.get_or_create(&labels).set(number(ready));
            self.updated_pods.get_or_create(&labels).set(number(updated));
            self.waits.get_or_create(&labels).set(u64::from(waits));
        }
    }

    /// All figures as OpenMetrics text 1.0.
    ///
    /// # Errors
    /// None in practice: writing into a string does not fail.
    pub fn encode(&self, gauges: Gauges) -> Result<String, fmt::Error> {
        self.set_states(gauges.states);
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
        metrics.told_of_death("heard");
        let state = DeploymentFigures {
            namespace: "games".into(),
            name: "chat".into(),
            desired: 3,
            ready: 2,
            conditions: vec![("Ready".into(), false)],
            waits: true,
            updated: 1,
        };
        let gauges = Gauges { queue_depth: 2, is_leader: true, deployments: 1, left_out: 0, states: vec![state] };
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
            "chatd_operator_death_notices_total{answer=\"heard\"} 1",
            "chatd_operator_death_notices_total{answer=\"failed\"} 0",
            "# TYPE chatd_operator_queue_depth gauge",
            "chatd_operator_queue_depth 2",
            "chatd_operator_leader 1",
            "chatd_operator_deployment_desired_pods{namespace=\"games\",chatdeployment=\"chat\"} 3",
            "chatd_operator_deployment_ready_pods{namespace=\"games\",chatdeployment=\"chat\"} 2",
            "chatd_operator_deployment_updated_pods{namespace=\"games\",chatdeployment=\"chat\"} 1",
            "chatd_operator_deployment_condition{namespace=\"games\",chatdeployment=\"chat\",condition=\"Ready\"} 0",
            "chatd_operator_deployment_waits{namespace=\"games\",chatdeployment=\"chat\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
        let without = metrics.encode(Gauges::default()).unwrap();
        assert!(!without.contains("chatdeployment="), "it was deleted: {without}");
    }
}
