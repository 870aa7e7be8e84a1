//! Opens TCP connections. Does I/O.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::Reason;
use crate::settings::Address;

/// A peer that is gone without a word is noticed within about 20 s also where nobody asks.
const KEEP_ALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(10)).with_interval(Duration::from_secs(5)).with_retries(2);

/// Tries the host's addresses in turn; each has its share of the time, so that a dead one does not use up that of the others.
pub async fn connect(address: &Address, deadline: Instant) -> Result<TcpStream, Reason> {
    let lookup = tokio::net::lookup_host((address.host.as_str(), address.port));
    let found: Vec<_> =
        timeout_at(deadline, lookup).await.map_err(|_| Reason::Timeout)?.map_err(|_| Reason::UnknownHost)?.collect();
    let mut outcome = Err(Reason::UnknownHost);
    for (index, socket_address) in found.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(found.len() - index).unwrap_or(u32::MAX);
        outcome = match timeout(share, TcpStream::connect(socket_address)).await {
            Ok(Ok(stream)) => {
                // Every request is written at once; a kernel that refuses only makes them slower.
                let _ = stream.set_nodelay(true);
                let _ = SockRef::from(&stream).set_tcp_keepalive(&KEEP_ALIVE);
                return Ok(stream);
            }
            Ok(Err(_)) => Err(Reason::Refused),
            Err(_) => Err(Reason::Timeout),
        };
    }
    outcome
}

/// The task that moves a connection's bytes. Dropped, it ends, and the connection with it.
#[derive(Debug)]
pub struct Driver(AbortHandle);

impl Driver {
    pub fn spawn(connection: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(connection).abort_handle())
    }

    /// Whether the connection has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}
