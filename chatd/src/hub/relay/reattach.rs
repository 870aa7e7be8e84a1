//! Relayed sessions whose owner changes or is not found, whose room turns out to be here, or that leave this pod. Pure: no I/O.

use std::collections::VecDeque;

use super::pending::Pending;
use super::session::Relay;
use crate::hub::Hub;
use crate::hub::attaching::Settled;
use crate::hub::request::Asked;
use crate::hub::session::SessionState;
use crate::ids::{RelayId, RoomIndex, SessionId, SessionRef, Time};
use crate::peer_protocol::{Attach, Disconnect};
use crate::protocol::{Command, ErrorCode, Event, OnWrongPod, PodBoot, RoomId};
use crate::record::Owner;
use crate::room::Seat;

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
        if let Some(id) = self.relays.session(&self.sessions, from, relay_id) {
            self.find_owner(time, id, false);
        }
    }

    pub(in crate::hub) fn relay_released(
        &mut self,
        time: Time,
        from: PodBoot,
        room: RoomId,
        relay_id: RelayId,
        owner: &Owner,
        processed: u64,
    ) {
        self.learn(time, room, owner);
        if let Some(id) = self.relays.session(&self.sessions, from, relay_id) {
            self.sessions.relay_owner_released(id, processed);
            self.find_owner(time, id, true);
        }
    }

    /// The link to the pod with `boot` broke: its sessions search for their rooms.
    pub(in crate::hub) fn relays_cut(&mut self, time: Time, boot: PodBoot) {
        for id in self.relays.of_owner(&self.sessions, boot) {
            if self.sessions.relay(id).is_some_and(Relay::is_lost_with_its_owner) {
                self.relays.client_gone(&mut self.sessions, &mut self.context, id, Disconnect::Lost);
                self.refuse_entry(time, Asked::here(id, None), ErrorCode::Unavailable);
            } else {
                self.find_owner(time, id, false);
            }
        }
    }

    /// Searches for the owner. `straight`: tries the highest known owner first, if its link is up.
    pub(in crate::hub) fn find_owner(&mut self, time: Time, id: SessionId, straight: bool) {
        let Self { relays, sessions, context, .. } = self;
        if let Some((room, waiter)) = relays.lose_owner(sessions, context, time, id, straight) {
            self.look_for(time, room, waiter);
        }
    }

    /// No owner was found in time.
    pub(in crate::hub) fn lost_for_good(&mut self, id: SessionId, code: ErrorCode) {
        if self.relays.give_up(&mut self.sessions, &mut self.context, id, code) {
            self.say(id, None, &Event::Error { code, retry_after_ms: None });
            self.goodbye(id, None, Some(code));
        }
    }

    /// Sends the client to the owner if it is to leave and nothing is in flight.
    pub(in crate::hub) fn leave_if_idle(&mut self, time: Time, id: SessionId) {
        let draining = self.outgoing.sends_away(time.now, id);
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let mode = session.mode;
        // A client that gets an address need not wait for the balancers.
        let redirected = mode == OnWrongPod::Redirect && self.outgoing.redirects(time.now, id);
        let quiet = session.quiet(self.outgoing.is_patient(time.now, id));
        let SessionState::Relayed(relay) = &session.state else {
            return;
        };
        if !quiet || !relay.idle() || !(relay.is_to_redirect() || draining || redirected) {
            return;
        }
        let room = relay.room();
        if mode == OnWrongPod::Redirect
            && let Some((tcp, web)) = relay.owner().and_then(|owner| self.address_of(owner))
        {
            self.context.counters.redirects += 1;
            self.say(id, None, &Event::Redirect { room, tcp: &tcp, web: &web });
            return self.fail_quietly(time, id, Some(ErrorCode::Moved));
        }
        if draining {
            self.fail_quietly(time, id, Some(ErrorCode::Moved));
        } else if let Some(relay) = self.sessions.relay_mut(id) {
            relay.keep_relaying();
        }
    }

    /// The room is here: seats the session without a link.
    pub(in crate::hub) fn attach_here(&mut self, time: Time, index: RoomIndex, id: SessionId) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let connection = SessionRef { boot: self.context.me.ownership.boot, relay: session.relay };
        let encoding = session.encoding;
        let SessionState::Relayed(relay) = &session.state else {
            return;
        };
        let Some(membership) = relay.searching() else {
            return;
        };
        let doubt = relay.is_in_doubt();
        self.reinstate(time, index, membership.name, membership.seat);
        let Some(owned) = self.rooms.get(index) else {
            return;
        };
        let (room, seat) = (owned.room.id, owned.room.seat(membership.seat));
        let fits =
            |seat: &Seat| seat.name() == membership.name && seat.holder.is_none_or(|holder| holder == connection);
        // It keeps its seat while it catches up: the replay may contain its replies.
        let is_let_in = !owned.has_ended(time.wall) && !owned.is_resuming(membership.seat);
        let (stays, is_there) = (is_let_in && seat.is_some_and(fits), seat.is_some());
        let mut pending = VecDeque::new();
        if !stays {
            pending = self.relays.end(&mut self.sessions, id);
            // If another connection has its seat, it gets `replaced`.
            if !is_there && pending.iter().any(Pending::ends) {
                return self.leave_unseated(time, id, room, pending);
            }
        }
        let attach = Attach { encoding, member: membership, moved: true };
        let asked = Asked::here(id, None);
        let Some(Settled { processed }) = self.attach(time, index, asked, connection, &attach) else {
            // The commands were meant for another seat.
            for pending in pending {
                self.refuse(Asked::here(id, pending.id), ErrorCode::Unavailable);
            }
            return;
        };
        if !matches!(self.sessions.get(id).map(|session| &session.state), Some(SessionState::Relayed(_))) {
            return;
        }
        let pending = self.relays.end(&mut self.sessions, id);
        let processed = processed.filter(|_| !doubt);
        if let Some(session) = self.sessions.get_mut(id) {
            session.state = SessionState::Seated { index, seat: membership.seat };
        }
        for pending in pending {
            let asked = Asked::here(id, pending.id);
            if pending.is_carried_out(processed) {
                self.refuse(asked, ErrorCode::Unavailable);
            } else if matches!(self.sessions.get(id).map(|session| &session.state), Some(SessionState::Seated { .. })) {
                self.command_in_room(time, index, membership.seat, asked, pending.command);
            }
        }
        self.sessions.wake(id);
    }

    /// The seat of a session that wants to leave has ended, as the owner says.
    pub(super) fn relay_is_unseated(&mut self, time: Time, id: SessionId) {
        if let Some(room) = self.sessions.relay(id).map(Relay::room) {
            let pending = self.relays.end(&mut self.sessions, id);
            self.leave_unseated(time, id, room, pending);
        }
    }

    /// The session wants to leave a room in which it has no seat any more: it has left.
    fn leave_unseated(&mut self, time: Time, id: SessionId, room: RoomId, pending: VecDeque<Pending>) {
        for pending in pending {
            let asked = Asked::here(id, pending.id);
            match pending.command {
                Ok(Command::Leave) => {
                    self.now_outside(time, id);
                    self.reply(asked, &Event::Left { room });
                }
                Ok(Command::Quit) => return self.goodbye(id, asked.id, None),
                _ => self.refuse(asked, ErrorCode::Unavailable),
            }
        }
        self.sessions.wake(id);
    }
}
