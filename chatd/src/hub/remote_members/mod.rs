//! Sessions of other pods whose room is here: what each may still be sent, what waits for that, and how each ends. Pure: no I/O.

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

/// Bytes of memory that a delivery takes while it waits.
fn holds(delivery: &Delivery<'_>) -> usize {
    size_of::<Delivery<'_>>() + delivery.bytes.len()
}

/// A relayed session at its room's owner.
#[derive(Debug)]
pub struct RemoteMember {
    encoding: Encoding,
    room: RoomId,
    /// `None`: its JOIN has not been answered, or it is leaving.
    seat: Option<SeatId>,
    /// Bytes that it may still be sent; less than none where a delivery was larger than what was left.
    credit: i64,
    queue: VecDeque<Delivery<'static>>,
    /// Bytes of output in the queue.
    queued: usize,
    /// Its last word waits for the window: it is forgotten once that has gone out.
    parting: bool,
}

impl RemoteMember {
    fn new(encoding: Encoding, room: RoomId, window: usize) -> Self {
        let (credit, queue) = (window.cast_signed() as i64, VecDeque::new());
        Self { encoding, room, seat: None, credit, queue, queued: 0, parting: false }
    }

    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    pub fn room(&self) -> RoomId {
        self.room
    }

    /// `None`: its JOIN has not been answered, or it is leaving.
    pub fn seat(&self) -> Option<SeatId> {
        self.seat
    }

    /// Bytes that wait for the window.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Bytes of memory that what waits takes.
    fn holds(&self) -> usize {
        self.queued + self.queue.len() * size_of::<Delivery<'_>>()
    }

    /// Sends what is queued for as long as the window allows; all of it if `all`. Returns how many bytes of memory that frees.
    fn flush(&mut self, peers: &mut Peers, to: SessionRef, all: bool) -> usize {
        let mut freed = 0;
        while (all || self.credit > 0)
            && let Some(next) = self.queue.pop_front()
        {
            freed += holds(&next);
            self.queued -= next.bytes.len();
            self.send(peers, to, next);
        }
        freed
    }

    /// Sends at once, whatever the window is.
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

/// All relayed sessions whose room is in this hub.
#[derive(Debug)]
pub struct RemoteMembers {
    table: HashMap<SessionRef, RemoteMember>,
    /// Bytes of memory that what waits for their windows takes.
    held: usize,
    /// Bytes that each may be sent ahead of what its client has taken.
    window: usize,
}

impl RemoteMembers {
    /// `window`: bytes that each may be sent ahead of what its client has taken.
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

    /// Those of the pod with `boot`, in order.
    pub fn of_pod(&self, boot: PodBoot) -> Vec<SessionRef> {
        let mut members: Vec<_> = self.table.keys().copied().filter(|member| member.boot == boot).collect();
        members.sort_unstable();
        members
    }

    /// Bytes of memory that what waits takes.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Who of them holds memory, and how many bytes.
    pub fn holders(&self) -> impl Iterator<Item = (usize, SessionRef)> {
        self.table.iter().map(|(to, member)| (member.holds(), *to)).filter(|(bytes, _)| *bytes > 0)
    }

    /// A session has come, with a window of its own; again, if it is here already.
    pub fn insert(&mut self, to: SessionRef, encoding: Encoding, room: RoomId) {
        if let Some(before) = self.table.insert(to, RemoteMember::new(encoding, room, self.window)) {
            self.held -= before.holds();
        }
    }

    /// Its link is gone, or its client: what waits is lost.
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

    /// Sends, or queues where the window is full. Returns how many bytes are queued.
    pub fn deliver(&mut self, peers: &mut Peers, to: SessionRef, delivery: Delivery<'_>) -> Option<usize> {
        let member = self.table.get_mut(&to)?;
        debug_assert!(!member.parting, "{to:?} has had its last word: {delivery:?}");
        if member.credit > 0 && member.queue.is_empty() {
            member.send(peers, to, delivery);
        } else {
            self.held += holds(&delivery);
            member.queued += delivery.bytes.len();
            member.queue.push_back(delivery.into_owned());
        }
        Some(member.queued)
    }

    /// Delivers an event; as the reply to what was asked, if that has a number.
    pub fn deliver_event(
        &mut self,
        peers: &mut Peers,
        to: SessionRef,
        asked: Asked,
        event: &Event<'_>,
        place: (u64, u64),
    ) {
        self.encode_to(peers, to, asked, event, place, None);
    }

    /// Delivers an event after which the session has no seat here any more. It keeps its place behind what waits for the window.
    pub fn part_with(&mut self, peers: &mut Peers, to: SessionRef, asked: Asked, event: &Event<'_>, after: After) {
        self.encode_to(peers, to, asked, event, (0, 0), Some(after));
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
        event: &Event<'_>,
        place: (u64, u64),
        after: Option<After>,
    ) {
        if let Some(member) = self.table.get(&to) {
            let mut bytes = Vec::new();
            member.encoding.encode(event, asked.id, &mut bytes);
            self.deliver(peers, to, Delivery { replies: asked.replies(), place, bytes: Cow::Owned(bytes), after });
        }
    }

    /// Its client has taken so many bytes: what waits goes on its way, as much as the window allows.
    pub fn credit(&mut self, peers: &mut Peers, to: SessionRef, bytes: u32) {
        if let Some(member) = self.table.get_mut(&to) {
            member.credit = (member.credit + i64::from(bytes)).min(self.window.cast_signed() as i64);
            self.held -= member.flush(peers, to, false);
            self.forget_parted(to);
        }
    }

    /// Ends its connection: what is queued is dropped for one that takes too little, sent otherwise. `error`: `code` has not been
    /// said yet.
    pub fn end(&mut self, peers: &mut Peers, to: SessionRef, code: ErrorCode, error: bool) {
        let Some(mut member) = self.remove(to) else {
            return;
        };
        if matches!(code, ErrorCode::SlowConsumer | ErrorCode::Overloaded) {
            member.queue.clear();
            member.queued = 0;
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

    /// Hands a session to its room's new owner; everything that it was to hear goes before that.
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

/// The room of a session that has come is not here.
pub fn refuse(context: &mut Context, to: SessionRef, room: RoomId) {
    let seen = context.known_owners.get(room).cloned();
    context.peers.send(to.boot, &Frame::Refused { room, relay: to.relay, seen });
}

/// What waited for a room that is not here any more: those who sent it are told.
pub fn refuse_frames(context: &mut Context, frames: Vec<(PodBoot, Frame<'static>)>) {
    for (boot, frame) in frames {
        if let Frame::Open { room, relay, .. } | Frame::Attach { room, relay, .. } = frame {
            refuse(context, SessionRef { boot, relay }, room);
        }
    }
}
