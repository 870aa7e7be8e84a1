//! One room that is owned here: what it is doing, who waits for it, and what its record is to say. Pure: no I/O, and knows no hub.

use bytes::Bytes;

use super::pending::{PendingAnswer, PendingAnswers};
use super::phase::{Phase, TimedOut};
use super::record_sync::RecordSync;
use super::{HOLD_WITHIN, RETRY};
use crate::hub::capacity::{RoomSlot, Unentered};
use crate::hub::interface::RoomView;
use crate::hub::request::{PATIENCE, Requester, Resuming, Waiter};
use crate::ids::{Reach, SessionId};
use crate::peer_protocol::Frame;
use crate::protocol::{Ownership, PodBoot};
use crate::record::MAX_EPOCH;
use crate::room::{Room, SeatState};

/// What waited for the room to be ready.
#[derive(Debug)]
pub struct Waiting {
    pub frames: Vec<(PodBoot, Frame<'static>)>,
    pub waiters: Vec<Waiter>,
}

/// A room with its ownership.
#[derive(Debug)]
pub struct Owned {
    pub room: Room,
    pub(super) ownership: Ownership,
    pub(super) phase: Phase,
    pub(super) slot: RoomSlot,
    /// After a lapse of the lease: input and output wait for the record, at most until then (ms).
    pub(super) suspended_until: Option<u64>,
    /// JOIN, RESUME and attaching sessions that came while the room was not ready.
    pub waiters: Vec<Waiter>,
    /// RESUMEs that wait for what another pod knows: at most one a seat.
    pub resuming: Vec<Resuming>,
    /// Frames of relayed sessions that came while the room was not ready.
    pub frames: Vec<(PodBoot, Frame<'static>)>,
    /// Its record in the directory.
    pub(super) record: RecordSync,
    /// When the record is to say that the next owner holds a seat whose JOIN has been answered.
    pub(super) holds_at: Option<u64>,
    empty_since: Option<u64>,
    /// `Some` while nobody has entered the room.
    unentered: Option<Unentered>,
    /// Its place has been given to a new room: it is closed as soon as it can be, unless somebody enters before.
    makes_way: bool,
    answers: PendingAnswers,
}

impl Owned {
    /// A room that is new in the world: its record has to be written first.
    pub fn created(room: Room, ownership: Ownership, requester: Requester, now: u64, slot: RoomSlot) -> Self {
        let phase = Phase::Creating { requester, until: now + PATIENCE };
        Self::new(room, ownership, phase, None, now, slot)
    }

    /// A room that has come from another owner. `stored`: the record as it is in the directory and true of `room`.
    pub fn taken(room: Room, ownership: Ownership, stored: Bytes, now: u64, slot: RoomSlot) -> Self {
        Self::new(room, ownership, Phase::Serving, Some(stored), now, slot)
    }

    fn new(room: Room, ownership: Ownership, phase: Phase, stored: Option<Bytes>, now: u64, slot: RoomSlot) -> Self {
        Self {
            record: RecordSync::new(stored, now),
            empty_since: room.seats().is_empty().then_some(now),
            room,
            ownership,
            phase,
            slot,
            suspended_until: None,
            waiters: Vec::new(),
            resuming: Vec::new(),
            frames: Vec::new(),
            holds_at: None,
            unentered: None,
            makes_way: false,
            answers: PendingAnswers::default(),
        }
    }

    // ---- what it is

    pub fn ownership(&self) -> Ownership {
        self.ownership
    }

    /// It is neither new, nor on its way to another pod, nor about to end.
    pub fn is_serving(&self) -> bool {
        matches!(self.phase, Phase::Serving)
    }

    /// Commands are carried out now.
    pub fn ready(&self) -> bool {
        self.is_serving() && !self.is_suspended()
    }

    /// Input and output wait: it is not sure that the room is here.
    pub fn is_suspended(&self) -> bool {
        self.suspended_until.is_some()
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

    /// The directory holds everything that it should.
    pub fn is_written(&self) -> bool {
        self.record.is_written()
    }

    /// It can be offered to another pod, once a write that may be under way is answered.
    pub fn can_move(&self) -> bool {
        self.ready() && self.record.is_settled()
    }

    /// What the directory holds is known, though it may not be all that it should.
    pub fn is_known(&self) -> bool {
        self.record.is_known()
    }

    pub fn stored(&self) -> Option<&Bytes> {
        self.record.stored()
    }

    /// Nobody is connected to it or waits for anything, and the directory knows of all who may come back.
    pub fn is_deserted(&self) -> bool {
        let away = |seat: &crate::room::Seat| matches!(seat.state, SeatState::Away { .. });
        let idle = self.answers.is_empty() && self.waiters.is_empty() && self.resuming.is_empty();
        self.ready()
            && self.is_written()
            && self.holds_at.is_none()
            && idle
            && self.frames.is_empty()
            && self.room.seats().iter().all(away)
    }

    /// Clients of this thread who have a seat.
    pub fn local_members(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.room.seats().iter().filter_map(|seat| match seat.reach {
            Some(Reach::Local(id)) => Some(id),
            _ => None,
        })
    }

    // ---- its beginning and end

    /// Its first write is done, if that was waited for: who asked for the room.
    pub(super) fn begin_serving(&mut self) -> Option<Requester> {
        let Phase::Creating { requester, .. } = self.phase else {
            return None;
        };
        self.phase = Phase::Serving;
        Some(requester)
    }

    /// Its record is to be deleted; the time that this may take begins anew.
    pub(super) fn begin_closing(&mut self, now: u64) {
        self.phase = Phase::Closing { until: now + 2 * PATIENCE };
    }

    /// Nobody is in it, nobody waits for anything, and the directory knows.
    fn may_close(&self) -> bool {
        self.ready() && self.is_written() && self.answers.is_empty() && self.room.seats().is_empty()
    }

    /// Notes since when nobody is in the room.
    pub(super) fn note_empty(&mut self, now: u64) {
        if !self.room.seats().is_empty() || !self.waiters.is_empty() {
            self.empty_since = None;
        } else if self.empty_since.is_none() {
            self.empty_since = Some(now);
        }
    }

    /// When it is to be closed (ms), if nothing happens until then.
    pub(super) fn closes_at(&self, empty_ttl: u64) -> Option<u64> {
        let since = self.empty_since.filter(|_| self.may_close())?;
        Some(if self.makes_way { since } else { since + empty_ttl })
    }

    /// Nobody has been in it, and it may make way for a new room.
    pub fn note_unentered(&mut self, unentered: Unentered) {
        self.unentered = Some(unentered);
    }

    /// Somebody takes a seat.
    pub fn entered(&mut self) {
        (self.unentered, self.makes_way) = (None, false);
    }

    /// It is to be closed for a new room. False: somebody has entered it.
    pub fn makes_way(&mut self) -> bool {
        self.makes_way = self.unentered.take().is_some();
        self.makes_way
    }

    pub(super) fn has_made_way(&self) -> bool {
        self.makes_way
    }

    // ---- its ownership and record

    /// The record may be written now: it is not about to go, and no other pod may be swapping it.
    pub(super) fn may_write(&self) -> bool {
        !matches!(self.phase, Phase::Closing { .. }) && !self.is_offered()
    }

    /// The record is to say something else.
    pub fn changed(&mut self) {
        self.record.changed();
    }

    /// A JOIN has been answered: from now on the next owner is to hold its seat.
    pub fn seat_to_hold(&mut self, now: u64) {
        self.holds_at.get_or_insert(now + HOLD_WITHIN);
    }

    /// Whether the record is to say now that answered seats are held; it is then noted as changed.
    pub(super) fn hold_seats(&mut self, now: u64) -> bool {
        let is_due = self.ready() && self.holds_at.take_if(|at| *at <= now).is_some();
        if is_due {
            self.changed();
        }
        is_due
    }

    /// The ownership is claimed again, one higher.
    pub fn claim(&mut self) {
        self.ownership.epoch = self.ownership.epoch.saturating_add(1);
        self.changed();
    }

    /// The lease was lost: the ownership is claimed again. False: the room is offered to another pod, and claimed if it stays.
    pub(super) fn claim_after_loss(&mut self) -> bool {
        let is_offered = self.is_offered();
        if !is_offered {
            self.claim();
        }
        !is_offered
    }

    /// Claims the room above the higher ownership of a pod that is dead. False: it is not higher, or what is offered to another pod may not be
    /// its own any more; whoever asks is told to ask again.
    pub(super) fn claim_above(&mut self, dead: Ownership) -> bool {
        if self.ownership >= dead || dead.epoch >= MAX_EPOCH || self.is_offered() {
            return false;
        }
        self.ownership.epoch = dead.epoch + 1;
        self.changed();
        true
    }

    /// The record turned out to be another than was offered, and not the target's: a move that waits for that claims the room once more.
    pub(super) fn record_differs(&mut self, now: u64) {
        if self.moving_mut().is_some_and(|moving| moving.starts_over(now)) {
            self.ownership.epoch = self.ownership.epoch.saturating_add(1);
        }
    }

    /// After a lapse of the lease: input and output wait for the record. What was asked before proves nothing.
    pub(super) fn suspend(&mut self, now: u64) {
        self.suspended_until = Some(now + PATIENCE);
        self.record.suspend();
    }

    /// The directory holds what this pod believes, up to `version`. Whether input and output, which waited for that, go on: for this the
    /// lease has to be held, too.
    pub(super) fn confirm(&mut self, version: Option<u64>, lease_is_held: bool) -> bool {
        let is_sure = self.record.confirm(version) && lease_is_held;
        is_sure && self.suspended_until.take().is_some()
    }

    /// A request about the record was not answered: the time of the retry depends on whether somebody waits.
    pub(super) fn retry_later(&mut self, now: u64) {
        let is_waited_for = !self.ready() || !self.answers.is_empty() || !self.waiters.is_empty();
        self.record.retry_at(now + if is_waited_for { RETRY } else { PATIENCE });
    }

    // ---- answers and waiters

    /// The record is to say what `answer` promises, which waits for that.
    pub(super) fn answer_after_write(&mut self, now: u64, answer: PendingAnswer) {
        self.changed();
        self.answers.push(now, self.record.version(), answer);
        self.note_empty(now);
        // Now somebody waits.
        self.record.retry_by(now + RETRY);
    }

    /// The next answer to be given now; none while it is not sure that the room is here.
    pub(super) fn next_released(&mut self, now: u64) -> Option<PendingAnswer> {
        if self.is_suspended() { None } else { self.answers.next_released(now, &self.record) }
    }

    /// The answers that wait, in order; they do not wait any more.
    pub fn take_answers(&mut self) -> Vec<PendingAnswer> {
        self.answers.take_all()
    }

    pub fn answers_waiting(&self) -> usize {
        self.answers.len()
    }

    /// Whether a LEAVE or QUIT of this session has been carried out and waits for its answer.
    pub fn is_leaving(&self, by: Reach) -> bool {
        self.answers.is_leaving(by)
    }

    /// What waited for the room, if it is ready now.
    pub(super) fn take_waiting(&mut self) -> Option<Waiting> {
        self.ready()
            .then(|| Waiting { frames: std::mem::take(&mut self.frames), waiters: std::mem::take(&mut self.waiters) })
    }

    // ---- time

    /// What has taken longer than it may, and is over now.
    pub(super) fn take_timed_out(&mut self, now: u64) -> Option<TimedOut> {
        match self.phase {
            Phase::Creating { requester, until } if until <= now => return Some(TimedOut::Creation(requester)),
            Phase::Closing { until } if until <= now => return Some(TimedOut::Closing),
            _ => {}
        }
        self.suspended_until.take_if(|until| *until <= now).map(|_| TimedOut::Confirmation)
    }

    /// When something is due next (ms).
    pub(super) fn next_due(&self, empty_ttl: u64) -> u64 {
        let seats = self.room.seats().iter().filter_map(|seat| match seat.state {
            SeatState::Away { until } | SeatState::Detached { until } => Some(until),
            _ => None,
        });
        let phase = match &self.phase {
            Phase::Creating { until, .. } | Phase::Closing { until } => Some(*until),
            Phase::Moving(moving) => Some(moving.until()),
            Phase::Serving => None,
        };
        // While input and output wait, so do the seats' times.
        let resuming = self.resuming.iter().map(|resuming| resuming.until);
        let seats = seats.chain(resuming).chain(self.holds_at).filter(|_| self.ready()).min();
        let waiters = self.waiters.iter().map(|waiter| waiter.deadline).min();
        let empty = self.closes_at(empty_ttl);
        [phase, empty, seats, waiters, self.answers.deadline(), self.suspended_until]
            .into_iter()
            .flatten()
            .fold(self.record.due_at(), u64::min)
    }

    /// What must hold between calls; panics where it does not.
    pub fn check_invariants(&self) {
        self.answers.check_invariants(self.record.version());
        self.record.check_invariants();
        let room = self.room.id;
        assert!(self.unentered.is_none() || !self.makes_way, "{room} makes way and may make way");
        if let Phase::Creating { .. } = self.phase {
            assert!(self.room.seats().is_empty(), "{room} has seats before it has a record");
        }
    }
}

#[cfg(test)]
#[path = "owned_tests.rs"]
mod tests;
