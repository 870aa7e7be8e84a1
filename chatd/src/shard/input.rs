//! From a shard's sockets to its hub. Does I/O: reads.

use std::io::{ErrorKind, Read, Write};

use mio::event::Event;

use super::connection::{Connection, Web};
use super::websocket::{self, Incoming, Violation};
use super::{EVENTS, LEAVING, MAIL, Shard};
use crate::ids::SessionId;
use crate::peer_protocol::Disconnect;

/// A smaller part of a message costs as much as a message: else a message could be had in tens of thousands of frames.
const SCRAP: usize = 256;

/// Lines or frames of one connection that one turn carries out, however few bytes they have.
const TURN: usize = 256;

/// How many bytes of these lines one turn carries out.
fn one_turn(lines: &[u8]) -> usize {
    if lines.len() <= TURN {
        return lines.len();
    }
    // A NUL may end a line too.
    memchr::memchr2_iter(b'\n', 0, lines).nth(TURN - 1).map_or(lines.len(), |end| end + 1)
}

/// What came of one read.
enum Came {
    Bytes(usize),
    /// The client has ended its input.
    End,
    Nothing,
    Broken,
}

/// Reads once. A read that fills less than the buffer has emptied the socket: the next bytes make a new event.
fn read(stream: &mut impl Read, buffer: &mut [u8]) -> Came {
    loop {
        return match stream.read(buffer) {
            Ok(0) => Came::End,
            Ok(count) => Came::Bytes(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Came::Nothing,
            Err(_) => Came::Broken,
        };
    }
}

impl Connection {
    /// Reads once, decrypts if need be, and leaves the plaintext in `buffer`. Returns whether there may be more.
    fn read(&mut self, buffer: &mut [u8], sealed: &mut [u8]) -> (Came, bool) {
        let Some(tls) = &mut self.tls else {
            let came = read(&mut self.stream, buffer);
            let more = matches!(came, Came::Bytes(count) if count == buffer.len());
            return (came, more);
        };
        if tls.ended() {
            return (Came::End, false);
        }
        match read(&mut self.stream, sealed) {
            Came::Bytes(count) => match tls.receive(&sealed[..count], buffer) {
                Ok(said) => (Came::Bytes(said), count == sealed.len() || tls.ended()),
                Err(_) => {
                    if !self.blocked {
                        // The alert, if it fits.
                        let _ = (&self.stream).write(tls.unsent());
                    }
                    (Came::Broken, false)
                }
            },
            // Truncated: a complete TLS stream ends with close_notify.
            Came::End if !self.closing => (Came::Broken, false),
            came => (came, false),
        }
    }
}

impl Shard {
    /// Takes what came with the end of the handshake.
    pub(super) fn begin_tls(&mut self, id: SessionId) {
        let Some(Some(connection)) = self.connections.get_mut(id.index as usize) else { return };
        let Some(tls) = connection.tls.as_mut().filter(|_| connection.id == id) else { return };
        let Ok(count) = tls.receive(&[], &mut self.buffer) else {
            return self.gone(id, Disconnect::Lost);
        };
        let (ended, has_words) = (tls.ended(), !tls.unsent().is_empty());
        let waits = connection.web.as_mut().map_or(&mut connection.rest, |web| &mut web.pending);
        waits.extend_from_slice(&self.buffer[..count]);
        if has_words {
            self.dirty.push(id);
        }
        self.read_pending(id);
        if ended {
            self.queue(id);
        }
    }

    /// A socket is ready for something.
    pub(super) fn ready(&mut self, event: &Event) {
        let token = event.token();
        if token == MAIL {
            return;
        }
        if token.0 & LEAVING != 0 {
            return self.drain_leaving(token.0 & !LEAVING);
        }
        let Some(Some(connection)) = self.connections.get_mut(token.0) else {
            return;
        };
        let id = connection.id;
        connection.hung_up |= event.is_read_closed() || event.is_error();
        if event.is_write_closed() && (connection.ended || connection.paused) {
            return self.gone(id, Disconnect::Lost);
        }
        if event.is_writable() && connection.blocked {
            connection.blocked = false;
            self.dirty.push(id);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read(id);
            self.weigh(id);
        }
    }

    /// Goes on with what one turn did not finish.
    pub(super) fn read_again(&mut self) {
        let count = self.again.len().min(EVENTS);
        for id in self.again.drain(..count).collect::<Vec<_>>() {
            if let Some(connection) = self.connection(id) {
                connection.queued = false;
                self.read_pending(id);
                self.read(id);
                self.weigh(id);
            }
        }
    }

    /// Gives the connection another turn.
    fn queue(&mut self, id: SessionId) {
        if let Some(connection) = self.connection(id)
            && !std::mem::replace(&mut connection.queued, true)
        {
            self.again.push_back(id);
        }
    }

    /// Finds out who may be read again.
    pub(super) fn unpause(&mut self) {
        let mut index = 0;
        while index < self.paused.len() {
            let id = self.paused[index];
            let wanted = self.hub.wants_input(id);
            match self.connection(id) {
                Some(connection) if !wanted && !connection.closing => index += 1,
                Some(connection) => {
                    connection.paused = false;
                    self.paused.swap_remove(index);
                    self.queue(id);
                }
                None => {
                    self.paused.swap_remove(index);
                }
            }
        }
    }

    fn pause(&mut self, id: SessionId) {
        if let Some(connection) = self.connection(id)
            && !connection.paused
        {
            connection.paused = true;
            self.paused.push(id);
        }
    }

    /// Reads once from a client, and tells the hub.
    fn read(&mut self, id: SessionId) {
        let wanted = self.hub.wants_input(id);
        let Some(connection) = self.connections.get_mut(id.index as usize).and_then(Option::as_mut) else {
            return;
        };
        if connection.id != id || connection.ended || connection.paused || connection.queued {
            return;
        }
        if !wanted && !connection.closing {
            return self.pause(id);
        }
        let (came, more) = connection.read(&mut self.buffer, &mut self.sealed);
        if connection.tls.as_deref().is_some_and(|tls| !tls.unsent().is_empty()) {
            self.dirty.push(id);
        }
        match came {
            Came::Bytes(count) => {
                connection.moved = self.time.now;
                let mut more = more || connection.hung_up;
                if !connection.closing && count > 0 {
                    self.hub.counters_mut().bytes_in += count as u64;
                    if connection.web.is_some() {
                        self.read_frames(id, count);
                    } else {
                        let turn = one_turn(&self.buffer[..count]);
                        connection.rest.extend_from_slice(&self.buffer[turn..count]);
                        more |= turn < count;
                        self.hub.receive(self.time, id, &self.buffer[..turn]);
                    }
                }
                if more {
                    self.queue(id);
                }
            }
            Came::End => {
                connection.ended = true;
                let (closing, web) = (connection.closing, connection.web.is_some());
                if web {
                    self.gone(id, Disconnect::Lost);
                } else if !closing {
                    self.hub.end_of_input(self.time, id);
                }
            }
            Came::Nothing => {}
            Came::Broken => self.gone(id, Disconnect::Lost),
        }
    }

    /// `count` bytes of WebSocket frames are in the buffer.
    fn read_frames(&mut self, id: SessionId, count: usize) {
        let now = self.time.now;
        let Some(web) = self.connection(id).and_then(|connection| connection.web.as_mut()) else {
            return;
        };
        web.heard = now;
        if web.pending.is_empty() {
            // Most often whole frames come, and are parsed where they were read.
            let mut buffer = std::mem::take(&mut self.buffer);
            let used = self.frames(id, &mut buffer[..count]);
            self.buffer = buffer;
            let Self { connections, buffer, .. } = self;
            if let Some(web) = web_of(connections, id) {
                web.pending.extend_from_slice(&buffer[used..count]);
            }
        } else {
            let Self { connections, buffer, .. } = self;
            if let Some(web) = web_of(connections, id) {
                web.pending.extend_from_slice(&buffer[..count]);
            }
            self.read_pending(id);
        }
    }

    /// Carries out what was read and had to wait.
    pub(super) fn read_pending(&mut self, id: SessionId) {
        let Some(web) = web_of(&mut self.connections, id) else {
            return self.read_rest(id);
        };
        let mut pending = std::mem::take(&mut web.pending);
        let used = self.frames(id, &mut pending);
        if used < pending.len()
            && let Some(web) = web_of(&mut self.connections, id)
        {
            pending.drain(..used);
            web.pending = pending;
        }
    }

    /// Carries out the lines that were read and had to wait, as many as one turn takes.
    fn read_rest(&mut self, id: SessionId) {
        let wanted = self.hub.wants_input(id);
        let Some(connection) = self.connection(id).filter(|connection| !connection.rest.is_empty()) else {
            return;
        };
        if connection.closing {
            connection.rest = Vec::new();
            return;
        }
        if !wanted {
            return self.pause(id);
        }
        let mut lines = std::mem::take(&mut connection.rest);
        let turn = one_turn(&lines);
        self.hub.receive(self.time, id, &lines[..turn]);
        if turn < lines.len()
            && let Some(connection) = self.connection(id)
        {
            lines.drain(..turn);
            connection.rest = lines;
            self.queue(id);
        }
    }

    /// Carries out the whole frames in `bytes`, for as long as the hub wants them and the turn lasts. Returns how many bytes that
    /// took.
    fn frames(&mut self, id: SessionId, bytes: &mut [u8]) -> usize {
        let mut used = 0;
        let mut count = 0;
        loop {
            if !self.hub.wants_input(id) {
                self.pause(id);
                return used;
            }
            if count == TURN {
                self.queue(id);
                return used;
            }
            count += 1;
            let Some(connection) = self.connections.get_mut(id.index as usize).and_then(Option::as_mut) else {
                return bytes.len();
            };
            let Some(web) = connection.web.as_mut().filter(|_| !connection.closing) else {
                return bytes.len();
            };
            let Web { decoder, control, .. } = web.as_mut();
            match decoder.decode(&mut bytes[used..]) {
                Ok(None) => return used,
                Ok(Some((incoming, taken))) => {
                    used += taken;
                    match incoming {
                        Incoming::Text(text) => self.hub.receive_message(self.time, id, text),
                        Incoming::Ping(payload) => {
                            if self.hub.receive_idle_frame(self.time, id) {
                                websocket::pong(payload, control);
                                self.dirty.push(id);
                            }
                        }
                        Incoming::Part(part) if part.len() >= SCRAP => {}
                        Incoming::Pong | Incoming::Part(_) => {
                            self.hub.receive_idle_frame(self.time, id);
                        }
                        Incoming::Close(code) => {
                            self.close_web(
                                id,
                                code,
                                "",
                                if code == Some(1001) { Disconnect::GoingAway } else { Disconnect::Lost },
                            );
                            return bytes.len();
                        }
                    }
                }
                Err(Violation::TooLong) => {
                    // The hub says so and closes; what follows makes no sense any more.
                    connection.closing = true;
                    self.hub.too_long(self.time, id);
                    return bytes.len();
                }
                Err(violation) => {
                    self.close_web(id, Some(violation.close_code()), "", Disconnect::Lost);
                    return bytes.len();
                }
            }
        }
    }
}

/// As a function of the one field, so that the others can be used beside it.
fn web_of(connections: &mut [Option<super::Connection>], id: SessionId) -> Option<&mut Web> {
    let connection = connections.get_mut(id.index as usize)?.as_mut()?;
    connection.web.as_deref_mut().filter(|_| connection.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_so_many_lines_and_not_so_many_bytes() {
        assert_eq!(one_turn(&b"\n".repeat(65_536)), TURN);
        assert_eq!(one_turn(&b"PING\n".repeat(13_000)), 5 * TURN);
        let long = [&[b'x'; 4_000][..], b"\n"].concat();
        for lines in [&b""[..], b"PING\n", &b"PING\n".repeat(TURN), &long.repeat(16), &b"x".repeat(65_536)] {
            assert_eq!(one_turn(lines), lines.len());
        }
    }
}
