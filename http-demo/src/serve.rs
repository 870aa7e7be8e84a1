//! Accepts connections and serves HTTP/1.1 on them, until it is told to stop. Does I/O.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::metrics::Metrics;

/// From connecting, or from one answer, to the next request's whole header.
const HEADER_TIME: Duration = Duration::from_secs(10);
const MAX_HEADERS: usize = 16 * 1024;
/// A connection is used for so long, and then has so long to end.
const LIFE: Duration = Duration::from_mins(2);
const GRACE: Duration = Duration::from_secs(20);
/// Connections over the limit that are served at one time, and for how long; more are closed without a word.
const EXTRA: usize = 16;
const EXTRA_TIME: Duration = Duration::from_secs(2);

/// What is served, and how much of it.
#[derive(Debug)]
pub struct Options {
    pub router: Router,
    /// What is served over the limit.
    pub full: Router,
    pub max_connections: usize,
    pub metrics: Arc<Metrics>,
    /// How long requests under way may take at the end.
    pub drain_deadline: Duration,
}

/// Serves until `shutdown` is ready, and then lets what is under way finish. Returns whether all of it did.
pub async fn serve(listener: TcpListener, options: Options, shutdown: impl Future<Output = ()>) -> bool {
    let Options { router, full, max_connections, metrics, drain_deadline } = options;
    let places = Arc::new(Semaphore::new(max_connections));
    let extra = Arc::new(Semaphore::new(EXTRA));
    let (end, ending) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let stream = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    // Out of files, most likely: other connections need to end first.
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let ending = ending.clone();
        if let Ok(place) = places.clone().try_acquire_owned() {
            let (router, gauge) = (router.clone(), metrics.client());
            connections.spawn(async move {
                connection(stream, router, true, ending).await;
                drop((place, gauge));
            });
        } else {
            metrics.client_refused();
            if let Ok(place) = extra.clone().try_acquire_owned() {
                let full = full.clone();
                connections.spawn(async move {
                    let _ = timeout(EXTRA_TIME, connection(stream, full, false, ending)).await;
                    drop(place);
                });
            }
        }
    }
    drop((listener, end));
    let all = async { while connections.join_next().await.is_some() {} };
    timeout(drain_deadline, all).await.is_ok()
}

async fn connection(stream: TcpStream, router: Router, keep_alive: bool, mut ending: watch::Receiver<()>) {
    // An answer is written at once; a kernel that refuses only makes it slower.
    let _ = stream.set_nodelay(true);
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(MAX_HEADERS).keep_alive(keep_alive);
    let service = TowerToHyperService::new(router);
    let mut connection = std::pin::pin!(server.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // How it ends is the client's affair.
        _ = &mut connection => return,
        _ = ending.changed() => {}
        () = sleep(LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, connection).await;
}
