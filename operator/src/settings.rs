//! The command line and environment of `chatd-operator`. Reads them; no other I/O.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Turns ChatDeployments into running chat pods and keeps them so.
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
    /// The image of chatd for ChatDeployments that name none.
    #[arg(long, env = "CHATD_OPERATOR_CHATD_IMAGE")]
    pub chatd_image: String,

    /// The image of Valkey for ChatDeployments that name none.
    #[arg(long, env = "CHATD_OPERATOR_VALKEY_IMAGE")]
    pub valkey_image: String,

    /// How many ChatDeployments may roll at once.
    #[arg(long, env = "CHATD_OPERATOR_MAX_ROLLOUTS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub max_rollouts: u16,

    /// A namespace to look after; may be given again. Unset: all of them.
    #[arg(long, env = "CHATD_OPERATOR_WATCH_NAMESPACE", value_delimiter = ',')]
    pub watch_namespace: Vec<String>,

    /// /livez, /readyz and /metrics.
    #[arg(long, env = "CHATD_OPERATOR_ADMIN_LISTEN", default_value = "0.0.0.0:9091")]
    pub admin_listen: SocketAddr,

    /// Take part in the election of one leader among several operators.
    #[arg(long, env = "CHATD_OPERATOR_LEADER_ELECT", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub leader_elect: bool,

    /// The Lease of that election, by which this installation is told from others too.
    #[arg(long, env = "CHATD_OPERATOR_LEASE_NAME", default_value = "chatd-operator")]
    pub lease_name: String,

    /// One JSON object an event, or text for people.
    #[arg(long, env = "CHATD_OPERATOR_LOG_FORMAT", value_enum, default_value = "json")]
    pub log_format: LogFormat,

    /// error, warn, info, debug or trace.
    #[arg(long, env = "CHATD_OPERATOR_LOG_LEVEL", default_value = "info")]
    pub log_level: tracing::Level,

    /// The namespace of the operator itself. Unset: the one that it runs in.
    #[arg(long, env = "CHATD_OPERATOR_NAMESPACE")]
    pub namespace: Option<String>,

    /// The name by which this process takes part in the election. Unset: the host name and a random number.
    #[arg(long, env = "CHATD_OPERATOR_IDENTITY")]
    pub identity: Option<String>,
}
