//! The snapshot of a room, for a planned move to the next owner. Pure: no I/O.

use serde::{Deserialize, Serialize};

use super::rare::Rare;
use super::{AnsweredCalls, Bucket, Delivered, Reservations, Ring, RingItem, RingLimits, Room, Seat, SeatState, State};
use crate::bans::Bans;
use crate::descriptor::{self, Descriptor};
use crate::ids::{MAX_FRAME, SessionRef};
use crate::join_token::{MAX_VIEWERS, Places, SeatAuth, is_viewer};
use crate::profile::Profiles;
use crate::protocol::{Ownership, PlayerName, RoomId, SeatId, SeatKey, Timeline};
use crate::record::MAX_EPOCH;

/// The part of the ring in a snapshot, in bytes as a frame has them: a snapshot is one frame, whatever the ring's limit is. Less, where the
/// rest leaves less.
const MOST_RING: usize = MAX_FRAME / 2;
/// What a seat takes at most in a frame besides its presence, and what a snapshot takes besides its parts.
const SEAT: usize = 256;
/// Places that are kept, as many as there are seats, take 7 KiB of it, and answers of calls less than 6.
const REST: usize = 16 * 1024;

/// A seat in a snapshot. Times are milliseconds from now, since the pods' clocks may differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatSnapshot {
    /// The player's name.
    pub name: PlayerName,
    /// The seat's number.
    pub seat: SeatId,
    /// The client has a token for it.
    pub resumable: bool,
    /// The join key that the client chose.
    pub key: Option<SeatKey>,
    /// Of the join token that it was taken with.
    pub auth: Option<SeatAuth>,
    /// The last message before its player came in.
    pub entered: u64,
    /// The rest of the hold, if the player is away.
    pub away_for: Option<u64>,
    /// Its current or last connection.
    pub holder: Option<SessionRef>,
    /// The number of the last relayed command that was carried out.
    pub processed: u64,
    /// How much the last connection received.
    pub delivered: Delivered,
    /// What the player says of itself.
    pub presence: Option<Box<str>>,
}

/// A whole room, with the record that the new owner has to replace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The source's ownership.
    pub ownership: Ownership,
    /// The bytes of the record in the directory, which is that of this room: also what it says of bans, and join tokens of players, goes along by it.
    #[serde(with = "serde_bytes_vec")]
    pub record: Vec<u8>,
    /// The room's timeline.
    pub timeline: Timeline,
    /// Its name before it forked.
    pub forked_from: Option<Timeline>,
    /// The number of the last message.
    pub seq: u64,
    /// The number of the last event.
    pub position: u64,
    /// The number of the last event for the webhook.
    pub webhook_number: u64,
    /// In what the room differs from the settings.
    #[serde(with = "descriptor::as_json")]
    pub descriptor: Option<Box<Descriptor>>,
    /// The seats.
    pub seats: Vec<SeatSnapshot>,
    /// With `time` as an age in milliseconds.
    pub ring: Vec<RingItem>,
    /// What its members have set.
    pub state: Option<Box<State>>,
    /// Places that are kept for people who are about to come.
    pub reservations: Reservations,
    /// What calls of the application were answered that may come again.
    pub answered: AnsweredCalls,
}

/// Encodes the bytes in one piece.
mod serde_bytes_vec {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Vec::deserialize(deserializer)
    }
}

impl Snapshot {
    /// Whether no healthy pod sends it: a number without a successor, an event from the future, a player twice.
    pub fn is_nonsense(&self) -> bool {
        let twice = |index: usize, seat: &SeatSnapshot| {
            self.seats[..index].iter().any(|other| other.name == seat.name || other.seat == seat.seat)
        };
        self.ownership.epoch > MAX_EPOCH
            || self.seq.max(self.position).max(self.webhook_number) > MAX_EPOCH
            || self.ring.iter().any(|item| item.position > self.position)
            || self.state.as_ref().is_some_and(|state| state.is_nonsense(self.position))
            || self.seats.iter().enumerate().any(|(index, seat)| twice(index, seat))
    }

    /// Bytes of memory that the state takes.
    pub fn state_bytes(&self) -> usize {
        self.state.as_ref().map_or(0, |state| state.memory())
    }

    /// Applies this pod's limits if the sender's are larger: drops seats beyond `most`, those of absent players first, and shortens each
    /// hold to `hold` (ms).
    #[must_use]
    pub fn limited(mut self, most: u32, hold: u64) -> Self {
        let players = |seats: &[SeatSnapshot]| seats.iter().filter(|seat| !is_viewer(seat.auth)).count();
        if players(&self.seats) > most as usize || self.seats.len() - players(&self.seats) > MAX_VIEWERS {
            self.seats.sort_by_key(|seat| seat.away_for.is_some());
            let mut left = Places::new(most);
            self.seats.retain(|seat| left.take(seat.auth));
        }
        for away_for in self.seats.iter_mut().filter_map(|seat| seat.away_for.as_mut()) {
            *away_for = hold.min(*away_for);
        }
        self
    }
}

impl Room {
    /// The snapshot at `now`. Seats whose JOIN has no reply stay behind: the command goes along instead.
    pub fn snapshot(&self, ownership: Ownership, record: &[u8], now: u64) -> Snapshot {
        let seats = self.seats.iter().filter(|seat| seat.state != SeatState::Joining);
        Snapshot {
            ownership,
            record: record.to_vec(),
            timeline: self.timeline,
            forked_from: self.forked_from,
            seq: self.seq,
            position: self.position,
            webhook_number: self.webhook_number,
            descriptor: self.descriptor.clone(),
            seats: seats
                .map(|seat| SeatSnapshot {
                    name: seat.name(),
                    seat: seat.id,
                    resumable: seat.resumable,
                    key: seat.key,
                    auth: seat.auth(),
                    entered: seat.entered,
                    away_for: match seat.state {
                        SeatState::Away { until } => Some(until.saturating_sub(now)),
                        _ => None,
                    },
                    holder: seat.holder,
                    processed: seat.processed,
                    presence: seat.presence().map(Into::into),
                    // A connected member has received every event up to here, and none from the new owner.
                    delivered: if seat.state == SeatState::Live { Delivered::UpTo(self.seq) } else { seat.delivered },
                })
                .collect(),
            state: self.state.clone(),
            reservations: self.reservations.for_snapshot(now),
            answered: self.answered.clone(),
            ring: self
                .ring
                .newest(MOST_RING.min(MAX_FRAME.saturating_sub(self.besides_ring(record))))
                .map(|item| RingItem { time: now.saturating_sub(item.time), ..item.clone() })
                .collect(),
        }
    }

    /// What a snapshot takes at most without the ring.
    fn besides_ring(&self, record: &[u8]) -> usize {
        let seat = |seat: &Seat| SEAT + seat.presence().map_or(0, str::len);
        REST + record.len() + self.state_bytes() + self.seats.iter().map(seat).sum::<usize>()
    }

    /// Restores the room. Its connected members may attach until `until` (ms); nothing is announced.
    pub fn restored(id: RoomId, snapshot: &Snapshot, now: u64, until: u64, bucket: Bucket, limits: RingLimits) -> Self {
        let mut ring = Ring::default();
        for item in &snapshot.ring {
            ring.push(RingItem { time: now.saturating_sub(item.time), ..item.clone() }, limits);
        }
        let seats = snapshot.seats.iter().map(|seat| Seat {
            name: seat.name.into(),
            id: seat.seat,
            resumable: seat.resumable,
            key: seat.key,
            auth: seat.auth.map(Box::new),
            entered: seat.entered,
            warned: false,
            state: match seat.away_for {
                Some(left) => SeatState::Away { until: now.saturating_add(left) },
                None => SeatState::Detached { until },
            },
            reach: None,
            holder: seat.holder,
            processed: seat.processed,
            delivered: seat.delivered,
            bucket,
            rare: Rare::saying(seat.presence.clone()),
        });
        let mut answered = snapshot.answered.clone();
        answered.limit();
        Self {
            id,
            timeline: snapshot.timeline,
            forked_from: snapshot.forked_from,
            seq: snapshot.seq,
            position: snapshot.position,
            seats: seats.collect(),
            inherited: Vec::new(),
            unanswered: Vec::new(),
            unanswered_until: 0,
            descriptor: snapshot.descriptor.clone(),
            ring,
            webhook_number: snapshot.webhook_number,
            state: snapshot.state.clone(),
            // Without a state nothing says where its versions go on: above all that the source can have given.
            versions_from: snapshot.ownership.epoch,
            replaces: None,
            active: None,
            bans: Bans::default(),
            profiles: Profiles::default(),
            reservations: snapshot.reservations.restored(now),
            answered,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::protocol::PodBoot;
    use crate::room::RoomEvent;

    #[test]
    fn the_largest_ring_of_the_shortest_messages_fits_into_one_frame() {
        let limits = RingLimits { messages: 10_000, bytes: 4 << 20, age: u64::MAX };
        let mut room = Room::new("abcdefgh".parse().unwrap(), &mut rand::rng());
        let name: PlayerName = "花".repeat(20).parse().unwrap();
        let holder = SessionRef { boot: PodBoot(u64::MAX), relay: crate::ids::RelayId(u64::MAX) };
        let answers = Some(crate::room::Answers { session: holder, number: u64::MAX, id: Some(1 << 53) });
        for position in MAX_EPOCH - 10_000..MAX_EPOCH {
            let event =
                RoomEvent::Message { from: name.into(), text: "x".into(), seq: position, at: MAX_EPOCH, answers };
            room.ring.push(RingItem { position, event, time: position }, limits);
        }
        let snapshot = room.snapshot(Ownership { epoch: 1, boot: PodBoot(1) }, b"", u64::MAX);
        let mut bytes = Vec::new();
        crate::peer_protocol::Frame::MigrateOffer { room: room.id, snapshot }.encode(&mut bytes);
        assert!(bytes.len() < MOST_RING + 1_000, "{}", bytes.len());
    }

    #[test]
    fn a_message_keeps_its_age_on_a_pod_with_another_clock() {
        let limits = RingLimits { messages: 32, bytes: 8192, age: 90_000 };
        let mut room = Room::new("abcdefgh".parse().unwrap(), &mut rand::rng());
        for (position, time) in [(1, 930_000), (2, 990_000)] {
            let event = RoomEvent::Entered("ana".parse::<PlayerName>().unwrap().into());
            room.ring.push(RingItem { position, event, time }, limits);
        }
        room.position = 2;
        let snapshot = room.snapshot(Ownership { epoch: 1, boot: PodBoot(1) }, b"", 1_000_000);
        for now in [80_000, 100_000_000] {
            let bucket = Bucket::new(10, 20, now);
            let room = Room::restored(room.id, &snapshot, now, now, bucket, limits);
            let ages: Vec<u64> = room.ring.since(0).map(|item| now - item.time).collect();
            assert_eq!(ages, [70_000, 10_000]);
        }
    }

    /// Of a room in which these players have the seats 1, 2, ... and are away for 100 ms more.
    fn with_players(players: &[&str]) -> Snapshot {
        let mut room = Room::new("abcdefgh".parse().unwrap(), &mut rand::rng());
        for (number, player) in (1..).zip(players) {
            let recorded =
                crate::record::RecordedSeat { seat: SeatId(number), hold: true, joining: false, key: None, auth: None };
            room.seats.push(Seat::recorded(player.parse().unwrap(), recorded, 100, Bucket::new(10, 20, 0)));
        }
        room.snapshot(Ownership { epoch: 1, boot: PodBoot(1) }, b"", 0)
    }

    #[test]
    fn no_healthy_pod_sends_such_a_snapshot() {
        let mut good = with_players(&["ana"]);
        good.ownership.epoch = MAX_EPOCH;
        assert!(!good.is_nonsense());
        let breaks: [fn(&mut Snapshot); 6] = [
            |snapshot| snapshot.ownership.epoch = MAX_EPOCH + 1,
            |snapshot| snapshot.seq = MAX_EPOCH + 1,
            |snapshot| snapshot.position = MAX_EPOCH + 1,
            |snapshot| snapshot.webhook_number = MAX_EPOCH + 1,
            |snapshot| snapshot.seats.push(snapshot.seats[0].clone()),
            |snapshot| {
                snapshot.seats.push(snapshot.seats[0].clone());
                snapshot.seats[1].seat = SeatId(9);
            },
        ];
        for (number, breaks) in breaks.into_iter().enumerate() {
            let mut snapshot = good.clone();
            breaks(&mut snapshot);
            assert!(snapshot.is_nonsense(), "{number}");
        }
        let last: [fn(&mut Snapshot); 3] = [
            |snapshot| snapshot.seq = MAX_EPOCH,
            |snapshot| snapshot.position = MAX_EPOCH,
            |snapshot| snapshot.webhook_number = MAX_EPOCH,
        ];
        for (number, change) in last.into_iter().enumerate() {
            let mut snapshot = good.clone();
            change(&mut snapshot);
            assert!(!snapshot.is_nonsense(), "{number}");
        }
    }

    #[test]
    fn a_snapshot_within_the_limits_of_a_pod_stays_as_it_is_but_for_long_holds() {
        let mut snapshot = with_players(&["ana", "bob", "cid"]);
        snapshot.seats[1].away_for = None;
        let seats = |most, hold| {
            let limited = snapshot.clone().limited(most, hold);
            limited.seats.iter().map(|seat| (seat.seat.0, seat.away_for)).collect::<Vec<_>>()
        };
        assert_eq!(seats(3, 1_000), [(1, Some(100)), (2, None), (3, Some(100))]);
        assert_eq!(seats(3, 50), [(1, Some(50)), (2, None), (3, Some(50))]);
        assert_eq!(seats(2, 1_000), [(2, None), (1, Some(100))]);
    }
}
