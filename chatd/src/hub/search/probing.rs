//! Asking the possible owners of a room, and acting on their answers. Pure: no I/O.

use super::Search;
use super::event::SearchEvent;
use super::probe::{LEASE_AFTER, LeaseState, Outcome, Probe, ProbeAnswer, outcome};
use super::room_search::{RoomSearch, SearchStep};
use crate::hub::context::{Context, Timer};
use crate::hub::request::PATIENCE;
use crate::ids::Time;
use crate::peer_protocol::{Frame, Served};
use crate::protocol::{ErrorCode, Ownership, PodBoot, RoomId};
use crate::record::Owner;

impl Search {
    /// Asks a possible owner whether it serves the room; if it is not linked, its lease is read as well.
    pub(super) fn probe(
        &mut self,
        context: &mut Context,
        time: Time,
        room: RoomId,
        owner: Owner,
        dead: Option<Ownership>,
    ) -> Probe {
        let boot = owner.ownership.boot;
        if boot == context.me.ownership.boot {
            return Probe { owner, answer: ProbeAnswer::Declined, lease: LeaseState::Held };
        }
        let linked = context.peers.is_up(boot);
        // An earlier process of this pod does not answer: its address is ours now.
        let answer = if owner.peer != context.me.peer && context.reach(time, boot, &owner.peer) {
            context.peers.send_or_queue(boot, &Frame::Ask { room, ticket: 0, dead });
            ProbeAnswer::awaited(time.now)
        } else {
            ProbeAnswer::Silent
        };
        let soon = self.searches.get(&room).is_none_or(|search| !search.patient);
        let lease = if linked {
            LeaseState::Unasked
        } else {
            self.ask_lease(context, time, &owner, soon);
            LeaseState::Asked
        };
        context.arm(time.now + PATIENCE - LEASE_AFTER, Timer::Search(room));
        Probe { owner, answer, lease }
    }

    /// The pod with the boot `from` has answered `Ask`.
    pub fn probe_answered(&mut self, context: &mut Context, room: RoomId, from: PodBoot, served: &Served) {
        let Some(search) = self.searches.get_mut(&room) else {
            return;
        };
        if search.is_others_turn(from) {
            match served {
                Served::Here(owner) => return self.found(context, room, owner.clone()),
                Served::Not { .. } => search.own_turn = true,
                Served::Soon => {}
            }
        }
        for probe in search.probes_of(from) {
            probe.answer = ProbeAnswer::from(served);
        }
        self.evaluate_all(vec![room]);
    }

    /// The pod with `boot` cannot be asked.
    pub fn pod_is_silent(&mut self, boot: PodBoot) {
        let mut rooms = Vec::new();
        for (room, search) in &mut self.searches {
            if search.is_others_turn(boot) {
                search.own_turn = true;
                rooms.push(*room);
            }
            for probe in search.probes_of(boot).filter(|probe| probe.is_awaited()) {
                probe.answer = ProbeAnswer::Silent;
                rooms.push(*room);
            }
        }
        self.evaluate_all(rooms);
    }

    /// Whether a search has asked the pod with `boot`, or owes it an answer.
    pub fn needs(&self, boot: PodBoot) -> bool {
        self.searches.values().any(|search| search.needs(boot))
    }

    /// The pod with `boot` can be asked again.
    pub fn pod_is_back(&mut self, context: &mut Context, time: Time, boot: PodBoot) {
        if !self.watches.contains_key(&boot) {
            return;
        }
        let mut rooms = Vec::new();
        for (room, search) in &mut self.searches {
            for probe in search.probes_of(boot).filter(|probe| probe.is_silent()) {
                probe.answer = ProbeAnswer::awaited(time.now);
                rooms.push(*room);
            }
        }
        rooms.sort_unstable();
        for room in rooms {
            context.peers.send(boot, &Frame::Ask { room, ticket: 0, dead: None });
            context.arm(time.now + PATIENCE, Timer::Search(room));
        }
    }

    /// Takes a search as far as the answers so far allow.
    pub(super) fn evaluate(&mut self, context: &mut Context, time: Time, room: RoomId) {
        let Some(RoomSearch { step: SearchStep::Probing(probes), .. }) = self.searches.get_mut(&room) else {
            return;
        };
        for probe in probes.iter_mut() {
            probe.note_silence(time.now);
        }
        let late = probes.iter().any(|probe| probe.is_late(time.now));
        if late && !probes.iter().any(|probe| matches!(probe.answer, ProbeAnswer::Serves(_))) {
            self.ask_leases_of_the_late(context, time, room);
            self.wait_for_takeover(context, room);
        }
        let highest_known = context.known_owners.get(room).map(|owner| owner.ownership);
        let Some(search) = self.searches.get(&room) else {
            return;
        };
        let (me, check_lease) = (context.me.ownership.boot, context.settings.rules.check_lease);
        match outcome(search.probes(), highest_known, me, check_lease) {
            Outcome::Wait | Outcome::Parked => {}
            Outcome::Served(owner) => self.found(context, room, owner),
            Outcome::ServedBelow(owner, dead) => {
                let again = self.probe(context, time, room, owner, Some(dead));
                self.step(context, time, room, SearchStep::Probing(vec![again]), PATIENCE);
            }
            Outcome::Again => self.pause(context, time, room),
            // The next look at the lease may say more.
            Outcome::Unavailable => self.give_up_entering(context, room, ErrorCode::Unavailable),
            Outcome::Nobody if search.record.is_none() => self.absent(context, time, room),
            // The last waiter has given up.
            Outcome::Nobody if search.is_idle() => {
                self.searches.remove(&room);
            }
            Outcome::Nobody => {
                let silent = search.probes().iter().filter(|probe| probe.is_silent());
                let dead = silent.map(|probe| probe.owner.ownership).max();
                if dead.is_none_or(|dead| !self.is_left_to_heir(context, time, room, dead)) {
                    self.report(SearchEvent::Ownerless { room });
                }
            }
        }
    }

    /// `owner` serves the room.
    fn found(&mut self, context: &mut Context, room: RoomId, owner: Owner) {
        let waiters = self.end(context, room, ErrorCode::Unavailable);
        self.report(SearchEvent::Found { room, owner, waiters });
    }

    /// Pods that answer late may be dead: their leases are read.
    fn ask_leases_of_the_late(&mut self, context: &mut Context, time: Time, room: RoomId) {
        let Some(search) = self.searches.get_mut(&room) else {
            return;
        };
        let mut late = Vec::new();
        let unasked = |probe: &&mut Probe| probe.lease == LeaseState::Unasked && probe.is_late(time.now);
        for probe in search.probes_mut().iter_mut().filter(unasked) {
            probe.lease = LeaseState::Asked;
            late.push(probe.owner.clone());
        }
        for owner in late {
            self.ask_lease(context, time, &owner, true);
        }
    }

    /// Another pod asks for `room`, which is not here and not on its way. `dead`: an ownership whose pod is dead; this pod is to
    /// take the room over above it.
    pub fn asked_by_pod(
        &mut self,
        context: &mut Context,
        time: Time,
        room: RoomId,
        from: PodBoot,
        dead: Option<Ownership>,
    ) -> Served {
        if self.searches.get(&room).is_some_and(|search| search.attempt.is_some()) {
            return Served::Soon;
        }
        if dead.is_none() || !context.settled() {
            return Served::Not { seen: context.known_owners.get(room).cloned() };
        }
        self.take_over_for(context, time, from, room);
        Served::Soon
    }
}
