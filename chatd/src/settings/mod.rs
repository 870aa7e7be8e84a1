//! chatd's settings, parsed and checked. Reads the command line, the environment and the host name; the submodules do no other I/O.
//!
//! `arguments` (one flag, one variable, one default each) -> `check` (pure: consistency) -> [`Settings`]. To add a setting: a field
//! in `arguments`, one in [`Settings`], one line in `check`, one row in `docs/operations.md`.

mod arguments;
mod base_path;
mod check;
mod environment;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches};

use crate::directory::redis::RedisSettings;
use crate::join_token::RoomAccess;
use crate::protocol::OnWrongPod;
use crate::webhook::WebhookUrl;

pub use arguments::{LogFormat, LogLevel, TcpTls};
pub use base_path::BasePath;
pub use check::SettingsError;
pub use values::{Cidr, HostPort, Origin, ValueError};

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation {
    /// Serve clients, with these settings.
    Serve(Box<Settings>),
    /// `chatd healthcheck`.
    Healthcheck(Healthcheck),
}

/// The request of [`crate::healthcheck::ask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Healthcheck {
    /// Where the admin port listens.
    pub admin: SocketAddr,
    /// Ask /livez and not /readyz.
    pub live: bool,
}

/// Every setting of a serving chatd. Sizes are bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the four ports listen.
    pub listen: Listen,
    /// The addresses that this pod advertises.
    pub advertise: Advertise,
    /// `None`: the directory is this process's memory, one pod.
    pub redis: Option<RedisSettings>,
    /// The name of this pod, of which only one may live: its lease stands under it.
    pub pod_id: String,
    /// Which deployment this pod is of, so that two under one key prefix notice.
    pub deployment_uid: String,
    /// Empty: unset.
    pub pod_uid: String,
    /// A file, or a directory of keys by id. `None`: a key is generated at start.
    pub token_key_file: Option<PathBuf>,
    /// Who may enter rooms, and what join tokens are verified with.
    pub join: JoinSettings,
    /// `None`: there is no server API.
    pub api: Option<ApiSettings>,
    /// `None`: no events are sent.
    pub webhook: Option<WebhookSettings>,
    /// Default for raw TCP clients; JOIN can override it.
    pub tcp_on_wrong_pod: OnWrongPod,
    /// Who may talk, and whose address counts.
    pub clients: Clients,
    /// `None`: the clients' ports are plaintext.
    pub tls: Option<TlsSettings>,
    /// How much of everything there may be.
    pub limits: Limits,
    /// From SIGTERM to the last room handed over or given up; 6 s at least.
    pub drain_deadline: Duration,
    /// How logs are written.
    pub log_format: LogFormat,
    /// From which level on events are logged.
    pub log_level: LogLevel,
}

/// Join tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JoinSettings {
    /// A JWKS, or a directory of keys by `kid`. `None`: no join token is accepted.
    pub keys_file: Option<PathBuf>,
    /// What `aud` must hold.
    pub audience: Option<String>,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// Who may enter a room.
    pub access: RoomAccess,
}

/// The server API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiSettings {
    /// Where it listens; never public.
    pub listen: SocketAddr,
    /// JSON: the keys that callers show.
    pub keys_file: PathBuf,
}

/// The webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Where events go.
    pub url: WebhookUrl,
    /// A file or a directory with what they are signed with.
    pub secret_file: PathBuf,
    /// PEM: the authorities that the receiver is verified by. `None`: the system's.
    pub ca_file: Option<PathBuf>,
}

/// Addresses to listen on. Port 0 asks the system for a free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// Raw TCP clients.
    pub tcp: SocketAddr,
    /// The page, its API and WebSockets.
    pub http: SocketAddr,
    /// Links from other pods.
    pub peer: SocketAddr,
    /// Health, metrics and status; never public.
    pub admin: SocketAddr,
}

/// Addresses at which clients and pods reach this pod; `None`: the bound address (use [`Advertise::or_bound`] once it is known).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertise {
    /// For raw TCP clients: what REDIRECT says.
    pub tcp: Option<HostPort>,
    /// For browsers.
    pub web: Option<HostPort>,
    /// For other pods.
    pub peer: Option<HostPort>,
    /// The file of all pods' public addresses, reloaded when it changes.
    pub file: Option<PathBuf>,
}

impl Advertise {
    /// The advertised address, or else the bound one.
    pub fn or_bound(advertised: Option<&HostPort>, bound: SocketAddr) -> HostPort {
        advertised.cloned().unwrap_or_else(|| HostPort::from(bound))
    }
}

/// Which clients may connect, and which address of a client is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clients {
    /// Origins of pages that may use the WebSocket and the API, beside the pod's own.
    pub allowed_origins: Vec<Origin>,
    /// Proxies whose X-Forwarded headers are believed.
    pub trusted_proxies: Vec<Cidr>,
    /// What stands before `/room` in the pages' addresses.
    pub web_base_path: BasePath,
    /// Every raw TCP connection begins with a PROXY header.
    pub proxy_protocol: bool,
    /// `None`: no keep-alive lines.
    pub line_keep_alive: Option<Duration>,
    /// Clients' addresses are seen, and have limits of their own.
    pub per_ip_limits: bool,
}

/// The certificate of the clients' ports, and where it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM: the server's certificate, then those between it and its authority.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
    /// PEM: the authorities whose clients are let in. `None`: everyone is.
    pub client_ca: Option<PathBuf>,
    /// What the raw TCP port speaks; the web port speaks TLS alone.
    pub tcp: TcpTls,
}

/// Every limit that is a setting. The others are constants beside what they limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Seats of a room, held ones included; at most [`crate::protocol::MAX_PLAYERS`].
    pub max_players: u32,
    /// New rooms are created by other pods, and old ones moved there, while this one has many more than they have.
    pub balance: bool,
    /// How long this is so before any is moved.
    pub balance_after: Duration,
    /// JOIN of a room that does not exist makes it.
    pub open_names: bool,
    /// How long the seat of a dropped connection is held.
    pub seat_hold: Duration,
    /// How long an empty room stays.
    pub empty_ttl: Duration,
    /// How long a room's record stays in the directory without being renewed; longer than `seat_hold`.
    pub record_ttl: Duration,
    /// Client connections of the pod, raw TCP and web together.
    pub max_connections: u32,
    /// `None`: a tenth of the places.
    pub max_connections_per_ip: Option<u32>,
    /// New rooms are made up to this number; those of a pod that ended are taken up to twice as many.
    pub max_rooms: u32,
    /// Lines a second and player.
    pub rate: u32,
    /// Lines of a player that may come at once; at least `rate`.
    pub burst: u32,
    /// From connecting to the first complete line or HTTP header.
    pub first_line_timeout: Duration,
    /// Silence on an HTTP connection after an answer.
    pub http_keep_alive: Duration,
    /// Silence outside a room before a connection is closed.
    pub idle_timeout: Duration,
    /// Wrong rooms and tokens before a connection is closed.
    pub max_misses: u32,
    /// Bytes that may wait on one connection.
    pub send_queue: usize,
    /// Bytes that all connections may hold.
    pub buffer_bytes: usize,
    /// Messages that a room keeps for those who resume.
    pub replay_messages: u32,
    /// Bytes of text a room.
    pub replay_bytes: usize,
    /// Bytes of text of all rooms.
    pub replay_pod_bytes: usize,
}

/// The command line as clap knows it, for its help and for the documentation's test.
pub fn command() -> clap::Command {
    // Values of variables must not appear in logs that contain the help text.
    arguments::Arguments::command().mut_args(|argument| argument.hide_env_values(true))
}

/// Parses the command line and the environment. `host_name` is the default pod name.
///
/// # Errors clap's error, for its `exit()`: an invalid setting (exit code 2), or the text of `--help` and `--version` (exit code
/// 0).
pub fn parse(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    host_name: &str,
) -> Result<Invocation, clap::Error> {
    // An empty variable counts as unset: many tools cannot unset one.
    let mut command = command().mut_args(|argument| {
        let empty = argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        if empty { argument.env(clap::builder::Resettable::Reset) } else { argument }
    });
    let words: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let matches = match command.try_get_matches_from_mut(&words) {
        Ok(matches) => matches,
        Err(error) => return Err(naming_variables(&mut command, &words, error)),
    };
    let arguments = arguments::Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    if let Some(arguments::Subcommands::Healthcheck { live }) = arguments.command {
        return Ok(Invocation::Healthcheck(Healthcheck { admin: arguments.listen.admin_listen, live }));
    }
    match check::check(arguments, host_name) {
        Ok(settings) => Ok(Invocation::Serve(Box::new(settings))),
        Err(error) => {
            let error = command.error(clap::error::ErrorKind::ValueValidation, error);
            Err(naming_variables(&mut command, &words, error))
        }
    }
}

/// Adds to the error the variables of the flags that it names and that the command line does not set.
fn naming_variables(command: &mut clap::Command, words: &[OsString], error: clap::Error) -> clap::Error {
    if !error.use_stderr() {
        return error;
    }
    let text = error.to_string();
    let on_command_line = |flag: &str| {
        let is_flag = |word: &OsString| {
            let word = word.to_string_lossy();
            word == flag || word.strip_prefix(flag).is_some_and(|rest| rest.starts_with('='))
        };
        words.iter().any(is_flag)
    };
    let named = |flag: &str| {
        text.split(|character: char| !character.is_ascii_alphanumeric() && character != '-').any(|word| word == flag)
    };
    let mut variables = Vec::new();
    for argument in command.get_arguments() {
        let (Some(long), Some(variable)) = (argument.get_long(), argument.get_env()) else { continue };
        let flag = format!("--{long}");
        if named(&flag) && !on_command_line(&flag) && std::env::var_os(variable).is_some() {
            variables.push(format!("{flag} comes from the variable {}", variable.to_string_lossy()));
        }
    }
    if variables.is_empty() {
        return error;
    }
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let text = text.split("\n\n").next().unwrap_or(text);
    command.error(error.kind(), format!("{text}\n  ({})", variables.join("; ")))
}

/// [`parse`] for `main`, of this process's arguments, environment and host name; prints an error and exits.
pub fn from_process() -> Invocation {
    let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    parse(std::env::args_os(), host_name.trim()).unwrap_or_else(|error| error.exit())
}

/// One warning for each of `variables`, by name, that starts with `CHATD_` and is not a setting.
pub fn unknown_variables(variables: &BTreeMap<String, String>) -> Vec<String> {
    let command = command();
    let known = command.get_arguments().filter_map(clap::Arg::get_env);
    let known: Vec<String> = known.map(|name| name.to_string_lossy().into_owned()).collect();
    environment::unknown(variables, &known)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
