//! chatd as a contestant: over lines, in plaintext and with TLS, over WebSockets, and over lines through a second process that relays.
//! Does I/O: starts it and its Redis, opens its rooms.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::ClientConfig;

use crate::certificate::Certificate;
use crate::load::MEMBERS;
use crate::peers::{Contestant, OpenRoom, Place, finish, say};
use crate::process::{Process, free_address};
use crate::socket::Socket;
use crate::talk::Talk;
use crate::wire::{self, Decoder, Lines, WebSocket};

/// 32 bytes in hexadecimal; all traffic stays on loopback.
pub const KEY: &str = "63686174642d62656e63682063686174642d62656e63682063686174642d6265";

/// For requests that nobody receives.
const WEBHOOK_SECRET: &str = "whsec_Y2hhdGQtYmVuY2ggY2hhdGQtYmVuY2ggY2hhdGQtYmU=";

/// A Redis without persistence for one run, on the generator's CPU.
#[derive(Debug)]
pub struct Redis {
    _process: Process,
    pub address: SocketAddr,
}

impl Redis {
    pub fn start(place: &Place) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(&place.scratch);
        let mut process = Process::start(&mut command, &place.log("redis"))?;
        process.wait_for(address)?;
        Ok(Self { _process: process, address })
    }

    /// How many keys it holds.
    pub fn keys(&self) -> Result<usize> {
        let mut talk = Talk::connect(self.address)?;
        talk.send("DBSIZE\r\n")?;
        let line = talk.line_that_starts(":")?;
        Ok(line[1..].parse()?)
    }
}

/// Addresses of one chatd process.
#[derive(Debug, Clone, Copy)]
pub struct Pod {
    pub tcp: SocketAddr,
    pub web: SocketAddr,
}

/// How a room's members reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Lines,
    /// Lines over TLS.
    Tls,
    WebSocket,
    /// Over WebSockets, with events in place of messages.
    Events,
    /// The same, of the kind that may be lost.
    VolatileEvents,
    /// Lines, with a webhook at which nobody listens: all that happens in the rooms waits for it.
    DeadWebhook,
    /// Lines, all four members on another process than the room's owner.
    Relay,
}

/// One running chatd, or for [`Way::Relay`] two: the rooms' owner and the entry.
#[derive(Debug)]
pub struct Chatd {
    processes: Vec<Process>,
    pods: Vec<Pod>,
    way: Way,
    tls: Option<Arc<ClientConfig>>,
    _key: PathBuf,
}

impl Chatd {
    pub fn start(place: &Place, program: &Path, redis: &Redis, name: &str, way: Way) -> Result<Self> {
        Self::start_with(place, program, redis, name, way, &[])
    }

    /// With `more` arguments.
    pub fn start_with(
        place: &Place,
        program: &Path,
        redis: &Redis,
        name: &str,
        way: Way,
        more: &[OsString],
    ) -> Result<Self> {
        let key = place.scratch.join(format!("{name}.key"));
        std::fs::write(&key, KEY)?;
        let count = if way == Way::Relay { 2 } else { 1 };
        let (mut tls, mut files) = (None, Vec::new());
        if way == Way::Tls {
            let certificate = Certificate::new()?;
            let [certificate_file, key_file] = certificate.write(&place.scratch, name)?;
            files.extend(["--tls-cert-file".into(), certificate_file, "--tls-key-file".into(), key_file]);
            tls = Some(certificate.client()?);
        }
        if way == Way::DeadWebhook {
            let secret = webhook_secret(place, name)?;
            let url = format!("http://{}/", free_address()?);
            files.extend(["--webhook-url".into(), url.into(), "--webhook-secret-file".into(), secret]);
        }
        let (mut processes, mut pods) = (Vec::new(), Vec::new());
        for index in 0..count {
            let pod_id = format!("{name}-{index}");
            let [tcp, web, peer, admin] = [free_address()?, free_address()?, free_address()?, free_address()?];
            let mut command = Command::new(program);
            command
                .args(["--tcp-listen", &tcp.to_string(), "--http-listen", &web.to_string()])
                .args(["--peer-listen", &peer.to_string(), "--admin-listen", &admin.to_string()])
                .args(["--redis-url", &format!("redis://{}", redis.address)])
                .args(["--redis-key-prefix", &format!("{name}:"), "--pod-id", &pod_id])
                .arg("--token-key-file")
                .arg(&key)
                // Limits are made wide so that they cost what they always cost, and refuse nothing.
                .args(["--rate", "1000000", "--burst", "1000000"])
                .args(["--max-connections", "20000", "--max-rooms", "100000"])
                .args(["--log-level", "warn"])
                // The pod that relays has no rooms, and on a slow machine a run takes longer than a pod is left without.
                .args(["--balance", "off"])
                .args(&files)
                .args(more);
            let mut process = place.cpus.start_server(&mut command, &place.log(&pod_id))?;
            process.wait_until(|| is_ready(admin)).with_context(|| log_of(&place.log(&pod_id)))?;
            processes.push(process);
            pods.push(Pod { tcp, web });
        }
        Ok(Self { processes, pods, way, tls, _key: key })
    }

    /// The pod that owns the rooms.
    pub fn owner(&self) -> Pod {
        self.pods[0]
    }

    fn open_lines(&self, index: usize) -> Result<OpenRoom> {
        let tls = self.tls.as_ref();
        let room = create_room(self.owner(), tls)?;
        let (entry, mode) = match self.way {
            Way::Relay => (self.pods[1], " RELAY"),
            _ => (self.owner(), ""),
        };
        Ok(OpenRoom { members: members_by_lines(entry.tcp, tls, &room, mode)?, message: wire::line(index) })
    }

    fn open_web(&self, index: usize) -> Result<OpenRoom> {
        let room = create_room(self.owner(), None)?;
        let mut talks = Vec::with_capacity(MEMBERS);
        for member in 0..MEMBERS {
            let mut talk = Talk::upgrade(self.owner().web, "/ws", Some("chatd.v1"))?;
            talk.send_frame(&format!(r#"{{"type":"join","room":"{room}","name":"p{member}"}}"#))?;
            talk.frame_of_type("joined")?;
            talks.push(talk);
        }
        for member in 0..MEMBERS {
            talks[member].send_frame(r#"{"type":"say","text":"in step"}"#)?;
            for talk in &mut talks {
                talk.frame_of_type("message")?;
            }
        }
        let text = wire::text(index, wire::LINE);
        let message = match self.way {
            Way::Events => wire::frame(&format!(r#"{{"type":"send","kind":"say","data":"{text}"}}"#)),
            Way::VolatileEvents => {
                wire::frame(&format!(r#"{{"type":"send","kind":"say","data":"{text}","volatile":true}}"#))
            }
            _ => say(&text),
        };
        Ok(OpenRoom { members: finish(talks, || Decoder::WebSocket(WebSocket::default()))?, message })
    }
}

impl Contestant for Chatd {
    fn processes(&self) -> &[Process] {
        &self.processes
    }

    fn open_room(&self, index: usize) -> Result<OpenRoom> {
        match self.way {
            Way::Lines | Way::Tls | Way::Relay | Way::DeadWebhook => self.open_lines(index),
            Way::WebSocket | Way::Events | Way::VolatileEvents => self.open_web(index),
        }
    }
}

/// The file of the secret that events for a webhook are signed with.
pub fn webhook_secret(place: &Place, name: &str) -> Result<PathBuf> {
    let secret = place.scratch.join(format!("{name}.secret"));
    std::fs::write(&secret, WEBHOOK_SECRET)?;
    Ok(secret)
}

/// A new room, made over a connection of its own.
fn create_room(pod: Pod, tls: Option<&Arc<ClientConfig>>) -> Result<String> {
    let mut talk = Talk::connect_by(pod.tcp, tls)?;
    talk.send("CREATE_ROOM\n")?;
    let line = talk.line_that_starts("ROOM ")?;
    Ok(line["ROOM ".len()..].to_owned())
}

pub fn is_ready(admin: SocketAddr) -> bool {
    let ask = || -> Result<bool> {
        let mut talk = Talk::connect(admin)?;
        talk.send(&format!("GET /readyz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"))?;
        Ok(talk.line()?.starts_with("HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}

pub fn log_of(log: &Path) -> String {
    format!("chatd said:\n{}", std::fs::read_to_string(log).unwrap_or_default())
}

/// The members of a full room, by lines: each has read everything sent before the first message. `mode`: what follows the name in JOIN.
pub fn members_by_lines(
    entry: SocketAddr,
    tls: Option<&Arc<ClientConfig>>,
    room: &str,
    mode: &str,
) -> Result<Vec<(Socket, Decoder)>> {
    let mut talks = Vec::with_capacity(MEMBERS);
    for member in 0..MEMBERS {
        let mut talk = Talk::connect_by(entry, tls)?;
        talk.send(&format!("JOIN {room} p{member}{mode}\n"))?;
        talk.line_that_starts("JOINED ")?;
        talks.push(talk);
    }
    // An own message comes back after everything sent before it, so each client has then read all ENTERED.
    for member in 0..MEMBERS {
        talks[member].send(&format!("SAY in step {member}\n"))?;
        for talk in &mut talks {
            talk.line_that_starts(&format!("MSG p{member} in step"))?;
        }
    }
    finish(talks, || Decoder::Lines(Lines::new("MSG p0 ")))
}
