//! The metrics of http-demo as OpenMetrics text. No I/O.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::backend::{POSTGRES, REDIS, Reason};

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Seconds: from a Redis beside us to the time that a request is given.
const BUCKETS: [f64; 9] = [0.000_25, 0.000_5, 0.001, 0.0025, 0.01, 0.05, 0.25, 1.0, 2.0];

type Labels<const COUNT: usize> = [(&'static str, &'static str); COUNT];

/// All figures. Each can be counted up from anywhere.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Vec<(&'static str, String)>, Counter>,
    errors: Family<Labels<2>, Counter>,
    seconds: Family<Labels<1>, Histogram>,
    opened: Family<Labels<1>, Counter>,
    /// Open connections of clients.
    pub(crate) connections: Gauge,
    /// Those that were over the limit.
    pub(crate) refused: Counter,
}

#[allow(clippy::new_without_default)] // a second one would be a mistake
impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let requests = Family::default();
        let errors = Family::<Labels<2>, Counter>::default();
        let seconds = Family::<Labels<1>, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let opened = Family::<Labels<1>, Counter>::default();
        let (connections, refused) = (Gauge::default(), Counter::default());
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("http_demo_build", "Version of this http-demo", build);
        registry.register("http_demo_requests", "Answered HTTP requests", requests.clone());
        let help = "Unanswered requests to Redis and Postgres, by reason";
        registry.register("http_demo_service_errors", help, errors.clone());
        let help = "Duration of requests to Redis and Postgres, including connecting and unanswered requests";
        registry.register("http_demo_service_request_seconds", help, seconds.clone());
        registry.register("http_demo_service_connections", "Connections opened to Redis and Postgres", opened.clone());
        registry.register("http_demo_client_connections", "Open client connections", connections.clone());
        let help = "Client connections refused over the limit";
        registry.register("http_demo_client_connections_refused", help, refused.clone());
        let started: Gauge<f64, AtomicU64> = Gauge::default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        started.set(now.as_secs_f64());
        registry.register("process_start_time_seconds", "Start time of the process, Unix time", started);
        // A counter that appears with its first error cannot be alerted on.
        for service in [REDIS.id, POSTGRES.id] {
            drop((seconds.get_or_create(&[("service", service)]), opened.get_or_create(&[("service", service)])));
            for reason in Reason::ALL {
                drop(errors.get_or_create(&[("service", service), ("reason", reason.as_str())]));
            }
        }
        Self { registry, requests, errors, seconds, opened, connections, refused }
    }

    /// An HTTP request was answered.
    pub fn answered(&self, route: &'static str, method: &'static str, status: u16) {
        let labels = [("route", route.to_owned()), ("method", method.to_owned()), ("status", status.to_string())];
        self.requests.get_or_create(&labels.to_vec()).inc();
    }

    /// Redis or Postgres was asked.
    pub(crate) fn asked(&self, service: &'static str, took: Duration, error: Option<Reason>) {
        self.seconds.get_or_create(&[("service", service)]).observe(took.as_secs_f64());
        if let Some(reason) = error {
            self.errors.get_or_create(&[("service", service), ("reason", reason.as_str())]).inc();
        }
    }

    /// A connection to Redis or Postgres was opened.
    pub(crate) fn connected(&self, service: &'static str) {
        self.opened.get_or_create(&[("service", service)]).inc();
    }

    /// All figures as OpenMetrics text 1.0.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(8 * 1024);
        prometheus_client::encoding::text::encode(&mut text, &self.registry).map(|()| text)
    }
}
