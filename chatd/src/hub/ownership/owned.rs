//! One owned room: its phase, its waiters, and the state that its record should have. Pure: no I/O, and knows no hub.

use bytes::Bytes;

use super::claims::Claim;
use super::pending::{PendingAnswer, PendingAnswers, QueuedFrames, UntoldLock};
use super::phase::Phase;
use super::record_sync::RecordSync;
use super::{HOLD_WITHIN, RETRY};
use crate::hub::capacity::{RoomSlot, Unentered};
use crate::hub::interface::RoomView;
use crate::hub::request::{PATIENCE, PendingResume, Requester, Waiter};
use crate::ids::{Reach, SessionId, Ticket};
use crate::protocol::Ownership;
use crate::record::MAX_EPOCH;
use crate::room::{Room, SeatState};

/// Rooms are many, and most have a few members: what few rooms need, or for a moment, is in memory of its own.
const _: () = assert!(size_of::<Owned>() <= 832);

/// A room with its ownership.
#[derive(Debug)]
pub struct Owned {
    pub room: Room,
    pub(super) ownership: Ownership,
    pub(super) phase: Phase,
    pub(super) slot: RoomSlot,
    /// After a lapse of the lease: input and output wait for the record until this time (ms) at most.
    pub(super) suspended_until: Option<u64>,
    /// JOIN, RESUME and attaching sessions that came while the room was not ready.
    pub(super) waiters: Vec<Waiter>,
    /// RESUMEs that wait for another pod's report: at most one a seat.
    pub(super) pending_resumes: Vec<PendingResume>,
    /// Frames of relayed sessions that came while the room was not ready.
    pub(super) frames: QueuedFrames,
    /// Its record in the directory.
    pub(super) record: RecordSync,
    /// When the record is to mark the answered seats as held (ms).
    pub(super) holds_at: Option<u64>,
    empty_since: Option<u64>,
    /// When it came from another owner (ms).
    came: Option<u64>,
    /// `Some` until somebody enters the room.
    unentered: Option<Box<Unentered>>,
    /// A new room has its capacity: it closes as soon as possible, unless somebody enters before.
    makes_way: bool,
    /// It has ended for everyone, and closes as soon as possible.
    pub(super) over: bool,
    /// The application has called for its end.
    pub(super) deleted: bool,
    pub(super) answers: PendingAnswers,
    pub(super) untold_lock: Option<Box<UntoldLock>>,
    /// Each with the request that it waits for.
    pub(super) claims: Vec<(Ticket, Claim)>,
}

impl Owned {
    /// A new room: its record has yet to be written.
    pub fn created(room: Room, ownership: Ownership, requester: Requester, now: u64, slot: RoomSlot) -> Self {
        let phase = Phase::Creating { requester: Box::new(requester), until: now + PATIENCE };
        Self::new(room, ownership, phase, None, now, slot)
    }

    /// A room from another owner. `stored`: the record in the directory, which equals the state of `room`.
    pub fn taken(room: Room, ownership: Ownership, stored: Bytes, now: u64, slot: RoomSlot) -> Self {
        Self { came: Some(now), ..Self::new(room, ownership, Phase::Serving, Some(stored), now, slot) }
    }

    fn new(room: Room, ownership: Ownership, phase: Phase, stored: Option<Bytes>, now: u64, slot: RoomSlot) -> Self {
        Self {
            record: RecordSync::new(stored, now),
            empty_since: room.seats().is_empty().then_some(now),
            came: None,
            room,
            ownership,
            phase,
            slot,
            suspended_until: None,
            waiters: Vec::new(),
            pending_resumes: Vec::new(),
            frames: Vec::new(),
            holds_at: None,
            unentered: None,
            makes_way: false,
            over: false,
            deleted: false,
            answers: PendingAnswers::default(),
            untold_lock: None,
            claims: Vec::new(),
        }
    }

    // ---- what it is

    pub fn ownership(&self) -> Ownership {
        self.ownership
    }

    /// It is neither being created, nor moving, nor closing.
    pub fn is_serving(&self) -> bool {
        matches!(self.phase, Phase::Serving)
    }

    /// Its first write is under way.
    pub fn is_creating(&self) -> bool {
        matches!(self.phase, Phase::Creating { .. })
    }

    /// It carries out commands now.
    pub fn ready(&self) -> bool {
        self.is_serving() && !self.is_suspended()
    }

    /// Input and output wait, since its ownership is unconfirmed.
    pub fn is_suspended(&self) -> bool {
        self.suspended_until.is_some()
    }

    /// One word for people.
    pub fn state(&self) -> &'static str {
        match self.phase {
            Phase::Creating { .. } => "creating",
            Phase::Serving if self.is_suspended() => "paused",
            Phase::Serving => "serving",
            Phase::Moving(_) => "moving",
            Phase::Closing { .. } => "closing",
        }
    }

    pub fn view(&self) -> RoomView {
        RoomView {
            room: self.room.id,
            ownership: self.ownership,
            timeline: self.room.timeline(),
            seq: self.room.seq(),
            seats: self.room.seats().len(),
            ready: self.ready(),
            written: self.is_written() && self.holds_at.is_none(),
        }
    }

    /// The directory holds its current state.
    pub fn is_written(&self) -> bool {
        self.record.is_written()
    }

    /// It can be offered to another pod once the write in flight is answered.
    pub fn can_move(&self) -> bool {
        self.ready() && !self.over && self.record.is_settled() && self.claims.is_empty()
    }

    /// It has come from another owner in the last `within` (ms).
    pub fn has_come_within(&self, now: u64, within: u64) -> bool {
        self.came.is_some_and(|came| now < came + within)
    }

    /// The content of the record is known, even if it is not the room's current state.
    pub fn is_known(&self) -> bool {
        self.record.is_known()
    }

    pub fn stored(&self) -> Option<&Bytes> {
        self.record.stored()
    }

    /// Nobody is connected or waits, and the record has every seat that can be resumed.
    pub fn is_deserted(&self) -> bool {
        let away = |seat: &crate::room::Seat| matches!(seat.state, SeatState::Away { .. });
        let idle = self.answers.is_empty() && self.waiters.is_empty() && self.pending_resumes.is_empty();
        let idle = idle && self.claims.is_empty();
        self.ready()
            && self.is_written()
            && self.holds_at.is_none()
            && idle
            && self.frames.is_empty()
            && self.room.seats().iter().all(away)
    }

    /// The local members.
    pub fn local_members(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.room.seats().iter().filter_map(|seat| match seat.reach {
            Some(Reach::Local(id)) => Some(id),
            _ => None,
        })
    }

    // ---- its beginning and end

    /// The first write is done. Returns the requester that waits for it.
    pub(super) fn begin_serving(&mut self) -> Option<Requester> {
        let Phase::Creating { requester, .. } = &self.phase else {
            return None;
        };
        let requester = **requester;
        self.phase = Phase::Serving;
        // A name that this pod has drawn was nobody's before.
        if requester.room().is_some() {
            self.room.count_state_from(self.ownership.epoch);
        }
        Some(requester)
    }

    /// Begins to delete the record, with a new deadline.
    pub(super) fn begin_closing(&mut self, now: u64) {
        self.phase = Phase::Closing { until: now + 2 * PATIENCE };
    }

    /// It is empty, nobody waits, and the record is up to date.
    fn may_close(&self) -> bool {
        let idle = self.answers.is_empty() && self.claims.is_empty();
        self.ready() && self.is_written() && idle && self.room.seats().is_empty()
    }

    /// Notes whether the room is empty, and since when.
    pub(super) fn note_empty(&mut self, now: u64) {
        // Who waits for a room that has ended waits for its end.
        if !self.room.seats().is_empty() || !self.waiters.is_empty() && !self.over {
            self.empty_since = None;
        } else if self.empty_since.is_none() {
            self.empty_since = Some(now);
        }
    }

    /// When the room closes if nothing else happens (ms).
    pub(super) fn closes_at(&self, empty_ttl: u64) -> Option<u64> {
        let since = self.empty_since.filter(|_| self.may_close())?;
        if self.over {
            return Some(since);
        }
        let at = if self.makes_way { since } else { since + empty_ttl };
        // Somebody is about to come.
        Some(self.room.reserved_until().map_or(at, |until| at.max(until)))
    }

    /// Nobody has entered it, and it may make way for a new room.
    pub fn note_unentered(&mut self, unentered: Unentered) {
        self.unentered = Some(Box::new(unentered));
    }

    /// Somebody has taken a seat.
    pub fn entered(&mut self) {
        (self.unentered, self.makes_way) = (None, false);
    }

    /// The room is to close for a new one. False: somebody has entered it.
    pub fn makes_way(&mut self) -> bool {
        self.makes_way = self.unentered.take().is_some();
        self.makes_way
    }

    pub fn has_made_way(&self) -> bool {
        self.makes_way
    }

    // ---- its ownership and record

    /// Whether the record may be written: it is not being deleted, and no other pod can be swapping it.
    pub(super) fn may_write(&self) -> bool {
        !matches!(self.phase, Phase::Closing { .. }) && !self.is_offered()
    }

    /// The room's state has changed: the record has to follow.
    pub fn changed(&mut self) {
        self.record.changed();
    }

    /// The client has the reply to its JOIN: from now on the next owner has to hold the seat.
    pub fn seat_to_hold(&mut self, now: u64) {
        self.holds_at.get_or_insert(now + HOLD_WITHIN);
    }

    /// Whether the record has to mark the answered seats as held now; if so, it counts as changed.
    pub(super) fn hold_seats(&mut self, now: u64) -> bool {
        let is_due = self.ready() && self.holds_at.take_if(|at| *at <= now).is_some();
        if is_due {
            self.changed();
        }
        is_due
    }

    /// Reasserts the ownership: raises its epoch by one.
    pub fn reassert(&mut self) {
        self.ownership.epoch = self.ownership.epoch.saturating_add(1);
        self.changed();
    }

    /// Reasserts the ownership after a lost lease. False: the room is offered to another pod, and reasserted only if it stays.
    pub(super) fn reassert_after_loss(&mut self) -> bool {
        let is_offered = self.is_offered();
        if !is_offered {
            self.reassert();
        }
        !is_offered
    }

    /// Reasserts the room above the higher ownership of a dead pod. False: that ownership is not higher, or the offered room may already
    /// belong to the target; the asking pod gets `Soon` and asks again.
    pub(super) fn reassert_above(&mut self, dead: Ownership) -> bool {
        if self.ownership >= dead || dead.epoch >= MAX_EPOCH || self.is_offered() {
            return false;
        }
        self.ownership.epoch = dead.epoch + 1;
        self.changed();
        true
    }

    /// The record is neither the one that was offered nor the target's: a move that waits for the record reasserts the room once more.
    pub(super) fn record_differs(&mut self, now: u64) {
        if self.moving_mut().is_some_and(|moving| moving.starts_over(now)) {
            self.ownership.epoch = self.ownership.epoch.saturating_add(1);
        }
    }

    /// The lease has lapsed: input and output wait for the record. Requests from before the lapse prove nothing.
    pub(super) fn suspend(&mut self, now: u64) {
        self.suspended_until = Some(now + PATIENCE);
        self.record.suspend();
    }

    /// The directory has confirmed the state up to `version`. Returns whether the suspended room continues, which also requires the lease
    /// to be held.
    pub(super) fn confirm(&mut self, now: u64, version: Option<u64>, lease_is_held: bool) -> bool {
        let is_sure = self.record.confirm(now, version) && lease_is_held;
        is_sure && self.suspended_until.take().is_some()
    }

    /// A request about the record got no reply. The time of the retry depends on whether anybody waits.
    pub(super) fn retry_later(&mut self, now: u64) {
        let is_waited_for = !self.ready() || !self.answers.is_empty() || !self.waiters.is_empty();
        self.record.retry_at(now + if is_waited_for { RETRY } else { PATIENCE });
    }

    // ---- answers

    /// Queues `answer` until the record holds what it promises.
    pub(super) fn answer_after_write(&mut self, now: u64, answer: PendingAnswer) {
        self.changed();
        self.answers.push(now, self.record.version(), answer);
        self.note_empty(now);
        // From now on somebody waits.
        self.record.retry_by(now + RETRY);
    }

    /// The next answer to send; none while the ownership is unconfirmed.
    pub(super) fn next_released(&mut self, now: u64) -> Option<PendingAnswer> {
        if self.is_suspended() { None } else { self.answers.next_released(now, &self.record) }
    }

    /// Removes the queued answers, in order.
    pub fn take_answers(&mut self) -> Vec<PendingAnswer> {
        self.answers.take_all()
    }

    pub fn answers_waiting(&self) -> usize {
        self.answers.len()
    }

    /// The session has attached once more: see [`PendingAnswers::lose`].
    pub fn lose_answers(&mut self, by: Reach) {
        self.answers.lose(by);
    }

    /// Whether a command of this session waits for its write, before which no other one is carried out.
    pub fn holds_back(&self, by: Reach) -> bool {
        self.answers.is_locking(by)
    }

    /// Whether a LEAVE or QUIT of this session was carried out and waits for its reply.
    pub fn is_leaving(&self, by: Reach) -> bool {
        self.answers.is_leaving(by)
    }

    /// What must hold between calls; panics where it does not.
    pub fn check_invariants(&self) {
        self.answers.check_invariants(self.record.version());
        self.record.check_invariants();
        let room = self.room.id;
        assert!(self.unentered.is_none() || !self.makes_way, "{room} makes way and may make way");
        assert!(
            self.owes_nothing() || !self.is_offered(),
            "{room} is offered, and somebody waits to be told something"
        );
        if let Phase::Creating { .. } = self.phase {
            assert!(self.room.seats().is_empty(), "{room} has seats before it has a record");
        }
    }
}

#[cfg(test)]
#[path = "owned_tests.rs"]
mod tests;
