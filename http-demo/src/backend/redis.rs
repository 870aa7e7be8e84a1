//! Values in Redis, over one connection that is kept and made again when it is lost. Does I/O.
//!
//! A value is a hash of `content-type` and `value`, so that `redis-cli HGETALL` shows it. Every value has a TTL.

use std::sync::atomic::{AtomicU64, Ordering};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Pipeline, RedisConnectionInfo, Value, pipe};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::dial::{self, Driver};
use super::health::Health;
use super::redis_replies::{self as replies, Complaint, Verdict};
use super::{ANSWER_TIME, Away, FILE_PERIOD, Reason};
use crate::files::{self, FileError, Password};
use crate::settings::RedisSettings;

pub use super::redis_replies::Stored;

/// What Redis says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisServer {
    /// `redis` or `valkey`.
    pub name: String,
    pub version: String,
}

/// Why a value is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisFailure {
    /// The key holds something that http-demo did not put there.
    Foreign,
    Away(Away),
}

/// The way to Redis.
#[derive(Debug)]
pub struct Redis {
    settings: RedisSettings,
    health: Health,
    keeper: Mutex<Keeper>,
    /// Connections up to this number are not used again. Not under the lock, which another request may hold while it connects.
    unusable: AtomicU64,
}

#[derive(Debug, Default)]
struct Keeper {
    kept: Option<Kept>,
    /// Counts the connections.
    number: u64,
}

#[derive(Debug)]
struct Kept {
    connection: MultiplexedConnection,
    driver: Driver,
    password: Option<Password>,
    /// When the password file was last looked at.
    looked: Instant,
}

impl Redis {
    pub fn new(settings: RedisSettings, health: Health) -> Self {
        Self { settings, health, keeper: Mutex::default(), unusable: AtomicU64::new(0) }
    }

    /// The value under `key`.
    pub async fn get(&self, key: &str) -> Result<Option<Stored>, RedisFailure> {
        let key = self.key(key);
        let mut commands = pipe();
        commands.cmd("HMGET").arg(&key).arg("content-type").arg("value").cmd("PTTL").arg(&key);
        self.ask(&commands, replies::stored).await
    }

    /// Keeps a value for `ttl` seconds; whether there was one before.
    pub async fn put(&self, key: &str, content_type: &str, value: &[u8], ttl: u32) -> Result<bool, RedisFailure> {
        let key = self.key(key);
        let mut commands = pipe();
        // All or nothing: a value without its TTL would stay for ever.
        commands.cmd("MULTI").cmd("DEL").arg(&key);
        commands.cmd("HSET").arg(&key).arg("content-type").arg(content_type).arg("value").arg(value);
        commands.cmd("EXPIRE").arg(&key).arg(ttl).cmd("EXEC");
        let replaced = |replies: Vec<Value>| match replies.last() {
            Some(Value::Array(done)) => first_is_one(done),
            _ => Err(UNEXPECTED),
        };
        self.ask(&commands, replaced).await
    }

    /// Takes a value away; whether there was one.
    pub async fn delete(&self, key: &str) -> Result<bool, RedisFailure> {
        let mut commands = pipe();
        commands.cmd("DEL").arg(self.key(key));
        self.ask(&commands, |replies| first_is_one(&replies)).await
    }

    /// Asks the server who it is. One that can only be read counts as away.
    pub async fn check(&self) -> Result<RedisServer, Away> {
        let mut commands = pipe();
        commands.cmd("HELLO");
        let told = |replies| match replies::server(replies) {
            Some((_, _, role)) if role == "slave" || role == "replica" => {
                Err(Complaint::Away(Reason::ReadOnly, Verdict::Replace))
            }
            Some((name, version, _)) => Ok(RedisServer { name, version }),
            None => Err(UNEXPECTED),
        };
        self.ask(&commands, told).await.map_err(|failure| match failure {
            RedisFailure::Away(away) => away,
            // HELLO names no key.
            RedisFailure::Foreign => Away { service: super::Service::Redis, reason: Reason::Failed },
        })
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.settings.key_prefix)
    }

    async fn ask<T>(
        &self,
        commands: &Pipeline,
        read: impl Fn(Vec<Value>) -> Result<T, Complaint>,
    ) -> Result<T, RedisFailure> {
        let started = Instant::now();
        let deadline = started + ANSWER_TIME;
        let mut outcome = self.ask_once(commands, &read, deadline).await;
        // The connection had ended, and this request was the first to notice. All requests may be carried out twice.
        if outcome.as_ref().err() == Some(&Complaint::Away(Reason::Closed, Verdict::Replace)) {
            outcome = self.ask_once(commands, &read, deadline).await;
        }
        match outcome {
            Ok(answer) => self.health.asked(started.elapsed(), Ok(answer)).map_err(RedisFailure::Away),
            Err(Complaint::Foreign) => {
                self.health.asked(started.elapsed(), Ok(())).map_err(RedisFailure::Away)?;
                Err(RedisFailure::Foreign)
            }
            Err(Complaint::Away(reason, _)) => {
                self.health.asked(started.elapsed(), Err(reason)).map_err(RedisFailure::Away)
            }
        }
    }

    async fn ask_once<T>(
        &self,
        commands: &Pipeline,
        read: impl Fn(Vec<Value>) -> Result<T, Complaint>,
        deadline: Instant,
    ) -> Result<T, Complaint> {
        let timed_out = Complaint::Away(Reason::Timeout, Verdict::Replace);
        let connected = timeout_at(deadline, self.connection(deadline)).await.unwrap_or(Err(Reason::Timeout));
        let (mut connection, number) = connected.map_err(|reason| Complaint::Away(reason, Verdict::Keep))?;
        let outcome = match timeout_at(deadline, send(&mut connection, commands)).await {
            Ok(replies) => replies.and_then(read),
            Err(_) => Err(timed_out),
        };
        if let Err(Complaint::Away(_, Verdict::Replace)) = outcome {
            self.unusable.fetch_max(number, Ordering::Relaxed);
        }
        outcome
    }

    /// The kept connection, or a new one. One request connects at a time, however many wait.
    async fn connection(&self, deadline: Instant) -> Result<(MultiplexedConnection, u64), Reason> {
        let mut keeper = self.keeper.lock().await;
        let keeper = &mut *keeper;
        let usable = keeper.number > self.unusable.load(Ordering::Relaxed);
        if let Some(kept) = keeper.kept.as_mut().filter(|kept| usable && !kept.driver.has_ended()) {
            if kept.looked.elapsed() < FILE_PERIOD {
                return Ok((kept.connection.clone(), keeper.number));
            }
            kept.looked = Instant::now();
            let changed = match self.password().await {
                Ok(password) => password != kept.password,
                Err(_) => false,
            };
            if !changed {
                return Ok((kept.connection.clone(), keeper.number));
            }
            // The old connection serves on meanwhile, so that a file that is ahead of the server harms nobody.
            match self.dial(deadline).await {
                Ok(new) => {
                    tracing::info!(service = "redis", "a changed password is in use");
                    *kept = new;
                    keeper.number += 1;
                }
                Err(reason) => {
                    let reason = reason.as_str();
                    tracing::warn!(
                        service = "redis",
                        reason,
                        "a changed password cannot be used; the old connection stays"
                    );
                }
            }
            return Ok((kept.connection.clone(), keeper.number));
        }
        keeper.kept = None;
        let new = self.dial(deadline).await?;
        let connection = new.connection.clone();
        keeper.kept = Some(new);
        keeper.number += 1;
        Ok((connection, keeper.number))
    }

    async fn password(&self) -> Result<Option<Password>, FileError> {
        let read = files::password(self.settings.password_file.clone()).await;
        read.inspect_err(|error| tracing::warn!(reason = %error, "--redis-password-file cannot be used"))
    }

    async fn dial(&self, deadline: Instant) -> Result<Kept, Reason> {
        let password = self.password().await.map_err(|_| Reason::PasswordFile)?;
        let stream = dial::connect(&self.settings.server, deadline).await?;
        // Each request has its own time, and who we are is said below, where the plain replies can be seen.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let nothing = RedisConnectionInfo::default().set_skip_set_lib_name();
        let opened = MultiplexedConnection::new_with_config(&nothing, stream, config).await;
        let (mut connection, driver) = opened.map_err(|_| Reason::Failed)?;
        let driver = Driver::spawn(driver);
        let mut hello = pipe();
        if let Some(password) = &password {
            let auth = hello.cmd("AUTH");
            if let Some(username) = &self.settings.username {
                auth.arg(username);
            }
            auth.arg(password.reveal());
        }
        if self.settings.database != 0 {
            hello.cmd("SELECT").arg(self.settings.database);
        }
        hello.cmd("PING");
        let answer = timeout_at(deadline, send(&mut connection, &hello)).await.map_err(|_| Reason::Timeout)?;
        answer.map_err(|complaint| match complaint {
            // A plain ERR to AUTH: a password is given, and the server has none. Or else: no such database.
            Complaint::Away(Reason::Failed, Verdict::Keep) if password.is_some() => Reason::Auth,
            Complaint::Away(Reason::Failed, Verdict::Keep) if self.settings.database != 0 => Reason::NoDatabase,
            Complaint::Away(reason, _) => reason,
            Complaint::Foreign => Reason::Failed,
        })?;
        self.health.connected();
        Ok(Kept { connection, driver, password, looked: Instant::now() })
    }
}

/// A reply that no Redis gives.
const UNEXPECTED: Complaint = Complaint::Away(Reason::Failed, Verdict::Replace);

fn first_is_one(replies: &[Value]) -> Result<bool, Complaint> {
    match replies.first() {
        Some(Value::Int(count)) => Ok(*count == 1),
        _ => Err(UNEXPECTED),
    }
}

async fn send(connection: &mut MultiplexedConnection, commands: &Pipeline) -> Result<Vec<Value>, Complaint> {
    replies::judge(connection.send_packed_commands(commands, 0, commands.len()).await)
}
