//! Logs: one JSON line an event, or text for a terminal. Writes to standard output from a thread of its own.
//!
//! What is logged is fixed sentences with fields: never keys, values, query strings or passwords. Only http-demo's own events are
//! shown, since those of libraries may hold such things.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use crate::settings::{LogFormat, LogLevel};

/// Lines that wait for a slow reader of standard output; what comes on top is lost, since no request may wait for a log.
const WAITING_LINES: usize = 1024;

/// Starts logging to standard output, for the whole process, and logs panics. What waits is written when the guard is dropped.
pub fn start(format: LogFormat, level: LogLevel) -> LogGuard {
    let terminal = std::io::stdout().is_terminal();
    let text = format == LogFormat::Text || format == LogFormat::Auto && terminal;
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let (lines, guard) = Lines::start();
    let layer = tracing_subscriber::fmt::layer().with_writer(lines).with_ansi(text && terminal);
    let layer = if text { layer.with_target(false).boxed() } else { layer.json().flatten_event(true).boxed() };
    let own = Targets::new().with_target("http_demo", level);
    // Fails only if the process has set one before, which is then the one that counts.
    let _ = tracing::subscriber::set_global_default(Registry::default().with(layer.with_filter(own)));
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("not shown");
        tracing::error!(place, panic = message, "a task has panicked");
    }));
    guard
}

/// Gives each event's line to the thread that writes; never waits.
#[derive(Debug, Clone)]
struct Lines(SyncSender<Vec<u8>>);

/// Keeps the writing thread.
#[derive(Debug)]
pub struct LogGuard {
    end: SyncSender<Vec<u8>>,
    thread: Option<JoinHandle<()>>,
}

impl Lines {
    fn start() -> (Self, LogGuard) {
        let (sender, receiver) = sync_channel::<Vec<u8>>(WAITING_LINES);
        let write = move || {
            let mut output = std::io::stdout();
            // An empty line is the end. Errors of the output have nowhere to go.
            while let Ok(line) = receiver.recv()
                && !line.is_empty()
            {
                let _ = output.write_all(&line).and_then(|()| output.flush());
            }
        };
        let thread = std::thread::Builder::new().name("log".to_owned()).spawn(write).ok();
        (Self(sender.clone()), LogGuard { end: sender, thread })
    }
}

impl Write for Lines {
    /// A whole line: the formatter writes an event at once.
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if !line.is_empty() {
            let _ = self.0.try_send(line.to_vec());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        // A full queue means that nobody reads; the end of the process does not wait for that.
        if let Err(TrySendError::Full(_)) = self.end.try_send(Vec::new()) {
            return;
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
