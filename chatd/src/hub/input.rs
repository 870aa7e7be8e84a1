//! From a client's bytes to its commands, one at a time and in order. Pure: no I/O.

use super::Hub;
use super::remote_members::RemoteMember;
use super::request::Asked;
use super::session::{Line, Place, Refusal, Session, Verdict};
use crate::ids::{Reach, SessionId, Time};
use crate::peer_protocol::Drop;
use crate::protocol::{Command, Encoding, ErrorCode, Event, json, lines};

impl Hub {
    pub(super) fn received_lines(&mut self, time: Time, id: SessionId, bytes: &[u8]) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if matches!(session.place, Place::Closing) {
            return;
        }
        if session.waiting.is_foreign(bytes) {
            return self.abort(id);
        }
        let bytes = &*session.waiting.with_line_ends(bytes);
        // Most often nothing waits, and lines are taken from what was read without a copy.
        let used = if session.waiting.lengths().0 == 0 { self.take_lines(time, id, bytes) } else { 0 };
        if let Some(session) = self.sessions.get_mut(id) {
            session.waiting.keep(&bytes[used..]);
            if used == 0 {
                self.run(time, id);
            } else {
                self.limit_unfinished(time, id);
            }
        }
    }

    pub(super) fn received_message(&mut self, time: Time, id: SessionId, text: &str) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        if !session.waiting.has_messages() && self.ready(session) {
            self.message(time, id, text);
        } else if let Some(session) = self.sessions.get_mut(id)
            && !matches!(session.place, Place::Closing)
        {
            session.waiting.push_message(text);
        }
    }

    pub(super) fn input_ended(&mut self, time: Time, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.waiting.ended = true;
            self.run(time, id);
        }
    }

    /// Goes on with what waits: something that the session waited for has happened.
    pub(super) fn run(&mut self, time: Time, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let bytes = session.waiting.take_bytes();
        if !bytes.is_empty() {
            let used = self.take_lines(time, id, &bytes);
            let Some(session) = self.sessions.get_mut(id) else {
                return;
            };
            session.waiting.put_back(bytes, used);
            self.limit_unfinished(time, id);
        }
        while let Some(session) = self.sessions.get(id)
            && self.ready(session)
            && let Some(text) = self.sessions.get_mut(id).and_then(|session| session.waiting.next_message())
        {
            self.message(time, id, &text);
        }
        self.end_if_done(time, id);
    }

    pub(super) fn run_carried(&mut self, time: Time, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id)
            && let Some((number, command)) = session.waiting.carried.take()
        {
            session.place = Place::Outside;
            self.command_outside(time, Asked::here(id, number), command);
        }
        self.run(time, id);
    }

    /// Whether the session's next command may be carried out now.
    fn ready(&self, session: &Session) -> bool {
        match &session.place {
            Place::Outside => true,
            Place::Seated { key, .. } => self.rooms.get(*key).is_some_and(super::ownership::Owned::ready),
            Place::Relayed(relay) => relay.takes_commands(self.context.settings.limits.commands),
            Place::Busy | Place::Leaving { .. } | Place::Closing => false,
        }
    }

    /// Carries out the lines in `bytes` for as long as the session is ready. Returns how many bytes that took.
    fn take_lines(&mut self, time: Time, id: SessionId, bytes: &[u8]) -> usize {
        let mut used = 0;
        while let Some(session) = self.sessions.get(id)
            && self.ready(session)
            && let Some(session) = self.sessions.get_mut(id)
        {
            let fresh = session.waiting.is_fresh();
            let Some((line, taken)) = session.waiting.take_line(&bytes[used..]) else {
                break;
            };
            used += taken;
            if fresh && line != Line::Foreign {
                let deadline = time.now + self.context.settings.idle_timeout;
                self.sessions.set_deadline(&mut self.context, id, deadline);
            }
            self.line(time, id, line);
        }
        used
    }

    fn line(&mut self, time: Time, id: SessionId, line: Line<'_>) {
        match line {
            Line::Foreign => self.abort(id),
            Line::Endless => self.fail(time, id, ErrorCode::LineTooLong),
            Line::TooLong => self.command(time, Asked::here(id, None), Err(ErrorCode::LineTooLong)),
            Line::Whole(line) => {
                let in_room = self.sessions.get(id).is_some_and(|session| !session.outside());
                match lines::parse(line, in_room) {
                    Some(command) => self.command(time, Asked::here(id, None), command),
                    None => {
                        self.context.counters.commands_in += 1;
                        self.charge_frame(time, id);
                    }
                }
            }
        }
    }

    /// Throws away the beginning of an overlong line, and ends the connection of one that never ends.
    fn limit_unfinished(&mut self, time: Time, id: SessionId) {
        if let Some(line) = self.sessions.get_mut(id).and_then(|session| session.waiting.limit_unfinished()) {
            self.line(time, id, line);
        }
    }

    fn message(&mut self, time: Time, id: SessionId, text: &str) {
        let (number, command) = json::parse(text);
        self.command(time, Asked::here(id, number), command);
    }

    /// One command of a client of this hub, or what is wrong with it; and the end of those for whom its answer is too much.
    fn command(&mut self, time: Time, asked: Asked, command: Result<Command<'_>, ErrorCode>) {
        self.carry_out(time, asked, command);
        self.end_slow_readers(time);
    }

    fn carry_out(&mut self, time: Time, asked: Asked, command: Result<Command<'_>, ErrorCode>) {
        let Reach::Local(id) = asked.by else {
            return;
        };
        self.context.counters.commands_in += 1;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        match &session.place {
            Place::Seated { key, seat } => {
                let (key, seat) = (*key, *seat);
                session.limits.count(time.now);
                self.command_in_room(time, key, seat, asked, command);
            }
            Place::Relayed(_) => {
                session.limits.count(time.now);
                self.sessions.relay_command(&mut self.context, id, asked.id, command);
            }
            _ => {
                let verdict = session.limits.command(time.now, command.as_ref().map(|_| ()).map_err(|code| *code));
                if verdict.refusal.is_none() {
                    session.deadline = time.now + self.context.settings.idle_timeout;
                }
                if !self.refuse_by(time, asked, verdict)
                    && let Ok(command) = command
                {
                    self.command_outside(time, asked, command);
                }
            }
        }
    }

    /// Refuses what a limit does not allow, and ends the connection if that was the last straw. False: it is allowed.
    pub(super) fn refuse_by(&mut self, time: Time, asked: Asked, verdict: Verdict) -> bool {
        let Some(Refusal { code, retry_after }) = verdict.refusal else {
            return false;
        };
        self.context.counters.errors += 1;
        self.reply(asked, &Event::Error { code, retry_after_ms: retry_after });
        if let (true, Reach::Local(id)) = (verdict.ends, asked.by) {
            self.fail_quietly(time, id, Some(code));
        }
        true
    }

    /// Refuses what would make or enter a room, if the session may not. True: it is refused.
    pub(super) fn refuse_limited(&mut self, time: Time, id: SessionId, asked: Asked, command: &Command<'_>) -> bool {
        let Some(session) = self.sessions.get_mut(id) else {
            return false;
        };
        let verdict = session.limits.entry(time.now, command);
        self.refuse_by(time, asked, verdict)
    }

    /// An empty line, or a frame that is no message. False: the client has sent too many.
    pub(super) fn charge_frame(&mut self, time: Time, id: SessionId) -> bool {
        let Some(session) = self.sessions.get_mut(id) else {
            return false;
        };
        let verdict = session.limits.frame(time.now);
        if verdict.ends {
            self.fail(time, id, ErrorCode::RateLimited);
        }
        verdict.refusal.is_none()
    }

    /// At the end of the client's input, once all of it is carried out and answered: the end of the session.
    pub(super) fn end_if_done(&mut self, time: Time, id: SessionId) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        if !session.waiting.is_done() {
            return;
        }
        let idle = match &session.place {
            Place::Outside => true,
            Place::Seated { .. } => self.ready(session),
            Place::Relayed(relay) => relay.idle(),
            Place::Busy | Place::Leaving { .. } | Place::Closing => false,
        };
        if idle {
            self.leave_seat_of(time, id, Drop::Lost);
            self.close(id, None);
        }
    }

    /// A session's time outside a room is over, or a closing one's.
    pub(super) fn session_due(&mut self, time: Time, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        session.looked_at = session.looked_at.filter(|at| *at > time.now);
        match session.place {
            Place::Outside if session.deadline <= time.now => self.fail(time, id, ErrorCode::Timeout),
            Place::Closing => {}
            Place::Relayed(_) => self.relay_due(time, id),
            // In a room nobody is closed for being silent; on coming out the deadline is set anew.
            _ if session.deadline <= time.now => {}
            _ => self.sessions.arm_deadline(&mut self.context, id),
        }
    }

    pub(super) fn session_dropped(&mut self, time: Time, id: SessionId, drop: Drop) {
        if self.sessions.get(id).is_some() {
            self.leave_seat_of(time, id, drop);
            self.sessions.remove(id);
        }
    }

    /// Outside a room every JOIN or RESUME of a room that is not there counts; too many close the connection.
    pub(super) fn missed_once(&mut self, time: Time, id: SessionId) {
        self.sessions.charge(id);
        let most = self.context.settings.max_misses;
        if self.sessions.get_mut(id).is_some_and(|session| session.limits.miss(most)) {
            self.fail(time, id, ErrorCode::RateLimited);
        }
    }

    pub(super) fn encoding_of(&self, by: Reach) -> Option<Encoding> {
        match by {
            Reach::Local(id) => self.sessions.get(id).map(|session| session.encoding),
            Reach::Remote(connection) => self.remote_members.get(connection).map(RemoteMember::encoding),
        }
    }
}
