//! The hub's doors: all that its driver tells it, asks it and collects from it. Each calls the part that decides. Pure: no I/O.

use std::collections::HashMap;
use std::sync::Arc;

use super::session::{Place, Session};
use super::{Advertised, Carried, Effect, Hub, Purpose, RoomView, Timer};
use crate::counters::Counters;
use crate::directory::{Answer, NoAnswer};
use crate::ids::{SessionId, SessionRef, Ticket, Time};
use crate::lease::{LeaseView, Target};
use crate::peer_protocol::{Drop, Frame};
use crate::protocol::token::Keyring;
use crate::protocol::{Encoding, ErrorCode, PlayerName, PodBoot, RoomId, lines};
use crate::record::RecordedSeat;

impl Hub {
    // ---- clients

    /// A client has connected. Every session that is opened or adopted is ended by exactly one [`Hub::dropped`] or [`Hub::take`].
    pub fn open(&mut self, time: Time, encoding: Encoding) -> SessionId {
        self.begin(time);
        let deadline = match encoding {
            Encoding::Lines => time.now + self.context.settings.first_line_timeout,
            Encoding::Json => time.now + self.context.settings.idle_timeout,
        };
        let session = Session::new(encoding, deadline, &self.context.settings, time.now);
        self.insert_session(session)
    }

    /// Bytes came from a client that speaks lines.
    pub fn receive(&mut self, time: Time, session: SessionId, bytes: &[u8]) {
        self.begin(time);
        self.received_lines(time, session, bytes);
        self.finish(time);
    }

    /// A text message came from a client that speaks JSON.
    pub fn receive_message(&mut self, time: Time, session: SessionId, text: &str) {
        self.begin(time);
        self.received_message(time, session, text);
        self.finish(time);
    }

    /// A client that speaks JSON sent, or announced, a message of more than [`crate::protocol::MAX_JSON`].
    pub fn too_long(&mut self, time: Time, session: SessionId) {
        self.begin(time);
        self.fail(time, session, ErrorCode::LineTooLong);
        self.finish(time);
    }

    /// A client that speaks JSON sent a frame that is no message, which costs as much as one. False: it has sent too many.
    pub fn receive_idle_frame(&mut self, time: Time, session: SessionId) -> bool {
        self.begin(time);
        let paid = self.charge_frame(time, session);
        self.finish(time);
        paid
    }

    /// The client has ended its input, and may still read (`nc` at its end of file).
    pub fn end_of_input(&mut self, time: Time, session: SessionId) {
        self.begin(time);
        self.input_ended(time, session);
        self.finish(time);
    }

    /// The client's connection is gone. The session does not exist any more.
    pub fn dropped(&mut self, time: Time, session: SessionId, drop: Drop) {
        self.begin(time);
        self.session_dropped(time, session, drop);
        self.finish(time);
    }

    /// A client that speaks lines has been silent for long, and so has this side: it is sent a line that means nothing.
    pub fn keep_alive(&mut self, time: Time, session: SessionId) {
        self.begin(time);
        if let Some(found) = self.sessions.get_mut(session)
            && found.encoding == Encoding::Lines
            && found.output.len() == 0
            && !matches!(found.place, Place::Closing)
        {
            found.output.buffer().extend_from_slice(lines::KEEP_ALIVE);
            self.sessions.mark_dirty(session);
        }
        self.finish(time);
    }

    /// Whether the driver should read from this client: not while what it sent earlier still waits.
    pub fn wants_input(&self, session: SessionId) -> bool {
        let most = self.context.settings.limits.waiting;
        self.sessions.get(session).is_some_and(|session| session.wants_input(most))
    }

    /// What is to be written to the client now.
    pub fn output(&self, session: SessionId) -> &[u8] {
        match self.sessions.get(session) {
            Some(found) if !self.output_waits(found) => found.output.bytes(),
            _ => &[],
        }
    }

    /// So many bytes of [`Hub::output`] have been written.
    pub fn wrote(&mut self, session: SessionId, bytes: usize) {
        if let Some(found) = self.sessions.get_mut(session) {
            found.output.written(bytes, found.encoding);
            self.sessions.relay_credit(&mut self.context, session);
        }
    }

    /// Bytes of memory that what came from the client and waits, and what it is to be sent, take.
    pub fn holds(&self, session: SessionId) -> usize {
        self.sessions.get(session).map_or(0, Session::holds)
    }

    /// All clients hold too much memory, and this one the most: it is ended.
    pub fn shed(&mut self, time: Time, session: SessionId) {
        self.begin(time);
        self.end_largest(time, session);
        self.finish(time);
    }

    /// Bytes that wait here for clients of other pods.
    pub fn remote_members_hold(&self) -> usize {
        self.remote_members.held()
    }

    /// For which clients of other pods bytes wait here, and how many.
    pub fn remote_members_that_hold(&self) -> impl Iterator<Item = (usize, SessionRef)> {
        self.remote_members.holders()
    }

    /// As [`Hub::shed`], for a client of another pod.
    pub fn shed_remote_member(&mut self, time: Time, member: SessionRef) {
        self.begin(time);
        self.remote_is_shed(time, member);
        self.finish(time);
    }

    /// Takes a session that [`Effect::Migrate`] names out of this hub.
    pub fn take(&mut self, session: SessionId) -> Option<Carried> {
        self.sessions.remove(session).map(Carried)
    }

    /// Goes on with a session of another thread.
    pub fn adopt(&mut self, time: Time, carried: Carried) -> SessionId {
        self.begin(time);
        let session = self.insert_session(carried.0);
        self.sessions.mark_dirty(session);
        self.run_carried(time, session);
        self.finish(time);
        session
    }

    // ---- clients whose address is limited (docs/protocol.md, Limits): the driver knows the address

    /// From now on [`Hub::take_charges`] tells of this session.
    pub fn meter(&mut self, session: SessionId) {
        if let Some(session) = self.sessions.get_mut(session) {
            session.limits.metered = true;
        }
    }

    /// Until then (ms) the session makes and enters no room: it is told `rate_limited`.
    pub fn limit(&mut self, session: SessionId, until: u64) {
        if let Some(session) = self.sessions.get_mut(session) {
            session.limits.limited_until = until;
        }
    }

    /// Moves to the end of `into` each metered session, once for each room that it missed or made.
    pub fn take_charges(&mut self, into: &mut Vec<SessionId>) {
        self.sessions.take_charges(into);
    }

    // ---- the HTTP interface

    /// Makes a room for the HTTP interface; answered by [`Effect::Created`] with `query`.
    pub fn create_room(&mut self, time: Time, query: u64) {
        self.begin(time);
        self.create_for_query(time, query);
        self.finish(time);
    }

    /// The place of a room of this shard that nobody has entered was given to a new one ([`Effect::MakeWay`]).
    pub fn make_way(&mut self, time: Time, room: RoomId) {
        self.begin(time);
        self.rooms.make_way(&mut self.context, time, room);
        self.finish(time);
    }

    /// Asks who is in a room of this shard; answered by [`Effect::LookedUp`] with `query`.
    pub fn look_up(&mut self, time: Time, query: u64, room: RoomId) {
        self.begin(time);
        self.look_up_for_query(time, query, room);
        self.finish(time);
    }

    // ---- the directory and the lease

    /// The directory has answered a request of [`Effect::Directory`], or not.
    pub fn answered(&mut self, time: Time, ticket: Ticket, answer: Result<Answer, NoAnswer>) {
        self.begin(time);
        self.context.directory_answers = answer.is_ok();
        match self.context.requests.tickets.remove(&ticket) {
            Some(Purpose::Own(room)) => {
                self.context.requests.own -= 1;
                self.own_record_answered(time, room, ticket, answer);
            }
            Some(Purpose::Search(room)) => self.search.answered(&mut self.context, time, room, ticket, answer),
            Some(Purpose::Lease(boot)) => {
                self.search.lease_answered(&mut self.context, time, boot, ticket, answer);
            }
            Some(Purpose::Heirs(boot)) => self.search.heirs_answered(&mut self.context, time, boot, answer),
            Some(Purpose::Incoming(room)) => self.incoming_answered(time, room, ticket, answer),
            Some(Purpose::Placement) => self.pods_listed(time, answer),
            None => {}
        }
        self.finish_searches(time);
        self.pump_checks(time);
        self.finish(time);
    }

    /// The connection to the directory was lost: what was written last may be gone, so every record is checked.
    pub fn directory_reset(&mut self, time: Time) {
        self.begin(time);
        self.check_all(time);
        self.finish(time);
    }

    /// The lease's state has changed, or was confirmed again.
    pub fn lease(&mut self, time: Time, view: LeaseView) {
        // By the lease as it was: the news may be the first thing that comes after a freeze.
        self.begin(time);
        let held_before = self.context.lease.is_held(time);
        self.context.directory_answers |= view.confirmed > self.context.lease.view.confirmed;
        self.context.lease.view = view;
        if !held_before && self.context.lease.is_held(time) {
            self.confirm_again(time);
        }
        self.finish(time);
    }

    /// The lease had been lost and is held again: every room is claimed again.
    pub fn lease_lost(&mut self, time: Time) {
        self.begin(time);
        self.claim_all(time);
        self.finish(time);
    }

    // ---- peers

    /// A link to the pod with `boot` is up, dialled by either side.
    pub fn peer_up(&mut self, time: Time, boot: PodBoot) {
        self.begin(time);
        self.peer_is_up(time, boot);
        self.finish(time);
    }

    /// The link to `boot` broke: frames on their way may be lost.
    pub fn peer_down(&mut self, time: Time, boot: PodBoot) {
        self.begin(time);
        self.peer_is_down(time, boot);
        self.finish(time);
    }

    /// The process with `boot` does not answer at its address. `gone`: another of the deployment has the address now.
    pub fn peer_unreachable(&mut self, time: Time, boot: PodBoot, gone: bool) {
        self.begin(time);
        self.peer_is_unreachable(time, boot, gone);
        self.finish(time);
    }

    /// A frame came over the link from `boot`.
    pub fn frame(&mut self, time: Time, from: PodBoot, frame: Frame<'_>) {
        self.begin(time);
        self.frame_came(time, from, frame);
        self.finish(time);
    }

    // ---- life cycle and settings

    /// The pod drains by `deadline` (ms): moves every room to one of the targets, and its clients after them.
    pub fn drain(&mut self, time: Time, deadline: u64) {
        self.begin(time);
        self.outgoing.start(time, &mut self.context, deadline, self.sessions.len());
        self.finish(time);
    }

    /// The pods that rooms can be moved to, as the directory knows them now.
    pub fn targets(&mut self, time: Time, targets: Vec<Target>) {
        self.begin(time);
        self.set_targets(time, targets);
        self.finish(time);
    }

    /// Nothing is left to do: no rooms, no sessions, nobody's link is needed.
    pub fn drained(&self) -> bool {
        self.rooms.is_empty() && self.sessions.is_empty() && self.incoming.is_empty()
    }

    pub fn set_keys(&mut self, keys: Arc<Keyring>) {
        self.keys = keys;
    }

    pub fn set_advertised(&mut self, advertised: Option<Arc<HashMap<String, Advertised>>>) {
        self.advertised = advertised;
    }

    /// When [`Hub::tick`] has something to do next (ms).
    pub fn next_deadline(&self) -> Option<u64> {
        self.context.timers.first().map(|(at, _)| *at)
    }

    /// Time has passed.
    pub fn tick(&mut self, time: Time) {
        self.begin(time);
        while let Some(&(at, timer)) = self.context.timers.first()
            && at <= time.now
        {
            self.context.timers.pop_first();
            match timer {
                Timer::Session(session) => self.session_due(time, session),
                Timer::Room(room) => self.room_due(time, room),
                Timer::Search(room) => {
                    self.search.due(time, room);
                    self.finish_searches(time);
                }
                Timer::Incoming(room) => self.incoming.due(&mut self.context, room),
                Timer::Peers => self.context.takeover_notices_due(time),
                Timer::Watches => self.search.watches_due(&mut self.context, time),
                Timer::Drain => self.drain_due(time),
                Timer::Owners => self.context.forget_old_owners(time),
                Timer::Placement => self.placement_due(time),
            }
        }
        self.finish(time);
    }

    // ---- what the driver collects after each batch

    /// Moves what is to be done to the end of `into`, in order.
    pub fn take_effects(&mut self, into: &mut Vec<Effect>) {
        into.append(&mut self.context.effects);
    }

    /// Moves the sessions that have something to write to the end of `into`; a session may stand there twice.
    pub fn take_dirty(&mut self, into: &mut Vec<SessionId>) {
        self.sessions.take_dirty(into);
    }

    /// Hands each peer's frames, encoded one after the other, to `send`.
    pub fn take_frames(&mut self, send: impl FnMut(PodBoot, Vec<u8>)) {
        self.context.peers.take_frames(send);
    }

    // ---- what others may see

    /// The rooms that this hub owns.
    pub fn rooms(&self) -> impl Iterator<Item = RoomView> + '_ {
        self.rooms.iter().map(|(_, owned)| owned.view())
    }

    /// A room's seats as its record is to have them; for the simulation's checks.
    pub fn seats_of(&self, room: RoomId) -> Vec<(PlayerName, RecordedSeat)> {
        let owned = self.rooms.of(room);
        owned.map(|owned| owned.room.recorded().collect()).unwrap_or_default()
    }

    pub fn counters(&self) -> &Counters {
        &self.context.counters
    }

    /// For what the driver alone can count: bytes and connections.
    pub fn counters_mut(&mut self) -> &mut Counters {
        &mut self.context.counters
    }

    pub fn room_count(&self) -> usize {
        self.rooms.len()
    }

    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    pub fn player_count(&self) -> usize {
        self.rooms.iter().map(|(_, owned)| owned.room.seats().len()).sum()
    }

    pub fn remote_member_count(&self) -> usize {
        self.remote_members.len()
    }

    pub fn relay_count(&self) -> usize {
        self.relays.len()
    }
}
