//! TLS on the clients' ports: the certificate and its renewal, handshakes, and the record layer. Does I/O: reads files.
//!
//! `handshakes` agrees on keys, then `transport` is all there is of TLS: bytes in, bytes out. The shards and hyper know nothing else.

pub mod authorities;
pub mod certificate;
pub mod client_hello;
pub mod handshakes;
mod plain_http;
mod records;
pub mod renewal;
pub mod socket;
pub mod transport;

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::files::{PERIOD, ReloadFailures};
use crate::settings::TlsSettings;
use crate::shard;
use certificate::{CertificateError, Served, TlsFiles};
use handshakes::{Failed, Handshakes};
use renewal::{Look, Renewal};
use socket::Secured;

/// Which port a connection came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// The one that speaks lines.
    Lines,
    /// The web port.
    Web,
}

/// Why TLS cannot start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum TlsError {
    #[error("{0}")]
    Certificate(#[from] CertificateError),
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

/// TLS of the process, as the ports use it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tls {
    served: Arc<RwLock<Served>>,
    handshakes: Handshakes,
}

impl Tls {
    /// Reads the files, at the start of the process: blocks. Files that cannot be used are an error, an expired certificate is
    /// none: a restart is to serve as the process before it did.
    pub fn start(settings: &TlsSettings) -> Result<(Self, Renewal), TlsError> {
        let files = TlsFiles::read(settings)?;
        let served = Served::new(&files)?;
        let renewal = Renewal::new(files, &served);
        let tls = Self { served: Arc::new(RwLock::new(served)), handshakes: Handshakes::start()? };
        Ok((tls, renewal))
    }

    /// The server's side of a handshake, with the certificate of this moment. On the web port an HTTP request in plaintext is told
    /// what this port speaks.
    pub async fn accept(&self, stream: TcpStream, port: Port, deadline: Instant) -> Result<Secured, Failed> {
        if port == Port::Web && plain_http::begins(&stream, deadline).await {
            plain_http::refuse(stream).await;
            self.handshakes.count(Some(Failed::PlainHttp));
            return Err(Failed::PlainHttp);
        }
        let config = match (port, self.served()) {
            (Port::Lines, served) => served.lines,
            (Port::Web, served) => served.web,
        };
        self.handshakes.accept(stream, config, deadline).await
    }

    /// From when and until when the certificate in use is valid, in Unix seconds.
    pub fn validity(&self) -> (i64, i64) {
        let served = self.served();
        (served.not_before, served.not_after)
    }

    /// How many handshakes have ended, by [`handshakes::RESULTS`].
    pub fn counts(&self) -> [u64; handshakes::RESULTS.len()] {
        self.handshakes.counts()
    }

    fn served(&self) -> Served {
        // No panic can leave it half changed.
        self.served.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the files for ever, and serves what is new of them.
    pub async fn renew(self, settings: TlsSettings, mut renewal: Renewal, failures: ReloadFailures) {
        loop {
            let settings = settings.clone();
            // A file on a network mount may block.
            let read = tokio::task::spawn_blocking(move || TlsFiles::read(&settings)).await;
            let now = i64::try_from(shard::now().wall / 1_000).unwrap_or(i64::MAX);
            match read.map_or(Look::Same, |read| renewal.look(read, now)) {
                Look::Same => {}
                Look::Renewed(served) => {
                    tracing::info!(expires = served.not_after, "TLS certificate reloaded");
                    *self.served.write().unwrap_or_else(PoisonError::into_inner) = served;
                }
                Look::Unusable(reason) => {
                    tracing::error!(%reason, "cannot use the changed TLS files; keeping the old certificate");
                    failures.count_one();
                }
                Look::Expired(reason) => tracing::error!(%reason, "TLS certificate expired; clients refuse it"),
            }
            sleep(PERIOD).await;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "tests.rs"]
mod tests;
