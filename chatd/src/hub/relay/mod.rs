//! Relayed sessions: this pod forwards their commands to the room's owner, and queues them while the owner changes. Pure: no I/O.

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
use super::session::SessionState;
use super::sessions::Sessions;
use crate::ids::{RelayId, SessionId, Time};
use crate::peer_protocol::{Disconnect, Frame};
use crate::protocol::{ErrorCode, OnWrongPod, PodBoot, RoomId};
use crate::record::Owner;
use crate::room::Membership;
use crate::shrink::Shrink;

use pending::Pending;
pub use session::Relay;

/// The relayed sessions by relay id. The state of each is in its session.
#[derive(Debug)]
pub struct Relays {
    table: HashMap<RelayId, SessionId>,
    last: u64,
}

impl Relays {
    /// `last`: the relay id before the first.
    pub fn new(last: u32) -> Self {
        Self { table: HashMap::new(), last: u64::from(last) }
    }

    /// A new relay id, unique in this pod: its low byte is the thread's number.
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

    /// The session that a frame of the pod with `boot` refers to.
    pub fn session(&self, sessions: &Sessions, from: PodBoot, relay: RelayId) -> Option<SessionId> {
        let id = *self.table.get(&relay)?;
        sessions.relay(id).is_some_and(|relay| relay.is_from(from)).then_some(id)
    }

    /// The sessions whose owner is, or will be, the pod with `boot`, in order.
    pub fn of_owner(&self, sessions: &Sessions, boot: PodBoot) -> Vec<SessionId> {
        let its = |id: &SessionId| sessions.relay(*id).is_some_and(|relay| relay.is_from(boot));
        let mut found: Vec<_> = self.table.values().copied().filter(its).collect();
        found.sort_unstable();
        found
    }

    /// Whether a session's owner is, or will be, the pod with `boot`.
    pub fn have_owner(&self, sessions: &Sessions, boot: PodBoot) -> bool {
        self.table.values().any(|id| sessions.relay(*id).is_some_and(|relay| relay.is_from(boot)))
    }

    // ---- how a session comes to be relayed, and how that ends

    /// Sends JOIN, RESUME or a call to the room's owner.
    pub fn open(
        &mut self,
        sessions: &mut Sessions,
        context: &mut Context,
        time: Time,
        room: RoomId,
        waiter: &Waiter,
        owner: &Owner,
    ) {
        let Some(session) = sessions.get_mut(waiter.session) else {
            return;
        };
        let (relay, encoding) = (session.relay, session.encoding);
        let frame = match &waiter.purpose {
            WaiterPurpose::Enter(entry) => {
                Frame::Open { room, relay, encoding, number: 1, id: waiter.id, command: entry.command(room) }
            }
            WaiterPurpose::Call(call) => Frame::Call { room, relay, call: call.clone() },
            WaiterPurpose::Attach => return,
        };
        let waiter = Waiter { deadline: waiter.deadline.max(time.now + 1), ..waiter.clone() };
        self.table.insert(relay, waiter.session);
        context.arm(waiter.deadline, Timer::Session(waiter.session));
        context.peers.send(owner.ownership.boot, &frame);
        session.state = SessionState::Relayed(Box::new(Relay::opening(relay, room, waiter, owner.clone())));
    }

    /// A local member's room has moved to another pod. `redirect`: the client follows the room if it asked for that.
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
            session.state = SessionState::Relayed(Box::new(relay));
            session.room = room.into();
            self.table.insert(session.relay, id);
            context.counters.relays += 1;
            // Output that waited for the room's record need not wait any more.
            sessions.mark_dirty(id);
        }
    }

    /// Ends the relay and returns the unanswered commands. The session is busy until it gets another state.
    fn end(&mut self, sessions: &mut Sessions, id: SessionId) -> VecDeque<Pending> {
        let Some(relay) = sessions.relay_mut(id) else {
            return VecDeque::new();
        };
        let (relay_id, pending) = (relay.id(), relay.take_pending());
        self.table.remove(&relay_id);
        if let Some(session) = sessions.get_mut(id) {
            session.state = SessionState::Busy;
        }
        pending
    }

    /// The client is gone: notifies the owner, or the possible owner.
    pub fn client_gone(
        &mut self,
        sessions: &mut Sessions,
        context: &mut Context,
        id: SessionId,
        disconnect: Disconnect,
    ) {
        let Some(relay) = sessions.relay(id) else {
            return;
        };
        if let Some((boot, frame)) = relay.closed(disconnect) {
            context.peers.send(boot, &frame);
        }
        self.end(sessions, id);
        if let Some(session) = sessions.get_mut(id) {
            session.state = SessionState::Outside;
        }
    }

    /// No owner was found in time. Refuses the unanswered commands with `code`; those in flight may have been carried out.
    /// False: the session was not looking for an owner.
    fn give_up(&mut self, sessions: &mut Sessions, context: &mut Context, id: SessionId, code: ErrorCode) -> bool {
        let Some(relay) = sessions.relay_mut(id).filter(|relay| relay.searching().is_some()) else {
            return false;
        };
        let pending = relay.take_pending();
        // The last owner may have attached the session and replied too late.
        self.client_gone(sessions, context, id, Disconnect::Lost);
        for Pending { id: number, sent, .. } in pending {
            sessions.refuse_relayed(context, id, number, if sent { ErrorCode::Unavailable } else { code });
        }
        true
    }

    /// Ends the relay and refuses the unanswered commands.
    fn refuse_pending(&mut self, sessions: &mut Sessions, context: &mut Context, id: SessionId) {
        let pending = self.end(sessions, id);
        sessions.refuse_all(context, id, pending.into_iter().map(|pending| pending.id));
    }

    // ---- the owner changes

    /// The session has lost its owner. `straight`: tries the highest known owner first, if its link is up. Returns the search to begin,
    /// if any: for the seat's new owner, or for an unanswered JOIN or RESUME.
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
                return Some((room, *waiter));
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
            if let SessionState::Relayed(relay) = &session.state {
                relay.check_invariants();
                count += 1;
                assert_eq!(relay.id(), session.relay, "the number of {:?}", session.id);
                assert_eq!(self.table.get(&relay.id()), Some(&session.id), "the session of {:?}", relay.id());
            }
        }
        assert_eq!(self.table.len(), count, "relayed sessions");
    }
}
