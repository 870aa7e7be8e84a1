//! What a room's events are numbered by, and which of them those who come back to it are told again. Pure: no I/O.

use super::{Answers, Delivered, Former, Membership, RingItem, RingLimits, Room, RoomEvent, SeatLimits};
use crate::ids::SessionRef;
use crate::protocol::{Encoding, Event, ExitReason, Heard, Joined, PlayerName, SeatId};

/// How much is told again after `JOINED`, in bytes as the ring counts them: encoded it is at most three times that, which has to fit
/// into one frame of a peer link, whatever the ring's limit is.
const MOST_REPLAY: usize = crate::peer_protocol::MAX_FRAME / 4;

/// Which messages a player who comes to a seat is told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayPlan {
    /// How many messages cannot be told any more, `None`: nobody knows. JSON has it in `joined`; lines are told after it.
    pub missed: Option<u64>,
    /// The messages after this number are told now.
    pub since: Option<u64>,
}

impl ReplayPlan {
    /// For who has just come.
    pub const NEW: Self = Self { missed: Some(0), since: None };
    /// For who may have missed anything, and is told nothing of it.
    pub const UNKNOWN: Self = Self { missed: None, since: None };
}

/// A message that has its place in the room's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    pub from: PlayerName,
    pub seq: u64,
    /// By how many bytes the ring has grown or shrunk.
    pub grown: isize,
}

/// What `JOINED` says besides what the room knows.
#[derive(Debug, Clone, Copy)]
pub struct Welcome<'a> {
    pub seat: SeatId,
    pub resumed: bool,
    pub plan: ReplayPlan,
    /// With which the seat is resumed, if it can be.
    pub token: Option<&'a str>,
    pub limits: SeatLimits,
}

/// An event that a session missed while it was not attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaughtUp {
    pub position: u64,
    /// The number of the message, if it is one.
    pub seq: Option<u64>,
    /// The number of the session's own command that it answers, the reply to which was lost; 0: none.
    pub replies: u64,
    pub bytes: Vec<u8>,
}

impl Room {
    /// The position of the last event, and the number of the last message.
    pub fn place(&self) -> (u64, u64) {
        (self.position, self.seq)
    }

    /// Gives a message of this seat its place in the room's order. `at`: Unix ms.
    pub fn say(
        &mut self,
        seat: SeatId,
        text: &str,
        at: u64,
        answers: Option<Answers>,
        now: u64,
        limits: RingLimits,
    ) -> Option<Said> {
        let from = self.seat(seat)?.name;
        self.seq += 1;
        let seq = self.seq;
        let grown = self.record(RoomEvent::Message { from, text: text.into(), seq, at, answers }, now, limits);
        Some(Said { from, seq, grown })
    }

    /// Gives an event its place in the room's order. Returns by how many bytes the ring has grown or shrunk.
    pub fn record(&mut self, event: RoomEvent, now: u64, limits: RingLimits) -> isize {
        self.position += 1;
        self.ring.push(RingItem { position: self.position, event, time: now }, limits)
    }

    /// A player who was there under the owner that is gone is away now, or gone too: those who come back to the room are told.
    /// Returns by how many bytes the ring has grown or shrunk.
    pub fn record_takeover(&mut self, name: PlayerName, now: u64, limits: RingLimits) -> isize {
        let is_held = self.seats.iter().any(|seat| seat.name == name);
        let exited = RoomEvent::Exited(name, ExitReason::Disconnected);
        self.record(if is_held { RoomEvent::Away(name) } else { exited }, now, limits)
    }

    /// Drops what is too old. Returns by how many bytes the ring has shrunk, as a negative number.
    pub fn forget_old(&mut self, now: u64, limits: RingLimits) -> isize {
        self.ring.expire(now, limits)
    }

    /// Drops the oldest event. Returns by how many bytes the ring has shrunk.
    pub fn forget_oldest(&mut self) -> usize {
        self.ring.drop_oldest()
    }

    /// What was delivered to a connection elsewhere that ended. `heard`: what its pod says of it.
    pub fn delivered_to(&self, heard: Option<Heard>) -> Delivered {
        match heard {
            Some(heard) if heard.timeline == self.timeline => Delivered::UpTo(heard.last_seq.min(self.seq)),
            Some(_) => Delivered::Nothing,
            None => Delivered::Unknown(self.seq),
        }
    }

    /// What a player who comes back to a seat is told again. `heard`: what the client says that it has heard.
    pub fn replay_plan(&self, former: &Former, heard: Option<Heard>) -> ReplayPlan {
        let last = self.seq;
        // What went to a connection that seems to live may have been read or not.
        let delivered = if former.reach.is_some() { Delivered::Unknown(last) } else { former.delivered };
        // What nobody in this seat can have heard comes after this message.
        let unheard = match delivered {
            Delivered::UpTo(seq) | Delivered::Unknown(seq) => Some(seq),
            Delivered::Nothing => Some(0),
        };
        // Up to where it has heard all, and from where on it is given what is there still.
        let (heard_up_to, since) = match heard {
            Some(heard) if heard.timeline == self.timeline => {
                let came = self.ring.before(former.name).unwrap_or_default();
                let since = heard.last_seq.max(came).min(last);
                (Some(since), Some(since))
            }
            // Whoever says nothing (lines) has heard what its connection was given.
            None if matches!(delivered, Delivered::UpTo(_)) => (unheard, unheard),
            _ => (None, unheard),
        };
        let since = since.map(|since| since.max(self.ring.start_within(MOST_REPLAY)).min(last));
        let missed =
            heard_up_to.zip(since).map(|(heard, since)| since.saturating_sub(heard) + self.ring.missed(since, last));
        ReplayPlan { missed, since }
    }

    /// Says `JOINED`, and after it what was not heard: each message with its sender's own number. Those of its own that have not
    /// come back by the end were not delivered, and the client sends them again (docs/protocol.md, Missed messages). Returns how many messages
    /// were replayed; `None`: there is no such seat.
    pub fn encode_welcome(
        &self,
        welcome: Welcome<'_>,
        encoding: Encoding,
        id: Option<u64>,
        out: &mut Vec<u8>,
    ) -> Option<u64> {
        let Welcome { seat, resumed, plan: ReplayPlan { missed, since }, token, limits } = welcome;
        let joined = Joined {
            room: self.id,
            name: self.seat(seat)?.name,
            players: &self.players(),
            max_players: limits.players,
            timeline: self.timeline,
            seq: self.seq,
            resumed,
            missed,
            token,
            hold_ms: token.map(|_| limits.hold),
        };
        encoding.encode(&Event::Joined(joined), id, out);
        if encoding == Encoding::Lines && missed != Some(0) {
            encoding.encode(&Event::Missed { count: missed }, None, out);
        }
        let mut replayed = 0;
        for item in since.into_iter().flat_map(|since| self.ring.messages_since(since)) {
            encoding.encode(&item.event.to_client(true), item.event.id(), out);
            replayed += 1;
        }
        Some(replayed)
    }

    /// Says what an attach has changed for its session, which missed what it has not heard of another timeline, too.
    /// `moved`: the owner is another than before. Returns how many messages cannot be told any more, `None`: nobody knows.
    pub fn encode_attached(
        &self,
        member: &Membership,
        moved: bool,
        encoding: Encoding,
        out: &mut Vec<u8>,
    ) -> Option<u64> {
        let same = self.timeline == member.timeline;
        let missed = same.then(|| self.ring.missed(member.seq, self.seq));
        let seq = if same { member.seq } else { 0 };
        if moved {
            encoding.encode(&Event::Moved { room: self.id, timeline: self.timeline, seq }, None, out);
        }
        if missed != Some(0) {
            encoding.encode(&Event::Missed { count: missed }, None, out);
        }
        missed
    }

    /// What a session that has attached has not heard, in order; of another timeline it has heard nothing.
    pub fn catch_up(&self, member: &Membership, session: SessionRef, encoding: Encoding) -> Vec<CaughtUp> {
        let same = self.timeline == member.timeline;
        let since = self.ring.since(if same { member.position } else { 0 });
        let caught_up = |item: &RingItem| {
            let replies = match &item.event {
                RoomEvent::Message { answers: Some(answers), .. } if answers.session == session => answers.number,
                _ => 0,
            };
            let mut bytes = Vec::new();
            encoding.encode(&item.event.to_client(false), item.event.id(), &mut bytes);
            CaughtUp { position: item.position, seq: item.event.seq(), replies, bytes }
        };
        since.filter(|item| !item.event.is_about(member.name)).map(caught_up).collect()
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
