//! Relayed sessions whose owner changes or cannot be found, whose room turns out to be here, or that are sent on. Pure: no I/O.

use std::collections::VecDeque;

use super::pending::Pending;
use crate::hub::Hub;
use crate::hub::attaching::Settled;
use crate::hub::request::Asked;
use crate::hub::session::Place;
use crate::ids::{RelayId, SessionId, SessionRef, Time};
use crate::peer_protocol::Attach;
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

    /// The link to the pod with `boot` broke: its sessions look for their rooms.
    pub(in crate::hub) fn relays_cut(&mut self, time: Time, boot: PodBoot) {
        for id in self.relays.of_owner(&self.sessions, boot) {
            self.find_owner(time, id, false);
        }
    }

    /// Looks for the owner. `straight`: the one that is known as the highest now is tried first, if its link is up.
    pub(in crate::hub) fn find_owner(&mut self, time: Time, id: SessionId, straight: bool) {
        let Self { relays, sessions, context, .. } = self;
        if let Some((room, waiter)) = relays.lose_owner(sessions, context, time, id, straight) {
            self.look_for(time, room, waiter);
        }
    }

    /// Nobody who serves the room was found in time.
    pub(in crate::hub) fn lost_for_good(&mut self, id: SessionId, code: ErrorCode) {
        if self.relays.give_up(&mut self.sessions, &mut self.context, id, code) {
            self.say(id, None, &Event::Error { code, retry_after_ms: None });
            self.goodbye(id, None, Some(code));
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

    /// The room has turned out to be here: the session is seated without a link.
    pub(in crate::hub) fn attach_here(&mut self, time: Time, key: usize, id: SessionId) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let connection = SessionRef { boot: self.context.me.ownership.boot, relay: session.relay };
        let encoding = session.encoding;
        let Place::Relayed(relay) = &session.place else {
            return;
        };
        let Some(membership) = relay.searching() else {
            return;
        };
        let doubt = relay.is_in_doubt();
        self.reinstate(time, key, membership.name, membership.seat);
        let Some(owned) = self.rooms.get(key) else {
            return;
        };
        let (room, seat) = (owned.room.id, owned.room.seat(membership.seat));
        let fits = |seat: &Seat| seat.name == membership.name && seat.holder.is_none_or(|holder| holder == connection);
        // In its own seat it stays as it is while it catches up: what is replayed may answer what it has asked.
        let (stays, is_there) = (seat.is_some_and(fits), seat.is_some());
        let mut pending = VecDeque::new();
        if !stays {
            pending = self.relays.end(&mut self.sessions, id);
            // Where another connection has its seat, it is told that.
            if !is_there && pending.iter().any(Pending::ends) {
                return self.leave_unseated(time, id, room, pending);
            }
        }
        let attach = Attach { encoding, member: membership, moved: true };
        let asked = Asked::here(id, None);
        let Some(Settled { processed }) = self.attach(time, key, asked, connection, &attach) else {
            // Not in the seat that they were meant for.
            for pending in pending {
                self.refuse(Asked::here(id, pending.id), ErrorCode::Unavailable);
            }
            return;
        };
        if !matches!(self.sessions.get(id).map(|session| &session.place), Some(Place::Relayed(_))) {
            return;
        }
        let pending = self.relays.end(&mut self.sessions, id);
        let processed = processed.filter(|_| !doubt);
        if let Some(session) = self.sessions.get_mut(id) {
            session.place = Place::Seated { key, seat: membership.seat };
        }
        for pending in pending {
            let asked = Asked::here(id, pending.id);
            if pending.is_carried_out(processed) {
                self.refuse(asked, ErrorCode::Unavailable);
            } else if matches!(self.sessions.get(id).map(|session| &session.place), Some(Place::Seated { .. })) {
                self.command_in_room(time, key, membership.seat, asked, pending.command);
            }
        }
        self.sessions.wake(id);
    }

    /// A session that is to leave a room in which it has no seat any more: it has left.
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
