//! The hub's public methods: its driver calls them with inputs and collects effects and output. Each calls the part that decides. Pure: no I/O.

use std::collections::HashMap;
use std::sync::Arc;

use super::session::{Session, SessionState};
use super::{Advertised, Carried, Effect, Hub, Purpose, RoomView, Timer};
use crate::descriptor::Descriptor;
use crate::directory::{Answer, NoAnswer};
use crate::ids::{SessionId, SessionRef, Ticket, Time};
use crate::join_token::Verifier;
use crate::lease::{LeaseView, Target};
use crate::peer_protocol::{Disconnect, Frame};
use crate::protocol::token::Keyring;
use crate::protocol::{Encoding, ErrorCode, PlayerName, PodBoot, RoomId, lines};
use crate::record::RecordedSeat;

impl Hub {
    // ---- clients

    /// A client has connected. Exactly one [`Hub::disconnected`] or [`Hub::take`] ends each session that is opened or adopted.
    pub fn open(&mut self, time: Time, encoding: Encoding) -> SessionId {
        self.begin(time);
        let deadline = match encoding {
            Encoding::Lines | Encoding::LinesWithEvents => time.now + self.context.settings.first_line_timeout,
            Encoding::Json | Encoding::Call => time.now + self.context.settings.idle_timeout,
        };
        let session = Session::new(encoding, deadline, &self.context.settings, time.now);
        self.insert_session(session)
    }

    /// A client that speaks lines sent bytes.
    pub fn receive(&mut self, time: Time, session: SessionId, bytes: &[u8]) {
        self.begin(time);
        self.received_lines(time, session, bytes);
        self.finish(time);
    }

    /// A client that speaks JSON sent a text message.
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

    /// A client that speaks JSON sent a frame without a message, which counts as one message. False: the client has sent too many.
    pub fn receive_idle_frame(&mut self, time: Time, session: SessionId) -> bool {
        self.begin(time);
        let paid = self.charge_frame(time, session);
        self.finish(time);
        paid
    }

    /// The client has closed its sending side and may still read (`nc` at its end of file).
    pub fn end_of_input(&mut self, time: Time, session: SessionId) {
        self.begin(time);
        self.input_ended(time, session);
        self.finish(time);
    }

    /// The client's connection is gone; so is the session.
    pub fn disconnected(&mut self, time: Time, session: SessionId, disconnect: Disconnect) {
        self.begin(time);
        self.session_disconnected(time, session, disconnect);
        self.finish(time);
    }

    /// Neither side of a line connection has sent anything for a long time: sends a line without meaning, as a keepalive.
    pub fn keep_alive(&mut self, time: Time, session: SessionId) {
        self.begin(time);
        if let Some(found) = self.sessions.get_mut(session)
            && found.encoding.is_lines()
            && found.output.len() == 0
            && !matches!(found.state, SessionState::Closing)
        {
            found.output.buffer().extend_from_slice(lines::KEEP_ALIVE);
            self.sessions.mark_dirty(session);
        }
        self.finish(time);
    }

    /// Whether the driver may read from this client: it stops while earlier input still waits.
    pub fn wants_input(&self, session: SessionId) -> bool {
        let most = self.context.settings.limits.waiting;
        self.sessions.get(session).is_some_and(|session| session.wants_input(most))
    }

    /// The bytes to write to the client now.
    pub fn output(&self, session: SessionId) -> &[u8] {
        match self.sessions.get(session) {
            Some(found) if !self.output_waits(found) => found.output.bytes(),
            _ => &[],
        }
    }

    /// The driver has written so many bytes of [`Hub::output`].
    pub fn wrote(&mut self, session: SessionId, bytes: usize) {
        if let Some(found) = self.sessions.get_mut(session) {
            found.output.written(bytes, found.encoding);
            self.sessions.relay_credit(&mut self.context, session);
        }
    }

    /// Bytes of memory of the client's pending input and output.
    pub fn holds(&self, session: SessionId) -> usize {
        self.sessions.get(session).map_or(0, Session::holds)
    }

    /// All clients together hold too much memory, and this one the most: ends it.
    pub fn shed(&mut self, time: Time, session: SessionId) {
        self.begin(time);
        self.end_largest(time, session);
        self.finish(time);
    }

    /// Queued bytes for remote members.
    pub fn remote_members_hold(&self) -> usize {
        self.remote_members.held()
    }

    /// The remote members that have queued bytes, with the number of bytes.
    pub fn remote_members_that_hold(&self) -> impl Iterator<Item = (usize, SessionRef)> {
        self.remote_members.holders()
    }

    /// As [`Hub::shed`], for a remote member.
    pub fn shed_remote_member(&mut self, time: Time, member: SessionRef) {
        self.begin(time);
        self.remote_is_shed(time, member);
        self.finish(time);
    }

    /// Removes a session that [`Effect::Migrate`] names from this hub.
    pub fn take(&mut self, session: SessionId) -> Option<Carried> {
        self.sessions.remove(session).map(Carried)
    }

    /// Adopts a session of another thread.
    pub fn adopt(&mut self, time: Time, carried: Carried) -> SessionId {
        self.begin(time);
        let session = self.insert_session(carried.0);
        self.sessions.mark_dirty(session);
        self.run_carried(time, session);
        self.finish(time);
        session
    }

    // ---- clients whose address is limited (docs/protocol.md, Limits): the driver knows the address

    /// From now on [`Hub::take_charges`] reports this session.
    pub fn meter(&mut self, session: SessionId) {
        if let Some(session) = self.sessions.get_mut(session) {
            session.limits.metered = true;
        }
    }

    /// Until this time (ms) the session can neither create nor enter a room: it gets `rate_limited`.
    pub fn limit(&mut self, session: SessionId, until: u64) {
        if let Some(session) = self.sessions.get_mut(session) {
            session.limits.limited(until);
        }
    }

    /// Appends to `into` each metered session, once per room that it missed or created.
    pub fn take_charges(&mut self, into: &mut Vec<SessionId>) {
        self.sessions.take_charges(into);
    }

    // ---- the directory and the lease

    /// The directory replied to a request of [`Effect::Directory`], or failed to.
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
            Some(Purpose::Listing(query)) => {
                let room = self.new_room();
                self.listings.pods_listed(&mut self.context, time, (query, room), answer);
            }
            Some(Purpose::Balance) => self.leases_listed(time, answer),
            Some(Purpose::Stranger(stranger)) => self.looked_in_vain(time, stranger, &answer),
            Some(Purpose::Claim(room)) => self.claim_answered(time, room, ticket, answer),
            None | Some(Purpose::Forgotten) => {}
        }
        self.finish_searches(time);
        self.pump_checks(time);
        self.finish(time);
    }

    /// The connection to the directory was lost, or something in it. The last writes may be lost, so the hub checks every record.
    pub fn directory_reset(&mut self, time: Time) {
        self.begin(time);
        self.check_all(time);
        self.finish(time);
    }

    /// The lease has changed state, or was confirmed again.
    pub fn lease(&mut self, time: Time, view: LeaseView) {
        // Judge by the former lease: this call may be the first input after a freeze.
        self.begin(time);
        let held_before = self.context.lease.is_held(time);
        self.context.directory_answers |= view.confirmed > self.context.lease.view.confirmed;
        self.context.lease.view = view;
        if !held_before && self.context.lease.is_held(time) {
            self.confirm_again(time);
        }
        if self.context.serves() {
            self.outgoing.balance.start(time, &mut self.context);
        }
        self.finish(time);
    }

    /// The pod lost its lease and holds it again: the hub reasserts every room.
    pub fn lease_lost(&mut self, time: Time) {
        self.begin(time);
        self.reassert_all(time);
        self.finish(time);
    }

    // ---- peers

    /// A link to the pod with `boot` is up, dialled by either side.
    pub fn peer_up(&mut self, time: Time, boot: PodBoot) {
        self.begin(time);
        self.peer_is_up(time, boot);
        self.finish(time);
    }

    /// The link to `boot` broke. Frames in flight may be lost.
    pub fn peer_down(&mut self, time: Time, boot: PodBoot) {
        self.begin(time);
        self.peer_is_down(time, boot);
        self.finish(time);
    }

    /// The process with `boot` does not respond at its address. `gone`: another process of the deployment has the address now.
    pub fn peer_unreachable(&mut self, time: Time, boot: PodBoot, gone: bool) {
        self.begin(time);
        self.peer_is_unreachable(time, boot, gone);
        self.finish(time);
    }

    /// The process with `boot` has no lease any more: what waits for that goes on.
    pub fn pod_lost_lease(&mut self, time: Time, boot: PodBoot) {
        self.begin(time);
        self.search.look_soon(&mut self.context, time, boot);
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
        self.outgoing.start(time, &mut self.context, Some(deadline), self.sessions.len());
        self.finish(time);
    }

    /// The pod moves every room to one of the targets, takes none, and goes on: its clients stay. [`Hub::drain`] may follow.
    pub fn hand_over(&mut self, time: Time) {
        self.begin(time);
        // The negative control: as before an end.
        let deadline = (!self.context.settings.rules.hand_over_in_peace).then_some(time.now + 25_000);
        self.outgoing.start(time, &mut self.context, deadline, self.sessions.len());
        self.finish(time);
    }

    /// Asks the pod with `boot` at `address` to hand its rooms over; [`Effect::HandsOver`] with `query` is the answer.
    pub fn ask_to_hand_over(&mut self, time: Time, query: u64, boot: PodBoot, address: &str) {
        self.begin(time);
        let room = self.new_room();
        self.listings.hand_overs.ask(&mut self.context, time, (query, room), (boot, address));
        self.finish(time);
    }

    /// The pods that rooms can be moved to, as the directory knows them now.
    pub fn targets(&mut self, time: Time, targets: Vec<Target>) {
        self.begin(time);
        self.set_targets(time, targets);
        self.finish(time);
    }

    /// The drain is complete: no rooms, no sessions, and no link is needed.
    pub fn drained(&self) -> bool {
        self.rooms.is_empty() && self.sessions.is_empty() && self.incoming.is_empty()
    }

    /// Replaces the keys that sign and verify tokens (a key was rotated).
    pub fn set_keys(&mut self, keys: Arc<Keyring>) {
        self.authority.keys = keys;
    }

    /// Replaces what verifies join tokens. `None`: none is accepted.
    pub fn set_join_keys(&mut self, verifier: Option<Arc<Verifier>>) {
        self.authority.set_join_keys(verifier);
        self.search.rooms_may_hide(self.authority.has_join_keys());
    }

    /// Replaces the client addresses of the pods. `None`: the deployment configures none, so that clients are relayed.
    pub fn set_advertised(&mut self, advertised: Option<Arc<HashMap<String, Advertised>>>) {
        self.context.advertised = advertised;
    }

    /// When [`Hub::tick`] is due next (ms).
    pub fn next_deadline(&self) -> Option<u64> {
        self.context.timers.first().map(|(at, _)| at)
    }

    /// Runs the timers that are due.
    pub fn tick(&mut self, time: Time) {
        self.begin(time);
        while let Some(timer) = self.context.timers.pop_due(time.now) {
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
                Timer::Listings => self.listings.due(&mut self.context, time),
                Timer::Balance => self.balance_due(time),
            }
        }
        self.finish(time);
    }

    // ---- what the driver collects after each batch

    /// Appends the pending effects to `into`, in order.
    pub fn take_effects(&mut self, into: &mut Vec<Effect>) {
        into.append(&mut self.context.effects);
    }

    /// Appends the sessions with pending output to `into`, possibly twice.
    pub fn take_dirty(&mut self, into: &mut Vec<SessionId>) {
        self.sessions.take_dirty(into);
    }

    /// Passes each peer's encoded frames to `send`.
    pub fn take_frames(&mut self, send: impl FnMut(PodBoot, Vec<u8>)) {
        self.context.peers.take_frames(send);
    }

    // ---- what others may see

    /// The rooms that this hub owns.
    pub fn rooms(&self) -> impl Iterator<Item = RoomView> + '_ {
        self.rooms.iter().map(|(_, owned)| owned.view())
    }

    /// A room's seats as its record should list them; for the simulation's checks.
    pub fn seats_of(&self, room: RoomId) -> Vec<(PlayerName, RecordedSeat)> {
        let owned = self.rooms.of(room);
        owned.map(|owned| owned.room.recorded().collect()).unwrap_or_default()
    }

    /// In what a room that is here differs from the settings; for the simulation's checks.
    pub fn descriptor_of(&self, room: RoomId) -> Option<&Descriptor> {
        self.rooms.of(room).and_then(|owned| owned.room.descriptor())
    }
}
