//! The peers on node: the packages ws, socket.io and colyseus. Does I/O: starts them and opens their rooms.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::load::MEMBERS;
use crate::peers::{Contestant, OpenRoom, Place, finish};
use crate::process::{Process, free_address};
use crate::talk::Talk;
use crate::wire::{self, Decoder, WebSocket};

/// Colyseus: the server's word that a seat is taken, and the client's that it listens.
const JOIN_ROOM: u8 = 10;
/// Colyseus: ROOM_DATA, the message's kind `say`, and the MessagePack head of a text of [`wire::LINE`] bytes.
const COLYSEUS_SAY: [u8; 7] = [13, 0xa3, b's', b'a', b'y', 0xd9, wire::LINE as u8];

/// A package whose server is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Package {
    Ws,
    SocketIo,
    Colyseus,
}

impl Package {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::SocketIo => "socket.io",
            Self::Colyseus => "colyseus",
        }
    }

    fn folder(self, modules: &Path) -> PathBuf {
        modules.join(if self == Self::Colyseus { "@colyseus/core" } else { self.name() })
    }

    /// Which of the folders has it.
    pub fn find(self, modules: &[PathBuf]) -> Option<&PathBuf> {
        modules.iter().find(|modules| self.folder(modules).is_dir())
    }

    fn script(self) -> &'static str {
        match self {
            Self::Ws => "ws.cjs",
            Self::SocketIo => "socket_io.cjs",
            Self::Colyseus => "colyseus.cjs",
        }
    }

    /// As the package's own package.json has it.
    ///
    /// # Errors
    /// It is not installed in `modules`.
    pub fn version(self, modules: &Path) -> Result<String> {
        let path = self.folder(modules).join("package.json");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let version = text.split_once(r#""version": ""#).and_then(|(_, rest)| rest.split_once('"'));
        Ok(version.map_or("unknown", |(version, _)| version).to_owned())
    }
}

/// node with one of the servers in `bench/peers`.
#[derive(Debug)]
pub struct Node {
    processes: [Process; 1],
    address: SocketAddr,
    package: Package,
    /// Whether what is said may be lost (socket.io alone).
    pub volatile: bool,
}

impl Node {
    /// `modules`: the folder node_modules that holds the package; `scripts`: where the servers are.
    pub fn start(place: &Place, modules: &Path, scripts: &Path, package: Package) -> Result<Self> {
        let address = free_address()?;
        let modules: PathBuf = modules.canonicalize().with_context(|| modules.display().to_string())?;
        let mut command = Command::new("node");
        command.arg(scripts.join(package.script())).arg(address.port().to_string()).env("NODE_PATH", modules);
        let mut process = place.cpus.start_server(&mut command, &place.log(package.name()))?;
        process.wait_for(address)?;
        Ok(Self { processes: [process], address, package, volatile: false })
    }

    fn join(&self, room: usize) -> Result<Talk> {
        match self.package {
            Package::Ws => Talk::upgrade(self.address, &format!("/{room}"), None),
            Package::SocketIo => {
                let path = format!("/socket.io/?EIO=4&transport=websocket&room={room}");
                let mut talk = Talk::upgrade(self.address, &path, None)?;
                talk.send_frame("40")?;
                while talk.frame()? != r#"42["joined"]"# {}
                Ok(talk)
            }
            Package::Colyseus => self.join_colyseus(room),
        }
    }

    /// A seat by HTTP from the matchmaker, then a WebSocket to that seat. The messages' first bytes are those of `Protocol` in `@colyseus/shared-types`.
    fn join_colyseus(&self, room: usize) -> Result<Talk> {
        let mut talk = Talk::connect(self.address)?;
        let body = format!(r#"{{"room":"{room}"}}"#);
        talk.send(&format!(
            "POST /matchmake/joinOrCreate/chat HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        ))?;
        let seat = talk.rest()?;
        let field = |name: &str| {
            let value = seat.split_once(&format!(r#""{name}":""#)).and_then(|(_, rest)| rest.split_once('"'));
            value.map(|(value, _)| value).with_context(|| format!("no {name} in {seat}"))
        };
        let path = format!("/{}/{}?sessionId={}", field("processId")?, field("roomId")?, field("sessionId")?);
        let mut talk = Talk::upgrade(self.address, &path, None)?;
        let joined = talk.frame()?;
        ensure!(joined.starts_with(char::from(JOIN_ROOM)), "expected JOIN_ROOM, got: {joined:?}");
        talk.send_bytes(&wire::binary_frame(&[JOIN_ROOM]))?;
        Ok(talk)
    }
}

impl Contestant for Node {
    fn processes(&self) -> &[Process] {
        &self.processes
    }

    fn open_room(&self, index: usize) -> Result<OpenRoom> {
        let mut talks = (0..MEMBERS).map(|_| self.join(index)).collect::<Result<Vec<_>>>()?;
        let text = wire::text(index, wire::LINE);
        let message = match self.package {
            Package::Ws => wire::frame(&text),
            Package::SocketIo => {
                let event = if self.volatile { "say volatile" } else { "say" };
                wire::frame(&format!(r#"42["{event}","{text}"]"#))
            }
            Package::Colyseus => wire::binary_frame(&[&COLYSEUS_SAY, text.as_bytes()].concat()),
        };
        // The last one's message comes back to all only once all four have been accepted.
        talks[MEMBERS - 1].send_bytes(&message)?;
        for talk in &mut talks {
            talk.frame()?;
        }
        Ok(OpenRoom { members: finish(talks, || Decoder::WebSocket(WebSocket::default()))?, message })
    }
}
