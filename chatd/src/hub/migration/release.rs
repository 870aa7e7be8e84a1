//! Plans a release: what happens to each member and waiter of a room that leaves a living pod, planned or not. Pure: no I/O, and knows no hub.
//!
//! Local members become relayed sessions; remote members go to the new owner through their own entry pod, so that no session
//! crosses two links. Commands that were not carried out go along.

use crate::hub::ownership::{Claim, PendingAnswer, Unfinished};
use crate::hub::request::{Asked, Entry, PendingResume, Waiter};
use crate::hub::session::LeavingSeat;
use crate::ids::{Reach, SessionId, SessionRef};
use crate::peer_protocol::{Disconnect, Frame};
use crate::protocol::{Command, Heard, Ownership, PodBoot};
use crate::room::{Delivered, Membership, Room, Seat, SeatState};
use crate::room_call::RoomCall;

/// One step of a release: `Hub::take_release_step` takes them in order.
#[derive(Debug)]
pub enum ReleaseStep {
    /// Relays a local session to the new owner from now on. `command`: the command without a reply, with
    /// the client's id for it.
    Relay { session: SessionId, membership: Membership, command: Option<(Option<u64>, Command<'static>)> },
    /// Sends the new owner's address to a remote member's entry pod: its commands after `processed` were not carried out.
    SendAway { to: SessionRef, processed: u64 },
    /// Forwards a frame to the new owner.
    PassOn(Frame<'static>),
    /// A waiter searches for the room at its new owner.
    LookFor(Waiter),
    /// A session that is relayed from now on searches for the new owner.
    Follow(SessionId),
    /// Tells a local session that nobody knows what came of its command.
    InDoubt(Asked),
    /// Refuses the queued frames that bring a session.
    Refuse(Vec<(PodBoot, Frame<'static>)>),
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Release<'a> {
    now: u64,
    /// This pod, by the ownership that it had.
    me: Ownership,
    room: &'a Room,
    steps: Vec<ReleaseStep>,
}

impl<'a> Release<'a> {
    /// The steps that release `room`. `leaving`: the seat of a session that waits for the reply to LEAVE or QUIT.
    pub fn plan(
        now: u64,
        me: Ownership,
        room: &'a Room,
        unfinished: Unfinished,
        leaving: impl Fn(SessionId) -> Option<LeavingSeat>,
    ) -> Vec<ReleaseStep> {
        let Unfinished { answers, resumes, waiters, frames, claims } = unfinished;
        let mut release = Self { now, me, room, steps: Vec::new() };
        room.seats().iter().for_each(|seat| release.seat(seat));
        for answer in answers {
            match answer {
                // If the seat is gone meanwhile, the client has its reply.
                PendingAnswer::Joined { asked, seat, entry, since, .. } => {
                    if let Some(seat) = room.seat(seat) {
                        release.joining(asked, seat, entry, since);
                    }
                }
                PendingAnswer::Left { asked, quit } => release.leaving(asked, quit, &leaving),
                PendingAnswer::Kicked { asked, .. } => release.in_doubt(asked),
                PendingAnswer::Refreshed { asked, auth, .. } => {
                    release.asked_again(asked, &Command::Refresh { auth: String::from(auth).into() });
                }
                PendingAnswer::Locked { asked, locked, .. } => release.asked_again(asked, &Command::Lock { locked }),
                PendingAnswer::Called { asked, call, .. } => release.call(asked, call),
                PendingAnswer::Exited { .. } => {}
            }
        }
        for PendingResume { asked, entry, since, .. } in resumes {
            release.entry(asked, entry, since);
        }
        for Claim { asked, entry, since, .. } in claims {
            release.entry(asked, entry, since);
        }
        release.steps.extend(waiters.into_iter().map(ReleaseStep::LookFor));
        release.follow();
        release.frames(frames);
        release.steps
    }

    fn membership(&self, seat: &Seat) -> Membership {
        Membership {
            name: seat.name(),
            seat: seat.id,
            resumable: seat.resumable,
            key: seat.key,
            auth: seat.auth(),
            epoch: self.me.epoch,
            timeline: self.room.timeline(),
            position: self.room.position(),
            seq: self.room.seq(),
        }
    }

    fn seat(&mut self, seat: &Seat) {
        let membership = self.membership(seat);
        self.steps.extend(match (seat.state, seat.reach) {
            (SeatState::Live, Some(Reach::Local(session))) => {
                Some(ReleaseStep::Relay { session, membership, command: None })
            }
            (SeatState::Live, Some(Reach::Remote(to))) => Some(ReleaseStep::SendAway { to, processed: seat.processed }),
            (SeatState::Live, None) => None,
            _ => self.ended_client(seat).map(ReleaseStep::PassOn),
        });
    }

    /// A local client's connection ended after the room began to move: the new owner waits for it.
    fn ended_client(&self, seat: &Seat) -> Option<Frame<'static>> {
        let (SeatState::Detached { .. }, Some(holder), Delivered::UpTo(last_seq)) =
            (seat.state, seat.holder, seat.delivered)
        else {
            return None;
        };
        let heard = Some(Heard { timeline: self.room.timeline(), last_seq });
        let (room, relay, entry) = (self.room.id, holder.relay, Some(holder.boot));
        (holder.boot == self.me.boot).then_some(Frame::Closed {
            room,
            relay,
            disconnect: Disconnect::Lost,
            heard,
            entry,
        })
    }

    /// A new seat whose JOINED waits for the record. One that attached, and had come with a join token, shows none again: it attaches at
    /// the new owner too, as a JOIN without a token would make a player of a viewer.
    fn joining(&mut self, asked: Asked, seat: &Seat, entry: Entry, since: u64) {
        match (asked.by, &entry) {
            (Reach::Local(session), Entry::Join { auth: None, .. }) if seat.auth().is_some() => {
                let membership = self.membership(seat);
                self.steps.push(ReleaseStep::Relay { session, membership, command: None });
            }
            _ => self.entry(asked, entry, since),
        }
    }

    /// A JOIN or RESUME without a reply goes to the new owner.
    fn entry(&mut self, asked: Asked, entry: Entry, since: u64) {
        self.steps.push(match asked.by {
            Reach::Local(id) => ReleaseStep::LookFor(Waiter::entering(id, asked.id, entry, since).again(self.now)),
            Reach::Remote(to) => ReleaseStep::SendAway { to, processed: 0 },
        });
    }

    /// A call without an answer goes to the new owner: it is one that may be carried out again.
    fn call(&mut self, asked: Asked, call: Box<RoomCall>) {
        self.steps.push(match asked.by {
            Reach::Local(id) => ReleaseStep::LookFor(Waiter::calling(id, call, self.now)),
            Reach::Remote(to) => ReleaseStep::SendAway { to, processed: 0 },
        });
    }

    /// A LEAVE or QUIT without a reply goes to the new owner, which may still have the seat.
    fn leaving(&mut self, asked: Asked, quit: bool, leaving: impl Fn(SessionId) -> Option<LeavingSeat>) {
        match asked.by {
            Reach::Local(session) => {
                if let Some(LeavingSeat { name, seat, resumable, auth }) = leaving(session) {
                    let (timeline, (position, seq)) = (self.room.timeline(), self.room.place());
                    // The session is ending: nobody can join it by its join key. Whose it is has to be known: the person may have a seat there.
                    let (key, epoch) = (None, self.me.epoch);
                    let membership = Membership { name, seat, resumable, key, auth, epoch, timeline, position, seq };
                    let command = Some((asked.id, if quit { Command::Quit } else { Command::Leave }));
                    self.steps.push(ReleaseStep::Relay { session, membership, command });
                }
            }
            Reach::Remote(to) => {
                self.steps.push(ReleaseStep::SendAway { to, processed: asked.number.saturating_sub(1) });
            }
        }
    }

    /// A KICK was carried out here, and nobody knows whether the new owner has it: said again there, it might find nobody to end, and
    /// yet no ban. Of a session of another pod that pod says so.
    fn in_doubt(&mut self, asked: Asked) {
        if let Reach::Local(_) = asked.by {
            self.steps.push(ReleaseStep::InDoubt(asked));
        }
    }

    /// A LOCK or REFRESH without a reply goes to the new owner with its session. Of one of another pod that pod says that nobody knows what
    /// came of it.
    fn asked_again(&mut self, asked: Asked, again: &Command<'static>) {
        for step in &mut self.steps {
            if let ReleaseStep::Relay { session, command: command @ None, .. } = step
                && asked.by == Reach::Local(*session)
            {
                *command = Some((asked.id, again.clone()));
            }
        }
    }

    /// The newly relayed sessions attach to the new owner after all other steps.
    fn follow(&mut self) {
        let relayed = self.steps.iter().filter_map(|step| match step {
            ReleaseStep::Relay { session, .. } => Some(ReleaseStep::Follow(*session)),
            _ => None,
        });
        let follow: Vec<_> = relayed.collect();
        self.steps.extend(follow);
    }

    /// Entry pods keep a copy of the queued frames and send them again, except those that end a session.
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
