//! The count of a room's events, and the replay for members that return. Pure: no I/O.

use super::{Answers, Content, Delivered, Former, Membership, RingItem, RingLimits, Room, RoomEvent, SeatLimits};
use crate::ids::SessionRef;
use crate::protocol::{Encoding, Event, ExitReason, Heard, Joined, KeptName, Outgoing, PlayerName, SeatId, Timeline};

/// The limit of a replay in `JOINED`, in bytes as the ring counts them: encoded it takes three times that at most, which must
/// fit into one frame of a peer link with all that is said of the players, whatever the ring's limit is.
const MOST_REPLAY: usize = crate::ids::MAX_FRAME / 5;

/// The replay for a player that takes a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayPlan {
    /// The number of messages that are missing for good; `None`: unknown. JSON carries it in `joined`, lines in `MISSED`.
    pub missed: Option<u64>,
    /// The replay begins after this message.
    pub since: Option<u64>,
}

impl ReplayPlan {
    /// For a new player.
    pub const NEW: Self = Self { missed: Some(0), since: None };
    /// For a player that may have missed anything, without a replay.
    pub const UNKNOWN: Self = Self { missed: None, since: None };
}

/// A message with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// Its sender.
    pub from: PlayerName,
    /// Its number.
    pub seq: u64,
    /// By how many bytes the ring has grown, or shrunk if negative.
    pub grown: isize,
}

/// The parts of `JOINED` that the room does not know.
#[derive(Debug, Clone, Copy)]
pub struct Welcome<'a> {
    /// The seat.
    pub seat: SeatId,
    /// The reply to a RESUME, not to a JOIN.
    pub resumed: bool,
    /// The replay that follows.
    pub plan: ReplayPlan,
    /// The token that resumes the seat, if it is resumable.
    pub token: Option<&'a str>,
    /// The limits that `JOINED` reports.
    pub limits: SeatLimits,
}

/// An event that a session missed while it was detached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaughtUp {
    /// The event's number.
    pub position: u64,
    /// The number of the message, if it is one.
    pub seq: Option<u64>,
    /// The number of the session's own command that it answers, if that reply was lost; 0: none.
    pub replies: u64,
    /// The event in the session's encoding.
    pub bytes: Vec<u8>,
}

impl Room {
    /// The position of the last event, and the number of the last message.
    pub fn place(&self) -> (u64, u64) {
        (self.position, self.seq)
    }

    /// Numbers a message of `from`, who is a member or the application. `at`: Unix ms.
    pub fn say(
        &mut self,
        from: PlayerName,
        text: &str,
        at: u64,
        answers: Option<Answers>,
        now: u64,
        limits: RingLimits,
    ) -> Said {
        let kept = self.kept(from);
        self.number(from, |seq| RoomEvent::Message { from: kept, text: text.into(), seq, at, answers }, now, limits)
    }

    /// Numbers an application's event, as [`Room::say`] does a message.
    pub fn send(
        &mut self,
        from: PlayerName,
        event: &Outgoing<'_>,
        at: u64,
        answers: Option<Answers>,
        now: u64,
        limits: RingLimits,
    ) -> Said {
        let content = Box::new(Content { kind: event.kind, data: (&*event.data).into() });
        let kept = self.kept(from);
        self.number(from, |seq| RoomEvent::Custom { from: kept, content, seq, at, answers }, now, limits)
    }

    /// A name as the ring keeps it: a long one together with its seat, so that a message takes no memory for it.
    fn kept(&self, name: PlayerName) -> KeptName {
        KeptName::shared(name, self.seats.iter().map(|seat| &seat.name))
    }

    /// Records what `from` says under the next number.
    fn number(&mut self, from: PlayerName, event: impl FnOnce(u64) -> RoomEvent, now: u64, limits: RingLimits) -> Said {
        self.seq += 1;
        let seq = self.seq;
        let grown = self.record(event(seq), now, limits);
        Said { from, seq, grown }
    }

    /// Notes what the player of this seat says of itself. Returns the player's name, and by how many bytes
    /// the ring has grown, or shrunk if negative.
    pub fn set(
        &mut self,
        seat: SeatId,
        presence: Option<&str>,
        answers: Option<Answers>,
        now: u64,
        limits: RingLimits,
    ) -> Option<(PlayerName, isize)> {
        let found = self.seat_mut(seat)?;
        found.set_presence(presence.map(Into::into));
        let (name, kept) = (found.name(), found.name.clone());
        let event = RoomEvent::Set { name: kept, presence: presence.map(Into::into), answers };
        Some((name, self.record(event, now, limits)))
    }

    /// Numbers an event. Returns by how many bytes the ring has grown, or shrunk if negative.
    pub fn record(&mut self, event: RoomEvent, now: u64, limits: RingLimits) -> isize {
        self.position += 1;
        self.ring.push(RingItem { position: self.position, event, time: now }, limits)
    }

    /// Notes that a player of the former owner is away or gone, for the replay of returning members.
    /// Returns by how many bytes the ring has grown, or shrunk if negative.
    pub fn record_takeover(&mut self, name: PlayerName, now: u64, limits: RingLimits) -> isize {
        let is_held = self.seats.iter().any(|seat| seat.name == name);
        let exited = RoomEvent::Exited(name.into(), ExitReason::Disconnected);
        self.record(if is_held { RoomEvent::Away(name.into()) } else { exited }, now, limits)
    }

    /// Drops the events past their time. Returns by how many bytes the ring has shrunk, as a negative number.
    pub fn forget_old(&mut self, now: u64, limits: RingLimits) -> isize {
        self.ring.expire(now, limits)
    }

    /// Drops the oldest event. Returns by how many bytes the ring has shrunk.
    pub fn forget_oldest(&mut self) -> usize {
        self.ring.drop_oldest()
    }

    /// How much a connection in another pod received before it ended. `heard`: its pod's report.
    pub fn delivered_to(&self, heard: Option<Heard>) -> Delivered {
        match heard {
            Some(heard) if self.has_heard(heard) => Delivered::UpTo(heard.last_seq),
            Some(heard) if self.counts(heard.timeline) => Delivered::Unknown(self.seq),
            Some(_) => Delivered::Nothing,
            None => Delivered::Unknown(self.seq),
        }
    }

    /// The replay for a player that returns. `heard`: the client's own report.
    pub fn replay_plan(&self, former: &Former, heard: Option<Heard>) -> ReplayPlan {
        let last = self.seq;
        // A connection that seemed alive may have read its deliveries or not.
        let delivered = if former.reach.is_some() { Delivered::Unknown(last) } else { former.delivered };
        // Later messages cannot have reached any connection of this seat.
        let unheard = match delivered {
            Delivered::UpTo(seq) | Delivered::Unknown(seq) => Some(seq),
            Delivered::Nothing => Some(0),
        };
        // The last message that it surely has, and the first that the replay can begin with.
        let (heard_up_to, since) = match heard {
            Some(heard) if self.has_heard(heard) => {
                let came = self.seats.iter().find(|seat| seat.name == former.name).map_or(0, |seat| seat.entered);
                let since = heard.last_seq.max(came).min(last);
                (Some(since), Some(since))
            }
            // A client that reports nothing (lines) has what its connection received.
            None if matches!(delivered, Delivered::UpTo(_)) => (unheard, unheard),
            _ => (None, unheard),
        };
        let since = since.map(|since| since.max(self.ring.start_within(MOST_REPLAY)).min(last));
        let missed =
            heard_up_to.zip(since).map(|(heard, since)| since.saturating_sub(heard) + self.ring.missed(since, last));
        ReplayPlan { missed, since }
    }

    /// Encodes `JOINED` and the replay, each message with its sender's own id. The client sends those of its messages again that the replay
    /// lacks: they were not delivered (docs/protocol.md, Missed messages). Returns the number of replayed messages;
    /// `None`: there is no such seat.
    pub fn encode_welcome(
        &self,
        welcome: Welcome<'_>,
        encoding: Encoding,
        id: Option<u64>,
        out: &mut Vec<u8>,
    ) -> Option<u64> {
        let Welcome { seat, resumed, plan: ReplayPlan { missed, since }, token, limits } = welcome;
        let (name, players) = (self.seat(seat)?.name(), &*self.players());
        self.view_state(|state| {
            let joined = Joined {
                room: self.id,
                name,
                players,
                max_players: limits.players,
                locked: self.is_locked(),
                timeline: self.timeline,
                seq: self.seq,
                resumed,
                missed,
                token,
                hold_ms: token.map(|_| limits.hold),
                state,
            };
            encoding.encode(&Event::Joined(joined), id, out);
        });
        if missed.is_none() {
            self.encode_state_lost(encoding, out);
        }
        if encoding.is_lines() && missed != Some(0) {
            // JOINED has the lock.
            encoding.encode(&Event::Missed { count: missed, locked: false }, None, out);
        }
        let mut replayed = 0;
        for item in since.into_iter().flat_map(|since| self.ring.messages_since(since)) {
            encoding.encode(&item.event.to_client(true), item.event.id(), out);
            replayed += 1;
        }
        Some(replayed)
    }

    /// Whether this room counts the timeline's messages, by its own name or the one before a fork.
    fn counts(&self, timeline: Timeline) -> bool {
        timeline == self.timeline || Some(timeline) == self.forked_from
    }

    /// Whether all that the client heard can be this room's.
    fn has_heard(&self, heard: Heard) -> bool {
        self.counts(heard.timeline) && heard.last_seq <= self.seq
    }

    /// The same for a session that attaches.
    pub fn shares_history(&self, member: &Membership) -> bool {
        self.counts(member.timeline) && member.position <= self.position
    }

    /// Whether the session has events of this timeline that this owner never had: after a rollback of the directory two pods may have
    /// continued one timeline.
    pub fn is_forked(&self, member: &Membership) -> bool {
        member.timeline == self.timeline && member.position > self.position
    }

    /// The timeline forks: this owner's count goes on under another name.
    pub fn fork(&mut self, timeline: Timeline) {
        self.forked_from = Some(std::mem::replace(&mut self.timeline, timeline));
        self.webhook_number = 0;
    }

    /// The position and seq from which a session hears an owner whose history it does not share. Of a timeline that has forked it may have
    /// any event already.
    pub fn starts_at(&self, member: &Membership) -> (u64, u64) {
        if self.counts(member.timeline) { self.place() } else { (0, 0) }
    }

    /// Encodes the news of an attach for its session; it missed every message of another timeline, too. `moved`: the owner is new to its
    /// pod. A new timeline is news by itself: a room can move away and back unnoticed by a pod that was frozen or cut off.
    /// Returns the number of messages that are missing for good; `None`: unknown.
    pub fn encode_attached(
        &self,
        member: &Membership,
        moved: bool,
        encoding: Encoding,
        out: &mut Vec<u8>,
    ) -> Option<u64> {
        let same = self.shares_history(member);
        let missed = same.then(|| self.ring.missed(member.seq, self.seq));
        let seq = if same { member.seq } else { self.starts_at(member).1 };
        // What has changed of the lock meanwhile may be among what is missed.
        let locked = self.is_locked();
        if moved || member.timeline != self.timeline {
            encoding.encode(&Event::Moved { room: self.id, timeline: self.timeline, seq, locked }, None, out);
        }
        if missed != Some(0) {
            encoding.encode(&Event::Missed { count: missed, locked }, None, out);
        }
        missed
    }

    /// The replay of an attached session, in order; without the events of another timeline.
    pub fn catch_up(&self, member: &Membership, session: SessionRef, encoding: Encoding) -> Vec<CaughtUp> {
        let position = if self.shares_history(member) { member.position } else { self.starts_at(member).0 };
        let since = self.ring.since(position);
        let caught_up = |item: &RingItem| {
            let answers = item.event.answers().filter(|answers| answers.session == session);
            let replies = answers.map_or(0, |answers| answers.number);
            let mut bytes = Vec::new();
            encoding.encode(&self.to_client(&item.event, &mut None), item.event.id(), &mut bytes);
            CaughtUp { position: item.position, seq: item.event.seq(), replies, bytes }
        };
        let mut events: Vec<_> = since.filter(|item| !item.event.is_about(member.name)).map(caught_up).collect();
        let replies = self.state_replies(position, session, encoding);
        if !replies.is_empty() {
            events.extend(replies);
            events.sort_by_key(|event| event.position);
        }
        events
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
