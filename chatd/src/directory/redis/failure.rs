//! Why a request or a connection failed, with an explanation from Redis, TLS or the system. Pure: no I/O.

use std::error::Error;
use std::io;
use std::sync::Arc;

use redis::ServerError;
use rustls::{CertificateError, InvalidMessage};

use super::url::Address;
use crate::directory::NoAnswer;

/// The maximum length of an explanation, in characters.
const MOST_WORDS: usize = 300;
const BROKE: &str = "the connection broke";
/// Redis echoes the arguments of an unknown command: they may hold a password.
const ARGUMENTS: &str = ", with args beginning with";

/// See the module's documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub reason: NoAnswer,
    /// One human-readable line. `None`: nothing is known beyond the reason.
    pub words: Option<Arc<str>>,
}

impl From<NoAnswer> for Failure {
    fn from(reason: NoAnswer) -> Self {
        Self { reason, words: None }
    }
}

impl Failure {
    pub fn new(reason: NoAnswer, words: &str) -> Self {
        Self { reason, words: Some(clean(words).into()) }
    }

    /// For an error reply classified as `reason`: an explanation, if Redis' text needs one, and Redis' text.
    pub fn of_reply(reason: NoAnswer, error: &ServerError) -> Self {
        let words = match error.details() {
            Some(details) => format!("{} {details}", error.code()),
            None => error.code().to_owned(),
        };
        let words = words.split(ARGUMENTS).next().unwrap_or_default();
        // Redis before 7 wraps what a script ran into: `ERR Error running script (...): @user_script:1: -OOM command ...`.
        let inner = words.split_once(": -").map_or(words, |(_, inner)| inner);
        match meaning(inner) {
            Some(meaning) => Self::new(reason, &format!("{meaning}; Redis: {words}")),
            None => Self::new(reason, &format!("Redis: {words}")),
        }
    }

    /// For an error below the replies. The type tells whether TLS failed.
    pub fn of_connection(error: &(dyn Error + 'static)) -> Self {
        match tls_error(error) {
            Some(error) => Self::new(NoAnswer::Tls, &format!("TLS: {}", tls_words(error))),
            None => Self::new(NoAnswer::Refused, &format!("{BROKE}: {error}")),
        }
    }

    /// The TLS handshake failed: the server closed the connection or does not speak TLS.
    pub fn of_handshake(error: &io::Error) -> Self {
        match Self::of_connection(error) {
            failure @ Self { reason: NoAnswer::Tls, .. } => failure,
            failure if error.kind() == io::ErrorKind::UnexpectedEof => Self::new(
                failure.reason,
                "the server closed the connection during the TLS handshake: it has reached its client limit, or does not speak TLS",
            ),
            failure => failure,
        }
    }

    pub fn closed() -> Self {
        Self::new(NoAnswer::Refused, &format!("{BROKE}: the server closed it"))
    }

    /// For a missing first answer without TLS: a TLS-only port does not answer plain text.
    #[must_use]
    pub fn without_tls(self) -> Self {
        if self.words().starts_with(BROKE) {
            return Self::new(self.reason, &format!("{}; if this port requires TLS, write rediss://", self.words()));
        }
        self
    }

    /// Prefixes the server's address.
    #[must_use]
    pub fn at(self, server: &Address) -> Self {
        let words = match &self.words {
            Some(words) => format!("{server}: {words}"),
            None => return self,
        };
        Self::new(self.reason, &words)
    }

    /// Drops an explanation that contains `secret`.
    #[must_use]
    pub fn without(self, secret: &[u8]) -> Self {
        let is_repeated = |words: &Arc<str>| memchr::memmem::find(words.as_bytes(), secret).is_some();
        Self { words: self.words.filter(|words| !is_repeated(words)), ..self }
    }

    pub fn words(&self) -> &str {
        self.words.as_deref().unwrap_or_default()
    }
}

/// For bytes that are not a reply of Redis.
pub fn not_redis(bytes: &[u8]) -> Failure {
    // The first byte of an alert of TLS (RFC 8446 section 5.1).
    if bytes.first() == Some(&0x15) {
        return Failure::new(NoAnswer::Refused, "the server speaks TLS: write rediss:// in the URL");
    }
    let answer = String::from_utf8_lossy(bytes);
    Failure::new(
        NoAnswer::Refused,
        &format!("not a Redis server; it answered: {}", answer.lines().next().unwrap_or_default()),
    )
}

/// The first line, without control characters.
fn clean(words: &str) -> String {
    let line = words.trim_start().lines().next().unwrap_or_default();
    let line: String = line.chars().filter(|letter| !letter.is_control()).take(MOST_WORDS).collect();
    line.trim_end().to_owned()
}

/// Explains an error reply of Redis.
fn meaning(words: &str) -> Option<&'static str> {
    let code = words.split_ascii_whitespace().next().unwrap_or_default();
    let has = |part: &str| words.to_ascii_lowercase().contains(part);
    Some(match code {
        "MISCONF" => "it cannot save to disk and refuses writes until it can",
        "NOREPLICAS" => "too few replicas follow it; it refuses writes (min-replicas-to-write)",
        "BUSY" => "a long-running script or function of another client blocks it",
        "LOADING" => "it is loading its data and does not serve yet",
        "MASTERDOWN" => "it is a replica that has lost its master",
        "READONLY" => "it is a replica",
        "CLUSTERDOWN" => "some masters of the cluster are down",
        "OOM" => "its memory is full (maxmemory)",
        "NOAUTH" => "it requires a password, and none is set here",
        "DENIED" => "it is in protected mode: set a password in Redis, or bind it to this network (protected-mode)",
        "NOPERM" => "this user may not run a command, or not with these keys",
        "ERR" if has("max number of clients") || has("max number of connections") => {
            "it has reached its client limit (maxclients)"
        }
        "ERR" if has("unknown command") || has("unknown redis command") => {
            "a command that chatd needs is renamed, disabled or not supported by this version"
        }
        "ERR" if has("can't run this command") => "this user may not run a command that scripts of chatd use",
        "ERR" if has("without any password configured") || has("no password is set") => {
            "a password is set here, and Redis has none"
        }
        _ => return None,
    })
}

/// The error of TLS in a chain of errors, if there is one.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(error);
        }
        // An io::Error's `source` skips the very error that it wraps.
        if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            return tls_error(inner);
        }
        // The Redis client shares the error between all requests that it ends.
        if let Some(inner) = error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
            return tls_error(inner.as_ref());
        }
        cause = error.source();
    }
    None
}

/// Explains TLS errors without the time of day: the log repeats a changed explanation.
fn tls_words(error: &rustls::Error) -> String {
    use CertificateError as Certificate;
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return match error {
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                "the server does not speak TLS at this port: write redis:// in the URL, or use its TLS port".to_owned()
            }
            rustls::Error::AlertReceived(_) => {
                format!("the server refuses this client ({error}): see --redis-cert-file, --redis-key-file")
            }
            _ => error.to_string(),
        };
    };
    match certificate {
        Certificate::Expired | Certificate::ExpiredContext { .. } => "the server's certificate has expired".to_owned(),
        Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet: compare the clocks".to_owned()
        }
        // A bad signature: a CA of the same name with another key.
        Certificate::UnknownIssuer | Certificate::BadSignature => {
            "no CA of --redis-ca-file (without that file: of the system) has signed the server's certificate".to_owned()
        }
        Certificate::NotValidForNameContext { expected, presented } if presented.is_empty() => format!(
            "the server's certificate has no SAN (subject alternative name), and {} must be one",
            expected.to_str()
        ),
        Certificate::NotValidForNameContext { expected, presented } => format!(
            "the server's certificate is not for {} but for {}",
            expected.to_str(),
            presented.iter().map(|name| bare(name)).collect::<Vec<_>>().join(", ")
        ),
        Certificate::Revoked => "the server's certificate is revoked".to_owned(),
        _ => error.to_string(),
    }
}

/// `DnsName("localhost")` without its type.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn words_of(line: &str) -> String {
        match redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap() {
            redis::Value::ServerError(error) => Failure::of_reply(NoAnswer::Refused, &error).words().to_owned(),
            other => panic!("{other:?} is no error"),
        }
    }

    #[test]
    fn errors_of_redis_are_quoted_and_explained() {
        assert_eq!(
            words_of("WRONGPASS invalid username-password pair"),
            "Redis: WRONGPASS invalid username-password pair"
        );
        for (line, meaning) in [
            ("MISCONF Redis is configured to save RDB snapshots", "cannot save to disk"),
            ("BUSY Redis is busy running a script.", "long-running script"),
            ("ERR max number of clients reached", "client limit"),
            ("ERR unknown command 'EVALSHA'", "renamed, disabled"),
            ("ERR Unknown Redis command called from script script: 1f", "renamed, disabled"),
            ("ERR max number of connections reached", "client limit"),
            ("DENIED Redis is running in protected mode", "set a password"),
            ("NOREPLICAS Not enough good replicas to write.", "too few replicas"),
            ("LOADING Redis is loading the dataset in memory", "does not serve yet"),
            ("MASTERDOWN Link with MASTER is down", "lost its master"),
            ("READONLY You can't write against a read only replica.", "it is a replica"),
            ("CLUSTERDOWN The cluster is down", "some masters"),
            ("OOM command not allowed when used memory > 'maxmemory'.", "memory is full"),
            ("NOAUTH Authentication required.", "none is set"),
            ("NOPERM this user has no permissions to run the 'set' command", "may not run a command"),
            ("ERR The user executing the script can't run this command or subcommand", "that scripts of chatd use"),
            ("ERR AUTH <password> called without any password configured for the default user", "Redis has none"),
            ("ERR Client sent AUTH, but no password is set", "Redis has none"),
        ] {
            let words = words_of(line);
            assert!(words.contains(meaning) && words.ends_with(&format!("Redis: {line}")), "{words}");
        }
        assert_eq!(words_of("ERR syntax error"), "Redis: ERR syntax error");
    }

    #[test]
    fn no_argument_and_no_password_is_repeated() {
        let words = words_of("ERR unknown command 'AUTH', with args beginning with: 'secret' ");
        assert!(words.ends_with("Redis: ERR unknown command 'AUTH'"), "{words}");
        let failure = Failure::new(NoAnswer::Auth, "Redis: ERR secret is wrong");
        assert_eq!(failure.clone().without(b"secret").words, None);
        assert_eq!(failure.clone().without(b"other"), failure);
    }

    #[test]
    fn words_are_one_line_of_bounded_length() {
        let failure = Failure::new(NoAnswer::Refused, &format!("\n a\u{7}b{}\nsecond", "x".repeat(1_000)));
        assert!(failure.words().starts_with("abxx") && failure.words().len() == MOST_WORDS);
        assert_eq!(
            not_redis(b"HTTP/1.1 400 Bad Request\r\nServer: x").words(),
            "not a Redis server; it answered: HTTP/1.1 400 Bad Request"
        );
        assert!(not_redis(&[0x15, 3, 3, 0, 2]).words().contains("rediss://"));
    }

    #[test]
    fn certificate_errors_have_stable_texts() {
        use CertificateError as Certificate;
        use rustls::pki_types::{ServerName, UnixTime};
        let name = |presented: &[&str]| Certificate::NotValidForNameContext {
            expected: ServerName::try_from("redis.example").unwrap(),
            presented: presented.iter().map(|name| (*name).to_owned()).collect(),
        };
        let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        for (certificate, words) in [
            (Certificate::Expired, "has expired"),
            (Certificate::ExpiredContext { time: at(2), not_after: at(1) }, "has expired"),
            (Certificate::NotValidYet, "not valid yet"),
            (Certificate::NotValidYetContext { time: at(1), not_before: at(2) }, "not valid yet"),
            (Certificate::UnknownIssuer, "no CA of --redis-ca-file"),
            (Certificate::BadSignature, "no CA of --redis-ca-file"),
            (name(&[]), "has no SAN (subject alternative name), and redis.example must be one"),
            (name(&["DnsName(\"a.example\")", "10.0.0.1"]), "is not for redis.example but for a.example, 10.0.0.1"),
            (Certificate::Revoked, "is revoked"),
        ] {
            let said = tls_words(&rustls::Error::InvalidCertificate(certificate));
            assert!(said.contains(words), "{said}");
        }
        let not_tls = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
        assert!(tls_words(&not_tls).contains("write redis://"));
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        assert!(tls_words(&alert).contains("--redis-cert-file"));
    }

    #[test]
    fn errors_of_tls_are_found_however_deep() {
        let tls = || io::Error::new(io::ErrorKind::InvalidData, rustls::Error::HandshakeNotComplete);
        assert_eq!(Failure::of_connection(&tls()).reason, NoAnswer::Tls);
        assert_eq!(Failure::of_connection(&redis::RedisError::from(tls())).reason, NoAnswer::Tls);
        let broken = redis::RedisError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(Failure::of_connection(&broken).reason, NoAnswer::Refused);
    }
}
