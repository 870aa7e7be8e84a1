//! Names of what travels between the parts of a pod: sessions, requests, times. Plain data: no I/O.

use serde::{Deserialize, Serialize};

use crate::protocol::PodBoot;

/// The longest frame between pods: a snapshot of a full room of 64 with its ring, and room to spare. Rooms go by it too.
pub const MAX_FRAME: usize = 256 * 1024;

/// The clocks, read by the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Milliseconds on a clock that never goes back and counts suspension (CLOCK_BOOTTIME).
    pub now: u64,
    /// Unix milliseconds: for people, and for epochs.
    pub wall: u64,
}

/// A client connection of this hub. Its driver keeps what it has of it (a socket) under the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    /// Small, and used again once the session is gone: an index into the driver's table.
    pub index: u32,
    /// Tells later users of the index apart.
    pub generation: u32,
}

/// Where a hub keeps a room that it owns. The hub reuses the index of a room that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomIndex(pub usize);

/// Names one request to the directory, so that its answer finds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A client connection, named by the pod that it is connected to; unique for that pod's boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RelayId(pub u64);

/// One client connection, anywhere: the boot of the pod that it is connected to, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SessionRef {
    /// The process that the client is connected to.
    pub boot: PodBoot,
    /// Its number there.
    pub relay: RelayId,
}

/// How the owner reaches a seated client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Connected here, to this thread.
    Local(SessionId),
    /// Connected to another pod.
    Remote(SessionRef),
}
