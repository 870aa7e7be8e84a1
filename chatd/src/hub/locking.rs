//! LOCK and UNLOCK by a moderator: answered, and told to all, once the record has it. Pure: no I/O.

use super::Hub;
use super::delivery::Broadcast;
use super::ownership::{PendingAnswer, UntoldLock};
use super::request::Asked;
use crate::ids::{RoomIndex, Time};
use crate::protocol::{ErrorCode, Event, PlayerName, SeatId};
use crate::room::RoomEvent;

impl Hub {
    /// From now on nobody new comes in, or somebody may again.
    pub(super) fn lock_room(&mut self, time: Time, index: RoomIndex, seat: SeatId, asked: Asked, locked: bool) {
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        match owned.room.lock(seat, locked) {
            Some(by) => self.answer_after_write(
                time,
                index,
                PendingAnswer::Locked { asked, seat, by, locked, is_written: false },
            ),
            None => self.refuse(asked, ErrorCode::Forbidden),
        }
    }

    /// The record did not have it in time. It holds here, and nobody knows whether the next owner learns of it.
    pub(super) fn lock_not_written(
        &mut self,
        time: Time,
        index: RoomIndex,
        asked: Asked,
        by: PlayerName,
        locked: bool,
    ) {
        self.refuse(asked, ErrorCode::Unavailable);
        let answers = self.answers(asked);
        // What has been changed since is told by itself.
        if let Some(owned) = self.rooms.get_mut(index).filter(|owned| owned.room.is_locked() == locked) {
            owned.note_untold_lock(Some(UntoldLock { by, answers }));
        }
        self.ready_again(time, index);
    }

    /// The record has it: tells everyone; for who asked it is the reply. What else that one has sent meanwhile has waited.
    pub(super) fn room_locked(
        &mut self,
        time: Time,
        index: RoomIndex,
        (asked, seat): (Asked, SeatId),
        by: PlayerName,
        locked: bool,
    ) {
        let answers = self.answers(asked);
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        let limits = self.context.settings.terms(owned.room.descriptor()).ring();
        if owned.room.is_locked() == locked {
            owned.note_untold_lock(None);
        }
        let grown = owned.room.record(RoomEvent::Locked { by: by.into(), locked, answers }, time.now, limits);
        // Another connection may have the seat by now, which has asked for nothing.
        let is_here = owned.room.seat(seat).is_some_and(|seat| seat.reach == Some(asked.by));
        self.ring_has_grown(grown);
        let sender = is_here.then_some((seat, asked));
        self.broadcast(index, Broadcast { event: &Event::Locked { by, locked }, except: None, sender });
        self.ready_again(time, index);
    }
}
