//! Attach: a session that had a seat comes to its room's new owner, or returns to the same one. Pure: no I/O.

use super::Hub;
use super::admission::Joining;
use super::request::Asked;
use super::session::SessionState;
use super::webhooks::names;
use crate::ids::{Reach, RoomIndex, SessionRef, Time};
use crate::peer_protocol::{After, Attach, Delivery};
use crate::protocol::{ErrorCode, Event, SeatId};
use crate::room::{Attach as Outcome, Connection, Membership, Newcomer, ReplayPlan, RoomEvent, Taken};
use crate::webhook::Occurrence;

/// The last command of an attached session that was carried out. `None`: unknown, because another owner had the session.
#[derive(Debug, Clone, Copy)]
pub struct Settled {
    pub processed: Option<u64>,
}

impl Hub {
    /// Gives the session its seat, if the seat is still its own. `None`: it is not, and the session got the reason.
    pub(super) fn attach(
        &mut self,
        time: Time,
        index: RoomIndex,
        asked: Asked,
        session: SessionRef,
        attach: &Attach,
    ) -> Option<Settled> {
        let member = &attach.member;
        let by = Connection { session: Some(session), ..self.connection(asked) };
        if self.rooms.get(index)?.room.follows_the_room_of(member) {
            self.end_unseated(time, asked.by, ErrorCode::Closed);
            return None;
        }
        if self.rooms.get(index)?.room.is_forked(member) {
            let timeline = self.context.new_timeline();
            self.rooms.get_mut(index)?.room.fork(timeline);
            let from = self.context.me.pod_id.as_str().into();
            self.tell_webhook(time, index, |room| Occurrence::TakenOver { from, players: names(room) });
        }
        if self.rooms.get(index)?.has_ended(time.wall) {
            self.stays_outside(time, index, asked, ErrorCode::RoomNotFound);
            return None;
        }
        let hides = self.hides(index);
        let owned = self.rooms.get_mut(index)?;
        let players = self.context.settings.terms(owned.room.descriptor()).max_players();
        let resumed = owned.is_resuming(member.seat);
        // A room that was made again under this name is none that the session was ever let into.
        let is_barred = hides && member.auth.is_none();
        match owned.room.attach(member, by, resumed, players) {
            Outcome::Own { taken, processed } => {
                self.taken_again(time, index, member.seat, &taken);
                // The negative control: carries out every unanswered command again.
                let numbered = self.context.settings.rules.number_commands;
                let processed = if numbered { processed } else { Some(0) };
                self.catch_up(time, index, asked.by, session, attach, processed);
                self.rewrite(time, index, &taken);
                self.arm_room(time, index);
                return Some(Settled { processed });
            }
            // The session does not know its seat: it gets the same reply as after a JOIN.
            Outcome::Again { seat, taken } => {
                self.taken_again(time, index, seat, &taken);
                self.welcome(time, index, asked, seat, false, ReplayPlan::UNKNOWN);
                self.rewrite(time, index, &taken);
            }
            Outcome::Replaced => self.replaced(time, asked.by),
            Outcome::Stranger if owned.room.keeps_out(member.name, member.auth, time.wall) => {
                self.stays_outside(time, index, asked, ErrorCode::Banned);
            }
            Outcome::Stranger if is_barred => self.stays_outside(time, index, asked, ErrorCode::RoomNotFound),
            Outcome::Stranger => self.join_anew(time, index, asked, member),
            // As for a RESUME of such a seat.
            Outcome::Ended => self.stays_outside(time, index, asked, ErrorCode::BadToken),
            Outcome::Refused(code) => self.stays_outside(time, index, asked, code),
        }
        None
    }

    /// A player has taken its seat again: announces that it is back.
    pub(super) fn taken_again(&mut self, time: Time, index: RoomIndex, seat: SeatId, taken: &Taken) {
        if taken.former.away {
            self.announce_to_others(time, index, seat, RoomEvent::Back(taken.former.name.into()));
        }
    }

    /// Writes a seat that was taken again and whose hold has changed. Only once its session has been welcomed: the write may find the
    /// record up to date and release answers, and what they announce goes to this seat as well.
    pub(super) fn rewrite(&mut self, time: Time, index: RoomIndex, taken: &Taken) {
        if taken.rewrite
            && let Some(owned) = self.rooms.get_mut(index)
        {
            owned.changed();
            self.write(time, index);
        }
    }

    /// Sends an attached session its news and its replay.
    fn catch_up(
        &mut self,
        time: Time,
        index: RoomIndex,
        to: Reach,
        session: SessionRef,
        attach: &Attach,
        processed: Option<u64>,
    ) {
        self.rooms.forget_old(time.now, index, &self.context.settings);
        let Some(owned) = self.rooms.get(index) else {
            return;
        };
        let (room, member) = (&owned.room, &attach.member);
        let mut news = Vec::new();
        let missed = room.encode_attached(member, attach.moved, attach.encoding, &mut news);
        // The negative control: what has changed of the state stays unknown to it.
        if self.context.settings.rules.tell_state {
            room.encode_state(member, attach.encoding, &mut news);
        }
        let events = room.catch_up(member, session, attach.encoding);
        let (place, timeline, epoch) = (room.place(), room.timeline(), owned.ownership().epoch);
        let start = if room.shares_history(member) { (0, 0) } else { room.starts_at(member) };
        let messages = events.iter().filter(|event| event.seq.is_some()).count() as u64;
        self.context.counters.missed += missed.unwrap_or_default();
        self.context.counters.replayed += messages;
        self.context.counters.messages_out += messages;
        match to {
            Reach::Remote(to) => {
                let Membership { name, seat, resumable, key, auth, .. } = *member;
                self.remote_members.set_seat(to, Some(seat));
                let after = After::Admitted { name, seat, resumable, key, auth, epoch, timeline, joined: false };
                // In one frame: a session that has the new timeline knows that the count began again, and that what it missed is unknown.
                let first = Delivery { replies: None, place: start, bytes: news.into(), after: Some(after) };
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
                self.remote_members.was_answered(to);
            }
            Reach::Local(to) => {
                let bytes = news.len() + events.iter().map(|event| event.bytes.len()).sum::<usize>();
                if let Some(session) = self.sessions.get_mut(to) {
                    session.output.was_answered(bytes);
                }
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

    /// This owner does not know the session's seat: admits the session as a JOIN, with a new seat.
    fn join_anew(&mut self, time: Time, index: RoomIndex, asked: Asked, member: &Membership) {
        let room = self.rooms.get(index).map(|owned| owned.room.id);
        if let Reach::Local(id) = asked.by
            && let Some(session) = self.sessions.get_mut(id)
        {
            session.state = SessionState::Busy;
            session.room = room.map(Into::into).unwrap_or_default();
        }
        let Membership { name, resumable, key: seat_key, auth, .. } = *member;
        let who = Newcomer { name, resumable, key: seat_key, auth };
        self.join(
            time,
            index,
            asked,
            Joining { who, auth: None, profile: None, once: None, counts: false, since: time.now },
        );
    }

    /// Refuses an attach: the session stays outside.
    fn stays_outside(&mut self, time: Time, index: RoomIndex, asked: Asked, code: ErrorCode) {
        let Some(room) = self.rooms.get(index).map(|owned| owned.room.id) else {
            return;
        };
        let Reach::Remote(session) = asked.by else {
            self.refuse(asked, code);
            return self.left(time, asked, room);
        };
        self.context.counters.errors += 1;
        let events = [Event::Error { code, retry_after_ms: None }, Event::Left { room }];
        // Its entry pod knows by `miss` that the seat has ended.
        let after = After::Outside { miss: code == ErrorCode::BadToken };
        self.remote_members.part_with(&mut self.context.peers, session, asked, &events, after);
    }
}
