//! How full each queue and table of a hub is, beside how full it may be; for the simulation's checks (I11). Pure: no I/O.

use std::collections::BTreeMap;

use super::interface::{HubLimits, HubSettings};
use super::ownership::Owned;
use super::session::{Place, Session};
use super::{Hub, Purpose};
use crate::peer_protocol::{Frame, MAX_FRAME};
use crate::protocol::{MAX_LINE, MAX_UNFINISHED_LINE, PodBoot};

/// What one connection may have sent besides its commands: it comes, attaches and goes.
const MANNERS: usize = 8;
/// Timers stay until their time has come, however often what they are for is put off.
const TIMERS: usize = 256;

/// What there is of something, and what there may be.
type Bound = (&'static str, usize, usize);

impl Hub {
    /// What must hold in each part between calls, and between the parts; panics where it does not.
    fn check_invariants(&self) {
        self.sessions.check_invariants();
        let limits = self.context.settings.seat_limits();
        self.rooms.iter().for_each(|(_, owned)| owned.room.check_invariants(limits));
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

    /// The first queue or table that holds more than it may. Panics if a part contradicts itself.
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
            ("bytes of rings", self.rooms.ring_bytes(), self.context.settings.ring_total),
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
            // One is under way for a room; what was given up before goes with its answer.
            (
                "tickets",
                self.context.requests.tickets.len(),
                MANNERS * (rooms + searches + self.search.watch_count() + self.incoming.len()) + 16,
            ),
            ("records to check", self.rooms.checks_waiting(), 4 * rooms + 16),
            ("timers", self.context.timers.len(), timers),
            ("sessions to wake", self.sessions.woken(), 0),
            ("slow readers to end", self.context.slow_readers.len(), 0),
        ]
    }
}

fn of_session(session: &Session, limits: HubLimits, bounds: &mut Vec<Bound>) {
    // Reading stops once there is more than four lines; what one read brings comes on top.
    let (bytes, messages) = session.waiting.lengths();
    bounds.push(("bytes of lines that wait", bytes, 4 * MAX_LINE + MAX_UNFINISHED_LINE));
    bounds.push(("messages that wait", messages, limits.waiting));
    if let Place::Relayed(relay) = &session.place {
        // What was taken here before the room went goes along.
        bounds.push(("commands under way", relay.under_way(), limits.commands + 1));
        bounds.push(("bytes that the owner has not been told of", relay.uncredited(), limits.window + 2 * MAX_FRAME));
    }
}

/// `clients`: that this hub has, or that other pods relay to it.
fn of_room(owned: &Owned, settings: &HubSettings, clients: usize, bounds: &mut Vec<Bound>) {
    let most_players = settings.max_players as usize;
    let comers = clients + most_players;
    bounds.push(("seats", owned.room.seats().len(), most_players));
    bounds.push(("unanswered seats", owned.room.unanswered(), most_players));
    bounds.push(("RESUMEs that wait", owned.resuming.len(), owned.room.seats().len()));
    bounds.push(("bytes of a ring", owned.room.ring().bytes(), settings.ring.most()));
    bounds.push(("who waits for the room", owned.waiters.len(), 2 * comers));
    bounds.push(("answers that wait for a write", owned.answers_waiting(), MANNERS * comers));
    if !owned.frames.is_empty() {
        let mut of_each: BTreeMap<(PodBoot, u64), usize> = BTreeMap::new();
        for (from, frame) in &owned.frames {
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
