//! Asking the possible owners of a room, and what their answers come to. Pure: no I/O.

use super::{
    Answer, ErrorCode, Find, Former, Frame, Hub, Key, LEASE_AFTER, Lease, NoAnswer, Owner, Ownership, PATIENCE, Phase,
    PodBoot, Probe, Request, RoomId, Said, Served, Step, TicketPurpose, Time, Timer,
};

impl Hub {
    /// Asks a possible owner; asks for its lease as well where it may be gone.
    pub(super) fn probe(&mut self, time: Time, room: RoomId, owner: Owner, dead: Option<Ownership>) -> Probe {
        let boot = owner.ownership.boot;
        if boot == self.me.ownership.boot {
            return Probe { owner, said: Said::Not, lease: Lease::Held };
        }
        let linked = self.peers.is_up(boot);
        let said = if owner.peer == self.me.peer {
            // An earlier process of this pod: its address is ours now.
            Said::Silent
        } else if self.reach(time, boot, &owner.peer) {
            let ask = Frame::Ask { room, ticket: 0, dead };
            self.peers.send_or_queue(boot, &owner.peer, &ask);
            Said::Nothing { until: time.now + PATIENCE }
        } else {
            Said::Silent
        };
        let lease = if linked { Lease::Unasked } else { self.ask_lease(room, &owner) };
        self.arm(time.now + PATIENCE - LEASE_AFTER, Timer::Find(room));
        Probe { owner, said, lease }
    }

    pub(super) fn ask_lease(&mut self, room: RoomId, owner: &Owner) -> Lease {
        let request = Request::Get { key: Key::Pod(owner.pod_id.clone()) };
        self.ask(TicketPurpose::Lease(room, owner.ownership.boot), request);
        Lease::Asked
    }

    pub(in crate::hub) fn lease_answered(
        &mut self,
        time: Time,
        room: RoomId,
        boot: PodBoot,
        answer: Result<Answer, NoAnswer>,
    ) {
        if let Some(Find { step: Step::Asking(probes), .. }) = self.finds.get_mut(&room)
            && let Some(probe) = probes.iter_mut().find(|probe| probe.owner.ownership.boot == boot)
        {
            probe.lease = match answer {
                Ok(Answer::Found(Some(bytes))) => match crate::lease::LeaseRecord::parse(&bytes) {
                    Some(lease) if lease.boot == boot => Lease::Held,
                    _ => Lease::Gone,
                },
                Ok(Answer::Found(None)) => Lease::Gone,
                _ => Lease::Unknown,
            };
            if probe.lease == Lease::Gone {
                self.wait_for_takeover(room);
            }
            self.evaluate(time, room);
        }
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
        if let Some(Find { step: Step::Asking(probes), .. }) = self.finds.get_mut(&room) {
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

    /// The pods with `boot`, or at `address`, cannot be asked.
    pub(in crate::hub) fn owner_is_silent(&mut self, time: Time, boot: Option<PodBoot>, address: Option<&str>) {
        let mut rooms: Vec<RoomId> = Vec::new();
        for (room, find) in &mut self.finds {
            if let Step::Asking(probes) = &mut find.step {
                for probe in probes.iter_mut() {
                    let meant = boot == Some(probe.owner.ownership.boot) || address == Some(probe.owner.peer.as_str());
                    if meant && matches!(probe.said, Said::Nothing { .. }) {
                        probe.said = Said::Silent;
                        rooms.push(*room);
                    }
                }
            }
        }
        rooms.sort_unstable();
        for room in rooms {
            self.evaluate(time, room);
        }
    }

    /// Goes on with a search as far as what has been heard allows.
    pub(super) fn evaluate(&mut self, time: Time, room: RoomId) {
        let check_lease = self.settings.rules.check_lease;
        let mut unasked = Vec::new();
        let Some(find) = self.finds.get_mut(&room) else {
            return;
        };
        let Step::Asking(probes) = &mut find.step else {
            return;
        };
        for (index, probe) in probes.iter_mut().enumerate() {
            if let Said::Nothing { until } = probe.said
                && until <= time.now
            {
                probe.said = Said::Silent;
            }
            let late = match probe.said {
                Said::Silent => true,
                Said::Nothing { until } => until <= time.now + LEASE_AFTER,
                _ => false,
            };
            if late && probe.lease == Lease::Unasked {
                unasked.push((index, probe.owner.clone()));
            }
        }
        let serving = probes.iter().filter_map(|probe| match &probe.said {
            Said::Here(owner) => Some(owner.clone()),
            _ => None,
        });
        let serving = serving.max_by_key(|owner| owner.ownership);
        let waiting = probes.iter().any(|probe| matches!(probe.said, Said::Nothing { .. }));
        let soon = probes.iter().any(|probe| probe.said == Said::Soon);
        let leases_asked = probes.iter().any(|probe| probe.said == Said::Silent && probe.lease == Lease::Asked);
        let all_out = probes.iter().all(|probe| probe.is_out(check_lease));
        let highest = probes.iter().map(|probe| probe.owner.ownership).max();
        let dead = probes.iter().find(|probe| Some(probe.owner.ownership) == highest && probe.is_out(check_lease));
        let dead = dead.map(|probe| probe.owner.ownership);
        let has_record = find.record.is_some();
        let untold = find.record.iter().flat_map(|record| record.former.iter().cloned());
        let former: Vec<Former> = probes.iter().map(|probe| Former::from(&probe.owner)).chain(untold).collect();
        // Somebody knows of a higher owner than those who were asked.
        let unknown_higher = self
            .seen
            .get(room)
            .is_some_and(|seen| Some(seen.ownership) > highest && seen.ownership.boot != self.me.ownership.boot);

        if let Some(owner) = serving {
            match dead {
                Some(dead) if dead > owner.ownership && owner.ownership.boot != self.me.ownership.boot => {
                    let again = self.probe(time, room, owner, Some(dead));
                    self.step(time, room, Step::Asking(vec![again]), PATIENCE);
                }
                _ if waiting => {}
                _ => self.found(time, room, &owner),
            }
            return;
        }
        for (index, owner) in unasked {
            let lease = self.ask_lease(room, &owner);
            if let Some(Find { step: Step::Asking(probes), .. }) = self.finds.get_mut(&room) {
                probes[index].lease = lease;
            }
        }
        if soon || (unknown_higher && !waiting) {
            return self.pause(time, room);
        }
        if waiting || leases_asked || self.asks_leases(room) {
            return;
        }
        if !all_out {
            // The owner has its lease and does not answer, or the directory does not say.
            self.give_up_entering(time, room, ErrorCode::Unavailable);
            return self.pause(time, room);
        }
        if !has_record {
            let code = if self.settled() { ErrorCode::RoomNotFound } else { ErrorCode::Unavailable };
            return self.give_up(time, room, code);
        }
        self.try_to_take_over(time, room, former);
    }

    pub(super) fn asks_leases(&self, room: RoomId) -> bool {
        self.finds.get(&room).is_some_and(|find| match &find.step {
            Step::Asking(probes) => {
                probes.iter().any(|probe| probe.said == Said::Silent && probe.lease == Lease::Asked)
            }
            _ => false,
        })
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
        if let (Some(key), Some(dead)) = (self.owned_key(room), dead) {
            self.claim_above(time, key, dead);
        }
        let served = match self.owned_key(room).and_then(|key| self.rooms.get(key)) {
            Some(owned) if matches!(owned.phase, Phase::Serving) => Served::Here(self.me_as(owned.ownership)),
            Some(owned) if matches!(owned.phase, Phase::Moving(_)) => Served::Soon,
            Some(_) => Served::Not { seen: None },
            None if self.arriving.contains_key(&room) => Served::Soon,
            None => match self.finds.get(&room) {
                Some(Find { attempt: Some(_), .. }) => Served::Soon,
                _ => Served::Not { seen: self.seen.get(room).cloned() },
            },
        };
        self.peers.send(from, &Frame::Answer { room, ticket, served });
    }
}
