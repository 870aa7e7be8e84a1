//! State that every part of a hub shares: settings, this pod's identity, the lease, directory requests, timers, effects,
//! counters, peer links, takeover notices and known owners. It depends on no other part of the hub. Pure: no I/O.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::interface::{Advertised, Effect, HubSettings, Notice};
use super::known_owners::KnownOwners;
use super::peers::{Link, Peers, TakeoverNotice, TakeoverNotices};
use super::request::Stranger;
pub use super::timers::Timer;
use super::timers::Timers;
use crate::counters::Counters;
use crate::directory::Request;
use crate::ids::{Reach, Ticket, Time};
use crate::lease::{LEASE, LeaseView};
use crate::peer_protocol::Frame;
use crate::protocol::{Ownership, PodBoot, RoomId, SeatId, Timeline};
use crate::record::{MAX_EPOCH, Owner, Record};

/// Pause between tries at a directory that does not answer (ms).
pub const RETRY: u64 = 250;

/// The part of the hub that sent a directory request.
#[derive(Debug, Clone)]
pub enum Purpose {
    /// The room's own record: written, read or deleted by its owner.
    Own(RoomId),
    /// The search for a room: its record, or the swap of a takeover.
    Search(RoomId),
    /// A search reads the lease of the pod with this boot, which does not respond.
    Lease(PodBoot),
    /// A search lists the living pods, which share the rooms of the pod with this boot.
    Heirs(PodBoot),
    /// An incoming move: the swap, or the read that settles it.
    Incoming(RoomId),
    /// The placement of new rooms lists the pods that have capacity.
    Placement,
    /// How many rooms each pod has.
    Balance,
    /// Which pods there are, for the list with this query.
    Listing(u64),
    /// The token of a JOIN into the room is good for one: it is to be used for this one.
    Claim(RoomId),
    /// Nobody waits for the answer.
    Forgotten,
    /// A stranger asks for a room that is here and needs a token: the answer does not matter.
    Stranger(Stranger),
}

/// The pod's lease, as last reported to this hub.
#[derive(Debug, Default)]
pub struct LeaseWatch {
    pub view: LeaseView,
    /// When the hub last found that the pod did not hold the lease (ms).
    lapsed: Option<u64>,
    /// Without a reply of the directory the rooms continue until this time (ms); see [`Context::notice_lapse`].
    excused_until: u64,
}

impl LeaseWatch {
    /// No other pod can have found this pod's lease missing.
    pub fn is_held(&self, time: Time) -> bool {
        self.view.confirmed.is_some_and(|confirmed| time.now.saturating_sub(confirmed) <= LEASE)
    }
}

/// Directory requests that are in flight.
#[derive(Debug, Default)]
pub struct Requests {
    pub tickets: HashMap<Ticket, Purpose>,
    pub last: u64,
    /// The number of these that concern records of owned rooms.
    pub own: usize,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Context {
    pub settings: HubSettings,
    /// This pod. The epoch in it has no meaning.
    pub me: Owner,
    /// The address of each pod for clients, if the deployment configures them. Without the owner's address the session is relayed.
    pub advertised: Option<Arc<HashMap<String, Advertised>>>,
    pub random: StdRng,
    pub lease: LeaseWatch,
    /// The directory replied to the last request. While it does not, no move begins.
    pub directory_answers: bool,
    pub requests: Requests,
    pub timers: Timers,
    pub effects: Vec<Effect>,
    /// Members whose send queue is over its limit. The hub ends them once the current command is finished.
    pub slow_readers: VecDeque<Reach>,
    pub counters: Counters,
    pub peers: Peers,
    pub takeover_notices: TakeoverNotices,
    pub known_owners: KnownOwners,
}

impl Context {
    pub fn new(settings: HubSettings, me: Owner, seed: [u8; 32]) -> Self {
        Self {
            me,
            advertised: None,
            random: StdRng::from_seed(seed),
            lease: LeaseWatch::default(),
            directory_answers: false,
            requests: Requests::default(),
            timers: Timers::default(),
            effects: Vec::new(),
            slow_readers: VecDeque::new(),
            counters: Counters::default(),
            peers: Peers::new(settings.limits.dialled),
            takeover_notices: TakeoverNotices::new(
                settings.limits.takeover_notices,
                settings.limits.takeover_notice_for,
            ),
            known_owners: KnownOwners::new(settings.limits),
            settings,
        }
    }

    pub fn arm(&mut self, at: u64, timer: Timer) {
        self.timers.insert(at, timer);
    }

    pub fn ask(&mut self, purpose: Purpose, request: Request) -> Ticket {
        self.requests.last += 1;
        let ticket = Ticket(self.requests.last);
        self.requests.tickets.insert(ticket, purpose);
        self.effects.push(Effect::Directory { ticket, request });
        ticket
    }

    pub fn log(&mut self, notice: Notice) {
        self.effects.push(Effect::Log(notice));
    }

    /// The directory answers, and this pod holds its lease: what other pods' leases say may be acted on.
    pub fn is_sure(&self, time: Time) -> bool {
        self.directory_answers && self.lease.is_held(time)
    }

    /// Called before each batch. True: the pod was frozen so long that other pods may have taken its rooms over.
    ///
    /// The measure is the last confirmed renewal of the lease. While the directory is away the last renewal is old, too: rooms that
    /// have waited for it once continue, as long as the hub calls this often enough to rule out a freeze.
    pub fn notice_lapse(&mut self, time: Time) -> bool {
        const EXCUSE: u64 = 3_000;
        if self.lease.view.confirmed.is_none() || self.lease.is_held(time) {
            return false;
        }
        let is_new = time.now > self.lease.excused_until;
        self.lease.lapsed = Some(time.now);
        self.lease.excused_until = time.now + EXCUSE;
        // Only at whole seconds: otherwise each batch would set a timer, and each timer would cause a batch.
        self.arm((time.now / 1_000 + 1) * 1_000, Timer::Peers);
        is_new && self.settings.rules.check_after_lapse
    }

    /// Whether the lease has lapsed since `asked` (ms), so that another pod may have taken what this pod requested then.
    pub fn has_lapsed_since(&self, asked: u64) -> bool {
        self.settings.rules.check_after_lapse && self.lease.lapsed.is_some_and(|lapsed| lapsed >= asked)
    }

    /// A random room id that belongs to this shard.
    pub fn new_room_id(&mut self) -> RoomId {
        loop {
            let room = RoomId::random(&mut self.random);
            if room.shard(self.settings.shards) == self.settings.shard {
                return room;
            }
        }
    }

    /// Requests a link to the process with `boot` at `address`. False: the process is unreachable now.
    pub fn reach(&mut self, time: Time, boot: PodBoot, address: &str) -> bool {
        let link = self.peers.want(time, boot);
        if link == Link::ToDial {
            self.effects.push(Effect::Dial { boot, address: address.to_owned() });
        }
        link != Link::Unreachable
    }

    /// Notifies the former owners in `record` that `owner`, this pod, has the room: at once, then repeatedly until they acknowledge.
    pub fn notify_former_owners(&mut self, time: Time, room: RoomId, record: &[u8], owner: &Owner) {
        for to in Record::parse(record).map(|record| record.former).unwrap_or_default() {
            if to.boot == self.me.ownership.boot || to.peer == self.me.peer {
                continue;
            }
            let notice = TakeoverNotice { room, to, owner: owner.clone() };
            if let Some(next) = self.takeover_notices.add(time, &notice) {
                self.arm(next, Timer::Peers);
                self.send_takeover_notice(time, notice);
            }
        }
    }

    /// Notifies the former owners again that have not acknowledged yet.
    pub fn takeover_notices_due(&mut self, time: Time) {
        for notice in self.takeover_notices.take_due(time) {
            self.send_takeover_notice(time, notice);
        }
        if let Some(next) = self.takeover_notices.next_due() {
            self.arm(next, Timer::Peers);
        }
    }

    fn send_takeover_notice(&mut self, time: Time, notice: TakeoverNotice) {
        let TakeoverNotice { room, to, owner } = notice;
        if self.reach(time, to.boot, &to.peer) {
            self.peers.send_or_queue(to.boot, &Frame::OwnerChanged { room, owner });
        }
    }

    /// Remembers the highest owner of a room in another pod.
    pub fn learn_owner(&mut self, time: Time, room: RoomId, owner: &Owner) {
        if owner.ownership.epoch <= MAX_EPOCH && self.known_owners.learn(time.now, room, owner) {
            self.arm(self.known_owners.next_look(time.now), Timer::Owners);
        }
    }

    /// Forgets the owners that nothing has used for a long time.
    pub fn forget_old_owners(&mut self, time: Time) {
        self.known_owners.forget_old(time.now);
        if !self.known_owners.is_empty() {
            self.arm(self.known_owners.next_look(time.now), Timer::Owners);
        }
    }

    pub fn new_seat(&mut self) -> SeatId {
        SeatId(self.random.random())
    }

    pub fn new_timeline(&mut self) -> Timeline {
        Timeline(self.random.random())
    }

    pub fn me_as(&self, ownership: Ownership) -> Owner {
        Owner { ownership, ..self.me.clone() }
    }

    /// A pod serves no clients before it first holds its lease: the directory may belong to another deployment
    /// (docs/operations.md, Redis).
    pub fn serves(&self) -> bool {
        self.lease.view.confirmed.is_some()
    }

    pub fn settled(&self) -> bool {
        self.lease.view.settled || !self.settings.rules.wait_until_settled
    }
}
