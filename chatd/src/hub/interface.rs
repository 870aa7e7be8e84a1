//! What a hub is told and what it asks for: plain data. Pure: no I/O.

use super::RoomSlots;
use crate::directory::Request;
use crate::ids::{SessionId, Ticket};
use crate::protocol::{ErrorCode, OnWrongPod, Ownership, PlayerName, PodBoot, RoomId, Timeline};
use crate::room::{Rate, RingLimits, SeatLimits};

/// What a hub is told at its start. Times in milliseconds.
#[derive(Debug, Clone)]
pub struct HubSettings {
    pub max_players: u32,
    pub seat_hold: u64,
    pub record_ttl: u64,
    pub empty_ttl: u64,
    /// For rooms, shared by the pod's hubs.
    pub slots: RoomSlots,
    pub rate: u32,
    pub burst: u32,
    pub max_misses: u32,
    pub first_line_timeout: u64,
    pub idle_timeout: u64,
    /// Bytes queued for one connection.
    pub send_queue: usize,
    pub ring: RingLimits,
    /// Bytes of all rings of this hub.
    pub ring_total: usize,
    /// For lines; browsers are relayed without a word.
    pub tcp_on_wrong_pod: OnWrongPod,
    /// This hub's number among the pod's `shards`.
    pub shard: usize,
    pub shards: usize,
    pub limits: HubLimits,
    pub rules: Rules,
}

impl HubSettings {
    pub fn seat_limits(&self) -> SeatLimits {
        let rate = Rate { per_second: self.rate, burst: self.burst };
        SeatLimits { players: self.max_players, rate, hold: self.seat_hold }
    }
}

impl Default for HubSettings {
    /// The only hub of a pod, with what the command line gives by default.
    fn default() -> Self {
        Self {
            max_players: 4,
            seat_hold: 30_000,
            record_ttl: 3_600_000,
            empty_ttl: 600_000,
            slots: RoomSlots::new(10_000),
            rate: 10,
            burst: 20,
            max_misses: 10,
            first_line_timeout: 10_000,
            idle_timeout: 120_000,
            send_queue: 256 * 1024,
            ring: RingLimits { messages: 32, bytes: 8 * 1024, age: 90_000 },
            ring_total: 32 * 1024 * 1024,
            tcp_on_wrong_pod: OnWrongPod::Redirect,
            shard: 0,
            shards: 1,
            limits: HubLimits { takeover_notices: 20_000, ..HubLimits::USUAL },
            rules: Rules::ALL,
        }
    }
}

/// How much of what is under way a hub keeps, and for how long. No setting of the process changes them: the simulation makes them
/// small, so that each of them is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubLimits {
    /// Bytes of deliveries that may be on their way to one relayed session: what an entry pod holds for a slow reader.
    pub window: usize,
    /// Commands of one relayed session that may be on their way to the owner, or wait for one.
    pub commands: usize,
    /// Messages of one client that wait for their turn before reading stops.
    pub waiting: usize,
    /// Requests of checks of records under way at a time: ten thousand rooms are checked in well under a second.
    pub checks: usize,
    /// Frames that wait for a dial, of one process.
    pub dialled: usize,
    /// Former owners that have still to be told of a takeover, and for how long each is told again (ms). More are
    /// not remembered: they learn of it from the record.
    pub takeover_notices: usize,
    pub takeover_notice_for: u64,
    /// Owners of rooms that are elsewhere, and how long each is remembered past its last use (ms).
    pub owners: usize,
    pub owner_for: u64,
}

impl HubLimits {
    pub const USUAL: HubLimits = HubLimits {
        window: 64 * 1024,
        commands: 64,
        waiting: 16,
        checks: 128,
        dialled: 10_000,
        takeover_notices: 10_000,
        takeover_notice_for: 600_000,
        owners: 100_000,
        owner_for: 600_000,
    };
}

/// The rules that the simulation's negative controls break, one at a time, to show that it would notice. `chatd` keeps them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)]
pub struct Rules {
    /// A room is released to a higher ownership in the record or at a peer.
    pub release_to_higher: bool,
    /// A room is taken over only from an owner without a lease (or who says that it does not serve it).
    pub check_lease: bool,
    /// After a lapse of the lease input and output wait for the record.
    pub check_after_lapse: bool,
    /// An answer waits for the write that holds it.
    pub answer_after_write: bool,
    /// A relayed command that was carried out is not carried out again.
    pub number_commands: bool,
    /// An unanswered swap is settled by reading before anything else.
    pub settle_by_reading: bool,
    /// Only a settled pod takes over or says `room_not_found`.
    pub wait_until_settled: bool,
}

impl Rules {
    pub const ALL: Rules = Rules {
        release_to_higher: true,
        check_lease: true,
        check_after_lapse: true,
        answer_after_write: true,
        number_commands: true,
        settle_by_reading: true,
        wait_until_settled: true,
    };
}

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask the directory; give the answer to [`super::Hub::answered`].
    Directory { ticket: Ticket, request: Request },
    /// Make a peer link to the process with `boot`, which listens at `address`; then [`super::Hub::peer_up`] or
    /// [`super::Hub::peer_unreachable`], within 2 s.
    Dial { boot: PodBoot, address: String },
    /// Write the session's output, within 1 s, and close its socket; then [`super::Hub::dropped`]. `code`: why, for the WebSocket close;
    /// `None`: after QUIT, or at the end of the client's own input.
    Close { session: SessionId, code: Option<ErrorCode> },
    /// Close the socket at once, without a word; then [`super::Hub::dropped`].
    Abort { session: SessionId },
    /// The session has to go on in another thread: [`super::Hub::take`] it, and [`super::Hub::adopt`] it there.
    Migrate { session: SessionId, shard: usize },
    /// Another thread's hub is to be told [`super::Hub::make_way`].
    MakeWay { room: RoomId, shard: usize },
    /// The answer to [`super::Hub::create_room`].
    Created { query: u64, result: Result<RoomId, ErrorCode> },
    /// The answer to [`super::Hub::look_up`]: whose places are taken.
    LookedUp { query: u64, result: Result<Vec<PlayerName>, ErrorCode> },
    /// The directory turned out to lack, or to have gone back on, something that was written: the pod is not settled.
    DirectoryWentBack,
    /// Something for the log.
    Log(Notice),
}

/// What happened, for the log: no text, no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    Created { room: RoomId },
    TookOver { room: RoomId, from: String, epoch: u64 },
    ClaimedAgain { room: RoomId, epoch: u64 },
    Released { room: RoomId, to: String, epoch: u64 },
    MovedHere { room: RoomId, epoch: u64 },
    MoveFailed { room: RoomId, to: String },
    // Nobody took it: it stays in the directory for whoever is asked for it next.
    GivenUp { room: RoomId },
    Closed { room: RoomId },
    UnreadableRecord { room: RoomId },
    LeaseLapsed { rooms: usize },
}

/// A room as it looks from outside the hub; for the simulation's checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomView {
    pub room: RoomId,
    pub ownership: Ownership,
    pub timeline: Timeline,
    pub seq: u64,
    pub seats: usize,
    /// It takes commands now: not moving away, not suspended after a lapse of the lease.
    pub ready: bool,
    /// Everything that it means to have in the directory has been confirmed to be there.
    pub written: bool,
}

/// Where clients reach a pod.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Advertised {
    pub tcp: String,
    pub web: String,
}
