//! The thread that delivers events to the webhook, and how a shard reaches it. Does I/O; decides nothing that the queue can decide.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::client::{Answer, Client, Message};
use super::event::WebhookEvent;
use super::outcome::Outcome;
use super::payload::Teller;
use super::queue::{Attempt, Queue, QueueLimits, WebhookFigures};
use super::signature::Secrets;
use super::tls::client_config;
use super::url::WebhookUrl;
use crate::files::Watcher;
use crate::ids::Time;
use crate::logging::OnceAMinute;

/// Of what waits, together with what is on its way from the shards ([`Load`]).
const LIMITS: QueueLimits = QueueLimits { events: 10_000, bytes: 16 << 20, age: 300_000, at_once: 8 };
/// Events taken from the mailbox at once.
const BATCH: usize = 256;

/// Why the webhook cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum WebhookError {
    #[error("--webhook-ca-file: needed, since {0}")]
    Authorities(String),
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// What the thread begins with.
#[derive(Debug)]
pub struct WebhookStart {
    /// Where events go.
    pub url: WebhookUrl,
    /// What they are signed with.
    pub secrets: Watcher<Secrets>,
    /// Certificates of authorities (PEM). `None`: the system's.
    pub authorities: Option<Watcher<Vec<u8>>>,
    /// This pod.
    pub teller: Teller,
    /// Says what time it is.
    pub clock: fn() -> Time,
    /// From the system's secure random source.
    pub seed: [u8; 32],
}

/// What is on its way from the shards to the queue, and what is in it: together within [`LIMITS`]. Approximate for a moment.
#[derive(Debug, Default)]
struct Load {
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    queued: AtomicU64,
    queued_bytes: AtomicU64,
    /// Events that did not fit.
    lost: AtomicU64,
}

impl Load {
    fn has_room(&self, weight: u64) -> bool {
        let all = |one: &AtomicU64, other: &AtomicU64| one.load(Ordering::Relaxed) + other.load(Ordering::Relaxed);
        all(&self.sent, &self.queued) < LIMITS.events as u64
            && all(&self.sent_bytes, &self.queued_bytes) + weight <= LIMITS.bytes as u64
    }

    fn queued(&self, figures: &WebhookFigures) {
        self.queued.store(figures.queued, Ordering::Relaxed);
        self.queued_bytes.store(figures.queued_bytes, Ordering::Relaxed);
    }

    fn received(&self, weight: u64) {
        self.sent.fetch_sub(1, Ordering::Relaxed);
        self.sent_bytes.fetch_sub(weight, Ordering::Relaxed);
    }
}

/// For a shard; cheap to clone.
#[derive(Debug, Clone)]
pub struct WebhookSender {
    mailbox: mpsc::UnboundedSender<Box<WebhookEvent>>,
    load: Arc<Load>,
}

impl WebhookSender {
    /// Never waits: what does not fit is counted as dropped.
    pub fn send(&self, event: Box<WebhookEvent>) {
        let weight = event.weight() as u64;
        if self.load.has_room(weight) {
            self.load.sent.fetch_add(1, Ordering::Relaxed);
            self.load.sent_bytes.fetch_add(weight, Ordering::Relaxed);
            if self.mailbox.send(event).is_ok() {
                return;
            }
        }
        self.load.lost.fetch_add(1, Ordering::Relaxed);
    }
}

/// What metrics say of it, whenever they are asked for. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct WebhookReport(Arc<Mutex<WebhookFigures>>);

impl WebhookReport {
    /// As of the last event or answer.
    pub fn figures(&self) -> WebhookFigures {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, WebhookFigures> {
        // Plain figures: no panic can leave them half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread.
#[derive(Debug)]
pub struct Webhooks {
    sender: WebhookSender,
    report: WebhookReport,
    stop: oneshot::Sender<Instant>,
    stopped: oneshot::Receiver<()>,
}

impl Webhooks {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no certificates of authorities and needs them, or no more threads.
    pub fn start(start: WebhookStart) -> Result<Self, WebhookError> {
        let (mailbox, mail) = mpsc::unbounded_channel();
        let sender = WebhookSender { mailbox, load: Arc::default() };
        let report = WebhookReport::default();
        let (stop, stopping) = oneshot::channel();
        let (done, stopped) = oneshot::channel();
        let tls = if start.url.secure {
            let authorities = start.authorities.as_ref().map(|watcher| watcher.current().as_slice());
            Some(client_config(authorities).map_err(WebhookError::Authorities)?)
        } else {
            None
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(2).build()?;
        let (load, shown) = (sender.load.clone(), report.clone());
        let run = move || {
            let client = Rc::new(Client::new(start.url.clone(), tls));
            LocalSet::new().block_on(&runtime, deliver(start, client, mail, &load, shown, stopping));
            runtime.shutdown_background();
            // Nobody waits for it where the process ends at once.
            let _ = done.send(());
        };
        std::thread::Builder::new().name("webhook".to_owned()).spawn(run)?;
        Ok(Self { sender, report, stop, stopped })
    }

    /// For the shards.
    pub fn sender(&self) -> WebhookSender {
        self.sender.clone()
    }

    /// For metrics.
    pub fn report(&self) -> WebhookReport {
        self.report.clone()
    }

    /// Delivers what waits, for so long at most, and ends the thread.
    pub async fn finish(self, within: Duration) {
        let deadline = Instant::now() + within;
        if self.stop.send(deadline).is_ok() {
            let _ = timeout_at(deadline + Duration::from_millis(100), self.stopped).await;
        }
    }
}

/// What the log says of deliveries.
#[derive(Debug, Default)]
struct Log {
    failing: bool,
    failures: OnceAMinute,
    drops: OnceAMinute,
    dropped: u64,
}

impl Log {
    fn failed(&mut self, url: &WebhookUrl, reason: &str) {
        if self.failures.is_due(std::time::Instant::now()) {
            self.failing = true;
            tracing::warn!(%url, reason, "cannot deliver an event to the webhook; retrying for 5 minutes");
        }
    }

    fn delivered(&mut self, url: &WebhookUrl) {
        if std::mem::take(&mut self.failing) {
            tracing::info!(%url, "the webhook takes events again");
        }
    }

    fn dropped(&mut self, url: &WebhookUrl, figures: &WebhookFigures) {
        let dropped: u64 = figures.dropped.iter().sum();
        if dropped > self.dropped && self.drops.is_due(std::time::Instant::now()) {
            let events = dropped - self.dropped;
            self.dropped = dropped;
            tracing::warn!(%url, events, "dropped events for the webhook; the next one tells it how many");
        }
    }
}

async fn deliver(
    start: WebhookStart,
    client: Rc<Client>,
    mut mail: mpsc::UnboundedReceiver<Box<WebhookEvent>>,
    load: &Load,
    report: WebhookReport,
    mut stopping: oneshot::Receiver<Instant>,
) {
    let WebhookStart { url, secrets, authorities, teller, clock, seed } = start;
    let mut random = StdRng::from_seed(seed);
    let current = Rc::new(RefCell::new(secrets.current().clone()));
    spawn_local(watch_secrets(secrets, current.clone()));
    if let Some(authorities) = authorities {
        spawn_local(watch_authorities(authorities, client.clone()));
    }
    let (answer, mut answers) = mpsc::unbounded_channel();
    let mut queue = Queue::new(teller, LIMITS);
    let mut log = Log::default();
    let mut events: Vec<Box<WebhookEvent>> = Vec::with_capacity(BATCH);
    let mut deadline: Option<Instant> = None;
    loop {
        let time = clock();
        for event in events.drain(..) {
            let weight = event.weight() as u64;
            queue.push(time.now, event);
            // In this order: a shard may count the event twice for a moment, but not leave it out.
            load.queued(&queue.figures());
            load.received(weight);
        }
        queue.lost(load.lost.swap(0, Ordering::Relaxed));
        while let Some(attempt) = queue.next(time.now) {
            let (client, secrets, answer) = (client.clone(), current.clone(), answer.clone());
            spawn_local(async move {
                let room = attempt.room;
                // The loop has ended where nobody hears it.
                let _ = answer.send((room, try_once(client, &secrets, attempt, clock).await));
            });
        }
        let figures = queue.figures();
        load.queued(&figures);
        log.dropped(&url, &figures);
        *report.lock() = figures;
        if deadline.is_some() && queue.is_empty() && mail.is_empty() {
            return;
        }
        let wait = queue.next_due().map(|at| Duration::from_millis(at.saturating_sub(time.now)));
        tokio::select! {
            // Without a sender the process ends: `stopping` says by when.
            _ = mail.recv_many(&mut events, BATCH), if !mail.is_closed() || !mail.is_empty() => {}
            Some((room, result)) = answers.recv() => {
                let (outcome, why) = judge(result, clock().wall);
                match outcome {
                    Outcome::Delivered => log.delivered(&url),
                    Outcome::Failed { .. } => log.failed(&url, &why),
                    Outcome::Gone => {
                        tracing::error!(%url, "the webhook wants no more events (410); none is sent until a restart");
                    }
                }
                queue.answered(clock().now, room, outcome, random.random());
            }
            () = sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            until = &mut stopping, if deadline.is_none() => {
                deadline = Some(until.unwrap_or_else(|_| Instant::now()));
                queue.hurry(clock().now);
            }
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => break,
        }
    }
    let events = queue.figures().queued + mail.len() as u64;
    tracing::warn!(%url, events, "events for the webhook are lost: it did not take them before the process ended");
}

async fn try_once(
    client: Rc<Client>,
    secrets: &RefCell<Secrets>,
    attempt: Attempt,
    clock: fn() -> Time,
) -> Result<Answer, String> {
    let Attempt { id, body, .. } = attempt;
    let at = clock().wall / 1_000;
    let signature = secrets.borrow().sign(&id, at, &body);
    client.post(Message { id, at, signature, body }).await
}

fn judge(result: Result<Answer, String>, wall: u64) -> (Outcome, String) {
    match result {
        Ok(Answer { status, retry_after }) => {
            (Outcome::of_answer(status, retry_after.as_deref(), wall), format!("status {status}"))
        }
        Err(why) => (Outcome::NO_ANSWER, why),
    }
}

async fn watch_secrets(mut watcher: Watcher<Secrets>, current: Rc<RefCell<Secrets>>) {
    loop {
        let secrets = watcher.changed().await;
        current.replace(secrets);
    }
}

async fn watch_authorities(mut watcher: Watcher<Vec<u8>>, client: Rc<Client>) {
    loop {
        match client_config(Some(&watcher.changed().await)) {
            Ok(config) => client.set_tls(config),
            Err(reason) => {
                tracing::error!(reason, "cannot use the webhook's changed authorities; keeping the old ones");
            }
        }
    }
}
