//! What http-demo is told at its start, checked. Reads the command line and the environment; nothing else here does I/O.
//!
//! `arguments` (one flag, one variable, one default each) -> `check` (pure: what goes together) -> [`Settings`]. To add a
//! setting: a field in `arguments`, one in [`Settings`], one line in `check`, one row in `README.md` (a test compares).

mod arguments;
mod check;
mod values;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches};

pub use arguments::{LogFormat, LogLevel};
pub use check::SettingsError;
pub use values::{Address, ValueError};

/// Every setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Port 0 asks the system for a free one.
    pub listen: SocketAddr,
    pub redis: RedisSettings,
    pub postgres: PostgresSettings,
    pub limits: Limits,
    /// How long requests under way may take when the process is told to end.
    pub drain_deadline: Duration,
    pub log_format: LogFormat,
    pub log_level: LogLevel,
}

/// Where Redis is, and who asks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    pub server: Address,
    pub database: u32,
    /// `None`: Redis' default user.
    pub username: Option<String>,
    pub password_file: Option<PathBuf>,
    /// What stands before each key.
    pub key_prefix: String,
}

/// Where Postgres is, and who asks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresSettings {
    pub server: Address,
    pub database: String,
    pub user: String,
    pub password_file: Option<PathBuf>,
    /// Connections at most.
    pub connections: usize,
}

/// Every limit that is a setting. The others are constants beside what they limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Seconds.
    pub default_ttl: u32,
    /// Seconds.
    pub max_ttl: u32,
    /// Bytes.
    pub max_key: usize,
    /// Bytes.
    pub max_value: usize,
    pub max_connections: usize,
}

/// The command line as clap knows it, for its help and for the documentation's test.
pub fn command() -> clap::Command {
    // A variable's value is nobody's business who reads the help in a log.
    arguments::Arguments::command().mut_args(|argument| argument.hide_env_values(true))
}

/// What the command line and the environment ask for.
///
/// # Errors
/// clap's, to be shown by its `exit()`: a wrong setting (exit code 2), or the text of `--help` and `--version` (exit code 0).
pub fn parse(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Settings, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    let arguments = arguments::Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    check::check(arguments).map_err(|error| command.error(clap::error::ErrorKind::ValueValidation, error))
}

/// [`parse`] for `main`: of this process's arguments and environment; shows what is wrong and exits.
pub fn from_process() -> Settings {
    parse(std::env::args_os()).unwrap_or_else(|error| error.exit())
}

/// One sentence for each of `names` that looks like a setting and is none: to be logged as warnings.
pub fn unknown_variables<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let command = command();
    let known: Vec<&str> =
        command.get_arguments().filter_map(clap::Arg::get_env).filter_map(std::ffi::OsStr::to_str).collect();
    let unknown =
        names.filter(|name| name.starts_with("HTTP_DEMO_") && !known.contains(name) && !is_service_link(name));
    unknown.map(|name| format!("{name} is not a setting and has no effect; http-demo --help lists them")).collect()
}

/// Whether Kubernetes sets such a variable for a Service named `http-demo...`: `_SERVICE_HOST`, `_SERVICE_PORT...`, `_PORT` and
/// `_PORT_<number>...`. No setting is named like that.
fn is_service_link(name: &str) -> bool {
    let numbered = |rest: &str| rest.starts_with(|character: char| character.is_ascii_digit());
    name.contains("_SERVICE_")
        || name.ends_with("_PORT")
        || name.split_once("_PORT_").is_some_and(|(_, rest)| numbered(rest))
}
