//! Making rooms: for CREATE_ROOM, for the HTTP API, and for other pods that are full or overloaded (`placement.rs`). Pure: no I/O.

use super::Hub;
use super::capacity::RoomSlot;
use super::interface::Effect;
use super::placement::{self, Outcome, Placed, Reason};
use super::request::{Asked, Requester};
use super::rooms::NewRoom;
use super::session::SessionState;
use crate::descriptor::Descriptor;
use crate::directory::{Answer, NoAnswer};
use crate::ids::{Reach, Time};
use crate::peer_protocol::Frame;
use crate::protocol::{ErrorCode, Event, PodBoot, RoomId};

impl Hub {
    /// Creates a room for the HTTP interface; [`Effect::Created`] with `query` is the answer. `auth`: the join token that came along.
    pub fn create_room(&mut self, time: Time, query: u64, auth: Option<&str>) {
        self.begin(time);
        match self.check_create(time, auth) {
            Ok(descriptor) => self.create_for(time, Requester::Query(query), descriptor),
            Err(code) => self.context.effects.push(Effect::Created { query, result: Err(code) }),
        }
        self.finish(time);
    }

    /// A new room got the capacity of this room, which nobody has entered ([`Effect::MakeWay`]).
    pub fn make_way(&mut self, time: Time, room: RoomId) {
        self.begin(time);
        self.rooms.make_way(&mut self.context, time, room);
        self.finish(time);
    }

    pub(super) fn create(&mut self, time: Time, asked: Asked, descriptor: Option<Box<Descriptor>>) {
        let Reach::Local(id) = asked.by else {
            return;
        };
        if let Some(session) = self.sessions.get_mut(id) {
            session.state = SessionState::Busy;
        }
        self.create_for(time, Requester::Client(asked), descriptor);
    }

    /// Makes a room for somebody who may, as the requester says; [`Hub::created`] is told what comes of it.
    pub(super) fn create_for(&mut self, time: Time, requester: Requester, descriptor: Option<Box<Descriptor>>) {
        let slots = &self.context.settings.slots;
        // One that is full asks every pod in turn, not the first alone.
        let is_full = slots.taken() >= slots.most();
        let place = !self.outgoing.ends() && !self.placement.is_full() && !is_full;
        if place && self.outgoing.is_draining() {
            return self.create_elsewhere(time, requester, descriptor, Reason::HandsOver);
        }
        if place && placement::is_overloaded(time, &self.context) {
            return self.create_elsewhere(time, requester, descriptor, Reason::Overloaded);
        }
        match self.may_create(time) {
            Err(ErrorCode::TooManyRooms) => self.create_elsewhere(time, requester, descriptor, Reason::Full),
            Err(code) => self.created(time, requester, Err(code)),
            Ok(slot) => self.create_here(time, requester, descriptor, slot),
        }
    }

    fn create_here(&mut self, time: Time, requester: Requester, descriptor: Option<Box<Descriptor>>, slot: RoomSlot) {
        self.charge_creator(requester);
        match requester {
            Requester::Named { room, .. } => {
                self.create_named_here(time, NewRoom { room, descriptor }, requester, slot);
            }
            _ => self.create_room_for(time, requester, descriptor, slot),
        }
    }

    fn charge_creator(&mut self, requester: Requester) {
        if let Requester::Client(Asked { by: Reach::Local(id), .. }) | Requester::Named { by: id, .. } = requester {
            self.sessions.charge(id);
        }
    }

    pub(super) fn may_create(&mut self, time: Time) -> Result<RoomSlot, ErrorCode> {
        if self.outgoing.ends() {
            return Err(ErrorCode::ShuttingDown);
        }
        if !self.context.serves() {
            return Err(ErrorCode::Unavailable);
        }
        self.rooms.slot_for_new(&mut self.context, time).ok_or(ErrorCode::TooManyRooms)
    }

    /// A room with a new id of this shard; announced once its record is written.
    pub(super) fn create_room_for(
        &mut self,
        time: Time,
        requester: Requester,
        descriptor: Option<Box<Descriptor>>,
        slot: RoomSlot,
    ) {
        let room = NewRoom { room: self.new_room(), descriptor };
        self.rooms.create(&mut self.context, time, room, requester, slot);
    }

    /// A room id of this shard that this hub does not use.
    pub(super) fn new_room(&mut self) -> RoomId {
        loop {
            let room = self.context.new_room_id();
            if self.is_new(room) {
                return room;
            }
        }
    }

    pub(super) fn is_new(&self, room: RoomId) -> bool {
        self.rooms.index_of(room).is_none() && !self.search.is_under_way(room) && !self.incoming.contains(room)
    }

    /// The directory has replied to the write of a new room, or failed to in time.
    pub(super) fn created(&mut self, time: Time, requester: Requester, result: Result<RoomId, ErrorCode>) {
        match requester {
            Requester::Query(query) => self.context.effects.push(Effect::Created { query, result }),
            Requester::Named { room, .. } => self.named_room_created(time, room, result.map(|_| ())),
            Requester::Pod { from, room } => {
                self.context.peers.send(from, &Frame::Created { room, result: result.map(|_| ()) });
            }
            Requester::Client(asked) => {
                if let Reach::Local(id) = asked.by {
                    // The session may have been closed meanwhile, and still flush its output.
                    if !self.sessions.get(id).is_some_and(|session| matches!(session.state, SessionState::Busy)) {
                        return;
                    }
                    self.now_outside(time, id);
                    self.sessions.wake(id);
                }
                match result {
                    Ok(room) => self.reply(asked, &Event::Room { room }),
                    Err(code) => self.refuse(asked, code),
                }
            }
        }
    }

    // ---- at another pod

    fn create_elsewhere(
        &mut self,
        time: Time,
        requester: Requester,
        descriptor: Option<Box<Descriptor>>,
        reason: Reason,
    ) {
        if self.placement.is_full() {
            return self.created(time, requester, Err(ErrorCode::TooManyRooms));
        }
        let room = requester.room().unwrap_or_else(|| self.new_room());
        let room = NewRoom { room, descriptor };
        let placed = self.placement.place(time, &mut self.context, room, requester, reason);
        self.rooms_placed(time, placed);
    }

    pub(super) fn pods_listed(&mut self, time: Time, answer: Result<Answer, NoAnswer>) {
        let placed = self.placement.pods_listed(time, &mut self.context, answer);
        self.rooms_placed(time, placed);
    }

    pub(super) fn created_elsewhere(&mut self, time: Time, from: PodBoot, room: RoomId, result: Result<(), ErrorCode>) {
        let placed = self.placement.answered(time, &mut self.context, from, room, result);
        self.rooms_placed(time, placed);
    }

    pub(super) fn placement_pod_is_gone(&mut self, time: Time, boot: PodBoot) {
        let placed = self.placement.pod_is_gone(time, &mut self.context, boot);
        self.rooms_placed(time, placed);
    }

    pub(super) fn placement_due(&mut self, time: Time) {
        let placed = self.placement.take_due(time);
        self.rooms_placed(time, placed);
    }

    fn rooms_placed(&mut self, time: Time, placed: impl IntoIterator<Item = Placed>) {
        for Placed { requester, descriptor, outcome } in placed {
            match outcome {
                Outcome::Created(room) => {
                    self.charge_creator(requester);
                    self.created(time, requester, Ok(room));
                }
                Outcome::Here => match self.may_create(time) {
                    Ok(slot) => self.create_here(time, requester, descriptor, slot),
                    Err(code) => self.created(time, requester, Err(code)),
                },
                Outcome::Refused(code) => self.created(time, requester, Err(code)),
            }
        }
    }

    /// Another pod asks this one to create `room`, because it is full or has many more rooms. It is not passed on.
    pub(super) fn create_for_pod(
        &mut self,
        time: Time,
        from: PodBoot,
        room: RoomId,
        descriptor: Option<Box<Descriptor>>,
    ) {
        let takes = self.is_new(room) && !self.outgoing.is_draining();
        let slot = if takes { self.may_create(time) } else { Err(ErrorCode::Unavailable) };
        match slot {
            Ok(slot) => {
                let requester = Requester::Pod { from, room };
                self.rooms.create(&mut self.context, time, NewRoom { room, descriptor }, requester, slot);
            }
            Err(code) => self.context.peers.send(from, &Frame::Created { room, result: Err(code) }),
        }
    }
}
