//! Assembles a pod from its settings and runs it until it exits. Does I/O: binds ports, reads files, starts threads.

mod api;
mod places;
mod webhooks;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng, TryRng};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};

use crate::budget::Budget;
use crate::connection_limit::ConnectionLimit;
use crate::directory::any::AnyDirectory;
use crate::directory::memory::MemoryDirectory;
use crate::directory::redis::{RedisDirectory, RedisSettings, RedisSettingsError, SecretsError};
use crate::files::{FileError, JoinKeyWatch, KeyWatch, ReloadFailures, Watcher, read_addresses};
use crate::hub::{BalanceLimits, HubLimits, HubSettings, Loads, RoomSlots, Rules};
use crate::lease::LeaseIdentity;
use crate::limits::SharedLimits;
use crate::peer::Peers;
use crate::peer::channel::ChannelError;
use crate::peer::handshake::Identity;
use crate::peer::idle::IdleRules;
use crate::pod::figures::Figures;
use crate::pod::inspection::Inspection;
use crate::pod::notices::Notices;
use crate::pod::{self, Ended, PodStart};
use crate::protocol::token::{KeyError, Keyring};
use crate::protocol::{Ownership, PodBoot};
use crate::record::Owner;
use crate::room::RingLimits;
use crate::settings::{Advertise, Settings, TcpTls};
use crate::shard::message::ShardMessage;
use crate::shard::{self, ShardStart};
use crate::tls::{Tls, TlsError};
use crate::webhook::{WebhookError, Webhooks};
use crate::{admin, heap, tcp, termination_message, web};

/// Maximum shard threads: more gain nothing for small rooms, and each gets its share of the pod's limits.
const MAX_SHARDS: usize = 16;
/// Minimum time for which a draining pod keeps accepting: load balancers take this long to notice.
const LINGER: Duration = Duration::from_secs(5);
/// Replays keep nothing older than the seat hold and this (docs/protocol.md, Missed messages).
const REPLAY_EXTRA: Duration = Duration::from_mins(1);
/// The exit code of a process whose --pod-id another process also has: a restart does not help.
const TWIN: u8 = 3;
/// Maximum threads for name resolution and file reads: a hanging resolver must not spawn hundreds.
const HELPER_THREADS: usize = 16;

/// Why chatd does not start, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum StartError {
    #[error("{flag} {address}: {hint} ({error})")]
    Listen { flag: &'static str, address: SocketAddr, hint: &'static str, error: std::io::Error },
    #[error("--token-key-file: {0}")]
    KeyFile(FileError),
    #[error("--token-key-file: {0}")]
    Key(#[from] KeyError),
    #[error("--join-keys-file: {0}")]
    JoinKeys(FileError),
    #[error("--api-keys-file: {0}")]
    ApiKeys(FileError),
    #[error("--webhook-secret-file: {0}")]
    WebhookSecret(FileError),
    #[error("--webhook-ca-file: {0}")]
    WebhookAuthorities(FileError),
    #[error("{0}")]
    Webhook(#[from] WebhookError),
    #[error("--advertise-file: {0}")]
    AdvertiseFile(FileError),
    #[error("{0}")]
    Redis(#[from] RedisSettingsError),
    #[error("{0}")]
    RedisFiles(#[from] SecretsError),
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("cannot read the system's secure random source: {0}")]
    Random(rand::rngs::SysError),
    #[error("cannot set up links to other pods: {0}")]
    Peers(#[from] ChannelError),
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// Runs a pod until a signal has ended it; returns the exit code.
pub fn run(settings: Settings) -> Result<u8, StartError> {
    let places = places::places(&settings);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().max_blocking_threads(HELPER_THREADS);
    let runtime = runtime.build().map_err(StartError::Thread)?;
    let ended = LocalSet::new().block_on(&runtime, serve(settings, places));
    // Name look-ups may still block a helper thread; nobody waits for them.
    runtime.shutdown_background();
    Ok(match ended? {
        Ended::Drained => 0,
        Ended::Aborted | Ended::Broken => 1,
        Ended::Twin => TWIN,
    })
}

/// The bound ports of clients and pods. All, and the admin port, are bound before anything starts, so that a port in use is reported at once.
struct Ports {
    tcp: TcpListener,
    http: TcpListener,
    peer: TcpListener,
}

/// This pod's names and addresses.
struct Me {
    owner: Owner,
    lease: LeaseIdentity,
    peer: Identity,
}

async fn serve(settings: Settings, places: ConnectionLimit) -> Result<Ended, StartError> {
    let mut random = StdRng::from_seed(seed()?);
    let ports = bind(&settings)?;
    let admin_port = bind_one("--admin-listen", settings.listen.admin)?;
    let me = identify(&settings, PodBoot(random.random()), &ports)?;
    let failures = ReloadFailures::default();
    let api = settings.api.as_ref().map(|api| api::prepare(api, &failures)).transpose()?;
    let key_watch = settings.token_key_file.as_deref().map(|path| KeyWatch::start(path, failures.clone()));
    let key_watch = key_watch.transpose().map_err(StartError::KeyFile)?;
    let (keys, key_count) = match &key_watch {
        None => (Keyring::generate(&mut random), 1),
        Some(watch) => {
            let loaded = watch.current().clone();
            let count = loaded.keys.len();
            (Keyring::new(loaded.keys, &loaded.signing)?, count)
        }
    };
    let keys = Arc::new(keys);
    let join_watch = JoinKeyWatch::start(&settings.join, failures.clone()).map_err(StartError::JoinKeys)?;
    let join_keys = join_watch.as_ref().map(JoinKeyWatch::current);
    let advertise_file = settings.advertise.file.as_deref();
    let addresses =
        advertise_file.map(|path| Watcher::start_or(path, read_addresses, HashMap::new(), failures.clone()));
    let addresses = addresses.transpose().map_err(StartError::AdvertiseFile)?;
    let advertised = addresses.as_ref().map(|watcher| Arc::new(watcher.current().clone()));
    let directory = directory(settings.redis.as_ref(), &failures).await?;
    let mut tls = None;
    if let Some(settings) = &settings.tls {
        let (started, renewal) = Tls::start(settings)?;
        spawn_local(started.clone().renew(settings.clone(), renewal, failures.clone()));
        tls = Some(started);
    }

    let webhooks = settings.webhook.as_ref().map(|webhook| webhooks::start(webhook, &me.owner, &failures));
    let webhooks = webhooks.transpose()?;

    let count = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MAX_SHARDS);
    let (shards, mailboxes): (Vec<_>, Vec<_>) = (0..count).map(|_| unbounded_channel()).unzip();
    let (pod_sender, mail) = unbounded_channel();
    let hub = hub_settings(&settings, count);
    let limits = settings.clients.per_ip_limits.then(SharedLimits::default);
    let budget = Budget::new(settings.limits.buffer_bytes, count);
    let start = |index, mailbox, seed| ShardStart {
        settings: HubSettings { shard: index, ..hub.clone() },
        me: me.owner.clone(),
        keys: keys.clone(),
        join_keys: join_keys.clone(),
        seed,
        advertised: advertised.clone(),
        mailbox,
        shards: shards.clone(),
        pod: pod_sender.clone(),
        limits: limits.clone(),
        line_keep_alive: settings.clients.line_keep_alive.map(|silence| silence.as_millis() as u64),
        budget: budget.clone(),
        webhook: webhooks.as_ref().map(Webhooks::sender),
    };
    let threads = spawn_shards(mailboxes, start)?;
    let inspection = Inspection::new(&settings.pod_id, shards.clone(), pod_sender.clone());
    let notices = Notices::new(keys.clone(), pod_sender.clone());

    let refusals = web::Refusals::default();
    let room_places = settings.limits.max_rooms.into();
    let figures = Figures::new(shards.clone(), failures, places, refusals, budget, room_places, tls);
    figures.set_token_keys(key_count);
    let api_seed = seed()?;
    let boot = me.owner.ownership.boot;
    figures.set_api(api.map(|api| api.serve(&settings, (boot, api_seed), shards.clone(), pod_sender)));
    figures.set_webhook(webhooks.as_ref().map(Webhooks::report));
    let peers = Peers::new(me.peer, keys, StdRng::from_seed(seed()?), shards.clone(), IdleRules::USUAL)?;
    let (accepting, accept) = watch::channel(true);
    let admin = admin::router(figures.clone(), notices.clone()).merge(admin::rooms::router(inspection));
    spawn_local(admin::serve(admin_port, admin, std::future::pending()));
    listen(ports, &settings, &shards, &peers, &figures, limits.clone(), &accept);
    termination_message::leave(Path::new(termination_message::PATH), me.owner.ownership.boot);
    tracing::info!(
        pod = settings.pod_id,
        boot = %me.owner.ownership.boot,
        tcp = me.owner.tcp,
        web = me.owner.web,
        peer = me.owner.peer,
        shards = count,
        directory = if settings.redis.is_some() { "redis" } else { "memory" },
        version = env!("CARGO_PKG_VERSION"),
        "chatd listens"
    );
    let start = PodStart {
        identity: me.lease,
        directory,
        peers,
        figures,
        notices,
        shards,
        threads,
        mail,
        keys: key_watch,
        join_keys: join_watch,
        advertised: addresses,
        drain_deadline: settings.drain_deadline,
        // A single pod: a load balancer has no other pod to switch to.
        linger: if settings.redis.is_some() { LINGER } else { Duration::ZERO },
        accepting,
    };
    let ended = pod::run(start).await;
    if matches!(ended, Ended::Drained | Ended::Twin) {
        webhooks::finish(webhooks).await;
    }
    Ok(ended)
}

fn spawn_shards(
    mailboxes: Vec<UnboundedReceiver<ShardMessage>>,
    start: impl Fn(usize, UnboundedReceiver<ShardMessage>, [u8; 32]) -> ShardStart,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let spawn = |(index, mailbox)| shard::spawn(start(index, mailbox, seed()?)).map_err(StartError::Thread);
    mailboxes.into_iter().enumerate().map(spawn).collect()
}

/// Starts to serve the ports. Clients are accepted until `accept` becomes false; links until the end.
fn listen(
    ports: Ports,
    settings: &Settings,
    shards: &[UnboundedSender<ShardMessage>],
    peers: &Peers,
    figures: &Figures,
    limits: Option<SharedLimits>,
    accept: &watch::Receiver<bool>,
) {
    let stopped = |mut accept: watch::Receiver<bool>| async move {
        // An error: the pod has ended.
        let _ = accept.wait_for(|accepting| !accepting).await;
    };
    let options = web::WebOptions {
        places: figures.places(),
        allowed_origins: settings.clients.allowed_origins.clone(),
        trusted_proxies: settings.clients.trusted_proxies.clone(),
        base_path: settings.clients.web_base_path.clone(),
        refusals: figures.refusals(),
        max_misses: settings.limits.max_misses,
        tls: figures.tls(),
        limits,
        first_line_timeout: settings.limits.first_line_timeout,
        keep_alive: settings.limits.http_keep_alive,
    };
    spawn_local(web::serve(ports.http, shards.to_vec(), options, stopped(accept.clone())));
    let tcp_tls = settings.tls.as_ref().map_or(TcpTls::Off, |tls| tls.tcp);
    let options = tcp::TcpOptions {
        places: figures.places(),
        proxy_protocol: settings.clients.proxy_protocol,
        tls: figures.tls().filter(|_| tcp_tls != TcpTls::Off),
        plaintext_too: tcp_tls == TcpTls::Both,
        first_line_timeout: settings.limits.first_line_timeout,
    };
    spawn_local(tcp::serve(ports.tcp, shards.to_vec(), options, stopped(accept.clone())));
    let peers = peers.clone();
    spawn_local(async move { peers.serve(ports.peer).await });
    spawn_local(heap::stay_small());
}

fn bind(settings: &Settings) -> Result<Ports, StartError> {
    let listen = settings.listen;
    Ok(Ports {
        tcp: bind_one("--tcp-listen", listen.tcp)?,
        http: bind_one("--http-listen", listen.http)?,
        peer: bind_one("--peer-listen", listen.peer)?,
    })
}

fn bind_one(flag: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    tcp::listen(address).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "the port is in use; stop the process that listens there, or choose another port"
            }
            std::io::ErrorKind::PermissionDenied => "permission denied; choose a port of 1024 or above",
            std::io::ErrorKind::AddrNotAvailable => {
                "this machine does not have that address; 0.0.0.0 means all its addresses"
            }
            _ => "cannot bind to this address",
        };
        StartError::Listen { flag, address, hint, error }
    })
}

fn identify(settings: &Settings, boot: PodBoot, ports: &Ports) -> Result<Me, StartError> {
    let bound = |flag, listener: &TcpListener, asked| {
        let hint = "cannot read the bound address";
        listener.local_addr().map_err(|error| StartError::Listen { flag, address: asked, hint, error })
    };
    let given = &settings.advertise;
    let tcp = Advertise::or_bound(given.tcp.as_ref(), bound("--tcp-listen", &ports.tcp, settings.listen.tcp)?);
    let web = Advertise::or_bound(given.web.as_ref(), bound("--http-listen", &ports.http, settings.listen.http)?);
    let peer = Advertise::or_bound(given.peer.as_ref(), bound("--peer-listen", &ports.peer, settings.listen.peer)?);
    let (tcp, web, peer) = (tcp.to_string(), web.to_string(), peer.to_string());
    let (pod_id, uid) = (settings.pod_id.clone(), settings.deployment_uid.clone());
    Ok(Me {
        owner: Owner {
            ownership: Ownership { epoch: 0, boot },
            pod_id: pod_id.clone(),
            tcp: tcp.clone(),
            web: web.clone(),
            peer: peer.clone(),
        },
        peer: Identity { pod_id: pod_id.clone(), uid: uid.clone(), boot, peer: peer.clone() },
        lease: LeaseIdentity { pod_id, uid, pod_uid: settings.pod_uid.clone(), boot, tcp, web, peer },
    })
}

async fn directory(redis: Option<&RedisSettings>, failures: &ReloadFailures) -> Result<AnyDirectory, StartError> {
    let Some(redis) = redis else {
        return Ok(AnyDirectory::Memory(MemoryDirectory::new()));
    };
    RedisDirectory::check_files(redis).await?;
    Ok(AnyDirectory::Redis(RedisDirectory::start(redis.clone(), failures.clone())?))
}

/// The settings of the first shard. Its clones share what the pod's threads share.
fn hub_settings(settings: &Settings, shards: usize) -> HubSettings {
    let limits = &settings.limits;
    let millis = |duration: Duration| duration.as_millis() as u64;
    let ring = RingLimits {
        messages: limits.replay_messages as usize,
        bytes: limits.replay_bytes,
        age: millis(limits.seat_hold + REPLAY_EXTRA),
    };
    HubSettings {
        max_players: limits.max_players,
        seat_hold: millis(limits.seat_hold),
        record_ttl: millis(limits.record_ttl),
        empty_ttl: millis(limits.empty_ttl),
        slots: RoomSlots::new(limits.max_rooms as usize),
        loads: Loads::default(),
        rate: limits.rate,
        burst: limits.burst,
        max_misses: limits.max_misses,
        first_line_timeout: millis(limits.first_line_timeout),
        idle_timeout: millis(limits.idle_timeout),
        send_queue: limits.send_queue,
        ring,
        // A room is on one thread: it may have all that one room may.
        ring_total: (limits.replay_pod_bytes / shards).max(ring.most()),
        tcp_on_wrong_pod: settings.tcp_on_wrong_pod,
        access: settings.join.access,
        shard: 0,
        shards,
        // All rooms that the pod may have can be taken over on one thread.
        limits: HubLimits {
            takeover_notices: HubLimits::USUAL.takeover_notices.max(2 * limits.max_rooms as usize),
            balance: BalanceLimits { after: millis(limits.balance_after), ..BalanceLimits::USUAL },
            ..HubLimits::USUAL
        },
        balance: limits.balance,
        open_names: limits.open_names,
        webhook: settings.webhook.is_some(),
        rules: Rules::ALL,
    }
}

/// From the system's secure random source.
fn seed() -> Result<[u8; 32], StartError> {
    let mut seed = [0; 32];
    SysRng.try_fill_bytes(&mut seed).map_err(StartError::Random)?;
    Ok(seed)
}

#[cfg(test)]
#[path = "run/tests.rs"]
mod tests;
