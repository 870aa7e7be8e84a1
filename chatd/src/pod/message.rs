//! What a shard thread tells the pod's thread (directory, lease, peer links, HTTP, signals). Types only; no I/O.

use crate::directory::Request;
use crate::ids::Ticket;
use crate::peer::links::LinkId;
use crate::protocol::PodBoot;

/// From a shard.
#[derive(Debug)]
pub enum PodMessage {
    Directory {
        shard: usize,
        ticket: Ticket,
        request: Request,
    },
    Dial {
        boot: PodBoot,
        address: String,
    },
    /// Whole encoded frames for the pod with boot `to`, over the link that the shard knows: on another one, that has come
    /// meanwhile, they would arrive without those that were lost before them.
    Frames {
        to: PodBoot,
        link: LinkId,
        bytes: Vec<u8>,
    },
    DirectoryWentBack,
}
