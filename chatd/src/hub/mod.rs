//! The hub: everything that one thread decides about its rooms and sessions. Pure: no I/O, no clock, no randomness of its own.
//!
//! Whoever drives it tells it what happened (bytes came, the directory answered, a peer is up, time passed) and does what it asks
//! for: it writes each dirty session's [`Hub::output`], carries out each [`Effect`], and sends each peer its frames. `chatd`'s
//! threads drive it with sockets, the simulation with made-up ones.
//!
//! A pod has several hubs, one a thread, each with the rooms that [`RoomId::shard`] gives it.
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
//! // What a client sends, what the directory answers (every swap succeeds here), and what is to be written to the client.
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
//!     hub.wrote(time, client, output.len());
//!     output
//! };
//! let reply = ask("CREATE_ROOM\n");
//! let room = reply.strip_prefix("ROOM ").expect("a room").trim_end();
//! assert_eq!(ask(&format!("JOIN {room} alice\n")), format!("JOINED {room} alice alice\n"));
//! assert_eq!(ask("hello\n"), "MSG alice hello\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod admission;
mod arrival;
mod attaching;
mod bounds;
mod creation;
mod doors;
mod drain;
mod elsewhere;
mod figures;
mod find;
mod guest;
mod guests;
mod input;
mod interface;
mod leaving;
mod metering;
mod ownership;
mod peers;
mod relay;
mod replay;
mod resuming;
mod seated;
mod seen;
mod session;
mod shrink;
mod slots;

mod words;
mod yielding;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use slab::Slab;

use crate::counters::Counters;
use crate::directory::Request;
use crate::ids::RelayId;
use crate::protocol::token::Keyring;
use crate::protocol::{Ownership, PodBoot, RoomId, SeatId};
use crate::record::Owner;

use find::Find;
use guest::Guests;
use ownership::Owned;
use peers::Peers;
use seen::SeenOwners;
use session::Session;

use crate::ids::{SessionId, Ticket, Time};
use crate::lease::LeaseView;
pub use interface::{Advertised, Effect, HubLimits, HubSettings, Notice, RoomView, Rules};
pub use slots::RoomSlots;

/// A session on its way from one thread to another.
#[derive(Debug)]
pub struct Carried(Session);

/// Something to be looked at when its time comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Session(SessionId),
    Room(RoomId),
    Find(RoomId),
    Arrival(RoomId),
    Peers,
    Watches,
    Drain,
    Owners,
    Elsewhere,
}

/// What a ticket was for.
#[derive(Debug, Clone)]
enum Purpose {
    /// The room's own record: written, read or deleted by its owner.
    Own(RoomId),
    /// Finding a room: its record, or the swap of a takeover.
    Find(RoomId),
    /// Finding rooms: the lease of the pod with this boot, which does not answer.
    Lease(PodBoot),
    /// Finding rooms: the pods that live, to share those of the pod with this boot.
    Heirs(PodBoot),
    /// A move to here: the swap, or the read that settles it.
    Moving(RoomId),
    /// Which pods have places for new rooms.
    Places,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Hub {
    settings: HubSettings,
    /// Who this pod is; the epoch in it means nothing.
    me: Owner,
    keys: Arc<Keyring>,
    random: StdRng,
    lease: LeaseView,
    /// When the lease was last found not to be held.
    lapsed: Option<u64>,
    /// Without the directory's word the rooms go on until then; see [`Hub::begin`].
    excused_until: u64,
    /// The last that was heard of the directory is an answer: while it is away no move begins.
    directory_answers: bool,
    /// Where clients reach each pod, if the deployment says so. `Some` and lacking the owner: relay.
    advertised: Option<Arc<HashMap<String, Advertised>>>,

    sessions: Slab<Session>,
    generation: u32,
    last_relay: u64,
    /// Sessions whose room is elsewhere, by their number on the peer link.
    relays: HashMap<RelayId, SessionId>,
    /// Sessions of other pods whose room is here.
    guests: Guests,

    rooms: Slab<Owned>,
    index: HashMap<RoomId, usize>,
    finds: HashMap<RoomId, Find>,
    /// Pods that do not answer, whose rooms are looked for.
    watches: BTreeMap<PodBoot, find::Watch>,
    seen: SeenOwners,
    arriving: HashMap<RoomId, arrival::Arrival>,
    elsewhere: elsewhere::Elsewhere,
    peers: Peers,
    drain: Option<drain::Drain>,
    /// Rooms whose record is to be checked, a few at a time.
    checks: VecDeque<RoomId>,

    tickets: HashMap<Ticket, Purpose>,
    last_ticket: u64,
    /// Requests about records of owned rooms that are under way.
    own_requests: usize,
    timers: BTreeSet<(u64, Timer)>,
    ring_bytes: usize,

    effects: Vec<Effect>,
    dirty: Vec<SessionId>,
    charges: Vec<SessionId>,
    woken: Vec<SessionId>,
    line: Vec<u8>,
    json: Vec<u8>,
    pub counters: Counters,
}

impl Hub {
    /// `me`: this pod, its boot and addresses. `seed`: from the system's secure random source.
    pub fn new(settings: HubSettings, me: Owner, keys: Arc<Keyring>, seed: [u8; 32]) -> Self {
        let mut random = StdRng::from_seed(seed);
        Self {
            last_relay: u64::from(random.random::<u32>()),
            me,
            keys,
            random,
            lease: LeaseView::default(),
            lapsed: None,
            excused_until: 0,
            directory_answers: false,
            advertised: None,
            sessions: Slab::new(),
            generation: 0,
            relays: HashMap::new(),
            guests: Guests::default(),
            rooms: Slab::new(),
            index: HashMap::new(),
            finds: HashMap::new(),
            watches: BTreeMap::new(),
            seen: SeenOwners::new(settings.limits),
            arriving: HashMap::new(),
            elsewhere: elsewhere::Elsewhere::default(),
            peers: Peers::new(settings.limits),
            drain: None,
            checks: VecDeque::new(),
            tickets: HashMap::new(),
            last_ticket: 0,
            own_requests: 0,
            timers: BTreeSet::new(),
            ring_bytes: 0,
            effects: Vec::new(),
            dirty: Vec::new(),
            charges: Vec::new(),
            woken: Vec::new(),
            line: Vec::new(),
            json: Vec::new(),
            counters: Counters::default(),
            settings,
        }
    }

    /// Goes on with the sessions that waited for something that has happened in this call.
    fn finish(&mut self, time: Time) {
        while let Some(session) = self.woken.pop() {
            self.run(time, session);
        }
    }

    fn insert_session(&mut self, mut session: Session) -> SessionId {
        self.generation = self.generation.wrapping_add(1);
        let entry = self.sessions.vacant_entry();
        let id = SessionId { index: entry.key() as u32, generation: self.generation };
        session.id = id;
        session.looked_at = None;
        entry.insert(session);
        self.arm_deadline(id);
        id
    }

    fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(id.index as usize).filter(|session| session.id == id)
    }

    fn session_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(id.index as usize).filter(|session| session.id == id)
    }

    fn owned_key(&self, room: RoomId) -> Option<usize> {
        self.index.get(&room).copied()
    }

    fn mark_dirty(&mut self, session: SessionId) {
        if let Some(found) = self.session_mut(session)
            && !found.dirty
        {
            found.dirty = true;
            self.dirty.push(session);
        }
    }

    fn arm(&mut self, at: u64, timer: Timer) {
        self.timers.insert((at, timer));
    }

    fn ask(&mut self, purpose: Purpose, request: Request) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.tickets.insert(ticket, purpose);
        self.effects.push(Effect::Directory { ticket, request });
        ticket
    }

    /// A new number for a client's stay in a room, on this pod alone: the low byte is the thread's.
    fn next_relay(&mut self) -> RelayId {
        self.last_relay += 1;
        RelayId(self.last_relay << 8 | (self.settings.shard as u64 & 0xff))
    }

    fn new_seat(&mut self) -> SeatId {
        SeatId(self.random.random())
    }

    fn me_as(&self, ownership: Ownership) -> Owner {
        Owner { ownership, ..self.me.clone() }
    }

    fn log(&mut self, notice: Notice) {
        self.effects.push(Effect::Log(notice));
    }
}
