//! What join tokens say of a room's players for others to see. Pure: no I/O.

use super::{Room, RoomEvent, Seat};
use crate::profile::Profiles;
use crate::protocol::{Event, Profile, SeatId};

impl Room {
    /// What the join token says of who has this seat. Returns whether the record has to follow.
    pub fn set_profile(&mut self, seat: SeatId, profile: Option<&Profile>) -> bool {
        if profile.is_none() && self.profiles.is_empty() {
            return false;
        }
        let Self { seats, unanswered, profiles, .. } = self;
        let held = |id| seats.iter().any(|seat| seat.id == id) || unanswered.iter().any(|(_, seat)| seat.seat == id);
        profiles.retain(held);
        profiles.set(seat, profile)
    }

    /// What join tokens say of the players, for the record.
    pub fn profiles(&self) -> Profiles {
        self.profiles.clone()
    }

    /// As the record has them, at a new owner.
    pub fn restore_profiles(&mut self, profiles: Profiles) {
        self.profiles = profiles.checked();
    }

    /// An event for clients, as it is told now. `profile`: where what is said of a player who comes is kept meanwhile.
    pub fn to_client<'a>(&self, event: &'a RoomEvent, profile: &'a mut Option<Profile>) -> Event<'a> {
        let RoomEvent::Entered(name) = event else {
            return event.to_client(false);
        };
        let seat = self.seats.iter().find(|seat| seat.name == *name);
        *profile = seat.and_then(|seat| self.profiles.of(seat.id));
        let role = seat.map(Seat::role).unwrap_or_default();
        Event::Entered { name: name.get(), role, profile: profile.as_ref() }
    }
}
