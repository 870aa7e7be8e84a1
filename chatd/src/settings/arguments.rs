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

  Two processes that share a Redis and form one service (add more in the same way):
    head -c 32 /dev/urandom | base64 > token.key
    chatd --pod-id chat-0 --redis-url redis://127.0.0.1:6379 --token-key-file token.key
    chatd --pod-id chat-1 --redis-url redis://127.0.0.1:6379 --token-key-file token.key \\
      --tcp-listen 127.0.0.1:7655 --http-listen 127.0.0.1:8082 \\
      --peer-listen 127.0.0.1:7756 --admin-listen 127.0.0.1:9091

  In a container, behind a load balancer:
    CHATD_TCP_LISTEN=0.0.0.0:7654 CHATD_ADVERTISE_TCP=chat-0.example.org:7654 ... chatd
    chatd healthcheck

Each flag has an environment variable, shown beside it; a flag overrides its variable. Times are in seconds (0.5 works), sizes in
bytes (262144, 256KiB, 32MiB), lists are separated by commas. On SIGTERM, SIGINT or SIGHUP chatd moves every room to another pod and
exits; on a second signal it exits at once. Exit code 2: a setting is invalid.";

/// Chat rooms of up to four players, which clients can join through any pod.
///
/// Serves raw TCP lines (nc works), the web page with its WebSocket, links to other pods, and health and metrics, each on its own
/// address.
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
    #[command(flatten, next_help_heading = "Join tokens")]
    pub(super) join: JoinArguments,
    #[command(flatten, next_help_heading = "Server API")]
    pub(super) api: ApiArguments,
    #[command(flatten, next_help_heading = "Webhook")]
    pub(super) webhook: WebhookArguments,
    #[command(flatten, next_help_heading = "Clients")]
    pub(super) clients: ClientArguments,
    #[command(flatten, next_help_heading = "TLS with clients")]
    pub(super) tls: TlsArguments,
    #[command(flatten, next_help_heading = "Rooms")]
    pub(super) rooms: RoomArguments,
    #[command(flatten, next_help_heading = "Limits")]
    pub(super) limits: LimitArguments,
    #[command(flatten, next_help_heading = "Logs")]
    pub(super) logs: LogArguments,
}

#[derive(Debug, Subcommand)]
pub(super) enum Subcommands {
    /// Checks whether a chatd on this machine is ready (or live): exit code 0 or 1, within 2 s.
    ///
    /// For containers without a shell. Connects to --admin-listen or CHATD_ADMIN_LISTEN, the address of the running chatd.
    Healthcheck {
        /// Request /livez (the process is responsive) instead of /readyz (it accepts clients).
        #[arg(long)]
        live: bool,
    },
}

#[derive(Debug, Args)]
#[allow(clippy::struct_field_names)] // a field's name is its flag
pub(super) struct ListenArguments {
    /// Raw TCP: the line protocol of protocol.md.
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
    /// Address at which raw TCP clients reach this pod, sent in REDIRECT. Unset: the listen address.
    #[arg(long, env = "CHATD_ADVERTISE_TCP", value_name = "HOST:PORT")]
    pub(super) advertise_tcp: Option<HostPort>,
    /// Address at which browsers reach this pod. Unset: the listen address.
    #[arg(long, env = "CHATD_ADVERTISE_WEB", value_name = "HOST:PORT")]
    pub(super) advertise_web: Option<HostPort>,
    /// Address at which other pods reach this pod. Unset: the listen address.
    #[arg(long, env = "CHATD_ADVERTISE_PEER", value_name = "HOST:PORT")]
    pub(super) advertise_peer: Option<HostPort>,
    /// File with the public addresses of all pods, {"chat-0":{"tcp":"h:p","web":"h:p"}}; reloaded when it changes.
    ///
    /// While this file is set and does not list the owner of a room, entry pods relay, even if the client requests a redirect.
    #[arg(long, env = "CHATD_ADVERTISE_FILE", value_name = "FILE")]
    pub(super) advertise_file: Option<PathBuf>,
    /// Default answer to a raw TCP client that joins at a pod other than the room's owner; JOIN can request either.
    #[arg(long, env = "CHATD_TCP_ON_WRONG_POD", value_name = "MODE", value_enum, default_value = "redirect")]
    pub(super) tcp_on_wrong_pod: WrongPodMode,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_field_names)] // a field's name is its flag
pub(super) struct RedisArguments {
    /// URL of Redis or Valkey, without a password. Unset: a single pod with its directory in memory.
    ///
    /// redis[s]://host:port[/db], redis[s]+sentinel://host:port,host:port/master[/db] or redis[s]+cluster://host:port,host:port.
    /// The s enables TLS. Requires --token-key-file.
    #[arg(long, env = "CHATD_REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub(super) redis_url: Option<String>,
    /// ACL user of Redis. Unset: its default user.
    #[arg(long, env = "CHATD_REDIS_USERNAME", value_name = "NAME")]
    pub(super) redis_username: Option<String>,
    /// File with the password of Redis; reloaded when it changes.
    #[arg(long, env = "CHATD_REDIS_PASSWORD_FILE", value_name = "FILE")]
    pub(super) redis_password_file: Option<PathBuf>,
    /// File with the password of the Sentinels, if they require one.
    #[arg(long, env = "CHATD_REDIS_SENTINEL_PASSWORD_FILE", value_name = "FILE")]
    pub(super) redis_sentinel_password_file: Option<PathBuf>,
    /// PEM file of CA certificates that Redis' certificate is verified against. Unset: the system's trusted certificates.
    #[arg(long, env = "CHATD_REDIS_CA_FILE", value_name = "FILE")]
    pub(super) redis_ca_file: Option<PathBuf>,
    /// PEM file of the client certificate, if Redis requires one; together with --redis-key-file.
    #[arg(long, env = "CHATD_REDIS_CERT_FILE", value_name = "FILE")]
    pub(super) redis_cert_file: Option<PathBuf>,
    /// PEM file of the client certificate's private key.
    #[arg(long, env = "CHATD_REDIS_KEY_FILE", value_name = "FILE")]
    pub(super) redis_key_file: Option<PathBuf>,
    /// Prefix of every key. Deployments that share a Redis need different prefixes.
    #[arg(long, env = "CHATD_REDIS_KEY_PREFIX", value_name = "TEXT", default_value = "chat:", value_parser = values::key_prefix)]
    pub(super) redis_key_prefix: String,
}

#[derive(Debug, Args)]
pub(super) struct IdentityArguments {
    /// Name of this pod, unique among the running pods of the deployment. Unset: the host name.
    #[arg(long, env = "CHATD_POD_ID", value_name = "NAME", value_parser = values::pod_id)]
    pub(super) pod_id: Option<String>,
    /// Identifier of the deployment. A pod does not serve while another deployment uses its key prefix.
    #[arg(long, env = "CHATD_DEPLOYMENT_UID", value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) deployment_uid: String,
    /// Distinguishes successive pods of the same name, such as Kubernetes' metadata.uid.
    ///
    /// A pod that a later pod of the same name has replaced does not serve again, and exits with code 3.
    #[arg(long, env = "CHATD_POD_UID", value_name = "TEXT", value_parser = values::pod_id)]
    pub(super) pod_uid: Option<String>,
    /// The deployment's secret key, the same for all its pods: a file, or a directory of keys by id. Required with Redis.
    ///
    /// Each key is 32 random bytes or more in base64 or hex. Ids sort bytewise; the greatest signs once it has been loaded for 180 s,
    /// and all verify. Reloaded when it changes. Unset: generated at start.
    #[arg(long, env = "CHATD_TOKEN_KEY_FILE", value_name = "PATH")]
    pub(super) token_key_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct JoinArguments {
    /// The public keys and secrets that join tokens are verified with: a JWKS, or a directory of them by key id (kid).
    ///
    /// In a directory each file is a public key in PEM or 32 random bytes or more in base64 or hex; its name, without .pem, is the kid.
    /// Ed25519, P-256, RSA of 2048 bits or more, and HMAC-SHA256. Reloaded when it changes. Unset: no join token is accepted.
    #[arg(long, env = "CHATD_JOIN_KEYS_FILE", value_name = "PATH")]
    pub(super) join_keys_file: Option<PathBuf>,
    /// What the aud of each join token must hold. Unset: any.
    #[arg(long, env = "CHATD_JOIN_AUDIENCE", value_name = "TEXT")]
    pub(super) join_audience: Option<String>,
    /// What the iss of each join token must be. Unset: any.
    #[arg(long, env = "CHATD_JOIN_ISSUER", value_name = "TEXT")]
    pub(super) join_issuer: Option<String>,
    /// Who may enter a room. link: all who know its id; token: the holders of a join token for it. Requires --join-keys-file.
    #[arg(long, env = "CHATD_ROOM_ACCESS", value_name = "link|token", value_enum, default_value = "link")]
    pub(super) room_access: AccessMode,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_field_names)] // a field's name is its flag
pub(super) struct ApiArguments {
    /// Address of the server API (api.md), by which an application's backend makes and ends rooms, such as 0.0.0.0:8082.
    ///
    /// Never make it public. Requires --api-keys-file. Unset: there is no API.
    #[arg(long, env = "CHATD_API_LISTEN", value_name = "IP:PORT", value_parser = values::listen_address)]
    pub(super) api_listen: Option<SocketAddr>,
    /// JSON file with the API's keys, each with an id, a secret and scopes (read, write); api.md shows one.
    ///
    /// A secret is 32 to 256 visible ASCII characters; callers send it as a bearer token. Reloaded when it changes. Requires
    /// --api-listen.
    #[arg(long, env = "CHATD_API_KEYS_FILE", value_name = "FILE")]
    pub(super) api_keys_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_field_names)] // a field's name is its flag
pub(super) struct WebhookArguments {
    /// URL that gets events of rooms (created, closed, moved, players) by POST, such as https://app.example.org/chat-events.
    ///
    /// https, or http to this machine alone. Requires --webhook-secret-file. Unset: no events are sent.
    #[arg(long, env = "CHATD_WEBHOOK_URL", value_name = "URL")]
    pub(super) webhook_url: Option<String>,
    /// The secret that these requests are signed with (Standard Webhooks): whsec_ and 24 to 64 random bytes in base64.
    ///
    /// A file of one secret a line, or a directory of such files; two while one replaces the other: requests have both signatures.
    /// Reloaded when it changes.
    #[arg(long, env = "CHATD_WEBHOOK_SECRET_FILE", value_name = "PATH")]
    pub(super) webhook_secret_file: Option<PathBuf>,
    /// CA certificates (PEM) for the URL's certificate. Reloaded when it changes. Unset: those of the system.
    #[arg(long, env = "CHATD_WEBHOOK_CA_FILE", value_name = "PATH")]
    pub(super) webhook_ca_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ClientArguments {
    /// Origins, besides the pod's own, whose pages may use /ws and the API, such as https://chat.example.org.
    #[arg(long, env = "CHATD_ALLOWED_ORIGINS", value_name = "ORIGIN,...", value_delimiter = ',')]
    pub(super) allowed_origins: Vec<Origin>,
    /// Networks of proxies whose X-Forwarded-For, X-Forwarded-Host and X-Forwarded-Prefix are trusted, such as 10.0.0.0/8.
    #[arg(long, env = "CHATD_TRUSTED_PROXIES", value_name = "CIDR,...", value_delimiter = ',')]
    pub(super) trusted_proxies: Vec<Cidr>,
    /// Path before /room in the pages' URLs, such as /chat; a proxy may strip it or pass it on.
    #[arg(long, env = "CHATD_WEB_BASE_PATH", value_name = "PATH")]
    pub(super) web_base_path: Option<BasePath>,
    /// Require a PROXY header (version 1 or 2) on each raw TCP connection, and use its client address.
    #[arg(long, env = "CHATD_PROXY_PROTOCOL", value_name = "on|off", default_value = "off", default_missing_value = "on", num_args = 0..=1, value_parser = values::switch)]
    pub(super) proxy_protocol: bool,
    /// Idle time of a raw TCP connection after which chatd sends the line "# ", for load balancers that close idle connections; 0:
    /// never. Unset: 30 with --proxy-protocol, else never.
    #[arg(long, env = "CHATD_LINE_KEEP_ALIVE", value_name = "SECONDS", value_parser = |text: &str| values::seconds(text, 0, 3600))]
    pub(super) line_keep_alive: Option<Duration>,
    /// Limits for each client address (IPv6: /64): 30 wrong rooms, wrong tokens and creations a minute, and a share of the connections.
    ///
    /// Enable only where pods see the clients' own addresses: many Services hide all of them behind one.
    #[arg(long, env = "CHATD_PER_IP_LIMITS", value_name = "on|off", default_value = "off", default_missing_value = "on", num_args = 0..=1, value_parser = values::switch)]
    pub(super) per_ip_limits: bool,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_field_names)] // a field's name is its flag
pub(super) struct TlsArguments {
    /// PEM file of the certificate, followed by its intermediate certificates. Enables TLS on the web port and, unless --tcp-tls
    /// says otherwise, on the raw TCP port.
    ///
    /// Together with --tls-key-file. Both are reloaded when they change, without closing a connection.
    #[arg(long, env = "CHATD_TLS_CERT_FILE", value_name = "FILE")]
    pub(super) tls_cert_file: Option<PathBuf>,
    /// PEM file of the certificate's private key.
    #[arg(long, env = "CHATD_TLS_KEY_FILE", value_name = "FILE")]
    pub(super) tls_key_file: Option<PathBuf>,
    /// PEM file of CA certificates: clients of both ports must show a certificate that one of these has signed. Reloaded when it
    /// changes.
    #[arg(long, env = "CHATD_TLS_CLIENT_CA_FILE", value_name = "FILE")]
    pub(super) tls_client_ca_file: Option<PathBuf>,
    /// TLS on the raw TCP port. both: a client chooses by its first byte. Unset: on with --tls-cert-file, else off.
    #[arg(long, env = "CHATD_TCP_TLS", value_name = "MODE", value_enum)]
    pub(super) tcp_tls: Option<TcpTls>,
}

#[derive(Debug, Args)]
pub(super) struct RoomArguments {
    /// Players in a room, held seats included.
    #[arg(long, env = "CHATD_MAX_PLAYERS", value_name = "COUNT", default_value = "4", value_parser = |text: &str| values::count(text, 1, MAX_PLAYERS))]
    pub(super) max_players: u32,
    /// Let other pods create new rooms, and move rooms there, while this one has many more than they have.
    #[arg(long, env = "CHATD_BALANCE", value_name = "on|off", default_value = "on", default_missing_value = "on", num_args = 0..=1, value_parser = values::switch)]
    pub(super) balance: bool,
    /// Time for which this pod has many more rooms than others have before it moves any.
    #[arg(long, env = "CHATD_BALANCE_AFTER", value_name = "SECONDS", default_value = "60", value_parser = |text: &str| values::seconds(text, 5, 3_600))]
    pub(super) balance_after: Duration,
    /// Let the first JOIN of a room that does not exist make it, whatever its id.
    #[arg(long, env = "CHATD_OPEN_NAMES", value_name = "on|off", default_value = "off", default_missing_value = "on", num_args = 0..=1, value_parser = values::switch)]
    pub(super) open_names: bool,
    /// Time for which the seat of a dropped connection is held.
    #[arg(long, env = "CHATD_SEAT_HOLD", value_name = "SECONDS", default_value = "30", value_parser = |text: &str| values::seconds(text, 0, 600))]
    pub(super) seat_hold: Duration,
    /// Time after which an empty room is closed.
    #[arg(long, env = "CHATD_EMPTY_TTL", value_name = "SECONDS", default_value = "600", value_parser = |text: &str| values::seconds(text, 1, 86_400))]
    pub(super) empty_ttl: Duration,
    /// Lifetime of a room's record after its pod is gone; renewed while the room exists.
    #[arg(long, env = "CHATD_RECORD_TTL", value_name = "SECONDS", default_value = "3600", value_parser = |text: &str| values::seconds(text, 60, 86_400))]
    pub(super) record_ttl: Duration,
    /// Messages that a room keeps for replay to clients that resume.
    #[arg(long, env = "CHATD_REPLAY_MESSAGES", value_name = "COUNT", default_value = "32", value_parser = |text: &str| values::count(text, 0, 10_000))]
    pub(super) replay_messages: u32,
    /// Bytes of text that a room keeps for replay.
    #[arg(long, env = "CHATD_REPLAY_BYTES", value_name = "BYTES", default_value = "8KiB", value_parser = |text: &str| values::size(text, 0, 16 << 20))]
    pub(super) replay_bytes: usize,
    /// Bytes of text that all rooms of the pod together keep for replay.
    #[arg(long, env = "CHATD_REPLAY_POD_BYTES", value_name = "BYTES", default_value = "32MiB", value_parser = |text: &str| values::size(text, 0, 16 << 30))]
    pub(super) replay_pod_bytes: usize,
    /// Time that a draining pod may take to move its rooms, at least 6 s; set the container's grace period to 10 s more.
    #[arg(long, env = "CHATD_DRAIN_DEADLINE", value_name = "SECONDS", default_value = "25", value_parser = |text: &str| values::seconds(text, 0, 3600))]
    pub(super) drain_deadline: Duration,
}

#[derive(Debug, Args)]
pub(super) struct LimitArguments {
    /// Maximum client connections, raw TCP and web together.
    #[arg(long, env = "CHATD_MAX_CONNECTIONS", value_name = "COUNT", default_value = "10000", value_parser = |text: &str| values::count(text, 1, 100_000))]
    pub(super) max_connections: u32,
    /// Maximum client connections of one client address, with --per-ip-limits. Unset: a tenth of the connection places.
    #[arg(long, env = "CHATD_MAX_CONNECTIONS_PER_IP", value_name = "COUNT", value_parser = |text: &str| values::count(text, 1, 100_000))]
    pub(super) max_connections_per_ip: Option<u32>,
    /// Maximum rooms in this pod. Occupied rooms of a pod that has ended are accepted up to twice this number.
    #[arg(long, env = "CHATD_MAX_ROOMS", value_name = "COUNT", default_value = "10000", value_parser = |text: &str| values::count(text, 1, 100_000))]
    pub(super) max_rooms: u32,
    /// Commands and messages per second and player.
    #[arg(long, env = "CHATD_RATE", value_name = "COUNT", default_value = "10", value_parser = |text: &str| values::count(text, 1, 1_000_000))]
    pub(super) rate: u32,
    /// Commands and messages that a player may send at once; at least the rate.
    #[arg(long, env = "CHATD_BURST", value_name = "COUNT", default_value = "20", value_parser = |text: &str| values::count(text, 1, 1_000_000))]
    pub(super) burst: u32,
    /// Time from the connection's start to its first complete line or HTTP header.
    #[arg(long, env = "CHATD_FIRST_LINE_TIMEOUT", value_name = "SECONDS", default_value = "10", value_parser = |text: &str| values::seconds(text, 1, 3600))]
    pub(super) first_line_timeout: Duration,
    /// Idle time after which an HTTP connection is closed. Must exceed that of the proxies in front, which is often 60 s.
    #[arg(long, env = "CHATD_HTTP_KEEP_ALIVE", value_name = "SECONDS", default_value = "75", value_parser = |text: &str| values::seconds(text, 1, 3600))]
    pub(super) http_keep_alive: Duration,
    /// Idle time after which a connection outside a room is closed.
    #[arg(long, env = "CHATD_IDLE_TIMEOUT", value_name = "SECONDS", default_value = "120", value_parser = |text: &str| values::seconds(text, 1, 86_400))]
    pub(super) idle_timeout: Duration,
    /// Wrong rooms and tokens after which a connection is closed.
    #[arg(long, env = "CHATD_MAX_MISSES", value_name = "COUNT", default_value = "10", value_parser = |text: &str| values::count(text, 1, 1000))]
    pub(super) max_misses: u32,
    /// Bytes queued on one connection beyond which it is closed as a slow consumer; for a relayed client, at each of its two pods.
    #[arg(long, env = "CHATD_SEND_QUEUE", value_name = "BYTES", default_value = "256KiB", value_parser = |text: &str| values::size(text, 32 << 10, 64 << 20))]
    pub(super) send_queue: usize,
    /// Bytes of unfinished input and unsent output that all connections together may hold; beyond it the largest are closed.
    #[arg(long, env = "CHATD_BUFFER_BYTES", value_name = "BYTES", default_value = "128MiB", value_parser = |text: &str| values::size(text, 1 << 20, 64 << 30))]
    pub(super) buffer_bytes: usize,
}

#[derive(Debug, Args)]
pub(super) struct LogArguments {
    /// json: one object per event; text: human-readable; auto: text on a terminal, else json.
    #[arg(long, env = "CHATD_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value = "auto")]
    pub(super) log_format: LogFormat,
    /// Minimum level of logged events.
    #[arg(long, env = "CHATD_LOG_LEVEL", value_name = "LEVEL", value_enum, default_value = "info")]
    pub(super) log_level: LogLevel,
}

/// --tcp-on-wrong-pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum WrongPodMode {
    /// Send the client the owner's address.
    Redirect,
    /// Relay the session to the room's owner.
    Relay,
}

/// --room-access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum AccessMode {
    /// All who know the room's id.
    Link,
    /// The holders of a join token.
    Token,
}

/// --tcp-tls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TcpTls {
    /// Plaintext alone.
    Off,
    /// TLS alone.
    On,
    /// Either: a first byte of 0x16 begins a TLS handshake.
    Both,
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
