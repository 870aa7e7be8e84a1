//! Records of owned rooms are written, checked and claimed again; answers wait for the writes that hold them. Pure: no I/O.

use super::{
    Answer, Bytes, CHECK, Duration, Effect, Held, Hub, Key, LATE, LEASE, MAX_EPOCH, NoAnswer, Notice, Outstanding,
    Ownership, PATIENCE, Phase, Purpose, RETRY, Record, Reply, Request, RoomId, Timer, Verdict, answer_by, judge,
};
use crate::ids::{Ticket, Time};

impl Hub {
    /// Before each batch: has this pod been frozen for so long that others may have taken its rooms?
    ///
    /// The contract's measure is the last confirmed renewal of the lease. While the directory is away that is long ago, too;
    /// rooms that have waited for it once go on, for as long as this is looked at often enough to rule out a freeze.
    pub(in crate::hub) fn begin(&mut self, time: Time) {
        const EXCUSE: u64 = 3_000;
        if self.lease.confirmed.is_none() || self.holds_lease(time) {
            return;
        }
        self.lapsed = Some(time.now);
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
        // On round times only: otherwise each batch would set a timer, and each of these be a batch.
        self.arm((time.now / 1_000 + 1) * 1_000, Timer::Peers);
    }

    /// Nobody can have found this pod's lease missing.
    pub(in crate::hub) fn holds_lease(&self, time: Time) -> bool {
        self.lease.confirmed.is_some_and(|confirmed| time.now.saturating_sub(confirmed) <= LEASE)
    }

    /// The lease is held again. What the records said before that proves nothing: whoever had found the lease missing could
    /// still take a room over. (If it had been lost, each room is claimed again, which proves more.)
    pub(in crate::hub) fn confirm_again(&mut self, time: Time) {
        for (_, owned) in self.rooms.iter_mut().filter(|(_, owned)| owned.unconfirmed.is_some()) {
            owned.give_up_request();
            self.checks.push_back(owned.room.id);
        }
        self.pump_checks(time);
    }

    /// A room has come here by a swap that was asked for at `asked`. If the lease has lapsed since, others may have taken it again
    /// before the answer was looked at: it waits like the rooms that were here before.
    pub(in crate::hub) fn suspend_if_lapsed(&mut self, time: Time, key: usize, asked: u64) {
        if self.settings.rules.check_after_thaw && self.lapsed.is_some_and(|lapsed| lapsed >= asked) {
            self.suspend(time, key);
        }
    }

    pub(super) fn suspend(&mut self, time: Time, key: usize) {
        if let Some(owned) = self.rooms.get_mut(key) {
            owned.unconfirmed = Some(time.now + PATIENCE);
            // An answer to what was asked before the freeze proves nothing.
            owned.give_up_request();
            owned.retry_at = None;
            let room = owned.room.id;
            self.checks.push_front(room);
            self.arm_room(time, key);
        }
        self.pump_checks(time);
    }

    pub(in crate::hub) fn check_all(&mut self, time: Time) {
        self.checks = self.rooms.iter().map(|(_, owned)| owned.room.id).collect();
        self.pump_checks(time);
    }

    /// The lease had been lost: each room's ownership is claimed again, one higher.
    pub(in crate::hub) fn claim_all(&mut self, time: Time) {
        for (_, owned) in &mut self.rooms {
            if let Phase::Moving(moving) = &mut owned.phase
                && moving.claims_later()
            {
                continue;
            }
            owned.claim();
            self.counters.claims += 1;
        }
        self.check_all(time);
    }

    /// Told of a higher ownership whose pod is dead: claim again above it.
    pub(in crate::hub) fn claim_above(&mut self, time: Time, key: usize, dead: Ownership) {
        if let Some(owned) = self.rooms.get_mut(key)
            && owned.ownership < dead
            && dead.epoch < MAX_EPOCH
            // What is offered to another pod may not be its own any more. Whoever asks is told to ask again.
            && !matches!(&owned.phase, Phase::Moving(moving) if moving.offered())
        {
            owned.ownership.epoch = dead.epoch + 1;
            owned.version += 1;
            let (room, epoch) = (owned.room.id, owned.ownership.epoch);
            self.counters.claims += 1;
            self.log(Notice::ClaimedAgain { room, epoch });
            self.write(time, key);
        }
    }

    pub(in crate::hub) fn pump_checks(&mut self, time: Time) {
        while self.own_requests < self.settings.limits.checks
            && let Some(room) = self.checks.pop_front()
        {
            if let Some(key) = self.owned_key(room) {
                self.check(time, key);
            }
        }
    }

    /// Asks whether the record is still what was written; writes it, if something is to be written anyway.
    pub(super) fn check(&mut self, time: Time, key: usize) {
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
    pub(in crate::hub) fn write(&mut self, time: Time, key: usize) {
        let ttl = Duration::from_millis(self.settings.record_ttl);
        let Some(owned) = self.rooms.get(key) else {
            return;
        };
        let serial = owned.serial;
        if owned.outstanding.is_some()
            || owned.unanswered.is_some()
            || owned.written >= owned.version
            || matches!(owned.phase, Phase::Closing { .. })
            || matches!(&owned.phase, Phase::Moving(moving) if moving.offered())
        {
            return;
        }
        let record = Record::new(&self.me_as(owned.ownership), owned.room.recorded());
        let record = record.naming(self.untold(owned.room.id)).numbered(serial);
        let (room, version) = (owned.room.id, owned.version);
        if let Some(stored) = owned.stored.as_ref().filter(|_| !owned.haunted)
            && *stored == record.to_bytes()
        {
            return self.confirmed(time, key, Some(version));
        }
        let bytes = record.numbered(serial + 1).to_bytes();
        let request = Request::Swap { key: Key::Room(room), expected: owned.stored.clone(), new: bytes.clone(), ttl };
        if let Some(owned) = self.rooms.get_mut(key) {
            owned.serial += 1;
            owned.holds_at = None;
        }
        self.send(key, request, Outstanding::Swap { bytes, version });
    }

    /// Reads the record, to see whose the room is.
    pub(in crate::hub) fn read_own_record(&mut self, time: Time, key: usize) {
        if let Some(owned) = self.rooms.get(key)
            && owned.outstanding.is_none()
        {
            let room = owned.room.id;
            self.send(key, Request::Get { key: Key::Room(room) }, Outstanding::Get);
            self.arm_room(time, key);
        }
    }

    pub(super) fn send(&mut self, key: usize, request: Request, outstanding: Outstanding) {
        let Some(room) = self.rooms.get(key).map(|owned| owned.room.id) else {
            return;
        };
        let ticket = self.ask(Purpose::Own(room), request);
        self.own_requests += 1;
        if let Some(owned) = self.rooms.get_mut(key) {
            owned.outstanding = Some((ticket, outstanding));
        }
    }

    pub(in crate::hub) fn own_record_answered(
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
                if let Verdict::Higher(record) = judge(found.as_deref(), owned.ownership, b"") {
                    // Another pod has taken the empty room over: the record is its own.
                    return self.yield_to(time, key, record.owner());
                }
                let again = owned.stored != found && found.is_some();
                owned.stored = found;
                if again { self.delete(time, key) } else { self.room_closed(time, key) }
            }
            (Outstanding::Delete, _) => self.room_closed(time, key),
            (Outstanding::Swap { bytes, version }, Ok(Reply::Done)) => {
                owned.stored = Some(bytes);
                owned.haunted = false;
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
                let waited_for = !owned.ready() || !owned.answers.is_empty() || !owned.waiters.is_empty();
                owned.retry_at = Some(time.now + if waited_for { RETRY } else { PATIENCE });
                self.arm_room(time, key);
            }
        }
    }

    /// The record turned out to be `found`, which a write or a check did not expect, or which settles an unanswered write.
    pub(super) fn examine(&mut self, time: Time, key: usize, found: Option<Bytes>) {
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let unanswered = owned.unanswered.take();
        let doubted = unanswered.is_some();
        if let Some((bytes, version)) = unanswered
            && found.as_ref() == Some(&bytes)
        {
            owned.stored = found;
            owned.haunted = false;
            return self.confirmed(time, key, Some(version));
        }
        if doubted {
            // It was given up, and may yet be carried out.
            owned.haunted = true;
            owned.check_at = owned.check_at.min(time.now + LATE);
        }
        let founding = matches!(owned.phase, Phase::Founding { .. });
        let meant = owned.stored.as_deref().unwrap_or_default();
        let verdict = judge(found.as_deref(), owned.ownership, meant);
        let surprise = found != owned.stored;
        match verdict {
            Verdict::Higher(record) if self.settings.rules.yield_to_higher && !founding => {
                return self.yield_to(time, key, record.owner());
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
        if let Phase::Moving(moving) = &mut owned.phase
            && moving.starts_over(time.now)
        {
            owned.ownership.epoch = owned.ownership.epoch.saturating_add(1);
        }
        if surprise && !founding {
            self.effects.push(Effect::DirectoryWentBack);
        }
        self.write(time, key);
    }

    /// The directory holds what this pod believes, up to `version`.
    pub(super) fn confirmed(&mut self, time: Time, key: usize, version: Option<u64>) {
        let holds_lease = self.holds_lease(time);
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        owned.unanswered = None;
        owned.retry_at = None;
        owned.written = owned.written.max(version.unwrap_or(owned.written));
        let sure = holds_lease && owned.written >= owned.version;
        let thawed = sure && owned.unconfirmed.take().is_some();
        let founded = match owned.phase {
            Phase::Founding { whom, .. } => {
                owned.phase = Phase::Serving;
                owned.note_unentered(self.settings.slots.note_unentered(time.now, owned.room.id));
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

    pub(in crate::hub) fn answer_after_write(&mut self, time: Time, key: usize, answer: Answer) {
        let deadline = match &answer {
            Answer::Joined { since, .. } => answer_by(time.now, *since),
            Answer::Left { .. } | Answer::Exited { .. } => time.now + PATIENCE,
        };
        if let Some(owned) = self.rooms.get_mut(key) {
            owned.version += 1;
            owned.answers.push_back(Held { version: owned.version, deadline, answer });
            owned.note_empty(time.now);
            // Now somebody waits.
            owned.retry_at = owned.retry_at.map(|at| at.min(time.now + RETRY));
        }
        self.write(time, key);
        if !self.settings.rules.answer_after_write {
            self.release_all(time, key);
        }
        self.arm_room(time, key);
    }

    /// Gives the answers whose write is done, or that have waited long enough; none while it is not sure that the room is here.
    pub(super) fn release(&mut self, time: Time, key: usize) {
        while let Some(owned) = self.rooms.get_mut(key)
            && owned.unconfirmed.is_none()
            && owned.answers.front().is_some_and(|held| held.version <= owned.written || held.deadline <= time.now)
            && let Some(held) = owned.answers.pop_front()
        {
            self.give(time, key, held.answer);
        }
    }

    pub(super) fn release_all(&mut self, time: Time, key: usize) {
        while let Some(held) = self.rooms.get_mut(key).and_then(|owned| owned.answers.pop_front()) {
            self.give(time, key, held.answer);
        }
    }

    pub(super) fn give(&mut self, time: Time, key: usize, answer: Answer) {
        match answer {
            Answer::Joined { asked, seat, counts, .. } => self.joined(time, key, asked, seat, counts),
            Answer::Left { asked, quit } => self.has_left(time, key, asked, quit),
            Answer::Exited { name, reason } => {
                self.tell(time, key, None, crate::room::Told::Exited(name, reason));
            }
        }
    }
}
