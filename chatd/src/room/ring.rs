//! The ring: a room's last events, for the replay. Pure: no I/O.

use std::collections::VecDeque;

use serde::{Deserialize, Deserializer, Serialize};

use crate::ids::SessionRef;
use crate::join_token::MAX_VIEWERS;
use crate::protocol::{
    Custom, Event, EventKind, ExitReason, KeptName, MAX_PLAYERS, MAX_PRESENCE, PlayerName, Role, speaker,
};

/// The limits of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingLimits {
    /// Messages in a room's ring.
    pub messages: usize,
    /// Bytes of text in a room's ring.
    pub bytes: usize,
    /// Milliseconds that an event stays in the ring.
    pub age: u64,
}

impl RingLimits {
    /// The limit of events other than messages. Some are kept even in a ring without messages.
    fn changes(self) -> usize {
        self.messages.max(32) * CHANGES
    }

    /// The most bytes that a ring takes, as [`Ring::bytes`] counts them.
    pub fn most(self) -> usize {
        let presence = (MAX_PLAYERS as usize + MAX_VIEWERS) * MAX_PRESENCE;
        self.bytes + presence + (self.messages + self.changes() + 1) * OVERHEAD
    }
}

/// The command that a message answers for its sender, so that a replay can stand for a lost reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// The connection that sent the command.
    pub session: SessionRef,
    /// The number of the relayed command; 0: not relayed.
    pub number: u64,
    /// The client's id for it.
    pub id: Option<u64>,
}

/// What an application's event says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Its kind.
    pub kind: EventKind,
    /// Checked JSON.
    pub data: Box<str>,
}

/// Reads the name of who spoke.
fn kept_speaker<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KeptName, D::Error> {
    speaker(deserializer).map(KeptName::from)
}

/// An event that the room announces to all members. Only a message has text of its own, or an application's event data, which counts in
/// the bytes of the ring. These two are numbered together, and in the ring both count as messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoomEvent {
    /// A chat message.
    Message {
        /// Its sender.
        #[serde(deserialize_with = "kept_speaker")]
        from: KeptName,
        /// Its clean text.
        text: Box<str>,
        /// Its number in the timeline.
        seq: u64,
        /// Unix milliseconds.
        at: u64,
        /// The command that the message answers for its sender.
        answers: Option<Answers>,
    },
    /// A player has joined.
    Entered(KeptName),
    /// A player is gone.
    Exited(KeptName, ExitReason),
    /// A player has lost its connection; the room holds the seat.
    Away(KeptName),
    /// A player is connected again.
    Back(KeptName),
    /// An application's event.
    Custom {
        /// Its sender.
        #[serde(deserialize_with = "kept_speaker")]
        from: KeptName,
        /// In a box, so that it makes no other event larger.
        content: Box<Content>,
        /// Its number among the messages of the timeline.
        seq: u64,
        /// Unix milliseconds.
        at: u64,
        /// The command that it answers for its sender.
        answers: Option<Answers>,
    },
    /// What a player says of itself.
    Set {
        /// The player's name.
        name: KeptName,
        /// Checked JSON; `None`: nothing any more.
        presence: Option<Box<str>>,
        /// The command that it answers for its sender.
        answers: Option<Answers>,
    },
    /// A moderator has locked the room, or unlocked it.
    Locked {
        /// The moderator's name.
        #[serde(deserialize_with = "kept_speaker")]
        by: KeptName,
        /// Nobody new comes in from now on.
        locked: bool,
        /// The command that it answers for its sender.
        answers: Option<Answers>,
    },
}

impl RoomEvent {
    /// The id that its sender gave the command.
    pub fn id(&self) -> Option<u64> {
        self.answers().and_then(|answers| answers.id)
    }

    /// The command that it answers for its sender.
    pub fn answers(&self) -> Option<Answers> {
        match self {
            RoomEvent::Message { answers, .. }
            | RoomEvent::Custom { answers, .. }
            | RoomEvent::Locked { answers, .. }
            | RoomEvent::Set { answers, .. } => *answers,
            _ => None,
        }
    }

    /// The number of a message.
    pub fn seq(&self) -> Option<u64> {
        match self {
            RoomEvent::Message { seq, .. } | RoomEvent::Custom { seq, .. } => Some(*seq),
            _ => None,
        }
    }

    /// Whether it announces that `name` has entered, left or returned.
    pub fn is_about(&self, name: PlayerName) -> bool {
        match self {
            RoomEvent::Message { .. } | RoomEvent::Custom { .. } | RoomEvent::Locked { .. } | RoomEvent::Set { .. } => {
                false
            }
            RoomEvent::Entered(who) | RoomEvent::Exited(who, _) | RoomEvent::Away(who) | RoomEvent::Back(who) => {
                *who == name
            }
        }
    }

    /// The event for clients. `replay`: as a part of a replay.
    pub fn to_client(&self, replay: bool) -> Event<'_> {
        match self {
            RoomEvent::Message { from, text, seq, at, .. } => {
                Event::Message { from: from.get(), text, seq: *seq, at: *at, replay }
            }
            RoomEvent::Custom { from, content, seq, at, .. } => Event::Custom(Custom {
                from: from.get(),
                kind: content.kind.as_str(),
                data: &content.data,
                seq: Some(*seq),
                at: *at,
                replay,
                to: None,
                reached: None,
            }),
            RoomEvent::Locked { by, locked, .. } => Event::Locked { by: by.get(), locked: *locked },
            RoomEvent::Set { name, presence, .. } => Event::Player { name: name.get(), presence: presence.as_deref() },
            RoomEvent::Entered(name) => Event::Entered { name: name.get(), role: Role::Member, profile: None },
            RoomEvent::Exited(name, reason) => Event::Exited { name: name.get(), reason: *reason },
            RoomEvent::Away(name) => Event::Away { name: name.get() },
            RoomEvent::Back(name) => Event::Back { name: name.get() },
        }
    }

    fn text_bytes(&self) -> usize {
        match self {
            RoomEvent::Message { text, .. } => text.len(),
            RoomEvent::Set { presence, .. } => presence.as_ref().map_or(0, |presence| presence.len()),
            RoomEvent::Custom { content, .. } => content.kind.as_str().len() + content.data.len(),
            _ => 0,
        }
    }

    fn presence_bytes(&self) -> usize {
        if matches!(self, RoomEvent::Set { .. }) { self.text_bytes() } else { 0 }
    }

    /// Whether it has a number, which one that is told of the members has not.
    fn is_message(&self) -> bool {
        matches!(self, RoomEvent::Message { .. } | RoomEvent::Custom { .. })
    }
}

/// The bytes of an event besides its text, in memory and in a snapshot: neither is more.
const OVERHEAD: usize = 192;
const _: () = assert!(size_of::<RingItem>() <= OVERHEAD);
/// And in memory less: each room has some of them, four times as many as members once these have come and said something.
const _: () = assert!(size_of::<RingItem>() <= 112);
/// Events other than messages, per message that the ring may hold.
const CHANGES: usize = 4;

/// An event with its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingItem {
    /// The event's number in the timeline.
    pub position: u64,
    /// The event.
    pub event: RoomEvent,
    /// When it happened (ms of the pod's own clock; relative in a snapshot).
    pub time: u64,
}

/// The last events of a room, oldest first.
#[derive(Debug, Default)]
pub struct Ring {
    items: VecDeque<RingItem>,
    messages: usize,
    /// Of all events.
    text_bytes: usize,
    /// Of these, what players say of themselves.
    presence_bytes: usize,
}

impl Ring {
    /// Adds an event, then drops the events over the limits. Returns by how many bytes the ring has grown, or shrunk if negative.
    pub fn push(&mut self, item: RingItem, limits: RingLimits) -> isize {
        let before = self.bytes();
        // Of what a player says of itself the last counts; it must push out neither messages nor who came and went.
        if let RoomEvent::Set { name, .. } = &item.event {
            self.remove_first(|event| matches!(event, RoomEvent::Set { name: other, .. } if other == name));
        }
        self.text_bytes += item.event.text_bytes();
        self.presence_bytes += item.event.presence_bytes();
        self.messages += usize::from(item.event.is_message());
        let now = item.time;
        self.items.push_back(item);
        while self.messages > limits.messages || self.text_bytes - self.presence_bytes > limits.bytes {
            self.pop();
        }
        // A player that enters and leaves often must push out no messages.
        if self.items.len() - self.messages > limits.changes() {
            self.remove_first(|event| !event.is_message());
        }
        self.expire(now, limits);
        self.bytes().cast_signed() - before.cast_signed()
    }

    /// When the newest event came (ms), of those that are kept.
    pub fn newest_time(&self) -> Option<u64> {
        self.items.back().map(|item| item.time)
    }

    /// Drops the events that are too old at `now`. Returns by how many bytes the ring has shrunk, as a negative number.
    pub fn expire(&mut self, now: u64, limits: RingLimits) -> isize {
        let before = self.bytes();
        while self.items.front().is_some_and(|item| item.time.saturating_add(limits.age) < now) {
            self.pop();
        }
        self.bytes().cast_signed() - before.cast_signed()
    }

    fn pop(&mut self) {
        if let Some(item) = self.items.pop_front() {
            self.removed(&item.event);
        }
    }

    fn remove_first(&mut self, is_it: impl Fn(&RoomEvent) -> bool) {
        let first = self.items.iter().position(|item| is_it(&item.event));
        if let Some(item) = first.and_then(|first| self.items.remove(first)) {
            self.removed(&item.event);
        }
    }

    fn removed(&mut self, event: &RoomEvent) {
        self.text_bytes -= event.text_bytes();
        self.presence_bytes -= event.presence_bytes();
        self.messages -= usize::from(event.is_message());
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

    /// Bytes of the ring, approximately.
    pub fn bytes(&self) -> usize {
        self.text_bytes + self.items.len() * OVERHEAD
    }

    /// The events after `position`.
    pub fn since(&self, position: u64) -> impl Iterator<Item = &RingItem> {
        self.items.iter().filter(move |item| item.position > position)
    }

    /// The messages after number `seq`.
    pub fn messages_since(&self, after: u64) -> impl Iterator<Item = &RingItem> {
        self.items.iter().filter(move |item| item.event.seq().is_some_and(|seq| seq > after))
    }

    /// How many messages with numbers from `after + 1` to `last` the ring no longer has.
    pub fn missed(&self, after: u64, last: u64) -> u64 {
        let kept = self.messages_since(after).count() as u64;
        last.saturating_sub(after).saturating_sub(kept)
    }

    /// The number after which all messages fit into `bytes`, as the ring counts them.
    pub fn start_within(&self, bytes: usize) -> u64 {
        let first = self.newest(bytes).find_map(|item| item.event.seq());
        first.map_or(u64::MAX, |first| first.saturating_sub(1))
    }

    /// The newest events that fit into `bytes`, oldest first.
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
