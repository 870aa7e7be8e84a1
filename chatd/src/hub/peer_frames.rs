//! Dispatches link changes and frames of other pods to the parts that decide. Pure: no I/O.

use super::ownership::Owned;
use super::request::Asked;
use super::{Effect, Hub};
use crate::ids::{Reach, SessionRef, Time};
use crate::peer_protocol::{Delivery, Frame};
use crate::protocol::{PodBoot, RoomId};
use crate::record::Owner;

impl Hub {
    pub(super) fn peer_is_up(&mut self, time: Time, boot: PodBoot) {
        self.context.peers.link_is_up(boot);
        self.search.pod_is_back(&mut self.context, time, boot);
        self.move_rooms(time);
    }

    pub(super) fn peer_is_down(&mut self, time: Time, boot: PodBoot) {
        if !self.context.peers.link_is_down(boot) {
            return;
        }
        // The peer sends these frames again over its next link. Carried out now, they would seat unreachable clients.
        for (_, owned) in self.rooms.iter_mut() {
            owned.drop_frames_from(boot);
        }
        for member in self.remote_members.of_pod(boot) {
            self.detach(time, member);
        }
        self.resume_unasked(time, |holder| holder.boot == boot);
        self.relays_cut(time, boot);
        self.search.pod_is_silent(boot);
        self.finish_searches(time);
        self.placement_pod_is_gone(time, boot);
        self.listings.pod_is_gone(&mut self.context, boot);
        self.move_peer_away(time, boot);
    }

    pub(super) fn peer_is_unreachable(&mut self, time: Time, boot: PodBoot, gone: bool) {
        self.context.peers.dial_failed(time, boot);
        if gone {
            self.context.takeover_notices.is_gone(boot);
            // If the pod has restarted under its name, its lease is gone.
            self.search.look_soon(&mut self.context, time, boot);
        }
        self.search.pod_is_silent(boot);
        self.finish_searches(time);
        self.placement_pod_is_gone(time, boot);
        self.listings.pod_is_gone(&mut self.context, boot);
    }

    /// The link to the pod with `boot` has been idle. If nothing here needs it, this hub gives it up: it is closed, unless somebody else
    /// needs it. [`Effect::LinkAnswer`] follows; a dial brings the link back, or a new one.
    pub fn release_link(&mut self, time: Time, boot: PodBoot, query: u64) {
        self.begin(time);
        let needed = self.needs_link(boot) || !self.context.peers.release(boot);
        self.context.effects.push(Effect::LinkAnswer { boot, query, needed });
        self.finish(time);
    }

    /// Sessions are relayed over the link, rooms move over it or are about to, or somebody waits for an answer, also for one that a room
    /// which stands still has not given yet.
    fn needs_link(&self, boot: PodBoot) -> bool {
        self.relays.have_owner(&self.sessions, boot)
            || self.remote_members.has_pod(boot)
            || self.outgoing.needs(boot)
            || self.incoming.has_source(boot)
            || self.search.needs(boot)
            || self.placement.waits_for(boot)
            || self.listings.wait_for(boot)
            // Last: there are many rooms.
            || self.rooms.iter().any(|(_, owned)| owned.has_frame_of(boot))
    }

    // ---- frames

    pub(super) fn frame_came(&mut self, time: Time, from: PodBoot, frame: Frame<'_>) {
        if self.rooms.keep_frame_waiting(time.wall, from, &frame) {
            if let Some(index) = self.rooms.index_of(frame.room())
                && let Some(owned) = self.rooms.get_mut(index)
            {
                owned.queue_frame(from, frame.into_owned());
                self.arm_room(time, index);
            }
            return;
        }
        match frame {
            Frame::Ask { room, ticket, dead } => self.asked_about(time, from, room, ticket, dead),
            Frame::Answer { room, served, .. } => self.pod_answered(time, room, from, &served),
            Frame::OwnerChanged { room, owner } => self.owner_changed(time, from, room, &owner),
            Frame::OwnerChangedAck { room, heard, higher } => {
                self.context.takeover_notices.acknowledged(from, room, heard);
                if let Some(owner) = higher {
                    self.learn(time, room, &owner);
                }
            }
            Frame::Open { room, relay, encoding, number, id, command } => {
                let to = SessionRef { boot: from, relay };
                let asked = Asked { by: Reach::Remote(to), number, id };
                self.remote_opens(time, to, room, encoding, asked, command);
            }
            Frame::Call { room, relay, call } => {
                self.remote_calls(time, SessionRef { boot: from, relay }, room, call);
            }
            Frame::Attach { room, relay, attach } => {
                self.remote_attaches(time, SessionRef { boot: from, relay }, room, &attach);
            }
            Frame::Command { relay, number, id, command, .. } => {
                self.remote_commands(time, SessionRef { boot: from, relay }, number, id, command);
            }
            Frame::Credit { relay, bytes, .. } => {
                self.remote_members.credit(&mut self.context.peers, SessionRef { boot: from, relay }, bytes);
            }
            Frame::Closed { room, relay, disconnect, heard, entry } => {
                let to = SessionRef { boot: entry.unwrap_or(from), relay };
                self.remote_closed(time, to, room, disconnect, heard);
            }
            Frame::Deliver { relay, replies, position, seq, bytes, after, .. } => {
                let delivery = Delivery { replies, place: (position, seq), bytes, after };
                self.delivery_came(time, from, relay, &delivery);
            }
            Frame::Refused { room, relay, seen } => self.relay_refused(time, from, room, relay, seen),
            Frame::Released { room, relay, owner, processed } => {
                self.relay_released(time, from, room, relay, &owner, processed);
            }
            Frame::Create { room, descriptor } => self.create_for_pod(time, from, room, descriptor),
            Frame::Created { room, result } => self.created_elsewhere(time, from, room, result),
            Frame::MigrateOffer { room, snapshot } => self.migration_offered(time, from, room, snapshot),
            Frame::MigrateAnswer { room, from: basis, taken } => self.offer_answered(time, from, room, basis, taken),
            Frame::List { room, query, filter } => {
                let (threads, rooms) = (self.context.settings.shards as u16, self.list_here(time, &filter));
                self.context.peers.send(from, &Frame::Listed { room, query, threads, rooms });
            }
            Frame::Listed { query, threads, rooms, .. } => {
                self.listings.answered(&mut self.context, from, query, threads, rooms);
            }
            Frame::HandOver { room, query } => {
                self.context.effects.push(Effect::HandOver);
                self.context.peers.send(from, &Frame::HandsOver { room, query });
            }
            Frame::HandsOver { query, .. } => self.listings.hand_overs.answered(&mut self.context, from, query),
            Frame::Inherited { room, seats } => {
                if let Some(owned) = self.rooms.index_of(room).and_then(|index| self.rooms.get_mut(index)) {
                    owned.room.inherit(seats);
                }
            }
        }
    }

    /// Another pod reports that `owner` has taken the room over.
    fn owner_changed(&mut self, time: Time, from: PodBoot, room: RoomId, owner: &Owner) {
        self.learn(time, room, owner);
        let mine = self.rooms.of(room).map(Owned::ownership);
        let higher = match mine {
            Some(mine) if mine > owner.ownership => Some(self.context.me_as(mine)),
            Some(_) => None,
            None => self.context.known_owners.get(room).filter(|seen| seen.ownership > owner.ownership).cloned(),
        };
        self.context.peers.send(from, &Frame::OwnerChangedAck { room, heard: owner.ownership, higher });
    }
}
