//! The panels of the dashboards. Pure data.

/// The unit of a panel's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number.
    Count,
    /// Times a second.
    PerSecond,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// 0 to 1.
    Share,
}

impl Unit {
    /// Grafana's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "short",
            Self::PerSecond => "ops",
            Self::Seconds => "s",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "Bps",
            Self::Share => "percentunit",
        }
    }
}

/// One graph.
#[derive(Clone, Copy, Debug)]
pub struct Panel {
    /// What it shows.
    pub title: &'static str,
    /// The unit of all its values.
    pub unit: Unit,
    /// The legend and the query of each of its lines; see [`super::query`].
    pub lines: &'static [(&'static str, &'static str)],
}

const fn panel(title: &'static str, unit: Unit, lines: &'static [(&'static str, &'static str)]) -> Panel {
    Panel { title, unit, lines }
}

const POD: &str = "{{pod}}";

/// Of the service that the pods give.
pub(super) const SERVICE: [Panel; 20] = [
    panel(
        "Pods",
        Unit::Count,
        &[
            ("desired", "max $by (chatd_operator_deployment_desired_pods{$in})"),
            ("ready", "max $by (chatd_operator_deployment_ready_pods{$in})"),
            ("draining", "sum(chatd_draining{$in})"),
        ],
    ),
    panel("Players", Unit::Count, &[(POD, "sum by (pod) (chatd_players{$in})")]),
    panel("Rooms", Unit::Count, &[(POD, "sum by (pod) (chatd_rooms{$in})")]),
    panel("Connections", Unit::Count, &[("{{kind}}", "sum by (kind) (chatd_connections{$in})")]),
    panel(
        "Places taken",
        Unit::Share,
        &[
            ("rooms", "sum(chatd_rooms{$in}) / sum(chatd_room_places{$in})"),
            ("connections", "sum(chatd_connection_places_used{$in}) / sum(chatd_connection_places{$in})"),
        ],
    ),
    panel(
        "Messages",
        Unit::PerSecond,
        &[
            ("in", "sum(rate(chatd_messages_in_total{$in}[$__rate_interval]))"),
            ("out", "sum(rate(chatd_messages_out_total{$in}[$__rate_interval]))"),
        ],
    ),
    panel(
        "Delivery: input to output",
        Unit::Seconds,
        &[
            (
                "p50",
                "histogram_quantile(0.5, sum by (le) (rate(chatd_delivery_seconds_bucket{$in}[$__rate_interval])))",
            ),
            (
                "p99",
                "histogram_quantile(0.99, sum by (le) (rate(chatd_delivery_seconds_bucket{$in}[$__rate_interval])))",
            ),
        ],
    ),
    panel(
        "Joins by result",
        Unit::PerSecond,
        &[("{{result}}", "sum by (result) (rate(chatd_joins_total{$in}[$__rate_interval]))")],
    ),
    panel(
        "Join time",
        Unit::Seconds,
        &[
            ("p50", "histogram_quantile(0.5, sum by (le) (rate(chatd_join_seconds_bucket{$in}[$__rate_interval])))"),
            ("p99", "histogram_quantile(0.99, sum by (le) (rate(chatd_join_seconds_bucket{$in}[$__rate_interval])))"),
        ],
    ),
    panel(
        "Rooms that change owners",
        Unit::PerSecond,
        &[
            ("migrated", "sum(rate(chatd_outgoing_migrations_total{$in}[$__rate_interval]))"),
            ("migration failed", "sum(rate(chatd_outgoing_migrations_failed_total{$in}[$__rate_interval]))"),
            ("taken over", "sum(rate(chatd_takeovers_total{$in}[$__rate_interval]))"),
        ],
    ),
    panel(
        "Time of ownership changes, mean",
        Unit::Seconds,
        &[
            (
                "migration",
                "sum(increase(chatd_outgoing_migration_seconds_sum{$in}[1h])) / sum(increase(chatd_outgoing_migration_seconds_count{$in}[1h]))",
            ),
            (
                "takeover",
                "sum(increase(chatd_takeover_seconds_sum{$in}[1h])) / sum(increase(chatd_takeover_seconds_count{$in}[1h]))",
            ),
            (
                "drain, until a room has left",
                "sum(increase(chatd_drain_room_seconds_sum{$in}[1h])) / sum(increase(chatd_drain_room_seconds_count{$in}[1h]))",
            ),
            ("drain that still has rooms", "max(chatd_drain_age_seconds{$in})"),
        ],
    ),
    panel(
        "Redis: request time",
        Unit::Seconds,
        &[
            (
                "p50",
                "histogram_quantile(0.5, sum by (le) (rate(chatd_directory_request_seconds_bucket{$in}[$__rate_interval])))",
            ),
            (
                "p99",
                "histogram_quantile(0.99, sum by (le) (rate(chatd_directory_request_seconds_bucket{$in}[$__rate_interval])))",
            ),
        ],
    ),
    panel(
        "Redis: requests",
        Unit::PerSecond,
        &[
            ("all", "sum(rate(chatd_directory_request_seconds_count{$in}[$__rate_interval]))"),
            ("unanswered: {{kind}}", "sum by (kind) (rate(chatd_directory_errors_total{$in}[$__rate_interval]))"),
        ],
    ),
    panel("Redis: state of each pod", Unit::Count, &[("{{pod}} {{state}}", "chatd_directory_state{$in} == 1")]),
    panel(
        "Clients closed or refused",
        Unit::PerSecond,
        &[
            ("slow consumer", "sum(rate(chatd_slow_consumers_total{$in}[$__rate_interval]))"),
            ("too much memory", "sum(rate(chatd_connections_shed_total{$in}[$__rate_interval]))"),
            ("pod full", "sum(rate(chatd_connections_refused_total{$in}[$__rate_interval]))"),
        ],
    ),
    panel(
        "Relayed sessions",
        Unit::Count,
        &[("sessions", "sum(chatd_relayed_sessions{$in})"), ("links between pods", "sum(chatd_peer_links{$in})")],
    ),
    panel(
        "Error replies",
        Unit::PerSecond,
        &[(POD, "sum by (pod) (rate(chatd_error_replies_total{$in}[$__rate_interval]))")],
    ),
    panel(
        "CPU",
        Unit::Share,
        &[(POD, r#"sum by (pod) (rate(process_cpu_seconds_total{chatdeployment!="",$in}[$__rate_interval]))"#)],
    ),
    panel(
        "Memory",
        Unit::Bytes,
        &[
            (POD, r#"sum by (pod) (process_resident_memory_bytes{chatdeployment!="",$in})"#),
            ("buffers of connections", "sum(chatd_buffered_bytes{$in})"),
            ("messages kept for replay", "sum(chatd_replay_bytes{$in})"),
        ],
    ),
    panel(
        "Traffic with clients",
        Unit::BytesPerSecond,
        &[
            ("in", "sum(rate(chatd_received_bytes_total{$in}[$__rate_interval]))"),
            ("out", "sum(rate(chatd_sent_bytes_total{$in}[$__rate_interval]))"),
        ],
    ),
];

/// Of the operator.
pub(super) const OPERATOR: [Panel; 8] = [
    panel("Leader", Unit::Count, &[(POD, "sum by (pod) (chatd_operator_leader{$in})")]),
    panel(
        "ChatDeployments",
        Unit::Count,
        &[
            ("known", "max(chatd_operator_deployments{$in})"),
            ("{{condition}}", "sum by (condition) (chatd_operator_deployment_condition)"),
        ],
    ),
    panel(
        "Reconciles by result",
        Unit::PerSecond,
        &[("{{result}}", "sum by (result) (rate(chatd_operator_reconciles_total{$in}[$__rate_interval]))")],
    ),
    panel(
        "Reconcile time",
        Unit::Seconds,
        &[
            (
                "p50",
                "histogram_quantile(0.5, sum by (le) (rate(chatd_operator_reconcile_seconds_bucket{$in}[$__rate_interval])))",
            ),
            (
                "p99",
                "histogram_quantile(0.99, sum by (le) (rate(chatd_operator_reconcile_seconds_bucket{$in}[$__rate_interval])))",
            ),
        ],
    ),
    panel("Queue", Unit::Count, &[(POD, "sum by (pod) (chatd_operator_queue_depth{$in})")]),
    panel(
        "Calls to the API server",
        Unit::PerSecond,
        &[("{{verb}} {{code}}", "sum by (verb, code) (rate(chatd_operator_api_calls_total{$in}[$__rate_interval]))")],
    ),
    panel(
        "Writes to the API server",
        Unit::PerSecond,
        &[("writes", "sum(rate(chatd_operator_api_writes_total{$in}[$__rate_interval]))")],
    ),
    panel(
        "Notices that a chat process is dead, by answer",
        Unit::PerSecond,
        &[("{{answer}}", "sum by (answer) (rate(chatd_operator_death_notices_total{$in}[$__rate_interval]))")],
    ),
];
