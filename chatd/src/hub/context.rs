//! What every part of a hub may use, and what may use none of them: the settings, who this pod is, the lease, requests to the
//! directory, timers, effects, counters, the links to other pods, who has to hear of a takeover, and the owners that are known. Pure: no I/O.

use std::collections::{BTreeSet, HashMap, VecDeque};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::interface::{Effect, HubSettings, Notice};
use super::known_owners::KnownOwners;
use super::peers::{Link, Peers, TakeoverNotice, TakeoverNotices};
use crate::counters::Counters;
use crate::directory::Request;
use crate::ids::{Reach, SessionId, Ticket, Time};
use crate::lease::{LEASE, LeaseView};
use crate::peer_protocol::Frame;
use crate::protocol::{Ownership, PodBoot, RoomId, SeatId};
use crate::record::{MAX_EPOCH, Owner, Record};

/// Pause between tries at a directory that does not answer (ms).
pub const RETRY: u64 = 250;

/// Something to be looked at when its time comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    Session(SessionId),
    Room(RoomId),
    Search(RoomId),
    Incoming(RoomId),
    Peers,
    Watches,
    Drain,
    Owners,
    Placement,
}

/// What a ticket was for.
#[derive(Debug, Clone)]
pub enum Purpose {
    /// The room's own record: written, read or deleted by its owner.
    Own(RoomId),
    /// The search for a room: its record, or the swap of a takeover.
    Search(RoomId),
    /// Searches: the lease of the pod with this boot, which does not answer.
    Lease(PodBoot),
    /// Searches: the pods that live, to share the rooms of the pod with this boot.
    Heirs(PodBoot),
    /// A move to here: the swap, or the read that settles it.
    Incoming(RoomId),
    /// Which pods have places for new rooms.
    Placement,
}

/// The pod's lease, as this hub has heard of it.
#[derive(Debug, Default)]
pub struct LeaseWatch {
    pub view: LeaseView,
    /// When the lease was last found not to be held.
    lapsed: Option<u64>,
    /// Without the directory's word the rooms go on until then; see [`Context::notice_lapse`].
    excused_until: u64,
}

impl LeaseWatch {
    /// Nobody can have found this pod's lease missing.
    pub fn is_held(&self, time: Time) -> bool {
        self.view.confirmed.is_some_and(|confirmed| time.now.saturating_sub(confirmed) <= LEASE)
    }
}

/// The requests to the directory that are not answered.
#[derive(Debug, Default)]
pub struct Requests {
    pub tickets: HashMap<Ticket, Purpose>,
    pub last: u64,
    /// Those about records of owned rooms.
    pub own: usize,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Context {
    pub settings: HubSettings,
    /// Who this pod is; the epoch in it means nothing.
    pub me: Owner,
    pub random: StdRng,
    pub lease: LeaseWatch,
    /// The last that was heard of the directory is an answer: while it is away no move begins.
    pub directory_answers: bool,
    pub requests: Requests,
    pub timers: BTreeSet<(u64, Timer)>,
    pub effects: Vec<Effect>,
    /// For whom more waits than may: each is ended once what led to that is carried out.
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
            random: StdRng::from_seed(seed),
            lease: LeaseWatch::default(),
            directory_answers: false,
            requests: Requests::default(),
            timers: BTreeSet::new(),
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
        self.timers.insert((at, timer));
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

    /// Before each batch: has this pod been frozen for so long that others may have taken its rooms?
    ///
    /// The contract's measure is the last confirmed renewal of the lease. While the directory is away that is long ago, too;
    /// rooms that have waited for it once go on, for as long as this is looked at often enough to rule out a freeze.
    pub fn notice_lapse(&mut self, time: Time) -> bool {
        const EXCUSE: u64 = 3_000;
        if self.lease.view.confirmed.is_none() || self.lease.is_held(time) {
            return false;
        }
        let is_new = time.now > self.lease.excused_until;
        self.lease.lapsed = Some(time.now);
        self.lease.excused_until = time.now + EXCUSE;
        // On round times only: otherwise each batch would set a timer, and each of these be a batch.
        self.arm((time.now / 1_000 + 1) * 1_000, Timer::Peers);
        is_new && self.settings.rules.check_after_lapse
    }

    /// Whether others may have taken since then (ms) what this pod has asked for.
    pub fn has_lapsed_since(&self, asked: u64) -> bool {
        self.settings.rules.check_after_lapse && self.lease.lapsed.is_some_and(|lapsed| lapsed >= asked)
    }

    /// A random id of a room of this shard.
    pub fn new_room_id(&mut self) -> RoomId {
        loop {
            let room = RoomId::random(&mut self.random);
            if room.shard(self.settings.shards) == self.settings.shard {
                return room;
            }
        }
    }

    /// Sees to a link to the process with `boot`, which listens at `address`. False: it cannot be reached now.
    pub fn reach(&mut self, time: Time, boot: PodBoot, address: &str) -> bool {
        let link = self.peers.want(time, boot);
        if link == Link::ToDial {
            self.effects.push(Effect::Dial { boot, address: address.to_owned() });
        }
        link != Link::Unreachable
    }

    /// Tells the former owners that are listed in `record` that `owner`, this pod, has the room now: at once, and until they acknowledge.
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

    /// Former owners that have not acknowledged yet are told again.
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

    /// Remembers the highest owner of a room that is not here.
    pub fn learn_owner(&mut self, time: Time, room: RoomId, owner: &Owner) {
        if owner.ownership.epoch <= MAX_EPOCH && self.known_owners.learn(time.now, room, owner) {
            self.arm(self.known_owners.next_look(time.now), Timer::Owners);
        }
    }

    /// Forgets owners that nobody has asked for in a long time.
    pub fn forget_old_owners(&mut self, time: Time) {
        self.known_owners.forget_old(time.now);
        if !self.known_owners.is_empty() {
            self.arm(self.known_owners.next_look(time.now), Timer::Owners);
        }
    }

    pub fn new_seat(&mut self) -> SeatId {
        SeatId(self.random.random())
    }

    pub fn me_as(&self, ownership: Ownership) -> Owner {
        Owner { ownership, ..self.me.clone() }
    }

    /// Before its first lease a pod serves no clients: what is in the directory may be another deployment's (docs/operations.md,
    /// Redis).
    pub fn serves(&self) -> bool {
        self.lease.view.confirmed.is_some()
    }

    pub fn settled(&self) -> bool {
        self.lease.view.settled || !self.settings.rules.wait_until_settled
    }
}
