//! Reading the leases of pods that do not answer. Pure: no I/O.

use super::probe::LeaseState;
use super::watch::PodWatch;
use super::{Search, Task};
use crate::directory::{Answer, Key, NoAnswer, Request};
use crate::hub::context::{Context, Purpose, Timer};
use crate::ids::{Ticket, Time};
use crate::lease::LeaseRecord;
use crate::protocol::{PodBoot, RoomId};
use crate::record::Owner;

/// How many records are read again after a look that found the lease held: the owner may be alive, unreachable and moving its rooms
/// to other pods.
const READ_AGAIN: usize = 1;
/// At most so many threads of a pod do that after one look; if it has more, they take turns. They share the looks (`pod/asking.rs`).
const READING_THREADS: usize = 4;

impl Search {
    /// Has the lease of a possible owner read. `soon`: before the next look that is due anyway.
    pub(super) fn ask_lease(&mut self, context: &mut Context, time: Time, owner: &Owner, soon: bool) {
        let boot = owner.ownership.boot;
        let watch = self.watches.entry(boot).or_insert_with(|| PodWatch::new(owner));
        let next = watch.waited_for(time.now, soon);
        if next <= time.now {
            look_at_lease(context, watch, boot, time.now);
        } else {
            context.arm(next, Timer::Watches);
        }
    }

    /// The directory has answered a look at the lease of the pod with `boot`, or not.
    pub fn lease_answered(
        &mut self,
        context: &mut Context,
        time: Time,
        boot: PodBoot,
        ticket: Ticket,
        answer: Result<Answer, NoAnswer>,
    ) {
        let Some(watch) = self.watches.get_mut(&boot).filter(|watch| watch.asked == Some(ticket)) else {
            return;
        };
        watch.asked = None;
        let changed = std::mem::take(&mut watch.changed);
        let lease = lease_state(context, boot, answer);
        let most = if lease == LeaseState::Held {
            let turns = context.settings.shards.div_ceil(READING_THREADS);
            watch.held += 1;
            let own_turn = watch.held % turns == context.settings.shard % turns;
            if changed { usize::MAX } else { usize::from(own_turn) * READ_AGAIN }
        } else {
            0
        };
        let mut rooms = Vec::new();
        let mut again = None;
        for (room, search) in &mut self.searches {
            let read = search.read;
            for probe in search.probes_of(boot).filter(|probe| probe.lease != LeaseState::Unasked) {
                if lease == LeaseState::Gone && ticket <= read {
                    // Its owner may have renewed its lease and reasserted the room before this record was read.
                    again = Some(probe.owner.clone());
                } else {
                    probe.lease = lease;
                    rooms.push(*room);
                }
            }
        }
        if let Some(owner) = again {
            self.ask_lease(context, time, &owner, true);
        }
        if lease == LeaseState::Gone {
            for room in &rooms {
                self.wait_for_takeover(context, *room);
            }
        }
        self.evaluate_all(rooms);
        if most > 0 {
            self.agenda.push_back(Task::ReadAgain { boot, most });
        }
    }

    /// Reads again at most `most` records of rooms that wait for the pod with `boot`, the oldest readings first.
    pub(super) fn read_again(&mut self, context: &mut Context, time: Time, boot: PodBoot, most: usize) {
        let waiting = self.searches.iter().filter(|(_, search)| search.waits_for(boot) && search.is_parked());
        let mut waiting: Vec<(Ticket, RoomId)> = waiting.map(|(room, search)| (search.read, *room)).collect();
        waiting.sort_unstable();
        for (_, room) in waiting.into_iter().take(most) {
            if let Some(search) = self.searches.get_mut(&room) {
                search.patient = true;
            }
            self.read_record(context, time, room);
        }
    }

    /// Time has passed: reads the leases that are due, and drops the watches that no search needs.
    pub fn watches_due(&mut self, context: &mut Context, time: Time) {
        let searches = &self.searches;
        let is_waited_for = |boot: PodBoot| searches.values().any(|search| search.waits_for(boot));
        self.watches.retain(|boot, watch| watch.next > time.now || is_waited_for(*boot));
        for (boot, watch) in self.watches.iter_mut().filter(|(_, watch)| watch.next <= time.now) {
            context.reach(time, *boot, &watch.peer);
            look_at_lease(context, watch, *boot, time.now);
        }
        if let Some(next) = self.watches.values().map(|watch| watch.next).min() {
            context.arm(next.max(time.now + 1), Timer::Watches);
        }
    }

    /// A room of the pod with `boot` belongs to another pod now: if the former owner lives, it is moving its rooms.
    pub(super) fn owner_has_changed(&mut self, context: &mut Context, time: Time, boot: PodBoot) {
        if let Some(watch) = self.watches.get_mut(&boot).filter(|watch| !watch.changed) {
            watch.changed = true;
            self.look_soon(context, time, boot);
        }
    }

    /// If searches wait for the lease of the pod with `boot`, it is read before the next look that is due anyway.
    pub fn look_soon(&mut self, context: &mut Context, time: Time, boot: PodBoot) {
        if let Some(watch) = self.watches.get_mut(&boot) {
            context.arm(watch.look_soon(time.now), Timer::Watches);
        }
    }
}

fn look_at_lease(context: &mut Context, watch: &mut PodWatch, boot: PodBoot, now: u64) {
    if watch.look(now) {
        let request = Request::Get { key: Key::Pod(watch.pod_id.clone()) };
        watch.asked = Some(context.ask(Purpose::Lease(boot), request));
    }
    context.arm(watch.next, Timer::Watches);
}

/// What the directory says of the lease of the process with `boot`.
fn lease_state(context: &mut Context, boot: PodBoot, answer: Result<Answer, NoAnswer>) -> LeaseState {
    let Ok(Answer::Found(found)) = answer else {
        return LeaseState::Unknown;
    };
    let lease = found.as_deref().map(LeaseRecord::parse);
    context.counters.unreadable_records += u64::from(lease.as_ref().is_some_and(Option::is_none));
    match lease.flatten() {
        Some(lease) if lease.boot == boot => LeaseState::Held,
        _ => LeaseState::Gone,
    }
}
