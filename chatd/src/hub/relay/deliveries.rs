//! What comes from the owner of a relayed session. Pure: no I/O.

use super::{After, Asked, Drop, ErrorCode, Frame, Hub, Place, PodBoot, RelayId, State, Stay};
use crate::ids::{SessionId, Time};

impl Hub {
    pub(in crate::hub) fn delivery_came(
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
        let early = |relay: &super::Relay| matches!(relay.state, State::Attaching { admitted: false, .. });
        if position > 0 && after.is_none() && self.relay(id).is_some_and(|relay| early(relay)) {
            // From an earlier attach, of which something may have been lost: it comes again, in its order.
            return;
        }
        if let Some(number) = replies {
            self.replied(time, id, number);
        }
        let (window, send_queue) = (self.context.settings.limits.window, self.context.settings.send_queue);
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if after == Some(After::Close { code: Some(ErrorCode::SlowConsumer) }) {
            // What is queued is dropped, wherever it is.
            session.output.keep_only_what_is_under_way(session.encoding);
        }
        // An attach that was sent twice is answered twice.
        let twice = |relay: &super::Relay| match after {
            None => position > 0 && relay.stay.is_some_and(|stay| position <= stay.position),
            Some(After::Admitted { joined: false, .. }) => !early(relay),
            Some(_) => false,
        };
        let twice = matches!(&session.place, Place::Relayed(relay) if twice(relay));
        if !twice {
            session.output.buffer().extend_from_slice(bytes);
        }
        if let Place::Relayed(relay) = &mut session.place {
            relay.uncredited += bytes.len();
            session.output.was_brought(relay.uncredited.saturating_sub(window).min(bytes.len()));
            if let Some(stay) = &mut relay.stay {
                stay.position = stay.position.max(position);
                stay.seq = stay.seq.max(seq);
            }
        }
        let too_much = session.output.is_over(send_queue);
        self.sessions.mark_dirty(id);
        if too_much {
            return self.too_slow(time, id);
        }
        match after {
            None => {}
            Some(After::Admitted { .. }) if twice => {}
            Some(After::Admitted { name, seat, resumable, key, timeline, joined }) => {
                if let Some(relay) = self.relay(id) {
                    let same = relay.stay.filter(|stay| stay.timeline == timeline);
                    relay.doubt |= relay.stay.is_some() && same.is_none();
                    relay.moved = false;
                    let known = same.filter(|_| !joined).map(|stay| (stay.position, stay.seq));
                    let (position, seq) = known.unwrap_or((position, seq));
                    relay.stay = Some(Stay { name, seat, resumable, key, timeline, position, seq });
                    match &mut relay.state {
                        State::Opening { .. } => {
                            relay.state = State::Live;
                            self.context.counters.relays += 1;
                        }
                        State::Attaching { admitted, .. } => *admitted = true,
                        State::Searching | State::Live => {}
                    }
                }
                // Admitted as if it had joined, and nothing is replayed.
                if joined && self.relay(id).is_some_and(|relay| relay.state != State::Live) {
                    self.caught_up(time, id, None);
                }
                self.sessions.wake(id);
            }
            // An attach that was sent twice is answered twice: what was asked since the first answer is under way as it should be.
            Some(After::CaughtUp { .. }) if self.relay(id).is_none_or(|relay| relay.state == State::Live) => {}
            Some(After::CaughtUp { processed }) => self.caught_up(time, id, processed),
            Some(After::Outside { miss }) => {
                self.answer_rest(time, id);
                self.relays.remove(relay_id);
                self.now_outside(time, id);
                if miss {
                    self.missed_once(time, id);
                }
                self.sessions.wake(id);
            }
            Some(After::Close { code }) => {
                self.relays.remove(relay_id);
                if code == Some(ErrorCode::Replaced)
                    && let Some(room) = self.sessions.get(id).and_then(|session| session.room)
                {
                    // Somebody waits for this: up to here the client seemed to live, so nobody knows what it has read.
                    self.context.peers.send(
                        from,
                        &Frame::Closed { room, relay: relay_id, drop: Drop::Lost, heard: None, entry: None },
                    );
                }
                if let Some(session) = self.sessions.get_mut(id) {
                    session.place = Place::Outside;
                }
                self.close(id, code);
            }
        }
        self.leave_if_idle(time, id);
        if self.relay(id).is_some_and(|relay| relay.idle()) {
            self.sessions.wake(id);
        }
    }

    /// The reply to a command has come. Earlier ones that were carried out and whose replies are lost get their word first.
    pub(in crate::hub) fn replied(&mut self, time: Time, id: SessionId, number: u64) {
        while let Some(relay) = self.relay(id)
            && let Some(first) = relay.pending.front()
            && first.number <= number
        {
            let (lost, own) = (first.number < number, first.id);
            relay.pending.pop_front();
            // A LEAVE that was refused ends nothing.
            relay.ending = relay.ends();
            if lost {
                self.refuse(time, Asked::here(id, own), ErrorCode::Unavailable);
            }
        }
    }

    /// Everything that was missed has come: what was in flight is settled, what waited is sent.
    pub(super) fn caught_up(&mut self, time: Time, id: SessionId, processed: Option<u64>) {
        let numbered = self.context.settings.rules.number_commands;
        let Some(relay) = self.relay(id) else {
            return;
        };
        let mut lost = Vec::new();
        let doubt = std::mem::take(&mut relay.doubt) && numbered;
        let processed = processed.filter(|_| !doubt);
        relay.pending.retain(|pending| {
            let carried_out = pending.is_carried_out(processed);
            if carried_out {
                lost.push(pending.id);
            }
            !carried_out
        });
        for pending in &mut relay.pending {
            pending.sent = false;
        }
        relay.ending = relay.ends();
        relay.state = State::Live;
        for own in lost {
            self.refuse(time, Asked::here(id, own), ErrorCode::Unavailable);
        }
        self.send_pending(id);
        self.sessions.wake(id);
    }

    /// The session is in no room any more: what it sent into it, and what may or may not have been carried out, gets its word.
    pub(super) fn answer_rest(&mut self, time: Time, id: SessionId) {
        let Some(relay) = self.relay(id) else {
            return;
        };
        for pending in std::mem::take(&mut relay.pending) {
            self.refuse(time, Asked::here(id, pending.id), ErrorCode::Unavailable);
        }
    }

    /// Tells the owner what has been written to the client, a quarter of the window at a time.
    pub(in crate::hub) fn credit(&mut self, _time: Time, id: SessionId) {
        let quarter = self.context.settings.limits.window / 4;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let (queued, relay_id) = (session.output.len(), session.relay);
        let Place::Relayed(relay) = &mut session.place else {
            return;
        };
        let bytes = relay.uncredited.saturating_sub(queued);
        if bytes >= quarter
            && let (State::Live | State::Attaching { admitted: true, .. }, Some(owner)) = (&relay.state, &relay.owner)
        {
            relay.uncredited -= bytes;
            let frame = Frame::Credit { room: relay.room, relay: relay_id, bytes: bytes as u32 };
            let boot = owner.ownership.boot;
            self.context.peers.send(boot, &frame);
        }
    }
}
