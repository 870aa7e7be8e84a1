//! What is due when. Pure: no I/O.

use std::collections::BTreeSet;

use super::session::SessionRoom;
use crate::ids::SessionId;
use crate::protocol::RoomId;

/// A timer: the object that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    Session(SessionId),
    Room(RoomId),
    Search(RoomId),
    Incoming(RoomId),
    Peers,
    Watches,
    Drain,
    Owners,
    Placement,
    Listings,
    Balance,
}

/// All timers of a hub. Those of sessions and of owned rooms stand apart: they are many, and a room's id is long.
#[derive(Debug, Default)]
pub struct Timers {
    sessions: BTreeSet<(u64, SessionId)>,
    rooms: BTreeSet<(u64, SessionRoom)>,
    others: BTreeSet<(u64, Timer)>,
}

impl Timers {
    pub fn len(&self) -> usize {
        self.sessions.len() + self.rooms.len() + self.others.len()
    }

    pub fn insert(&mut self, at: u64, timer: Timer) {
        match timer {
            Timer::Session(session) => self.sessions.insert((at, session)),
            Timer::Room(room) => self.rooms.insert((at, room.into())),
            other => self.others.insert((at, other)),
        };
    }

    /// The next one that is due; of several at a time, the sessions' first.
    pub fn first(&self) -> Option<(u64, Timer)> {
        let session = self.sessions.first().map(|(at, session)| (*at, Timer::Session(*session)));
        let room = self.rooms.first().and_then(|(at, room)| Some((*at, Timer::Room(room.get()?))));
        session.into_iter().chain(room).chain(self.others.first().copied()).min()
    }

    /// Removes the next one, if it is due by `now`.
    pub fn pop_due(&mut self, now: u64) -> Option<Timer> {
        let (_, timer) = self.first().filter(|(at, _)| *at <= now)?;
        match timer {
            Timer::Session(_) => {
                self.sessions.pop_first();
            }
            Timer::Room(_) => {
                self.rooms.pop_first();
            }
            _ => {
                self.others.pop_first();
            }
        }
        Some(timer)
    }

    pub fn retain(&mut self, keeps: impl Fn(Timer) -> bool) {
        self.sessions.retain(|(_, session)| keeps(Timer::Session(*session)));
        self.rooms.retain(|(_, room)| room.get().is_some_and(|room| keeps(Timer::Room(room))));
        self.others.retain(|(_, timer)| keeps(*timer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_are_due_in_order_and_sessions_before_others_of_their_time() {
        let session = |index| Timer::Session(SessionId { index, generation: 0 });
        let mut timers = Timers::default();
        for (at, timer) in [(5, Timer::Peers), (7, session(1)), (5, session(2)), (5, Timer::Balance), (9, Timer::Drain)]
        {
            timers.insert(at, timer);
            timers.insert(at, timer);
        }
        assert_eq!((timers.len(), timers.first()), (5, Some((5, session(2)))));
        assert_eq!(timers.pop_due(4), None);
        let due: Vec<Timer> = std::iter::from_fn(|| timers.pop_due(8)).collect();
        assert_eq!(due, [session(2), Timer::Peers, Timer::Balance, session(1)]);
        timers.retain(|timer| timer != Timer::Drain);
        assert_eq!(timers.first(), None);
    }
}
