//! Who is in a room: how a seat is taken, kept, waited for and left. Each function decides and changes the room, and returns what
//! the owner has to do about it. Pure: no I/O.

use serde::{Deserialize, Serialize};

use super::{Delivered, Rate, Room, Seat, SeatState, Strikes};
use crate::ids::{Reach, SessionRef};
use crate::protocol::{ErrorCode, ExitReason, PlayerName, SeatId, SeatKey, Timeline};

/// How long a seat is held whose tab was closed or loaded again (ms; docs/protocol.md, Seats, tokens and coming back).
const GOING_AWAY_HOLD: u64 = 10_000;
/// How long the seat of a relayed session waits for it to attach again, before it counts as disconnected (ms).
pub const DETACHED: u64 = 15_000;

/// How a client's connection ended, as far as its seat is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Disconnect {
    /// Broken, or ended without LEAVE or QUIT.
    Lost,
    /// WebSocket close 1001: the tab was closed or the page is loaded again.
    GoingAway,
    /// Closed because the client did not read.
    Slow,
    /// Closed by the server for too much of something.
    Limit,
    /// Sent to the pod that has the room now.
    Moved,
}

impl Disconnect {
    /// How long a resumable seat is held after it, where seats are held for `hold` (both ms).
    fn hold(self, hold: u64) -> u64 {
        if self == Disconnect::GoingAway { GOING_AWAY_HOLD.min(hold) } else { hold }
    }

    /// What the others are told of a seat that is not held after it.
    fn reason(self) -> ExitReason {
        match self {
            Disconnect::Slow => ExitReason::Slow,
            Disconnect::Moved => ExitReason::Moved,
            Disconnect::Lost | Disconnect::GoingAway | Disconnect::Limit => ExitReason::Disconnected,
        }
    }
}

/// What this pod's settings allow the seats of a room.
#[derive(Debug, Clone, Copy)]
pub struct SeatLimits {
    /// Seats a room.
    pub players: u32,
    pub rate: Rate,
    /// How long a seat is held (ms).
    pub hold: u64,
}

/// The connection that is to have a seat.
#[derive(Debug, Clone, Copy)]
pub struct Connection {
    pub reach: Reach,
    /// Its name in the whole deployment.
    pub session: Option<SessionRef>,
    /// The number of the relayed command that it asks with; 0: none.
    pub number: u64,
}

/// What a session knows of its seat, and up to where it has the room's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    pub name: PlayerName,
    pub seat: SeatId,
    pub resumable: bool,
    pub key: Option<SeatKey>,
    pub timeline: Timeline,
    pub position: u64,
    /// The number of the last message among them.
    pub seq: u64,
}

/// Who asks for a new seat.
#[derive(Debug, Clone, Copy)]
pub struct Newcomer {
    pub name: PlayerName,
    pub resumable: bool,
    pub key: Option<SeatKey>,
}

/// What a JOIN comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// It has the new seat, and is answered once the record holds that.
    Taken,
    /// It has the key of this seat, and may have it again. `rewrite`: the record is to say something else of it.
    Own {
        seat: SeatId,
        rewrite: bool,
    },
    /// It has the key of a seat whose own JOIN has not been answered: that seat is gone, its connection is replaced, and this JOIN
    /// is to be tried again.
    Instead(Option<Reach>),
    Refused(ErrorCode),
}

/// What a RESUME with a valid token comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// The seat was not known to be held: the others are told that its player has entered.
    pub reinstated: bool,
    pub outcome: Result<(), ErrorCode>,
}

/// A seat that its player comes back to, as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Former {
    pub name: PlayerName,
    /// The connection that is replaced.
    pub reach: Option<Reach>,
    /// The others are told that its player is back.
    pub away: bool,
    pub delivered: Delivered,
}

/// A seat that its player has taken again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    pub former: Former,
    /// The record is to say something else of the seat: a relayed session's is held by the next owner.
    pub rewrite: bool,
}

/// What an attach comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attach {
    /// It has its own seat. `processed`: up to where its commands were carried out, `None`: unknown, another owner had them.
    Own {
        taken: Taken,
        processed: Option<u64>,
    },
    /// It was given this seat when it attached before, and has not heard of it.
    Again {
        seat: SeatId,
        taken: Taken,
    },
    /// Its seat is another connection's by now.
    Replaced,
    /// The room does not know its seat: it may have a new one.
    Stranger,
    Refused(ErrorCode),
}

/// What has become of a seat whose connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// Nobody is told now: the room's owner is not sure that it still is.
    Unsaid,
    /// It is held, and the others are told.
    Away(PlayerName),
    /// It is gone, and the others are told once the record says so.
    Exited(PlayerName, ExitReason),
}

/// What is wrong with a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub code: ErrorCode,
    pub retry_after_ms: Option<u64>,
    /// It was wrong too often: the connection ends.
    pub enough: bool,
}

impl Room {
    /// Takes a new seat, or finds the one that the same key has.
    pub fn join(&mut self, seat: SeatId, who: Newcomer, by: Connection, limits: SeatLimits, now: u64) -> Join {
        let Newcomer { name, resumable, key } = who;
        // What is left of this connection's earlier try, whose answer was lost on a broken link.
        self.seats.retain(|seat| {
            !(seat.name == name
                && seat.holder == by.session
                && matches!(seat.state, SeatState::Joining | SeatState::Detached { .. }))
        });
        let own = self.seats.iter().position(|seat| seat.name == name && key.is_some() && seat.key == key);
        if let Some(index) = own {
            let own = &mut self.seats[index];
            if own.state == SeatState::Joining {
                return Join::Instead(self.seats.remove(index).reach);
            }
            let held = own.hold();
            own.resumable = resumable;
            return Join::Own { seat: own.id, rewrite: own.hold() != held };
        }
        if let Err(code) = self.admits(name, limits.players) {
            return Join::Refused(code);
        }
        self.unanswered.retain(|(other, _)| *other != name);
        self.seats.push(Seat {
            name,
            id: seat,
            resumable,
            key,
            state: SeatState::Joining,
            reach: Some(by.reach),
            holder: by.session,
            processed: by.number,
            delivered: Delivered::UpTo(0),
            bucket: limits.rate.full(now),
            strikes: Strikes::default(),
        });
        Join::Taken
    }

    /// A JOIN is answered: the seat is live. Returns whose it is, and whether the next owner is to hold it from now on; `None`: it is
    /// not there any more, or was answered before.
    pub fn join_answered(&mut self, seat: SeatId) -> Option<(PlayerName, bool)> {
        let found = self.seat_mut(seat).filter(|seat| seat.state == SeatState::Joining)?;
        found.state = SeatState::Live;
        Some((found.name, found.hold()))
    }

    /// A JOIN whose client is gone before its answer leaves nothing behind. True: it had a seat.
    pub fn forget_joining(&mut self, reach: Reach) -> bool {
        let before = self.seats.len();
        self.seats.retain(|seat| !(seat.state == SeatState::Joining && seat.reach == Some(reach)));
        self.seats.len() < before
    }

    /// Whether this connection's JOIN has not been answered.
    pub fn is_joining(&self, reach: Reach) -> bool {
        self.seats.iter().any(|seat| seat.reach == Some(reach) && seat.state == SeatState::Joining)
    }

    /// Finds the seat that a token names.
    pub fn resume(&mut self, name: PlayerName, id: SeatId, limits: SeatLimits, now: u64) -> Resume {
        let reinstated = self.reinstate(name, id, limits, now);
        let own = |seat: &&Seat| seat.resumable && seat.name == name && seat.state != SeatState::Joining;
        let outcome = self.seat(id).filter(own).map(|_| ()).ok_or(ErrorCode::BadToken);
        Resume { reinstated, outcome }
    }

    /// Puts an unanswered seat in its place, which is awaited like one whose connection is on its way here: who comes for it has
    /// had its answer. False: there is none of this name and number, or another player has its name or place.
    pub fn reinstate(&mut self, name: PlayerName, id: SeatId, limits: SeatLimits, now: u64) -> bool {
        let until = self.unanswered_until;
        let found = self.unanswered.iter().position(|(other, seat)| *other == name && seat.seat == id);
        let Some(index) = found.filter(|_| now < until && self.admits(name, limits.players).is_ok()) else {
            return false;
        };
        let (name, recorded) = self.unanswered.swap_remove(index);
        let seat = Seat::recorded(name, recorded, until, limits.rate.full(now));
        self.seats.push(Seat { state: SeatState::Detached { until }, ..seat });
        true
    }

    /// Seats who comes back, in place of the former connection.
    pub fn take_seat(&mut self, seat: SeatId, by: Connection) -> Option<Taken> {
        self.seat_mut(seat).map(|seat| seat.take(by))
    }

    /// A session comes that had a seat here, or at another owner. `resumed`: somebody resumes that seat.
    pub fn attach(&mut self, member: &Membership, by: Connection, resumed: bool, players: u32) -> Attach {
        let same = self.timeline == member.timeline;
        if let Some(seat) = self.seat_mut(member.seat).filter(|seat| seat.name == member.name) {
            if resumed || seat.holder.is_some_and(|holder| Some(holder) != by.session) {
                return Attach::Replaced;
            }
            let (held, processed) = (seat.hold(), seat.processed);
            let taken = seat.take(by);
            seat.resumable = member.resumable;
            // A session that is here now numbers its commands anew, should it be relayed again.
            seat.processed = if same && matches!(by.reach, Reach::Remote(_)) { processed } else { 0 };
            let taken = Taken { rewrite: seat.hold() != held, ..taken };
            return Attach::Own { taken, processed: same.then_some(processed) };
        }
        let given = |seat: &&mut Seat| seat.holder.is_some() && seat.holder == by.session && seat.name == member.name;
        if let Some(seat) = self.seats.iter_mut().find(given) {
            return Attach::Again { seat: seat.id, taken: seat.take(by) };
        }
        self.admits(member.name, players).map_or_else(Attach::Refused, |()| Attach::Stranger)
    }

    /// What a connection that ends now was given: everything, but what is dropped of a slow reader's queue.
    pub fn delivered_all(&self, disconnect: Disconnect) -> Delivered {
        if disconnect == Disconnect::Slow { Delivered::Unknown(self.seq) } else { Delivered::UpTo(self.seq) }
    }

    /// A seat's connection is gone. `sure`: it is known that the room is here.
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
            Dropped::Away(found.name)
        } else {
            let name = found.name;
            self.leave(seat);
            Dropped::Exited(name, how.reason())
        })
    }

    /// The seat's connection is not there, and may come back. Nobody is told.
    pub fn detach(&mut self, seat: SeatId, delivered: Delivered, now: u64) {
        if let Some(found) = self.seat_mut(seat) {
            found.reach = None;
            found.state = SeatState::Detached { until: now + DETACHED };
            found.delivered = delivered;
        }
    }

    /// What became of the seat that waits for this session, which does not come. `delivered`: what it was given, if that is known.
    pub fn not_coming(&mut self, session: SessionRef, delivered: Option<Delivered>) -> Option<(SeatId, Delivered)> {
        let its = |seat: &&mut Seat| seat.holder == Some(session) && matches!(seat.state, SeatState::Detached { .. });
        let found = self.seats.iter_mut().find(its)?;
        found.delivered = delivered.unwrap_or(found.delivered);
        Some((found.id, found.delivered))
    }

    /// The seats whose time is over, in order.
    pub fn due(&self, now: u64) -> Vec<SeatId> {
        let over = |seat: &&Seat| seat.due_at().is_some_and(|until| until <= now);
        self.seats.iter().filter(over).map(|seat| seat.id).collect()
    }

    /// The time of this seat is over.
    pub fn expire(&mut self, seat: SeatId, hold: u64, now: u64) -> Option<Dropped> {
        let found = self.seat(seat).filter(|seat| seat.due_at().is_some_and(|until| until <= now))?;
        match found.state {
            SeatState::Away { .. } => {
                let name = found.name;
                self.leave(seat);
                Some(Dropped::Exited(name, ExitReason::Timeout))
            }
            _ => self.disconnect(seat, Disconnect::Lost, found.delivered, true, hold, now),
        }
    }

    /// When the next seat's time is over (ms).
    pub fn next_due(&self) -> Option<u64> {
        self.seats.iter().filter_map(Seat::due_at).min()
    }

    /// The seat is given up.
    pub fn leave(&mut self, id: SeatId) -> Option<Seat> {
        let index = self.seats.iter().position(|seat| seat.id == id)?;
        Some(self.seats.remove(index))
    }

    /// Takes a command of a seat from its rate. `command`: what is wrong with it already.
    pub fn charge(
        &mut self,
        seat: SeatId,
        number: u64,
        command: Result<(), ErrorCode>,
        now: u64,
    ) -> Option<Result<(), Refusal>> {
        let found = self.seat_mut(seat)?;
        found.processed = found.processed.max(number);
        let (outcome, retry_after_ms) = match found.bucket.take(now) {
            Ok(()) => (command, None),
            Err(retry) => (Err(ErrorCode::RateLimited), Some(retry)),
        };
        // What is wrong counts where it comes in a row.
        let enough = found.strikes.note(outcome, now);
        Some(outcome.map_err(|code| Refusal { code, retry_after_ms, enough }))
    }

    /// Whether a player called `name` may come in.
    fn admits(&self, name: PlayerName, players: u32) -> Result<(), ErrorCode> {
        if self.seats.iter().any(|seat| seat.name == name) {
            Err(ErrorCode::NameTaken)
        } else if self.seats.len() >= players as usize {
            Err(ErrorCode::RoomFull)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;
