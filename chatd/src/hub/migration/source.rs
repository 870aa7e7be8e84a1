//! The source of planned moves: carries out what `outgoing.rs` and `moving.rs` decide for its rooms and clients. Pure: no I/O.

use super::balance::Surplus;
use super::moving::Next;
use super::outgoing::{Look, Outgoing};
use crate::directory::{Answer, NoAnswer};
use crate::hub::ownership::Owned;
use crate::hub::session::SessionState;
use crate::hub::{Hub, Notice, Timer};
use crate::ids::{RoomIndex, SessionId, Time};
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
        let Some(Look { ends, is_over, checks_records }) = self.outgoing.look(time.now, self.sessions.len()) else {
            return;
        };
        if !ends && self.rooms.is_empty() {
            // One may come yet, as by a takeover: the next list of pods brings the next look.
            return;
        }
        if is_over {
            let rooms: Vec<RoomIndex> = self.rooms.iter().map(|(index, _)| index).collect();
            for index in rooms {
                self.abandon(time, index, ErrorCode::ShuttingDown);
            }
        } else {
            if ends && self.outgoing.is_alone(&self.context) {
                self.end_deserted(time);
            }
            self.move_rooms(time);
            if checks_records {
                self.check_all(time);
            }
        }
        if ends {
            self.send_clients_away(time, is_over);
        }
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
            match session.state {
                SessionState::Closing => {}
                _ if all => self.fail(time, id, ErrorCode::ShuttingDown),
                SessionState::Relayed(_) => self.leave_if_idle(time, id),
                SessionState::Outside if goes() => self.fail_quietly(time, id, Some(ErrorCode::ShuttingDown)),
                _ => {}
            }
        }
    }

    fn end_deserted(&mut self, time: Time) {
        let deserted = self.rooms.iter().filter(|(_, owned)| owned.is_deserted()).map(|(index, _)| index);
        for index in deserted.collect::<Vec<_>>() {
            self.abandon(time, index, ErrorCode::ShuttingDown);
        }
    }

    // ---- balance

    pub(in crate::hub) fn balance_due(&mut self, time: Time) {
        if !self.outgoing.is_draining() {
            let surplus = self.outgoing.balance.due(time, &mut self.context, self.rooms.len() as u64);
            self.give_away(time, surplus);
        }
    }

    pub(in crate::hub) fn leases_listed(&mut self, time: Time, answer: Result<Answer, NoAnswer>) {
        if !self.outgoing.is_draining() {
            let rooms = self.rooms.len() as u64;
            let surplus = self.outgoing.balance.pods_listed(time, &mut self.context, answer, rooms);
            self.give_away(time, surplus);
        }
    }

    /// The quietest rooms are offered to pods with fewer.
    fn give_away(&mut self, time: Time, surplus: Option<Surplus>) {
        if let Some(surplus) = surplus {
            let stay = self.context.settings.limits.balance.stay;
            self.outgoing.give_away(self.rooms.quietest(surplus.rooms, time.now, stay), surplus.targets);
            self.move_rooms(time);
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

    /// As before, for the rooms that are known to wait.
    fn next_moves(&mut self, time: Time) {
        // A room that stays is offered again later.
        for _ in 0..self.outgoing.waiting() {
            let can_move = |room| self.rooms.of(room).is_some_and(Owned::can_move);
            let Some((room, target)) = self.outgoing.next_offer(time.now, &self.context, can_move) else {
                return;
            };
            if let Some(index) = self.rooms.index_of(room) {
                self.context.counters.balance_migrations += u64::from(!self.outgoing.is_draining());
                self.start_move(time, index, target);
            }
        }
    }

    fn start_move(&mut self, time: Time, index: RoomIndex, target: Target) {
        if let Some(owned) = self.rooms.get_mut(index) {
            owned.begin_move(time.now, target);
        }
        self.write(time, index);
        self.move_settled(time, index);
        self.arm_room(time, index);
    }

    /// The record has reached a known state.
    pub(in crate::hub) fn move_settled(&mut self, time: Time, index: RoomIndex) {
        let next = self.rooms.get_mut(index).map(|owned| owned.move_settled(time.now));
        self.go_on_moving(time, index, next.unwrap_or(Next::Wait));
    }

    pub(in crate::hub) fn move_due(&mut self, time: Time, index: RoomIndex) {
        let next = self.rooms.get_mut(index).map(|owned| owned.move_due(time.now));
        self.go_on_moving(time, index, next.unwrap_or(Next::Wait));
    }

    fn go_on_moving(&mut self, time: Time, index: RoomIndex, next: Next) {
        match next {
            Next::Wait => {}
            Next::Offer => self.offer(time, index),
            Next::Check => self.check_move(time, index),
            Next::Reassert => {
                self.context.counters.outgoing_migrations_failed += 1;
                if let Some(owned) = self.rooms.get_mut(index) {
                    owned.reassert();
                }
                self.write(time, index);
            }
            Next::Stay => self.stay(time, index),
            Next::Unsettled => {
                self.context.directory_answers = false;
                self.stay(time, index);
            }
        }
    }

    fn offer(&mut self, time: Time, index: RoomIndex) {
        let Some(owned) = self.rooms.get_mut(index) else {
            return;
        };
        let (room, record) = (owned.room.id, owned.stored().cloned());
        let Some(moving) = owned.moving_mut() else {
            return;
        };
        let boot = moving.target().boot;
        let Some(record) = record.filter(|_| self.context.peers.is_up(boot) && self.outgoing.sent(time.now, room))
        else {
            return self.stay(time, index);
        };
        moving.offer(time.now);
        let snapshot = owned.room.snapshot(owned.ownership(), &record, time.now);
        self.context.peers.send(boot, &Frame::MigrateOffer { room, snapshot });
        self.arm_room(time, index);
    }

    pub(in crate::hub) fn offer_answered(
        &mut self,
        time: Time,
        from: PodBoot,
        room: RoomId,
        basis: Ownership,
        taken: Option<Owner>,
    ) {
        let Some(index) = self.rooms.index_of(room) else {
            return;
        };
        let Some(owned) = self.rooms.get(index).filter(|owned| owned.ownership() == basis) else {
            return;
        };
        match taken {
            Some(owner) if owner.ownership > owned.ownership() => {
                self.outgoing.taken(time.now, room);
                self.release_to(time, index, owner);
                self.next_moves(time);
            }
            None if owned.is_offered_to(from) => self.check_move(time, index),
            _ => {}
        }
    }

    /// The target declines the room: the hub reads the record before it does anything else.
    fn check_move(&mut self, time: Time, index: RoomIndex) {
        if let Some(owned) = self.rooms.get_mut(index)
            && let Some(moving) = owned.moving_mut()
        {
            moving.check(time.now);
            let (to, room) = (moving.target().pod_id.clone(), owned.room.id);
            self.outgoing.failed(time.now, room);
            self.context.log(Notice::MoveFailed { room, to });
            self.read_own_record(time, index);
            self.arm_room(time, index);
        }
    }

    pub(in crate::hub) fn move_peer_away(&mut self, time: Time, boot: PodBoot) {
        let offered = self.rooms.iter().filter(|(_, owned)| owned.is_offered_to(boot)).map(|(index, _)| index);
        for index in offered.collect::<Vec<_>>() {
            self.check_move(time, index);
        }
    }

    /// No other pod has the room, nor will have it: the room stays until its next offer.
    fn stay(&mut self, time: Time, index: RoomIndex) {
        if let Some(owned) = self.rooms.get_mut(index) {
            owned.end_move();
            self.outgoing.stays(owned.room.id);
        }
        self.write(time, index);
        self.ready_again(time, index);
        self.arm_room(time, index);
    }
}
