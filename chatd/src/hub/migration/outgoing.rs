//! A draining pod, as one thread sees it: which room is offered to whom, and which client goes when. Pure: no I/O, and knows no room.
//!
//! Rooms go as fast as the other pods answer (`pace.rs`), each by the steps of `moving.rs`; what is not taken goes on here and is offered
//! again, until the deadline. Clients go one after the other, spread over what the deadline leaves.

use std::collections::{HashMap, VecDeque};

use super::pace::{Ended, Targets};
use crate::hub::context::{Context, Timer};
use crate::ids::{SessionId, Time};
use crate::lease::Target;
use crate::protocol::{PodBoot, RoomId};

/// Balancers are slow to learn that a pod is going: for so long it is as good as any other (ms).
const KEEP_RELAYING: u64 = 5_000;
/// How often a draining hub looks for what it can do next (ms). Moves go on by their answers meanwhile.
const STEP: u64 = 100;
/// How much longer a client that is to go may take to finish a line (ms).
const FINISH_LINE: u64 = 1_000;
/// The last client is sent away so long before the deadline (ms).
const BEFORE_DEADLINE: u64 = 2_000;
/// So many clients may go at once; with more, each lengthens the time over which all are spread (ms).
const AT_ONCE: usize = 5;
const APART: u64 = 200;

/// What a look at a draining hub comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The deadline has passed: everybody goes.
    pub is_over: bool,
    /// Every record is to be checked, for the last time: seats wait in the records for those who take the rooms over.
    pub checks_records: bool,
}

/// A room that has been offered, or is about to be.
#[derive(Debug)]
struct Offer {
    to: PodBoot,
    /// When the target was told (ms).
    sent: Option<u64>,
}

#[derive(Debug)]
struct Draining {
    since: u64,
    deadline: u64,
    /// The most clients that were here at once since then.
    most_clients: usize,
    targets: Targets,
    /// The directory names no other pod.
    is_alone: bool,
    /// One that it names is being linked.
    dialling: bool,
    /// Rooms that can be offered next; what has come since is found by the next look.
    waiting: VecDeque<RoomId>,
    offers: HashMap<RoomId, Offer>,
    /// Every record has been looked at for the last time.
    checked: bool,
}

impl Draining {
    /// When this client is to go, of those that may go from `from` on.
    fn turn(&self, id: SessionId, from: u64) -> u64 {
        let left = (self.deadline.saturating_sub(BEFORE_DEADLINE)).saturating_sub(from);
        let span = left.min(self.most_clients.saturating_sub(AT_ONCE) as u64 * APART);
        // Multiples of the golden ratio lie evenly in every stretch, however many there are.
        from + ((u64::from(id.index.wrapping_mul(0x9E37_79B9)) * span) >> 32)
    }
}

/// See the module's documentation. Empty until the pod drains.
#[derive(Debug, Default)]
pub struct Outgoing(Option<Draining>);

impl Outgoing {
    // ---- the drain

    /// The pod drains by `deadline` (ms). `clients`: how many there are.
    pub fn start(&mut self, time: Time, context: &mut Context, deadline: u64, clients: usize) {
        if self.0.is_some() {
            return;
        }
        self.0 = Some(Draining {
            since: time.now,
            deadline,
            most_clients: clients,
            targets: Targets::default(),
            is_alone: false,
            dialling: false,
            waiting: VecDeque::new(),
            offers: HashMap::new(),
            checked: false,
        });
        // What it answered long ago says nothing.
        context.directory_answers = false;
        context.arm(time.now + STEP, Timer::Drain);
    }

    pub fn is_draining(&self) -> bool {
        self.0.is_some()
    }

    /// Looks for what can be done next. `None`: the pod does not drain.
    pub fn look(&mut self, now: u64, clients: usize) -> Option<Look> {
        let draining = self.0.as_mut()?;
        draining.most_clients = draining.most_clients.max(clients);
        let is_over = now >= draining.deadline;
        let checks_records = now + BEFORE_DEADLINE >= draining.deadline && !draining.checked;
        draining.checked |= checks_records;
        Some(Look { is_over, checks_records })
    }

    /// When to look next (ms): on round times only, so that there is one timer however often the targets are told.
    pub fn next_look(now: u64) -> u64 {
        (now / STEP + 1) * STEP
    }

    // ---- clients

    /// This client is sent on to another pod now.
    pub fn sends_away(&self, now: u64, id: SessionId) -> bool {
        self.0.as_ref().is_some_and(|draining| now >= draining.turn(id, draining.since + KEEP_RELAYING))
    }

    /// As [`Outgoing::sends_away`], for a client that can be told where to go: it need not wait for the balancers.
    pub fn redirects(&self, now: u64, id: SessionId) -> bool {
        self.0.as_ref().is_some_and(|draining| now >= draining.turn(id, draining.since))
    }

    /// A client in the middle of a line may finish it.
    pub fn is_patient(&self, now: u64, id: SessionId) -> bool {
        let turn = |draining: &Draining| draining.turn(id, draining.since + KEEP_RELAYING);
        self.0.as_ref().is_none_or(|draining| now < turn(draining) + FINISH_LINE)
    }

    // ---- rooms

    /// The pods that rooms can be moved to, as the directory knows them now.
    pub fn targets_listed(&mut self, targets: Vec<Target>) {
        if let Some(draining) = &mut self.0 {
            draining.is_alone = targets.is_empty();
            draining.targets.listed(targets);
        }
    }

    /// There is no other pod: a room that nobody is connected to need not wait for one.
    pub fn is_alone(&self, context: &Context) -> bool {
        let unlisted = self.0.as_ref().is_some_and(|draining| draining.is_alone);
        unlisted && context.directory_answers && context.peers.is_alone()
    }

    /// Sees to links to the targets: a room is offered over a link that is there, so that it does not stand still for as long as a dial takes.
    pub fn link_targets(&mut self, time: Time, context: &mut Context) {
        let Some(draining) = &mut self.0 else {
            return;
        };
        draining.dialling = false;
        for target in draining.targets.all_listed() {
            if !context.peers.is_up(target.boot) {
                draining.dialling |= context.reach(time, target.boot, &target.peer);
            }
        }
    }

    /// How many rooms are known to wait for an offer.
    pub fn waiting(&self) -> usize {
        self.0.as_ref().map_or(0, |draining| draining.waiting.len())
    }

    /// No room is known to wait, though the pod drains: those that can move are to be named.
    pub fn wants_rooms(&self) -> bool {
        self.0.as_ref().is_some_and(|draining| draining.waiting.is_empty())
    }

    /// These rooms can move.
    pub fn rooms_wait(&mut self, rooms: impl Iterator<Item = RoomId>) {
        if let Some(draining) = &mut self.0 {
            draining.waiting.extend(rooms);
        }
    }

    /// The next room that is to move, and where to. `None`: none can, or the other pods have enough to do.
    pub fn next_offer(
        &mut self,
        now: u64,
        context: &Context,
        can_move: impl Fn(RoomId) -> bool,
    ) -> Option<(RoomId, Target)> {
        let draining = self.0.as_mut().filter(|draining| now < draining.deadline && context.directory_answers)?;
        while draining.waiting.front().is_some_and(|room| !can_move(*room)) {
            draining.waiting.pop_front();
        }
        let room = *draining.waiting.front()?;
        let target = draining.targets.choose(now, context.peers.linked(), draining.dialling)?;
        draining.waiting.pop_front();
        let before = draining.offers.insert(room, Offer { to: target.boot, sent: None });
        debug_assert!(before.is_none(), "{room} is offered twice: {before:?}");
        Some((room, target))
    }

    /// The target is told of the room now. False: the room was not to move.
    pub fn sent(&mut self, now: u64, room: RoomId) -> bool {
        let offer = self.0.as_mut().and_then(|draining| draining.offers.get_mut(&room));
        offer.is_some_and(|offer| {
            offer.sent = Some(now);
            true
        })
    }

    /// The target has the room.
    pub fn taken(&mut self, now: u64, room: RoomId) {
        self.ended(room, |sent| Ended::Taken(now.saturating_sub(sent.unwrap_or(now))));
    }

    /// The target does not take the room, or cannot be heard of.
    pub fn failed(&mut self, now: u64, room: RoomId) {
        self.ended(room, |_| Ended::Failed(now));
    }

    /// Something else has become of the room: it has left this hub.
    pub fn is_over(&mut self, room: RoomId) {
        self.ended(room, |_| Ended::Void);
    }

    /// The room goes on here, until it is offered again.
    pub fn stays(&mut self, room: RoomId) {
        self.is_over(room);
        if let Some(draining) = &mut self.0 {
            draining.waiting.push_back(room);
        }
    }

    fn ended(&mut self, room: RoomId, how: impl FnOnce(Option<u64>) -> Ended) {
        if let Some(draining) = &mut self.0
            && let Some(offer) = draining.offers.remove(&room)
        {
            draining.targets.ended(offer.to, how(offer.sent));
        }
    }

    /// The rooms that have been offered, or are about to be.
    pub fn offered(&self) -> impl Iterator<Item = RoomId> {
        self.0.iter().flat_map(|draining| draining.offers.keys().copied())
    }

    /// What must hold between calls; panics where it does not.
    pub fn check_invariants(&self) {
        if let Some(draining) = &self.0 {
            draining.targets.check_open(|boot| draining.offers.values().filter(|offer| offer.to == boot).count());
        }
    }
}

#[cfg(test)]
#[path = "outgoing_tests.rs"]
mod tests;
