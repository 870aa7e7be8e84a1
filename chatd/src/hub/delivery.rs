//! All output to clients of this hub, and how their connections end. Pure: no I/O.
//!
//! The hub encodes an event at most once per encoding, for any number of members. It marks a slow reader and ends it when the current
//! command is finished ([`Hub::end_slow_readers`]), because that end is an event of its own for the other members.

use super::Hub;
use super::context::Context;
use super::interface::Effect;
use super::remote_members::RemoteMembers;
use super::request::Asked;
use super::session::{Inbox, Session, SessionRoom, SessionState};
use super::sessions::Sessions;
use crate::ids::{Reach, RoomIndex, SessionId, Time};
use crate::peer_protocol::{Delivery, Disconnect};
use crate::protocol::{Encoding, ErrorCode, Event, SeatId};
use crate::room::{Room, SeatState};

/// An event for every member of a room.
#[derive(Debug, Clone, Copy)]
pub struct Broadcast<'a> {
    pub event: &'a Event<'a>,
    /// The member that does not get it.
    pub except: Option<SeatId>,
    /// The member that gets the event as the reply to its request. The others get it without the request's id.
    pub sender: Option<(SeatId, Asked)>,
}

/// Holds an event in each encoding while the hub sends it.
#[derive(Debug, Default)]
pub struct Encoder {
    line: Vec<u8>,
    line_with_events: Vec<u8>,
    json: Vec<u8>,
}

impl Encoder {
    pub fn clear(&mut self) {
        self.line.clear();
        self.line_with_events.clear();
        self.json.clear();
    }

    /// Returns `event` in `encoding`; encodes it on first use.
    pub fn encoded(&mut self, encoding: Encoding, event: &Event<'_>, id: Option<u64>) -> &[u8] {
        let buffer = match encoding {
            Encoding::Lines => &mut self.line,
            Encoding::LinesWithEvents => &mut self.line_with_events,
            // No call is a member of a room.
            Encoding::Json | Encoding::Call => &mut self.json,
        };
        if buffer.is_empty() {
            encoding.encode(event, id, buffer);
        }
        buffer
    }

    /// Sends an event to every connected member of the room.
    pub fn broadcast(
        &mut self,
        room: &Room,
        sessions: &mut Sessions,
        members: &mut RemoteMembers,
        context: &mut Context,
        Broadcast { event, except, sender }: Broadcast<'_>,
    ) {
        self.clear();
        let (position, seq) = (room.position(), room.seq());
        let own = sender.and_then(|(_, asked)| asked.id);
        let limit = context.settings.send_queue;
        let mut deliveries = 0;
        for seat in room.seats() {
            if seat.state != SeatState::Live || Some(seat.id) == except {
                continue;
            }
            match seat.reach {
                Some(Reach::Local(to)) => {
                    let Some(session) = sessions.get_mut(to) else {
                        continue;
                    };
                    session.output.buffer().extend_from_slice(self.encoded(session.encoding, event, own));
                    if session.output.is_over(limit) {
                        context.slow_readers.push_back(Reach::Local(to));
                    }
                    sessions.mark_dirty(to);
                }
                Some(Reach::Remote(to)) => {
                    let Some(member) = members.get(to) else {
                        continue;
                    };
                    let replies = sender.filter(|(from, _)| *from == seat.id).map(|(_, asked)| asked.number);
                    let bytes = self.encoded(member.encoding(), event, own).into();
                    let delivery = Delivery { replies, place: (position, seq), bytes, after: None };
                    let queued = members.deliver(&mut context.peers, to, delivery);
                    if queued.is_some_and(|queued| queued > limit) {
                        context.slow_readers.push_back(Reach::Remote(to));
                    }
                }
                None => continue,
            }
            deliveries += 1;
        }
        if matches!(event, Event::Message { .. } | Event::Custom(_)) {
            context.counters.messages_out += deliveries;
        }
    }
}

impl Sessions {
    /// Sends `event` to a client of this hub.
    pub fn say(&mut self, context: &mut Context, id: SessionId, number: Option<u64>, event: &Event<'_>) {
        self.write(context, id, |encoding, out| encoding.encode(event, number, out));
    }

    /// Sends encoded bytes to a client of this hub.
    pub fn say_bytes(&mut self, context: &mut Context, id: SessionId, bytes: &[u8]) {
        self.write(context, id, |_, out| out.extend_from_slice(bytes));
    }

    fn write(&mut self, context: &mut Context, id: SessionId, write: impl FnOnce(Encoding, &mut Vec<u8>)) {
        let before = self.get(id).map_or(0, |session| session.output.len());
        if self.write_whatever_waits(id, write)
            && let Some(session) = self.get_mut(id)
        {
            session.output.was_answered(session.output.len() - before);
            if session.output.is_over(context.settings.send_queue) {
                context.slow_readers.push_back(Reach::Local(id));
            }
        }
    }

    /// Queues the last output of a session, even for a slow reader. False: the session is closing already.
    fn write_whatever_waits(&mut self, id: SessionId, write: impl FnOnce(Encoding, &mut Vec<u8>)) -> bool {
        let Some(session) = self.open_mut(id) else {
            return false;
        };
        write(session.encoding, session.output.buffer());
        self.mark_dirty(id);
        true
    }

    fn say_at_last(&mut self, id: SessionId, number: Option<u64>, event: &Event<'_>) {
        self.write_whatever_waits(id, |encoding, out| encoding.encode(event, number, out));
    }

    /// Sends `BYE`, flushes and closes a session that has no seat any more.
    pub fn goodbye(&mut self, context: &mut Context, id: SessionId, number: Option<u64>, code: Option<ErrorCode>) {
        self.say_at_last(id, number, &Event::Bye { code });
        self.close(context, id, code);
    }

    pub fn close(&mut self, context: &mut Context, id: SessionId, code: Option<ErrorCode>) {
        if let Some(session) = self.open_mut(id) {
            session.state = SessionState::Closing;
            session.room = SessionRoom::None;
            if std::mem::take(&mut session.inbox).carried.is_some() {
                // The session ends here: the other thread would not know that it has to close it.
                context.effects.retain(|effect| !matches!(effect, Effect::Migrate { session, .. } if *session == id));
            }
            context.effects.push(Effect::Close { session: id, code });
            self.mark_dirty(id);
        }
    }

    pub fn abort(&mut self, context: &mut Context, id: SessionId) {
        if let Some(session) = self.get_mut(id) {
            session.state = SessionState::Closing;
            session.inbox = Inbox::default();
            context.effects.push(Effect::Abort { session: id });
        }
    }

    /// Drops the queued output and finishes the line under way. False: the session is closing already, or unknown.
    fn drop_queue(&mut self, id: SessionId) -> bool {
        let Some(session) = self.open_mut(id) else {
            return false;
        };
        session.output.keep_only_what_is_under_way(session.encoding);
        true
    }
}

impl Hub {
    pub(super) fn say(&mut self, id: SessionId, number: Option<u64>, event: &Event<'_>) {
        self.sessions.say(&mut self.context, id, number, event);
    }

    pub(super) fn say_bytes(&mut self, id: SessionId, bytes: &[u8]) {
        self.sessions.say_bytes(&mut self.context, id, bytes);
    }

    pub(super) fn broadcast(&mut self, index: RoomIndex, broadcast: Broadcast<'_>) {
        let Self { rooms, sessions, remote_members, context, encoder, .. } = self;
        if let Some(owned) = rooms.get(index) {
            encoder.broadcast(&owned.room, sessions, remote_members, context, broadcast);
        }
    }

    /// Sends an error, then ends the connection.
    pub(super) fn fail(&mut self, time: Time, id: SessionId, code: ErrorCode) {
        self.sessions.say_at_last(id, None, &Event::Error { code, retry_after_ms: None });
        self.fail_quietly(time, id, Some(code));
    }

    /// Ends a connection after its error, or without one: sends `BYE`, flushes and closes.
    pub(super) fn fail_quietly(&mut self, time: Time, id: SessionId, code: Option<ErrorCode>) {
        if self.sessions.get(id).is_some_and(Session::is_closing) {
            return;
        }
        let disconnect = match code {
            Some(ErrorCode::SlowConsumer) => Disconnect::Slow,
            Some(ErrorCode::Moved) => Disconnect::Moved,
            Some(ErrorCode::RateLimited | ErrorCode::BadCommand | ErrorCode::LineTooLong) => Disconnect::Limit,
            _ => Disconnect::Lost,
        };
        self.leave_seat_of(time, id, disconnect);
        self.sessions.goodbye(&mut self.context, id, None, code);
    }

    pub(super) fn goodbye(&mut self, id: SessionId, number: Option<u64>, code: Option<ErrorCode>) {
        self.sessions.goodbye(&mut self.context, id, number, code);
    }

    /// The session has left its room.
    pub(super) fn now_outside(&mut self, time: Time, id: SessionId) {
        self.sessions.now_outside(&mut self.context, time, id);
    }

    pub(super) fn close(&mut self, id: SessionId, code: Option<ErrorCode>) {
        self.sessions.close(&mut self.context, id, code);
    }

    pub(super) fn abort(&mut self, id: SessionId) {
        self.sessions.abort(&mut self.context, id);
    }

    /// Ends the slow readers. Their events can make further readers slow: these end in the same loop.
    pub(super) fn end_slow_readers(&mut self, time: Time) {
        let limit = self.context.settings.send_queue;
        while let Some(reach) = self.context.slow_readers.pop_front() {
            match reach {
                Reach::Local(id) => self.too_slow(time, id),
                Reach::Remote(to) if self.remote_members.get(to).is_some_and(|member| member.queued() > limit) => {
                    self.remote_is_too_slow(time, to);
                }
                Reach::Remote(_) => {}
            }
        }
    }

    /// Ends a slow reader: drops its queue, finishes the line under way, and sends the reason.
    pub(super) fn too_slow(&mut self, time: Time, id: SessionId) {
        if self.sessions.drop_queue(id) {
            self.context.counters.slow_consumers += 1;
            self.fail(time, id, ErrorCode::SlowConsumer);
        }
    }

    /// Ends one of the sessions that hold the most memory while all sessions together hold too much: drops its queue, sends the reason.
    pub(super) fn end_largest(&mut self, time: Time, id: SessionId) {
        if self.sessions.drop_queue(id) {
            if let Some(session) = self.sessions.get_mut(id) {
                session.inbox.clear();
            }
            self.context.counters.connections_shed += 1;
            self.fail(time, id, ErrorCode::Overloaded);
        }
    }
}
