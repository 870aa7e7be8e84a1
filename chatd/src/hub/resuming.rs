//! RESUME at the room's owner, and JOIN with the join key of a taken seat: the seat, and the replay of its former connection. Pure: no I/O.

use super::Hub;
use super::request::{Asked, Entry, PendingResume};
use crate::ids::{Reach, RoomIndex, SessionRef, Time};
use crate::protocol::{ErrorCode, Heard, PlayerName, SeatId};
use crate::room::{Delivered, Resume, RoomEvent};

/// How long a pod may take to report what it delivered to a seat's former connection (ms): RESUME is answered within 2 s.
const ASKED: u64 = 1_000;

impl Hub {
    /// Takes a held seat, or one of another connection, with the seat's token.
    pub(super) fn resume(
        &mut self,
        time: Time,
        index: RoomIndex,
        asked: Asked,
        token: &str,
        heard: Option<Heard>,
        since: u64,
    ) {
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        let limits = self.context.settings.terms(owned.room.descriptor()).seats();
        let found = match self.authority.keys.verify(owned.room.id, token) {
            Ok((name, seat)) => {
                let Resume { reinstated, outcome } = owned.room.resume(name, seat, limits, time.now);
                // A seat lives no longer than what it was given for, however often its connection drops.
                let has_ended = owned.room.has_token_ended(seat, time.wall);
                if reinstated {
                    self.reinstated(time, index, name, seat);
                }
                outcome.and(if has_ended { Err(ErrorCode::AuthExpired) } else { Ok(seat) })
            }
            Err(code) => Err(code),
        };
        match found {
            Ok(seat) => {
                self.take_back(time, index, seat, asked, Entry::Resume { token: token.to_owned(), heard }, since);
            }
            Err(code) => {
                self.refuse_join(time, asked, since, code);
            }
        }
    }

    /// A session arrives whose seat the former owner may not have marked as answered.
    pub(super) fn reinstate(&mut self, time: Time, index: RoomIndex, name: PlayerName, seat: SeatId) {
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        let limits = self.context.settings.terms(owned.room.descriptor()).seats();
        if owned.room.reinstate(name, seat, limits, time.now) {
            self.reinstated(time, index, name, seat);
        }
    }

    /// Announces a restored seat: the other members may be here already, and do not know of it.
    fn reinstated(&mut self, time: Time, index: RoomIndex, name: PlayerName, seat: SeatId) {
        if let Some(owned) = self.rooms.get_mut(index) {
            owned.entered();
            owned.changed();
        }
        self.write(time, index);
        self.announce_to_others(time, index, seat, RoomEvent::Entered(name.into()));
    }

    /// Gives a taken or held seat to a client that has proved its right to it.
    pub(super) fn take_back(
        &mut self,
        time: Time,
        index: RoomIndex,
        seat: SeatId,
        asked: Asked,
        entry: Entry,
        since: u64,
    ) {
        let heard = match &entry {
            Entry::Resume { heard, .. } => *heard,
            Entry::Join { .. } => None,
        };
        let Some(reach) = self.rooms.get(index).and_then(|owned| owned.room.seat(seat)).map(|seat| seat.reach) else {
            return;
        };
        let earlier = self.take_pending_resume(index, seat);
        if let Some(earlier) = &earlier {
            self.replaced(time, earlier.asked.by);
        }
        if heard.is_none() {
            let until = match reach {
                // A client that returns at once can be here before its former pod reports the end of its connection.
                Some(Reach::Remote(old)) if self.context.peers.is_up(old.boot) => {
                    self.replaced(time, Reach::Remote(old));
                    let last = self.rooms.get(index).map_or(0, |owned| owned.room.seq());
                    self.detach_seat(time, index, seat, Delivered::Unknown(last));
                    Some(time.now + ASKED)
                }
                None => earlier.map(|earlier| earlier.until),
                Some(_) => None,
            };
            if let Some(until) = until
                && let Some(owned) = self.rooms.get_mut(index)
            {
                owned.add_pending_resume(PendingResume { seat, asked, entry, since: time.now, until });
                return self.arm_room(time, index);
            }
        }
        self.take_seat(time, index, seat, (asked, since), heard);
    }

    /// Removes the RESUME of `seat` that waits for another pod's report.
    pub(super) fn take_pending_resume(&mut self, index: RoomIndex, seat: SeatId) -> Option<PendingResume> {
        self.rooms.get_mut(index)?.take_pending_resume(seat)
    }

    /// The pods of these connections cannot report what they delivered: the RESUMEs that wait for them go on without.
    pub(super) fn resume_unasked(&mut self, time: Time, gone: impl Fn(SessionRef) -> bool) {
        let mut seats = Vec::new();
        for (index, owned) in self.rooms.iter() {
            for PendingResume { seat, .. } in owned.pending_resumes() {
                let holder = owned.room.seat(*seat).and_then(|seat| seat.holder);
                if holder.is_none_or(&gone) {
                    seats.push((index, *seat));
                }
            }
        }
        for (index, seat) in seats {
            if let Some(resume) = self.take_pending_resume(index, seat) {
                self.take_seat(time, index, seat, (resume.asked, resume.since), None);
            }
        }
    }

    /// As before, for the expired RESUMEs of one room.
    pub(super) fn resuming_due(&mut self, time: Time, index: RoomIndex) {
        let Some(owned) = self.rooms.get_mut(index).filter(|owned| owned.ready()) else {
            return;
        };
        for PendingResume { seat, asked, since, .. } in owned.take_expired_resumes(time.now) {
            self.take_seat(time, index, seat, (asked, since), None);
        }
    }

    /// Seats a client that resumes, in place of the former connection. `since`: when it began to wait (ms). `heard`: the client's own report.
    pub(super) fn take_seat(
        &mut self,
        time: Time,
        index: RoomIndex,
        seat: SeatId,
        (asked, since): (Asked, u64),
        heard: Option<Heard>,
    ) {
        let connection = self.connection(asked);
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        let Some(taken) = owned.room.take_seat(seat, connection) else {
            return self.refuse_join(time, asked, since, ErrorCode::BadToken);
        };
        if let Some(old) = taken.former.reach.filter(|_| self.context.settings.rules.replace_former) {
            self.replaced(time, old);
        }
        self.taken_again(time, index, seat, &taken);
        self.rooms.forget_old(time.now, index, &self.context.settings);
        let Some(owned) = self.rooms.get(index) else {
            return;
        };
        let plan = owned.room.replay_plan(&taken.former, heard);
        self.context.counters.joined(Ok(()), time.now.saturating_sub(since));
        self.context.counters.resumed += 1;
        self.context.counters.missed += plan.missed.unwrap_or_default();
        self.welcome(time, index, asked, seat, true, plan);
        self.rewrite(time, index, &taken);
    }
}
