//! What Redis' replies mean. Pure: no I/O.

use redis::{RedisError, ServerError, Value};

use super::Reason;

/// What becomes of the connection after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Keep,
    /// Another connection may reach a server that can answer: a new master, or one that has loaded its data.
    Replace,
}

/// Why a command failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Complaint {
    /// The key holds something that http-demo did not put there.
    Foreign,
    Away(Reason, Verdict),
}

/// The replies of a pipeline, or the first error among them: of a transaction that is the one that says why it failed.
pub fn judge(replies: Result<Vec<Value>, RedisError>) -> Result<Vec<Value>, Complaint> {
    let replies = replies.map_err(|error| {
        let reason = if error.is_io_error() || error.is_connection_dropped() { Reason::Closed } else { Reason::Failed };
        Complaint::Away(reason, Verdict::Replace)
    })?;
    match replies.iter().find_map(error_of) {
        Some(error) => Err(complaint(error)),
        None => Ok(replies),
    }
}

/// Also one inside of EXEC's reply.
fn error_of(value: &Value) -> Option<&ServerError> {
    match value {
        Value::ServerError(error) => Some(error),
        Value::Array(values) => values.iter().find_map(error_of),
        _ => None,
    }
}

fn complaint(error: &ServerError) -> Complaint {
    use Verdict::{Keep, Replace};
    let (reason, verdict) = match error.code() {
        "WRONGTYPE" => return Complaint::Foreign,
        "READONLY" | "MASTERDOWN" => (Reason::ReadOnly, Replace),
        "LOADING" => (Reason::Starting, Replace),
        // The server would be right, but cannot write for now: a full disk, too few replicas, a cluster without quorum.
        "MISCONF" | "NOREPLICAS" | "CLUSTERDOWN" => (Reason::ReadOnly, Keep),
        // A new connection reads the password file again.
        "NOAUTH" | "WRONGPASS" => (Reason::Auth, Replace),
        "NOPERM" | "DENIED" => (Reason::Auth, Keep),
        "OOM" => (Reason::Full, Keep),
        "ERR" if error.details().is_some_and(|details| details.starts_with("max number of clients")) => {
            (Reason::Full, Replace)
        }
        _ => (Reason::Failed, Keep),
    };
    Complaint::Away(reason, verdict)
}

/// A value as it was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub content_type: String,
    pub bytes: Vec<u8>,
    /// Seconds that are left, rounded up.
    pub ttl: u64,
}

/// The replies to `HMGET key content-type value` and `PTTL key`.
pub fn stored(replies: Vec<Value>) -> Result<Option<Stored>, Complaint> {
    let mut replies = replies.into_iter();
    match (replies.next(), replies.next()) {
        (Some(Value::Array(fields)), Some(Value::Int(ttl))) => match <[Value; 2]>::try_from(fields) {
            Ok([Value::BulkString(content_type), Value::BulkString(bytes)]) => {
                let content_type = String::from_utf8(content_type).map_err(|_| Complaint::Foreign)?;
                let ttl = u64::try_from(ttl).unwrap_or(0).div_ceil(1000);
                Ok(Some(Stored { content_type, bytes, ttl }))
            }
            // -2: there is no such key.
            Ok([Value::Nil, Value::Nil]) if ttl == -2 => Ok(None),
            _ => Err(Complaint::Foreign),
        },
        _ => Err(Complaint::Away(Reason::Failed, Verdict::Replace)),
    }
}

/// What `HELLO` says of the server: its name, version and role.
pub fn server(replies: Vec<Value>) -> Option<(String, String, String)> {
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    };
    let Some(Value::Array(pairs)) = replies.into_iter().next() else { return None };
    let field = |name: &str| {
        let mut pairs = pairs.chunks_exact(2);
        pairs.find(|pair| text(&pair[0]).as_deref() == Some(name)).and_then(|pair| text(&pair[1]))
    };
    Some((field("server")?, field("version")?, field("role")?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        redis::parse_redis_value(text.as_bytes()).unwrap()
    }

    #[test]
    fn error_replies_are_judged() {
        use Reason::{Auth, Failed, Full, ReadOnly, Starting};
        use Verdict::{Keep, Replace};
        for (line, reason, verdict) in [
            ("READONLY You can't write against a read only replica.", ReadOnly, Replace),
            ("MASTERDOWN Link with MASTER is down", ReadOnly, Replace),
            ("LOADING Redis is loading the dataset in memory", Starting, Replace),
            ("MISCONF Redis is configured to save RDB snapshots", ReadOnly, Keep),
            ("NOAUTH Authentication required.", Auth, Replace),
            ("WRONGPASS invalid username-password pair or user is disabled.", Auth, Replace),
            ("NOPERM this user has no permissions to run the 'hset' command", Auth, Keep),
            ("OOM command not allowed when used memory > 'maxmemory'.", Full, Keep),
            ("ERR max number of clients reached", Full, Replace),
            ("ERR unknown command 'HSET'", Failed, Keep),
        ] {
            let replies = vec![value("+OK\r\n"), value(&format!("-{line}\r\n")), value("-EXECABORT Discarded\r\n")];
            assert_eq!(judge(Ok(replies)), Err(Complaint::Away(reason, verdict)), "{line}");
        }
        let inside = vec![value("*2\r\n:1\r\n-WRONGTYPE Operation\r\n")];
        assert_eq!(judge(Ok(inside)), Err(Complaint::Foreign));
        let dropped = RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(judge(Err(dropped)), Err(Complaint::Away(Reason::Closed, Replace)));
    }

    #[test]
    fn stored_values_are_told_from_what_others_put() {
        let replies = |fields: &str, ttl: &str| stored(vec![value(fields), value(ttl)]);
        let found = Stored { content_type: "a/b".to_owned(), bytes: b"x\ny".to_vec(), ttl: 2 };
        assert_eq!(replies("*2\r\n$3\r\na/b\r\n$3\r\nx\ny\r\n", ":1001\r\n"), Ok(Some(found)));
        assert_eq!(replies("*2\r\n$-1\r\n$-1\r\n", ":-2\r\n"), Ok(None));
        assert_eq!(replies("*2\r\n$-1\r\n$-1\r\n", ":-1\r\n"), Err(Complaint::Foreign));
        assert_eq!(replies("*2\r\n$3\r\na/b\r\n$-1\r\n", ":5\r\n"), Err(Complaint::Foreign));
        assert_eq!(replies(":1\r\n", ":5\r\n"), Err(Complaint::Away(Reason::Failed, Verdict::Replace)));
    }

    #[test]
    fn the_server_names_itself() {
        let hello =
            "*6\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.1\r\n$4\r\nrole\r\n$6\r\nmaster\r\n";
        let [name, version, role] = ["redis", "7.0.1", "master"].map(str::to_owned);
        assert_eq!(server(vec![value(hello)]), Some((name, version, role)));
        assert_eq!(server(vec![value("+OK\r\n")]), None);
    }
}
