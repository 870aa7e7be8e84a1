//! RESUME at the room's owner, and JOIN with the key of a seat that is taken: whose seat it is, and what its former connection was given. Pure: no I/O.

use super::Hub;
use super::admission::Joining;
use super::replay::{MOST_REPLAY, Unheard};
use super::request::{Asked, Entry, Resuming};
use crate::ids::{Reach, SessionRef, Time};
use crate::protocol::{ErrorCode, Heard, PlayerName, SeatId};
use crate::room::{Bucket, Delivered, RoomEvent, SeatState};

/// How long a pod may take to say what a connection was given whose seat is resumed (ms): RESUME is answered within 2 s.
const ASKED: u64 = 1_000;

impl Hub {
    /// Takes a held seat, or one that another connection has, with the token that was given for it.
    pub(super) fn resume(&mut self, time: Time, key: usize, asked: Asked, token: &str, heard: Option<Heard>) {
        let Some(owned) = self.rooms.get(key) else {
            return;
        };
        let verified = self.keys.verify(owned.room.id, token);
        if let Ok((name, seat)) = verified {
            self.reinstate(time, key, name, seat);
        }
        let Some(owned) = self.rooms.get(key) else {
            return;
        };
        let seat = match verified {
            Ok((name, seat)) => owned
                .room
                .seat(seat)
                .filter(|seat| seat.resumable && seat.name == name && seat.state != SeatState::Joining)
                .ok_or(ErrorCode::BadToken),
            Err(code) => Err(code),
        };
        match seat.map(|seat| seat.id) {
            Ok(seat) => self.take_back(time, key, seat, asked, Entry::Resume { token: token.to_owned(), heard }),
            Err(code) => {
                self.context.counters.joined(Err(code));
                self.refuse_entry(time, asked, code);
            }
        }
    }

    /// Who comes for a seat whose answer the last owner had not yet noted has had that answer, and so the seat, if nobody else has
    /// its name or place by now. The others, who may be here already, do not know of it.
    pub(super) fn reinstate(&mut self, time: Time, key: usize, name: PlayerName, seat: SeatId) {
        let bucket = Bucket::new(self.context.settings.rate, self.context.settings.burst, time.now);
        let most = self.context.settings.max_players;
        if let Some(owned) = self.rooms.get_mut(key)
            && owned.room.reinstate(name, seat, most, bucket, time.now)
        {
            owned.entered();
            owned.changed();
            self.write(time, key);
            self.announce_to_others(time, key, seat, RoomEvent::Entered(name));
        }
    }

    /// JOIN of who has shown the key of this seat.
    pub(super) fn join_again(&mut self, time: Time, key: usize, asked: Asked, seat: SeatId, entry: Entry, since: u64) {
        let Entry::Join { name, resumable, key: seat_key } = entry else {
            return;
        };
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let Some(found) = owned.room.seat_mut(seat) else {
            return;
        };
        if found.state == SeatState::Joining {
            // Its answer waits for the write: this one is given it instead.
            let old = owned.room.remove(seat).and_then(|seat| seat.reach);
            if let Some(old) = old {
                self.replaced(time, old);
            }
            return self.join(time, key, asked, Joining { name, resumable, key: seat_key, counts: true, since });
        }
        let held = found.hold();
        found.resumable = resumable;
        if found.hold() != held {
            owned.changed();
            self.write(time, key);
        }
        self.take_back(time, key, seat, asked, entry);
    }

    /// A seat that is taken or held, for who has shown that it is its own.
    fn take_back(&mut self, time: Time, key: usize, seat: SeatId, asked: Asked, entry: Entry) {
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
                    let last = self.rooms.get(key).map_or(0, |owned| owned.room.seq);
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
        let connection = self.connection(asked.by);
        let Some(owned) = self.rooms.get(key) else {
            return;
        };
        let Some((reach, state, delivered)) =
            owned.room.seat(seat).map(|seat| (seat.reach, seat.state, seat.delivered))
        else {
            self.context.counters.joined(Err(ErrorCode::BadToken));
            return self.refuse_entry(time, asked, ErrorCode::BadToken);
        };
        let (timeline, last) = (owned.room.timeline, owned.room.seq);
        if let Some(old) = reach {
            self.replaced(time, old);
        }
        let name = self.rooms.get(key).and_then(|owned| owned.room.seat(seat)).map(|seat| seat.name);
        if let (SeatState::Away { .. }, Some(name)) = (state, name) {
            self.announce_to_others(time, key, seat, RoomEvent::Back(name));
        }
        if let Some(owned) = self.rooms.get_mut(key)
            && let Some(found) = owned.room.seat_mut(seat)
        {
            let held = found.hold();
            found.state = SeatState::Live;
            found.reach = Some(asked.by);
            found.holder = connection;
            found.processed = asked.number;
            // A relayed one is held by the next owner, too.
            if found.hold() != held {
                owned.changed();
                self.write(time, key);
            }
        }
        self.rooms.forget_old(time.now, key, self.context.settings.ring);
        let Some(ring) = self.rooms.get(key).map(|owned| &owned.room.ring) else {
            return;
        };
        // What went to a connection that seems to live may have been read or not.
        let delivered = if reach.is_some() { Delivered::Unknown(last) } else { delivered };
        // What nobody in this seat can have heard comes after this message.
        let unheard = match delivered {
            Delivered::UpTo(seq) | Delivered::Unknown(seq) => Some(seq),
            Delivered::Nothing => Some(0),
        };
        // Up to where it has heard all, and from where on it is given what is there still.
        let (heard_up_to, since) = match heard {
            Some(heard) if heard.timeline == timeline => {
                let came = name.and_then(|name| ring.before(name)).unwrap_or_default();
                let since = heard.last_seq.max(came).min(last);
                (Some(since), Some(since))
            }
            // Whoever says nothing (lines) has heard what its connection was given.
            None if matches!(delivered, Delivered::UpTo(_)) => (unheard, unheard),
            _ => (None, unheard),
        };
        let since = since.map(|since| since.max(ring.start_within(MOST_REPLAY)).min(last));
        let missed =
            heard_up_to.zip(since).map(|(heard, since)| since.saturating_sub(heard) + ring.missed(since, last));
        self.context.counters.joined(Ok(()));
        self.context.counters.resumed += 1;
        self.context.counters.missed += missed.unwrap_or_default();
        self.welcome(time, key, asked, seat, true, Unheard { missed, since });
    }
}
