//! Which connections to other pods are the links: one for each pair of processes. Pure: no I/O.
//!
//! Both sides have to come to the same choice, whatever order things happen in. Of two connections dialled at once the lower
//! boot's stays. But a pod that dials because its link broke, while the other side has not noticed, must get through. The two
//! are told apart by what a dialler says with its proof: the last link with this peer that it has seen end. Whoever names the
//! link that is up here has seen it end; whoever does not has dialled before it knew of it.

use std::collections::{HashMap, VecDeque};

use super::handshake::Nonce;
use crate::protocol::PodBoot;

/// From the wish for a link to its being up or the peer counting as unreachable, in milliseconds (design.md section 5).
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
pub enum Action {
    /// Connect and shake hands; then [`Links::greeted`] or [`Links::failed`].
    Connect {
        link: LinkId,
        address: String,
    },
    /// Close the connection; nothing more is heard of it.
    Close {
        link: LinkId,
    },
    Up {
        boot: PodBoot,
        address: Option<String>,
    },
    Down {
        boot: PodBoot,
    },
    Unreachable {
        address: String,
    },
}

/// What a dialler does once the listener has proven itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Send the commit, with the last link that ended; then [`Links::accepted`], [`Links::declined`] or [`Links::failed`].
    Commit { last: Option<Nonce> },
    /// Not needed any more: close.
    Leave,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    /// The commit is on its way to this peer.
    Committed(PodBoot),
    /// The peer is dialling, and its connection stays.
    Awaited(PodBoot),
}

#[derive(Debug)]
struct Dial {
    id: LinkId,
    started: u64,
    nonce: Nonce,
    stage: Stage,
}

#[derive(Debug)]
struct Link {
    id: LinkId,
    /// This pod dialled it.
    mine: bool,
    nonce: Nonce,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Links {
    me: PodBoot,
    last_id: u64,
    dials: HashMap<String, Dial>,
    by_boot: HashMap<PodBoot, Link>,
    /// Where the peers with a link have been dialled, or say that they are.
    addresses: HashMap<String, PodBoot>,
    /// When the last dial to each address that failed was started.
    failed: HashMap<String, u64>,
    ended: VecDeque<(PodBoot, Nonce)>,
    actions: Vec<Action>,
}

impl Links {
    pub fn new(me: PodBoot) -> Self {
        Self {
            me,
            last_id: 0,
            dials: HashMap::new(),
            by_boot: HashMap::new(),
            addresses: HashMap::new(),
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

    /// Somebody wants a link to whoever listens at `address`. `nonce`: for the handshake, if it comes to one.
    pub fn dial(&mut self, now: u64, address: &str, nonce: Nonce) {
        if let Some(boot) = self.addresses.get(address) {
            self.actions.push(Action::Up { boot: *boot, address: Some(address.to_owned()) });
            return;
        }
        if self.dials.contains_key(address) {
            return;
        }
        let failed = self.failed.get(address).is_some_and(|started| now < started + SHARED_FOR);
        if failed || self.dials.len() >= MAX_DIALS {
            self.actions.push(Action::Unreachable { address: address.to_owned() });
            return;
        }
        let link = self.arrived();
        self.dials.insert(address.to_owned(), Dial { id: link, started: now, nonce, stage: Stage::Connecting });
        self.actions.push(Action::Connect { link, address: address.to_owned() });
    }

    /// The nonce of a dial.
    pub fn nonce(&self, link: LinkId) -> Option<Nonce> {
        self.dials.values().find(|dial| dial.id == link).map(|dial| dial.nonce)
    }

    /// A connection that this side dialled has reached the pod with `boot`.
    pub fn greeted(&mut self, link: LinkId, boot: PodBoot) -> Choice {
        let Some(address) = self.dialled(link) else {
            return Choice::Leave;
        };
        if boot == self.me {
            self.give_up(&address);
            return Choice::Leave;
        }
        if self.by_boot.contains_key(&boot) {
            self.dials.remove(&address);
            self.addresses.insert(address.clone(), boot);
            self.actions.push(Action::Up { boot, address: Some(address) });
            return Choice::Leave;
        }
        let under_way = self.dials.values().any(|dial| dial.stage == Stage::Committed(boot));
        let Some(dial) = self.dials.get_mut(&address) else {
            return Choice::Leave;
        };
        if under_way {
            dial.stage = Stage::Awaited(boot);
            return Choice::Leave;
        }
        dial.stage = Stage::Committed(boot);
        let last = self.ended.iter().rev().find(|(ended, _)| *ended == boot).map(|(_, nonce)| *nonce);
        Choice::Commit { last }
    }

    /// The peer takes the link that this side dialled. `false`: too late, close it.
    pub fn accepted(&mut self, link: LinkId) -> bool {
        let Some((address, boot)) = self.committed(link) else {
            return false;
        };
        let Some(dial) = self.dials.get(&address) else {
            return false;
        };
        let up = Link { id: link, mine: true, nonce: dial.nonce };
        self.come_up(boot, up, None);
        true
    }

    /// The peer is dialling itself, and its connection stays: this one ends.
    pub fn declined(&mut self, link: LinkId) {
        if let Some((address, boot)) = self.committed(link)
            && let Some(dial) = self.dials.get_mut(&address)
        {
            dial.stage = Stage::Awaited(boot);
        }
    }

    /// The pod with `boot` has dialled here and proven itself. `last`: the last link with this process that it has seen end;
    /// `address`: where it says that it listens. `false`: this side's own connection stays.
    pub fn offered(
        &mut self,
        link: LinkId,
        boot: PodBoot,
        nonce: Nonce,
        last: Option<Nonce>,
        address: Option<&str>,
    ) -> bool {
        if boot == self.me {
            return false;
        }
        let mine_stays = match self.by_boot.get(&boot) {
            Some(current) => current.mine && last != Some(current.nonce) && self.me < boot,
            None => self.me < boot && self.dials.values().any(|dial| dial.stage == Stage::Committed(boot)),
        };
        if mine_stays {
            return false;
        }
        if let Some(current) = self.by_boot.get(&boot).map(|current| current.id) {
            self.actions.push(Action::Close { link: current });
            self.broken(current);
        }
        let abandoned = self.dials.values().filter(|dial| dial.stage == Stage::Committed(boot));
        self.actions.extend(abandoned.map(|dial| Action::Close { link: dial.id }));
        self.come_up(boot, Link { id: link, mine: false, nonce }, address);
        true
    }

    /// A dial came to nothing: nobody there, no proof, the peer hung up.
    pub fn failed(&mut self, link: LinkId) {
        if let Some(address) = self.dialled(link) {
            self.give_up(&address);
        }
    }

    /// A connection that was a link is gone.
    pub fn broken(&mut self, link: LinkId) {
        let Some(boot) = self.by_boot.iter().find(|(_, up)| up.id == link).map(|(boot, _)| *boot) else {
            return;
        };
        let Some(up) = self.by_boot.remove(&boot) else {
            return;
        };
        self.addresses.retain(|_, at| *at != boot);
        self.ended.retain(|(ended, _)| *ended != boot);
        self.ended.push_back((boot, up.nonce));
        if self.ended.len() > MAX_ENDED {
            self.ended.pop_front();
        }
        self.actions.push(Action::Down { boot });
    }

    /// Time has passed (ms).
    pub fn tick(&mut self, now: u64) {
        self.failed.retain(|_, started| now < *started + SHARED_FOR);
        let late = self.dials.iter().filter(|(_, dial)| dial.started + DIAL_TIME <= now);
        let mut late: Vec<_> = late.map(|(address, dial)| (address.clone(), dial.id)).collect();
        late.sort();
        for (address, link) in late {
            self.actions.push(Action::Close { link });
            self.give_up(&address);
        }
    }

    /// When [`Links::tick`] has something to do next (ms).
    pub fn next_deadline(&self) -> Option<u64> {
        self.dials.values().map(|dial| dial.started + DIAL_TIME).min()
    }

    /// The link to the pod with `boot`.
    pub fn to(&self, boot: PodBoot) -> Option<LinkId> {
        self.by_boot.get(&boot).map(|up| up.id)
    }

    /// How many links are up.
    pub fn len(&self) -> usize {
        self.by_boot.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_boot.is_empty()
    }

    fn dialled(&self, link: LinkId) -> Option<String> {
        self.dials.iter().find(|(_, dial)| dial.id == link).map(|(address, _)| address.clone())
    }

    fn committed(&self, link: LinkId) -> Option<(String, PodBoot)> {
        self.dials.iter().find(|(_, dial)| dial.id == link).and_then(|(address, dial)| match dial.stage {
            Stage::Committed(boot) => Some((address.clone(), boot)),
            _ => None,
        })
    }

    fn give_up(&mut self, address: &str) {
        if let Some(dial) = self.dials.remove(address) {
            self.failed.insert(address.to_owned(), dial.started);
            self.actions.push(Action::Unreachable { address: address.to_owned() });
        }
    }

    /// Everyone who waits for this peer, at whatever address, is answered.
    fn come_up(&mut self, boot: PodBoot, up: Link, listens_at: Option<&str>) {
        self.by_boot.insert(boot, up);
        let waiting = self.dials.iter().filter(|(address, dial)| match dial.stage {
            Stage::Committed(other) | Stage::Awaited(other) => other == boot,
            // Its handshake goes on and finds out who is there, unless the peer has just said so.
            Stage::Connecting => listens_at == Some(address.as_str()),
        });
        let mut waiting: Vec<_> = waiting.map(|(address, dial)| (address.clone(), dial.id, dial.stage)).collect();
        waiting.sort_by(|one, other| one.0.cmp(&other.0));
        if let Some(address) = listens_at {
            self.addresses.insert(address.to_owned(), boot);
            self.failed.remove(address);
        }
        if waiting.is_empty() {
            self.actions.push(Action::Up { boot, address: None });
        }
        for (address, link, stage) in waiting {
            self.dials.remove(&address);
            if stage == Stage::Connecting {
                self.actions.push(Action::Close { link });
            }
            self.addresses.insert(address.clone(), boot);
            self.actions.push(Action::Up { boot, address: Some(address) });
        }
    }
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
