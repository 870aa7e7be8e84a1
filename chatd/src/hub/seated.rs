//! What happens in a room that is owned here: chat, who comes and goes, seats that are held. Pure: no I/O.

use super::input::Asked;
use super::ownership::Answer;
use super::session::Place;
use super::{Hub, SessionId, Time};
use crate::frame::{After, Drop};
use crate::protocol::{Command, Encoding, ErrorCode, Event, ExitReason, RoomId, SeatId};
use crate::room::{Connection, Given, Reach, SeatState, Told};

/// How long a seat is held whose tab was closed or loaded again (ms; protocol.md section 4).
const GOING_AWAY_HOLD: u64 = 10_000;
/// How long the seat of a relayed session waits for it to attach again, before it counts as dropped (ms; design.md section 5).
pub const DETACHED: u64 = 15_000;

impl Hub {
    /// One command of someone who has a seat, or what is wrong with it.
    pub(super) fn command_in_room(
        &mut self,
        time: Time,
        key: usize,
        seat: SeatId,
        asked: Asked,
        command: Result<Command<'_>, ErrorCode>,
    ) {
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let Some(found) = owned.room.seat_mut(seat) else {
            return;
        };
        found.processed = found.processed.max(asked.number);
        let command = match found.bucket.take(time.now) {
            Ok(()) => command,
            Err(retry) => {
                let enough = found.strikes.note(Err(ErrorCode::RateLimited), time.now);
                self.refuse_later(time, asked, ErrorCode::RateLimited, retry);
                return self.end_if(time, enough, asked, ErrorCode::RateLimited);
            }
        };
        if command.is_ok() {
            // What is wrong counts where it comes in a row.
            let _ = found.strikes.note(Ok(()), time.now);
        }
        match command {
            Ok(Command::Say { text }) => {
                self.message_in_room(time, key, seat, asked, &text);
            }
            Ok(Command::Who) => {
                let players = owned.room.players();
                let max_players = self.settings.max_players;
                self.reply(time, asked, &Event::Players { players: &players, max_players });
            }
            Ok(Command::Ping) => self.reply(time, asked, &Event::Pong),
            Ok(Command::Help) => self.reply(time, asked, &Event::Help),
            Ok(Command::Leave) => self.leave(time, key, seat, asked, false),
            Ok(Command::Quit) => self.leave(time, key, seat, asked, true),
            Ok(Command::CreateRoom | Command::Join { .. } | Command::Resume { .. }) => {
                self.refuse(time, asked, ErrorCode::AlreadyInRoom);
            }
            Err(code) => {
                let enough = found.strikes.note(Err(code), time.now);
                self.refuse(time, asked, code);
                self.end_if(time, enough, asked, code);
            }
        }
    }

    fn end_if(&mut self, time: Time, enough: bool, asked: Asked, code: ErrorCode) {
        if enough {
            match asked.by {
                Reach::Local(id) => self.fail_quietly(time, id, Some(code)),
                Reach::Guest(connection) => {
                    self.guest_dropped(time, connection, Drop::Limit, None);
                    self.end_guest_saying(connection, code, false);
                }
            }
        }
    }

    /// Chat: to everyone, the sender too, whose reply it is.
    fn message_in_room(&mut self, time: Time, key: usize, seat: SeatId, asked: Asked, text: &str) {
        // The text of a relayed command comes from another pod: it is cleaned here as well.
        let text = match asked.by {
            Reach::Local(_) => std::borrow::Cow::Borrowed(text),
            Reach::Guest(_) => match crate::protocol::text::clean(text.as_bytes()) {
                Ok(text) => text,
                Err(code) => return self.refuse(time, asked, code),
            },
        };
        let answers = self.what_it_answers(asked);
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let room = &mut owned.room;
        let Some(from) = room.seat(seat).map(|seat| seat.name) else {
            return;
        };
        room.seq += 1;
        room.position += 1;
        let seq = room.seq;
        self.counters.messages_in += 1;
        // Before it is told: telling may end a slow reader's seat, which is an event of its own, and a later one.
        self.remember(time, key, Told::Message { from, text: (*text).into(), seq, at: time.wall, answers });
        let event = Event::Message { from, text: &text, seq, at: time.wall, replay: false };
        self.broadcast(time, key, None, &event, Some((seat, asked)));
    }

    /// Tells everyone in the room, but for `except`, what has changed.
    pub(super) fn tell(&mut self, time: Time, key: usize, except: Option<SeatId>, told: Told) {
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        owned.room.position += 1;
        self.remember(time, key, told.clone());
        self.broadcast(time, key, except, &told.event(false), None);
    }

    pub(super) fn tell_others(&mut self, time: Time, key: usize, seat: SeatId, told: Told) {
        self.tell(time, key, Some(seat), told);
    }

    /// Encodes `event` at most once for each encoding and gives it to everyone who is connected. `sender`: gets it as the reply
    /// to what it asked; its own number for that goes to all.
    fn broadcast(
        &mut self,
        time: Time,
        key: usize,
        except: Option<SeatId>,
        event: &Event<'_>,
        sender: Option<(SeatId, Asked)>,
    ) {
        let mut slow: Vec<Reach> = Vec::new();
        let Hub { rooms, sessions, guests, peers, dirty, line, json, counters, settings, .. } = self;
        let Some(owned) = rooms.get(key) else {
            return;
        };
        line.clear();
        json.clear();
        let (position, seq) = (owned.room.position, owned.room.seq);
        let id = owned.room.id;
        let own = sender.and_then(|(_, asked)| asked.id);
        let mut deliveries = 0;
        for seat in &owned.room.seats {
            if seat.state != SeatState::Live || Some(seat.id) == except {
                continue;
            }
            match seat.reach {
                Some(Reach::Local(to)) => {
                    let Some(session) = sessions.get_mut(to.index as usize).filter(|session| session.id == to) else {
                        continue;
                    };
                    let bytes = encoded(session.encoding, event, own, line, json);
                    session.output.buffer().extend_from_slice(bytes);
                    deliveries += 1;
                    if !session.dirty {
                        session.dirty = true;
                        dirty.push(to);
                    }
                    if session.output.is_over(settings.send_queue) {
                        slow.push(Reach::Local(to));
                    }
                }
                Some(Reach::Guest(to)) => {
                    let Some(guest) = guests.get_mut(&to) else {
                        continue;
                    };
                    deliveries += 1;
                    let number = sender.filter(|(from, _)| *from == seat.id).map(|(_, asked)| asked.number);
                    let bytes = encoded(guest.encoding, event, own, line, json);
                    let kept = guest.deliver(peers, id, to, number, (position, seq), bytes, None);
                    if kept > settings.send_queue {
                        slow.push(Reach::Guest(to));
                    }
                }
                None => {}
            }
        }
        if matches!(event, Event::Message { .. }) {
            counters.messages_out += deliveries;
        }
        for reach in slow {
            match reach {
                Reach::Local(id) => self.too_slow(time, id),
                Reach::Guest(connection) => {
                    self.counters.slow_consumers += 1;
                    self.guest_dropped(time, connection, Drop::Slow, None);
                    self.end_guest(connection, ErrorCode::SlowConsumer);
                }
            }
        }
    }

    /// Says what answers a command to whoever asked.
    pub(super) fn reply(&mut self, time: Time, asked: Asked, event: &Event<'_>) {
        match asked.by {
            Reach::Local(id) => self.say(time, id, asked.id, event),
            Reach::Guest(connection) => self.deliver_event(connection, asked, event, (0, 0), None),
        }
    }

    // ---- leaving

    fn leave(&mut self, time: Time, key: usize, seat: SeatId, asked: Asked, quit: bool) {
        let Some(left) = self.rooms.get_mut(key).and_then(|owned| owned.room.remove(seat)) else {
            return;
        };
        match asked.by {
            Reach::Local(id) => {
                if let Some(session) = self.session_mut(id) {
                    session.place = Place::Leaving { name: left.name, seat, resumable: left.resumable };
                }
            }
            Reach::Guest(connection) => {
                if let Some(guest) = self.guests.get_mut(&connection) {
                    guest.seat = None;
                }
            }
        }
        self.answer_after_write(time, key, Answer::Left { asked, quit });
        self.answer_after_write(time, key, Answer::Exited { name: left.name, reason: ExitReason::Left });
    }

    /// The write without the seat is done: LEAVE or QUIT is answered.
    pub(super) fn has_left(&mut self, time: Time, key: usize, asked: Asked, quit: bool) {
        let Some(room) = self.rooms.get(key).map(|owned| owned.room.id) else {
            return;
        };
        match asked.by {
            Reach::Local(id) => {
                if !matches!(self.session(id).map(|session| &session.place), Some(Place::Leaving { .. })) {
                    return;
                }
                if quit {
                    return self.goodbye(time, id, asked.id, None);
                }
                self.now_outside(time, id);
                self.reply(time, asked, &Event::Left { room });
                self.wake(id);
            }
            Reach::Guest(connection) => {
                let (event, after) = if quit {
                    (Event::Bye { code: None }, After::Close { code: None })
                } else {
                    (Event::Left { room }, After::Outside { miss: false })
                };
                self.deliver_event(connection, asked, &event, (0, 0), Some(after));
                self.part_from(connection);
            }
        }
    }

    /// The session's connection ends: whatever it has in a room is given up or held.
    pub(super) fn leave_seat_of(&mut self, time: Time, id: SessionId, drop: Drop) {
        let Some(session) = self.session_mut(id) else {
            return;
        };
        match &session.place {
            Place::Seated { key, seat } => {
                let (key, seat) = (*key, *seat);
                session.place = Place::Outside;
                let given = self.given_all(key, drop);
                self.seat_dropped(time, key, seat, drop, given);
            }
            Place::Relayed(_) => self.relay_dropped(time, id, drop),
            Place::Busy => {
                let room = session.room;
                session.place = Place::Outside;
                self.forget_joining(time, room, Reach::Local(id));
            }
            Place::Outside | Place::Leaving { .. } | Place::Closing => {}
        }
    }

    /// A JOIN or RESUME whose client is gone before its answer leaves nothing behind.
    pub(super) fn forget_joining(&mut self, time: Time, room: Option<RoomId>, reach: Reach) {
        let Some(key) = room.and_then(|room| self.owned_key(room)) else {
            return;
        };
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        owned.resuming.retain(|resuming| resuming.asked.by != reach);
        let before = owned.room.seats.len();
        owned.room.seats.retain(|seat| !(seat.state == SeatState::Joining && seat.reach == Some(reach)));
        if owned.room.seats.len() < before {
            owned.changed();
            self.write(time, key);
            self.arm_room(time, key);
        }
    }

    /// What a connection that ends now has been given: everything, but what is dropped of a slow reader's queue.
    pub(super) fn given_all(&self, key: usize, drop: Drop) -> Given {
        let last = self.rooms.get(key).map_or(0, |owned| owned.room.seq);
        if drop == Drop::Slow { Given::Unknown(last) } else { Given::UpTo(last) }
    }

    /// A seated client's connection is gone.
    pub(super) fn seat_dropped(&mut self, time: Time, key: usize, seat: SeatId, drop: Drop, given: Given) {
        let hold = if drop == Drop::GoingAway {
            GOING_AWAY_HOLD.min(self.settings.seat_hold)
        } else {
            self.settings.seat_hold
        };
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let ready = owned.ready();
        let Some(found) = owned.room.seat_mut(seat) else {
            return;
        };
        found.reach = None;
        found.given = given;
        if !ready {
            // The room is on its way to another pod, or it is not sure that it is here: nobody is told now.
            found.state = SeatState::Detached { until: time.now };
            return self.arm_room(time, key);
        }
        if found.resumable {
            found.state = SeatState::Away { until: time.now + hold };
            let name = found.name;
            self.tell_others(time, key, seat, Told::Away(name));
        } else {
            let reason = match drop {
                Drop::Slow => ExitReason::Slow,
                Drop::Moved => ExitReason::Moved,
                Drop::Lost | Drop::GoingAway | Drop::Limit => ExitReason::Disconnected,
            };
            self.end_seat(time, key, seat, reason);
        }
        self.arm_room(time, key);
    }

    fn end_seat(&mut self, time: Time, key: usize, seat: SeatId, reason: ExitReason) {
        if let Some(ended) = self.rooms.get_mut(key).and_then(|owned| owned.room.remove(seat)) {
            self.answer_after_write(time, key, Answer::Exited { name: ended.name, reason });
        }
    }

    /// Ends the seats whose time is over.
    pub(super) fn seats_due(&mut self, time: Time, key: usize) {
        let Some(owned) = self.rooms.get(key).filter(|owned| owned.ready()) else {
            return;
        };
        let due: Vec<_> = owned.room.seats.iter().map(|seat| (seat.id, seat.state, seat.given)).collect();
        for (seat, state, given) in due {
            match state {
                SeatState::Away { until } if until <= time.now => self.end_seat(time, key, seat, ExitReason::Timeout),
                SeatState::Detached { until } if until <= time.now => {
                    self.seat_dropped(time, key, seat, Drop::Lost, given);
                }
                _ => {}
            }
        }
    }

    /// A relayed session's peer link is gone: its seat waits for it to attach again.
    pub(super) fn detach(&mut self, time: Time, connection: Connection) {
        let Some(guest) = self.guests.remove(&connection) else {
            return;
        };
        let reach = Reach::Guest(connection);
        self.forget_joining(time, Some(guest.room), reach);
        let (Some(key), Some(seat)) = (self.owned_key(guest.room), guest.seat) else {
            return;
        };
        if self.rooms.get(key).and_then(|owned| owned.room.seat(seat)).is_some_and(|seat| seat.reach == Some(reach)) {
            let given = self.given_all(key, Drop::Lost);
            self.detach_seat(time, key, seat, given);
        }
    }

    /// The seat's connection is not there, and may come back. Nobody is told.
    pub(super) fn detach_seat(&mut self, time: Time, key: usize, seat: SeatId, given: Given) {
        if let Some(found) = self.rooms.get_mut(key).and_then(|owned| owned.room.seat_mut(seat)) {
            found.reach = None;
            found.state = SeatState::Detached { until: time.now + DETACHED };
            found.given = given;
        }
        self.arm_room(time, key);
    }
}

/// `event` in `encoding`, encoded now if it was not before.
fn encoded<'a>(
    encoding: Encoding,
    event: &Event<'_>,
    id: Option<u64>,
    line: &'a mut Vec<u8>,
    json: &'a mut Vec<u8>,
) -> &'a [u8] {
    let buffer = match encoding {
        Encoding::Lines => line,
        Encoding::Json => json,
    };
    if buffer.is_empty() {
        encoding.encode(event, id, buffer);
    }
    buffer
}
