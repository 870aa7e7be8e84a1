//! Connects the searches (`search/`) with the rest of the hub: reports the rooms that are here, and carries out search events.
//! Pure: no I/O.

use std::time::Duration;

use super::Hub;
use super::capacity::RoomSlot;
use super::interface::{Effect, Notice, RoomSummary};
use super::ownership::Owned;
use super::request::{Asked, Stranger, Waiter, WaiterPurpose};
use super::search::{Obstacle, SearchEvent, Takeover};
use super::session::SessionState;
use super::webhooks::names;
use crate::ids::Time;
use crate::peer_protocol::{Frame, Served};
use crate::protocol::{ErrorCode, Event, OnWrongPod, Ownership, PodBoot, RoomId};
use crate::record::{MAX_EPOCH, Owner};
use crate::room::{Room, Seat};
use crate::webhook::Occurrence;

impl Hub {
    /// Requests the players of a room of this shard; [`Effect::LookedUp`] with `query` is the answer. `auth`: the join token that came along.
    pub fn look_up(&mut self, time: Time, query: u64, room: RoomId, auth: Option<&str>) {
        self.begin(time);
        match self.check_look_up(time, room, auth) {
            Ok(stranger) => self.look_up_for_query(time, query, room, stranger),
            Err(code) => self.context.effects.push(Effect::LookedUp { query, result: Err(code) }),
        }
        self.finish(time);
    }

    /// Searches for `room` on behalf of `waiter`.
    pub(super) fn look_for(&mut self, time: Time, room: RoomId, mut waiter: Waiter) {
        if let WaiterPurpose::Enter(entry) = &waiter.purpose {
            waiter.stranger = self.authority.is_stranger(room, entry);
        }
        match self.rooms.index_of(room) {
            Some(index) if waiter.stranger && self.hides(index) => {
                self.look_in_vain(room, Stranger::Client(Box::new(waiter)));
            }
            Some(index) => self.serve_waiter(time, index, &waiter),
            None => {
                self.search.look_for(&mut self.context, time, room, waiter);
                // A stranger may have been turned away at once.
                self.finish_searches(time);
            }
        }
    }

    /// Looks up the players of `room`, for the HTTP API.
    /// `stranger`: without a token for it.
    pub(super) fn look_up_for_query(&mut self, time: Time, query: u64, room: RoomId, stranger: bool) {
        if let Some(owned) = self.rooms.of(room) {
            let terms = self.context.settings.terms(owned.room.descriptor());
            if stranger && terms.needs_token() {
                return self.look_in_vain(room, Stranger::Query(query));
            }
            let players = owned.room.player_seats().map(Seat::name);
            let summary = RoomSummary { players: players.collect(), max_players: terms.max_players() };
            return self.context.effects.push(Effect::LookedUp { query, result: Ok(summary) });
        }
        self.search.look_up(&mut self.context, time, query, room, stranger);
    }

    /// Remembers the highest owner of a room. If this pod holds the room by a lower ownership, it releases the room.
    pub(super) fn learn(&mut self, time: Time, room: RoomId, owner: &Owner) {
        let Some(index) = self.rooms.index_of(room) else {
            return self.context.learn_owner(time, room, owner);
        };
        let is_higher = self.rooms.get(index).is_some_and(|owned| owner.ownership > owned.ownership());
        let is_other = owner.ownership.boot != self.context.me.ownership.boot;
        if is_higher && is_other && owner.ownership.epoch <= MAX_EPOCH && self.context.settings.rules.release_to_higher
        {
            self.release_to(time, index, owner.clone());
        }
    }

    /// Another pod asks whether this one serves `room`.
    pub(super) fn asked_about(
        &mut self,
        time: Time,
        from: PodBoot,
        room: RoomId,
        ticket: u64,
        dead: Option<Ownership>,
    ) {
        if let (Some(index), Some(dead)) = (self.rooms.index_of(room), dead) {
            self.reassert_above(time, index, dead);
        }
        let served = match self.rooms.of(room) {
            Some(owned) if owned.is_serving() => Served::Here(self.context.me_as(owned.ownership())),
            Some(owned) if owned.moving().is_some() || owned.is_creating() => Served::Soon,
            Some(_) => Served::Not { seen: None },
            None if self.incoming.contains(room) => Served::Soon,
            None => {
                let dead = dead.filter(|_| !self.outgoing.is_draining());
                self.search.asked_by_pod(&mut self.context, time, room, from, dead)
            }
        };
        self.finish_searches(time);
        self.context.peers.send(from, &Frame::Answer { room, ticket, served });
        self.incoming.asked_for(&mut self.context, room);
    }

    /// A pod has answered `Ask`.
    pub(super) fn pod_answered(&mut self, time: Time, room: RoomId, from: PodBoot, served: &Served) {
        if let Served::Here(owner) | Served::Not { seen: Some(owner) } = served {
            self.learn(time, room, owner);
        }
        self.search.probe_answered(&mut self.context, room, from, served);
        self.finish_searches(time);
    }

    /// Carries out the events of the searches.
    pub(super) fn finish_searches(&mut self, time: Time) {
        while let Some(event) = self.search.next_event(&mut self.context, time) {
            match event {
                SearchEvent::Found { room, owner, waiters } => {
                    for waiter in waiters {
                        self.send_to(time, room, &waiter, &owner);
                    }
                }
                SearchEvent::TurnedAway { waiters, code } => {
                    for waiter in waiters {
                        self.turn_away(time, &waiter, code);
                    }
                }
                SearchEvent::Absent { room } => self.make_by_name(time, room),
                SearchEvent::Ownerless { room } => {
                    let slot = self.slot_for_takeover(time, room);
                    self.search.take_over(&mut self.context, time, room, slot);
                }
                SearchEvent::TakenOver(takeover) => self.taken_over(time, *takeover),
            }
        }
    }

    fn slot_for_takeover(&mut self, time: Time, room: RoomId) -> Result<RoomSlot, Obstacle> {
        if self.incoming.contains(room) {
            Err(Obstacle::Incoming)
        } else if self.outgoing.ends() {
            Err(Obstacle::Draining)
        } else if !self.context.settled() {
            Err(Obstacle::Refused(ErrorCode::Unavailable))
        } else {
            // The clients that search for the room are in it, or will be.
            self.rooms.slot_for_people(&mut self.context, time).ok_or(Obstacle::Refused(ErrorCode::TooManyRooms))
        }
    }

    /// A swap has made this pod the owner of the room.
    fn taken_over(&mut self, time: Time, takeover: Takeover) {
        let Takeover { room, ownership, stored, basis, slot, asked, waiters } = takeover;
        let limits = self.context.settings.terms(basis.descriptor.as_deref()).ring();
        let taken = basis.room_of(room, ownership.epoch, &mut self.context, time);
        let index = self.rooms.own(&mut self.context, Owned::taken(taken, ownership, stored.clone(), time.now, slot));
        self.context.counters.takeovers += 1;
        // A room that another pod asked for has no waiters here.
        let since = waiters.iter().map(|waiter| waiter.since).min().unwrap_or(asked);
        self.context.counters.takeover_time.observe(Duration::from_millis(time.now.saturating_sub(since)));
        self.context.log(Notice::TookOver { room, from: basis.pod_id.clone(), epoch: ownership.epoch });
        let taken_over =
            |room: &Room| Occurrence::TakenOver { from: basis.pod_id.as_str().into(), players: names(room) };
        self.tell_webhook(time, index, taken_over);
        let me = self.context.me_as(ownership);
        self.context.notify_former_owners(time, room, &stored, &me);
        for (name, _) in basis.seats() {
            let grown = self.rooms.get_mut(index).map(|owned| owned.room.record_takeover(name, time.now, limits));
            self.ring_has_grown(grown.unwrap_or_default());
        }
        self.suspend_if_lapsed(time, index, asked);
        self.arm_room(time, index);
        for waiter in waiters {
            self.serve_waiter(time, index, &waiter);
        }
    }

    /// Sends one session to the owner: by its address, or over the peer link.
    fn send_to(&mut self, time: Time, room: RoomId, waiter: &Waiter, owner: &Owner) {
        let open = self.sessions.get(waiter.session).filter(|session| !matches!(session.state, SessionState::Closing));
        let Some(mode) = open.map(|session| session.mode) else {
            return;
        };
        if !waiter.is_entering() {
            return self.sessions.relay_attach(&mut self.context, time, waiter.session, owner);
        }
        if mode == OnWrongPod::Redirect
            && let Some((tcp, web)) = self.address_of(owner)
        {
            self.context.counters.redirects += 1;
            self.now_outside(time, waiter.session);
            let asked = Asked::here(waiter.session, waiter.id);
            self.reply(asked, &Event::Redirect { room, tcp: &tcp, web: &web });
            return self.sessions.wake(waiter.session);
        }
        self.relays.open(&mut self.sessions, &mut self.context, time, room, waiter, owner);
    }

    /// Where clients reach a pod; `None`: the deployment has not configured it (yet), so they are relayed.
    pub(super) fn address_of(&self, owner: &Owner) -> Option<(String, String)> {
        match &self.context.advertised {
            Some(pods) => pods.get(&owner.pod_id).map(|pod| (pod.tcp.clone(), pod.web.clone())),
            None => Some((owner.tcp.clone(), owner.web.clone())),
        }
    }
}
