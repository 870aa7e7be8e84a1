//! Takeovers are shared: of a dead pod's rooms each living pod takes as many as any other. Pure: no I/O.
//!
//! A room falls to the living pod that a hash of the room and the pod's boot names (rendezvous hashing): the pod that is asked for
//! the room asks that one to take it, and takes it itself if that one does not, or not in time. Whoever takes it looks at
//! the record and the lease itself, and swaps the record: this decides who tries first, and nothing else.

use std::hash::Hasher;

use super::{
    Answer, Find, Frame, Hub, NoAnswer, Ownership, PATIENCE, PodBoot, Request, RoomId, Served, TicketPurpose, Timer,
};
use crate::ids::Time;
use crate::lease::LeaseRecord;
use crate::record::Owner;

/// How long another pod may take to take a room over (ms): it may have to find out first that the owner does not answer.
const OTHERS_TURN: u64 = PATIENCE + 500;
/// Pods that one search can be asked for by.
const ASKERS: usize = 64;

/// Those who may take a dead pod's rooms.
#[derive(Debug, Default)]
pub enum Heirs {
    #[default]
    Unasked,
    Asked,
    /// Their boots and peer addresses.
    Known(Vec<(PodBoot, String)>),
}

/// Another pod's turn.
#[derive(Debug)]
pub(super) struct Turn {
    pub to: PodBoot,
    pub until: u64,
}

/// A pod that has asked for a takeover.
#[derive(Debug)]
pub(super) struct Asker {
    pub pod: PodBoot,
    pub deadline: u64,
}

/// The highest of a room's heirs has it.
fn weight(room: RoomId, boot: PodBoot) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(room.to_string().as_bytes());
    hasher.write_u64(boot.0);
    hasher.finish()
}

impl Hub {
    /// Whether the room of a dead pod is left to another one for now. `dead`: the highest of its owners.
    pub(super) fn is_others_turn(&mut self, time: Time, room: RoomId, dead: Ownership) -> bool {
        let Some(find) = self.search.finds.get_mut(&room).filter(|find| !find.own_turn) else {
            return false;
        };
        if let Some(turn) = &find.turn {
            let waits = turn.until > time.now;
            find.own_turn = !waits;
            return waits;
        }
        let Some(watch) = self.search.watches.get_mut(&dead.boot) else {
            return false;
        };
        let heirs = match &watch.heirs {
            Heirs::Known(heirs) => heirs,
            Heirs::Asked => return true,
            Heirs::Unasked => {
                watch.heirs = Heirs::Asked;
                self.context.ask(TicketPurpose::Heirs(dead.boot), Request::Pods);
                return true;
            }
        };
        let me = self.context.me.ownership.boot;
        let heir = heirs.iter().max_by_key(|(boot, _)| weight(room, *boot)).cloned();
        let Some((to, address)) = heir.filter(|(boot, _)| *boot != me) else {
            return false;
        };
        if !self.context.reach(time, to, &address) {
            return false;
        }
        let ask = Frame::Ask { room, ticket: 0, dead: Some(dead) };
        self.context.peers.send_or_queue(to, &ask);
        let until = time.now + OTHERS_TURN;
        if let Some(find) = self.search.finds.get_mut(&room) {
            find.turn = Some(Turn { to, until });
        }
        self.context.arm(until, Timer::Search(room));
        true
    }

    /// The living pods are known.
    pub(in crate::hub) fn heirs_answered(&mut self, time: Time, dead: PodBoot, answer: Result<Answer, NoAnswer>) {
        let Ok(Answer::Pods(pods)) = answer else {
            // The directory is away: its next answer about the lease goes on with this.
            if let Some(watch) = self.search.watches.get_mut(&dead) {
                watch.heirs = Heirs::Unasked;
            }
            return self.look_soon(time, dead);
        };
        let me = self.context.me.ownership.boot;
        let leases: Vec<LeaseRecord> = pods.iter().filter_map(|(_, bytes)| LeaseRecord::parse(bytes)).collect();
        // Without this pod among them nothing is known of whose deployment they are.
        let uid = leases.iter().find(|lease| lease.boot == me).map(|lease| lease.uid.clone());
        let alike = leases.into_iter().filter(|lease| Some(&lease.uid) == uid.as_ref() && !lease.draining);
        let heirs = alike.filter(|lease| lease.boot != dead).map(|lease| (lease.boot, lease.peer)).collect();
        if let Some(watch) = self.search.watches.get_mut(&dead) {
            watch.heirs = Heirs::Known(heirs);
        }
        let waits = |find: &Find| find.probes().any(|probe| probe.owner.ownership.boot == dead);
        let mut rooms: Vec<RoomId> =
            self.search.finds.iter().filter(|(_, find)| waits(find)).map(|(room, _)| *room).collect();
        rooms.sort_unstable();
        for room in rooms {
            self.evaluate(time, room);
        }
    }

    /// Another pod asks that this one take the room over. False: it cannot.
    pub(super) fn takes_for(&mut self, time: Time, from: PodBoot, room: RoomId) -> bool {
        if self.drain.is_some() || !self.context.settled() {
            return false;
        }
        let deadline = time.now + OTHERS_TURN;
        self.context.arm(deadline, Timer::Search(room));
        self.join_search(time, room, |find| {
            find.own_turn = true;
            if find.askers.len() < ASKERS {
                find.askers.push(Asker { pod: from, deadline });
            }
        });
        self.evaluate(time, room);
        true
    }

    /// Those who have asked for a takeover are told what has come of it.
    pub(super) fn tell_askers(&mut self, room: RoomId, owner: Option<Owner>) {
        let askers = self.search.finds.get_mut(&room).map(|find| std::mem::take(&mut find.askers)).unwrap_or_default();
        for Asker { pod, .. } in askers {
            let served = match &owner {
                Some(owner) => Served::Here(owner.clone()),
                None => Served::Not { seen: self.context.known_owners.get(room).cloned() },
            };
            self.context.peers.send(pod, &Frame::Answer { room, ticket: 0, served });
        }
    }

    /// What the pod has said whose turn it is. True: the search has ended with that.
    pub(super) fn turn_answered(&mut self, time: Time, room: RoomId, from: PodBoot, served: &Served) -> bool {
        let Some(find) = self.search.finds.get_mut(&room) else {
            return false;
        };
        if find.turn.as_ref().is_none_or(|turn| turn.to != from) {
            return false;
        }
        match served {
            Served::Here(owner) => {
                self.found(time, room, owner);
                return true;
            }
            Served::Not { .. } => find.own_turn = true,
            Served::Soon => {}
        }
        false
    }
}
