//! What goes together: arguments that are right one by one become [`Settings`], or are refused with what would be right. Pure: no I/O.

use super::arguments::Arguments;
use super::values::{self, Address, ValueError};
use super::{Limits, PostgresSettings, RedisSettings, Settings};

/// Settings that do not go together. Each says what would be right; none shows a value that may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("--redis-url starts with redis://, as in redis://127.0.0.1:6379; http-demo does not speak TLS")]
    RedisScheme,
    #[error(
        "--redis-url holds no user and no password: give them by --redis-username and --redis-password-file, and write redis://host:port"
    )]
    RedisCredentials,
    #[error("--redis-url is redis://host, redis://host:port or redis://host:port/db, without '?' and '#'")]
    RedisForm,
    #[error("--redis-url: {0}")]
    RedisServer(ValueError),
    #[error("--redis-username needs --redis-password-file: Redis takes a user with a password only")]
    UsernameAlone,
    #[error("--default-ttl {default} is longer than --max-ttl {max}: lower it, or raise --max-ttl")]
    DefaultTtl { default: u32, max: u32 },
}

pub(super) fn check(arguments: Arguments) -> Result<Settings, SettingsError> {
    let Arguments { listen, redis, postgres, limits, logs } = arguments;
    let (server, database) = redis_url(&redis.redis_url)?;
    if redis.redis_username.is_some() && redis.redis_password_file.is_none() {
        return Err(SettingsError::UsernameAlone);
    }
    if limits.default_ttl > limits.max_ttl {
        return Err(SettingsError::DefaultTtl { default: limits.default_ttl, max: limits.max_ttl });
    }
    Ok(Settings {
        listen,
        redis: RedisSettings {
            server,
            database,
            username: redis.redis_username,
            password_file: redis.redis_password_file,
            key_prefix: redis.redis_key_prefix,
        },
        postgres: PostgresSettings {
            server: postgres.postgres_host,
            database: postgres.postgres_database,
            user: postgres.postgres_user,
            password_file: postgres.postgres_password_file,
            connections: postgres.postgres_connections as usize,
        },
        limits: Limits {
            default_ttl: limits.default_ttl,
            max_ttl: limits.max_ttl,
            max_key: limits.max_key,
            max_value: limits.max_value,
            max_connections: limits.max_connections as usize,
        },
        drain_deadline: limits.drain_deadline,
        log_format: logs.log_format,
        log_level: logs.log_level,
    })
}

fn redis_url(text: &str) -> Result<(Address, u32), SettingsError> {
    // First of all: whatever else is wrong, a password is what has to go. It may itself contain '/', '?' and '#'.
    if text.contains('@') {
        return Err(SettingsError::RedisCredentials);
    }
    let rest = text.strip_prefix("redis://").ok_or(SettingsError::RedisScheme)?;
    if rest.contains(['?', '#']) {
        return Err(SettingsError::RedisForm);
    }
    let (server, database) = rest.split_once('/').unwrap_or((rest, ""));
    let server = Address::parse(server, values::REDIS_PORT).map_err(SettingsError::RedisServer)?;
    if database.is_empty() {
        return Ok((server, 0));
    }
    match database.parse() {
        Ok(number) if database.bytes().all(|byte| byte.is_ascii_digit()) => Ok((server, number)),
        _ => Err(SettingsError::RedisForm),
    }
}
