//! Finding a room's owner for those who ask for a room that is not here, and taking it over if its owner is gone. Pure: no I/O.
//!
//! All who ask for one room share one search: read the record; ask its owner, and the highest owner seen, whether they serve the
//! room; then send everyone there, or take the room over (docs/architecture.md, Ownership). All searches for rooms of one pod that does not
//! answer share one look at its lease, and all living pods share its rooms.

mod ends;
mod probe;
mod queries;
mod sharing;
mod takeover;
mod watch;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;

use queries::Query;
use sharing::{Asker, Turn};
pub use watch::Watch;

use super::capacity::RoomSlot;
use super::ownership::{Owned, Phase};
use super::request::{Asked, PATIENCE, Purpose, TAKEOVER_PATIENCE, Waiter};
use super::session::Place;
use super::{Hub, Notice, Purpose as TicketPurpose, Timer};
use crate::directory::{Answer, Key, NoAnswer, Request};
use crate::ids::{Ticket, Time};
use crate::peer_protocol::{Frame, Served};
use crate::protocol::{ErrorCode, Event, OnWrongPod, Ownership, PodBoot, RoomId};
use crate::record::{Former, MAX_EPOCH, Owner, Record, next_epoch};
use crate::room::{Bucket, Room};
use crate::shrink::Shrink;

/// How long a relayed session looks for its room's new owner (ms).
pub const ATTACH_PATIENCE: u64 = 15_000;
/// A linked pod that has this much of its time left to answer is not trusted any more: its lease is asked for (ms).
const LEASE_AFTER: u64 = 1_000;
/// Pause before asking again (ms).
const PAUSE: u64 = 200;
/// How long a search that waits for a lease is kept when nobody waits for it (ms): who was turned away comes back.
const KEPT: u64 = 3_000;

/// What a pod said about the room.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    /// Nothing yet; it has until then.
    Nothing {
        until: u64,
    },
    Here(Owner),
    Soon,
    Not,
    /// It cannot be reached, did not answer, or another process answers in its place.
    Silent,
}

/// Whether a pod has its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lease {
    Unasked,
    Asked,
    Held,
    Gone,
    Unknown,
}

/// A possible owner that is asked.
#[derive(Debug)]
struct Probe {
    owner: Owner,
    said: Said,
    lease: Lease,
}

impl Probe {
    /// Time has passed (ms).
    fn note_silence(&mut self, now: u64) {
        if matches!(self.said, Said::Nothing { until } if until <= now) {
            self.said = Said::Silent;
        }
    }

    /// It has not much time left to answer, or none.
    fn is_late(&self, now: u64) -> bool {
        match self.said {
            Said::Silent => true,
            Said::Nothing { until } => until <= now + LEASE_AFTER,
            _ => false,
        }
    }

    /// It does not serve the room and will not: the room may be taken from it.
    fn is_out(&self, check_lease: bool) -> bool {
        match self.said {
            Said::Not => true,
            Said::Silent => self.lease == Lease::Gone || !check_lease,
            _ => false,
        }
    }
}

#[derive(Debug)]
enum Step {
    Reading(Ticket),
    Asking(Vec<Probe>),
    TakingOver { ticket: Ticket },
    Pausing,
}

/// A takeover: the record that was to be written, whose it makes the room, and the record that it was to take the place of.
#[derive(Debug)]
struct Attempt {
    bytes: Bytes,
    ownership: Ownership,
    basis: Record,
    slot: RoomSlot,
    /// When the swap was asked for.
    asked: u64,
}

/// One search.
#[derive(Debug)]
pub struct Find {
    waiters: Vec<Waiter>,
    queries: Vec<Query>,
    /// Pods that have asked for a takeover by this one.
    askers: Vec<Asker>,
    step: Step,
    until: u64,
    /// Nobody waits for it any more, and it is kept until then.
    kept_until: Option<u64>,
    /// It has waited for a lease already: the next look at that will do.
    patient: bool,
    /// The last request that was made when the record had been read: what is asked later is answered later.
    read: Ticket,
    stored: Option<Bytes>,
    record: Option<Record>,
    /// What this search has tried to write: if it is there, the room is ours.
    attempt: Option<Attempt>,
    /// Another pod has been asked to take the room over.
    turn: Option<Turn>,
    /// It is this pod's to take over.
    own_turn: bool,
}

impl Find {
    fn new() -> Self {
        Self {
            waiters: Vec::new(),
            queries: Vec::new(),
            askers: Vec::new(),
            step: Step::Pausing,
            until: 0,
            kept_until: None,
            patient: false,
            read: Ticket(0),
            stored: None,
            record: None,
            attempt: None,
            turn: None,
            own_turn: false,
        }
    }
}

impl Find {
    /// Nobody waits for it.
    fn is_idle(&self) -> bool {
        self.waiters.is_empty() && self.queries.is_empty() && self.askers.is_empty()
    }
}

/// All searches of a hub.
#[derive(Debug, Default)]
pub struct Search {
    pub finds: HashMap<RoomId, Find>,
    /// Pods that do not answer, whose rooms are looked for.
    pub watches: BTreeMap<PodBoot, Watch>,
}

impl Search {
    pub fn len(&self) -> usize {
        self.finds.len()
    }

    pub fn is_under_way(&self, room: RoomId) -> bool {
        self.finds.contains_key(&room)
    }

    pub fn shrink(&mut self) {
        self.finds.shrink();
    }
}

impl Hub {
    /// Looks for `room` on behalf of `waiter`.
    pub(in crate::hub) fn look_for(&mut self, time: Time, room: RoomId, waiter: Waiter) {
        if let Some(key) = self.rooms.key(room) {
            return self.serve_waiter(time, key, &waiter);
        }
        self.context.arm(waiter.deadline, Timer::Search(room));
        self.join_search(time, room, |find| find.waiters.push(waiter));
    }

    /// `join` adds who waits for the room to its search, which begins now if there was none.
    fn join_search(&mut self, time: Time, room: RoomId, join: impl FnOnce(&mut Find)) {
        let begins = !self.search.finds.contains_key(&room);
        let find = self.search.finds.entry(room).or_insert_with(Find::new);
        join(find);
        find.kept_until = None;
        let parked = find.is_parked();
        if begins {
            self.read_record(time, room);
        } else if parked {
            self.wait_for_takeover(room);
        }
    }

    fn read_record(&mut self, time: Time, room: RoomId) {
        let ticket = self.context.ask(TicketPurpose::Search(room), Request::Get { key: Key::Room(room) });
        self.step(time, room, Step::Reading(ticket), PATIENCE);
    }

    fn step(&mut self, time: Time, room: RoomId, step: Step, patience: u64) {
        if let Some(find) = self.search.finds.get_mut(&room) {
            find.step = step;
            find.until = time.now + patience;
            self.context.arm(time.now + patience, Timer::Search(room));
        }
    }

    /// Asks again a little later, for as long as somebody waits.
    fn pause(&mut self, time: Time, room: RoomId) {
        self.step(time, room, Step::Pausing, PAUSE);
    }

    pub(in crate::hub) fn find_answered(
        &mut self,
        time: Time,
        room: RoomId,
        ticket: Ticket,
        answer: Result<Answer, NoAnswer>,
    ) {
        let Some(find) = self.search.finds.get_mut(&room) else {
            return;
        };
        match (&find.step, answer) {
            (Step::Reading(expected), Ok(Answer::Found(stored))) if *expected == ticket => {
                self.record_read(time, room, stored);
            }
            (Step::TakingOver { ticket: expected }, Ok(Answer::Done)) if *expected == ticket => {
                if let Some(attempt) = find.attempt.take() {
                    self.take_over(time, room, attempt);
                }
            }
            (Step::TakingOver { ticket: expected }, Ok(Answer::Found(stored))) if *expected == ticket => {
                self.record_read(time, room, stored);
            }
            (Step::Reading(expected) | Step::TakingOver { ticket: expected }, _) if *expected == ticket => {
                // No answer: those who look for a way in are told; those with a seat go on looking.
                self.give_up_entering(time, room, ErrorCode::Unavailable);
                self.pause(time, room);
            }
            _ => {}
        }
    }

    fn record_read(&mut self, time: Time, room: RoomId, stored: Option<Bytes>) {
        let record = stored.as_deref().and_then(Record::parse);
        if stored.is_some() && record.is_none() {
            self.context.counters.unreadable_records += 1;
            self.context.log(Notice::UnreadableRecord { room });
        }
        let Some(find) = self.search.finds.get_mut(&room) else {
            return;
        };
        if let Some(attempt) = find.attempt.take()
            && stored.as_ref() == Some(&attempt.bytes)
        {
            return self.take_over(time, room, attempt);
        }
        let recorded = record.as_ref().map(Record::owner);
        let before = std::mem::replace(&mut find.record, record).map(|record| record.boot);
        find.stored = stored;
        find.read = Ticket(self.context.requests.last);
        if let Some(before) =
            before.filter(|before| recorded.as_ref().is_some_and(|owner| owner.ownership.boot != *before))
        {
            self.owner_has_changed(time, before);
        }
        if self.answer_by_record(room) {
            self.search.finds.remove(&room);
            return;
        }
        if let Some(owner) = &recorded {
            self.learn(time, room, owner);
        }
        let seen = self.context.known_owners.used(time.now, room).cloned();
        let mut owners: Vec<Owner> = recorded.into_iter().collect();
        if let Some(seen) = seen {
            match owners.iter_mut().find(|owner| owner.ownership.boot == seen.ownership.boot) {
                // The record was rolled back to an earlier ownership of the same pod.
                Some(owner) if owner.ownership < seen.ownership => *owner = seen,
                Some(_) => {}
                None => owners.push(seen),
            }
        }
        if owners.is_empty() {
            let code = if self.context.settled() { ErrorCode::RoomNotFound } else { ErrorCode::Unavailable };
            return self.give_up(time, room, code);
        }
        let probes = owners.into_iter().map(|owner| self.probe(time, room, owner, None)).collect();
        self.step(time, room, Step::Asking(probes), PATIENCE);
        self.evaluate(time, room);
    }

    pub(in crate::hub) fn find_due(&mut self, time: Time, room: RoomId) {
        let Some(find) = self.search.finds.get_mut(&room) else {
            return;
        };
        let late: Vec<Waiter> = find.waiters.extract_if(.., |waiter| waiter.deadline <= time.now).collect();
        for waiter in late {
            self.turn_away(time, &waiter, ErrorCode::Unavailable);
        }
        self.queries_due(time, room);
        let Some(find) = self.search.finds.get_mut(&room) else {
            return;
        };
        find.askers.retain(|asker| asker.deadline > time.now);
        // A takeover that is under way is seen to its end even if nobody waits for it any more.
        if find.is_idle() && find.attempt.is_none() {
            let kept_until = *find.kept_until.get_or_insert(time.now + KEPT);
            if find.is_parked() && time.now < kept_until {
                return self.context.arm(kept_until, Timer::Search(room));
            }
            self.search.finds.remove(&room);
            return;
        }
        match find.step {
            Step::Asking(_) => self.evaluate(time, room),
            Step::Pausing | Step::Reading(_) | Step::TakingOver { .. } if find.until <= time.now => {
                self.read_record(time, room);
            }
            _ => {}
        }
    }

    // ---- what is known of owners

    /// Remembers the highest owner of a room; a lower ownership that is held here ends.
    pub(in crate::hub) fn learn(&mut self, time: Time, room: RoomId, owner: &Owner) {
        if owner.ownership.epoch > MAX_EPOCH
            || owner.ownership.boot == self.context.me.ownership.boot && self.rooms.key(room).is_some()
        {
            return;
        }
        if let Some(key) = self.rooms.key(room) {
            let higher = self.rooms.get(key).is_some_and(|owned| owner.ownership > owned.ownership);
            if higher && self.context.settings.rules.yield_to_higher {
                self.yield_to(time, key, owner.clone());
            }
            return;
        }
        if self.context.known_owners.learn(time.now, room, owner) {
            self.context.arm(self.context.known_owners.next_look(time.now), Timer::Owners);
        }
    }

    /// Ends a search: those who waited for the room. Who asked how many are in it is answered with `code`.
    pub(in crate::hub) fn end_search(&mut self, room: RoomId, code: ErrorCode) -> Vec<Waiter> {
        self.answer_queries(room, Err(code));
        self.tell_askers(room, None);
        self.search.finds.remove(&room).map(|find| find.waiters).unwrap_or_default()
    }

    /// Forgets owners that nobody has asked for in a long time.
    pub(in crate::hub) fn forget_old_owners(&mut self, time: Time) {
        self.context.known_owners.forget_old(time.now);
        if !self.context.known_owners.is_empty() {
            self.context.arm(self.context.known_owners.next_look(time.now), Timer::Owners);
        }
    }
}
