//! Planned moves, at the source: a pod that is to end hands each room to another, and its clients after them. Pure: no I/O.
//!
//! The source freezes the room, settles its record, offers a snapshot; the target swaps the record in and then serves; the
//! source yields. Whatever fails in between, the record says whose the room is (design.md section 5). While the directory is
//! away nothing begins: rooms go on here until it is back, or the deadline comes.

use super::ownership::{PATIENCE, Phase};
use super::session::Place;
use super::{Hub, Notice, SessionId, Target, Time, Timer};
use crate::frame::Frame;
use crate::protocol::{ErrorCode, OnWrongPod, Ownership, PodBoot, RoomId};
use crate::record::Owner;
use crate::room::Reach;

/// Rooms that move at a time.
const MOVES: usize = 64;
/// Balancers are slow to learn that a pod is going: for so long it is as good as any other (ms; design.md section 5).
const KEEP_RELAYING: u64 = 5_000;
/// How often a draining hub looks for what it can do next (ms).
const STEP: u64 = 100;
/// How much longer a client that is to go may take to finish a line (ms).
const FINISH_LINE: u64 = 1_000;

/// A pod that is to end.
#[derive(Debug)]
pub struct Drain {
    since: u64,
    deadline: u64,
    /// `None`: the directory has not told them yet, or has not answered something since.
    targets: Option<Vec<Target>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// The write under way is settled.
    Settling,
    /// The target has been offered the room.
    Offering(Target),
    /// The target did not answer: the record is read.
    Checking,
    /// It is still mine: it is claimed again, so that a late swap fails.
    Reclaiming,
}

/// A room on its way to another pod.
#[derive(Debug)]
pub struct Move {
    step: Step,
    pub until: u64,
    tried: Vec<PodBoot>,
    /// The lease was lost while the record was not to be written: the room is claimed again if it stays.
    claim: bool,
    /// The record has been looked at since the move began.
    checked: bool,
}

impl Move {
    /// The record is not to be written: the target may be swapping it.
    pub fn offered(&self) -> bool {
        matches!(self.step, Step::Offering(_) | Step::Checking)
    }

    /// Whether the room was offered to this pod.
    pub fn tried(&self, boot: PodBoot) -> bool {
        self.tried.contains(&boot)
    }

    /// The record turned out to be another than was offered, and not the target's: with what is written now those who have
    /// refused may take it. True: the room is claimed again with that.
    pub fn starts_over(&mut self, now: u64) -> bool {
        self.tried.clear();
        let checking = self.step == Step::Checking;
        if checking {
            (self.step, self.until, self.claim) = (Step::Reclaiming, now + PATIENCE, false);
        }
        checking
    }

    /// The lease has been lost. False: the room is to be claimed again now, and not when it turns out that it stays.
    pub fn claims_later(&mut self) -> bool {
        self.claim |= self.offered();
        self.offered()
    }
}

impl Hub {
    pub(super) fn start_drain(&mut self, time: Time, deadline: u64) {
        if self.drain.is_none() {
            self.drain = Some(Drain { since: time.now, deadline, targets: None });
            self.arm(time.now + STEP, Timer::Drain);
        }
    }

    pub(super) fn set_targets(&mut self, time: Time, targets: Vec<Target>) {
        if let Some(drain) = &mut self.drain {
            drain.targets = Some(targets);
            self.drain_due(time);
        }
    }

    /// Clients are sent on to other pods now.
    pub(super) fn drain_sends_away(&self, time: Time) -> bool {
        self.drain.as_ref().is_some_and(|drain| time.now >= drain.since + KEEP_RELAYING)
    }

    /// Whoever is in the middle of a line may finish it.
    pub(super) fn drain_is_patient(&self, time: Time) -> bool {
        self.drain.as_ref().is_none_or(|drain| time.now < drain.since + KEEP_RELAYING + FINISH_LINE)
    }

    pub(super) fn drain_due(&mut self, time: Time) {
        let Some(drain) = &self.drain else {
            return;
        };
        let over = time.now >= drain.deadline;
        if drain.targets.is_some() {
            let moving = self.rooms.iter().filter(|(_, owned)| matches!(owned.phase, Phase::Moving(_))).count();
            let next: Vec<usize> = self
                .rooms
                .iter()
                .filter(|(_, owned)| owned.ready())
                .map(|(key, _)| key)
                .take(MOVES.saturating_sub(moving))
                .collect();
            for key in next {
                self.start_move(time, key);
            }
        }
        if over {
            let rooms: Vec<usize> = self.rooms.iter().map(|(key, _)| key).collect();
            for key in rooms {
                self.abandon(time, key, ErrorCode::ShuttingDown);
            }
        }
        let sessions: Vec<SessionId> = self.sessions.iter().map(|(_, session)| session.id).collect();
        let sends_away = self.drain_sends_away(time);
        for id in sessions {
            let Some(session) = self.session(id) else {
                continue;
            };
            match session.place {
                Place::Closing => {}
                _ if over => self.fail(time, id, ErrorCode::ShuttingDown),
                Place::Relayed(_) => self.leave_if_idle(time, id),
                Place::Outside if sends_away && session.quiet(self.drain_is_patient(time)) => {
                    self.fail_quietly(time, id, Some(ErrorCode::ShuttingDown));
                }
                _ => {}
            }
        }
        if !self.drained() {
            // On round times only, so that there is one timer however often the targets are told.
            self.arm((time.now / STEP + 1) * STEP, Timer::Drain);
        }
    }

    // ---- the source

    fn start_move(&mut self, time: Time, key: usize) {
        if let Some(owned) = self.rooms.get_mut(key) {
            owned.phase = Phase::Moving(Move {
                step: Step::Settling,
                until: time.now + PATIENCE,
                tried: Vec::new(),
                claim: false,
                checked: false,
            });
        }
        self.write(time, key);
        self.move_settled(time, key);
        self.arm_room(time, key);
    }

    /// The record says what it should: the room can be offered.
    pub(super) fn move_settled(&mut self, time: Time, key: usize) {
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let written = owned.is_written();
        let Phase::Moving(moving) = &mut owned.phase else {
            return;
        };
        match moving.step {
            Step::Checking if written => {
                // The target has not got it: nobody else will, once this is written.
                self.counters.handovers_failed += u64::from(!moving.tried.is_empty());
                moving.step = Step::Reclaiming;
                moving.until = time.now + PATIENCE;
                moving.claim = false;
                owned.claim();
                self.write(time, key);
            }
            Step::Settling | Step::Reclaiming if written => self.offer(time, key),
            _ => {}
        }
    }

    fn offer(&mut self, time: Time, key: usize) {
        let Some(targets) = self.drain.as_ref().and_then(|drain| drain.targets.clone()) else {
            // Forgotten since another room's move began: nothing of this one is under way.
            return self.stay(time, key);
        };
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let Phase::Moving(moving) = &mut owned.phase else {
            return;
        };
        let target =
            targets.into_iter().filter(|target| !moving.tried.contains(&target.boot)).min_by_key(|target| target.rooms);
        if target.is_none() && !moving.checked {
            // Seats wait in the record: it has to be there, whatever has become of the directory.
            return self.check_move(time, key);
        }
        let (Some(target), Some(record)) = (target, owned.stored().cloned()) else {
            return self.abandon(time, key, ErrorCode::ShuttingDown);
        };
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        if let Phase::Moving(moving) = &mut owned.phase {
            moving.tried.push(target.boot);
            moving.until = time.now + PATIENCE;
            moving.step = Step::Offering(target.clone());
        }
        let room = owned.room.id;
        let snapshot = owned.room.snapshot(owned.ownership, &record, time.now);
        if let Some(drain) = &mut self.drain
            && let Some(targets) = &mut drain.targets
        {
            // The next room goes to another one, if they are alike.
            targets
                .iter_mut()
                .filter(|other| other.boot == target.boot)
                .for_each(|chosen| chosen.rooms = chosen.rooms.saturating_add(1));
        }
        if self.reach(time, target.boot, &target.peer) {
            self.peers.send_or_queue(target.boot, &Frame::Offer { room, snapshot });
            self.arm_room(time, key);
        } else {
            self.check_move(time, key);
        }
    }

    pub(super) fn offer_answered(
        &mut self,
        time: Time,
        from: PodBoot,
        room: RoomId,
        basis: Ownership,
        taken: Option<Owner>,
    ) {
        let Some(key) = self.owned_key(room) else {
            return;
        };
        let Some(owned) = self.rooms.get(key).filter(|owned| owned.ownership == basis) else {
            return;
        };
        let offered =
            matches!(&owned.phase, Phase::Moving(Move { step: Step::Offering(target), .. }) if target.boot == from);
        match taken {
            Some(owner) if owner.ownership > owned.ownership => self.yield_to(time, key, owner),
            None if offered => self.check_move(time, key),
            _ => {}
        }
    }

    pub(super) fn move_due(&mut self, time: Time, key: usize) {
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let Phase::Moving(moving) = &mut owned.phase else {
            return;
        };
        // What passed its time during a freeze has to wait for the record like all else.
        if moving.until > time.now || owned.unconfirmed.is_some() {
            return;
        }
        match moving.step {
            Step::Offering(_) => self.check_move(time, key),
            // A target may have it.
            Step::Checking | Step::Reclaiming if !moving.tried.is_empty() => {
                self.abandon(time, key, ErrorCode::Unavailable);
            }
            Step::Settling | Step::Checking | Step::Reclaiming => self.stay(time, key),
        }
    }

    /// The directory is away, and no other pod can have the room: it goes on here until targets are told again.
    fn stay(&mut self, time: Time, key: usize) {
        if let Some(drain) = &mut self.drain {
            drain.targets = None;
        }
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        if let Phase::Moving(Move { claim: true, .. }) = std::mem::replace(&mut owned.phase, Phase::Serving) {
            owned.claim();
        }
        self.write(time, key);
        self.ready_again(time, key);
        self.arm_room(time, key);
    }

    /// The target does not take the room, or there is none: what the record says is looked at before anything else is tried.
    fn check_move(&mut self, time: Time, key: usize) {
        if let Some(owned) = self.rooms.get_mut(key)
            && let Phase::Moving(moving) = &mut owned.phase
        {
            let before = std::mem::replace(&mut moving.step, Step::Checking);
            moving.until = time.now + PATIENCE;
            moving.checked = true;
            if let Step::Offering(target) = before {
                let room = owned.room.id;
                self.log(Notice::MoveFailed { room, to: target.pod_id });
            }
            self.read_own_record(time, key);
            self.arm_room(time, key);
        }
    }

    /// The link to the process with `boot` is down, or it cannot be reached.
    pub(super) fn move_peer_away(&mut self, time: Time, boot: PodBoot) {
        for key in self.moves_to(|target| target.boot == boot) {
            self.check_move(time, key);
        }
    }

    fn moves_to(&self, is: impl Fn(&Target) -> bool) -> Vec<usize> {
        let moves = self.rooms.iter().filter(
            |(_, owned)| matches!(&owned.phase, Phase::Moving(Move { step: Step::Offering(target), .. }) if is(target)),
        );
        moves.map(|(key, _)| key).collect()
    }

    /// The room stays in the directory for whoever is asked for it next; those who are in it are told to come again.
    fn abandon(&mut self, time: Time, key: usize, code: ErrorCode) {
        let Some(mut owned) = self.disown(key) else {
            return;
        };
        let room = owned.room.id;
        self.counters.handovers_failed += 1;
        self.log(Notice::GivenUp { room });
        for seat in &owned.room.seats {
            match seat.reach {
                Some(Reach::Local(id)) => {
                    if let Some(session) = self.session_mut(id) {
                        session.place = Place::Outside;
                    }
                    self.fail(time, id, code);
                }
                Some(Reach::Guest(guest)) => self.end_guest(guest, code),
                None => {}
            }
        }
        for waiter in owned.waiters.drain(..) {
            self.turn_away(time, &waiter, code);
        }
        for resuming in owned.resuming.drain(..) {
            self.refuse_entry(time, resuming.asked, code);
        }
        for answer in owned.take_answers() {
            if let super::ownership::Answer::Left { asked, quit } = answer {
                match asked.by {
                    Reach::Local(_) => self.left_anyway(time, room, asked, quit),
                    Reach::Guest(guest) => self.end_guest(guest, code),
                }
            }
        }
        self.refuse_frames(std::mem::take(&mut owned.frames));
    }

    /// Clients that can be told where to go need not wait for the balancers.
    pub(super) fn goes_at_once(&self, mode: OnWrongPod) -> bool {
        self.drain.is_some() && mode == OnWrongPod::Redirect
    }
}
