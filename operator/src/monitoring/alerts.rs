//! The alerts. docs/runbooks.md has a section for each; `tests/alerts.rs` shows for each when it fires and when it does not. Pure data.

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Users are affected now: somebody is to be woken.
    Critical,
    /// Something is to be done within a day.
    Warning,
}

impl Severity {
    /// The value of the label `severity`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
        }
    }
}

/// What an alert is about: it decides who makes its rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// One ChatDeployment: the operator makes the rule beside it.
    Chat,
    /// The operator itself: the chart makes the rule.
    Operator,
}

/// One alert.
#[derive(Clone, Copy, Debug)]
pub struct Alert {
    /// Its name, and the heading of its section in docs/runbooks.md.
    pub name: &'static str,
    /// Whose it is.
    pub part: Part,
    /// How urgent it is.
    pub severity: Severity,
    /// True while something is wrong; see [`super::query`].
    pub expr: &'static str,
    /// How long `expr` has to be true, as Prometheus writes it.
    pub wait: &'static str,
    /// What is wrong, in a few words.
    pub summary: &'static str,
    /// The same with the labels and the value of the series, as a template of Prometheus.
    pub description: &'static str,
}

const fn chat(
    severity: Severity,
    name: &'static str,
    wait: &'static str,
    expr: &'static str,
    summary: &'static str,
    description: &'static str,
) -> Alert {
    Alert { name, part: Part::Chat, severity, expr, wait, summary, description }
}

const fn operator(
    severity: Severity,
    name: &'static str,
    wait: &'static str,
    expr: &'static str,
    summary: &'static str,
    description: &'static str,
) -> Alert {
    Alert { part: Part::Operator, ..chat(severity, name, wait, expr, summary, description) }
}

use Severity::{Critical, Warning};

/// All alerts, in the order of docs/runbooks.md.
pub const ALERTS: [Alert; 27] = [
    chat(
        Critical,
        "ChatdNoReadyPods",
        "1m",
        "max $by (chatd_operator_deployment_ready_pods{$in}) == 0 and max $by (chatd_operator_deployment_desired_pods{$in}) > 0",
        "No chat pod is ready.",
        "ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} has no ready pod: nobody can connect.",
    ),
    chat(
        Warning,
        "ChatdNotReady",
        "15m",
        r#"max $by (chatd_operator_deployment_condition{condition="Ready",$in}) == 0 unless max $by (chatd_operator_deployment_waits{$in}) == 1 unless max $by (changes(chatd_operator_deployment_updated_pods{$in}[10m])) > 0"#,
        "A ChatDeployment does not become ready.",
        "The condition Ready of ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} has not been True for 15 minutes, and its rollout makes no progress.",
    ),
    chat(
        Warning,
        "ChatdDegraded",
        "5m",
        r#"max $by (chatd_operator_deployment_condition{condition="Degraded",$in}) == 1"#,
        "A ChatDeployment has a problem that does not go away by itself.",
        "ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} is Degraded; the condition's message has the remedy.",
    ),
    chat(
        Warning,
        "ChatdCrashLooping",
        "0m",
        r#"sum $by (changes(process_start_time_seconds{chatdeployment!="",$in}[30m])) > 3"#,
        "Chat pods restart again and again.",
        "Processes of ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} restarted {{ $value }} times within 30 minutes.",
    ),
    chat(
        Critical,
        "ChatdRedisUnreachable",
        "2m",
        r#"max $by (chatd_directory_state{state!~"ok|prefix_in_use",$in}) == 1"#,
        "Chat pods cannot use Redis.",
        "Pods of ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} get no answer from Redis: open rooms continue, others cannot be found, created or taken over.",
    ),
    chat(
        Warning,
        "ChatdRedisErrors",
        "5m",
        "sum $by (rate(chatd_directory_errors_total{$in}[5m])) / sum $by (rate(chatd_directory_request_seconds_count{$in}[5m])) > 0.02",
        "Requests to Redis fail, writes of room records among them.",
        "{{ $value | humanizePercentage }} of the requests of ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} to Redis get no answer.",
    ),
    chat(
        Warning,
        "ChatdRedisSlow",
        "10m",
        "histogram_quantile(0.99, sum by (namespace, chatdeployment, le) (rate(chatd_directory_request_seconds_bucket{$in}[5m]))) > 0.1",
        "Redis answers slowly.",
        "1 % of the requests of ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} to Redis take longer than {{ $value | humanizeDuration }}.",
    ),
    chat(
        Warning,
        "ChatdRedisDataLost",
        "0m",
        "sum $by (increase(chatd_directory_went_back_total{$in}[10m])) > 0",
        "Redis lost data.",
        "ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} found Redis emptied or rolled back; its pods rewrite their records.",
    ),
    chat(
        Critical,
        "ChatdKeyPrefixInUse",
        "1m",
        "max $by (chatd_prefix_in_use{$in}) == 1",
        "Two deployments use one key prefix in Redis.",
        "Another deployment uses the key prefix of ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }}; its pods refuse new clients.",
    ),
    chat(
        Critical,
        "ChatdRoomsUnavailable",
        "5m",
        r#"sum $by (rate(chatd_joins_total{result="unavailable",$in}[5m])) / sum $by (rate(chatd_joins_total{$in}[5m])) > 0.05"#,
        "Clients cannot join because rooms are unavailable.",
        "{{ $value | humanizePercentage }} of the joins of ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} get unavailable.",
    ),
    chat(
        Warning,
        "ChatdJoinsSlow",
        "10m",
        "histogram_quantile(0.99, sum by (namespace, chatdeployment, le) (rate(chatd_join_seconds_bucket{$in}[5m]))) > 1",
        "Joins are slow.",
        "1 % of the joins of ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} take longer than {{ $value | humanizeDuration }}.",
    ),
    chat(
        Warning,
        "ChatdDeliverySlow",
        "10m",
        "histogram_quantile(0.99, sum by (namespace, chatdeployment, le) (rate(chatd_delivery_seconds_bucket{$in}[5m]))) > 0.1",
        "Messages are delivered slowly: threads are overloaded or throttled.",
        "1 % of the batches of ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} take longer than {{ $value | humanizeDuration }} from input to output.",
    ),
    chat(
        Warning,
        "ChatdLeaseLapses",
        "0m",
        "sum $by (increase(chatd_lease_lapses_total{$in}[15m])) > 0",
        "Chat pods were frozen for longer than a lease, or cut off from Redis.",
        "Leases of ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} lapsed; its rooms paused until their records were verified.",
    ),
    chat(
        Warning,
        "ChatdTakeovers",
        "0m",
        "sum $by (increase(chatd_takeovers_total{$in}[15m])) > 0.1 * sum $by (chatd_rooms{$in})",
        "Many rooms had to be taken over from pods that died.",
        "ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} took over {{ $value }} rooms within 15 minutes: their last messages are lost.",
    ),
    chat(
        Warning,
        "ChatdRoomsDisputed",
        "0m",
        "sum $by (increase(chatd_releases_total{$in}[15m])) - sum $by (increase(chatd_outgoing_migrations_total{$in}[15m])) > 5",
        "Living pods lost rooms to other pods.",
        "Pods of ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} released {{ $value }} rooms that another pod had taken over while they served them.",
    ),
    // Rooms that leave late are in the histogram; rooms that do not leave are seen by the age of the drain alone. Its highest value
    // counts, since a pod takes its figures with it when it ends. A pod that was the only one had nobody to give its rooms to.
    chat(
        Warning,
        "ChatdDrainSlow",
        "0m",
        "histogram_quantile(0.9, sum by (namespace, chatdeployment, le) (increase(chatd_drain_room_seconds_bucket{$in}[30m]))) > 10 or max $by (max_over_time(chatd_drain_age_seconds{$in}[30m])) > 15 unless max $by (max_over_time(chatd_operator_deployment_desired_pods{$in}[30m])) < 2",
        "Draining pods hardly move their rooms in time, or not at all.",
        "Pods of ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} still had rooms {{ $value | humanizeDuration }} after the begin of their drain.",
    ),
    chat(
        Warning,
        "ChatdRoomsNearlyFull",
        "10m",
        "sum $by (chatd_rooms{$in}) / sum $by (chatd_room_places{$in}) > 0.85",
        "Almost all places for rooms are taken.",
        "ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} uses {{ $value | humanizePercentage }} of limits.maxRooms.",
    ),
    chat(
        Warning,
        "ChatdConnectionsNearlyFull",
        "10m",
        "sum $by (chatd_connection_places_used{$in}) / sum $by (chatd_connection_places{$in}) > 0.85",
        "Almost all places for connections are taken.",
        "ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} uses {{ $value | humanizePercentage }} of limits.maxConnections.",
    ),
    chat(
        Warning,
        "ChatdSlowConsumers",
        "10m",
        "sum $by (increase(chatd_slow_consumers_total{$in}[5m]) + increase(chatd_connections_shed_total{$in}[5m])) > 5 + 0.01 * sum $by (chatd_connections{$in})",
        "Many clients do not read fast enough and are closed.",
        "ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} closed {{ $value }} slow clients within 5 minutes.",
    ),
    chat(
        Warning,
        "ChatdFileReloadFailed",
        "0m",
        "sum $by (increase(chatd_file_reload_failures_total{$in}[15m])) > 0",
        "A changed key, password, certificate or address file cannot be used.",
        "Pods of ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} cannot use a changed file, and keep the old content.",
    ),
    chat(
        Warning,
        "ChatdWebhookDropped",
        "0m",
        "sum $by (increase(chatd_webhook_dropped_total{$in}[15m])) > 0",
        "Events for the webhook were dropped.",
        "The webhook of ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} did not take {{ $value | humanize }} events in 15 minutes.",
    ),
    // The second half is for certificates that live for days: cert-manager renews them when a third of their time is left.
    chat(
        Warning,
        "ChatdCertificateExpires",
        "15m",
        "min $by (chatd_tls_certificate_expiry_timestamp_seconds{$in} - time()) < 7 * 86400 and min $by ((chatd_tls_certificate_expiry_timestamp_seconds{$in} - time()) / (chatd_tls_certificate_expiry_timestamp_seconds{$in} - chatd_tls_certificate_not_before_timestamp_seconds{$in})) < 0.25",
        "The certificate of the client ports expires soon, and was not renewed.",
        "The certificate of spec.tls of ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} expires in {{ $value | humanizeDuration }}.",
    ),
    chat(
        Critical,
        "ChatdCertificateExpired",
        "0m",
        "min $by (chatd_tls_certificate_expiry_timestamp_seconds{$in} - time()) < 0",
        "The certificate of the client ports has expired: clients refuse it.",
        "A pod of ChatDeployment {{ $labels.namespace }}/{{ $labels.chatdeployment }} still serves a certificate that has expired.",
    ),
    operator(
        Critical,
        "ChatdOperatorNoLeader",
        "2m",
        "sum by (namespace) (chatd_operator_leader{$in}) < 1 or absent(chatd_operator_leader{$in})",
        "No operator leads: nothing is repaired, scaled or rolled out.",
        "No operator in {{ $labels.namespace }} is the leader.",
    ),
    operator(
        Warning,
        "ChatdOperatorReconcileErrors",
        "15m",
        r#"sum by (namespace) (rate(chatd_operator_reconciles_total{result="error",$in}[10m])) / sum by (namespace) (rate(chatd_operator_reconciles_total{$in}[10m])) > 0.1"#,
        "Reconciles fail.",
        "{{ $value | humanizePercentage }} of the reconciles of the operator in {{ $labels.namespace }} fail.",
    ),
    operator(
        Warning,
        "ChatdOperatorQueueLong",
        "10m",
        "max by (namespace) (chatd_operator_queue_depth{$in}) > 100",
        "The operator is behind.",
        "{{ $value }} ChatDeployments are due and wait: the API server is too slow, or answers 429.",
    ),
    operator(
        Warning,
        "ChatdOperatorWritesMuch",
        "30m",
        "sum by (namespace) (rate(chatd_operator_api_writes_total{$in}[30m])) > 1",
        "The operator writes all the time.",
        "The operator in {{ $labels.namespace }} writes {{ $value | humanize }} objects a second: another controller writes the same fields.",
    ),
];
