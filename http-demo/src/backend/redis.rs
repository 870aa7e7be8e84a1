//! Values in Redis, over one connection that all requests share. Does I/O.
//!
//! A value is a hash of `content-type` and `value`, so that `redis-cli HGETALL` shows it. Every value has a TTL.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, FromRedisValue, Pipeline, RedisConnectionInfo, RedisError, Value, from_redis_value, pipe,
};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use super::{Away, Dialer as Dial, Keeper, Reason};
use crate::settings::RedisSettings;

/// What a key holds.
pub enum Found {
    Nothing,
    /// Something that http-demo did not put there.
    Foreign,
    /// With the seconds that are left, rounded up.
    Value {
        content_type: Vec<u8>,
        bytes: Vec<u8>,
        ttl: u64,
    },
}

pub struct Dialer(pub RedisSettings);

/// Its clones are of one connection, which ends with the last clone: dropping one does not close it for the others.
#[derive(Clone)]
pub struct Shared {
    connection: MultiplexedConnection,
    _driver: Arc<AbortOnDropHandle<()>>,
}

impl Dial for Dialer {
    type Client = Shared;
    // It is there at once, or made just now.
    const WAIT: Option<Duration> = None;

    fn server(&self) -> &str {
        &self.0.server
    }

    async fn dial(&self, stream: TcpStream, password: Option<&str>) -> Result<Shared, Reason> {
        // Each request has its own time, and the client's name is set below, where errors of Redis are visible.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let nothing = RedisConnectionInfo::default().set_skip_set_lib_name();
        let opened = MultiplexedConnection::new_with_config(&nothing, stream, config).await;
        let (mut connection, driver) = opened.map_err(|_| Reason::Failed)?;
        let driver = Arc::new(AbortOnDropHandle::new(tokio::spawn(driver)));
        let mut hello = pipe();
        if let Some(password) = password {
            hello.cmd("AUTH").arg(&self.0.username).arg(password).ignore();
        }
        if self.0.database != 0 {
            hello.cmd("SELECT").arg(self.0.database).ignore();
        }
        hello.cmd("PING").ignore();
        hello.query_async::<()>(&mut connection).await.map_err(|error| match reason(error) {
            // A plain ERR to AUTH: a password is given, and the server has none. Or else: no such database.
            Some(Reason::Failed) if password.is_some() => Reason::Auth,
            Some(Reason::Failed) if self.0.database != 0 => Reason::NoDatabase,
            reason => reason.unwrap_or(Reason::Failed),
        })?;
        Ok(Shared { connection, _driver: driver })
    }
}

impl Keeper<Dialer> {
    /// `Ok(None)`: the key holds something of another type.
    async fn run<T: FromRedisValue>(&self, commands: Pipeline) -> Result<Option<T>, Away> {
        let commands = &commands;
        self.ask(|kept| async move {
            let mut client = kept.client.clone();
            // Others use it meanwhile.
            drop(kept);
            match commands.query_async(&mut client.connection).await {
                Ok(answer) => Ok(Some(answer)),
                Err(error) => reason(error).map_or(Ok(None), Err),
            }
        })
        .await
    }

    /// What is under `key`.
    pub async fn get(&self, key: &str) -> Result<Found, Away> {
        let mut commands = pipe();
        commands.cmd("HMGET").arg(key).arg("content-type").arg("value").cmd("PTTL").arg(key);
        let found: Option<([Option<Vec<u8>>; 2], i64)> = self.run(commands).await?;
        Ok(match found {
            Some(([Some(content_type), Some(bytes)], ttl)) => {
                Found::Value { content_type, bytes, ttl: u64::try_from(ttl).unwrap_or(0).div_ceil(1000) }
            }
            // -2: there is no such key.
            Some(([None, None], -2)) => Found::Nothing,
            _ => Found::Foreign,
        })
    }

    /// Keeps a value for `ttl` seconds; whether there was one before.
    pub async fn put(&self, key: &str, content_type: &str, value: &[u8], ttl: u32) -> Result<bool, Away> {
        let mut commands = pipe();
        // All or nothing: a value without its TTL would stay for ever.
        commands.atomic().del(key).hset_multiple(key, &[("content-type", content_type.as_bytes()), ("value", value)]);
        commands.ignore().expire(key, ttl.into()).ignore();
        self.run(commands).await.map(|done| done == Some((true,)))
    }

    /// Takes a value away; whether there was one.
    pub async fn delete(&self, key: &str) -> Result<bool, Away> {
        let mut commands = pipe();
        commands.del(key);
        self.run(commands).await.map(|done| done == Some((true,)))
    }

    /// Asks the server who it is: `redis` or `valkey`, and its version. One that can only be read counts as away.
    pub async fn check(&self) -> Result<[String; 2], Away> {
        let mut commands = pipe();
        commands.cmd("HELLO");
        let commands = &commands;
        self.ask(|kept| async move {
            let mut client = kept.client.clone();
            drop(kept);
            let (told,): (HashMap<String, Value>,) = commands
                .query_async(&mut client.connection)
                .await
                .map_err(|error| reason(error).unwrap_or(Reason::Failed))?;
            let field = |name: &str| told.get(name).and_then(|value| from_redis_value::<String>(value.clone()).ok());
            match (field("server"), field("version"), field("role")) {
                (Some(_), Some(_), Some(role)) if role == "slave" || role == "replica" => Err(Reason::ReadOnly),
                (Some(name), Some(version), Some(_)) => Ok([name, version]),
                _ => Err(Reason::Failed),
            }
        })
        .await
    }
}

/// What an error means; `None`: the key holds something of another type.
fn reason(error: RedisError) -> Option<Reason> {
    if error.is_io_error() || error.is_connection_dropped() {
        return Some(Reason::Closed);
    }
    // Of a transaction the first error says why the others failed.
    let errors = error.into_server_errors();
    let Some((_, error)) = errors.as_deref().and_then(<[_]>::first) else { return Some(Reason::Failed) };
    Some(match error.code() {
        "WRONGTYPE" => return None,
        // The last three: right, but cannot write for now: a full disk, too few replicas, a cluster without quorum.
        "READONLY" | "MASTERDOWN" | "MISCONF" | "NOREPLICAS" | "CLUSTERDOWN" => Reason::ReadOnly,
        "LOADING" => Reason::Starting,
        "NOAUTH" | "WRONGPASS" | "NOPERM" | "DENIED" => Reason::Auth,
        "OOM" => Reason::Full,
        "ERR" if error.details().is_some_and(|details| details.starts_with("max number of clients")) => Reason::Full,
        _ => Reason::Failed,
    })
}
