//! Types of settings whose values are always valid: addresses, networks, origins, times, sizes. Pure: no I/O.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

/// Why a value is invalid, and how to correct it. The text never contains a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(String);

impl ValueError {
    pub(super) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

fn refuse<T>(sentence: impl Into<String>) -> Result<T, ValueError> {
    Err(ValueError::new(sentence))
}

/// A host name or IP address with a port, as advertised to others. IPv6 is `[a]:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    host: String,
    port: u16,
}

impl HostPort {
    /// A name of [RFC 1123](https://www.rfc-editor.org/rfc/rfc1123) or an address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// 1 to 65535.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is a wildcard (`0.0.0.0`, `[::]`), which a client cannot dial.
    pub fn is_wildcard(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

impl FromStr for HostPort {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        const FORM: &str = "must be host:port, such as chat.example.org:7654, 10.0.0.7:7654 or [fd00::7]:7654";
        let Some((host, port)) = text.rsplit_once(':') else { return refuse(FORM) };
        let Ok(port) = port.parse::<u16>() else { return refuse(FORM) };
        if port == 0 {
            return refuse("port 0 cannot be dialled: give the port that clients and pods use");
        }
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => match address.parse::<Ipv6Addr>() {
                Ok(address) => address.to_string(),
                Err(_) => return refuse(FORM),
            },
            None if is_host_name(host) => host.to_owned(),
            None => return refuse(FORM),
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

fn is_host_name(host: &str) -> bool {
    let character = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let labels = host.trim_end_matches('.').split('.').all(|label| (1..=63).contains(&label.len()));
    (1..=253).contains(&host.len()) && labels && host.bytes().all(character)
}

/// A network, `10.0.0.0/8` or `fd00::/8`; a plain address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr(IpNet);

impl Cidr {
    /// Whether the network contains `address`. An IPv4-mapped IPv6 address (`::ffff:10.0.0.7`) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Cidr {
    type Err = ValueError;

    /// The standard library parses the address: IpNet's own parser accepts `010.0.0.0/8`, which is ambiguous.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        const FORM: &str = "must be networks such as 10.0.0.0/8,fd00::/8";
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let Ok(address) = address.parse::<IpAddr>() else { return refuse(FORM) };
        let whole = IpNet::from(address);
        let Some(prefix) = prefix else { return Ok(Self(whole)) };
        let Some(network) = prefix.parse().ok().and_then(|prefix| IpNet::new(address, prefix).ok()) else {
            return refuse(format!("must end in /0 to /{}", whole.max_prefix_len()));
        };
        if network != network.trunc() {
            return refuse(format!("has bits set to the right of its prefix: write {}", network.trunc()));
        }
        Ok(Self(network))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Where a page comes from, as a browser writes it in `Origin`: scheme, host and a port that is not the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    secure: bool,
    /// `host` or `host:port`, lower-case, as a `Host` header has it.
    authority: String,
}

impl Origin {
    /// What a `Host` header holds when a browser opens a page of this origin: lower-case, no default port.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl FromStr for Origin {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        const FORM: &str = "must be origins such as https://chat.example.org,http://localhost:3000 (no path, no *)";
        let text = text.to_ascii_lowercase();
        let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return refuse(FORM),
        };
        let own_port = if secure { 443 } else { 80 };
        // A missing port is the scheme's default; the colons of an IPv6 address are inside brackets.
        let has_port = rest.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let full = if has_port { rest.to_owned() } else { format!("{rest}:{own_port}") };
        let Ok(address) = full.parse::<HostPort>() else { return refuse(FORM) };
        let shown = address.to_string();
        let authority = match shown.strip_suffix(&format!(":{own_port}")) {
            Some(host) => host.to_owned(),
            None => shown,
        };
        Ok(Self { secure, authority })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", if self.secure { "https" } else { "http" }, self.authority)
    }
}

/// A socket address to listen on.
pub(super) fn listen_address(text: &str) -> Result<SocketAddr, ValueError> {
    match text.parse() {
        Ok(address) => Ok(address),
        Err(_) => refuse("must be an IP address and a port, such as 127.0.0.1:7654, 0.0.0.0:7654 or [::]:7654"),
    }
}

/// Seconds from `least` to `most`, with up to 3 decimals.
pub(super) fn seconds(text: &str, least: u32, most: u32) -> Result<Duration, ValueError> {
    let range = format!("must be seconds from {least} to {most}, as a plain number such as 30");
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 3 {
        return refuse(range);
    }
    let Ok(whole) = whole.parse::<u32>() else { return refuse(range) };
    let milliseconds = format!("{decimals:0<3}").parse().unwrap_or(0);
    let time = Duration::from_secs(u64::from(whole)) + Duration::from_millis(milliseconds);
    if time < Duration::from_secs(u64::from(least)) || time > Duration::from_secs(u64::from(most)) {
        return refuse(range);
    }
    Ok(time)
}

/// A count from `least` to `most`.
pub(super) fn count(text: &str, least: u32, most: u32) -> Result<u32, ValueError> {
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => refuse(format!("must be a whole number from {least} to {most}")),
    }
}

/// Bytes, plain or in `KiB` or `MiB`, from `least` to `most`.
pub(super) fn size(text: &str, least: usize, most: usize) -> Result<usize, ValueError> {
    let (number, unit) = match (text.strip_suffix("KiB"), text.strip_suffix("MiB")) {
        (Some(number), _) => (number, 1 << 10),
        (None, Some(number)) => (number, 1 << 20),
        (None, None) => (text, 1),
    };
    match number.parse::<usize>().ok().and_then(|number| number.checked_mul(unit)) {
        Some(bytes) if (least..=most).contains(&bytes) => Ok(bytes),
        _ => refuse(format!("must be {least} to {most} bytes, such as 262144, 256KiB or 32MiB")),
    }
}

/// `on` or `off`.
pub(super) fn switch(text: &str) -> Result<bool, ValueError> {
    match text {
        "on" | "true" | "1" => Ok(true),
        "off" | "false" | "0" => Ok(false),
        _ => refuse("must be on or off"),
    }
}

/// The name of a pod's lease, or a pod's uid.
pub(super) fn pod_id(text: &str) -> Result<String, ValueError> {
    let character = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=253).contains(&text.len()) && text.bytes().all(character) {
        Ok(text.to_owned())
    } else {
        refuse("must be 1 to 253 characters of A-Z, a-z, 0-9, '-', '_' and '.', such as chat-0")
    }
}

/// The prefix of every key in Redis.
pub(super) fn key_prefix(text: &str) -> Result<String, ValueError> {
    // Braces would put every key into one slot of a Redis Cluster; the others are glob characters.
    let character =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'{' | b'}' | b'*' | b'?' | b'[' | b']' | b'\\');
    if (1..=63).contains(&text.len()) && text.bytes().all(character) {
        Ok(text.to_owned())
    } else {
        refuse("must be 1 to 63 visible ASCII characters without {}*?[]\\, such as chat:")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn host_ports_are_shown_as_they_are_dialled() {
        for text in ["localhost:1", "chat-0.chat.ns.svc:7654", "10.0.0.7:65535", "[fd00::7]:7654"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
        assert_eq!("[FD00:0::7]:1".parse::<HostPort>().unwrap().to_string(), "[fd00::7]:1");
        let wrong =
            ["", "host", "host:", ":1", "host:0", "host:65536", "fd00::7:7654", "[host]:1", "a b:1", "a..b:1", "h:+1x"];
        for text in wrong {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
        assert!("0.0.0.0:1".parse::<HostPort>().unwrap().is_wildcard());
        assert!("[::]:1".parse::<HostPort>().unwrap().is_wildcard());
        assert!(!"127.0.0.1:1".parse::<HostPort>().unwrap().is_wildcard());
    }

    #[test]
    fn networks_hold_their_addresses_and_no_others() {
        let holds = |network: &str, address: &str| network.parse::<Cidr>().unwrap().contains(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.0.1"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(holds("0.0.0.0/0", "1.2.3.4"));
        assert!(!holds("0.0.0.0/0", "::1"));
        assert!(holds("::/0", "::1"));
        assert!(holds("fd00::/8", "fdff::1"));
        assert!(holds("192.0.2.1", "192.0.2.1"));
        assert!(!holds("192.0.2.1", "192.0.2.2"));
        let error = "10.1.2.3/8".parse::<Cidr>().unwrap_err().to_string();
        assert!(error.contains("10.0.0.0/8"), "{error}");
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/-1", "10.0.0.0/", "host/8", "010.0.0.0/8"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn origins_are_equal_as_browsers_see_them() {
        let same = |left: &str, right: &str| left.parse::<Origin>().unwrap() == right.parse::<Origin>().unwrap();
        assert!(same("https://Chat.example.org", "https://chat.example.org:443"));
        assert!(same("http://[::1]:80", "http://[::1]"));
        assert!(!same("https://chat.example.org", "http://chat.example.org"));
        assert!(!same("http://localhost:3000", "http://localhost:3001"));
        assert_eq!("http://[::1]:8081".parse::<Origin>().unwrap().authority(), "[::1]:8081");
        assert_eq!("https://a.example:443".parse::<Origin>().unwrap().to_string(), "https://a.example");
        for text in [
            "",
            "null",
            "*",
            "chat.example.org",
            "https://",
            "https://a/",
            "https://a/b",
            "ftp://a",
            "https://*.a",
            "https://u@a",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_seconds() {
        assert_eq!(seconds("30", 0, 600).unwrap(), Duration::from_secs(30));
        assert_eq!(seconds("0.25", 0, 600).unwrap(), Duration::from_millis(250));
        for text in ["", "30s", "-1", "601", "600.001", "0.1234", ".5", "5.", "1e3", "99999999999"] {
            assert!(seconds(text, 0, 600).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_bytes() {
        assert_eq!(size("256KiB", 0, 1 << 30).unwrap(), 262_144);
        assert_eq!(size("32MiB", 0, 1 << 30).unwrap(), 33_554_432);
        assert_eq!(size("17", 0, 1 << 30).unwrap(), 17);
        for text in ["", "KiB", "1KB", "-1", "1 KiB", "18446744073709551615MiB", "2"] {
            assert!(size(text, 3, 1 << 30).is_err(), "{text}");
        }
    }

    #[test]
    fn prefixes_keep_keys_apart_in_a_cluster() {
        assert!(key_prefix("chat:").is_ok());
        for text in ["", "a b", "{a}:", "a*", &"x".repeat(64), "é:"] {
            assert!(key_prefix(text).is_err(), "{text}");
        }
    }
}
