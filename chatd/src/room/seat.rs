//! What a seat keeps elsewhere or in a form of its own, so that it takes less memory. Pure: no I/O.

use super::rare::Rare;
use super::{Seat, Strikes};
use crate::join_token::SeatAuth;
use crate::protocol::{ErrorCode, PlayerName};

/// Each connection has one, and a room's seats are in one piece of memory: four of them in 768 bytes.
const _: () = assert!(size_of::<Seat>() <= 192);

impl Seat {
    /// The player's name, unique in the room.
    pub fn name(&self) -> PlayerName {
        self.name.get()
    }

    /// Of the join token that it was taken with.
    pub fn auth(&self) -> Option<SeatAuth> {
        self.auth.as_deref().copied()
    }

    /// What the player says of itself: JSON. It is lost with the owner.
    pub fn presence(&self) -> Option<&str> {
        self.rare.as_ref()?.presence.as_deref()
    }

    pub(super) fn set_presence(&mut self, presence: Option<Box<str>>) {
        match &mut self.rare {
            Some(rare) => rare.presence = presence,
            none => *none = Rare::saying(presence),
        }
    }

    /// Takes one command from the seat's rate, or from that of events that may be lost; `Err`: when there is one again (ms).
    pub(super) fn take_one(&mut self, volatile: bool, now: u64) -> Result<(), u64> {
        if volatile { self.rare.get_or_insert_default().take_volatile(now) } else { self.bucket.take(now) }
    }

    /// Notes the outcome of a command. True: enough is enough.
    pub(super) fn note(&mut self, outcome: Result<(), ErrorCode>, now: u64) -> bool {
        if let Some(rare) = &mut self.rare {
            return rare.note(outcome, now);
        }
        let (strikes, enough) = Strikes::first(outcome, now);
        self.rare = strikes.map(|strikes| Box::new(Rare::striking(strikes)));
        enough
    }
}
