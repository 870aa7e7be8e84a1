//! The directory: the owners of rooms, and the leases of pods. Types are plain data; [`Directory`] implementations do the I/O.
//!
//! Every request but [`Request::Pods`] touches one key, and compares whole values: `record` and `lease` interpret the values,
//! never a store.

pub mod any;
pub mod memory;
pub mod redis;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::join_token::TokenId;
use crate::protocol::RoomId;

/// The longest that a request may take before it counts as unanswered.
pub const ANSWER_TIME: Duration = Duration::from_secs(2);

/// The key of a value. A store prepends the deployment's key prefix (`chat:`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// `room:<room>`
    Room(RoomId),
    /// `pod:<pod_id>`. Writing one also notes the pod in the sorted set `pods`, by the time of the write.
    Pod(String),
    /// `jti:<hash>`, of a join token that is good for one JOIN: the seat that it was used for.
    JoinToken(TokenId),
}

/// A process's connection to the server that has a key. It is never given to another one while that server runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DirectoryConnection {
    /// The run of the server: its `run_id`.
    pub run: String,
    /// The connection's number in that run: its `CLIENT ID`.
    pub client: u64,
}

/// A request to the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are named by their types")]
pub enum Request {
    /// The value, if there is one.
    Get { key: Key },
    /// Put `new` with the lifetime `ttl` if the value is `expected` (`None`: if there is none).
    Swap { key: Key, expected: Option<Bytes>, new: Bytes, ttl: Duration },
    /// Extend the value's lifetime to `ttl` if it is `expected`.
    Renew { key: Key, expected: Bytes, ttl: Duration },
    /// Delete the value if it is `expected`.
    Delete { key: Key, expected: Bytes },
    /// Every unexpired lease, of any deployment that shares the prefix.
    Pods,
    /// Whether the server that has `key` still has this connection.
    Connected { key: Key, connection: DirectoryConnection },
}

/// An answer of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The comparison held, and the change is made.
    Done,
    /// To [`Request::Get`]: the value. To the others: the comparison failed, nothing was changed, and this is what is there.
    Found(Option<Bytes>),
    /// To [`Request::Pods`]: pod_id and lease.
    Pods(Vec<(String, Bytes)>),
    /// To [`Request::Connected`]. `None`: this server cannot know, or does not say.
    Connected(Option<bool>),
}

/// Why the directory gave no answer. Whether a change was made is unknown. The names are those of `/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum NoAnswer {
    #[error("connection refused or broken")]
    Refused,
    #[error("cannot resolve its host name")]
    UnknownHost,
    #[error("no answer within 2 s")]
    Timeout,
    #[error("user name or password is wrong or missing, or lacks a permission")]
    Auth,
    #[error("cannot set up TLS")]
    Tls,
    #[error("it is read-only, loading, or without a master")]
    ReadOnly,
    #[error("its memory is full")]
    Full,
}

impl NoAnswer {
    /// Every reason, in the order that metrics list them.
    pub const ALL: [NoAnswer; 7] = [
        NoAnswer::Refused,
        NoAnswer::UnknownHost,
        NoAnswer::Timeout,
        NoAnswer::Auth,
        NoAnswer::Tls,
        NoAnswer::ReadOnly,
        NoAnswer::Full,
    ];

    /// The name in `/status` and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            NoAnswer::Refused => "refused",
            NoAnswer::UnknownHost => "unknown_host",
            NoAnswer::Timeout => "timeout",
            NoAnswer::Auth => "auth",
            NoAnswer::Tls => "tls",
            NoAnswer::ReadOnly => "read_only",
            NoAnswer::Full => "full",
        }
    }
}

/// A store that answers requests. Cheap to clone: all clones share the store's connections.
pub trait Directory: Clone + 'static {
    /// Answers within [`ANSWER_TIME`], or says that there was no answer.
    fn ask(&self, request: Request) -> impl Future<Output = Result<Answer, NoAnswer>>;

    /// The text of the last failure with this reason, from the store, TLS or the system.
    fn words(&self, reason: NoAnswer) -> Option<Arc<str>>;

    /// How often a connection to the store was lost so far. A change means that what was written last may be gone (failover).
    fn resets(&self) -> u64;

    /// This process's connection to the server that has `key` now; `None` where that server would not say truly whether it has it.
    fn connection(&self, key: &Key) -> Option<DirectoryConnection>;

    /// Waits until a connection was made or lost since the last call. For one caller at a time.
    fn changed(&self) -> impl Future<Output = ()>;
}
