//! All sessions of a hub, with the lists of those that have output, have to run, or have to be charged. Pure: no I/O.

use slab::Slab;

use super::context::{Context, Timer};
use super::session::{Session, SessionRoom, SessionState};
use crate::ids::{SessionId, Time};
use crate::shrink::Shrink;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Sessions {
    table: Slab<Session>,
    generation: u32,
    /// The sessions with output, each once.
    dirty: Vec<SessionId>,
    /// The sessions that have missed or created a room, once per room.
    charges: Vec<SessionId>,
    /// The sessions whose wait has ended in this call.
    woken: Vec<SessionId>,
}

impl Sessions {
    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.table.iter().map(|(_, session)| session)
    }

    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.table.get(id.index as usize).filter(|session| session.id == id)
    }

    pub fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.table.get_mut(id.index as usize).filter(|session| session.id == id)
    }

    /// A session that is not closing.
    pub fn open_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.get_mut(id).filter(|session| !session.is_closing())
    }

    pub fn insert(&mut self, mut session: Session) -> SessionId {
        self.generation = self.generation.wrapping_add(1);
        let entry = self.table.vacant_entry();
        let id = SessionId { index: entry.key() as u32, generation: self.generation };
        session.id = id;
        session.looked_at = None;
        entry.insert(session);
        id
    }

    /// `None`: it is not here any more.
    pub fn remove(&mut self, id: SessionId) -> Option<Session> {
        self.get(id)?;
        let mut session = self.table.remove(id.index as usize);
        // It is in this table's list of sessions with output; the other table has yet to list it.
        session.dirty = false;
        Some(session)
    }

    /// The session has left its room: its time outside a room begins again.
    pub fn now_outside(&mut self, context: &mut Context, time: Time, id: SessionId) {
        if let Some(session) = self.get_mut(id) {
            session.state = SessionState::Outside;
            session.room = SessionRoom::None;
            let deadline = time.now + context.settings.idle_timeout;
            self.set_deadline(context, id, deadline);
        }
    }

    /// Silence until `deadline` (ms) ends the connection, unless the session is in a room by then.
    pub fn set_deadline(&mut self, context: &mut Context, id: SessionId, deadline: u64) {
        if let Some(session) = self.get_mut(id) {
            session.deadline = deadline;
            self.arm_deadline(context, id);
        }
    }

    /// Sets a timer for the session's deadline: one timer, however often the deadline moves.
    pub fn arm_deadline(&mut self, context: &mut Context, id: SessionId) {
        if let Some(session) = self.get_mut(id)
            && session.looked_at.is_none_or(|at| at > session.deadline)
        {
            session.looked_at = Some(session.deadline);
            context.arm(session.deadline, Timer::Session(id));
        }
    }

    pub fn mark_dirty(&mut self, id: SessionId) {
        if let Some(found) = self.table.get_mut(id.index as usize).filter(|session| session.id == id)
            && !found.dirty
        {
            found.dirty = true;
            self.dirty.push(id);
        }
    }

    /// The session's wait has ended: it runs at the end of this batch.
    pub fn wake(&mut self, id: SessionId) {
        self.woken.push(id);
    }

    pub fn next_woken(&mut self) -> Option<SessionId> {
        self.woken.pop()
    }

    pub fn woken(&self) -> usize {
        self.woken.len()
    }

    /// The session has missed or created a room, which counts for its address.
    pub fn charge(&mut self, id: SessionId) {
        if self.get(id).is_some_and(|session| session.limits.metered) {
            self.charges.push(id);
        }
    }

    pub fn take_charges(&mut self, into: &mut Vec<SessionId>) {
        into.append(&mut self.charges);
    }

    /// May list a session twice.
    pub fn take_dirty(&mut self, into: &mut Vec<SessionId>) {
        for session in self.dirty.drain(..) {
            if let Some(found) = self.table.get_mut(session.index as usize) {
                found.dirty = false;
            }
            into.push(session);
        }
    }

    /// Panics if the table and its lists contradict each other.
    pub fn check_invariants(&self) {
        for (index, session) in &self.table {
            assert_eq!(session.id.index as usize, index, "a session stands where its number says");
        }
        let mut dirty: Vec<SessionId> = self.iter().filter(|session| session.dirty).map(|session| session.id).collect();
        for id in &self.dirty {
            if let Some(at) = dirty.iter().position(|other| other == id) {
                dirty.swap_remove(at);
            }
        }
        assert!(dirty.is_empty(), "marked as dirty and not to be written: {dirty:?}");
    }

    pub fn shrink(&mut self) {
        self.table.shrink();
        self.dirty.shrink();
        self.charges.shrink();
        self.woken.shrink();
    }
}
