//! KICK: a moderator ends a member's seat, which is answered once the record has that. Pure: no I/O.

use super::Hub;
use super::ownership::PendingAnswer;
use super::request::Asked;
use crate::ids::{Reach, RoomIndex, Time};
use crate::protocol::{ErrorCode, Event, ExitReason, MAX_BAN, PlayerName, SeatId};
use crate::room::SeatState;

impl Hub {
    /// A member asks for it, who has to be a moderator.
    pub(super) fn kick_in_room(
        &mut self,
        time: Time,
        index: RoomIndex,
        seat: SeatId,
        asked: Asked,
        name: PlayerName,
        ban_s: Option<u32>,
    ) {
        let Some(owned) = self.rooms.get(index) else {
            return;
        };
        let is_own = owned.room.seat(seat).is_some_and(|seat| seat.name() == name);
        if is_own || !owned.room.may_moderate(seat) {
            return self.refuse(asked, ErrorCode::Forbidden);
        }
        if let Err(code) = self.kick(time, index, name, ban_s) {
            return self.refuse(asked, code);
        }
        self.wait_for_record(asked);
        self.answer_after_write(time, index, PendingAnswer::Kicked { asked, name, is_written: false });
    }

    /// Ends the seat of the player with this name: at once, with its connection. `ban_s`: the player is kept out for so long (seconds). The
    /// record has both once it has what is queued next by [`Hub::answer_after_write`].
    ///
    /// # Errors
    ///
    /// Nobody in the room has this name.
    pub(super) fn kick(
        &mut self,
        time: Time,
        index: RoomIndex,
        name: PlayerName,
        ban_s: Option<u32>,
    ) -> Result<(), ErrorCode> {
        // What another pod says is not checked yet.
        let ban_s = ban_s.map(|seconds| seconds.clamp(1, MAX_BAN));
        let kicked = self.rooms.get_mut(index).and_then(|owned| owned.room.kick(name, ban_s, time.wall));
        let kicked = kicked.ok_or(ErrorCode::PlayerNotFound)?;
        self.context.counters.kicked += 1;
        if let Some(resume) = self.take_pending_resume(index, kicked.id) {
            self.refuse_entry(time, resume.asked, ErrorCode::BadToken);
        }
        if let Some(reach) = kicked.reach {
            self.end_unseated(time, reach, ErrorCode::Kicked);
        }
        if kicked.state == SeatState::Joining {
            // The others have not heard of this player.
            if let Some(owned) = self.rooms.get_mut(index) {
                owned.changed();
            }
            self.write(time, index);
            self.arm_room(time, index);
        } else {
            let exited = PendingAnswer::Exited { name: kicked.name(), reason: ExitReason::Kicked };
            self.answer_after_write(time, index, exited);
        }
        Ok(())
    }

    /// The record has it, or has not answered in time: then nobody knows whether the next owner hears of it.
    pub(super) fn has_kicked(&mut self, asked: Asked, name: PlayerName, is_written: bool) {
        if is_written || !self.context.settings.rules.answer_after_write {
            self.reply(asked, &Event::Kicked { name });
        } else {
            self.refuse(asked, ErrorCode::Unavailable);
        }
        self.has_record(asked);
    }

    /// The answer to this command waits for the record. Of a session of another pod that pod sends nothing meanwhile.
    pub(super) fn wait_for_record(&mut self, asked: Asked) {
        if let Reach::Local(id) = asked.by
            && let Some(session) = self.sessions.get_mut(id)
        {
            session.waits_for_record = true;
        }
    }

    /// It waits no more.
    pub(super) fn has_record(&mut self, asked: Asked) {
        if let Reach::Local(id) = asked.by
            && let Some(session) = self.sessions.get_mut(id)
        {
            session.waits_for_record = false;
            self.sessions.wake(id);
        }
    }
}
