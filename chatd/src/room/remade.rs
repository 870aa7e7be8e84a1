//! A room that is made under a name which another one may have had before: nobody takes the two for one. Pure: no I/O.

use super::{Membership, Room};
use crate::protocol::Epoch;

impl Room {
    /// Others may have had its name: the versions of its state go on above all that these can have given. `epoch`: of its ownership.
    pub fn count_state_from(&mut self, epoch: Epoch) {
        self.versions_from = epoch;
    }

    /// The last epoch of a room of this name that has ended for everyone, if this one was made in its place.
    pub fn replaces(&self) -> Option<Epoch> {
        self.replaces
    }

    /// The room was made in place of that one.
    pub fn replace(&mut self, ended: Option<Epoch>) {
        self.replaces = ended;
    }

    /// Whether a session had its seat in the room that has ended, and not in this one.
    pub fn follows_the_room_of(&self, member: &Membership) -> bool {
        self.replaces.is_some_and(|ended| member.epoch <= ended)
    }
}
