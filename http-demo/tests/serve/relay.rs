//! A TCP relay that breaks a connection when it is used again, as a server does that ends just then. Does I/O.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

pub struct Relay {
    pub address: SocketAddr,
    armed: Arc<AtomicBool>,
}

impl Relay {
    /// Carries to `port` of loopback. Its threads end with the process and its sockets.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let armed = Arc::new(AtomicBool::new(false));
        let relay = Self { address, armed: armed.clone() };
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(("127.0.0.1", port)).unwrap());
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let armed = armed.clone();
                thread::spawn(move || carry(client, server, || armed.swap(false, Ordering::SeqCst)));
                thread::spawn(move || carry(back.0, back.1, || false));
            }
        });
        relay
    }

    /// The next bytes of a client end their connection, and are lost.
    pub fn break_next(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, breaks: impl Fn() -> bool) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if breaks() || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(std::net::Shutdown::Both), to.shutdown(std::net::Shutdown::Both));
}
