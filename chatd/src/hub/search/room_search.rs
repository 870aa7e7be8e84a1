//! The search for the owner of one room: who waits for it, and how far it has come. Pure: no I/O.

use bytes::Bytes;

use super::probe::{LeaseState, Probe};
use crate::hub::capacity::RoomSlot;
use crate::hub::request::Waiter;
use crate::ids::Ticket;
use crate::protocol::{Ownership, PodBoot};
use crate::record::Record;

/// A question of the HTTP API who is in the room.
#[derive(Debug)]
pub struct Query {
    pub number: u64,
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
    Pausing,
}

/// A takeover: the record that was to be written, whose it makes the room, and the record that it was to take the place of.
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
    /// Nobody waits for it any more, and it is kept until then.
    pub kept_until: Option<u64>,
    /// It has waited for a lease already: the next look at that will do.
    pub patient: bool,
    /// The last request that was made when the record had been read: what is asked later is answered later.
    pub read: Ticket,
    pub stored: Option<Bytes>,
    pub record: Option<Record>,
    /// What this search has tried to write: if it is there, the room is ours.
    pub attempt: Option<Attempt>,
    /// Another pod has been asked to take the room over.
    pub turn: Option<Turn>,
    /// It is this pod's to take over.
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
            attempt: None,
            turn: None,
            own_turn: false,
        }
    }
}

impl RoomSearch {
    /// Nobody waits for it.
    pub fn is_idle(&self) -> bool {
        self.waiters.is_empty() && self.queries.is_empty() && self.askers.is_empty()
    }

    pub fn probes(&self) -> &[Probe] {
        if let SearchStep::Probing(probes) = &self.step { probes } else { &[] }
    }

    pub fn probes_mut(&mut self) -> &mut [Probe] {
        if let SearchStep::Probing(probes) = &mut self.step { probes } else { &mut [] }
    }

    /// Those of its possible owners that are the process with `boot`.
    pub fn probes_of(&mut self, boot: PodBoot) -> impl Iterator<Item = &mut Probe> {
        self.probes_mut().iter_mut().filter(move |probe| probe.is_of(boot))
    }

    /// It waits for the lease of the pod with `boot`.
    pub fn waits_for(&self, boot: PodBoot) -> bool {
        self.probes().iter().any(|probe| probe.is_of(boot) && probe.lease != LeaseState::Unasked)
    }

    /// It waits for nothing but a lease.
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
            SearchStep::Reading(_) | SearchStep::Pausing => {}
        }
        for probe in self.probes().iter().filter(|probe| probe.lease != LeaseState::Unasked && !probe.is_of(me)) {
            assert!(is_watched(probe.owner.ownership.boot), "nobody looks at a lease that is waited for: {probe:?}");
        }
        assert!(self.stored.is_some() || self.record.is_none(), "a record that was not read");
        assert!(self.askers.is_empty() || self.own_turn, "other pods wait for a takeover that is left to another one");
    }
}
