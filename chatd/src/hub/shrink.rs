//! A hub that was much larger once gives memory back. Pure: no I/O.

use super::{Hub, Timer};
use crate::shrink::{SMALL, SPARE, Shrink};

impl Hub {
    /// To be called now and then, every `SHRINK_EVERY` milliseconds.
    pub fn shrink(&mut self) {
        self.forget_timers();
        self.sessions.shrink();
        self.relays.shrink();
        self.guests.shrink();
        self.rooms.shrink();
        self.index.shrink();
        self.finds.shrink();
        self.seen.shrink();
        self.arriving.shrink();
        self.checks.shrink();
        self.tickets.shrink();
        self.effects.shrink();
        self.dirty.shrink();
        self.charges.shrink();
        self.woken.shrink();
    }

    /// Timers of what is gone are dropped when they come due. Where they are most of all, they are sought out.
    fn forget_timers(&mut self) {
        let Self { sessions, index, finds, arriving, timers, .. } = self;
        let lasting = sessions.len() + index.len() + finds.len() + arriving.len();
        if timers.len() > SMALL.max(SPARE * lasting) {
            timers.retain(|(_, timer)| match timer {
                Timer::Session(id) => sessions.get(id.index as usize).is_some_and(|session| session.id == *id),
                Timer::Room(room) => index.contains_key(room),
                Timer::Find(room) => finds.contains_key(room),
                Timer::Arrival(room) => arriving.contains_key(room),
                _ => true,
            });
        }
    }
}
