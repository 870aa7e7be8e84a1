//! The directory in Redis, or any server that speaks its protocol: one server, behind Sentinels, or a Cluster. Does I/O.
//!
//! `command`, `complaint` and `slots` encode requests and interpret replies without I/O; `dial` opens a connection with the
//! `credentials`, `link` keeps one, `cluster` chooses among several.

mod adviser;
mod backoff;
mod changes;
mod cluster;
mod command;
mod complaint;
mod credentials;
mod dial;
mod failure;
mod link;
mod names;
mod presence;
mod secrets;
mod settings;
mod slots;
mod task;
mod tls;
mod url;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use redis::{Cmd, Value};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

pub use names::Names;
pub use secrets::SecretsError;
pub use settings::{RedisSettings, RedisSettingsError};
pub use url::{Address, RedisUrl, RedisUrlError, Servers};

use self::adviser::Adviser;
use self::changes::Changes;
use self::cluster::Cluster;
use self::command::Form;
use self::complaint::{Complaint, Verdict};
use self::dial::{Dialer, Purpose};
use self::failure::Failure;
use self::link::{Link, Source};
use self::secrets::Secrets;
use super::{ANSWER_TIME, Answer, Directory, DirectoryConnection, Key, NoAnswer, Request};
use crate::files::ReloadFailures;
use crate::tls::authorities::SystemAuthorities;

/// Requests under way at most; one more is answered with [`NoAnswer::Timeout`] at once.
pub const MOST_REQUESTS: usize = 10_000;

/// Pods that are listed at most; those that wrote last come first.
const MOST_PODS: usize = 10_000;
/// Leases that are read at once.
const LEASES_AT_ONCE: usize = 64;
/// A pod that has no lease, and wrote none for this long, leaves the index.
const FORGET_POD_AFTER: Duration = Duration::from_hours(1);
/// How long a request that succeeded waits for the index, which may be on another node of the cluster.
const INDEX_TIME: Duration = Duration::from_millis(250);

/// The directory in Redis. Its connections belong to the runtime it was started in; requests may come from any thread.
#[derive(Debug, Clone)]
pub struct RedisDirectory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    prefix: String,
    pods: Vec<u8>,
    servers: Route,
    changes: Arc<Changes>,
    under_way: Semaphore,
    /// The words of the last failure, by its reason.
    words: Mutex<HashMap<NoAnswer, Option<Arc<str>>>>,
}

#[derive(Debug)]
enum Route {
    One(Link),
    Cluster(Cluster),
}

impl RedisDirectory {
    /// Starts to connect, and goes on in the background until the last clone is gone. Must be called inside a runtime. `failures`:
    /// of files that have changed and cannot be used.
    pub fn start(settings: RedisSettings, failures: ReloadFailures) -> Result<Self, RedisSettingsError> {
        Self::start_with(settings, Names::of_the_system(), failures)
    }

    /// As [`RedisDirectory::start`], with another source of addresses.
    pub fn start_with(
        settings: RedisSettings,
        names: Names,
        failures: ReloadFailures,
    ) -> Result<Self, RedisSettingsError> {
        settings.check()?;
        let changes = Arc::new(Changes::default());
        let prefix = settings.key_prefix.clone();
        let servers = settings.url.servers.clone();
        let dialer = Arc::new(Dialer::new(settings, names, failures));
        let servers = match servers {
            Servers::Single { address, database } => {
                Route::One(Link::start(dialer, Source::Fixed(address), database, changes.clone()))
            }
            Servers::Sentinel { sentinels, master, database } => {
                let sentinels = Box::new(Adviser::new(dialer.clone(), Purpose::Sentinel, sentinels));
                Route::One(Link::start(dialer, Source::Sentinel { sentinels, master }, database, changes.clone()))
            }
            Servers::Cluster { nodes } => Route::Cluster(Cluster::start(dialer, nodes, changes.clone())),
        };
        let pods = command::pods_name(&prefix);
        let under_way = Semaphore::new(MOST_REQUESTS);
        Ok(Self(Arc::new(Inner { prefix, pods, servers, changes, under_way, words: Mutex::default() })))
    }

    /// Reads the files that the settings name once, so that a wrong one can be refused at start.
    pub async fn check_files(settings: &RedisSettings) -> Result<(), SecretsError> {
        let secrets = Secrets::read(settings).await?;
        if settings.url.tls {
            tls::client_config(&secrets, &SystemAuthorities::default())?;
        }
        Ok(())
    }
}

impl Directory for RedisDirectory {
    async fn ask(&self, request: Request) -> Result<Answer, NoAnswer> {
        let _permit = self.0.under_way.try_acquire().map_err(|_| NoAnswer::Timeout)?;
        self.0.answer(request, Instant::now() + ANSWER_TIME).await.map_err(|Failure { reason, words }| {
            self.0.words().insert(reason, words);
            reason
        })
    }

    fn words(&self, reason: NoAnswer) -> Option<Arc<str>> {
        self.0.words().get(&reason).cloned().flatten()
    }

    fn resets(&self) -> u64 {
        self.0.changes.losses()
    }

    fn connection(&self, key: &Key) -> Option<DirectoryConnection> {
        self.0.link_of(key)?.connection()
    }

    async fn changed(&self) {
        self.0.changes.next().await;
    }
}

impl Inner {
    fn words(&self) -> MutexGuard<'_, HashMap<NoAnswer, Option<Arc<str>>>> {
        // No panic can leave the map half changed.
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request, deadline: Instant) -> Result<Answer, Failure> {
        match request {
            Request::Get { key } => {
                let name = command::key_name(&self.prefix, &key);
                self.read(&name, deadline).await.map(Answer::Found)
            }
            Request::Swap { key, expected, new, ttl } => {
                let name = command::key_name(&self.prefix, &key);
                let swap = |form| command::swap(form, &name, expected.as_ref(), &new, ttl);
                let answer = self.script(&name, swap, deadline).await?;
                self.index(&key, &answer, Index::Note, deadline).await;
                Ok(answer)
            }
            Request::Renew { key, expected, ttl } => {
                let name = command::key_name(&self.prefix, &key);
                let answer = self.script(&name, |form| command::renew(form, &name, &expected, ttl), deadline).await?;
                self.index(&key, &answer, Index::Note, deadline).await;
                Ok(answer)
            }
            Request::Delete { key, expected } => {
                let name = command::key_name(&self.prefix, &key);
                let answer = self.script(&name, |form| command::delete(form, &name, &expected), deadline).await?;
                self.index(&key, &answer, Index::Forget, deadline).await;
                Ok(answer)
            }
            Request::Pods => self.pods(deadline).await.map(Answer::Pods),
            Request::Connected { key, connection } => {
                self.is_connected(&key, &connection, deadline).await.map(Answer::Connected)
            }
        }
    }

    /// The link to the server that has `key`, as far as is known.
    fn link_of(&self, key: &Key) -> Option<Link> {
        match &self.servers {
            Route::Cluster(cluster) => cluster.link_of(&command::key_name(&self.prefix, key)),
            Route::One(link) => Some(link.clone()),
        }
    }

    /// Asks on a connection to the same run of the same server, or not at all: another one knows nothing of it.
    async fn is_connected(
        &self,
        key: &Key,
        connection: &DirectoryConnection,
        deadline: Instant,
    ) -> Result<Option<bool>, Failure> {
        let Some(link) = self.link_of(key) else { return Ok(None) };
        let up = link.ready(deadline).await?;
        if up.identity().is_none_or(|own| own.run != connection.run) {
            return Ok(None);
        }
        let reply = link.send(up, &presence::ask_client(connection.client), false, deadline).await;
        Ok(presence::is_listed(&reply.map_err(dial::failure)?, connection.client))
    }

    async fn call(&self, key: &[u8], command: &Cmd, deadline: Instant) -> Result<Value, Complaint> {
        match &self.servers {
            Route::Cluster(cluster) => cluster.call(key, command, deadline).await,
            Route::One(link) => {
                let up = link.ready(deadline).await.map_err(|failure| Complaint::None(failure, Verdict::Keep))?;
                link.send(up, command, false, deadline).await
            }
        }
    }

    async fn script(&self, key: &[u8], command: impl Fn(Form) -> Cmd, deadline: Instant) -> Result<Answer, Failure> {
        let mut reply = self.call(key, &command(Form::Hash), deadline).await;
        if reply == Err(Complaint::NoScript) {
            reply = self.call(key, &command(Form::Source), deadline).await;
        }
        Ok(command::compared(reply.map_err(dial::failure)?)?)
    }

    async fn read(&self, key: &[u8], deadline: Instant) -> Result<Option<Bytes>, Failure> {
        match self.script(key, |form| command::get(form, key), deadline).await? {
            Answer::Found(found) => Ok(found),
            _ => Err(NoAnswer::Refused.into()),
        }
    }

    /// Keeps the index of pods, after a change was made. The leases decide, and each renewal comes by here again: a failure only
    /// means that the pod is found later.
    async fn index(&self, key: &Key, answer: &Answer, change: Index, deadline: Instant) {
        let (Key::Pod(pod), Answer::Done) = (key, answer) else { return };
        let command = match change {
            Index::Note => command::note_pod(&self.pods, pod, now()),
            Index::Forget => command::forget_pod(&self.pods, pod.as_bytes()),
        };
        let time = deadline.saturating_duration_since(Instant::now()).min(INDEX_TIME);
        match timeout(time, self.call(&self.pods, &command, deadline)).await {
            Ok(Ok(_)) => {}
            Ok(Err(complaint)) => tracing::debug!(?complaint, "cannot update the index of pods"),
            Err(_) => tracing::debug!("updating the index of pods timed out"),
        }
    }

    async fn pods(&self, deadline: Instant) -> Result<Vec<(String, Bytes)>, Failure> {
        let reply = self.call(&self.pods, &command::list_pods(&self.pods, MOST_PODS), deadline).await;
        let listed = command::listed(reply.map_err(dial::failure)?)?;
        let oldest = now().saturating_sub(FORGET_POD_AFTER.as_millis() as u64);
        let leases = stream::iter(listed)
            // A name that is not text is nobody's of ours.
            .filter_map(async |(pod, wrote)| Some((String::from_utf8(pod).ok()?, wrote)))
            .map(async |(pod, wrote)| {
                let name = command::key_name(&self.prefix, &Key::Pod(pod.clone()));
                let lease = self.read(&name, deadline).await?;
                if lease.is_none() && wrote < oldest {
                    let forget = command::forget_pod(&self.pods, pod.as_bytes());
                    // The next who lists will try again.
                    let _ = self.call(&self.pods, &forget, deadline).await;
                }
                Ok(lease.map(|lease| (pod, lease)))
            })
            .buffer_unordered(LEASES_AT_ONCE)
            .try_filter_map(async |found| Ok(found));
        leases.try_collect().await
    }
}

#[derive(Debug, Clone, Copy)]
enum Index {
    Note,
    Forget,
}

/// This machine's clock in ms since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}
