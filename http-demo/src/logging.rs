//! Logs: one JSON line an event, or text for a terminal, written to standard output by a thread of its own.
//!
//! Events are fixed sentences with fields: never keys, values, query strings or passwords. Only http-demo's own events are logged,
//! since those of libraries may contain such data.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use crate::settings::LogFormat;

/// Starts logging for the whole process, and logs panics. What waits is written when the guard is dropped.
pub fn start(format: LogFormat, level: LevelFilter) -> WorkerGuard {
    let terminal = std::io::stdout().is_terminal();
    let text = format == LogFormat::Text || format == LogFormat::Auto && terminal;
    // Lines that wait for a slow reader; what comes on top is lost, since no request may wait for a log.
    let (lines, guard) = NonBlockingBuilder::default().buffered_lines_limit(1024).finish(std::io::stdout());
    let layer = tracing_subscriber::fmt::layer().with_writer(lines).with_ansi(text && terminal);
    let layer = if text { layer.with_target(false).boxed() } else { layer.json().flatten_event(true).boxed() };
    let own = Targets::new().with_target("http_demo", level);
    // Fails only if the process has set one before, which is then the one that counts.
    let _ = tracing::subscriber::set_global_default(Registry::default().with(layer.with_filter(own)));
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("not shown");
        tracing::error!(place, panic = message, "task panicked");
    }));
    guard
}
