//! The possible owners of a room that are asked, and what their answers come to. Pure: no I/O.

use crate::hub::request::PATIENCE;
use crate::peer_protocol::Served;
use crate::protocol::{Ownership, PodBoot};
use crate::record::Owner;

/// A linked pod that has this much of its time left to answer is not trusted any more: its lease is asked for (ms).
pub const LEASE_AFTER: u64 = 1_000;

/// What a pod has answered about the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeAnswer {
    /// Nothing yet; it has until then.
    Awaited {
        until: u64,
    },
    Serves(Owner),
    /// It is about to serve the room.
    Soon,
    Declined,
    /// It is unreachable, did not answer in time, or another process has its address.
    Silent,
}

impl ProbeAnswer {
    /// The pod is asked now.
    pub fn awaited(now: u64) -> Self {
        ProbeAnswer::Awaited { until: now + PATIENCE }
    }
}

impl From<&Served> for ProbeAnswer {
    fn from(served: &Served) -> Self {
        match served {
            Served::Here(owner) => ProbeAnswer::Serves(owner.clone()),
            Served::Soon => ProbeAnswer::Soon,
            Served::Not { .. } => ProbeAnswer::Declined,
        }
    }
}

/// Whether a pod has its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    Unasked,
    Asked,
    Held,
    Gone,
    Unknown,
}

/// A possible owner that is asked.
#[derive(Debug)]
pub struct Probe {
    pub owner: Owner,
    pub answer: ProbeAnswer,
    pub lease: LeaseState,
}

impl Probe {
    pub fn is_of(&self, boot: PodBoot) -> bool {
        self.owner.ownership.boot == boot
    }

    pub fn is_awaited(&self) -> bool {
        matches!(self.answer, ProbeAnswer::Awaited { .. })
    }

    pub fn is_silent(&self) -> bool {
        self.answer == ProbeAnswer::Silent
    }

    /// Time has passed (ms).
    pub fn note_silence(&mut self, now: u64) {
        if matches!(self.answer, ProbeAnswer::Awaited { until } if until <= now) {
            self.answer = ProbeAnswer::Silent;
        }
    }

    /// Little or none of its time to answer is left.
    pub fn is_late(&self, now: u64) -> bool {
        match self.answer {
            ProbeAnswer::Silent => true,
            ProbeAnswer::Awaited { until } => until <= now + LEASE_AFTER,
            _ => false,
        }
    }

    /// It does not serve the room and will not: the room may be taken over.
    fn is_out(&self, check_lease: bool) -> bool {
        match self.answer {
            ProbeAnswer::Declined => true,
            ProbeAnswer::Silent => self.lease == LeaseState::Gone || !check_lease,
            _ => false,
        }
    }
}

/// The possible owners of a room: the one that the record names, and the highest that is known, if that is another.
pub fn possible_owners(recorded: Option<Owner>, known: Option<Owner>) -> Vec<Owner> {
    match (recorded, known) {
        (Some(recorded), Some(known)) if recorded.ownership.boot == known.ownership.boot => {
            // The record can have been rolled back to an earlier ownership of the same pod.
            vec![if known.ownership > recorded.ownership { known } else { recorded }]
        }
        (recorded, known) => recorded.into_iter().chain(known).collect(),
    }
}

/// What the answers of a room's possible owners come to.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not all that counts has been heard.
    Wait,
    Served(Owner),
    /// A pod serves it below a higher ownership whose pod is dead: that pod has to reassert it above the dead one.
    ServedBelow(Owner, Ownership),
    /// Somebody is about to serve it, or somebody knows of a higher owner than those who were asked.
    Again,
    /// One has its lease and does not answer: it may be lost yet.
    Parked,
    /// The directory does not say whether one that does not answer has its lease.
    Unavailable,
    /// Nobody serves it, or will.
    Nobody,
}

/// `me`: this process, which can be among those who were asked.
pub fn outcome(probes: &[Probe], highest_seen: Option<Ownership>, me: PodBoot, check_lease: bool) -> Outcome {
    let waiting = probes.iter().any(Probe::is_awaited);
    let highest = probes.iter().map(|probe| probe.owner.ownership).max();
    let serving = probes.iter().filter_map(|probe| match &probe.answer {
        ProbeAnswer::Serves(owner) => Some(owner),
        _ => None,
    });
    if let Some(owner) = serving.max_by_key(|owner| owner.ownership) {
        let dead = probes.iter().find(|probe| Some(probe.owner.ownership) == highest && probe.is_out(check_lease));
        let dead = dead.map(|probe| probe.owner.ownership).filter(|dead| *dead > owner.ownership);
        return match dead {
            Some(dead) if owner.ownership.boot != me => Outcome::ServedBelow(owner.clone(), dead),
            _ if waiting => Outcome::Wait,
            _ => Outcome::Served(owner.clone()),
        };
    }
    let silent_with = |lease| probes.iter().any(|probe| probe.is_silent() && probe.lease == lease);
    let unasked = highest_seen.filter(|seen| Some(*seen) > highest && seen.boot != me);
    if probes.iter().any(|probe| probe.answer == ProbeAnswer::Soon) || (unasked.is_some() && !waiting) {
        Outcome::Again
    } else if waiting || silent_with(LeaseState::Asked) {
        Outcome::Wait
    } else if probes.iter().all(|probe| probe.is_out(check_lease)) {
        Outcome::Nobody
    } else if silent_with(LeaseState::Held) {
        Outcome::Parked
    } else {
        Outcome::Unavailable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: PodBoot = PodBoot(9);

    fn owner(epoch: u64) -> Owner {
        let (pod_id, tcp, web, peer) = (format!("chat-{epoch}"), String::new(), String::new(), String::new());
        Owner { ownership: Ownership { epoch, boot: PodBoot(epoch) }, pod_id, tcp, web, peer }
    }

    fn probe(epoch: u64, answer: ProbeAnswer, lease: LeaseState) -> Probe {
        Probe { owner: owner(epoch), answer, lease }
    }

    #[test]
    fn the_record_and_what_is_known_name_the_possible_owners() {
        let of_the_same_pod = |epoch| Owner { ownership: Ownership { epoch, boot: PodBoot(1) }, ..owner(1) };
        assert_eq!(possible_owners(None, None), []);
        assert_eq!(possible_owners(Some(owner(1)), Some(owner(2))), [owner(1), owner(2)]);
        assert_eq!(possible_owners(Some(owner(1)), Some(of_the_same_pod(7))), [of_the_same_pod(7)]);
        assert_eq!(possible_owners(Some(of_the_same_pod(7)), Some(owner(1))), [of_the_same_pod(7)]);
    }

    #[test]
    fn what_the_answers_come_to() {
        use LeaseState::{Asked, Gone, Held, Unasked, Unknown};
        use ProbeAnswer::{Declined, Silent, Soon};
        let serves = |epoch| ProbeAnswer::Serves(owner(epoch));
        let awaited = || ProbeAnswer::Awaited { until: 5 };
        let table = [
            (vec![probe(1, serves(1), Unasked)], Outcome::Served(owner(1))),
            (vec![probe(1, serves(1), Unasked), probe(2, awaited(), Asked)], Outcome::Wait),
            (
                vec![probe(1, serves(1), Unasked), probe(2, Silent, Gone)],
                Outcome::ServedBelow(owner(1), owner(2).ownership),
            ),
            // It has already reasserted the room above the dead ownership.
            (vec![probe(1, serves(3), Unasked), probe(2, Silent, Gone)], Outcome::Served(owner(3))),
            (vec![probe(1, serves(1), Unasked), probe(2, serves(2), Unasked)], Outcome::Served(owner(2))),
            (vec![probe(1, Soon, Unasked)], Outcome::Again),
            (vec![probe(1, Silent, Asked)], Outcome::Wait),
            (vec![probe(1, Silent, Held)], Outcome::Parked),
            (vec![probe(1, Silent, Unknown)], Outcome::Unavailable),
            (vec![probe(1, Silent, Gone)], Outcome::Nobody),
            (vec![probe(1, Declined, Held), probe(2, Silent, Gone)], Outcome::Nobody),
            (vec![probe(1, Declined, Held), probe(2, awaited(), Gone)], Outcome::Wait),
        ];
        for (probes, expected) in table {
            assert_eq!(outcome(&probes, None, ME, true), expected, "{probes:?}");
        }
        // A higher owner that was not asked has to be.
        let gone = || vec![probe(1, Silent, Gone)];
        let seen = |epoch, boot| Some(Ownership { epoch, boot });
        assert_eq!(outcome(&gone(), seen(2, PodBoot(2)), ME, true), Outcome::Again);
        assert_eq!(outcome(&gone(), seen(2, ME), ME, true), Outcome::Nobody);
        assert_eq!(outcome(&gone(), seen(1, PodBoot(1)), ME, true), Outcome::Nobody);
    }
}
