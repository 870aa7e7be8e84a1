//! The members of a room: how a seat is taken, held, awaited and left. Each function changes the room, and returns what
//! the owner has to do about it. Pure: no I/O.

use super::outcomes::{
    Attach, Connection, Disconnect, Dropped, Join, Membership, Newcomer, Refusal, Resume, SeatLimits, Taken,
};
use super::{Delivered, Room, Seat, SeatState};
use crate::ids::{Reach, SessionRef};
use crate::join_token::{SeatAuth, is_viewer};
use crate::protocol::{ErrorCode, ExitReason, PlayerName, SeatId};

/// How long the seat of a relayed session waits for the next attach before it counts as disconnected (ms).
pub const DETACHED: u64 = 15_000;

impl Room {
    /// Takes a new seat, or finds the seat with the same join key.
    pub fn join(&mut self, seat: SeatId, who: Newcomer, by: Connection, limits: SeatLimits, now: u64) -> Join {
        let Newcomer { name, resumable, key, auth } = who;
        let seats = self.seats.len();
        // The seat of this connection's earlier JOIN, whose reply was lost with a link. One that its join token finds stays: a token that is
        // good for one was used for that seat.
        self.seats.retain(|seat| {
            !(seat.name == name
                && seat.holder == by.session
                && (seat.state == SeatState::Joining
                    || seat.auth.is_none() && matches!(seat.state, SeatState::Detached { .. })))
        });
        if let Some(index) = self.own_seat(&who) {
            let changes_place = is_viewer(self.seats[index].auth()) != is_viewer(auth);
            if changes_place
                && !(self.has_place(auth, limits.players) && self.leaves(name, auth, limits.players, now).is_ok())
            {
                return Join::Refused(ErrorCode::RoomFull);
            }
            if !is_viewer(auth) {
                self.has_come(auth, now);
            }
            let own = &mut self.seats[index];
            if is_viewer(auth) {
                own.set_presence(None);
            }
            if own.state == SeatState::Joining {
                return Join::Instead(self.seats.remove(index).reach);
            }
            let before = (own.hold(), own.auth(), own.key);
            (own.resumable, own.auth) = (resumable, auth.map(Box::new));
            // With a join token another key may come, by which this JOIN is known if it is said again.
            own.key = key;
            return Join::Own { seat: own.id, rewrite: (own.hold(), own.auth(), own.key) != before };
        }
        let had_seat = self.seats.len() < seats;
        if !had_seat && self.locks_out(&who) {
            return Join::Refused(ErrorCode::RoomLocked);
        }
        let admitted = self.admits(name, auth, limits.players);
        if let Err(code) = admitted.and_then(|()| self.leaves(name, auth, limits.players, now)) {
            return Join::Refused(code);
        }
        self.has_come(auth, now);
        self.unanswered.retain(|(other, _)| *other != name);
        self.seats.push(Seat {
            name: name.into(),
            id: seat,
            resumable,
            key,
            auth: auth.map(Box::new),
            entered: 0,
            warned: false,
            state: SeatState::Joining,
            reach: Some(by.reach),
            holder: by.session,
            processed: by.number,
            delivered: Delivered::UpTo(0),
            bucket: limits.rate.full(now),
            rare: None,
        });
        Join::Taken
    }

    /// The reply to a JOIN goes out: the seat is live. Returns its player, and whether the next owner has to hold the seat from now on.
    /// `None`: the seat is gone, or the reply went out before.
    pub fn join_answered(&mut self, seat: SeatId) -> Option<(PlayerName, bool)> {
        let seq = self.seq;
        let found = self.seat_mut(seat).filter(|seat| seat.state == SeatState::Joining)?;
        (found.state, found.entered) = (SeatState::Live, seq);
        Some((found.name(), found.hold()))
    }

    /// The client is gone before the reply to its JOIN: drops the seat. True: it had one.
    pub fn forget_joining(&mut self, reach: Reach) -> bool {
        let before = self.seats.len();
        self.seats.retain(|seat| !(seat.state == SeatState::Joining && seat.reach == Some(reach)));
        self.seats.len() < before
    }

    /// Whether this connection's JOIN has no reply yet.
    pub fn is_joining(&self, reach: Reach) -> bool {
        self.seats.iter().any(|seat| seat.reach == Some(reach) && seat.state == SeatState::Joining)
    }

    /// The seat that a token names.
    pub fn resume(&mut self, name: PlayerName, id: SeatId, limits: SeatLimits, now: u64) -> Resume {
        let reinstated = self.reinstate(name, id, limits, now);
        let own = |seat: &&Seat| seat.resumable && seat.name == name && seat.state != SeatState::Joining;
        let outcome = self.seat(id).filter(own).map(|_| ()).ok_or(ErrorCode::BadToken);
        Resume { reinstated, outcome }
    }

    /// Restores an unanswered seat as one that waits for its connection: the client has proved that it got the reply. False: no such seat,
    /// or another player has its name or place.
    pub fn reinstate(&mut self, name: PlayerName, id: SeatId, limits: SeatLimits, now: u64) -> bool {
        let until = self.unanswered_until;
        let found = self.unanswered.iter().position(|(other, seat)| *other == name && seat.seat == id);
        let is_elsewhere = |index: usize| self.holds_a_seat(self.unanswered[index].1.auth);
        let found = found.filter(|index| !is_elsewhere(*index));
        let admits = |index: usize| self.admits(name, self.unanswered[index].1.auth, limits.players).is_ok();
        let Some(index) = found.filter(|index| now < until && admits(*index)) else {
            return false;
        };
        let (name, recorded) = self.unanswered.swap_remove(index);
        self.inherited.push(id);
        let seat = Seat::recorded(name, recorded, until, limits.rate.full(now));
        self.seats.push(Seat { state: SeatState::Detached { until }, ..seat });
        true
    }

    /// Gives the seat to a returning client, in place of the former connection.
    pub fn take_seat(&mut self, seat: SeatId, by: Connection) -> Option<Taken> {
        self.seat_mut(seat).map(|seat| seat.take(by))
    }

    /// A session attaches that had a seat here, or at another owner. `resumed`: another connection resumes that seat.
    pub fn attach(&mut self, member: &Membership, by: Connection, resumed: bool, players: u32) -> Attach {
        let same = self.shares_history(member);
        if let Some(seat) = self.seat_mut(member.seat).filter(|seat| seat.name == member.name) {
            if resumed || seat.holder.is_some_and(|holder| Some(holder) != by.session) {
                return Attach::Replaced;
            }
            let (held, processed) = (seat.hold(), seat.processed);
            let taken = seat.take(by);
            seat.resumable = member.resumable;
            // A local session numbers its commands from one again if it is relayed later.
            seat.processed = if same && matches!(by.reach, Reach::Remote(_)) { processed } else { 0 };
            let taken = Taken { rewrite: seat.hold() != held, ..taken };
            return Attach::Own { taken, processed: same.then_some(processed) };
        }
        let given = |seat: &&mut Seat| seat.holder.is_some() && seat.holder == by.session && seat.name == member.name;
        if let Some(seat) = self.seats.iter_mut().find(given) {
            return Attach::Again { seat: seat.id, taken: seat.take(by) };
        }
        if self.holds_a_seat(member.auth) {
            return Attach::Replaced;
        }
        if self.bans.have_ended(member.seat, by.session) {
            return Attach::Ended;
        }
        match self.admits(member.name, member.auth, players) {
            Err(code) => Attach::Refused(code),
            // Another connection had taken it and left, or its hold was over: the others have been told. A client that is there yet may
            // join again; one that is gone must not stand in the room once more.
            Ok(()) if same || self.inherited.contains(&member.seat) => Attach::Ended,
            Ok(()) if self.is_locked() => Attach::Refused(ErrorCode::RoomLocked),
            Ok(()) => Attach::Stranger,
        }
    }

    /// How much a connection received that ends now: everything, except the dropped queue of a slow reader.
    pub fn delivered_all(&self, disconnect: Disconnect) -> Delivered {
        if disconnect == Disconnect::Slow { Delivered::Unknown(self.seq) } else { Delivered::UpTo(self.seq) }
    }

    /// A member's connection is gone. `sure`: the room's ownership is confirmed.
    pub fn disconnect(
        &mut self,
        seat: SeatId,
        how: Disconnect,
        delivered: Delivered,
        sure: bool,
        hold: u64,
        now: u64,
    ) -> Option<Dropped> {
        let found = self.seat_mut(seat)?;
        found.reach = None;
        found.delivered = delivered;
        Some(if !sure {
            found.state = SeatState::Detached { until: now };
            Dropped::Unsaid
        } else if found.resumable {
            found.state = SeatState::Away { until: now + how.hold(hold) };
            Dropped::Away(found.name())
        } else {
            let name = found.name();
            self.leave(seat);
            Dropped::Exited(name, how.reason())
        })
    }

    /// The seat's connection is gone and may return. Nothing is announced.
    pub fn detach(&mut self, seat: SeatId, delivered: Delivered, now: u64) {
        if let Some(found) = self.seat_mut(seat) {
            found.reach = None;
            found.state = SeatState::Detached { until: now + DETACHED };
            found.delivered = delivered;
        }
    }

    /// The seat of a session that will not attach. `delivered`: how much it received, if known.
    pub fn not_coming(&mut self, session: SessionRef, delivered: Option<Delivered>) -> Option<(SeatId, Delivered)> {
        let its = |seat: &&mut Seat| seat.holder == Some(session) && matches!(seat.state, SeatState::Detached { .. });
        let found = self.seats.iter_mut().find(its)?;
        found.delivered = delivered.unwrap_or(found.delivered);
        Some((found.id, found.delivered))
    }

    /// The seats whose hold is over, in order.
    pub fn due(&self, now: u64) -> Vec<SeatId> {
        let over = |seat: &&Seat| seat.due_at().is_some_and(|until| until <= now);
        self.seats.iter().filter(over).map(|seat| seat.id).collect()
    }

    /// Ends the hold of this seat.
    pub fn expire(&mut self, seat: SeatId, hold: u64, now: u64) -> Option<Dropped> {
        let found = self.seat(seat).filter(|seat| seat.due_at().is_some_and(|until| until <= now))?;
        match found.state {
            SeatState::Away { .. } => {
                let name = found.name();
                self.leave(seat);
                Some(Dropped::Exited(name, ExitReason::Timeout))
            }
            _ => self.disconnect(seat, Disconnect::Lost, found.delivered, true, hold, now),
        }
    }

    /// When the next hold ends (ms).
    pub fn next_due(&self) -> Option<u64> {
        self.seats.iter().filter_map(Seat::due_at).min()
    }

    /// The player gives the seat up.
    pub fn leave(&mut self, id: SeatId) -> Option<Seat> {
        let index = self.seats.iter().position(|seat| seat.id == id)?;
        self.profiles.set(id, None);
        Some(self.seats.remove(index))
    }

    /// Charges a command to the seat's rate limit, or to that of events that may be lost. `command`: its error, if it has one.
    pub fn charge(
        &mut self,
        seat: SeatId,
        number: u64,
        command: Result<(), ErrorCode>,
        volatile: bool,
        now: u64,
    ) -> Option<Result<(), Refusal>> {
        let found = self.seat_mut(seat)?;
        found.processed = found.processed.max(number);
        let (outcome, retry_after_ms) = match found.take_one(volatile, now) {
            Ok(()) => (command, None),
            Err(retry) => (Err(ErrorCode::RateLimited), Some(retry)),
        };
        // Errors count while they follow each other. What may be lost is lost by being too fast, and no more than that.
        let is_lost = volatile && outcome == Err(ErrorCode::RateLimited);
        let enough = !is_lost && found.note(outcome, now);
        Some(outcome.map_err(|code| Refusal { code, retry_after_ms, enough }))
    }

    /// Whether somebody called `name` may enter.
    fn admits(&self, name: PlayerName, auth: Option<SeatAuth>, players: u32) -> Result<(), ErrorCode> {
        if self.seats.iter().any(|seat| seat.name().resembles(&name)) {
            Err(ErrorCode::NameTaken)
        } else if !self.has_place(auth, players) {
            Err(ErrorCode::RoomFull)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;
