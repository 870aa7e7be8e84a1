//! New rooms that are made at another pod, since this one has no place for them. Whoever asked is told the room's id, and gets
//! there by JOIN, as to any room of another pod. Pure: no I/O.

use std::collections::BTreeMap;

use super::ownership::{PATIENCE, Released};
use super::{Hub, Purpose, Timer};
use crate::directory::{Answer, NoAnswer, Request};
use crate::ids::{Reach, Time};
use crate::lease::{LeaseRecord, Target};
use crate::peer_protocol::Frame;
use crate::protocol::{ErrorCode, PodBoot, RoomId};

/// Rooms that may be asked for elsewhere at a time.
const MOST: usize = 1_000;
/// How long it is believed which pods have places (ms): leases say so as often.
const FRESH: u64 = 2_000;

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
    whom: Released,
    until: u64,
    asked: Option<Target>,
}

impl Hub {
    pub(super) fn create_elsewhere(&mut self, time: Time, whom: Released) {
        if self.placement.wanted.len() >= MOST {
            return self.created(time, whom, Err(ErrorCode::TooManyRooms));
        }
        let room = self.new_room();
        let until = time.now + PATIENCE;
        self.placement.wanted.insert(room, Wanted { whom, until, asked: None });
        self.context.arm(until, Timer::Placement);
        self.ask_next_pod(time, room);
    }

    /// Asks the pod with the fewest rooms, or the directory which pods there are.
    fn ask_next_pod(&mut self, time: Time, room: RoomId) {
        if self.placement.listed.is_none_or(|at| time.now >= at + FRESH) {
            if !std::mem::replace(&mut self.placement.listing, true) {
                self.context.ask(Purpose::Placement, Request::Pods);
            }
            return;
        }
        while let Some(target) = self.placement.pods.iter_mut().min_by_key(|pod| pod.rooms) {
            target.rooms += 1;
            let target = target.clone();
            if self.context.reach(time, target.boot, &target.peer) {
                self.context.peers.send_or_queue(target.boot, &Frame::Create { room });
                if let Some(wanted) = self.placement.wanted.get_mut(&room) {
                    wanted.asked = Some(target);
                }
                return;
            }
            self.placement.pods.retain(|pod| pod.boot != target.boot);
        }
        self.made_elsewhere(time, room, Err(ErrorCode::TooManyRooms));
    }

    pub(super) fn places_listed(&mut self, time: Time, answer: Result<Answer, NoAnswer>) {
        self.placement.listing = false;
        let waiting = self.placement.wanted.iter().filter(|(_, wanted)| wanted.asked.is_none());
        let waiting: Vec<RoomId> = waiting.map(|(room, _)| *room).collect();
        let Ok(Answer::Pods(pods)) = answer else {
            for room in waiting {
                self.made_elsewhere(time, room, Err(ErrorCode::Unavailable));
            }
            return;
        };
        let most = self.context.settings.slots.most() as u64;
        let leases = pods.into_iter().filter_map(|(pod_id, bytes)| Some((pod_id, LeaseRecord::parse(&bytes)?)));
        let others = leases.filter(|(_, lease)| {
            lease.boot != self.context.me.ownership.boot
                && lease.peer != self.context.me.peer
                && !lease.draining
                && lease.rooms < most
        });
        let target = |(pod_id, lease): (String, LeaseRecord)| {
            let LeaseRecord { boot, peer, rooms, .. } = lease;
            Target { pod_id, boot, peer, rooms }
        };
        self.placement.pods = others.map(target).collect();
        self.placement.listed = Some(time.now);
        for room in waiting {
            self.ask_next_pod(time, room);
        }
    }

    /// The pod that was asked has answered.
    pub(super) fn answered_elsewhere(
        &mut self,
        time: Time,
        from: PodBoot,
        room: RoomId,
        result: Result<(), ErrorCode>,
    ) {
        let asked = self.placement.wanted.get(&room).and_then(|wanted| wanted.asked.as_ref());
        if asked.is_none_or(|asked| asked.boot != from) {
            return;
        }
        match result {
            Ok(()) => self.made_elsewhere(time, room, Ok(room)),
            Err(_) => self.not_made_by(time, from, |asked| asked == room),
        }
    }

    /// A pod that may have been asked cannot be reached.
    pub(super) fn elsewhere_is_gone(&mut self, time: Time, boot: PodBoot) {
        self.not_made_by(time, boot, |_| true);
    }

    /// The next pod is asked for those rooms that this one was asked for. It is asked for no more until pods are listed again.
    fn not_made_by(&mut self, time: Time, boot: PodBoot, which: impl Fn(RoomId) -> bool) {
        self.placement.pods.retain(|pod| pod.boot != boot);
        let mut again = Vec::new();
        for (room, wanted) in &mut self.placement.wanted {
            if which(*room) && wanted.asked.take_if(|asked| asked.boot == boot).is_some() {
                again.push(*room);
            }
        }
        for room in again {
            self.ask_next_pod(time, room);
        }
    }

    fn made_elsewhere(&mut self, time: Time, room: RoomId, result: Result<RoomId, ErrorCode>) {
        let Some(wanted) = self.placement.wanted.remove(&room) else {
            return;
        };
        if let (Released::Created(asked), Ok(_)) = (wanted.whom, result)
            && let Reach::Local(id) = asked.by
        {
            self.sessions.charge(id);
        }
        self.created(time, wanted.whom, result);
    }

    pub(super) fn elsewhere_due(&mut self, time: Time) {
        let due = self.placement.wanted.iter().filter(|(_, wanted)| wanted.until <= time.now);
        for room in due.map(|(room, _)| *room).collect::<Vec<_>>() {
            self.made_elsewhere(time, room, Err(ErrorCode::Unavailable));
        }
    }

    // ---- the pod that is asked

    /// Another pod has no place for `room`, which is new.
    pub(super) fn create_for_pod(&mut self, time: Time, from: PodBoot, room: RoomId) {
        let slot = if self.is_new(room) { self.may_create(time) } else { Err(ErrorCode::Unavailable) };
        match slot {
            Ok(slot) => self.found_room(time, room, Released::Elsewhere { from, room }, slot),
            Err(code) => self.context.peers.send(from, &Frame::Created { room, result: Err(code) }),
        }
    }
}
