//! What leaves this pod, as one thread sees it: which room is offered to which pod, and when each client leaves. Pure: no I/O, and knows no
//! room.
//!
//! The rooms of a draining pod leave as fast as the other pods answer (`pace.rs`), each by the steps of `moving.rs`. A declined room
//! continues here and is offered again until the deadline. Clients leave one after the other, spread over the remaining time. A pod that
//! goes on after it has handed its rooms over has no deadline, and keeps its clients. So does one with too many rooms, which offers some of
//! them in the same way (`balance.rs`).

use std::collections::{HashMap, VecDeque};

use super::balance::Balance;
use super::pace::{Ended, Targets};
use crate::hub::context::{Context, Timer};
use crate::ids::{SessionId, Time};
use crate::lease::Target;
use crate::protocol::{PodBoot, RoomId};

/// Balancers learn late that a pod drains, and send it clients for this long (ms).
const KEEP_RELAYING: u64 = 5_000;
/// Interval at which a draining hub looks for further steps (ms). Replies advance moves in between.
const STEP: u64 = 100;
/// Extra time for a client to finish its line before it is sent away (ms).
const FINISH_LINE: u64 = 1_000;
/// The last client is sent away this long before the deadline (ms).
const BEFORE_DEADLINE: u64 = 2_000;
/// Clients that may leave at once. Each further one lengthens the period over which all leave (ms).
const AT_ONCE: usize = 5;
const APART: u64 = 200;

/// The next step of a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The pod ends: its clients leave, too.
    pub ends: bool,
    /// The deadline has passed: every client leaves.
    pub is_over: bool,
    /// Check every record for the last time: new owners restore the seats from the records.
    pub checks_records: bool,
}

/// A room that is offered, or about to be.
#[derive(Debug)]
struct Offer {
    to: PodBoot,
    /// When the target got the offer (ms).
    sent: Option<u64>,
}

#[derive(Debug)]
struct Draining {
    since: u64,
    /// `None`: the pod goes on, and keeps its clients.
    deadline: Option<u64>,
    /// The highest number of clients since then.
    most_clients: usize,
    /// The directory lists no other pod.
    is_alone: bool,
    /// Every record has had its last check.
    checked: bool,
}

impl Draining {
    fn ends(&self) -> bool {
        self.deadline.is_some()
    }

    /// Whether the deadline has come, or comes `before` it has passed (ms).
    fn is_within(&self, now: u64, before: u64) -> bool {
        self.deadline.is_some_and(|deadline| now + before >= deadline)
    }

    /// When this client leaves, if the first may leave `after` the beginning (ms). `None`: it stays.
    fn turn(&self, id: SessionId, after: u64) -> Option<u64> {
        let from = self.since + after;
        let left = self.deadline?.saturating_sub(BEFORE_DEADLINE).saturating_sub(from);
        let span = left.min(self.most_clients.saturating_sub(AT_ONCE) as u64 * APART);
        // Multiples of the golden ratio are spread evenly over any interval, for any number of clients.
        Some(from + ((u64::from(id.index.wrapping_mul(0x9E37_79B9)) * span) >> 32))
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// `None` until the pod drains.
    draining: Option<Draining>,
    pub balance: Balance,
    targets: Targets,
    /// The hub is dialling a listed pod.
    dialling: bool,
    /// Rooms that can be offered next. The next look finds further ones.
    waiting: VecDeque<RoomId>,
    offers: HashMap<RoomId, Offer>,
}

impl Outgoing {
    // ---- the drain

    /// Begins a drain that ends by `deadline` (ms); without one the pod goes on. `clients`: their number.
    pub fn start(&mut self, time: Time, context: &mut Context, deadline: Option<u64>, clients: usize) {
        if self.ends() || self.is_draining() && deadline.is_none() {
            return;
        }
        let since = time.now;
        self.draining = Some(Draining { since, deadline, most_clients: clients, is_alone: false, checked: false });
        // Replies from before the drain are out of date.
        context.directory_answers = false;
        context.arm(time.now + STEP, Timer::Drain);
    }

    /// It hands its rooms over, and takes none.
    pub fn is_draining(&self) -> bool {
        self.draining.is_some()
    }

    /// It drains, and then it ends.
    pub fn ends(&self) -> bool {
        self.draining.as_ref().is_some_and(Draining::ends)
    }

    /// For how long the pod has been about to end (ms).
    pub fn drains_for(&self, now: u64) -> Option<u64> {
        self.draining.as_ref().filter(|draining| draining.ends()).map(|draining| now.saturating_sub(draining.since))
    }

    /// Finds the next step of the drain. `None`: the pod does not drain.
    pub fn look(&mut self, now: u64, clients: usize) -> Option<Look> {
        let draining = self.draining.as_mut()?;
        draining.most_clients = draining.most_clients.max(clients);
        let (ends, is_over) = (draining.ends(), draining.is_within(now, 0));
        let checks_records = draining.is_within(now, BEFORE_DEADLINE) && !draining.checked;
        draining.checked |= checks_records;
        Some(Look { ends, is_over, checks_records })
    }

    /// When to look again (ms), rounded up, so that one timer serves every reply.
    pub fn next_look(now: u64) -> u64 {
        (now / STEP + 1) * STEP
    }

    // ---- clients

    /// Whether this client is to leave for another pod now.
    pub fn sends_away(&self, now: u64, id: SessionId) -> bool {
        self.turn(id, KEEP_RELAYING).is_some_and(|turn| now >= turn)
    }

    /// As [`Outgoing::sends_away`], for a client that gets the next owner's address: it need not wait for the balancers.
    pub fn redirects(&self, now: u64, id: SessionId) -> bool {
        self.turn(id, 0).is_some_and(|turn| now >= turn)
    }

    /// Whether a client in the middle of a line may still finish it.
    pub fn is_patient(&self, now: u64, id: SessionId) -> bool {
        self.turn(id, KEEP_RELAYING).is_none_or(|turn| now < turn + FINISH_LINE)
    }

    fn turn(&self, id: SessionId, after: u64) -> Option<u64> {
        self.draining.as_ref().and_then(|draining| draining.turn(id, after))
    }

    // ---- rooms

    /// The pods that can take rooms, as listed in the directory.
    pub fn targets_listed(&mut self, targets: Vec<Target>) {
        if let Some(draining) = &mut self.draining {
            draining.is_alone = targets.is_empty();
            self.targets.listed(targets);
        }
    }

    /// There is no other pod: a room without connected members need not wait for one.
    pub fn is_alone(&self, context: &Context) -> bool {
        let unlisted = self.draining.as_ref().is_some_and(|draining| draining.is_alone);
        unlisted && context.directory_answers && context.peers.is_alone()
    }

    /// Requests links to the targets in advance, so that no room is paused for the time of a dial.
    pub fn link_targets(&mut self, time: Time, context: &mut Context) {
        self.dialling = false;
        for target in self.targets.all_listed() {
            if !context.peers.is_up(target.boot) {
                self.dialling |= context.reach(time, target.boot, &target.peer);
            }
        }
    }

    /// The number of rooms that wait for an offer.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The pod drains and no room waits: the hub has to list the rooms that can move.
    pub fn wants_rooms(&self) -> bool {
        self.is_draining() && self.waiting.is_empty()
    }

    /// Adds rooms that can move.
    pub fn rooms_wait(&mut self, rooms: impl Iterator<Item = RoomId>) {
        self.waiting.extend(rooms);
    }

    /// Offers these rooms, instead of those that still wait, to these pods.
    pub fn give_away(&mut self, rooms: Vec<RoomId>, targets: Vec<Target>) {
        self.targets.listed(targets);
        self.waiting = rooms.into();
    }

    /// The next room to offer, with its target. `None`: no room can move, or every target is at its limit.
    pub fn next_offer(
        &mut self,
        now: u64,
        context: &Context,
        can_move: impl Fn(RoomId) -> bool,
    ) -> Option<(RoomId, Target)> {
        let is_over = self.draining.as_ref().is_some_and(|draining| draining.is_within(now, 0));
        if is_over || !context.directory_answers {
            return None;
        }
        while self.waiting.front().is_some_and(|room| !can_move(*room)) {
            self.waiting.pop_front();
        }
        let room = *self.waiting.front()?;
        // A pod that ends would rather offer to one that is not listed than close its rooms.
        let only_listed = self.dialling || !self.ends();
        let target = self.targets.choose(now, context.peers.linked(), only_listed)?;
        self.waiting.pop_front();
        let before = self.offers.insert(room, Offer { to: target.boot, sent: None });
        debug_assert!(before.is_none(), "{room} is offered twice: {before:?}");
        Some((room, target))
    }

    /// Notes the offer of a room. False: the room was not to move.
    pub fn sent(&mut self, now: u64, room: RoomId) -> bool {
        self.offers.get_mut(&room).is_some_and(|offer| {
            offer.sent = Some(now);
            true
        })
    }

    /// The target has taken the room.
    pub fn taken(&mut self, now: u64, room: RoomId) {
        self.ended(room, |sent| Ended::Taken(now.saturating_sub(sent.unwrap_or(now))));
    }

    /// The target declined the room, or is unreachable.
    pub fn failed(&mut self, now: u64, room: RoomId) {
        self.ended(room, |_| Ended::Failed(now));
    }

    /// The room has left this hub in another way.
    pub fn is_over(&mut self, room: RoomId) {
        self.ended(room, |_| Ended::Void);
    }

    /// The room stays here. A draining pod offers it again.
    pub fn stays(&mut self, room: RoomId) {
        self.is_over(room);
        if self.is_draining() {
            self.waiting.push_back(room);
        }
    }

    fn ended(&mut self, room: RoomId, how: impl FnOnce(Option<u64>) -> Ended) {
        if let Some(offer) = self.offers.remove(&room) {
            self.targets.ended(offer.to, how(offer.sent));
        }
    }

    /// Whether the link to the pod with `boot` is needed: a draining pod offers its rooms to whom it is linked.
    pub fn needs(&self, boot: PodBoot) -> bool {
        self.is_draining() || self.offers.values().any(|offer| offer.to == boot)
    }

    /// The rooms that are offered, or about to be.
    pub fn offered(&self) -> impl Iterator<Item = RoomId> {
        self.offers.keys().copied()
    }

    /// What must hold between calls; panics where it does not.
    pub fn check_invariants(&self) {
        self.targets.check_open(|boot| self.offers.values().filter(|offer| offer.to == boot).count());
    }
}

#[cfg(test)]
#[path = "outgoing_tests.rs"]
mod tests;
