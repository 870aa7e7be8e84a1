//! The hub's settings, effects and log notices. Plain data: no I/O.

use bytes::Bytes;

use super::{Loads, RoomSlots};
use crate::directory::Request;
use crate::ids::{SessionId, Ticket};
use crate::join_token::{Failure, RoomAccess};
use crate::protocol::{ErrorCode, OnWrongPod, Ownership, PlayerName, PodBoot, RoomId, Timeline};
use crate::room::{Rate, RingLimits, SeatLimits};
use crate::room_list::RoomList;
use crate::webhook::WebhookEvent;

/// The settings of a hub. Times in milliseconds.
#[derive(Debug, Clone)]
pub struct HubSettings {
    /// Seats in a room (`--max-players`).
    pub max_players: u32,
    /// How long a room holds the seat of a disconnected player (`--seat-hold`).
    pub seat_hold: u64,
    /// The TTL of a room's record; each check renews it (`--record-ttl`).
    pub record_ttl: u64,
    /// How long an empty room stays open (`--empty-ttl`).
    pub empty_ttl: u64,
    /// The capacity for rooms, shared by the pod's hubs.
    pub slots: RoomSlots,
    /// How many rooms other pods have, shared by the pod's hubs.
    pub loads: Loads,
    /// Commands a second, of one client (`--rate`).
    pub rate: u32,
    /// Commands at once, of one client (`--burst`).
    pub burst: u32,
    /// Unknown rooms that one connection may ask for before it is closed (`--max-misses`).
    pub max_misses: u32,
    /// How long a new connection may stay silent (`--first-line-timeout`).
    pub first_line_timeout: u64,
    /// How long a connection outside a room may stay silent (`--idle-timeout`).
    pub idle_timeout: u64,
    /// Bytes queued for one connection.
    pub send_queue: usize,
    /// The limits of each room's ring.
    pub ring: RingLimits,
    /// Bytes of all rings of this hub.
    pub ring_total: usize,
    /// For lines. Browsers are always relayed.
    pub tcp_on_wrong_pod: OnWrongPod,
    /// Who may enter a room (`--room-access`).
    pub access: RoomAccess,
    /// This hub's number among the pod's `shards`.
    pub shard: usize,
    /// The number of hubs of the pod.
    pub shards: usize,
    /// The limits of queues and tables.
    pub limits: HubLimits,
    /// A pod with many more rooms than the others lets them make the new ones, and moves some of its own there.
    pub balance: bool,
    /// JOIN of a room that does not exist makes it (`--open-names`).
    pub open_names: bool,
    /// What happens in rooms is told as [`Effect::Webhook`] (`--webhook-url`).
    pub webhook: bool,
    /// The rules that hold; fewer in a negative control.
    pub rules: Rules,
}

impl HubSettings {
    /// The settings that concern the seats of a room.
    pub fn seat_limits(&self) -> SeatLimits {
        let rate = Rate { per_second: self.rate, burst: self.burst };
        SeatLimits { players: self.max_players, rate, hold: self.seat_hold }
    }
}

impl Default for HubSettings {
    /// The only hub of a pod, with the defaults of the command line.
    fn default() -> Self {
        Self {
            max_players: 4,
            seat_hold: 30_000,
            record_ttl: 3_600_000,
            empty_ttl: 600_000,
            slots: RoomSlots::new(10_000),
            loads: Loads::default(),
            rate: 10,
            burst: 20,
            max_misses: 10,
            first_line_timeout: 10_000,
            idle_timeout: 120_000,
            send_queue: 256 * 1024,
            ring: RingLimits { messages: 32, bytes: 8 * 1024, age: 90_000 },
            ring_total: 32 * 1024 * 1024,
            tcp_on_wrong_pod: OnWrongPod::Redirect,
            access: RoomAccess::Link,
            shard: 0,
            shards: 1,
            limits: HubLimits { takeover_notices: 20_000, ..HubLimits::USUAL },
            balance: true,
            open_names: false,
            webhook: false,
            rules: Rules::ALL,
        }
    }
}

/// Limits of the hub's queues and tables. They are no settings of the process: the simulation lowers them, so that it reaches
/// each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubLimits {
    /// Bytes of deliveries in flight to one relayed session: the most that an entry pod holds for a slow reader.
    pub window: usize,
    /// Commands of one relayed session that are in flight to the owner, or wait for an owner.
    pub commands: usize,
    /// Pending messages of one client before the hub stops reading from it.
    pub waiting: usize,
    /// Record checks in flight: at this number ten thousand rooms are checked in well under a second.
    pub checks: usize,
    /// Frames that wait for the dial of one process.
    pub dialled: usize,
    /// Takeover notices, and how long the hub repeats each (ms). Further former owners learn of the takeover from the
    /// record.
    pub takeover_notices: usize,
    /// How long a takeover notice is repeated (ms).
    pub takeover_notice_for: u64,
    /// Known owners of rooms in other pods, and how long the hub keeps each after its last use (ms).
    pub owners: usize,
    /// How long a known owner is kept after its last use (ms).
    pub owner_for: u64,
    /// When new rooms are created by pods with fewer, and old ones moved there.
    pub balance: BalanceLimits,
}

impl HubLimits {
    /// The limits of every `chatd` process.
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
        balance: BalanceLimits::USUAL,
    };
}

/// When and how fast a pod with many more rooms than the others moves some of them there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalanceLimits {
    /// A pod with fewer rooms is not overloaded, nor is one with less than half as many above the mean.
    pub least: u64,
    /// How long a pod is overloaded before it moves rooms (ms; `--balance-after`).
    pub after: u64,
    /// Thousandths of its rooms that a pod moves per second.
    pub per_second: u64,
    /// How long a room stays at least that has come from another pod (ms).
    pub stay: u64,
}

impl BalanceLimits {
    /// A pod with twice the mean is level after about two minutes: one of waiting, one of moving.
    pub const USUAL: BalanceLimits = BalanceLimits { least: 16, after: 60_000, per_second: 10, stay: 600_000 };
}

/// The rules that the simulation's negative controls break, one at a time, to prove that its checks notice. `chatd` keeps them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)]
pub struct Rules {
    /// The owner releases a room to a higher ownership in the record or at a peer.
    pub release_to_higher: bool,
    /// A takeover needs an owner without a lease, or one that declines the room.
    pub check_lease: bool,
    /// After a lapse of the lease input and output wait for the record.
    pub check_after_lapse: bool,
    /// An answer waits for the write that holds it.
    pub answer_after_write: bool,
    /// The owner carries out a relayed command only once.
    pub number_commands: bool,
    /// A swap without a reply is settled by a read before any other step.
    pub settle_by_reading: bool,
    /// Only a settled pod takes over, or replies `room_not_found`.
    pub wait_until_settled: bool,
    /// An event that is to some players goes to nobody else.
    pub address_events: bool,
    /// A session that attaches is told the room's state if that has changed.
    pub tell_state: bool,
    /// The record says who is kept out of the room.
    pub record_bans: bool,
    /// A takeover keeps the room's descriptor.
    pub keep_descriptor: bool,
    /// A room that the application ends says so in its descriptor.
    pub record_ends: bool,
    /// Who takes a seat ends the connection that had it.
    pub replace_former: bool,
    /// The directory remembers which tokens that are good for one JOIN are used.
    pub claim_tokens: bool,
    /// The record says what join tokens say of the players.
    pub record_profiles: bool,
    /// A room ends when its descriptor says so.
    pub end_on_time: bool,
    /// Viewers may not speak.
    pub mute_viewers: bool,
    /// A seat goes by the token that its member has shown last.
    pub keep_refreshed: bool,
    /// A pod that hands its rooms over has no deadline.
    pub hand_over_in_peace: bool,
}

impl Rules {
    /// All rules hold.
    pub const ALL: Rules = Rules {
        release_to_higher: true,
        check_lease: true,
        check_after_lapse: true,
        answer_after_write: true,
        number_commands: true,
        settle_by_reading: true,
        wait_until_settled: true,
        address_events: true,
        tell_state: true,
        record_bans: true,
        keep_descriptor: true,
        record_ends: true,
        replace_former: true,
        claim_tokens: true,
        record_profiles: true,
        end_on_time: true,
        mute_viewers: true,
        keep_refreshed: true,
        hand_over_in_peace: true,
    };
}

/// A request from the hub to its driver.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are named by their types")]
pub enum Effect {
    /// Send the request to the directory and pass the reply to [`super::Hub::answered`].
    Directory { ticket: Ticket, request: Request },
    /// Dial the process with `boot` at `address`; then call [`super::Hub::peer_up`] or
    /// [`super::Hub::peer_unreachable`], within 2 s.
    Dial { boot: PodBoot, address: String },
    /// The answer to [`super::Hub::release_link`]. If the link is not needed, the hub has no link to that process any more.
    LinkAnswer { boot: PodBoot, query: u64, needed: bool },
    /// Write the session's output within 1 s, close its socket, then call [`super::Hub::disconnected`]. `code`: the reason of the WebSocket
    /// close; `None`: after QUIT, or at the end of the client's own input.
    Close { session: SessionId, code: Option<ErrorCode> },
    /// Close the socket at once, without further output; then call [`super::Hub::disconnected`].
    Abort { session: SessionId },
    /// Move the session to another thread: [`super::Hub::take`] it, and [`super::Hub::adopt`] it there.
    Migrate { session: SessionId, shard: usize },
    /// Call [`super::Hub::make_way`] of another thread's hub.
    MakeWay { room: RoomId, shard: usize },
    /// The answer to [`super::Hub::create_room`].
    Created { query: u64, result: Result<RoomId, ErrorCode> },
    /// The reply to [`super::Hub::look_up`].
    LookedUp { query: u64, result: Result<RoomSummary, ErrorCode> },
    /// The answer to [`super::Hub::call`]: the body of the server API's answer, JSON. The session is gone.
    Called { session: SessionId, answer: Result<Bytes, ErrorCode> },
    /// The answer to [`super::Hub::list_elsewhere`].
    Listed { query: u64, result: Result<RoomList, ErrorCode> },
    /// The answer to [`super::Hub::ask_to_hand_over`].
    HandsOver { query: u64, result: Result<(), ErrorCode> },
    /// Another pod asks this one to hand its rooms over: each hub gets [`super::Hub::hand_over`], and the lease says so.
    HandOver,
    /// The directory lacks a confirmed write, or has rolled it back: the pod is not settled.
    DirectoryWentBack,
    /// An event for the application's webhook. Only with [`HubSettings::webhook`].
    Webhook(Box<WebhookEvent>),
    /// A notice for the log.
    Log(Notice),
}

/// An event for the log, without chat text or tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are named by their types")]
pub enum Notice {
    /// A new room has its record.
    Created { room: RoomId },
    /// This pod took the room over from the pod `from`.
    TookOver { room: RoomId, from: String, epoch: u64 },
    /// The owner raised its epoch.
    Reasserted { room: RoomId, epoch: u64 },
    /// This pod released the room to the pod `to`, whose epoch is higher.
    Released { room: RoomId, to: String, epoch: u64 },
    /// A planned move brought the room here.
    MovedHere { room: RoomId, epoch: u64 },
    /// The pod `to` did not take the room: it stays here.
    MoveFailed { room: RoomId, to: String },
    // No pod took it: it stays in the directory until a client asks for it.
    /// The drain's deadline passed before another pod took the room.
    GivenUp { room: RoomId },
    /// The room was empty and has closed.
    Closed { room: RoomId },
    /// The directory's record of the room is invalid.
    UnreadableRecord { room: RoomId },
    /// The lease lapsed: this many rooms pause until their records are verified.
    LeaseLapsed { rooms: usize },
    /// A join token is not accepted. `unsaid`: others since the last notice.
    JoinTokenRefused { failure: Failure, unsaid: u64 },
    /// The pod begins, or ends, to move rooms to pods with fewer. `mean`: the rooms of a pod.
    Balance { begins: bool, rooms: u64, mean: u64 },
}

/// What the HTTP API says of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomSummary {
    /// Who is in it, those who are away included.
    pub players: Vec<PlayerName>,
    /// Seats that it has.
    pub max_players: u32,
}

/// A room as seen from outside the hub; for the simulation's checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomView {
    /// The room's id.
    pub room: RoomId,
    /// This pod's ownership of it.
    pub ownership: Ownership,
    /// Its timeline.
    pub timeline: Timeline,
    /// The number of its last message.
    pub seq: u64,
    /// The number of its seats, held ones included.
    pub seats: usize,
    /// It carries out commands now: it is neither moving nor suspended after a lapse of the lease.
    pub ready: bool,
    /// The directory has confirmed its whole state.
    pub written: bool,
}

/// Where clients reach a pod.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Advertised {
    /// Host and port for lines.
    pub tcp: String,
    /// The base URL for WebSockets.
    pub web: String,
}
