//! One session of this pod whose room is elsewhere: what it has of the room, what is under way to its owner, and what becomes of it
//! when the owner changes. Pure: no I/O.

use std::collections::VecDeque;

use super::outcome::{Next, Overdue, Received};
use super::pending::{Pending, PendingCommands, Refused};
use crate::hub::interface::HubSettings;
use crate::hub::request::{ATTACH_PATIENCE, Waiter};
use crate::ids::RelayId;
use crate::peer_protocol::{After, Attach, Delivery, Drop, Frame};
use crate::protocol::{Command, Encoding, ErrorCode, Heard, PodBoot, RoomId};
use crate::record::Owner;
use crate::room::Membership;

/// How long an owner may take to attach a session (ms): it may wait 2 s for the write of a new seat.
pub const ATTACH: u64 = 3_000;

#[derive(Debug)]
enum RelayState {
    /// JOIN or RESUME has been sent, and not answered.
    Opening(Waiter),
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

/// The entry pod's side of a relayed session.
#[derive(Debug)]
pub struct Relay {
    id: RelayId,
    room: RoomId,
    state: RelayState,
    /// The owner that has, or is to have, the session.
    owner: Option<Owner>,
    /// `None` until it is admitted.
    membership: Option<Membership>,
    pending: PendingCommands,
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
    fn new(id: RelayId, room: RoomId, state: RelayState) -> Self {
        Self {
            id,
            room,
            state,
            owner: None,
            membership: None,
            pending: PendingCommands::default(),
            moved: false,
            doubt: false,
            redirect: false,
            give_up: 0,
            uncredited: 0,
        }
    }

    /// A client whose JOIN or RESUME, command 1, goes to the room's owner.
    pub fn opening(id: RelayId, room: RoomId, waiter: Waiter, owner: Owner) -> Self {
        debug_assert!(waiter.is_entering(), "a session with a seat attaches");
        let pending = PendingCommands::after(1);
        Self { owner: Some(owner), pending, ..Self::new(id, room, RelayState::Opening(waiter)) }
    }

    /// A client that had a seat here, whose room has gone. `redirect`: it is to follow the room.
    pub fn released(id: RelayId, room: RoomId, membership: Membership, redirect: bool, now: u64) -> Self {
        let membership = Some(membership);
        let give_up = now + ATTACH_PATIENCE;
        Self { membership, redirect, moved: true, give_up, ..Self::new(id, room, RelayState::Searching) }
    }

    // ---- what there is

    pub fn id(&self) -> RelayId {
        self.id
    }

    pub fn room(&self) -> RoomId {
        self.room
    }

    pub fn owner(&self) -> Option<&Owner> {
        self.owner.as_ref()
    }

    /// Bytes of memory that commands take that are not answered yet.
    pub fn holds(&self) -> usize {
        self.pending.holds()
    }

    /// Commands that are not answered yet.
    pub fn under_way(&self) -> usize {
        self.pending.len()
    }

    pub fn uncredited(&self) -> usize {
        self.uncredited
    }

    /// `most`: commands under way.
    pub fn takes_commands(&self, most: usize) -> bool {
        !self.pending.is_ending() && self.pending.len() < most && !matches!(self.state, RelayState::Opening(_))
    }

    fn is_live(&self) -> bool {
        matches!(self.state, RelayState::Live)
    }

    fn is_searching(&self) -> bool {
        matches!(self.state, RelayState::Searching)
    }

    /// Attached, and nothing is in flight.
    pub fn idle(&self) -> bool {
        self.is_live() && self.pending.is_empty()
    }

    /// Frames of the pod with `boot` are about this session as it is now.
    pub fn is_from(&self, boot: PodBoot) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.ownership.boot == boot) && !self.is_searching()
    }

    /// What it has of the room whose owner it looks for. `None`: it looks for none.
    pub fn searching(&self) -> Option<Membership> {
        self.membership.filter(|_| self.is_searching())
    }

    /// Nobody knows what of its commands was carried out.
    pub fn is_in_doubt(&self) -> bool {
        self.doubt
    }

    /// The client is to go to the new owner.
    pub fn is_to_redirect(&self) -> bool {
        self.redirect
    }

    /// The client cannot be told where to go: relaying goes on.
    pub fn keep_relaying(&mut self) {
        self.redirect = false;
    }

    // ---- commands

    /// Takes a command, to be sent in its turn.
    pub fn push(&mut self, id: Option<u64>, command: Result<Command<'static>, ErrorCode>) {
        debug_assert!(!matches!(self.state, RelayState::Opening(_)), "a command before JOIN is answered");
        self.pending.push(id, command);
    }

    /// Sends what has not been sent, if there is an owner that takes it.
    pub fn send_pending(&mut self, mut send: impl FnMut(PodBoot, &Frame<'_>)) {
        let (RelayState::Live, Some(owner)) = (&self.state, &self.owner) else {
            return;
        };
        for Pending { number, id, command, .. } in self.pending.send() {
            let (number, id, command) = (*number, *id, command.clone());
            send(owner.ownership.boot, &Frame::Command { room: self.room, relay: self.id, number, id, command });
        }
    }

    /// The reply to a command has come: the client's numbers of earlier ones, whose replies are lost.
    pub fn replied(&mut self, number: u64) -> Refused {
        self.pending.replied(number)
    }

    /// Gives up what was not answered.
    pub fn take_pending(&mut self) -> VecDeque<Pending> {
        self.pending.take()
    }

    // ---- what comes from the owner

    /// `None`: it is of an earlier attach, of which something may have been lost; it comes again, in its order.
    pub fn receive(&mut self, delivery: &Delivery<'_>, settings: &HubSettings) -> Option<Received> {
        let &Delivery { replies, place: (position, seq), after, .. } = delivery;
        if position > 0 && after.is_none() && self.waits_for_admission() {
            return None;
        }
        let lost = replies.map(|number| self.pending.replied(number)).unwrap_or_default();
        let is_new = !self.has_come_before(position, after);
        self.uncredited += delivery.bytes.len();
        let brought = self.uncredited.saturating_sub(settings.limits.window).min(delivery.bytes.len());
        if let Some(membership) = &mut self.membership {
            membership.position = membership.position.max(position);
            membership.seq = membership.seq.max(seq);
        }
        let numbered = settings.rules.number_commands;
        let next = match after {
            Some(After::Admitted { .. }) if !is_new => Next::Unchanged,
            Some(After::Admitted { name, seat, resumable, key, timeline, joined }) => {
                let admitted = Membership { name, seat, resumable, key, timeline, position, seq };
                self.admitted(admitted, joined)
            }
            // What was asked since the first answer is under way as it should be.
            Some(After::CaughtUp { .. }) if self.is_live() => Next::Unchanged,
            Some(After::CaughtUp { processed }) => Next::CaughtUp { lost: self.caught_up(processed, numbered) },
            Some(After::Outside { miss }) => Next::Outside { miss },
            Some(After::Close { code }) => Next::Closed { code },
            None => Next::Unchanged,
        };
        Some(Received { lost, is_new, brought, next })
    }

    fn waits_for_admission(&self) -> bool {
        matches!(self.state, RelayState::Attaching { admitted: false, .. })
    }

    /// An attach that was sent twice is answered twice.
    fn has_come_before(&self, position: u64, after: Option<After>) -> bool {
        match after {
            None => position > 0 && self.membership.is_some_and(|membership| position <= membership.position),
            Some(After::Admitted { joined: false, .. }) => !self.waits_for_admission(),
            Some(_) => false,
        }
    }

    /// The owner has seated the session. `joined`: anew, as a JOIN would be.
    fn admitted(&mut self, admitted: Membership, joined: bool) -> Next {
        let same = self.membership.filter(|membership| membership.timeline == admitted.timeline);
        self.doubt |= self.membership.is_some() && same.is_none();
        self.moved = false;
        let (position, seq) = match same.filter(|_| !joined) {
            Some(known) => (known.position, known.seq),
            None => (admitted.position, admitted.seq),
        };
        self.membership = Some(Membership { position, seq, ..admitted });
        match &mut self.state {
            RelayState::Opening(_) => {
                self.state = RelayState::Live;
                Next::Opened
            }
            // Nothing is replayed.
            RelayState::Attaching { .. } if joined => Next::CaughtUp { lost: self.caught_up(None, true) },
            RelayState::Attaching { admitted, .. } => {
                *admitted = true;
                Next::Admitted
            }
            RelayState::Searching | RelayState::Live => Next::Admitted,
        }
    }

    /// Everything that was missed has come: what was in flight is settled, what waits is to be sent anew.
    fn caught_up(&mut self, processed: Option<u64>, numbered: bool) -> Refused {
        let doubt = std::mem::take(&mut self.doubt) && numbered;
        self.state = RelayState::Live;
        self.pending.settle(processed.filter(|_| !doubt))
    }

    /// `queued`: bytes that the client has not taken. Tells the owner what it has, `quarter` of a window at a time.
    pub fn credit(&mut self, queued: usize, quarter: usize) -> Option<(PodBoot, Frame<'static>)> {
        let bytes = self.uncredited.saturating_sub(queued);
        if bytes < quarter || !matches!(self.state, RelayState::Live | RelayState::Attaching { admitted: true, .. }) {
            return None;
        }
        let boot = self.owner.as_ref()?.ownership.boot;
        self.uncredited -= bytes;
        Some((boot, Frame::Credit { room: self.room, relay: self.id, bytes: bytes as u32 }))
    }

    // ---- the owner changes

    /// The owner has given the room up, and commands after `processed` were not carried out. `redirect`: the client follows the room.
    pub fn owner_released(&mut self, processed: u64, redirect: bool) {
        self.moved = true;
        // What was sent to another owner, before this one has taken the session on, is not this one's to know of.
        let was_its = self.is_live();
        if was_its {
            self.pending.take_back(processed);
        }
        if self.membership.is_some() {
            self.redirect = redirect;
        }
    }

    /// There is no owner any more. `Err`: JOIN or RESUME was not answered, and is asked again. Else a new one is looked for until the
    /// time that is returned (ms).
    pub fn lose_owner(&mut self, now: u64) -> Result<u64, Waiter> {
        match &self.state {
            RelayState::Opening(waiter) => return Err(waiter.clone()),
            RelayState::Live => self.give_up = now + ATTACH_PATIENCE,
            RelayState::Searching | RelayState::Attaching { .. } => {}
        }
        self.state = RelayState::Searching;
        Ok(self.give_up)
    }

    /// An owner was found: what asks it to take the session on. `None`: none was looked for.
    pub fn attach(&mut self, now: u64, encoding: Encoding, owner: &Owner) -> Option<Frame<'static>> {
        let membership = self.searching()?;
        self.moved |= self.owner.as_ref().is_some_and(|old| old.ownership.boot != owner.ownership.boot);
        self.owner = Some(owner.clone());
        self.state = RelayState::Attaching { until: now + ATTACH, admitted: false };
        self.uncredited = 0;
        // MOVED also where REDIRECT follows: what is carried until then may be of another timeline.
        let attach = Attach { encoding, member: membership, moved: self.moved };
        Some(Frame::Attach { room: self.room, relay: self.id, attach })
    }

    /// What is late by now.
    pub fn overdue(&self, now: u64) -> Option<Overdue> {
        match &self.state {
            RelayState::Opening(waiter) if waiter.deadline <= now => Some(Overdue::Entry { id: waiter.id }),
            // Once it is admitted the owner is there, and what was missed comes as fast as the client reads.
            RelayState::Attaching { until, admitted: false } if *until <= now => Some(Overdue::Attach),
            _ => None,
        }
    }

    /// Tells the owner that has, or may have, the session that its client is gone.
    pub fn closed(&self, drop: Drop) -> Option<(PodBoot, Frame<'static>)> {
        let heard = self.membership.filter(|_| drop != Drop::Slow);
        let heard = heard.map(|Membership { timeline, seq, .. }| Heard { timeline, last_seq: seq });
        let frame = Frame::Closed { room: self.room, relay: self.id, drop, heard, entry: None };
        self.owner.as_ref().map(|owner| (owner.ownership.boot, frame))
    }

    /// What must hold between calls; panics where it does not.
    pub fn check_invariants(&self) {
        let is_opening = matches!(self.state, RelayState::Opening(_));
        assert_eq!(self.membership.is_none(), is_opening, "a seat once JOIN is answered: {self:?}");
        assert!(self.owner.is_some() || self.is_searching(), "nobody has it: {self:?}");
        assert!(self.pending.is_empty() || !is_opening, "a command before JOIN is answered: {self:?}");
        self.pending.check_invariants(self.is_live());
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
