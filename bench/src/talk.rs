//! One blocking connection for unmeasured steps: joining, subscribing, waiting until a server has caught up. Does I/O.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::ClientConfig;

use crate::socket::Socket;
use crate::wire;

/// An answer that takes longer than this is a failed run.
const ANSWER: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Talk {
    stream: Socket,
    buffer: Vec<u8>,
}

impl Talk {
    pub fn connect(address: SocketAddr) -> Result<Self> {
        Self::connect_by(address, None)
    }

    /// With TLS, if there is a configuration for it.
    pub fn connect_by(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Result<Self> {
        let stream = Socket::connect(address, tls, ANSWER).with_context(|| format!("connecting to {address}"))?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Connects and upgrades to a WebSocket (RFC 6455 section 4.1); `protocol` is the subprotocol to ask for.
    pub fn upgrade(address: SocketAddr, path: &str, protocol: Option<&str>) -> Result<Self> {
        let mut talk = Self::connect(address)?;
        let protocol = protocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
        // The answer to the key is not checked: it protects against proxies, and there is none here.
        talk.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocol}\r\n"
        ))?;
        let status = talk.line()?;
        ensure!(status.starts_with("HTTP/1.1 101"), "upgrading {path}: {status}");
        while !talk.line()?.is_empty() {}
        Ok(talk)
    }

    pub fn send(&mut self, text: &str) -> Result<()> {
        Ok(self.stream.write_all(text.as_bytes())?)
    }

    pub fn send_frame(&mut self, text: &str) -> Result<()> {
        Ok(self.stream.write_all(&wire::frame(text))?)
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// The next line, without its end.
    pub fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let line = self.buffer.drain(..=end).collect::<Vec<u8>>();
                return Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
            }
            self.fill()?;
        }
    }

    /// The next `length` bytes.
    pub fn exact(&mut self, length: usize) -> Result<String> {
        while self.buffer.len() < length {
            self.fill()?;
        }
        Ok(String::from_utf8_lossy(&self.buffer.drain(..length).collect::<Vec<u8>>()).into_owned())
    }

    /// All that comes until the server closes.
    pub fn rest(mut self) -> Result<String> {
        self.stream.read_to_end(&mut self.buffer).context("waiting for an answer")?;
        Ok(String::from_utf8_lossy(&self.buffer).into_owned())
    }

    /// Reads lines until one starts with `start`; an error line ends it.
    pub fn line_that_starts(&mut self, start: &str) -> Result<String> {
        loop {
            let line = self.line()?;
            ensure!(!line.starts_with("ERR ") && !line.starts_with("-ERR"), "expected {start}, got: {line}");
            if line.starts_with(start) {
                return Ok(line);
            }
        }
    }

    /// Reads until `wanted` has come; what came before it is passed over.
    pub fn until(&mut self, wanted: &str) -> Result<()> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.buffer, wanted.as_bytes()) {
                self.buffer.drain(..at + wanted.len());
                return Ok(());
            }
            let filled = self.fill();
            filled.with_context(|| format!("expected {wanted}, got: {}", String::from_utf8_lossy(&self.buffer)))?;
        }
    }

    /// The text of the next unfragmented data frame; control frames are passed over.
    pub fn frame(&mut self) -> Result<String> {
        loop {
            let (head, length) = match self.buffer.as_slice() {
                [_, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([*high, *low]))),
                [_, length, ..] if *length < 126 => (2, usize::from(*length)),
                _ => (0, 0),
            };
            if head == 0 || self.buffer.len() < head + length {
                self.fill()?;
                continue;
            }
            let frame = self.buffer.drain(..head + length).collect::<Vec<u8>>();
            if matches!(frame[0], 0x81 | 0x82) {
                return Ok(String::from_utf8_lossy(&frame[head..]).into_owned());
            }
            ensure!(frame[0] & 0x0f != 8, "the server closed the WebSocket");
        }
    }

    /// Reads JSON messages until one has `"type":"<kind>"`.
    pub fn frame_of_type(&mut self, kind: &str) -> Result<String> {
        self.frame_with(&format!(r#""type":"{kind}""#), r#""type":"error""#)
    }

    /// Reads messages until one contains `wanted`; one that contains `refusal` ends it.
    pub fn frame_with(&mut self, wanted: &str, refusal: &str) -> Result<String> {
        loop {
            let text = self.frame()?;
            ensure!(!text.contains(refusal), "expected {wanted}, got: {text}");
            if text.contains(wanted) {
                return Ok(text);
            }
        }
    }

    /// The bare socket, once everything that the server has sent is read.
    pub fn into_stream(self) -> Result<Socket> {
        ensure!(self.buffer.is_empty(), "unread: {}", String::from_utf8_lossy(&self.buffer));
        Ok(self.stream)
    }

    fn fill(&mut self) -> Result<()> {
        let mut chunk = [0; 4096];
        let got = self.stream.read(&mut chunk).context("waiting for an answer")?;
        ensure!(got > 0, "the server closed the connection");
        self.buffer.extend_from_slice(&chunk[..got]);
        Ok(())
    }
}
