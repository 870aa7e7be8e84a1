//! Asking the possible owners of a room, and what their answers come to. Pure: no I/O.

use super::{
    ErrorCode, Find, Former, Frame, Hub, LEASE_AFTER, Lease, Owner, Ownership, PATIENCE, Phase, PodBoot, Probe, RoomId,
    Said, Served, Step, Timer,
};
use crate::ids::Time;

/// What the answers of a room's possible owners come to.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Not all that counts has been heard.
    Wait,
    Served(Owner),
    /// It is served, but below a higher ownership whose pod is dead: it has to be claimed above that.
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
fn outcome(probes: &[Probe], highest_seen: Option<Ownership>, me: PodBoot, check_lease: bool) -> Outcome {
    let waiting = probes.iter().any(|probe| matches!(probe.said, Said::Nothing { .. }));
    let highest = probes.iter().map(|probe| probe.owner.ownership).max();
    let serving = probes.iter().filter_map(|probe| match &probe.said {
        Said::Here(owner) => Some(owner),
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
    let unasked = highest_seen.filter(|seen| Some(*seen) > highest && seen.boot != me);
    if probes.iter().any(|probe| probe.said == Said::Soon) || (unasked.is_some() && !waiting) {
        Outcome::Again
    } else if waiting || probes.iter().any(|probe| probe.said == Said::Silent && probe.lease == Lease::Asked) {
        Outcome::Wait
    } else if probes.iter().all(|probe| probe.is_out(check_lease)) {
        Outcome::Nobody
    } else if probes.iter().any(|probe| probe.said == Said::Silent && probe.lease == Lease::Held) {
        Outcome::Parked
    } else {
        Outcome::Unavailable
    }
}

impl Hub {
    /// Asks a possible owner; asks for its lease as well where it may be gone.
    pub(super) fn probe(&mut self, time: Time, room: RoomId, owner: Owner, dead: Option<Ownership>) -> Probe {
        let boot = owner.ownership.boot;
        if boot == self.context.me.ownership.boot {
            return Probe { owner, said: Said::Not, lease: Lease::Held };
        }
        let linked = self.context.peers.is_up(boot);
        let said = if owner.peer == self.context.me.peer {
            // An earlier process of this pod: its address is ours now.
            Said::Silent
        } else if self.context.reach(time, boot, &owner.peer) {
            let ask = Frame::Ask { room, ticket: 0, dead };
            self.context.peers.send_or_queue(boot, &ask);
            Said::Nothing { until: time.now + PATIENCE }
        } else {
            Said::Silent
        };
        let soon = self.search.finds.get(&room).is_none_or(|find| !find.patient);
        let lease = if linked { Lease::Unasked } else { self.ask_lease(time, &owner, soon) };
        self.context.arm(time.now + PATIENCE - LEASE_AFTER, Timer::Search(room));
        Probe { owner, said, lease }
    }

    /// A pod has answered `Ask`.
    pub(in crate::hub) fn owner_said(&mut self, time: Time, room: RoomId, from: PodBoot, served: Served) {
        let seen = match &served {
            Served::Here(owner) => Some(owner.clone()),
            Served::Not { seen } => seen.clone(),
            Served::Soon => None,
        };
        if let Some(owner) = seen {
            self.learn(time, room, &owner);
        }
        if self.turn_answered(time, room, from, &served) {
            return;
        }
        if let Some(Find { step: Step::Asking(probes), .. }) = self.search.finds.get_mut(&room) {
            for probe in probes.iter_mut().filter(|probe| probe.owner.ownership.boot == from) {
                probe.said = match &served {
                    Served::Here(owner) => Said::Here(owner.clone()),
                    Served::Soon => Said::Soon,
                    Served::Not { .. } => Said::Not,
                };
            }
            self.evaluate(time, room);
        }
    }

    /// The pod with `boot` cannot be asked.
    pub(in crate::hub) fn owner_is_silent(&mut self, time: Time, boot: PodBoot) {
        let mut rooms: Vec<RoomId> = Vec::new();
        for (room, find) in &mut self.search.finds {
            if find.turn.as_ref().is_some_and(|turn| turn.to == boot) {
                find.own_turn = true;
                rooms.push(*room);
            }
            if let Step::Asking(probes) = &mut find.step {
                for probe in probes.iter_mut() {
                    if probe.owner.ownership.boot == boot && matches!(probe.said, Said::Nothing { .. }) {
                        probe.said = Said::Silent;
                        rooms.push(*room);
                    }
                }
            }
        }
        rooms.sort_unstable();
        rooms.dedup();
        for room in rooms {
            self.evaluate(time, room);
        }
    }

    /// Goes on with a search as far as what has been heard allows.
    pub(super) fn evaluate(&mut self, time: Time, room: RoomId) {
        let Some(Find { step: Step::Asking(probes), .. }) = self.search.finds.get_mut(&room) else {
            return;
        };
        for probe in probes.iter_mut() {
            probe.note_silence(time.now);
        }
        let late = probes.iter().any(|probe| probe.is_late(time.now));
        if late && !probes.iter().any(|probe| matches!(probe.said, Said::Here(_))) {
            self.ask_leases_of_the_late(time, room);
            self.wait_for_takeover(room);
        }
        let highest_seen = self.context.known_owners.get(room).map(|owner| owner.ownership);
        let Some(Find { step: Step::Asking(probes), record, .. }) = self.search.finds.get(&room) else {
            return;
        };
        match outcome(probes, highest_seen, self.context.me.ownership.boot, self.context.settings.rules.check_lease) {
            Outcome::Wait | Outcome::Parked => {}
            Outcome::Served(owner) => self.found(time, room, &owner),
            Outcome::ServedBelow(owner, dead) => {
                let again = self.probe(time, room, owner, Some(dead));
                self.step(time, room, Step::Asking(vec![again]), PATIENCE);
            }
            Outcome::Again => self.pause(time, room),
            // The next look at the lease may say more.
            Outcome::Unavailable => self.give_up_entering(time, room, ErrorCode::Unavailable),
            Outcome::Nobody if record.is_none() => {
                let code = if self.context.settled() { ErrorCode::RoomNotFound } else { ErrorCode::Unavailable };
                self.give_up(time, room, code);
            }
            // Who waited has given up.
            Outcome::Nobody if self.search.finds.get(&room).is_some_and(Find::is_idle) => {
                self.search.finds.remove(&room);
            }
            Outcome::Nobody => {
                let gone = probes.iter().filter(|probe| probe.said == Said::Silent).map(|probe| probe.owner.ownership);
                if let Some(dead) = gone.max()
                    && self.is_others_turn(time, room, dead)
                {
                    return;
                }
                let Some(Find { step: Step::Asking(probes), record, .. }) = self.search.finds.get(&room) else {
                    return;
                };
                let untold = record.iter().flat_map(|record| record.former.iter().cloned());
                let former = probes.iter().map(|probe| Former::from(&probe.owner)).chain(untold).collect();
                self.try_to_take_over(time, room, former);
            }
        }
    }

    /// A late peer may be dead: its lease says.
    fn ask_leases_of_the_late(&mut self, time: Time, room: RoomId) {
        let Some(Find { step: Step::Asking(probes), .. }) = self.search.finds.get_mut(&room) else {
            return;
        };
        let mut late = Vec::new();
        for probe in probes.iter_mut().filter(|probe| probe.lease == Lease::Unasked && probe.is_late(time.now)) {
            probe.lease = Lease::Asked;
            late.push(probe.owner.clone());
        }
        for owner in late {
            self.ask_lease(time, &owner, true);
        }
    }

    /// The answer to `Ask`.
    pub(in crate::hub) fn asked_about(
        &mut self,
        time: Time,
        from: PodBoot,
        room: RoomId,
        ticket: u64,
        dead: Option<Ownership>,
    ) {
        if let (Some(key), Some(dead)) = (self.rooms.key(room), dead) {
            self.claim_above(time, key, dead);
        }
        let served = match self.rooms.of(room) {
            Some(owned) if matches!(owned.phase, Phase::Serving) => Served::Here(self.context.me_as(owned.ownership)),
            Some(owned) if matches!(owned.phase, Phase::Moving(_)) => Served::Soon,
            Some(_) => Served::Not { seen: None },
            None if self.incoming.contains(room) => Served::Soon,
            None if self.search.finds.get(&room).is_some_and(|find| find.attempt.is_some()) => Served::Soon,
            None => Served::Not { seen: self.context.known_owners.get(room).cloned() },
        };
        let free = matches!(served, Served::Not { .. }) && self.rooms.key(room).is_none();
        let served = if free && dead.is_some() && self.takes_for(time, from, room) { Served::Soon } else { served };
        self.context.peers.send(from, &Frame::Answer { room, ticket, served });
        self.incoming.asked_for(&mut self.context, room);
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

    fn probe(epoch: u64, said: Said, lease: Lease) -> Probe {
        Probe { owner: owner(epoch), said, lease }
    }

    #[test]
    fn what_the_answers_come_to() {
        let here = |epoch| Said::Here(owner(epoch));
        let nothing = || Said::Nothing { until: 5 };
        let table = [
            (vec![probe(1, here(1), Lease::Unasked)], Outcome::Served(owner(1))),
            (vec![probe(1, here(1), Lease::Unasked), probe(2, nothing(), Lease::Asked)], Outcome::Wait),
            (
                vec![probe(1, here(1), Lease::Unasked), probe(2, Said::Silent, Lease::Gone)],
                Outcome::ServedBelow(owner(1), owner(2).ownership),
            ),
            // It has claimed the room above the dead one already.
            (vec![probe(1, here(3), Lease::Unasked), probe(2, Said::Silent, Lease::Gone)], Outcome::Served(owner(3))),
            (vec![probe(1, here(1), Lease::Unasked), probe(2, here(2), Lease::Unasked)], Outcome::Served(owner(2))),
            (vec![probe(1, Said::Soon, Lease::Unasked)], Outcome::Again),
            (vec![probe(1, Said::Silent, Lease::Asked)], Outcome::Wait),
            (vec![probe(1, Said::Silent, Lease::Held)], Outcome::Parked),
            (vec![probe(1, Said::Silent, Lease::Unknown)], Outcome::Unavailable),
            (vec![probe(1, Said::Silent, Lease::Gone)], Outcome::Nobody),
            (vec![probe(1, Said::Not, Lease::Held), probe(2, Said::Silent, Lease::Gone)], Outcome::Nobody),
            (vec![probe(1, Said::Not, Lease::Held), probe(2, nothing(), Lease::Gone)], Outcome::Wait),
        ];
        for (probes, expected) in table {
            assert_eq!(outcome(&probes, None, ME, true), expected, "{probes:?}");
        }
        // A higher owner that was not asked has to be.
        let gone = || vec![probe(1, Said::Silent, Lease::Gone)];
        let seen = |epoch, boot| Some(Ownership { epoch, boot });
        assert_eq!(outcome(&gone(), seen(2, PodBoot(2)), ME, true), Outcome::Again);
        assert_eq!(outcome(&gone(), seen(2, ME), ME, true), Outcome::Nobody);
        assert_eq!(outcome(&gone(), seen(1, PodBoot(1)), ME, true), Outcome::Nobody);
    }
}
