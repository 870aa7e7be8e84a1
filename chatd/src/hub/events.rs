//! Applications' events in a room that this hub owns: numbered ones go the way of a message; those to some players, and volatile ones, are
//! passed on once and forgotten. Pure: no I/O.

use super::Hub;
use super::context::Context;
use super::delivery::{Broadcast, Encoder};
use super::remote_members::RemoteMembers;
use super::request::Asked;
use super::sessions::Sessions;
use crate::ids::{Reach, RoomIndex, SessionId, SessionRef, Time};
use crate::peer_protocol::Delivery;
use crate::protocol::{Custom, Event, Outgoing, PlayerName, SeatId, check_presence};
use crate::room::{Room, SeatState};

/// A volatile event is dropped for a reader for whom more than this part of its queue waits: long before the queue is full.
const VOLATILE_SHARE: usize = 4;

/// An event without a number.
#[derive(Debug, Clone, Copy)]
pub struct Passing<'a> {
    pub event: Custom<'a>,
    /// `None`: the application sends it.
    pub sender: Option<SeatId>,
    /// The sender's id for its command.
    pub id: Option<u64>,
    pub volatile: bool,
}

impl Hub {
    /// Sends an application's event; the sender gets it as its reply.
    pub(super) fn send_in_room(
        &mut self,
        time: Time,
        index: RoomIndex,
        seat: SeatId,
        asked: Asked,
        event: &Outgoing<'_>,
    ) {
        // A relayed command comes from another pod: it is checked here as well.
        if let (Reach::Remote(_), Err(code)) = (asked.by, event.check()) {
            return self.refuse(asked, code);
        }
        let answers = self.answers(asked);
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        let limits = self.context.settings.terms(owned.room.descriptor()).ring();
        let Some(from) = owned.room.seat(seat).map(|seat| seat.name) else {
            return;
        };
        self.context.counters.messages_in += 1;
        let (kind, data, at, to) = (event.kind.as_str(), &*event.data, time.wall, event.to.as_deref());
        let custom = Custom { from, kind, data, seq: None, at, replay: false, to, reached: None };
        if event.is_numbered() {
            let Some(said) = owned.room.send(seat, event, at, answers, time.now, limits) else {
                return;
            };
            self.ring_has_grown(said.grown);
            let event = Event::Custom(Custom { seq: Some(said.seq), ..custom });
            return self.broadcast(index, Broadcast { event: &event, except: None, sender: Some((seat, asked)) });
        }
        owned.room.note_activity(time.now);
        let Self { rooms, sessions, remote_members, context, encoder, .. } = self;
        let Some(owned) = rooms.get(index) else {
            return;
        };
        let passing = Passing { event: custom, sender: Some(seat), id: asked.id, volatile: event.volatile };
        let reached = encoder.pass_on(&owned.room, sessions, remote_members, context, passing);
        let reached = to.map(|_| &reached[..]);
        self.reply(asked, &Event::Custom(Custom { reached, ..custom }));
    }
}

impl Hub {
    /// Tells everyone what a player says of itself; the player gets that as its reply.
    pub(super) fn set_in_room(
        &mut self,
        time: Time,
        index: RoomIndex,
        seat: SeatId,
        asked: Asked,
        presence: Option<&str>,
    ) {
        if let (Reach::Remote(_), Some(Err(code))) = (asked.by, presence.map(check_presence)) {
            return self.refuse(asked, code);
        }
        let answers = self.answers(asked);
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        let limits = self.context.settings.terms(owned.room.descriptor()).ring();
        let Some((name, grown)) = owned.room.set(seat, presence, answers, time.now, limits) else {
            return;
        };
        self.ring_has_grown(grown);
        let event = Event::Player { name, presence };
        self.broadcast(index, Broadcast { event: &event, except: None, sender: Some((seat, asked)) });
    }
}

impl Encoder {
    /// Sends an event without a number to those whom it is to, but for the sender. Returns whom it reached, the sender included.
    pub fn pass_on(
        &mut self,
        room: &Room,
        sessions: &mut Sessions,
        members: &mut RemoteMembers,
        context: &mut Context,
        passing: Passing<'_>,
    ) -> Vec<PlayerName> {
        self.clear();
        let mut reached = Vec::new();
        for seat in room.seats().iter().filter(|seat| seat.state == SeatState::Live) {
            let named = passing.event.to.is_none_or(|to| to.contains(&seat.name));
            if !named && context.settings.rules.address_events {
                continue;
            }
            let told = Some(seat.id) == passing.sender
                || match seat.reach {
                    Some(Reach::Local(to)) => self.pass_to_session(sessions, context, to, passing),
                    Some(Reach::Remote(to)) => self.pass_to_member(members, context, to, passing),
                    None => false,
                };
            if told {
                context.counters.messages_out += 1;
                reached.push(seat.name);
            }
        }
        reached
    }

    fn pass_to_session(
        &mut self,
        sessions: &mut Sessions,
        context: &mut Context,
        to: SessionId,
        passing: Passing<'_>,
    ) -> bool {
        let limit = context.settings.send_queue;
        let Some(session) = sessions.get_mut(to).filter(|session| session.encoding.has_events()) else {
            return false;
        };
        if passing.volatile && session.output.len() > limit / VOLATILE_SHARE {
            context.counters.volatile_dropped += 1;
            return false;
        }
        let bytes = self.encoded(session.encoding, &Event::Custom(passing.event), passing.id);
        session.output.buffer().extend_from_slice(bytes);
        if session.output.is_over(limit) {
            context.slow_readers.push_back(Reach::Local(to));
        }
        sessions.mark_dirty(to);
        true
    }

    fn pass_to_member(
        &mut self,
        members: &mut RemoteMembers,
        context: &mut Context,
        to: SessionRef,
        passing: Passing<'_>,
    ) -> bool {
        let limit = context.settings.send_queue;
        let Some(member) = members.get(to).filter(|member| member.encoding().has_events()) else {
            return false;
        };
        if passing.volatile && member.is_behind() {
            context.counters.volatile_dropped += 1;
            return false;
        }
        let bytes = self.encoded(member.encoding(), &Event::Custom(passing.event), passing.id).into();
        let delivery = Delivery { replies: None, place: (0, 0), bytes, after: None };
        if members.deliver(&mut context.peers, to, delivery).is_some_and(|queued| queued > limit) {
            context.slow_readers.push_back(Reach::Remote(to));
        }
        true
    }
}
