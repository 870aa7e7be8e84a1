//! What is in a hub now, as figures. Pure: no I/O.

use super::Hub;
use crate::counters::Gauges;
use crate::protocol::Encoding;
use crate::room::SeatState;

impl Hub {
    /// Walks over all rooms and sessions: for somebody who asks now and then.
    pub fn gauges(&self) -> Gauges {
        let mut gauges = Gauges {
            rooms: self.rooms.len() as u64,
            relayed_sessions: self.relays.len() as u64,
            guest_sessions: self.guests.len() as u64,
            replay_bytes: self.ring_bytes as u64,
            ..Gauges::default()
        };
        for (_, owned) in &self.rooms {
            gauges.players += owned.room.seats.len() as u64;
            let held = |state: SeatState| matches!(state, SeatState::Away { .. } | SeatState::Detached { .. });
            gauges.held_seats += owned.room.seats.iter().filter(|seat| held(seat.state)).count() as u64;
        }
        for (_, session) in &self.sessions {
            match session.encoding {
                Encoding::Lines => gauges.connections_tcp += 1,
                Encoding::Json => gauges.connections_web += 1,
            }
            gauges.queued_bytes += session.output.len() as u64;
        }
        gauges.queued_bytes += self.guests.iter().map(|(_, guest)| guest.queued()).sum::<usize>() as u64;
        gauges
    }
}
