//! Writes, checks and reasserts the records of owned rooms. Pure: no I/O.
//!
//! These are the decisions that take a request to the directory or a timer. They know no hub: what it has to do they return.

use std::time::Duration;

use bytes::Bytes;

use super::owned::Owned;
use super::phase::{Phase, TimedOut};
use super::record_sync::{CHECK_SOON, Finding, Outcome, Write};
use crate::bans::Bans;
use crate::directory::{Answer as Reply, NoAnswer, Request};
use crate::hub::context::{Context, Purpose, Timer};
use crate::hub::interface::{Effect, Notice};
use crate::hub::request::Requester;
use crate::hub::rooms::Rooms;
use crate::ids::{RoomIndex, Ticket, Time};
use crate::profile::Profiles;
use crate::protocol::{Ownership, RoomId};
use crate::record::{ENDED_TTL, Owner};

/// What the hub has to do about a room, once its record has been looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomAction {
    /// The directory holds what this pod believes, up to `version` (`None`: nothing newer than before): [`Rooms::confirm`].
    Confirm { index: RoomIndex, version: Option<u64> },
    /// Another pod has a higher ownership: the room is released to it.
    Release { index: RoomIndex, to: Owner },
    /// Its record is gone, or says that it has ended, and so is the room.
    Close { index: RoomIndex },
    /// The room has ended at a higher ownership.
    EndedElsewhere { index: RoomIndex },
    /// The id of a room that is being created belongs to another room.
    RetryWithNewId { index: RoomIndex },
}

/// What has changed by a confirmation.
#[derive(Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// The room is new, and its first write done.
    pub created: Option<(Requester, RoomId)>,
    /// Input and output waited for this.
    pub resumes: bool,
}

/// The most records that a pod checks in a second while nothing happens. So a hundred pods with a million rooms ask Redis for less than
/// 5,000 commands a second, of which a check is three; and a pod notices within seconds when a part of its records is lost.
const CHECKS_A_SECOND: u64 = 20;

/// When the record of this room is checked again if nothing changes (ms): in turn with the pod's other rooms, and in time before it
/// expires. Up to twice as late, so that rooms that came here together are not checked together.
fn check_interval(context: &Context, room: RoomId) -> u64 {
    let in_turn = context.settings.slots.taken() as u64 * 1_000 / CHECKS_A_SECOND;
    let interval = in_turn.min(context.settings.record_ttl / 3);
    if interval <= CHECK_SOON { CHECK_SOON } else { interval + interval * room.shard(256) as u64 / 256 }
}

/// A tombstone outlives every freeze after which its room could come back.
fn record_ttl(context: &Context, owned: &Owned) -> Duration {
    let ttl = context.settings.record_ttl;
    Duration::from_millis(if owned.is_over() { ttl.max(ENDED_TTL) } else { ttl })
}

/// Sends a request about the room's record.
fn send(context: &mut Context, owned: &mut Owned, request: Request) {
    let ticket = context.ask(Purpose::Own(owned.room.id), request);
    context.requests.own += 1;
    owned.record.sent(ticket);
}

impl Rooms {
    // ---- writing and checking

    /// Writes the record, if it is to say something else than what is known to be there.
    #[must_use]
    pub fn write(&mut self, context: &mut Context, index: RoomIndex) -> Option<RoomAction> {
        let owned = self.get_mut(index)?;
        if !owned.may_write() || !owned.record.wants_write() {
            return None;
        }
        let room = owned.room.id;
        let owner = context.me_as(owned.ownership);
        let record = owned.room.to_record(&owner).naming(context.takeover_notices.unacknowledged(room));
        let rules = context.settings.rules;
        // The negative controls.
        let record = if rules.record_bans { record } else { record.banning(&Bans::default()) };
        let record = if rules.record_profiles { record } else { record.showing(Profiles::default()) };
        let (record, ttl) = (owned.tombstone(&owner).unwrap_or(record), record_ttl(context, owned));
        match owned.record.write(room, record, ttl) {
            Write::UpToDate { version } => Some(RoomAction::Confirm { index, version: Some(version) }),
            Write::Send(request) => {
                owned.holds_at = None;
                send(context, owned, request);
                None
            }
        }
    }

    /// Asks whether the record is still what was written; writes it, if something is to be written anyway.
    #[must_use]
    pub fn check(&mut self, context: &mut Context, time: Time, index: RoomIndex) -> Option<RoomAction> {
        let owned = self.get_mut(index)?;
        let (room, ttl) = (owned.room.id, record_ttl(context, owned));
        if matches!(owned.phase, Phase::Closing { .. }) {
            owned.record.postpone_check(time.now);
        } else if let Some(request) = owned.record.check(time.now, room, ttl, check_interval(context, room)) {
            send(context, owned, request);
        } else if owned.is_offered() {
            // What there is to write has to wait until it is known whose the room is.
            if let Some(request) = owned.record.read(room) {
                send(context, owned, request);
            }
        } else if owned.record.wants_write() {
            return self.write(context, index);
        }
        self.arm(context, time, index);
        None
    }

    /// Begins as many of the checks that wait as may be in flight. It stops where one needs no request: to be called again then.
    #[must_use]
    pub fn pump_checks(&mut self, context: &mut Context, time: Time) -> Option<RoomAction> {
        while context.requests.own < context.settings.limits.checks
            && let Some(room) = self.next_check()
        {
            let action = self.index_of(room).and_then(|index| self.check(context, time, index));
            if action.is_some() {
                return action;
            }
        }
        None
    }

    /// Reads the record, to see whose the room is.
    pub fn read_record(&mut self, context: &mut Context, time: Time, index: RoomIndex) {
        if let Some(owned) = self.get_mut(index)
            && let Some(request) = owned.record.read(owned.room.id)
        {
            send(context, owned, request);
            self.arm(context, time, index);
        }
    }

    /// Deletes the record of an empty room. That of a room which has ended for everyone stays, and says so.
    #[must_use]
    pub fn delete(&mut self, context: &mut Context, time: Time, index: RoomIndex) -> Option<RoomAction> {
        let owned = self.get_mut(index)?;
        if owned.is_over() {
            return Some(RoomAction::Close { index });
        }
        owned.begin_closing(time.now);
        let Some(request) = owned.record.delete(owned.room.id) else {
            return Some(RoomAction::Close { index });
        };
        send(context, owned, request);
        self.arm(context, time, index);
        None
    }

    // ---- replies

    /// The directory has answered a request about the room's record, or not.
    #[must_use]
    pub fn record_replied(
        &mut self,
        context: &mut Context,
        time: Time,
        room: RoomId,
        ticket: Ticket,
        reply: Result<Reply, NoAnswer>,
    ) -> Option<RoomAction> {
        let index = self.index_of(room)?;
        let owned = self.get_mut(index)?;
        match owned.record.replied(ticket, owned.ownership, reply) {
            Outcome::Stale => None,
            Outcome::Confirmed { version } => Some(RoomAction::Confirm { index, version }),
            Outcome::Found(found) => self.examine(context, time, index, found),
            Outcome::Deleted => Some(RoomAction::Close { index }),
            Outcome::DeleteAgain => self.delete(context, time, index),
            Outcome::TakenOver(record) if record.ended => Some(RoomAction::EndedElsewhere { index }),
            // The room was empty: the record is the other pod's own.
            Outcome::TakenOver(record) => Some(RoomAction::Release { index, to: record.owner() }),
            Outcome::NoReply => {
                if !context.settings.rules.settle_by_reading
                    && let Some(version) = owned.record.believe_unsettled()
                {
                    return Some(RoomAction::Confirm { index, version: Some(version) });
                }
                owned.retry_later(time.now);
                self.arm(context, time, index);
                None
            }
        }
    }

    /// The record turned out to be `found`, which a write or a check did not expect, or which settles an unanswered write.
    fn examine(
        &mut self,
        context: &mut Context,
        time: Time,
        index: RoomIndex,
        found: Option<Bytes>,
    ) -> Option<RoomAction> {
        let releases = context.settings.rules.release_to_higher;
        let owned = self.get_mut(index)?;
        let creating = matches!(owned.phase, Phase::Creating { .. });
        match owned.record.examine(time.now, owned.ownership, creating, releases, found) {
            Finding::Confirmed { version } => Some(RoomAction::Confirm { index, version }),
            Finding::Higher(record) => Some(RoomAction::Release { index, to: record.owner() }),
            Finding::Ended => Some(RoomAction::EndedElsewhere { index }),
            Finding::IdTaken => Some(RoomAction::RetryWithNewId { index }),
            Finding::Vacant { above } => {
                owned.rise_above(above);
                self.write(context, index)
            }
            Finding::Overwrite { unreadable, lost } => {
                owned.record_differs(time.now);
                if unreadable {
                    context.counters.unreadable_records += 1;
                    context.log(Notice::UnreadableRecord { room: owned.room.id });
                }
                if lost {
                    context.effects.push(Effect::DirectoryWentBack);
                }
                self.write(context, index)
            }
        }
    }

    /// The directory holds what this pod believes, up to `version`.
    pub fn confirm(
        &mut self,
        context: &mut Context,
        time: Time,
        index: RoomIndex,
        version: Option<u64>,
    ) -> Option<Confirmed> {
        let lease_is_held = context.lease.is_held(time);
        let owned = self.get_mut(index)?;
        let room = owned.room.id;
        let resumes = owned.confirm(time.now, version, lease_is_held);
        let created = owned.begin_serving().map(|requester| (requester, room));
        if created.is_some() {
            owned.note_unentered(context.settings.slots.note_unentered(time.now, room));
            context.counters.rooms_created += 1;
            context.log(Notice::Created { room });
        }
        Some(Confirmed { created, resumes })
    }

    // ---- the lease and other pods

    /// The lease lapsed: the room waits for its record. The check comes before all others.
    pub fn suspend(&mut self, context: &mut Context, time: Time, index: RoomIndex) {
        if let Some(owned) = self.get_mut(index) {
            owned.suspend(time.now);
            let room = owned.room.id;
            self.check_first(room);
            self.arm(context, time, index);
        }
    }

    /// The lease is held again. Records read before that prove nothing: a pod that found the lease missing could
    /// still take a room over. (A lost lease makes the hub reassert each room, which proves more.)
    pub fn confirm_again(&mut self) {
        let mut suspended = Vec::new();
        for (_, owned) in self.iter_mut().filter(|(_, owned)| owned.is_suspended()) {
            owned.record.give_up_request();
            suspended.push(owned.room.id);
        }
        self.check_last(suspended);
    }

    /// The pod had lost its lease: reasserts each room, then checks its record.
    pub fn reassert_all(&mut self, context: &mut Context) {
        for (_, owned) in self.iter_mut() {
            context.counters.reassertions += u64::from(owned.reassert_after_loss());
        }
        self.check_all();
    }

    /// A peer reports a higher ownership whose pod is dead: reasserts the room above it.
    #[must_use]
    pub fn reassert_above(&mut self, context: &mut Context, index: RoomIndex, dead: Ownership) -> Option<RoomAction> {
        let owned = self.get_mut(index)?;
        if !owned.reassert_above(dead) {
            return None;
        }
        context.counters.reassertions += 1;
        context.log(Notice::Reasserted { room: owned.room.id, epoch: owned.ownership.epoch });
        self.write(context, index)
    }

    // ---- time

    /// Sets the room's timer.
    pub fn arm(&self, context: &mut Context, time: Time, index: RoomIndex) {
        if let Some(owned) = self.get(index) {
            let token = owned.wall_due_in(time.wall).map_or(u64::MAX, |wait| time.now.saturating_add(wait));
            let empty_ttl = context.settings.terms(owned.room.descriptor()).empty_ttl();
            let at = owned.next_due(empty_ttl).min(token).max(time.now + 1);
            context.arm(at, Timer::Room(owned.room.id));
        }
    }

    /// What has taken longer than it may, and is over now.
    pub fn take_timed_out(&mut self, time: Time, index: RoomIndex) -> Option<TimedOut> {
        self.get_mut(index)?.take_timed_out(time.now)
    }

    /// What is too old goes; a room that has been empty for long enough is closed. True: it is to be deleted now.
    pub fn is_to_close(&mut self, context: &Context, time: Time, index: RoomIndex) -> bool {
        if let Some(owned) = self.get_mut(index) {
            owned.note_empty(time.now);
        }
        self.forget_old(time.now, index, &context.settings);
        let empty_ttl = |owned: &Owned| context.settings.terms(owned.room.descriptor()).empty_ttl();
        let closes_at = self.get(index).and_then(|owned| owned.closes_at(empty_ttl(owned)));
        closes_at.is_some_and(|at| at <= time.now)
    }

    /// The record is written, if it is time to say that seats are held.
    #[must_use]
    pub fn hold_due(&mut self, context: &mut Context, time: Time, index: RoomIndex) -> Option<RoomAction> {
        if self.get_mut(index)?.hold_seats(time.now) { self.write(context, index) } else { None }
    }

    /// The record is checked, if it is time to: at once where a request was not answered, else after those that wait for it.
    #[must_use]
    pub fn check_due(&mut self, context: &mut Context, time: Time, index: RoomIndex) -> Option<RoomAction> {
        let owned = self.get_mut(index)?;
        if owned.record.take_retry(time.now) {
            return self.check(context, time, index);
        }
        if owned.record.take_check(time.now) {
            let room = owned.room.id;
            self.check_last([room]);
        }
        None
    }
}

#[cfg(test)]
#[path = "upkeep_tests.rs"]
mod tests;
