//! A pod of shards and ports on free ports of loopback, in threads of the test's process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use chatd::budget::Budget;
use chatd::connection_limit::ConnectionLimit;
use chatd::directory::Directory;
use chatd::directory::memory::MemoryDirectory;
use chatd::files::ReloadFailures;
use chatd::hub::HubSettings;
use chatd::join_token::Verifier;
use chatd::lease::LeaseView;
use chatd::limits::SharedLimits;
use chatd::pod::message::PodMessage;
use chatd::protocol::token::Keyring;
use chatd::protocol::{Ownership, PodBoot};
use chatd::record::Owner;
use chatd::settings::{BasePath, Cidr, Origin, TcpTls, TlsSettings};
use chatd::shard::message::{Report, ShardMessage};
use chatd::shard::{self, ShardStart};
use chatd::tcp::{self, TcpOptions};
use chatd::tls::Tls;
use chatd::web::{self, Refusals, WebOptions};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{oneshot, watch};

/// What a test wants otherwise than it is by default.
pub struct Options {
    pub shards: usize,
    pub hub: HubSettings,
    pub max_connections: usize,
    pub proxy_protocol: bool,
    pub allowed_origins: Vec<Origin>,
    pub trusted_proxies: Vec<Cidr>,
    pub base_path: BasePath,
    pub per_ip_limits: bool,
    pub max_connections_per_ip: usize,
    pub keep_alive: Duration,
    pub line_keep_alive: Option<u64>,
    pub buffer_bytes: usize,
    pub tls: Option<TlsSettings>,
    pub join_keys: Option<Arc<Verifier>>,
}

impl Default for Options {
    fn default() -> Self {
        let hub = HubSettings { rate: 1_000_000, burst: 1_000_000, shards: 2, ..HubSettings::default() };
        Self {
            shards: 2,
            hub,
            max_connections: 10_000,
            proxy_protocol: false,
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            base_path: BasePath::default(),
            per_ip_limits: false,
            max_connections_per_ip: 1_000,
            keep_alive: Duration::from_secs(75),
            line_keep_alive: None,
            buffer_bytes: 128 << 20,
            tls: None,
            join_keys: None,
        }
    }
}

pub struct Pod {
    pub tcp: SocketAddr,
    pub web: SocketAddr,
    shards: Vec<UnboundedSender<ShardMessage>>,
    threads: Vec<JoinHandle<()>>,
    places: ConnectionLimit,
    refusals: Refusals,
    pub budget: Budget,
    pub tls: Option<Tls>,
    pub reload_failures: ReloadFailures,
    end: watch::Sender<()>,
}

impl Pod {
    pub fn start(options: Options) -> Self {
        let (pod, mail) = mpsc::unbounded_channel();
        let (shards, mailboxes): (Vec<_>, Vec<_>) = (0..options.shards).map(|_| mpsc::unbounded_channel()).unzip();
        let keys = Arc::new(Keyring::generate(&mut StdRng::seed_from_u64(1)));
        let limits = options.per_ip_limits.then(SharedLimits::default);
        let budget = Budget::new(options.buffer_bytes, options.shards);
        let mut threads = Vec::new();
        for (index, mailbox) in mailboxes.into_iter().enumerate() {
            let settings = HubSettings { shard: index, shards: options.shards, ..options.hub.clone() };
            let me = Owner {
                ownership: Ownership { epoch: 0, boot: PodBoot(1) },
                pod_id: "chat-0".into(),
                tcp: "127.0.0.1:7654".into(),
                web: "127.0.0.1:8081".into(),
                peer: "127.0.0.1:7755".into(),
            };
            let start = ShardStart {
                settings,
                me,
                keys: keys.clone(),
                join_keys: options.join_keys.clone(),
                seed: [index as u8 + 1; 32],
                advertised: None,
                mailbox,
                shards: shards.clone(),
                pod: pod.clone(),
                limits: limits.clone(),
                line_keep_alive: options.line_keep_alive,
                budget: budget.clone(),
                webhook: None,
            };
            threads.push(shard::spawn(start).unwrap());
        }
        for shard in &shards {
            let confirmed = Some(shard::now().now);
            shard.send(ShardMessage::Lease(LeaseView { confirmed, settled: true })).unwrap();
        }
        let places = ConnectionLimit::new(
            options.max_connections,
            options.per_ip_limits.then_some(options.max_connections_per_ip),
        );
        let (end, ending) = watch::channel(());
        let (bound, addresses) = std::sync::mpsc::channel();
        let refusals = Refusals::default();
        let reload_failures = ReloadFailures::default();
        let started = options.tls.as_ref().map(|settings| (Tls::start(settings).unwrap(), settings.clone()));
        let tls = started.as_ref().map(|((tls, _), _)| tls.clone());
        let renewal = started.map(|((tls, renewal), settings)| tls.renew(settings, renewal, reload_failures.clone()));
        let (of_thread, of_pod) = (shards.clone(), (places.clone(), refusals.clone()));
        let of_ports = tls.clone();
        threads.push(std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                if let Some(renewal) = renewal {
                    tokio::spawn(renewal);
                }
                serve(options, of_ports, limits, of_pod, of_thread, mail, ending, bound).await;
            });
        }));
        let (tcp, web) = addresses.recv().unwrap();
        Self { tcp, web, shards, threads, places, refusals, budget, tls, reload_failures, end }
    }

    pub fn report(&self) -> Report {
        let mut sum = Report::default();
        for shard in &self.shards {
            let (reply, report) = oneshot::channel();
            shard.send(ShardMessage::Report { reply }).unwrap();
            let report = report.blocking_recv().unwrap();
            sum.counters += &report.counters;
            sum.gauges += &report.gauges;
        }
        sum
    }

    /// Frames of another pod for the first shard, in so many mails. What is returned is answered once all of them are handled.
    pub fn frames(&self, mails: usize, bytes: &[u8]) -> oneshot::Receiver<Report> {
        for _ in 0..mails {
            self.shards[0].send(ShardMessage::Frames { from: PodBoot(2), bytes: bytes.to_vec() }).unwrap();
        }
        let (reply, report) = oneshot::channel();
        self.shards[0].send(ShardMessage::Report { reply }).unwrap();
        report
    }

    /// New connections are to go to other pods from now on.
    pub fn drains(&self) {
        self.places.drain();
    }

    /// Requests that were refused for their host and for their origin.
    pub fn refused(&self) -> (u64, u64) {
        self.refusals.counts()
    }

    pub fn sessions(&self) -> u64 {
        let gauges = self.report().gauges;
        gauges.connections_tcp + gauges.connections_web
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        for shard in &self.shards {
            let _ = shard.send(ShardMessage::Stop);
        }
        let (end, _) = watch::channel(());
        self.end = end;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[allow(clippy::too_many_arguments)]
async fn serve(
    options: Options,
    tls: Option<Tls>,
    limits: Option<SharedLimits>,
    (places, refusals): (ConnectionLimit, Refusals),
    shards: Vec<UnboundedSender<ShardMessage>>,
    mut mail: UnboundedReceiver<PodMessage>,
    ending: watch::Receiver<()>,
    bound: std::sync::mpsc::Sender<(SocketAddr, SocketAddr)>,
) {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
    bound.send((tcp.local_addr().unwrap(), web.local_addr().unwrap())).unwrap();
    let first_line_timeout = Duration::from_millis(options.hub.first_line_timeout);
    let tcp_tls = options.tls.map_or(TcpTls::Off, |tls| tls.tcp);
    let tcp_options = TcpOptions {
        places: places.clone(),
        proxy_protocol: options.proxy_protocol,
        tls: tls.clone().filter(|_| tcp_tls != TcpTls::Off),
        plaintext_too: tcp_tls == TcpTls::Both,
        first_line_timeout,
    };
    let web_options = WebOptions {
        places,
        allowed_origins: options.allowed_origins,
        trusted_proxies: options.trusted_proxies,
        base_path: options.base_path,
        refusals,
        max_misses: options.hub.max_misses,
        tls,
        limits,
        first_line_timeout,
        keep_alive: options.keep_alive,
    };
    let ended = || {
        let mut ending = ending.clone();
        async move {
            let _ = ending.changed().await;
        }
    };
    let directory = MemoryDirectory::new();
    let answers = async {
        while let Some(mail) = mail.recv().await {
            if let PodMessage::Directory { shard, ticket, request } = mail {
                let answer = directory.ask(request).await;
                let _ = shards[shard].send(ShardMessage::Answered { ticket, answer });
            }
        }
    };
    let ports = async {
        tokio::join!(
            tcp::serve(tcp, shards.clone(), tcp_options, ended()),
            web::serve(web, shards.clone(), web_options, ended()),
        );
    };
    tokio::select! {
        () = answers => {}
        () = ports => {}
    }
}
