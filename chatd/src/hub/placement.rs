//! New rooms that another pod creates because this one has no capacity, many more rooms than the others, or hands its rooms over. The client
//! gets the room's id and enters by JOIN, as with any room of another pod. Pure: no I/O.
//!
//! The better of two random pods is asked, so that full or overloaded pods do not all choose the one that looks best to each (the power of
//! two choices). A full pod asks further ones; an overloaded one creates the room itself where that one does not, and so does the pod that
//! is asked: a room is passed on once. One that hands its rooms over asks all others before it creates the room itself.

use std::collections::BTreeMap;

use rand::seq::IndexedRandom;

use super::context::{Context, Purpose, Timer};
use super::request::{PATIENCE, Requester};
use super::rooms::NewRoom;
use crate::descriptor::Descriptor;
use crate::directory::{Answer, NoAnswer, Request};
use crate::ids::Time;
use crate::lease::Target;
use crate::peer_protocol::Frame;
use crate::protocol::{ErrorCode, PodBoot, RoomId};

/// Rooms that can be requested from other pods at a time.
const MOST: usize = 1_000;
/// How long the listed capacities count (ms): the interval at which leases report them.
const FRESH: u64 = 2_000;
/// Older lists do not even make a pod look whether it is overloaded (ms): it looks at the balance every 10 s.
const KNOWN: u64 = 20_000;
/// Per cent of the mean above which a pod is overloaded. Below that at which it gives rooms away: new rooms level pods at no cost.
const OVERLOADED: u64 = 120;
/// Pods of which the better one is asked.
const CHOICES: usize = 2;

/// Why another pod should create a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Full,
    Overloaded,
    /// It hands all of its rooms over.
    HandsOver,
}

/// What came of a room that another pod should create, for `Hub::rooms_placed`.
#[derive(Debug)]
pub struct Placed {
    pub requester: Requester,
    /// In what the room is to differ from the settings.
    pub descriptor: Option<Box<Descriptor>>,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A pod has created it.
    Created(RoomId),
    /// None has, but this pod has capacity.
    Here,
    Refused(ErrorCode),
}

/// Whether this pod has so many more rooms than the others that these should create the new ones, as far as is known.
pub fn is_overloaded(time: Time, context: &Context) -> bool {
    let settings = &context.settings;
    let is_sure = settings.balance && context.is_sure(time);
    let listed = settings.loads.within(time.now, KNOWN).filter(|_| is_sure);
    listed.is_some_and(|listed| {
        let own = listed.comparable(settings.slots.taken() as u64);
        listed.is_overloaded(own, OVERLOADED, settings.limits.balance.least)
    })
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Placement {
    /// Pods that may have capacity.
    pods: Vec<Target>,
    listed: Option<u64>,
    /// The request for the list of pods is in flight.
    listing: bool,
    wanted: BTreeMap<RoomId, Wanted>,
}

/// A room that another pod should create.
#[derive(Debug)]
struct Wanted {
    requester: Requester,
    descriptor: Option<Box<Descriptor>>,
    reason: Reason,
    until: u64,
    asked: Option<Target>,
}

impl Wanted {
    fn placed(self, outcome: Outcome) -> Placed {
        Placed { requester: self.requester, descriptor: self.descriptor, outcome }
    }
}

impl Placement {
    /// No further room can be requested now.
    pub fn is_full(&self) -> bool {
        self.wanted.len() >= MOST
    }

    /// Whether another pod should create `room`.
    pub fn wants(&self, room: RoomId) -> bool {
        self.wanted.contains_key(&room)
    }

    /// Whether the pod with `boot` has been asked for a room.
    pub fn waits_for(&self, boot: PodBoot) -> bool {
        self.wanted.values().any(|wanted| wanted.asked.as_ref().is_some_and(|asked| asked.boot == boot))
    }

    /// Looks for a pod that creates `room`.
    pub fn place(
        &mut self,
        time: Time,
        context: &mut Context,
        NewRoom { room, descriptor }: NewRoom,
        requester: Requester,
        reason: Reason,
    ) -> Option<Placed> {
        debug_assert!(!self.is_full() && !self.wanted.contains_key(&room), "{room}");
        let until = time.now + if reason == Reason::Full { PATIENCE } else { PATIENCE / 2 };
        self.wanted.insert(room, Wanted { requester, descriptor, reason, until, asked: None });
        context.arm(until, Timer::Placement);
        self.ask_next_pod(time, context, room)
    }

    /// Requests the room from a pod; without a list of pods, requests the list first.
    fn ask_next_pod(&mut self, time: Time, context: &mut Context, room: RoomId) -> Option<Placed> {
        let reason = self.wanted.get(&room)?.reason;
        if !self.knows_pods(time, context) {
            if !std::mem::replace(&mut self.listing, true) {
                context.ask(Purpose::Placement, Request::Pods);
            }
            return None;
        }
        // By a fresh list it may be no longer.
        if reason == Reason::Overloaded && !is_overloaded(time, context) {
            return self.end(room, ErrorCode::TooManyRooms);
        }
        let below = if reason == Reason::Overloaded { context.settings.slots.taken() as u64 } else { u64::MAX };
        while let Some(target) = self.draw(context, below) {
            if context.reach(time, target.boot, &target.peer) {
                if let Some(wanted) = self.wanted.get_mut(&room) {
                    let descriptor = wanted.descriptor.clone();
                    context.peers.send_or_queue(target.boot, &Frame::Create { room, descriptor });
                    wanted.asked = Some(target);
                }
                return None;
            }
            self.pods.retain(|pod| pod.boot != target.boot);
        }
        self.end(room, ErrorCode::TooManyRooms)
    }

    /// Whether the pods are known. A list that another part of the pod has asked for counts.
    fn knows_pods(&mut self, time: Time, context: &Context) -> bool {
        let Some(listed) = context.settings.loads.within(time.now, FRESH) else {
            return false;
        };
        if self.listed != Some(listed.at) {
            let most = context.settings.slots.most() as u64;
            self.listed = Some(listed.at);
            self.pods = listed.others.iter().filter(|pod| pod.rooms < most).cloned().collect();
        }
        true
    }

    /// The better of two random pods, if it has fewer than `below` rooms. It counts the room.
    fn draw(&mut self, context: &mut Context, below: u64) -> Option<Target> {
        let drawn = self.pods.sample(&mut context.random, CHOICES).min_by_key(|pod| pod.rooms);
        let boot = drawn.filter(|pod| pod.rooms < below)?.boot;
        let target = self.pods.iter_mut().find(|pod| pod.boot == boot)?;
        target.rooms += 1;
        Some(target.clone())
    }

    /// The directory listed the pods, or failed to.
    pub fn pods_listed(&mut self, time: Time, context: &mut Context, answer: Result<Answer, NoAnswer>) -> Vec<Placed> {
        self.listing = false;
        let waiting = self.wanted.iter().filter(|(_, wanted)| wanted.asked.is_none());
        let waiting: Vec<RoomId> = waiting.map(|(room, _)| *room).collect();
        let Ok(Answer::Pods(pods)) = answer else {
            return waiting.into_iter().filter_map(|room| self.end(room, ErrorCode::Unavailable)).collect();
        };
        context.settings.loads.list(time.now, pods, &context.me);
        self.ask_for_each(time, context, waiting)
    }

    /// The requested pod replied.
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
            Ok(()) => {
                let wanted = self.wanted.remove(&room);
                let is_balance = wanted.as_ref().is_some_and(|wanted| wanted.reason == Reason::Overloaded);
                context.counters.balance_creations += u64::from(is_balance);
                let made = wanted.map(|wanted| wanted.placed(Outcome::Created(room)));
                made.into_iter().collect()
            }
            Err(_) => self.not_made_by(time, context, from, |asked| asked == room),
        }
    }

    /// A pod that may have a request is unreachable.
    pub fn pod_is_gone(&mut self, time: Time, context: &mut Context, boot: PodBoot) -> Vec<Placed> {
        self.not_made_by(time, context, boot, |_| true)
    }

    /// Requests that pod's rooms from the next one, or leaves them to this pod. It gets no further request until the pods are listed again.
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
                again.push((*room, wanted.reason));
            }
        }
        let next = again.into_iter().filter_map(|(room, reason)| match reason {
            Reason::Full | Reason::HandsOver => self.ask_next_pod(time, context, room),
            Reason::Overloaded => self.end(room, ErrorCode::TooManyRooms),
        });
        next.collect()
    }

    fn ask_for_each(&mut self, time: Time, context: &mut Context, rooms: Vec<RoomId>) -> Vec<Placed> {
        rooms.into_iter().filter_map(|room| self.ask_next_pod(time, context, room)).collect()
    }

    /// No pod has created the room. `code`: the reply of a full pod.
    fn end(&mut self, room: RoomId, code: ErrorCode) -> Option<Placed> {
        let wanted = self.wanted.remove(&room)?;
        let outcome = match wanted.reason {
            Reason::Full => Outcome::Refused(code),
            Reason::Overloaded | Reason::HandsOver => Outcome::Here,
        };
        Some(wanted.placed(outcome))
    }

    /// The rooms that no pod has created in time.
    pub fn take_due(&mut self, time: Time) -> Vec<Placed> {
        let due = self.wanted.iter().filter(|(_, wanted)| wanted.until <= time.now);
        let due: Vec<RoomId> = due.map(|(room, _)| *room).collect();
        due.into_iter().filter_map(|room| self.end(room, ErrorCode::Unavailable)).collect()
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
