//! The living pods share a dead pod's rooms evenly. Pure: no I/O.
//!
//! Rendezvous hashing of the room and the pods' boots names one living pod as the room's heir. The pod that searches for the room asks
//! the heir to take it over, and does so itself if the heir declines or takes too long. Whoever takes over reads the record and the
//! lease itself, and swaps the record: the hash decides only who tries first.

use std::hash::Hasher;

use super::Search;
use super::room_search::{Asker, Turn};
use super::watch::Heirs;
use crate::directory::{Answer, NoAnswer, Request};
use crate::hub::context::{Context, Purpose, Timer};
use crate::hub::request::PATIENCE;
use crate::ids::Time;
use crate::lease::LeaseRecord;
use crate::peer_protocol::{Frame, Served};
use crate::protocol::{Ownership, PodBoot, RoomId};
use crate::record::Owner;

/// How long the heir may take to take a room over (ms): it may have to find out first that the owner does not answer.
const OTHERS_TURN: u64 = PATIENCE + 500;
/// How many pods one search remembers that have asked for a takeover.
const ASKERS: usize = 64;

/// The living pod with the highest weight is the room's heir.
pub(super) fn weight(room: RoomId, boot: PodBoot) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(room.to_string().as_bytes());
    hasher.write_u64(boot.0);
    hasher.finish()
}

/// Among the pods that have a lease, those that may take over the rooms of the pod with the boot `dead`: boots and peer addresses.
fn heirs(pods: &[(String, bytes::Bytes)], dead: PodBoot, me: PodBoot) -> Vec<(PodBoot, String)> {
    let leases: Vec<LeaseRecord> = pods.iter().filter_map(|(_, bytes)| LeaseRecord::parse(bytes)).collect();
    // If this pod is not listed, the listed ones may belong to another deployment.
    let uid = leases.iter().find(|lease| lease.boot == me).map(|lease| lease.uid.clone());
    let alike = leases.into_iter().filter(|lease| Some(&lease.uid) == uid.as_ref() && !lease.draining);
    alike.filter(|lease| lease.boot != dead).map(|lease| (lease.boot, lease.peer)).collect()
}

impl Search {
    /// Whether the room of a dead pod is left to another one for now. `dead`: the highest of its owners.
    pub(super) fn is_left_to_heir(&mut self, context: &mut Context, time: Time, room: RoomId, dead: Ownership) -> bool {
        let Some(search) = self.searches.get_mut(&room).filter(|search| !search.own_turn) else {
            return false;
        };
        if let Some(turn) = &search.turn {
            let waits = turn.until > time.now;
            search.own_turn = !waits;
            return waits;
        }
        let Some(watch) = self.watches.get_mut(&dead.boot) else {
            return false;
        };
        let heirs = match &watch.heirs {
            Heirs::Known(heirs) => heirs,
            Heirs::Asked => return true,
            Heirs::Unasked => {
                watch.heirs = Heirs::Asked;
                context.ask(Purpose::Heirs(dead.boot), Request::Pods);
                return true;
            }
        };
        let me = context.me.ownership.boot;
        let heir = heirs.iter().max_by_key(|(boot, _)| weight(room, *boot));
        let Some((to, address)) = heir.filter(|(boot, _)| *boot != me) else {
            return false;
        };
        if !context.reach(time, *to, address) {
            return false;
        }
        context.peers.send_or_queue(*to, &Frame::Ask { room, ticket: 0, dead: Some(dead) });
        let until = time.now + OTHERS_TURN;
        search.turn = Some(Turn { to: *to, until });
        context.arm(until, Timer::Search(room));
        true
    }

    /// The living pods are known, or not.
    pub fn heirs_answered(
        &mut self,
        context: &mut Context,
        time: Time,
        dead: PodBoot,
        answer: Result<Answer, NoAnswer>,
    ) {
        let heirs = match answer {
            Ok(Answer::Pods(pods)) => Heirs::Known(heirs(&pods, dead, context.me.ownership.boot)),
            // The directory is unavailable: after its next answer about the lease the pods are asked for again.
            _ => Heirs::Unasked,
        };
        let known = matches!(heirs, Heirs::Known(_));
        if let Some(watch) = self.watches.get_mut(&dead) {
            watch.heirs = heirs;
        }
        if !known {
            return self.look_soon(context, time, dead);
        }
        let probed = self.searches.iter().filter(|(_, search)| search.probes().iter().any(|probe| probe.is_of(dead)));
        let rooms = probed.map(|(room, _)| *room).collect();
        self.evaluate_all(rooms);
    }

    /// The pod with the boot `from` asks that this one take the room over, and receives the result.
    pub(super) fn take_over_for(&mut self, context: &mut Context, time: Time, from: PodBoot, room: RoomId) {
        let deadline = time.now + OTHERS_TURN;
        context.arm(deadline, Timer::Search(room));
        self.add_to(context, time, room, |search| {
            search.own_turn = true;
            if search.askers.len() < ASKERS {
                search.askers.push(Asker { pod: from, deadline });
            }
        });
        self.evaluate_all(vec![room]);
    }

    /// Sends the result to the pods that asked for the takeover.
    pub(super) fn tell_askers(&mut self, context: &mut Context, room: RoomId, owner: Option<&Owner>) {
        let askers = self.searches.get_mut(&room).map(|search| std::mem::take(&mut search.askers)).unwrap_or_default();
        for Asker { pod, .. } in askers {
            let served = match owner {
                Some(owner) => Served::Here(owner.clone()),
                None => Served::Not { seen: context.known_owners.get(room).cloned() },
            };
            context.peers.send(pod, &Frame::Answer { room, ticket: 0, served });
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::search_tests::lease;
    use super::*;

    #[test]
    fn heirs_are_the_living_pods_of_this_deployment_that_go_on() {
        let with = |boot: u64, change: &dyn Fn(&mut LeaseRecord)| {
            let mut record = LeaseRecord::parse(&lease(boot)).unwrap();
            change(&mut record);
            (format!("chat-{boot}"), bytes::Bytes::from(serde_json::to_vec(&record).unwrap()))
        };
        let pods = [
            with(1, &|_| ()),
            with(2, &|_| ()),
            with(3, &|record| record.draining = true),
            with(4, &|record| "other".clone_into(&mut record.uid)),
            with(5, &|_| ()),
        ];
        let boots =
            |me: u64| heirs(&pods, PodBoot(2), PodBoot(me)).into_iter().map(|(boot, _)| boot.0).collect::<Vec<_>>();
        assert_eq!(boots(1), [1, 5]);
        assert_eq!(boots(4), [4], "a pod of another deployment has its own");
        assert!(boots(9).is_empty(), "without a lease of its own a pod knows of nobody");
    }
}
