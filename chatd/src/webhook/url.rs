//! Where the webhook is: https, or http to this machine itself. Pure: no I/O.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hyper::Uri;
use hyper::http::uri::PathAndQuery;

/// The longest URL.
const MAX_URL: usize = 2_000;

/// What is wrong with a URL. Shows nothing of it: its path or query may be secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum UrlError {
    #[error("must be a URL of at most {MAX_URL} bytes, such as https://app.example.org/chat-events")]
    Form,
    #[error("must begin with https://; http:// is for this machine alone: localhost, 127.0.0.1 or [::1]")]
    Plaintext,
    #[error("must hold no user and password: requests are signed instead")]
    User,
}

/// The URL of the webhook.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    /// By TLS.
    pub secure: bool,
    /// A name or an address, an address of IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What the Host header says.
    pub authority: String,
    /// Path and query.
    pub target: PathAndQuery,
}

impl FromStr for WebhookUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.len() > MAX_URL {
            return Err(UrlError::Form);
        }
        let uri: Uri = text.parse().map_err(|_| UrlError::Form)?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(UrlError::Form),
        };
        let authority = uri.authority().ok_or(UrlError::Form)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::User);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        // The parser takes a port that is no number for none.
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") if secure => 443,
            Some("") => 80,
            rest => rest.and_then(|rest| rest.strip_prefix(':')?.parse().ok()).unwrap_or(0),
        };
        if host.is_empty() || port == 0 {
            return Err(UrlError::Form);
        }
        if !secure && !is_this_machine(&host) {
            return Err(UrlError::Plaintext);
        }
        let target = match uri.path_and_query() {
            // The parser leaves out the path of one that has only a query, and cannot read that again.
            Some(target) if target.as_str().starts_with('?') => {
                format!("/{}", target.as_str()).parse().map_err(|_| UrlError::Form)?
            }
            Some(target) => target.clone(),
            None => PathAndQuery::from_static("/"),
        };
        Ok(Self { secure, host, port, authority: authority.as_str().to_owned(), target })
    }
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WebhookUrl({self})")
    }
}

/// Without path and query, which may be secret.
impl fmt::Display for WebhookUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", if self.secure { "https" } else { "http" }, self.authority)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn https_and_this_machine_are_allowed() {
        for (text, host, port, target) in [
            ("https://app.example.org/events?key=1", "app.example.org", 443, "/events?key=1"),
            ("https://app.example.org", "app.example.org", 443, "/"),
            ("https://app.example.org?key=1", "app.example.org", 443, "/?key=1"),
            ("https://10.0.0.1:8443/", "10.0.0.1", 8443, "/"),
            ("https://[2001:db8::1]:8443/a", "2001:db8::1", 8443, "/a"),
            ("http://localhost:8080/a", "localhost", 8080, "/a"),
            ("http://127.0.0.1/a", "127.0.0.1", 80, "/a"),
            ("http://127.9.9.9:1", "127.9.9.9", 1, "/"),
            ("http://[::1]:9/a", "::1", 9, "/a"),
        ] {
            let url: WebhookUrl = text.parse().unwrap();
            assert_eq!((url.host.as_str(), url.port, url.target.as_str()), (host, port, target), "{text}");
        }
    }

    #[test]
    fn others_are_refused() {
        for (text, error) in [
            ("http://app.example.org/", UrlError::Plaintext),
            ("http://receiver.apps.svc:8080/", UrlError::Plaintext),
            ("http://localhost.example.org/", UrlError::Plaintext),
            ("http://10.0.0.1/", UrlError::Plaintext),
            ("http://0.0.0.0/", UrlError::Plaintext),
            ("https://user:password@app.example.org/", UrlError::User),
            ("http://127.0.0.1@app.example.org/", UrlError::User),
            ("https:///events", UrlError::Form),
            ("https://app.example.org:0/", UrlError::Form),
            ("https://app.example.org:99999/", UrlError::Form),
            ("https://app.example.org:/", UrlError::Form),
            ("ftp://app.example.org/", UrlError::Form),
            ("app.example.org/events", UrlError::Form),
            ("/events", UrlError::Form),
            ("", UrlError::Form),
            (&format!("https://app.example.org/{}", "a".repeat(MAX_URL)), UrlError::Form),
        ] {
            assert_eq!(text.parse::<WebhookUrl>().unwrap_err(), error, "{text:.60}");
        }
    }

    #[test]
    fn logs_show_no_path() {
        let url: WebhookUrl = "https://app.example.org:8443/secret?key=secret".parse().unwrap();
        assert_eq!(format!("{url} {url:?}"), "https://app.example.org:8443 WebhookUrl(https://app.example.org:8443)");
    }
}
