//! How a room leaves a living pod: released to a higher owner as `release.rs` plans, or abandoned at the deadline. Pure: no I/O.

use std::time::Duration;

use super::release::{Release, ReleaseStep};
use crate::hub::ownership::{ClaimedSeat, PendingAnswer, Unfinished};
use crate::hub::remote_members::refuse_frames;
use crate::hub::session::SessionState;
use crate::hub::{Hub, Notice};
use crate::ids::{RoomIndex, Time};
use crate::peer_protocol::Frame;
use crate::protocol::{ErrorCode, RoomId};
use crate::record::Owner;

impl Hub {
    /// Releases the room to `owner`, whose ownership is higher.
    pub(in crate::hub) fn release_to(&mut self, time: Time, index: RoomIndex, owner: Owner) {
        let Some(mut owned) = self.disown(index) else {
            return;
        };
        let room = owned.room.id;
        self.context.counters.releases += 1;
        // The target's answer may have been lost; the record shows that it has the room.
        let planned = owned.moving().filter(|moving| moving.tried(owner.ownership.boot));
        // Clients keep the connection that they have, for as long as this pod lives: it drains, or only gives rooms away.
        let is_planned = planned.is_some();
        let redirect = planned.is_none() && !self.outgoing.is_draining();
        if let Some(moving) = planned {
            self.context.counters.outgoing_migrations += 1;
            self.context.counters.migration_time.observe(Duration::from_millis(moving.took(time.now)));
        }
        self.count_departure(time);
        self.context.log(Notice::Released { room, to: owner.pod_id.clone(), epoch: owner.ownership.epoch });
        self.learn(time, room, &owner);
        let seats = owned.room.inherited().to_vec();
        if !seats.is_empty() {
            self.context.peers.send(owner.ownership.boot, &Frame::Inherited { room, seats });
        }
        let unfinished = owned.take_unfinished();
        // Another owner may have let the client in by it, unless this pod gave the room away.
        for claim in unfinished.claims.iter().filter(|_| is_planned) {
            self.give_token_back(room, claim);
        }
        let leaving = |id| match &self.sessions.get(id)?.state {
            SessionState::Leaving(seat) => Some(**seat),
            _ => None,
        };
        let steps = Release::plan(time.now, owned.ownership(), &owned.room, unfinished, leaving);
        for step in steps {
            self.take_release_step(time, room, &owner, redirect, step);
        }
    }

    /// `redirect`: a client that follows redirects is sent to the new owner.
    fn take_release_step(&mut self, time: Time, room: RoomId, owner: &Owner, redirect: bool, step: ReleaseStep) {
        match step {
            ReleaseStep::Relay { session, membership, command } => {
                let Self { relays, sessions, context, .. } = self;
                if let Some(waiting) = sessions.get_mut(session) {
                    waiting.waits_for_record = false;
                }
                relays.follow(sessions, context, time, session, (room, membership), redirect);
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
            ReleaseStep::InDoubt(asked) => self.refuse(asked, ErrorCode::Unavailable),
            ReleaseStep::Refuse(frames) => refuse_frames(&mut self.context, frames),
        }
    }

    /// A room has left this pod, which may drain.
    fn count_departure(&mut self, time: Time) {
        if let Some(took) = self.outgoing.drains_for(time.now) {
            self.context.counters.drain_time.observe(Duration::from_millis(took));
        }
    }

    /// Abandons the room: it stays in the directory until a client asks another pod for it, and its members are disconnected with `code`.
    pub(super) fn abandon(&mut self, time: Time, index: RoomIndex, code: ErrorCode) {
        let Some(mut owned) = self.disown(index) else {
            return;
        };
        let room = owned.room.id;
        self.context.counters.outgoing_migrations_failed += 1;
        self.count_departure(time);
        self.context.log(Notice::GivenUp { room });
        for reach in owned.room.seats().iter().filter_map(|seat| seat.reach) {
            self.end_unseated(time, reach, code);
        }
        let Unfinished { answers, resumes, waiters, frames, claims } = owned.take_unfinished();
        for claim in claims {
            self.give_token_back(room, &claim);
            if let ClaimedSeat::Own { .. } = claim.of {
                self.refuse_entry(time, claim.asked, code);
            }
        }
        for waiter in waiters {
            self.turn_away(time, &waiter, code);
        }
        for resume in resumes {
            self.refuse_entry(time, resume.asked, code);
        }
        for answer in answers {
            if let PendingAnswer::Called { asked, .. } = answer {
                self.refuse_entry(time, asked, code);
            } else if let PendingAnswer::Left { asked, .. } = answer {
                // The record may still have the seat, and so may the next owner: nobody has left.
                self.refuse(asked, ErrorCode::Unavailable);
                self.end_unseated(time, asked.by, code);
            }
        }
        refuse_frames(&mut self.context, frames);
    }
}
