//! A distant Redis: a proxy that delays what it forwards. Does I/O, with two threads per connection and direction.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Lives until the process ends.
pub struct Lag {
    pub address: SocketAddr,
    /// Of one way, in microseconds.
    delay: Arc<AtomicU64>,
}

impl Lag {
    /// Without a delay at first.
    pub fn start(to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, delay) = (listener.local_addr()?, Arc::new(AtomicU64::new(0)));
        let of_thread = delay.clone();
        thread::spawn(move || {
            for from in listener.incoming().flatten() {
                let Ok(to) = TcpStream::connect(to) else {
                    continue;
                };
                if let (Ok(back_from), Ok(back_to)) = (to.try_clone(), from.try_clone()) {
                    carry(from, to, of_thread.clone());
                    carry(back_from, back_to, of_thread.clone());
                }
            }
        });
        Ok(Self { address, delay })
    }

    /// From now on a round trip takes so much longer.
    pub fn set(&self, round_trip: Duration) {
        self.delay.store((round_trip.as_micros() / 2) as u64, Ordering::Relaxed);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, delay: Arc<AtomicU64>) {
    let (sender, pieces) = channel::<(Instant, Vec<u8>)>();
    let _ = to.set_nodelay(true);
    thread::spawn(move || {
        for (due, piece) in pieces {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(got @ 1..) = from.read(&mut buffer) {
            let due = Instant::now() + Duration::from_micros(delay.load(Ordering::Relaxed));
            if sender.send((due, buffer[..got].to_vec())).is_err() {
                break;
            }
        }
    });
}
