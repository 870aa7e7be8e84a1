//! The spec as chatd's settings: environment variables and arguments, in an order that never changes. Pure: no I/O.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector};

use super::client_tls::{self, TLS_FILES};
use super::server_api;
use super::services::{ADMIN_PORT, PEER_PORT, TCP_PORT, WEB_PORT};
use super::webhooks::{self, WEBHOOK_FILES, WEBHOOK_SECRETS};
use super::{Context, Directory, addresses, pod_services};
use crate::api::{Access, ChatDeploymentSpec, RemoteRoomPolicy, Requirement, Rooms, Switch};

pub const TOKEN_KEYS: &str = "/etc/chatd/token-keys";
pub const JOIN_KEYS: &str = "/etc/chatd/join-keys";
pub const REDIS_FILES: &str = "/etc/chatd/redis";
pub const ADDRESSES: &str = "/etc/chatd/addresses";

/// The setting by which pods know that they belong together.
pub const DEPLOYMENT_UID: &str = "CHATD_DEPLOYMENT_UID";

/// Sets only what differs from chatd's own defaults, or must not follow them when they change.
pub fn environment(context: &Context<'_>, directory: &Directory) -> Vec<EnvVar> {
    let spec = context.spec;
    let mut variables = vec![
        field("POD_NAME", "metadata.name"),
        field("POD_IP", "status.podIP"),
        set("CHATD_POD_ID", "$(POD_NAME)"),
        field("CHATD_POD_UID", "metadata.uid"),
        set(DEPLOYMENT_UID, context.deployment_uid()),
        set("CHATD_TCP_LISTEN", &format!("0.0.0.0:{TCP_PORT}")),
        set("CHATD_HTTP_LISTEN", &format!("0.0.0.0:{WEB_PORT}")),
        set("CHATD_PEER_LISTEN", &format!("0.0.0.0:{PEER_PORT}")),
        set("CHATD_ADMIN_LISTEN", &format!("0.0.0.0:{ADMIN_PORT}")),
        // By address: a pod's name reaches the cluster's DNS only some seconds after the pod.
        set("CHATD_ADVERTISE_PEER", &format!("$(POD_IP):{PEER_PORT}")),
        set("CHATD_ADVERTISE_TCP", &advertised(context, TCP_PORT)),
        set("CHATD_ADVERTISE_WEB", &advertised(context, WEB_PORT)),
        set("CHATD_TOKEN_KEY_FILE", TOKEN_KEYS),
        set("CHATD_REDIS_URL", &escaped(&directory.url)),
        set("CHATD_REDIS_KEY_PREFIX", &escaped(&spec.redis.key_prefix)),
    ];
    if let Some(username) = &directory.username {
        variables.push(set("CHATD_REDIS_USERNAME", &escaped(username)));
    }
    for file in &directory.files {
        variables.push(set(file.variable, &format!("{REDIS_FILES}/{}", file.path)));
    }
    for file in client_tls::files(spec) {
        variables.push(set(file.variable, &format!("{TLS_FILES}/{}", file.path)));
    }
    if pod_services::wanted(context).is_some() {
        variables.push(set("CHATD_ADVERTISE_FILE", &format!("{ADDRESSES}/{}", addresses::FILE)));
    }
    let on_wrong_pod = match spec.remote_room_policy() {
        RemoteRoomPolicy::Redirect => "redirect",
        RemoteRoomPolicy::Relay => "relay",
    };
    let (rooms, limits) = (&spec.rooms, &spec.limits);
    let per_client_ip = limits.per_client_ip == Switch::Enabled;
    let proxy_protocol = spec.tcp.proxy_protocol == Requirement::Required;
    variables.extend([
        set("CHATD_TCP_ON_WRONG_POD", on_wrong_pod),
        set("CHATD_MAX_PLAYERS", &rooms.max_players.to_string()),
        set("CHATD_SEAT_HOLD", &rooms.seat_hold_seconds.to_string()),
        set("CHATD_EMPTY_TTL", &rooms.empty_ttl_seconds.to_string()),
        set("CHATD_RECORD_TTL", &rooms.record_ttl_seconds.to_string()),
        set("CHATD_MAX_CONNECTIONS", &limits.max_connections.to_string()),
        set("CHATD_MAX_ROOMS", &limits.max_rooms.to_string()),
        set("CHATD_RATE", &limits.messages_per_second.to_string()),
        set("CHATD_BURST", &limits.burst.to_string()),
        set("CHATD_PER_IP_LIMITS", on_off(per_client_ip)),
        set("CHATD_PROXY_PROTOCOL", on_off(proxy_protocol)),
        set("CHATD_DRAIN_DEADLINE", &spec.drain.deadline_seconds.to_string()),
        set("CHATD_LOG_FORMAT", "json"),
    ]);
    if let Some(balance) = rooms.balance {
        variables.push(set("CHATD_BALANCE", on_off(balance)));
    }
    variables.extend(admission(rooms));
    variables.extend(webhook(spec));
    if !spec.web.allowed_origins.is_empty() {
        variables.push(set("CHATD_ALLOWED_ORIGINS", &spec.web.allowed_origins.join(",")));
    }
    if !spec.web.trusted_proxies.is_empty() {
        variables.push(set("CHATD_TRUSTED_PROXIES", &spec.web.trusted_proxies.join(",")));
    }
    variables
}

/// What keeps people out, and the server API. As arguments: an image too old to know one ends with an error, where it would serve
/// everyone, or without the API, if that were a variable.
pub fn arguments(spec: &ChatDeploymentSpec) -> Vec<String> {
    let tls = spec.tls.as_ref().map(|tls| format!("--tcp-tls={}", client_tls::tcp_mode(tls)));
    let access = (spec.rooms.access == Some(Access::Token)).then(|| "--room-access=token".to_owned());
    tls.into_iter().chain(access).chain(server_api::arguments(spec)).collect()
}

/// How rooms are entered and named. Nothing where the defaults hold, which an older chatd knows as well.
fn admission(rooms: &Rooms) -> Vec<EnvVar> {
    let mut variables = Vec::new();
    if let Some(keys) = &rooms.join_keys {
        variables.push(set("CHATD_JOIN_KEYS_FILE", JOIN_KEYS));
        let audience = keys.audience.as_deref().map(|audience| set("CHATD_JOIN_AUDIENCE", &escaped(audience)));
        let issuer = keys.issuer.as_deref().map(|issuer| set("CHATD_JOIN_ISSUER", &escaped(issuer)));
        variables.extend(audience.into_iter().chain(issuer));
    }
    if rooms.open_names == Some(Switch::Enabled) {
        variables.push(set("CHATD_OPEN_NAMES", on_off(true)));
    }
    variables
}

/// Where events of rooms go. Nothing without `spec.webhooks`.
fn webhook(spec: &ChatDeploymentSpec) -> Vec<EnvVar> {
    let Some(webhooks) = &spec.webhooks else {
        return Vec::new();
    };
    let url = escaped(&webhooks.url);
    let mut variables = vec![set("CHATD_WEBHOOK_URL", &url), set("CHATD_WEBHOOK_SECRET_FILE", WEBHOOK_SECRETS)];
    let files = webhooks::files(spec);
    variables.extend(files.iter().map(|file| set(file.variable, &format!("{WEBHOOK_FILES}/{}", file.path))));
    variables
}

/// Where clients inside of the cluster reach a pod. Without the cluster's domain: the resolvers of pods add it.
fn advertised(context: &Context<'_>, port: i32) -> String {
    format!("$(POD_NAME).{}.{}.svc:{port}", context.names().headless(), context.owner.namespace)
}

fn on_off(value: bool) -> &'static str {
    if value { "on" } else { "off" }
}

/// A text of the user's in which Kubernetes must not replace `$(NAME)`.
fn escaped(text: &str) -> String {
    text.replace("$(", "$$(")
}

fn set(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), value_from: None }
}

fn field(name: &str, path: &str) -> EnvVar {
    let field = ObjectFieldSelector { api_version: Some("v1".to_owned()), field_path: path.to_owned() };
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() }),
    }
}
