//! Classifies an error reply of Redis, or a broken connection, for the request and for the connection. Pure: no I/O.

use redis::ServerError;

use super::failure::Failure;
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
    None(Failure, Verdict),
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
    let redirected = match error.code() {
        "NOSCRIPT" => return Complaint::NoScript,
        "TRYAGAIN" => return Complaint::TryAgain,
        "MOVED" => redirect(details).map(Complaint::Moved),
        "ASK" => redirect(details).map(Complaint::Ask),
        _ => None,
    };
    redirected.unwrap_or_else(|| {
        let judged = match error.code() {
            "ERR" => plain(details),
            code => known(code),
        };
        let (reason, verdict) = judged.unwrap_or((NoAnswer::Refused, Verdict::Keep));
        Complaint::None(Failure::of_reply(reason, error), verdict)
    })
}

/// Whether the user may not run this one command, or the server does not have it: then others may work.
pub fn is_of_one_command(error: &ServerError) -> bool {
    let lower = error.details().unwrap_or_default().to_ascii_lowercase();
    error.code() == "NOPERM" || (error.code() == "ERR" && lower.starts_with("unknown command"))
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

/// What has no code of its own.
fn plain(details: &str) -> Option<(NoAnswer, Verdict)> {
    let lower = details.to_ascii_lowercase();
    let has = |part: &str| lower.contains(part);
    if has("unknown command") || has("unknown redis command") || has("can't run this command") {
        return known("NOPERM");
    }
    // A password is given, and the server has none.
    if has("without any password configured") || has("no password is set") {
        return known("WRONGPASS");
    }
    // Redis before 7 wraps what a script ran into: `Error running script (...): @user_script:1: -OOM command ...`.
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

    /// A line as the server sends it.
    fn reply(line: &str) -> ServerError {
        match redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap() {
            redis::Value::ServerError(error) => error,
            other => panic!("{other:?} is no error"),
        }
    }

    fn complaint(line: &str) -> Complaint {
        of_reply(&reply(line))
    }

    #[test]
    fn of_one_command_is_what_the_user_may_not_run_or_the_server_does_not_have() {
        for (line, expected) in [
            ("NOPERM this user has no permissions to run the 'client|list' command", true),
            ("ERR unknown command 'CLIENT', with args beginning with: 'LIST'", true),
            ("ERR max number of clients reached", false),
            ("NOAUTH Authentication required.", false),
            ("OOM unknown command", false),
        ] {
            assert_eq!(is_of_one_command(&reply(line)), expected, "{line}");
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
            ("ERR unknown command 'EVALSHA', with args beginning with: '4c1f' '1'", Auth, Keep),
            ("ERR Unknown Redis command called from script script: 4c1f, on @user_script:3.", Auth, Keep),
            ("ERR AUTH <password> called without any password configured for the default user.", Auth, Replace),
            ("ERR max number of clients reached", Refused, Keep),
            ("BUSY Redis is busy running a script.", Refused, Keep),
            ("ERR syntax error", Refused, Keep),
            ("WRONGTYPE Operation against a key holding the wrong kind of value", Refused, Keep),
            ("MOVED nonsense", Refused, Keep),
        ] {
            let Complaint::None(failure, judged) = complaint(line) else { panic!("{line}") };
            assert_eq!((failure.reason, judged), (reason, verdict), "{line}");
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
}
