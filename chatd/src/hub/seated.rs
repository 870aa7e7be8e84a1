//! What is said in a room that is owned here, by its clients and about them. Pure: no I/O.

use super::input::Asked;
use super::remote_members::Delivery;
use super::{Context, Hub, Scratch};
use crate::ids::{Reach, Time};
use crate::peer_protocol::Drop;
use crate::protocol::{Command, Encoding, ErrorCode, Event, SeatId};
use crate::room::{SeatState, Told};

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
                let max_players = self.context.settings.max_players;
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
        self.context.counters.messages_in += 1;
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
        let Hub { rooms, sessions, remote_members, scratch: Scratch { line, json }, context, .. } = self;
        let Context { peers, counters, settings, .. } = context;
        let Some(owned) = rooms.get(key) else {
            return;
        };
        line.clear();
        json.clear();
        let (position, seq) = (owned.room.position, owned.room.seq);
        let own = sender.and_then(|(_, asked)| asked.id);
        let mut deliveries = 0;
        for seat in &owned.room.seats {
            if seat.state != SeatState::Live || Some(seat.id) == except {
                continue;
            }
            match seat.reach {
                Some(Reach::Local(to)) => {
                    let Some(session) = sessions.get_mut(to) else {
                        continue;
                    };
                    let bytes = encoded(session.encoding, event, own, line, json);
                    session.output.buffer().extend_from_slice(bytes);
                    deliveries += 1;
                    if session.output.is_over(settings.send_queue) {
                        slow.push(Reach::Local(to));
                    }
                    sessions.mark_dirty(to);
                }
                Some(Reach::Guest(to)) => {
                    let Some(guest) = remote_members.get(to) else {
                        continue;
                    };
                    deliveries += 1;
                    let replies = sender.filter(|(from, _)| *from == seat.id).map(|(_, asked)| asked.number);
                    let bytes = encoded(guest.encoding, event, own, line, json).into();
                    let delivery = Delivery { replies, place: (position, seq), bytes, after: None };
                    let queued = remote_members.deliver(peers, to, delivery);
                    if queued.is_some_and(|queued| queued > settings.send_queue) {
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
                Reach::Guest(connection) => self.guest_is_too_slow(time, connection),
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
