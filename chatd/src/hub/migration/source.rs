//! The source of planned moves: its rooms go to other pods, and its clients after them, as `outgoing.rs` and `moving.rs` decide. Pure: no I/O.

use super::moving::Next;
use super::outgoing::{Look, Outgoing};
use crate::hub::ownership::Owned;
use crate::hub::session::Place;
use crate::hub::{Hub, Notice, Timer};
use crate::ids::{SessionId, Time};
use crate::lease::Target;
use crate::peer_protocol::Frame;
use crate::protocol::{ErrorCode, Ownership, PodBoot, RoomId};
use crate::record::Owner;

impl Hub {
    // ---- the drain

    pub(in crate::hub) fn set_targets(&mut self, time: Time, targets: Vec<Target>) {
        self.context.directory_answers = true;
        self.outgoing.targets_listed(targets);
        self.drain_due(time);
    }

    pub(in crate::hub) fn drain_due(&mut self, time: Time) {
        let Some(Look { is_over, checks_records }) = self.outgoing.look(time.now, self.sessions.len()) else {
            return;
        };
        if is_over {
            let rooms: Vec<usize> = self.rooms.iter().map(|(key, _)| key).collect();
            for key in rooms {
                self.abandon(time, key, ErrorCode::ShuttingDown);
            }
        } else {
            if self.outgoing.is_alone(&self.context) {
                self.end_deserted(time);
            }
            self.move_rooms(time);
            if checks_records {
                self.check_all(time);
            }
        }
        self.send_clients_away(time, is_over);
        if !self.drained() {
            self.context.arm(Outgoing::next_look(time.now), Timer::Drain);
        }
    }

    fn send_clients_away(&mut self, time: Time, all: bool) {
        let sessions: Vec<SessionId> = self.sessions.iter().map(|session| session.id).collect();
        for id in sessions {
            let Some(session) = self.sessions.get(id) else {
                continue;
            };
            let goes =
                || self.outgoing.sends_away(time.now, id) && session.quiet(self.outgoing.is_patient(time.now, id));
            match session.place {
                Place::Closing => {}
                _ if all => self.fail(time, id, ErrorCode::ShuttingDown),
                Place::Relayed(_) => self.leave_if_idle(time, id),
                Place::Outside if goes() => self.fail_quietly(time, id, Some(ErrorCode::ShuttingDown)),
                _ => {}
            }
        }
    }

    fn end_deserted(&mut self, time: Time) {
        let deserted = self.rooms.iter().filter(|(_, owned)| owned.is_deserted()).map(|(key, _)| key);
        for key in deserted.collect::<Vec<_>>() {
            self.abandon(time, key, ErrorCode::ShuttingDown);
        }
    }

    // ---- moves

    /// Begins as many moves as the other pods' answers allow.
    pub(in crate::hub) fn move_rooms(&mut self, time: Time) {
        self.outgoing.link_targets(time, &mut self.context);
        if self.outgoing.wants_rooms() {
            let ready = self.rooms.iter().filter(|(_, owned)| owned.can_move()).map(|(_, owned)| owned.room.id);
            self.outgoing.rooms_wait(ready);
        }
        self.next_moves(time);
    }

    /// As before, of the rooms that are known to wait.
    fn next_moves(&mut self, time: Time) {
        // What stays at once is offered again later.
        for _ in 0..self.outgoing.waiting() {
            let can_move = |room| self.rooms.of(room).is_some_and(Owned::can_move);
            let Some((room, target)) = self.outgoing.next_offer(time.now, &self.context, can_move) else {
                return;
            };
            if let Some(key) = self.rooms.key(room) {
                self.start_move(time, key, target);
            }
        }
    }

    fn start_move(&mut self, time: Time, key: usize, target: Target) {
        if let Some(owned) = self.rooms.get_mut(key) {
            owned.begin_move(time.now, target);
        }
        self.write(time, key);
        self.move_settled(time, key);
        self.arm_room(time, key);
    }

    /// What the directory has is known, and perhaps as it should be.
    pub(in crate::hub) fn move_settled(&mut self, time: Time, key: usize) {
        let next = self.rooms.get_mut(key).map(|owned| owned.move_settled(time.now));
        self.go_on_moving(time, key, next.unwrap_or(Next::Wait));
    }

    pub(in crate::hub) fn move_due(&mut self, time: Time, key: usize) {
        let next = self.rooms.get_mut(key).map(|owned| owned.move_due(time.now));
        self.go_on_moving(time, key, next.unwrap_or(Next::Wait));
    }

    fn go_on_moving(&mut self, time: Time, key: usize, next: Next) {
        match next {
            Next::Wait => {}
            Next::Offer => self.offer(time, key),
            Next::Check => self.check_move(time, key),
            Next::Reassert => {
                self.context.counters.outgoing_migrations_failed += 1;
                if let Some(owned) = self.rooms.get_mut(key) {
                    owned.claim();
                }
                self.write(time, key);
            }
            Next::Stay => self.stay(time, key),
            Next::Unsettled => {
                self.context.directory_answers = false;
                self.stay(time, key);
            }
        }
    }

    fn offer(&mut self, time: Time, key: usize) {
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let (room, record) = (owned.room.id, owned.stored().cloned());
        let Some(moving) = owned.moving_mut() else {
            return;
        };
        let boot = moving.target().boot;
        let Some(record) = record.filter(|_| self.context.peers.is_up(boot) && self.outgoing.sent(time.now, room))
        else {
            return self.stay(time, key);
        };
        moving.offer(time.now);
        let snapshot = owned.room.snapshot(owned.ownership(), &record, time.now);
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
        let Some(owned) = self.rooms.get(key).filter(|owned| owned.ownership() == basis) else {
            return;
        };
        match taken {
            Some(owner) if owner.ownership > owned.ownership() => {
                self.outgoing.taken(time.now, room);
                self.release_to(time, key, owner);
                self.next_moves(time);
            }
            None if owned.is_offered_to(from) => self.check_move(time, key),
            _ => {}
        }
    }

    /// The target does not take the room: what the record says is looked at before anything else.
    fn check_move(&mut self, time: Time, key: usize) {
        if let Some(owned) = self.rooms.get_mut(key)
            && let Some(moving) = owned.moving_mut()
        {
            moving.check(time.now);
            let (to, room) = (moving.target().pod_id.clone(), owned.room.id);
            self.outgoing.failed(time.now, room);
            self.context.log(Notice::MoveFailed { room, to });
            self.read_own_record(time, key);
            self.arm_room(time, key);
        }
    }

    pub(in crate::hub) fn move_peer_away(&mut self, time: Time, boot: PodBoot) {
        let offered = self.rooms.iter().filter(|(_, owned)| owned.is_offered_to(boot)).map(|(key, _)| key);
        for key in offered.collect::<Vec<_>>() {
            self.check_move(time, key);
        }
    }

    /// No other pod has the room, nor will have: it goes on here until it is offered again.
    fn stay(&mut self, time: Time, key: usize) {
        if let Some(owned) = self.rooms.get_mut(key) {
            owned.end_move();
            self.outgoing.stays(owned.room.id);
        }
        self.write(time, key);
        self.ready_again(time, key);
        self.arm_room(time, key);
    }
}
