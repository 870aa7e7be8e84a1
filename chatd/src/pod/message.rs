//! Messages of shard threads and the admin port to the pod's thread (directory, lease, peer links, HTTP, signals), and events of its tasks. Types
//! only; no I/O.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::death_notice::DeathNotice;
use crate::directory::{Answer, NoAnswer, Request};
use crate::failure_detector::{Dialled, Finding};
use crate::hub::Advertised;
use crate::ids::Ticket;
use crate::join_token::Verifier;
use crate::peer::links::LinkId;
use crate::protocol::PodBoot;
use crate::protocol::token::Keyring;
use crate::shard::message::Report;

/// From a shard, and from the admin port.
#[derive(Debug)]
#[allow(missing_docs, reason = "fields are named by their types")]
pub enum PodMessage {
    /// Ask the directory; the answer goes to the shard by [`crate::shard::message::ShardMessage::Answered`].
    Directory { shard: usize, ticket: Ticket, request: Request },
    /// The admin port asks the directory.
    Ask { request: Request, reply: oneshot::Sender<Result<Answer, NoAnswer>> },
    /// Make a link to this process.
    Dial { boot: PodBoot, address: String },
    /// Whether the shard needs the link to this process, as [`crate::shard::message::ShardMessage::ReleaseLink`] has asked.
    LinkAnswer { boot: PodBoot, query: u64, needed: bool },
    /// Whole encoded frames for the pod with boot `to`, over the link that the shard knows: on another one, that has come
    /// meanwhile, they would arrive without those that were lost before them.
    Frames { to: PodBoot, link: LinkId, bytes: Vec<u8> },
    /// See [`crate::hub::Effect::DirectoryWentBack`].
    DirectoryWentBack,
    /// The server API asks this pod to hand its rooms over, here or at another pod.
    HandOver,
    /// The operator says that a process is dead.
    Dead { notice: DeathNotice, reply: oneshot::Sender<Finding> },
}

/// Something that happened, other than mail.
#[derive(Debug)]
pub(super) enum PodEvent {
    LeaseAnswered(Ticket, Result<Answer, NoAnswer>),
    /// To the failure detector.
    DetectorAnswered(Ticket, Result<Answer, NoAnswer>),
    /// What came of an attempt to connect to the process with this boot.
    Dialled(PodBoot, Dialled),
    /// A connection to the directory was made or lost.
    DirectoryChanged,
    DirectoryReset,
    /// `None`: a shard has ended.
    Reported(Option<Box<Report>>),
    Keys(Arc<Keyring>, usize),
    JoinKeys(Arc<Verifier>),
    Advertised(Arc<HashMap<String, Advertised>>),
    /// SIGTERM or SIGINT.
    Signal(&'static str),
}
