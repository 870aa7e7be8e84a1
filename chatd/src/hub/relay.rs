//! Sessions of this pod whose room is elsewhere: their commands go to its owner, and wait while the owner changes. Pure: no I/O.

use std::collections::VecDeque;

use super::admission::Entry;
use super::find::{ATTACH_PATIENCE, Waiter};
use super::input::Asked;
use super::session::Place;
use super::{Hub, SessionId, Time, Timer};
use crate::frame::{After, Attach, Drop, Frame, RelayId};
use crate::protocol::{Command, ErrorCode, Event, OnWrongPod, PlayerName, PodBoot, RoomId, SeatId, Timeline};
use crate::record::Owner;
use crate::room::Connection;

/// Commands of one session that may be on their way to the owner, or wait for one.
const COMMANDS: usize = 64;
/// Bytes written to the client after which the owner is told so: a quarter of the window.
const CREDIT: usize = (super::guests::WINDOW / 4) as usize;
/// How long an owner may take to attach a session (ms).
const ATTACH: u64 = 2_000;

/// A command on its way.
#[derive(Debug)]
struct Pending {
    number: u64,
    id: Option<u64>,
    command: Result<Command<'static>, ErrorCode>,
    /// It has been given to an owner, who may have carried it out.
    sent: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// JOIN or RESUME has been sent, and not answered.
    Opening {
        entry: Entry,
        id: Option<u64>,
        since: u64,
        deadline: u64,
    },
    /// The owner is looked for.
    Searching,
    /// The owner has been asked to take the session on.
    Attaching {
        until: u64,
    },
    Live,
}

/// What a client has of a room, wherever that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    pub name: PlayerName,
    pub seat: SeatId,
    pub resumable: bool,
    pub timeline: Timeline,
    pub position: u64,
    pub seq: u64,
}

/// The entry pod's side of a relayed session.
#[derive(Debug)]
pub struct Relay {
    room: RoomId,
    state: State,
    /// The owner that has, or is to have, the session.
    owner: Option<Owner>,
    /// `None` until it is admitted.
    stay: Option<Stay>,
    last_number: u64,
    pending: VecDeque<Pending>,
    /// LEAVE or QUIT is on its way: what comes after it waits.
    ending: bool,
    /// The client does not know yet that the owner has changed.
    moved: bool,
    /// The client is to go to the new owner, once nothing is in flight.
    redirect: bool,
    /// When the search for an owner is given up.
    give_up: u64,
    /// Bytes that came from the owner and that it has not been told of.
    uncredited: usize,
}

impl Relay {
    /// A client that had a seat here, whose room has gone.
    pub fn yielded(room: RoomId, stay: Stay, redirect: bool, give_up: u64) -> Self {
        Self {
            room,
            state: State::Searching,
            owner: None,
            stay: Some(stay),
            last_number: 0,
            pending: VecDeque::new(),
            ending: false,
            moved: true,
            redirect,
            give_up,
            uncredited: 0,
        }
    }

    /// A command that was taken here and not answered goes along.
    pub fn push(&mut self, id: Option<u64>, command: Result<Command<'static>, ErrorCode>) {
        self.ending |= matches!(command, Ok(Command::Leave | Command::Quit));
        self.last_number += 1;
        self.pending.push_back(Pending { number: self.last_number, id, command, sent: false });
    }

    pub fn takes_commands(&self) -> bool {
        !self.ending && self.pending.len() < COMMANDS && !matches!(self.state, State::Opening { .. })
    }

    /// Attached, and nothing is in flight.
    pub fn idle(&self) -> bool {
        self.state == State::Live && self.pending.is_empty()
    }

    fn is_from(&self, boot: PodBoot) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.ownership.boot == boot)
            && matches!(self.state, State::Opening { .. } | State::Attaching { .. } | State::Live)
    }
}

impl Hub {
    fn relay(&mut self, id: SessionId) -> Option<&mut Relay> {
        match &mut self.session_mut(id)?.place {
            Place::Relayed(relay) => Some(relay),
            _ => None,
        }
    }

    fn relay_of(&mut self, from: PodBoot, relay: RelayId) -> Option<SessionId> {
        let id = *self.relays.get(&relay)?;
        self.relay(id).is_some_and(|relay| relay.is_from(from)).then_some(id)
    }

    /// Sends JOIN or RESUME to the room's owner.
    pub(super) fn open_there(&mut self, time: Time, room: RoomId, waiter: &Waiter, entry: &Entry, owner: &Owner) {
        let state = State::Opening {
            entry: entry.clone(),
            id: waiter.id,
            since: waiter.since,
            deadline: waiter.deadline.max(time.now + 1),
        };
        let Some(session) = self.session_mut(waiter.session) else {
            return;
        };
        let (relay, encoding) = (session.relay, session.encoding);
        let redirect = false;
        session.place = Place::Relayed(Box::new(Relay {
            room,
            state,
            owner: Some(owner.clone()),
            stay: None,
            last_number: 1,
            pending: VecDeque::new(),
            ending: false,
            moved: false,
            redirect,
            give_up: 0,
            uncredited: 0,
        }));
        self.relays.insert(relay, waiter.session);
        self.counters.relays += 1;
        let command = entry.command(room);
        let frame = Frame::Open { room, relay, encoding, number: 1, id: waiter.id, command };
        self.peers.send(owner.ownership.boot, &frame);
        self.arm(waiter.deadline.max(time.now + 1), Timer::Session(waiter.session));
    }

    /// Asks an owner to take on a session that had a seat.
    pub(super) fn attach_there(&mut self, time: Time, room: RoomId, id: SessionId, owner: &Owner) {
        let Some(session) = self.session_mut(id) else {
            return;
        };
        let (relay_id, encoding) = (session.relay, session.encoding);
        let Some(relay) = self.relay(id) else {
            return;
        };
        let Some(stay) = relay.stay.filter(|_| relay.state == State::Searching) else {
            return;
        };
        relay.moved |= relay.owner.as_ref().is_some_and(|old| old.ownership.boot != owner.ownership.boot);
        relay.owner = Some(owner.clone());
        relay.state = State::Attaching { until: time.now + ATTACH };
        relay.uncredited = 0;
        let attach = Attach {
            encoding,
            name: stay.name,
            seat: stay.seat,
            resumable: stay.resumable,
            timeline: stay.timeline,
            position: stay.position,
            seq: stay.seq,
            moved: relay.moved && !relay.redirect,
        };
        self.relays.insert(relay_id, id);
        self.peers.send(owner.ownership.boot, &Frame::Attach { room, relay: relay_id, attach });
        self.arm(time.now + ATTACH, Timer::Session(id));
    }

    /// The room has turned out to be here: the session is seated without a link.
    pub(super) fn attach_here(&mut self, time: Time, key: usize, id: SessionId) {
        let boot = self.me.ownership.boot;
        let Some(session) = self.session_mut(id) else {
            return;
        };
        let (relay_id, encoding) = (session.relay, session.encoding);
        let connection = Connection { boot, relay: relay_id };
        if !matches!(&session.place, Place::Relayed(relay) if relay.state == State::Searching) {
            return;
        }
        let Place::Relayed(relay) = std::mem::replace(&mut session.place, Place::Busy) else {
            return;
        };
        self.relays.remove(&relay_id);
        let Some(stay) = relay.stay else {
            return self.now_outside(time, id);
        };
        let attach = Attach {
            encoding,
            name: stay.name,
            seat: stay.seat,
            resumable: stay.resumable,
            timeline: stay.timeline,
            position: stay.position,
            seq: stay.seq,
            moved: true,
        };
        let asked = Asked::here(id, None);
        let Some(super::guests::Settled { processed }) = self.attach(time, key, asked, connection, &attach) else {
            // Not in the seat that they were meant for.
            for pending in relay.pending {
                self.refuse(time, Asked::here(id, pending.id), ErrorCode::Unavailable);
            }
            return;
        };
        if let Some(session) = self.session_mut(id) {
            session.place = Place::Seated { key, seat: stay.seat };
        }
        for pending in relay.pending {
            let carried_out = processed.map_or(pending.sent, |processed| pending.number <= processed);
            let asked = Asked::here(id, pending.id);
            if carried_out {
                self.refuse(time, asked, ErrorCode::Unavailable);
            } else if matches!(self.session(id).map(|session| &session.place), Some(Place::Seated { .. })) {
                self.command_in_room(time, key, stay.seat, asked, pending.command);
            }
        }
        self.wake(id);
    }

    /// A command of a session whose room is elsewhere.
    pub(super) fn relay_command(
        &mut self,
        _time: Time,
        id: SessionId,
        number: Option<u64>,
        command: Result<Command<'_>, ErrorCode>,
    ) {
        if let Some(relay) = self.relay(id) {
            relay.push(number, command.map(Command::into_owned));
            self.send_pending(id);
        }
    }

    /// Sends the commands that have not been sent to the owner.
    fn send_pending(&mut self, id: SessionId) {
        let Hub { sessions, peers, .. } = self;
        let Some(session) = sessions.get_mut(id.index as usize).filter(|session| session.id == id) else {
            return;
        };
        let relay_id = session.relay;
        let Place::Relayed(relay) = &mut session.place else {
            return;
        };
        let (State::Live, Some(owner)) = (&relay.state, &relay.owner) else {
            return;
        };
        for pending in relay.pending.iter_mut().filter(|pending| !pending.sent) {
            pending.sent = true;
            let frame = Frame::Command {
                room: relay.room,
                relay: relay_id,
                number: pending.number,
                id: pending.id,
                command: pending.command.clone(),
            };
            peers.send(owner.ownership.boot, &frame);
        }
    }

    // ---- what comes from the owner

    pub(super) fn delivery_came(
        &mut self,
        time: Time,
        from: PodBoot,
        relay_id: RelayId,
        (replies, position, seq): (Option<u64>, u64, u64),
        bytes: &[u8],
        after: Option<After>,
    ) {
        let Some(id) = self.relay_of(from, relay_id) else {
            return;
        };
        if let Some(number) = replies {
            self.replied(time, id, number);
        }
        let Some(session) = self.session_mut(id) else {
            return;
        };
        session.output.buffer().extend_from_slice(bytes);
        let queued = session.output.len();
        if let Place::Relayed(relay) = &mut session.place {
            relay.uncredited += bytes.len();
            if let Some(stay) = &mut relay.stay {
                stay.position = stay.position.max(position);
                stay.seq = stay.seq.max(seq);
            }
        }
        let too_much = queued > self.settings.send_queue;
        self.mark_dirty(id);
        if too_much {
            return self.too_slow(time, id);
        }
        match after {
            None => {}
            Some(After::Admitted { name, seat, resumable, timeline }) => {
                if let Some(relay) = self.relay(id) {
                    let fresh = relay.stay.is_none_or(|stay| stay.timeline != timeline);
                    let fresh = fresh || !bytes.is_empty();
                    let known = relay.stay.filter(|_| !fresh).map(|stay| (stay.position, stay.seq));
                    let (position, seq) = known.unwrap_or((position, seq));
                    relay.stay = Some(Stay { name, seat, resumable, timeline, position, seq });
                    relay.moved = false;
                    if matches!(relay.state, State::Opening { .. }) {
                        relay.state = State::Live;
                    }
                }
                // With a word to the client: admitted as if it had joined, and nothing is replayed.
                if !bytes.is_empty() && self.relay(id).is_some_and(|relay| relay.state != State::Live) {
                    self.caught_up(time, id, None);
                }
                self.wake(id);
            }
            Some(After::CaughtUp { processed }) => self.caught_up(time, id, processed),
            Some(After::Outside { miss }) => {
                self.answer_rest(time, id);
                self.relays.remove(&relay_id);
                self.now_outside(time, id);
                if miss {
                    self.missed_once(time, id);
                }
                self.wake(id);
            }
            Some(After::Close { code }) => {
                self.relays.remove(&relay_id);
                if let Some(session) = self.session_mut(id) {
                    session.place = Place::Outside;
                }
                self.close(id, code);
            }
        }
        self.leave_if_idle(time, id);
        if self.relay(id).is_some_and(|relay| relay.idle()) {
            self.wake(id);
        }
    }

    /// The reply to a command has come. Earlier ones that were carried out and whose replies are lost get their word first.
    fn replied(&mut self, time: Time, id: SessionId, number: u64) {
        while let Some(relay) = self.relay(id)
            && let Some(first) = relay.pending.front()
            && first.number <= number
        {
            let (lost, own) = (first.number < number, first.id);
            relay.pending.pop_front();
            if lost {
                self.refuse(time, Asked::here(id, own), ErrorCode::Unavailable);
            }
        }
    }

    /// Everything that was missed has come: what was in flight is settled, what waited is sent.
    fn caught_up(&mut self, time: Time, id: SessionId, processed: Option<u64>) {
        let Some(relay) = self.relay(id) else {
            return;
        };
        let mut lost = Vec::new();
        relay.pending.retain(|pending| {
            let carried_out = processed.map_or(pending.sent, |processed| pending.number <= processed);
            if carried_out {
                lost.push(pending.id);
            }
            !carried_out
        });
        for pending in &mut relay.pending {
            pending.sent = false;
        }
        relay.ending =
            relay.pending.iter().any(|pending| matches!(pending.command, Ok(Command::Leave | Command::Quit)));
        relay.state = State::Live;
        for own in lost {
            self.refuse(time, Asked::here(id, own), ErrorCode::Unavailable);
        }
        self.send_pending(id);
        self.wake(id);
    }

    /// The session is in no room any more: what it sent into it gets its word.
    fn answer_rest(&mut self, time: Time, id: SessionId) {
        let Some(relay) = self.relay(id) else {
            return;
        };
        for pending in std::mem::take(&mut relay.pending) {
            self.refuse(time, Asked::here(id, pending.id), ErrorCode::NotInRoom);
        }
    }

    pub(super) fn credit(&mut self, _time: Time, id: SessionId) {
        let Some(session) = self.session_mut(id) else {
            return;
        };
        let (queued, relay_id) = (session.output.len(), session.relay);
        let Place::Relayed(relay) = &mut session.place else {
            return;
        };
        let bytes = relay.uncredited.saturating_sub(queued);
        if bytes >= CREDIT
            && let (State::Live, Some(owner)) = (&relay.state, &relay.owner)
        {
            relay.uncredited -= bytes;
            let frame = Frame::Credit { room: relay.room, relay: relay_id, bytes: bytes as u32 };
            let boot = owner.ownership.boot;
            self.peers.send(boot, &frame);
        }
    }

    // ---- the owner changes

    pub(super) fn relay_refused(
        &mut self,
        time: Time,
        from: PodBoot,
        room: RoomId,
        relay_id: RelayId,
        seen: Option<Owner>,
    ) {
        if let Some(owner) = seen {
            self.learn(time, room, &owner);
        }
        if let Some(id) = self.relay_of(from, relay_id) {
            self.search(time, id, false);
        }
    }

    pub(super) fn relay_yielded(
        &mut self,
        time: Time,
        from: PodBoot,
        room: RoomId,
        relay_id: RelayId,
        owner: &Owner,
        processed: u64,
    ) {
        self.learn(time, room, owner);
        let Some(id) = self.relay_of(from, relay_id) else {
            return;
        };
        if let Some(relay) = self.relay(id) {
            relay.moved = true;
            for pending in relay.pending.iter_mut().filter(|pending| pending.number > processed) {
                pending.sent = false;
            }
        }
        let mode = self.session(id).map(|session| session.mode);
        if let Some(relay) = self.relay(id)
            && relay.stay.is_some()
        {
            relay.redirect = mode == Some(OnWrongPod::Redirect);
        }
        self.search(time, id, true);
    }

    /// The link to the pod with `boot` broke: its sessions look for their rooms.
    pub(super) fn relays_cut(&mut self, time: Time, boot: PodBoot) {
        let mut cut: Vec<SessionId> = Vec::new();
        for id in self.relays.values() {
            if let Some(session) = self.session(*id)
                && let Place::Relayed(relay) = &session.place
                && relay.is_from(boot)
            {
                cut.push(*id);
            }
        }
        cut.sort_unstable();
        for id in cut {
            self.search(time, id, false);
        }
    }

    /// Looks for the owner. `straight`: the one that is known as the highest now is tried first, if its link is up.
    fn search(&mut self, time: Time, id: SessionId, straight: bool) {
        let Some(relay) = self.relay(id) else {
            return;
        };
        let room = relay.room;
        if let State::Opening { entry, id: number, since, deadline } = &relay.state {
            let (entry, number, since, deadline) = (entry.clone(), *number, *since, *deadline);
            if let Some(session) = self.session_mut(id) {
                session.place = Place::Busy;
                session.room = Some(room);
                let relay_id = session.relay;
                self.relays.remove(&relay_id);
            }
            let waiter = Waiter { since, deadline, ..Waiter::entering(id, number, entry, since) };
            return self.look_for(time, room, waiter);
        }
        if matches!(relay.state, State::Live) {
            relay.give_up = time.now + ATTACH_PATIENCE;
        }
        let give_up = relay.give_up;
        relay.state = State::Searching;
        let seen = self.seen.get(&room).map(|seen| seen.owner.clone());
        if straight
            && let Some(owner) = seen
            && self.peers.is_up(owner.ownership.boot)
        {
            return self.attach_there(time, room, id, &owner);
        }
        self.look_for(time, room, Waiter::attaching(id, time.now, give_up));
    }

    /// A session's room has gone from here to another pod.
    pub(super) fn search_for_yielded(&mut self, time: Time, id: SessionId) {
        self.search(time, id, true);
    }

    /// Nobody who serves the room was found in time.
    pub(super) fn lost_for_good(&mut self, time: Time, id: SessionId, code: ErrorCode) {
        let Some(session) = self.session_mut(id) else {
            return;
        };
        if !matches!(&session.place, Place::Relayed(relay) if relay.state == State::Searching) {
            return;
        }
        let relay_id = session.relay;
        let encountered = std::mem::replace(&mut session.place, Place::Outside);
        self.relays.remove(&relay_id);
        if let Place::Relayed(relay) = encountered {
            for pending in relay.pending {
                self.refuse(time, Asked::here(id, pending.id), code);
            }
        }
        self.say(time, id, None, &Event::Error { code, retry_after_ms: None });
        self.goodbye(time, id, None, Some(code));
    }

    /// The client of a relayed session is gone.
    pub(super) fn relay_dropped(&mut self, _time: Time, id: SessionId, drop: Drop) {
        let Some(session) = self.session_mut(id) else {
            return;
        };
        let relay_id = session.relay;
        if let Place::Relayed(relay) = std::mem::replace(&mut session.place, Place::Outside)
            && let Some(owner) = &relay.owner
        {
            let frame = Frame::Closed { room: relay.room, relay: relay_id, drop };
            self.peers.send(owner.ownership.boot, &frame);
        }
        self.relays.remove(&relay_id);
    }

    /// A relayed session's time is up: JOIN was not answered, or the owner did not take it on.
    pub(super) fn relay_due(&mut self, time: Time, id: SessionId) {
        let Some(relay) = self.relay(id) else {
            return;
        };
        match &relay.state {
            State::Opening { id: number, deadline, .. } if *deadline <= time.now => {
                let asked = Asked::here(id, *number);
                self.relay_dropped(time, id, Drop::Lost);
                self.counters.joined(Err(ErrorCode::Unavailable));
                self.refuse_entry(time, asked, ErrorCode::Unavailable);
            }
            State::Attaching { until } if *until <= time.now => self.search(time, id, false),
            _ => {}
        }
    }

    // ---- the client goes to where its room is

    /// Sends the client on, if it is to go and nothing is in flight.
    pub(super) fn leave_if_idle(&mut self, time: Time, id: SessionId) {
        let draining = self.drain_sends_away(time);
        let Some(session) = self.session(id) else {
            return;
        };
        let mode = session.mode;
        let quiet = session.waiting.bytes.is_empty() && session.waiting.messages.is_empty();
        let Place::Relayed(relay) = &session.place else {
            return;
        };
        if !quiet || !relay.idle() || !(relay.redirect || draining || self.goes_at_once(mode)) {
            return;
        }
        let (room, owner) = (relay.room, relay.owner.clone());
        if mode == OnWrongPod::Redirect
            && let Some(owner) = owner
            && let Some((tcp, web)) = self.address_of(&owner)
        {
            self.counters.redirects += 1;
            self.say(time, id, None, &Event::Redirect { room, tcp: &tcp, web: &web });
            return self.fail_quietly(time, id, Some(ErrorCode::Moved));
        }
        if draining {
            self.fail_quietly(time, id, Some(ErrorCode::Moved));
        } else if let Some(relay) = self.relay(id) {
            // Where it is cannot be said: relaying goes on.
            relay.redirect = false;
        }
    }
}
