//! The command line and the environment: every flag with its variable, default, unit and help. Pure, but clap reads the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::base_path::BasePath;
use super::values::{self, Cidr, HostPort, Origin};
use crate::protocol::MAX_PLAYERS;

const EXAMPLES: &str = "\
Examples:
  One process, rooms in its own memory, page on http://localhost:8081:
    chatd

  Two processes that share a Redis and behave as one service (a third one likewise):
    head -c 32 /dev/urandom | base64 > token.key
    chatd --pod-id chat-0 --redis-url redis://127.0.0.1:6379 --token-key-file token.key
    chatd --pod-id chat-1 --redis-url redis://127.0.0.1:6379 --token-key-file token.key \\
      --tcp-listen 127.0.0.1:7655 --http-listen 127.0.0.1:8082 \\
      --peer-listen 127.0.0.1:7756 --admin-listen 127.0.0.1:9091

  In a container, behind a load balancer:
    CHATD_TCP_LISTEN=0.0.0.0:7654 CHATD_ADVERTISE_TCP=chat-0.example.org:7654 ... chatd
    chatd healthcheck

Each flag can be given by the variable beside it; a flag wins over its variable. Times are seconds (0.5 works), sizes are
bytes (262144, 256KiB, 32MiB), lists have commas. SIGTERM, SIGINT and SIGHUP hand every room to another pod and end chatd; a
second one ends it at once. Exit code 2: a setting is wrong.";

/// Chat rooms of up to four, found and joined through any pod.
///
/// Serves raw TCP lines (nc works), the web page with its WebSocket, links to other pods, and health and metrics, each on an
/// address of its own.
#[derive(Debug, Parser)]
#[command(name = "chatd", version, after_long_help = EXAMPLES, max_term_width = 120)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Option<Subcommands>,
    #[command(flatten, next_help_heading = "Addresses to listen on")]
    pub(super) listen: ListenArguments,
    #[command(flatten, next_help_heading = "Where others reach this pod")]
    pub(super) advertise: AdvertiseArguments,
    #[command(flatten, next_help_heading = "Redis, which several pods share")]
    pub(super) redis: RedisArguments,
    #[command(flatten, next_help_heading = "Identity and keys")]
    pub(super) identity: IdentityArguments,
    #[command(flatten, next_help_heading = "Clients")]
    pub(super) clients: ClientArguments,
    #[command(flatten, next_help_heading = "Rooms")]
    pub(super) rooms: RoomArguments,
    #[command(flatten, next_help_heading = "Limits")]
    pub(super) limits: LimitArguments,
    #[command(flatten, next_help_heading = "Logs")]
    pub(super) logs: LogArguments,
}

#[derive(Debug, Subcommand)]
pub(super) enum Subcommands {
    /// Asks a chatd on this machine whether it is ready (or lives): exit code 0 or 1, within 2 s.
    ///
    /// For containers without a shell. Goes by --admin-listen or CHATD_ADMIN_LISTEN, as the chatd beside it does.
    Healthcheck {
        /// Ask /livez (the process is responsive) and not /readyz (it may be sent clients).
        #[arg(long)]
        live: bool,
    },
}

#[derive(Debug, Args)]
#[allow(clippy::struct_field_names)] // a field's name is its flag
pub(super) struct ListenArguments {
    /// Raw TCP: lines, as protocol.md says.
    #[arg(long, env = "CHATD_TCP_LISTEN", value_name = "IP:PORT", default_value = "127.0.0.1:7654", value_parser = values::listen_address)]
    pub(super) tcp_listen: SocketAddr,
    /// The page, its API and the WebSocket.
    #[arg(long, env = "CHATD_HTTP_LISTEN", value_name = "IP:PORT", default_value = "127.0.0.1:8081", value_parser = values::listen_address)]
    pub(super) http_listen: SocketAddr,
    /// Links from other pods.
    #[arg(long, env = "CHATD_PEER_LISTEN", value_name = "IP:PORT", default_value = "127.0.0.1:7755", value_parser = values::listen_address)]
    pub(super) peer_listen: SocketAddr,
    /// /livez, /readyz, /metrics and /status. Never make it public.
    #[arg(long, env = "CHATD_ADMIN_LISTEN", value_name = "IP:PORT", default_value = "127.0.0.1:9090", value_parser = values::listen_address, global = true)]
    pub(super) admin_listen: SocketAddr,
}

#[derive(Debug, Args)]
pub(super) struct AdvertiseArguments {
    /// Where raw TCP clients reach this pod: what REDIRECT says. Unset: the listen address.
    #[arg(long, env = "CHATD_ADVERTISE_TCP", value_name = "HOST:PORT")]
    pub(super) advertise_tcp: Option<HostPort>,
    /// Where browsers reach this pod. Unset: the listen address.
    #[arg(long, env = "CHATD_ADVERTISE_WEB", value_name = "HOST:PORT")]
    pub(super) advertise_web: Option<HostPort>,
    /// Where other pods reach this pod. Unset: the listen address.
    #[arg(long, env = "CHATD_ADVERTISE_PEER", value_name = "HOST:PORT")]
    pub(super) advertise_peer: Option<HostPort>,
    /// A file with every pod's public addresses, {"chat-0":{"tcp":"h:p","web":"h:p"}}; read again when it changes.
    ///
    /// While it is set and lacks the owner of a room, entry pods relay, whatever was asked.
    #[arg(long, env = "CHATD_ADVERTISE_FILE", value_name = "FILE")]
    pub(super) advertise_file: Option<PathBuf>,
    /// What a raw TCP client gets that asks the wrong pod, if it says nothing itself.
    #[arg(long, env = "CHATD_TCP_ON_WRONG_POD", value_name = "MODE", value_enum, default_value = "redirect")]
    pub(super) tcp_on_wrong_pod: WrongPodMode,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_field_names)] // a field's name is its flag
pub(super) struct RedisArguments {
    /// Redis or Valkey, without a password in it. Unset: one pod, rooms are found in its own memory.
    ///
    /// redis[s]://host:port[/db], redis[s]+sentinel://host:port,host:port/master[/db] or
    /// redis[s]+cluster://host:port,host:port. The s asks for TLS. Needs --token-key-file.
    #[arg(long, env = "CHATD_REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub(super) redis_url: Option<String>,
    /// The user of Redis' access control lists. Unset: its default user.
    #[arg(long, env = "CHATD_REDIS_USERNAME", value_name = "NAME")]
    pub(super) redis_username: Option<String>,
    /// A file with the password of Redis; read again when it changes.
    #[arg(long, env = "CHATD_REDIS_PASSWORD_FILE", value_name = "FILE")]
    pub(super) redis_password_file: Option<PathBuf>,
    /// A file with the password of the sentinels, if they have one of their own.
    #[arg(long, env = "CHATD_REDIS_SENTINEL_PASSWORD_FILE", value_name = "FILE")]
    pub(super) redis_sentinel_password_file: Option<PathBuf>,
    /// PEM certificates that may sign the server's. Unset: those that the system trusts.
    #[arg(long, env = "CHATD_REDIS_CA_FILE", value_name = "FILE")]
    pub(super) redis_ca_file: Option<PathBuf>,
    /// PEM certificate of this client, where Redis asks for one; with --redis-key-file.
    #[arg(long, env = "CHATD_REDIS_CERT_FILE", value_name = "FILE")]
    pub(super) redis_cert_file: Option<PathBuf>,
    /// PEM key of this client's certificate.
    #[arg(long, env = "CHATD_REDIS_KEY_FILE", value_name = "FILE")]
    pub(super) redis_key_file: Option<PathBuf>,
    /// What stands before each key. Deployments that share a Redis need different ones.
    #[arg(long, env = "CHATD_REDIS_KEY_PREFIX", value_name = "TEXT", default_value = "chat:", value_parser = values::key_prefix)]
    pub(super) redis_key_prefix: String,
}

#[derive(Debug, Args)]
pub(super) struct IdentityArguments {
    /// The name of this pod, of which only one may live. Unset: the host name.
    #[arg(long, env = "CHATD_POD_ID", value_name = "NAME", value_parser = values::pod_id)]
    pub(super) pod_id: Option<String>,
    /// Which deployment this pod is of. A pod does not serve while another deployment lives under its key prefix.
    #[arg(long, env = "CHATD_DEPLOYMENT_UID", value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) deployment_uid: String,
    /// Which of several pods of this name it is, such as Kubernetes' metadata.uid.
    ///
    /// One that a later pod of its name has put out does not serve again, and ends with code 3.
    #[arg(long, env = "CHATD_POD_UID", value_name = "TEXT", value_parser = values::pod_id)]
    pub(super) pod_uid: Option<String>,
    /// The deployment's secret key, the same for all its pods: a file, or a directory of keys by id. Needed with Redis.
    ///
    /// Each is 32 random bytes or more in base64 or hex. Ids sort bytewise; the greatest signs once it has been loaded for 180 s,
    /// all are accepted. Read again when changed. Unset: made at start.
    #[arg(long, env = "CHATD_TOKEN_KEY_FILE", value_name = "PATH")]
    pub(super) token_key_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ClientArguments {
    /// Origins of pages that may use /ws and the API beside the pod's own, such as https://chat.example.org.
    #[arg(long, env = "CHATD_ALLOWED_ORIGINS", value_name = "ORIGIN,...", value_delimiter = ',')]
    pub(super) allowed_origins: Vec<Origin>,
    /// Networks of proxies whose X-Forwarded-For, X-Forwarded-Host and X-Forwarded-Prefix are believed, such as 10.0.0.0/8.
    #[arg(long, env = "CHATD_TRUSTED_PROXIES", value_name = "CIDR,...", value_delimiter = ',')]
    pub(super) trusted_proxies: Vec<Cidr>,
    /// The path before /room in the pages' addresses, such as /chat; a proxy may take it away or leave it.
    #[arg(long, env = "CHATD_WEB_BASE_PATH", value_name = "PATH")]
    pub(super) web_base_path: Option<BasePath>,
    /// Each raw TCP connection must start with a PROXY header (version 1 or 2), whose client address counts.
    #[arg(long, env = "CHATD_PROXY_PROTOCOL", value_name = "on|off", default_value = "off", default_missing_value = "on", num_args = 0..=1, value_parser = values::switch)]
    pub(super) proxy_protocol: bool,
    /// Silence on a raw TCP connection after which the line "# " is sent, for balancers that cut idle ones; 0: never. Unset: 30 with --proxy-protocol, else never.
    #[arg(long, env = "CHATD_LINE_KEEP_ALIVE", value_name = "SECONDS", value_parser = |text: &str| values::seconds(text, 0, 3600))]
    pub(super) line_keep_alive: Option<Duration>,
    /// For each client address (IPv6: /64): 30 wrong rooms, wrong tokens and creations a minute, and a part of the connections.
    ///
    /// Only where client addresses are seen: many Services hide all of them behind one.
    #[arg(long, env = "CHATD_PER_IP_LIMITS", value_name = "on|off", default_value = "off", default_missing_value = "on", num_args = 0..=1, value_parser = values::switch)]
    pub(super) per_ip_limits: bool,
}

#[derive(Debug, Args)]
pub(super) struct RoomArguments {
    /// Players in a room, held seats included.
    #[arg(long, env = "CHATD_MAX_PLAYERS", value_name = "COUNT", default_value = "4", value_parser = |text: &str| values::count(text, 1, MAX_PLAYERS))]
    pub(super) max_players: u32,
    /// How long a dropped connection's seat is held.
    #[arg(long, env = "CHATD_SEAT_HOLD", value_name = "SECONDS", default_value = "30", value_parser = |text: &str| values::seconds(text, 0, 600))]
    pub(super) seat_hold: Duration,
    /// How long an empty room stays.
    #[arg(long, env = "CHATD_EMPTY_TTL", value_name = "SECONDS", default_value = "600", value_parser = |text: &str| values::seconds(text, 1, 86_400))]
    pub(super) empty_ttl: Duration,
    /// How long a room's record outlives its pod; renewed while the room lives.
    #[arg(long, env = "CHATD_RECORD_TTL", value_name = "SECONDS", default_value = "3600", value_parser = |text: &str| values::seconds(text, 60, 86_400))]
    pub(super) record_ttl: Duration,
    /// Missed messages that a room keeps for those who resume.
    #[arg(long, env = "CHATD_REPLAY_MESSAGES", value_name = "COUNT", default_value = "32", value_parser = |text: &str| values::count(text, 0, 10_000))]
    pub(super) replay_messages: u32,
    /// Bytes of text of those messages, a room.
    #[arg(long, env = "CHATD_REPLAY_BYTES", value_name = "BYTES", default_value = "8KiB", value_parser = |text: &str| values::size(text, 0, 16 << 20))]
    pub(super) replay_bytes: usize,
    /// Bytes of text of those messages, all rooms of the pod together.
    #[arg(long, env = "CHATD_REPLAY_POD_BYTES", value_name = "BYTES", default_value = "32MiB", value_parser = |text: &str| values::size(text, 0, 16 << 30))]
    pub(super) replay_pod_bytes: usize,
    /// How long a stopping pod may take to hand over its rooms, from 6 s; give the container 10 s more before it is killed.
    #[arg(long, env = "CHATD_DRAIN_DEADLINE", value_name = "SECONDS", default_value = "25", value_parser = |text: &str| values::seconds(text, 0, 3600))]
    pub(super) drain_deadline: Duration,
}

#[derive(Debug, Args)]
pub(super) struct LimitArguments {
    /// Client connections, raw TCP and web together.
    #[arg(long, env = "CHATD_MAX_CONNECTIONS", value_name = "COUNT", default_value = "10000", value_parser = |text: &str| values::count(text, 1, 100_000))]
    pub(super) max_connections: u32,
    /// Those of them that one client address may have, with --per-ip-limits. Unset: a tenth of the places.
    #[arg(long, env = "CHATD_MAX_CONNECTIONS_PER_IP", value_name = "COUNT", value_parser = |text: &str| values::count(text, 1, 100_000))]
    pub(super) max_connections_per_ip: Option<u32>,
    /// Rooms in this pod: new ones up to this number. Rooms with people in them, whose pod has ended, are taken up to twice as many.
    #[arg(long, env = "CHATD_MAX_ROOMS", value_name = "COUNT", default_value = "10000", value_parser = |text: &str| values::count(text, 1, 100_000))]
    pub(super) max_rooms: u32,
    /// Commands and messages a second and player.
    #[arg(long, env = "CHATD_RATE", value_name = "COUNT", default_value = "10", value_parser = |text: &str| values::count(text, 1, 1_000_000))]
    pub(super) rate: u32,
    /// How many may come at once; at least the rate.
    #[arg(long, env = "CHATD_BURST", value_name = "COUNT", default_value = "20", value_parser = |text: &str| values::count(text, 1, 1_000_000))]
    pub(super) burst: u32,
    /// From connecting to the first complete line or HTTP header.
    #[arg(long, env = "CHATD_FIRST_LINE_TIMEOUT", value_name = "SECONDS", default_value = "10", value_parser = |text: &str| values::seconds(text, 1, 3600))]
    pub(super) first_line_timeout: Duration,
    /// Silence on an HTTP connection after an answer. More than the proxies in front of it allow theirs, which is often 60 s.
    #[arg(long, env = "CHATD_HTTP_KEEP_ALIVE", value_name = "SECONDS", default_value = "75", value_parser = |text: &str| values::seconds(text, 1, 3600))]
    pub(super) http_keep_alive: Duration,
    /// Silence outside a room before a connection is closed.
    #[arg(long, env = "CHATD_IDLE_TIMEOUT", value_name = "SECONDS", default_value = "120", value_parser = |text: &str| values::seconds(text, 1, 86_400))]
    pub(super) idle_timeout: Duration,
    /// Wrong rooms and tokens before a connection is closed.
    #[arg(long, env = "CHATD_MAX_MISSES", value_name = "COUNT", default_value = "10", value_parser = |text: &str| values::count(text, 1, 1000))]
    pub(super) max_misses: u32,
    /// What may wait to be sent on one connection before it counts as a slow consumer; for a relayed client, at each of its two pods.
    #[arg(long, env = "CHATD_SEND_QUEUE", value_name = "BYTES", default_value = "256KiB", value_parser = |text: &str| values::size(text, 32 << 10, 64 << 20))]
    pub(super) send_queue: usize,
    /// What all connections may hold in memory, unfinished input and unsent output; over it the largest are closed.
    #[arg(long, env = "CHATD_BUFFER_BYTES", value_name = "BYTES", default_value = "128MiB", value_parser = |text: &str| values::size(text, 1 << 20, 64 << 30))]
    pub(super) buffer_bytes: usize,
}

#[derive(Debug, Args)]
pub(super) struct LogArguments {
    /// json: one object an event; text: for people; auto: text on a terminal, else json.
    #[arg(long, env = "CHATD_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value = "auto")]
    pub(super) log_format: LogFormat,
    /// The least important events that are logged.
    #[arg(long, env = "CHATD_LOG_LEVEL", value_name = "LEVEL", value_enum, default_value = "info")]
    pub(super) log_level: LogLevel,
}

/// --tcp-on-wrong-pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum WrongPodMode {
    /// Tell the client where to go.
    Redirect,
    /// Carry the session to the room's pod.
    Relay,
}

/// --log-format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// One object an event.
    Json,
    /// For people.
    Text,
}

/// --log-level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// What ends the process or loses a service.
    Error,
    /// What someone should look at.
    Warn,
    /// What happens seldom and matters.
    Info,
    /// What one client or one link does.
    Debug,
    /// All there is.
    Trace,
}
