//! The setting `--redis-url` as a type that is always valid. Pure: no I/O.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// The address of one server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// A name or an IP address; an IPv6 address stands without brackets.
    pub host: String,
    /// Not 0.
    pub port: u16,
}

/// The servers, and whether they use TLS. It holds no secret, so that it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// `rediss`: every connection is TLS.
    pub tls: bool,
    /// Where to find the store.
    pub servers: Servers,
}

/// One server, or several that act together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are named as in the URL")]
pub enum Servers {
    /// One server, which is the master.
    Single { address: Address, database: u32 },
    /// Sentinels, which know the address of the master called `master`.
    Sentinel { sentinels: Vec<Address>, master: String, database: u32 },
    /// Some nodes of a Redis Cluster; they know the others.
    Cluster { nodes: Vec<Address> },
}

/// A Redis URL that is not one. The messages never repeat the URL: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum RedisUrlError {
    #[error(
        "a Redis URL must start with redis://, rediss:// (TLS), redis+sentinel://, rediss+sentinel://, redis+cluster:// or rediss+cluster://"
    )]
    Scheme,
    #[error(
        "a Redis URL must not contain a user or password: use --redis-username and --redis-password-file, and write redis://host:port"
    )]
    Credentials,
    #[error("a Redis URL must not contain '?' or '#': every setting is a flag, see --help")]
    Query,
    #[error("a Redis server must be host:port, for example redis:6379, 10.0.0.7:6379 or [fd00::7]:6379")]
    Server,
    #[error("redis:// names one server, redis://host:port; for several use redis+sentinel:// or redis+cluster://")]
    OneServer,
    #[error("a Redis URL names at most 16 servers; chatd discovers the others through them")]
    TooManyServers,
    #[error("a Redis database must be a number, as in redis://host:port/0")]
    Database,
    #[error(
        "a Sentinel URL must name the master, as in redis+sentinel://host:port,host:port/mymaster or .../mymaster/0; the name consists of A-Z, a-z, 0-9, '.', '_' and '-'"
    )]
    Master,
    #[error(
        "a Cluster URL must end with the servers, as in redis+cluster://host:port,host:port: a cluster has only one database"
    )]
    ClusterPath,
}

const MOST_SERVERS: usize = 16;

impl FromStr for RedisUrl {
    type Err = RedisUrlError;

    fn from_str(text: &str) -> Result<Self, RedisUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(RedisUrlError::Scheme)?;
        let (base, kind) = scheme.split_once('+').map_or((scheme, None), |(base, kind)| (base, Some(kind)));
        let tls = match base {
            "redis" => false,
            "rediss" => true,
            _ => return Err(RedisUrlError::Scheme),
        };
        // First of all: whatever else is wrong, a password is what has to go. It may itself contain '/', '?' and '#'.
        if rest.contains('@') {
            return Err(RedisUrlError::Credentials);
        }
        if rest.contains(['?', '#']) {
            return Err(RedisUrlError::Query);
        }
        let (servers, path) = rest.split_once('/').unwrap_or((rest, ""));
        let servers = match kind {
            None => single(servers, path)?,
            Some("sentinel") => sentinel(servers, path)?,
            Some("cluster") if path.is_empty() => Servers::Cluster { nodes: addresses(servers)? },
            Some("cluster") => return Err(RedisUrlError::ClusterPath),
            Some(_) => return Err(RedisUrlError::Scheme),
        };
        Ok(Self { tls, servers })
    }
}

fn single(servers: &str, path: &str) -> Result<Servers, RedisUrlError> {
    if servers.contains(',') {
        return Err(RedisUrlError::OneServer);
    }
    Ok(Servers::Single { address: servers.parse()?, database: database(path)? })
}

fn sentinel(servers: &str, path: &str) -> Result<Servers, RedisUrlError> {
    let (master, path) = path.split_once('/').unwrap_or((path, ""));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if master.is_empty() || !master.bytes().all(allowed) {
        return Err(RedisUrlError::Master);
    }
    Ok(Servers::Sentinel { sentinels: addresses(servers)?, master: master.to_owned(), database: database(path)? })
}

fn addresses(text: &str) -> Result<Vec<Address>, RedisUrlError> {
    let addresses = text.split(',').map(str::parse).collect::<Result<Vec<Address>, _>>()?;
    if addresses.len() > MOST_SERVERS {
        return Err(RedisUrlError::TooManyServers);
    }
    Ok(addresses)
}

fn database(text: &str) -> Result<u32, RedisUrlError> {
    if text.is_empty() {
        return Ok(0);
    }
    number(text).ok_or(RedisUrlError::Database)
}

/// Digits and nothing else: no sign, which `parse` alone would take.
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl FromStr for Address {
    type Err = RedisUrlError;

    fn from_str(text: &str) -> Result<Self, RedisUrlError> {
        let (host, port) = text.rsplit_once(':').ok_or(RedisUrlError::Server)?;
        let port = number(port).filter(|port| *port != 0).ok_or(RedisUrlError::Server)?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(inner) => inner.parse::<Ipv6Addr>().map_err(|_| RedisUrlError::Server)?.to_string(),
            None => name(host).ok_or(RedisUrlError::Server)?.to_owned(),
        };
        Ok(Self { host, port })
    }
}

/// 253 characters: the longest name of the domain name system, RFC 1035 section 2.3.4.
fn name(host: &str) -> Option<&str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    ((1..=253).contains(&host.len()) && host.bytes().all(allowed)).then_some(host)
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

impl fmt::Display for RedisUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "rediss" } else { "redis" };
        match &self.servers {
            Servers::Single { address, database } => write!(formatter, "{scheme}://{address}/{database}"),
            Servers::Sentinel { sentinels, master, database } => {
                write!(formatter, "{scheme}+sentinel://")?;
                show_list(sentinels, formatter)?;
                write!(formatter, "/{master}/{database}")
            }
            Servers::Cluster { nodes } => {
                write!(formatter, "{scheme}+cluster://")?;
                show_list(nodes, formatter)
            }
        }
    }
}

fn show_list(addresses: &[Address], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, address) in addresses.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(formatter, "{comma}{address}")?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn address(host: &str, port: u16) -> Address {
        Address { host: host.to_owned(), port }
    }

    #[test]
    fn every_form_is_read() {
        let url = |text: &str| text.parse::<RedisUrl>().unwrap();
        assert_eq!(
            url("redis://redis:6379"),
            RedisUrl { tls: false, servers: Servers::Single { address: address("redis", 6379), database: 0 } }
        );
        assert_eq!(
            url("rediss://[fd00::7]:6380/3"),
            RedisUrl { tls: true, servers: Servers::Single { address: address("fd00::7", 6380), database: 3 } }
        );
        assert_eq!(
            url("redis+sentinel://a:1,b.c:2/my.master/5"),
            RedisUrl {
                tls: false,
                servers: Servers::Sentinel {
                    sentinels: vec![address("a", 1), address("b.c", 2)],
                    master: "my.master".to_owned(),
                    database: 5
                }
            }
        );
        assert_eq!(
            url("rediss+cluster://10.0.0.1:7000,10.0.0.2:7000/"),
            RedisUrl {
                tls: true,
                servers: Servers::Cluster { nodes: vec![address("10.0.0.1", 7000), address("10.0.0.2", 7000)] }
            }
        );
    }

    #[test]
    fn what_is_shown_is_read_as_the_same() {
        for text in
            ["redis://h:1/0", "rediss://[::1]:65535/12", "redis+sentinel://a:1,[::2]:2/m/0", "rediss+cluster://a:1,b:2"]
        {
            assert_eq!(text.parse::<RedisUrl>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_invalid_url_error_names_the_valid_form() {
        use RedisUrlError as E;
        for (text, error) in [
            ("", E::Scheme),
            ("redis", E::Scheme),
            ("http://h:1", E::Scheme),
            ("redis+tls://h:1", E::Scheme),
            ("Redis://h:1", E::Scheme),
            ("redis://:secret@h:1", E::Credentials),
            ("redis://user@h:1", E::Credentials),
            ("redis+cluster://u:p/?#@h:1", E::Credentials),
            ("redis://h:1?password=x", E::Query),
            ("redis://h:1#x", E::Query),
            ("redis://h", E::Server),
            ("redis://h:0", E::Server),
            ("redis://h:+1", E::Server),
            ("redis://h:65536", E::Server),
            ("redis://:1", E::Server),
            ("redis://h h:1", E::Server),
            ("redis://fd00::7:1", E::Server),
            ("redis://[fd00::7:1", E::Server),
            ("redis+cluster://a:1,", E::Server),
            ("redis://a:1,b:2", E::OneServer),
            ("redis://h:1/x", E::Database),
            ("redis://h:1/-1", E::Database),
            ("redis://h:1/1/2", E::Database),
            ("redis+sentinel://a:1", E::Master),
            ("redis+sentinel://a:1/", E::Master),
            ("redis+sentinel://a:1/m m", E::Master),
            ("redis+sentinel://a:1/m/x", E::Database),
            ("redis+cluster://a:1/0", E::ClusterPath),
        ] {
            assert_eq!(text.parse::<RedisUrl>(), Err(error), "{text:?}");
            assert!(!error.to_string().contains("secret"));
        }
        let many = format!("redis+cluster://{}", ["h:1"; 17].join(","));
        assert_eq!(many.parse::<RedisUrl>(), Err(E::TooManyServers));
    }
}
