//! The check of Postgres, by a pool of connections that are kept. Does I/O.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Object, PoolError, RecycleError, RecycleResult, TimeoutType, Timeouts};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use super::dial::{self, Driver};
use super::health::Health;
use super::{ANSWER_TIME, Away, FILE_PERIOD, Reason};
use crate::files::{self, FileError, Password};
use crate::settings::PostgresSettings;

/// One round trip that needs no table and no right.
const QUERY: &str = "SELECT current_setting('server_version'), current_setting('transaction_read_only'), current_database(), current_user";
/// How long a request waits for one of the connections; what is left of [`ANSWER_TIME`] is for its query.
const BUSY_TIME: Duration = Duration::from_secs(1);

/// What Postgres says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    pub server_version: String,
    pub database: String,
    pub user: String,
    /// How long the query took, without connecting.
    pub latency: Duration,
    /// Whether the connection was made for this query.
    pub new_connection: bool,
    /// Connections that are open.
    pub connections: usize,
}

/// The way to Postgres.
#[derive(Debug)]
pub struct Postgres {
    pool: managed::Pool<Connector>,
    health: Arc<Health>,
    generation: Arc<AtomicU64>,
}

impl Postgres {
    /// # Errors
    /// None in practice: only a pool without a runtime is refused.
    pub fn new(settings: PostgresSettings, health: Health) -> Result<Self, managed::BuildError> {
        let (health, generation) = (Arc::new(health), Arc::new(AtomicU64::new(0)));
        let size = settings.connections;
        let connector = Connector { settings, health: health.clone(), generation: generation.clone() };
        let pool = managed::Pool::builder(connector).max_size(size).runtime(Runtime::Tokio1).build()?;
        Ok(Self { pool, health, generation })
    }

    /// Runs the query. A server that can only be read counts as away.
    pub async fn check(&self) -> Result<Checked, Away> {
        let started = Instant::now();
        let deadline = started + ANSWER_TIME;
        let ask = async {
            match self.ask().await {
                // The connection had ended, and this request was the first to notice.
                Err(Reason::Closed) => self.ask().await,
                outcome => outcome,
            }
        };
        let outcome = timeout_at(deadline, ask).await.unwrap_or(Err(Reason::Timeout));
        if outcome == Err(Reason::Timeout) {
            // Who has not answered on one connection will not on the others: all that are open are of the past.
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
        self.health.asked(started.elapsed(), outcome)
    }

    async fn ask(&self) -> Result<Checked, Reason> {
        let timeouts = Timeouts { wait: Some(BUSY_TIME), create: None, recycle: None };
        let mut connection = self.pool.timeout_get(&timeouts).await.map_err(|error| match error {
            PoolError::Backend(reason) => reason,
            PoolError::Timeout(TimeoutType::Wait) => Reason::Busy,
            _ => Reason::Failed,
        })?;
        let new_connection = !std::mem::replace(&mut connection.used, true);
        let asked = Instant::now();
        let outcome = connection.client.simple_query(QUERY).await;
        let latency = asked.elapsed();
        let checked = match outcome {
            Ok(messages) => read(&messages),
            Err(error) => Err(reason(&error)),
        };
        match checked {
            Ok([server_version, database, user]) => {
                let connections = self.pool.status().size;
                Ok(Checked { server_version, database, user, latency, new_connection, connections })
            }
            Err(reason) => {
                // A new one may reach another server behind the same name.
                drop(Object::take(connection));
                Err(reason)
            }
        }
    }
}

/// The row as text: version, database and user.
fn read(messages: &[SimpleQueryMessage]) -> Result<[String; 3], Reason> {
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let row = row.ok_or(Reason::Failed)?;
    let column = |index| row.try_get(index).ok().flatten().map(str::to_owned).ok_or(Reason::Failed);
    if column(1)? != "off" {
        return Err(Reason::ReadOnly);
    }
    Ok([column(0)?, column(2)?, column(3)?])
}

/// What an error of the client means.
fn reason(error: &tokio_postgres::Error) -> Reason {
    let known = [
        (SqlState::INVALID_PASSWORD, Reason::Auth),
        (SqlState::INVALID_AUTHORIZATION_SPECIFICATION, Reason::Auth),
        (SqlState::INSUFFICIENT_PRIVILEGE, Reason::Auth),
        (SqlState::INVALID_CATALOG_NAME, Reason::NoDatabase),
        (SqlState::TOO_MANY_CONNECTIONS, Reason::Full),
        (SqlState::CANNOT_CONNECT_NOW, Reason::Starting),
        (SqlState::ADMIN_SHUTDOWN, Reason::Closed),
        (SqlState::CRASH_SHUTDOWN, Reason::Closed),
        (SqlState::IDLE_SESSION_TIMEOUT, Reason::Closed),
        (SqlState::QUERY_CANCELED, Reason::Timeout),
        (SqlState::READ_ONLY_SQL_TRANSACTION, Reason::ReadOnly),
    ];
    if let Some(code) = error.code() {
        return known.iter().find(|(known, _)| known == code).map_or(Reason::Failed, |(_, reason)| *reason);
    }
    // The client's own errors have no kind that can be asked for; these texts are fixed, and a test holds them.
    match error.to_string().as_str() {
        "connection closed" | "error communicating with the server" => Reason::Closed,
        // No password where the server wants one, or a way to log in that needs more than a password.
        "invalid configuration" | "authentication error" => Reason::Auth,
        _ => Reason::Failed,
    }
}

/// A connection of the pool.
#[derive(Debug)]
pub struct Connection {
    client: Client,
    driver: Driver,
    password: Option<Password>,
    /// When the password file was last looked at.
    looked: Instant,
    generation: u64,
    /// Whether a query has gone over it.
    used: bool,
}

/// Makes the pool's connections and says which may be used again.
#[derive(Debug)]
struct Connector {
    settings: PostgresSettings,
    health: Arc<Health>,
    /// Connections of an earlier generation are not used again.
    generation: Arc<AtomicU64>,
}

impl managed::Manager for Connector {
    type Type = Connection;
    type Error = Reason;

    async fn create(&self) -> Result<Connection, Reason> {
        self.dial().await
    }

    async fn recycle(&self, connection: &mut Connection, _: &managed::Metrics) -> RecycleResult<Reason> {
        let current = connection.generation == self.generation.load(Ordering::Relaxed);
        if !current || connection.client.is_closed() || connection.driver.has_ended() {
            return Err(RecycleError::Backend(Reason::Closed));
        }
        if connection.looked.elapsed() >= FILE_PERIOD {
            connection.looked = Instant::now();
            self.follow_file(connection).await;
        }
        Ok(())
    }
}

impl Connector {
    /// Replaces the connection if the password has changed and the new one is taken. The old one serves on otherwise, so that a
    /// file that is ahead of the server harms nobody.
    async fn follow_file(&self, connection: &mut Connection) {
        let Ok(password) = self.password().await else { return };
        if password == connection.password {
            return;
        }
        match self.dial().await {
            Ok(new) => {
                tracing::info!(service = "postgres", "a changed password is in use");
                *connection = new;
            }
            Err(reason) => {
                let reason = reason.as_str();
                tracing::warn!(
                    service = "postgres",
                    reason,
                    "a changed password cannot be used; the old connection stays"
                );
            }
        }
    }

    async fn password(&self) -> Result<Option<Password>, FileError> {
        let read = files::password(self.settings.password_file.clone()).await;
        read.inspect_err(|error| tracing::warn!(reason = %error, "--postgres-password-file cannot be used"))
    }

    /// The caller bounds the time.
    async fn dial(&self) -> Result<Connection, Reason> {
        let generation = self.generation.load(Ordering::Relaxed);
        let password = self.password().await.map_err(|_| Reason::PasswordFile)?;
        let stream = dial::connect(&self.settings.server, Instant::now() + ANSWER_TIME).await?;
        let mut config = Config::new();
        config.user(&self.settings.user).dbname(&self.settings.database).application_name("http-demo");
        if let Some(password) = &password {
            config.password(password.reveal());
        }
        let (client, driver) = config.connect_raw(stream, NoTls).await.map_err(|error| reason(&error))?;
        let driver = Driver::spawn(async move {
            // How it ended is seen by the next query.
            let _ = driver.await;
        });
        self.health.connected();
        Ok(Connection { client, driver, password, looked: Instant::now(), generation, used: false })
    }
}
