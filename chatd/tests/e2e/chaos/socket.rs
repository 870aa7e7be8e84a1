//! A client's connection, by lines or as a page has it, that may send anything in any pieces.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use crate::rng::Rng;
use crate::wire::{self, Received};

const CONNECT: Duration = Duration::from_millis(500);
/// A frozen pod's kernel accepts the connection, and nobody answers the upgrade.
const UPGRADE: Duration = Duration::from_secs(2);
/// Who does not read may not be read from either.
const WRITE: Duration = Duration::from_millis(200);
/// What a client that reads too little has in its kernel: room for two of loopback's segments, below which TCP waits 0.2 s for each.
const NARROW: usize = 128 * 1024;

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one at a time, looked at as it comes")]
pub enum Got {
    Received(Received, Option<u64>),
    Closed,
    Silence,
}

pub struct Socket {
    stream: TcpStream,
    json: bool,
    /// As it came; and whole messages out of it, without the frames that are no messages.
    raw: Vec<u8>,
    messages: Vec<u8>,
    rng: Rng,
}

impl Socket {
    /// `narrow`: it holds little of what is not read.
    pub fn connect(address: SocketAddr, json: bool, narrow: bool, rng: Rng) -> Option<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_write_timeout(Some(WRITE)).ok()?;
        if narrow {
            SockRef::from(&stream).set_recv_buffer_size(NARROW).ok()?;
        }
        let mut socket = Self { stream, json, raw: Vec::new(), messages: Vec::new(), rng };
        if json {
            socket.upgrade(address)?;
        }
        Some(socket)
    }

    fn upgrade(&mut self, address: SocketAddr) -> Option<()> {
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chatd.v1\r\n\r\n"
        );
        self.stream.write_all(request.as_bytes()).ok()?;
        self.stream.set_read_timeout(Some(UPGRADE)).ok()?;
        loop {
            if let Some(end) = self.raw.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.raw.drain(..end + 4).collect();
                return head.starts_with(b"HTTP/1.1 101 ").then_some(());
            }
            let mut buffer = [0; 4_096];
            match self.stream.read(&mut buffer) {
                Ok(count) if count > 0 => self.raw.extend_from_slice(&buffer[..count]),
                _ => return None,
            }
        }
    }

    /// Sends lines or JSON messages at once. `false`: they may have got there in part, and the connection is of no more use.
    pub fn send(&mut self, texts: &[String]) -> bool {
        let mut bytes = Vec::new();
        for text in texts {
            if self.json {
                self.frames(&mut bytes, text.as_bytes());
            } else {
                bytes.extend_from_slice(text.as_bytes());
                bytes.extend_from_slice(self.rng.pick(&[&b"\n"[..], &b"\n"[..], &b"\r\n"[..]]));
            }
        }
        self.send_pieces(&bytes)
    }

    /// What is no command: empty lines; pings and pongs that nobody asked for.
    pub fn send_nothing(&mut self) -> bool {
        let mut bytes = b"\n\r\n\n".to_vec();
        if self.json {
            bytes.clear();
            self.frame(&mut bytes, 0x89, b"are you there");
            self.frame(&mut bytes, 0x8a, b"");
        }
        self.send_pieces(&bytes)
    }

    /// In one write or two.
    fn send_pieces(&mut self, bytes: &[u8]) -> bool {
        let cut = if self.rng.chance(30) { self.rng.below(bytes.len()) } else { 0 };
        [&bytes[..cut], &bytes[cut..]].iter().all(|piece| self.stream.write_all(piece).is_ok())
    }

    /// One message, in one frame or in fragments, which may be empty and have a ping between them.
    fn frames(&mut self, bytes: &mut Vec<u8>, text: &[u8]) {
        let fragments = if self.rng.chance(25) { self.rng.below(4) + 1 } else { 1 };
        let mut left = text;
        for number in 0..fragments {
            let is_last = number + 1 == fragments;
            let (piece, rest) = left.split_at(if is_last { left.len() } else { self.rng.below(left.len()) });
            left = rest;
            self.frame(bytes, u8::from(number == 0) | if is_last { 0x80 } else { 0 }, piece);
            if !is_last && self.rng.chance(30) {
                self.frame(bytes, 0x89, b"between");
            }
        }
    }

    fn frame(&mut self, bytes: &mut Vec<u8>, first: u8, payload: &[u8]) {
        bytes.push(first);
        match u16::try_from(payload.len()) {
            Ok(length @ ..126) => bytes.push(0x80 | length as u8),
            Ok(length) => {
                bytes.push(0xfe);
                bytes.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => {
                bytes.push(0xff);
                bytes.extend_from_slice(&(payload.len() as u64).to_be_bytes());
            }
        }
        let mask = (self.rng.next() as u32).to_be_bytes();
        bytes.extend_from_slice(&mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }

    /// What comes next, waited for so long.
    pub fn receive(&mut self, limit: Duration) -> Got {
        loop {
            if self.json && !self.take_frames() {
                return self.take().unwrap_or(Got::Closed);
            }
            if let Some(got) = self.take() {
                return got;
            }
            self.stream.set_read_timeout(Some(limit)).unwrap();
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(count @ 1..) if self.json => self.raw.extend_from_slice(&buffer[..count]),
                Ok(count @ 1..) => self.messages.extend_from_slice(&buffer[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Got::Silence;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => return Got::Closed,
            }
        }
    }

    fn take(&mut self) -> Option<Got> {
        wire::take(self.json, &mut self.messages).map(|(received, id)| Got::Received(received, id))
    }

    /// Passes whole text frames on, and answers pings. `false`: the server has said that it closes.
    fn take_frames(&mut self) -> bool {
        loop {
            let Some(&[first, short]) = self.raw.first_chunk::<2>() else {
                return true;
            };
            let (start, length) = match short {
                126 if self.raw.len() >= 4 => (4, usize::from(u16::from_be_bytes([self.raw[2], self.raw[3]]))),
                126 => return true,
                127.. => panic!("a frame of the server is masked or longer than any event: {first:#x} {short:#x}"),
                short => (2, usize::from(short)),
            };
            if self.raw.len() < start + length {
                return true;
            }
            let frame: Vec<u8> = self.raw.drain(..start + length).collect();
            match first {
                0x88 => return false,
                0x89 => {
                    let mut pong = Vec::new();
                    self.frame(&mut pong, 0x8a, &frame[start..]);
                    // Whether it is gone shows with the next read.
                    let _ = self.stream.write_all(&pong);
                }
                0x8a => {}
                _ => self.messages.extend_from_slice(&frame),
            }
        }
    }
}
