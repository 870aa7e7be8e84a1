//! A TCP proxy between two of a test's processes, which can hold back what it carries, swallow it, or cut.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::ports::free_port;

/// How often a thread looks whether something has changed.
const LOOK: Duration = Duration::from_millis(10);

const FLOW: u8 = 0;
const HOLD: u8 = 1;
const SWALLOW: u8 = 2;
const CUT: u8 = 3;
const SLOW: u8 = 4;
const ENDED: u8 = 5;
const BREAK: u8 = 6;

/// How long it takes for each piece where it is slow.
const SLOWLY: Duration = Duration::from_millis(200);

pub struct Proxy {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    target: SocketAddr,
    mode: AtomicU8,
    /// Bytes that were carried, both ways.
    carried: AtomicUsize,
}

impl Proxy {
    pub fn to(target: SocketAddr) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], free_port())), target)
    }

    /// At an address that had to be known before the target was started.
    pub fn at(address: SocketAddr, target: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let state = Arc::new(State { target, mode: AtomicU8::new(FLOW), carried: AtomicUsize::new(0) });
        let of_thread = state.clone();
        thread::spawn(move || {
            while of_thread.mode() != ENDED {
                match listener.accept() {
                    // Cut: who connects is closed at once.
                    Ok((client, _)) if of_thread.mode() != CUT => of_thread.clone().carry(client),
                    Ok(_) => {}
                    Err(_) => thread::sleep(LOOK),
                }
            }
        });
        Self { address, state }
    }

    /// Carries on, and delivers what was held back.
    pub fn flow(&self) {
        self.set(FLOW);
    }

    /// Connections stay open and are accepted, and nothing passes until it flows again.
    pub fn hold(&self) {
        self.set(HOLD);
    }

    /// Everything passes, each piece later than the last.
    pub fn slow(&self) {
        self.set(SLOW);
    }

    /// Connections stay open and are accepted, and what is sent is lost.
    pub fn swallow(&self) {
        self.set(SWALLOW);
    }

    /// Ends every connection and takes no new one.
    pub fn cut(&self) {
        self.set(CUT);
    }

    /// The next bytes are lost and end their connection, as where a server ends just then; after that it flows.
    pub fn break_next(&self) {
        self.set(BREAK);
    }

    pub fn carried(&self) -> usize {
        self.state.carried.load(Ordering::Relaxed)
    }

    fn set(&self, mode: u8) {
        self.state.mode.store(mode, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(ENDED);
    }
}

impl State {
    fn mode(&self) -> u8 {
        self.mode.load(Ordering::SeqCst)
    }

    fn carry(self: Arc<Self>, client: TcpStream) {
        client.set_nonblocking(false).unwrap();
        let Ok(server) = TcpStream::connect(self.target) else {
            return;
        };
        let (from_client, from_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let other = self.clone();
        thread::spawn(move || self.one_way(from_client, server));
        thread::spawn(move || other.one_way(from_server, client));
    }

    fn one_way(&self, mut from: TcpStream, mut to: TcpStream) {
        let _ = (from.set_nodelay(true), to.set_nodelay(true), from.set_read_timeout(Some(LOOK)));
        let mut buffer = [0; 16 * 1024];
        'carrying: loop {
            while self.mode() == HOLD {
                thread::sleep(LOOK);
            }
            if matches!(self.mode(), CUT | ENDED) {
                break;
            }
            let count = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                Err(_) => break,
            };
            loop {
                match self.mode() {
                    FLOW => break,
                    HOLD => thread::sleep(LOOK),
                    SLOW => {
                        thread::sleep(SLOWLY);
                        break;
                    }
                    SWALLOW => continue 'carrying,
                    BREAK => {
                        self.mode.store(FLOW, Ordering::SeqCst);
                        break 'carrying;
                    }
                    _ => break 'carrying,
                }
            }
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
            self.carried.fetch_add(count, Ordering::Relaxed);
        }
        let _ = (from.shutdown(std::net::Shutdown::Both), to.shutdown(std::net::Shutdown::Both));
    }
}
