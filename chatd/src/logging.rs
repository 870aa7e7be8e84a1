//! Logs: one JSON line an event, or text for a terminal. Writes to standard output from a thread of its own.
//!
//! What is logged is fixed sentences with fields: never chat text, tokens or query strings. Only chatd's own events are shown,
//! since those of libraries may hold what a client sent; for the same reason a panic shows its place, and its message only where
//! that is a fixed text.
//!
//! The thread is ours, since that of `tracing-appender` 0.2.5 does not end in time. Where the reader stands still and lines wait for it, its
//! guard prints to the same output, and the process stays for good (12 s were waited); a slow reader loses what waits after 0.1 s, which
//! here has `FLUSH_TIME`, and gets a line that is not JSON.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use crate::settings::{LogFormat, LogLevel};

/// Lines that wait for a slow reader of standard output; what comes on top is lost and counted, since nobody's chat may wait
/// for a log.
const WAITING_LINES: usize = 1024;
/// How long the end of the process waits for lines to be written.
const FLUSH_TIME: Duration = Duration::from_secs(1);

/// Starts logging to standard output, for the whole process, and logs panics. Lines are written until the guard is dropped.
pub fn start(format: LogFormat, level: LogLevel) -> LogGuard {
    let terminal = std::io::stdout().is_terminal();
    let text = format == LogFormat::Text || format == LogFormat::Auto && terminal;
    let (lines, guard) = Lines::start(std::io::stdout(), move |lost| lines_were_lost(text, terminal, lost));
    // Fails only if the process has set one before, which is then the one that counts.
    let _ = tracing::subscriber::set_global_default(subscriber(text, terminal, level, lines));
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("not shown");
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        tracing::error!(place, thread, panic = message, "thread panicked");
    }));
    guard
}

/// Writes chatd's events of at least `level` to `writer`: as `text` for people, with colours on a `terminal`, else as JSON.
fn subscriber<W>(text: bool, terminal: bool, level: LogLevel, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let own = Targets::new().with_target("chatd", level);
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(text && terminal);
    let layer = if text { layer.with_target(false).boxed() } else { layer.json().flatten_event(true).boxed() };
    Registry::default().with(layer.with_filter(own))
}

/// The line that says so, in the form of the others.
fn lines_were_lost(text: bool, terminal: bool, lines: u64) -> Vec<u8> {
    let kept = Kept::default();
    let writer = kept.clone();
    let subscriber = subscriber(text, terminal, LogLevel::Warn, move || writer.clone());
    tracing::subscriber::with_default(subscriber, || tracing::warn!(lines, "dropped log lines"));
    kept.take()
}

/// Keeps what is written, for all clones.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        // Plain bytes: no panic can leave them half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.bytes())
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Lets an event through once a minute: for what may come many times a second.
#[derive(Debug, Default)]
pub struct OnceAMinute(Option<Instant>);

impl OnceAMinute {
    /// Whether a minute has passed since it last was; then the next one begins.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = self.0.is_none_or(|last| now >= last + Duration::from_mins(1));
        if due {
            self.0 = Some(now);
        }
        due
    }
}

/// Gives each event's line to the thread that writes; never waits.
#[derive(Clone)]
struct Lines {
    sender: SyncSender<Vec<u8>>,
    lost: Arc<AtomicU64>,
}

/// Keeps the writing thread; when dropped, what waits is written, for at most `FLUSH_TIME`.
#[derive(Debug)]
pub struct LogGuard {
    stop: Option<SyncSender<Vec<u8>>>,
    written: Mutex<std::sync::mpsc::Receiver<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Lines {
    /// `lost_line`: the line that says how many were lost.
    fn start(
        mut output: impl Write + Send + 'static,
        lost_line: impl Fn(u64) -> Vec<u8> + Send + 'static,
    ) -> (Self, LogGuard) {
        let (sender, receiver) = sync_channel::<Vec<u8>>(WAITING_LINES);
        let (done, written) = sync_channel(1);
        let lost = Arc::new(AtomicU64::new(0));
        let lines = Self { sender: sender.clone(), lost: Arc::clone(&lost) };
        let write = move || {
            // An empty line is the end. Errors of the output have nowhere to go.
            while let Ok(line) = receiver.recv() {
                if line.is_empty() {
                    break;
                }
                let _ = output.write_all(&line);
                let missing = lost.swap(0, Ordering::Relaxed);
                if missing > 0 {
                    let _ = output.write_all(&lost_line(missing));
                }
                let _ = output.flush();
            }
            let _ = done.send(());
        };
        let thread = std::thread::Builder::new().name("log".to_owned()).spawn(write).ok();
        (lines, LogGuard { stop: Some(sender), written: Mutex::new(written), thread })
    }
}

impl Write for Lines {
    /// A whole line: the formatter writes an event at once.
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if !line.is_empty()
            && let Err(TrySendError::Full(_)) = self.sender.try_send(line.to_vec())
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
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
        let deadline = Instant::now() + FLUSH_TIME;
        let Some(stop) = self.stop.take() else { return };
        while let Err(TrySendError::Full(_)) = stop.try_send(Vec::new()) {
            if Instant::now() >= deadline {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let Ok(written) = self.written.lock() else { return };
        let left = deadline.saturating_duration_since(Instant::now());
        if let Err(RecvTimeoutError::Timeout) = written.recv_timeout(left) {
            return;
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// An output that takes nothing until it is let go.
    struct Stuck(std::sync::mpsc::Receiver<()>, Kept);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(text: bool, level: LogLevel, log: impl FnOnce()) -> String {
        let output = Kept::default();
        let (lines, guard) = Lines::start(output.clone(), |_| Vec::new());
        tracing::subscriber::with_default(subscriber(text, false, level, lines), log);
        drop(guard);
        String::from_utf8(output.take()).unwrap()
    }

    #[test]
    fn json_is_one_object_an_event() {
        let written = logged(false, LogLevel::Info, || {
            tracing::info!(room = "abc12def", "a room was \"taken\"\nover");
            tracing::debug!("not shown");
            tracing::warn!(count = 3, "second");
        });
        let events: Vec<serde_json::Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events.len(), 2, "{written}");
        assert_eq!(events[0]["message"], "a room was \"taken\"\nover");
        assert_eq!(events[0]["room"], "abc12def");
        assert_eq!((&events[1]["level"], &events[1]["count"]), (&"WARN".into(), &3.into()));
        assert!(events[0]["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn text_is_for_people_and_without_colours_in_a_file() {
        let written = logged(true, LogLevel::Debug, || tracing::debug!(room = "abc12def", "shown"));
        assert!(written.contains("shown") && written.contains("abc12def") && !written.contains('\u{1b}'), "{written}");
    }

    #[test]
    fn what_libraries_log_stays_out() {
        let written = logged(false, LogLevel::Trace, || tracing::error!(target: "hyper::proto", "client input"));
        assert_eq!(written, "");
    }

    #[test]
    fn a_reader_that_stands_still_holds_nobody_up() {
        let (go, gate) = sync_channel(0);
        let output = Kept::default();
        let (lines, guard) = Lines::start(Stuck(gate, output.clone()), |lost| lines_were_lost(false, false, lost));
        let extra = 7;
        // One may be with the writer, the queue is full, and the rest is lost.
        tracing::subscriber::with_default(subscriber(false, false, LogLevel::Info, lines.clone()), || {
            for number in 0..=WAITING_LINES + extra {
                tracing::info!(number, "line");
            }
        });
        let lost = lines.lost.load(Ordering::Relaxed) as usize;
        assert!((extra..=extra + 1).contains(&lost), "{lost}");
        drop(go);
        drop(guard);
        let written = String::from_utf8(output.take()).unwrap();
        let events = written.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let losses: Vec<_> = events.filter(|event| event["message"] == "dropped log lines").collect();
        assert_eq!(losses.len(), 1, "the loss is said");
        assert_eq!(losses[0]["lines"], lost);
        assert!(losses[0]["level"] == "WARN" && losses[0]["timestamp"].is_string(), "{}", losses[0]);
    }

    #[test]
    fn the_end_does_not_wait_for_a_reader_that_stands_still() {
        let (_go, gate) = sync_channel(0);
        let (mut lines, guard) = Lines::start(Stuck(gate, Kept::default()), |_| Vec::new());
        while lines.lost.load(Ordering::Relaxed) == 0 {
            lines.write_all(b"line\n").unwrap();
        }
        let begun = Instant::now();
        drop(guard);
        assert!(begun.elapsed() < 10 * FLUSH_TIME, "{:?}", begun.elapsed());
    }

    #[test]
    fn lost_lines_are_reported_in_the_format_of_the_log() {
        let line = String::from_utf8(lines_were_lost(true, false, 7)).unwrap();
        assert!(line.contains(" WARN ") && line.contains("dropped log lines") && line.contains("lines=7"), "{line}");
        assert!(line.ends_with('\n') && !line.starts_with('{'), "{line}");
    }

    #[test]
    fn a_frequent_event_is_logged_once_a_minute() {
        let (mut once, start) = (OnceAMinute::default(), Instant::now());
        let told = (0..150).filter(|second| once.is_due(start + Duration::from_secs(*second))).count();
        assert_eq!(told, 3);
    }
}
