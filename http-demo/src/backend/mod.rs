//! Redis and Postgres: connection pools, reconnection, and reasons for unanswered requests. Does I/O.

pub mod postgres;
mod reason;
pub mod redis;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use deadpool::Runtime;
use deadpool::managed::{self, BuildError, Object, Pool, PoolError, RecycleResult, TimeoutType, Timeouts};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use crate::metrics::Metrics;
pub use reason::{Away, POSTGRES, REDIS, Reason, Service};

/// A request to Redis or Postgres is answered within this time, connecting included, or counts as [`Reason::Timeout`].
const ANSWER_TIME: Duration = Duration::from_millis(1500);
/// How often a kept connection looks whether its password file has changed.
const FILE_PERIOD: Duration = Duration::from_secs(1);
/// The most bytes that a password file may have.
const MAX_FILE: u64 = 64 * 1024;
/// A peer that is gone without a word is noticed within about 20 s also where nobody asks.
const KEEP_ALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(10)).with_interval(Duration::from_secs(5)).with_retries(2);

/// Logs in to a service over a new TCP connection.
pub trait Dialer: Send + Sync {
    /// Ends its connection when it is dropped.
    type Client: Send;
    /// How long a request waits for one of the connections.
    const WAIT: Option<Duration>;

    /// `host:port`.
    fn server(&self) -> &str;

    fn dial(
        &self,
        stream: TcpStream,
        password: Option<&str>,
    ) -> impl Future<Output = Result<Self::Client, Reason>> + Send;
}

/// A connection of the pool.
pub struct Kept<C> {
    pub client: C,
    /// Whether it has been asked something.
    pub used: bool,
    password: Option<String>,
    /// When the password file was last looked at.
    looked: Instant,
}

/// Makes the pool's connections.
pub struct Connector<D> {
    service: &'static Service,
    dialer: D,
    password_file: Option<PathBuf>,
    metrics: Arc<Metrics>,
}

impl<D: Dialer> Connector<D> {
    async fn password(&self) -> Result<Option<String>, Reason> {
        read_password(self.password_file.as_deref()).await.map_err(|error| {
            let reason = format!("{error:#}");
            tracing::warn!(service = self.service.id, reason, "cannot use a password file");
            Reason::PasswordFile
        })
    }

    async fn connect(&self) -> Result<Kept<D::Client>, Reason> {
        let password = self.password().await?;
        let found: Vec<_> = lookup_host(self.dialer.server()).await.map_err(|_| Reason::UnknownHost)?.collect();
        // A dead address does not use up the time of the others.
        let share = ANSWER_TIME / (found.len() as u32).max(1);
        let mut tried = Err(Reason::UnknownHost);
        for address in found {
            tried = match timeout(share, TcpStream::connect(address)).await {
                Ok(connected) => connected.map_err(|_| Reason::Refused),
                Err(_) => Err(Reason::Timeout),
            };
            if tried.is_ok() {
                break;
            }
        }
        let stream = tried?;
        // Every request is written at once; a kernel that refuses only makes them slower.
        let _ = (stream.set_nodelay(true), SockRef::from(&stream).set_tcp_keepalive(&KEEP_ALIVE));
        let client = self.dialer.dial(stream, password.as_deref()).await?;
        self.metrics.connected(self.service.id);
        Ok(Kept { client, used: false, password, looked: Instant::now() })
    }
}

impl<D: Dialer> managed::Manager for Connector<D> {
    type Type = Kept<D::Client>;
    type Error = Reason;

    async fn create(&self) -> Result<Self::Type, Reason> {
        self.connect().await
    }

    /// Replaces the connection if the password has changed and the new one is taken. The old one serves on otherwise, so that a
    /// file that is ahead of the server harms nobody.
    async fn recycle(&self, kept: &mut Self::Type, _: &managed::Metrics) -> RecycleResult<Reason> {
        let service = self.service.id;
        if kept.looked.elapsed() < FILE_PERIOD {
            return Ok(());
        }
        kept.looked = Instant::now();
        if self.password().await.is_ok_and(|password| password != kept.password) {
            match self.connect().await.map(|new| *kept = new) {
                Ok(()) => tracing::info!(service, "using a changed password"),
                Err(reason) => {
                    let reason = reason.as_str();
                    tracing::warn!(service, reason, "cannot use a changed password; keeping the old connection");
                }
            }
        }
        Ok(())
    }
}

/// Keeps the connections to one service, and what is known of it.
pub struct Keeper<D: Dialer> {
    pool: Pool<Connector<D>>,
    /// `None`: not asked yet.
    last: Mutex<Option<Result<(), Reason>>>,
}

impl<D: Dialer> Keeper<D> {
    pub fn new(
        service: &'static Service,
        dialer: D,
        password_file: Option<PathBuf>,
        size: usize,
        metrics: Arc<Metrics>,
    ) -> Result<Self, BuildError> {
        let connector = Connector { service, dialer, password_file, metrics };
        let pool = Pool::builder(connector).max_size(size).runtime(Runtime::Tokio1).build()?;
        Ok(Self { pool, last: Mutex::new(None) })
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.pool.status().size
    }

    /// Asks over a kept or a new connection, in time.
    pub async fn ask<T, F>(&self, question: impl Fn(Object<Connector<D>>) -> F) -> Result<T, Away>
    where
        F: Future<Output = Result<T, Reason>>,
    {
        let started = Instant::now();
        let outcome = timeout(ANSWER_TIME, async {
            match self.ask_once(&question).await {
                // The connection had ended, and this request was the first to notice. All questions may be asked twice.
                Err(Reason::Closed) => {
                    self.forget();
                    self.ask_once(&question).await
                }
                outcome => outcome,
            }
        });
        let outcome = outcome.await.unwrap_or(Err(Reason::Timeout));
        if outcome.is_err() {
            self.forget();
        }
        self.note(started.elapsed(), outcome.as_ref().map(|_| ()).map_err(|reason| *reason));
        outcome.map_err(|reason| Away { service: self.pool.manager().service, reason })
    }

    async fn ask_once<T, F>(&self, question: impl Fn(Object<Connector<D>>) -> F) -> Result<T, Reason>
    where
        F: Future<Output = Result<T, Reason>>,
    {
        let timeouts = Timeouts { wait: D::WAIT, create: None, recycle: None };
        let kept = self.pool.timeout_get(&timeouts).await.map_err(|error| match error {
            PoolError::Backend(reason) => reason,
            PoolError::Timeout(TimeoutType::Wait) => Reason::Busy,
            _ => Reason::Failed,
        })?;
        question(kept).await
    }

    /// After an error the kept connections get no new questions: others may reach a server that can answer, a new master for one.
    fn forget(&self) {
        self.pool.retain(|_, _| false);
    }

    fn note(&self, took: Duration, outcome: Result<(), Reason>) {
        let connector = self.pool.manager();
        let service = connector.service;
        connector.metrics.asked(service.id, took, outcome.err());
        let before = self.last.lock().unwrap_or_else(PoisonError::into_inner).replace(outcome);
        match outcome {
            _ if before == Some(outcome) => {}
            Ok(()) => tracing::info!(service = service.id, "service available again"),
            Err(reason) => {
                let detail = Away { service, reason }.sentence();
                tracing::warn!(service = service.id, reason = reason.as_str(), detail, "service unavailable");
            }
        }
    }
}

/// With microseconds, as a number for people.
pub fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// The password that a file holds now, without the line end that editors add. `None`: no file is named.
pub async fn read_password(path: Option<&Path>) -> anyhow::Result<Option<String>> {
    let Some(path) = path else { return Ok(None) };
    let (shown, unreadable) = (path.display(), || format!("cannot read {}", path.display()));
    // A pipe or a device could block for ever, even at opening it.
    let found = tokio::fs::metadata(path).await.with_context(unreadable)?;
    let wrong = || format!("{shown} must be a regular file of at most {MAX_FILE} bytes that holds the password alone");
    ensure!(found.is_file() && found.len() <= MAX_FILE, wrong());
    let text = tokio::fs::read_to_string(path).await.with_context(unreadable)?;
    let password = text.trim_end_matches(['\r', '\n']);
    // An empty file is a mistake sooner than a password.
    ensure!(!password.is_empty(), wrong());
    Ok(Some(password.to_owned()))
}
