//! Writes to clients' sockets: the first write of each in one system call for all. Does I/O: writes.

use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};

use super::connection::{Connection, Web};
use super::{Shard, websocket};
use crate::hub::Hub;
use crate::ids::{SessionId, Time};
use crate::peer_protocol::Disconnect;
use crate::tls::transport::RECORD;

/// The bytes that one write offers a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Next<'a> {
    bytes: &'a [u8],
    /// Control frames of this side, not the hub's output.
    control: bool,
}

impl Shard {
    /// Writes all that these clients are to have, or as much as their sockets take. A client may stand there twice.
    pub(super) fn flush_all(&mut self, dirty: &mut Vec<SessionId>) {
        if dirty.len() > 1 && self.batch.is_batched() {
            self.write_once(dirty);
        }
        for id in dirty.drain(..) {
            self.flush(id);
        }
    }

    /// Makes one write to each of these clients, all in one system call, and leaves in `dirty` those for whom more is to be done.
    fn write_once(&mut self, dirty: &mut Vec<SessionId>) {
        dirty.retain(|&id| self.prepare(id));
        let Self { connections, hub, batch, results, time, .. } = self;
        let writes = dirty.iter().filter_map(|&id| {
            let connection = connections.get(id.index as usize)?.as_ref()?;
            Some((connection.socket(), connection.offer(hub.output(id))))
        });
        batch.write(writes, results);
        debug_assert_eq!(results.len(), dirty.len(), "each prepared client has a result");

        // First the hub gets all write results: what it then does with one client may shorten another client's queue.
        for (&id, result) in dirty.iter().zip(&*results) {
            if let Some(Some(connection)) = connections.get_mut(id.index as usize) {
                connection.in_batch = false;
                match result {
                    Ok(count) => wrote(hub, *time, connection, *count),
                    Err(error) => connection.blocked = error.kind() == ErrorKind::WouldBlock,
                }
            }
        }
        let mut results = std::mem::take(results);
        let mut results_of = results.iter();
        dirty.retain(|&id| match results_of.next() {
            Some(Err(error)) if error.kind() != ErrorKind::WouldBlock => {
                self.gone(id, Disconnect::Lost);
                false
            }
            _ => self.connection(id).is_some_and(|connection| !connection.blocked),
        });
        results.clear();
        self.results = results;
    }

    /// Whether this client has something to write, and its socket takes it, and it is not in the batch already. One that has
    /// nothing to write and is closing is finished.
    fn prepare(&mut self, id: SessionId) -> bool {
        let Some(connection) = self.connections.get_mut(id.index as usize).and_then(Option::as_mut) else {
            return false;
        };
        if connection.id != id || connection.blocked || connection.in_batch {
            return false;
        }
        connection.prepare_close(self.hub.output(id));
        if !seal(&mut self.hub, self.time, connection) {
            self.gone(id, Disconnect::Lost);
            return false;
        }
        if connection.offer(self.hub.output(id)).is_empty() {
            if connection.closing {
                self.finish(id);
            }
            return false;
        }
        connection.in_batch = true;
        true
    }

    /// Writes all that the client is to have, or as much as its socket takes.
    pub(super) fn flush(&mut self, id: SessionId) {
        let Some(connection) = self.connections.get_mut(id.index as usize).and_then(Option::as_mut) else {
            return;
        };
        if connection.id != id || connection.blocked {
            return;
        }
        loop {
            connection.prepare_close(self.hub.output(id));
            if !seal(&mut self.hub, self.time, connection) {
                return self.gone(id, Disconnect::Lost);
            }
            let bytes = connection.offer(self.hub.output(id));
            if bytes.is_empty() {
                break;
            }
            match (&connection.stream).write(bytes) {
                Ok(count) => wrote(&mut self.hub, self.time, connection, count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => connection.blocked = true,
                Err(_) => return self.gone(id, Disconnect::Lost),
            }
            if connection.blocked {
                return;
            }
        }
        if connection.closing {
            self.finish(id);
        }
    }
}

impl Connection {
    fn socket(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// What one write offers the socket: ciphertext, or what is next as it is.
    fn offer<'a>(&'a self, output: &'a [u8]) -> &'a [u8] {
        match &self.tls {
            Some(tls) => tls.unsent(),
            None => next(self.web.as_deref(), output).bytes,
        }
    }

    /// Makes the close frame, if the hub's output is out.
    fn prepare_close(&mut self, output: &[u8]) {
        if let Some(web) = &mut self.web
            && output.is_empty()
            && let Some(close) = web.close.take()
        {
            let (code, reason) = close.code_and_reason();
            websocket::close(Some(code), reason, &mut web.control);
        }
    }
}

/// With TLS: encrypts what is next once all before it is written, one record at most, and at last the end. What a client that does
/// not read has not taken waits in the hub, as without TLS, where its limit counts. False: the connection is broken.
fn seal(hub: &mut Hub, time: Time, connection: &mut Connection) -> bool {
    let Some(tls) = connection.tls.as_mut().filter(|tls| tls.unsent().is_empty()) else {
        return true;
    };
    let Next { bytes, .. } = next(connection.web.as_deref(), hub.output(connection.id));
    if bytes.is_empty() {
        if connection.closing {
            tls.close();
        }
        return true;
    }
    let count = bytes.len().min(RECORD);
    let sealed = tls.seal(&bytes[..count]);
    took(hub, time, connection, count);
    sealed
}

/// So many of the bytes that [`Connection::offer`] named were written to this client.
fn wrote(hub: &mut Hub, time: Time, connection: &mut Connection, count: usize) {
    let offered = connection.offer(hub.output(connection.id)).len();
    // A short write means that the socket is full; it makes an event when it is not.
    connection.blocked = count < offered;
    match &mut connection.tls {
        Some(tls) => {
            tls.sent(count);
            connection.moved = time.now;
        }
        None => took(hub, time, connection, count),
    }
}

/// So many of the bytes that [`next`] named are on their way to this client.
fn took(hub: &mut Hub, time: Time, connection: &mut Connection, count: usize) {
    let id = connection.id;
    let output = hub.output(id);
    let control = next(connection.web.as_deref(), output).control;
    if let Some(web) = &mut connection.web {
        if control {
            web.control.drain(..count);
        } else {
            // Of one frame of the hub, which is far shorter.
            web.unsent = websocket::unsent_after(output, count, web.unsent as usize) as u32;
        }
    }
    connection.moved = time.now;
    if !control && count > 0 {
        hub.counters_mut().bytes_out += count as u64;
        hub.wrote(id, count);
    }
}

/// What to write next: the hub's output, or control frames of this side where no frame is under way.
fn next<'a>(web: Option<&'a Web>, output: &'a [u8]) -> Next<'a> {
    match web {
        Some(web) if !web.control.is_empty() && web.unsent == 0 => Next { bytes: &web.control, control: true },
        // The hub may hold the rest of a frame back for a while: then nothing goes out.
        Some(web) if !web.control.is_empty() => {
            Next { bytes: output.get(..web.unsent as usize).unwrap_or_default(), control: false }
        }
        _ => Next { bytes: output, control: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_frame_waits_for_the_frame_that_is_under_way() {
        let mut web = Web { unsent: 3, control: vec![0x8a, 0], ..Web::default() };
        assert_eq!(next(Some(&web), b"endnext"), Next { bytes: b"end", control: false });
        // The hub holds its output back, in the middle of a frame.
        assert_eq!(next(Some(&web), b""), Next { bytes: b"", control: false });
        web.unsent = 0;
        assert_eq!(next(Some(&web), b"next"), Next { bytes: &[0x8a, 0], control: true });
    }
}
