//! What the room's descriptor says about who comes in, and how a moderator changes it. Pure: no I/O.

use super::{Newcomer, Room};
use crate::descriptor::Descriptor;
use crate::ids::Reach;
use crate::join_token::Role;
use crate::protocol::{PlayerName, SeatId};

impl Room {
    /// In what the room differs from the settings.
    pub fn descriptor(&self) -> Option<&Descriptor> {
        self.descriptor.as_deref()
    }

    /// From now on the room has this descriptor. One that says nothing is none, so that it costs a record no byte.
    pub fn describe(&mut self, descriptor: Option<Box<Descriptor>>) {
        self.descriptor = descriptor.filter(|descriptor| !descriptor.is_empty());
    }

    /// Whether nobody new comes in.
    pub fn is_locked(&self) -> bool {
        self.descriptor.as_ref().is_some_and(|descriptor| descriptor.locked)
    }

    /// See [`Descriptor::keeps_state`].
    pub fn keeps_state(&self) -> bool {
        self.descriptor.as_ref().is_some_and(|descriptor| descriptor.keeps_state())
    }

    /// A moderator locks or unlocks the room. Returns the moderator's name; `None`: who holds this seat is none.
    pub fn lock(&mut self, seat: SeatId, locked: bool) -> Option<PlayerName> {
        let seat = self.seat(seat)?;
        let name = seat.name();
        if !seat.moderates() {
            return None;
        }
        let mut descriptor = self.descriptor.take().unwrap_or_default();
        descriptor.locked = locked;
        self.describe(Some(descriptor));
        Some(name)
    }

    /// The room ends: all seats do. Returns how their connections are reached.
    pub fn end(&mut self) -> Vec<Reach> {
        self.unanswered.clear();
        self.seats.drain(..).filter_map(|seat| seat.reach).collect()
    }

    /// Whether a newcomer, who has no seat, stays outside because the room is locked. A moderator does not, since somebody has to be able
    /// to unlock it. Who was perhaps answered by the former owner, shortly
    /// before that one ended, is none.
    pub(super) fn locks_out(&self, who: &Newcomer) -> bool {
        let was_in = self.unanswered.iter().any(|(name, seat)| match seat.auth {
            Some(held) => who.auth.is_some_and(|shown| shown.sub == held.sub),
            None => *name == who.name && who.key.is_some() && seat.key == who.key,
        });
        let is_moderator = who.auth.is_some_and(|auth| auth.role == Role::Moderator);
        self.is_locked() && !was_in && !is_moderator
    }
}
