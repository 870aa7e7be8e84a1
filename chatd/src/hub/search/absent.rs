//! A room that does not exist comes into being where a client waits that may make it. Pure: no I/O.

use super::room_search::SearchStep;
use super::{Search, SearchEvent, no_such_room};
use crate::descriptor::Descriptor;
use crate::hub::context::Context;
use crate::hub::request::{PATIENCE, Waiter, WaiterPurpose};
use crate::ids::{SessionId, Time};
use crate::protocol::{ErrorCode, RoomId};

impl Search {
    /// No pod has the room, and the directory knows of none, or of its end.
    pub(super) fn absent(&mut self, context: &mut Context, time: Time, room: RoomId) {
        let has_ended = self.tell_members_of_the_end(room);
        let code = no_such_room(context);
        if code != ErrorCode::RoomNotFound || self.makers(room).is_empty() {
            return self.give_up(context, room, code);
        }
        // What stands there is no record, and a write where nothing is to be would find it again and again.
        if !has_ended && self.searches.get(&room).is_some_and(|search| search.stored.is_some()) {
            return self.give_up(context, room, ErrorCode::Unavailable);
        }
        self.answer_queries(context, room, Err(code));
        self.tell_askers(context, room, None);
        self.step(context, time, room, SearchStep::Creating, PATIENCE);
        let search = self.searches.get_mut(&room);
        let others = search.map(|search| search.waiters.extract_if(.., |waiter| !waiter.creates));
        let waiters: Vec<Waiter> = others.into_iter().flatten().collect();
        self.report(SearchEvent::Absent { room });
        if !waiters.is_empty() {
            self.report(SearchEvent::TurnedAway { waiters, code });
        }
    }

    /// Whether the room has ended: then there is nothing to come back to for those who have a seat.
    fn tell_members_of_the_end(&mut self, room: RoomId) -> bool {
        let Some(search) = self.searches.get_mut(&room).filter(|search| search.ended.is_some()) else {
            return false;
        };
        let members: Vec<Waiter> = search.waiters.extract_if(.., |waiter| !waiter.is_entering()).collect();
        if !members.is_empty() {
            self.report(SearchEvent::TurnedAway { waiters: members, code: ErrorCode::Closed });
        }
        true
    }

    /// The clients that wait for `room` and may make it, in the order in which they came.
    pub fn makers(&self, room: RoomId) -> Vec<SessionId> {
        let waiters = self.searches.get(&room).map(|search| search.waiters.as_slice()).unwrap_or_default();
        waiters.iter().filter(|waiter| waiter.creates).map(|waiter| waiter.session).collect()
    }

    /// The room is made for this one, as this descriptor says.
    pub fn makes(&mut self, room: RoomId, by: SessionId) -> Option<Box<Descriptor>> {
        let waiters = self.searches.get_mut(&room).map(|search| search.waiters.iter_mut());
        let maker = waiters.into_iter().flatten().find(|waiter| waiter.session == by)?;
        if let WaiterPurpose::Call(call) = &mut maker.purpose {
            call.has_made_it();
        }
        maker.descriptor()
    }

    /// The room has been made, or somebody else has it now: its waiters look for it again.
    pub fn made(&mut self, context: &mut Context, time: Time, room: RoomId) {
        if self.is_creating(room) {
            self.read_record(context, time, room);
        }
    }

    /// The room cannot be made now.
    pub fn not_made(&mut self, context: &mut Context, room: RoomId, code: ErrorCode) {
        if self.is_creating(room) {
            self.give_up(context, room, code);
        }
    }

    fn is_creating(&self, room: RoomId) -> bool {
        self.searches.get(&room).is_some_and(|search| matches!(search.step, SearchStep::Creating))
    }
}
