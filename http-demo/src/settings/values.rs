//! Values of settings that cannot be wrong once they exist: addresses, names, times, sizes. Pure: no I/O.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

/// The port of Redis where none is given.
pub(super) const REDIS_PORT: u16 = 6379;
/// The port of Postgres where none is given.
const POSTGRES_PORT: u16 = 5432;
/// 30 days, in seconds: this is a demonstration and no place to keep things.
pub(super) const LONGEST_TTL: u32 = 30 * 24 * 60 * 60;

/// Why a value was refused, with what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(String);

fn refuse<T>(sentence: impl Into<String>) -> Result<T, ValueError> {
    Err(ValueError(sentence.into()))
}

/// The address of a server: a name or an IP address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// An IPv6 address stands without brackets.
    pub host: String,
    pub port: u16,
}

impl Address {
    /// `host`, `host:port`, `[address]` or `[address]:port`.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, ValueError> {
        let form = || {
            ValueError(format!(
                "a server is host or host:port, such as db, db.example.org:{default_port} or [fd00::7]:{default_port}"
            ))
        };
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']').ok_or_else(form)?;
                (address.parse::<Ipv6Addr>().map_err(|_| form())?.to_string(), port)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                let (host, port) = text.split_at(end);
                (host_name(host).ok_or_else(form)?.to_owned(), port)
            }
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => default_port,
            None => return Err(form()),
            Some(digits) => number(digits).filter(|port| *port != 0).ok_or_else(form)?,
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

/// 253 characters: the longest name of the domain name system, RFC 1035 section 2.3.4.
fn host_name(host: &str) -> Option<&str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    ((1..=253).contains(&host.len()) && host.bytes().all(allowed)).then_some(host)
}

/// Digits and nothing else: no sign, which `parse` alone would take.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

pub(super) fn postgres_host(text: &str) -> Result<Address, ValueError> {
    Address::parse(text, POSTGRES_PORT)
}

/// A socket address to listen on.
pub(super) fn listen_address(text: &str) -> Result<SocketAddr, ValueError> {
    match text.parse() {
        Ok(address) => Ok(address),
        Err(_) => refuse("must be an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080"),
    }
}

/// The name of a user, role or database: 63 bytes is the longest that Postgres has.
pub(super) fn name(text: &str) -> Result<String, ValueError> {
    if (1..=63).contains(&text.len()) && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        refuse("must be a name of 1 to 63 bytes without control characters")
    }
}

/// A count from `least` to `most`.
pub(super) fn count(text: &str, least: u32, most: u32) -> Result<u32, ValueError> {
    match number(text) {
        Some(number) if (least..=most).contains(&number) => Ok(number),
        _ => refuse(format!("must be a whole number from {least} to {most}")),
    }
}

/// Whole seconds from `least` to `most`.
pub(super) fn seconds(text: &str, least: u32, most: u32) -> Result<Duration, ValueError> {
    count(text, least, most).map(|seconds| Duration::from_secs(seconds.into()))
}

/// Bytes, plain or in `KiB` or `MiB`, from `least` to `most`.
pub(super) fn size(text: &str, least: usize, most: usize) -> Result<usize, ValueError> {
    let (digits, unit) = match (text.strip_suffix("KiB"), text.strip_suffix("MiB")) {
        (Some(digits), _) => (digits, 1 << 10),
        (None, Some(digits)) => (digits, 1 << 20),
        (None, None) => (text, 1),
    };
    match number::<usize>(digits).and_then(|number| number.checked_mul(unit)) {
        Some(bytes) if (least..=most).contains(&bytes) => Ok(bytes),
        _ => refuse(format!("must be {least} to {most} bytes, plain or as in 4KiB or 1MiB")),
    }
}

/// What stands before each key in Redis.
pub(super) fn key_prefix(text: &str) -> Result<String, ValueError> {
    if (1..=63).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        refuse("must be 1 to 63 visible ASCII characters, such as http-demo:")
    }
}
