//! A client of the raw TCP port, and a bare HTTP client.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What has not come after this long will not come.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub struct Lines {
    pub stream: TcpStream,
    read: Vec<u8>,
}

impl Lines {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, read: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// The next line, without its end. `None`: the server has closed the connection.
    pub fn try_line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(String::from_utf8(line[..end].to_vec()).unwrap());
            }
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    assert!(self.read.is_empty(), "the last line has no end");
                    return None;
                }
                Ok(count) => self.read.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no line in time: {error}"),
            }
        }
    }

    pub fn line(&mut self) -> String {
        self.try_line().expect("the server has closed the connection")
    }

    /// Sends a line and takes the reply.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\n"));
        self.line()
    }

    /// The next line is exactly this.
    #[track_caller]
    pub fn expect(&mut self, line: &str) {
        assert_eq!(self.line(), line);
    }

    #[track_caller]
    pub fn expect_start(&mut self, start: &str) {
        let line = self.line();
        assert!(line.starts_with(start), "{line}");
    }

    #[track_caller]
    pub fn expect_closed(&mut self) {
        assert_eq!(self.try_line(), None);
    }

    pub fn end_input(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    pub fn create_room(&mut self) -> String {
        self.ask("CREATE_ROOM").strip_prefix("ROOM ").unwrap().to_owned()
    }

    /// Joins, and passes over what the others are told of it.
    #[track_caller]
    pub fn join(&mut self, room: &str, name: &str) {
        let answer = self.ask(&format!("JOIN {room} {name}"));
        assert!(answer.starts_with(&format!("JOINED {room} {name} ")), "{answer}");
    }
}

/// A room with these players in it.
pub fn room_of(address: SocketAddr, names: &[&str]) -> (String, Vec<Lines>) {
    let mut players: Vec<Lines> = Vec::new();
    let mut room = String::new();
    for name in names {
        let mut player = Lines::connect(address);
        if room.is_empty() {
            room = player.create_room();
        }
        player.join(&room, name);
        for other in &mut players {
            other.expect(&format!("ENTERED {name}"));
        }
        players.push(player);
    }
    (room, players)
}

/// An HTTP answer.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The code of an error.
    pub fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert!(body["error"]["message"].as_str().unwrap().len() > 10);
        body["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// Sends a request as it is and reads the answer, by its length.
pub fn http_over(stream: &mut TcpStream, request: &str) -> Answer {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut read = Vec::new();
    let mut buffer = [0; 16 * 1024];
    let head = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        let count = stream.read(&mut buffer).unwrap();
        assert_ne!(count, 0, "closed without an answer");
        read.extend_from_slice(&buffer[..count]);
    };
    let text = String::from_utf8(read[..head].to_vec()).unwrap();
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let length = if request.starts_with("HEAD ") || status == 304 { 0 } else { length };
    while read.len() < head + length {
        let count = stream.read(&mut buffer).unwrap();
        assert_ne!(count, 0, "closed within an answer");
        read.extend_from_slice(&buffer[..count]);
    }
    Answer { status, headers, body: String::from_utf8_lossy(&read[head..head + length]).into_owned() }
}

/// One request on a connection of its own. `lines`: more header lines.
pub fn http(address: SocketAddr, method: &str, path: &str, lines: &[&str]) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\n");
    if !lines.iter().any(|line| line.to_ascii_lowercase().starts_with("host:")) {
        request.push_str(&format!("Host: {address}\r\n"));
    }
    for line in lines {
        request.push_str(&format!("{line}\r\n"));
    }
    request.push_str("\r\n");
    http_over(&mut TcpStream::connect(address).unwrap(), &request)
}

/// Waits until `done`, looking now and then.
#[track_caller]
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
