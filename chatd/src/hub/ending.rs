//! The end of a room for everyone who is in it. Pure: no I/O.

use super::Hub;
use super::ownership::{ClaimedSeat, Ended};
use crate::ids::{RoomIndex, Time};
use crate::protocol::ErrorCode;

impl Hub {
    /// Ends the room if its time is over (`expires_at`).
    pub(super) fn expiry_due(&mut self, time: Time, index: RoomIndex) {
        let Some(owned) = self.rooms.get_mut(index).filter(|owned| owned.is_to_end(time.wall)) else {
            return;
        };
        if self.context.settings.rules.end_on_time {
            return self.end_room(time, index);
        }
        // The negative control: an hour later.
        owned.room.end_at(time.wall + 3_600_000);
        owned.changed();
        self.write(time, index);
        self.arm_room(time, index);
    }

    /// Ends the connection of everyone in the room. The record becomes a tombstone, then the room closes.
    fn end_room(&mut self, time: Time, index: RoomIndex) {
        self.tell_ended(time, index, true);
        self.write(time, index);
        self.arm_room(time, index);
    }

    /// Ends the connection of everyone in the room. `is_owner`: no other owner may have let somebody in by a token that was claimed here.
    pub(super) fn tell_ended(&mut self, time: Time, index: RoomIndex, is_owner: bool) {
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        let (room, Ended { members, resumes, claims }) = (owned.room.id, owned.end(time.now));
        for claim in claims {
            if is_owner {
                self.give_token_back(room, &claim);
            }
            if matches!(claim.of, ClaimedSeat::Own { .. }) {
                self.refuse_join(time, claim.asked, claim.since, ErrorCode::RoomNotFound);
            }
        }
        for member in members {
            self.end_unseated(time, member, ErrorCode::Closed);
        }
        for resume in resumes {
            self.refuse_entry(time, resume.asked, ErrorCode::RoomNotFound);
        }
    }
}
