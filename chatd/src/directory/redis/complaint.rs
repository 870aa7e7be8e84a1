//! What an error reply of Redis, or a broken connection, means for the request and for the connection. Pure: no I/O.

use std::error::Error;
use std::io;

use redis::{RedisError, ServerError};

use super::url::Address;
use crate::directory::NoAnswer;

/// Anything but an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Complaint {
    /// The server does not know the script by its hash yet.
    NoScript,
    /// Cluster: another node has the key, for good. An empty host means the node that says so.
    Moved(Address),
    /// Cluster: another node has the key, for this request.
    Ask(Address),
    /// Cluster: the key is on its way from one node to another.
    TryAgain,
    /// There is no answer.
    None(NoAnswer, Verdict),
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Keep,
    /// Another connection may reach a server that can answer: a new master, or one that has loaded its data.
    Replace,
}

/// Judges an error reply.
pub fn of_reply(error: &ServerError) -> Complaint {
    let details = error.details().unwrap_or_default();
    match error.code() {
        "NOSCRIPT" => Complaint::NoScript,
        "TRYAGAIN" => Complaint::TryAgain,
        "MOVED" => redirect(details).map_or(broken(), Complaint::Moved),
        "ASK" => redirect(details).map_or(broken(), Complaint::Ask),
        // Redis before 7 wraps what a script ran into: `ERR Error running script (...): @user_script:1: -OOM command ...`.
        "ERR" => wrapped(details).map_or(broken(), |(reason, verdict)| Complaint::None(reason, verdict)),
        code => known(code).map_or(broken(), |(reason, verdict)| Complaint::None(reason, verdict)),
    }
}

/// Judges an error below the replies: the connection is gone whatever it says.
pub fn of_connection(error: &(dyn Error + 'static)) -> NoAnswer {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<rustls::Error>() {
            return NoAnswer::Tls;
        }
        // An io::Error's `source` skips the very error that it wraps.
        if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            return of_connection(inner);
        }
        // The Redis client shares the error between all requests that it ends.
        if let Some(inner) = error.downcast_ref::<std::sync::Arc<dyn Error + Send + Sync>>() {
            return of_connection(inner.as_ref());
        }
        cause = error.source();
    }
    NoAnswer::Refused
}

/// As [`of_connection`], for the type that the Redis client has.
pub fn of_redis_error(error: &RedisError) -> NoAnswer {
    of_connection(error)
}

const fn broken() -> Complaint {
    Complaint::None(NoAnswer::Refused, Verdict::Keep)
}

fn known(code: &str) -> Option<(NoAnswer, Verdict)> {
    Some(match code {
        "READONLY" | "LOADING" | "MASTERDOWN" => (NoAnswer::ReadOnly, Verdict::Replace),
        // The server would be right, but cannot write for now: a cluster without quorum, a full disk, too few replicas.
        "CLUSTERDOWN" | "MISCONF" | "NOREPLICAS" => (NoAnswer::ReadOnly, Verdict::Keep),
        // A new connection reads the password file again.
        "NOAUTH" | "WRONGPASS" => (NoAnswer::Auth, Verdict::Replace),
        "NOPERM" | "DENIED" => (NoAnswer::Auth, Verdict::Keep),
        "OOM" => (NoAnswer::Full, Verdict::Keep),
        _ => return None,
    })
}

/// What a command inside a script complained of, which comes as the script's own error.
fn wrapped(details: &str) -> Option<(NoAnswer, Verdict)> {
    if details.starts_with("The user executing the script can't run this command") {
        return known("NOPERM");
    }
    let (_, inner) = details.split_once(": -")?;
    known(inner.split_ascii_whitespace().next()?)
}

/// `3999 127.0.0.1:6381`: slot and address. An IPv6 address has no brackets here.
fn redirect(details: &str) -> Option<Address> {
    let (_, address) = details.split_once(' ')?;
    let (host, port) = address.rsplit_once(':')?;
    let port = port.trim().parse().ok().filter(|port| *port != 0)?;
    Some(Address { host: host.trim_start_matches('[').trim_end_matches(']').to_owned(), port })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Judges a line as the server sends it.
    fn complaint(line: &str) -> Complaint {
        match redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap() {
            redis::Value::ServerError(error) => of_reply(&error),
            other => panic!("{other:?} is no error"),
        }
    }

    #[test]
    fn error_replies_are_judged() {
        use NoAnswer::{Auth, Full, ReadOnly, Refused};
        use Verdict::{Keep, Replace};
        for (line, reason, verdict) in [
            ("READONLY You can't write against a read only replica.", ReadOnly, Replace),
            ("LOADING Redis is loading the dataset in memory", ReadOnly, Replace),
            ("MASTERDOWN Link with MASTER is down", ReadOnly, Replace),
            ("CLUSTERDOWN Hash slot not served", ReadOnly, Keep),
            ("MISCONF Redis is configured to save RDB snapshots", ReadOnly, Keep),
            ("NOAUTH Authentication required.", Auth, Replace),
            ("WRONGPASS invalid username-password pair or user is disabled.", Auth, Replace),
            ("NOPERM this user has no permissions to run the 'eval' command", Auth, Keep),
            ("OOM command not allowed when used memory > 'maxmemory'.", Full, Keep),
            (
                "ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -OOM command not allowed",
                Full,
                Keep,
            ),
            ("ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write", ReadOnly, Replace),
            (
                "ERR The user executing the script can't run this command or subcommand script: 085b, on @user_script:1.",
                Auth,
                Keep,
            ),
            ("ERR syntax error", Refused, Keep),
            ("WRONGTYPE Operation against a key holding the wrong kind of value", Refused, Keep),
            ("MOVED nonsense", Refused, Keep),
        ] {
            assert_eq!(complaint(line), Complaint::None(reason, verdict), "{line}");
        }
    }

    #[test]
    fn redirections_are_read() {
        let address = |host: &str, port| Address { host: host.to_owned(), port };
        assert_eq!(complaint("MOVED 3999 127.0.0.1:6381"), Complaint::Moved(address("127.0.0.1", 6381)));
        assert_eq!(complaint("ASK 3999 fd00::1:6381"), Complaint::Ask(address("fd00::1", 6381)));
        assert_eq!(complaint("MOVED 3999 :6381"), Complaint::Moved(address("", 6381)));
        assert_eq!(complaint("NOSCRIPT No matching script."), Complaint::NoScript);
        assert_eq!(complaint("TRYAGAIN Multiple keys request"), Complaint::TryAgain);
    }

    #[test]
    fn errors_of_tls_are_found_however_deep() {
        let tls = || io::Error::new(io::ErrorKind::InvalidData, rustls::Error::HandshakeNotComplete);
        assert_eq!(of_connection(&tls()), NoAnswer::Tls);
        assert_eq!(of_redis_error(&RedisError::from(tls())), NoAnswer::Tls);
        assert_eq!(of_redis_error(&RedisError::from(io::Error::from(io::ErrorKind::BrokenPipe))), NoAnswer::Refused);
    }
}
