//! From a client's bytes to its commands, one at a time and in order. Pure: no I/O.

use super::Hub;
use super::remote_members::RemoteMember;
use super::request::Asked;
use super::session::{Line, Refusal, Session, SessionState, Verdict};
use crate::ids::{Reach, SessionId, Time};
use crate::peer_protocol::Disconnect;
use crate::protocol::{Command, Encoding, ErrorCode, Event, json, lines};

impl Hub {
    pub(super) fn received_lines(&mut self, time: Time, id: SessionId, bytes: &[u8]) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if matches!(session.state, SessionState::Closing) {
            return;
        }
        if session.inbox.is_foreign(bytes) {
            return self.abort(id);
        }
        let bytes = &*session.inbox.with_line_ends(bytes);
        // Usually nothing waits: take the lines from the read buffer without a copy.
        let used = if session.inbox.lengths().0 == 0 { self.take_lines(time, id, bytes) } else { 0 };
        if let Some(session) = self.sessions.get_mut(id) {
            session.inbox.keep(&bytes[used..]);
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
        if !session.inbox.has_messages() && self.ready(session) {
            self.message(time, id, text);
        } else if let Some(session) = self.sessions.get_mut(id)
            && !matches!(session.state, SessionState::Closing)
        {
            session.inbox.push_message(text);
        }
    }

    pub(super) fn input_ended(&mut self, time: Time, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.inbox.ended = true;
            self.run(time, id);
        }
    }

    /// Continues with the pending input of a session whose wait has ended.
    pub(super) fn run(&mut self, time: Time, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let bytes = session.inbox.take_bytes();
        if !bytes.is_empty() {
            let used = self.take_lines(time, id, &bytes);
            let Some(session) = self.sessions.get_mut(id) else {
                return;
            };
            session.inbox.put_back(bytes, used);
            self.limit_unfinished(time, id);
        }
        while let Some(session) = self.sessions.get(id)
            && self.ready(session)
            && let Some(text) = self.sessions.get_mut(id).and_then(|session| session.inbox.next_message())
        {
            self.message(time, id, &text);
        }
        self.end_if_done(time, id);
    }

    pub(super) fn run_carried(&mut self, time: Time, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id)
            && let Some(carried) = session.inbox.carried.take()
        {
            let (number, command) = *carried;
            session.state = SessionState::Outside;
            self.command_outside(time, Asked::here(id, number), command);
        }
        self.run(time, id);
    }

    /// Whether the session's next command may be carried out now.
    fn ready(&self, session: &Session) -> bool {
        match &session.state {
            SessionState::Outside => true,
            SessionState::Seated { index, .. } => {
                let by = Reach::Local(session.id);
                let owned = self.rooms.get(*index);
                !session.waits_for_record && owned.is_some_and(|owned| owned.ready() && !owned.holds_back(by))
            }
            SessionState::Relayed(relay) => relay.takes_commands(self.context.settings.limits.commands),
            SessionState::Busy | SessionState::Leaving(_) | SessionState::Closing => false,
        }
    }

    /// Carries out the lines in `bytes` while the session is ready. Returns the number of bytes consumed.
    fn take_lines(&mut self, time: Time, id: SessionId, bytes: &[u8]) -> usize {
        let mut used = 0;
        while let Some(session) = self.sessions.get(id)
            && self.ready(session)
            && let Some(session) = self.sessions.get_mut(id)
        {
            let fresh = session.inbox.is_fresh();
            let Some((line, taken)) = session.inbox.take_line(&bytes[used..]) else {
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
                let by_token = lines::refresh(line).or_else(|| lines::kick(line));
                let by_token = by_token.or_else(|| lines::lock(line).map(Ok));
                let by_token = by_token.filter(|_| in_room && self.has_join_token(id));
                match by_token.or_else(|| lines::parse(line, in_room)) {
                    Some(command) => self.command(time, Asked::here(id, None), command),
                    None => {
                        self.context.counters.commands_in += 1;
                        self.charge_frame(time, id);
                    }
                }
            }
        }
    }

    /// Discards the beginning of an overlong line, and ends the connection of an endless one.
    fn limit_unfinished(&mut self, time: Time, id: SessionId) {
        if let Some(line) = self.sessions.get_mut(id).and_then(|session| session.inbox.limit_unfinished()) {
            self.line(time, id, line);
        }
    }

    fn message(&mut self, time: Time, id: SessionId, text: &str) {
        let (number, command) = json::parse(text);
        self.command(time, Asked::here(id, number), command);
    }

    /// Carries out one command of a client of this hub, or reports its error; then ends the readers that its events made slow.
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
        match &session.state {
            SessionState::Seated { index, seat } => {
                let (index, seat) = (*index, *seat);
                session.limits.count(time.now, command.as_ref().ok());
                self.command_in_room(time, index, seat, asked, command);
            }
            SessionState::Relayed(_) => {
                session.limits.count(time.now, command.as_ref().ok());
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

    /// Refuses input over a limit, and ends the connection at its last strike. False: the input is allowed.
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

    /// Refuses a request that would create or enter a room, if the session may not. True: refused.
    pub(super) fn refuse_limited(&mut self, time: Time, id: SessionId, asked: Asked, command: &Command<'_>) -> bool {
        let Some(session) = self.sessions.get_mut(id) else {
            return false;
        };
        let verdict = session.limits.entry(time.now, command);
        self.refuse_by(time, asked, verdict)
    }

    /// Counts an empty line, or a frame without a message. False: the client has sent too many.
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

    /// Ends the session once the client has closed its input and every command is answered.
    pub(super) fn end_if_done(&mut self, time: Time, id: SessionId) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        if !session.inbox.is_done() {
            return;
        }
        let idle = match &session.state {
            SessionState::Outside => true,
            SessionState::Seated { .. } => self.ready(session),
            SessionState::Relayed(relay) => relay.idle(),
            SessionState::Busy | SessionState::Leaving(_) | SessionState::Closing => false,
        };
        if idle {
            self.leave_seat_of(time, id, Disconnect::Lost);
            self.close(id, None);
        }
    }

    /// The session has been outside a room, or closing, for too long.
    pub(super) fn session_due(&mut self, time: Time, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        session.looked_at = session.looked_at.filter(|at| *at > time.now);
        match session.state {
            SessionState::Outside if session.deadline <= time.now => self.fail(time, id, ErrorCode::Timeout),
            SessionState::Closing => {}
            SessionState::Relayed(_) => self.relay_due(time, id),
            // Silence closes no connection in a room; leaving the room sets a new deadline.
            _ if session.deadline <= time.now => {}
            _ => self.sessions.arm_deadline(&mut self.context, id),
        }
    }

    pub(super) fn session_disconnected(&mut self, time: Time, id: SessionId, disconnect: Disconnect) {
        if self.sessions.get(id).is_some() {
            self.leave_seat_of(time, id, disconnect);
            self.sessions.remove(id);
        }
    }

    /// Counts a JOIN or RESUME of a room that does not exist; too many close the connection.
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
