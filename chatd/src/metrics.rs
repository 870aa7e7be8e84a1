//! The pod's metrics: a snapshot as OpenMetrics text. Pure: no I/O.
//!
//! To add one: a field in `counters` and a line in `shards`, or a field in [`Snapshot`] and a line here; a row in `docs/operations.md`.

mod shards;
mod writer;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::api::figures::{Answers, ROUTES, STATUSES};
use crate::counters::{Counters, DirectoryCounters, Gauges};
use crate::directory::NoAnswer;
use crate::lease::DirectoryState;
use crate::peer::handshake::REASONS;
use crate::process::Process;
use crate::tls::handshakes::RESULTS;
use crate::webhook::{DROPPED, WebhookFigures};
use writer::Writer;

/// The media type of [`Snapshot::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The state of a pod at one moment, as `/readyz`, `/metrics` and `/status` report it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// False only before the first lease and while the lease is refused.
    pub ready: bool,
    /// See [`crate::lease::LeaseStatus::draining`].
    pub draining: bool,
    /// For how long the pod has been draining with rooms left in it, in whole seconds; 0: it does not drain, or none is left.
    pub drain_age: u64,
    /// The pod may take over rooms and answer `room_not_found`.
    pub settled: bool,
    /// `None`: no request has been answered or has timed out yet.
    pub directory: Option<DirectoryState>,
    /// When `directory` last changed, in Unix seconds.
    pub directory_since: u64,
    /// A sentence for a person; empty if all is well. Holds no address with a password and nothing of any client.
    pub directory_detail: String,
    /// The sums over all shards.
    pub counters: Counters,
    /// What is there now, summed over the shards.
    pub gauges: Gauges,
    /// What was asked of the directory.
    pub directory_counters: DirectoryCounters,
    /// Places for connections: `--max-connections`, or what the limit of open files allows.
    pub connection_places: u64,
    /// Connection places in use.
    pub connection_places_used: u64,
    /// Places for rooms: `--max-rooms`.
    pub room_places: u64,
    /// Connections refused because the pod was full.
    pub connections_refused: u64,
    /// Bytes that connections hold: unfinished input and unsent output.
    pub buffered_bytes: u64,
    /// Requests refused for their Host and for their Origin.
    pub web_refused: (u64, u64),
    /// Links to other pods that are up.
    pub peer_links: u64,
    /// Links to other pods that broke.
    pub peer_links_lost: u64,
    /// Links to other pods that were closed since neither side needed them.
    pub peer_links_closed: u64,
    /// Connections that did not become links, by [`REASONS`].
    pub peer_links_refused: [u64; REASONS.len()],
    /// Token keys accepted now.
    pub token_keys: u64,
    /// Changed files (keys, passwords, certificates, addresses) that could not be used: the old content stays in use.
    pub file_reload_failures: u64,
    /// `None`: no TLS with clients.
    pub tls: Option<TlsFigures>,
    /// `None`: no server API.
    pub api: Option<Answers>,
    /// `None`: no webhook.
    pub webhook: Option<WebhookFigures>,
    /// What the system says of the process.
    pub process: Process,
}

/// TLS of the clients' ports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsFigures {
    /// From when and until when the certificate in use is valid, in Unix seconds.
    pub validity: (i64, i64),
    /// Handshakes that have ended, by [`RESULTS`].
    pub handshakes: [u64; RESULTS.len()],
}

impl Snapshot {
    /// The snapshot as OpenMetrics text 1.0, each name with the prefix `chatd_` but for the process's.
    ///
    /// # Errors
    /// None in practice: writing into a string does not fail.
    pub fn encode(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::with_capacity(16 * 1024);
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut write = Writer(encoder);
        write.pod(self)?;
        self.tls.as_ref().map_or(Ok(()), |tls| write.tls(tls))?;
        self.api.as_ref().map_or(Ok(()), |answers| write.api(answers))?;
        self.webhook.as_ref().map_or(Ok(()), |figures| write.webhook(figures))?;
        write.places(self)?;
        write.shards(&self.counters, &self.gauges)?;
        write.directory(self)?;
        write.process(self.process)
    }
}

impl Writer<'_> {
    fn pod(&mut self, snapshot: &Snapshot) -> fmt::Result {
        let labels = [("version", env!("CARGO_PKG_VERSION"))];
        let mut metric = self.0.encode_descriptor("chatd_build", "Version of this chatd", None, MetricType::Info)?;
        metric.encode_info(&labels)?;
        self.gauge("chatd_ready", "1 if /readyz answers 200", snapshot.ready.into())?;
        self.gauge(
            "chatd_draining",
            "1 while the pod drains: it moves its rooms to other pods, and exits, or goes on if the server API asked for it",
            snapshot.draining.into(),
        )?;
        self.gauge(
            "chatd_drain_age_seconds",
            "Time since this pod began to drain before its end, while it still has rooms; else 0",
            snapshot.drain_age,
        )?;
        self.gauge(
            "chatd_settled",
            "1 if this pod may take over rooms and answer room_not_found",
            snapshot.settled.into(),
        )?;
        self.gauge("chatd_token_keys", "Accepted token keys", snapshot.token_keys)?;
        self.counter(
            "chatd_file_reload_failures",
            "Changed files (keys, passwords, certificates, addresses) that could not be used; the old content stays in use",
            snapshot.file_reload_failures,
        )?;
        self.gauge("chatd_peer_links", "Established links to other pods", snapshot.peer_links)?;
        self.counter("chatd_peer_links_lost", "Broken links to other pods", snapshot.peer_links_lost)?;
        let closed = snapshot.peer_links_closed;
        self.counter("chatd_peer_links_closed", "Links to other pods closed because both sides were idle", closed)?;
        self.counters(
            "chatd_peer_links_refused",
            "Connections, dialled or accepted, that did not become peer links, by reason; version: of the peer protocol",
            "reason",
            REASONS.into_iter().zip(snapshot.peer_links_refused),
        )
    }

    /// Absent without a certificate: 0 would be an expired one.
    fn tls(&mut self, figures: &TlsFigures) -> fmt::Result {
        let help = "When the TLS certificate of the client ports expires, in Unix seconds";
        let name = "chatd_tls_certificate_expiry_timestamp_seconds";
        let (not_before, not_after) = figures.validity;
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&not_after)?;
        let help = "From when the TLS certificate of the client ports is valid, in Unix seconds";
        let name = "chatd_tls_certificate_not_before_timestamp_seconds";
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&not_before)?;
        let help = "TLS handshakes with clients that have ended, by result; other than ok: the connection was closed";
        self.counters("chatd_tls_handshakes", help, "result", RESULTS.into_iter().zip(figures.handshakes))
    }

    /// Absent without the server API.
    fn api(&mut self, answers: &Answers) -> fmt::Result {
        let help = "Answers of the server API, by call and by status";
        let of_call = |(call, by_status): (&'static str, &[u64; STATUSES.len()])| {
            STATUSES.into_iter().zip(*by_status).map(move |(status, count)| ([call, status], count))
        };
        let all = ROUTES.into_iter().zip(answers).flat_map(of_call);
        self.counters_by_two("chatd_api_calls", help, ["call", "status"], all)
    }

    /// Absent without a webhook.
    fn webhook(&mut self, figures: &WebhookFigures) -> fmt::Result {
        let WebhookFigures { queued, queued_bytes, delivered, failed, dropped } = figures;
        let help = "Events for the webhook that wait or are on their way";
        self.gauge("chatd_webhook_queued", help, *queued)?;
        self.gauge("chatd_webhook_queued_bytes", "Approximate bytes of these events", *queued_bytes)?;
        self.counter("chatd_webhook_delivered", "Events that the webhook has taken", *delivered)?;
        let help = "Attempts to deliver an event to the webhook that failed; each is repeated for 5 minutes";
        self.counter("chatd_webhook_attempts_failed", help, *failed)?;
        let help = "Events that the webhook did not get, by reason: full (too many waited), expired (not taken within 5 minutes), gone (it answered 410)";
        self.counters("chatd_webhook_dropped", help, "reason", DROPPED.into_iter().zip(*dropped))
    }

    fn places(&mut self, snapshot: &Snapshot) -> fmt::Result {
        let help = "Maximum connections: --max-connections, or fewer if the limit of open files is too low";
        self.gauge("chatd_connection_places", help, snapshot.connection_places)?;
        let help = "Connection places in use: by clients, by HTTP connections and by closing connections";
        self.gauge("chatd_connection_places_used", help, snapshot.connection_places_used)?;
        self.gauge("chatd_room_places", "Maximum rooms: --max-rooms", snapshot.room_places)?;
        let help = "Connections refused because the pod was full";
        self.counter("chatd_connections_refused", help, snapshot.connections_refused)?;
        let help = "Bytes of unfinished input and unsent output that connections hold; --buffer-bytes is the limit";
        self.gauge("chatd_buffered_bytes", help, snapshot.buffered_bytes)?;
        let kinds = [("host", snapshot.web_refused.0), ("origin", snapshot.web_refused.1)];
        let help = "Web requests refused because their Host or Origin is not allowed; the log names the setting that would allow them";
        self.counters("chatd_web_refused", help, "by", kinds.into_iter())
    }

    fn directory(&mut self, snapshot: &Snapshot) -> fmt::Result {
        let states = DirectoryState::all().map(|state| (state.as_str(), u64::from(Some(state) == snapshot.directory)));
        self.gauges(
            "chatd_directory_state",
            "1 for the current state of the directory; 0 for all until its first answer or timeout",
            "state",
            states,
        )?;
        let prefix_in_use = snapshot.directory == Some(DirectoryState::PrefixInUse);
        self.gauge("chatd_prefix_in_use", "1 while another deployment uses the key prefix", prefix_in_use.into())?;
        let counters = &snapshot.directory_counters;
        self.histogram(
            "chatd_directory_request_seconds",
            "Duration of requests to Redis, unanswered ones included",
            &counters.latency,
        )?;
        let errors = NoAnswer::ALL.into_iter().map(NoAnswer::as_str).zip(counters.errors);
        self.counters("chatd_directory_errors", "Unanswered requests to Redis, by kind", "kind", errors)?;
        self.counter(
            "chatd_directory_resets",
            "Connections to Redis lost, or replaced because a password or certificate had changed",
            counters.resets,
        )?;
        self.counter(
            "chatd_directory_went_back",
            "Data losses of Redis: found emptied or rolled back",
            counters.went_back,
        )
    }

    fn process(&mut self, process: Process) -> fmt::Result {
        let cpu = process.cpu.as_secs_f64();
        self.seconds("process_cpu_seconds", "User and system time of all threads", MetricType::Counter, cpu)?;
        self.gauge("process_resident_memory_bytes", "Memory in use", process.resident_bytes)?;
        self.gauge("process_open_fds", "Open files and sockets", process.open_files)?;
        let start = process.started_at;
        self.seconds("process_start_time_seconds", "Start time of the process, Unix time", MetricType::Gauge, start)
    }
}

#[cfg(test)]
mod tests;
