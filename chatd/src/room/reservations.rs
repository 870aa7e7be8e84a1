//! Places of a room that are kept for people who are about to come in, as the server API's quick join promises. Pure: no I/O.

use serde::{Deserialize, Serialize};

use super::{Room, Seat};
use crate::join_token::{SeatAuth, Subject, is_viewer};
use crate::protocol::{ErrorCode, MAX_PLAYERS, PlayerName};
use crate::room_list::Standing;

/// How long a place is kept (ms).
pub const RESERVED_FOR: u64 = 10_000;

/// A place that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// For whom.
    sub: Subject,
    /// What that person is going to be called, if the application says so: nobody else may be called so, or take a name that looks like it.
    name: Option<PlayerName>,
    /// Until when (ms); in a snapshot, for how long.
    until: u64,
}

/// All of one room. Those that are over are forgotten when somebody comes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservations(Vec<Reservation>);

impl Reservations {
    /// The same with times of another kind, no more of them than a room has places.
    fn with_times(&self, time: impl Fn(u64) -> u64) -> Self {
        let kept = self.0.iter().take(MAX_PLAYERS as usize);
        Self(kept.map(|kept| Reservation { until: time(kept.until), ..kept.clone() }).collect())
    }

    /// As they travel to another pod at `now`, whose clock may differ.
    pub(super) fn for_snapshot(&self, now: u64) -> Self {
        self.with_times(|until| until.saturating_sub(now))
    }

    /// As they came from another pod at `now`.
    pub(super) fn restored(&self, now: u64) -> Self {
        self.with_times(|left| now + left.min(RESERVED_FOR))
    }
}

impl Room {
    /// Keeps a place for who shows a token with this `sub` within [`RESERVED_FOR`], for as long again if there is one already. `players`: how
    /// many there may be.
    ///
    /// # Errors
    ///
    /// The room is locked or full, or another person has the name.
    pub fn reserve(&mut self, sub: Subject, name: Option<PlayerName>, players: u32, now: u64) -> Result<(), ErrorCode> {
        if self.standing_of(Some(sub), now) == Standing::Seated {
            return Ok(());
        }
        self.may_reserve(Some(sub), name, players, now)?;
        self.reservations.0.retain(|kept| kept.sub != sub && kept.until > now);
        self.reservations.0.push(Reservation { sub, name, until: now + RESERVED_FOR });
        Ok(())
    }

    /// Whether [`Room::reserve`] would keep a place. `sub`: of the person, if the application's tokens tell.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn may_reserve(
        &self,
        sub: Option<Subject>,
        name: Option<PlayerName>,
        players: u32,
        now: u64,
    ) -> Result<(), ErrorCode> {
        let is_other = |seat: &&Seat| sub.is_none_or(|sub| !is_of(seat, sub));
        let is_taken = |name: PlayerName| self.seats.iter().filter(is_other).any(|seat| seat.name().resembles(&name));
        if self.is_locked() {
            Err(ErrorCode::RoomLocked)
        } else if name.is_some_and(|name| is_taken(name) || self.keeps_name(sub, name, now)) {
            Err(ErrorCode::NameTaken)
        } else if self.leaves_no_place(sub, players, now) {
            Err(ErrorCode::RoomFull)
        } else {
            Ok(())
        }
    }

    /// Whether what is kept for others leaves a newcomer its name and a place among the `players`. A viewer takes none.
    pub(super) fn leaves(
        &self,
        name: PlayerName,
        auth: Option<SeatAuth>,
        players: u32,
        now: u64,
    ) -> Result<(), ErrorCode> {
        let sub = auth.map(|auth| auth.sub);
        if self.keeps_name(sub, name, now) {
            Err(ErrorCode::NameTaken)
        } else if !is_viewer(auth) && self.leaves_no_place(sub, players, now) {
            Err(ErrorCode::RoomFull)
        } else {
            Ok(())
        }
    }

    /// The holder of this token is in: no place has to be kept any more.
    pub(super) fn has_come(&mut self, auth: Option<SeatAuth>, now: u64) {
        let sub = auth.map(|auth| auth.sub);
        self.reservations.0.retain(|kept| Some(kept.sub) != sub && kept.until > now);
    }

    /// What the holder of `sub` has in the room.
    pub fn standing_of(&self, sub: Option<Subject>, now: u64) -> Standing {
        let Some(sub) = sub else {
            return Standing::Stranger;
        };
        if self.player_seats().any(|seat| is_of(seat, sub)) {
            Standing::Seated
        } else if self.reservations.0.iter().any(|kept| kept.sub == sub && kept.until > now) {
            Standing::Expected
        } else {
            Standing::Stranger
        }
    }

    /// Until when a place is kept (ms).
    pub fn reserved_until(&self) -> Option<u64> {
        self.reservations.0.iter().map(|kept| kept.until).max()
    }

    /// Places that the holder of `sub` finds taken, by those who are in and those who are about to come.
    pub fn players_beside(&self, sub: Option<Subject>, now: u64) -> usize {
        self.player_seats().count() + self.reserved_for_others(sub, now).count()
    }

    fn leaves_no_place(&self, sub: Option<Subject>, players: u32, now: u64) -> bool {
        self.players_beside(sub, now) >= players as usize
    }

    fn keeps_name(&self, sub: Option<Subject>, name: PlayerName, now: u64) -> bool {
        let name_of = |kept: &Reservation| kept.name;
        self.reserved_for_others(sub, now).filter_map(name_of).any(|kept| kept.resembles(&name))
    }

    fn reserved_for_others(&self, sub: Option<Subject>, now: u64) -> impl Iterator<Item = &Reservation> {
        self.reservations.0.iter().filter(move |kept| kept.until > now && Some(kept.sub) != sub)
    }
}

fn is_of(seat: &Seat, sub: Subject) -> bool {
    seat.auth().is_some_and(|auth| auth.sub == sub)
}
