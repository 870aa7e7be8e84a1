//! How a room leaves this pod while that lives: released to a higher owner as `release.rs` plans it, or given up at the deadline. Pure: no I/O.

use super::release::{LeavingSeat, Release, ReleaseStep, Unfinished};
use crate::hub::ownership::PendingAnswer;
use crate::hub::remote_members::refuse_frames;
use crate::hub::session::Place;
use crate::hub::{Hub, Notice};
use crate::ids::Time;
use crate::protocol::{ErrorCode, RoomId};
use crate::record::Owner;

impl Hub {
    /// Releases the room to `owner`, whose ownership is higher.
    pub(in crate::hub) fn release_to(&mut self, time: Time, key: usize, owner: Owner) {
        let Some(mut owned) = self.disown(key) else {
            return;
        };
        let room = owned.room.id;
        self.context.counters.releases += 1;
        // Its answer may have been lost, and the record tells.
        if owned.moving().is_some_and(|moving| moving.tried(owner.ownership.boot)) {
            self.context.counters.outgoing_migrations += 1;
        }
        self.context.log(Notice::Released { room, to: owner.pod_id.clone(), epoch: owner.ownership.epoch });
        self.learn(time, room, &owner);
        let answers = owned.take_answers();
        let unfinished = Unfinished { answers, resuming: owned.resuming, waiters: owned.waiters, frames: owned.frames };
        let leaving = |id| match self.sessions.get(id)?.place {
            Place::Leaving { name, seat, resumable } => Some(LeavingSeat { name, seat, resumable }),
            _ => None,
        };
        let steps = Release::plan(time.now, self.context.me.ownership.boot, &owned.room, unfinished, leaving);
        for step in steps {
            self.take_release_step(time, room, &owner, step);
        }
    }

    fn take_release_step(&mut self, time: Time, room: RoomId, owner: &Owner, step: ReleaseStep) {
        match step {
            ReleaseStep::Relay { session, membership, command } => {
                let Self { relays, sessions, context, outgoing, .. } = self;
                relays.follow(sessions, context, time, session, (room, membership), !outgoing.is_draining());
                if let Some((number, command)) = command {
                    sessions.relay_command(context, session, number, Ok(command));
                }
            }
            ReleaseStep::SendAway { to, processed } => {
                self.remote_members.send_away(&mut self.context.peers, to, owner.clone(), processed);
            }
            ReleaseStep::PassOn(frame) => self.context.peers.send(owner.ownership.boot, &frame),
            ReleaseStep::LookFor(waiter) => self.look_for(time, room, waiter),
            ReleaseStep::Follow(session) => self.find_owner(time, session, true),
            ReleaseStep::Refuse(frames) => refuse_frames(&mut self.context, frames),
        }
    }

    /// The room stays in the directory for whoever is asked for it next; those who are in it are told to come again.
    pub(super) fn abandon(&mut self, time: Time, key: usize, code: ErrorCode) {
        let Some(mut owned) = self.disown(key) else {
            return;
        };
        let room = owned.room.id;
        self.context.counters.outgoing_migrations_failed += 1;
        self.context.log(Notice::GivenUp { room });
        for reach in owned.room.seats().iter().filter_map(|seat| seat.reach) {
            self.end_unseated(time, reach, code);
        }
        for waiter in owned.waiters.drain(..) {
            self.turn_away(time, &waiter, code);
        }
        for resuming in owned.resuming.drain(..) {
            self.refuse_entry(time, resuming.asked, code);
        }
        for answer in owned.take_answers() {
            if let PendingAnswer::Left { asked, .. } = answer {
                // The record may hold the seat still, and so the next owner: nobody has left.
                self.refuse(asked, ErrorCode::Unavailable);
                self.end_unseated(time, asked.by, code);
            }
        }
        refuse_frames(&mut self.context, std::mem::take(&mut owned.frames));
    }
}
