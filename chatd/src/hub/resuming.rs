//! RESUME at the room's owner, and JOIN with the key of a seat that is taken: whose seat it is, and what its former connection was given. Pure: no I/O.

use super::Hub;
use super::request::{Asked, Entry, Resuming};
use crate::ids::{Reach, SessionRef, Time};
use crate::protocol::{ErrorCode, Heard, PlayerName, SeatId};
use crate::room::{Delivered, Resume, RoomEvent};

/// How long a pod may take to say what a connection was given whose seat is resumed (ms): RESUME is answered within 2 s.
const ASKED: u64 = 1_000;

impl Hub {
    /// Takes a held seat, or one that another connection has, with the token that was given for it.
    pub(super) fn resume(&mut self, time: Time, key: usize, asked: Asked, token: &str, heard: Option<Heard>) {
        let limits = self.context.settings.seat_limits();
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let found = match self.keys.verify(owned.room.id, token) {
            Ok((name, seat)) => {
                let Resume { reinstated, outcome } = owned.room.resume(name, seat, limits, time.now);
                if reinstated {
                    self.reinstated(time, key, name, seat);
                }
                outcome.map(|()| seat)
            }
            Err(code) => Err(code),
        };
        match found {
            Ok(seat) => self.take_back(time, key, seat, asked, Entry::Resume { token: token.to_owned(), heard }),
            Err(code) => {
                self.context.counters.joined(Err(code));
                self.refuse_entry(time, asked, code);
            }
        }
    }

    /// A session comes whose seat may be one whose answer the last owner had not yet noted.
    pub(super) fn reinstate(&mut self, time: Time, key: usize, name: PlayerName, seat: SeatId) {
        let limits = self.context.settings.seat_limits();
        if self.rooms.get_mut(key).is_some_and(|owned| owned.room.reinstate(name, seat, limits, time.now)) {
            self.reinstated(time, key, name, seat);
        }
    }

    /// The others, who may be here already, do not know of the seat.
    fn reinstated(&mut self, time: Time, key: usize, name: PlayerName, seat: SeatId) {
        if let Some(owned) = self.rooms.get_mut(key) {
            owned.entered();
            owned.changed();
        }
        self.write(time, key);
        self.announce_to_others(time, key, seat, RoomEvent::Entered(name));
    }

    /// A seat that is taken or held, for who has shown that it is its own.
    pub(super) fn take_back(&mut self, time: Time, key: usize, seat: SeatId, asked: Asked, entry: Entry) {
        let heard = match &entry {
            Entry::Resume { heard, .. } => *heard,
            Entry::Join { .. } => None,
        };
        let Some(reach) = self.rooms.get(key).and_then(|owned| owned.room.seat(seat)).map(|seat| seat.reach) else {
            return;
        };
        let earlier = self.end_asking(key, seat);
        if let Some(earlier) = &earlier {
            self.replaced(time, earlier.asked.by);
        }
        if heard.is_none() {
            let until = match reach {
                // Who comes back at once may be here before its own pod could say that the connection has ended.
                Some(Reach::Remote(old)) if self.context.peers.is_up(old.boot) => {
                    self.replaced(time, Reach::Remote(old));
                    let last = self.rooms.get(key).map_or(0, |owned| owned.room.seq());
                    self.detach_seat(time, key, seat, Delivered::Unknown(last));
                    Some(time.now + ASKED)
                }
                None => earlier.map(|earlier| earlier.until),
                Some(_) => None,
            };
            if let Some(until) = until
                && let Some(owned) = self.rooms.get_mut(key)
            {
                owned.resuming.push(Resuming { seat, asked, entry, since: time.now, until });
                return self.arm_room(time, key);
            }
        }
        self.take_seat(time, key, seat, asked, heard);
    }

    /// Whoever waits for what a seat's former connection was given waits no more.
    pub(super) fn end_asking(&mut self, key: usize, seat: SeatId) -> Option<Resuming> {
        let resuming = &mut self.rooms.get_mut(key)?.resuming;
        let index = resuming.iter().position(|resuming| resuming.seat == seat)?;
        Some(resuming.remove(index))
    }

    /// The pods with these connections do not say what those were given.
    pub(super) fn resume_unasked(&mut self, time: Time, gone: impl Fn(SessionRef) -> bool) {
        let mut seats = Vec::new();
        for (key, owned) in self.rooms.iter() {
            for Resuming { seat, .. } in &owned.resuming {
                let holder = owned.room.seat(*seat).and_then(|seat| seat.holder);
                if holder.is_none_or(&gone) {
                    seats.push((key, *seat));
                }
            }
        }
        for (key, seat) in seats {
            if let Some(resuming) = self.end_asking(key, seat) {
                self.take_seat(time, key, seat, resuming.asked, None);
            }
        }
    }

    /// The same of one room, for those whose time is over.
    pub(super) fn resuming_due(&mut self, time: Time, key: usize) {
        let Some(owned) = self.rooms.get_mut(key).filter(|owned| owned.ready()) else {
            return;
        };
        let due: Vec<Resuming> = owned.resuming.extract_if(.., |resuming| resuming.until <= time.now).collect();
        for Resuming { seat, asked, .. } in due {
            self.take_seat(time, key, seat, asked, None);
        }
    }

    /// Seats who resumes, in place of the former connection. `heard`: what the client says that it has heard.
    pub(super) fn take_seat(&mut self, time: Time, key: usize, seat: SeatId, asked: Asked, heard: Option<Heard>) {
        let connection = self.connection(asked);
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let Some(taken) = owned.room.take_seat(seat, connection) else {
            self.context.counters.joined(Err(ErrorCode::BadToken));
            return self.refuse_entry(time, asked, ErrorCode::BadToken);
        };
        if let Some(old) = taken.former.reach {
            self.replaced(time, old);
        }
        self.taken_again(time, key, seat, &taken);
        self.rooms.forget_old(time.now, key, self.context.settings.ring);
        let Some(owned) = self.rooms.get(key) else {
            return;
        };
        let plan = owned.room.replay_plan(&taken.former, heard);
        self.context.counters.joined(Ok(()));
        self.context.counters.resumed += 1;
        self.context.counters.missed += plan.missed.unwrap_or_default();
        self.welcome(time, key, asked, seat, true, plan);
    }
}
