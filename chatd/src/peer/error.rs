//! Why a connection to a peer ended. Plain data: no I/O.

use std::io;
use std::time::Duration;

use super::channel::ChannelError;
use super::handshake::{MAX_MESSAGE, Refusal};
use crate::peer_protocol::FrameTooLong;

/// Bytes that a connection may send before it has proven itself: the channel's keys and certificate, a hello, and a proof.
pub const MAX_UNPROVEN: usize = 32 * 1024;
/// A peer that reads nothing for so long is given up.
pub const WRITE_TIME: Duration = Duration::from_secs(5);

/// Why a connection to a peer ended.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum LinkError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Channel(#[from] ChannelError),
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error("a message of the handshake is longer than {MAX_MESSAGE} bytes")]
    MessageTooLong,
    #[error("it sent more than {MAX_UNPROVEN} bytes before it had authenticated itself")]
    TooMuch,
    #[error("{0}")]
    Frame(#[from] FrameTooLong),
    #[error("a frame without a room")]
    NoRoom,
    #[error("idle: both sides agreed to close it")]
    Idle,
    #[error("it was silent for too long")]
    Silent,
    #[error("it did not read for {} s", WRITE_TIME.as_secs())]
    NotReading,
}

impl LinkError {
    /// The other side's system has ended the connection: the process closed it, or has ended itself.
    pub fn is_reset(&self) -> bool {
        matches!(self, Self::Io(error) if hung_up(error))
    }

    /// Why nobody has been proven to be there; `None`: the connection just broke.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal) => Some(*refusal),
            Self::Channel(_) | Self::MessageTooLong | Self::TooMuch => Some(Refusal::NotAPeer),
            _ => None,
        }
    }
}

/// The other side is not there any more.
pub fn hung_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}
