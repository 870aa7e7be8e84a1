//! Events without a number: passed on once to those whom they are to, and forgotten. Pure: no I/O.

use super::context::Context;
use super::delivery::Encoder;
use super::remote_members::RemoteMembers;
use super::sessions::Sessions;
use crate::ids::{Reach, SessionId, SessionRef};
use crate::peer_protocol::Delivery;
use crate::protocol::{Custom, Event, PlayerName, SeatId};
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
            let named = passing.event.to.is_none_or(|to| to.contains(&seat.name()));
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
                reached.push(seat.name());
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
