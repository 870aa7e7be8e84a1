//! Remote members: the window of each, its queue, and its end. Pure: no I/O.

mod frames;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use super::context::Context;
use super::peers::Peers;
use super::request::Asked;
use crate::ids::SessionRef;
use crate::peer_protocol::{After, Delivery, Frame};
use crate::protocol::{Encoding, ErrorCode, Event, PodBoot, RoomId, SeatId};
use crate::record::Owner;
use crate::shrink::Shrink;

/// Bytes of memory of a queued delivery.
fn holds(delivery: &Delivery<'_>) -> usize {
    size_of::<Delivery<'_>>() + delivery.bytes.len()
}

/// A relayed session at its room's owner.
#[derive(Debug)]
pub struct RemoteMember {
    encoding: Encoding,
    room: RoomId,
    /// `None`: its JOIN has no reply yet, or it is leaving.
    seat: Option<SeatId>,
    /// The rest of its window; negative after a delivery that was larger than the rest.
    credit: i64,
    queue: VecDeque<Delivery<'static>>,
    /// Bytes of output in the queue.
    queued: usize,
    /// Of these, bytes that came at once: they tell nothing of how fast the client reads.
    at_once: usize,
    /// Its last delivery waits for the window; afterwards the session is forgotten.
    parting: bool,
}

impl RemoteMember {
    fn new(encoding: Encoding, room: RoomId, window: usize) -> Self {
        let (credit, queue) = (window.cast_signed() as i64, VecDeque::new());
        Self { encoding, room, seat: None, credit, queue, queued: 0, at_once: 0, parting: false }
    }

    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    pub fn room(&self) -> RoomId {
        self.room
    }

    /// `None`: its JOIN has no reply yet, or it is leaving.
    pub fn seat(&self) -> Option<SeatId> {
        self.seat
    }

    /// Its client has not read what its window holds.
    pub fn is_behind(&self) -> bool {
        self.credit <= 0
    }

    /// Queued bytes of output, without what came at once.
    pub fn queued(&self) -> usize {
        self.queued - self.at_once.min(self.queued)
    }

    /// Bytes of memory of the queue.
    fn holds(&self) -> usize {
        self.queued + self.queue.len() * size_of::<Delivery<'_>>()
    }

    /// Sends the queue as far as the window allows, or all of it if `all`. Returns the bytes of memory that this frees.
    fn flush(&mut self, peers: &mut Peers, to: SessionRef, all: bool) -> usize {
        let mut freed = 0;
        while (all || self.credit > 0)
            && let Some(next) = self.queue.pop_front()
        {
            freed += holds(&next);
            self.queued -= next.bytes.len();
            self.at_once = self.at_once.saturating_sub(next.bytes.len());
            self.send(peers, to, next);
        }
        freed
    }

    /// Sends at once, regardless of the window.
    fn send(&mut self, peers: &mut Peers, to: SessionRef, delivery: Delivery<'_>) {
        let Delivery { replies, place: (position, seq), bytes, after } = delivery;
        self.credit -= bytes.len().cast_signed() as i64;
        peers.send(to.boot, &Frame::Deliver { room: self.room, relay: to.relay, replies, position, seq, bytes, after });
    }

    fn check_invariants(&self, to: SessionRef, window: usize) {
        let bytes: usize = self.queue.iter().map(|delivery| delivery.bytes.len()).sum();
        assert_eq!(self.queued, bytes, "bytes that wait for {to:?}");
        assert!(self.credit <= window.cast_signed() as i64, "{to:?} has more than a window: {}", self.credit);
        assert!(self.queue.is_empty() || self.credit <= 0, "{to:?} waits, and may be sent {} bytes", self.credit);
        assert!(!self.parting || !self.queue.is_empty(), "{to:?} has had its last word, and is not forgotten");
    }
}

/// All remote members of this hub.
#[derive(Debug)]
pub struct RemoteMembers {
    table: HashMap<SessionRef, RemoteMember>,
    /// Bytes of memory of all queues.
    held: usize,
    /// The window of each: bytes sent ahead of what its client has taken.
    window: usize,
}

impl RemoteMembers {
    /// `window`: bytes sent ahead of what a client has taken.
    pub fn new(window: usize) -> Self {
        Self { table: HashMap::new(), held: 0, window }
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn get(&self, to: SessionRef) -> Option<&RemoteMember> {
        self.table.get(&to)
    }

    pub fn iter(&self) -> impl Iterator<Item = &RemoteMember> {
        self.table.values()
    }

    /// Whether the pod with `boot` relays a member.
    pub fn has_pod(&self, boot: PodBoot) -> bool {
        self.table.keys().any(|member| member.boot == boot)
    }

    /// The members that the pod with `boot` relays, in order.
    pub fn of_pod(&self, boot: PodBoot) -> Vec<SessionRef> {
        let mut members: Vec<_> = self.table.keys().copied().filter(|member| member.boot == boot).collect();
        members.sort_unstable();
        members
    }

    /// Bytes of memory of all queues.
    pub fn held(&self) -> usize {
        self.held
    }

    /// The members with a queue, with its bytes of memory.
    pub fn holders(&self) -> impl Iterator<Item = (usize, SessionRef)> {
        self.table.iter().map(|(to, member)| (member.holds(), *to)).filter(|(bytes, _)| *bytes > 0)
    }

    /// A session has arrived: gives it a fresh window, even if it is here already.
    pub fn insert(&mut self, to: SessionRef, encoding: Encoding, room: RoomId) {
        if let Some(before) = self.table.insert(to, RemoteMember::new(encoding, room, self.window)) {
            self.held -= before.holds();
        }
    }

    /// Its link or client is gone: drops its queue.
    pub fn remove(&mut self, to: SessionRef) -> Option<RemoteMember> {
        let member = self.table.remove(&to)?;
        self.held -= member.holds();
        Some(member)
    }

    pub fn set_seat(&mut self, to: SessionRef, seat: Option<SeatId>) {
        if let Some(member) = self.table.get_mut(&to) {
            member.seat = seat;
        }
    }

    /// What waits now is the answer to an attach.
    pub fn was_answered(&mut self, to: SessionRef) {
        if let Some(member) = self.table.get_mut(&to) {
            member.at_once = member.queued;
        }
    }

    /// Sends a delivery, or queues it while the window is full. Returns the queued bytes, without what came at once.
    pub fn deliver(&mut self, peers: &mut Peers, to: SessionRef, delivery: Delivery<'_>) -> Option<usize> {
        let member = self.table.get_mut(&to)?;
        debug_assert!(!member.parting, "{to:?} has had its last word: {delivery:?}");
        if member.credit > 0 && member.queue.is_empty() {
            member.send(peers, to, delivery);
        } else {
            self.held += holds(&delivery);
            member.queued += delivery.bytes.len();
            if delivery.replies.is_some() || delivery.after.is_some() {
                member.at_once = member.at_once.max(delivery.bytes.len());
            }
            member.queue.push_back(delivery.into_owned());
        }
        Some(member.queued())
    }

    /// Delivers an event, as the reply to the command if that has a number.
    pub fn deliver_event(
        &mut self,
        peers: &mut Peers,
        to: SessionRef,
        asked: Asked,
        event: &Event<'_>,
        place: (u64, u64),
    ) {
        self.encode_to(peers, to, asked, std::slice::from_ref(event), place, None);
    }

    /// The same, with what it does to the session besides.
    pub fn deliver_event_after(
        &mut self,
        peers: &mut Peers,
        to: SessionRef,
        asked: Asked,
        event: &Event<'_>,
        after: Option<After>,
    ) {
        self.encode_to(peers, to, asked, std::slice::from_ref(event), (0, 0), after);
    }

    /// Delivers the events that end the session's seat here. They keep their place in the queue, in one frame: a session that is not
    /// attached gives no credit for the first that would let the second go.
    pub fn part_with(&mut self, peers: &mut Peers, to: SessionRef, asked: Asked, events: &[Event<'_>], after: After) {
        self.encode_to(peers, to, asked, events, (0, 0), Some(after));
        self.part(to);
    }

    /// Delivers the answer to a call of the server API, which ends with it.
    pub fn answer_call(&mut self, peers: &mut Peers, to: SessionRef, asked: Asked, answer: Vec<u8>) {
        let after = Some(After::Outside { miss: false });
        let delivery = Delivery { replies: asked.replies(), place: (0, 0), bytes: Cow::Owned(answer), after };
        self.deliver(peers, to, delivery);
        self.part(to);
    }

    fn part(&mut self, to: SessionRef) {
        if let Some(member) = self.table.get_mut(&to) {
            member.parting = true;
            self.forget_parted(to);
        }
    }

    fn encode_to(
        &mut self,
        peers: &mut Peers,
        to: SessionRef,
        asked: Asked,
        events: &[Event<'_>],
        place: (u64, u64),
        after: Option<After>,
    ) {
        if let Some(member) = self.table.get(&to) {
            let mut bytes = Vec::new();
            for event in events {
                member.encoding.encode(event, asked.id, &mut bytes);
            }
            self.deliver(peers, to, Delivery { replies: asked.replies(), place, bytes: Cow::Owned(bytes), after });
        }
    }

    /// Its client has taken this many bytes: sends the queue as far as the window allows.
    pub fn credit(&mut self, peers: &mut Peers, to: SessionRef, bytes: u32) {
        if let Some(member) = self.table.get_mut(&to) {
            member.credit = (member.credit + i64::from(bytes)).min(self.window.cast_signed() as i64);
            self.held -= member.flush(peers, to, false);
            self.forget_parted(to);
        }
    }

    /// Ends its connection: drops the queue of a slow reader, sends that of any other. `error`: `code` has yet to be
    /// sent.
    pub fn end(&mut self, peers: &mut Peers, to: SessionRef, code: ErrorCode, error: bool) {
        let Some(mut member) = self.remove(to) else {
            return;
        };
        if matches!(code, ErrorCode::SlowConsumer | ErrorCode::Overloaded) {
            member.queue.clear();
            (member.queued, member.at_once) = (0, 0);
        }
        member.flush(peers, to, true);
        let mut bytes = Vec::new();
        if error {
            member.encoding.encode(&Event::Error { code, retry_after_ms: None }, None, &mut bytes);
        }
        member.encoding.encode(&Event::Bye { code: Some(code) }, None, &mut bytes);
        let after = Some(After::Close { code: Some(code) });
        member.send(peers, to, Delivery { replies: None, place: (0, 0), bytes: Cow::Owned(bytes), after });
    }

    /// Releases a session to its room's new owner, after its queue.
    pub fn send_away(&mut self, peers: &mut Peers, to: SessionRef, owner: Owner, processed: u64) {
        if let Some(mut member) = self.remove(to) {
            member.flush(peers, to, true);
            peers.send(to.boot, &Frame::Released { room: member.room, relay: to.relay, owner, processed });
        }
    }

    pub fn shrink(&mut self) {
        self.table.shrink();
    }

    fn forget_parted(&mut self, to: SessionRef) {
        if self.get(to).is_some_and(|member| member.parting && member.queue.is_empty()) {
            self.remove(to);
        }
    }

    /// What must hold between calls; panics where it does not.
    pub fn check_invariants(&self) {
        self.table.iter().for_each(|(to, member)| member.check_invariants(*to, self.window));
        assert_eq!(self.held, self.table.values().map(RemoteMember::holds).sum::<usize>(), "bytes that wait");
    }
}

/// The room of this session is not here.
pub fn refuse(context: &mut Context, to: SessionRef, room: RoomId) {
    let seen = context.known_owners.get(room).cloned();
    context.peers.send(to.boot, &Frame::Refused { room, relay: to.relay, seen });
}

/// Refuses the queued frames of a room that has left this hub.
pub fn refuse_frames(context: &mut Context, frames: Vec<(PodBoot, Frame<'static>)>) {
    for (boot, frame) in frames {
        if let Frame::Open { room, relay, .. } | Frame::Call { room, relay, .. } | Frame::Attach { room, relay, .. } =
            frame
        {
            refuse(context, SessionRef { boot, relay }, room);
        }
    }
}
