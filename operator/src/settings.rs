//! The command line and environment of `chatd-operator`. Reads them; no other I/O.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Creates and maintains the pods of ChatDeployments.
#[derive(Debug, Parser)]
#[command(name = "chatd-operator", version)]
pub struct Command {
    /// What is asked for.
    #[command(subcommand)]
    pub what: What,
}

#[allow(missing_docs)] // clap would take it for the help of the program
#[derive(Debug, Subcommand)]
pub enum What {
    /// Runs the operator until SIGTERM.
    Run(Box<Settings>),
    /// Prints the CustomResourceDefinition as YAML.
    Crd,
    /// Prints docs/chatdeployment.md.
    Docs,
}

/// The form of log lines; `--log-format` says what each is.
#[allow(missing_docs)] // clap would take a page for the help of `run`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Json,
    Text,
}

#[allow(missing_docs)] // clap would take it for the help of `run`
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// Image of chatd for ChatDeployments without spec.image.
    #[arg(long, env = "CHATD_OPERATOR_CHATD_IMAGE")]
    pub chatd_image: String,

    /// Image of Valkey for ChatDeployments without redis.managed.image.
    #[arg(long, env = "CHATD_OPERATOR_VALKEY_IMAGE")]
    pub valkey_image: String,

    /// Maximum ChatDeployments that roll at once.
    #[arg(long, env = "CHATD_OPERATOR_MAX_ROLLOUTS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub max_rollouts: u16,

    /// Namespace to manage; may be repeated. Unset: all namespaces.
    #[arg(long, env = "CHATD_OPERATOR_WATCH_NAMESPACE", value_delimiter = ',')]
    pub watch_namespace: Vec<String>,

    /// Namespace of Prometheus; may be repeated. Network policies let it read the metrics of the chat pods.
    #[arg(long, env = "CHATD_OPERATOR_MONITORING_NAMESPACE", value_delimiter = ',', default_value = "monitoring")]
    pub monitoring_namespace: Vec<String>,

    /// Address of /livez, /readyz and /metrics.
    #[arg(long, env = "CHATD_OPERATOR_ADMIN_LISTEN", default_value = "0.0.0.0:9091")]
    pub admin_listen: SocketAddr,

    /// Take part in the leader election among several operators.
    #[arg(long, env = "CHATD_OPERATOR_LEADER_ELECT", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub leader_elect: bool,

    /// Name of the Lease for the leader election, which also identifies this installation.
    #[arg(long, env = "CHATD_OPERATOR_LEASE_NAME", default_value = "chatd-operator")]
    pub lease_name: String,

    /// One JSON object per event, or human-readable text.
    #[arg(long, env = "CHATD_OPERATOR_LOG_FORMAT", value_enum, default_value = "json")]
    pub log_format: LogFormat,

    /// Minimum level of logged events: error, warn, info, debug or trace.
    #[arg(long, env = "CHATD_OPERATOR_LOG_LEVEL", default_value = "info")]
    pub log_level: tracing::Level,

    /// Namespace of the operator itself. Unset: the namespace that it runs in.
    #[arg(long, env = "CHATD_OPERATOR_NAMESPACE")]
    pub namespace: Option<String>,

    /// Identity of this process in the leader election. Unset: the host name and a random number.
    #[arg(long, env = "CHATD_OPERATOR_IDENTITY")]
    pub identity: Option<String>,
}
