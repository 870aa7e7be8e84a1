//! The end of a room for everyone who is in it. Pure: no I/O.

use super::Hub;
use crate::ids::{RoomIndex, Time};
use crate::protocol::ErrorCode;

impl Hub {
    /// Whether nobody comes into the room any more, since its time is over.
    pub(super) fn has_ended(&self, time: Time, index: RoomIndex) -> bool {
        self.rooms.get(index).is_some_and(|owned| owned.is_over() || owned.has_expired(time.wall))
    }

    /// Ends the room if its time is over (`expires_at`).
    pub(super) fn expiry_due(&mut self, time: Time, index: RoomIndex) {
        if self.rooms.get(index).is_some_and(|owned| owned.ready() && !owned.is_over() && owned.has_expired(time.wall))
        {
            self.end_room(time, index);
        }
    }

    /// Ends the connection of everyone in the room. The record loses all seats, then it is deleted, as that of an empty room.
    fn end_room(&mut self, time: Time, index: RoomIndex) {
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        let (members, resumes) = owned.end(time.now);
        for member in members {
            self.end_unseated(time, member, ErrorCode::Closed);
        }
        for resume in resumes {
            self.refuse_entry(time, resume.asked, ErrorCode::RoomNotFound);
        }
        self.write(time, index);
        self.arm_room(time, index);
    }
}
