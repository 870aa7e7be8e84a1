//! Pods that do not answer: one look at each one's lease serves all rooms that wait for it. Pure: no I/O.

use super::sharing::Heirs;
use super::{
    Answer, Find, Frame, Hub, Key, Lease, NoAnswer, Owner, PATIENCE, PodBoot, Probe, Request, RoomId, Said, Step,
    TicketPurpose, Timer,
};
use crate::ids::{Ticket, Time};
use crate::lease::LeaseRecord;

/// How often a lease is looked at while rooms wait for it to run out (ms).
const LOOK: u64 = 1_000;
/// The same, where a room has begun to wait since the last look.
const SOONEST: u64 = 250;
/// Records that are read again with a look: their owner may be one that gives its rooms away and is only not to be reached.
const READ_AGAIN: usize = 1;
/// So many threads of a pod do that with each look, and of more each in its turn. The looks are shared (`pod/asking.rs`).
const READING_THREADS: usize = 4;

/// A pod that rooms wait for.
#[derive(Debug)]
pub struct Watch {
    pod_id: String,
    peer: String,
    /// The look that is under way.
    asked: Option<Ticket>,
    asked_at: Option<u64>,
    /// When the next one is due.
    next: u64,
    /// How many have found that the lease is held.
    held: usize,
    /// A record has turned out to name another owner by now: so may the others.
    changed: bool,
    pub(super) heirs: Heirs,
}

impl Find {
    fn waits_for(&self, boot: PodBoot) -> bool {
        self.probes().any(|probe| probe.owner.ownership.boot == boot && probe.lease != Lease::Unasked)
    }

    pub(super) fn probes(&self) -> impl Iterator<Item = &Probe> {
        let probes = if let Step::Asking(probes) = &self.step { &probes[..] } else { &[] };
        probes.iter()
    }

    /// It waits for nothing but a lease.
    pub(super) fn is_parked(&self) -> bool {
        self.probes().any(|probe| probe.said == Said::Silent && !matches!(probe.lease, Lease::Unasked | Lease::Gone))
    }
}

impl Hub {
    /// The lease of a possible owner will be looked at. `soon`: before the next look that is due anyway.
    pub(super) fn ask_lease(&mut self, time: Time, owner: &Owner, soon: bool) -> Lease {
        let boot = owner.ownership.boot;
        let watch = self.search.watches.entry(boot).or_insert_with(|| Watch {
            pod_id: owner.pod_id.clone(),
            peer: owner.peer.clone(),
            asked: None,
            asked_at: None,
            next: u64::MAX,
            held: 0,
            changed: false,
            heirs: Heirs::default(),
        });
        if let Some(at) = watch.asked_at {
            watch.next = watch.next.min(at + if soon { SOONEST } else { LOOK });
        } else {
            watch.next = time.now;
        }
        if watch.next <= time.now {
            self.look_at_lease(boot, time.now);
        } else {
            let next = watch.next;
            self.context.arm(next, Timer::Watches);
        }
        Lease::Asked
    }

    fn look_at_lease(&mut self, boot: PodBoot, now: u64) {
        let Some(watch) = self.search.watches.get_mut(&boot) else {
            return;
        };
        watch.next = now + LOOK;
        if watch.asked.is_none() {
            watch.asked_at = Some(now);
            let request = Request::Get { key: Key::Pod(watch.pod_id.clone()) };
            let ticket = self.context.ask(TicketPurpose::Lease(boot), request);
            if let Some(watch) = self.search.watches.get_mut(&boot) {
                watch.asked = Some(ticket);
            }
        }
        self.context.arm(now + LOOK, Timer::Watches);
    }

    pub(in crate::hub) fn lease_answered(
        &mut self,
        time: Time,
        boot: PodBoot,
        ticket: Ticket,
        answer: Result<Answer, NoAnswer>,
    ) {
        let Some(watch) = self.search.watches.get_mut(&boot).filter(|watch| watch.asked == Some(ticket)) else {
            return;
        };
        watch.asked = None;
        let changed = std::mem::take(&mut watch.changed);
        let lease = match answer {
            Ok(Answer::Found(Some(bytes))) => match LeaseRecord::parse(&bytes) {
                Some(lease) if lease.boot == boot => Lease::Held,
                Some(_) => Lease::Gone,
                None => {
                    self.context.counters.unreadable_records += 1;
                    Lease::Gone
                }
            },
            Ok(Answer::Found(None)) => Lease::Gone,
            _ => Lease::Unknown,
        };
        let mut rooms = Vec::new();
        let mut again = None;
        for (room, find) in &mut self.search.finds {
            let read = find.read;
            let Step::Asking(probes) = &mut find.step else {
                continue;
            };
            for probe in probes.iter_mut().filter(|probe| probe.owner.ownership.boot == boot) {
                if probe.lease == Lease::Unasked {
                    continue;
                }
                if lease == Lease::Gone && ticket <= read {
                    // Its owner may have taken its lease again, and claimed the room, before this record was read.
                    again = Some(probe.owner.clone());
                } else {
                    probe.lease = lease;
                    rooms.push(*room);
                }
            }
        }
        if let Some(owner) = again {
            self.ask_lease(time, &owner, true);
        }
        rooms.sort_unstable();
        for room in rooms {
            if lease == Lease::Gone {
                self.wait_for_takeover(room);
            }
            self.evaluate(time, room);
        }
        if lease == Lease::Held {
            let turns = self.context.settings.shards.div_ceil(READING_THREADS);
            let own_turn = self.search.watches.get_mut(&boot).is_some_and(|watch| {
                watch.held += 1;
                watch.held % turns == self.context.settings.shard % turns
            });
            let most = if changed { usize::MAX } else { usize::from(own_turn) * READ_AGAIN };
            self.read_again(time, boot, most);
        }
    }

    /// Reads records of rooms that wait for a pod again, those first that were read longest ago.
    fn read_again(&mut self, time: Time, boot: PodBoot, most: usize) {
        let waiting = self.search.finds.iter().filter(|(_, find)| find.waits_for(boot) && find.is_parked());
        let mut waiting: Vec<(Ticket, RoomId)> = waiting.map(|(room, find)| (find.read, *room)).collect();
        waiting.sort_unstable();
        for (_, room) in waiting.into_iter().take(most) {
            if let Some(find) = self.search.finds.get_mut(&room) {
                find.patient = true;
            }
            self.read_record(time, room);
        }
    }

    /// Time has passed: looks that are due, and an end of those that nobody waits for.
    pub(in crate::hub) fn watches_due(&mut self, time: Time) {
        let due: Vec<PodBoot> =
            self.search.watches.iter().filter(|(_, watch)| watch.next <= time.now).map(|(boot, _)| *boot).collect();
        for boot in due {
            if !self.search.finds.values().any(|find| find.waits_for(boot)) {
                self.search.watches.remove(&boot);
                continue;
            }
            if let Some(peer) = self.search.watches.get(&boot).map(|watch| watch.peer.clone()) {
                self.context.reach(time, boot, &peer);
            }
            self.look_at_lease(boot, time.now);
        }
        if let Some(next) = self.search.watches.values().map(|watch| watch.next).min() {
            self.context.arm(next.max(time.now + 1), Timer::Watches);
        }
    }

    /// A room that was `boot`'s is another pod's: if it lives, it gives its rooms away.
    pub(super) fn owner_has_changed(&mut self, time: Time, boot: PodBoot) {
        if let Some(watch) = self.search.watches.get_mut(&boot).filter(|watch| !watch.changed) {
            watch.changed = true;
            self.look_soon(time, boot);
        }
    }

    /// Its lease is looked at before the next look that is due anyway.
    pub(in crate::hub) fn look_soon(&mut self, time: Time, boot: PodBoot) {
        if let Some(watch) = self.search.watches.get_mut(&boot) {
            watch.next = watch.next.min(watch.asked_at.map_or(time.now, |at| at + SOONEST));
            let next = watch.next.max(time.now + 1);
            self.context.arm(next, Timer::Watches);
        }
    }

    /// The pod with `boot` can be asked again.
    pub(in crate::hub) fn owner_is_back(&mut self, time: Time, boot: PodBoot) {
        if !self.search.watches.contains_key(&boot) {
            return;
        }
        let mut rooms = Vec::new();
        for (room, find) in &mut self.search.finds {
            if let Step::Asking(probes) = &mut find.step {
                let silent = |probe: &&mut Probe| probe.owner.ownership.boot == boot && probe.said == Said::Silent;
                for probe in probes.iter_mut().filter(silent) {
                    probe.said = Said::Nothing { until: time.now + PATIENCE };
                    rooms.push(*room);
                }
            }
        }
        rooms.sort_unstable();
        for room in rooms {
            self.context.peers.send(boot, &Frame::Ask { room, ticket: 0, dead: None });
            self.context.arm(time.now + PATIENCE, Timer::Search(room));
        }
    }
}
