//! The peers on node: the packages ws and socket.io. Does I/O: starts them and opens their rooms.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::load::MEMBERS;
use crate::peers::{Contestant, OpenRoom, Place, finish};
use crate::process::{Process, free_address};
use crate::talk::Talk;
use crate::wire::{self, Decoder, WebSocket};

/// A package whose server is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Package {
    Ws,
    SocketIo,
}

impl Package {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::SocketIo => "socket.io",
        }
    }

    fn script(self) -> &'static str {
        match self {
            Self::Ws => "ws.cjs",
            Self::SocketIo => "socket_io.cjs",
        }
    }

    /// As the package's own package.json has it.
    ///
    /// # Errors
    /// It is not installed in `modules`.
    pub fn version(self, modules: &Path) -> Result<String> {
        let path = modules.join(self.name()).join("package.json");
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
        Ok(Self { processes: [process], address, package })
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
        }
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
            Package::SocketIo => wire::frame(&format!(r#"42["say","{text}"]"#)),
        };
        // The last one's message comes back to all only once all four have been accepted.
        talks[MEMBERS - 1].send_bytes(&message)?;
        for talk in &mut talks {
            talk.frame()?;
        }
        Ok(OpenRoom { members: finish(talks, || Decoder::WebSocket(WebSocket::default()))?, message })
    }
}
