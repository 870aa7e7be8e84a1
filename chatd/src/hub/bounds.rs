//! The fill of each queue and table of a hub, with its limit; for the simulation's checks (I11). Pure: no I/O.

use std::collections::BTreeMap;

use super::interface::{HubLimits, HubSettings};
use super::ownership::Owned;
use super::session::{Session, SessionState};
use super::{Hub, Purpose};
use crate::peer_protocol::{Frame, MAX_FRAME};
use crate::protocol::{MAX_LINE, MAX_UNFINISHED_LINE, PodBoot};
use crate::room::Room;

/// Frames that one connection may send besides its commands: open, attach, close.
const MANNERS: usize = 8;
/// Timers stay in the table until they are due, even if their object postpones its deadline.
const TIMERS: usize = 256;

/// A queue or table: its name, its length, its limit.
type Bound = (&'static str, usize, usize);

impl Hub {
    /// Checks the invariants of each part and between parts; panics on a violation.
    fn check_invariants(&self) {
        self.sessions.check_invariants();
        let limits = |room: &Room| self.context.settings.terms(room.descriptor()).seats();
        self.rooms.iter().for_each(|(_, owned)| owned.room.check_invariants(limits(&owned.room)));
        self.context.peers.check_invariants();
        self.context.takeover_notices.check_invariants();
        self.context.known_owners.check_invariants();
        self.relays.check_invariants(&self.sessions);
        self.remote_members.check_invariants();
        self.rooms.check_invariants(&self.context);
        self.placement.check_invariants();
        self.incoming.check_invariants();
        self.search.check_invariants(self.context.me.ownership.boot);
        let is_searched = |owned: &Owned| self.search.is_under_way(owned.room.id);
        assert!(!self.rooms.iter().any(|(_, owned)| is_searched(owned)), "a search for a room that is here");
        self.outgoing.check_invariants();
        let is_moving = |room| self.rooms.of(room).and_then(Owned::moving).is_some();
        assert!(self.outgoing.offered().all(is_moving), "a room is offered that is not on its way");
    }

    /// The first queue or table over its limit. Panics if a part violates its invariants.
    pub fn over_bounds(&self) -> Option<String> {
        self.check_invariants();
        let mut bounds = self.tables();
        let settings = &self.context.settings;
        self.sessions.iter().for_each(|session| of_session(session, settings.limits, &mut bounds));
        let clients = self.sessions.len() + self.remote_members.len();
        self.rooms.iter().for_each(|(_, owned)| of_room(owned, settings, clients, &mut bounds));
        let most_queued = settings.send_queue + MAX_FRAME;
        bounds
            .extend(self.remote_members.iter().map(|member| ("a remote member's queue", member.queued(), most_queued)));
        let over = bounds.into_iter().find(|(_, count, most)| count > most);
        over.map(|(what, count, most)| format!("{what}: {count}, where at most {most} may be"))
    }

    fn tables(&self) -> Vec<Bound> {
        let limits = self.context.settings.limits;
        let (sessions, rooms, searches) = (self.sessions.len(), self.rooms.len(), self.search.len());
        let own = self.context.requests.tickets.values().filter(|purpose| matches!(purpose, Purpose::Own(_))).count();
        let timers = TIMERS * (rooms + searches + sessions) + 512;
        vec![
            ("relayed sessions", self.relays.len(), sessions),
            (
                "bytes of rings",
                self.rooms.ring_bytes(),
                self.context.settings.ring_total.saturating_sub(self.rooms.state_bytes()),
            ),
            (
                "bytes of rings, as they are",
                self.rooms.iter().map(|(_, owned)| owned.room.ring().bytes()).sum(),
                self.rooms.ring_bytes(),
            ),
            (
                "bytes that remote members wait for, as they are",
                self.remote_members.holders().map(|(bytes, _)| bytes).sum(),
                self.remote_members.held(),
            ),
            ("frames that wait for a dial", self.context.peers.most_queued(), limits.dialled),
            ("notices of takeovers", self.context.takeover_notices.len(), limits.takeover_notices),
            ("owners of rooms elsewhere", self.context.known_owners.len(), limits.owners),
            ("requests about own records", own, self.context.requests.own),
            // A room has one request in flight; one that it has abandoned goes with its answer.
            (
                "tickets",
                self.context.requests.tickets.len(),
                // And one for each JOIN with a token that is good for one, and for its end.
                MANNERS * (rooms + searches + self.search.watch_count() + self.incoming.len())
                    + 2 * (sessions + self.remote_members.len())
                    + 16,
            ),
            ("records to check", self.rooms.checks_waiting(), 4 * rooms + 16),
            ("timers", self.context.timers.len(), timers),
            ("sessions to wake", self.sessions.woken(), 0),
            ("slow readers to end", self.context.slow_readers.len(), 0),
        ]
    }
}

fn of_session(session: &Session, limits: HubLimits, bounds: &mut Vec<Bound>) {
    // Reading stops beyond four lines; the last read may exceed that.
    let (bytes, messages) = session.inbox.lengths();
    bounds.push(("bytes of lines that wait", bytes, 4 * MAX_LINE + MAX_UNFINISHED_LINE));
    bounds.push(("messages that wait", messages, limits.waiting));
    if let SessionState::Relayed(relay) = &session.state {
        // Commands that the session had pending before its room left this pod go to the new owner.
        bounds.push(("commands under way", relay.under_way(), limits.commands + 1));
        bounds.push(("bytes that the owner has not been told of", relay.uncredited(), limits.window + 2 * MAX_FRAME));
    }
}

/// `clients`: local sessions and remote members of this hub.
fn of_room(owned: &Owned, settings: &HubSettings, clients: usize, bounds: &mut Vec<Bound>) {
    let terms = settings.terms(owned.room.descriptor());
    let most_players = terms.max_players() as usize + crate::join_token::MAX_VIEWERS;
    let comers = clients + most_players;
    bounds.push(("seats", owned.room.seats().len(), most_players));
    bounds.push(("unanswered seats", owned.room.unanswered(), most_players));
    bounds.push(("RESUMEs that wait", owned.pending_resumes().len(), owned.room.seats().len()));
    bounds.push(("bytes of a state", owned.room.state_bytes(), crate::room::MAX_STATE_MEMORY));
    bounds.push(("bytes of a ring", owned.room.ring().bytes(), terms.ring().most()));
    bounds.push(("who waits for the room", owned.waiter_count(), 2 * comers));
    bounds.push(("tokens that are being used", owned.claim_count(), comers));
    bounds.push(("answers that wait for a write", owned.answers_waiting(), MANNERS * comers));
    if !owned.queued_frames().is_empty() {
        let mut of_each: BTreeMap<(PodBoot, u64), usize> = BTreeMap::new();
        for (from, frame) in owned.queued_frames() {
            if let Frame::Open { relay, .. }
            | Frame::Attach { relay, .. }
            | Frame::Command { relay, .. }
            | Frame::Closed { relay, .. } = frame
            {
                *of_each.entry((*from, relay.0)).or_default() += 1;
            }
        }
        let most = of_each.into_values().max().unwrap_or(0);
        bounds.push(("frames of one session that wait", most, settings.limits.commands + MANNERS));
    }
}
