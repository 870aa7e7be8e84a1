//! One connection to another pod: its channel and the messages of the handshake, then frames both ways. Does I/O; `links` decides
//! which connections stay.

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::channel::Channel;
use super::error::{LinkError, MAX_UNPROVEN, hung_up};
use super::handshake::{MAX_MESSAGE, Refusal, is_unencrypted};
use super::outbox::{Outbox, PING};
use crate::peer_protocol::{FrameTooLong, MAX_FRAME, split};

/// Bytes read at once.
const READ: usize = 64 * 1024;
/// Bytes that are encrypted at once: what waits is kept twice no longer than it takes to write this.
const PIECE: usize = 256 * 1024;
/// A buffer that has grown past this is not kept.
const KEPT: usize = 1024 * 1024;

/// What all links of a pod read into, one after the other, so that an idle one has no buffer.
#[derive(Debug)]
pub struct Scratch(RefCell<Box<[u8]>>);

impl Default for Scratch {
    fn default() -> Self {
        Self(RefCell::new(vec![0; READ].into_boxed_slice()))
    }
}

/// A connection with a channel over it.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    channel: Channel,
    /// Has been read, and not been taken yet.
    plaintext: Vec<u8>,
    received: usize,
}

impl Wire {
    /// Agrees on the channel's keys with the side that was dialled.
    pub async fn dial(stream: TcpStream, channel: Channel) -> Result<Self, LinkError> {
        let mut wire = Self::new(stream, channel)?;
        match wire.agree().await {
            Ok(()) => Ok(wire),
            Err(LinkError::Io(error)) if wire.received == 0 && hung_up(&error) => Err(Refusal::HungUp.into()),
            Err(error) => Err(error),
        }
    }

    /// Agrees on the channel's keys with the side that dialled.
    pub async fn listen(stream: TcpStream, channel: Channel) -> Result<Self, LinkError> {
        let mut wire = Self::new(stream, channel)?;
        wire.agree().await?;
        Ok(wire)
    }

    fn new(stream: TcpStream, channel: Channel) -> Result<Self, LinkError> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, channel, plaintext: Vec::new(), received: 0 })
    }

    /// What secures it, for the handshake.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    async fn agree(&mut self) -> Result<(), LinkError> {
        loop {
            self.flush().await?;
            if !self.channel.is_new() {
                return Ok(());
            }
            self.fill().await?;
        }
    }

    /// Sends one message of the handshake.
    pub async fn send_message(&mut self, message: &[u8]) -> Result<(), LinkError> {
        self.send(&[&(message.len() as u32).to_be_bytes(), message].concat()).await
    }

    /// Sends bytes in one record.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.channel.seal(bytes)?;
        self.flush().await
    }

    /// Reads one message of the handshake.
    pub async fn read_message(&mut self) -> Result<Vec<u8>, LinkError> {
        loop {
            if let Some((length, rest)) = self.plaintext.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if length > MAX_MESSAGE {
                    return Err(LinkError::MessageTooLong);
                }
                if let Some(message) = rest.get(..length) {
                    let message = message.to_vec();
                    self.plaintext.drain(..4 + length);
                    return Ok(message);
                }
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), LinkError> {
        let mut bytes = [0; 4096];
        let count = self.stream.read(&mut bytes).await?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        if self.received == 0 && is_unencrypted(&bytes[..count]) {
            return Err(Refusal::Unencrypted.into());
        }
        self.received += count;
        if self.received > MAX_UNPROVEN {
            return Err(LinkError::TooMuch);
        }
        let received = self.channel.receive(&bytes[..count], &mut self.plaintext);
        if received.is_err() {
            // Sends the other side the reason, if the socket takes it at once.
            let _ = self.channel.send(&mut Direct(|slices: &[IoSlice<'_>]| self.stream.try_write_vectored(slices)));
        }
        Ok(received?)
    }

    async fn flush(&mut self) -> Result<(), LinkError> {
        while self.channel.wants_to_send() {
            let sent = self.channel.send(&mut Direct(|slices: &[IoSlice<'_>]| self.stream.try_write_vectored(slices)));
            match sent {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.stream.writable().await?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Writes to a socket what it takes at once.
struct Direct<W>(W);

impl<W: FnMut(&[IoSlice<'_>]) -> io::Result<usize>> Write for Direct<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.0)(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        (self.0)(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Carries frames both ways until the connection ends. `take`: is given whole frames, each with its length, in batches.
pub async fn run(
    wire: Wire,
    outbox: &Outbox,
    scratch: &Scratch,
    take: impl FnMut(&[u8]) -> Result<(), LinkError>,
) -> LinkError {
    let Wire { mut stream, channel, plaintext, .. } = wire;
    let channel = RefCell::new(channel);
    let (reader, writer) = stream.split();
    outbox.heard();
    let ended = tokio::select! {
        // What has come counts before the time that has passed.
        biased;
        ended = read(reader, &channel, plaintext, outbox, scratch, take) => ended,
        ended = write(writer, &channel, outbox) => ended,
        error = outbox.given_up() => Err(error),
    };
    match ended {
        Ok(()) => LinkError::Io(io::ErrorKind::UnexpectedEof.into()),
        Err(error) => error,
    }
}

async fn read(
    mut reader: ReadHalf<'_>,
    channel: &RefCell<Channel>,
    mut plaintext: Vec<u8>,
    outbox: &Outbox,
    scratch: &Scratch,
    mut take: impl FnMut(&[u8]) -> Result<(), LinkError>,
) -> Result<(), LinkError> {
    loop {
        let whole = whole_frames(&plaintext)?;
        if whole > 0 {
            if plaintext[..whole] != PING {
                take(&plaintext[..whole])?;
            }
            plaintext.drain(..whole);
        }
        if plaintext.is_empty() && plaintext.capacity() > READ {
            plaintext = Vec::new();
        }
        let count = poll_fn(|context| {
            let mut bytes = scratch.0.borrow_mut();
            let mut bytes = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut reader).poll_read(context, &mut bytes))?;
            let mut channel = channel.borrow_mut();
            channel.receive(bytes.filled(), &mut plaintext)?;
            if channel.wants_to_send() {
                outbox.wake();
            }
            Poll::Ready(Ok::<usize, LinkError>(bytes.filled().len()))
        });
        if count.await? == 0 {
            return Ok(());
        }
        outbox.heard();
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

async fn write(mut writer: WriteHalf<'_>, channel: &RefCell<Channel>, outbox: &Outbox) -> Result<(), LinkError> {
    let mut batch = Vec::new();
    loop {
        outbox.take(&mut batch);
        if batch.is_empty() && !channel.borrow().wants_to_send() {
            if outbox.is_finished() {
                // What the other side has sent is read to its end: closed before that, the connection would be reset.
                writer.shutdown().await?;
                return pending().await;
            }
            outbox.filled().await;
            continue;
        }
        let mut unwritten = batch.len();
        flush(&writer, channel, outbox).await?;
        for piece in batch.chunks(PIECE) {
            outbox.writing(unwritten);
            channel.borrow_mut().seal(piece)?;
            flush(&writer, channel, outbox).await?;
            unwritten -= piece.len();
        }
        outbox.writing(0);
        batch.clear();
        if batch.capacity() > KEPT {
            batch = Vec::new();
        }
    }
}

async fn flush(writer: &WriteHalf<'_>, channel: &RefCell<Channel>, outbox: &Outbox) -> Result<(), LinkError> {
    while channel.borrow().wants_to_send() {
        let sent = channel.borrow_mut().send(&mut Direct(|slices: &[IoSlice<'_>]| writer.try_write_vectored(slices)));
        match sent {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            Ok(_) => outbox.wrote(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => writer.writable().await?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

// The longest frame, and what is read beyond it, bound the read buffer.
const _: () = assert!(MAX_FRAME + 4 + 2 * READ < KEPT);
