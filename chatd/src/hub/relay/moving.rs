//! Relayed sessions whose owner changes or cannot be found, and clients that are sent on to it. Pure: no I/O.

use super::{
    ATTACH_PATIENCE, Asked, Drop, ErrorCode, Event, Frame, Heard, Hub, OnWrongPod, Owner, Place, PodBoot, Relay,
    RelayId, RoomId, State, Waiter,
};
use crate::ids::{SessionId, Time};

impl Hub {
    pub(in crate::hub) fn relay_refused(
        &mut self,
        time: Time,
        from: PodBoot,
        room: RoomId,
        relay_id: RelayId,
        seen: Option<Owner>,
    ) {
        if let Some(owner) = seen {
            self.learn(time, room, &owner);
        }
        if let Some(id) = self.relay_of(from, relay_id) {
            self.find_owner(time, id, false);
        }
    }

    pub(in crate::hub) fn relay_yielded(
        &mut self,
        time: Time,
        from: PodBoot,
        room: RoomId,
        relay_id: RelayId,
        owner: &Owner,
        processed: u64,
    ) {
        self.learn(time, room, owner);
        let Some(id) = self.relay_of(from, relay_id) else {
            return;
        };
        if let Some(relay) = self.relay(id) {
            relay.moved = true;
            // What was sent to another owner, before this one has taken the session on, is not this one's to know of.
            let was_its = relay.state == State::Live;
            for pending in relay.pending.iter_mut().filter(|pending| was_its && pending.number > processed) {
                pending.sent = false;
            }
        }
        let mode = self.sessions.get(id).map(|session| session.mode);
        if let Some(relay) = self.relay(id)
            && relay.stay.is_some()
        {
            relay.redirect = mode == Some(OnWrongPod::Redirect);
        }
        self.find_owner(time, id, true);
    }

    /// The link to the pod with `boot` broke: its sessions look for their rooms.
    pub(in crate::hub) fn relays_cut(&mut self, time: Time, boot: PodBoot) {
        let mut cut: Vec<SessionId> = Vec::new();
        for id in self.relays.sessions() {
            if let Some(session) = self.sessions.get(id)
                && let Place::Relayed(relay) = &session.place
                && relay.is_from(boot)
            {
                cut.push(id);
            }
        }
        cut.sort_unstable();
        for id in cut {
            self.find_owner(time, id, false);
        }
    }

    /// Looks for the owner. `straight`: the one that is known as the highest now is tried first, if its link is up.
    pub(super) fn find_owner(&mut self, time: Time, id: SessionId, straight: bool) {
        let Some(relay) = self.relay(id) else {
            return;
        };
        let room = relay.room;
        if let State::Opening { entry, id: number, since, deadline } = &relay.state {
            let (entry, number, since, deadline) = (entry.clone(), *number, *since, *deadline);
            if let Some(session) = self.sessions.get_mut(id) {
                session.place = Place::Busy;
                session.room = Some(room);
                let relay_id = session.relay;
                self.relays.remove(relay_id);
            }
            let waiter = Waiter { since, deadline, ..Waiter::entering(id, number, entry, since) };
            return self.look_for(time, room, waiter);
        }
        if matches!(relay.state, State::Live) {
            relay.give_up = time.now + ATTACH_PATIENCE;
        }
        let give_up = relay.give_up;
        relay.state = State::Searching;
        let seen = self.context.known_owners.get(room).cloned();
        if straight
            && let Some(owner) = seen
            && self.context.peers.is_up(owner.ownership.boot)
        {
            return self.attach_there(time, room, id, &owner);
        }
        self.look_for(time, room, Waiter::attaching(id, time.now, give_up));
    }

    /// A session's room has gone from here to another pod.
    pub(in crate::hub) fn search_for_yielded(&mut self, time: Time, id: SessionId) {
        self.find_owner(time, id, true);
    }

    /// Nobody who serves the room was found in time.
    pub(in crate::hub) fn lost_for_good(&mut self, time: Time, id: SessionId, code: ErrorCode) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if !matches!(&session.place, Place::Relayed(relay) if relay.state == State::Searching) {
            return;
        }
        let relay_id = session.relay;
        let encountered = std::mem::replace(&mut session.place, Place::Outside);
        self.relays.remove(relay_id);
        if let Place::Relayed(relay) = encountered {
            // Whoever was asked to take it on may have done so, and said so too late.
            self.close_there(&relay, relay_id, Drop::Lost);
            for pending in relay.pending {
                // What was sent may have been carried out.
                let code = if pending.sent { ErrorCode::Unavailable } else { code };
                self.refuse(time, Asked::here(id, pending.id), code);
            }
        }
        self.say(time, id, None, &Event::Error { code, retry_after_ms: None });
        self.goodbye(time, id, None, Some(code));
    }

    /// The client of a relayed session is gone.
    pub(in crate::hub) fn relay_dropped(&mut self, _time: Time, id: SessionId, drop: Drop) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let relay_id = session.relay;
        if let Place::Relayed(relay) = std::mem::replace(&mut session.place, Place::Outside) {
            self.close_there(&relay, relay_id, drop);
        }
        self.relays.remove(relay_id);
    }

    /// Tells the owner that has, or may have, the session that its client is gone.
    fn close_there(&mut self, relay: &Relay, relay_id: RelayId, drop: Drop) {
        if let Some(owner) = &relay.owner {
            let stay = relay.stay.filter(|_| drop != Drop::Slow);
            let heard = stay.map(|stay| Heard { timeline: stay.timeline, last_seq: stay.seq });
            let frame = Frame::Closed { room: relay.room, relay: relay_id, drop, heard, entry: None };
            self.context.peers.send(owner.ownership.boot, &frame);
        }
    }

    /// A relayed session's time is up: JOIN was not answered, or the owner did not take it on.
    pub(in crate::hub) fn relay_due(&mut self, time: Time, id: SessionId) {
        let Some(relay) = self.relay(id) else {
            return;
        };
        match &relay.state {
            State::Opening { id: number, deadline, .. } if *deadline <= time.now => {
                let asked = Asked::here(id, *number);
                self.relay_dropped(time, id, Drop::Lost);
                self.context.counters.joined(Err(ErrorCode::Unavailable));
                self.refuse_entry(time, asked, ErrorCode::Unavailable);
            }
            // Once it is admitted the owner is there, and what was missed comes as fast as the client reads.
            State::Attaching { until, admitted: false } if *until <= time.now => self.find_owner(time, id, false),
            _ => {}
        }
    }

    /// Sends the client on, if it is to go and nothing is in flight.
    pub(in crate::hub) fn leave_if_idle(&mut self, time: Time, id: SessionId) {
        let draining = self.outgoing.sends_away(time.now, id);
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let mode = session.mode;
        // Who can be told where to go need not wait for the balancers.
        let redirected = mode == OnWrongPod::Redirect && self.outgoing.redirects(time.now, id);
        let quiet = session.quiet(self.outgoing.is_patient(time.now, id));
        let Place::Relayed(relay) = &session.place else {
            return;
        };
        if !quiet || !relay.idle() || !(relay.redirect || draining || redirected) {
            return;
        }
        let (room, owner) = (relay.room, relay.owner.clone());
        if mode == OnWrongPod::Redirect
            && let Some(owner) = owner
            && let Some((tcp, web)) = self.address_of(&owner)
        {
            self.context.counters.redirects += 1;
            self.say(time, id, None, &Event::Redirect { room, tcp: &tcp, web: &web });
            return self.fail_quietly(time, id, Some(ErrorCode::Moved));
        }
        if draining {
            self.fail_quietly(time, id, Some(ErrorCode::Moved));
        } else if let Some(relay) = self.relay(id) {
            // Where it is cannot be said: relaying goes on.
            relay.redirect = false;
        }
    }
}
