//! Servers that misbehave, on free ports of loopback.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// A server that is none: for each connection it runs `serve` in a thread. It ends when dropped.
pub struct FakeServer {
    pub port: u16,
    pub accepted: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl FakeServer {
    pub fn start(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (accepted, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, end) = (accepted.clone(), ended.clone());
        thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                count.fetch_add(1, Ordering::Relaxed);
                let serve = serve.clone();
                thread::spawn(move || serve(socket));
            }
        });
        Self { port, accepted, ended }
    }

    /// Answers whatever comes with `line`.
    pub fn saying(line: &'static str) -> Self {
        Self::start(move |mut socket| {
            let mut buffer = [0; 4_096];
            while socket.read(&mut buffer).is_ok_and(|length| length > 0) {
                if socket.write_all(format!("{line}\r\n").as_bytes()).is_err() {
                    return;
                }
            }
        })
    }

    /// Says `line` to everyone who connects, unasked, and closes: as Redis in protected mode, or without a place, does.
    pub fn turning_away(line: &'static str) -> Self {
        Self::start(move |mut socket| {
            let _ = socket.write_all(format!("{line}\r\n").as_bytes());
        })
    }

    /// Reads, and never answers.
    pub fn silent() -> Self {
        Self::start(|mut socket| {
            let _ = std::io::copy(&mut socket, &mut std::io::sink());
        })
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}
