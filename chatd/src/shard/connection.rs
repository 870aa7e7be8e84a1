//! A shard's state of one client connection, besides the hub's session. Types only; no I/O.

use std::net::IpAddr;

use mio::net::TcpStream;

use super::websocket::Decoder;
use crate::connection_limit::Permit;
use crate::ids::SessionId;
use crate::protocol::{ErrorCode, close_code};
use crate::tls::transport::Transport;

/// One client's socket. It can go from one shard to another once it is deregistered.
#[derive(Debug)]
pub struct Connection {
    pub(super) id: SessionId,
    pub(super) stream: TcpStream,
    pub(super) address: IpAddr,
    pub(super) permit: Permit,
    /// The TLS session over the socket; `None`: plaintext.
    pub(super) tls: Option<Box<Transport>>,
    /// For WebSocket; lines need nothing more.
    pub(super) web: Option<Box<Web>>,
    /// The socket is full: wait until it is writable.
    pub(super) blocked: bool,
    /// When bytes went over it last, in either direction (ms).
    pub(super) moved: u64,
    /// The client has closed or shut down its side: what is left has to be read to its end.
    pub(super) hung_up: bool,
    /// The end of the client's input has been read.
    pub(super) ended: bool,
    /// The hub has ended the session: flush, then close.
    pub(super) closing: bool,
    /// Stands in the list of connections that are not wanted to be read.
    pub(super) paused: bool,
    /// Stands in the batch of writes that is being made.
    pub(super) in_batch: bool,
    /// Stands in the list of connections that have more to do in the next turn.
    pub(super) queued: bool,
    /// Lines that were read and wait for the next turn: then the connection is queued or paused.
    pub(super) rest: Vec<u8>,
    /// What it holds in memory, as it was last counted.
    pub(super) weight: usize,
}

/// Each connection has one. Where mio checks itself, as in tests, it adds 8 bytes.
const _: () = assert!(size_of::<Connection>() <= 128);

impl Connection {
    pub(super) fn new(id: SessionId, stream: TcpStream, address: IpAddr, permit: Permit) -> Self {
        Self {
            id,
            stream,
            address,
            permit,
            tls: None,
            web: None,
            blocked: false,
            moved: 0,
            hung_up: false,
            ended: false,
            closing: false,
            paused: false,
            in_batch: false,
            queued: false,
            rest: Vec::new(),
            weight: 0,
        }
    }
}

/// What WebSocket needs on top of a socket.
#[derive(Debug, Default)]
pub(super) struct Web {
    pub decoder: Decoder,
    /// Bytes that have been read and are no whole frame yet, or wait for their turn.
    pub pending: Vec<u8>,
    /// Whole control frames to be sent, between the hub's.
    pub control: Vec<u8>,
    /// So many bytes of the hub's frame that is under way have not been sent.
    pub unsent: u32,
    /// When the client was last heard of (ms).
    pub heard: u64,
    /// This side closes, once the hub's output is out.
    pub close: Option<Close>,
}

/// Each WebSocket client has one, in memory of its own: in 96 bytes, for which the allocator has a size.
const _: () = assert!(size_of::<Web>() <= 96);

/// For this error, or for none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Close(pub Option<ErrorCode>);

impl Close {
    /// The code and reason in the close frame.
    pub fn code_and_reason(self) -> (u16, &'static str) {
        (close_code(self.0), self.0.map_or("", ErrorCode::as_str))
    }
}

/// A WebSocket client is pinged this often at least (ms; docs/protocol.md, Keeping alive).
const PING: u64 = 25_000;
/// And taken for dead when nothing has come for this long (ms).
const DEAD: u64 = 60_000;

/// When to ping a WebSocket client first (ms), between half of [`PING`] and the whole: clients that came in one moment are not to be
/// pinged in one moment for as long as they stay.
pub(super) fn first_ping_after(index: u32) -> u64 {
    // The multiples of the golden ratio (here as a part of 2^32) fill an interval evenly.
    let part = u64::from(index.wrapping_mul(0x9e37_79b9));
    PING - ((part * (PING / 2)) >> u32::BITS)
}

/// What to do about a WebSocket client from which nothing has come for `silent` ms: ping it and look again after so long (ms).
/// `None`: it is dead.
pub(super) fn ping_again_after(silent: u64) -> Option<u64> {
    DEAD.checked_sub(silent).filter(|left| *left > 0).map(|left| left.min(PING))
}

/// A socket that is closed on this side. What the client still sends is read and forgotten, for a while: a socket that is closed
/// with unread input resets the connection, and the last words would be lost on their way.
#[derive(Debug)]
pub(super) struct Leaving {
    pub stream: TcpStream,
    /// So many bytes more are read and forgotten.
    pub left: usize,
    /// Tells later users of the entry apart.
    pub generation: u32,
    /// Given back with the socket.
    pub _permit: Permit,
}

/// What is to be looked at when its time comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// Is this WebSocket client still there?
    Alive(SessionId),
    /// Has this client that speaks lines been silent for long?
    Silent(SessionId),
    /// A closing connection has had its time to be flushed.
    Flush(SessionId),
    /// A leaving socket has had its time.
    Leave { key: u32, generation: u32 },
    /// Tables that were larger once may give memory back.
    Shrink,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_came_in_one_moment_are_pinged_one_after_the_other() {
        let mut a_second = [0; 26];
        for index in 0..10_000 {
            let after = first_ping_after(index);
            assert!((PING / 2..=PING).contains(&after), "{after}");
            a_second[(after / 1_000) as usize] += 1;
        }
        assert!(a_second.iter().all(|pings| *pings <= 1_000), "{a_second:?}");
    }

    #[test]
    fn a_silent_client_is_pinged_twice_and_dead_after_a_minute() {
        let mut silent = ping_again_after(0).unwrap_or_default();
        let mut pinged = vec![silent];
        while let Some(after) = ping_again_after(silent) {
            silent += after;
            pinged.push(silent);
        }
        assert_eq!(pinged, [25_000, 50_000, 60_000]);
        assert_eq!(ping_again_after(70_000), None);
    }
}
