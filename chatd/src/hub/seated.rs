//! What is said in a room that is owned here, by its clients and about them. Pure: no I/O.

use super::Hub;
use super::delivery::Broadcast;
use super::request::Asked;
use crate::ids::{Reach, Time};
use crate::peer_protocol::Drop;
use crate::protocol::{Command, ErrorCode, Event, SeatId};
use crate::room::RoomEvent;

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
                Reach::Remote(connection) => {
                    self.remote_dropped(time, connection, Drop::Limit, None);
                    self.remote_members.end(&mut self.context.peers, connection, code, false);
                }
            }
        }
    }

    /// Chat: to everyone, the sender too, whose reply it is.
    fn message_in_room(&mut self, time: Time, key: usize, seat: SeatId, asked: Asked, text: &str) {
        // The text of a relayed command comes from another pod: it is cleaned here as well.
        let text = match asked.by {
            Reach::Local(_) => std::borrow::Cow::Borrowed(text),
            Reach::Remote(_) => match crate::protocol::text::clean(text.as_bytes()) {
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
        self.remember(time, key, RoomEvent::Message { from, text: (*text).into(), seq, at: time.wall, answers });
        let event = Event::Message { from, text: &text, seq, at: time.wall, replay: false };
        self.broadcast(key, Broadcast { event: &event, except: None, sender: Some((seat, asked)) });
    }

    /// Tells everyone in the room, but for `except`, what has changed.
    pub(super) fn announce(&mut self, time: Time, key: usize, except: Option<SeatId>, event: RoomEvent) {
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        owned.room.position += 1;
        self.remember(time, key, event.clone());
        self.broadcast(key, Broadcast { event: &event.to_client(false), except, sender: None });
    }

    pub(super) fn announce_to_others(&mut self, time: Time, key: usize, seat: SeatId, event: RoomEvent) {
        self.announce(time, key, Some(seat), event);
    }

    /// Says what answers a command to whoever asked.
    pub(super) fn reply(&mut self, time: Time, asked: Asked, event: &Event<'_>) {
        match asked.by {
            Reach::Local(id) => self.say(time, id, asked.id, event),
            Reach::Remote(connection) => {
                self.remote_members.deliver_event(&mut self.context.peers, connection, asked, event, (0, 0));
            }
        }
    }
}
