//! The configured directory. Does I/O through the implementation that it wraps.

use std::sync::Arc;

use super::memory::MemoryDirectory;
use super::redis::RedisDirectory;
use super::{Answer, Directory, DirectoryConnection, Key, NoAnswer, Request};

/// One of the stores, chosen at start: the pod need not be generic over it.
#[derive(Debug, Clone)]
pub enum AnyDirectory {
    /// This process alone.
    Memory(MemoryDirectory),
    /// Shared by the pods of a deployment.
    Redis(RedisDirectory),
}

impl Directory for AnyDirectory {
    async fn ask(&self, request: Request) -> Result<Answer, NoAnswer> {
        match self {
            Self::Memory(directory) => directory.ask(request).await,
            Self::Redis(directory) => directory.ask(request).await,
        }
    }

    fn words(&self, reason: NoAnswer) -> Option<Arc<str>> {
        match self {
            Self::Memory(directory) => directory.words(reason),
            Self::Redis(directory) => directory.words(reason),
        }
    }

    fn resets(&self) -> u64 {
        match self {
            Self::Memory(directory) => directory.resets(),
            Self::Redis(directory) => directory.resets(),
        }
    }

    fn connection(&self, key: &Key) -> Option<DirectoryConnection> {
        match self {
            Self::Memory(directory) => directory.connection(key),
            Self::Redis(directory) => directory.connection(key),
        }
    }

    async fn changed(&self) {
        match self {
            Self::Memory(directory) => directory.changed().await,
            Self::Redis(directory) => directory.changed().await,
        }
    }
}
