//! A draining pod, as one thread sees it: its rooms go to other pods, and its clients after them. Pure: no I/O.
//!
//! Rooms go as fast as the other pods answer (`pace.rs`), each as `moving.rs` says; what is not taken goes on here and is offered
//! again, until the deadline. Clients go one after the other, spread over what the deadline leaves.

mod incoming;
mod outgoing;
mod pace;
mod release;
mod target;

use std::collections::{HashMap, VecDeque};

use super::session::Place;
use super::{Hub, Timer};
use crate::ids::{SessionId, Time};
use crate::lease::Target;
use crate::protocol::{ErrorCode, OnWrongPod, PodBoot, RoomId};

pub use incoming::IncomingMoves;
pub use outgoing::Move;
use pace::{Ended, Targets};

/// Balancers are slow to learn that a pod is going: for so long it is as good as any other (ms).
const KEEP_RELAYING: u64 = 5_000;
/// How often a draining hub looks for what it can do next (ms). Moves go on by their answers meanwhile.
const STEP: u64 = 100;
/// How much longer a client that is to go may take to finish a line (ms).
const FINISH_LINE: u64 = 1_000;
/// The last client is sent away so long before the deadline (ms).
const BEFORE_DEADLINE: u64 = 2_000;
/// So many clients may go at once; with more, each lengthens the time over which all are spread (ms).
const AT_ONCE: usize = 5;
const APART: u64 = 200;

/// A draining pod.
#[derive(Debug)]
pub struct Drain {
    since: u64,
    deadline: u64,
    /// The most clients that were here at once since then.
    crowd: usize,
    targets: Targets,
    /// It has named no other pod.
    alone: bool,
    /// One that it names is being linked.
    dialling: bool,
    /// Rooms that can be offered next; what has come since is found by the next look.
    waiting: VecDeque<RoomId>,
    /// Rooms on their way: to which pod, and when they were offered to it.
    offers: HashMap<RoomId, (PodBoot, Option<u64>)>,
    /// Every record has been looked at for the last time.
    checked: bool,
}

impl Drain {
    /// When this client is to go, of those that may go from `from` on.
    fn turn(&self, id: SessionId, from: u64) -> u64 {
        let left = (self.deadline.saturating_sub(BEFORE_DEADLINE)).saturating_sub(from);
        let span = left.min(self.crowd.saturating_sub(AT_ONCE) as u64 * APART);
        // Multiples of the golden ratio lie evenly in every stretch, however many there are.
        from + ((u64::from(id.index.wrapping_mul(0x9E37_79B9)) * span) >> 32)
    }

    /// `how`: told when the room was offered.
    fn offer_ended(&mut self, room: RoomId, how: impl FnOnce(Option<u64>) -> Ended) {
        if let Some((boot, sent)) = self.offers.remove(&room) {
            self.targets.ended(boot, how(sent));
        }
    }
}

impl Hub {
    pub(super) fn start_drain(&mut self, time: Time, deadline: u64) {
        if self.drain.is_none() {
            self.drain = Some(Drain {
                since: time.now,
                deadline,
                crowd: self.sessions.len(),
                targets: Targets::default(),
                alone: false,
                dialling: false,
                waiting: VecDeque::new(),
                offers: HashMap::new(),
                checked: false,
            });
            // What it answered long ago says nothing.
            self.context.directory_answers = false;
            self.context.arm(time.now + STEP, Timer::Drain);
        }
    }

    pub(super) fn set_targets(&mut self, time: Time, targets: Vec<Target>) {
        self.context.directory_answers = true;
        if let Some(drain) = &mut self.drain {
            drain.alone = targets.is_empty();
            drain.targets.listed(targets);
            self.drain_due(time);
        }
    }

    /// This client is sent on to another pod now.
    pub(super) fn drain_sends_away(&self, time: Time, id: SessionId) -> bool {
        self.drain.as_ref().is_some_and(|drain| time.now >= drain.turn(id, drain.since + KEEP_RELAYING))
    }

    /// Who can be told where to go need not wait for the balancers.
    pub(super) fn goes_at_once(&self, time: Time, id: SessionId, mode: OnWrongPod) -> bool {
        let turn = |drain: &Drain| time.now >= drain.turn(id, drain.since);
        mode == OnWrongPod::Redirect && self.drain.as_ref().is_some_and(turn)
    }

    /// Whoever is in the middle of a line may finish it.
    pub(super) fn drain_is_patient(&self, time: Time, id: SessionId) -> bool {
        let turn = |drain: &Drain| drain.turn(id, drain.since + KEEP_RELAYING);
        self.drain.as_ref().is_none_or(|drain| time.now < turn(drain) + FINISH_LINE)
    }

    pub(super) fn drain_due(&mut self, time: Time) {
        let Some(drain) = &mut self.drain else {
            return;
        };
        drain.crowd = drain.crowd.max(self.sessions.len());
        let over = time.now >= drain.deadline;
        let checks = time.now + BEFORE_DEADLINE >= drain.deadline && !drain.checked;
        drain.checked |= checks;
        if over {
            let rooms: Vec<usize> = self.rooms.iter().map(|(key, _)| key).collect();
            for key in rooms {
                self.abandon(time, key, ErrorCode::ShuttingDown);
            }
        } else {
            self.end_alone(time);
            self.move_rooms(time);
            if checks {
                // Seats wait in the records for those who take the rooms over: they have to be there.
                self.check_all(time);
            }
        }
        self.send_clients_away(time, over);
        if !self.drained() {
            // On round times only, so that there is one timer however often the targets are told.
            self.context.arm((time.now / STEP + 1) * STEP, Timer::Drain);
        }
    }

    fn send_clients_away(&mut self, time: Time, over: bool) {
        let sessions: Vec<SessionId> = self.sessions.iter().map(|session| session.id).collect();
        for id in sessions {
            let Some(session) = self.sessions.get(id) else {
                continue;
            };
            match session.place {
                Place::Closing => {}
                _ if over => self.fail(time, id, ErrorCode::ShuttingDown),
                Place::Relayed(_) => self.leave_if_idle(time, id),
                Place::Outside if self.drain_sends_away(time, id) && session.quiet(self.drain_is_patient(time, id)) => {
                    self.fail_quietly(time, id, Some(ErrorCode::ShuttingDown));
                }
                _ => {}
            }
        }
    }

    /// Where there is no other pod, a room that nobody is connected to need not wait for one.
    fn end_alone(&mut self, time: Time) {
        if self.context.directory_answers
            && self.context.peers.is_alone()
            && self.drain.as_ref().is_some_and(|drain| drain.alone)
        {
            let idle = self.rooms.iter().filter(|(_, owned)| owned.is_deserted()).map(|(key, _)| key);
            for key in idle.collect::<Vec<_>>() {
                self.abandon(time, key, ErrorCode::ShuttingDown);
            }
        }
    }
}
