//! A room: its seats, the count of its messages, and the last of them. Pure: no I/O.

mod bucket;
mod ring;
mod snapshot;

pub use bucket::{Bucket, Strikes};
pub use ring::{Ring, RingItem, RingLimits, RoomEvent};
pub use snapshot::{SeatSnapshot, Snapshot};

use rand::{Rng, RngExt};

use crate::ids::{Reach, SessionRef};
use crate::protocol::{ErrorCode, PlayerName, PlayerView, RoomId, SeatId, SeatKey, Timeline};
use crate::record::RecordedSeat;

/// What a seat is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatState {
    /// Taken, and not answered yet: the write that holds it is under way.
    Joining,
    Live,
    /// Nobody was told, but the connection is not attached: it is on its way from another owner, or its peer link broke.
    Detached {
        until: u64,
    },
    /// The connection is gone, the others know, and the seat is held.
    Away {
        until: u64,
    },
}

/// Up to where the room's messages were delivered to a seat's last connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Delivered {
    /// All up to this one.
    UpTo(u64),
    /// None: it was lost at another owner, in another timeline.
    Nothing,
    /// Nobody knows how much up to this one; nothing after it.
    Unknown(u64),
}

/// One player's place.
#[derive(Debug, Clone)]
pub struct Seat {
    pub name: PlayerName,
    pub id: SeatId,
    pub resumable: bool,
    /// What its player has chosen to find it again by JOIN.
    pub key: Option<SeatKey>,
    pub state: SeatState,
    /// `Some` exactly while `Joining` or `Live`.
    pub reach: Option<Reach>,
    /// The connection that has, or last had, the seat. `None`: unknown, after a takeover.
    pub holder: Option<SessionRef>,
    /// The number of the last command of a relayed holder that was carried out.
    pub processed: u64,
    /// Counts once the connection is gone.
    pub delivered: Delivered,
    pub bucket: Bucket,
    pub strikes: Strikes,
}

impl Seat {
    /// As a new owner finds it in the record: nobody has come for it yet, at most until `until` (ms).
    fn recorded(name: PlayerName, recorded: RecordedSeat, until: u64, bucket: Bucket) -> Self {
        Self {
            name,
            id: recorded.seat,
            resumable: true,
            key: recorded.key,
            state: SeatState::Away { until },
            reach: None,
            holder: None,
            processed: 0,
            delivered: Delivered::Nothing,
            bucket,
            strikes: Strikes::default(),
        }
    }

    /// Held by a new owner after a takeover: whoever comes back for it can.
    pub fn hold(&self) -> bool {
        self.resumable
            || matches!(self.reach, Some(Reach::Remote(_)))
            || matches!(self.state, SeatState::Detached { .. })
    }
}

/// A room in its owner's memory.
#[derive(Debug)]
pub struct Room {
    pub id: RoomId,
    pub timeline: Timeline,
    /// The number of the last message of this timeline.
    pub seq: u64,
    /// The number of the last event (message, or change of who is there) of this timeline.
    pub position: u64,
    pub seats: Vec<Seat>,
    /// After a takeover: see [`crate::record::Record::unanswered_seats`].
    pub unanswered: Vec<(PlayerName, RecordedSeat)>,
    /// Until when one of these can be taken (ms).
    unanswered_until: u64,
    pub ring: Ring,
}

impl Room {
    /// A new room, without anyone in it.
    pub fn new(id: RoomId, random: &mut impl Rng) -> Self {
        Self {
            id,
            timeline: Timeline(random.random()),
            seq: 0,
            position: 0,
            seats: Vec::new(),
            unanswered: Vec::new(),
            unanswered_until: 0,
            ring: Ring::default(),
        }
    }

    /// A room that is taken over: a new timeline; the seats that its record says to hold wait until `until` (ms).
    pub fn taken_over(
        id: RoomId,
        held: Vec<(PlayerName, RecordedSeat)>,
        unanswered: Vec<(PlayerName, RecordedSeat)>,
        until: u64,
        bucket: Bucket,
        random: &mut impl Rng,
    ) -> Self {
        let mut room = Self::new(id, random);
        (room.unanswered, room.unanswered_until) = (unanswered, until);
        room.seats = held.into_iter().map(|(name, recorded)| Seat::recorded(name, recorded, until, bucket)).collect();
        room
    }

    /// Puts an unanswered seat in its place, which is awaited like one whose connection is on its way here. False: there is
    /// none of this name and number, or another player has its name or place.
    pub fn reinstate(&mut self, name: PlayerName, id: SeatId, most: u32, bucket: Bucket, now: u64) -> bool {
        let until = self.unanswered_until;
        let found = self.unanswered.iter().position(|(other, seat)| *other == name && seat.seat == id);
        let Some(index) = found.filter(|_| now < until && self.admits(name, most).is_ok()) else {
            return false;
        };
        let (name, recorded) = self.unanswered.swap_remove(index);
        self.seats.push(Seat { state: SeatState::Detached { until }, ..Seat::recorded(name, recorded, until, bucket) });
        true
    }

    /// Whether a player called `name` may come in.
    pub fn admits(&self, name: PlayerName, max_players: u32) -> Result<(), ErrorCode> {
        if self.seats.iter().any(|seat| seat.name == name) {
            Err(ErrorCode::NameTaken)
        } else if self.seats.len() >= max_players as usize {
            Err(ErrorCode::RoomFull)
        } else {
            Ok(())
        }
    }

    pub fn seat(&self, id: SeatId) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.id == id)
    }

    pub fn seat_mut(&mut self, id: SeatId) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.id == id)
    }

    pub fn remove(&mut self, id: SeatId) -> Option<Seat> {
        let index = self.seats.iter().position(|seat| seat.id == id)?;
        Some(self.seats.remove(index))
    }

    /// The players as everyone may know them: those whose JOIN has been answered.
    pub fn players(&self) -> Vec<PlayerView> {
        self.seats
            .iter()
            .filter(|seat| seat.state != SeatState::Joining)
            .map(|seat| PlayerView { name: seat.name, away: matches!(seat.state, SeatState::Away { .. }) })
            .collect()
    }

    /// The seats as the record keeps them.
    pub fn recorded(&self) -> impl Iterator<Item = (PlayerName, RecordedSeat)> + '_ {
        let recorded = |seat: &Seat| {
            let joining = seat.state == SeatState::Joining;
            let (hold, joining) = (seat.hold() && !joining, seat.hold() && joining);
            RecordedSeat { seat: seat.id, hold, joining, key: seat.key }
        };
        self.seats.iter().map(move |seat| (seat.name, recorded(seat)))
    }
}
