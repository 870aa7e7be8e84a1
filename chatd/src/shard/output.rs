//! From a shard's hub to its sockets, and the end of connections. Does I/O: writes and closes.

use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::time::Duration;

use mio::{Interest, Token};
use socket2::SockRef;

use super::connection::{Close, Connection, Due, Leaving, first_ping_after, ping_again_after};
use super::{LEAVING, Shard, websocket};
use crate::ids::SessionId;
use crate::peer_protocol::Disconnect;
use crate::protocol::ErrorCode;

/// How long a closed connection has to take its last words, and to close its side (ms; docs/protocol.md, Ends).
const LAST_WORDS: u64 = 1000;
/// Reads of forgotten input in one turn of a leaving socket, and bytes in all: a client that sends more does not read.
const LEAVING_READS: usize = 16;
const LEAVING_BYTES: usize = 1 << 20;

impl Shard {
    /// Carries out what the hub wants done, and writes what it has for its clients, until it has nothing more.
    pub(super) fn settle(&mut self) {
        loop {
            // Before its session ends or goes to another thread, whose it is would not be known any more.
            self.charge();
            self.carry_out_effects();
            self.hub.take_dirty(&mut self.dirty);
            if self.dirty.is_empty() && !self.shed() {
                break;
            }
            let mut dirty = std::mem::take(&mut self.dirty);
            self.written.extend_from_slice(&dirty);
            self.flush_all(&mut dirty);
            let mut written = std::mem::take(&mut self.written);
            for id in written.drain(..) {
                self.weigh(id);
            }
            self.written = written;
            // What flushing made dirty meanwhile comes next.
            dirty.append(&mut self.dirty);
            self.dirty = dirty;
        }
        self.send_frames();
        self.charge();
        self.unpause();
    }

    /// The hub is done with this client: its last words are to be written, and then the socket closed.
    pub(super) fn close(&mut self, id: SessionId, code: Option<ErrorCode>) {
        let Some(connection) = self.connection(id) else {
            return;
        };
        connection.closing = true;
        if let Some(web) = &mut connection.web {
            web.close = Some(Close(code));
        }
        self.arm(LAST_WORDS, Due::Flush(id));
        self.dirty.push(id);
    }

    /// Ends a WebSocket session for a reason of its own: the client closed it, or broke its rules.
    pub(super) fn close_web(&mut self, id: SessionId, code: Option<u16>, reason: &str, disconnect: Disconnect) {
        self.charge();
        self.flush(id);
        let output = self.hub.output(id);
        let Some(connection) = self.connections.get_mut(id.index as usize).and_then(Option::as_mut) else {
            return;
        };
        if connection.id != id {
            return;
        }
        let Some(web) = connection.web.as_mut() else {
            return;
        };
        // What does not fit is dropped, but a frame that is under way has to be finished.
        // Of one whose rest waits (its room's owner is not sure of itself), nothing more can be said.
        let rest = output.get(..web.unsent as usize);
        let mut last = rest.unwrap_or_default().to_vec();
        last.append(&mut web.control);
        websocket::close(code, reason, &mut last);
        if !connection.blocked && rest.is_some() {
            // Into an empty socket all of it goes; a full one belongs to someone who does not read.
            let _ = (&connection.stream).write(match &mut connection.tls {
                Some(tls) => tls.last_words(&last),
                None => &last,
            });
        }
        let connection = self.remove(id);
        self.hub.disconnected(self.time, id, disconnect);
        if let Some(connection) = connection {
            self.leave(connection);
        }
    }

    /// The last words are written.
    pub(super) fn finish(&mut self, id: SessionId) {
        let Some(connection) = self.remove(id) else {
            return;
        };
        self.hub.disconnected(self.time, id, Disconnect::Lost);
        // A client that has ended its input sends nothing that could reset the connection.
        if !connection.ended {
            self.leave(connection);
        }
    }

    /// Ends this side of a connection that the hub does not know any more, and waits a little for the other side.
    fn leave(&mut self, connection: Connection) {
        let Connection { mut stream, permit, .. } = connection;
        let entry = self.leaving.vacant_entry();
        let key = entry.key();
        let registry = self.poll.registry();
        if stream.shutdown(Shutdown::Write).is_err()
            || registry.reregister(&mut stream, Token(LEAVING | key), Interest::READABLE).is_err()
        {
            return;
        }
        self.last_leaving = self.last_leaving.wrapping_add(1);
        let generation = self.last_leaving;
        entry.insert(Leaving { stream, left: LEAVING_BYTES, generation, _permit: permit });
        self.arm(LAST_WORDS, Due::Leave { key: key as u32, generation });
    }

    /// Reads and forgets what comes from a client that has been sent its last words.
    pub(super) fn drain_leaving(&mut self, key: usize) {
        let Some(leaving) = self.leaving.get_mut(key) else {
            return;
        };
        for _ in 0..LEAVING_READS {
            match std::io::Read::read(&mut leaving.stream, &mut self.buffer) {
                Ok(count) if count > 0 && count < leaving.left => leaving.left -= count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                _ => break,
            }
        }
        self.leaving.remove(key);
    }

    /// The connection is of no use any more: it broke, or is not worth a word.
    pub(super) fn gone(&mut self, id: SessionId, disconnect: Disconnect) {
        self.charge();
        if self.remove(id).is_some() {
            self.hub.disconnected(self.time, id, disconnect);
        }
    }

    /// A deadline has come.
    pub(super) fn deadline(&mut self, due: Due) {
        let now = self.time.now;
        match due {
            Due::Alive(id) => {
                let Some(web) = self.connection(id).and_then(|connection| connection.web.as_mut()) else {
                    return;
                };
                let Some(after) = ping_again_after(now.saturating_sub(web.heard)) else {
                    return self.gone(id, Disconnect::Lost);
                };
                if web.control.is_empty() {
                    websocket::ping(&mut web.control);
                }
                self.arm(after, Due::Alive(id));
                self.dirty.push(id);
            }
            Due::Silent(id) => {
                let (Some(longest), Some(connection)) = (self.line_keep_alive, self.connection(id)) else {
                    return;
                };
                let silent = now.saturating_sub(connection.moved);
                if silent < longest {
                    return self.arm(longest - silent, Due::Silent(id));
                }
                self.hub.keep_alive(self.time, id);
                self.arm(longest, Due::Silent(id));
            }
            Due::Flush(id) => {
                if let Some(connection) = self.connection(id) {
                    // It does not read: what is queued in the system is not kept for it either.
                    let _ = SockRef::from(&connection.stream).set_linger(Some(Duration::ZERO));
                    self.gone(id, Disconnect::Lost);
                }
            }
            Due::Shrink => self.shrink(),
            Due::Leave { key, generation } => {
                if self.leaving.get(key as usize).is_some_and(|leaving| leaving.generation == generation) {
                    self.leaving.remove(key as usize);
                }
            }
        }
    }

    /// Starts to serve a WebSocket client.
    pub(super) fn keep_alive(&mut self, id: SessionId) {
        self.arm(first_ping_after(id.index), Due::Alive(id));
    }
}
