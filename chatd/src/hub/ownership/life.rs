//! What a hub does for its owned rooms: carries out their decisions and replies to the waiting clients. Pure: no I/O.

use super::claims::{Claim, ClaimedSeat};
use super::owned::Owned;
use super::pending::{NewClaim, PendingAnswer, Unfinished, UntoldLock};
use super::phase::{Phase, TimedOut};
use super::upkeep::RoomAction;
use crate::directory::{Answer as Reply, NoAnswer};
use crate::hub::Hub;
use crate::hub::interface::Notice;
use crate::hub::remote_members::refuse_frames;
use crate::hub::request::Requester;
use crate::hub::session::{Session, SessionState};
use crate::ids::{RoomIndex, SessionId, Ticket, Time};
use crate::protocol::{ErrorCode, Ownership, RoomId};
use crate::room::RoomEvent;
use crate::webhook::Occurrence;

impl Hub {
    /// Carries out the action that a record led to.
    fn room_action(&mut self, time: Time, action: Option<RoomAction>) {
        match action {
            None => {}
            Some(RoomAction::Confirm { index, version }) => self.confirmed(time, index, version),
            Some(RoomAction::Release { index, to }) => self.release_to(time, index, to),
            Some(RoomAction::Close { index }) => self.room_closed(time, index),
            Some(RoomAction::EndedElsewhere { index }) => self.ended_elsewhere(time, index),
            Some(RoomAction::RetryWithNewId { index }) => self.create_with_new_id(time, index),
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

    pub(in crate::hub) fn write(&mut self, time: Time, index: RoomIndex) {
        let action = self.rooms.write(&mut self.context, index);
        self.room_action(time, action);
    }

    pub(in crate::hub) fn pump_checks(&mut self, time: Time) {
        while let Some(action) = self.rooms.pump_checks(&mut self.context, time) {
            self.room_action(time, Some(action));
        }
    }

    pub(in crate::hub) fn read_own_record(&mut self, time: Time, index: RoomIndex) {
        self.rooms.read_record(&mut self.context, time, index);
    }

    pub(in crate::hub) fn reassert_above(&mut self, time: Time, index: RoomIndex, dead: Ownership) {
        let action = self.rooms.reassert_above(&mut self.context, index, dead);
        self.room_action(time, action);
    }

    /// The directory has confirmed the room's state up to `version`.
    fn confirmed(&mut self, time: Time, index: RoomIndex, version: Option<u64>) {
        let Some(confirmed) = self.rooms.confirm(&mut self.context, time, index, version) else {
            return;
        };
        let is_new = confirmed.created.is_some();
        if is_new {
            self.tell_webhook(time, index, |_| Occurrence::Created);
        }
        if let Some((requester, room)) = confirmed.created {
            self.created(time, requester, Ok(room));
        }
        self.give_released(time, index);
        self.write(time, index);
        // Clients wait for a room that they enter by name, and some may have guessed the id.
        if confirmed.resumes || is_new {
            self.ready_again(time, index);
        }
        self.move_settled(time, index);
        self.arm_room(time, index);
    }

    // ---- the lease

    /// Called before each batch: suspends every room if the pod was frozen so long that other pods may have taken its rooms over.
    pub(in crate::hub) fn begin(&mut self, time: Time) {
        if self.context.notice_lapse(time) {
            let rooms = self.rooms.indexes();
            if !rooms.is_empty() {
                self.context.counters.lease_lapses += 1;
                self.context.log(Notice::LeaseLapsed { rooms: rooms.len() });
            }
            for index in rooms {
                self.suspend(time, index);
            }
        }
    }

    fn suspend(&mut self, time: Time, index: RoomIndex) {
        self.rooms.suspend(&mut self.context, time, index);
        self.pump_checks(time);
    }

    /// A room arrived by a swap that was sent at `asked`. If the lease has lapsed since, another pod may have taken the room over before
    /// the reply came: the room waits for its record, as the older rooms do.
    pub(in crate::hub) fn suspend_if_lapsed(&mut self, time: Time, index: RoomIndex, asked: u64) {
        if self.context.has_lapsed_since(asked) {
            self.suspend(time, index);
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

    pub(in crate::hub) fn reassert_all(&mut self, time: Time) {
        self.rooms.reassert_all(&mut self.context);
        self.pump_checks(time);
    }

    // ---- answers

    pub(in crate::hub) fn answer_after_write(&mut self, time: Time, index: RoomIndex, answer: PendingAnswer) {
        if let Some(owned) = self.rooms.get_mut(index) {
            owned.answer_after_write(time.now, answer);
        }
        self.write(time, index);
        if !self.context.settings.rules.answer_after_write {
            for answer in self.rooms.get_mut(index).map(Owned::take_answers).unwrap_or_default() {
                self.give(time, index, answer);
            }
        }
        self.arm_room(time, index);
    }

    /// Sends the answers whose write is done, or whose deadline has passed, and tells a lock that the record has only now.
    fn give_released(&mut self, time: Time, index: RoomIndex) {
        while let Some(answer) = self.rooms.get_mut(index).and_then(|owned| owned.next_released(time.now)) {
            self.give(time, index, answer);
        }
        // After what answers tell of the lock: these may say who has changed it since.
        if let Some((untold, locked)) = self.rooms.get_mut(index).and_then(Owned::take_untold_lock) {
            let UntoldLock { by, answers } = untold;
            self.announce(time, index, None, RoomEvent::Locked { by: by.into(), locked, answers });
        }
    }

    fn give(&mut self, time: Time, index: RoomIndex, answer: PendingAnswer) {
        match answer {
            PendingAnswer::Joined { asked, seat, counts, since, once: None, .. } => {
                self.joined(time, index, asked, seat, (counts, since));
            }
            PendingAnswer::Joined { asked, seat, entry, counts, since, once: Some(claim) } => {
                let NewClaim { once, again, is_written, until } = claim;
                let of = ClaimedSeat::New { is_fresh: again.is_none() };
                self.claim_new(time, index, Claim { asked, once, seat, entry, counts, since, until, of }, is_written);
            }
            PendingAnswer::Left { asked, quit } => self.has_left(time, index, asked, quit),
            PendingAnswer::Locked { asked, by, locked, is_written: false, .. }
                if self.context.settings.rules.answer_after_write =>
            {
                self.lock_not_written(time, index, asked, by, locked);
            }
            PendingAnswer::Locked { asked, seat, by, locked, .. } => {
                self.room_locked(time, index, (asked, seat), by, locked);
            }
            PendingAnswer::Exited { name, reason } => {
                self.announce(time, index, None, RoomEvent::Exited(name.into(), reason));
            }
            PendingAnswer::Refreshed { asked, held, .. } => self.has_refreshed(time, asked, held),
            PendingAnswer::Called { asked, call, is_written } => self.has_called(time, index, asked, &call, is_written),
            PendingAnswer::Kicked { asked, name, is_written } => self.has_kicked(asked, name, is_written),
        }
    }

    // ---- a room's end

    pub(in crate::hub) fn disown(&mut self, index: RoomIndex) -> Option<Owned> {
        let owned = self.rooms.remove(index)?;
        self.outgoing.is_over(owned.room.id);
        Some(owned)
    }

    /// Another room already has the id of the new room.
    fn create_with_new_id(&mut self, time: Time, index: RoomIndex) {
        let Some(mut owned) = self.disown(index) else {
            return;
        };
        // A client that guessed the id wants the room of the pod that has it.
        self.search_instead(time, &mut owned);
        let Phase::Creating { requester, .. } = owned.phase else {
            return;
        };
        match *requester {
            // The requesting pod chose the id.
            requester @ Requester::Pod { .. } => {
                self.created(time, requester, Err(ErrorCode::Unavailable));
            }
            // Its clients search for the room that is there.
            Requester::Named { .. } => {}
            requester => {
                let descriptor = owned.room.descriptor().cloned().map(Box::new);
                self.create_room_for(time, requester, descriptor, owned.slot);
            }
        }
    }

    /// The record of the new room was not written in time.
    fn creation_timed_out(&mut self, time: Time, index: RoomIndex, requester: Requester) {
        if let Some(mut owned) = self.disown(index) {
            let Unfinished { waiters, frames, .. } = owned.take_unfinished();
            for waiter in waiters {
                self.turn_away(time, &waiter, ErrorCode::Unavailable);
            }
            refuse_frames(&mut self.context, frames);
        }
        self.created(time, requester, Err(ErrorCode::Unavailable));
    }

    fn room_closed(&mut self, time: Time, index: RoomIndex) {
        if let Some(owned) = self.rooms.get_mut(index) {
            self.context.tell_webhook_closed(time, owned);
        }
        self.room_gone(time, index);
    }

    /// The record says that the room has ended, at an owner that had it after this pod: this one knew nothing of that. The webhook has
    /// heard of it there.
    fn ended_elsewhere(&mut self, time: Time, index: RoomIndex) {
        self.tell_ended(time, index, false);
        for answer in self.rooms.get_mut(index).map(Owned::take_answers).unwrap_or_default() {
            match answer {
                PendingAnswer::Left { asked, quit } => self.has_left(time, index, asked, quit),
                PendingAnswer::Called { asked, .. } => self.refuse_entry(time, asked, ErrorCode::RoomNotFound),
                _ => {}
            }
        }
        self.room_gone(time, index);
    }

    fn room_gone(&mut self, time: Time, index: RoomIndex) {
        if let Some(mut owned) = self.disown(index) {
            self.context.counters.rooms_closed += 1;
            self.context.counters.rooms_made_way += u64::from(owned.has_made_way());
            self.context.log(Notice::Closed { room: owned.room.id });
            self.search_instead(time, &mut owned);
        }
    }

    /// The room is gone from this hub: its waiters search for it, and the frames that bring sessions are refused.
    fn search_instead(&mut self, time: Time, owned: &mut Owned) {
        let Unfinished { answers, waiters, frames, .. } = owned.take_unfinished();
        for answer in answers {
            if let PendingAnswer::Called { asked, .. } = answer {
                self.refuse_entry(time, asked, ErrorCode::Unavailable);
            }
        }
        for waiter in waiters {
            self.look_for(time, owned.room.id, waiter);
        }
        refuse_frames(&mut self.context, frames);
    }

    // ---- time

    pub(in crate::hub) fn arm_room(&mut self, time: Time, index: RoomIndex) {
        self.rooms.arm(&mut self.context, time, index);
    }

    pub(in crate::hub) fn room_due(&mut self, time: Time, room: RoomId) {
        let Some(index) = self.rooms.index_of(room) else {
            return;
        };
        match self.rooms.take_timed_out(time, index) {
            Some(TimedOut::Creation(requester)) => return self.creation_timed_out(time, index, requester),
            Some(TimedOut::Closing) => return self.room_closed(time, index),
            Some(TimedOut::Confirmation) => self.ready_again(time, index),
            None => {}
        }
        self.give_released(time, index);
        self.joins_due(time, index);
        self.claims_due(time, index);
        self.waiters_due(time, index);
        self.resuming_due(time, index);
        self.seats_due(time, index);
        self.tokens_due(time, index);
        self.expiry_due(time, index);
        self.move_due(time, index);
        if self.rooms.index_of(room) != Some(index) {
            return;
        }
        if self.rooms.is_to_close(&self.context, time, index) {
            let action = self.rooms.delete(&mut self.context, time, index);
            return self.room_action(time, action);
        }
        let action = self.rooms.hold_due(&mut self.context, time, index);
        self.room_action(time, action);
        let action = self.rooms.check_due(&mut self.context, time, index);
        self.room_action(time, action);
        self.pump_checks(time);
        self.arm_room(time, index);
    }

    // ---- a room goes on

    /// Whether the session's queued output has to wait, because its room's ownership is unconfirmed.
    pub(in crate::hub) fn output_waits(&self, session: &Session) -> bool {
        let index = match session.state {
            SessionState::Seated { index, .. } => Some(index),
            // Output from before the client asked to leave.
            SessionState::Leaving(_) => session.room.get().and_then(|room| self.rooms.index_of(room)),
            _ => None,
        };
        index.and_then(|index| self.rooms.get(index)).is_some_and(Owned::is_suspended)
    }

    /// The room is ready: carries out the waiting commands and lets the waiting output go.
    pub(in crate::hub) fn ready_again(&mut self, time: Time, index: RoomIndex) {
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        let local: Vec<SessionId> = owned.local_members().collect();
        // Queued output goes out even if the room is moving to another pod and takes no commands.
        for id in &local {
            self.sessions.mark_dirty(*id);
        }
        let Some((frames, waiters)) = owned.take_ready() else {
            return;
        };
        for (from, frame) in frames {
            self.frame_came(time, from, frame);
        }
        for waiter in waiters {
            self.serve_waiter(time, index, &waiter);
        }
        for id in local {
            self.sessions.wake(id);
        }
    }
}
