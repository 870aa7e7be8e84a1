//! Checks of Host and Origin (docs/protocol.md, HTTP). Pure: no I/O.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::failure::Failure;
use crate::settings::Origin;

/// The header in which proxies name the host that they were asked for.
const FORWARDED_HOST: &str = "x-forwarded-host";

/// Who may talk.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    /// Origins besides the server's own.
    pub allowed: Vec<Origin>,
    /// Bound to a loopback address: only pages of this machine may name it, or any page could by a name of its own that
    /// resolves to here (DNS rebinding).
    pub loopback: bool,
}

impl Gate {
    /// Whether the request is meant for this server.
    pub fn check_host(&self, parts: &Parts) -> Result<(), Failure> {
        let host = match only(&parts.headers, HOST) {
            Ok(Some(host)) => host,
            // A balancer's probe; browsers never leave it out.
            Ok(None) if parts.version < Version::HTTP_11 => return Ok(()),
            _ => return Err(Failure::bad_request("The request needs one Host header.")),
        };
        let named = parts.uri.authority().map_or(host, |authority| authority.as_str());
        if !named.eq_ignore_ascii_case(host) {
            return Err(Failure::bad_request("The Host header and the address differ."));
        }
        let listed = || self.allowed.iter().any(|origin| same_host(origin.authority(), host));
        if self.loopback && !is_loopback(host) && !listed() {
            return Err(Failure::bad_host());
        }
        Ok(())
    }

    /// Whether the page that makes the request may do more than look. `trusted`: the request comes from a trusted proxy.
    pub fn check_origin(&self, headers: &HeaderMap, trusted: bool) -> Result<(), Failure> {
        let origin = match only(headers, ORIGIN) {
            Ok(None) => return Ok(()),
            Ok(Some(origin)) => origin.parse::<Origin>().ok(),
            Err(()) => None,
        };
        let host = only(headers, HOST).ok().flatten().unwrap_or_default();
        let own = |origin: &Origin| is_at(origin, host) || (trusted && is_forwarded(origin, headers));
        match origin {
            Some(origin) if self.allowed.contains(&origin) || own(&origin) => Ok(()),
            _ => Err(Failure::bad_origin()),
        }
    }

    /// The origin of the request's page, if it is one of those that are listed.
    pub fn listed_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = only(headers, ORIGIN).ok().flatten()?;
        let listed = origin.parse::<Origin>().is_ok_and(|origin| self.allowed.contains(&origin));
        headers.get(ORIGIN).filter(|_| listed).cloned()
    }
}

/// A Host or Origin as it may be told: `None` if it is anything else. The host comes without its scheme.
pub(super) fn for_log(headers: &HeaderMap) -> (Option<String>, Option<String>) {
    let host = only(headers, HOST).ok().flatten().and_then(|host| format!("http://{host}").parse::<Origin>().ok());
    let origin = only(headers, ORIGIN).ok().flatten().and_then(|origin| origin.parse::<Origin>().ok());
    (host.map(|host| host.authority().to_owned()), origin.map(|origin| origin.to_string()))
}

/// Whether a proxy says that the page of `origin` is its own.
pub(super) fn is_forwarded(origin: &Origin, headers: &HeaderMap) -> bool {
    let values = headers.get_all(FORWARDED_HOST).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|host| is_at(origin, host.trim()))
}

/// The only value of a header. `Err`: there are several, or it is no text.
fn only(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
        _ => Err(()),
    }
}

/// Whether a page of `origin` has reached `host` by its own address. The port that a browser leaves out may be there.
fn is_at(origin: &Origin, host: &str) -> bool {
    // A proxy that ends TLS sends the same Host on, so the scheme is the page's.
    ["http", "https"].iter().any(|scheme| format!("{scheme}://{host}").parse().is_ok_and(|own: Origin| own == *origin))
}

/// The host without its port, and an address without its brackets.
fn host_name(authority: &str) -> &str {
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    };
    name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name)
}

fn same_host(one: &str, other: &str) -> bool {
    host_name(one).eq_ignore_ascii_case(host_name(other))
}

fn is_loopback(host: &str) -> bool {
    let name = host_name(host);
    // RFC 6761 section 6.3: names under localhost never leave the machine.
    let last = name.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback(),
        Ok(IpAddr::V6(address)) => address == Ipv6Addr::LOCALHOST || address.to_canonical().is_loopback(),
        Err(_) => last.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn gate(loopback: bool) -> Gate {
        Gate {
            allowed: vec!["https://chat.example".parse().unwrap(), "http://[fd00::7]:81".parse().unwrap()],
            loopback,
        }
    }

    #[test]
    fn on_loopback_only_names_of_this_machine_and_listed_ones_are_hosts() {
        let open = [
            "localhost",
            "localhost:8081",
            "LOCALHOST:8081",
            "localhost.",
            "chat.localhost:8081",
            "127.0.0.1",
            "127.9.9.9:1",
            "[::1]:8081",
            "[::1]",
            "[::ffff:127.0.0.1]:81",
            "chat.example",
            "chat.example:444",
            "[fd00::7]",
        ];
        let closed = [
            "evil.example",
            "evil.example:8081",
            "localhost.evil.example",
            "10.0.0.1",
            "0.0.0.0",
            "[::]:81",
            "[fd00::8]:81",
            "127.0.0.1.evil.example",
            "",
            ":80",
            "notlocalhost",
            "chat.example.evil.example",
        ];
        for (hosts, fine) in [(&open[..], true), (&closed[..], false)] {
            for host in hosts {
                assert_eq!(gate(true).check_host(&parts("/", &[("host", host)])).is_ok(), fine, "{host}");
                assert!(gate(false).check_host(&parts("/", &[("host", host)])).is_ok(), "{host}");
            }
        }
    }

    #[test]
    fn a_request_has_one_host_and_it_is_the_one_of_its_address() {
        assert!(gate(false).check_host(&parts("/", &[])).is_err());
        assert!(gate(false).check_host(&parts("/", &[("host", "a"), ("host", "a")])).is_err());
        assert!(gate(false).check_host(&parts("http://b/", &[("host", "a")])).is_err());
        assert!(gate(false).check_host(&parts("http://a/", &[("host", "A")])).is_ok());
    }

    #[test]
    fn an_origin_is_absent_or_the_host_or_listed() {
        let table = [
            (None, "a.example", true),
            (Some("http://a.example"), "a.example", true),
            (Some("http://a.example"), "a.example:80", true),
            (Some("https://a.example"), "a.example", true),
            (Some("https://a.example"), "a.example:443", true),
            (Some("http://a.example:8081"), "a.example:8081", true),
            (Some("http://A.example:8081"), "a.EXAMPLE:8081", true),
            (Some("http://[::1]:8081"), "[::1]:8081", true),
            (Some("https://chat.example"), "a.example", true),
            (Some("http://chat.example"), "a.example", false),
            (Some("http://a.example"), "a.example:8081", false),
            (Some("http://a.example:8081"), "a.example", false),
            (Some("http://b.example"), "a.example", false),
            (Some("http://a.example.evil"), "a.example", false),
            (Some("null"), "a.example", false),
            (Some("null"), "null", false),
            (Some(""), "", false),
            (Some("file://"), "a.example", false),
        ];
        for (origin, host, fine) in table {
            let mut headers = vec![("host", host)];
            headers.extend(origin.map(|origin| ("origin", origin)));
            assert_eq!(
                gate(false).check_origin(&parts("/", &headers).headers, false).is_ok(),
                fine,
                "{origin:?} {host}"
            );
        }
        for (forwarded, trusted, fine) in [
            ("chat.example.org", true, true),
            ("chat.example.org:443, 10.0.0.1", true, true),
            ("chat.example.org", false, false),
            ("other.example", true, false),
        ] {
            let headers = [("host", "a:1"), ("origin", "https://chat.example.org"), (FORWARDED_HOST, forwarded)];
            assert_eq!(gate(false).check_origin(&parts("/", &headers).headers, trusted).is_ok(), fine, "{forwarded}");
        }
        let twice = [("host", "a.example"), ("origin", "http://a.example"), ("origin", "http://a.example")];
        assert!(gate(false).check_origin(&parts("/", &twice).headers, false).is_err());
    }
}
