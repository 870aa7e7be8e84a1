//! Opens a connection to one Redis server: TCP, TLS, password, database. Does I/O.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, Value, cmd};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::complaint::{self, Complaint, Verdict};
use super::credentials::{CredentialFiles, Credentials};
use super::secrets::Secrets;
use super::settings::RedisSettings;
use super::task::Task;
use super::url::Address;
use crate::directory::{ANSWER_TIME, NoAnswer};
use crate::files::ReloadFailures;

/// Opens connections as the settings say.
#[derive(Debug)]
pub struct Dialer {
    settings: RedisSettings,
    files: CredentialFiles,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Keys are read and written: the server has to be a master.
    Data { database: u32 },
    /// A node of a cluster, master or not, is asked who has which slots.
    Slots,
    /// A Sentinel is asked for the master.
    Sentinel,
}

/// A connection that is ready for its purpose.
#[derive(Debug)]
pub struct Dialled {
    pub connection: MultiplexedConnection,
    pub driver: Driver,
    /// What the connection was opened with.
    pub secrets: Secrets,
}

/// The task that moves a connection's bytes. The connection ends with it.
#[derive(Debug)]
pub struct Driver(Task);

impl Driver {
    /// Waits for the connection's end.
    pub async fn ended(&mut self) {
        self.0.ended().await;
    }

    /// Ends the connection when the requests on it have had their time to be answered.
    pub fn retire(self) {
        tokio::spawn(async move {
            let mut driver = self;
            let _ = timeout(ANSWER_TIME, driver.ended()).await;
        });
    }
}

/// Requests that may wait to be written at once. More wait in their callers, whose number is limited.
const WRITE_QUEUE: usize = 1_024;

/// Asks one thing on a connection, without a limit of time.
pub async fn send(connection: &mut MultiplexedConnection, command: &Cmd) -> Result<Value, Complaint> {
    judge(connection.send_packed_command(command).await)
}

/// As [`send`], for a key that is on its way from another node of the cluster to this one.
pub async fn send_asking(connection: &mut MultiplexedConnection, command: &Cmd) -> Result<Value, Complaint> {
    let mut both = redis::pipe();
    both.cmd("ASKING").add_command(command.clone());
    let replies = connection.send_packed_commands(&both, 0, 2).await;
    judge(replies.map(|mut replies| replies.pop().unwrap_or_default()))
}

fn judge(reply: Result<Value, redis::RedisError>) -> Result<Value, Complaint> {
    match reply {
        Ok(Value::ServerError(error)) => Err(complaint::of_reply(&error)),
        Ok(value) => Ok(value),
        Err(error) => Err(Complaint::None(complaint::of_redis_error(&error), Verdict::Replace)),
    }
}

/// Says whether a connection leads to a master. A user who may not ask is believed to have given the right address.
pub async fn check_master(connection: &mut MultiplexedConnection) -> Result<(), NoAnswer> {
    match send(connection, &cmd("ROLE")).await {
        Ok(Value::Array(parts)) => match parts.first() {
            Some(Value::BulkString(role)) if role == b"slave" => Err(NoAnswer::ReadOnly),
            _ => Ok(()),
        },
        Err(Complaint::None(reason, Verdict::Replace)) => Err(reason),
        Ok(_) | Err(_) => Ok(()),
    }
}

impl Dialer {
    pub fn new(settings: RedisSettings, failures: ReloadFailures) -> Self {
        Self { settings, files: CredentialFiles::new(failures) }
    }

    /// What a connection would be opened with now.
    pub async fn secrets(&self) -> Result<Secrets, NoAnswer> {
        self.files.read(&self.settings).await.map(|credentials| credentials.secrets)
    }

    /// See [`CredentialFiles::refused`].
    pub fn refused(&self, secrets: &Secrets, reason: NoAnswer) -> bool {
        self.files.refused(secrets, reason)
    }

    /// Opens a connection. The caller bounds the time.
    pub async fn dial(&self, address: &Address, purpose: Purpose) -> Result<Dialled, NoAnswer> {
        let Credentials { secrets, tls } = self.files.read(&self.settings).await?;
        let socket = connect(address, Instant::now() + ANSWER_TIME).await?;
        let (mut connection, driver) = if let Some(config) = tls {
            let name = ServerName::try_from(address.host.clone()).map_err(|_| NoAnswer::UnknownHost)?;
            let connector = TlsConnector::from(config);
            let stream = connector.connect(name, socket).await.map_err(|error| {
                tracing::debug!(server = %address, %error, "TLS with Redis failed");
                complaint::of_connection(&error)
            })?;
            open(stream).await?
        } else {
            open(socket).await?
        };
        self.introduce(&mut connection, purpose, &secrets).await?;
        Ok(Dialled { connection, driver, secrets })
    }

    async fn introduce(
        &self,
        connection: &mut MultiplexedConnection,
        purpose: Purpose,
        secrets: &Secrets,
    ) -> Result<(), NoAnswer> {
        let (username, password) = match purpose {
            Purpose::Sentinel => (None, &secrets.sentinel_password),
            Purpose::Data { .. } | Purpose::Slots => (self.settings.username.as_deref(), &secrets.password),
        };
        if let Some(password) = password {
            let mut auth = cmd("AUTH");
            if let Some(username) = username {
                auth.arg(username);
            }
            auth.arg(&password[..]);
            send(connection, &auth).await.map_err(|complaint| match complaint {
                // Also a plain ERR: a password is given, and the server has none.
                Complaint::None(NoAnswer::Refused, Verdict::Keep) => NoAnswer::Auth,
                complaint => reason(&complaint),
            })?;
        }
        if let Purpose::Data { database } = purpose {
            if database != 0 {
                let mut select = cmd("SELECT");
                select.arg(database);
                send(connection, &select).await.map_err(|complaint| reason(&complaint))?;
            }
            check_master(connection).await?;
        }
        Ok(())
    }
}

/// What a request is told that cannot follow a redirection.
pub fn reason(complaint: &Complaint) -> NoAnswer {
    match complaint {
        Complaint::None(reason, _) => *reason,
        Complaint::NoScript | Complaint::Moved(_) | Complaint::Ask(_) | Complaint::TryAgain => NoAnswer::Refused,
    }
}

/// Tries the host's addresses in turn; each has its share of the time, so that a dead one does not use up that of the others.
async fn connect(address: &Address, deadline: Instant) -> Result<TcpStream, NoAnswer> {
    let lookup = tokio::net::lookup_host((address.host.as_str(), address.port));
    let found: Vec<_> = timeout_at(deadline, lookup)
        .await
        .map_err(|_| NoAnswer::Timeout)?
        .map_err(|_| NoAnswer::UnknownHost)?
        .collect();
    let mut outcome = Err(NoAnswer::UnknownHost);
    for (index, socket_address) in found.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(found.len() - index).unwrap_or(u32::MAX);
        outcome = match timeout(share.max(Duration::from_millis(1)), TcpStream::connect(socket_address)).await {
            Ok(Ok(stream)) => {
                // Every request is written at once; a kernel that refuses only makes them slower.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(_)) => Err(NoAnswer::Refused),
            Err(_) => Err(NoAnswer::Timeout),
        };
    }
    outcome
}

async fn open<S>(stream: S) -> Result<(MultiplexedConnection, Driver), NoAnswer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // The callers bound each request's time, and password and database are sent by `introduce`, which sees the plain replies.
    let config = AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(WRITE_QUEUE);
    let nothing = RedisConnectionInfo::default().set_skip_set_lib_name();
    let (connection, driver) = MultiplexedConnection::new_with_config(&nothing, stream, config)
        .await
        .map_err(|error| complaint::of_redis_error(&error))?;
    Ok((connection, Driver(Task::spawn(driver))))
}
