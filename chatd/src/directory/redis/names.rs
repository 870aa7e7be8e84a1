//! Resolves the servers' names, and detects when a name resolves to another address. Uses the system's resolver, except in tests.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::url::Address;
use crate::directory::ANSWER_TIME;

/// How often names are looked up again.
const LOOK_UP_EVERY: Duration = Duration::from_secs(30);

type Found = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// The source of addresses. Cheap to clone.
#[derive(Clone)]
pub struct Names {
    look_up: Arc<dyn Fn(Address) -> Found + Send + Sync>,
    every: Duration,
}

impl fmt::Debug for Names {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Names").field("every", &self.every).finish_non_exhaustive()
    }
}

impl Names {
    /// The system's, looked up again every 30 s.
    pub fn of_the_system() -> Self {
        let look_up = |address: Address| -> Found {
            Box::pin(async move {
                let found = tokio::net::lookup_host((address.host.as_str(), address.port)).await?;
                Ok(found.collect())
            })
        };
        Self { look_up: Arc::new(look_up), every: LOOK_UP_EVERY }
    }

    /// Those that `look_up` gives, asked again after `every`.
    pub fn given(look_up: impl Fn(&Address) -> Vec<SocketAddr> + Send + Sync + 'static, every: Duration) -> Self {
        let look_up = move |address: Address| -> Found {
            let found = look_up(&address);
            Box::pin(async move { Ok(found) })
        };
        Self { look_up: Arc::new(look_up), every }
    }

    /// How often a name has to be looked up again.
    pub fn every(&self) -> Duration {
        self.every
    }

    /// The caller bounds the time.
    pub async fn look_up(&self, address: &Address) -> io::Result<Vec<SocketAddr>> {
        (self.look_up)(address.clone()).await
    }

    /// Where `address` leads now, if `to` is no longer among it. A look-up that fails says nothing.
    pub async fn leads_elsewhere(&self, address: &Address, to: SocketAddr) -> Option<Vec<SocketAddr>> {
        let found = timeout(ANSWER_TIME, self.look_up(address)).await.ok()?.ok()?;
        has_left(to, &found).then_some(found)
    }
}

/// No answer is no news: names are taken out and put in again while servers start.
fn has_left(connected: SocketAddr, found: &[SocketAddr]) -> bool {
    let same = |other: &SocketAddr| {
        other.port() == connected.port() && other.ip().to_canonical() == connected.ip().to_canonical()
    };
    !found.is_empty() && !found.iter().any(same)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_has_other_addresses_has_left() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let connected = address("10.0.0.1:6379");
        assert!(!has_left(connected, &[]));
        assert!(!has_left(connected, &[address("10.0.0.2:6379"), address("[::ffff:10.0.0.1]:6379")]));
        assert!(has_left(connected, &[address("10.0.0.2:6379")]));
    }
}
