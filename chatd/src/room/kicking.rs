//! A moderator ends a member's seat, and keeps the player out. Pure: no I/O.

use super::{Room, Seat};
use crate::bans::{Bans, EndedSeat};
use crate::join_token::SeatAuth;
use crate::protocol::{PlayerName, SeatId};

impl Room {
    /// Whether the holder of this seat may kick others.
    pub fn may_moderate(&self, seat: SeatId) -> bool {
        self.seat(seat).is_some_and(Seat::moderates)
    }

    /// Ends the seat with this name, whatever its state, at `wall` (Unix ms). `ban_s`: its player is kept out for so long (seconds).
    /// `None`: there is no such seat.
    pub fn kick(&mut self, name: PlayerName, ban_s: Option<u32>, wall: u64) -> Option<Seat> {
        let id = self.seats.iter().find(|seat| seat.name == name)?.id;
        let kicked = self.leave(id)?;
        let (name, auth, session) = (kicked.name(), kicked.auth(), kicked.holder);
        self.bans.add(EndedSeat { seat: id, session, name, auth }, ban_s, wall / 1_000);
        // Nor is an older seat of this player to be had, which nobody knows to have been answered.
        self.unanswered.retain(|(other, seat)| {
            let same_person = auth.is_some() && seat.auth.map(|auth| auth.sub) == auth.map(|auth| auth.sub);
            *other != name && !same_person
        });
        Some(kicked)
    }

    /// Whether a ban keeps this player out at `wall` (Unix ms).
    pub fn keeps_out(&self, name: PlayerName, auth: Option<SeatAuth>, wall: u64) -> bool {
        self.bans.keep_out(name, auth, wall / 1_000)
    }

    /// The bans, for the record.
    pub fn bans(&self) -> &Bans {
        &self.bans
    }

    /// The bans of the record, at a new owner.
    pub fn restore_bans(&mut self, bans: Bans) {
        self.bans = bans;
    }
}
