//! A room: its seats, the count of its messages, and the last of them. Pure: no I/O.

mod bucket;
mod membership;
mod replay;
mod ring;
mod snapshot;

pub use bucket::{Bucket, Rate, Strikes};
pub use membership::{
    Attach, Connection, DETACHED, Disconnect, Dropped, Former, Join, Membership, Newcomer, Refusal, Resume, SeatLimits,
    Taken,
};
pub use replay::{CaughtUp, ReplayPlan, Said, Welcome};
pub use ring::{Answers, Ring, RingItem, RingLimits, RoomEvent};
pub use snapshot::{SeatSnapshot, Snapshot};

use rand::{Rng, RngExt};

use crate::ids::{Reach, SessionRef};
use crate::protocol::{PlayerName, PlayerView, RoomId, SeatId, SeatKey, Timeline};
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

/// One player's place. Others than its room only ever read it.
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
    bucket: Bucket,
    strikes: Strikes,
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

    /// The connection `by` has it from now on.
    fn take(&mut self, by: Connection) -> Taken {
        let (away, held) = (matches!(self.state, SeatState::Away { .. }), self.hold());
        let former = Former { name: self.name, reach: self.reach, away, delivered: self.delivered };
        (self.state, self.reach) = (SeatState::Live, Some(by.reach));
        (self.holder, self.processed) = (by.session, by.number);
        Taken { former, rewrite: self.hold() != held }
    }

    /// Until when its player can come back to it (ms), while nobody is connected.
    fn due_at(&self) -> Option<u64> {
        match self.state {
            SeatState::Away { until } | SeatState::Detached { until } => Some(until),
            SeatState::Joining | SeatState::Live => None,
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
    timeline: Timeline,
    /// The number of the last message of this timeline.
    seq: u64,
    /// The number of the last event (message, or change of who is there) of this timeline.
    position: u64,
    seats: Vec<Seat>,
    /// After a takeover: see [`crate::record::Record::unanswered_seats`].
    unanswered: Vec<(PlayerName, RecordedSeat)>,
    /// Until when one of these can be taken (ms).
    unanswered_until: u64,
    ring: Ring,
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

    pub fn timeline(&self) -> Timeline {
        self.timeline
    }

    /// The number of the last message.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The number of the last event.
    pub fn position(&self) -> u64 {
        self.position
    }

    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    pub fn seat(&self, id: SeatId) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.id == id)
    }

    fn seat_mut(&mut self, id: SeatId) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.id == id)
    }

    /// How many seats of the record wait for who can show that their JOIN was answered.
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    pub fn ring(&self) -> &Ring {
        &self.ring
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

    /// Panics where something does not hold that does between any two steps.
    pub fn check_invariants(&self, limits: SeatLimits) {
        let broken = self.broken(limits);
        assert!(broken.is_none(), "{}: {}", self.id, broken.unwrap_or_default());
    }

    fn broken(&self, limits: SeatLimits) -> Option<String> {
        if self.seats.len() > limits.players as usize {
            return Some(format!("{} players are in a room for {}", self.seats.len(), limits.players));
        }
        for (index, seat) in self.seats.iter().enumerate() {
            let Seat { name, state, .. } = seat;
            if self.seats[..index].iter().any(|other| other.name == *name || other.id == seat.id) {
                return Some(format!("{name} shares a name or a seat with another player"));
            }
            if seat.reach.is_some() != matches!(state, SeatState::Joining | SeatState::Live) {
                return Some(format!("{name} is {state:?}, and reached by {:?}", seat.reach));
            }
        }
        (!self.ring.rises_to(self.position)).then(|| "the ring is out of order".to_owned())
    }
}
