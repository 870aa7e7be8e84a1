//! What a hub does for its owned rooms: what they decide is carried out, and told to those who wait. Pure: no I/O.

use super::owned::Owned;
use super::pending::PendingAnswer;
use super::phase::{Phase, TimedOut};
use super::upkeep::RoomAction;
use crate::directory::{Answer as Reply, NoAnswer};
use crate::hub::Hub;
use crate::hub::interface::Notice;
use crate::hub::remote_members::refuse_frames;
use crate::hub::request::Requester;
use crate::hub::session::{Place, Session};
use crate::ids::{SessionId, Ticket, Time};
use crate::protocol::{ErrorCode, Ownership, RoomId};
use crate::room::RoomEvent;

impl Hub {
    /// Carries out what a room's record has led to.
    fn room_action(&mut self, time: Time, action: Option<RoomAction>) {
        match action {
            None => {}
            Some(RoomAction::Confirm { key, version }) => self.confirmed(time, key, version),
            Some(RoomAction::Release { key, to }) => self.release_to(time, key, to),
            Some(RoomAction::Close { key }) => self.room_closed(time, key),
            Some(RoomAction::RetryWithNewId { key }) => self.create_with_new_id(time, key),
        }
    }

    // ---- records

    pub(in crate::hub) fn own_record_answered(
        &mut self,
        time: Time,
        room: RoomId,
        ticket: Ticket,
        answer: Result<Reply, NoAnswer>,
    ) {
        let action = self.rooms.record_replied(&mut self.context, time, room, ticket, answer);
        self.room_action(time, action);
    }

    pub(in crate::hub) fn write(&mut self, time: Time, key: usize) {
        let action = self.rooms.write(&mut self.context, key);
        self.room_action(time, action);
    }

    pub(in crate::hub) fn pump_checks(&mut self, time: Time) {
        while let Some(action) = self.rooms.pump_checks(&mut self.context, time) {
            self.room_action(time, Some(action));
        }
    }

    pub(in crate::hub) fn read_own_record(&mut self, time: Time, key: usize) {
        self.rooms.read_record(&mut self.context, time, key);
    }

    pub(in crate::hub) fn claim_above(&mut self, time: Time, key: usize, dead: Ownership) {
        let action = self.rooms.claim_above(&mut self.context, key, dead);
        self.room_action(time, action);
    }

    /// The directory holds what this pod believes, up to `version`.
    fn confirmed(&mut self, time: Time, key: usize, version: Option<u64>) {
        let Some(confirmed) = self.rooms.confirm(&mut self.context, time, key, version) else {
            return;
        };
        if let Some((requester, room)) = confirmed.created {
            self.created(time, requester, Ok(room));
        }
        self.give_released(time, key);
        self.write(time, key);
        if confirmed.resumes {
            self.ready_again(time, key);
        }
        self.move_settled(time, key);
        self.arm_room(time, key);
    }

    // ---- the lease

    /// Before each batch: has this pod been frozen for so long that others may have taken its rooms?
    pub(in crate::hub) fn begin(&mut self, time: Time) {
        if self.context.notice_lapse(time) {
            let rooms = self.rooms.keys();
            if !rooms.is_empty() {
                self.context.counters.lease_lapses += 1;
                self.context.log(Notice::LeaseLapsed { rooms: rooms.len() });
            }
            for key in rooms {
                self.suspend(time, key);
            }
        }
    }

    fn suspend(&mut self, time: Time, key: usize) {
        self.rooms.suspend(&mut self.context, time, key);
        self.pump_checks(time);
    }

    /// A room has come here by a swap that was asked for at `asked`. If the lease has lapsed since, others may have taken it again
    /// before the answer was looked at: it waits like the rooms that were here before.
    pub(in crate::hub) fn suspend_if_lapsed(&mut self, time: Time, key: usize, asked: u64) {
        if self.context.has_lapsed_since(asked) {
            self.suspend(time, key);
        }
    }

    pub(in crate::hub) fn confirm_again(&mut self, time: Time) {
        self.rooms.confirm_again();
        self.pump_checks(time);
    }

    pub(in crate::hub) fn check_all(&mut self, time: Time) {
        self.rooms.check_all();
        self.pump_checks(time);
    }

    pub(in crate::hub) fn claim_all(&mut self, time: Time) {
        self.rooms.claim_all(&mut self.context);
        self.pump_checks(time);
    }

    // ---- answers

    pub(in crate::hub) fn answer_after_write(&mut self, time: Time, key: usize, answer: PendingAnswer) {
        if let Some(owned) = self.rooms.get_mut(key) {
            owned.answer_after_write(time.now, answer);
        }
        self.write(time, key);
        if !self.context.settings.rules.answer_after_write {
            for answer in self.rooms.get_mut(key).map(Owned::take_answers).unwrap_or_default() {
                self.give(time, key, answer);
            }
        }
        self.arm_room(time, key);
    }

    /// Gives the answers whose write is done, or that have waited long enough.
    fn give_released(&mut self, time: Time, key: usize) {
        while let Some(answer) = self.rooms.get_mut(key).and_then(|owned| owned.next_released(time.now)) {
            self.give(time, key, answer);
        }
    }

    fn give(&mut self, time: Time, key: usize, answer: PendingAnswer) {
        match answer {
            PendingAnswer::Joined { asked, seat, counts, .. } => self.joined(time, key, asked, seat, counts),
            PendingAnswer::Left { asked, quit } => self.has_left(time, key, asked, quit),
            PendingAnswer::Exited { name, reason } => {
                self.announce(time, key, None, RoomEvent::Exited(name, reason));
            }
        }
    }

    // ---- a room's end

    pub(in crate::hub) fn disown(&mut self, key: usize) -> Option<Owned> {
        let owned = self.rooms.remove(key)?;
        self.outgoing.is_over(owned.room.id);
        Some(owned)
    }

    /// The room that was being created has an id that another one has.
    fn create_with_new_id(&mut self, time: Time, key: usize) {
        let Some(owned) = self.disown(key) else {
            return;
        };
        // Whoever has guessed the id means the room of the pod that has it.
        for waiter in owned.waiters {
            self.look_for(time, owned.room.id, waiter);
        }
        refuse_frames(&mut self.context, owned.frames);
        match owned.phase {
            // Who asked has said which id it is to have.
            Phase::Creating { requester: requester @ Requester::Pod { .. }, .. } => {
                self.created(time, requester, Err(ErrorCode::Unavailable));
            }
            Phase::Creating { requester, .. } => self.create_room_for(time, requester, owned.slot),
            _ => {}
        }
    }

    /// The new room's record could not be written in time.
    fn creation_timed_out(&mut self, time: Time, key: usize, requester: Requester) {
        if let Some(owned) = self.disown(key) {
            for waiter in owned.waiters {
                self.turn_away(time, &waiter, ErrorCode::Unavailable);
            }
            refuse_frames(&mut self.context, owned.frames);
        }
        self.created(time, requester, Err(ErrorCode::Unavailable));
    }

    fn room_closed(&mut self, time: Time, key: usize) {
        if let Some(owned) = self.disown(key) {
            self.context.counters.rooms_closed += 1;
            self.context.counters.rooms_made_way += u64::from(owned.has_made_way());
            self.context.log(Notice::Closed { room: owned.room.id });
            for waiter in owned.waiters {
                self.look_for(time, owned.room.id, waiter);
            }
            refuse_frames(&mut self.context, owned.frames);
        }
    }

    // ---- time

    pub(in crate::hub) fn arm_room(&mut self, time: Time, key: usize) {
        self.rooms.arm(&mut self.context, time, key);
    }

    pub(in crate::hub) fn room_due(&mut self, time: Time, room: RoomId) {
        let Some(key) = self.rooms.key(room) else {
            return;
        };
        match self.rooms.take_timed_out(time, key) {
            Some(TimedOut::Creation(requester)) => return self.creation_timed_out(time, key, requester),
            Some(TimedOut::Closing) => return self.room_closed(time, key),
            Some(TimedOut::Confirmation) => self.ready_again(time, key),
            None => {}
        }
        self.give_released(time, key);
        self.waiters_due(time, key);
        self.resuming_due(time, key);
        self.seats_due(time, key);
        self.move_due(time, key);
        if self.rooms.key(room) != Some(key) {
            return;
        }
        if self.rooms.is_to_close(&self.context, time, key) {
            let action = self.rooms.delete(&mut self.context, time, key);
            return self.room_action(time, action);
        }
        let action = self.rooms.hold_due(&mut self.context, time, key);
        self.room_action(time, action);
        let action = self.rooms.check_due(&mut self.context, time, key);
        self.room_action(time, action);
        self.pump_checks(time);
        self.arm_room(time, key);
    }

    // ---- a room goes on

    /// Whether what is queued for a session has to wait: its room's owner is not sure that it still is.
    pub(in crate::hub) fn output_waits(&self, session: &Session) -> bool {
        let key = match session.place {
            Place::Seated { key, .. } => Some(key),
            // What it was told before it wanted to leave.
            Place::Leaving { .. } => session.room.and_then(|room| self.rooms.key(room)),
            _ => None,
        };
        key.and_then(|key| self.rooms.get(key)).is_some_and(Owned::is_suspended)
    }

    /// Commands that waited are carried out, and output that waited goes out.
    pub(in crate::hub) fn ready_again(&mut self, time: Time, key: usize) {
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let local: Vec<SessionId> = owned.local_members().collect();
        // What has been said goes out, even if the room is on its way to another pod and takes no commands.
        for id in &local {
            self.sessions.mark_dirty(*id);
        }
        let Some(waiting) = owned.take_waiting() else {
            return;
        };
        for (from, frame) in waiting.frames {
            self.frame_came(time, from, frame);
        }
        for waiter in waiting.waiters {
            self.serve_waiter(time, key, &waiter);
        }
        for id in local {
            self.sessions.wake(id);
        }
    }
}
