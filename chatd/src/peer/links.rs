//! Which connections to other pods are the links: one for each pair of processes. Pure: no I/O.
//!
//! Both sides must make the same choice in any order of events. Of two connections dialled at once the one of the lower
//! boot stays. But a pod that dials because its link broke, while the other side has not noticed, must succeed. The dialler's
//! proof distinguishes the two cases: it names the last link with this peer that the dialler has seen end. If that is the
//! established link, the dialler has seen it end; otherwise it dialled before it knew of the link.
//!
//! A dial is for one process, named by its boot, and the address is only a hint: another process that answers
//! there does not become the link, whatever it can prove.
//!
//! Links that nobody needs are closed ([`super::idle`]).

mod closing;

use std::collections::{HashMap, VecDeque};

use super::handshake::Nonce;
use super::idle::{Idle, IdleRules, Stage, Wish, Word};
use crate::protocol::PodBoot;

/// From the wish for a link to its being up or the peer counting as unreachable, in milliseconds.
pub const DIAL_TIME: u64 = 2_000;
/// A dial that failed answers for this long after its start, in milliseconds: "one dial a peer and second serves all who ask".
pub const SHARED_FOR: u64 = 1_000;
/// Dials under way at once. One a peer is needed; a record full of rubbish must not make more than this.
pub const MAX_DIALS: usize = 1_024;
/// Ended links whose names are kept.
const MAX_ENDED: usize = 1_024;

/// Names one connection to a peer, from its dial or its arrival on, for the life of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u64);

/// What has to be done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are named by their types")]
pub enum Action {
    /// Connect and shake hands; then [`Links::greeted`] or [`Links::failed`].
    Connect { link: LinkId, address: String },
    /// Close the connection; nothing more is heard of it.
    Close { link: LinkId },
    /// A link came up, or somebody dialled a process that has one.
    Up { boot: PodBoot },
    /// A link broke, and no other one is up.
    Down { boot: PodBoot },
    /// A dial came to nothing. `gone`: another process of the deployment has its address now.
    Unreachable { boot: PodBoot, gone: bool },
    /// Ask each shard whether it needs the link; then [`Links::shard_answered`]. Which does not need it gives it up, until
    /// [`Action::Up`] or a dial.
    AskShards { boot: PodBoot, query: u64 },
    /// Send this word over the link, after what waits for it.
    Say { link: LinkId, word: Word },
    /// These frames have come over the link, and can be routed now.
    Route { link: LinkId, boot: PodBoot, frames: Vec<u8> },
    /// Both ends have agreed to end the link: close the connection once all is written.
    Over { link: LinkId },
}

/// What a dialler does once the listener has proven itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are named by their types")]
pub enum Choice {
    /// Send the commit, with the last link that ended; then [`Links::accepted`], [`Links::declined`] or [`Links::failed`].
    Commit { last: Option<Nonce> },
    /// Not needed any more: close.
    Leave,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DialStage {
    Connecting,
    /// The commit is on its way.
    Committed,
    /// The peer is dialling, and its connection stays.
    Awaited,
}

#[derive(Debug)]
struct Dial {
    id: LinkId,
    address: String,
    started: u64,
    nonce: Nonce,
    stage: DialStage,
}

#[derive(Debug)]
struct Link {
    id: LinkId,
    /// This pod dialled it.
    mine: bool,
    nonce: Nonce,
    /// `None`: the peer cannot agree on its end, and it stays.
    idle: Option<Idle>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Links {
    me: PodBoot,
    last_id: u64,
    dials: HashMap<PodBoot, Dial>,
    by_boot: HashMap<PodBoot, Link>,
    /// When the last dial of each process that failed was started, and whether another has its address.
    failed: HashMap<PodBoot, (u64, bool)>,
    ended: VecDeque<(PodBoot, Nonce)>,
    actions: Vec<Action>,
    rules: IdleRules,
    shards: usize,
    last_query: u64,
    /// When idle links are looked for next (ms).
    look_at: u64,
}

impl Links {
    /// No links; `me` is this process, which has so many shards.
    pub fn new(me: PodBoot, shards: usize, rules: IdleRules) -> Self {
        Self {
            me,
            rules,
            shards,
            last_query: 0,
            look_at: u64::MAX,
            last_id: 0,
            dials: HashMap::new(),
            by_boot: HashMap::new(),
            failed: HashMap::new(),
            ended: VecDeque::new(),
            actions: Vec::new(),
        }
    }

    /// What is to be done since the last call.
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// A number for a connection that came in.
    pub fn arrived(&mut self) -> LinkId {
        self.last_id += 1;
        LinkId(self.last_id)
    }

    /// Somebody wants a link to the process with `boot`, which listens at `address`. `nonce`: for the handshake, if it comes to
    /// one.
    pub fn dial(&mut self, now: u64, boot: PodBoot, address: &str, nonce: Nonce) {
        let wish = Wish { since: now, address: address.to_owned(), nonce };
        if self.by_boot.contains_key(&boot) {
            return self.wanted(now, boot, wish);
        }
        if self.dials.contains_key(&boot) {
            return;
        }
        let failed = self.failed.get(&boot).filter(|(started, _)| now < started + SHARED_FOR);
        if failed.is_some() || boot == self.me || self.dials.len() >= MAX_DIALS {
            let gone = failed.is_some_and(|(_, gone)| *gone);
            self.actions.push(Action::Unreachable { boot, gone });
            return;
        }
        if self.failed.len() >= MAX_DIALS {
            self.failed.retain(|_, (started, _)| now < *started + SHARED_FOR);
        }
        self.start_dial(boot, wish);
    }

    fn start_dial(&mut self, boot: PodBoot, wish: Wish) {
        let Wish { since, address, nonce } = wish;
        let link = self.arrived();
        let dial = Dial { id: link, address: address.clone(), started: since, nonce, stage: DialStage::Connecting };
        self.dials.insert(boot, dial);
        self.actions.push(Action::Connect { link, address });
    }

    /// What a dial's handshake needs: the process that it is for, and its nonce.
    pub fn dialled(&self, link: LinkId) -> Option<(PodBoot, Nonce)> {
        self.dials.iter().find(|(_, dial)| dial.id == link).map(|(boot, dial)| (*boot, dial.nonce))
    }

    /// A connection that this side dialled has reached the process with `boot`, which says that it listens at `address`.
    pub fn greeted(&mut self, link: LinkId, boot: PodBoot, address: &str) -> Choice {
        let Some((wanted, _)) = self.dialled(link) else {
            return Choice::Leave;
        };
        let Some(dial) = self.dials.get_mut(&wanted) else {
            return Choice::Leave;
        };
        if boot != wanted {
            // It may also be that packets were led astray: then the one that was dialled has its address still.
            let gone = dial.address == address;
            self.give_up(wanted, gone);
            return Choice::Leave;
        }
        dial.stage = DialStage::Committed;
        let last = self.ended.iter().rev().find(|(ended, _)| *ended == boot).map(|(_, nonce)| *nonce);
        Choice::Commit { last }
    }

    /// The peer takes the link that this side dialled. `false`: too late, close it.
    pub fn accepted(&mut self, link: LinkId) -> bool {
        let Some((boot, nonce)) = self.committed(link) else {
            return false;
        };
        self.come_up(boot, Link { id: link, mine: true, nonce, idle: None });
        true
    }

    /// The peer is dialling itself, and its connection stays: this one ends.
    pub fn declined(&mut self, link: LinkId) {
        if let Some((boot, _)) = self.committed(link)
            && let Some(dial) = self.dials.get_mut(&boot)
        {
            dial.stage = DialStage::Awaited;
        }
    }

    /// The pod with `boot` has dialled here and proven itself. `last`: the last link with this process that it has seen end.
    /// `false`: this side's own connection stays.
    pub fn offered(&mut self, link: LinkId, boot: PodBoot, nonce: Nonce, last: Option<Nonce>) -> bool {
        if boot == self.me {
            return false;
        }
        let mine_stays = match self.by_boot.get(&boot) {
            Some(current) => current.mine && last != Some(current.nonce) && self.me < boot,
            None => self.me < boot && self.dials.get(&boot).is_some_and(|dial| dial.stage == DialStage::Committed),
        };
        if mine_stays {
            return false;
        }
        if let Some(current) = self.by_boot.get(&boot).map(|current| current.id) {
            self.actions.push(Action::Close { link: current });
            self.broken(current);
        }
        self.come_up(boot, Link { id: link, mine: false, nonce, idle: None });
        true
    }

    /// A dial came to nothing: nobody there, no proof, the peer hung up.
    pub fn failed(&mut self, link: LinkId) {
        if let Some((boot, _)) = self.dialled(link) {
            self.give_up(boot, false);
        }
    }

    /// A connection that was a link is gone.
    pub fn broken(&mut self, link: LinkId) {
        let Some(boot) = self.by_boot.iter().find(|(_, up)| up.id == link).map(|(boot, _)| *boot) else {
            return;
        };
        match self.remove(boot).map(|idle| idle.stage) {
            // No shard uses it any more.
            Some(Stage::Offered { wish, .. }) => wish.into_iter().for_each(|wish| self.start_dial(boot, wish)),
            _ => self.actions.push(Action::Down { boot }),
        }
    }

    fn remove(&mut self, boot: PodBoot) -> Option<Idle> {
        let up = self.by_boot.remove(&boot)?;
        self.ended.retain(|(ended, _)| *ended != boot);
        self.ended.push_back((boot, up.nonce));
        if self.ended.len() > MAX_ENDED {
            self.ended.pop_front();
        }
        up.idle
    }

    /// Time has passed (ms).
    pub fn tick(&mut self, now: u64) {
        self.failed.retain(|_, (started, _)| now < *started + SHARED_FOR);
        let late = self.dials.iter().filter(|(_, dial)| dial.started + DIAL_TIME <= now);
        let mut late: Vec<_> = late.map(|(boot, dial)| (*boot, dial.id)).collect();
        late.sort_unstable();
        for (boot, link) in late {
            self.actions.push(Action::Close { link });
            self.give_up(boot, false);
        }
        self.close_idle(now);
    }

    /// When [`Links::tick`] has something to do next (ms).
    pub fn next_deadline(&self) -> Option<u64> {
        let look = Some(self.look_at).filter(|at| *at < u64::MAX);
        self.dials.values().map(|dial| dial.started + DIAL_TIME).chain(look).min()
    }

    /// The link to the pod with `boot`.
    pub fn to(&self, boot: PodBoot) -> Option<LinkId> {
        self.by_boot.get(&boot).map(|up| up.id)
    }

    /// How many links are up.
    pub fn len(&self) -> usize {
        self.by_boot.len()
    }

    /// Whether none is up.
    pub fn is_empty(&self) -> bool {
        self.by_boot.is_empty()
    }

    fn committed(&self, link: LinkId) -> Option<(PodBoot, Nonce)> {
        self.dialled(link)
            .filter(|(boot, _)| self.dials.get(boot).is_some_and(|dial| dial.stage == DialStage::Committed))
    }

    fn give_up(&mut self, boot: PodBoot, gone: bool) {
        if let Some(dial) = self.dials.remove(&boot) {
            self.failed.insert(boot, (dial.started, gone));
            self.actions.push(Action::Unreachable { boot, gone });
        }
    }

    fn come_up(&mut self, boot: PodBoot, up: Link) {
        let dial = self.dials.remove(&boot).filter(|dial| dial.id != up.id && dial.stage != DialStage::Awaited);
        self.actions.extend(dial.map(|dial| Action::Close { link: dial.id }));
        self.failed.remove(&boot);
        self.by_boot.insert(boot, up);
        self.actions.push(Action::Up { boot });
    }
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
