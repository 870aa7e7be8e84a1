//! Puts http-demo together out of its settings, and runs it to its end. Does I/O: binds the port, reads files, waits for signals.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::api::{self, App};
use crate::backend::Service;
use crate::backend::health::Health;
use crate::backend::postgres::Postgres;
use crate::backend::redis::Redis;
use crate::files::{FileError, read_password};
use crate::metrics::Metrics;
use crate::serve;
use crate::settings::Settings;

/// Why http-demo does not start, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("--listen {address}: {hint} ({error})")]
    Listen { address: SocketAddr, hint: &'static str, error: std::io::Error },
    #[error("{flag}: {error}")]
    File { flag: &'static str, error: FileError },
    #[error("the system refuses a thread or what it needs: {0}")]
    System(std::io::Error),
    #[error("the pool of connections to Postgres cannot be made: {0}")]
    Pool(#[from] deadpool::managed::BuildError),
}

/// Serves until a signal has ended it; returns the exit code.
pub fn run(settings: Settings) -> Result<u8, StartError> {
    // One thread: it waits more than it computes, and it answering a probe then proves that all of it turns over.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::System)?;
    let drained = runtime.block_on(start(settings));
    // Name look-ups may still block a helper thread; nobody waits for them.
    runtime.shutdown_background();
    Ok(u8::from(!drained?))
}

async fn start(settings: Settings) -> Result<bool, StartError> {
    let listener = bind(settings.listen).await?;
    // Said at the start, where it is seen; later a file that cannot be read is a reason to answer 503.
    check_file("--redis-password-file", settings.redis.password_file.as_deref())?;
    check_file("--postgres-password-file", settings.postgres.password_file.as_deref())?;
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::System)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::System)?;
    let address = listener.local_addr().map_err(StartError::System)?;
    tracing::info!(
        %address,
        redis = %settings.redis.server,
        postgres = %settings.postgres.server,
        version = env!("CARGO_PKG_VERSION"),
        "http-demo listens"
    );
    let metrics = Arc::new(Metrics::new());
    let app = Arc::new(App {
        redis: Redis::new(settings.redis, Health::new(Service::Redis, metrics.clone())),
        postgres: Postgres::new(settings.postgres, Health::new(Service::Postgres, metrics.clone()))?,
        metrics: metrics.clone(),
        limits: settings.limits,
    });
    let options = serve::Options {
        router: api::router(app.clone()),
        full: api::full(app),
        max_connections: settings.limits.max_connections,
        metrics,
        drain_deadline: settings.drain_deadline,
    };
    let (ending, mut end) = tokio::sync::oneshot::channel();
    let shutdown = async {
        either(&mut terminate, &mut interrupt).await;
        tracing::info!("http-demo ends when the requests under way are answered");
        let _ = ending.send((terminate, interrupt));
    };
    let again = async {
        match (&mut end).await {
            Ok((mut terminate, mut interrupt)) => either(&mut terminate, &mut interrupt).await,
            Err(_) => std::future::pending().await,
        }
    };
    let drained = tokio::select! {
        drained = serve::serve(listener, options, shutdown) => drained,
        () = again => false,
    };
    tracing::info!(drained, "http-demo has ended");
    Ok(drained)
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => "the port is taken; end what listens there, or give another port",
            std::io::ErrorKind::PermissionDenied => "the system forbids it; give a port from 1024 on",
            std::io::ErrorKind::AddrNotAvailable => {
                "this machine does not have that address; 0.0.0.0 means all that it has"
            }
            _ => "it cannot be listened on",
        };
        StartError::Listen { address, hint, error }
    })
}

fn check_file(flag: &'static str, path: Option<&Path>) -> Result<(), StartError> {
    let Some(path) = path else { return Ok(()) };
    read_password(path).map(drop).map_err(|error| StartError::File { flag, error })
}
