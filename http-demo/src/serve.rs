//! Accepts connections and serves HTTP/1.1 on them, until the shutdown signal. Does I/O.
//!
//! Not by `axum::serve`, which bounds neither the connections nor the time that one may wait for a request.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{self, App};

/// From connecting, or from one answer, to the next request's whole header.
const HEADER_TIME: Duration = Duration::from_secs(10);
const MAX_HEADERS: usize = 16 * 1024;
/// A connection is used for so long, and then has so long to end.
const LIFE: Duration = Duration::from_mins(2);
const GRACE: Duration = Duration::from_secs(20);
/// Connections over the limit that are served at one time, and for how long; more are closed without a word.
const EXTRA: usize = 16;
const EXTRA_TIME: Duration = Duration::from_secs(2);

/// Serves until `stop`, and then lets what is under way finish. Returns whether all of it did in time.
pub async fn serve(listener: TcpListener, app: Arc<App>, stop: CancellationToken) -> bool {
    let (router, full) = (api::router(app.clone()), api::full(app.clone()));
    let places = Arc::new(Semaphore::new(app.limits.max_connections as usize));
    let extra = Arc::new(Semaphore::new(EXTRA));
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Out of files, most likely: other connections need to end first.
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (router, full, stop, app) = (router.clone(), full.clone(), stop.clone(), app.clone());
        if let Ok(place) = places.clone().try_acquire_owned() {
            app.metrics.connections.inc();
            connections.spawn(async move {
                connection(stream, router, true, stop).await;
                app.metrics.connections.dec();
                drop(place);
            });
        } else {
            app.metrics.refused.inc();
            if let Ok(place) = extra.clone().try_acquire_owned() {
                connections.spawn(async move {
                    let _ = timeout(EXTRA_TIME, connection(stream, full, false, stop)).await;
                    drop(place);
                });
            }
        }
    }
    drop(listener);
    connections.close();
    timeout(Duration::from_secs(app.limits.drain_deadline.into()), connections.wait()).await.is_ok()
}

async fn connection(stream: TcpStream, router: Router, keep_alive: bool, stop: CancellationToken) {
    // An answer is written at once; a kernel that refuses only makes it slower.
    let _ = stream.set_nodelay(true);
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(MAX_HEADERS).keep_alive(keep_alive);
    let service = TowerToHyperService::new(router);
    let mut connection = std::pin::pin!(server.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // How it ends is the client's affair.
        _ = &mut connection => return,
        () = stop.cancelled() => {}
        () = sleep(LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, connection).await;
}
