//! Checks of settings against each other: valid arguments become [`Settings`], or an error that says how to correct them. Pure: no
//! I/O.

use std::net::SocketAddr;
use std::time::Duration;

use super::arguments::{
    AccessMode, ApiArguments, Arguments, JoinArguments, RedisArguments, TcpTls, TlsArguments, WebhookArguments,
    WrongPodMode,
};
use super::values::{self, HostPort};
use super::{Advertise, ApiSettings, Clients, JoinSettings, Limits, Listen, Settings, TlsSettings, WebhookSettings};
use crate::directory::redis::{RedisSettings, RedisSettingsError, RedisUrlError};
use crate::join_token::RoomAccess;
use crate::protocol::OnWrongPod;
use crate::webhook::{UrlError, WebhookUrl};

/// Settings that contradict each other. Each message says how to correct them; none shows a value that may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum SettingsError {
    #[error("--redis-url: {0}")]
    RedisUrl(#[from] RedisUrlError),
    #[error(transparent)]
    Redis(#[from] RedisSettingsError),
    #[error("{flag} has no effect without --redis-url: set --redis-url, or remove {flag}")]
    WithoutRedis { flag: &'static str },
    #[error(
        "--redis-url needs --token-key-file, the same key for all pods: head -c 32 /dev/urandom | base64 > token.key"
    )]
    RedisWithoutKey,
    #[error(
        "with --redis-url, other pods and clients cannot dial {listen} {address}: add {advertise} host:port, or listen on one address"
    )]
    Wildcard { listen: &'static str, address: SocketAddr, advertise: &'static str },
    #[error("{flag} {value} cannot be dialled: give a host name or the pod's own address")]
    AdvertisedWildcard { flag: &'static str, value: HostPort },
    #[error("{first} and {second} are both {address}: give each a port of its own")]
    SameAddress { first: &'static str, second: &'static str, address: SocketAddr },
    #[error("--burst {burst} is less than --rate {rate}: set it to at least the rate, such as {}", rate * 2)]
    BurstBelowRate { rate: u32, burst: u32 },
    #[error(
        "--drain-deadline must be 6 or more: load balancers keep sending connections to a draining pod for about 5 s"
    )]
    DrainDeadline,
    #[error(
        "--seat-hold is longer than --record-ttl: a held seat cannot outlive its room's record; raise --record-ttl"
    )]
    HoldOutlivesRecord,
    #[error(
        "--replay-bytes is more than --replay-pod-bytes: one room cannot keep more than all rooms together; raise --replay-pod-bytes"
    )]
    ReplayBytes,
    #[error(
        "--max-connections-per-ip has no effect without --per-ip-limits: add --per-ip-limits, or remove --max-connections-per-ip"
    )]
    WithoutPerIpLimits,
    #[error("--tls-cert-file and --tls-key-file belong together: add {missing}")]
    HalfPair { missing: &'static str },
    #[error("{flag} has no effect without --tls-cert-file and --tls-key-file: set both, or remove {flag}")]
    WithoutCertificate { flag: &'static str },
    #[error("--room-access token needs the keys of join tokens: set --join-keys-file, or nobody could enter a room")]
    AccessWithoutKeys,
    #[error("{flag} has no effect without --join-keys-file: set --join-keys-file, or remove {flag}")]
    WithoutJoinKeys { flag: &'static str },
    #[error(
        "--api-listen needs --api-keys-file: {{\"keys\":[{{\"id\":\"backend\",\"secret\":\"<32 random characters or more>\",\"scopes\":[\"read\",\"write\"]}}]}}"
    )]
    ApiWithoutKeys,
    #[error("--api-keys-file has no effect without --api-listen: set --api-listen, or remove --api-keys-file")]
    KeysWithoutApi,
    #[error("--webhook-url: {0}")]
    WebhookUrl(#[from] UrlError),
    #[error(
        "--webhook-url needs --webhook-secret-file: echo whsec_$(head -c 32 /dev/urandom | base64) > webhook.secret"
    )]
    WebhookWithoutSecret,
    #[error("{flag} has no effect without --webhook-url: set --webhook-url, or remove {flag}")]
    WithoutWebhook { flag: &'static str },
    #[error("--webhook-ca-file has no effect for an http URL: remove --webhook-ca-file")]
    WebhookWithoutTls,
    #[error("the host name is not a valid pod name: set --pod-id, such as chat-0")]
    PodId,
}

/// Keep-alive interval behind a load balancer: many close a raw TCP connection that is idle for a minute.
const LINE_KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Minimum of `--drain-deadline` in seconds: the time for which a draining pod keeps accepting, and one second to move rooms.
const LEAST_DRAIN: u64 = 6;

pub(super) fn check(arguments: Arguments, host_name: &str) -> Result<Settings, SettingsError> {
    let Arguments {
        command: _,
        listen,
        advertise,
        redis,
        identity,
        join,
        api,
        webhook,
        clients,
        tls,
        rooms,
        limits,
        logs,
    } = arguments;
    let listen = Listen {
        tcp: listen.tcp_listen,
        http: listen.http_listen,
        peer: listen.peer_listen,
        admin: listen.admin_listen,
    };
    let api = check_api(api)?;
    each_its_own_port(listen, api.as_ref())?;
    let redis = check_redis(redis)?;
    if redis.is_some() && identity.token_key_file.is_none() {
        return Err(SettingsError::RedisWithoutKey);
    }
    let tcp_on_wrong_pod = match advertise.tcp_on_wrong_pod {
        WrongPodMode::Redirect => OnWrongPod::Redirect,
        WrongPodMode::Relay => OnWrongPod::Relay,
    };
    let advertise = Advertise {
        tcp: advertise.advertise_tcp,
        web: advertise.advertise_web,
        peer: advertise.advertise_peer,
        file: advertise.advertise_file,
    };
    check_advertised(&advertise, listen, redis.is_some())?;
    let pod_id = match identity.pod_id {
        Some(pod_id) => pod_id,
        None => values::pod_id(host_name).map_err(|_| SettingsError::PodId)?,
    };
    let limits = Limits {
        max_players: rooms.max_players,
        balance: rooms.balance,
        balance_after: rooms.balance_after,
        open_names: rooms.open_names,
        seat_hold: rooms.seat_hold,
        empty_ttl: rooms.empty_ttl,
        record_ttl: rooms.record_ttl,
        max_connections: limits.max_connections,
        max_connections_per_ip: limits.max_connections_per_ip,
        max_rooms: limits.max_rooms,
        rate: limits.rate,
        burst: limits.burst,
        first_line_timeout: limits.first_line_timeout,
        http_keep_alive: limits.http_keep_alive,
        idle_timeout: limits.idle_timeout,
        max_misses: limits.max_misses,
        send_queue: limits.send_queue,
        buffer_bytes: limits.buffer_bytes,
        replay_messages: rooms.replay_messages,
        replay_bytes: rooms.replay_bytes,
        replay_pod_bytes: rooms.replay_pod_bytes,
    };
    check_limits(&limits)?;
    if limits.max_connections_per_ip.is_some() && !clients.per_ip_limits {
        return Err(SettingsError::WithoutPerIpLimits);
    }
    if rooms.drain_deadline.as_secs() < LEAST_DRAIN {
        return Err(SettingsError::DrainDeadline);
    }
    Ok(Settings {
        listen,
        advertise,
        redis,
        pod_id,
        deployment_uid: identity.deployment_uid,
        pod_uid: identity.pod_uid.unwrap_or_default(),
        token_key_file: identity.token_key_file,
        join: check_join(join)?,
        api,
        webhook: check_webhook(webhook)?,
        tcp_on_wrong_pod,
        clients: Clients {
            allowed_origins: clients.allowed_origins,
            trusted_proxies: clients.trusted_proxies,
            web_base_path: clients.web_base_path.unwrap_or_default(),
            proxy_protocol: clients.proxy_protocol,
            line_keep_alive: clients
                .line_keep_alive
                .or(clients.proxy_protocol.then_some(LINE_KEEP_ALIVE))
                .filter(|silence| !silence.is_zero()),
            per_ip_limits: clients.per_ip_limits,
        },
        tls: check_tls(tls)?,
        limits,
        drain_deadline: rooms.drain_deadline,
        log_format: logs.log_format,
        log_level: logs.log_level,
    })
}

fn each_its_own_port(listen: Listen, api: Option<&ApiSettings>) -> Result<(), SettingsError> {
    let always = [
        ("--tcp-listen", listen.tcp),
        ("--http-listen", listen.http),
        ("--peer-listen", listen.peer),
        ("--admin-listen", listen.admin),
    ];
    let all: Vec<_> = always.into_iter().chain(api.map(|api| ("--api-listen", api.listen))).collect();
    for (index, &(first, address)) in all.iter().enumerate() {
        for &(second, other) in &all[index + 1..] {
            if address == other && address.port() != 0 {
                return Err(SettingsError::SameAddress { first, second, address });
            }
        }
    }
    Ok(())
}

fn check_redis(redis: RedisArguments) -> Result<Option<RedisSettings>, SettingsError> {
    let RedisArguments {
        redis_url,
        redis_username,
        redis_password_file,
        redis_sentinel_password_file,
        redis_ca_file,
        redis_cert_file,
        redis_key_file,
        redis_key_prefix,
    } = redis;
    let given = [
        ("--redis-username", redis_username.is_some()),
        ("--redis-password-file", redis_password_file.is_some()),
        ("--redis-sentinel-password-file", redis_sentinel_password_file.is_some()),
        ("--redis-ca-file", redis_ca_file.is_some()),
        ("--redis-cert-file", redis_cert_file.is_some()),
        ("--redis-key-file", redis_key_file.is_some()),
    ];
    let Some(url) = redis_url else {
        return match given.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(SettingsError::WithoutRedis { flag }),
            None => Ok(None),
        };
    };
    let settings = RedisSettings {
        url: url.parse()?,
        username: redis_username,
        password_file: redis_password_file,
        sentinel_password_file: redis_sentinel_password_file,
        ca_file: redis_ca_file,
        cert_file: redis_cert_file,
        key_file: redis_key_file,
        key_prefix: redis_key_prefix,
    };
    settings.check()?;
    Ok(Some(settings))
}

fn check_join(join: JoinArguments) -> Result<JoinSettings, SettingsError> {
    let JoinArguments { join_keys_file: keys_file, join_audience: audience, join_issuer: issuer, room_access } = join;
    let access = match room_access {
        AccessMode::Link => RoomAccess::Link,
        AccessMode::Token => RoomAccess::Token,
    };
    if keys_file.is_none() {
        if access == RoomAccess::Token {
            return Err(SettingsError::AccessWithoutKeys);
        }
        for (flag, is_given) in [("--join-audience", audience.is_some()), ("--join-issuer", issuer.is_some())] {
            if is_given {
                return Err(SettingsError::WithoutJoinKeys { flag });
            }
        }
    }
    Ok(JoinSettings { keys_file, audience, issuer, access })
}

fn check_api(api: ApiArguments) -> Result<Option<ApiSettings>, SettingsError> {
    match (api.api_listen, api.api_keys_file) {
        (Some(listen), Some(keys_file)) => Ok(Some(ApiSettings { listen, keys_file })),
        (Some(_), None) => Err(SettingsError::ApiWithoutKeys),
        (None, Some(_)) => Err(SettingsError::KeysWithoutApi),
        (None, None) => Ok(None),
    }
}

fn check_webhook(webhook: WebhookArguments) -> Result<Option<WebhookSettings>, SettingsError> {
    let WebhookArguments { webhook_url, webhook_secret_file, webhook_ca_file: ca_file } = webhook;
    let Some(url) = webhook_url else {
        let given =
            [("--webhook-secret-file", webhook_secret_file.is_some()), ("--webhook-ca-file", ca_file.is_some())];
        return match given.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(SettingsError::WithoutWebhook { flag }),
            None => Ok(None),
        };
    };
    let url: WebhookUrl = url.parse()?;
    if ca_file.is_some() && !url.secure {
        return Err(SettingsError::WebhookWithoutTls);
    }
    let secret_file = webhook_secret_file.ok_or(SettingsError::WebhookWithoutSecret)?;
    Ok(Some(WebhookSettings { url, secret_file, ca_file }))
}

fn check_tls(tls: TlsArguments) -> Result<Option<TlsSettings>, SettingsError> {
    let TlsArguments { tls_cert_file, tls_key_file, tls_client_ca_file: client_ca, tcp_tls } = tls;
    match (tls_cert_file, tls_key_file) {
        (Some(certificate), Some(key)) => {
            Ok(Some(TlsSettings { certificate, key, client_ca, tcp: tcp_tls.unwrap_or(TcpTls::On) }))
        }
        (Some(_), None) => Err(SettingsError::HalfPair { missing: "--tls-key-file" }),
        (None, Some(_)) => Err(SettingsError::HalfPair { missing: "--tls-cert-file" }),
        (None, None) if client_ca.is_some() => Err(SettingsError::WithoutCertificate { flag: "--tls-client-ca-file" }),
        (None, None) if tcp_tls.is_some_and(|mode| mode != TcpTls::Off) => {
            Err(SettingsError::WithoutCertificate { flag: "--tcp-tls" })
        }
        (None, None) => Ok(None),
    }
}

fn check_advertised(advertise: &Advertise, listen: Listen, with_redis: bool) -> Result<(), SettingsError> {
    let all = [
        ("--tcp-listen", listen.tcp, "--advertise-tcp", &advertise.tcp),
        ("--http-listen", listen.http, "--advertise-web", &advertise.web),
        ("--peer-listen", listen.peer, "--advertise-peer", &advertise.peer),
    ];
    for (listen, address, flag, advertised) in all {
        match advertised {
            Some(value) if value.is_wildcard() => {
                return Err(SettingsError::AdvertisedWildcard { flag, value: value.clone() });
            }
            None if with_redis && address.ip().is_unspecified() => {
                return Err(SettingsError::Wildcard { listen, address, advertise: flag });
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_limits(limits: &Limits) -> Result<(), SettingsError> {
    if limits.burst < limits.rate {
        return Err(SettingsError::BurstBelowRate { rate: limits.rate, burst: limits.burst });
    }
    if limits.seat_hold > limits.record_ttl {
        return Err(SettingsError::HoldOutlivesRecord);
    }
    if limits.replay_bytes > limits.replay_pod_bytes {
        return Err(SettingsError::ReplayBytes);
    }
    Ok(())
}
