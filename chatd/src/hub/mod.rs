//! The hub: everything that one thread decides about its rooms and sessions. Pure: no I/O, no clock, no randomness of its own.
//!
//! Its driver passes inputs to it (bytes, directory replies, link changes, time) and does what it requests: the driver writes each
//! dirty session's [`Hub::output`], carries out each [`Effect`], and sends each peer its frames. `chatd`'s threads drive it with
//! sockets, the simulation with simulated ones.
//!
//! A pod has several hubs, one a thread, each with the rooms that [`RoomId::shard`](crate::protocol::RoomId::shard) gives it.
//!
//! ```
//! use std::sync::Arc;
//!
//! use chatd::directory::Answer;
//! use chatd::hub::{Effect, Hub, HubSettings};
//! use chatd::ids::Time;
//! use chatd::lease::LeaseView;
//! use chatd::protocol::token::Keyring;
//! use chatd::protocol::{Encoding, Ownership, PodBoot};
//! use chatd::record::Owner;
//!
//! let ownership = Ownership { epoch: 0, boot: PodBoot(1) };
//! let [tcp, web, peer] = ["10.0.0.1:7654", "10.0.0.1:8081", "10.0.0.1:7755"].map(String::from);
//! let me = Owner { ownership, pod_id: "chat-0".into(), tcp, web, peer };
//! let keys = Arc::new(Keyring::new(vec![("2026-11".into(), vec![7; 32])], "2026-11")?);
//! let mut hub = Hub::new(HubSettings::default(), me, keys, [1; 32]);
//! let time = Time { now: 1_000, wall: 1_795_461_000_000 };
//! hub.lease(time, LeaseView { confirmed: Some(time.now), settled: true });
//!
//! // Send what a client sends, answer the directory requests (every swap succeeds here), and return the output for the client.
//! let client = hub.open(time, Encoding::Lines);
//! let mut ask = |line: &str| {
//!     hub.receive(time, client, line.as_bytes());
//!     let mut effects = Vec::new();
//!     hub.take_effects(&mut effects);
//!     for effect in effects {
//!         if let Effect::Directory { ticket, .. } = effect {
//!             hub.answered(time, ticket, Ok(Answer::Done));
//!         }
//!     }
//!     let output = String::from_utf8_lossy(hub.output(client)).into_owned();
//!     hub.wrote(client, output.len());
//!     output
//! };
//! let reply = ask("CREATE_ROOM\n");
//! let room = reply.strip_prefix("ROOM ").expect("a room").trim_end();
//! assert_eq!(ask(&format!("JOIN {room} alice\n")), format!("JOINED {room} alice alice\n"));
//! assert_eq!(ask("hello\n"), "MSG alice hello\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod admission;
mod attaching;
mod authority;
mod authorizing;
mod bounds;
mod calls;
mod capacity;
mod claiming;
mod commands;
mod context;
mod creation;
mod delivery;
mod dispatch;
mod ending;
mod events;
mod figures;
mod hand_overs;
mod input;
mod inspection;
mod interface;
mod kicking;
mod known_owners;
mod leaving;
mod listing;
mod loads;
mod locking;
mod migration;
mod named;
mod ownership;
mod passing;
mod peer_frames;
mod peers;
mod placement;
mod relay;
mod remote_members;
mod request;
mod resuming;
mod rooms;
mod search;
mod searching;
mod session;
mod sessions;
mod shrink;
mod speaking;
mod state;
mod strangers;
mod terms;
mod timers;
mod webhooks;
use std::sync::Arc;

use rand::RngExt;

use crate::ids::{SessionId, Time};
use crate::protocol::token::Keyring;
use crate::record::Owner;

use authority::Authority;
use context::{Context, Purpose, Timer};
use listing::Listings;
use migration::{IncomingMoves, Outgoing};
use placement::Placement;
use relay::Relays;
use remote_members::RemoteMembers;
use rooms::Rooms;
use search::Search;
use session::Session;
use sessions::Sessions;

pub use capacity::RoomSlots;
pub use inspection::{InspectedRoom, InspectedSeat};
pub use interface::{Advertised, BalanceLimits, Effect, HubLimits, HubSettings, Notice, RoomSummary, RoomView, Rules};
pub use loads::Loads;

/// A session in transit from one thread to another.
#[derive(Debug)]
pub struct Carried(Session);

/// See the module's documentation.
#[derive(Debug)]
pub struct Hub {
    context: Context,
    authority: Authority,
    sessions: Sessions,
    /// Local sessions whose room is in another pod.
    relays: Relays,
    /// Sessions of other pods whose room is here.
    remote_members: RemoteMembers,
    rooms: Rooms,
    search: Search,
    /// Incoming moves.
    incoming: IncomingMoves,
    placement: Placement,
    listings: Listings,
    /// The drain: where this pod's rooms and clients go.
    outgoing: Outgoing,
    encoder: delivery::Encoder,
}

impl Hub {
    /// `me`: this pod, its boot and addresses. `seed`: from the system's secure random generator.
    pub fn new(settings: HubSettings, me: Owner, keys: Arc<Keyring>, seed: [u8; 32]) -> Self {
        let mut context = Context::new(settings, me, seed);
        Self {
            relays: Relays::new(context.random.random()),
            remote_members: RemoteMembers::new(context.settings.limits.window),
            context,
            authority: Authority::new(keys),
            sessions: Sessions::default(),
            rooms: Rooms::default(),
            search: Search::default(),
            incoming: IncomingMoves::default(),
            placement: Placement::default(),
            listings: Listings::default(),
            outgoing: Outgoing::default(),
            encoder: delivery::Encoder::default(),
        }
    }

    /// Finishes a call: ends the slow readers and runs the sessions whose wait has ended in this call, until neither
    /// is left.
    fn finish(&mut self, time: Time) {
        loop {
            self.end_slow_readers(time);
            let Some(session) = self.sessions.next_woken() else {
                return;
            };
            if !self.finish_call(session) {
                self.run(time, session);
            }
        }
    }

    fn insert_session(&mut self, session: Session) -> SessionId {
        let id = self.sessions.insert(session);
        self.sessions.arm_deadline(&mut self.context, id);
        id
    }
}
