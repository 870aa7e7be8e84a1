//! What is in a hub now, as figures. Pure: no I/O.

use super::Hub;
use super::ownership::Owned;
use crate::counters::{Counters, Gauges};
use crate::protocol::Encoding;
use crate::room::SeatState;

impl Hub {
    /// The counters since the start of the process.
    pub fn counters(&self) -> &Counters {
        &self.context.counters
    }

    /// Counters that only the driver can raise: bytes and connections.
    pub fn counters_mut(&mut self) -> &mut Counters {
        &mut self.context.counters
    }

    /// The number of rooms that this hub owns.
    pub fn room_count(&self) -> usize {
        self.rooms.len()
    }

    /// The number of client connections of this hub.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// The number of seats in this hub's rooms, held ones included.
    pub fn player_count(&self) -> usize {
        self.rooms.iter().map(|(_, owned)| owned.room.seats().len()).sum()
    }

    /// The number of sessions that other pods relay to this hub.
    pub fn remote_member_count(&self) -> usize {
        self.remote_members.len()
    }

    /// The number of sessions that this hub relays to other pods.
    pub fn relay_count(&self) -> usize {
        self.relays.len()
    }

    /// Walks over all rooms and sessions: for occasional requests.
    pub fn gauges(&self) -> Gauges {
        let mut gauges = Gauges {
            rooms: self.rooms.len() as u64,
            relayed_sessions: self.relays.len() as u64,
            remote_members: self.remote_members.len() as u64,
            replay_bytes: (self.rooms.ring_bytes() + self.rooms.state_bytes()) as u64,
            ..Gauges::default()
        };
        for (_, owned) in self.rooms.iter() {
            gauges.players += owned.room.seats().len() as u64;
            let held = |state: SeatState| matches!(state, SeatState::Away { .. } | SeatState::Detached { .. });
            gauges.held_seats += owned.room.seats().iter().filter(|seat| held(seat.state)).count() as u64;
        }
        for session in self.sessions.iter() {
            match session.encoding {
                Encoding::Lines | Encoding::LinesWithEvents => gauges.connections_tcp += 1,
                Encoding::Json => gauges.connections_web += 1,
                Encoding::Call => {}
            }
            gauges.queued_bytes += session.output.len() as u64;
        }
        gauges.queued_bytes +=
            self.remote_members.iter().map(super::remote_members::RemoteMember::queued).sum::<usize>() as u64;
        gauges
    }

    /// What is kept only while somebody waits for something; for the simulation's checks.
    pub fn under_way(&self) -> Vec<(&'static str, usize)> {
        let of_rooms = |count: fn(&Owned) -> usize| self.rooms.iter().map(|(_, owned)| count(owned)).sum();
        vec![
            ("searches", self.search.len()),
            ("watches", self.search.watch_count()),
            ("incoming moves", self.incoming.len()),
            ("rooms' waiters", of_rooms(Owned::waiter_count)),
            ("rooms' pending RESUMEs", of_rooms(|owned| owned.pending_resumes().len())),
            ("rooms' frames", of_rooms(|owned| owned.queued_frames().len())),
            ("sessions to wake", self.sessions.woken()),
            // Over what rooms need: a request or two, and timers, which stay until their time has come.
            ("tickets", self.context.requests.tickets.len().saturating_sub(2 * self.rooms.len() + 2)),
            ("timers", self.context.timers.len().saturating_sub(256 * self.rooms.len() + 512)),
        ]
    }
}
