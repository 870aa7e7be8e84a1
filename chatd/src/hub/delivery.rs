//! What a client of this hub is told, and how its connection ends. Pure: no I/O.

use super::session::{Place, Waiting};
use super::{Effect, Hub};
use crate::ids::{SessionId, Time};
use crate::peer_protocol::Drop;
use crate::protocol::{Encoding, ErrorCode, Event};

impl Hub {
    /// Says `event` to a client of this hub.
    pub(super) fn say(&mut self, time: Time, id: SessionId, number: Option<u64>, event: &Event<'_>) {
        let limit = self.context.settings.send_queue;
        self.say_with(time, id, limit, |encoding, out| encoding.encode(event, number, out));
    }

    /// Says one of the last words, which are said to a slow reader too.
    fn say_at_last(&mut self, time: Time, id: SessionId, number: Option<u64>, event: &Event<'_>) {
        self.say_with(time, id, usize::MAX, |encoding, out| encoding.encode(event, number, out));
    }

    /// Says what is encoded already.
    pub(super) fn say_bytes(&mut self, time: Time, id: SessionId, bytes: &[u8]) {
        let limit = self.context.settings.send_queue;
        self.say_with(time, id, limit, |_, out| out.extend_from_slice(bytes));
    }

    fn say_with(&mut self, time: Time, id: SessionId, limit: usize, write: impl FnOnce(Encoding, &mut Vec<u8>)) {
        if let Some(session) = self.sessions.get_mut(id)
            && !matches!(session.place, Place::Closing)
        {
            write(session.encoding, session.output.buffer());
            let is_slow = session.output.is_over(limit);
            self.sessions.mark_dirty(id);
            if is_slow {
                self.too_slow(time, id);
            }
        }
    }

    /// Ends a connection with an error as its last words.
    pub(super) fn fail(&mut self, time: Time, id: SessionId, code: ErrorCode) {
        self.say_at_last(time, id, None, &Event::Error { code, retry_after_ms: None });
        self.fail_quietly(time, id, Some(code));
    }

    /// Ends a connection whose error has been said, or needs none: `BYE`, flush, close.
    pub(super) fn fail_quietly(&mut self, time: Time, id: SessionId, code: Option<ErrorCode>) {
        if self.sessions.get(id).is_some_and(|session| matches!(session.place, Place::Closing)) {
            return;
        }
        let drop = match code {
            Some(ErrorCode::SlowConsumer) => Drop::Slow,
            Some(ErrorCode::Moved) => Drop::Moved,
            Some(ErrorCode::RateLimited | ErrorCode::BadCommand | ErrorCode::LineTooLong) => Drop::Limit,
            _ => Drop::Lost,
        };
        self.leave_seat_of(time, id, drop);
        self.goodbye(time, id, None, code);
    }

    /// `BYE`, flush, close, for a session that has no seat any more.
    pub(super) fn goodbye(&mut self, time: Time, id: SessionId, number: Option<u64>, code: Option<ErrorCode>) {
        self.say_at_last(time, id, number, &Event::Bye { code });
        self.close(id, code);
    }

    pub(super) fn close(&mut self, id: SessionId, code: Option<ErrorCode>) {
        if let Some(session) = self.sessions.get_mut(id)
            && !matches!(session.place, Place::Closing)
        {
            session.place = Place::Closing;
            session.room = None;
            if std::mem::take(&mut session.waiting).carried.is_some() {
                // It ends here: the thread that it was to go to would not know that it has to be closed.
                self.context
                    .effects
                    .retain(|effect| !matches!(effect, Effect::Migrate { session, .. } if *session == id));
            }
            self.context.effects.push(Effect::Close { session: id, code });
            self.sessions.mark_dirty(id);
        }
    }

    pub(super) fn abort(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.place = Place::Closing;
            session.waiting = Waiting::default();
            self.context.effects.push(Effect::Abort { session: id });
        }
    }

    /// A slow reader: what is queued is dropped, the line under way is finished, and it is told why.
    pub(super) fn too_slow(&mut self, time: Time, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id) {
            let encoding = session.encoding;
            session.output.keep_only_what_is_under_way(encoding);
            self.context.counters.slow_consumers += 1;
            self.fail(time, id, ErrorCode::SlowConsumer);
        }
    }

    /// One of those that hold the most memory, while all together hold too much: what is queued is dropped, and it is told why.
    pub(super) fn end_largest(&mut self, time: Time, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id) {
            let encoding = session.encoding;
            session.output.keep_only_what_is_under_way(encoding);
            session.waiting.bytes = Vec::new();
            session.waiting.messages.clear();
            self.context.counters.connections_shed += 1;
            self.fail(time, id, ErrorCode::Overloaded);
        }
    }
}
