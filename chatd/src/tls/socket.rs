//! A client's socket under its TLS, from the handshake on. Does I/O.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::records::Records;
use super::transport::Transport;

/// Bytes that a client may send until its handshake is done: rustls would collect 64 KiB of a message. A chain of certificates, the most
/// that a client has to send, takes a few.
const HANDSHAKE_BYTES: usize = 32 * 1024;

/// A connection whose handshake is done.
pub type Secured = TlsStream<Socket>;

/// Follows the records that are read from the socket: rustls does not tell whether it holds a part of one, and [`Transport`] has to know.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    records: Records,
    /// So many bytes may still be read.
    left: usize,
}

impl Socket {
    /// Of a connection that has read no TLS yet.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, records: Records::default(), left: HANDSHAKE_BYTES }
    }

    /// The handshake is done, and the limit of what it may take no more.
    pub fn secured(mut secured: Secured) -> Secured {
        secured.get_mut().0.left = usize::MAX;
        secured
    }
}

/// The socket, and what is TLS of the connection, for a shard.
pub fn split(secured: Secured) -> (TcpStream, Box<Transport>) {
    let (Socket { stream, records, .. }, tls) = secured.into_inner();
    (stream, Box::new(Transport::new(tls, records)))
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let came = &buffer.filled()[before..];
        self.records.pass(came);
        match self.left.checked_sub(came.len()) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, "a handshake of more than 32 KiB"))),
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
