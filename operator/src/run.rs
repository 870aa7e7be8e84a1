//! The operator as a whole: watches, workers, polling, leader election, admin port, and a graceful stop. Does I/O.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::cache::Cache;
use crate::client::Client;
use crate::death;
use crate::desired::Installed;
use crate::leader::{self, Leadership};
use crate::metrics::Metrics;
use crate::neighbour::Neighbours;
use crate::poll::{self, Reports};
use crate::queue::Queue;
use crate::reconcile::{Reconciler, Stopped, work};
use crate::scopes::Scopes;
use crate::settings::Settings;
use crate::storage;
use crate::watch::{SLOW_START, Watches};

const WORKERS: usize = 16;
const ADMIN_PORT_OF_PODS: u16 = 9090;
/// How long a reconcile that is under way at SIGTERM may take.
const LAST_RECONCILE: Duration = Duration::from_secs(5);

/// Why the operator ended without having been asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No connection to the API server is configured.
    #[error("cannot find the API server: {0}; run in a cluster, or set KUBECONFIG")]
    Client(#[source] Box<kube::Error>),
    /// Another process is the leader, or the Lease could not be renewed.
    #[error(transparent)]
    Lost(#[from] leader::Lost),
    /// Another operator manages the same ChatDeployments.
    #[error("{0}; uninstall one of the two, or restrict it to other namespaces with --watch-namespace")]
    Second(String),
    /// A task that watches has ended: a fault of the operator.
    #[error("a watch ended unexpectedly")]
    WatchEnded,
}

/// Runs until `shutdown`.
pub async fn run(settings: Settings, listener: TcpListener, shutdown: CancellationToken) -> Result<(), RunError> {
    let kube = kube::Client::try_default().await.map_err(|error| RunError::Client(Box::new(error)))?;
    let namespace = settings.namespace.clone().unwrap_or_else(|| kube.default_namespace().to_owned());
    let leadership = if settings.leader_elect { Leadership::none() } else { Leadership::always() };
    let (cache, queue, metrics) = (Arc::<Cache>::default(), Arc::<Queue>::default(), Arc::<Metrics>::default());
    let reports = Arc::<Reports>::default();
    let mut watches = Watches::start(&kube, &settings.watch_namespace, &cache, &queue);
    let mut tasks = JoinSet::new();
    let admin = Admin {
        metrics: Arc::clone(&metrics),
        cache: Arc::clone(&cache),
        queue: Arc::clone(&queue),
        leadership: leadership.clone(),
        scopes: watches.scopes(),
    };
    let admin_ends = CancellationToken::new();
    tasks.spawn(admin::serve(listener, admin, admin_ends.clone()));
    let (reports_of, cache_of, queue_of) = (Arc::clone(&reports), Arc::clone(&cache), Arc::clone(&queue));
    tasks.spawn(poll::poll(cache_of, queue_of, reports_of, ADMIN_PORT_OF_PODS, shutdown.clone()));
    let election_ends = CancellationToken::new();
    let election = {
        let identity = settings.identity.clone().unwrap_or_else(identity);
        let (kube, namespace, leadership) = (kube.clone(), namespace.clone(), leadership.clone());
        let lease = settings.lease_name.clone();
        let (elects, ends) = (settings.leader_elect, election_ends.clone());
        async move {
            if elects {
                leader::lead(kube, (&namespace, &lease), &identity, &leadership, ends).await
            } else {
                ends.cancelled().await;
                Ok(())
            }
        }
    };
    let mut election = tokio::spawn(election);
    let neighbours = Neighbours::new(format!("{namespace}/{}", settings.lease_name));
    let stopped = Stopped::default();
    let installed = Installed {
        chatd_image: settings.chatd_image.clone(),
        valkey_image: settings.valkey_image.clone(),
        operator_namespace: namespace,
        monitoring_namespaces: settings.monitoring_namespace.iter().filter(|name| !name.is_empty()).cloned().collect(),
    };
    let client = Client::new(kube, Arc::clone(&metrics), leadership.clone());
    // Of an operator of some namespaces the definition is not, nor are all objects.
    if settings.watch_namespace.is_empty() {
        tasks.spawn(storage::keep_moved(client.clone(), shutdown.clone()));
    }
    let (cache_of, client_of, leads) = (Arc::clone(&cache), client.clone(), leadership.clone());
    let counts = Arc::clone(&metrics);
    tasks.spawn(death::tell(cache_of, client_of, leads, counts, ADMIN_PORT_OF_PODS, shutdown.clone()));
    let most = usize::from(settings.max_rollouts);
    let scopes = watches.scopes();
    let reconciler = Reconciler::new(
        client,
        cache,
        Arc::clone(&queue),
        reports,
        metrics,
        installed,
        most,
        scopes.clone(),
        neighbours,
        stopped.clone(),
    );
    let reconciler = Arc::new(reconciler);
    let result = async {
        wait_for_start(&scopes, &leadership, &mut election, &shutdown).await?;
        reconciler.starts();
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            workers.spawn(work(Arc::clone(&reconciler), shutdown.clone()));
        }
        if !shutdown.is_cancelled() {
            tracing::info!("operator started");
        }
        let result = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            lost = &mut election => lost.unwrap_or(Err(leader::Lost)).map_err(RunError::from),
            () = watches.ended() => Err(RunError::WatchEnded),
            why = stopped.reason() => Err(RunError::Second(why)),
        };
        shutdown.cancel();
        let _ = tokio::time::timeout(LAST_RECONCILE, async { while workers.join_next().await.is_some() {} }).await;
        result
    }
    .await;
    // Only now: nobody else may write while a last reconcile is under way.
    election_ends.cancel();
    if result.is_ok() && !election.is_finished() {
        let _ = election.await;
    }
    admin_ends.cancel();
    shutdown.cancel();
    while tasks.join_next().await.is_some() {}
    result
}

/// Until every list has been read and this process leads.
async fn wait_for_start(
    scopes: &Scopes,
    leadership: &Leadership,
    election: &mut tokio::task::JoinHandle<Result<(), leader::Lost>>,
    shutdown: &CancellationToken,
) -> Result<(), RunError> {
    let started = tokio::time::Instant::now();
    let mut warned = false;
    while !(scopes.are_synced() && leadership.may_write()) {
        if !warned && !scopes.are_synced() && started.elapsed() > SLOW_START {
            warned = true;
            tracing::warn!(
                "cannot list yet; is the CustomResourceDefinition installed, and is the operator allowed to list it?"
            );
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
            () = shutdown.cancelled() => return Ok(()),
            lost = &mut *election => return lost.unwrap_or(Err(leader::Lost)).map_err(RunError::from),
        }
    }
    Ok(())
}

fn identity() -> String {
    let mut random = [0_u8; 4];
    let _ = getrandom::fill(&mut random);
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "chatd-operator".to_owned());
    format!("{host}_{:08x}", u32::from_be_bytes(random))
}
