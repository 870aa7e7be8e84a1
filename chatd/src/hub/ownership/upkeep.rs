//! Records of owned rooms are written, checked and claimed again; answers wait for the writes that hold them. Pure: no I/O.

use super::{
    Answer, Bytes, Duration, Effect, Finding, Held, Hub, MAX_EPOCH, NoAnswer, Notice, Outcome, Ownership, PATIENCE,
    Phase, Purpose, RETRY, Record, Reply, Request, RoomId, Timer, Write, answer_by,
};
use crate::ids::{Ticket, Time};

impl Hub {
    /// Before each batch: has this pod been frozen for so long that others may have taken its rooms?
    ///
    /// The contract's measure is the last confirmed renewal of the lease. While the directory is away that is long ago, too;
    /// rooms that have waited for it once go on, for as long as this is looked at often enough to rule out a freeze.
    pub(in crate::hub) fn begin(&mut self, time: Time) {
        const EXCUSE: u64 = 3_000;
        if self.context.lease.view.confirmed.is_none() || self.context.lease.is_held(time) {
            return;
        }
        self.context.lease.lapsed = Some(time.now);
        if time.now > self.context.lease.excused_until && self.context.settings.rules.check_after_thaw {
            let rooms: Vec<usize> = self.rooms.iter().map(|(key, _)| key).collect();
            if !rooms.is_empty() {
                self.context.counters.thaws += 1;
                self.context.log(Notice::Thawed { rooms: rooms.len() });
            }
            for key in rooms {
                self.suspend(time, key);
            }
        }
        self.context.lease.excused_until = time.now + EXCUSE;
        // On round times only: otherwise each batch would set a timer, and each of these be a batch.
        self.context.arm((time.now / 1_000 + 1) * 1_000, Timer::Peers);
    }

    /// The lease is held again. What the records said before that proves nothing: whoever had found the lease missing could
    /// still take a room over. (If it had been lost, each room is claimed again, which proves more.)
    pub(in crate::hub) fn confirm_again(&mut self, time: Time) {
        let mut again = Vec::new();
        for (_, owned) in self.rooms.iter_mut().filter(|(_, owned)| owned.unconfirmed.is_some()) {
            owned.record.give_up_request();
            again.push(owned.room.id);
        }
        self.rooms.checks.extend(again);
        self.pump_checks(time);
    }

    /// A room has come here by a swap that was asked for at `asked`. If the lease has lapsed since, others may have taken it again
    /// before the answer was looked at: it waits like the rooms that were here before.
    pub(in crate::hub) fn suspend_if_lapsed(&mut self, time: Time, key: usize, asked: u64) {
        if self.context.settings.rules.check_after_thaw
            && self.context.lease.lapsed.is_some_and(|lapsed| lapsed >= asked)
        {
            self.suspend(time, key);
        }
    }

    pub(super) fn suspend(&mut self, time: Time, key: usize) {
        if let Some(owned) = self.rooms.get_mut(key) {
            owned.unconfirmed = Some(time.now + PATIENCE);
            // An answer to what was asked before the freeze proves nothing.
            owned.record.suspend();
            let room = owned.room.id;
            self.rooms.checks.push_front(room);
            self.arm_room(time, key);
        }
        self.pump_checks(time);
    }

    pub(in crate::hub) fn check_all(&mut self, time: Time) {
        self.rooms.checks = self.rooms.iter().map(|(_, owned)| owned.room.id).collect();
        self.pump_checks(time);
    }

    /// The lease had been lost: each room's ownership is claimed again, one higher.
    pub(in crate::hub) fn claim_all(&mut self, time: Time) {
        for (_, owned) in self.rooms.iter_mut() {
            if let Phase::Moving(moving) = &mut owned.phase
                && moving.offered()
            {
                continue;
            }
            owned.claim();
            self.context.counters.claims += 1;
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
            owned.changed();
            let (room, epoch) = (owned.room.id, owned.ownership.epoch);
            self.context.counters.claims += 1;
            self.context.log(Notice::ClaimedAgain { room, epoch });
            self.write(time, key);
        }
    }

    pub(in crate::hub) fn pump_checks(&mut self, time: Time) {
        while self.context.requests.own < self.context.settings.limits.checks
            && let Some(room) = self.rooms.checks.pop_front()
        {
            if let Some(key) = self.rooms.key(room) {
                self.check(time, key);
            }
        }
    }

    /// Asks whether the record is still what was written; writes it, if something is to be written anyway.
    pub(super) fn check(&mut self, time: Time, key: usize) {
        let ttl = Duration::from_millis(self.context.settings.record_ttl);
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        if matches!(owned.phase, Phase::Closing { .. }) {
            owned.record.postpone_check(time.now);
        } else if let Some(request) = owned.record.check(time.now, owned.room.id, ttl) {
            self.send(key, request);
        } else if owned.record.wants_write() {
            return self.write(time, key);
        }
        self.arm_room(time, key);
    }

    /// Writes the record, if it is to say something else than what is known to be there.
    pub(in crate::hub) fn write(&mut self, time: Time, key: usize) {
        let ttl = Duration::from_millis(self.context.settings.record_ttl);
        let Some(owned) = self.rooms.get(key) else {
            return;
        };
        let may_write = match &owned.phase {
            Phase::Closing { .. } => false,
            Phase::Moving(moving) => !moving.offered(),
            Phase::Founding { .. } | Phase::Serving => true,
        };
        if !may_write || !owned.record.wants_write() {
            return;
        }
        let room = owned.room.id;
        let record = Record::new(&self.context.me_as(owned.ownership), owned.room.recorded())
            .naming(self.context.takeover_notices.unacknowledged(room));
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        match owned.record.write(room, record, ttl) {
            Write::UpToDate { version } => self.confirmed(time, key, Some(version)),
            Write::Send(request) => {
                owned.holds_at = None;
                self.send(key, request);
            }
        }
    }

    /// Reads the record, to see whose the room is.
    pub(in crate::hub) fn read_own_record(&mut self, time: Time, key: usize) {
        if let Some(request) = self.rooms.get_mut(key).and_then(|owned| owned.record.read(owned.room.id)) {
            self.send(key, request);
            self.arm_room(time, key);
        }
    }

    pub(super) fn send(&mut self, key: usize, request: Request) {
        let Some(room) = self.rooms.get(key).map(|owned| owned.room.id) else {
            return;
        };
        let ticket = self.context.ask(Purpose::Own(room), request);
        self.context.requests.own += 1;
        if let Some(owned) = self.rooms.get_mut(key) {
            owned.record.sent(ticket);
        }
    }

    pub(in crate::hub) fn own_record_answered(
        &mut self,
        time: Time,
        room: RoomId,
        ticket: Ticket,
        answer: Result<Reply, NoAnswer>,
    ) {
        let Some(key) = self.rooms.key(room) else {
            return;
        };
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        match owned.record.replied(ticket, owned.ownership, answer) {
            Outcome::Stale => {}
            Outcome::Confirmed { version } => self.confirmed(time, key, version),
            Outcome::Found(found) => self.examine(time, key, found),
            Outcome::Deleted => self.room_closed(time, key),
            Outcome::DeleteAgain => self.delete(time, key),
            // The room was empty: the record is the other pod's own.
            Outcome::TakenOver(record) => self.yield_to(time, key, record.owner()),
            Outcome::NoReply => {
                if !self.context.settings.rules.settle_by_reading
                    && let Some(version) = owned.record.believe_unsettled()
                {
                    return self.confirmed(time, key, Some(version));
                }
                let waited_for = !owned.ready() || !owned.answers.is_empty() || !owned.waiters.is_empty();
                owned.record.retry_at(time.now + if waited_for { RETRY } else { PATIENCE });
                self.arm_room(time, key);
            }
        }
    }

    /// The record turned out to be `found`, which a write or a check did not expect, or which settles an unanswered write.
    pub(super) fn examine(&mut self, time: Time, key: usize, found: Option<Bytes>) {
        let releases = self.context.settings.rules.yield_to_higher;
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let creating = matches!(owned.phase, Phase::Founding { .. });
        match owned.record.examine(time.now, owned.ownership, creating, releases, found) {
            Finding::Confirmed { version } => self.confirmed(time, key, version),
            Finding::Higher(record) => self.yield_to(time, key, record.owner()),
            // Somebody has this id already: another one is made.
            Finding::IdTaken => self.refound(time, key),
            Finding::Overwrite { unreadable, lost } => {
                if let Phase::Moving(moving) = &mut owned.phase
                    && moving.starts_over(time.now)
                {
                    owned.ownership.epoch = owned.ownership.epoch.saturating_add(1);
                }
                let room = owned.room.id;
                if unreadable {
                    self.context.counters.unreadable_records += 1;
                    self.context.log(Notice::UnreadableRecord { room });
                }
                if lost {
                    self.context.effects.push(Effect::DirectoryWentBack);
                }
                self.write(time, key);
            }
        }
    }

    /// The directory holds what this pod believes, up to `version`.
    pub(super) fn confirmed(&mut self, time: Time, key: usize, version: Option<u64>) {
        let holds_lease = self.context.lease.is_held(time);
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let sure = owned.record.confirm(version) && holds_lease;
        let thawed = sure && owned.unconfirmed.take().is_some();
        let founded = match owned.phase {
            Phase::Founding { whom, .. } => {
                owned.phase = Phase::Serving;
                owned.note_unentered(self.context.settings.slots.note_unentered(time.now, owned.room.id));
                Some((whom, owned.room.id))
            }
            _ => None,
        };
        if let Some((whom, room)) = founded {
            self.context.counters.rooms_created += 1;
            self.context.log(Notice::Created { room });
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
            owned.changed();
            owned.answers.push_back(Held { version: owned.record.version(), deadline, answer });
            owned.note_empty(time.now);
            // Now somebody waits.
            owned.record.retry_by(time.now + RETRY);
        }
        self.write(time, key);
        if !self.context.settings.rules.answer_after_write {
            self.release_all(time, key);
        }
        self.arm_room(time, key);
    }

    /// Gives the answers whose write is done, or that have waited long enough; none while it is not sure that the room is here.
    pub(super) fn release(&mut self, time: Time, key: usize) {
        while let Some(owned) = self.rooms.get_mut(key)
            && owned.unconfirmed.is_none()
            && owned
                .answers
                .front()
                .is_some_and(|held| owned.record.has_written(held.version) || held.deadline <= time.now)
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
                self.announce(time, key, None, crate::room::RoomEvent::Exited(name, reason));
            }
        }
    }
}
