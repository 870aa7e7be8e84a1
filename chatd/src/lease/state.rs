//! The content of a lease, and its status. Pure data: no I/O.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::directory::{DirectoryConnection, NoAnswer};
use crate::protocol::PodBoot;
use crate::record::Owner;

/// The value of `pod:<pod_id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// Tells deployments apart that share a prefix by mistake.
    pub uid: String,
    /// The process that holds the lease.
    pub boot: PodBoot,
    /// `host:port` for raw TCP clients.
    pub addr: String,
    /// `host:port` for other pods.
    pub peer: String,
    /// `host:port` for browsers.
    pub web: String,
    /// Rooms that the pod has, when the lease was written.
    #[serde(default)]
    pub rooms: u64,
    /// Seats in those rooms.
    #[serde(default)]
    pub players: u64,
    /// The pod ends: it takes no rooms.
    #[serde(default)]
    pub draining: bool,
    /// Which of several pods of this name wrote it; empty: not told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pod_uid: String,
    /// The pods of this name that a later one has replaced, the latest last: they do not take the lease again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<String>,
    /// The connection over which it was written, as far as the process knew. While the directory has that, the process lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<DirectoryConnection>,
    /// Counts the process's writes, so that no two have the same bytes: a lease that is found unchanged has not been renewed.
    #[serde(default)]
    pub renewals: u64,
}

impl LeaseRecord {
    /// `None` for rubbish.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= crate::record::MAX_RECORD).then(|| serde_json::from_slice(bytes).ok()).flatten()
    }

    /// The pods in a list of leases that rooms may go to: those that serve, without `me`.
    pub fn targets(leases: Vec<(String, Bytes)>, me: &Owner) -> Vec<Target> {
        let leases = leases.into_iter().filter_map(|(pod_id, bytes)| Some((pod_id, Self::parse(&bytes)?)));
        let is_other = |lease: &Self| lease.boot != me.ownership.boot && lease.peer != me.peer;
        let others = leases.filter(|(_, lease)| is_other(lease) && !lease.draining);
        others.map(|(pod_id, lease)| lease.into_target(pod_id)).collect()
    }

    /// The pod `pod_id`, which holds this lease, as one that rooms may go to.
    pub(super) fn into_target(self, pod_id: String) -> Target {
        Target { pod_id, boot: self.boot, peer: self.peer, rooms: self.rooms }
    }

    pub(super) fn to_bytes(&self) -> Bytes {
        // Serialising plain strings and numbers into memory cannot fail.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// Who holds the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseIdentity {
    /// The name that the lease stands under.
    pub pod_id: String,
    /// See [`LeaseRecord::uid`].
    pub uid: String,
    /// See [`LeaseRecord::pod_uid`].
    pub pod_uid: String,
    /// This process.
    pub boot: PodBoot,
    /// `host:port` for raw TCP clients.
    pub tcp: String,
    /// `host:port` for browsers.
    pub web: String,
    /// `host:port` for other pods.
    pub peer: String,
}

/// How the directory is, as this pod sees it. The names are those of `/status` and of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryState {
    /// It answers.
    Ok,
    /// It does not, for this reason.
    Away(NoAnswer),
    /// Another deployment uses the key prefix.
    PrefixInUse,
}

impl DirectoryState {
    /// The name in `/status` and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            DirectoryState::Ok => "ok",
            DirectoryState::Away(why) => why.as_str(),
            DirectoryState::PrefixInUse => "prefix_in_use",
        }
    }

    /// Every state, in the order that metrics list them.
    pub fn all() -> impl Iterator<Item = DirectoryState> {
        let away = NoAnswer::ALL.into_iter().map(DirectoryState::Away);
        std::iter::once(DirectoryState::Ok).chain(away).chain(std::iter::once(DirectoryState::PrefixInUse))
    }
}

/// See [`super::Lease::status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseStatus {
    /// Serving: false before the first lease, and while another deployment has the prefix.
    pub ready: bool,
    /// See [`LeaseView::settled`].
    pub settled: bool,
    /// The pod has been told to end.
    pub draining: bool,
    /// `None`: no request to the directory has been answered yet, or has had its time to be.
    pub state: Option<DirectoryState>,
    /// Since when the state is so (Unix ms).
    pub since: u64,
}

/// What the pod's lease means for its rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeaseView {
    /// When the last confirmed renewal was sent (ms, [`crate::ids::Time::now`]); `None` before the first.
    pub confirmed: Option<u64>,
    /// This pod may take over rooms and say that a room does not exist.
    pub settled: bool,
}

/// Another pod, as a planned move may choose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The pod's name.
    pub pod_id: String,
    /// The process that is to take the room.
    pub boot: PodBoot,
    /// Its `host:port` for other pods.
    pub peer: String,
    /// Rooms that it had when its lease was written: the fewest are chosen.
    pub rooms: u64,
}
