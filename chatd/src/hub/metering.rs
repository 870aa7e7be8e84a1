//! Creations of each connection; misses and creations of clients whose address is limited (docs/protocol.md, Limits). The driver
//! knows the address. Pure: no I/O.

use super::Hub;
use super::request::Asked;
use crate::ids::{SessionId, Time};
use crate::protocol::Command;

impl Hub {
    /// From now on [`Hub::take_charges`] tells of this session.
    pub fn meter(&mut self, session: SessionId) {
        if let Some(session) = self.sessions.get_mut(session) {
            session.limits.metered = true;
        }
    }

    /// Until then (ms) the session makes and enters no room: it is told `rate_limited`.
    pub fn limit(&mut self, session: SessionId, until: u64) {
        if let Some(session) = self.sessions.get_mut(session) {
            session.limits.limited_until = until;
        }
    }

    /// Moves to the end of `into` each metered session, once for each room that it missed or made.
    pub fn take_charges(&mut self, into: &mut Vec<SessionId>) {
        self.sessions.take_charges(into);
    }

    /// Refuses what would make or enter a room, if the session may not. True: it is refused.
    pub(super) fn refuse_limited(&mut self, time: Time, id: SessionId, asked: Asked, command: &Command<'_>) -> bool {
        let Some(session) = self.sessions.get_mut(id) else {
            return false;
        };
        let verdict = session.limits.entry(time.now, command);
        self.refuse_by(time, asked, verdict)
    }
}
