//! The command line and the environment: every flag with its variable, default, unit and help. Pure, but clap reads the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};

use super::values::{self, Address};

const EXAMPLES: &str = "\
Examples:
  Redis and Postgres on this machine, page on http://localhost:8080:
    http-demo --postgres-password-file postgres.password

  In a container:
    HTTP_DEMO_LISTEN=0.0.0.0:8080 HTTP_DEMO_REDIS_URL=redis://redis.databases:6379 ... http-demo

Each flag can be given by the variable beside it; a flag wins over its variable. Times are whole seconds, sizes are bytes
(65536, 64KiB, 1MiB). SIGTERM and SIGINT let the requests under way finish and end http-demo; a second one ends it at once.
Exit code 2: a setting is wrong.";

/// A small HTTP service: values in Redis by key, and a check of the way to Postgres.
#[derive(Debug, Parser)]
#[command(name = "http-demo", version, after_long_help = EXAMPLES, max_term_width = 120)]
pub(super) struct Arguments {
    /// Everything is served here: the page, /kv, /db, /status, /livez, /readyz and /metrics.
    #[arg(long, env = "HTTP_DEMO_LISTEN", value_name = "IP:PORT", default_value = "127.0.0.1:8080", value_parser = values::listen_address)]
    pub(super) listen: SocketAddr,
    #[command(flatten, next_help_heading = "Redis")]
    pub(super) redis: RedisArguments,
    #[command(flatten, next_help_heading = "Postgres")]
    pub(super) postgres: PostgresArguments,
    #[command(flatten, next_help_heading = "Limits")]
    pub(super) limits: LimitArguments,
    #[command(flatten, next_help_heading = "Logs")]
    pub(super) logs: LogArguments,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_field_names)] // a field's name is its flag
pub(super) struct RedisArguments {
    /// Redis or Valkey, redis://host[:port][/db], without a password in it.
    // Text until `check` reads it: clap would repeat a wrong one, and a password with it.
    #[arg(long, env = "HTTP_DEMO_REDIS_URL", value_name = "URL", default_value = "redis://127.0.0.1:6379")]
    pub(super) redis_url: String,
    /// The user of Redis' access control lists. Unset: its default user.
    #[arg(long, env = "HTTP_DEMO_REDIS_USERNAME", value_name = "NAME", value_parser = values::name)]
    pub(super) redis_username: Option<String>,
    /// A file with the password of Redis; read again when it changes.
    #[arg(long, env = "HTTP_DEMO_REDIS_PASSWORD_FILE", value_name = "FILE")]
    pub(super) redis_password_file: Option<PathBuf>,
    /// What stands before each key in Redis.
    #[arg(long, env = "HTTP_DEMO_REDIS_KEY_PREFIX", value_name = "TEXT", default_value = "http-demo:", value_parser = values::key_prefix)]
    pub(super) redis_key_prefix: String,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_field_names)] // a field's name is its flag
pub(super) struct PostgresArguments {
    /// Where Postgres is.
    #[arg(long, env = "HTTP_DEMO_POSTGRES_HOST", value_name = "HOST[:PORT]", default_value = "127.0.0.1:5432", value_parser = values::postgres_host)]
    pub(super) postgres_host: Address,
    /// The database that is connected to.
    #[arg(long, env = "HTTP_DEMO_POSTGRES_DATABASE", value_name = "NAME", default_value = "postgres", value_parser = values::name)]
    pub(super) postgres_database: String,
    /// The role that connects.
    #[arg(long, env = "HTTP_DEMO_POSTGRES_USER", value_name = "NAME", default_value = "postgres", value_parser = values::name)]
    pub(super) postgres_user: String,
    /// A file with the password of that role; read again when it changes.
    #[arg(long, env = "HTTP_DEMO_POSTGRES_PASSWORD_FILE", value_name = "FILE")]
    pub(super) postgres_password_file: Option<PathBuf>,
    /// Connections that are kept at most.
    #[arg(long, env = "HTTP_DEMO_POSTGRES_CONNECTIONS", value_name = "COUNT", default_value = "4", value_parser = |text: &str| values::count(text, 1, 64))]
    pub(super) postgres_connections: u32,
}

#[derive(Debug, Args)]
pub(super) struct LimitArguments {
    /// How long a value is kept if its PUT does not say.
    #[arg(long, env = "HTTP_DEMO_DEFAULT_TTL", value_name = "SECONDS", default_value = "3600", value_parser = |text: &str| values::count(text, 1, values::LONGEST_TTL))]
    pub(super) default_ttl: u32,
    /// The longest that a PUT may ask for.
    #[arg(long, env = "HTTP_DEMO_MAX_TTL", value_name = "SECONDS", default_value = "86400", value_parser = |text: &str| values::count(text, 1, values::LONGEST_TTL))]
    pub(super) max_ttl: u32,
    /// The longest key, without the prefix.
    #[arg(long, env = "HTTP_DEMO_MAX_KEY", value_name = "BYTES", default_value = "256", value_parser = |text: &str| values::size(text, 1, 4 << 10))]
    pub(super) max_key: usize,
    /// The longest value.
    #[arg(long, env = "HTTP_DEMO_MAX_VALUE", value_name = "BYTES", default_value = "64KiB", value_parser = |text: &str| values::size(text, 1, 1 << 20))]
    pub(super) max_value: usize,
    /// Connections of clients at one time. A few more are told so; probes are answered on them.
    #[arg(long, env = "HTTP_DEMO_MAX_CONNECTIONS", value_name = "COUNT", default_value = "128", value_parser = |text: &str| values::count(text, 1, 10_000))]
    pub(super) max_connections: u32,
    /// How long requests under way may take when the process is told to end.
    #[arg(long, env = "HTTP_DEMO_DRAIN_DEADLINE", value_name = "SECONDS", default_value = "5", value_parser = |text: &str| values::seconds(text, 1, 300))]
    pub(super) drain_deadline: Duration,
}

#[derive(Debug, Args)]
pub(super) struct LogArguments {
    /// json: one object an event; text: for people; auto: text on a terminal, else json.
    #[arg(long, env = "HTTP_DEMO_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value = "auto")]
    pub(super) log_format: LogFormat,
    /// The least important events that are logged. debug has the requests of probes and scrapers too.
    #[arg(long, env = "HTTP_DEMO_LOG_LEVEL", value_name = "LEVEL", value_enum, default_value = "info")]
    pub(super) log_level: LogLevel,
}

/// --log-format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Auto,
    Json,
    Text,
}

/// --log-level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}
