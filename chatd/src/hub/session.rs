//! One client connection as its hub sees it: what has come and waits, what is to go out, and where it is. Pure: no I/O.

use std::collections::VecDeque;

use super::HubSettings;
use super::relay::Relay;
use crate::ids::{RelayId, SessionId};
use crate::protocol::{Command, Encoding, MAX_LINE, OnWrongPod, PlayerName, RoomId, SeatId};
use crate::room::{Bucket, Strikes};

/// Where a session is.
#[derive(Debug)]
pub enum Place {
    /// In no room, free to ask for one.
    Outside,
    /// CREATE_ROOM, JOIN or RESUME is under way; what comes next waits.
    Busy,
    /// Has a seat in a room of this hub.
    Seated { key: usize, seat: SeatId },
    /// LEAVE or QUIT waits for its write; what the seat was.
    Leaving { name: PlayerName, seat: SeatId, resumable: bool },
    /// The room is elsewhere.
    Relayed(Box<Relay>),
    /// The last word is said; what is queued is flushed, what comes is ignored.
    Closing,
}

/// What has come from the client and waits for its turn.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Lines, whole and unfinished.
    pub bytes: Vec<u8>,
    /// Bytes of an overlong line that have been thrown away so far; 0: none is under way.
    pub skipped: usize,
    /// JSON messages.
    pub messages: VecDeque<Box<str>>,
    /// A command that another thread's hub took and could not carry out there.
    pub carried: Option<(Option<u64>, Command<'static>)>,
    /// The client will send no more.
    pub ended: bool,
}

/// What the client is to be sent.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    /// So much of it has been written.
    sent: usize,
    /// So much of it had waited at another pod, and came here in one go when the room went elsewhere.
    brought: usize,
}

impl Output {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// More waits than `limit` allows; twice that where it had waited at two pods.
    pub fn is_over(&self, limit: usize) -> bool {
        self.len() > limit.saturating_add(self.brought.min(limit))
    }

    pub fn was_brought(&mut self, bytes: usize) {
        self.brought += bytes;
    }

    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// An idle connection keeps no buffer; a busy one keeps a small one.
    pub fn written(&mut self, count: usize, encoding: Encoding) {
        const KEEP: usize = 4096;
        self.sent += count;
        self.brought = self.brought.saturating_sub(count);
        self.compact(encoding);
        if self.sent >= self.bytes.len() {
            self.sent = 0;
            self.bytes.clear();
            if self.bytes.capacity() > KEEP {
                self.bytes = Vec::new();
            }
        }
    }

    /// Throws away what has not begun to be written. What is under way (a line, a frame) is kept whole.
    pub fn keep_only_what_is_under_way(&mut self, encoding: Encoding) {
        let end = self.boundary(encoding);
        self.bytes.truncate(end);
    }

    /// Frees what has been written, up to the last whole line or frame.
    fn compact(&mut self, encoding: Encoding) {
        if self.sent < 64 * 1024 || self.sent >= self.bytes.len() {
            return;
        }
        let mut start = 0;
        while let Some(length) = message_length(encoding, &self.bytes[start..])
            && start + length <= self.sent
        {
            start += length;
        }
        self.bytes.drain(..start);
        self.sent -= start;
    }

    /// The end of the message of which the last written byte is part.
    fn boundary(&self, encoding: Encoding) -> usize {
        let mut end = 0;
        while end < self.sent {
            match message_length(encoding, &self.bytes[end..]) {
                Some(length) => end += length,
                None => return self.bytes.len(),
            }
        }
        end
    }
}

/// The length of the first line or (unmasked) WebSocket frame in `bytes`.
fn message_length(encoding: Encoding, bytes: &[u8]) -> Option<usize> {
    match encoding {
        Encoding::Lines => memchr::memchr(b'\n', bytes).map(|end| end + 1),
        Encoding::Json => {
            let short = usize::from(*bytes.get(1)?);
            let (header, length) = match short {
                126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
                127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
                short => (2, short),
            };
            (bytes.len() >= header + length).then_some(header + length)
        }
    }
}

#[derive(Debug)]
pub struct Session {
    pub id: SessionId,
    pub encoding: Encoding,
    pub place: Place,
    pub waiting: Waiting,
    pub output: Output,
    /// Stands in the hub's list of sessions with something to write.
    pub dirty: bool,
    /// Before the first line has come.
    pub fresh: bool,
    /// When silence outside a room ends the connection (ms).
    pub deadline: u64,
    /// The timer that will look at the deadline (ms). One is enough: deadlines only move on.
    pub looked_at: Option<u64>,
    /// Before a seat's own bucket counts.
    pub bucket: Bucket,
    /// For the rooms that it makes.
    pub creations: Bucket,
    pub strikes: Strikes,
    pub misses: u32,
    /// Its misses and creations count for its address.
    pub metered: bool,
    /// Its address has used up what it may do (ms).
    pub limited_until: u64,
    /// The number of this stay in a room.
    pub relay: RelayId,
    /// What the client wants on the wrong pod: as it said with JOIN or RESUME, or as is the rule for its kind.
    pub mode: OnWrongPod,
    /// The room that it is in, or asks for.
    pub room: Option<RoomId>,
}

impl Session {
    pub fn new(encoding: Encoding, deadline: u64, settings: &HubSettings, now: u64) -> Self {
        Self {
            id: SessionId { index: 0, generation: 0 },
            encoding,
            place: Place::Outside,
            waiting: Waiting::default(),
            output: Output::default(),
            dirty: false,
            fresh: encoding == Encoding::Lines,
            deadline,
            looked_at: None,
            bucket: Bucket::new(settings.rate, settings.burst, now),
            creations: crate::limits::creations(now),
            strikes: Strikes::default(),
            misses: 0,
            metered: false,
            limited_until: 0,
            relay: RelayId(0),
            mode: OnWrongPod::Relay,
            room: None,
        }
    }

    /// `most`: messages that wait for their turn.
    pub fn wants_input(&self, most: usize) -> bool {
        let waiting = &self.waiting;
        let bytes = waiting.bytes.len() + waiting.messages.iter().map(|message| message.len()).sum::<usize>();
        let open = !waiting.ended && !matches!(self.place, Place::Closing);
        open && bytes < 4 * MAX_LINE && waiting.messages.len() < most
    }

    /// Bytes of memory that what waits and what is to be sent take.
    pub fn holds(&self) -> usize {
        let Waiting { bytes, messages, .. } = &self.waiting;
        let pending = if let Place::Relayed(relay) = &self.place { relay.holds() } else { 0 };
        bytes.capacity() + messages.iter().map(|message| message.len()).sum::<usize>() + self.output.len() + pending
    }

    /// Nothing that has come waits. `patient`: nor is a line unfinished.
    pub fn quiet(&self, patient: bool) -> bool {
        let Waiting { bytes, messages, .. } = &self.waiting;
        messages.is_empty() && if patient { bytes.is_empty() } else { memchr::memchr(b'\n', bytes).is_none() }
    }

    pub fn outside(&self) -> bool {
        matches!(self.place, Place::Outside)
    }
}
