//! A client's connection to a server under test, in plaintext or with TLS. Does I/O.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// Reads and writes as the socket does, blocking or not.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Socket {
    /// Connects; with a configuration for TLS its handshake is done then. No answer takes longer than `limit`.
    pub fn connect(address: SocketAddr, tls: Option<&Arc<ClientConfig>>, limit: Duration) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        let Some(config) = tls else {
            return Ok(Self { stream, tls: None });
        };
        let name = ServerName::from(address.ip());
        let mut tls = Box::new(ClientConnection::new(config.clone(), name).map_err(io::Error::other)?);
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        Ok(Self { stream, tls: Some(tls) })
    }

    /// What an event loop waits for.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self { stream, tls: None }
    }
}

impl Read for Socket {
    /// With TLS, all that one read of the socket had, if there is room for it: an event loop hears no more of that.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.stream.read(buffer);
        };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            if tls.read_tls(&mut self.stream)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.stream.write(bytes);
        };
        let taken = tls.writer().write(bytes)?;
        while tls.wants_write() {
            tls.write_tls(&mut self.stream)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpListener;

    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection, Stream};

    use super::*;
    use crate::certificate::Certificate;

    #[test]
    fn what_is_said_comes_whole_with_tls_and_without() {
        let certificate = Certificate::new().unwrap();
        let (chain, key) = (certificate.0.cert.der().clone(), certificate.0.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::try_from(key).unwrap();
        let server = Arc::new(server.with_no_client_auth().with_single_cert(vec![chain], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let long = b"0123456789abcdef".repeat(3_000);
        for sealed in [true, false] {
            let (server, long) = (server.clone(), long.clone());
            let (echo, client) = std::thread::scope(|scope| {
                let echo = scope.spawn(|| {
                    let mut stream = listener.accept().unwrap().0;
                    let mut said = vec![0; long.len()];
                    if sealed {
                        let mut tls = ServerConnection::new(server).unwrap();
                        let mut stream = Stream::new(&mut tls, &mut stream);
                        stream.read_exact(&mut said).unwrap();
                        stream.write_all(&said).unwrap();
                    } else {
                        stream.read_exact(&mut said).unwrap();
                        stream.write_all(&said).unwrap();
                    }
                    said
                });
                let config = certificate.client().unwrap();
                let tls = Some(&config).filter(|_| sealed);
                let mut client = Socket::connect(address, tls, Duration::from_secs(10)).unwrap();
                client.write_all(&long).unwrap();
                let mut back = vec![0; long.len()];
                client.read_exact(&mut back).unwrap();
                (echo.join().unwrap(), back)
            });
            assert!(echo == long && client == long, "with TLS: {sealed}");
        }
    }
}
