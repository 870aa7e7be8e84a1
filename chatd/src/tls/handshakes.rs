//! TLS handshakes: a thread of their own carries them out, so many at once and a second. Does I/O on clients' sockets.
//!
//! A handshake is one signature and one key exchange: many at once would keep the pod's thread from its lease. So they have their own
//! thread, which shares the processor fairly with those that serve. Who sends no whole ClientHello takes no part, and who does not go
//! on makes way: `AT_ONCE` is more than what can begin within `PATIENCE`, so that clients that stand still delay no others.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, Semaphore, oneshot};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::client_hello;
use super::socket::{Secured, Socket};
use crate::room::Bucket;
use crate::shard;

/// Handshakes at a time, with the memory of each: 10 KB, and what has come of a message that is not whole (`super::socket`).
const AT_ONCE: usize = 560;
/// Handshakes that begin in a second; further clients wait their turn. An estimate, not measured: less than half a core with an RSA key.
const A_SECOND: u32 = 500;
/// Handshakes that begin at once after a pause.
const BURST: u32 = 50;
/// When all `AT_ONCE` are under way, those that have lasted so long end.
const PATIENCE: Duration = Duration::from_secs(1);
/// A handshake that has lasted longer looks so often whether it is in the way.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How handshakes end; the order of [`Handshakes::counts`].
pub const RESULTS: [&str; 8] =
    ["ok", "timeout", "closed", "malformed", "incompatible", "client_certificate", "refused_by_client", "plain_http"];

/// How a handshake fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// Not done by its deadline, or in the way of others.
    Timeout,
    /// The client is gone, without a reason.
    Closed,
    /// What came is no TLS, or breaks its rules.
    Malformed,
    /// No common version, cipher suite or protocol.
    Incompatible,
    /// The client shows no certificate, or none of `--tls-client-ca-file`.
    ClientCertificate,
    /// The client does not accept the certificate, or something else.
    RefusedByClient,
    /// An HTTP request in plaintext: answered, and closed.
    PlainHttp,
}

/// One handshake, for the thread.
struct Request {
    stream: std::net::TcpStream,
    config: Arc<ServerConfig>,
    reply: oneshot::Sender<io::Result<Secured>>,
}

/// Cheap to clone; the thread ends with the last one.
#[derive(Debug, Clone)]
pub struct Handshakes {
    thread: UnboundedSender<Request>,
    slots: Arc<Semaphore>,
    pace: Arc<Mutex<Bucket>>,
    counts: Arc<[AtomicU64; RESULTS.len()]>,
}

impl Handshakes {
    /// Starts the thread.
    pub fn start() -> io::Result<Self> {
        let (thread, requests) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        let run = {
            let slots = slots.clone();
            move || LocalSet::new().block_on(&runtime, carry_out(requests, slots))
        };
        std::thread::Builder::new().name("tls".to_owned()).spawn(run)?;
        Ok(Self {
            thread,
            slots,
            pace: Arc::new(Mutex::new(Bucket::new(A_SECOND, BURST, shard::now().now))),
            counts: Arc::default(),
        })
    }

    /// The server's side of a handshake, done by `deadline`. A client whose ClientHello has not come whole takes no slot.
    pub async fn accept(
        &self,
        stream: TcpStream,
        config: Arc<ServerConfig>,
        deadline: Instant,
    ) -> Result<Secured, Failed> {
        let done = timeout_at(deadline, self.take_turn(stream, config)).await;
        let result = match done {
            Err(_) => Err(Failed::Timeout),
            Ok(Err(error)) => Err(Failed::from(&error)),
            Ok(Ok(stream)) => Ok(stream),
        };
        self.count(result.as_ref().err().copied());
        result
    }

    /// Counts one that has ended; `None`: well.
    pub fn count(&self, failed: Option<Failed>) {
        self.counts[failed.map_or(0, |failed| failed as usize + 1)].fetch_add(1, Ordering::Relaxed);
    }

    async fn take_turn(&self, stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<Secured> {
        client_hello::arrives(&stream).await?;
        self.keep_pace().await;
        let _slot = self.slots.acquire().await;
        let (reply, done) = oneshot::channel();
        let request = Request { stream: stream.into_std()?, config, reply };
        let ended = |_| io::Error::other("the thread for handshakes has ended");
        self.thread.send(request).map_err(|_| io::Error::other("the thread for handshakes has ended"))?;
        done.await.map_err(ended)?
    }

    /// Waits for its turn, one after the other: only the first of those who wait has a timer.
    async fn keep_pace(&self) {
        let mut pace = self.pace.lock().await;
        while let Err(wait) = pace.take(shard::now().now) {
            sleep(Duration::from_millis(wait)).await;
        }
    }

    /// How many have ended, by [`RESULTS`].
    pub fn counts(&self) -> [u64; RESULTS.len()] {
        std::array::from_fn(|index| self.counts[index].load(Ordering::Relaxed))
    }
}

async fn carry_out(mut requests: UnboundedReceiver<Request>, slots: Arc<Semaphore>) {
    while let Some(Request { stream, config, mut reply }) = requests.recv().await {
        let slots = slots.clone();
        spawn_local(async move {
            let handshake = async { TlsAcceptor::from(config).accept(Socket::new(TcpStream::from_std(stream)?)).await };
            let in_the_way = async {
                sleep(PATIENCE).await;
                while slots.available_permits() > 0 {
                    sleep(LOOK_AGAIN).await;
                }
            };
            tokio::select! {
                // What the client has sent meanwhile counts: it may be the processor that is late.
                biased;
                done = handshake => drop(reply.send(done.map(Socket::secured))),
                // Its deadline has passed.
                () = reply.closed() => {}
                () = in_the_way => drop(reply.send(Err(io::ErrorKind::TimedOut.into()))),
            }
        });
    }
}

impl From<&io::Error> for Failed {
    fn from(error: &io::Error) -> Self {
        use rustls::Error;
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(Error::AlertReceived(_)) => Self::RefusedByClient,
            Some(Error::NoCertificatesPresented | Error::InvalidCertificate(_)) => Self::ClientCertificate,
            Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => Self::Incompatible,
            Some(_) => Self::Malformed,
            None => match error.kind() {
                io::ErrorKind::TimedOut => Self::Timeout,
                io::ErrorKind::InvalidData => Self::Malformed,
                _ => Self::Closed,
            },
        }
    }
}
