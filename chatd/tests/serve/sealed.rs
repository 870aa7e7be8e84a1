//! A client by rustls: lines over TLS, or what else one writes into its stream. Does I/O on its socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::certificates::{Certificates, client_config};
use crate::client::PATIENCE;

/// The connection, and what was read of the next line.
pub struct Sealed(pub StreamOwned<ClientConnection, TcpStream>, pub Vec<u8>);

impl Sealed {
    pub fn connect_with(address: SocketAddr, config: ClientConfig) -> std::io::Result<Self> {
        Self::connect_to(address, ServerName::from(address.ip()), config)
    }

    /// The name is asked for (SNI), and has to stand in the certificate.
    pub fn connect_to(address: SocketAddr, name: ServerName<'static>, config: ClientConfig) -> std::io::Result<Self> {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self(stream, Vec::new()))
    }

    pub fn connect(address: SocketAddr, certificates: &Certificates) -> std::io::Result<Self> {
        Self::connect_with(address, client_config(&certificates.ca(), None))
    }

    pub fn send(&mut self, text: impl AsRef<[u8]>) {
        self.0.write_all(text.as_ref()).unwrap();
    }

    pub fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.1.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.1.drain(..=end).collect();
                return String::from_utf8(line[..end].to_vec()).unwrap();
            }
            let mut buffer = [0; 4096];
            let count = self.0.read(&mut buffer).unwrap();
            assert!(count > 0, "the server has closed the connection");
            self.1.extend_from_slice(&buffer[..count]);
        }
    }

    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\n"));
        self.line()
    }

    pub fn join(&mut self, room: &str, name: &str) {
        assert!(self.ask(&format!("JOIN {room} {name}")).starts_with(&format!("JOINED {room} {name}")));
    }

    pub fn create_room(&mut self) -> String {
        self.ask("CREATE_ROOM").strip_prefix("ROOM ").unwrap().to_owned()
    }

    /// All that is left, to the end; an end without close_notify is an error.
    pub fn rest(&mut self) -> std::io::Result<String> {
        let mut rest = std::mem::take(&mut self.1);
        self.0.read_to_end(&mut rest)?;
        Ok(String::from_utf8(rest).unwrap())
    }
}
