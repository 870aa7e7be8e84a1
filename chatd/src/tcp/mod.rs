//! The raw TCP port: accepts connections and hands each to a shard. Does I/O.

pub mod proxy_header;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};

use crate::connection_limit::{ConnectionLimit, Permit};
use crate::logging::OnceAMinute;
use crate::protocol::{Encoding, ErrorCode, Event};
use crate::shard::message::{ClientSocket, ShardMessage};
use crate::tls::client_hello::HANDSHAKE;
use crate::tls::socket::{self, Secured};
use crate::tls::{Port, Tls};
use proxy_header::Step;

/// Arguments of the raw TCP port.
#[derive(Debug, Clone)]
pub struct TcpOptions {
    /// The pod's places for connections, shared with the web port.
    pub places: ConnectionLimit,
    /// Every connection starts with a PROXY header (version 1 or 2), whose address is the client's.
    pub proxy_protocol: bool,
    /// `None`: plaintext alone.
    pub tls: Option<Tls>,
    /// With `tls`: a client may speak plaintext all the same.
    pub plaintext_too: bool,
    /// From connecting to the end of the PROXY header and of the TLS handshake; a client's first line has as long again
    /// (docs/protocol.md, Keeping alive).
    pub first_line_timeout: Duration,
}

/// How long a connection over the limit has to take its words; more than [`ConnectionLimit::refusals`] are closed without any.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// Connections that the system keeps until they are accepted; net.core.somaxconn may allow fewer.
const BACKLOG: u32 = 4_096;
/// After an error of accept (no descriptors left, most often) it is retried this much later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown` is ready; what was accepted stays with its shard.
pub async fn serve(
    listener: TcpListener,
    shards: Vec<UnboundedSender<ShardMessage>>,
    options: TcpOptions,
    shutdown: impl Future<Output = ()>,
) {
    keep_alive(&listener);
    let mut spread = Spread::default();
    let refusals = Semaphore::new(options.places.refusals());
    let entrance = Arc::new(Entrance { options, refusals });
    let options = &entrance.options;
    let mut shards = shards.into_iter().cycle();
    let mut under_way = JoinSet::new();
    let mut failures = OnceAMinute::default();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let (stream, address) = tokio::select! {
            () = &mut shutdown => return,
            Some(_) = under_way.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => (stream, address.ip().to_canonical()),
                Err(error) => {
                    accept_failed(&error, &mut failures).await;
                    continue;
                }
            },
        };
        let Some(shard) = shards.next() else {
            return;
        };
        spread.set_probes(&stream);
        match options.places.take(Some(address).filter(|_| !options.proxy_protocol)) {
            Ok(permit) if !options.proxy_protocol && options.tls.is_none() => {
                hand_over(Client::Plain(stream), address, permit, &shard);
            }
            permit => {
                let entrance = entrance.clone();
                under_way.spawn(async move { entrance.admit(stream, address, permit, shard).await });
            }
        }
    }
}

/// Listens on an address, with a queue for all who come back at once after a restart.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Whether only this machine can connect.
pub(crate) fn is_loopback(listener: &TcpListener) -> bool {
    listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback())
}

/// After so much silence (s) a client is probed first, and then after so much again, until [`DEAD`]: at least three times.
const FIRST_PROBE: RangeInclusive<u64> = 20..=28;
const NEXT_PROBE: RangeInclusive<u64> = 8..=16;
/// A client that has not answered for so long is dead.
const DEAD: Duration = Duration::from_mins(1);

/// Gives each connection its own times for probes. The kernel rounds timers so far away to a second or two: those of clients that
/// came in one moment would leave in one moment each time, more than the queue of an interface takes, and living clients be cut off.
#[derive(Debug, Default)]
pub(crate) struct Spread(u64);

impl Spread {
    /// Sets the times of the next connection.
    pub fn set_probes(&mut self, stream: &TcpStream) {
        let probes = probes(self.0);
        self.0 = self.0.wrapping_add(1);
        if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&probes) {
            // It has those of the listener.
            tracing::debug!(%error, "cannot set a connection's keepalive intervals");
        }
    }
}

/// When the connection with this number is probed: all pairs of times in turn, so that each is as frequent as the others.
fn probes(number: u64) -> TcpKeepalive {
    let (first, next) = probe_times(number);
    TcpKeepalive::new().with_time(Duration::from_secs(first)).with_interval(Duration::from_secs(next))
}

fn probe_times(number: u64) -> (u64, u64) {
    let count = |times: &RangeInclusive<u64>| times.end() - times.start() + 1;
    let (firsts, nexts) = (count(&FIRST_PROBE), count(&NEXT_PROBE));
    (FIRST_PROBE.start() + number % firsts, NEXT_PROBE.start() + (number / firsts) % nexts)
}

/// Sets what finds dead clients (docs/protocol.md, Keeping alive), and no delay for small writes. Linux gives it on to accepted sockets.
pub(crate) fn keep_alive(listener: &TcpListener) {
    let socket = SockRef::from(listener);
    let probes = probes(0).with_retries(3);
    let set = socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&probes))
        .and_then(|()| socket.set_tcp_user_timeout(Some(DEAD)));
    if let Err(error) = set {
        tracing::warn!(%error, "cannot enable TCP keepalive; dead clients are detected late");
    }
}

/// Waits a little: the error is most often that there are no descriptors left, and would come back at once.
pub(crate) async fn accept_failed(error: &io::Error, log: &mut OnceAMinute) {
    if log.is_due(Instant::now()) {
        tracing::warn!(%error, "cannot accept a connection");
    }
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// A client that is through.
enum Client {
    Plain(TcpStream),
    Tls(Box<Secured>),
}

/// What stands between the listener and a shard, where something does.
struct Entrance {
    options: TcpOptions,
    refusals: Semaphore,
}

impl Entrance {
    async fn admit(
        &self,
        mut stream: TcpStream,
        socket: IpAddr,
        mut permit: Result<Permit, ErrorCode>,
        shard: UnboundedSender<ShardMessage>,
    ) {
        let TcpOptions { proxy_protocol, tls, first_line_timeout, .. } = &self.options;
        let mut deadline = Instant::now() + *first_line_timeout;
        let mut slot = None;
        if permit.is_err() && !self.may_refuse(&mut slot, &mut deadline) {
            return;
        }
        let mut address = socket;
        // Words in plaintext can go before the header; TLS begins behind it.
        if *proxy_protocol && (permit.is_ok() || tls.is_some()) {
            match timeout_at(deadline.into(), read_proxy_header(&mut stream)).await {
                Ok(Ok(Some(client))) => {
                    address = client;
                    permit = permit.and_then(|permit| permit.belongs_to(client));
                }
                // A proxy that speaks for itself asks whether this pod lives.
                Ok(Ok(None)) => {}
                Ok(Err(error)) => {
                    return tracing::debug!(%error, proxy = %socket, "closed a connection: no PROXY header");
                }
                Err(_) => return tracing::debug!(proxy = %socket, "closed a connection: no PROXY header in time"),
            }
            if permit.is_err() && slot.is_none() && !self.may_refuse(&mut slot, &mut deadline) {
                return;
            }
        }
        match (self.secure(stream, deadline).await, permit) {
            (Ok(client), Ok(permit)) => hand_over(client, address, permit, &shard),
            (Ok(client), Err(code)) => refuse_in_time(client, code).await,
            (Err(Some(stream)), Ok(_)) if self.may_refuse(&mut slot, &mut deadline) => {
                refuse_in_time(Client::Plain(stream), ErrorCode::Timeout).await;
            }
            (Err(_), _) => {}
        }
    }

    /// Whether there are not too many who are being refused; gives this one its time for that.
    fn may_refuse<'a>(&'a self, slot: &mut Option<SemaphorePermit<'a>>, deadline: &mut Instant) -> bool {
        *slot = self.refusals.try_acquire().ok();
        *deadline = Instant::now() + REFUSAL_TIME;
        slot.is_some()
    }

    /// Lets the client speak TLS, or choose. `Err`: it is gone, or (with its socket) has sent nothing in time.
    async fn secure(&self, stream: TcpStream, deadline: Instant) -> Result<Client, Option<TcpStream>> {
        let TcpOptions { tls: Some(tls), plaintext_too, .. } = &self.options else {
            return Ok(Client::Plain(stream));
        };
        if *plaintext_too {
            let mut first = [0];
            // No command begins as TLS does.
            match timeout_at(deadline.into(), stream.peek(&mut first)).await {
                Ok(Ok(1..)) if first[0] == HANDSHAKE => {}
                Ok(Ok(1..)) => return Ok(Client::Plain(stream)),
                Ok(_) => return Err(None),
                Err(_) => return Err(Some(stream)),
            }
        }
        match tls.accept(stream, Port::Lines, deadline.into()).await {
            Ok(stream) => Ok(Client::Tls(Box::new(stream))),
            Err(failed) => {
                tracing::debug!(?failed, "closed a connection: TLS handshake failed");
                Err(None)
            }
        }
    }
}

fn hand_over(client: Client, address: IpAddr, permit: Permit, shard: &UnboundedSender<ShardMessage>) {
    let (stream, tls) = match client {
        Client::Plain(stream) => (stream, None),
        Client::Tls(stream) => {
            let (stream, tls) = socket::split(*stream);
            (stream, Some(tls))
        }
    };
    if let Ok(stream) = stream.into_std() {
        // A shard that has ended serves no clients: the socket closes with the message.
        let _ = shard.send(ShardMessage::Client { socket: ClientSocket::Tcp { stream, tls }, address, permit });
    }
}

/// Reads exactly the header, and nothing of what follows it. `None`: the proxy speaks for itself.
async fn read_proxy_header(stream: &mut TcpStream) -> io::Result<Option<IpAddr>> {
    let mut header = Vec::new();
    loop {
        match proxy_header::parse(&header) {
            Ok(Step::More(count)) => {
                let start = header.len();
                header.resize(start + count, 0);
                let read = stream.read(&mut header[start..]).await?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                header.truncate(start + read);
            }
            Ok(Step::Done(address)) => return Ok(address),
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}

async fn refuse_in_time(client: Client, code: ErrorCode) {
    let _ = match client {
        Client::Plain(stream) => timeout(REFUSAL_TIME, refuse(stream, code)).await,
        Client::Tls(stream) => timeout(REFUSAL_TIME, refuse(stream, code)).await,
    };
}

/// Tells a connection over the limit so, and closes it without losing the words on their way.
async fn refuse(mut stream: impl AsyncRead + AsyncWrite + Unpin, code: ErrorCode) -> io::Result<()> {
    let mut words = Vec::new();
    Encoding::Lines.encode(&Event::Error { code, retry_after_ms: None }, None, &mut words);
    Encoding::Lines.encode(&Event::Bye { code: Some(code) }, None, &mut words);
    stream.write_all(&words).await?;
    stream.shutdown().await?;
    // Unread input would reset the connection, and the words would be lost.
    let mut forgotten = [0; 1024];
    while stream.read(&mut forgotten).await? > 0 {}
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_is_probed_three_times_before_it_counts_as_dead() {
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..81 {
            let (first, next) = probe_times(number);
            assert!(first + 2 * next <= DEAD.as_secs(), "{first}, {next}");
            seen.insert((first, next));
        }
        assert_eq!(seen.len(), 81);
    }

    #[tokio::test]
    async fn accepted_sockets_find_dead_clients_and_do_not_wait_to_send() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        keep_alive(&listener);
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let socket = SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        let mut spread = Spread(80);
        spread.set_probes(&accepted);
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(28));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(16));
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_mins(1)));
    }
}
