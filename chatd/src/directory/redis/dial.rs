//! Opens a connection to one Redis server: TCP, TLS, password, database. Does I/O.

use std::net::SocketAddr;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, Value, cmd};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::complaint::{self, Complaint, Verdict};
use super::credentials::{CredentialFiles, Credentials};
use super::failure::{self, Failure};
use super::names::Names;
use super::presence;
use super::secrets::Secrets;
use super::settings::RedisSettings;
use super::task::Task;
use super::url::Address;
use crate::directory::{ANSWER_TIME, DirectoryConnection, NoAnswer};
use crate::files::ReloadFailures;

/// Opens connections as the settings say.
#[derive(Debug)]
pub struct Dialer {
    settings: RedisSettings,
    files: CredentialFiles,
    names: Names,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Keys are read and written: the server has to be a master.
    Data { database: u32 },
    /// Asks any node of a cluster which node owns which slots.
    Slots,
    /// A Sentinel is asked for the master.
    Sentinel,
}

/// A connection that is ready for its purpose.
#[derive(Debug)]
pub struct Dialled {
    pub connection: MultiplexedConnection,
    pub driver: Driver,
    /// Where it leads.
    pub peer: SocketAddr,
    /// What the connection was opened with.
    pub secrets: Secrets,
    /// How the server knows it; `None` unless it was opened for data, nothing stands between, and the server says so.
    pub identity: Option<DirectoryConnection>,
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
/// How long TLS, or a server's first answers, may take: less than an attempt as a whole, so that it can be told what took too long.
const STEP_TIME: Duration = Duration::from_millis(1_500);
/// The longest reply that is read while a connection is opened: that to `ROLE` names every replica.
const MOST_INTRODUCTION: usize = 1 << 20;

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
        Err(error) => Err(Complaint::None(Failure::of_connection(&error), Verdict::Replace)),
    }
}

/// Says whether a connection that was opened for data still leads to a master.
pub async fn check_master(connection: &mut MultiplexedConnection) -> Result<(), Failure> {
    match send(connection, &cmd("ROLE")).await {
        Ok(role) => is_master(&role),
        Err(Complaint::None(failure, Verdict::Replace)) => Err(failure),
        Err(_) => Ok(()),
    }
}

fn is_master(role: &Value) -> Result<(), Failure> {
    match role {
        Value::Array(parts) if matches!(parts.first(), Some(Value::BulkString(role)) if role == b"slave") => {
            Err(Failure::new(NoAnswer::ReadOnly, "it is a replica, and the master is needed"))
        }
        _ => Ok(()),
    }
}

impl Dialer {
    pub fn new(settings: RedisSettings, names: Names, failures: ReloadFailures) -> Self {
        Self { settings, files: CredentialFiles::new(failures), names }
    }

    pub fn names(&self) -> &Names {
        &self.names
    }

    /// What a connection would be opened with now.
    pub async fn secrets(&self) -> Result<Secrets, Failure> {
        self.files.read(&self.settings).await.map(|credentials| credentials.secrets)
    }

    /// See [`CredentialFiles::refused`].
    pub fn refused(&self, secrets: &Secrets, reason: NoAnswer) -> bool {
        self.files.refused(secrets, reason)
    }

    /// Opens a connection. The caller bounds the time.
    pub async fn dial(&self, address: &Address, purpose: Purpose) -> Result<Dialled, Failure> {
        let Credentials { secrets, tls } = self.files.read(&self.settings).await?;
        let (socket, peer) = self.connect(address, Instant::now() + ANSWER_TIME).await?;
        let local = socket.local_addr().ok();
        let opened = if let Some(config) = tls {
            let name = ServerName::try_from(address.host.clone()).map_err(|_| {
                Failure::new(NoAnswer::UnknownHost, "no certificate can hold this host name").at(address)
            })?;
            match timeout(STEP_TIME, TlsConnector::from(config).connect(name, socket)).await {
                Ok(Ok(stream)) => self.open(stream, local, purpose, &secrets).await,
                Ok(Err(error)) => Err(Failure::of_handshake(&error)),
                // A Redis without TLS waits for the end of the line.
                Err(_) => Err(Failure::new(
                    NoAnswer::Timeout,
                    "it accepts connections but does not answer the TLS handshake: does it speak TLS at this port?",
                )),
            }
        } else {
            self.open(socket, local, purpose, &secrets).await.map_err(Failure::without_tls)
        };
        let (connection, driver, identity) = opened.map_err(|failure| failure.at(address))?;
        Ok(Dialled { connection, driver, peer, secrets, identity })
    }

    /// Tries the host's addresses in turn; each has its share of the time, so that a dead one does not use up that of the others.
    async fn connect(&self, address: &Address, deadline: Instant) -> Result<(TcpStream, SocketAddr), Failure> {
        let found = timeout_at(deadline, self.names.look_up(address))
            .await
            .map_err(|_| {
                Failure::new(NoAnswer::Timeout, "the look-up of its name has not ended within 2 s").at(address)
            })?
            .map_err(|error| Failure::new(NoAnswer::UnknownHost, &error.to_string()).at(address))?;
        let mut outcome = Err(Failure::new(NoAnswer::UnknownHost, "the name has no address").at(address));
        for (index, &peer) in found.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(found.len() - index).unwrap_or(u32::MAX);
            outcome = match timeout(share.max(Duration::from_millis(1)), TcpStream::connect(peer)).await {
                Ok(Ok(stream)) => {
                    // Every request is written at once; a kernel that refuses only makes them slower.
                    let _ = stream.set_nodelay(true);
                    return Ok((stream, peer));
                }
                Ok(Err(error)) => Err(Failure::new(NoAnswer::Refused, &format!("no connection to {peer}: {error}"))),
                Err(_) => Err(Failure::new(NoAnswer::Timeout, &format!("no connection to {peer} in time"))),
            };
        }
        outcome
    }

    async fn open<S>(
        &self,
        mut stream: S,
        local: Option<SocketAddr>,
        purpose: Purpose,
        secrets: &Secrets,
    ) -> Result<(MultiplexedConnection, Driver, Option<DirectoryConnection>), Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let introduced = timeout(STEP_TIME, async {
            self.introduce(&mut stream, purpose, secrets).await?;
            match (purpose, local) {
                (Purpose::Data { .. }, Some(local)) => identify(&mut stream, local).await,
                _ => Ok(None),
            }
        });
        let identity = introduced
            .await
            .unwrap_or_else(|_| Err(Failure::new(NoAnswer::Timeout, "it accepts connections, but does not answer")))?;
        // The callers bound each request's time.
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(WRITE_QUEUE);
        let nothing = RedisConnectionInfo::default().set_skip_set_lib_name();
        let (connection, driver) = MultiplexedConnection::new_with_config(&nothing, stream, config)
            .await
            .map_err(|error| Failure::of_connection(&error))?;
        Ok((connection, Driver(Task::spawn(driver)), identity))
    }

    /// Authenticates, and checks that the server is the expected one and serves clients.
    async fn introduce<S>(&self, stream: &mut S, purpose: Purpose, secrets: &Secrets) -> Result<(), Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
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
            accepted(exchange(stream, &auth).await?).map_err(|failure| failure.without(password))?;
        }
        if let Purpose::Data { database: database @ 1.. } = purpose {
            let mut select = cmd("SELECT");
            select.arg(database);
            accepted(exchange(stream, &select).await?)?;
        }
        match exchange(stream, &cmd("ROLE")).await? {
            // A user who may not ask is believed to have given the right address.
            Value::ServerError(error) if complaint::is_of_one_command(&error) => Ok(()),
            role @ Value::ServerError(_) => accepted(role),
            role if matches!(purpose, Purpose::Data { .. }) => is_master(&role),
            _ => Ok(()),
        }
    }
}

/// How the server knows this connection. A server that does not say, or a user who may not ask, loses only the early end of leases.
async fn identify<S>(stream: &mut S, local: SocketAddr) -> Result<Option<DirectoryConnection>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(client) = presence::id(&exchange(stream, &presence::ask_id()).await?) else {
        return Ok(None);
    };
    let listed = exchange(stream, &presence::ask_client(client)).await?;
    let info = exchange(stream, &presence::ask_run()).await?;
    Ok(presence::connection(local, client, &listed, &info))
}

fn accepted(reply: Value) -> Result<(), Failure> {
    match reply {
        Value::ServerError(error) => Err(failure(complaint::of_reply(&error))),
        _ => Ok(()),
    }
}

/// The failure of a request that cannot follow a redirection.
pub fn failure(complaint: Complaint) -> Failure {
    match complaint {
        Complaint::None(failure, _) => failure,
        Complaint::Moved(_) | Complaint::Ask(_) => Failure::new(
            NoAnswer::Refused,
            "it is part of a Redis Cluster: write redis+cluster:// or rediss+cluster:// in the URL",
        ),
        Complaint::NoScript => Failure::new(NoAnswer::Refused, "it does not cache scripts"),
        Complaint::TryAgain => Failure::new(NoAnswer::Refused, "slots are migrating between nodes"),
    }
}

/// Asks one thing on a connection that nobody else uses yet. A server that wants to hear nothing says why before it has been asked,
/// and closes: that is the answer then, which a pipeline of requests would drop.
async fn exchange<S>(stream: &mut S, command: &Cmd) -> Result<Value, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut written = stream.write_all(&command.get_packed_command()).await;
    if written.is_ok() {
        written = stream.flush().await;
    }
    let mut bytes = Vec::new();
    loop {
        let read = stream.read_buf(&mut bytes).await;
        if let Ok(value) = redis::parse_redis_value(&bytes) {
            return Ok(value);
        }
        let is_reply = bytes.first().is_none_or(|first| b"+-:$*_#,(!=%~>|".contains(first));
        let ended = !matches!(read, Ok(1..));
        if bytes.len() > MOST_INTRODUCTION || (!is_reply && (ended || bytes.contains(&b'\n'))) {
            return Err(failure::not_redis(&bytes));
        }
        if let Err(error) = read.and(written.as_ref().map_err(|error| error.kind().into())) {
            return Err(Failure::of_connection(&error));
        }
        if ended {
            return Err(Failure::closed());
        }
    }
}
