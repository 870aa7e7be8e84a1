//! The last events of a room, kept for those who missed them. Pure: no I/O.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::ids::SessionRef;
use crate::protocol::{Event, ExitReason, PlayerName};

/// How much a ring may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingLimits {
    /// Messages a room.
    pub messages: usize,
    /// Bytes of text a room.
    pub bytes: usize,
    /// Milliseconds that anything is kept.
    pub age: u64,
}

impl RingLimits {
    /// Changes of who is there that are kept: some also where no messages are.
    fn changes(self) -> usize {
        self.messages.max(32) * CHANGES
    }

    /// The most that a ring takes, as [`Ring::bytes`] counts it.
    pub fn most(self) -> usize {
        self.bytes + (self.messages + self.changes() + 1) * OVERHEAD
    }
}

/// The command that a message answers for its sender, so that it is known again should the reply be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    pub session: SessionRef,
    /// The relayed command's number there; 0: not a relayed one.
    pub number: u64,
    /// The client's own number for it.
    pub id: Option<u64>,
}

/// Something that happened in the room, announced to everyone in it. Only a message has text of its own: what has some counts in the
/// bytes of the ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoomEvent {
    Message {
        from: PlayerName,
        text: Box<str>,
        seq: u64,
        /// Unix milliseconds.
        at: u64,
        /// The command that this answers for its sender.
        answers: Option<Answers>,
    },
    Entered(PlayerName),
    Exited(PlayerName, ExitReason),
    Away(PlayerName),
    Back(PlayerName),
}

impl RoomEvent {
    /// The number that its sender gave the command that this answers.
    pub fn id(&self) -> Option<u64> {
        match self {
            RoomEvent::Message { answers, .. } => answers.and_then(|answers| answers.id),
            _ => None,
        }
    }

    /// The number of a message.
    pub fn seq(&self) -> Option<u64> {
        match self {
            RoomEvent::Message { seq, .. } => Some(*seq),
            _ => None,
        }
    }

    /// Whether it says that `name` has come, gone, or come back.
    pub fn is_about(&self, name: PlayerName) -> bool {
        match self {
            RoomEvent::Message { .. } => false,
            RoomEvent::Entered(who) | RoomEvent::Exited(who, _) | RoomEvent::Away(who) | RoomEvent::Back(who) => {
                *who == name
            }
        }
    }

    pub fn to_client(&self, replay: bool) -> Event<'_> {
        match self {
            RoomEvent::Message { from, text, seq, at, .. } => {
                Event::Message { from: *from, text, seq: *seq, at: *at, replay }
            }
            RoomEvent::Entered(name) => Event::Entered { name: *name },
            RoomEvent::Exited(name, reason) => Event::Exited { name: *name, reason: *reason },
            RoomEvent::Away(name) => Event::Away { name: *name },
            RoomEvent::Back(name) => Event::Back { name: *name },
        }
    }

    fn text_bytes(&self) -> usize {
        match self {
            RoomEvent::Message { text, .. } => text.len(),
            _ => 0,
        }
    }
}

/// What an item costs besides its text, roughly.
const OVERHEAD: usize = 64;
/// Changes of who is there that are kept for each message that may be.
const CHANGES: usize = 4;

/// One event with its place in the room's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingItem {
    pub position: u64,
    pub event: RoomEvent,
    /// When it happened (ms of the pod's own clock; made relative in a snapshot).
    pub time: u64,
}

/// The last events of a room, oldest first.
#[derive(Debug, Default)]
pub struct Ring {
    items: VecDeque<RingItem>,
    messages: usize,
    /// Of the messages.
    text_bytes: usize,
}

impl Ring {
    /// Adds an event, and drops what is over the limits. Returns by how many bytes the ring has grown or shrunk.
    pub fn push(&mut self, item: RingItem, limits: RingLimits) -> isize {
        let before = self.bytes();
        self.text_bytes += item.event.text_bytes();
        self.messages += usize::from(matches!(item.event, RoomEvent::Message { .. }));
        let now = item.time;
        self.items.push_back(item);
        while self.messages > limits.messages || self.text_bytes > limits.bytes {
            self.pop();
        }
        // Who comes and goes often pushes out no messages.
        if self.items.len() - self.messages > limits.changes()
            && let Some(oldest) = self.items.iter().position(|item| !matches!(item.event, RoomEvent::Message { .. }))
        {
            self.items.remove(oldest);
        }
        self.expire(now, limits);
        self.bytes().cast_signed() - before.cast_signed()
    }

    /// Drops what is too old at `now`. Returns by how many bytes the ring has shrunk, as a negative number.
    pub fn expire(&mut self, now: u64, limits: RingLimits) -> isize {
        let before = self.bytes();
        while self.items.front().is_some_and(|item| item.time.saturating_add(limits.age) < now) {
            self.pop();
        }
        self.bytes().cast_signed() - before.cast_signed()
    }

    fn pop(&mut self) {
        if let Some(item) = self.items.pop_front() {
            self.text_bytes -= item.event.text_bytes();
            self.messages -= usize::from(matches!(item.event, RoomEvent::Message { .. }));
        }
    }

    /// Whether each event's position is above the one before, and none above `last`.
    pub fn rises_to(&self, last: u64) -> bool {
        let next = self.items.iter().skip(1).map(|item| item.position).chain([last + 1]);
        self.items.iter().zip(next).all(|(item, next)| item.position < next)
    }

    /// When the oldest event happened.
    pub fn oldest(&self) -> Option<u64> {
        self.items.front().map(|item| item.time)
    }

    /// Drops the oldest event. Returns by how many bytes the ring has shrunk.
    pub fn drop_oldest(&mut self) -> usize {
        let before = self.bytes();
        self.pop();
        before - self.bytes()
    }

    /// What it takes, roughly.
    pub fn bytes(&self) -> usize {
        self.text_bytes + self.items.len() * OVERHEAD
    }

    /// The last message before `name` came, if that is known still: what was said until then is not for it.
    pub fn before(&self, name: PlayerName) -> Option<u64> {
        let entered = |item: &RingItem| matches!(item.event, RoomEvent::Entered(who) if who == name);
        let entered = self.items.iter().rposition(entered)?;
        let seq = |item: &RingItem| item.event.seq();
        let said_before = || self.items.range(..entered).rev().find_map(seq);
        let said_after = || self.items.range(entered..).find_map(seq).map(|seq| seq.saturating_sub(1));
        said_after().or_else(said_before)
    }

    /// The events after `position`.
    pub fn since(&self, position: u64) -> impl Iterator<Item = &RingItem> {
        self.items.iter().filter(move |item| item.position > position)
    }

    /// The messages after number `seq`.
    pub fn messages_since(&self, after: u64) -> impl Iterator<Item = &RingItem> {
        self.items.iter().filter(move |item| item.event.seq().is_some_and(|seq| seq > after))
    }

    /// How many of the messages with numbers from `after + 1` to `last` are not here any more.
    pub fn missed(&self, after: u64, last: u64) -> u64 {
        let kept = self.messages_since(after).count() as u64;
        last.saturating_sub(after).saturating_sub(kept)
    }

    /// The number after which all messages fit into `bytes` together, as the ring counts them.
    pub fn start_within(&self, bytes: usize) -> u64 {
        let first = self.newest(bytes).find_map(|item| item.event.seq());
        first.map_or(u64::MAX, |first| first.saturating_sub(1))
    }

    /// The newest events that are not more than `bytes` together, oldest first.
    pub fn newest(&self, bytes: usize) -> impl Iterator<Item = &RingItem> {
        let mut left = self.bytes();
        self.items.iter().skip_while(move |item| {
            let too_much = left > bytes;
            left -= item.event.text_bytes() + OVERHEAD;
            too_much
        })
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
