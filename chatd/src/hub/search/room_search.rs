//! The search for the owner of one room: its waiters and its step. Pure: no I/O.

use bytes::Bytes;

use super::probe::{LeaseState, Probe};
use crate::hub::capacity::RoomSlot;
use crate::hub::request::Waiter;
use crate::ids::Ticket;
use crate::protocol::{Ownership, PodBoot};
use crate::record::Record;

/// The HTTP API asks who is in the room.
#[derive(Debug)]
pub struct Query {
    pub number: u64,
    /// No token for the room came along.
    pub stranger: bool,
    pub deadline: u64,
}

/// A pod that has asked for a takeover by this one.
#[derive(Debug)]
pub struct Asker {
    pub pod: PodBoot,
    pub deadline: u64,
}

/// Another pod's turn to take the room over.
#[derive(Debug)]
pub struct Turn {
    pub to: PodBoot,
    pub until: u64,
}

/// What a search waits for.
#[derive(Debug)]
pub enum SearchStep {
    Reading(Ticket),
    Probing(Vec<Probe>),
    TakingOver(Ticket),
    /// The room does not exist, and is being made.
    Creating,
    Pausing,
}

/// A takeover that may have succeeded: a swap of the record `basis` for `bytes`.
#[derive(Debug)]
pub struct Attempt {
    pub bytes: Bytes,
    pub ownership: Ownership,
    pub basis: Record,
    pub slot: RoomSlot,
    /// When the swap was asked for.
    pub asked: u64,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct RoomSearch {
    pub waiters: Vec<Waiter>,
    pub queries: Vec<Query>,
    pub askers: Vec<Asker>,
    pub step: SearchStep,
    pub until: u64,
    /// Nobody waits any more: the search ends then.
    pub kept_until: Option<u64>,
    /// The search has waited for a lease before, and needs no look at it before the next one that is due.
    pub patient: bool,
    /// The last ticket that existed when the record came: a look at a lease counts only if its ticket is a later one.
    pub read: Ticket,
    pub stored: Option<Bytes>,
    pub record: Option<Record>,
    /// The room has ended, and this was its last ownership: what is stored is its tombstone.
    pub ended: Option<Ownership>,
    /// If the record turns out to be this one's `bytes`, the room is ours.
    pub attempt: Option<Attempt>,
    /// Another pod has been asked to take the room over.
    pub turn: Option<Turn>,
    /// This pod is to take the room over itself.
    pub own_turn: bool,
}

impl Default for RoomSearch {
    fn default() -> Self {
        Self {
            waiters: Vec::new(),
            queries: Vec::new(),
            askers: Vec::new(),
            step: SearchStep::Pausing,
            until: 0,
            kept_until: None,
            patient: false,
            read: Ticket(0),
            stored: None,
            record: None,
            ended: None,
            attempt: None,
            turn: None,
            own_turn: false,
        }
    }
}

impl RoomSearch {
    /// Nobody waits for the room.
    pub fn is_idle(&self) -> bool {
        self.waiters.is_empty() && self.queries.is_empty() && self.askers.is_empty()
    }

    pub fn probes(&self) -> &[Probe] {
        if let SearchStep::Probing(probes) = &self.step { probes } else { &[] }
    }

    pub fn probes_mut(&mut self) -> &mut [Probe] {
        if let SearchStep::Probing(probes) = &mut self.step { probes } else { &mut [] }
    }

    /// The probes of the process with `boot`.
    pub fn probes_of(&mut self, boot: PodBoot) -> impl Iterator<Item = &mut Probe> {
        self.probes_mut().iter_mut().filter(move |probe| probe.is_of(boot))
    }

    /// The search needs to know whether the pod with `boot` has its lease.
    pub fn waits_for(&self, boot: PodBoot) -> bool {
        self.probes().iter().any(|probe| probe.is_of(boot) && probe.lease != LeaseState::Unasked)
    }

    /// It has asked the pod with `boot`, or owes it an answer.
    pub fn needs(&self, boot: PodBoot) -> bool {
        let asks = self.probes().iter().any(|probe| probe.is_of(boot)) || self.is_others_turn(boot);
        asks || self.askers.iter().any(|asker| asker.pod == boot)
    }

    /// The search waits for a lease to run out, and for nothing else.
    pub fn is_parked(&self) -> bool {
        let waits = |probe: &Probe| !matches!(probe.lease, LeaseState::Unasked | LeaseState::Gone);
        self.probes().iter().any(|probe| probe.is_silent() && waits(probe))
    }

    pub fn is_others_turn(&self, boot: PodBoot) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.to == boot)
    }

    /// Panics if the search contradicts itself. `me`: this process.
    pub fn check_invariants(&self, me: PodBoot, is_watched: impl Fn(PodBoot) -> bool) {
        let (step, attempt) = (&self.step, self.attempt.is_some());
        match step {
            SearchStep::TakingOver(_) => assert!(attempt && self.record.is_some(), "nothing is taken over: {step:?}"),
            SearchStep::Probing(probes) => {
                assert!(!attempt, "probes while a swap may be under way: {step:?}");
                assert!(!probes.is_empty(), "nobody is asked");
            }
            SearchStep::Creating => assert!(!attempt, "a room that is made while a swap may be under way: {step:?}"),
            SearchStep::Reading(_) | SearchStep::Pausing => {}
        }
        for probe in self.probes().iter().filter(|probe| probe.lease != LeaseState::Unasked && !probe.is_of(me)) {
            assert!(is_watched(probe.owner.ownership.boot), "nobody looks at a lease that is waited for: {probe:?}");
        }
        assert!(self.stored.is_some() || self.record.is_none(), "a record that was not read");
        assert!(self.ended.is_none() || self.record.is_none(), "a room that has ended, and is there");
        assert!(self.askers.is_empty() || self.own_turn, "other pods wait for a takeover that is left to another one");
    }
}
