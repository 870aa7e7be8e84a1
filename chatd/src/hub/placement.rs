//! New rooms that are made at another pod, since this one has no place for them. Whoever asked is told the room's id, and gets
//! there by JOIN, as to any room of another pod. Pure: no I/O.

use std::collections::BTreeMap;

use super::context::{Context, Purpose, Timer};
use super::request::{PATIENCE, Requester};
use crate::directory::{Answer, NoAnswer, Request};
use crate::ids::Time;
use crate::lease::{LeaseRecord, Target};
use crate::peer_protocol::Frame;
use crate::protocol::{ErrorCode, PodBoot, RoomId};

/// Rooms that may be asked for elsewhere at a time.
const MOST: usize = 1_000;
/// How long it is believed which pods have places (ms): leases say so as often.
const FRESH: u64 = 2_000;

/// What has become of a room that was to be made elsewhere: for `Hub::rooms_placed`.
#[derive(Debug)]
pub struct Placed {
    pub requester: Requester,
    /// Its id, once a pod has made it.
    pub result: Result<RoomId, ErrorCode>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Placement {
    /// Pods that may have a place.
    pods: Vec<Target>,
    listed: Option<u64>,
    /// The directory has been asked for them.
    listing: bool,
    wanted: BTreeMap<RoomId, Wanted>,
}

/// A room that is to be made at another pod.
#[derive(Debug)]
struct Wanted {
    requester: Requester,
    until: u64,
    asked: Option<Target>,
}

impl Placement {
    /// So many rooms are asked for already that no other can be.
    pub fn is_full(&self) -> bool {
        self.wanted.len() >= MOST
    }

    /// Looks for a pod that makes `room`, which is new.
    pub fn place(&mut self, time: Time, context: &mut Context, room: RoomId, requester: Requester) -> Option<Placed> {
        debug_assert!(!self.is_full() && !self.wanted.contains_key(&room), "{room}");
        let until = time.now + PATIENCE;
        self.wanted.insert(room, Wanted { requester, until, asked: None });
        context.arm(until, Timer::Placement);
        self.ask_next_pod(time, context, room)
    }

    /// Asks the pod with the fewest rooms, or the directory which pods there are.
    fn ask_next_pod(&mut self, time: Time, context: &mut Context, room: RoomId) -> Option<Placed> {
        if self.listed.is_none_or(|at| time.now >= at + FRESH) {
            if !std::mem::replace(&mut self.listing, true) {
                context.ask(Purpose::Placement, Request::Pods);
            }
            return None;
        }
        while let Some(target) = self.pods.iter_mut().min_by_key(|pod| pod.rooms) {
            target.rooms += 1;
            let target = target.clone();
            if context.reach(time, target.boot, &target.peer) {
                context.peers.send_or_queue(target.boot, &Frame::Create { room });
                if let Some(wanted) = self.wanted.get_mut(&room) {
                    wanted.asked = Some(target);
                }
                return None;
            }
            self.pods.retain(|pod| pod.boot != target.boot);
        }
        self.end(room, Err(ErrorCode::TooManyRooms))
    }

    /// The directory has said which pods there are, or not.
    pub fn pods_listed(&mut self, time: Time, context: &mut Context, answer: Result<Answer, NoAnswer>) -> Vec<Placed> {
        self.listing = false;
        let waiting = self.wanted.iter().filter(|(_, wanted)| wanted.asked.is_none());
        let waiting: Vec<RoomId> = waiting.map(|(room, _)| *room).collect();
        let Ok(Answer::Pods(pods)) = answer else {
            return waiting.into_iter().filter_map(|room| self.end(room, Err(ErrorCode::Unavailable))).collect();
        };
        let most = context.settings.slots.most() as u64;
        let leases = pods.into_iter().filter_map(|(pod_id, bytes)| Some((pod_id, LeaseRecord::parse(&bytes)?)));
        let others = leases.filter(|(_, lease)| {
            lease.boot != context.me.ownership.boot
                && lease.peer != context.me.peer
                && !lease.draining
                && lease.rooms < most
        });
        let target = |(pod_id, lease): (String, LeaseRecord)| {
            let LeaseRecord { boot, peer, rooms, .. } = lease;
            Target { pod_id, boot, peer, rooms }
        };
        self.pods = others.map(target).collect();
        self.listed = Some(time.now);
        self.ask_for_each(time, context, waiting)
    }

    /// The pod that was asked has answered.
    pub fn answered(
        &mut self,
        time: Time,
        context: &mut Context,
        from: PodBoot,
        room: RoomId,
        result: Result<(), ErrorCode>,
    ) -> Vec<Placed> {
        let asked = self.wanted.get(&room).and_then(|wanted| wanted.asked.as_ref());
        if asked.is_none_or(|asked| asked.boot != from) {
            return Vec::new();
        }
        match result {
            Ok(()) => self.end(room, Ok(room)).into_iter().collect(),
            Err(_) => self.not_made_by(time, context, from, |asked| asked == room),
        }
    }

    /// A pod that may have been asked cannot be reached.
    pub fn pod_is_gone(&mut self, time: Time, context: &mut Context, boot: PodBoot) -> Vec<Placed> {
        self.not_made_by(time, context, boot, |_| true)
    }

    /// The next pod is asked for those rooms that this one was asked for. It is asked for no more until pods are listed again.
    fn not_made_by(
        &mut self,
        time: Time,
        context: &mut Context,
        boot: PodBoot,
        which: impl Fn(RoomId) -> bool,
    ) -> Vec<Placed> {
        self.pods.retain(|pod| pod.boot != boot);
        let mut again = Vec::new();
        for (room, wanted) in &mut self.wanted {
            if which(*room) && wanted.asked.take_if(|asked| asked.boot == boot).is_some() {
                again.push(*room);
            }
        }
        self.ask_for_each(time, context, again)
    }

    fn ask_for_each(&mut self, time: Time, context: &mut Context, rooms: Vec<RoomId>) -> Vec<Placed> {
        rooms.into_iter().filter_map(|room| self.ask_next_pod(time, context, room)).collect()
    }

    fn end(&mut self, room: RoomId, result: Result<RoomId, ErrorCode>) -> Option<Placed> {
        let wanted = self.wanted.remove(&room)?;
        Some(Placed { requester: wanted.requester, result })
    }

    /// The rooms that no pod has made in time.
    pub fn take_due(&mut self, time: Time) -> Vec<Placed> {
        let due = self.wanted.iter().filter(|(_, wanted)| wanted.until <= time.now);
        let due: Vec<RoomId> = due.map(|(room, _)| *room).collect();
        due.into_iter().filter_map(|room| self.end(room, Err(ErrorCode::Unavailable))).collect()
    }

    /// What must hold between calls; panics where it does not.
    pub fn check_invariants(&self) {
        assert!(self.wanted.len() <= MOST, "{} rooms are asked for elsewhere", self.wanted.len());
        let waits = self.wanted.iter().find(|(_, wanted)| wanted.asked.is_none());
        assert!(waits.is_none() || self.listing, "{waits:?} waits for nothing");
    }
}

#[cfg(test)]
#[path = "placement_tests.rs"]
mod tests;
