//! The settings of http-demo: every flag with its variable, default, unit and help. Reads the command line and the environment.
//!
//! To add a setting: a field here and a row in `README.md` (a test compares).

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::http::uri::Authority;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, ValueEnum};
use tracing::level_filters::LevelFilter;

const EXAMPLES: &str = "\
Examples:
  Redis and Postgres on this machine, page on http://localhost:8080:
    http-demo --postgres-password-file postgres.password

  In a container:
    HTTP_DEMO_LISTEN=0.0.0.0:8080 HTTP_DEMO_REDIS_URL=redis://redis.databases:6379 ... http-demo

Each flag has an environment variable, shown beside it; a flag overrides its variable. Times are in whole seconds, sizes in bytes
(65536, 64KiB, 1MiB). On SIGTERM or SIGINT http-demo finishes current requests and exits; on a second signal it exits at once.
Exit code 2: a setting is invalid.";
const REDIS_URL: &str = "--redis-url starts with redis://, as in redis://host, redis://host:port or redis://host:port/db. It \
    holds no user and no password: --redis-username and --redis-password-file do. http-demo does not speak TLS";
/// 30 days: this is a demonstration, not a permanent store.
const LONGEST_TTL: u32 = 30 * 24 * 60 * 60;

/// A small HTTP service: values in Redis by key, and a check of the connection to Postgres.
#[derive(Debug, Parser)]
#[command(name = "http-demo", version, after_long_help = EXAMPLES, max_term_width = 120)]
pub struct Settings {
    /// Address that serves everything: the page, /kv, /db, /status, /livez, /readyz and /metrics.
    #[arg(long, env = "HTTP_DEMO_LISTEN", value_name = "IP:PORT", default_value = "127.0.0.1:8080", value_parser = listen)]
    pub listen: SocketAddr,
    #[command(flatten, next_help_heading = "Redis")]
    pub redis: RedisSettings,
    #[command(flatten, next_help_heading = "Postgres")]
    pub postgres: PostgresSettings,
    #[command(flatten, next_help_heading = "Limits")]
    pub limits: Limits,
    /// json: one object per event; text: human-readable; auto: text on a terminal, else json.
    #[arg(long, env = "HTTP_DEMO_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value = "auto")]
    pub log_format: LogFormat,
    /// Minimum level of logged events. debug includes requests of probes and scrapers.
    #[arg(long, env = "HTTP_DEMO_LOG_LEVEL", value_name = "LEVEL", default_value = "info", value_parser = level())]
    pub log_level: LevelFilter,
}

/// Address and credentials of Redis.
#[derive(Debug, Args)]
pub struct RedisSettings {
    /// URL of Redis or Valkey, redis://host[:port][/db], without a password.
    // Text until `parse` reads it: clap would repeat a wrong one, and a password with it.
    #[arg(
        long = "redis-url",
        env = "HTTP_DEMO_REDIS_URL",
        value_name = "URL",
        default_value = "redis://127.0.0.1:6379"
    )]
    url: String,
    /// `host:port` of the URL.
    #[arg(skip)]
    pub server: String,
    #[arg(skip)]
    pub database: u32,
    /// ACL user of Redis, with a password. Unset: its default user.
    #[arg(long = "redis-username", env = "HTTP_DEMO_REDIS_USERNAME", value_name = "NAME", value_parser = name, requires = "redis_password_file")]
    pub username: Option<String>,
    /// File with the password of Redis; reloaded when it changes.
    #[arg(long = "redis-password-file", env = "HTTP_DEMO_REDIS_PASSWORD_FILE", value_name = "FILE")]
    pub redis_password_file: Option<PathBuf>,
    /// Prefix of every key in Redis.
    #[arg(long = "redis-key-prefix", env = "HTTP_DEMO_REDIS_KEY_PREFIX", value_name = "TEXT", default_value = "http-demo:", value_parser = key_prefix)]
    pub key_prefix: String,
}

/// Address and credentials of Postgres.
#[derive(Debug, Args)]
pub struct PostgresSettings {
    /// Address of Postgres.
    #[arg(long = "postgres-host", env = "HTTP_DEMO_POSTGRES_HOST", value_name = "HOST[:PORT]", default_value = "127.0.0.1:5432", value_parser = |text: &str| server(text, 5432))]
    pub server: String,
    /// Name of the database.
    #[arg(long = "postgres-database", env = "HTTP_DEMO_POSTGRES_DATABASE", value_name = "NAME", default_value = "postgres", value_parser = name)]
    pub database: String,
    /// Role that connects.
    #[arg(long = "postgres-user", env = "HTTP_DEMO_POSTGRES_USER", value_name = "NAME", default_value = "postgres", value_parser = name)]
    pub user: String,
    /// File with the password of that role; reloaded when it changes.
    #[arg(long = "postgres-password-file", env = "HTTP_DEMO_POSTGRES_PASSWORD_FILE", value_name = "FILE")]
    pub postgres_password_file: Option<PathBuf>,
    /// Maximum pooled connections.
    #[arg(long = "postgres-connections", env = "HTTP_DEMO_POSTGRES_CONNECTIONS", value_name = "COUNT", default_value = "4", value_parser = |text: &str| count(text, 64))]
    pub connections: u32,
}

/// Every limit that is a setting. The others are constants beside what they limit.
#[derive(Debug, Clone, Copy, Args)]
pub struct Limits {
    /// Lifetime of a value whose PUT sets none.
    #[arg(long, env = "HTTP_DEMO_DEFAULT_TTL", value_name = "SECONDS", default_value = "3600", value_parser = |text: &str| count(text, LONGEST_TTL))]
    pub default_ttl: u32,
    /// Maximum lifetime that a PUT may set.
    #[arg(long, env = "HTTP_DEMO_MAX_TTL", value_name = "SECONDS", default_value = "86400", value_parser = |text: &str| count(text, LONGEST_TTL))]
    pub max_ttl: u32,
    /// Maximum length of a key, without the prefix.
    #[arg(long, env = "HTTP_DEMO_MAX_KEY", value_name = "BYTES", default_value = "256", value_parser = |text: &str| size(text, 4 << 10))]
    pub max_key: usize,
    /// Maximum size of a value.
    #[arg(long, env = "HTTP_DEMO_MAX_VALUE", value_name = "BYTES", default_value = "64KiB", value_parser = |text: &str| size(text, 1 << 20))]
    pub max_value: usize,
    /// Maximum client connections. A few more get an error, or an answer if they are probes.
    #[arg(long, env = "HTTP_DEMO_MAX_CONNECTIONS", value_name = "COUNT", default_value = "128", value_parser = |text: &str| count(text, 10_000))]
    pub max_connections: u32,
    /// Time that current requests may take after SIGTERM.
    #[arg(long, env = "HTTP_DEMO_DRAIN_DEADLINE", value_name = "SECONDS", default_value = "5", value_parser = |text: &str| count(text, 300))]
    pub drain_deadline: u32,
}

/// --log-format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Auto,
    Json,
    Text,
}

/// The command line as clap knows it, for its help and for the documentation's test.
pub fn command() -> clap::Command {
    // Values of variables must not appear in logs that contain the help text.
    Settings::command().mut_args(|argument| argument.hide_env_values(true))
}

/// Of this process's arguments and environment; shows what is wrong and exits.
pub fn from_process() -> Settings {
    let mut command = command();
    let matches = command.get_matches_mut();
    let mut settings = Settings::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let mut refuse = |sentence: &str| -> ! { command.error(ErrorKind::ValueValidation, sentence).exit() };
    let found = redis_url(&settings.redis.url).unwrap_or_else(|| refuse(REDIS_URL));
    (settings.redis.server, settings.redis.database) = found;
    let (default, max) = (settings.limits.default_ttl, settings.limits.max_ttl);
    if default > max {
        refuse(&format!("--default-ttl {default} is longer than --max-ttl {max}: lower it, or raise --max-ttl"));
    }
    settings
}

/// The variables of this process that look like a setting and are none.
pub fn unknown_variables() -> Vec<String> {
    let command = command();
    let known: Vec<_> = command.get_arguments().filter_map(clap::Arg::get_env).collect();
    let variables = std::env::vars_os().filter(|(name, _)| !known.contains(&name.as_os_str()));
    let names = variables.filter_map(|(name, _)| name.into_string().ok());
    // Kubernetes sets HTTP_DEMO_SERVICE_HOST, HTTP_DEMO_PORT_80_TCP and their like for a Service named http-demo.
    names
        .filter(|name| name.starts_with("HTTP_DEMO_") && !name.contains("_SERVICE_") && !name.contains("_PORT"))
        .collect()
}

fn redis_url(text: &str) -> Option<(String, u32)> {
    let (address, database) = text.strip_prefix("redis://")?.split_once('/').unwrap_or((&text[8..], ""));
    Some((server(address, 6379).ok()?, if database.is_empty() { 0 } else { digits(database)? }))
}

/// `host` or `host:port` as `host:port`.
fn server(text: &str, port: u16) -> Result<String, String> {
    let parsed = text.parse::<Authority>().ok();
    let whole = parsed.and_then(|parsed| match parsed.port_u16() {
        Some(0) => None,
        Some(port) => Some(format!("{}:{port}", parsed.host())).filter(|whole| whole == text),
        None => (parsed.host() == text).then(|| format!("{text}:{port}")),
    });
    let right = || format!("a server is host or host:port, such as db, db.example.org:{port} or [fd00::7]:{port}");
    whole.ok_or_else(right)
}

fn listen(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "must be an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080")
}

fn level() -> impl TypedValueParser<Value = LevelFilter> {
    PossibleValuesParser::new(["error", "warn", "info", "debug", "trace"]).try_map(|level| level.parse::<LevelFilter>())
}

/// Of a user, role or database: 63 bytes is the longest that Postgres has.
fn name(text: &str) -> Result<String, &'static str> {
    let right = (1..=63).contains(&text.len()) && !text.chars().any(char::is_control);
    right.then(|| text.to_owned()).ok_or("must be a name of 1 to 63 bytes without control characters")
}

fn key_prefix(text: &str) -> Result<String, &'static str> {
    let right = (1..=63).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    right.then(|| text.to_owned()).ok_or("must be 1 to 63 visible ASCII characters, such as http-demo:")
}

/// Digits and nothing else: no sign, which `parse` alone would take.
pub(crate) fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn count(text: &str, most: u32) -> Result<u32, String> {
    digits(text).filter(|count| (1..=most).contains(count)).ok_or(format!("must be a whole number from 1 to {most}"))
}

/// Bytes, plain or in `KiB` or `MiB`.
fn size(text: &str, most: usize) -> Result<usize, String> {
    let (number, unit) = match (text.strip_suffix("KiB"), text.strip_suffix("MiB")) {
        (Some(number), _) => (number, 1 << 10),
        (None, Some(number)) => (number, 1 << 20),
        (None, None) => (text, 1),
    };
    let bytes = digits::<usize>(number).and_then(|number| number.checked_mul(unit));
    let right = || format!("must be 1 to {most} bytes, plain or as in 4KiB or 1MiB");
    bytes.filter(|bytes| (1..=most).contains(bytes)).ok_or_else(right)
}
