//! One connection to another pod: its handshake, and then frames both ways. Does I/O; which connections stay is for `links` to say.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::handshake::{MAX_MESSAGE, Refusal};
use crate::frame::{FrameTooLong, MAX_FRAME, split};

/// A frame without content: it says only that the sender is alive.
const PING: [u8; 4] = [0; 4];
/// A pod that has nothing to say for so long sends a ping.
const PING_AFTER: Duration = Duration::from_secs(1);
/// Silence is counted in looks of this length, so that a process which was stopped itself reads first what has come meanwhile.
const LOOK: Duration = Duration::from_millis(500);
/// Looks without a byte from the peer before the link is broken: 3 s, and 5 s while there is much to do.
const SILENT_LOOKS: u32 = 6;
const SILENT_LOOKS_LOADED: u32 = 10;
/// A look that came so late is a sign of load on this side.
const LATE_LOOK: Duration = Duration::from_millis(750);
/// A peer that reads nothing for so long is given up.
const WRITE_TIME: Duration = Duration::from_secs(5);
/// Bytes that may wait for a peer before it is given up.
pub const MAX_QUEUE: usize = 64 * 1024 * 1024;
/// Bytes read at once.
const READ: usize = 64 * 1024;
/// A buffer that has grown past this is not kept.
const KEPT: usize = 1024 * 1024;

/// Why a connection to a peer ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error("a message of the handshake is longer than {MAX_MESSAGE} bytes")]
    MessageTooLong,
    #[error("{0}")]
    Frame(#[from] FrameTooLong),
    #[error("a frame that names no room")]
    NoRoom,
    #[error("it was silent for too long")]
    Silent,
    #[error("it did not read for {} s", WRITE_TIME.as_secs())]
    NotReading,
}

/// What is to be sent to a peer.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: RefCell<Vec<u8>>,
    /// Of the batch that is being written.
    unwritten: Cell<usize>,
    filled: Notify,
}

impl Outbox {
    /// Queues whole frames. `false`: the peer is too far behind.
    pub fn push(&self, bytes: Vec<u8>) -> bool {
        let mut queue = self.queue.borrow_mut();
        if queue.len() + bytes.len() + self.unwritten.get() > MAX_QUEUE {
            return false;
        }
        if queue.is_empty() {
            *queue = bytes;
        } else {
            queue.extend_from_slice(&bytes);
        }
        self.filled.notify_one();
        true
    }

    fn waiting(&self) -> usize {
        self.queue.borrow().len() + self.unwritten.get()
    }
}

/// Sends one message of the handshake.
pub async fn send_message(stream: &mut TcpStream, message: &[u8]) -> Result<(), LinkError> {
    let mut bytes = (message.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(message);
    Ok(stream.write_all(&bytes).await?)
}

/// Reads one message of the handshake.
pub async fn read_message(stream: &mut TcpStream) -> Result<Vec<u8>, LinkError> {
    let length = stream.read_u32().await? as usize;
    if length > MAX_MESSAGE {
        return Err(LinkError::MessageTooLong);
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Carries frames both ways until the connection ends. `take`: is given whole frames, each with its length, in batches.
pub async fn run(
    mut stream: TcpStream,
    outbox: &Outbox,
    take: impl FnMut(&[u8]) -> Result<(), LinkError>,
) -> LinkError {
    let (reader, writer) = stream.split();
    let ended = tokio::select! {
        ended = read(reader, outbox, take) => ended,
        ended = write(writer, outbox) => ended,
    };
    match ended {
        Ok(()) => LinkError::Io(io::ErrorKind::UnexpectedEof.into()),
        Err(error) => error,
    }
}

async fn read(
    mut reader: ReadHalf<'_>,
    outbox: &Outbox,
    mut take: impl FnMut(&[u8]) -> Result<(), LinkError>,
) -> Result<(), LinkError> {
    let mut buffer = Vec::with_capacity(READ);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looked = Instant::now();
    let mut silent = 0;
    loop {
        tokio::select! {
            // What has come counts before the time that has passed.
            biased;
            read = reader.read_buf(&mut buffer) => {
                if read? == 0 {
                    return Ok(());
                }
                silent = 0;
                let whole = whole_frames(&buffer)?;
                take(&buffer[..whole])?;
                buffer.drain(..whole);
                if buffer.is_empty() && buffer.capacity() > KEPT {
                    buffer = Vec::with_capacity(READ);
                }
                buffer.reserve(READ);
            }
            _ = looks.tick() => {
                silent += 1;
                let now = Instant::now();
                let loaded = outbox.waiting() > 0 || now - looked > LATE_LOOK;
                looked = now;
                if silent > if loaded { SILENT_LOOKS_LOADED } else { SILENT_LOOKS } {
                    return Err(LinkError::Silent);
                }
            }
        }
    }
}

/// How many of `bytes` are whole frames.
fn whole_frames(bytes: &[u8]) -> Result<usize, FrameTooLong> {
    let mut rest = bytes;
    while let Some((_, after)) = split(rest)? {
        rest = after;
    }
    Ok(bytes.len() - rest.len())
}

async fn write(mut writer: WriteHalf<'_>, outbox: &Outbox) -> Result<(), LinkError> {
    let mut batch = Vec::new();
    loop {
        std::mem::swap(&mut batch, &mut outbox.queue.borrow_mut());
        if batch.is_empty() {
            match timeout(PING_AFTER, outbox.filled.notified()).await {
                Ok(()) => continue,
                Err(_) => batch.extend_from_slice(&PING),
            }
        }
        let mut written = 0;
        while written < batch.len() {
            outbox.unwritten.set(batch.len() - written);
            match timeout(WRITE_TIME, writer.write(&batch[written..])).await {
                Ok(Ok(0)) => return Ok(()),
                Ok(Ok(count)) => written += count,
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Err(LinkError::NotReading),
            }
        }
        outbox.unwritten.set(0);
        batch.clear();
        if batch.capacity() > KEPT {
            batch = Vec::new();
        }
    }
}

// The longest frame, and what is read beyond it, bound the read buffer.
const _: () = assert!(MAX_FRAME + 4 + 2 * READ < KEPT);
