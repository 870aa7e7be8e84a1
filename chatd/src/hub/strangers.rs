//! Clients that show no token, and rooms that need one: such a room looks to them as one that does not exist, in what they are told and
//! in what is asked of the directory before. Pure: no I/O.

use super::Hub;
use super::context::Purpose;
use super::interface::Effect;
use super::request::{Entry, Stranger, Waiter, WaiterPurpose};
use super::search::{no_such_room, summary_for};
use crate::directory::{Answer, Key, NoAnswer, Request};
use crate::ids::{RoomIndex, Time};
use crate::protocol::{ErrorCode, RoomId};

impl Hub {
    /// Whether strangers must not learn that this room is here.
    pub(super) fn hides(&self, index: RoomIndex) -> bool {
        let terms =
            |owned: &super::ownership::Owned| self.context.settings.terms(owned.room.descriptor()).needs_token();
        self.rooms.get(index).is_some_and(terms)
    }

    /// What a stranger is told of a room that does not exist, and of one that needs a token.
    pub(super) fn unknown_to_strangers(&self, entry: &Entry) -> ErrorCode {
        self.authority.unknown_to_strangers(self.context.settings.access, entry)
    }

    /// The room is here and hidden: the stranger waits as long as for one that is not.
    pub(super) fn look_in_vain(&mut self, room: RoomId, stranger: Stranger) {
        self.context.ask(Purpose::Stranger(stranger), Request::Get { key: Key::Room(room) });
    }

    pub(super) fn looked_in_vain(&mut self, time: Time, stranger: Stranger, answer: &Result<Answer, NoAnswer>) {
        let code = if answer.is_ok() { no_such_room(&self.context) } else { ErrorCode::Unavailable };
        match stranger {
            Stranger::Client(waiter) => self.turn_away(time, &waiter, code),
            Stranger::Query(query) => {
                let result = summary_for(&self.context, true, Err(code));
                self.context.effects.push(Effect::LookedUp { query, result });
            }
        }
    }

    /// What a waiter is told that is turned away with `code`.
    pub(super) fn code_for(&self, waiter: &Waiter, code: ErrorCode) -> ErrorCode {
        match &waiter.purpose {
            WaiterPurpose::Enter(entry) if waiter.stranger && code == ErrorCode::RoomNotFound => {
                self.unknown_to_strangers(entry)
            }
            _ => code,
        }
    }
}
