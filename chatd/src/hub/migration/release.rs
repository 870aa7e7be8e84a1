//! Yielding: the one way in which a room leaves a living pod, planned or not. Pure: no I/O.
//!
//! Clients that are connected here become relayed sessions; those that other pods relay are told to go to the new owner
//! themselves, so that no session crosses two links.

use crate::hub::ownership::{PendingAnswer, Phase};
use crate::hub::relay::Membership;
use crate::hub::remote_members::refuse_frames;
use crate::hub::request::{Asked, Entry, Resuming, Waiter};
use crate::hub::session::Place;
use crate::hub::{Hub, Notice};
use crate::ids::{Reach, SessionId, Time};
use crate::peer_protocol::{Drop, Frame};
use crate::protocol::{Command, Heard, RoomId};
use crate::record::Owner;
use crate::room::{Delivered, Room, Seat, SeatState};

impl Hub {
    /// Gives the room up to `owner`, whose ownership is higher.
    pub(in crate::hub) fn yield_to(&mut self, time: Time, key: usize, owner: Owner) {
        let Some(mut owned) = self.disown(key) else {
            return;
        };
        let room = owned.room.id;
        self.context.counters.yields += 1;
        // Its answer may have been lost, and the record tells.
        let is_move = |moving: &super::Move| moving.tried(owner.ownership.boot);
        if matches!(&owned.phase, Phase::Moving(moving) if is_move(moving)) {
            self.context.counters.handovers += 1;
        }
        self.context.log(Notice::Yielded { room, to: owner.pod_id.clone(), epoch: owner.ownership.epoch });
        self.learn(time, room, &owner);
        let answers = owned.take_answers();
        let mut going: Vec<SessionId> = Vec::new();

        // Those who are seated.
        for seat in &owned.room.seats {
            if seat.state != SeatState::Live {
                self.pass_on_end(&owned.room, seat, &owner);
                continue;
            }
            let membership = Membership {
                name: seat.name,
                seat: seat.id,
                resumable: seat.resumable,
                key: seat.key,
                timeline: owned.room.timeline,
                position: owned.room.position,
                seq: owned.room.seq,
            };
            match seat.reach {
                Some(Reach::Local(id)) => {
                    self.becomes_relayed(time, id, room, membership);
                    going.push(id);
                }
                Some(Reach::Remote(connection)) => {
                    self.remote_members.send_away(&mut self.context.peers, connection, owner.clone(), seat.processed);
                }
                None => {}
            }
        }
        // Those whose answer waited for a write: their commands go along as if they had not been carried out.
        for answer in answers {
            match answer {
                PendingAnswer::Joined { asked, seat, entry, since, .. } => {
                    if owned.room.seat(seat).is_some() {
                        self.enters_elsewhere(time, room, asked, entry, since, &owner);
                    }
                }
                PendingAnswer::Left { asked, quit } => {
                    self.leaves_elsewhere(time, &owned.room, asked, quit, &owner, &mut going);
                }
                PendingAnswer::Exited { .. } => {}
            }
        }
        for Resuming { asked, entry, since, .. } in owned.resuming.drain(..) {
            self.enters_elsewhere(time, room, asked, entry, since, &owner);
        }
        for waiter in owned.waiters.drain(..) {
            self.look_for(time, room, waiter);
        }
        for id in going {
            self.find_owner(time, id, true);
        }
        // What waits of relayed sessions is in their entry pods as well, and they send it again; but for those that have ended.
        for (from, frame) in &mut owned.frames {
            if let Frame::Closed { entry, .. } = frame {
                *entry = entry.or(Some(*from));
                self.context.peers.send(owner.ownership.boot, frame);
            }
        }
        refuse_frames(&mut self.context, std::mem::take(&mut owned.frames));
    }

    /// A client of this pod whose connection has ended since the room began to move: the new owner waits for it.
    fn pass_on_end(&mut self, room: &Room, seat: &Seat, owner: &Owner) {
        if let (SeatState::Detached { .. }, Some(holder), Delivered::UpTo(last_seq)) =
            (seat.state, seat.holder, seat.delivered)
            && holder.boot == self.context.me.ownership.boot
        {
            let heard = Some(Heard { timeline: room.timeline, last_seq });
            let entry = Some(holder.boot);
            let frame = Frame::Closed { room: room.id, relay: holder.relay, drop: Drop::Lost, heard, entry };
            self.context.peers.send(owner.ownership.boot, &frame);
        }
    }

    fn becomes_relayed(&mut self, time: Time, id: SessionId, room: RoomId, membership: Membership) {
        let Self { relays, sessions, context, outgoing, .. } = self;
        relays.follow(sessions, context, time, id, room, membership, !outgoing.is_draining());
    }

    /// A JOIN or RESUME that was not answered is asked again at the new owner.
    fn enters_elsewhere(&mut self, time: Time, room: RoomId, asked: Asked, entry: Entry, since: u64, owner: &Owner) {
        match asked.by {
            Reach::Local(id) => self.look_for(time, room, Waiter::entering(id, asked.id, entry, since).again(time.now)),
            Reach::Remote(connection) => {
                self.remote_members.send_away(&mut self.context.peers, connection, owner.clone(), 0);
            }
        }
    }

    /// A LEAVE or QUIT that was not answered is asked again at the new owner, who may still have the seat.
    fn leaves_elsewhere(
        &mut self,
        time: Time,
        room: &Room,
        asked: Asked,
        quit: bool,
        owner: &Owner,
        going: &mut Vec<SessionId>,
    ) {
        match asked.by {
            Reach::Local(id) => {
                let Some(membership) = self.leaving_membership(id, room) else {
                    return;
                };
                self.becomes_relayed(time, id, room.id, membership);
                let command = Ok(if quit { Command::Quit } else { Command::Leave });
                self.relays.command(&mut self.sessions, &mut self.context, id, asked.id, command);
                going.push(id);
            }
            Reach::Remote(connection) => {
                let processed = asked.number.saturating_sub(1);
                self.remote_members.send_away(&mut self.context.peers, connection, owner.clone(), processed);
            }
        }
    }

    fn leaving_membership(&self, id: SessionId, room: &Room) -> Option<Membership> {
        match &self.sessions.get(id)?.place {
            Place::Leaving { name, seat, resumable } => Some(Membership {
                name: *name,
                seat: *seat,
                resumable: *resumable,
                // It ends.
                key: None,
                timeline: room.timeline,
                position: room.position,
                seq: room.seq,
            }),
            _ => None,
        }
    }
}
