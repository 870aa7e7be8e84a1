//! A relayed session at its room's owner, and the table of all of them: what each may still be sent, and what waits. Pure: no I/O.

mod frames;

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use super::peers::Peers;
use crate::ids::SessionRef;
use crate::peer_protocol::{After, Frame};
use crate::protocol::{Encoding, RoomId, SeatId};
use crate::shrink::Shrink;

/// What a relayed session is to be given.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// The number of the command that this answers.
    pub replies: Option<u64>,
    /// The position and seq up to which the session then has everything; zeroes: as before.
    pub place: (u64, u64),
    pub bytes: Cow<'a, [u8]>,
    pub after: Option<After>,
}

impl Delivery<'_> {
    /// Bytes of memory that it takes while it waits.
    fn holds(&self) -> usize {
        size_of::<Self>() + self.bytes.len()
    }

    fn into_owned(self) -> Delivery<'static> {
        Delivery { bytes: Cow::Owned(self.bytes.into_owned()), ..self }
    }
}

/// A relayed session at its room's owner.
#[derive(Debug)]
pub struct RemoteMember {
    pub encoding: Encoding,
    pub room: RoomId,
    /// `None`: its JOIN has not been answered, or it is leaving.
    pub seat: Option<SeatId>,
    credit: i64,
    queue: VecDeque<Delivery<'static>>,
    /// Bytes of output in the queue.
    queued: usize,
    /// Its last word waits for the window: it is forgotten once that has gone out.
    parting: bool,
}

impl RemoteMember {
    pub fn new(encoding: Encoding, room: RoomId, window: usize) -> Self {
        Self {
            encoding,
            room,
            seat: None,
            credit: window.cast_signed() as i64,
            queue: VecDeque::new(),
            queued: 0,
            parting: false,
        }
    }

    /// Bytes that wait for the window.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Bytes of memory that what waits takes.
    fn holds(&self) -> usize {
        self.queued + self.queue.len() * size_of::<Delivery<'_>>()
    }

    pub fn forget_queue(&mut self) {
        self.queue.clear();
        self.queued = 0;
    }

    /// Sends what is queued for as long as the window allows; all of it if `all`. Returns how many bytes of memory that frees.
    pub fn flush(&mut self, peers: &mut Peers, to: SessionRef, all: bool) -> usize {
        let mut freed = 0;
        while (all || self.credit > 0)
            && let Some(next) = self.queue.pop_front()
        {
            freed += next.holds();
            self.queued -= next.bytes.len();
            self.send(peers, to, next);
        }
        freed
    }

    /// Sends at once, whatever the window is.
    pub fn send(&mut self, peers: &mut Peers, to: SessionRef, delivery: Delivery<'_>) {
        let Delivery { replies, place: (position, seq), bytes, after } = delivery;
        self.credit -= bytes.len().cast_signed() as i64;
        peers.send(to.boot, &Frame::Deliver { room: self.room, relay: to.relay, replies, position, seq, bytes, after });
    }
}

/// All relayed sessions whose room is in this hub.
#[derive(Debug, Default)]
pub struct RemoteMembers {
    table: HashMap<SessionRef, RemoteMember>,
    /// Bytes of memory that what waits for their windows takes.
    held: usize,
}

impl RemoteMembers {
    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn get(&self, to: SessionRef) -> Option<&RemoteMember> {
        self.table.get(&to)
    }

    pub fn iter(&self) -> impl Iterator<Item = (SessionRef, &RemoteMember)> {
        self.table.iter().map(|(to, member)| (*to, member))
    }

    pub fn held(&self) -> usize {
        self.held
    }

    /// Who of them holds memory, and how many bytes.
    pub fn holders(&self) -> impl Iterator<Item = (usize, SessionRef)> {
        self.iter().map(|(to, member)| (member.holds(), to)).filter(|(bytes, _)| *bytes > 0)
    }

    pub fn insert(&mut self, to: SessionRef, member: RemoteMember) {
        self.held += member.holds();
        if let Some(before) = self.table.insert(to, member) {
            self.held -= before.holds();
        }
    }

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
        if member.credit > 0 && member.queue.is_empty() {
            member.send(peers, to, delivery);
        } else {
            self.held += delivery.holds();
            member.queued += delivery.bytes.len();
            member.queue.push_back(delivery.into_owned());
        }
        Some(member.queued)
    }

    /// Its last word has been given to it, and keeps its place behind what waits for the window.
    pub fn part_from(&mut self, to: SessionRef) {
        if let Some(member) = self.table.get_mut(&to) {
            member.parting = true;
            self.forget_parted(to);
        }
    }

    /// Its client has taken so many bytes: what waits goes on its way, as much as the window allows.
    pub fn credit(&mut self, peers: &mut Peers, to: SessionRef, bytes: u32, window: usize) {
        if let Some(member) = self.table.get_mut(&to) {
            member.credit = (member.credit + i64::from(bytes)).min(window.cast_signed() as i64);
            self.held -= member.flush(peers, to, false);
            self.forget_parted(to);
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
}
