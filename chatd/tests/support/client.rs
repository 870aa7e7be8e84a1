//! A client of the raw TCP port: lines in and out, nothing waited for without an end.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// What has not come after this long will not come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a client reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Got {
    Line(String),
    /// The server has closed or reset the connection.
    Closed,
    /// Nothing came in time.
    Silence,
}

pub struct Client {
    pub stream: TcpStream,
    /// With TLS an end without close_notify fails the test: something may have been lost.
    tls: Option<Box<ClientConnection>>,
    read: Vec<u8>,
    taken: usize,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address, PATIENCE).unwrap()
    }

    pub fn try_connect(address: SocketAddr, limit: Duration) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, tls: None, read: Vec::new(), taken: 0 })
    }

    /// With TLS, if there is a configuration for it.
    pub fn connect_by(address: SocketAddr, tls: Option<Arc<ClientConfig>>) -> Self {
        let connection = |config| ClientConnection::new(config, ServerName::from(address.ip())).unwrap();
        Self { tls: tls.map(connection).map(Box::new), ..Self::connect(address) }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.tls {
            Some(tls) => {
                let mut stream = rustls::Stream::new(tls.as_mut(), &mut self.stream);
                stream.write_all(bytes)?;
                stream.flush()
            }
            None => self.stream.write_all(bytes),
        }
    }

    /// Another handle of the connection, to write from another thread.
    pub fn writer(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: impl AsRef<[u8]>) {
        self.write(bytes.as_ref()).unwrap();
    }

    /// Sends one line.
    pub fn send(&mut self, line: &str) {
        self.try_send(line).unwrap();
    }

    /// To a process that may be killed at any moment.
    pub fn try_send(&mut self, line: &str) -> std::io::Result<()> {
        self.write(format!("{line}\n").as_bytes())
    }

    pub fn end_input(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// What comes next, without the end of line.
    pub fn next(&mut self, limit: Duration) -> Got {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(end) = self.read[self.taken..].iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8(self.read[self.taken..self.taken + end].to_vec()).unwrap();
                self.taken += end + 1;
                return Got::Line(line);
            }
            self.read.drain(..self.taken);
            self.taken = 0;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Got::Silence;
            }
            self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1)))).unwrap();
            let mut buffer = [0; 16 * 1024];
            let came = match &mut self.tls {
                Some(tls) => rustls::Stream::new(tls.as_mut(), &mut self.stream).read(&mut buffer),
                None => self.stream.read(&mut buffer),
            };
            match came {
                Ok(0) => {
                    assert!(
                        self.read.is_empty(),
                        "the last line has no end: {:?}",
                        String::from_utf8_lossy(&self.read)
                    );
                    return Got::Closed;
                }
                Ok(count) => self.read.extend_from_slice(&buffer[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Got::Silence;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    assert!(self.tls.is_none(), "ended without close_notify: {error}");
                    return Got::Closed;
                }
            }
        }
    }

    #[track_caller]
    pub fn line(&mut self) -> String {
        self.line_within(PATIENCE)
    }

    #[track_caller]
    pub fn line_within(&mut self, limit: Duration) -> String {
        match self.next(limit) {
            Got::Line(line) => line,
            other => panic!("{other:?} instead of a line within {limit:?}"),
        }
    }

    /// Sends a line and takes the next one.
    #[track_caller]
    pub fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.line()
    }

    #[track_caller]
    pub fn expect(&mut self, line: &str) {
        assert_eq!(self.line(), line);
    }

    #[track_caller]
    pub fn expect_start(&mut self, start: &str) -> String {
        let line = self.line();
        assert!(line.starts_with(start), "{line:?} does not start with {start:?}");
        line
    }

    #[track_caller]
    pub fn expect_closed(&mut self) {
        assert_eq!(self.next(PATIENCE), Got::Closed);
    }

    /// Reads up to the first line that starts so, and returns all of them.
    #[track_caller]
    pub fn until(&mut self, start: &str, limit: Duration) -> Vec<String> {
        let deadline = Instant::now() + limit;
        let mut lines: Vec<String> = Vec::new();
        loop {
            match self.next(deadline.saturating_duration_since(Instant::now())) {
                Got::Line(line) => {
                    let found = line.starts_with(start);
                    lines.push(line);
                    if found {
                        return lines;
                    }
                }
                other => panic!("{other:?} instead of {start:?} within {limit:?}, after {lines:#?}"),
            }
        }
    }

    /// All lines until the server closes.
    #[track_caller]
    pub fn rest(&mut self, limit: Duration) -> Vec<String> {
        let deadline = Instant::now() + limit;
        let mut lines = Vec::new();
        loop {
            match self.next(deadline.saturating_duration_since(Instant::now())) {
                Got::Line(line) => lines.push(line),
                Got::Closed => return lines,
                Got::Silence => panic!("not closed within {limit:?}, after {lines:#?}"),
            }
        }
    }

    #[track_caller]
    pub fn create_room(&mut self) -> String {
        let answer = self.ask("CREATE_ROOM");
        answer.strip_prefix("ROOM ").unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Joins so that the seat can be resumed; returns the token. `mode`: RELAY, REDIRECT or nothing.
    #[track_caller]
    pub fn join_resumable(&mut self, room: &str, name: &str, mode: &str) -> String {
        self.send(format!("JOIN {room} {name} RESUMABLE {mode}").trim_end());
        self.expect_start(&format!("JOINED {room} {name} "));
        let token = self.line();
        token.strip_prefix("TOKEN ").unwrap_or_else(|| panic!("{token}")).to_owned()
    }

    #[track_caller]
    pub fn join(&mut self, room: &str, name: &str, mode: &str) {
        self.send(format!("JOIN {room} {name} {mode}").trim_end());
        self.expect_start(&format!("JOINED {room} {name} "));
    }
}
