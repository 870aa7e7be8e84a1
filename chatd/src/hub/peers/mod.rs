//! The links to other pods: those that are up, the dials in progress, and the frames that wait for a link. Pure: no I/O.

mod takeover_notices;

use std::collections::BTreeMap;

use crate::ids::Time;
use crate::peer_protocol::Frame;
use crate::protocol::PodBoot;

pub use takeover_notices::{TakeoverNotice, TakeoverNotices};

/// How long a failed dial counts for all (ms): at most one dial per peer and second.
const DIAL_AGAIN: u64 = 1_000;

/// A dial in progress.
#[derive(Debug, Default)]
struct Dial {
    frames: usize,
    /// Encoded.
    queue: Vec<u8>,
}

/// The state of a requested link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Up, or a dial is in progress.
    Expected,
    /// The caller has to dial now.
    ToDial,
    /// A dial has just failed.
    Unreachable,
}

/// See the module's documentation. Ordered maps, so that the same input gives the same output.
#[derive(Debug)]
pub struct Peers {
    /// The most frames that wait for one dial.
    most_dialled: usize,
    /// The links that are up, with their queued frames.
    up: BTreeMap<PodBoot, Vec<u8>>,
    dials: BTreeMap<PodBoot, Dial>,
    /// Unreachable processes, with the time until which that counts.
    failed: BTreeMap<PodBoot, u64>,
}

impl Peers {
    /// `most_dialled`: the most frames that wait for one dial.
    pub fn new(most_dialled: usize) -> Self {
        Self { most_dialled, up: BTreeMap::new(), dials: BTreeMap::new(), failed: BTreeMap::new() }
    }

    pub fn is_up(&self, boot: PodBoot) -> bool {
        self.up.contains_key(&boot)
    }

    pub fn linked(&self) -> impl Iterator<Item = PodBoot> + '_ {
        self.up.keys().copied()
    }

    /// No link is up.
    pub fn is_alone(&self) -> bool {
        self.up.is_empty()
    }

    /// The length of the longest queue that waits for a dial.
    pub fn most_queued(&self) -> usize {
        self.dials.values().map(|dial| dial.frames).max().unwrap_or(0)
    }

    /// Requests a link to the process with `boot`. If the caller has to dial, the dial counts as in progress from now on.
    pub fn want(&mut self, time: Time, boot: PodBoot) -> Link {
        if self.is_up(boot) || self.dials.contains_key(&boot) {
            return Link::Expected;
        }
        if self.failed.get(&boot).is_some_and(|until| *until > time.now) {
            return Link::Unreachable;
        }
        self.failed.remove(&boot);
        self.dials.insert(boot, Dial::default());
        Link::ToDial
    }

    /// A link is up, dialled by either side: sends the frames that waited for it.
    pub fn link_is_up(&mut self, boot: PodBoot) {
        let waiting = self.dials.remove(&boot).map(|dial| dial.queue).unwrap_or_default();
        self.up.entry(boot).or_default().extend_from_slice(&waiting);
    }

    /// A link broke, and its queued frames are lost. False: it was not up.
    pub fn link_is_down(&mut self, boot: PodBoot) -> bool {
        self.up.remove(&boot).is_some()
    }

    /// Gives the link up, unless frames wait for it. False: they do.
    pub fn release(&mut self, boot: PodBoot) -> bool {
        let free = self.up.get(&boot).is_none_or(Vec::is_empty);
        if free {
            self.up.remove(&boot);
        }
        free
    }

    /// A dial has failed, and the frames that waited for it are lost.
    pub fn dial_failed(&mut self, time: Time, boot: PodBoot) {
        self.dials.remove(&boot);
        self.failed.retain(|_, until| *until > time.now);
        self.failed.insert(boot, time.now + DIAL_AGAIN);
    }

    /// Sends a frame, if the link is up.
    pub fn send(&mut self, to: PodBoot, frame: &Frame<'_>) {
        if let Some(out) = self.up.get_mut(&to) {
            frame.encode(out);
        }
    }

    /// Sends a frame now, or once the dial in progress has led to a link.
    pub fn send_or_queue(&mut self, to: PodBoot, frame: &Frame<'_>) {
        if let Some(out) = self.up.get_mut(&to) {
            frame.encode(out);
        } else if let Some(dial) = self.dials.get_mut(&to)
            && dial.frames < self.most_dialled
        {
            dial.frames += 1;
            frame.encode(&mut dial.queue);
        }
    }

    pub fn take_frames(&mut self, mut send: impl FnMut(PodBoot, Vec<u8>)) {
        for (boot, out) in &mut self.up {
            if !out.is_empty() {
                send(*boot, std::mem::take(out));
            }
        }
    }

    /// What must hold between calls; panics where it does not.
    pub fn check_invariants(&self) {
        for (boot, dial) in &self.dials {
            assert!(!self.failed.contains_key(boot), "{boot} is being dialled, and is believed to be unreachable");
            assert!(dial.frames <= self.most_dialled, "{} frames wait for a dial of {boot}", dial.frames);
            assert_eq!(dial.frames == 0, dial.queue.is_empty(), "frames that wait for a dial of {boot}");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PEER: PodBoot = PodBoot(7);

    fn at(now: u64) -> Time {
        Time { now, wall: now }
    }

    fn frame() -> Frame<'static> {
        Frame::Create { room: "abc12def".parse().unwrap(), descriptor: None }
    }

    fn frames(peers: &mut Peers) -> usize {
        let mut bytes = 0;
        peers.take_frames(|_, out| bytes += out.len());
        let mut one = Vec::new();
        frame().encode(&mut one);
        bytes / one.len()
    }

    #[test]
    fn a_peer_is_dialled_once_and_what_waits_goes_out_with_the_link() {
        let mut peers = Peers::new(2);
        peers.send_or_queue(PEER, &frame());
        assert_eq!((peers.want(at(0), PEER), peers.want(at(0), PEER)), (Link::ToDial, Link::Expected));
        for _ in 0..3 {
            peers.send_or_queue(PEER, &frame());
        }
        peers.send(PEER, &frame());
        peers.check_invariants();
        assert_eq!((peers.most_queued(), frames(&mut peers)), (2, 0));
        peers.link_is_up(PEER);
        peers.send(PEER, &frame());
        assert_eq!((peers.most_queued(), frames(&mut peers), frames(&mut peers)), (0, 3, 0));
        assert_eq!(peers.want(at(0), PEER), Link::Expected);
        assert!(peers.link_is_down(PEER) && !peers.link_is_down(PEER) && peers.is_alone());
    }

    #[test]
    fn a_peer_that_could_not_be_reached_is_dialled_again_after_a_second() {
        let mut peers = Peers::new(2);
        assert_eq!(peers.want(at(0), PEER), Link::ToDial);
        peers.send_or_queue(PEER, &frame());
        peers.dial_failed(at(100), PEER);
        assert_eq!((peers.want(at(1_099), PEER), peers.most_queued()), (Link::Unreachable, 0));
        assert_eq!(peers.want(at(1_100), PEER), Link::ToDial);
        peers.check_invariants();
    }

    #[test]
    fn a_peer_that_dials_by_itself_is_no_longer_unreachable() {
        let mut peers = Peers::new(2);
        peers.dial_failed(at(0), PEER);
        peers.link_is_up(PEER);
        assert_eq!(peers.want(at(1), PEER), Link::Expected);
    }
}
