//! The other pods: which can be reached, what is to be sent to them, and who has still to hear of a takeover. Pure: no I/O.

use std::collections::BTreeMap;

use super::ownership::Owned;
use super::request::Asked;
use super::{Hub, HubLimits, Timer};
use crate::ids::{Reach, SessionRef, Time};
use crate::peer_protocol::Frame;
use crate::protocol::{Ownership, PodBoot, RoomId};
use crate::record::{Former, Owner, Record};

/// How long a failed dial counts for everyone (ms): one dial a peer and second.
const DIAL_AGAIN: u64 = 1_000;
/// A former owner is told of a takeover this often (ms).
const TELL_AGAIN: u64 = 2_000;

/// A dial that is under way.
#[derive(Debug, Default)]
struct Dial {
    frames: usize,
    /// Encoded.
    queue: Vec<u8>,
}

#[derive(Debug)]
struct Tell {
    former: Former,
    owner: Owner,
    next: u64,
    until: u64,
}

/// On round times only, so that all are looked through once for each.
fn tell_next(time: Time) -> u64 {
    (time.now / TELL_AGAIN + 1) * TELL_AGAIN
}

/// See the module's documentation. Ordered maps, so that the same input gives the same output.
#[derive(Debug)]
pub struct Peers {
    limits: HubLimits,
    /// Links that are up, with what is to be sent.
    up: BTreeMap<PodBoot, Vec<u8>>,
    dials: BTreeMap<PodBoot, Dial>,
    /// Processes that could not be reached, until when that is believed.
    failed: BTreeMap<PodBoot, u64>,
    tells: BTreeMap<(RoomId, PodBoot), Tell>,
}

impl Peers {
    pub fn new(limits: HubLimits) -> Self {
        let (up, dials, failed, tells) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { limits, up, dials, failed, tells }
    }

    pub fn is_up(&self, boot: PodBoot) -> bool {
        self.up.contains_key(&boot)
    }

    pub fn linked(&self) -> impl Iterator<Item = PodBoot> + '_ {
        self.up.keys().copied()
    }

    /// No other pod is linked.
    pub fn is_alone(&self) -> bool {
        self.up.is_empty()
    }

    /// Frames that wait for the dial for which the most wait.
    pub fn most_dialled(&self) -> usize {
        self.dials.values().map(|dial| dial.frames).max().unwrap_or(0)
    }

    /// Former owners that have still to be told of a takeover.
    pub fn untold_count(&self) -> usize {
        self.tells.len()
    }

    /// Notes that there is to be a link. `Some(false)`: it has to be dialled; `None`: that has just failed.
    pub fn reach(&mut self, time: Time, boot: PodBoot) -> Option<bool> {
        if self.is_up(boot) || self.dials.contains_key(&boot) {
            return Some(true);
        }
        if self.failed.get(&boot).is_some_and(|until| *until > time.now) {
            return None;
        }
        self.failed.remove(&boot);
        self.dials.insert(boot, Dial::default());
        Some(false)
    }

    /// Sends a frame, if the link is up.
    pub fn send(&mut self, to: PodBoot, frame: &Frame<'_>) {
        if let Some(out) = self.up.get_mut(&to) {
            frame.encode(out);
        }
    }

    /// Sends a frame now, or when the dial that is under way has come to a link.
    pub fn send_or_queue(&mut self, to: PodBoot, frame: &Frame<'_>) {
        if let Some(out) = self.up.get_mut(&to) {
            frame.encode(out);
        } else if let Some(dial) = self.dials.get_mut(&to)
            && dial.frames < self.limits.dialled
        {
            dial.frames += 1;
            frame.encode(&mut dial.queue);
        }
    }

    pub fn take_frames(&mut self, mut send: impl FnMut(PodBoot, Vec<u8>)) {
        for (boot, out) in &mut self.up {
            if !out.is_empty() {
                send(*boot, std::mem::take(out));
            }
        }
    }
}

impl Hub {
    pub(super) fn peer_is_up(&mut self, time: Time, boot: PodBoot) {
        let waiting = self.context.peers.dials.remove(&boot).map(|dial| dial.queue).unwrap_or_default();
        self.context.peers.up.entry(boot).or_default().extend_from_slice(&waiting);
        self.owner_is_back(time, boot);
        self.move_rooms(time);
    }

    pub(super) fn peer_is_down(&mut self, time: Time, boot: PodBoot) {
        if self.context.peers.up.remove(&boot).is_none() {
            return;
        }
        let mut members: Vec<SessionRef> = self
            .remote_members
            .iter()
            .map(|(connection, _)| connection)
            .filter(|connection| connection.boot == boot)
            .collect();
        members.sort_unstable();
        // What waits of it is asked again over the next link: carried out now, it would seat clients that nobody can reach.
        for (_, owned) in self.rooms.iter_mut() {
            owned.frames.retain(|(from, _)| *from != boot);
        }
        for member in members {
            self.detach(time, member);
        }
        self.resume_unasked(time, |holder| holder.boot == boot);
        self.relays_cut(time, boot);
        self.owner_is_silent(time, boot);
        self.elsewhere_is_gone(time, boot);
        self.move_peer_away(time, boot);
    }

    pub(super) fn peer_is_unreachable(&mut self, time: Time, boot: PodBoot, gone: bool) {
        self.context.peers.dials.remove(&boot);
        self.context.peers.failed.retain(|_, until| *until > time.now);
        self.context.peers.failed.insert(boot, time.now + DIAL_AGAIN);
        if gone {
            // It needs not be told any more.
            self.context.peers.tells.retain(|_, tell| tell.former.boot != boot);
            // If it has started again under its name, its lease is gone.
            self.look_soon(time, boot);
        }
        self.owner_is_silent(time, boot);
        self.elsewhere_is_gone(time, boot);
    }

    // ---- telling former owners

    /// Tells those whom the record that made `owner` the owner names.
    pub(super) fn tell_named(&mut self, time: Time, room: RoomId, record: &[u8], owner: &Owner) {
        for former in Record::parse(record).map(|record| record.former).unwrap_or_default() {
            self.tell_until_heard(time, room, former, owner);
        }
    }

    /// Tells the pod that had the room, at once and until it answers.
    fn tell_until_heard(&mut self, time: Time, room: RoomId, former: Former, owner: &Owner) {
        let (me, limits) = (&self.context.me, self.context.settings.limits);
        if former.boot == me.ownership.boot || former.peer == me.peer || self.context.peers.tells.len() >= limits.tells
        {
            return;
        }
        let next = tell_next(time);
        let tell = Tell { former: former.clone(), owner: owner.clone(), next, until: time.now + limits.tell_for };
        self.context.peers.tells.insert((room, former.boot), tell);
        self.context.arm(next, Timer::Peers);
        self.tell_former(time, room, &former, owner.clone());
    }

    fn tell_former(&mut self, time: Time, room: RoomId, former: &Former, owner: Owner) {
        if self.context.reach(time, former.boot, &former.peer) {
            self.context.peers.send_or_queue(former.boot, &Frame::Tell { room, owner });
        }
    }

    /// Those who had the room and have not said yet that they have heard whose it is: the record names them, so that whoever
    /// has it next knows.
    pub(super) fn untold(&self, room: RoomId) -> impl Iterator<Item = Former> + '_ {
        let all = (room, PodBoot(0))..=(room, PodBoot(u64::MAX));
        self.context.peers.tells.range(all).map(|(_, tell)| tell.former.clone())
    }

    pub(super) fn peers_due(&mut self, time: Time) {
        self.context.peers.tells.retain(|_, tell| tell.until > time.now);
        let due: Vec<(RoomId, Former, Owner)> = self
            .context
            .peers
            .tells
            .iter_mut()
            .filter(|(_, tell)| tell.next <= time.now)
            .map(|((room, _), tell)| {
                tell.next = tell_next(time);
                (*room, tell.former.clone(), tell.owner.clone())
            })
            .collect();
        for (room, former, owner) in due {
            self.tell_former(time, room, &former, owner);
        }
        if let Some(next) = self.context.peers.tells.values().map(|tell| tell.next).min() {
            self.context.arm(next, Timer::Peers);
        }
    }

    fn told(&mut self, time: Time, from: PodBoot, room: RoomId, told: Ownership, higher: Option<Owner>) {
        let heard = self.context.peers.tells.get(&(room, from)).is_some_and(|tell| tell.owner.ownership <= told);
        if heard {
            self.context.peers.tells.remove(&(room, from));
        }
        if let Some(owner) = higher {
            self.learn(time, room, &owner);
        }
    }

    fn is_told(&mut self, time: Time, from: PodBoot, room: RoomId, owner: &Owner) {
        self.learn(time, room, owner);
        let mine = self.rooms.of(room).map(|owned| owned.ownership);
        let higher = match mine {
            Some(mine) if mine > owner.ownership => Some(self.context.me_as(mine)),
            Some(_) => None,
            None => self.context.known_owners.get(room).filter(|seen| seen.ownership > owner.ownership).cloned(),
        };
        self.context.peers.send(from, &Frame::Told { room, told: owner.ownership, higher });
    }

    // ---- frames

    pub(super) fn frame_came(&mut self, time: Time, from: PodBoot, frame: Frame<'_>) {
        if self.must_wait(&frame) {
            let key = self.rooms.key(frame.room());
            if let Some(owned) = key.and_then(|key| self.rooms.get_mut(key)) {
                owned.frames.push((from, frame.into_owned()));
            }
            return;
        }
        match frame {
            Frame::Ask { room, ticket, dead } => self.asked_about(time, from, room, ticket, dead),
            Frame::Answer { room, served, .. } => self.owner_said(time, room, from, served),
            Frame::Tell { room, owner } => self.is_told(time, from, room, &owner),
            Frame::Told { room, told, higher } => self.told(time, from, room, told, higher),
            Frame::Open { room, relay, encoding, number, id, command } => {
                let to = SessionRef { boot: from, relay };
                let asked = Asked { by: Reach::Remote(to), number, id };
                self.remote_opens(time, to, room, encoding, asked, command);
            }
            Frame::Attach { room, relay, attach } => {
                self.remote_attaches(time, SessionRef { boot: from, relay }, room, &attach);
            }
            Frame::Command { relay, number, id, command, .. } => {
                self.remote_commands(time, SessionRef { boot: from, relay }, number, id, command);
            }
            Frame::Credit { relay, bytes, .. } => self.remote_credits(SessionRef { boot: from, relay }, bytes),
            Frame::Closed { room, relay, drop, heard, entry } => {
                let to = SessionRef { boot: entry.unwrap_or(from), relay };
                self.remote_closed(time, to, room, drop, heard);
            }
            Frame::Deliver { relay, replies, position, seq, bytes, after, .. } => {
                self.delivery_came(time, from, relay, (replies, position, seq), &bytes, after);
            }
            Frame::Refused { room, relay, seen } => self.relay_refused(time, from, room, relay, seen),
            Frame::Yielded { room, relay, owner, processed } => {
                self.relay_yielded(time, from, room, relay, &owner, processed);
            }
            Frame::Create { room } => self.create_for_pod(time, from, room),
            Frame::Created { room, result } => self.answered_elsewhere(time, from, room, result),
            Frame::Offer { room, snapshot } => self.offered(time, from, room, snapshot),
            Frame::Offered { room, from: basis, taken } => self.offer_answered(time, from, room, basis, taken),
        }
    }

    /// Sessions' frames wait while their room does.
    fn must_wait(&self, frame: &Frame<'_>) -> bool {
        matches!(frame, Frame::Open { .. } | Frame::Attach { .. } | Frame::Command { .. } | Frame::Closed { .. })
            && self
                .rooms
                .key(frame.room())
                .and_then(|key| self.rooms.get(key))
                .is_some_and(|owned| !Owned::ready(owned))
    }
}
