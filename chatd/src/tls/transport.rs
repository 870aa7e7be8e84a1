//! TLS of one connection whose keys are agreed: ciphertext in, plaintext out, and the other way round. Pure: no I/O.

use std::fmt;
use std::io::{self, Read, Write};

use rustls::ServerConnection;

use super::records::Records;

/// The plaintext of one record at most (RFC 8446 section 5.1): what is sealed at once for a client that reads slowly.
pub const RECORD: usize = 16 * 1024;
/// Plaintext that may come of bytes received before, on top of as much as is received now: one record that was not whole.
pub const UNFINISHED: usize = RECORD + 2 * 1024;

/// Ciphertext that may come without any plaintext: a record that is under way, and one before it that is for TLS alone, such as a key
/// update, padded. rustls would collect 64 KiB of a handshake message, which after the handshake no client has to send.
const MOST_UNDELIVERED: usize = 2 * UNFINISHED;

/// The record layer of one connection.
pub struct Transport {
    tls: ServerConnection,
    records: Records,
    /// Ciphertext that has come since the last plaintext: rustls holds no more than that, a record that is not whole or records of a
    /// handshake message that is not. It says itself neither how much it holds nor whether it holds anything.
    undelivered: usize,
    /// What comes is not taken any more.
    deaf: bool,
    /// Ciphertext that the socket has not taken yet. Without memory while there is none.
    sealed: Vec<u8>,
    /// So much of `sealed` is written.
    sent: usize,
    /// The other end has sent close_notify.
    ended: bool,
    /// This end has sent close_notify.
    closed: bool,
}

impl Transport {
    /// Goes on with a connection after its handshake, which has read as far as `records` says.
    pub fn new(tls: ServerConnection, records: Records) -> Self {
        let undelivered = records.unfinished();
        let mut transport =
            Self { tls, records, undelivered, deaf: false, sealed: Vec::new(), sent: 0, ended: false, closed: false };
        transport.collect();
        transport
    }

    /// Takes what came from the socket, writes what it says to the start of `plaintext`, which is [`UNFINISHED`] longer than `bytes`, and
    /// returns how many bytes that is. An error is the connection's end; its alert is in [`Transport::unsent`], as is what TLS itself
    /// has to answer.
    pub fn receive(&mut self, bytes: &[u8], plaintext: &mut [u8]) -> io::Result<usize> {
        if self.deaf {
            return Ok(0);
        }
        let count = self.take(bytes, plaintext);
        self.collect();
        count
    }

    fn take(&mut self, mut bytes: &[u8], plaintext: &mut [u8]) -> io::Result<usize> {
        let (mut count, mut record) = (0, &[][..]);
        loop {
            let state = self.tls.process_new_packets().map_err(io::Error::other)?;
            self.ended |= state.peer_has_closed();
            let end = count + state.plaintext_bytes_to_read();
            if end > count {
                let room = plaintext.get_mut(count..end).ok_or(io::ErrorKind::OutOfMemory)?;
                self.tls.reader().read_exact(room)?;
                count = end;
                // It is of all that came before: nothing is given to rustls beyond the end of a record, except by the handshake.
                self.undelivered = self.records.unfinished();
            } else if self.undelivered > MOST_UNDELIVERED {
                return Err(io::Error::other("a handshake message after the handshake, or records without content"));
            }
            // What follows a close_notify does not count (RFC 8446 section 6.1).
            if self.ended || (record.is_empty() && bytes.is_empty()) {
                return Ok(count);
            }
            if record.is_empty() {
                record = self.records.take(&mut bytes);
            }
            let given = self.tls.read_tls(&mut record)?;
            self.ended |= given == 0;
            self.undelivered += given;
        }
    }

    /// The other end has closed its direction with a close_notify. A socket that ends without one was cut off.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Encrypts all of `bytes`. False: the connection is broken.
    #[must_use]
    pub fn seal(&mut self, bytes: &[u8]) -> bool {
        let taken = self.tls.writer().write_all(bytes);
        self.collect();
        taken.is_ok()
    }

    /// Says once that nothing more comes from this end.
    pub fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            self.tls.send_close_notify();
            self.collect();
        }
    }

    /// Encrypts the last plaintext, if possible, and close_notify.
    pub fn last_words(&mut self, bytes: &[u8]) -> &[u8] {
        if self.seal(bytes) {
            self.close();
        }
        self.unsent()
    }

    /// What the socket is to be given.
    pub fn unsent(&self) -> &[u8] {
        &self.sealed[self.sent..]
    }

    /// The socket has taken so much of [`Transport::unsent`].
    pub fn sent(&mut self, count: usize) {
        self.sent += count;
        if self.sent >= self.sealed.len() {
            (self.sealed, self.sent) = (Vec::new(), 0);
        }
    }

    /// Bytes of memory that ciphertext takes, in either direction.
    pub fn holds(&self) -> usize {
        self.sealed.capacity() + self.undelivered
    }

    /// Takes nothing more of what comes, and does not count what is unfinished of it: it goes with the connection, which is ending.
    pub fn forget_input(&mut self) {
        (self.deaf, self.undelivered) = (true, 0);
    }

    fn collect(&mut self) {
        while self.tls.wants_write() {
            // Writing into memory does not fail.
            if !matches!(self.tls.write_tls(&mut self.sealed), Ok(1..)) {
                return;
            }
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unsent = self.unsent().len();
        formatter.debug_struct("Transport").field("unsent", &unsent).field("ended", &self.ended).finish_non_exhaustive()
    }
}
