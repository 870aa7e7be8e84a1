//! Keeps one connection to one master, and reconnects when it is lost. Does I/O.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::TryRng;
use rand::rngs::SysRng;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::adviser::{self, Adviser};
use super::backoff::{self, patience};
use super::changes::Changes;
use super::complaint::{Complaint, Verdict};
use super::dial::{self, Dialer, Dialled, Purpose};
use super::failure::Failure;
use super::names::Names;
use super::secrets::Secrets;
use super::task::Task;
use super::url::Address;
use crate::directory::{ANSWER_TIME, DirectoryConnection, NoAnswer};

/// How often an idle connection is tried, and the Sentinels are asked whether the master is still the same.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// How often the files are read again, in checks.
const FILES_EVERY: u32 = 3;
/// A connection that held for less than this counts as one more failure.
const STEADY: Duration = Duration::from_secs(5);
/// Of the same reason the log hears new words this often at most: several servers may have their own, in turn.
const LOG_DETAIL_EVERY: Duration = Duration::from_secs(10);

/// A connection to one master, kept up by a task that ends with the last clone.
#[derive(Debug, Clone)]
pub struct Link(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    /// Ends with this value.
    _task: Task,
}

#[derive(Debug)]
struct Shared {
    state: watch::Sender<State>,
    /// The number of a connection that a request found unusable, and why.
    unusable: watch::Sender<(u64, Failure)>,
}

#[derive(Debug, Clone)]
enum State {
    Up(Up),
    /// Since when, and what the last attempt to connect ran into, if there was one.
    Down {
        since: Instant,
        failure: Option<Failure>,
    },
}

/// A connection to send on.
#[derive(Debug, Clone)]
pub struct Up {
    connection: MultiplexedConnection,
    /// Counts the link's connections.
    number: u64,
    first_answer: Arc<FirstAnswer>,
    identity: Option<DirectoryConnection>,
}

impl Up {
    /// How the server knows it, where nothing stands between.
    pub fn identity(&self) -> Option<&DirectoryConnection> {
        self.identity.as_ref()
    }
}

/// A server may let everyone connect and serve nobody: it counts as connected once it has given an answer.
#[derive(Debug)]
struct FirstAnswer {
    server: Address,
    came: AtomicBool,
}

impl FirstAnswer {
    fn note(&self) {
        if !self.came.load(Ordering::Relaxed) && !self.came.swap(true, Ordering::Relaxed) {
            tracing::info!(server = %self.server, "connected to Redis");
        }
    }
}

/// Where the master is.
#[derive(Debug)]
pub enum Source {
    Fixed(Address),
    Sentinel { sentinels: Box<Adviser>, master: String },
}

impl Source {
    async fn address(&mut self) -> Result<Address, Failure> {
        match self {
            Source::Fixed(address) => Ok(address.clone()),
            Source::Sentinel { sentinels, master } => adviser::master_address(sentinels, master).await,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Fixed(address) => address.fmt(formatter),
            Source::Sentinel { master, .. } => master.fmt(formatter),
        }
    }
}

impl Link {
    /// Starts to connect. `changes` hears of each connection that is made or lost. Must be called inside a runtime, which does the
    /// work; requests may come from any.
    pub fn start(dialer: Arc<Dialer>, source: Source, database: u32, changes: Arc<Changes>) -> Self {
        let down = State::Down { since: Instant::now(), failure: None };
        let unusable = watch::Sender::new((0, NoAnswer::Refused.into()));
        let shared = Arc::new(Shared { state: watch::Sender::new(down), unusable });
        let keeper = Keeper { dialer, source, purpose: Purpose::Data { database }, shared: shared.clone(), changes };
        Self(Arc::new(Handle { shared, _task: Task::spawn(keeper.run()) }))
    }

    /// Whether there is a connection now.
    pub fn is_up(&self) -> bool {
        matches!(*self.0.shared.state.borrow(), State::Up(_))
    }

    /// How the server knows the connection that there is now.
    pub fn connection(&self) -> Option<DirectoryConnection> {
        if let State::Up(up) = &*self.0.shared.state.borrow() { up.identity.clone() } else { None }
    }

    /// A connection to send on, waiting for it as [`patience`] says.
    pub async fn ready(&self, deadline: Instant) -> Result<Up, Failure> {
        if let State::Up(up) = &*self.0.shared.state.borrow() {
            return Ok(up.clone());
        }
        let mut states = self.0.shared.state.subscribe();
        loop {
            let (since, failure) = match &*states.borrow_and_update() {
                State::Up(up) => return Ok(up.clone()),
                State::Down { since, failure } => (*since, failure.clone()),
            };
            let reason = failure.as_ref().map(|failure| failure.reason);
            let give_up = failure.unwrap_or(NoAnswer::Timeout.into());
            let until = patience(since, reason, Instant::now(), deadline).ok_or(give_up)?;
            // An error: the keeper's runtime has ended.
            if let Ok(Err(_)) = timeout_at(until, states.changed()).await {
                return Err(NoAnswer::Refused.into());
            }
        }
    }

    /// Asks one thing on a connection that was ready.
    pub async fn send(&self, up: Up, command: &Cmd, asking: bool, deadline: Instant) -> Result<Value, Complaint> {
        let Up { mut connection, number, first_answer, .. } = up;
        let sent = Instant::now();
        let reply = async {
            if asking {
                dial::send_asking(&mut connection, command).await
            } else {
                dial::send(&mut connection, command).await
            }
        };
        let reply = timeout_at(deadline, reply).await.unwrap_or_else(|_| {
            // Replies come in order. A request that was sent late says little; one that had time says that the other end is gone.
            let verdict = if sent.elapsed() >= ANSWER_TIME / 2 { Verdict::Replace } else { Verdict::Keep };
            Err(Complaint::None(NoAnswer::Timeout.into(), verdict))
        });
        match &reply {
            Ok(_) => first_answer.note(),
            Err(Complaint::None(failure, Verdict::Replace)) => {
                self.0.shared.unusable.send_if_modified(|worst| {
                    let newer = worst.0 < number;
                    if newer {
                        *worst = (number, failure.clone());
                    }
                    newer
                });
            }
            Err(_) => {}
        }
        reply.map_err(|complaint| match complaint {
            Complaint::None(failure, verdict) => Complaint::None(failure.at(&first_answer.server), verdict),
            complaint => complaint,
        })
    }
}

/// The task behind a [`Link`]: it alone connects, so that there is one attempt at a time however many requests wait.
struct Keeper {
    dialer: Arc<Dialer>,
    source: Source,
    purpose: Purpose,
    shared: Arc<Shared>,
    changes: Arc<Changes>,
}

/// How the watch over a connection ends.
enum End {
    Lost(Failure),
    Replaced(Address, Box<Dialled>),
}

/// The last logged failure of a server that cannot be used, and when.
struct Logged {
    failure: Failure,
    at: Instant,
}

impl Keeper {
    async fn run(mut self) {
        let mut failures = 0_u32;
        let mut number = 0;
        let mut logged = None;
        loop {
            match self.connect().await {
                Ok((address, dialled)) => {
                    let since = Instant::now();
                    let (failure, served) = self.hold(address, dialled, &mut number).await;
                    failures = if since.elapsed() >= STEADY { 0 } else { failures.saturating_add(1) };
                    self.shared
                        .state
                        .send_replace(State::Down { since: Instant::now(), failure: Some(failure.clone()) });
                    if served {
                        logged = None;
                        let (reason, detail) = (failure.reason.as_str(), failure.words());
                        tracing::warn!(server = %self.source, reason, detail, "connection to Redis lost");
                    } else {
                        self.log_failure(&mut logged, failure);
                    }
                }
                Err(failure) => {
                    failures = failures.saturating_add(1);
                    self.shared.state.send_modify(|state| {
                        if let State::Down { failure: last, .. } = state {
                            *last = Some(failure.clone());
                        }
                    });
                    self.log_failure(&mut logged, failure);
                }
            }
            sleep(backoff::pause(failures, random())).await;
        }
    }

    /// Tells the log why there is no connection: once, and again when the reason is another one, or the words are after a while.
    fn log_failure(&self, logged: &mut Option<Logged>, failure: Failure) {
        let is_known = |logged: &Logged| {
            logged.failure == failure
                || (logged.failure.reason == failure.reason && logged.at.elapsed() < LOG_DETAIL_EVERY)
        };
        if !logged.as_ref().is_some_and(is_known) {
            let (reason, detail) = (failure.reason.as_str(), failure.words());
            tracing::warn!(server = %self.source, reason, detail, "cannot connect to Redis");
            *logged = Some(Logged { failure, at: Instant::now() });
        }
    }

    async fn connect(&mut self) -> Result<(Address, Dialled), Failure> {
        let attempt = async {
            let address = self.source.address().await?;
            let dialled = self.dialer.dial(&address, self.purpose).await?;
            Ok((address, dialled))
        };
        timeout(ANSWER_TIME, attempt).await.unwrap_or(Err(NoAnswer::Timeout.into()))
    }

    /// Offers a connection, and those that take its place, until there is none. Says why, and whether any was answered on.
    async fn hold(&mut self, mut address: Address, mut dialled: Dialled, number: &mut u64) -> (Failure, bool) {
        let mut unusable = self.shared.unusable.subscribe();
        let dialer = self.dialer.clone();
        let mut served = false;
        loop {
            *number += 1;
            let first_answer = Arc::new(FirstAnswer { server: address.clone(), came: AtomicBool::new(false) });
            let connection = dialled.connection.clone();
            let identity = dialled.identity.clone();
            let up = Up { connection, number: *number, first_answer: first_answer.clone(), identity };
            self.shared.state.send_replace(State::Up(up));
            self.changes.made();
            let Dialled { connection, mut driver, peer, secrets, .. } = dialled;
            let end = tokio::select! {
                () = driver.ended() => End::Lost(Failure::new(NoAnswer::Refused, "the connection ended").at(&address)),
                failure = found_unusable(&mut unusable, *number) => End::Lost(failure.at(&address)),
                failure = moved_away(dialer.names(), &address, peer) => End::Lost(failure),
                end = self.watch(&address, connection, &secrets) => end,
            };
            self.changes.lost();
            served |= first_answer.came.load(Ordering::Relaxed);
            match end {
                // The driver ends here, and with it every request that still waits.
                End::Lost(failure) => return (failure, served),
                End::Replaced(new_address, new) => {
                    driver.retire();
                    (address, dialled) = (new_address, *new);
                }
            }
        }
    }

    /// Tries the connection and looks for changes elsewhere, until one of them ends it.
    async fn watch(&mut self, address: &Address, mut connection: MultiplexedConnection, secrets: &Secrets) -> End {
        for check in 1_u32.. {
            sleep(CHECK_EVERY).await;
            match timeout(ANSWER_TIME, dial::check_master(&mut connection)).await {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => return End::Lost(failure.at(address)),
                Err(_) => return End::Lost(NoAnswer::Timeout.into()),
            }
            if let Source::Sentinel { sentinels, master } = &mut self.source
                // Sentinels that do not answer are no reason to leave a master that does.
                && let Ok(now) = adviser::master_address(sentinels, master).await
                && now != *address
            {
                tracing::warn!(from = %address, to = %now, "the Sentinels name another master");
                return End::Lost(Failure::new(
                    NoAnswer::ReadOnly,
                    &format!("the Sentinels name another master, {now}"),
                ));
            }
            if check % FILES_EVERY == 0
                && let Some((address, dialled)) = self.follow_files(secrets).await
            {
                return End::Replaced(address, Box::new(dialled));
            }
        }
        End::Lost(NoAnswer::Refused.into())
    }

    /// A connection made with the files as they are now, if they have changed and it can be made. The old connection serves on
    /// meanwhile, so that a file that is wrong, or ahead of the server, harms nobody.
    async fn follow_files(&mut self, secrets: &Secrets) -> Option<(Address, Dialled)> {
        let now = self.dialer.secrets().await.ok().filter(|now| now != secrets)?;
        match self.connect().await {
            Ok(new) => Some(new),
            Err(failure) => {
                if self.dialer.refused(&now, failure.reason) {
                    tracing::warn!(
                        server = %self.source,
                        reason = failure.reason.as_str(),
                        detail = failure.words(),
                        "cannot use the changed files of the Redis settings; keeping the connection"
                    );
                }
                None
            }
        }
    }
}

/// Waits until the server's name resolves to another address, twice in a row: the server that it led to may live on, but the others
/// of the deployment go to another one.
async fn moved_away(names: &Names, address: &Address, peer: SocketAddr) -> Failure {
    loop {
        sleep(names.every()).await;
        if names.leads_elsewhere(address, peer).await.is_none() {
            continue;
        }
        sleep(CHECK_EVERY.min(names.every())).await;
        if let Some(found) = names.leads_elsewhere(address, peer).await {
            let now = found.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ");
            tracing::warn!(server = %address, from = %peer, to = now, "the name of Redis resolves to another address; closing the old connection");
            return Failure::new(NoAnswer::Refused, &format!("its name no longer resolves to {peer}, but to {now}"))
                .at(address);
        }
    }
}

async fn found_unusable(unusable: &mut watch::Receiver<(u64, Failure)>, number: u64) -> Failure {
    let found = unusable.wait_for(|(found, _)| *found >= number).await.map(|found| found.1.clone()).ok();
    match found {
        Some(failure) => failure,
        // Nobody is left who could ask.
        None => std::future::pending().await,
    }
}

fn random() -> f64 {
    SysRng.try_next_u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}
