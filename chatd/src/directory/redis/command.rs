//! Requests as Redis commands, and Redis replies as answers. Pure: no I/O.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, Value, cmd};

use crate::directory::{Answer, Key, NoAnswer};

/// The value of KEYS[1] as `found`. Of a value that cannot be ours only so much goes over the network, for this to compare by and to
/// write over: 1 MiB and a byte, where a record has 64 KiB at the most.
macro_rules! found {
    () => {
        "local found = redis.call('GET', KEYS[1])\n\
         if found and #found > 1048577 then found = string.sub(found, 1, 1048577) end\n"
    };
}

/// The value.
static READ: LazyLock<Script> = LazyLock::new(|| Script::new(concat!(found!(), "return found")));

/// Puts ARGV[1] for ARGV[2] ms if the value is ARGV[3]; without ARGV[3], if there is none. A missing value is `false` in Lua and a
/// nil reply, so that 1 (put), a string (found) and nil (found nothing) cannot be confused.
static SWAP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        found!(),
        "if found ~= (ARGV[3] or false) then return found end\n\
         redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n\
         return 1"
    ))
});

/// Lets the value live for ARGV[1] ms if it is ARGV[2].
static RENEW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        found!(),
        "if found ~= ARGV[2] then return found end\n\
         redis.call('PEXPIRE', KEYS[1], ARGV[1])\n\
         return 1"
    ))
});

/// Deletes the value if it is ARGV[1].
static DELETE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        found!(),
        "if found ~= ARGV[1] then return found end\n\
         redis.call('DEL', KEYS[1])\n\
         return 1"
    ))
});

/// How a script is named: its source goes over the network only to a server that does not know the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Hash,
    Source,
}

/// The name that `key` has in Redis.
pub fn key_name(prefix: &str, key: &Key) -> Vec<u8> {
    match key {
        Key::Room(room) => format!("{prefix}room:{room}").into_bytes(),
        Key::Pod(pod) => format!("{prefix}pod:{pod}").into_bytes(),
        Key::JoinToken(token) => format!("{prefix}jti:{token}").into_bytes(),
    }
}

/// The name of the sorted set of pods.
pub fn pods_name(prefix: &str) -> Vec<u8> {
    format!("{prefix}pods").into_bytes()
}

pub fn get(form: Form, key: &[u8]) -> Cmd {
    script(&READ, form, key)
}

pub fn swap(form: Form, key: &[u8], expected: Option<&Bytes>, new: &Bytes, ttl: Duration) -> Cmd {
    let mut command = script(&SWAP, form, key);
    command.arg(&new[..]).arg(milliseconds(ttl));
    if let Some(expected) = expected {
        command.arg(&expected[..]);
    }
    command
}

pub fn renew(form: Form, key: &[u8], expected: &Bytes, ttl: Duration) -> Cmd {
    let mut command = script(&RENEW, form, key);
    command.arg(milliseconds(ttl)).arg(&expected[..]);
    command
}

pub fn delete(form: Form, key: &[u8], expected: &Bytes) -> Cmd {
    let mut command = script(&DELETE, form, key);
    command.arg(&expected[..]);
    command
}

/// Notes in the index that `pod` wrote its lease at `now`, in ms since 1970.
pub fn note_pod(pods: &[u8], pod: &str, now: u64) -> Cmd {
    let mut command = cmd("ZADD");
    command.arg(pods).arg(now).arg(pod);
    command
}

/// Takes `pod` out of the index.
pub fn forget_pod(pods: &[u8], pod: &[u8]) -> Cmd {
    let mut command = cmd("ZREM");
    command.arg(pods).arg(pod);
    command
}

/// The `most` pods of the index that wrote last.
pub fn list_pods(pods: &[u8], most: usize) -> Cmd {
    let mut command = cmd("ZRANGE");
    command.arg(pods).arg(-i64::try_from(most).unwrap_or(i64::MAX)).arg(-1).arg("WITHSCORES");
    command
}

/// A value, or none.
fn read(reply: Value) -> Result<Option<Bytes>, NoAnswer> {
    match reply {
        Value::Nil => Ok(None),
        Value::BulkString(value) => Ok(Some(Bytes::from(value))),
        _ => Err(NoAnswer::Refused),
    }
}

/// The reply to a script.
pub fn compared(reply: Value) -> Result<Answer, NoAnswer> {
    match reply {
        Value::Int(1) => Ok(Answer::Done),
        reply => read(reply).map(Answer::Found),
    }
}

/// The reply to [`list_pods`]: pod and time of its last write in ms since 1970.
pub fn listed(reply: Value) -> Result<Vec<(Vec<u8>, u64)>, NoAnswer> {
    let Value::Array(items) = reply else { return Err(NoAnswer::Refused) };
    let mut items = items.into_iter();
    let mut pods = Vec::with_capacity(items.len() / 2);
    while let (Some(pod), Some(score)) = (items.next(), items.next()) {
        let (Value::BulkString(pod), Value::BulkString(score)) = (pod, score) else { return Err(NoAnswer::Refused) };
        // Somebody else's score may be anything; as 0 it is simply old.
        let score = std::str::from_utf8(&score).ok().and_then(|score| score.parse::<f64>().ok()).unwrap_or(0.0);
        #[allow(clippy::cast_sign_loss)]
        pods.push((pod, score as u64));
    }
    Ok(pods)
}

fn script(script: &Script, form: Form, key: &[u8]) -> Cmd {
    let mut command = match form {
        Form::Hash => cmd("EVALSHA"),
        Form::Source => cmd("EVAL"),
    };
    match form {
        Form::Hash => command.arg(&script.hash),
        Form::Source => command.arg(script.source),
    };
    command.arg(1).arg(key);
    command
}

struct Script {
    source: &'static str,
    /// The SHA-1 of the source, in hexadecimal: what a server knows it by.
    hash: String,
}

impl Script {
    fn new(source: &'static str) -> Self {
        Self { source, hash: redis::Script::new(source).get_hash().to_owned() }
    }
}

/// As Redis takes it: at least 1, and not so much that adding the time of day would overflow.
fn milliseconds(ttl: Duration) -> u64 {
    const LONGEST: u128 = 1_000_000_000_000;
    ttl.as_millis().clamp(1, LONGEST) as u64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn arguments(command: &Cmd) -> Vec<Vec<u8>> {
        command
            .args_iter()
            .map(|argument| match argument {
                redis::Arg::Simple(bytes) => bytes.to_vec(),
                _ => panic!("no cursor is used"),
            })
            .collect()
    }

    #[test]
    fn a_script_touches_one_key_and_says_its_time_in_milliseconds() {
        let new = Bytes::from_static(b"\0new");
        let old = Bytes::from_static(b"old");
        let key = key_name("chat:", &Key::Room("abcd1234".parse().unwrap()));
        let command = swap(Form::Hash, &key, Some(&old), &new, Duration::from_secs(10));
        let words: Vec<&[u8]> =
            vec![b"EVALSHA", SWAP.hash.as_bytes(), b"1", b"chat:room:abcd1234", b"\0new", b"10000", b"old"];
        assert_eq!(arguments(&command), words);
        assert_eq!(arguments(&swap(Form::Source, &key, None, &new, Duration::ZERO))[5..], [b"1"]);
        assert_eq!(arguments(&renew(Form::Hash, &key, &old, Duration::MAX))[4], b"1000000000000");
    }

    #[test]
    fn replies_are_distinguished() {
        let bytes = || Value::BulkString(b"1".to_vec());
        assert_eq!(compared(Value::Int(1)), Ok(Answer::Done));
        assert_eq!(compared(bytes()), Ok(Answer::Found(Some(Bytes::from_static(b"1")))));
        assert_eq!(compared(Value::Nil), Ok(Answer::Found(None)));
        assert_eq!(compared(Value::Int(2)), Err(NoAnswer::Refused));
        assert_eq!(read(Value::Okay), Err(NoAnswer::Refused));
        let scored = |score: &str| Value::Array(vec![bytes(), Value::BulkString(score.as_bytes().to_vec())]);
        assert_eq!(listed(scored("1795461000123")), Ok(vec![(b"1".to_vec(), 1_795_461_000_123)]));
        assert_eq!(listed(scored("-inf")), Ok(vec![(b"1".to_vec(), 0)]));
        assert_eq!(listed(Value::Nil), Err(NoAnswer::Refused));
    }
}
