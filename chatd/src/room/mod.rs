//! A room: its seats, its message count and its ring. Pure: no I/O.

mod answered;
mod bucket;
mod called;
mod described;
mod holders;
mod kicking;
mod membership;
mod outcomes;
mod profiles;
mod rare;
mod remade;
mod replay;
mod reservations;
mod ring;
mod seat;
mod snapshot;
mod state;

pub use answered::AnsweredCalls;
pub use bucket::{Bucket, Rate, Strikes};
pub use holders::TokenDue;
pub use membership::DETACHED;
pub use outcomes::{
    Attach, Connection, Disconnect, Dropped, Former, Join, Membership, Newcomer, OnceSeat, Refusal, Resume, SeatLimits,
    Taken,
};
pub use replay::{CaughtUp, ReplayPlan, Said, Welcome};
pub use reservations::{RESERVED_FOR, Reservations};
pub use ring::{Answers, Content, Ring, RingItem, RingLimits, RoomEvent};
pub use snapshot::{SeatSnapshot, Snapshot};
pub use state::{MAX_STATE_MEMORY, State, StateChanged, StateRefusal};

use rand::{Rng, RngExt};

use rare::Rare;

use crate::bans::Bans;
use crate::descriptor::Descriptor;
use crate::ids::{Reach, SessionRef};
use crate::join_token::{MAX_VIEWERS, Role, SeatAuth, is_viewer};
use crate::profile::Profiles;
use crate::protocol::{Epoch, KeptName, PlayerName, PlayerView, RoomId, SeatId, SeatKey, Timeline};
use crate::record::{Owner, Record, RecordedSeat};

/// The seats older than its timeline that a room remembers: as many as a full room's record can hold, answered or not.
const MOST_INHERITED: usize = 128;

/// The state of a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are named by their types")]
pub enum SeatState {
    /// Taken, without a reply yet: the write of the record is in flight.
    Joining,
    /// Its player is connected.
    Live,
    /// The connection is detached, without an announcement: it comes from another owner, or its peer link broke.
    Detached { until: u64 },
    /// The connection is gone, the other members know, and the room holds the seat.
    Away { until: u64 },
}

/// How many of the room's messages a seat's last connection received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Delivered {
    /// All up to this number.
    UpTo(u64),
    /// None: another owner had the connection, in another timeline.
    Nothing,
    /// An unknown part up to this number, and none after it.
    Unknown(u64),
}

/// A player's seat. Other modules only read it.
#[derive(Debug, Clone)]
pub struct Seat {
    name: KeptName,
    /// Its number, which is never used again.
    pub id: SeatId,
    /// The client has a token for it.
    pub resumable: bool,
    /// The join key, with which its player finds it again.
    pub key: Option<SeatKey>,
    auth: Option<Box<SeatAuth>>,
    /// The last message of this timeline before its player came in: up to there none is for it.
    pub entered: u64,
    /// Its connection has heard that the token ends soon.
    warned: bool,
    /// Whether its player is connected.
    pub state: SeatState,
    /// `Some` exactly while `Joining` or `Live`.
    pub reach: Option<Reach>,
    /// The current or last connection of the seat. `None`: unknown, after a takeover.
    pub holder: Option<SessionRef>,
    /// The number of the last command of a relayed connection that was carried out.
    pub processed: u64,
    /// Valid once the connection is gone.
    pub delivered: Delivered,
    bucket: Bucket,
    rare: Option<Box<Rare>>,
}

impl Seat {
    /// The seat as a new owner restores it from the record, without a connection. It waits until `until` (ms) at most.
    fn recorded(name: PlayerName, recorded: RecordedSeat, until: u64, bucket: Bucket) -> Self {
        Self {
            name: name.into(),
            id: recorded.seat,
            resumable: true,
            key: recorded.key,
            auth: recorded.auth.map(Box::new),
            entered: 0,
            warned: false,
            state: SeatState::Away { until },
            reach: None,
            holder: None,
            processed: 0,
            delivered: Delivered::Nothing,
            bucket,
            rare: None,
        }
    }

    /// Gives the seat to the connection `by`.
    fn take(&mut self, by: Connection) -> Taken {
        let (away, held) = (matches!(self.state, SeatState::Away { .. }), self.hold());
        let former = Former { name: self.name(), reach: self.reach, away, delivered: self.delivered };
        (self.state, self.reach) = (SeatState::Live, Some(by.reach));
        (self.holder, self.processed, self.warned) = (by.session, by.number, false);
        if let Some(rare) = &mut self.rare {
            rare.reconnected();
        }
        Taken { former, rewrite: self.hold() != held }
    }

    /// The end of the seat's hold (ms), while it has no connection.
    fn due_at(&self) -> Option<u64> {
        match self.state {
            SeatState::Away { until } | SeatState::Detached { until } => Some(until),
            SeatState::Joining | SeatState::Live => None,
        }
    }

    /// What who holds it may do, by its join token.
    pub fn role(&self) -> Role {
        self.auth().map(|auth| auth.role).unwrap_or_default()
    }

    /// Whether who holds it is a moderator.
    pub fn moderates(&self) -> bool {
        self.role() == Role::Moderator
    }

    /// Held by a new owner after a takeover.
    pub fn hold(&self) -> bool {
        self.resumable
            || matches!(self.reach, Some(Reach::Remote(_)))
            || matches!(self.state, SeatState::Detached { .. })
    }
}

/// A room in its owner's memory.
#[derive(Debug)]
pub struct Room {
    /// The room's id.
    pub id: RoomId,
    timeline: Timeline,
    /// The timeline's name before it forked: who has been here since then may know no other.
    forked_from: Option<Timeline>,
    /// The number of this timeline's last message.
    seq: u64,
    /// The number of this timeline's last event: a message, or a change of the members.
    position: u64,
    seats: Vec<Seat>,
    /// After a takeover: the seats that are older than the timeline and were known in it, those that have ended included.
    inherited: Vec<SeatId>,
    /// After a takeover: see [`crate::record::Record::unanswered_seats`].
    unanswered: Vec<(PlayerName, RecordedSeat)>,
    /// Until when one of these can be restored (ms).
    unanswered_until: u64,
    /// In what it differs from the settings; none says nothing.
    descriptor: Option<Box<Descriptor>>,
    ring: Ring,
    /// The number of this timeline's last event for the webhook; 0: none yet.
    webhook_number: u64,
    /// `None`: nobody ever set any.
    state: Option<Box<State>>,
    /// Former owners, and rooms that had its name before, have given no version of the state above this.
    versions_from: u64,
    /// See [`Room::replaces`].
    replaces: Option<Epoch>,
    /// When a member last said something that the ring has not (ms).
    active: Option<u64>,
    bans: Bans,
    profiles: Profiles,
    reservations: Reservations,
    answered: AnsweredCalls,
}

impl Room {
    /// A new, empty room.
    pub fn new(id: RoomId, random: &mut impl Rng) -> Self {
        Self {
            id,
            timeline: Timeline(random.random()),
            forked_from: None,
            seq: 0,
            position: 0,
            seats: Vec::new(),
            inherited: Vec::new(),
            unanswered: Vec::new(),
            unanswered_until: 0,
            descriptor: None,
            ring: Ring::default(),
            webhook_number: 0,
            state: None,
            versions_from: 0,
            replaces: None,
            active: None,
            bans: Bans::default(),
            profiles: Profiles::default(),
            reservations: Reservations::default(),
            answered: AnsweredCalls::default(),
        }
    }

    /// A room after a takeover: a new timeline; the seats that its record holds wait until `until` (ms).
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
        room.inherited = held.iter().map(|(_, recorded)| recorded.seat).collect();
        room.seats = held.into_iter().map(|(name, recorded)| Seat::recorded(name, recorded, until, bucket)).collect();
        room
    }

    /// The name of the current count of messages.
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

    /// The number of the last event for the webhook; 0: none yet.
    pub fn webhook_number(&self) -> u64 {
        self.webhook_number
    }

    /// Counts one more.
    pub fn next_webhook_number(&mut self) -> u64 {
        self.webhook_number += 1;
        self.webhook_number
    }

    /// All seats, held ones included, in the order in which they were taken.
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// The seats that take a player's place: viewers do not.
    pub fn player_seats(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().filter(|seat| !is_viewer(seat.auth()))
    }

    /// The seat with this number.
    pub fn seat(&self, id: SeatId) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.id == id)
    }

    fn seat_mut(&mut self, id: SeatId) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.id == id)
    }

    /// The number of unanswered seats of the record that can be restored.
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// The seats that are older than the timeline, those that have ended included.
    pub fn inherited(&self) -> &[SeatId] {
        &self.inherited
    }

    /// What a former owner says of these.
    pub fn inherit(&mut self, seats: Vec<SeatId>) {
        let free = MOST_INHERITED.saturating_sub(self.inherited.len());
        let new: Vec<_> = seats.into_iter().filter(|seat| !self.inherited.contains(seat)).take(free).collect();
        self.inherited.extend(new);
    }

    /// The last events.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// A member says something that the ring has not.
    pub fn note_activity(&mut self, now: u64) {
        self.active = self.active.max(Some(now));
    }

    /// When something was last heard in the room (ms), as far as this owner knows.
    pub fn newest_time(&self) -> Option<u64> {
        self.ring.newest_time().max(self.active)
    }

    /// The players that other clients may see: those whose JOIN has its reply.
    pub fn players(&self) -> Vec<PlayerView> {
        self.seats
            .iter()
            .filter(|seat| seat.state != SeatState::Joining)
            .map(|seat| {
                let away = matches!(seat.state, SeatState::Away { .. });
                PlayerView {
                    name: seat.name(),
                    away,
                    role: seat.role(),
                    presence: seat.presence().map(Into::into),
                    profile: self.profiles.of(seat.id),
                }
            })
            .collect()
    }

    /// The seats for the record.
    pub fn recorded(&self) -> impl Iterator<Item = (PlayerName, RecordedSeat)> + '_ {
        let recorded = |seat: &Seat| {
            let joining = seat.state == SeatState::Joining;
            let (hold, joining) = (seat.hold() && !joining, seat.hold() && joining);
            RecordedSeat { seat: seat.id, hold, joining, key: seat.key, auth: seat.auth() }
        };
        self.seats.iter().map(move |seat| (seat.name(), recorded(seat)))
    }

    /// All that the room's record says of the room, in the hands of this owner.
    pub fn to_record(&self, owner: &Owner) -> Record {
        Record::new(owner, self.recorded())
            .described(self.descriptor())
            .banning(self.bans())
            .showing(self.profiles())
            .with_state(self.recorded_state())
            .replacing(self.replaces())
    }

    /// Panics if an invariant is broken.
    pub fn check_invariants(&self, limits: SeatLimits) {
        let broken = self.broken(limits);
        assert!(broken.is_none(), "{}: {}", self.id, broken.unwrap_or_default());
    }

    fn broken(&self, limits: SeatLimits) -> Option<String> {
        let players = self.player_seats().count();
        let viewers = self.seats.len() - players;
        if players > limits.players as usize || viewers > MAX_VIEWERS {
            return Some(format!("{players} players and {viewers} viewers are in a room for {}", limits.players));
        }
        for (index, seat) in self.seats.iter().enumerate() {
            let Seat { name, state, .. } = seat;
            if self.seats[..index].iter().any(|other| other.name == *name || other.id == seat.id) {
                return Some(format!("{name} shares a name or a seat with another player"));
            }
            let holder = |seat: &Seat| seat.auth().map(|auth| auth.sub);
            if holder(seat).is_some() && self.seats[..index].iter().any(|other| holder(other) == holder(seat)) {
                return Some(format!("{name} is in the room twice"));
            }
            if seat.reach.is_some() != matches!(state, SeatState::Joining | SeatState::Live) {
                return Some(format!("{name} is {state:?}, and reached by {:?}", seat.reach));
            }
        }
        (!self.ring.rises_to(self.position)).then(|| "the ring is out of order".to_owned())
    }
}
