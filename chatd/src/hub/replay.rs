//! What a room has said is kept for a while, and told to those who missed it: who resumes a seat, and a relayed session that
//! comes back to its owner. Pure: no I/O.

use super::Hub;
use super::ownership::Owned;
use super::request::Asked;
use crate::ids::{Reach, SessionRef, Time};
use crate::peer_protocol::{Attach, MAX_FRAME};
use crate::protocol::{Encoding, Event, ExitReason};
use crate::record::Record;
use crate::room::{RingItem, RoomEvent};

/// How much is told again after `JOINED`, in bytes as the ring counts them: encoded it is at most three times that, which has to fit
/// into one frame of a peer link, whatever the ring's limit is.
pub(super) const MOST_REPLAY: usize = MAX_FRAME / 4;

/// What a player who comes to a seat has not heard of the room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unheard {
    /// How many messages cannot be told any more, `None`: nobody knows. JSON has it in `joined`; lines are told after it.
    pub missed: Option<u64>,
    /// The messages after this number are told now.
    pub since: Option<u64>,
}

impl Unheard {
    pub const UNKNOWN: Self = Self { missed: None, since: None };
}

impl Hub {
    pub(super) fn remember(&mut self, time: Time, key: usize, event: RoomEvent) {
        let limits = self.context.settings.ring;
        if let Some(owned) = self.rooms.get_mut(key) {
            let grown = owned.room.ring.push(RingItem { position: owned.room.position, event, time: time.now }, limits);
            self.rooms.count_ring(grown);
            self.rooms.keep_to_the_budget(self.context.settings.ring_total);
        }
    }

    /// Who was in the room of `basis`, whose owner is gone, waits now or is gone too: those who come back to the room are told.
    pub(super) fn remember_takeover(&mut self, time: Time, key: usize, basis: &Record) {
        for (name, _) in basis.seats() {
            let Some(owned) = self.rooms.get_mut(key) else {
                return;
            };
            owned.room.position += 1;
            let is_held = owned.room.seats.iter().any(|seat| seat.name == name);
            let event = if is_held { RoomEvent::Away(name) } else { RoomEvent::Exited(name, ExitReason::Disconnected) };
            self.remember(time, key, event);
        }
    }

    /// How a message that was `asked` for is known again by its sender, should the reply be lost: see [`RoomEvent::Message`].
    pub(super) fn what_it_answers(&self, asked: Asked) -> Option<(SessionRef, u64, Option<u64>)> {
        match asked.by {
            Reach::Remote(connection) => Some((connection, asked.number, asked.id)),
            Reach::Local(_) => self.connection(asked.by).filter(|_| asked.id.is_some()).map(|me| (me, 0, asked.id)),
        }
    }

    /// What a player who comes to a seat is told after `JOINED`: the messages that it has not heard, each with its sender's own
    /// number. Those of its own that have not come back by the end were not delivered, and it sends them again (docs/protocol.md, Missed messages).
    pub(super) fn encode_unheard(&mut self, key: usize, encoding: Encoding, unheard: Unheard) -> Vec<u8> {
        let mut bytes = Vec::new();
        let Unheard { missed, since } = unheard;
        if encoding == Encoding::Lines && missed != Some(0) {
            encoding.encode(&Event::Missed { count: missed }, None, &mut bytes);
        }
        if let Some(owned) = self.rooms.get(key)
            && let Some(since) = since
        {
            for item in owned.room.ring.messages_since(since) {
                encoding.encode(&item.event.to_client(true), item.event.id(), &mut bytes);
                self.context.counters.replayed += 1;
                self.context.counters.messages_out += 1;
            }
        }
        bytes
    }

    /// What an attach has changed for its session, and how much of what it has not heard cannot be told any more. `same`: it had
    /// the room's timeline before; of another one it has heard nothing.
    pub(super) fn encode_attached(&mut self, time: Time, key: usize, same: bool, attach: &Attach) -> Vec<u8> {
        self.rooms.forget_old(time.now, key, self.context.settings.ring);
        let mut bytes = Vec::new();
        if let Some(Owned { room, .. }) = self.rooms.get(key) {
            let missed = same.then(|| room.ring.missed(attach.seq, room.seq));
            let seq = if same { attach.seq } else { 0 };
            if attach.moved {
                let moved = Event::Moved { room: room.id, timeline: room.timeline, seq };
                attach.encoding.encode(&moved, None, &mut bytes);
            }
            if missed != Some(0) {
                attach.encoding.encode(&Event::Missed { count: missed }, None, &mut bytes);
            }
            self.context.counters.missed += missed.unwrap_or_default();
        }
        bytes
    }

    /// Tells an attached session what it has not heard.
    pub(super) fn catch_up(
        &mut self,
        time: Time,
        key: usize,
        to: Reach,
        connection: SessionRef,
        same: bool,
        attach: &Attach,
    ) {
        let Some(owned) = self.rooms.get(key) else {
            return;
        };
        let since = owned.room.ring.since(if same { attach.position } else { 0 });
        let items: Vec<_> = since.filter(|item| !item.event.is_about(attach.name)).cloned().collect();
        for item in items {
            let event = item.event.to_client(false);
            // What answers a command of this session, whose reply was lost on the way.
            let number = match &item.event {
                RoomEvent::Message { answers: Some((from, number, _)), .. } if *from == connection => *number,
                _ => 0,
            };
            let message_seq = item.event.seq();
            self.context.counters.replayed += u64::from(message_seq.is_some());
            self.context.counters.messages_out += u64::from(message_seq.is_some());
            let id = item.event.id();
            match to {
                Reach::Remote(connection) => {
                    let asked = Asked { by: to, number, id };
                    let place = (item.position, message_seq.unwrap_or_default());
                    self.remote_members.deliver_event(&mut self.context.peers, connection, asked, &event, place);
                }
                Reach::Local(session) => {
                    if number > 0 {
                        self.sessions.relay_replied(&mut self.context, session, number);
                    }
                    self.say(time, session, id, &event);
                }
            }
        }
    }
}
