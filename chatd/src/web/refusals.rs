//! Requests refused because their host or origin is not allowed: counted, and logged once per minute with the setting that would
//! allow them. Does I/O: logs.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::logging::OnceAMinute;

/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Refusals(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    hosts: Refused,
    origins: Refused,
}

#[derive(Debug, Default)]
struct Refused {
    count: AtomicU64,
    log: Mutex<OnceAMinute>,
}

impl Refused {
    /// Counts one. True: it is to be told.
    fn one(&self) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.log.lock().unwrap_or_else(PoisonError::into_inner).is_due(Instant::now())
    }
}

impl Refusals {
    /// By host and by origin.
    pub fn counts(&self) -> (u64, u64) {
        (self.0.hosts.count.load(Ordering::Relaxed), self.0.origins.count.load(Ordering::Relaxed))
    }

    /// `host`: in letters that a host name may have.
    pub(super) fn host(&self, host: Option<&str>) {
        if self.0.hosts.one() {
            let host = host.unwrap_or("not a host name");
            let hint = format!("listen on another address than loopback, or --allowed-origins http://{host}");
            tracing::warn!(host, hint, "refused a request for another host");
        }
    }

    /// `origin`: as an origin may be written; `through`: the proxy that says that the page is its own, and is not trusted.
    pub(super) fn origin(&self, origin: Option<String>, through: Option<IpAddr>) {
        if self.0.origins.one() {
            let origin = origin.unwrap_or_else(|| "not an origin".to_owned());
            let hint = match through {
                Some(proxy) => format!("--trusted-proxies {proxy}, or --allowed-origins {origin}"),
                None => format!("--allowed-origins {origin}"),
            };
            tracing::warn!(origin, hint, "refused a request from a page of another origin");
        }
    }
}
