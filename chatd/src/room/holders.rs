//! Who holds a seat by a join token: found again by its `sub`, warned before the token's end, and ended with it. Pure: no I/O.

use super::{Newcomer, OnceSeat, Room, Seat, SeatState};
use crate::ids::{Reach, SessionRef};
use crate::join_token::{Failure, MAX_VIEWERS, SeatAuth, is_viewer};
use crate::protocol::{SeatId, SeatKey};

/// What a token's end asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenDue {
    /// Tell the holder that it ends in so many seconds.
    Warn(Reach, u64),
    /// End the holder's connection.
    End(Reach),
}

impl Room {
    /// The seat that a newcomer has proved to be its own: by the `sub` of its token, whatever the name; or by its join key, where no token
    /// protects the seat.
    pub(super) fn own_seat(&self, who: &Newcomer) -> Option<usize> {
        let by_token = |seat: &Seat| who.auth.is_some_and(|shown| is_of(seat, shown));
        let by_key =
            |seat: &Seat| seat.auth.is_none() && seat.name == who.name && who.key.is_some() && seat.key == who.key;
        self.seats.iter().position(by_token).or_else(|| self.seats.iter().position(by_key))
    }

    /// The seat that a newcomer is for whose token is good for one JOIN. `session`: its connection.
    pub fn once_seat(&self, who: &Newcomer, session: Option<SessionRef>) -> OnceSeat {
        let has_key = |key: Option<SeatKey>| key.is_some() && key == who.key;
        if let Some(seat) = self.own_seat(who).map(|index| &self.seats[index]) {
            return match seat.state {
                SeatState::Joining => OnceSeat::Joining,
                _ => {
                    let is_again = session.is_some() && seat.holder == session;
                    OnceSeat::Own { seat: seat.id, is_same: has_key(seat.key) || is_again }
                }
            };
        }
        let sub = |auth: Option<SeatAuth>| auth.map(|auth| auth.sub);
        let mut unanswered = self.unanswered.iter().filter(|(name, seat)| {
            *name == who.name && has_key(seat.key) && seat.auth.is_some() && sub(seat.auth) == sub(who.auth)
        });
        OnceSeat::New(unanswered.next().map(|(_, seat)| seat.seat))
    }

    /// Whether the holder of this token has a seat.
    pub(super) fn holds_a_seat(&self, auth: Option<SeatAuth>) -> bool {
        auth.is_some_and(|auth| self.seats.iter().any(|seat| is_of(seat, auth)))
    }

    /// Whether there is a place for one more player, or viewer. `players`: how many of these there may be.
    pub(super) fn has_place(&self, auth: Option<SeatAuth>, players: u32) -> bool {
        let most = if is_viewer(auth) { MAX_VIEWERS } else { players as usize };
        self.seats.iter().filter(|seat| is_viewer(seat.auth()) == is_viewer(auth)).count() < most
    }

    /// Whether who holds this seat may say something.
    pub fn may_speak(&self, seat: SeatId) -> bool {
        self.seat(seat).is_some_and(|seat| !is_viewer(seat.auth()))
    }

    /// Whether the token of this seat has ended at `wall` (Unix ms).
    pub fn has_token_ended(&self, seat: SeatId, wall: u64) -> bool {
        self.seat(seat).and_then(Seat::auth).is_some_and(|auth| auth.ends_at() <= wall)
    }

    /// The holder of the seat shows another token. Returns whether the record has to follow.
    ///
    /// # Errors
    ///
    /// It is another person's, or the seat was not taken with a token; or who hears would come to play, or the other way round.
    pub fn refresh(&mut self, seat: SeatId, auth: SeatAuth) -> Result<bool, Failure> {
        let found = self.seat_mut(seat).filter(|seat| is_of(seat, auth)).ok_or(Failure::Subject)?;
        if is_viewer(found.auth()) != is_viewer(Some(auth)) {
            return Err(Failure::Role);
        }
        let is_new = found.auth() != Some(auth);
        (found.auth, found.warned) = (Some(Box::new(auth)), false);
        Ok(is_new)
    }

    /// What is due at `wall` (Unix ms) for the tokens of connected members.
    pub fn tokens_due(&mut self, wall: u64) -> Vec<TokenDue> {
        let mut due = Vec::new();
        for seat in self.seats.iter_mut().filter(|seat| seat.state == SeatState::Live) {
            let (Some(auth), Some(reach)) = (seat.auth(), seat.reach) else {
                continue;
            };
            if auth.ends_at() <= wall {
                due.push(TokenDue::End(reach));
            } else if auth.warns_at() <= wall && !std::mem::replace(&mut seat.warned, true) {
                due.push(TokenDue::Warn(reach, auth.left(wall)));
            }
        }
        due
    }

    /// When that is the case next (Unix ms).
    pub fn next_token_due(&self) -> Option<u64> {
        let live = self.seats.iter().filter(|seat| seat.state == SeatState::Live);
        live.filter_map(|seat| seat.auth().map(|auth| if seat.warned { auth.ends_at() } else { auth.warns_at() })).min()
    }
}

fn is_of(seat: &Seat, auth: SeatAuth) -> bool {
    seat.auth().is_some_and(|held| held.sub == auth.sub)
}
