//! Sessions of this pod whose room is elsewhere: their commands go to its owner, and wait while the owner changes. Pure: no I/O.

mod delivery;
mod exchange;
mod outcome;
mod pending;
mod reattach;
mod session;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

use super::context::{Context, Timer};
use super::request::{Waiter, WaiterPurpose};
use super::session::Place;
use super::sessions::Sessions;
use crate::ids::{RelayId, SessionId, Time};
use crate::peer_protocol::{Drop, Frame};
use crate::protocol::{ErrorCode, OnWrongPod, PodBoot, RoomId};
use crate::record::Owner;
use crate::room::Membership;
use crate::shrink::Shrink;

use pending::Pending;
pub use session::Relay;

/// The sessions whose room is elsewhere, by their number on the peer links. What each of them is about stands in its session.
#[derive(Debug)]
pub struct Relays {
    table: HashMap<RelayId, SessionId>,
    last: u64,
}

impl Relays {
    /// `last`: the number before the first.
    pub fn new(last: u32) -> Self {
        Self { table: HashMap::new(), last: u64::from(last) }
    }

    /// A new number for a client's stay in a room, on this pod alone: the low byte is the thread's.
    pub fn next(&mut self, shard: usize) -> RelayId {
        self.last += 1;
        RelayId(self.last << 8 | (shard as u64 & 0xff))
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn shrink(&mut self) {
        self.table.shrink();
    }

    /// The session that a frame of the pod with `boot` is about.
    pub fn session(&self, sessions: &Sessions, from: PodBoot, relay: RelayId) -> Option<SessionId> {
        let id = *self.table.get(&relay)?;
        sessions.relay(id).is_some_and(|relay| relay.is_from(from)).then_some(id)
    }

    /// The sessions that the pod with `boot` has or is to have, in order.
    pub fn of_owner(&self, sessions: &Sessions, boot: PodBoot) -> Vec<SessionId> {
        let its = |id: &SessionId| sessions.relay(*id).is_some_and(|relay| relay.is_from(boot));
        let mut found: Vec<_> = self.table.values().copied().filter(its).collect();
        found.sort_unstable();
        found
    }

    // ---- how a session comes to be relayed, and how that ends

    /// Sends JOIN or RESUME to the room's owner.
    pub fn open(
        &mut self,
        sessions: &mut Sessions,
        context: &mut Context,
        time: Time,
        room: RoomId,
        waiter: &Waiter,
        owner: &Owner,
    ) {
        let (Some(session), WaiterPurpose::Enter(entry)) = (sessions.get_mut(waiter.session), &waiter.purpose) else {
            return;
        };
        let (relay, encoding) = (session.relay, session.encoding);
        let command = entry.command(room);
        let waiter = Waiter { deadline: waiter.deadline.max(time.now + 1), ..waiter.clone() };
        self.table.insert(relay, waiter.session);
        context.arm(waiter.deadline, Timer::Session(waiter.session));
        let frame = Frame::Open { room, relay, encoding, number: 1, id: waiter.id, command };
        context.peers.send(owner.ownership.boot, &frame);
        session.place = Place::Relayed(Box::new(Relay::opening(relay, room, waiter, owner.clone())));
    }

    /// A client of this pod had a seat in a room that has gone to another one. `redirect`: it is to follow the room, if it wants that.
    pub fn follow(
        &mut self,
        sessions: &mut Sessions,
        context: &mut Context,
        time: Time,
        id: SessionId,
        (room, membership): (RoomId, Membership),
        redirect: bool,
    ) {
        if let Some(session) = sessions.get_mut(id) {
            let redirect = redirect && session.mode == OnWrongPod::Redirect;
            let relay = Relay::released(session.relay, room, membership, redirect, time.now);
            session.place = Place::Relayed(Box::new(relay));
            session.room = Some(room);
            self.table.insert(session.relay, id);
            context.counters.relays += 1;
            // What had to wait for the room's record waits no more.
            sessions.mark_dirty(id);
        }
    }

    /// The session is not relayed any more: what it has asked and not been answered. It is busy until it gets another place.
    fn end(&mut self, sessions: &mut Sessions, id: SessionId) -> VecDeque<Pending> {
        let Some(relay) = sessions.relay_mut(id) else {
            return VecDeque::new();
        };
        let (relay_id, pending) = (relay.id(), relay.take_pending());
        self.table.remove(&relay_id);
        if let Some(session) = sessions.get_mut(id) {
            session.place = Place::Busy;
        }
        pending
    }

    /// The client is gone: the owner that has it, or may have it, is told.
    pub fn client_gone(&mut self, sessions: &mut Sessions, context: &mut Context, id: SessionId, drop: Drop) {
        let Some(relay) = sessions.relay(id) else {
            return;
        };
        if let Some((boot, frame)) = relay.closed(drop) {
            context.peers.send(boot, &frame);
        }
        self.end(sessions, id);
        if let Some(session) = sessions.get_mut(id) {
            session.place = Place::Outside;
        }
    }

    /// Nobody who serves the room was found in time: what was sent may have been carried out, and the rest is refused with `code`.
    /// False: none was looked for.
    fn give_up(&mut self, sessions: &mut Sessions, context: &mut Context, id: SessionId, code: ErrorCode) -> bool {
        let Some(relay) = sessions.relay_mut(id).filter(|relay| relay.searching().is_some()) else {
            return false;
        };
        let pending = relay.take_pending();
        // Whoever was asked to take it on may have done so, and said so too late.
        self.client_gone(sessions, context, id, Drop::Lost);
        for Pending { id: number, sent, .. } in pending {
            sessions.refuse_relayed(context, id, number, if sent { ErrorCode::Unavailable } else { code });
        }
        true
    }

    /// The session is not relayed any more, and what it has asked and was not answered is refused.
    fn refuse_pending(&mut self, sessions: &mut Sessions, context: &mut Context, id: SessionId) {
        let pending = self.end(sessions, id);
        sessions.refuse_all(context, id, pending.into_iter().map(|pending| pending.id));
    }

    // ---- the owner changes

    /// There is no owner any more. `straight`: the one that is known as the highest now is tried first, if its link is up. Returns the
    /// search that is to begin, if any: for a seat's new owner, or for a JOIN or RESUME that was not answered.
    fn lose_owner(
        &mut self,
        sessions: &mut Sessions,
        context: &mut Context,
        time: Time,
        id: SessionId,
        straight: bool,
    ) -> Option<(RoomId, Waiter)> {
        let relay = sessions.relay_mut(id)?;
        let room = relay.room();
        let waiter = match relay.lose_owner(time.now) {
            Ok(give_up) => Waiter::attaching(id, time.now, give_up),
            Err(waiter) => {
                self.end(sessions, id);
                return Some((room, waiter));
            }
        };
        if straight
            && let Some(owner) = context.known_owners.get(room).cloned()
            && context.peers.is_up(owner.ownership.boot)
        {
            sessions.relay_attach(context, time, id, &owner);
            return None;
        }
        Some((room, waiter))
    }

    /// What must hold between calls; panics where it does not.
    pub fn check_invariants(&self, sessions: &Sessions) {
        let mut count = 0;
        for session in sessions.iter() {
            if let Place::Relayed(relay) = &session.place {
                relay.check_invariants();
                count += 1;
                assert_eq!(relay.id(), session.relay, "the number of {:?}", session.id);
                assert_eq!(self.table.get(&relay.id()), Some(&session.id), "the session of {:?}", relay.id());
            }
        }
        assert_eq!(self.table.len(), count, "relayed sessions");
    }
}
