//! One relayed session: its membership, its commands in flight to the owner, and its next step
//! when the owner changes. Pure: no I/O.

use std::collections::VecDeque;

use super::outcome::{Next, Overdue, Received};
use super::pending::{Pending, PendingCommands, Refused};
use crate::hub::interface::HubSettings;
use crate::hub::request::{ATTACH_PATIENCE, Waiter};
use crate::ids::RelayId;
use crate::peer_protocol::{After, Attach, Delivery, Disconnect, Frame};
use crate::protocol::{Command, Encoding, ErrorCode, Heard, PodBoot, RoomId};
use crate::record::Owner;
use crate::room::Membership;

/// How long an owner may take to attach a session (ms): the write of a new seat takes up to 2 s.
pub const ATTACH: u64 = 3_000;

#[derive(Debug)]
enum RelayState {
    /// JOIN or RESUME is in flight.
    Opening(Box<Waiter>),
    /// Searching for the owner.
    Searching,
    /// The attach is in flight.
    Attaching {
        until: u64,
        /// The session is attached; the replay is in flight.
        admitted: bool,
        /// Bytes of the answer to the attach so far: the news and the replay.
        told: usize,
    },
    Live,
}

/// The entry pod's side of a relayed session.
#[derive(Debug)]
pub struct Relay {
    id: RelayId,
    room: RoomId,
    state: RelayState,
    /// The owner, or the pod that should become it.
    owner: Option<Owner>,
    /// `None` until it is admitted.
    membership: Option<Membership>,
    pending: PendingCommands,
    /// The client has not been notified of the new owner.
    moved: bool,
    /// Another owner had the room, in another timeline, and may have carried out the commands in flight. This stays set until the replay
    /// is complete, however often the session attaches until then.
    doubt: bool,
    /// The client goes to the new owner once nothing is in flight.
    redirect: bool,
    /// When the search for an owner ends (ms).
    give_up: u64,
    /// Bytes from the owner for which it has no credit yet.
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
        Self { owner: Some(owner), pending, ..Self::new(id, room, RelayState::Opening(Box::new(waiter))) }
    }

    /// A local member whose room has left. `redirect`: the client follows the room.
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

    /// Bytes of memory of the unanswered commands.
    pub fn holds(&self) -> usize {
        self.pending.holds()
    }

    /// The number of unanswered commands.
    pub fn under_way(&self) -> usize {
        self.pending.len()
    }

    pub fn uncredited(&self) -> usize {
        self.uncredited
    }

    /// `most`: unanswered commands.
    pub fn takes_commands(&self, most: usize) -> bool {
        !self.pending.hold_back() && self.pending.len() < most && !matches!(self.state, RelayState::Opening(_))
    }

    /// Its seat was taken with a join token.
    pub fn has_join_token(&self) -> bool {
        self.membership.is_some_and(|membership| membership.auth.is_some())
    }

    fn is_live(&self) -> bool {
        matches!(self.state, RelayState::Live)
    }

    fn is_searching(&self) -> bool {
        matches!(self.state, RelayState::Searching)
    }

    /// It is a call that must not be carried out twice, and nobody knows whether the owner has done so.
    pub fn is_lost_with_its_owner(&self) -> bool {
        matches!(&self.state, RelayState::Opening(waiter) if waiter.is_lost_with_its_owner())
    }

    /// Attached, and nothing is in flight.
    pub fn idle(&self) -> bool {
        self.is_live() && self.pending.is_empty()
    }

    /// Whether frames of the pod with `boot` refer to the session's current stay.
    pub fn is_from(&self, boot: PodBoot) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.ownership.boot == boot) && !self.is_searching()
    }

    /// The membership with which it searches for an owner. `None`: it does not search.
    pub fn searching(&self) -> Option<Membership> {
        self.membership.filter(|_| self.is_searching())
    }

    /// Whether it is unknown which of its commands were carried out.
    pub fn is_in_doubt(&self) -> bool {
        self.doubt
    }

    /// The client is to go to the new owner.
    pub fn is_to_redirect(&self) -> bool {
        self.redirect
    }

    /// The client has no address to go to: it stays relayed.
    pub fn keep_relaying(&mut self) {
        self.redirect = false;
    }

    // ---- commands

    /// Queues a command.
    pub fn push(&mut self, id: Option<u64>, command: Result<Command<'static>, ErrorCode>) {
        debug_assert!(!matches!(self.state, RelayState::Opening(_)), "a command before JOIN is answered");
        self.pending.push(id, command);
    }

    /// Sends the queued commands, if an owner takes them.
    pub fn send_pending(&mut self, mut send: impl FnMut(PodBoot, &Frame<'_>)) {
        let (RelayState::Live, Some(owner)) = (&self.state, &self.owner) else {
            return;
        };
        for Pending { number, id, command, .. } in self.pending.send() {
            let (number, id, command) = (*number, *id, command.clone());
            send(owner.ownership.boot, &Frame::Command { room: self.room, relay: self.id, number, id, command });
        }
    }

    /// The reply to a command arrived. Returns the client's ids of earlier commands, whose replies are lost.
    pub fn replied(&mut self, number: u64) -> Refused {
        self.pending.replied(number)
    }

    /// Abandons the unanswered commands.
    pub fn take_pending(&mut self) -> VecDeque<Pending> {
        self.pending.take()
    }

    // ---- what comes from the owner

    /// `None`: the delivery belongs to an earlier attach that may have lost deliveries; it comes again in order.
    pub fn receive(&mut self, delivery: &Delivery<'_>, settings: &HubSettings) -> Option<Received> {
        let &Delivery { replies, place: (position, seq), after, .. } = delivery;
        // So does an event without a number, which answers nothing: it comes no more.
        if (position > 0 || replies.is_none()) && after.is_none() && self.waits_for_admission() {
            return None;
        }
        let lost = replies.map(|number| self.pending.replied(number)).unwrap_or_default();
        let is_new = !self.is_no_news(position, after);
        self.uncredited += delivery.bytes.len();
        let brought = self.uncredited.saturating_sub(settings.limits.window).min(delivery.bytes.len());
        if let Some(membership) = &mut self.membership {
            membership.position = membership.position.max(position);
            membership.seq = membership.seq.max(seq);
        }
        let told = if is_new { self.is_told(delivery.bytes.len()) } else { 0 };
        let numbered = settings.rules.number_commands;
        let next = match after {
            Some(After::Admitted { .. }) if !is_new => Next::Unchanged,
            Some(After::Admitted { name, seat, resumable, key, auth, epoch, timeline, joined }) => {
                let admitted = Membership { name, seat, resumable, key, auth, epoch, timeline, position, seq };
                self.admitted(admitted, joined)
            }
            // The commands since the first answer are in flight as they should be.
            Some(After::CaughtUp { .. }) if self.is_live() => Next::Unchanged,
            Some(After::CaughtUp { processed }) => Next::CaughtUp { lost: self.caught_up(processed, numbered) },
            Some(After::Outside { .. }) if !is_new => Next::Unseated,
            // A client whose seat has ended has guessed at nothing.
            Some(After::Outside { miss }) => Next::Outside { miss: miss && !self.waits_for_admission() },
            Some(After::Close { code }) => Next::Closed { code },
            Some(After::Guessed) => Next::Guessed,
            None => Next::Unchanged,
        };
        Some(Received { lost, is_new, brought, told, next })
    }

    /// So many bytes more have come. Returns how many there are of the answer to an attach; 0: they are of none.
    fn is_told(&mut self, bytes: usize) -> usize {
        match &mut self.state {
            RelayState::Attaching { told, .. } => {
                *told += bytes;
                *told
            }
            _ => 0,
        }
    }

    fn waits_for_admission(&self) -> bool {
        matches!(self.state, RelayState::Attaching { admitted: false, .. })
    }

    /// An attach that was sent twice gets two answers. A session that wants to leave, and whose seat has ended, has left.
    fn is_no_news(&self, position: u64, after: Option<After>) -> bool {
        match after {
            None => position > 0 && self.membership.is_some_and(|membership| position <= membership.position),
            Some(After::Admitted { joined: false, .. }) => !self.waits_for_admission(),
            Some(After::Outside { miss: true }) => self.waits_for_admission() && self.pending.is_ending(),
            Some(_) => false,
        }
    }

    /// The owner has seated the session. `joined`: with a new seat, as after a JOIN.
    fn admitted(&mut self, admitted: Membership, joined: bool) -> Next {
        let same = self.membership.filter(|membership| membership.timeline == admitted.timeline);
        if self.membership.is_some() && same.is_none() {
            self.doubt = true;
        }
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
            // There is no replay.
            RelayState::Attaching { .. } if joined => Next::CaughtUp { lost: self.caught_up(None, true) },
            RelayState::Attaching { admitted, .. } => {
                *admitted = true;
                Next::Admitted
            }
            RelayState::Searching | RelayState::Live => Next::Admitted,
        }
    }

    /// The replay is complete: settles the commands in flight; the waiting ones are to be sent again.
    fn caught_up(&mut self, processed: Option<u64>, numbered: bool) -> Refused {
        let doubt = std::mem::take(&mut self.doubt) && numbered;
        self.state = RelayState::Live;
        self.pending.settle(processed.filter(|_| !doubt))
    }

    /// Credits the owner for written bytes, `quarter` of a window at a time. `queued`: bytes that the client has not taken.
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

    /// The owner has released the room; commands after `processed` were not carried out. `redirect`: the client follows the room.
    pub fn owner_released(&mut self, processed: u64, redirect: bool) {
        self.moved = true;
        // This owner cannot know of commands that were sent to another one before the attach.
        let was_its = self.is_live();
        if was_its {
            self.pending.take_back(processed);
        }
        if self.membership.is_some() {
            self.redirect = redirect;
        }
    }

    /// The session has lost its owner. `Err`: an unanswered JOIN or RESUME, to be requested again. Otherwise it searches for a new owner
    /// until the returned time (ms).
    pub fn lose_owner(&mut self, now: u64) -> Result<u64, Box<Waiter>> {
        match &self.state {
            RelayState::Opening(waiter) => return Err(waiter.clone()),
            RelayState::Live => self.give_up = now + ATTACH_PATIENCE,
            RelayState::Searching | RelayState::Attaching { .. } => {}
        }
        self.state = RelayState::Searching;
        Ok(self.give_up)
    }

    /// An owner was found: returns the attach. `None`: the session was not searching.
    pub fn attach(&mut self, now: u64, encoding: Encoding, owner: &Owner) -> Option<Frame<'static>> {
        let membership = self.searching()?;
        self.moved |= self.owner.as_ref().is_some_and(|old| old.ownership.boot != owner.ownership.boot);
        self.owner = Some(owner.clone());
        self.state = RelayState::Attaching { until: now + ATTACH, admitted: false, told: 0 };
        self.uncredited = 0;
        // MOVED even before REDIRECT: events until then may be of another timeline.
        let attach = Attach { encoding, member: membership, moved: self.moved };
        Some(Frame::Attach { room: self.room, relay: self.id, attach })
    }

    /// The deadline that has passed.
    pub fn overdue(&self, now: u64) -> Option<Overdue> {
        match &self.state {
            RelayState::Opening(waiter) if waiter.deadline <= now => {
                Some(Overdue::Entry { id: waiter.id, since: waiter.since })
            }
            // Once admitted, the owner is there, and the replay comes as fast as the client reads.
            RelayState::Attaching { until, admitted: false, .. } if *until <= now => Some(Overdue::Attach),
            _ => None,
        }
    }

    /// Notifies the owner, or the possible owner, that the session's client is gone.
    pub fn closed(&self, disconnect: Disconnect) -> Option<(PodBoot, Frame<'static>)> {
        let heard = self.membership.filter(|_| disconnect != Disconnect::Slow);
        let heard = heard.map(|Membership { timeline, seq, .. }| Heard { timeline, last_seq: seq });
        let frame = Frame::Closed { room: self.room, relay: self.id, disconnect, heard, entry: None };
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
