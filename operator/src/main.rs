//! The program `chatd-operator`. Does I/O: it reads the command line, sets up logs and signals, and runs the operator.

use std::process::ExitCode;

use clap::Parser;
use operator::settings::{Command, LogFormat, Settings, What};
use tikv_jemalloc_ctl::{Access, AsName};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Less memory than with glibc's allocator: docs/decisions/0007-jemalloc.md has the figures.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match Command::parse().what {
        What::Crd => match operator::api::crd_yaml() {
            Ok(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("cannot write the definition: {error}");
                ExitCode::FAILURE
            }
        },
        What::Docs => {
            print!("{}", operator::docs::chatdeployment());
            ExitCode::SUCCESS
        }
        What::Run(settings) => {
            start_logging(&settings);
            keep_no_freed_memory();
            // One thread: the work is waiting for the API server, and memory is small.
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    tracing::error!(%error, "cannot start the runtime");
                    return ExitCode::FAILURE;
                }
            };
            runtime.block_on(run(*settings))
        }
    }
}

async fn run(settings: Settings) -> ExitCode {
    let listener = match TcpListener::bind(settings.admin_listen).await {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(address = %settings.admin_listen, %error, "cannot bind to this address; choose another --admin-listen");
            return ExitCode::FAILURE;
        }
    };
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "serves /livez, /readyz and /metrics");
    }
    let shutdown = CancellationToken::new();
    if let Err(error) = end_on_signals(&shutdown) {
        tracing::error!(%error, "cannot wait for signals");
        return ExitCode::FAILURE;
    }
    match operator::run::run(settings, listener, shutdown).await {
        Ok(()) => {
            tracing::info!("operator stopped by a signal");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(%error, "operator stopped");
            ExitCode::FAILURE
        }
    }
}

/// Freed memory returns to the system at once, in place of a second later: a list of pods is large, and seldom. For chatd it is the other
/// way round (.cargo/config.toml).
fn keep_no_freed_memory() {
    // With another allocator there is nothing to set.
    let _: Result<(), _> = "thread.tcache.enabled\0".name().write(false);
    for arenas in ["arena.0.dirty_decay_ms\0", "arenas.dirty_decay_ms\0"] {
        let _: Result<(), _> = arenas.name().write(0_isize);
    }
}

/// The first SIGTERM or SIGINT ends in order, the second at once.
fn end_on_signals(shutdown: &CancellationToken) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if shutdown.is_cancelled() {
                std::process::exit(1);
            }
            shutdown.cancel();
        }
    });
    Ok(())
}

fn start_logging(settings: &Settings) {
    // What is not ours has no more than warnings to tell.
    let ours = [("operator", settings.log_level), ("chatd_operator", settings.log_level)];
    let filter = Targets::new().with_default(Level::WARN).with_targets(ours);
    let builder = tracing_subscriber::fmt().with_max_level(Level::TRACE).with_target(false);
    match settings.log_format {
        LogFormat::Json => {
            let json = builder.json().flatten_event(true).with_current_span(false).with_span_list(false);
            json.finish().with(filter).init();
        }
        LogFormat::Text => builder.with_ansi(false).finish().with(filter).init(),
    }
}
