//! Sessions of this pod whose room is elsewhere: their commands go to its owner, and wait while the owner changes. Pure: no I/O.

mod deliveries;
mod moving;

use std::collections::{HashMap, VecDeque};

use super::request::{ATTACH_PATIENCE, Asked, Entry, Waiter};
use super::session::Place;
use super::{Context, Hub, Timer};
use crate::ids::{RelayId, SessionId, SessionRef, Time};
use crate::peer_protocol::{After, Attach, Drop, Frame};
use crate::protocol::{
    Command, Encoding, ErrorCode, Event, Heard, OnWrongPod, PlayerName, PodBoot, RoomId, SeatId, SeatKey, Timeline,
};
use crate::record::Owner;
use crate::shrink::Shrink;

/// How long an owner may take to attach a session (ms): it may wait 2 s for the write of a new seat.
const ATTACH: u64 = 3_000;

/// A command on its way.
#[derive(Debug)]
struct Pending {
    number: u64,
    id: Option<u64>,
    command: Result<Command<'static>, ErrorCode>,
    /// It has been given to an owner, who may have carried it out.
    sent: bool,
}

impl Pending {
    /// Bytes of memory that it takes.
    fn holds(&self) -> usize {
        let text = match &self.command {
            Ok(Command::Say { text }) => text.len(),
            _ => 0,
        };
        size_of::<Self>() + text
    }

    fn ends(&self) -> bool {
        matches!(self.command, Ok(Command::Leave | Command::Quit))
    }

    /// Whether it has been carried out, or may have been, before the session attached. Where nobody knows, a LEAVE or QUIT has not:
    /// if it has, the session is in a new seat now, and leaves that.
    fn is_carried_out(&self, processed: Option<u64>) -> bool {
        processed.map_or(self.sent && !self.ends(), |processed| self.number <= processed)
    }
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
        /// It has, and tells what was missed.
        admitted: bool,
    },
    Live,
}

/// What a client has of a room, wherever that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    pub name: PlayerName,
    pub seat: SeatId,
    pub resumable: bool,
    pub key: Option<SeatKey>,
    pub timeline: Timeline,
    pub position: u64,
    pub seq: u64,
}

impl Stay {
    /// What brings it to another owner. `moved`: the client is told that there is one.
    fn attach(&self, encoding: Encoding, moved: bool) -> Attach {
        let Stay { name, seat, resumable, key, timeline, position, seq } = *self;
        Attach { encoding, name, seat, resumable, key, timeline, position, seq, moved }
    }
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
    /// Another owner had the room, in another timeline: what was sent to it may have been carried out. So it stays until all that was
    /// missed has come, however often the session attaches until then.
    doubt: bool,
    /// The client is to go to the new owner, once nothing is in flight.
    redirect: bool,
    /// When the search for an owner is given up.
    give_up: u64,
    /// Bytes that came from the owner and that it has not been told of.
    uncredited: usize,
}

impl Relay {
    /// Bytes of memory that commands take that are not answered yet.
    pub fn holds(&self) -> usize {
        self.pending.iter().map(Pending::holds).sum()
    }

    /// Commands that are not answered yet.
    pub fn under_way(&self) -> usize {
        self.pending.len()
    }

    pub fn uncredited(&self) -> usize {
        self.uncredited
    }
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
            doubt: false,
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

    /// `most`: commands under way.
    pub fn takes_commands(&self, most: usize) -> bool {
        !self.ending && self.pending.len() < most && !matches!(self.state, State::Opening { .. })
    }

    /// A command that ends the stay is on its way.
    fn ends(&self) -> bool {
        self.pending.iter().any(Pending::ends)
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

/// The sessions whose room is elsewhere, by their number on the peer links.
#[derive(Debug)]
pub struct Relays {
    table: HashMap<RelayId, SessionId>,
    last: u64,
}

impl Relays {
    /// `last`: the number before the first.
    pub fn new(last: u32) -> Self {
        Self { table: HashMap::new(), last: u64::from(last) }
    }

    /// A new number for a client's stay in a room, on this pod alone: the low byte is the thread's.
    pub fn next(&mut self, shard: usize) -> RelayId {
        self.last += 1;
        RelayId(self.last << 8 | (shard as u64 & 0xff))
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn get(&self, relay: RelayId) -> Option<SessionId> {
        self.table.get(&relay).copied()
    }

    pub fn sessions(&self) -> impl Iterator<Item = SessionId> {
        self.table.values().copied()
    }

    pub fn insert(&mut self, relay: RelayId, session: SessionId) {
        self.table.insert(relay, session);
    }

    pub fn remove(&mut self, relay: RelayId) {
        self.table.remove(&relay);
    }

    pub fn shrink(&mut self) {
        self.table.shrink();
    }
}

impl Hub {
    fn relay(&mut self, id: SessionId) -> Option<&mut Relay> {
        match &mut self.sessions.get_mut(id)?.place {
            Place::Relayed(relay) => Some(relay),
            _ => None,
        }
    }

    fn relay_of(&mut self, from: PodBoot, relay: RelayId) -> Option<SessionId> {
        let id = self.relays.get(relay)?;
        self.relay(id).is_some_and(|relay| relay.is_from(from)).then_some(id)
    }

    /// Sends JOIN or RESUME to the room's owner.
    pub(in crate::hub) fn open_there(
        &mut self,
        time: Time,
        room: RoomId,
        waiter: &Waiter,
        entry: &Entry,
        owner: &Owner,
    ) {
        let state = State::Opening {
            entry: entry.clone(),
            id: waiter.id,
            since: waiter.since,
            deadline: waiter.deadline.max(time.now + 1),
        };
        let Some(session) = self.sessions.get_mut(waiter.session) else {
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
            doubt: false,
            redirect,
            give_up: 0,
            uncredited: 0,
        }));
        self.relays.insert(relay, waiter.session);
        let command = entry.command(room);
        let frame = Frame::Open { room, relay, encoding, number: 1, id: waiter.id, command };
        self.context.peers.send(owner.ownership.boot, &frame);
        self.context.arm(waiter.deadline.max(time.now + 1), Timer::Session(waiter.session));
    }

    /// Asks an owner to take on a session that had a seat.
    pub(in crate::hub) fn attach_there(&mut self, time: Time, room: RoomId, id: SessionId, owner: &Owner) {
        let Some(session) = self.sessions.get_mut(id) else {
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
        relay.state = State::Attaching { until: time.now + ATTACH, admitted: false };
        relay.uncredited = 0;
        // MOVED also where REDIRECT follows: what is carried until then may be of another timeline.
        let attach = stay.attach(encoding, relay.moved);
        self.relays.insert(relay_id, id);
        self.context.peers.send(owner.ownership.boot, &Frame::Attach { room, relay: relay_id, attach });
        self.context.arm(time.now + ATTACH, Timer::Session(id));
    }

    /// The room has turned out to be here: the session is seated without a link.
    pub(in crate::hub) fn attach_here(&mut self, time: Time, key: usize, id: SessionId) {
        let boot = self.context.me.ownership.boot;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let (relay_id, encoding) = (session.relay, session.encoding);
        let connection = SessionRef { boot, relay: relay_id };
        if !matches!(&session.place, Place::Relayed(relay) if relay.state == State::Searching) {
            return;
        }
        let Place::Relayed(relay) = &mut session.place else {
            return;
        };
        let Some(stay) = relay.stay else {
            self.relays.remove(relay_id);
            return self.now_outside(time, id);
        };
        let doubt = relay.doubt;
        self.reinstate(time, key, stay.name, stay.seat);
        let Some(owned) = self.rooms.get(key) else {
            return;
        };
        let (room, seat) = (owned.room.id, owned.room.seat(stay.seat));
        let fits =
            |seat: &crate::room::Seat| seat.name == stay.name && seat.holder.is_none_or(|holder| holder == connection);
        // In its own seat it stays as it is while it catches up: what is replayed may answer what it has asked.
        let (stays, is_there) = (seat.is_some_and(fits), seat.is_some());
        let mut pending = VecDeque::new();
        if !stays {
            pending = self.leave_relay(id);
            // Where another connection has its seat, it is told that.
            if !is_there && pending.iter().any(Pending::ends) {
                return self.leave_unseated(time, id, room, pending);
            }
        }
        let attach = stay.attach(encoding, true);
        let asked = Asked::here(id, None);
        let Some(super::attaching::Settled { processed }) = self.attach(time, key, asked, connection, &attach) else {
            // Not in the seat that they were meant for.
            for pending in pending {
                self.refuse(time, Asked::here(id, pending.id), ErrorCode::Unavailable);
            }
            return;
        };
        if !matches!(self.sessions.get(id).map(|session| &session.place), Some(Place::Relayed(_))) {
            return;
        }
        let pending = self.leave_relay(id);
        let processed = processed.filter(|_| !doubt);
        if let Some(session) = self.sessions.get_mut(id) {
            session.place = Place::Seated { key, seat: stay.seat };
        }
        for pending in pending {
            let asked = Asked::here(id, pending.id);
            if pending.is_carried_out(processed) {
                self.refuse(time, asked, ErrorCode::Unavailable);
            } else if matches!(self.sessions.get(id).map(|session| &session.place), Some(Place::Seated { .. })) {
                self.command_in_room(time, key, stay.seat, asked, pending.command);
            }
        }
        self.sessions.wake(id);
    }

    /// A session that is to leave a room in which it has no seat any more: it has left.
    fn leave_unseated(&mut self, time: Time, id: SessionId, room: RoomId, pending: VecDeque<Pending>) {
        for pending in pending {
            let asked = Asked::here(id, pending.id);
            match pending.command {
                Ok(Command::Leave) => {
                    self.now_outside(time, id);
                    self.reply(time, asked, &Event::Left { room });
                }
                Ok(Command::Quit) => return self.goodbye(time, id, asked.id, None),
                _ => self.refuse(time, asked, ErrorCode::Unavailable),
            }
        }
        self.sessions.wake(id);
    }

    /// The session is not relayed any more. What it has asked and not been answered.
    fn leave_relay(&mut self, id: SessionId) -> VecDeque<Pending> {
        let Some(session) = self.sessions.get_mut(id) else {
            return VecDeque::new();
        };
        let relay_id = session.relay;
        let place = std::mem::replace(&mut session.place, Place::Busy);
        self.relays.remove(relay_id);
        match place {
            Place::Relayed(relay) => relay.pending,
            _ => VecDeque::new(),
        }
    }

    /// A command of a session whose room is elsewhere.
    pub(in crate::hub) fn relay_command(
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
        let Hub { sessions, context: Context { peers, .. }, .. } = self;
        let Some(session) = sessions.get_mut(id) else {
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
}
