//! A session that had a seat comes to the room's new owner, or back to the same. Pure: no I/O.

use super::Hub;
use super::admission::Joining;
use super::request::Asked;
use super::session::Place;
use crate::ids::{Reach, SessionRef, Time};
use crate::peer_protocol::{After, Attach, Delivery};
use crate::protocol::{ErrorCode, SeatId};
use crate::room::{Attach as Outcome, Connection, Membership, Newcomer, ReplayPlan, RoomEvent, Taken};

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
        session: SessionRef,
        attach: &Attach,
    ) -> Option<Settled> {
        let member = &attach.member;
        let by = Connection { session: Some(session), ..self.connection(asked) };
        let players = self.context.settings.max_players;
        let owned = self.rooms.get_mut(key)?;
        let resumed = owned.resuming.iter().any(|resuming| resuming.seat == member.seat);
        match owned.room.attach(member, by, resumed, players) {
            Outcome::Own { taken, processed } => {
                self.taken_again(time, key, member.seat, &taken);
                // The negative control: everything that was not answered is carried out, again.
                let numbered = self.context.settings.rules.number_commands;
                let processed = if numbered { processed } else { Some(0) };
                self.catch_up(time, key, asked.by, session, attach, processed);
                self.arm_room(time, key);
                return Some(Settled { processed });
            }
            // It does not know the seat: it is told as if it had just joined.
            Outcome::Again { seat, taken } => {
                self.taken_again(time, key, seat, &Taken { rewrite: false, ..taken });
                self.welcome(time, key, asked, seat, false, ReplayPlan::UNKNOWN);
            }
            Outcome::Replaced => self.replaced(time, asked.by),
            Outcome::Stranger => self.join_anew(time, key, asked, member),
            Outcome::Refused(code) => self.stays_outside(time, key, asked, code),
        }
        None
    }

    /// A player has taken its seat again: the others hear that it is back, and the record of a seat that is held otherwise now.
    pub(super) fn taken_again(&mut self, time: Time, key: usize, seat: SeatId, taken: &Taken) {
        if taken.former.away {
            self.announce_to_others(time, key, seat, RoomEvent::Back(taken.former.name));
        }
        if taken.rewrite
            && let Some(owned) = self.rooms.get_mut(key)
        {
            owned.changed();
            self.write(time, key);
        }
    }

    /// Tells an attached session what has changed for it, and what it has not heard.
    fn catch_up(
        &mut self,
        time: Time,
        key: usize,
        to: Reach,
        session: SessionRef,
        attach: &Attach,
        processed: Option<u64>,
    ) {
        self.rooms.forget_old(time.now, key, self.context.settings.ring);
        let Some(owned) = self.rooms.get(key) else {
            return;
        };
        let (room, member) = (&owned.room, &attach.member);
        let mut news = Vec::new();
        let missed = room.encode_attached(member, attach.moved, attach.encoding, &mut news);
        let events = room.catch_up(member, session, attach.encoding);
        let (place, timeline) = (room.place(), room.timeline());
        let messages = events.iter().filter(|event| event.seq.is_some()).count() as u64;
        self.context.counters.missed += missed.unwrap_or_default();
        self.context.counters.replayed += messages;
        self.context.counters.messages_out += messages;
        match to {
            Reach::Remote(to) => {
                let Membership { name, seat, resumable, key, .. } = *member;
                self.remote_members.set_seat(to, Some(seat));
                let after = After::Admitted { name, seat, resumable, key, timeline, joined: false };
                // In one frame: who has the new timeline knows that it is another, and that nobody knows what was missed.
                let first = Delivery { replies: None, place: (0, 0), bytes: news.into(), after: Some(after) };
                let missed = events.into_iter().map(|event| Delivery {
                    replies: (event.replies > 0).then_some(event.replies),
                    place: (event.position, event.seq.unwrap_or_default()),
                    bytes: event.bytes.into(),
                    after: None,
                });
                let after = Some(After::CaughtUp { processed });
                let last = Delivery { replies: None, place, bytes: (&[]).into(), after };
                for delivery in std::iter::once(first).chain(missed).chain([last]) {
                    self.remote_members.deliver(&mut self.context.peers, to, delivery);
                }
            }
            Reach::Local(to) => {
                self.say_bytes(to, &news);
                for event in events {
                    if event.replies > 0 {
                        self.sessions.relay_replied(&mut self.context, to, event.replies);
                    }
                    self.say_bytes(to, &event.bytes);
                }
            }
        }
    }

    /// A session whose seat this owner does not know: admitted as a JOIN would be, with a new seat.
    fn join_anew(&mut self, time: Time, key: usize, asked: Asked, member: &Membership) {
        let room = self.rooms.get(key).map(|owned| owned.room.id);
        if let Reach::Local(id) = asked.by
            && let Some(session) = self.sessions.get_mut(id)
        {
            session.place = Place::Busy;
            session.room = room;
        }
        let Membership { name, resumable, key: seat_key, .. } = *member;
        let who = Newcomer { name, resumable, key: seat_key };
        self.join(time, key, asked, Joining { who, counts: false, since: time.now });
    }

    /// Or not admitted.
    fn stays_outside(&mut self, time: Time, key: usize, asked: Asked, code: ErrorCode) {
        let Some(room) = self.rooms.get(key).map(|owned| owned.room.id) else {
            return;
        };
        self.refuse(asked, code);
        self.left(time, asked, room);
    }
}
