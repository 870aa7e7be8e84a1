//! Finds the owner of a room that is not here, and takes the room over if its owner is gone. Pure: no I/O.
//!
//! All who ask for one room share one search: read the record; ask its owner, and the highest known owner, whether they serve the
//! room; then send everyone there, or take the room over (docs/architecture.md, Ownership). All searches for rooms of one pod that does not
//! answer share one look at its lease, and all living pods share its rooms.
//!
//! A state machine that knows no hub: its methods ask the directory and other pods through the context, and
//! [`Search::next_event`] returns one by one what the hub has to carry out.

mod absent;
mod event;
mod leases;
mod probe;
mod probing;
mod queries;
mod room_search;
#[cfg(test)]
mod search_tests;
mod sharing;
mod takeover;
#[cfg(test)]
mod takeover_tests;
mod watch;

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;

use super::context::{Context, Purpose, Timer};
use super::interface::Notice;
use super::request::{PATIENCE, Waiter};
use crate::directory::{Answer, Key, NoAnswer, Request};
use crate::ids::{Ticket, Time};
use crate::protocol::{ErrorCode, PodBoot, RoomId};
use crate::record::Record;
use crate::shrink::Shrink;
use probe::possible_owners;
use room_search::{RoomSearch, SearchStep};
use watch::PodWatch;

pub use event::{Obstacle, SearchEvent, Takeover};
pub use queries::summary_for;

/// Pause before asking again (ms).
const PAUSE: u64 = 200;
/// How long a search that waits for a lease is kept when nobody waits for it (ms): refused clients come back.
const KEPT: u64 = 3_000;

/// A step on the agenda. The hub carries out the events of one before the next begins.
#[derive(Debug)]
enum Task {
    Report(SearchEvent),
    /// The search's time has come.
    Due(RoomId),
    Evaluate(RoomId),
    /// At most `most` records of rooms that wait for the pod with `boot`.
    ReadAgain {
        boot: PodBoot,
        most: usize,
    },
}

/// All searches of a hub.
#[derive(Debug, Default)]
pub struct Search {
    searches: HashMap<RoomId, RoomSearch>,
    /// Pods that do not answer, whose rooms are searched for.
    watches: BTreeMap<PodBoot, PodWatch>,
    agenda: VecDeque<Task>,
    /// There are keys for join tokens, so that a room may need one.
    may_hide: bool,
}

impl Search {
    pub fn len(&self) -> usize {
        self.searches.len()
    }

    /// How many pods do not answer.
    pub fn watch_count(&self) -> usize {
        self.watches.len()
    }

    pub fn is_under_way(&self, room: RoomId) -> bool {
        self.searches.contains_key(&room)
    }

    pub fn shrink(&mut self) {
        self.searches.shrink();
        self.agenda.shrink();
    }

    /// Panics if the searches contradict themselves. `me`: this process.
    pub fn check_invariants(&self, me: PodBoot) {
        assert!(self.agenda.is_empty(), "something is left to do: {:?}", self.agenda);
        for search in self.searches.values() {
            search.check_invariants(me, |boot| self.watches.contains_key(&boot));
        }
    }

    /// The next event. After any other call the hub calls this, and carries each event out, until there is none.
    pub fn next_event(&mut self, context: &mut Context, time: Time) -> Option<SearchEvent> {
        while let Some(task) = self.agenda.pop_front() {
            match task {
                Task::Report(event) => return Some(event),
                Task::Due(room) => self.advance(context, time, room),
                Task::Evaluate(room) => self.evaluate(context, time, room),
                Task::ReadAgain { boot, most } => self.read_again(context, time, boot, most),
            }
        }
        None
    }

    /// The next event, before everything on the agenda.
    fn report(&mut self, event: SearchEvent) {
        self.agenda.push_front(Task::Report(event));
    }

    fn evaluate_all(&mut self, mut rooms: Vec<RoomId>) {
        rooms.sort_unstable();
        rooms.dedup();
        self.agenda.extend(rooms.into_iter().map(Task::Evaluate));
    }

    // ---- waiters

    /// Looks for `room`, which is not here, on behalf of `waiter`.
    pub fn look_for(&mut self, context: &mut Context, time: Time, room: RoomId, waiter: Waiter) {
        context.arm(waiter.deadline, Timer::Search(room));
        self.add_to(context, time, room, |search| search.waiters.push(waiter));
    }

    /// `add` adds a waiter to the room's search, which begins now if there was none.
    fn add_to(&mut self, context: &mut Context, time: Time, room: RoomId, add: impl FnOnce(&mut RoomSearch)) {
        let begins = !self.searches.contains_key(&room);
        let search = self.searches.entry(room).or_default();
        add(search);
        search.kept_until = None;
        let (parked, is_known) = (search.is_parked(), search.record.is_some() || !search.probes().is_empty());
        if begins {
            self.read_record(context, time, room);
        } else if parked {
            self.wait_for_takeover(context, room);
        }
        if is_known {
            self.hide_from_strangers(context, room);
        }
    }

    /// Time has passed for the search for `room`.
    pub fn due(&mut self, time: Time, room: RoomId) {
        let Some(search) = self.searches.get_mut(&room) else {
            return;
        };
        let waiters: Vec<Waiter> = search.waiters.extract_if(.., |waiter| waiter.deadline <= time.now).collect();
        self.agenda.push_back(Task::Due(room));
        if !waiters.is_empty() {
            self.report(SearchEvent::TurnedAway { waiters, code: ErrorCode::Unavailable });
        }
    }

    fn advance(&mut self, context: &mut Context, time: Time, room: RoomId) {
        self.queries_due(context, time, room);
        let Some(search) = self.searches.get_mut(&room) else {
            return;
        };
        search.askers.retain(|asker| asker.deadline > time.now);
        // A takeover in flight goes on even if nobody waits for it any more.
        if search.is_idle() && search.attempt.is_none() {
            let kept_until = *search.kept_until.get_or_insert(time.now + KEPT);
            if search.is_parked() && time.now < kept_until {
                return context.arm(kept_until, Timer::Search(room));
            }
            self.searches.remove(&room);
            return;
        }
        match search.step {
            SearchStep::Probing(_) => self.evaluate(context, time, room),
            _ if search.until <= time.now => self.read_record(context, time, room),
            _ => {}
        }
    }

    // ---- steps

    fn read_record(&mut self, context: &mut Context, time: Time, room: RoomId) {
        let ticket = context.ask(Purpose::Search(room), Request::Get { key: Key::Room(room) });
        self.step(context, time, room, SearchStep::Reading(ticket), PATIENCE);
    }

    fn step(&mut self, context: &mut Context, time: Time, room: RoomId, step: SearchStep, patience: u64) {
        if let Some(search) = self.searches.get_mut(&room) {
            search.step = step;
            search.until = time.now + patience;
            context.arm(time.now + patience, Timer::Search(room));
        }
    }

    /// Asks again a little later, for as long as somebody waits.
    fn pause(&mut self, context: &mut Context, time: Time, room: RoomId) {
        self.step(context, time, room, SearchStep::Pausing, PAUSE);
    }

    /// The directory has answered a request of the search for `room`.
    pub fn answered(
        &mut self,
        context: &mut Context,
        time: Time,
        room: RoomId,
        ticket: Ticket,
        answer: Result<Answer, NoAnswer>,
    ) {
        let Some(search) = self.searches.get_mut(&room) else {
            return;
        };
        let swapped = match search.step {
            SearchStep::Reading(expected) if expected == ticket => false,
            SearchStep::TakingOver(expected) if expected == ticket => true,
            _ => return,
        };
        match answer {
            Ok(Answer::Found(stored)) => self.record_read(context, time, room, stored),
            Ok(Answer::Done) if swapped => {
                if let Some(attempt) = search.attempt.take() {
                    self.taken_over(context, room, attempt);
                }
            }
            _ => {
                // No answer: clients that want to enter are refused; sessions with a seat go on waiting.
                self.give_up_entering(context, room, ErrorCode::Unavailable);
                self.pause(context, time, room);
            }
        }
    }

    fn record_read(&mut self, context: &mut Context, time: Time, room: RoomId, stored: Option<Bytes>) {
        let record = stored.as_deref().and_then(Record::parse);
        if stored.is_some() && record.is_none() {
            context.counters.unreadable_records += 1;
            context.log(Notice::UnreadableRecord { room });
        }
        let Some(search) = self.searches.get_mut(&room) else {
            return;
        };
        if let Some(attempt) = search.attempt.take()
            && stored.as_ref() == Some(&attempt.bytes)
        {
            return self.taken_over(context, room, attempt);
        }
        let ended = record.as_ref().filter(|record| record.ended).map(Record::ownership);
        let record = record.filter(|record| !record.ended);
        if let Some(ended) = ended {
            context.known_owners.has_ended(room, ended);
        }
        search.ended = ended;
        let recorded = record.as_ref().map(Record::owner);
        let before = std::mem::replace(&mut search.record, record).map(|record| record.boot);
        search.stored = stored;
        search.read = Ticket(context.requests.last);
        if let Some(before) =
            before.filter(|before| recorded.as_ref().is_some_and(|owner| owner.ownership.boot != *before))
        {
            self.owner_has_changed(context, time, before);
        }
        let is_there = recorded.is_some() || context.known_owners.get(room).is_some();
        let is_hidden = is_there && self.hide_from_strangers(context, room);
        let is_idle = self.searches.get(&room).is_none_or(RoomSearch::is_idle);
        if self.answer_by_record(context, room) || (is_hidden && is_idle) {
            self.searches.remove(&room);
            return;
        }
        if let Some(owner) = &recorded {
            context.learn_owner(time, room, owner);
            self.note_open(context, room);
        }
        let known = context.known_owners.used(time.now, room).cloned();
        let owners = possible_owners(recorded, known);
        if owners.is_empty() {
            return self.absent(context, time, room);
        }
        let probes = owners.into_iter().map(|owner| self.probe(context, time, room, owner, None)).collect();
        self.step(context, time, room, SearchStep::Probing(probes), PATIENCE);
        self.agenda.push_back(Task::Evaluate(room));
    }

    // ---- its end

    /// Ends a search and returns its waiters. Queries are answered with `code`.
    pub fn end(&mut self, context: &mut Context, room: RoomId, code: ErrorCode) -> Vec<Waiter> {
        self.answer_queries(context, room, Err(code));
        self.tell_askers(context, room, None);
        self.searches.remove(&room).map(|search| search.waiters).unwrap_or_default()
    }

    /// Ends a search; all waiters are refused with `code`.
    fn give_up(&mut self, context: &mut Context, room: RoomId, code: ErrorCode) {
        let waiters = self.end(context, room, code);
        self.report(SearchEvent::TurnedAway { waiters, code });
    }

    /// Clients that want to enter are refused with `code`; sessions with a seat go on waiting.
    fn give_up_entering(&mut self, context: &mut Context, room: RoomId, code: ErrorCode) {
        self.answer_queries(context, room, Err(code));
        self.tell_askers(context, room, None);
        if let Some(search) = self.searches.get_mut(&room) {
            let waiters = search.waiters.extract_if(.., |waiter| waiter.is_entering()).collect();
            self.report(SearchEvent::TurnedAway { waiters, code });
        }
    }
}

/// The answer for a room without a record: a pod that is not settled does not claim that the room does not exist.
pub fn no_such_room(context: &Context) -> ErrorCode {
    if context.settled() { ErrorCode::RoomNotFound } else { ErrorCode::Unavailable }
}
