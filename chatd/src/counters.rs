//! Counters and gauges of a pod's threads, summed for `/metrics`. Plain data; no I/O.
//!
//! To add one: a field here, bumped where it happens, a line in `metrics` and a row in `docs/operations.md`.

use std::ops::AddAssign;
use std::time::Duration;

use crate::directory::NoAnswer;
use crate::join_token::Failure;
use crate::protocol::ErrorCode;

/// Results of a JOIN or RESUME: 0 is joined, then the error codes in the order of [`ErrorCode::ALL`].
pub const JOIN_RESULTS: usize = 1 + ErrorCode::ALL.len();

/// A struct of `u64` (and arrays of it, and histograms) with the sum of two of them.
macro_rules! summed {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }

        // Arrays of more than 32 have none that could be derived from.
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: Add::zero(),)* }
            }
        }

        impl AddAssign<&$name> for $name {
            fn add_assign(&mut self, other: &$name) {
                $(self.$field.add(&other.$field);)*
            }
        }
    };
}

/// Values that can be summed field by field.
trait Add {
    fn zero() -> Self;
    fn add(&mut self, other: &Self);
}

impl Add for u64 {
    fn zero() -> Self {
        0
    }

    fn add(&mut self, other: &Self) {
        *self += other;
    }
}

impl<const N: usize> Add for [u64; N] {
    fn zero() -> Self {
        [0; N]
    }

    fn add(&mut self, other: &Self) {
        self.iter_mut().zip(other).for_each(|(sum, other)| *sum += other);
    }
}

impl Add for Histogram {
    fn zero() -> Self {
        Self::default()
    }

    fn add(&mut self, other: &Self) {
        self.buckets.add(&other.buckets);
        self.sum_micros = self.sum_micros.saturating_add(other.sum_micros);
    }
}

summed! {
    /// Counters of one shard since its start. Each only rises.
    pub struct Counters {
        /// Connections accepted on the raw TCP port.
        pub connections_tcp: u64,
        /// Accepted WebSockets.
        pub connections_web: u64,
        /// Commands and chat lines from clients, invalid ones included.
        pub commands_in: u64,
        /// Messages and applications' events that this shard, as a room's owner, told the members of.
        pub messages_in: u64,
        /// Messages and events queued for players, replays included, counted once per message and player.
        pub messages_out: u64,
        /// From the moment a batch of input is ready until what it says is written, or the sockets are full; see `shard/lag.rs`.
        pub delivery_time: Histogram,
        /// Bytes received from clients.
        pub bytes_in: u64,
        /// Bytes written to clients.
        pub bytes_out: u64,
        /// Results of JOIN and RESUME in this shard's rooms and of its sessions; see [`Counters::joined`].
        pub joins: [u64; JOIN_RESULTS],
        /// Checks of join tokens, in the order of [`Failure::RESULTS`].
        pub join_tokens: [u64; Failure::RESULTS.len()],
        /// From each of these commands to its answer.
        pub join_time: Histogram,
        /// Joins that resumed a seat.
        pub resumed: u64,
        /// Error replies of all codes, without those that close a connection.
        pub errors: u64,
        /// Clients redirected to another pod.
        pub redirects: u64,
        /// Sessions relayed to another pod.
        pub relays: u64,
        /// Rooms that were created here.
        pub rooms_created: u64,
        /// Empty rooms closed: after their time, or for a new room.
        pub rooms_closed: u64,
        /// Never entered rooms closed for a new room in a full pod; included in `rooms_closed`.
        pub rooms_made_way: u64,
        /// Rooms taken over from a pod that is dead or no longer serves them.
        pub takeovers: u64,
        /// From the command of the client that waited longest for a room to its takeover.
        pub takeover_time: Histogram,
        /// Rooms migrated to another pod.
        pub outgoing_migrations: u64,
        /// For how long each of these rooms stood still here.
        pub migration_time: Histogram,
        /// From the begin of this pod's drain until each room had left it.
        pub drain_time: Histogram,
        /// Migrations that failed, and rooms closed at the drain deadline.
        pub outgoing_migrations_failed: u64,
        /// Migrations begun since this pod had more rooms than others.
        pub balance_migrations: u64,
        /// Rooms created by other pods since this one had more rooms than they.
        pub balance_creations: u64,
        /// Rooms released to another owner, after a migration or a takeover: includes the outgoing migrations.
        pub releases: u64,
        /// Rooms migrated to this pod.
        pub incoming_migrations: u64,
        /// Rooms reasserted after a lost lease, a data loss or a failed migration.
        pub reassertions: u64,
        /// Messages replayed to clients that resumed and to relayed sessions that reattached.
        pub replayed: u64,
        /// Messages that could not be replayed, if their number is known.
        pub missed: u64,
        /// Seats that moderators have ended.
        pub kicked: u64,
        /// Volatile events that were not queued for a player who read too slowly.
        pub volatile_dropped: u64,
        /// Connections closed with `slow_consumer`: their queue was dropped.
        pub slow_consumers: u64,
        /// Connections closed because all together held too much memory.
        pub connections_shed: u64,
        /// Records and leases in the directory that could not be parsed and were treated as missing.
        pub unreadable_records: u64,
        /// Lease lapses after which a thread paused its rooms.
        pub lease_lapses: u64,
    }
}

impl Counters {
    /// Counts the answer to a JOIN or RESUME, which took so long (ms).
    pub fn joined(&mut self, result: Result<(), ErrorCode>, took: u64) {
        self.joins[join_index(result)] += 1;
        self.join_time.observe(Duration::from_millis(took));
    }
}

/// Where [`Counters::joins`] counts a result.
fn join_index(result: Result<(), ErrorCode>) -> usize {
    let code = |code: ErrorCode| ErrorCode::ALL.iter().position(|one| *one == code);
    result.err().and_then(code).map_or(0, |index| index + 1)
}

/// What metrics call the results in [`Counters::joins`], in order.
pub fn join_results() -> impl Iterator<Item = &'static str> {
    std::iter::once("joined").chain(ErrorCode::ALL.into_iter().map(ErrorCode::as_str))
}

summed! {
    /// Gauges of one shard.
    pub struct Gauges {
        /// Rooms that this pod owns.
        pub rooms: u64,
        /// Seats in this pod's rooms, held seats included.
        pub players: u64,
        /// Seats held for dropped connections.
        pub held_seats: u64,
        /// Open connections of raw TCP clients.
        pub connections_tcp: u64,
        /// Open WebSockets.
        pub connections_web: u64,
        /// Sessions connected here whose room another pod owns.
        pub relayed_sessions: u64,
        /// Sessions connected to another pod whose room this pod owns.
        pub remote_members: u64,
        /// Approximate bytes of the events kept for replay, and of the state of rooms.
        pub replay_bytes: u64,
        /// Bytes queued for clients, or for their entry pods.
        pub queued_bytes: u64,
    }
}

/// The upper bounds of a [`Histogram`]'s buckets, in microseconds, the same for all: dense around the latency of Redis on the same
/// network, with the directory's answer time (2 s), the longest JOIN (5 s), a lease (10 s) and the default drain deadline (25 s).
pub const BUCKETS: [u64; 17] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 250_000, 500_000, 1_000_000, 2_000_000, 5_000_000,
    10_000_000, 25_000_000, 60_000_000,
];

/// Durations, counted in [`BUCKETS`] and one bucket above them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histogram {
    /// Counts by bucket, not cumulative.
    pub buckets: [u64; BUCKETS.len() + 1],
    /// The sum of all times, in microseconds.
    pub sum_micros: u64,
}

impl Histogram {
    /// Counts one time.
    pub fn observe(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|bound| micros <= *bound).unwrap_or(BUCKETS.len());
        self.buckets[bucket] += 1;
        self.sum_micros = self.sum_micros.saturating_add(micros);
    }

    /// How many times were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// Requests of a pod to its directory since its start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DirectoryCounters {
    /// Durations of requests, unanswered ones included.
    pub latency: Histogram,
    /// Unanswered requests, by kind in the order of [`NoAnswer::ALL`].
    pub errors: [u64; NoAnswer::ALL.len()],
    /// Connections to the store lost, or replaced because a file of the settings had changed.
    pub resets: u64,
    /// Data losses of the store: a known value found missing or older; findings within 30 s count once.
    pub went_back: u64,
}

impl DirectoryCounters {
    /// Counts one request with its duration and result.
    pub fn asked(&mut self, time: Duration, error: Option<NoAnswer>) {
        self.latency.observe(time);
        if let Some(index) = error.and_then(|error| NoAnswer::ALL.iter().position(|one| *one == error)) {
            self.errors[index] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_summed() {
        let mut sum = Counters { takeovers: 1, ..Counters::default() };
        let mut other = Counters { takeovers: 2, redirects: 5, ..Counters::default() };
        other.joined(Err(ErrorCode::RoomFull), 3);
        other.joined(Ok(()), 3);
        sum += &other;
        sum += &other;
        assert_eq!((sum.takeovers, sum.redirects), (5, 10));
        let joins: Vec<_> = join_results().zip(sum.joins).filter(|(_, count)| *count > 0).collect();
        assert_eq!(joins, [("joined", 2), ("room_full", 2)]);
        assert_eq!((sum.join_time.count(), sum.join_time.sum_micros), (4, 12_000));
    }

    #[test]
    fn every_join_result_has_a_place_of_its_own() {
        let mut counters = Counters::default();
        counters.joined(Ok(()), 0);
        for code in ErrorCode::ALL {
            counters.joined(Err(code), 0);
        }
        assert_eq!(counters.joins, [1; JOIN_RESULTS]);
        assert_eq!(join_results().count(), JOIN_RESULTS);
    }

    #[test]
    fn times_fall_into_their_buckets() {
        let mut histogram = Histogram::default();
        for micros in [0, 100, 101, 60_000_000, 60_000_001, u64::MAX] {
            histogram.observe(Duration::from_micros(micros));
        }
        assert_eq!(
            (histogram.buckets[0], histogram.buckets[1], histogram.buckets[16], histogram.buckets[17]),
            (2, 1, 1, 2)
        );
        assert_eq!(histogram.count(), 6);
        assert_eq!(histogram.sum_micros, u64::MAX);
    }

    #[test]
    fn requests_without_an_answer_count_by_kind() {
        let mut counters = DirectoryCounters::default();
        counters.asked(Duration::from_millis(1), None);
        for error in NoAnswer::ALL {
            counters.asked(Duration::from_secs(2), Some(error));
        }
        assert_eq!(counters.errors, [1; NoAnswer::ALL.len()]);
        assert_eq!(counters.latency.count(), 8);
    }
}
