//! Sessions of this pod whose room is elsewhere: their commands go to its owner, and wait while the owner changes. Pure: no I/O.

mod delivery;
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
use crate::peer_protocol::{Delivery, Drop, Frame};
use crate::protocol::{Command, ErrorCode, Event, OnWrongPod, PodBoot, RoomId};
use crate::record::Owner;
use crate::shrink::Shrink;

use outcome::{Next, Overdue, Received};
use pending::{Pending, Refused};
pub use session::{Membership, Relay};

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
        relay_of(sessions, id).is_some_and(|relay| relay.is_from(from)).then_some(id)
    }

    /// The sessions that the pod with `boot` has or is to have, in order.
    pub fn of_owner(&self, sessions: &Sessions, boot: PodBoot) -> Vec<SessionId> {
        let its = |id: &SessionId| relay_of(sessions, *id).is_some_and(|relay| relay.is_from(boot));
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
        room: RoomId,
        membership: Membership,
        redirect: bool,
    ) {
        if let Some(session) = sessions.get_mut(id) {
            let redirect = redirect && session.mode == OnWrongPod::Redirect;
            let relay = Relay::yielded(session.relay, room, membership, redirect, time.now);
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
        let Some(relay) = relay_of_mut(sessions, id) else {
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
        let Some(relay) = relay_of(sessions, id) else {
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
        let Some(relay) = relay_of_mut(sessions, id).filter(|relay| relay.searching().is_some()) else {
            return false;
        };
        let pending = relay.take_pending();
        // Whoever was asked to take it on may have done so, and said so too late.
        self.client_gone(sessions, context, id, Drop::Lost);
        for Pending { id: number, sent, .. } in pending {
            refuse(sessions, context, id, number, if sent { ErrorCode::Unavailable } else { code });
        }
        true
    }

    /// The session is not relayed any more, and what it has asked and was not answered is refused.
    fn refuse_pending(&mut self, sessions: &mut Sessions, context: &mut Context, id: SessionId) {
        let pending = self.end(sessions, id);
        refuse_all(sessions, context, id, pending.into_iter().map(|pending| pending.id));
    }

    /// Attached, and nothing is in flight.
    fn is_idle(&self, sessions: &Sessions, id: SessionId) -> bool {
        relay_of(sessions, id).is_some_and(Relay::idle)
    }

    fn overdue(&self, sessions: &Sessions, time: Time, id: SessionId) -> Option<Overdue> {
        relay_of(sessions, id)?.overdue(time.now)
    }

    // ---- commands and deliveries

    /// A command of a session whose room is elsewhere.
    pub fn command(
        &self,
        sessions: &mut Sessions,
        context: &mut Context,
        id: SessionId,
        number: Option<u64>,
        command: Result<Command<'_>, ErrorCode>,
    ) {
        if let Some(relay) = relay_of_mut(sessions, id) {
            relay.push(number, command.map(Command::into_owned));
            relay.send_pending(|boot, frame| context.peers.send(boot, frame));
        }
    }

    /// Takes what the owner has sent into the session's output. What else becomes of it; `None`: nothing.
    fn receive(
        &mut self,
        sessions: &mut Sessions,
        context: &mut Context,
        id: SessionId,
        delivery: &Delivery<'_>,
    ) -> Option<Next> {
        let Received { lost, is_new, brought, next } =
            relay_of_mut(sessions, id)?.receive(delivery, &context.settings)?;
        refuse_all(sessions, context, id, lost);
        let session = sessions.get_mut(id)?;
        if next == (Next::Closed { code: Some(ErrorCode::SlowConsumer) }) {
            // What is queued is dropped, wherever it is.
            session.output.keep_only_what_is_under_way(session.encoding);
        }
        if is_new {
            session.output.buffer().extend_from_slice(&delivery.bytes);
        }
        session.output.was_brought(brought);
        sessions.mark_dirty(id);
        Some(next)
    }

    /// The session has all that it had missed: these are refused, since nobody knows whether they were carried out, and the owner gets
    /// the others.
    fn caught_up(&self, sessions: &mut Sessions, context: &mut Context, id: SessionId, lost: Refused) {
        refuse_all(sessions, context, id, lost);
        if let Some(relay) = relay_of_mut(sessions, id) {
            relay.send_pending(|boot, frame| context.peers.send(boot, frame));
        }
    }

    /// The reply to a command has been told again from the ring: earlier ones were carried out, and their replies are lost.
    pub fn replied(&self, sessions: &mut Sessions, context: &mut Context, id: SessionId, number: u64) {
        let lost = relay_of_mut(sessions, id).map(|relay| relay.replied(number)).unwrap_or_default();
        refuse_all(sessions, context, id, lost);
    }

    /// Tells the owner what has been written to the client, a quarter of the window at a time.
    pub fn credit(&self, sessions: &mut Sessions, context: &mut Context, id: SessionId) {
        let quarter = context.settings.limits.window / 4;
        if let Some(session) = sessions.get_mut(id)
            && let Place::Relayed(relay) = &mut session.place
            && let Some((boot, frame)) = relay.credit(session.output.len(), quarter)
        {
            context.peers.send(boot, &frame);
        }
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
        let relay = relay_of_mut(sessions, id)?;
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
            self.attach(sessions, context, time, id, &owner);
            return None;
        }
        Some((room, waiter))
    }

    /// The owner has given the room up, and commands after `processed` were not carried out.
    fn owner_yielded(&self, sessions: &mut Sessions, id: SessionId, processed: u64) {
        if let Some(session) = sessions.get_mut(id)
            && let Place::Relayed(relay) = &mut session.place
        {
            relay.owner_yielded(processed, session.mode == OnWrongPod::Redirect);
        }
    }

    /// The client cannot be told where its room is: relaying goes on.
    fn keep_relaying(&self, sessions: &mut Sessions, id: SessionId) {
        if let Some(relay) = relay_of_mut(sessions, id) {
            relay.keep_relaying();
        }
    }

    /// Asks an owner to take on a session that had a seat.
    pub fn attach(&self, sessions: &mut Sessions, context: &mut Context, time: Time, id: SessionId, owner: &Owner) {
        let Some(encoding) = sessions.get(id).map(|session| session.encoding) else {
            return;
        };
        if let Some(frame) = relay_of_mut(sessions, id).and_then(|relay| relay.attach(time.now, encoding, owner)) {
            context.peers.send(owner.ownership.boot, &frame);
            context.arm(time.now + session::ATTACH, Timer::Session(id));
        }
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

fn relay_of(sessions: &Sessions, id: SessionId) -> Option<&Relay> {
    match &sessions.get(id)?.place {
        Place::Relayed(relay) => Some(relay),
        _ => None,
    }
}

fn relay_of_mut(sessions: &mut Sessions, id: SessionId) -> Option<&mut Relay> {
    match &mut sessions.get_mut(id)?.place {
        Place::Relayed(relay) => Some(relay),
        _ => None,
    }
}

fn refuse(sessions: &mut Sessions, context: &mut Context, id: SessionId, number: Option<u64>, code: ErrorCode) {
    context.counters.errors += 1;
    sessions.say(context, id, number, &Event::Error { code, retry_after_ms: None });
}

/// Refuses commands of which nobody knows whether they were carried out.
fn refuse_all(
    sessions: &mut Sessions,
    context: &mut Context,
    id: SessionId,
    commands: impl IntoIterator<Item = Option<u64>>,
) {
    for number in commands {
        refuse(sessions, context, id, number, ErrorCode::Unavailable);
    }
}
