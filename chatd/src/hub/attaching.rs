//! A session that had a seat comes to the room's new owner, or back to the same. Pure: no I/O.

use super::Hub;
use super::admission::Joining;
use super::replay::Unheard;
use super::request::Asked;
use super::session::Place;
use crate::ids::{Reach, SessionRef, Time};
use crate::peer_protocol::{After, Attach, Delivery};
use crate::protocol::{Event, SeatId};
use crate::room::{RoomEvent, Seat, SeatState};

/// Up to where the commands of a session that attached were carried out; `None`: unknown, another owner had them.
#[derive(Debug, Clone, Copy)]
pub struct Settled {
    pub processed: Option<u64>,
}

impl Hub {
    /// Gives the session its seat, if that is still its own. `None`: it has not got it, and has been told so.
    pub(super) fn attach(
        &mut self,
        time: Time,
        key: usize,
        asked: Asked,
        connection: SessionRef,
        attach: &Attach,
    ) -> Option<Settled> {
        let owned = self.rooms.get_mut(key)?;
        let same = owned.room.timeline == attach.timeline;
        let seat = owned.room.seat(attach.seat).filter(|seat| seat.name == attach.name).map(|seat| seat.id);
        let Some(seat) = seat else {
            // Or the one that it was given when it attached before, and has not heard of.
            let given = |seat: &&Seat| seat.holder == Some(connection) && seat.name == attach.name;
            match owned.room.seats.iter().find(given).map(|seat| seat.id) {
                Some(seat) => self.seat_again(time, key, asked, seat),
                None => self.admit_stranger(time, key, asked, attach),
            }
            return None;
        };
        let is_resumed = owned.resuming.iter().any(|resuming| resuming.seat == seat);
        let found = owned.room.seat_mut(seat)?;
        if is_resumed || found.holder.is_some_and(|holder| holder != connection) {
            self.replaced(time, asked.by);
            return None;
        }
        let name = found.name;
        if matches!(found.state, SeatState::Away { .. }) {
            // Before the seat is live, so that nothing comes between.
            self.announce_to_others(time, key, seat, RoomEvent::Back(name));
        }
        let owned = self.rooms.get_mut(key)?;
        let found = owned.room.seat_mut(seat)?;
        let held_already = found.hold();
        found.state = SeatState::Live;
        found.reach = Some(asked.by);
        found.holder = Some(connection);
        found.resumable = attach.resumable;
        // The negative control: everything that was not answered is carried out, again.
        let numbered = self.context.settings.rules.number_commands;
        let processed = if numbered { same.then_some(found.processed) } else { Some(0) };
        // A session that is here now numbers its commands anew, should it be relayed again.
        if !same || matches!(asked.by, Reach::Local(_)) {
            found.processed = 0;
        }
        let changed = found.hold() != held_already;
        if changed {
            owned.changed();
            self.write(time, key);
        }
        let news = self.encode_attached(time, key, same, attach);
        if let Reach::Remote(connection) = asked.by {
            let timeline = self.rooms.get(key)?.room.timeline;
            self.remote_members.set_seat(connection, Some(seat));
            let Attach { resumable, key, .. } = *attach;
            let after = After::Admitted { name, seat, resumable, key, timeline, joined: false };
            // In one frame: who has the new timeline knows that it is another, and that nobody knows what was missed.
            let delivery = Delivery { replies: None, place: (0, 0), bytes: news.into(), after: Some(after) };
            self.remote_members.deliver(&mut self.context.peers, connection, delivery);
        } else if let Reach::Local(id) = asked.by {
            self.say_bytes(time, id, &news);
        }
        self.catch_up(time, key, asked.by, connection, same, attach);
        if let Reach::Remote(connection) = asked.by {
            let place = self.rooms.get(key).map_or((0, 0), |owned| (owned.room.position, owned.room.seq));
            let after = Some(After::CaughtUp { processed });
            let delivery = Delivery { replies: None, place, bytes: (&[]).into(), after };
            self.remote_members.deliver(&mut self.context.peers, connection, delivery);
        }
        self.arm_room(time, key);
        Some(Settled { processed })
    }

    /// A session that has this seat and does not know it: it is told as if it had just joined.
    fn seat_again(&mut self, time: Time, key: usize, asked: Asked, seat: SeatId) {
        let Some(found) = self.rooms.get_mut(key).and_then(|owned| owned.room.seat_mut(seat)) else {
            return;
        };
        let (name, was_away) = (found.name, matches!(found.state, SeatState::Away { .. }));
        (found.state, found.reach, found.processed) = (SeatState::Live, Some(asked.by), 0);
        if was_away {
            self.announce_to_others(time, key, seat, RoomEvent::Back(name));
        }
        self.welcome(time, key, asked, seat, false, Unheard::UNKNOWN);
    }

    /// A session whose seat this owner does not know: admitted as a join would be, with a new seat.
    fn admit_stranger(&mut self, time: Time, key: usize, asked: Asked, attach: &Attach) {
        let Some(owned) = self.rooms.get(key) else {
            return;
        };
        let room = owned.room.id;
        match owned.room.admits(attach.name, self.context.settings.max_players) {
            Ok(()) => {
                if let Reach::Local(id) = asked.by
                    && let Some(session) = self.sessions.get_mut(id)
                {
                    session.place = Place::Busy;
                    session.room = Some(room);
                }
                let Attach { name, resumable, key: seat_key, .. } = *attach;
                let joining = Joining { name, resumable, key: seat_key, counts: false, since: time.now };
                self.join(time, key, asked, joining);
            }
            Err(code) => {
                self.refuse(time, asked, code);
                match asked.by {
                    Reach::Local(id) => {
                        self.reply(time, asked, &Event::Left { room });
                        self.now_outside(time, id);
                        self.sessions.wake(id);
                    }
                    Reach::Remote(connection) => {
                        let (event, after) = (Event::Left { room }, After::Outside { miss: false });
                        self.remote_members.part_with(&mut self.context.peers, connection, asked, &event, after);
                    }
                }
            }
        }
    }
}
