//! The rooms that are owned here: their records are written, checked and claimed again. Pure: no I/O.
//!
//! One request about a room's record is under way at a time. What changes meanwhile goes out with the next write; answers wait
//! for the write that holds what they say, or [`PATIENCE`]. An unanswered write is settled by reading.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::admission::Entry;
use super::drain::Move;
use super::find::Waiter;
use super::input::Asked;
use super::{Effect, Hub, Notice, Purpose, RoomView, SessionId, Ticket, Time, Timer};
use crate::directory::{Answer as Reply, Key, NoAnswer, Request};
use crate::frame::Frame;
use crate::lease::LEASE;
use crate::protocol::{ErrorCode, ExitReason, Ownership, PlayerName, PodBoot, RoomId, SeatId};
use crate::record::{Record, Verdict, judge, next_epoch};
use crate::room::Room;

/// How long an answer waits for the directory (ms; design.md section 5).
pub const PATIENCE: u64 = 2_000;
/// Each record is checked, and so renewed, this often (ms; design.md section 5).
const CHECK: u64 = 30_000;
/// Requests of checks under way at a time: ten thousand rooms are then checked in well under a second.
const CHECKS_UNDER_WAY: usize = 128;
/// Pauses between tries at a directory that does not answer (ms).
const RETRY: u64 = 250;

/// An answer that waits for a write.
#[derive(Debug, Clone)]
pub enum Answer {
    Joined { asked: Asked, seat: SeatId, entry: Entry, counts: bool },
    Left { asked: Asked, quit: bool },
    Exited { name: PlayerName, reason: ExitReason },
}

/// Who waits for a new room's first write.
#[derive(Debug, Clone, Copy)]
pub enum Released {
    Created(Asked),
    Queried(u64),
}

/// What the room is doing.
#[derive(Debug)]
pub enum Phase {
    /// Its first write is under way.
    Founding {
        whom: Released,
        until: u64,
    },
    Serving,
    Moving(Move),
    /// Its record is being deleted.
    Closing {
        until: u64,
    },
}

/// The request about the record that is under way.
#[derive(Debug)]
enum Outstanding {
    Swap { bytes: Bytes, version: u64 },
    Renew,
    Get,
    Delete,
}

#[derive(Debug)]
struct Held {
    version: u64,
    deadline: u64,
    answer: Answer,
}

/// A room with its ownership.
#[derive(Debug)]
pub struct Owned {
    pub room: Room,
    pub ownership: Ownership,
    pub phase: Phase,
    /// After a thaw: input and output wait for the record, at most until then.
    pub unconfirmed: Option<u64>,
    /// JOIN, RESUME and attaching sessions that came while the room was not ready.
    pub waiters: Vec<Waiter>,
    /// Frames of relayed sessions that came while the room was not ready.
    pub frames: Vec<(PodBoot, Frame<'static>)>,
    /// What is in the directory, as far as is known.
    stored: Option<Bytes>,
    /// Counts the states that the record should have.
    version: u64,
    written: u64,
    outstanding: Option<(Ticket, Outstanding)>,
    /// A swap that was not answered: it may have been carried out.
    unanswered: Option<(Bytes, u64)>,
    retry_at: Option<u64>,
    check_at: u64,
    empty_since: Option<u64>,
    answers: VecDeque<Held>,
}

impl Owned {
    /// `stored`: the record as it is in the directory and true of `room`; `None`: it has to be written first.
    pub fn new(room: Room, ownership: Ownership, phase: Phase, stored: Option<Bytes>, now: u64) -> Self {
        Self {
            written: u64::from(stored.is_some()),
            version: 1,
            empty_since: room.seats.is_empty().then_some(now),
            room,
            ownership,
            phase,
            unconfirmed: None,
            waiters: Vec::new(),
            frames: Vec::new(),
            stored,
            outstanding: None,
            unanswered: None,
            retry_at: None,
            check_at: now + CHECK,
            answers: VecDeque::new(),
        }
    }

    /// Commands are carried out now.
    pub fn ready(&self) -> bool {
        matches!(self.phase, Phase::Serving) && self.unconfirmed.is_none()
    }

    pub fn view(&self) -> RoomView {
        RoomView {
            room: self.room.id,
            ownership: self.ownership,
            timeline: self.room.timeline,
            seq: self.room.seq,
            seats: self.room.seats.len(),
            ready: self.ready(),
            written: self.is_written(),
        }
    }

    /// The directory holds everything that it should.
    pub fn is_written(&self) -> bool {
        self.written == self.version && self.outstanding.is_none() && self.unanswered.is_none()
    }

    pub fn stored(&self) -> Option<&Bytes> {
        self.stored.as_ref()
    }

    /// The record is to say something else.
    pub fn changed(&mut self) {
        self.version += 1;
    }

    /// The answers that wait, in order; they do not wait any more.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        self.answers.drain(..).map(|held| held.answer).collect()
    }

    fn next_due(&self, settings: &super::HubSettings) -> u64 {
        let seats = self.room.seats.iter().filter_map(|seat| match seat.state {
            crate::room::SeatState::Away { until } | crate::room::SeatState::Detached { until } => Some(until),
            _ => None,
        });
        let phase = match &self.phase {
            Phase::Founding { until, .. } | Phase::Closing { until } => Some(*until),
            Phase::Moving(moving) => Some(moving.until),
            Phase::Serving => None,
        };
        let empty = self.empty_since.filter(|_| self.ready()).map(|since| since + settings.empty_ttl);
        // While input and output wait, so do the seats' times.
        let seats = seats.filter(|_| self.ready()).min();
        let waiters = self.waiters.iter().map(|waiter| waiter.deadline).min();
        let answers = self.answers.front().map(|held| held.deadline);
        [phase, empty, seats, waiters, answers, self.unconfirmed, self.retry_at]
            .into_iter()
            .flatten()
            .fold(self.check_at, u64::min)
    }
}

impl Hub {
    // ---- the pod's word

    /// Before each batch: has this pod been frozen for so long that others may have taken its rooms?
    ///
    /// The contract's measure is the last confirmed renewal of the lease. While the directory is away that is long ago, too;
    /// rooms that have waited for it once go on, for as long as this is looked at often enough to rule out a freeze.
    pub(super) fn begin(&mut self, time: Time) {
        const EXCUSE: u64 = 3_000;
        let Some(confirmed) = self.lease.confirmed else {
            return;
        };
        if time.now.saturating_sub(confirmed) <= LEASE {
            return;
        }
        if time.now > self.excused_until && self.settings.rules.check_after_thaw {
            let rooms: Vec<usize> = self.rooms.iter().map(|(key, _)| key).collect();
            if !rooms.is_empty() {
                self.counters.thaws += 1;
                self.log(Notice::Thawed { rooms: rooms.len() });
            }
            for key in rooms {
                self.suspend(time, key);
            }
        }
        self.excused_until = time.now + EXCUSE;
        self.arm(time.now + 1_000, Timer::Peers);
    }

    fn suspend(&mut self, time: Time, key: usize) {
        if let Some(owned) = self.rooms.get_mut(key) {
            owned.unconfirmed = Some(time.now + PATIENCE);
            // An answer to what was asked before the freeze proves nothing.
            if let Some((_, Outstanding::Swap { bytes, version })) = owned.outstanding.take() {
                owned.unanswered = Some((bytes, version));
            }
            owned.retry_at = None;
            let room = owned.room.id;
            self.checks.push_front(room);
            self.arm_room(time, key);
        }
        self.pump_checks(time);
    }

    pub(super) fn check_all(&mut self, time: Time) {
        self.checks = self.rooms.iter().map(|(_, owned)| owned.room.id).collect();
        self.pump_checks(time);
    }

    /// The lease had been lost: each room's ownership is claimed again, one higher.
    pub(super) fn claim_all(&mut self, time: Time) {
        for (_, owned) in &mut self.rooms {
            owned.ownership.epoch += 1;
            owned.version += 1;
            self.counters.claims += 1;
        }
        self.check_all(time);
    }

    /// Told of a higher ownership whose pod is dead: claim again above it.
    pub(super) fn claim_above(&mut self, time: Time, key: usize, dead: Ownership) {
        if let Some(owned) = self.rooms.get_mut(key)
            && owned.ownership < dead
        {
            owned.ownership.epoch = dead.epoch + 1;
            owned.version += 1;
            let (room, epoch) = (owned.room.id, owned.ownership.epoch);
            self.counters.claims += 1;
            self.log(Notice::ClaimedAgain { room, epoch });
            self.write(time, key);
        }
    }

    pub(super) fn pump_checks(&mut self, time: Time) {
        while self.tickets.len() < CHECKS_UNDER_WAY
            && let Some(room) = self.checks.pop_front()
        {
            if let Some(key) = self.owned_key(room) {
                self.check(time, key);
            }
        }
    }

    // ---- one room's record

    /// Asks whether the record is still what was written; writes it, if something is to be written anyway.
    fn check(&mut self, time: Time, key: usize) {
        let record_ttl = Duration::from_millis(self.settings.record_ttl);
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        owned.check_at = time.now + CHECK;
        if owned.outstanding.is_some() || matches!(owned.phase, Phase::Closing { .. }) {
            return self.arm_room(time, key);
        }
        if owned.unanswered.is_none() && owned.version > owned.written {
            return self.write(time, key);
        }
        let room = owned.room.id;
        let (request, outstanding) = match (&owned.stored, &owned.unanswered) {
            (Some(stored), None) => {
                let request = Request::Renew { key: Key::Room(room), expected: stored.clone(), ttl: record_ttl };
                (request, Outstanding::Renew)
            }
            _ => (Request::Get { key: Key::Room(room) }, Outstanding::Get),
        };
        self.send(key, request, outstanding);
        self.arm_room(time, key);
    }

    /// Writes the record, if it is to say something else than what is known to be there.
    pub(super) fn write(&mut self, time: Time, key: usize) {
        let ttl = Duration::from_millis(self.settings.record_ttl);
        let Some(owned) = self.rooms.get(key) else {
            return;
        };
        if owned.outstanding.is_some()
            || owned.unanswered.is_some()
            || owned.written >= owned.version
            || matches!(owned.phase, Phase::Closing { .. })
            || matches!(&owned.phase, Phase::Moving(moving) if moving.offered())
        {
            return;
        }
        let bytes = Record::new(&self.me_as(owned.ownership), owned.room.recorded()).to_bytes();
        let (room, version) = (owned.room.id, owned.version);
        if owned.stored.as_ref() == Some(&bytes) {
            return self.confirmed(time, key, Some(version));
        }
        let request = Request::Swap { key: Key::Room(room), expected: owned.stored.clone(), new: bytes.clone(), ttl };
        self.send(key, request, Outstanding::Swap { bytes, version });
    }

    /// Reads the record, to see whose the room is.
    pub(super) fn read_own_record(&mut self, time: Time, key: usize) {
        if let Some(owned) = self.rooms.get(key)
            && owned.outstanding.is_none()
        {
            let room = owned.room.id;
            self.send(key, Request::Get { key: Key::Room(room) }, Outstanding::Get);
            self.arm_room(time, key);
        }
    }

    fn send(&mut self, key: usize, request: Request, outstanding: Outstanding) {
        let Some(room) = self.rooms.get(key).map(|owned| owned.room.id) else {
            return;
        };
        let ticket = self.ask(Purpose::Own(room), request);
        if let Some(owned) = self.rooms.get_mut(key) {
            owned.outstanding = Some((ticket, outstanding));
        }
    }

    pub(super) fn own_record_answered(
        &mut self,
        time: Time,
        room: RoomId,
        ticket: Ticket,
        answer: Result<Reply, NoAnswer>,
    ) {
        let Some(key) = self.owned_key(room) else {
            return;
        };
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let Some((_, outstanding)) = owned.outstanding.take_if(|(expected, _)| *expected == ticket) else {
            return;
        };
        match (outstanding, answer) {
            (Outstanding::Delete, Ok(Reply::Found(found))) => {
                let again = owned.stored != found && found.is_some();
                owned.stored = found;
                if again { self.delete(time, key) } else { self.room_closed(time, key) }
            }
            (Outstanding::Delete, _) => self.room_closed(time, key),
            (Outstanding::Swap { bytes, version }, Ok(Reply::Done)) => {
                owned.stored = Some(bytes);
                self.confirmed(time, key, Some(version));
            }
            (Outstanding::Renew, Ok(Reply::Done)) => self.confirmed(time, key, None),
            (outstanding, Ok(Reply::Found(found))) => {
                if let Outstanding::Swap { bytes, version } = outstanding {
                    owned.unanswered = Some((bytes, version));
                }
                self.examine(time, key, found);
            }
            (outstanding, _) => {
                if let Outstanding::Swap { bytes, version } = outstanding {
                    owned.unanswered = Some((bytes, version));
                    if !self.settings.rules.settle_by_reading {
                        owned.unanswered = None;
                        return self.confirmed(time, key, Some(version));
                    }
                }
                owned.retry_at = Some(time.now + RETRY);
                self.arm_room(time, key);
            }
        }
    }

    /// The record turned out to be `found`, which a write or a check did not expect, or which settles an unanswered write.
    fn examine(&mut self, time: Time, key: usize, found: Option<Bytes>) {
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let unanswered = owned.unanswered.take();
        if let Some((bytes, version)) = unanswered
            && found.as_ref() == Some(&bytes)
        {
            owned.stored = found;
            return self.confirmed(time, key, Some(version));
        }
        let founding = matches!(owned.phase, Phase::Founding { .. });
        let meant = owned.stored.as_deref().unwrap_or_default();
        let verdict = judge(found.as_deref(), owned.ownership, meant);
        let surprise = found != owned.stored;
        match verdict {
            Verdict::Higher(record) if self.settings.rules.yield_to_higher && !founding => {
                return self.yield_to(time, key, record.owner(), false);
            }
            Verdict::Higher(_) | Verdict::Lower if founding => {
                // Somebody has this id already: another one is made.
                return self.refound(time, key);
            }
            Verdict::Mine => {
                return self.confirmed(time, key, None);
            }
            _ => {}
        }
        if let Some(bytes) = &found
            && Record::parse(bytes).is_none()
        {
            self.counters.unreadable_records += 1;
            let room = owned.room.id;
            self.effects.push(Effect::Log(Notice::UnreadableRecord { room }));
        }
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        owned.stored = found;
        owned.version += 1;
        if surprise && !founding {
            self.effects.push(Effect::DirectoryWentBack);
        }
        self.write(time, key);
    }

    /// The directory holds what this pod believes, up to `version`.
    fn confirmed(&mut self, time: Time, key: usize, version: Option<u64>) {
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        owned.unanswered = None;
        owned.retry_at = None;
        owned.written = owned.written.max(version.unwrap_or(owned.written));
        let thawed = owned.unconfirmed.take().is_some();
        let founded = match owned.phase {
            Phase::Founding { whom, .. } => {
                owned.phase = Phase::Serving;
                Some((whom, owned.room.id))
            }
            _ => None,
        };
        if let Some((whom, room)) = founded {
            self.counters.rooms_created += 1;
            self.log(Notice::Created { room });
            self.created(time, whom, Ok(room));
        }
        self.release(time, key);
        self.write(time, key);
        if thawed {
            self.ready_again(time, key);
        }
        self.move_settled(time, key);
        self.arm_room(time, key);
    }

    // ---- answers that wait for a write

    pub(super) fn answer_after_write(&mut self, time: Time, key: usize, answer: Answer) {
        if let Some(owned) = self.rooms.get_mut(key) {
            owned.version += 1;
            owned.answers.push_back(Held { version: owned.version, deadline: time.now + PATIENCE, answer });
        }
        self.write(time, key);
        if !self.settings.rules.answer_after_write {
            self.release_all(time, key);
        }
        self.arm_room(time, key);
    }

    fn release(&mut self, time: Time, key: usize) {
        while let Some(owned) = self.rooms.get_mut(key)
            && owned.answers.front().is_some_and(|held| held.version <= owned.written || held.deadline <= time.now)
            && let Some(held) = owned.answers.pop_front()
        {
            self.give(time, key, held.answer);
        }
    }

    fn release_all(&mut self, time: Time, key: usize) {
        while let Some(held) = self.rooms.get_mut(key).and_then(|owned| owned.answers.pop_front()) {
            self.give(time, key, held.answer);
        }
    }

    fn give(&mut self, time: Time, key: usize, answer: Answer) {
        match answer {
            Answer::Joined { asked, seat, counts, .. } => self.joined(time, key, asked, seat, counts),
            Answer::Left { asked, quit } => self.has_left(time, key, asked, quit),
            Answer::Exited { name, reason } => {
                self.tell(time, key, None, crate::room::Told::Exited(name, reason));
            }
        }
    }

    // ---- beginning and end

    /// A room that is new in the world.
    pub(super) fn found_room(&mut self, time: Time, room: RoomId, whom: Released) {
        let epoch = next_epoch(None, self.seen.get(&room).map(|seen| seen.owner.ownership.epoch), time.wall);
        let ownership = Ownership { epoch, boot: self.me.ownership.boot };
        let phase = Phase::Founding { whom, until: time.now + PATIENCE };
        let room = Room::new(room, &mut self.random);
        let key = self.own(Owned::new(room, ownership, phase, None, time.now));
        self.write(time, key);
        self.arm_room(time, key);
    }

    fn refound(&mut self, time: Time, key: usize) {
        if let Some(Phase::Founding { whom, .. }) = self.disown(key).map(|owned| owned.phase) {
            self.create_room_for(time, whom);
        }
    }

    pub(super) fn own(&mut self, owned: Owned) -> usize {
        let room = owned.room.id;
        self.ring_bytes += owned.room.ring.bytes();
        let key = self.rooms.insert(owned);
        self.index.insert(room, key);
        self.seen.remove(&room);
        key
    }

    pub(super) fn disown(&mut self, key: usize) -> Option<Owned> {
        let owned = self.rooms.try_remove(key)?;
        self.index.remove(&owned.room.id);
        self.ring_bytes -= owned.room.ring.bytes();
        Some(owned)
    }

    fn delete(&mut self, time: Time, key: usize) {
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        owned.phase = Phase::Closing { until: time.now + 2 * PATIENCE };
        let room = owned.room.id;
        match owned.stored.clone() {
            Some(expected) => {
                self.send(key, Request::Delete { key: Key::Room(room), expected }, Outstanding::Delete);
                self.arm_room(time, key);
            }
            None => self.room_closed(time, key),
        }
    }

    fn room_closed(&mut self, time: Time, key: usize) {
        if let Some(owned) = self.disown(key) {
            self.counters.rooms_closed += 1;
            self.log(Notice::Closed { room: owned.room.id });
            for waiter in owned.waiters {
                self.look_for(time, owned.room.id, waiter);
            }
            self.refuse_frames(owned.frames);
        }
    }

    // ---- time

    pub(super) fn arm_room(&mut self, time: Time, key: usize) {
        if let Some(owned) = self.rooms.get(key) {
            let at = owned.next_due(&self.settings).max(time.now + 1);
            let room = owned.room.id;
            self.arm(at, Timer::Room(room));
        }
    }

    pub(super) fn room_due(&mut self, time: Time, room: RoomId) {
        let Some(key) = self.owned_key(room) else {
            return;
        };
        let now = time.now;
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        match owned.phase {
            Phase::Founding { whom, until } if until <= now => {
                self.disown(key);
                return self.created(time, whom, Err(ErrorCode::Unavailable));
            }
            Phase::Closing { until } if until <= now => return self.room_closed(time, key),
            _ => {}
        }
        if owned.unconfirmed.is_some_and(|until| until <= now) {
            owned.unconfirmed = None;
            self.ready_again(time, key);
        }
        self.release(time, key);
        self.waiters_due(time, key);
        self.seats_due(time, key);
        self.move_due(time, key);
        let Some(owned) = self.rooms.get_mut(key).filter(|owned| owned.room.id == room) else {
            return;
        };
        if !owned.room.seats.is_empty() || !owned.waiters.is_empty() {
            owned.empty_since = None;
        } else if owned.empty_since.is_none() {
            owned.empty_since = Some(now);
        }
        let age = self.settings.ring.age;
        let limits = crate::room::RingLimits { age, ..self.settings.ring };
        let shrunk = owned.room.ring.expire(now, limits);
        self.ring_bytes = self.ring_bytes.saturating_add_signed(shrunk);
        if owned.ready() && owned.empty_since.is_some_and(|since| since + self.settings.empty_ttl <= now) {
            return self.delete(time, key);
        }
        if owned.retry_at.is_some_and(|at| at <= now) {
            owned.retry_at = None;
            self.check(time, key);
        } else if owned.check_at <= now {
            owned.check_at = now + CHECK;
            self.checks.push_back(room);
            self.pump_checks(time);
        }
        self.arm_room(time, key);
    }

    /// Whether what is queued for a session has to wait: its room's owner is not sure that it still is.
    pub(super) fn output_waits(&self, session: &super::session::Session) -> bool {
        match session.place {
            super::session::Place::Seated { key, .. } => {
                self.rooms.get(key).is_some_and(|owned| owned.unconfirmed.is_some())
            }
            _ => false,
        }
    }

    /// Commands that waited are carried out, and output that waited goes out.
    pub(super) fn ready_again(&mut self, time: Time, key: usize) {
        let Some(owned) = self.rooms.get_mut(key).filter(|owned| owned.ready()) else {
            return;
        };
        let frames = std::mem::take(&mut owned.frames);
        let waiters = std::mem::take(&mut owned.waiters);
        let local: Vec<SessionId> = owned
            .room
            .seats
            .iter()
            .filter_map(|seat| match seat.reach {
                Some(crate::room::Reach::Local(id)) => Some(id),
                _ => None,
            })
            .collect();
        for (from, frame) in frames {
            self.frame_came(time, from, frame);
        }
        for waiter in waiters {
            self.serve_waiter(time, key, &waiter);
        }
        for id in local {
            self.mark_dirty(id);
            self.wake(id);
        }
    }
}
