//! Assembles http-demo from its settings, and runs it until it exits. Does I/O: binds the port, reads files, waits for signals.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::api::App;
use crate::backend::{Keeper, POSTGRES, REDIS, postgres, read_password, redis};
use crate::metrics::Metrics;
use crate::serve;
use crate::settings::Settings;

/// Serves until a signal has ended it; whether all requests under way were answered.
pub fn run(settings: Settings) -> Result<bool> {
    // One thread: it waits more than it computes, and it answering a probe then proves that all of it is responsive.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let drained = runtime.block_on(start(settings));
    // Name look-ups may still block a helper thread; nobody waits for them.
    runtime.shutdown_background();
    drained
}

async fn start(settings: Settings) -> Result<bool> {
    let Settings { listen, redis, postgres, limits, .. } = settings;
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("--listen {listen}: cannot bind to this address"))?;
    let address = listener.local_addr()?;
    let (redis_file, postgres_file) = (redis.redis_password_file.clone(), postgres.postgres_password_file.clone());
    // Said at the start, where it is seen; later a file that cannot be read is a reason to answer 503.
    read_password(redis_file.as_deref()).await.context("--redis-password-file")?;
    read_password(postgres_file.as_deref()).await.context("--postgres-password-file")?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(%address, redis = redis.server, postgres = postgres.server, version, "http-demo listens");
    let metrics = Arc::new(Metrics::new());
    let size = postgres.connections as usize;
    let app = Arc::new(App {
        key_prefix: redis.key_prefix.clone(),
        redis: Keeper::new(&REDIS, redis::Dialer(redis), redis_file, 1, metrics.clone())?,
        postgres: Keeper::new(&POSTGRES, postgres::Dialer(postgres), postgres_file, size, metrics.clone())?,
        metrics,
        limits,
    });
    let stop = CancellationToken::new();
    let mut either = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let signals = async {
        either().await;
        tracing::info!("draining: finishing current requests");
        stop.cancel();
        either().await;
    };
    let drained = tokio::select! {
        drained = serve::serve(listener, app, stop.clone()) => drained,
        () = signals => false,
    };
    tracing::info!(drained, "http-demo stopped");
    Ok(drained)
}
