//! A hub that was much larger once gives memory back. Pure: no I/O.

use super::{Context, Hub, Timer};
use crate::shrink::{SMALL, SPARE, Shrink};

impl Hub {
    /// To be called now and then, every `SHRINK_EVERY` milliseconds.
    pub fn shrink(&mut self) {
        self.forget_timers();
        self.sessions.shrink();
        self.relays.shrink();
        self.remote_members.shrink();
        self.rooms.shrink();
        self.search.shrink();
        self.context.known_owners.shrink();
        self.incoming.shrink();
        self.context.requests.tickets.shrink();
        self.context.effects.shrink();
    }

    /// Timers of what is gone are dropped when they come due. Where they are most of all, they are sought out.
    fn forget_timers(&mut self) {
        let Self { sessions, rooms, search, incoming, context: Context { timers, .. }, .. } = self;
        let lasting = sessions.len() + rooms.len() + search.len() + incoming.len();
        if timers.len() > SMALL.max(SPARE * lasting) {
            timers.retain(|timer| match timer {
                Timer::Session(id) => sessions.get(id).is_some(),
                Timer::Room(room) => rooms.index_of(room).is_some(),
                Timer::Search(room) => search.is_under_way(room),
                Timer::Incoming(room) => incoming.contains(room),
                _ => true,
            });
        }
    }
}
