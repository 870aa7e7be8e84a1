//! One connection to the web port: its place, and its rate limit. Waits, and reads the clock.

use std::net::IpAddr;
use std::sync::atomic::AtomicU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::failure::Failure;
use crate::connection_limit::Permit;
use crate::limits;
use crate::protocol::ErrorCode;
use crate::room::Bucket;
use crate::shard;

/// Requests on one connection that are answered at once, and so many a second after that: the next ones wait. A page takes some
/// ten, and a proxy has several connections.
const REQUESTS_AT_ONCE: u32 = 100;
const REQUESTS_A_SECOND: u32 = 50;

/// The connected client.
#[derive(Debug)]
pub(super) struct Client {
    pub socket: IpAddr,
    /// Goes along to the shard with the socket.
    pub permit: Mutex<Option<Permit>>,
    /// It is over this limit.
    pub refused: Option<ErrorCode>,
    /// Rooms that it asked for and that do not exist.
    pub misses: AtomicU32,
    /// For the rooms that it makes.
    creations: Mutex<Bucket>,
    /// What is left of its requests.
    pace: Mutex<Bucket>,
    pub since: Instant,
    /// When it last asked for something.
    asked: Mutex<Option<Instant>>,
}

impl Client {
    pub fn new(socket: IpAddr, permit: Result<Permit, ErrorCode>) -> Self {
        let refused = permit.as_ref().err().copied();
        let pace = Bucket::new(REQUESTS_A_SECOND, REQUESTS_AT_ONCE, shard::now().now);
        let creations = Mutex::new(limits::creations(shard::now().now));
        let (permit, pace, asked) = (Mutex::new(permit.ok()), Mutex::new(pace), Mutex::new(None));
        Self { socket, permit, refused, misses: AtomicU32::new(0), creations, pace, since: Instant::now(), asked }
    }

    pub fn asked(&self) -> Option<Instant> {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its place went along with a WebSocket, or was not to be had.
    pub fn has_no_place(&self) -> bool {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Notes a request, and waits until the connection may have another answer.
    pub async fn keep_pace(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let take = || self.pace.lock().unwrap_or_else(PoisonError::into_inner).take(shard::now().now);
        while let Err(wait) = take() {
            sleep(Duration::from_millis(wait)).await;
        }
    }

    /// Whether this connection may make one more room now, which is counted.
    pub fn may_create(&self) -> Result<(), Failure> {
        let mut creations = self.creations.lock().unwrap_or_else(PoisonError::into_inner);
        creations.take(shard::now().now).map_err(|wait| Failure::rate_limited(wait.div_ceil(1000)))
    }
}
