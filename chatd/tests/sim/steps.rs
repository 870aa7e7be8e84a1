//! One step of a simulated pod: all that an input has led to is done, as the pod's threads do it after each batch. No I/O.

use chatd::hub::Hub;
use chatd::peer_protocol;

use crate::links::{Cargo, Event, MS, Net, SECOND};
use crate::pod::{Input, Pod, State};
use crate::pod_effects::show_frames;

impl Pod {
    /// Does all that the last input has led to.
    pub fn settle(&mut self, net: &mut Net) {
        let mut effects = Vec::new();
        let mut leased = Vec::new();
        for round in 0.. {
            if round > 10_000 {
                self.broken = Some("it never comes to rest".into());
                break;
            }
            let time = self.time(net);
            let connection = self.connection(net);
            self.lease.connected(time, connection);
            let mut idle = !self.detect(net, time);
            self.lease.take_effects(&mut leased);
            idle &= leased.is_empty();
            for effect in leased.drain(..) {
                self.lease_effect(net, time, effect);
            }
            for shard in (0..self.hubs.len()).filter(|shard| self.stalled[*shard].is_none()).collect::<Vec<_>>() {
                self.hubs[shard].take_effects(&mut effects);
                idle &= effects.is_empty();
                for effect in effects.drain(..) {
                    self.hub_effect(net, time, shard, effect);
                }
                self.told_unsettled[shard] = self.unsettled;
            }
            idle &= !self.link_actions(net);
            if idle {
                break;
            }
        }
        for shard in (0..self.hubs.len()).filter(|shard| self.stalled[*shard].is_none()).collect::<Vec<_>>() {
            let mut frames = Vec::new();
            self.hubs[shard].take_frames(|boot, bytes| frames.push((boot, bytes)));
            for (boot, bytes) in frames {
                let wire = self.links.to(boot).and_then(|link| self.wires.get(&link));
                if let Some((pipe, _)) = wire {
                    net.note(|| format!("pod {}   to {boot:.4}: {}", self.setup.number, show_frames(&bytes)));
                    let (pipe, end) = (*pipe, self.end_of(net, *pipe));
                    let time = self.time(net);
                    self.links.frames_go(time.now, boot);
                    // Now and then a batch takes so long that a cut can fall between any two of its frames.
                    let mut rest = &bytes[..];
                    while self.pieces.chance(90)
                        && let Ok(Some((_, after))) = peer_protocol::split(rest)
                        && !after.is_empty()
                    {
                        let piece = rest[..rest.len() - after.len()].to_vec();
                        net.send(pipe, end, Cargo::Frames(piece));
                        rest = after;
                    }
                    net.send(pipe, end, Cargo::Frames(rest.to_vec()));
                }
            }
            let mut dirty = Vec::new();
            self.hubs[shard].take_dirty(&mut dirty);
            for session in dirty {
                if let Some(pipe) = self.sessions.get(&(shard, session)) {
                    self.write(net, *pipe);
                }
            }
        }
        if self.link_actions(net) {
            return self.settle(net);
        }
        self.after_step(net);
    }

    fn after_step(&mut self, net: &mut Net) {
        // Closing sessions may have left more to do.
        let held: Vec<usize> =
            self.sockets.iter().filter(|(_, socket)| !socket.held.is_empty()).map(|(pipe, _)| *pipe).collect();
        let mut fed = false;
        for pipe in held {
            fed |= self.feed(net, pipe);
        }
        if fed {
            return self.settle(net);
        }
        let (rooms, players) = (self.room_count(), self.hubs.iter().map(Hub::player_count).sum::<usize>());
        self.lease.counts(rooms as u64, players as u64);
        if let Some(since) = self.terminating
            && !self.ended
            && (net.now >= since + 25 * SECOND || net.now >= since + 5 * SECOND && self.hubs.iter().all(Hub::drained))
        {
            self.ended = true;
            let time = self.time(net);
            self.lease.end(time);
            return self.settle(net);
        }
        self.views.clear();
        for hub in &self.hubs {
            self.views.extend(hub.rooms());
        }
        self.schedule(net);
    }

    fn schedule(&mut self, net: &mut Net) {
        if self.state == State::Gone {
            return;
        }
        let running = self.hubs.iter().zip(&self.stalled).filter(|(_, stalled)| stalled.is_none());
        let deadlines = running.filter_map(|(hub, _)| hub.next_deadline());
        let next = deadlines.chain([self.lease.next_deadline()]);
        let mut next = next.chain(self.links.next_deadline()).chain(self.detector.next_deadline()).min();
        if let Some(since) = self.terminating
            && !self.ended
        {
            let second = net.now.max(since) / SECOND + 1;
            next = Some(next.unwrap_or(u64::MAX).min(self.clock(second * SECOND) + 1));
        }
        let Some(next) = next else {
            return;
        };
        let at = next.saturating_mul(MS).saturating_sub(self.uptime).max(net.now);
        if self.wake.is_none_or(|(current, _)| at < current) {
            self.last_wake += 1;
            self.wake = Some((at, self.last_wake));
            net.at(at, Event::Pod(self.setup.number, Input::Wake { number: self.last_wake }));
        }
    }
}
