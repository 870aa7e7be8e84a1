//! The contestants' common face, and the peers: a bare epoll loop in C, bun's WebSockets and nats-server.
//! Does I/O: starts them and opens their rooms.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::load::MEMBERS;
use crate::process::{Cpu, Cpus, Process, free_address};
use crate::socket::Socket;
use crate::talk::Talk;
use crate::wire::{self, Decoder, Lines, Nats, WebSocket};

/// What every contestant needs to start.
#[derive(Debug)]
pub struct Place {
    pub cpus: Cpus,
    /// For logs and configuration; empty and ours.
    pub scratch: PathBuf,
}

impl Place {
    pub fn log(&self, name: &str) -> PathBuf {
        self.scratch.join(format!("{name}.log"))
    }
}

/// Four connections that are members of one room and have nothing left to read, the first one's message.
pub struct OpenRoom {
    pub members: Vec<(Socket, Decoder)>,
    pub message: Vec<u8>,
}

/// A running server.
pub trait Contestant {
    fn processes(&self) -> &[Process];
    fn open_room(&self, index: usize) -> Result<OpenRoom>;

    fn cpu(&self) -> Result<Cpu> {
        self.processes().iter().try_fold(Cpu::default(), |sum, process| Ok(sum.plus(process.cpu()?)))
    }

    fn memory(&self) -> Result<u64> {
        self.processes().iter().map(Process::memory).sum()
    }
}

/// A server where every four accepted connections in a row are a room, and a line is all there is: `PROGRAM PORT`.
#[derive(Debug)]
pub struct Bare {
    processes: [Process; 1],
    address: SocketAddr,
}

impl Bare {
    pub fn start(place: &Place, program: &Path, name: &str) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(program);
        let mut process = place.cpus.start_server(command.arg(address.port().to_string()), &place.log(name))?;
        // A probing connection would be taken for a room's member.
        process.wait_until(|| listens(address))?;
        Ok(Self { processes: [process], address })
    }
}

/// Whether something on loopback listens at `address`, without connecting to it.
fn listens(address: SocketAddr) -> bool {
    // The kernel's list: local address and port in hexadecimal, state 0A is LISTEN.
    let wanted = format!("0100007F:{:04X} 00000000:0000 0A", address.port());
    std::fs::read_to_string("/proc/net/tcp").is_ok_and(|table| table.contains(&wanted))
}

impl Contestant for Bare {
    fn processes(&self) -> &[Process] {
        &self.processes
    }

    fn open_room(&self, index: usize) -> Result<OpenRoom> {
        let mut talks = (0..MEMBERS).map(|_| Talk::connect(self.address)).collect::<Result<Vec<_>>>()?;
        // The last one's line comes back to all only once all four have been accepted.
        talks[MEMBERS - 1].send("Member four is there\n")?;
        for talk in &mut talks {
            talk.line_that_starts("Member four")?;
        }
        let decoder = || Decoder::Lines(Lines::new("Message of room "));
        Ok(OpenRoom { members: finish(talks, decoder)?, message: wire::line(index) })
    }
}

/// bun with `bun.ts`: messages handed on as they are, or parsed and re-encoded as a chat server does.
#[derive(Debug)]
pub struct Bun {
    processes: [Process; 1],
    address: SocketAddr,
    json: bool,
}

impl Bun {
    pub fn start(place: &Place, bun: &Path, script: &Path, json: bool) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(bun);
        command.arg(script).arg(address.port().to_string());
        let name = if json { "bun-json" } else { "bun-raw" };
        let mut process = place.cpus.start_server(&mut command, &place.log(name))?;
        process.wait_for(address)?;
        Ok(Self { processes: [process], address, json })
    }
}

impl Contestant for Bun {
    fn processes(&self) -> &[Process] {
        &self.processes
    }

    fn open_room(&self, index: usize) -> Result<OpenRoom> {
        let kind = if self.json { "json" } else { "raw" };
        let talks = (0..MEMBERS)
            .map(|member| Talk::upgrade(self.address, &format!("/{kind}/{index}?name=p{member}"), None))
            .collect::<Result<Vec<_>>>()?;
        let text = wire::text(index, wire::LINE);
        let message = if self.json { say(&text) } else { wire::frame(&text) };
        Ok(OpenRoom { members: finish(talks, || Decoder::WebSocket(WebSocket::default()))?, message })
    }
}

/// The frame of a chat message, as docs/protocol.md, JSON, has it.
pub fn say(text: &str) -> Vec<u8> {
    wire::frame(&format!(r#"{{"type":"say","text":"{text}"}}"#))
}

/// nats-server: a room is a subject with four subscribers, and the sender is one of them.
#[derive(Debug)]
pub struct NatsServer {
    processes: [Process; 1],
    address: SocketAddr,
}

impl NatsServer {
    pub fn start(place: &Place) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(nats_program());
        command.args(["--addr", "127.0.0.1", "--port", &address.port().to_string()]);
        let mut process = place.cpus.start_server(&mut command, &place.log("nats"))?;
        process.wait_for(address)?;
        Ok(Self { processes: [process], address })
    }
}

impl Contestant for NatsServer {
    fn processes(&self) -> &[Process] {
        &self.processes
    }

    fn open_room(&self, index: usize) -> Result<OpenRoom> {
        let mut talks = Vec::with_capacity(MEMBERS);
        for _ in 0..MEMBERS {
            let mut talk = Talk::connect(self.address)?;
            talk.line_that_starts("INFO")?;
            talk.send(&format!("CONNECT {{\"verbose\":false}}\r\nSUB {} 1\r\nPING\r\n", wire::nats_subject(index)))?;
            talk.line_that_starts("PONG")?;
            talks.push(talk);
        }
        Ok(OpenRoom { members: finish(talks, || Decoder::Nats(Nats::default()))?, message: wire::nats_publish(index) })
    }
}

/// Debian puts it where only root's PATH looks.
pub fn nats_program() -> PathBuf {
    let debian = PathBuf::from("/usr/sbin/nats-server");
    if debian.exists() { debian } else { "nats-server".into() }
}

/// The sockets of a room that is complete.
pub fn finish(talks: Vec<Talk>, decoder: impl Fn() -> Decoder) -> Result<Vec<(Socket, Decoder)>> {
    talks.into_iter().map(|talk| Ok((talk.into_stream()?, decoder()))).collect()
}

/// First line of what `program --version` (or the given argument) prints.
pub fn version(program: &Path, argument: &str) -> Result<String> {
    let output = Command::new(program).arg(argument).output().with_context(|| program.display().to_string())?;
    ensure!(output.status.success(), "{} {argument}: {}", program.display(), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().trim().to_owned())
}
