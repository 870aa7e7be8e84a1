//! How a room leaves a living pod, planned or not: what becomes of everybody who is in it or waits for it. Pure: no I/O, and knows no hub.
//!
//! Clients that are connected here become relayed sessions; those that other pods relay are told to go to the new owner
//! themselves, so that no session crosses two links. Commands that were not carried out go along.

use crate::hub::ownership::PendingAnswer;
use crate::hub::request::{Asked, Entry, Resuming, Waiter};
use crate::ids::{Reach, SessionId, SessionRef};
use crate::peer_protocol::{Drop, Frame};
use crate::protocol::{Command, Heard, PlayerName, PodBoot, SeatId};
use crate::room::{Delivered, Membership, Room, Seat, SeatState};

/// One step of a release: `Hub::take_release_step` takes them in order.
#[derive(Debug)]
pub enum ReleaseStep {
    /// A client that is connected here: its session is relayed from now on. `command`: what it has asked and not been answered, with its
    /// number for it.
    Relay { session: SessionId, membership: Membership, command: Option<(Option<u64>, Command<'static>)> },
    /// A session of another pod is told of the new owner: its commands after `processed` were not carried out.
    SendAway { to: SessionRef, processed: u64 },
    /// The new owner is told of it.
    PassOn(Frame<'static>),
    /// Somebody who has waited here looks for the room at its new owner.
    LookFor(Waiter),
    /// A session that is relayed now looks for the new owner.
    Follow(SessionId),
    /// Frames that have waited here: those that bring a session are refused.
    Refuse(Vec<(PodBoot, Frame<'static>)>),
}

/// What a room leaves unfinished.
#[derive(Debug)]
pub struct Unfinished {
    /// Answers that have waited for a write.
    pub answers: Vec<PendingAnswer>,
    pub resuming: Vec<Resuming>,
    pub waiters: Vec<Waiter>,
    pub frames: Vec<(PodBoot, Frame<'static>)>,
}

/// A client that is connected here and leaves the room: what its seat was, as its session knows it.
#[derive(Debug, Clone, Copy)]
pub struct LeavingSeat {
    pub name: PlayerName,
    pub seat: SeatId,
    pub resumable: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Release<'a> {
    now: u64,
    /// This pod.
    me: PodBoot,
    room: &'a Room,
    steps: Vec<ReleaseStep>,
}

impl<'a> Release<'a> {
    /// The steps by which `room` is released. `leaving`: the seat of a session whose LEAVE or QUIT waits for its answer.
    pub fn plan(
        now: u64,
        me: PodBoot,
        room: &'a Room,
        unfinished: Unfinished,
        leaving: impl Fn(SessionId) -> Option<LeavingSeat>,
    ) -> Vec<ReleaseStep> {
        let Unfinished { answers, resuming, waiters, frames } = unfinished;
        let mut release = Self { now, me, room, steps: Vec::new() };
        room.seats().iter().for_each(|seat| release.seat(seat));
        for answer in answers {
            match answer {
                // Where its seat has gone meanwhile, it has been answered.
                PendingAnswer::Joined { asked, seat, entry, since, .. } if room.seat(seat).is_some() => {
                    release.entry(asked, entry, since);
                }
                PendingAnswer::Left { asked, quit } => release.leaving(asked, quit, &leaving),
                PendingAnswer::Joined { .. } | PendingAnswer::Exited { .. } => {}
            }
        }
        for Resuming { asked, entry, since, .. } in resuming {
            release.entry(asked, entry, since);
        }
        release.steps.extend(waiters.into_iter().map(ReleaseStep::LookFor));
        release.follow();
        release.frames(frames);
        release.steps
    }

    fn seat(&mut self, seat: &Seat) {
        let membership = Membership {
            name: seat.name,
            seat: seat.id,
            resumable: seat.resumable,
            key: seat.key,
            timeline: self.room.timeline(),
            position: self.room.position(),
            seq: self.room.seq(),
        };
        self.steps.extend(match (seat.state, seat.reach) {
            (SeatState::Live, Some(Reach::Local(session))) => {
                Some(ReleaseStep::Relay { session, membership, command: None })
            }
            (SeatState::Live, Some(Reach::Remote(to))) => Some(ReleaseStep::SendAway { to, processed: seat.processed }),
            (SeatState::Live, None) => None,
            _ => self.ended_client(seat).map(ReleaseStep::PassOn),
        });
    }

    /// A client of this pod whose connection has ended since the room began to move: the new owner waits for it.
    fn ended_client(&self, seat: &Seat) -> Option<Frame<'static>> {
        let (SeatState::Detached { .. }, Some(holder), Delivered::UpTo(last_seq)) =
            (seat.state, seat.holder, seat.delivered)
        else {
            return None;
        };
        let heard = Some(Heard { timeline: self.room.timeline(), last_seq });
        let (room, relay, entry) = (self.room.id, holder.relay, Some(holder.boot));
        (holder.boot == self.me).then_some(Frame::Closed { room, relay, drop: Drop::Lost, heard, entry })
    }

    /// A JOIN or RESUME that was not answered is asked again at the new owner.
    fn entry(&mut self, asked: Asked, entry: Entry, since: u64) {
        self.steps.push(match asked.by {
            Reach::Local(id) => ReleaseStep::LookFor(Waiter::entering(id, asked.id, entry, since).again(self.now)),
            Reach::Remote(to) => ReleaseStep::SendAway { to, processed: 0 },
        });
    }

    /// A LEAVE or QUIT that was not answered is asked again at the new owner, who may still have the seat.
    fn leaving(&mut self, asked: Asked, quit: bool, leaving: impl Fn(SessionId) -> Option<LeavingSeat>) {
        match asked.by {
            Reach::Local(session) => {
                if let Some(LeavingSeat { name, seat, resumable }) = leaving(session) {
                    let (timeline, (position, seq)) = (self.room.timeline(), self.room.place());
                    // It ends: nobody joins it by its key.
                    let membership = Membership { name, seat, resumable, key: None, timeline, position, seq };
                    let command = Some((asked.id, if quit { Command::Quit } else { Command::Leave }));
                    self.steps.push(ReleaseStep::Relay { session, membership, command });
                }
            }
            Reach::Remote(to) => {
                self.steps.push(ReleaseStep::SendAway { to, processed: asked.number.saturating_sub(1) });
            }
        }
    }

    /// Those that are relayed now attach to the new owner, once all others have been seen to.
    fn follow(&mut self) {
        let relayed = self.steps.iter().filter_map(|step| match step {
            ReleaseStep::Relay { session, .. } => Some(ReleaseStep::Follow(*session)),
            _ => None,
        });
        let follow: Vec<_> = relayed.collect();
        self.steps.extend(follow);
    }

    /// What waits of relayed sessions is in their entry pods as well, and they send it again; but for those that have ended.
    fn frames(&mut self, frames: Vec<(PodBoot, Frame<'static>)>) {
        let mut refused = Vec::new();
        for (from, mut frame) in frames {
            if let Frame::Closed { entry, .. } = &mut frame {
                *entry = entry.or(Some(from));
                self.steps.push(ReleaseStep::PassOn(frame));
            } else {
                refused.push((from, frame));
            }
        }
        self.steps.push(ReleaseStep::Refuse(refused));
    }
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;
