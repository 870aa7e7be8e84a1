//! JOINs whose token is good for one of them: each waits until the directory has the token as used for its seat. Plain
//! data: no I/O.

use bytes::Bytes;

use crate::hub::request::{Asked, Entry};
use crate::join_token::Once;
use crate::protocol::{Profile, RoomId, SeatId, SeatKey};
use crate::room::Newcomer;

/// What the seat of such a JOIN is.
#[derive(Debug, Clone)]
pub enum ClaimedSeat {
    /// A new one, which the record has. `is_fresh`: nobody can have used the token for it before.
    New { is_fresh: bool },
    /// One that this person has. `is_same`: the JOIN may be the one that the token was used for, since it shows the seat's key, or comes by
    /// its connection.
    Own { who: Newcomer, profile: Option<Profile>, is_same: bool },
}

/// See the module's documentation.
#[derive(Debug, Clone)]
pub struct Claim {
    pub asked: Asked,
    pub once: Once,
    pub seat: SeatId,
    pub entry: Entry,
    pub counts: bool,
    pub since: u64,
    /// It is refused if the directory has not answered by then (ms): it shares this time with the write before.
    pub until: u64,
    pub of: ClaimedSeat,
}

impl Claim {
    /// The join key that the JOIN shows.
    pub fn key(&self) -> Option<SeatKey> {
        if let Entry::Join { key, .. } = self.entry { key } else { None }
    }

    /// What the directory holds once the token is used for it in this room.
    pub fn used_in(&self, room: RoomId) -> Bytes {
        Once::used_for(room, self.seat, self.key())
    }

    /// No one is in the seat by it: if it is given up, the token is as good as before.
    pub fn is_fresh(&self) -> bool {
        matches!(self.of, ClaimedSeat::New { is_fresh: true })
    }
}
