//! Planned moves, at the source: a room is handed to another pod, or goes on here until it can be. Pure: no I/O.
//!
//! The source freezes the room, settles its record, offers a snapshot; the target swaps the record in and then serves; the
//! source yields. Whatever fails in between, the record says whose the room is (docs/architecture.md, Ownership): until it has been read, the
//! room stands still.

use super::{Ended, Hub, PodBoot, RoomId};
use crate::hub::Notice;
use crate::hub::context::Context;
use crate::hub::ownership::{Answer, Owned, PATIENCE, Phase};
use crate::hub::remote_members::refuse_frames;
use crate::hub::session::Place;
use crate::ids::{Reach, Time};
use crate::lease::Target;
use crate::peer_protocol::Frame;
use crate::protocol::{ErrorCode, Ownership};
use crate::record::Owner;

#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// The write under way is settled.
    Settling,
    /// The target has been offered the room.
    Offering,
    /// The target has not taken it: the record is read.
    Checking,
    /// It is still mine: it is claimed again, so that a late swap fails.
    Reclaiming,
}

/// A room on its way to another pod.
#[derive(Debug)]
pub struct Move {
    step: Step,
    target: Target,
    pub until: u64,
    /// The target has been offered the room, and may have taken it.
    tried: bool,
    /// The lease was lost while the record was not to be written: the room is claimed again if it stays.
    claim: bool,
}

impl Move {
    /// The record is not to be written: the target may be swapping it.
    pub fn offered(&self) -> bool {
        matches!(self.step, Step::Offering | Step::Checking)
    }

    /// Whether the room was offered to this pod.
    pub fn tried(&self, boot: PodBoot) -> bool {
        self.tried && self.target.boot == boot
    }

    /// The record turned out to be another than was offered, and not the target's. True: the room is claimed again with what is
    /// written now.
    pub fn starts_over(&mut self, now: u64) -> bool {
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
    /// Begins as many moves as the other pods' answers allow.
    pub(in crate::hub) fn move_rooms(&mut self, time: Time) {
        self.link_targets(time);
        if let Some(drain) = self.drain.as_mut().filter(|drain| drain.waiting.is_empty()) {
            let ready = self.rooms.iter().filter(|(_, owned)| owned.can_move()).map(|(_, owned)| owned.room.id);
            drain.waiting = ready.collect();
        }
        self.next_moves(time);
    }

    /// As before, of the rooms that are known to wait.
    fn next_moves(&mut self, time: Time) {
        // What stays at once is offered again later.
        for _ in 0..self.drain.as_ref().map_or(0, |drain| drain.waiting.len()) {
            let Hub { drain, rooms, context: Context { peers, directory_answers, .. }, .. } = self;
            let Some(drain) = drain.as_mut().filter(|drain| time.now < drain.deadline && *directory_answers) else {
                return;
            };
            let ready = |room: &RoomId| {
                let key = rooms.key(*room);
                key.filter(|key| rooms.get(*key).is_some_and(Owned::can_move))
            };
            while drain.waiting.front().is_some_and(|room| ready(room).is_none()) {
                drain.waiting.pop_front();
            }
            let Some((room, key)) = drain.waiting.front().and_then(|room| Some((*room, ready(room)?))) else {
                return;
            };
            let Some(target) = drain.targets.choose(time.now, peers.linked(), drain.dialling) else {
                return;
            };
            drain.waiting.pop_front();
            drain.offers.insert(room, (target.boot, None));
            self.start_move(time, key, target);
        }
    }

    /// A room is offered over a link that is there, so that it does not stand still for as long as a dial takes.
    fn link_targets(&mut self, time: Time) {
        let listed = self.drain.iter().flat_map(|drain| drain.targets.all_listed());
        let absent = listed.filter(|target| !self.context.peers.is_up(target.boot));
        let mut dialling = false;
        for (boot, peer) in absent.map(|target| (target.boot, target.peer.clone())).collect::<Vec<_>>() {
            dialling |= self.context.reach(time, boot, &peer);
        }
        if let Some(drain) = &mut self.drain {
            drain.dialling = dialling;
        }
    }

    fn start_move(&mut self, time: Time, key: usize, target: Target) {
        if let Some(owned) = self.rooms.get_mut(key) {
            let (step, until) = (Step::Settling, time.now + PATIENCE);
            owned.phase = Phase::Moving(Move { step, target, until, tried: false, claim: false });
        }
        self.write(time, key);
        self.move_settled(time, key);
        self.arm_room(time, key);
    }

    /// What the directory has is known, and perhaps as it should be.
    pub(in crate::hub) fn move_settled(&mut self, time: Time, key: usize) {
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let (written, known) = (owned.is_written(), owned.is_known());
        let Phase::Moving(moving) = &mut owned.phase else {
            return;
        };
        match moving.step {
            Step::Checking if known => {
                // The target has not got it: nobody else will, once this is written.
                self.context.counters.handovers_failed += 1;
                moving.step = Step::Reclaiming;
                moving.until = time.now + PATIENCE;
                moving.claim = false;
                owned.claim();
                self.write(time, key);
            }
            Step::Settling if written => self.offer(time, key),
            Step::Reclaiming if written => self.stay(time, key),
            _ => {}
        }
    }

    fn offer(&mut self, time: Time, key: usize) {
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let (room, record) = (owned.room.id, owned.stored().cloned());
        let Phase::Moving(moving) = &mut owned.phase else {
            return;
        };
        let boot = moving.target.boot;
        let offer = self.drain.as_mut().and_then(|drain| drain.offers.get_mut(&room));
        let (Some(record), Some((_, sent)), true) = (record, offer, self.context.peers.is_up(boot)) else {
            return self.stay(time, key);
        };
        *sent = Some(time.now);
        (moving.step, moving.until, moving.tried) = (Step::Offering, time.now + PATIENCE, true);
        let snapshot = owned.room.snapshot(owned.ownership, &record, time.now);
        self.context.peers.send(boot, &Frame::MigrateOffer { room, snapshot });
        self.arm_room(time, key);
    }

    pub(in crate::hub) fn offer_answered(
        &mut self,
        time: Time,
        from: PodBoot,
        room: RoomId,
        basis: Ownership,
        taken: Option<Owner>,
    ) {
        let Some(key) = self.rooms.key(room) else {
            return;
        };
        let Some(owned) = self.rooms.get(key).filter(|owned| owned.ownership == basis) else {
            return;
        };
        let offering = |moving: &Move| moving.step == Step::Offering && moving.target.boot == from;
        let offered = matches!(&owned.phase, Phase::Moving(moving) if offering(moving));
        match taken {
            Some(owner) if owner.ownership > owned.ownership => {
                if let Some(drain) = &mut self.drain {
                    let took = |sent: Option<u64>| Ended::Taken(time.now.saturating_sub(sent.unwrap_or(time.now)));
                    drain.offer_ended(room, took);
                }
                self.yield_to(time, key, owner);
                self.next_moves(time);
            }
            None if offered => self.check_move(time, key),
            _ => {}
        }
    }

    pub(in crate::hub) fn move_due(&mut self, time: Time, key: usize) {
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
            Step::Offering => self.check_move(time, key),
            Step::Settling => {
                self.context.directory_answers = false;
                self.stay(time, key);
            }
            // The target may have it: the directory is asked until it says so.
            Step::Checking | Step::Reclaiming => moving.until = time.now + PATIENCE,
        }
    }

    /// No other pod has the room, nor will have: it goes on here until it is offered again.
    fn stay(&mut self, time: Time, key: usize) {
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let room = owned.room.id;
        if let Phase::Moving(Move { claim: true, .. }) = std::mem::replace(&mut owned.phase, Phase::Serving) {
            owned.claim();
        }
        if let Some(drain) = &mut self.drain {
            drain.offer_ended(room, |_| Ended::Void);
            drain.waiting.push_back(room);
        }
        self.write(time, key);
        self.ready_again(time, key);
        self.arm_room(time, key);
    }

    /// The target does not take the room: what the record says is looked at before anything else.
    fn check_move(&mut self, time: Time, key: usize) {
        if let Some(owned) = self.rooms.get_mut(key)
            && let Phase::Moving(moving) = &mut owned.phase
        {
            moving.step = Step::Checking;
            moving.until = time.now + PATIENCE;
            let (room, to) = (owned.room.id, moving.target.pod_id.clone());
            if let Some(drain) = &mut self.drain {
                drain.offer_ended(room, |_| Ended::Failed(time.now));
            }
            self.context.log(Notice::MoveFailed { room, to });
            self.read_own_record(time, key);
            self.arm_room(time, key);
        }
    }

    pub(in crate::hub) fn move_peer_away(&mut self, time: Time, boot: PodBoot) {
        let offering = |moving: &Move| moving.step == Step::Offering && moving.target.boot == boot;
        let moves = self.rooms.iter();
        let moves = moves.filter(|(_, owned)| matches!(&owned.phase, Phase::Moving(moving) if offering(moving)));
        for key in moves.map(|(key, _)| key).collect::<Vec<_>>() {
            self.check_move(time, key);
        }
    }

    /// The room has left this hub, in whatever way.
    pub(in crate::hub) fn move_is_over(&mut self, room: RoomId) {
        if let Some(drain) = &mut self.drain {
            drain.offer_ended(room, |_| Ended::Void);
        }
    }

    /// The room stays in the directory for whoever is asked for it next; those who are in it are told to come again.
    pub(super) fn abandon(&mut self, time: Time, key: usize, code: ErrorCode) {
        let Some(mut owned) = self.disown(key) else {
            return;
        };
        let room = owned.room.id;
        self.context.counters.handovers_failed += 1;
        self.context.log(Notice::GivenUp { room });
        for seat in &owned.room.seats {
            match seat.reach {
                Some(Reach::Local(id)) => {
                    if let Some(session) = self.sessions.get_mut(id) {
                        session.place = Place::Outside;
                    }
                    self.fail(time, id, code);
                }
                Some(Reach::Remote(member)) => self.remote_members.end(&mut self.context.peers, member, code, true),
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
            if let Answer::Left { asked, .. } = answer {
                // The record may hold the seat still, and so the next owner: nobody has left.
                self.refuse(time, asked, ErrorCode::Unavailable);
                match asked.by {
                    Reach::Local(id) => self.fail(time, id, code),
                    Reach::Remote(member) => self.remote_members.end(&mut self.context.peers, member, code, true),
                }
            }
        }
        refuse_frames(&mut self.context, std::mem::take(&mut owned.frames));
    }
}
