//! Rooms of a hub as the people who run the pod look at them. Pure: no I/O.

use serde::Serialize;

use super::Hub;
use super::ownership::Owned;
use crate::descriptor::Descriptor;
use crate::ids::{Reach, Time};
use crate::protocol::{Epoch, PlayerName, PodBoot, RoomId};
use crate::room::{Seat, SeatState};
use crate::room_list::{ListFilter, ListedRoom};

/// A room in its owner's memory, without chat text, tokens and keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InspectedRoom {
    /// The room's id.
    pub room: RoomId,
    /// `creating`, `serving`, `paused` (the lease lapsed, and the record is not confirmed yet), `moving` or `closing`.
    pub state: &'static str,
    /// The epoch of this ownership: about when it began (Unix ms).
    pub epoch: Epoch,
    /// The process that owns it.
    pub boot: PodBoot,
    /// The number of its last message.
    pub seq: u64,
    /// The directory has confirmed its whole state.
    pub written: bool,
    /// Milliseconds since the last message or change of its members that is kept for replay; `None`: nothing is kept.
    pub quiet_ms: Option<u64>,
    /// In what it differs from the settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<Descriptor>,
    /// Its seats, in the order of joining.
    pub players: Vec<InspectedSeat>,
}

/// A seat of an [`InspectedRoom`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InspectedSeat {
    /// The player's name.
    pub name: PlayerName,
    /// `joining`, `connected`, `detached` (its pod has not attached it again yet) or `away`.
    pub state: &'static str,
    /// Connected by way of another pod.
    pub relayed: bool,
    /// For how much longer (ms) the seat is held, without a connection.
    pub held_ms: Option<u64>,
}

impl Hub {
    /// The room, if this hub owns it.
    pub fn inspect(&self, time: Time, room: RoomId) -> Option<InspectedRoom> {
        self.rooms.of(room).map(|owned| InspectedRoom::new(owned, time.now))
    }

    /// The rooms of this thread that fit.
    pub fn list_here(&self, time: Time, filter: &ListFilter) -> Vec<ListedRoom> {
        self.rooms.list(&self.context.settings, &self.context.me.pod_id, filter, time.now)
    }

    /// Asks the other pods for their rooms that fit; [`super::Effect::Listed`] with `query` is the answer.
    pub fn list_elsewhere(&mut self, time: Time, query: u64, filter: ListFilter) {
        self.begin(time);
        self.listings.begin(&mut self.context, time, query, filter);
        self.finish(time);
    }

    /// The first `most` rooms of this hub behind `after`, in the order of their ids.
    pub fn inspect_rooms(&self, time: Time, after: Option<RoomId>, most: usize) -> Vec<InspectedRoom> {
        let rooms = self.rooms.iter().map(|(_, owned)| (owned.room.id, owned));
        let mut rooms: Vec<_> = rooms.filter(|(id, _)| after.is_none_or(|after| *id > after)).collect();
        rooms.sort_unstable_by_key(|(id, _)| *id);
        rooms.into_iter().take(most).map(|(_, owned)| InspectedRoom::new(owned, time.now)).collect()
    }
}

impl InspectedRoom {
    fn new(owned: &Owned, now: u64) -> Self {
        let (room, view) = (&owned.room, owned.view());
        Self {
            room: room.id,
            state: owned.state(),
            epoch: view.ownership.epoch,
            boot: view.ownership.boot,
            seq: view.seq,
            written: view.written,
            quiet_ms: room.newest_time().map(|time| now.saturating_sub(time)),
            descriptor: room.descriptor().cloned(),
            players: room.seats().iter().map(|seat| InspectedSeat::new(seat, now)).collect(),
        }
    }
}

impl InspectedSeat {
    fn new(seat: &Seat, now: u64) -> Self {
        let (state, until) = match seat.state {
            SeatState::Joining => ("joining", None),
            SeatState::Live => ("connected", None),
            SeatState::Detached { until } => ("detached", Some(until)),
            SeatState::Away { until } => ("away", Some(until)),
        };
        Self {
            name: seat.name(),
            state,
            relayed: matches!(seat.reach, Some(Reach::Remote(_))),
            held_ms: until.map(|until| until.saturating_sub(now)),
        }
    }
}
