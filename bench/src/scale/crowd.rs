//! Thousands of clients of the line protocol on one thread. Does I/O: one epoll loop, level-triggered.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use memchr::memchr;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

/// What a client was told.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    Line(String),
    /// Its connection has ended, or could not be made: why.
    Closed(String),
}

#[derive(Debug, Default)]
struct Client {
    stream: Option<TcpStream>,
    /// A line that has not ended yet.
    begun: Vec<u8>,
}

pub struct Crowd {
    epoll: OwnedFd,
    clients: Vec<Client>,
    /// Connections that ended outside of a turn.
    ended: Vec<(usize, String)>,
    buffer: Vec<u8>,
    events: Vec<epoll::Event>,
}

impl Crowd {
    pub fn new() -> Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            clients: Vec::new(),
            ended: Vec::new(),
            buffer: vec![0; 64 * 1024],
            events: Vec::with_capacity(1024),
        })
    }

    /// A client without a connection; its number.
    pub fn add(&mut self) -> usize {
        self.clients.push(Client::default());
        self.clients.len() - 1
    }

    /// Connects, instead of an earlier connection. What fails is heard as `Closed`. A connection on loopback is there at once,
    /// unless the server's backlog is full: then this waits with it, as its client does.
    pub fn connect(&mut self, client: usize, address: SocketAddr) -> Result<()> {
        self.close(client);
        let stream = match TcpStream::connect(address) {
            Ok(stream) => stream,
            Err(error) => {
                self.ended.push((client, format!("connecting: {error}")));
                return Ok(());
            }
        };
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        epoll::add(&self.epoll, &stream, epoll::EventData::new_u64(client as u64), epoll::EventFlags::IN)?;
        self.clients[client].stream = Some(stream);
        Ok(())
    }

    pub fn close(&mut self, client: usize) {
        self.clients[client] = Client::default();
    }

    /// Sends a line, which is far shorter than a socket's buffer. What fails is heard as `Closed`.
    pub fn send(&mut self, client: usize, line: &str) {
        let Some(stream) = &mut self.clients[client].stream else {
            return;
        };
        let line = format!("{line}\n");
        let written = stream.write(line.as_bytes());
        if !matches!(written, Ok(written) if written == line.len()) {
            // A reset that a read would report too, but only once.
            self.close(client);
            self.ended.push((client, format!("sending: {written:?}")));
        }
    }

    /// Waits at most so long for something to be heard, and adds it to `heard`.
    pub fn turn(&mut self, wait: Duration, heard: &mut Vec<(usize, Heard)>) -> Result<()> {
        heard.extend(self.ended.drain(..).map(|(client, why)| (client, Heard::Closed(why))));
        let wait = if heard.is_empty() { wait } else { Duration::ZERO };
        self.events.clear();
        let events = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, events, Some(&Timespec::try_from(wait)?)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("epoll"),
        }
        for event in &self.events {
            let index = event.data.u64() as usize;
            let client = &mut self.clients[index];
            let Some(stream) = &mut client.stream else {
                continue;
            };
            match stream.read(&mut self.buffer) {
                Ok(got) if got > 0 => {
                    let mut bytes = &self.buffer[..got];
                    while let Some(end) = memchr(b'\n', bytes) {
                        client.begun.extend(&bytes[..end]);
                        bytes = &bytes[end + 1..];
                        let line = String::from_utf8_lossy(client.begun.trim_ascii_end()).into_owned();
                        client.begun.clear();
                        heard.push((index, Heard::Line(line)));
                    }
                    client.begun.extend(bytes);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                ended => {
                    *client = Client::default();
                    heard.push((index, Heard::Closed(format!("reading: {ended:?}"))));
                }
            }
        }
        Ok(())
    }
}
