//! From a client's bytes to its commands, one at a time and in order. Pure: no I/O.

use std::borrow::Cow;

use super::session::{Place, Session};
use super::{Hub, Timer};
use crate::ids::{Reach, SessionId, Time};
use crate::peer_protocol::Drop;
use crate::protocol::{Command, Encoding, ErrorCode, MAX_LINE, MAX_UNFINISHED_LINE, json, lines};

/// Who asked for something, and what its reply has to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    pub by: Reach,
    /// The number of a relayed command; 0 for one that was asked here.
    pub number: u64,
    /// The client's own.
    pub id: Option<u64>,
}

impl Asked {
    pub fn here(session: SessionId, id: Option<u64>) -> Self {
        Self { by: Reach::Local(session), number: 0, id }
    }

    /// The relayed command that is answered.
    pub fn replies(self) -> Option<u64> {
        (self.number > 0).then_some(self.number)
    }
}

/// The first line in `bytes`, without its LF, and the bytes that it takes.
fn first_line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = memchr::memchr(b'\n', bytes)?;
    Some((&bytes[..end], end + 1))
}

/// With LF for the NUL that telnet sends after CR. `before`: the byte that came before.
fn line_ends(bytes: &[u8], mut before: Option<u8>) -> Cow<'_, [u8]> {
    if memchr::memchr(0, bytes).is_none() {
        return Cow::Borrowed(bytes);
    }
    let end = |byte: &u8| if before.replace(*byte) == Some(b'\r') && *byte == 0 { b'\n' } else { *byte };
    Cow::Owned(bytes.iter().map(end).collect())
}

impl Hub {
    pub(super) fn received_lines(&mut self, time: Time, id: SessionId, bytes: &[u8]) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if matches!(session.place, Place::Closing) {
            return;
        }
        let unfinished = &session.waiting.bytes;
        if session.fresh && unfinished.is_empty() && bytes.first().is_some_and(|byte| lines::is_foreign_byte(*byte)) {
            return self.abort(id);
        }
        let bytes = &*line_ends(bytes, unfinished.last().copied());
        // Most often nothing waits, and lines are taken from what was read without a copy.
        let used = if session.waiting.bytes.is_empty() { self.take_lines(time, id, bytes) } else { 0 };
        if let Some(session) = self.sessions.get_mut(id) {
            session.waiting.bytes.extend_from_slice(&bytes[used..]);
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
        if session.waiting.messages.is_empty() && self.ready(session) {
            self.message(time, id, text);
        } else if let Some(session) = self.sessions.get_mut(id)
            && !matches!(session.place, Place::Closing)
        {
            session.waiting.messages.push_back(text.into());
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
        if !session.waiting.bytes.is_empty() {
            let bytes = std::mem::take(&mut session.waiting.bytes);
            let used = self.take_lines(time, id, &bytes);
            let Some(session) = self.sessions.get_mut(id) else {
                return;
            };
            let mut rest = bytes;
            rest.drain(..used);
            if !rest.is_empty() {
                session.waiting.bytes = rest;
            }
            self.limit_unfinished(time, id);
        }
        while let Some(session) = self.sessions.get(id)
            && self.ready(session)
            && let Some(text) = self.sessions.get_mut(id).and_then(|session| session.waiting.messages.pop_front())
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
        {
            let (skipped, fresh) = (session.waiting.skipped, session.fresh);
            let outside = session.outside();
            let rest = &bytes[used..];
            let Some((line, taken)) = first_line(rest) else {
                break;
            };
            used += taken;
            let line = if fresh { lines::without_preamble(line) } else { line };
            if fresh {
                if skipped + taken > MAX_LINE || lines::is_foreign(line) {
                    self.abort(id);
                    break;
                }
                let deadline = time.now + self.context.settings.idle_timeout;
                if let Some(session) = self.sessions.get_mut(id) {
                    session.fresh = false;
                    session.deadline = deadline;
                }
                self.arm_deadline(id);
            }
            if skipped + taken > MAX_UNFINISHED_LINE {
                self.fail(time, id, ErrorCode::LineTooLong);
            } else if skipped + taken > MAX_LINE {
                if let Some(session) = self.sessions.get_mut(id) {
                    session.waiting.skipped = 0;
                }
                self.command(time, Asked::here(id, None), Err(ErrorCode::LineTooLong));
            } else if let Some(command) = lines::parse(line, !outside) {
                self.command(time, Asked::here(id, None), command);
            } else {
                self.context.counters.commands_in += 1;
                self.charge_frame(time, id);
            }
        }
        used
    }

    /// Throws away the beginning of an overlong line, and ends the connection of one that never ends.
    fn limit_unfinished(&mut self, time: Time, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let waiting = &mut session.waiting;
        if waiting.skipped + waiting.bytes.len() > MAX_LINE && memchr::memchr(b'\n', &waiting.bytes).is_none() {
            waiting.skipped += waiting.bytes.len();
            waiting.bytes = Vec::new();
            if session.fresh {
                // Not of this protocol; what follows would be taken for commands.
                self.abort(id);
            } else if waiting.skipped > MAX_UNFINISHED_LINE {
                self.fail(time, id, ErrorCode::LineTooLong);
            }
        }
    }

    fn message(&mut self, time: Time, id: SessionId, text: &str) {
        let (number, command) = json::parse(text);
        self.command(time, Asked::here(id, number), command);
    }

    /// One command of a client of this hub, or what is wrong with it.
    fn command(&mut self, time: Time, asked: Asked, command: Result<Command<'_>, ErrorCode>) {
        let Reach::Local(id) = asked.by else {
            return;
        };
        self.context.counters.commands_in += 1;
        let idle_until = time.now + self.context.settings.idle_timeout;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if matches!(session.place, Place::Seated { .. } | Place::Relayed(_)) {
            // The seat's bucket decides; this one keeps count, so that leaving and joining again brings no new burst.
            let _ = session.bucket.take(time.now);
        }
        match &session.place {
            Place::Seated { key, seat } => {
                let (key, seat) = (*key, *seat);
                self.command_in_room(time, key, seat, asked, command);
            }
            Place::Relayed(_) => self.relay_command(time, id, asked.id, command),
            _ => {
                let limited = session.bucket.take(time.now);
                let outcome = match (&command, limited) {
                    (_, Err(_)) => Err(ErrorCode::RateLimited),
                    (Ok(_), _) => Ok(()),
                    (Err(code), _) => Err(*code),
                };
                if outcome.is_ok() {
                    session.deadline = idle_until;
                }
                let enough = session.strikes.note(outcome, time.now);
                match (limited, command) {
                    (Err(retry), _) => self.refuse_later(time, asked, ErrorCode::RateLimited, retry),
                    (Ok(()), Ok(command)) => self.command_outside(time, asked, command),
                    (Ok(()), Err(code)) => self.refuse(time, asked, code),
                }
                if enough {
                    self.fail_quietly(time, id, outcome.err());
                }
            }
        }
    }

    /// An empty line, or a frame that is no message: from the connection's own bucket.
    pub(super) fn charge_frame(&mut self, time: Time, id: SessionId) -> bool {
        let Some(session) = self.sessions.get_mut(id) else {
            return false;
        };
        let paid = session.bucket.take(time.now).is_ok();
        if !paid && session.strikes.note(Err(ErrorCode::RateLimited), time.now) {
            self.fail(time, id, ErrorCode::RateLimited);
        }
        paid
    }

    /// At the end of the client's input, once all of it is carried out and answered: the end of the session.
    pub(super) fn end_if_done(&mut self, time: Time, id: SessionId) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        if !session.waiting.ended || !session.waiting.messages.is_empty() {
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
            _ => self.arm_deadline(id),
        }
    }

    /// The session is outside again: its time there starts anew, and what it sent meanwhile is carried out.
    pub(super) fn now_outside(&mut self, time: Time, id: SessionId) {
        let deadline = time.now + self.context.settings.idle_timeout;
        if let Some(session) = self.sessions.get_mut(id) {
            session.place = Place::Outside;
            session.room = None;
            session.deadline = deadline;
            self.arm_deadline(id);
        }
    }

    /// Sees to it that the session's deadline is looked at, with one timer however often the deadline moves.
    pub(super) fn arm_deadline(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id)
            && session.looked_at.is_none_or(|at| at > session.deadline)
        {
            let deadline = session.deadline;
            session.looked_at = Some(deadline);
            self.context.arm(deadline, Timer::Session(id));
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
        let limit = self.context.settings.max_misses;
        if let Some(session) = self.sessions.get_mut(id) {
            session.misses += 1;
            if session.misses >= limit {
                self.fail(time, id, ErrorCode::RateLimited);
            }
        }
    }

    pub(super) fn encoding_of(&self, by: Reach) -> Option<Encoding> {
        match by {
            Reach::Local(id) => self.sessions.get(id).map(|session| session.encoding),
            Reach::Guest(connection) => self.remote_members.get(connection).map(|guest| guest.encoding),
        }
    }
}
